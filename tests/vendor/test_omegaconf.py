"""Resolvers for a while."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import UnsupportedInterpolationType

from image_classification.vendor.omegaconf import use_resolvers


def read(text: str) -> object:
    return OmegaConf.to_container(OmegaConf.create({"value": text}), resolve=True)["value"]  # type: ignore[call-overload, index]


def test_resolvers_are_used_for_a_while_and_those_of_others_come_back() -> None:
    OmegaConf.register_new_resolver("theirs", lambda: "theirs", replace=True)
    try:
        with use_resolvers({"ours": lambda: "ours", "theirs": lambda: "changed"}):
            assert (read("${ours:}"), read("${theirs:}")) == ("ours", "changed")
        assert read("${theirs:}") == "theirs"
        with pytest.raises(UnsupportedInterpolationType):
            read("${ours:}")
    finally:
        OmegaConf.clear_resolver("theirs")


def test_the_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "s3cret")
    with use_resolvers({}), pytest.raises(UnsupportedInterpolationType):
        read("${oc.env:SECRET}")


def test_an_error_leaves_no_resolver_behind() -> None:
    with pytest.raises(ZeroDivisionError), use_resolvers({"ours": lambda: "ours"}):
        raise ZeroDivisionError
    assert not OmegaConf.has_resolver("ours")
