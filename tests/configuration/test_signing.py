"""Who vouches for a packaged model is said whole, or refused before anything is signed."""

from __future__ import annotations

from typing import Any

import pytest

from image_classification.configuration.signing import NEEDED, read_signing
from image_classification.errors import ConfigurationError

COMPLETE: dict[str, Any] = {
    "private_key": "signing.pem",
    "certificate": "signing.crt",
    "certificate_chain": ["root.crt"],
    "identity": "nightly@laboratory",
    "identity_provider": "https://accounts.laboratory",
}


@pytest.mark.parametrize("method", list(NEEDED))
def test_each_method_is_taken_with_what_it_needs_and_no_less(method: str) -> None:
    given = {"method": method} | {name: COMPLETE[name] for name in NEEDED[method]}
    assert read_signing(given) == given
    for name in NEEDED[method]:
        less = {key: value for key, value in given.items() if key != name}
        with pytest.raises(ConfigurationError, match=f"method '{method}' also needs {name}"):
            read_signing(less)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"method": "password"}, "'method': Input should be 'key', 'certificate' or 'sigstore'"),
        ({"privat_key": "x"}, "'privat_key': Extra inputs are not permitted"),
        ({"private_key": 7}, "'private_key': Input should be a valid string"),
        ({"certificate_chain": "root.crt"}, "'certificate_chain': Input should be a valid list"),
        ({"private_key": ""}, "also needs private_key"),
    ],
)
def test_a_wrong_key_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"globals\.yml, signing: .*{message}"):
        read_signing({"method": "key", "private_key": "signing.pem", **change})
