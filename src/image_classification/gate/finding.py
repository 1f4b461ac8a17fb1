"""What hindsight found: as a sentence, as a row of a table, as a question to a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pandas as pd

from image_classification import words
from image_classification.gate.hindsight import (
    NOT_KNOWN,
    WRONG,
    WRONG_PROMOTION,
    HindsightParameters,
    PastDecision,
)
from image_classification.gate.number import format_points
from image_classification.gate.verdict import (
    KEPT,
    NOT_MOVED,
    PROMOTED,
    REFUSED,
    REJECTED,
    ROLLED_BACK,
)

FINDING_COLUMNS = [
    "recorded_at",
    "run_id",
    "at",
    "event",
    "version",
    "against",
    "images",
    "patients",
    "gain",
    "low",
    "high",
    "outcome",
    "nights",
    "misread",
    "sentence",
]
NUMBERS = ("gain", "low", "high")

OPENINGS = {
    PROMOTED: "promoted v{version} over v{against}",
    KEPT: "kept v{against} against v{version}",
    REFUSED: "refused v{version}, kept v{against}",
    REJECTED: "rejected v{version}, kept v{against}",
    NOT_MOVED: "dry run, kept v{against} against v{version}",
    ROLLED_BACK: "rolled back from v{against} to v{version}",
}
"""How the sentence about a decision begins, by the event of the ledger."""


def make_finding(
    decision: PastDecision,
    judged: Mapping[str, Any],
    loss: tuple[int, int],
    now: datetime,
    rule: HindsightParameters,
) -> dict[str, Any]:
    """Return what was found of a decision, `FINDING_COLUMNS`.

    Args:
        decision: of `hindsight.list_decisions`.
        judged: of `hindsight.judge_later`.
        loss: of `hindsight.measure_loss`.
        now: the present time, UTC.
        rule: `hindsight`.
    """
    nights, misread = loss
    opening, told = describe_decision(decision, now), _tell_outcome(judged["outcome"], *loss)
    return {
        "recorded_at": now.isoformat(timespec="seconds"),
        **{name: decision[name] for name in ("run_id", "at", "event", "version", "against")},
        **judged,
        "nights": nights,
        "misread": misread,
        "sentence": f"{opening}; {_tell_gain(decision, judged, rule)}: {told}",
    }


def make_unknown(decision: PastDecision, fault: str, now: datetime) -> dict[str, Any]:
    """Return that a decision cannot be judged again, and why, `FINDING_COLUMNS`."""
    opening = describe_decision(decision, now)
    return {
        "recorded_at": now.isoformat(timespec="seconds"),
        **{name: decision[name] for name in ("run_id", "at", "event", "version", "against")},
        "images": 0,
        "patients": 0,
        **dict.fromkeys(NUMBERS),
        "outcome": NOT_KNOWN,
        "nights": 0,
        "misread": 0,
        "sentence": f"{opening}; hindsight {NOT_KNOWN}: {fault.rstrip('.')}",
    }


def describe_decision(decision: PastDecision, now: datetime) -> str:
    """Return what was decided, and on which day; the year is left out in that year."""
    day = datetime.fromisoformat(decision["at"])
    year = "" if day.year == now.year else f" {day.year}"
    opening = OPENINGS[decision["event"]].format(**decision)
    return f"{opening} on {day.day} {day:%B}{year}"


def _tell_gain(decision: PastDecision, judged: Mapping[str, Any], rule: HindsightParameters) -> str:
    images, patients, gain = (judged[name] for name in ("images", "patients", "gain"))
    if not images:
        return "no image came later that neither was trained on"
    on = f"on {images:,} images of {words.current().count_groups(patients)} that came later"
    if gain is None:
        return (
            f"only {on.removeprefix('on ')}, required are {rule['minimum_images']:,} of "
            f"{rule['minimum_patients']:,}"
        )
    version, against, ends = (
        decision["version"],
        decision["against"],
        (judged["low"], judged["high"]),
    )
    if gain < 0:
        ends = (-ends[1], -ends[0])
    interval = " to ".join(format_points(end, "") for end in ends)
    points = format_points(abs(gain), "")
    if float(points) == 0:
        return f"{on} v{version} was as good as v{against} ({interval} points)"
    return (
        f"{on} v{version} was {'worse' if gain < 0 else 'better'} by {points} points ({interval})"
    )


def _tell_outcome(outcome: str, nights: int, misread: int) -> str:
    if outcome not in WRONG:
        return outcome if not outcome.endswith(("promotion", "rollback")) else f"a {outcome}"
    parts = [f"a {outcome}"]
    if nights:
        parts.append(f"{nights} night{'s' * (nights > 1)}")
    if misread:
        parts.append(f"about {words.current().count_images(_round(misread))} wrongly read")
    return ", ".join(parts)


def _round(count: int) -> int:
    """Round an estimate: below 20 as it is, above to tens, and to two digits from 1,000."""
    return count if count < 20 else round(count, -1 if count < 1000 else 2 - len(str(count)))


def list_news(findings: Sequence[Mapping[str, Any]], known: pd.DataFrame) -> pd.DataFrame:
    """Return the findings that say something else than what was recorded last, as rows."""
    settled = settle_findings(known)
    told = dict(zip(settled["run_id"], settled["sentence"], strict=True))
    new = [one for one in findings if told.get(one["run_id"]) != one["sentence"]]
    return pd.DataFrame(new, columns=FINDING_COLUMNS).astype(dict.fromkeys(NUMBERS, "float64"))


def settle_findings(log: pd.DataFrame) -> pd.DataFrame:
    """Return what was last found of each decision, in the order of the decisions.

    Args:
        log: rows as they were added, `FINDING_COLUMNS`.
    """
    last = log.drop_duplicates("run_id", keep="last")
    return last.sort_values("at", ignore_index=True)


def count_outcomes(findings: Sequence[Mapping[str, Any]]) -> str:
    """Return in a sentence how many decisions were looked back on, and what came of it."""
    if not findings:
        return "no decision between two versions to look back on"
    counts = Counter(one["outcome"] for one in findings)
    several = "s" * (len(findings) > 1)
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    return f"looked back on {len(findings)} decision{several}: {told}"


def find_regret(
    findings: Sequence[Mapping[str, Any]],
    decisions: Sequence[PastDecision],
    champion: str | None,
) -> dict[str, Any] | None:
    """Return the promotion that proved wrong and still holds, or None.

    Args:
        findings: what was found tonight.
        decisions: of `hindsight.list_decisions`.
        champion: the present champion; somebody may have moved it by hand.
    """
    holding = {decision["run_id"] for decision in decisions if not decision["until"]}
    for one in findings:
        wrong = one["event"] == PROMOTED and one["outcome"] == WRONG_PROMOTION
        if wrong and one["run_id"] in holding and one["version"] == champion:
            return dict(one)
    return None


def is_new(regret: Mapping[str, Any], known: pd.DataFrame) -> bool:
    """Tell whether nothing recorded before today said so: a task that is retried tells it again."""
    today = str(regret["recorded_at"])[:10]
    before = known[(known["run_id"] == regret["run_id"]) & (known["outcome"] == regret["outcome"])]
    return not bool((before["recorded_at"].str[:10] < today).any())


def advise_rollback(regret: Mapping[str, Any]) -> str:
    """Return how to go back to the version that a wrong promotion replaced."""
    target = regret["against"]
    return (
        f"To go back: trigger the DAG `rollback` with version {target} and a reason, or type "
        f'`image-classification rollback {target} --reason "…"`. Until then v{regret["version"]} '
        "stays champion."
    )
