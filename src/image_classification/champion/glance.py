"""Is there anything in the ledger that a look has to end? Told without MLflow, in most cases."""

from __future__ import annotations

from collections.abc import Mapping

from image_classification.champion.chain import Chain
from image_classification.champion.ledger import find_champion

LEDGER_TAG = "ledger_head"
"""Tag of a registered model, of a version and of a run: number and digest of their last entry."""

CHAMPION = "champion"
"""The alias."""


def is_settled(
    chain: Chain, model_name: str, tags: Mapping[str, str], aliases: Mapping[str, str]
) -> bool:
    """Tell whether `Release.look` would find nothing to do; False where that is not sure.

    Args:
        chain: the ledger.
        model_name: the registered model.
        tags: of the registered model.
        aliases: the version that each of its aliases points to.
    """
    if any(one["model"] == model_name for one in chain.intentions):
        return False
    entries = [one for one in chain.entries if one["model"] == model_name]
    late = [one["version"] for one in chain.undone if one["model"] == model_name][-1:]
    if late == [aliases.get(CHAMPION)] and late != [find_champion(entries)]:
        return False
    newest = max((one.get("number", 0) for one in entries), default=0)
    copied = tags.get(LEDGER_TAG, "0").partition(" ")[0]
    return newest <= (int(copied) if copied.isdecimal() else 0)
