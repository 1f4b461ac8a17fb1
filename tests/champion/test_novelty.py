"""Is there something to train on? The same answer for a task and for a `kedro run`."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from image_classification.champion import registry
from image_classification.champion.novelty import check_new_images
from image_classification.errors import RegistryError

OLD = {registry.DIGEST_TAG: "last week", registry.DECISION_TAG: "promoted"}
SUMMARY = {"data_digest": "tonight", "images": 800, "patients": 40}


def tabulate(*ids: str, label: str = "ring") -> pd.DataFrame:
    return pd.DataFrame({"image_id": ids, "label": label})


def ask(
    monkeypatch: pytest.MonkeyPatch,
    tags: dict[str, str] | None,
    judges: bool,
    *,
    tonight: pd.DataFrame | None = None,
    known: pd.DataFrame | None = None,
    minimum: int = 1,
    force: bool = False,
    waiting: str = "",
    always: bool = False,
) -> tuple[bool, str]:
    latest = None if tags is None else SimpleNamespace(version="7", tags=tags)
    monkeypatch.setattr(registry, "find_latest_version", lambda _: latest)
    kept = {("cells", "7"): known}
    monkeypatch.setattr(registry, "read_images", lambda *version: kept[version])
    training = {"min_new_images": minimum, "force": force}
    images = tabulate() if tonight is None else tonight
    summary = {**SUMMARY, "waiting": waiting} if waiting else SUMMARY
    return check_new_images("cells", images, summary, training, judges=judges, always=always)


def test_trains_when_no_model_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    train, reason = ask(monkeypatch, None, judges=True)
    assert train
    assert reason == "No model is registered yet: training on 800 images of 40 patients."


def test_trains_on_other_images_than_the_newest_version_saw(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, reason = ask(
        monkeypatch, OLD, True, tonight=tabulate("a", "b", "c"), known=tabulate("a")
    )
    assert train
    assert reason == "2 new images since version 7: training on 800 images of 40 patients."


@pytest.mark.parametrize(("minimum", "trains"), [(2, True), (3, False)])
def test_waits_for_as_many_new_images_as_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, minimum: int, trains: bool
) -> None:
    train, reason = ask(
        monkeypatch,
        OLD,
        True,
        tonight=tabulate("a", "b", "c"),
        known=tabulate("a"),
        minimum=minimum,
    )
    assert train is trains
    if not trains:
        assert reason == ("2 new images since version 7: waiting for 3 (training.min_new_images).")


def test_images_that_are_gone_or_labelled_anew_count_as_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = pd.concat([tabulate("a", "b"), tabulate("c", label="healthy")])
    train, reason = ask(monkeypatch, OLD, True, tonight=tabulate("a", "c"), known=known, minimum=3)
    assert train
    assert reason.startswith(
        "1 new images since version 7, 2 gone, 1 of both the same with another label: training on"
    )


def test_skips_when_the_newest_version_saw_these_images_and_was_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tags = {registry.DIGEST_TAG: "tonight", registry.DECISION_TAG: "kept champion"}
    train, reason = ask(monkeypatch, tags, judges=True)
    assert not train
    assert "version 7 was trained on these 800 images" in reason


@pytest.mark.parametrize("name", [registry.DIGEST_TAG, registry.OLD_DIGEST_TAG])
def test_the_digest_of_an_earlier_release_is_known(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    tags = {name: "tonight", registry.DECISION_TAG: "kept champion"}
    assert not ask(monkeypatch, tags, judges=True)[0]


def test_trains_again_when_the_night_of_the_newest_version_failed_before_it_was_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tags = {registry.DIGEST_TAG: "tonight", registry.DECISION_TAG: registry.NOT_JUDGED}
    train, reason = ask(monkeypatch, tags, judges=True)
    assert (train, reason) == ask(monkeypatch, {registry.DIGEST_TAG: "tonight"}, judges=True)
    assert train
    assert reason == (
        "No new images, but version 7 was never judged: training on these 800 images of 40 "
        "patients again."
    )


def test_skips_an_unjudged_version_where_nothing_judges(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ask(monkeypatch, {registry.DIGEST_TAG: "tonight"}, judges=False)[0]


def test_training_that_is_asked_for_is_not_held_back(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {registry.DIGEST_TAG: "tonight", registry.DECISION_TAG: "kept champion"}
    train, reason = ask(monkeypatch, tags, judges=True, force=True)
    assert train
    assert reason == (
        "No new images: version 7 was trained on these 800 images of 40 patients. Training anyway, "
        "as asked (force)."
    )
    # Where there is something new, nobody had to ask.
    assert "asked" not in ask(monkeypatch, None, judges=True, force=True)[1]


@pytest.mark.parametrize("more", [{}, {"force": True}, {"always": True}])
@pytest.mark.parametrize("tags", [None, OLD])
def test_a_set_that_is_too_small_waits_whatever_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tags: dict[str, str] | None, more: dict[str, bool]
) -> None:
    said = ask(monkeypatch, tags, judges=True, waiting="Waiting for more: one.", **more)
    assert said == (False, "Waiting for more: one.")


def test_a_run_that_is_only_to_train_asks_for_nothing_new(monkeypatch: pytest.MonkeyPatch) -> None:
    tags = {registry.DIGEST_TAG: "tonight", registry.DECISION_TAG: "kept champion"}
    said = ask(monkeypatch, tags, judges=False, always=True)
    assert said == (True, "Training on 800 images of 40 patients.")


def test_a_version_that_somebody_registered_by_hand_does_not_stop_a_night(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = SimpleNamespace(version="7", tags=OLD)
    stranger = SimpleNamespace(version="9", tags={})
    monkeypatch.setattr(
        registry, "find_latest_version", lambda _, own=False: ours if own else stranger
    )
    monkeypatch.setattr(registry, "read_images", lambda *_: tabulate("a"))
    training = {"min_new_images": 1, "force": False}
    found = check_new_images("cells", tabulate("a", "b"), SUMMARY, training, judges=True)
    assert found == (True, "1 new images since version 7: training on 800 images of 40 patients.")


def test_a_newest_version_whose_run_was_deleted_does_not_stop_a_night(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: str) -> None:
        raise RegistryError("Version 7 of 'cells' keeps no table of its images.")

    monkeypatch.setattr(
        registry, "find_latest_version", lambda _: SimpleNamespace(version="7", tags=OLD)
    )
    monkeypatch.setattr(registry, "read_images", fail)
    training = {"min_new_images": 1, "force": False}
    train, reason = check_new_images("cells", tabulate("a"), SUMMARY, training, judges=True)
    assert train
    assert reason.startswith("Version 7 of 'cells' keeps no table of its images. So nothing tells")
