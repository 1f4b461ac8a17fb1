"""Cause and remedy in the 90 characters that a list shows of a note."""

from __future__ import annotations

import pytest

from image_classification import errors
from image_classification.orchestration.notices import headline
from image_classification.orchestration.notices.headline import (
    LONGEST_HEADLINE,
    REMEDIES,
    find_remedy,
    head_failure,
)


def test_an_error_of_ours_tells_its_cause_and_then_what_to_do() -> None:
    said = "check_contract: ContractError: class 'Parasitized' has 2 images"
    expected = "failed: class 'Parasitized' has 2 images. To do: mend the data, clear the task."
    assert head_failure(said) == expected
    assert head_failure(f"{said}.") == expected


def test_another_error_tells_its_name_too() -> None:
    assert head_failure("score_champion: KeyError: 'network'") == (
        "failed: KeyError: 'network'. To do: read the log, clear the task."
    )
    assert head_failure("close_run: killed by SIGKILL") == (
        "failed: killed by SIGKILL. To do: read the log, clear the task."
    )


@pytest.mark.parametrize("kind", [*REMEDIES, "SomethingElse"])
def test_however_long_the_cause_is_the_remedy_stands_within_ninety_characters(kind: str) -> None:
    said = head_failure(f"plot_confident_mistakes: {kind}: a very\n\nlong {'cause ' * 40}")
    assert len(said) <= LONGEST_HEADLINE
    assert said.endswith(f"…. To do: {find_remedy(kind, '')}.")
    assert len(said.partition(". To do")[0]) >= 45, "the cause has half of the line"


def test_a_cause_that_is_cut_where_a_sentence_ends_has_one_mark_at_its_end() -> None:
    said = (
        "describe_batch: ConfigurationError: There is no batch 'no-such-batch' to review. Known: b"
    )
    assert head_failure(said).startswith(
        "failed: There is no batch 'no-such-batch' to review…. To do"
    )


def test_a_full_disk_is_known_by_what_is_said_of_it() -> None:
    said = "pack_images: OSError: [Errno 28] No space left on device"
    assert head_failure(said).endswith(" To do: make room, clear the task.")


def test_each_error_of_ours_has_a_remedy_of_its_own() -> None:
    ours = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.ImageClassificationError)
    }
    assert ours - {"ImageClassificationError"} <= set(headline.REMEDIES)
