"""How the packaged models are signed: the section `signing` of `conf/*/globals.yml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NotRequired

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict

from image_classification.errors import ConfigurationError


@with_config(ConfigDict(extra="forbid"))
class Signing(TypedDict):
    """Who vouches for a packaged model.

    Attributes:
        method: `key` (an elliptic key of this installation, made at the first use), `certificate`
            (a key and certificate of an authority), or `sigstore` (no key: an identity that
            a provider vouches for, which needs the network).
        private_key: the file of the key; its public half lies beside it, as ``.pub``.
        certificate: the signing certificate, for `certificate`.
        certificate_chain: the authorities above it, up to the root that is trusted.
        identity: who must have signed, for `sigstore`, such as the address of a workflow.
        identity_provider: who vouches for that identity, an OpenID issuer.
    """

    method: Literal["key", "certificate", "sigstore"]
    private_key: NotRequired[str]
    certificate: NotRequired[str]
    certificate_chain: NotRequired[list[str]]
    identity: NotRequired[str]
    identity_provider: NotRequired[str]


NEEDED = {
    "key": ("private_key",),
    "certificate": ("private_key", "certificate", "certificate_chain"),
    "sigstore": ("identity", "identity_provider"),
}
"""The keys that each method needs."""


def read_signing(given: Mapping[str, Any]) -> Signing:
    """Return the section, checked.

    Raises:
        ConfigurationError: a key is unknown, missing or of a wrong type.
    """
    try:
        signing = TypeAdapter(Signing).validate_python(dict(given))
    except ValidationError as error:
        said = "; ".join(
            f"'{'.'.join(map(str, fault['loc']))}': {fault['msg']}" for fault in error.errors()
        )
        raise ConfigurationError(f"conf/*/globals.yml, signing: {said}.") from None
    missing = [name for name in NEEDED[signing["method"]] if not signing.get(name)]
    if missing:
        raise ConfigurationError(
            f"conf/*/globals.yml, signing: method '{signing['method']}' also needs "
            f"{', '.join(missing)}."
        )
    return signing
