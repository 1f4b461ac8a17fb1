"""One rule of the policy, applied."""

from __future__ import annotations

import numpy as np

from image_classification.gate.check import make_check


def test_a_check_is_plain_data_whatever_its_answer_was_computed_by() -> None:
    check = make_check("floor", "accuracy", 0.9, "at least 0.85", np.bool_(True), "below")
    assert check["passed"] is True
    assert list(check) == ["group", "name", "value", "required", "passed", "sentence"]
