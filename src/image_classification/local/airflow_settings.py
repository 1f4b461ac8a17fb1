"""What the Airflow of this machine is told."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

AIRFLOW_COMPONENTS: dict[str, tuple[str, ...]] = {
    "api-server": (),
    "dag-processor": (),
    "triggerer": ("--skip-serve-logs",),
    # The last one: its tasks log in to MLflow.
    "scheduler": ("--skip-serve-logs",),
}
"""The services, each with its options. Airflow's log servers would listen on every interface; on
one machine the api-server reads the log files, and nothing needs those servers."""

EXECUTOR = "image_classification.orchestration.executor.PreloadedLocalExecutor"


def configure_airflow(project_path: Path, url: str) -> dict[str, str]:
    """Return Airflow's settings, without ``AIRFLOW__``; users, keys and database have their own.

    Args:
        project_path: the project, with the generated files in `dags/`.
        url: on which host and port it is served.
    """
    address = urlsplit(url)
    theme = project_path / "airflow" / "theme.json"
    return {
        "CORE__DAGS_FOLDER": str(project_path / "dags"),
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__EXECUTOR": EXECUTOR,
        "CORE__PARALLELISM": "4",
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "API__HOST": str(address.hostname),
        "API__PORT": str(address.port),
        "API__BASE_URL": url,
        "API__WORKERS": "1",
        "API__THEME": theme.read_text("utf-8") if theme.exists() else "{}",
        "DAG_PROCESSOR__REFRESH_INTERVAL": "30",
        # A task whose worker has died is tried again within a minute, not after five.
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "40",
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
        # A supervisor may have read all that its task wrote before the task's process ends. It then
        # sleeps for so many seconds before it looks again, and keeps its worker busy.
        "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
