"""Two Kedro projects whose nodes do nothing: one run as this project is, one as the plugins do it.

Both register chains of nodes that pass one number on through a JSON file, so that what a task costs
is all that is left to measure.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

from measuring import PROJECT

from image_classification.local.services import Stack

KEDRO_VERSION = "1.7.0"
CHAIN = "chain_{nodes}"

REGISTRY = '''
"""Chains of nodes that do nothing."""

from kedro.pipeline import Node, Pipeline
{imports}

def pass_on(number):
    return number


def create_chain(nodes):
    return Pipeline(
        [
            Node(
                pass_on,
                "params:image_size_px" if i == 0 else f"number_{{i}}",
                f"number_{{i + 1}}",
                name=f"pass_on_{{i + 1}}",
            )
            for i in range(nodes)
        ]
    )


def register_pipelines():
    chains = {{f"chain_{{nodes}}": create_chain(nodes) for nodes in {lengths}}}
    return chains | {{"__default__": create_chain({lengths}[0])}}
'''

OUR_DAG = """
from pathlib import Path

from airflow.sdk import DAG

from image_classification.orchestration import DagSpec, NodeSpec, build_dag

dag: DAG = build_dag(
    DagSpec(
        pipeline="chain_{nodes}",
        project_path=Path(__file__).resolve().parents[1],
        settings=dict(
            description="Nodes that do nothing", schedule=None, timezone="UTC", catchup=False,
            max_active_runs=16, owner="benchmark", tags=[], retries=0, retry_delay_s=1,
            maximum_retry_delay_s=1, task_timeout_minutes=5,
        ),
        nodes=tuple(
            NodeSpec(f"pass_on_{{i}}", after=(f"pass_on_{{i - 1}}",) if i > 1 else ())
            for i in range(1, {nodes} + 1)
        ),
    )
)
"""


class StockStack(Stack):
    """Airflow with the LocalExecutor and the settings that it comes with."""

    def environment(self) -> dict[str, str]:
        """Return ours, less what this project tunes and what names its MLflow server."""
        tuned = ("AIRFLOW__SCHEDULER__", "AIRFLOW__DAG_PROCESSOR__", "AIRFLOW__CELERY__")
        kept = {
            name: value
            for name, value in super().environment().items()
            if not name.startswith(tuned) and name != "MLFLOW_TRACKING_URI"
        }
        stock = {
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "PYTHONPATH": str(self.project_path / "src"),  # its DAGs take the package as installed
        }
        return kept | stock


def make_our_project(folder: Path, lengths: Sequence[int], imports: str = "") -> Stack:
    """Write a project with this one's configuration, hooks and operators.

    Args:
        folder: made anew.
        lengths: of the chains, in nodes; a DAG each.
        imports: at the top of the module with its nodes.

    Returns:
        Its stack, not started.
    """
    _make_package(folder, "idle", lengths, imports)
    (folder / "src/idle/settings.py").write_text("from image_classification.settings import *\n")
    shutil.copytree(PROJECT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    shutil.copytree(PROJECT / "airflow", folder / "airflow")
    (folder / "conf/local").mkdir()
    _declare_numbers(folder, max(lengths), "${globals:storage_root}/runs/${runtime_params:run_id}")
    (folder / "dags").mkdir()
    for nodes in lengths:
        (folder / "dags" / f"chain_{nodes}_dag.py").write_text(OUR_DAG.format(nodes=nodes))
    return Stack("idle", folder)


def make_stock_project(folder: Path, nodes: int, imports: str = "") -> StockStack:
    """Write a project as Kedro, kedro-mlflow and kedro-airflow make one.

    Args:
        folder: made anew.
        nodes: of its only chain: all DAGs of a project have the same id.
        imports: at the top of the module with its nodes.

    Returns:
        Its stack, not started.
    """
    _make_package(folder, "stock_idle", [nodes], imports)
    (folder / "src/stock_idle/settings.py").touch()
    for environment in ("base", "local"):
        (folder / "conf" / environment).mkdir(parents=True)
    _declare_numbers(folder, nodes, "data")
    (folder / "conf/base/parameters.yml").write_text("image_size_px: 64\n")
    stack = StockStack("idle", folder)
    _run_kedro(stack, "mlflow", "init")
    _use_sqlite(folder / "conf/local/mlflow.yml")
    (folder / "conf/base/airflow.yml").write_text('default: {schedule: "@once", retries: 0}\n')
    _run_kedro(stack, "airflow", "create", "--target-dir", "dags")
    return stack


def _make_package(folder: Path, name: str, lengths: Sequence[int], imports: str = "") -> None:
    shutil.rmtree(folder, ignore_errors=True)
    package = folder / "src" / name
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    registry = REGISTRY.format(lengths=list(lengths), imports=imports)
    (package / "pipeline_registry.py").write_text(registry)
    (folder / "pyproject.toml").write_text(
        dedent(f"""\
        [tool.kedro]
        package_name = "{name}"
        project_name = "{name}"
        kedro_init_version = "{KEDRO_VERSION}"
        source_dir = "src"
        """)
    )


def _declare_numbers(folder: Path, count: int, path: str) -> None:
    entries = [
        f"number_{i}: {{type: json.JSONDataset, filepath: '{path}/number_{i}.json'}}\n"
        for i in range(1, count + 1)
    ]
    (folder / "conf/base/catalog_idle.yml").write_text("".join(entries))


def _use_sqlite(path: Path) -> None:
    """MLflow refuses the store of files that kedro-mlflow names by default."""
    text = path.read_text()
    found = "mlflow_tracking_uri: null"
    if found not in text:
        raise SystemExit(f"{path}: '{found}' is not in kedro-mlflow's template any more.")
    path.write_text(text.replace(found, "mlflow_tracking_uri: sqlite:///mlflow.db"))


def _run_kedro(stack: Stack, *command: str) -> None:
    subprocess.run(
        [sys.executable, "-m", "kedro", *command],
        cwd=stack.project_path,
        env=stack.environment(),
        check=True,
        capture_output=True,
    )
