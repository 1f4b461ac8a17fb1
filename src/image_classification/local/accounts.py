"""Who may log in to the Airflow and the MLflow of a stack, and with which generated passwords."""

from __future__ import annotations

import json
import os
import secrets
import shlex
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from image_classification.errors import ImageClassificationError

TASKS = "tasks"
"""The account of the tasks, in Airflow and in MLflow: nobody's own."""

AIRFLOW_ROLES = {"admin": "admin", "op": "op", "user": "user", "viewer": "viewer", TASKS: "user"}
"""Airflow's users, each with its role; a task needs no more than to write notes and read logs."""

MLFLOW_USERS = ("admin", "viewer", TASKS)
"""MLflow's users: `viewer` reads, the others do all."""

TIMEOUT_S = 30

AUTH_CONFIG = """\
[mlflow]
default_permission = READ
database_uri = sqlite:///{database}
# How long a password that was right is not computed again: the tasks ask many times a second.
auth_cache_ttl_seconds = 300
"""


class AccountError(ImageClassificationError):
    """An account cannot be made or used."""


class Accounts:
    """The accounts of one stack. Passwords are made once, and kept where only the owner reads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def file(self) -> Path:
        """The file with all passwords and keys."""
        return self._folder / "secrets.json"

    def read(self) -> dict[str, str]:
        """Return passwords and keys by name; those that are missing are made."""
        known: dict[str, str] = json.loads(self.file.read_text()) if self.file.exists() else {}
        missing = _make_secrets().keys() - known.keys()
        if missing or not self._passwords_file.exists():
            # Of an earlier release, a stack has some of them.
            known = _make_secrets() | known
            make_private_folder(self._folder)
            write_private(self.file, json.dumps(known, indent=1))
            passwords = {user: known[_name_airflow(user)] for user in AIRFLOW_ROLES}
            write_private(self._passwords_file, json.dumps(passwords))
        return known

    def read_airflow_password(self, user: str) -> str:
        """Return the password of one of `AIRFLOW_ROLES`."""
        return self.read()[_name_airflow(user)]

    def read_mlflow_password(self, user: str) -> str:
        """Return the password of one of `MLFLOW_USERS`."""
        return self.read()[f"mlflow_{user}"]

    def configure_airflow(self) -> dict[str, str]:
        """Return the settings of Airflow that its users and keys need, without ``AIRFLOW__``."""
        known = self.read()
        return {
            "CORE__FERNET_KEY": known["fernet_key"],
            "CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(map(":".join, AIRFLOW_ROLES.items())),
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords_file),
            "API__SECRET_KEY": known["secret_key"],
            "API_AUTH__JWT_SECRET": known["jwt_secret"],
        }

    def log_tasks_in(self) -> dict[str, str]:
        """Return the variables with which a task logs in to Airflow and to MLflow."""
        return {
            "AIRFLOW_API_USERNAME": TASKS,
            "AIRFLOW_API_PASSWORD": self.read_airflow_password(TASKS),
            "MLFLOW_TRACKING_USERNAME": TASKS,
            "MLFLOW_TRACKING_PASSWORD": self.read_mlflow_password(TASKS),
        }

    def configure_mlflow(self) -> dict[str, str]:
        """Return the variables that MLflow's server needs for its log-in."""
        config = self._folder / "mlflow_auth.ini"
        database = self._folder.absolute() / "mlflow_accounts.db"
        if not self._made_marker.exists():
            database.unlink(missing_ok=True)  # a start that was stopped may have made some of them
        write_private(config, AUTH_CONFIG.format(database=database))
        return {
            "MLFLOW_AUTH_CONFIG_PATH": str(config),
            "MLFLOW_AUTH_ADMIN_USERNAME": "admin",
            "MLFLOW_AUTH_ADMIN_PASSWORD": self.read_mlflow_password("admin"),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": self.read()["mlflow_secret_key"],
        }

    def open_mlflow(self, url: str) -> None:
        """Make the users of an MLflow server, unless they were made before.

        Raises:
            AccountError: the server refuses it.
        """
        if self._made_marker.exists():
            return
        for user in MLFLOW_USERS[1:]:
            password = self.read_mlflow_password(user)
            self._ask(url, "POST", "users/create", {"username": user, "password": password})
        # To all others MLflow says "forbidden" of a model or a run that is not there, and a night
        # asks for some that may not be there.
        self._ask(url, "PATCH", "users/update-admin", {"username": TASKS, "is_admin": True})
        write_private(self._made_marker, "")

    def write_login(self, variables: Mapping[str, str]) -> None:
        """Write variables into a file that a shell reads, for the commands of this project."""
        lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
        write_private(self.login_file, "".join(lines))

    @property
    def login_file(self) -> Path:
        """The file that `write_login` writes."""
        return self._folder / "login.sh"

    @property
    def _passwords_file(self) -> Path:
        """The file that Airflow reads the passwords of its users from."""
        return self._folder / "passwords.json"

    @property
    def _made_marker(self) -> Path:
        """A file that says that MLflow's users are all there. Without it they are made anew."""
        return self._folder / "mlflow_accounts.made"

    def _ask(self, url: str, method: str, path: str, body: Mapping[str, Any]) -> None:
        answer = requests.request(
            method,
            f"{url}/api/2.0/mlflow/{path}",
            json=dict(body),
            auth=("admin", self.read_mlflow_password("admin")),
            timeout=TIMEOUT_S,
        )
        if not answer.ok:
            raise AccountError(
                f"MLflow at {url} refuses {path} to its account 'admin': {answer.status_code} "
                f"{answer.text[:200]}. Start the stack again."
            )


def make_private_folder(folder: Path) -> None:
    """Make a folder that only its owner can enter, or close it to others."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def write_private(path: Path, content: str) -> None:
    """Write a file that only its owner can read, also if it was there with another mode."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.truncate()
        file.write(content)


def _make_secrets() -> dict[str, str]:
    return {
        **{_name_airflow(user): secrets.token_urlsafe(12) for user in AIRFLOW_ROLES},
        **{f"mlflow_{user}": secrets.token_urlsafe(12) for user in MLFLOW_USERS},
        "fernet_key": urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "secret_key": secrets.token_urlsafe(32),
        "jwt_secret": secrets.token_urlsafe(64),
        "mlflow_secret_key": secrets.token_urlsafe(32),
    }


def _name_airflow(user: str) -> str:
    """Return the name of a password; that of `admin` is the name of an earlier release."""
    return "admin_password" if user == "admin" else f"airflow_{user}"
