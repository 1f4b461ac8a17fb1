"""The page of a night: what must be on it, what must not, and that no night fails for it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import pytest
from judgement import make_decision, make_entry
from night_pages import (
    CHALLENGER,
    RUN,
    Kept,
    make_catalog,
    make_index,
    make_screening,
    promote,
    read_page,
)

from image_classification import tracking
from image_classification.champion import registry
from image_classification.configuration import names
from image_classification.errors import DataError
from image_classification.gate import verdict
from image_classification.pages import night
from image_classification.pages.night import write_history, write_night
from image_classification.pages.render import LARGEST_PAGE_BYTES

EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"


@pytest.fixture(autouse=True)
def logged(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What was logged to MLflow, by run; no server is asked."""
    pages: dict[str, str] = {}
    monkeypatch.setattr(tracking, "log_page", pages.__setitem__)
    monkeypatch.setattr(tracking, "locate_run", lambda run_id, _=None: f"http://mlflow/{run_id}")
    monkeypatch.setattr(registry, "locate_version", lambda name, of: f"http://mlflow/{name}/{of}")
    monkeypatch.setattr(night, "read_git_commit", lambda: "c0ffee")
    return pages


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The ledger: the night has promoted version 4."""
    found = [make_entry(verdict.PROMOTED, "3", None, "3", mlflow_run_id="r0"), promote()]
    monkeypatch.setattr(night, "read_entries", lambda *_: found)
    return found


def write(catalog: dict[str, Any], outcome: str = "promoted v4: better", **made: Any) -> str:
    write_night(catalog, RUN, outcome, **made)
    page: str = catalog[names.PAGES].value["r1.html"]
    return page


@pytest.mark.usefixtures("entries")
def test_says_what_is_in_use_since_when_why_and_what_it_gets_wrong() -> None:
    _, text = read_page(write(make_catalog()))
    assert "Version 4 is now in use" in text
    assert "Since 22 November 2026" in text
    assert "It won the comparison." in text
    assert "Of 20 cells of 2 patients it never saw, it reads 2 wrong (10.0 %)." in text
    assert "Most mistakes" not in text  # one of each patient


@pytest.mark.usefixtures("entries")
def test_shows_every_part_of_the_evidence() -> None:
    tags, text = read_page(write(make_catalog()))
    for part in (
        *("5 files in 1 batch", "3 accepted", "1 refused", "1 duplicates"),
        *("Challenger against champion", "Repaired: 3", "Broken: 1"),
        *("Accuracy by epoch", "Calibration", "Thresholds", "Class by class: challenger"),
        *("Champion v3 holds its level.", "Looking back: 2 right."),
        *("Is the comparison a fair one?", "worst patient", "seconds to load"),
        *("60 cells of 6 patients", "training.epochs", "c0ffee", "tensorflow"),
    ):
        assert part in text, part
    links = {attributes.get("href") for tag, attributes in tags if tag == "a"}
    assert links >= {
        *("index.html", "http://mlflow/r1", "http://airflow/dags/retraining/runs/one"),
        *("http://mlflow/cells/4",),
    }


@pytest.mark.parametrize(
    ("airflow_url", "address"),
    [
        (RUN.airflow_url, "http://airflow/nights/index.html"),
        (
            "http://airflow/dags/leaves-production-retraining/runs/one",
            "http://airflow/nights/leaves-production/index.html",
        ),
        ("", "/pages/index.html"),
    ],
)
@pytest.mark.usefixtures("entries")
def test_the_copy_in_mlflow_tells_where_all_nights_are(
    logged: dict[str, str], airflow_url: str, address: str
) -> None:
    catalog = make_catalog()
    write_night(catalog, replace(RUN, airflow_url=airflow_url), "promoted v4: better")
    tags, text = read_page(logged["r1"])
    shown = [attributes.get("href") for tag, attributes in tags if tag == "a"]
    assert "index.html" not in shown  # which does not lie beside it
    assert shown.count(address) == 2 if airflow_url else f"All nights: {address}" in text
    assert '<body class="framed">' in logged["r1"]  # where addresses can be read and copied
    beside, _ = read_page(catalog[names.PAGES].value["r1.html"])
    assert [a.get("href") for tag, a in beside if tag == "a"].count("index.html") == 2


@pytest.mark.usefixtures("entries")
def test_every_image_has_a_text_and_lies_in_the_page() -> None:
    tags, _ = read_page(write(make_catalog()))
    images = [attributes for tag, attributes in tags if tag == "img"]
    assert len(images) == 4
    for image in images:
        assert str(image["src"]).startswith("data:image/jpeg;base64,")
        assert "labelled" in str(image["alt"])
    assert all(attributes.get("aria-label") for tag, attributes in tags if tag == "svg")


@pytest.mark.usefixtures("entries")
def test_asks_no_address_and_runs_no_script() -> None:
    tags, _ = read_page(write(make_catalog()))
    kinds = {tag for tag, _ in tags}
    assert kinds.isdisjoint({"script", "link", "iframe", "object", "embed", "base", "form"})
    for tag, attributes in tags:
        assert tag == "a" or not {"src", "href"} & {
            name for name, value in attributes.items() if not str(value).startswith("data:")
        }
    (policy,) = [a["content"] for t, a in tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert "default-src 'none'" in str(policy)


@pytest.mark.usefixtures("entries")
def test_escapes_every_name_that_was_delivered() -> None:
    table = CHALLENGER.assign(patient=EVIL, image_name=EVIL)
    changes = {
        names.INTAKE_REPORT: {
            "judged": {EVIL: make_screening(2, reasons=[EVIL], notes=[EVIL], verdict=EVIL)}
        },
        names.IMAGE_INDEX: make_index(EVIL, ["accepted"]),
        names.CHALLENGER_PREDICTIONS: table,
        names.CHAMPION_PREDICTIONS: table.assign(model_version="3"),
        names.CHAMPION_WATCH: {"sentence": EVIL},
    }
    catalog = make_catalog(**changes)
    comparison = catalog[names.COMPARISON].value
    comparison["slices"] = [{**row, "patient": EVIL} for row in comparison["slices"]]
    comparison["champion_fault"] = EVIL
    page = write(catalog)
    tags, text = read_page(page)
    assert EVIL in text
    assert "script" not in {tag for tag, _ in tags}
    assert not any(name.startswith("on") for _, attributes in tags for name in attributes)
    assert "<img src=x" not in page


@pytest.mark.usefixtures("entries")
def test_stays_below_its_size_with_many_images_and_patients(
    monkeypatch: pytest.MonkeyPatch, logged: dict[str, str]
) -> None:
    write(make_catalog())
    assert len(logged["r1"].encode()) < LARGEST_PAGE_BYTES
    monkeypatch.setattr(night, "LARGEST_PAGE_BYTES", len(logged["r1"]) - 1)
    assert "data:image/jpeg" not in write(make_catalog())


@pytest.mark.usefixtures("entries")
def test_a_part_that_cannot_be_read_is_named_and_the_rest_is_shown() -> None:
    catalog = make_catalog(**{names.COMPARISON: "no comparison", names.PACKED_PIXELS: "none"})
    _, text = read_page(write(catalog))
    assert "The comparison could not be shown: TypeError" in text
    assert "Without pictures: " in text
    assert "Is it better?" in text


@pytest.mark.usefixtures("entries")
def test_no_night_fails_for_its_page(caplog: pytest.LogCaptureFixture) -> None:
    catalog = make_catalog()
    del catalog["parameters"]
    with caplog.at_level(logging.WARNING):
        write_night(catalog, RUN, "promoted v4")
        write_history(catalog)
    assert "The page of this night could not be made: 'parameters'" in caplog.text
    assert "The page of all nights could not be made" in caplog.text


@pytest.mark.usefixtures("entries")
def test_is_written_again_with_the_time_of_the_first_writing(logged: dict[str, str]) -> None:
    catalog = make_catalog()
    catalog[names.NIGHT_RECORDS].save({"r1": {"at": "2026-11-22T02:00:00+00:00"}})
    _, text = read_page(write(catalog))
    assert "the night of 22 November 2026, 02:00 UTC" in text
    assert catalog[names.NIGHT_RECORDS].value["r1"]["at"] == "2026-11-22T02:00:00+00:00"
    assert set(logged) == {"r1"}
    assert set(catalog[names.PAGES].value) == {"r1.html", "index.html"}


@pytest.mark.usefixtures("entries")
def test_what_is_damaged_costs_a_line_of_the_page_of_all_nights(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Damaged(dict[str, Any]):
        def __getitem__(self, name: str) -> Any:
            if name == "r0":
                raise DataError("r0.json is cut")
            return super().__getitem__(name)

    catalog = make_catalog()
    catalog[names.NIGHT_RECORDS].value = Damaged(r0={}, r1=["no record"])
    catalog[names.CHAMPION_TREND].value = "no trend"
    assert "Version 4 is now in use" in write(catalog)
    assert "r0.json is cut" in caplog.text
    _, text = read_page(catalog[names.PAGES].value["index.html"])
    assert "is damaged: it cannot be read." in text
    assert "image-classification check tells why" in text


@pytest.mark.usefixtures("entries")
def test_shows_nothing_that_another_run_has_left_in_a_shared_folder() -> None:
    _, text = read_page(write(make_catalog(), made={names.CHAMPION_WATCH}))
    assert "What arrived" not in text
    made = {names.INTAKE_REPORT, names.CHAMPION_WATCH}
    page = write(make_catalog(), "skipped: no image is new", made=made)
    _, text = read_page(page)
    assert "5 files in 1 batch" in text
    assert "Repaired" not in text
    assert "Accuracy by epoch" not in text
    assert "60 cells of 6 patients" not in text


def test_a_night_without_a_decision_says_what_the_version_got_wrong_when_it_was_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(night, "read_entries", lambda *_: [promote(mlflow_run_id="r0")])
    _, text = read_page(write(make_catalog(), "skipped: no image is new", made=()))
    assert "Version 4 stays in use: nothing was trained No image is new." in text
    assert "Of 400 cells of 12 patients it never saw, it read 20 wrong (5.0 %)" in text


def test_before_a_person_has_answered_the_page_shows_the_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(night, "read_entries", lambda *_: [])
    _, text = read_page(write(make_catalog(), ""))
    assert "Version 4 is better, and waits for an answer" in text
    assert "Is it better?" in text


def test_the_first_night_shows_the_mistakes_of_the_only_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decision = make_decision(theirs=None)
    first = make_entry(verdict.PROMOTED, "4", None, "4", decision=decision)
    monkeypatch.setattr(night, "read_entries", lambda *_: [first])
    catalog = make_catalog(**{names.CHAMPION_PREDICTIONS: CHALLENGER.head(0)})
    catalog[names.COMPARISON] = Kept(
        catalog[names.COMPARISON].value | {"champion": None, "tests": None, "slices": []}
    )
    _, text = read_page(write(catalog))
    assert "There is no champion to compare version 4 with" in text
    assert "Read wrong: 2" in text
    assert "Repaired" not in text
