"""The accounts of a stack: made once, kept private, and never more than they need."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from image_classification.local import accounts as module
from image_classification.local.accounts import AIRFLOW_ROLES, AccountError, Accounts
from image_classification.local.services import Stack


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path / "stack")


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_passwords_are_made_once_and_differ(accounts: Accounts) -> None:
    known = accounts.read()
    assert Accounts(accounts.file.parent).read() == known
    assert len(set(known.values())) == len(known)
    assert all(len(secret) >= 16 for secret in known.values())


def test_a_stack_of_an_earlier_release_keeps_its_secrets_and_gets_the_others(
    accounts: Accounts,
) -> None:
    folder = accounts.file.parent
    folder.mkdir()
    old = {"admin_password": "old", "fernet_key": "f", "secret_key": "s", "jwt_secret": "j"}
    accounts.file.write_text(json.dumps(old))
    (folder / "passwords.json").write_text('{"admin": "old"}')
    known = accounts.read()
    assert {name: known[name] for name in old} == old
    passwords = json.loads((folder / "passwords.json").read_text())
    assert passwords["admin"] == "old"
    assert set(passwords) == set(AIRFLOW_ROLES)


def test_whatever_holds_a_secret_is_for_the_owner_alone(accounts: Accounts) -> None:
    folder = accounts.file.parent
    folder.mkdir(mode=0o755)
    for name in ("secrets.json", "login.sh"):
        (folder / name).write_text("{}")
        (folder / name).chmod(0o644)
    accounts.configure_airflow()
    accounts.configure_mlflow()
    accounts.write_login({"A": "b"})
    assert mode_of(folder) == 0o700
    assert {mode_of(path) for path in folder.iterdir()} == {0o600}


def test_airflow_gets_each_role_and_a_password_for_each_user(accounts: Accounts) -> None:
    settings = accounts.configure_airflow()
    users = settings["CORE__SIMPLE_AUTH_MANAGER_USERS"]
    assert users == "admin:admin,op:op,user:user,viewer:viewer,tasks:user"
    passwords = json.loads(Path(settings["CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"]).read_text())
    # Airflow writes those that it has to make into its log.
    assert set(passwords) == set(AIRFLOW_ROLES)


def test_tasks_have_accounts_of_their_own(accounts: Accounts) -> None:
    login = accounts.log_tasks_in()
    assert login["AIRFLOW_API_USERNAME"] == login["MLFLOW_TRACKING_USERNAME"] == "tasks"
    assert accounts.read_airflow_password("admin") not in login.values()
    assert accounts.read_mlflow_password("admin") not in login.values()


def test_accounts_of_mlflow_that_were_half_made_are_made_anew(accounts: Accounts) -> None:
    accounts.read()
    database = accounts.file.parent / "mlflow_accounts.db"
    database.write_text("half")
    accounts.configure_mlflow()
    assert not database.exists()


def test_accounts_of_mlflow_are_made_once_and_kept(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, Any]] = []

    def request(method: str, url: str, json: Any, auth: Any, timeout: int) -> Any:
        assert auth == ("admin", accounts.read_mlflow_password("admin"))
        asked.append((method, url.partition("2.0/mlflow/")[2], json))
        return SimpleNamespace(ok=True)

    monkeypatch.setattr(module.requests, "request", request)
    for _ in range(2):
        accounts.open_mlflow("http://mlflow")
    made = [(path, body["username"]) for _, path, body in asked]
    assert made == [
        ("users/create", "viewer"),
        ("users/create", "tasks"),
        ("users/update-admin", "tasks"),
    ]
    database = accounts.file.parent / "mlflow_accounts.db"
    database.write_text("with accounts of others")
    accounts.configure_mlflow()
    assert database.exists()


def test_a_server_that_refuses_is_named_with_what_it_said(
    accounts: Accounts, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = SimpleNamespace(ok=False, status_code=401, text="no")
    monkeypatch.setattr(module.requests, "request", lambda *_, **__: refusal)
    with pytest.raises(AccountError, match=r"http://mlflow refuses users/create .*401 no"):
        accounts.open_mlflow("http://mlflow")


def test_a_shell_reads_the_login_as_it_is(accounts: Accounts) -> None:
    accounts.read()
    accounts.write_login({"NAME": "it's $HOME; `id`"})
    shell = f'. "{accounts.login_file}"; printf %s "$NAME"'
    said = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True)
    assert said.stdout == "it's $HOME; `id`"


def test_the_server_of_mlflow_learns_no_key_of_airflow_and_no_login_of_the_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, str] = {}
    commands: list[list[str]] = []

    def spawn(_: Stack, name: str, command: list[str], environment: dict[str, str]) -> None:
        commands.append(command)
        given.update(environment)

    monkeypatch.setattr(Stack, "_spawn", spawn)
    stack = Stack("main", tmp_path, 5000, 8080)
    stack._start_mlflow()
    known = stack.accounts.read()
    told = {name for name, secret in known.items() if secret in given.values()}
    assert told == {"mlflow_admin", "mlflow_secret_key"}
    assert not [name for name in given if name.startswith(("AIRFLOW", "MLFLOW_TRACKING_"))]
    assert not [secret for secret in known.values() if secret in str(commands)]
    # The tasks know no more than their own passwords, and the keys that Airflow hands them.
    told = {name for name, secret in known.items() if secret in stack.environment().values()}
    assert told == {
        *("airflow_tasks", "mlflow_tasks"),
        *("fernet_key", "secret_key", "jwt_secret"),
    }


def test_a_stack_that_was_stopped_leaves_a_login_without_an_address(tmp_path: Path) -> None:
    stack = Stack("demo", tmp_path, 5000, 8080)
    stack.accounts.write_login(stack._command_environment())
    assert "MLFLOW_TRACKING_URI=http://127.0.0.1:5000" in stack.accounts.login_file.read_text()
    stack.stop()
    assert stack.accounts.login_file.read_text() == (
        f"export IMAGE_CLASSIFICATION_STORAGE={tmp_path}/.local/demo/storage\n"
    )
