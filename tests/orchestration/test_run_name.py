"""The names of DAG runs."""

from __future__ import annotations

import pytest

from image_classification.orchestration.run_name import name_folder, name_run


def test_a_run_is_named_below_its_dag() -> None:
    assert name_run("retraining", "one") == "retraining/one"


@pytest.mark.parametrize(
    ("dag_run_id", "folder"),
    [
        ("manual__2026-01-02T03:04:05+00:00", "manual__2026-01-02T03-04-05-00-00"),
        ("manual__2026-01-02T03:04:05.6+00:00_aB3", "manual__2026-01-02T03-04-05.6-00-00_aB3"),
        ("review__first", "review__first"),
    ],
)
def test_a_run_that_airflow_names_or_a_plain_name_is_its_folder(
    dag_run_id: str, folder: str
) -> None:
    assert name_folder(dag_run_id) == folder


def test_runs_whose_ids_differ_in_a_sign_are_different_runs() -> None:
    ids = ["a:b", "a+b", "a~b", "a-b", "a b", "a/b", "ä-b", "..", ".", "..."]
    ids += ["manual__2026-01-02T03:04:05+00:00", "manual__2026-01-02T03-04-05-00-00"]
    ids += ["manual__2026-01-02T03-04-05+00:00", "a-b~1234", "a-b-1234"]
    folders = {name_folder(each) for each in ids}
    assert len(folders) == len(ids)
    assert not folders & {".", "..", "..."}
    assert not any("/" in folder for folder in folders)
