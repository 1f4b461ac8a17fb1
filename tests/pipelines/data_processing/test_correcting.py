"""Labels are corrected by a person or a trusted depositor, and never by accident."""

from __future__ import annotations

import os
from typing import Any

import pandas as pd
import pytest
from laboratory import Laboratory
from samples import CELLS, NEGATIVE, POSITIVE, draw_image, name_cell

from image_classification.intake.index import digest_images, select_accepted

PATH = f"{POSITIVE}/{name_cell(0)}"
OTHER = f"{NEGATIVE}/{name_cell(0)}"
SAID = {"at": "2026-11-27T10:00:00.000001+00:00", "by": "Ada", "reason": "seen anew"}


def row_of(laboratory: Laboratory, path: str = PATH) -> dict[str, Any]:
    """Return what the index says of a content of `CELLS`."""
    import hashlib

    index = laboratory.index()
    (row,) = index[index["image_id"] == hashlib.sha256(CELLS[path]).hexdigest()].to_dict("records")
    return row


def label_of(laboratory: Laboratory, path: str = PATH) -> tuple[str, str]:
    """Return label and status of a content of `CELLS`."""
    row = row_of(laboratory, path)
    return row["label"], row["status"]


def read_records(laboratory: Laboratory) -> list[dict[str, Any]]:
    """Return the corrections, the last one last."""
    records = laboratory.catalog().load("label_corrections").values()
    return sorted(records, key=lambda record: record["at"])


def relabel(laboratory: Laboratory, *changes: tuple[str, str], **said: str) -> None:
    """Record that files of the index have another label, as the command does."""
    index = laboratory.log().drop_duplicates("path", keep="last").set_index("path")
    labels = [
        {
            "image_id": index.loc[path, "image_id"],
            "path": path,
            "before": index.loc[path, "label"],
            "after": label,
        }
        for path, label in changes
    ]
    record = {**SAID, "how": "relabel", "batch": "", **said, "labels": labels}
    laboratory.catalog().save("label_corrections", {f"{record['at']}-relabel": record})


def deliver_other_label(laboratory: Laboratory, batch: str = "other") -> None:
    laboratory.deliver(batch, {OTHER: CELLS[PATH]})
    laboratory.take_in()


class TestProposals:
    def test_a_known_image_under_another_label_keeps_its_own(self, filled: Laboratory) -> None:
        before = row_of(filled)
        deliver_other_label(filled)
        assert row_of(filled) == before
        assert filled.statuses() == {"accepted": 40}
        assert read_records(filled) == []
        (reason,) = filled.quarantine()["reason"]
        assert f"first/{PATH} ({POSITIVE}), other/{OTHER} ({NEGATIVE})" in reason
        assert reason.endswith(f"It keeps the label {POSITIVE}")

    def test_the_log_warns_of_it_with_what_to_do(
        self, filled: Laboratory, caplog: pytest.LogCaptureFixture
    ) -> None:
        deliver_other_label(filled)
        assert "another label for 1 images that are known" in caplog.text
        assert "image-classification review other --labels" in caplog.text

    def test_the_other_images_of_the_batch_join(self, filled: Laboratory) -> None:
        filled.deliver("other", {OTHER: CELLS[PATH], f"{NEGATIVE}/new.png": draw_image(900)})
        filled.take_in()
        assert filled.statuses() == {"accepted": 41}
        assert label_of(filled) == (POSITIVE, "accepted")

    def test_the_next_nights_add_nothing(self, filled: Laboratory) -> None:
        deliver_other_label(filled)
        before = filled.snapshot()
        filled.take_in()
        assert filled.snapshot() == before

    def test_a_batch_that_is_accepted_by_a_person_proposes_too(self, held: Laboratory) -> None:
        held.deliver("other", {f"{NEGATIVE}/{name_cell(500)}": draw_image(900)})
        held.take_in()
        blank = held.index().query("batch == 'blank'").iloc[0]
        content = (held.storage / "images" / blank["path"]).read_bytes()
        held.deliver("same", {f"{NEGATIVE}/same.png": content})
        held.review("same", "accept")
        held.take_in()
        assert held.index().loc["same/" + f"{NEGATIVE}/same.png", "label"] == NEGATIVE
        held.review("blank", "accept")
        held.take_in()
        assert (held.index()["image_id"] == blank["image_id"]).sum() == 1
        assert held.index().loc["same/" + f"{NEGATIVE}/same.png", "status"] == "accepted"

    def test_a_new_image_under_two_labels_of_one_batch_is_trained_on_under_neither(
        self, filled: Laboratory
    ) -> None:
        same = {f"{label}/{name_cell(900)}": draw_image(900) for label in (POSITIVE, NEGATIVE)}
        filled.deliver("pair", same)
        filled.take_in()
        assert filled.statuses() == {"accepted": 40, "conflict": 1}
        assert filled.index().query("status == 'conflict'")["label"].tolist() == [""]
        before = filled.snapshot()
        filled.take_in()
        assert filled.snapshot() == before

    def test_a_known_image_under_two_labels_of_one_batch_stays_as_it_was(
        self, filled: Laboratory
    ) -> None:
        filled.deliver("pair", {PATH: CELLS[PATH], OTHER: CELLS[PATH]})
        filled.take_in()
        assert filled.statuses() == {"accepted": 40}
        assert label_of(filled) == (POSITIVE, "accepted")

    def test_a_rejected_batch_leaves_the_label_to_the_one_that_is_left(
        self, filled: Laboratory
    ) -> None:
        deliver_other_label(filled)
        filled.review("first", "reject")
        filled.take_in()
        assert label_of(filled) == (NEGATIVE, "accepted")


class TestStatements:
    def test_the_next_intake_carries_a_correction_out(self, filled: Laboratory) -> None:
        before = row_of(filled)
        relabel(filled, (f"first/{PATH}", NEGATIVE))
        assert label_of(filled) == (POSITIVE, "accepted")

        filled.take_in()

        said = {"label": NEGATIVE, "labelled_by": "Ada", "labelled_on": "2026-11-27"}
        assert row_of(filled) == {**before, **said}
        (stated,) = filled.log().query("status == 'stated'").to_dict("records")
        assert stated["reviewed_by"] == "Ada"
        assert stated["review_reason"] == "seen anew"
        assert stated["reviewed_at"] == SAID["at"]
        assert filled.catalog().load("intake_counts")["corrected"] == 1

    def test_it_is_carried_out_once(self, filled: Laboratory) -> None:
        relabel(filled, (f"first/{PATH}", NEGATIVE))
        filled.take_in()
        before = filled.snapshot()
        filled.take_in()
        assert filled.snapshot() == before

    def test_the_digest_of_the_images_changes_by_it_and_nothing_else_does(
        self, filled: Laboratory
    ) -> None:
        before = select_accepted(filled.log())
        relabel(filled, (f"first/{PATH}", NEGATIVE))
        filled.take_in()
        after = select_accepted(filled.log())
        assert digest_images(before) != digest_images(after)
        columns = ["label", "labelled_by", "labelled_on"]
        pd.testing.assert_frame_equal(before.drop(columns=columns), after.drop(columns=columns))

    def test_a_conflict_of_an_older_release_is_brought_back(self, filled: Laboratory) -> None:
        deliver_other_label(filled)
        # As an older release has written the rows of the second batch.
        (file,) = (
            path
            for path in (filled.storage / "index" / "images").glob("*.parquet")
            if "proposed" in set(pd.read_parquet(path)["status"])
        )
        pd.read_parquet(file).replace({"status": {"proposed": "accepted"}}).to_parquet(file)
        filled.take_in()
        assert label_of(filled) == ("", "conflict")

        relabel(filled, (f"first/{PATH}", NEGATIVE))
        filled.take_in()
        assert label_of(filled) == (NEGATIVE, "accepted")

    def test_two_labels_of_one_batch_are_settled_by_it(self, filled: Laboratory) -> None:
        same = {f"{label}/{name_cell(900)}": draw_image(900) for label in (POSITIVE, NEGATIVE)}
        filled.deliver("pair", same)
        filled.take_in()
        relabel(filled, (f"pair/{NEGATIVE}/{name_cell(900)}", NEGATIVE))
        filled.take_in()
        assert filled.statuses() == {"accepted": 41}

    def test_the_last_of_several_holds_whatever_the_order_of_their_files(
        self, filled: Laboratory
    ) -> None:
        deliver_other_label(filled)
        later = "2026-11-27T11:00:00.000001+00:00"
        relabel(filled, (f"first/{PATH}", POSITIVE), at=later)
        relabel(filled, (f"other/{OTHER}", NEGATIVE))
        filled.take_in()
        assert label_of(filled) == (POSITIVE, "accepted")

    def test_what_was_stated_outlives_a_rejection_and_a_new_acceptance_of_the_batch(
        self, filled: Laboratory
    ) -> None:
        relabel(filled, (f"first/{PATH}", NEGATIVE))
        filled.take_in()
        filled.review("first", "reject")
        filled.take_in()
        assert label_of(filled) == (NEGATIVE, "rejected")
        filled.review("first", "accept", at="2026-11-28T10:00:00+00:00")
        filled.take_in()
        assert label_of(filled) == (NEGATIVE, "accepted")
        assert filled.catalog().load("intake_counts")["corrected"] == 0

    def test_a_correction_whose_batch_cannot_be_read_waits_and_the_others_are_made(
        self, filled: Laboratory, caplog: pytest.LogCaptureFixture
    ) -> None:
        deliver_other_label(filled)
        relabel(filled, (f"first/{PATH}", NEGATIVE))
        part = filled.storage / "index" / "inspections" / "first.parquet"
        part.rename(part.with_suffix(".away"))
        for damaged in (None, b"PAR1"):
            if damaged is not None:
                part.write_bytes(damaged)
            caplog.clear()
            filled.take_in("index_images")
            assert "Labels of batch 'first' cannot be corrected tonight" in caplog.text
        part.with_suffix(".away").replace(part)
        filled.take_in("index_images")
        assert label_of(filled) == (NEGATIVE, "accepted")


class TestTrustedDepositors:
    @pytest.fixture
    def trusting(self, filled: Laboratory) -> Laboratory:
        filled.parameters["corrections"] = {"policy": "trust", "trusted_uids": [os.getuid()]}
        filled.incoming.mkdir(exist_ok=True)
        filled.incoming.chmod(0o755)
        return filled

    def test_the_label_of_a_trusted_depositor_holds_at_once(self, trusting: Laboratory) -> None:
        deliver_other_label(trusting)
        assert label_of(trusting) == (NEGATIVE, "accepted")
        (record,) = read_records(trusting)
        assert record["by"].endswith(f"uid {os.getuid()})")
        assert (record["how"], record["batch"]) == ("delivery", "other")
        (change,) = record["labels"]
        assert (change["before"], change["after"]) == (POSITIVE, NEGATIVE)
        assert trusting.catalog().load("intake_counts")["corrected"] == 1

        before = trusting.snapshot()
        trusting.take_in()
        assert trusting.snapshot() == before

    def test_a_name_in_the_table_of_labels_is_no_proof(self, filled: Laboratory) -> None:
        filled.parameters["corrections"] = {"policy": "trust", "trusted_uids": [os.getuid() + 1]}
        table = f"image_name,labelled_by,labelled_on\n{name_cell(0)},root,2026-11-20\n"
        filled.deliver("other", {OTHER: CELLS[PATH]}, labels_csv=table)
        filled.take_in()
        assert label_of(filled) == (POSITIVE, "accepted")

    def test_the_policy_may_ask_all_the_same(self, trusting: Laboratory) -> None:
        trusting.parameters["corrections"]["policy"] = "ask"
        deliver_other_label(trusting)
        assert label_of(trusting) == (POSITIVE, "accepted")

    def test_a_batch_that_others_could_have_written_to_is_not_vouched_for(
        self, trusting: Laboratory
    ) -> None:
        folder = trusting.deliver("other", {OTHER: CELLS[PATH]})
        (folder / NEGATIVE).chmod(0o777)
        trusting.take_in()
        assert label_of(trusting) == (POSITIVE, "accepted")

    def test_the_labels_of_a_batch_that_is_rejected_are_taken_back(
        self, trusting: Laboratory
    ) -> None:
        deliver_other_label(trusting)
        trusting.review("other", "reject")
        trusting.take_in()
        assert label_of(trusting) == (POSITIVE, "accepted")
        last = read_records(trusting)[-1]
        assert (last["how"], last["by"]) == ("withdrawal", "Ada")
        assert last["reason"] == "batch 'other' was rejected: looked at"
        before = trusting.snapshot()
        trusting.take_in()
        assert trusting.snapshot() == before

        trusting.review("other", "accept", at="2026-11-28T10:00:00+00:00")
        trusting.take_in()
        assert label_of(trusting) == (POSITIVE, "accepted")

    def test_a_new_image_that_it_has_under_two_labels_is_a_conflict_all_the_same(
        self, trusting: Laboratory
    ) -> None:
        same = {f"{label}/{name_cell(900)}": draw_image(900) for label in (POSITIVE, NEGATIVE)}
        trusting.deliver("pair", same | {PATH: CELLS[PATH], OTHER: CELLS[PATH]})
        trusting.take_in()
        assert trusting.statuses() == {"accepted": 40, "conflict": 1}
        assert read_records(trusting) == []

    def test_labels_with_which_the_set_would_break_the_contract_wait(
        self, trusting: Laboratory
    ) -> None:
        everything = {f"{NEGATIVE}/{path.rsplit('/')[-1]}": data for path, data in CELLS.items()}
        trusting.deliver("all", everything)
        trusting.take_in("collect_batches", "inspect_images", "screen_batches", "index_images")
        assert trusting.verdict("all")["verdict"] == "waiting"
        assert label_of(trusting) == (POSITIVE, "accepted")
