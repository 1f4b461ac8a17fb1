"""A night in a few sentences: what is in use, since when, why, and what it gets wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pandas as pd

from image_classification import words
from image_classification.champion import ledger
from image_classification.gate import verdict
from image_classification.gate.number import format_points
from image_classification.gate.prediction import find_right
from image_classification.text import tell_name

GOOD, CALM, WARN, BAD = "good", "calm", "warn", "bad"
"""How the top of a page looks: the champion changed, it stayed, somebody is needed, it failed."""

MOST_CLASSES = 3
"""Classes of which the sentences tell what is misread; a table tells all of them."""

Entry = Mapping[str, Any]


@dataclass
class Story:
    """What a page says first.

    Attributes:
        headline: the decision, in a sentence.
        tone: one of GOOD, CALM, WARN and BAD.
        lead: what that means, in a sentence or two.
        version: the version in use; "" for none.
        since: when it came into use; "" where that is not known.
        why: why it is in use.
        wrong: what it gets wrong, sentences.
    """

    headline: str
    tone: str
    lead: str
    version: str
    since: str
    why: str
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class NightFacts:
    """What the story of a night is made of.

    Attributes:
        run_id: the MLflow run of the night.
        entries: of the ledger, about this model, oldest first.
        decision: of the gate, in this night; None where nothing was judged.
        outcome: what was recorded of the run, a sentence; "" while it goes on.
    """

    run_id: str
    entries: Sequence[Entry]
    decision: Mapping[str, Any] | None
    outcome: str

    @property
    def own(self) -> Entry | None:
        """The last entry of the ledger that this night has written."""
        own = [entry for entry in self.entries if entry["mlflow_run_id"] == self.run_id]
        return own[-1] if own else None

    @property
    def move(self) -> Entry | None:
        """The entry by which the version in use came into use."""
        moves = [entry for entry in self.entries if entry["event"] in verdict.MOVES]
        return moves[-1] if moves else None

    @property
    def version(self) -> str:
        """The version in use; "" for none."""
        return str(ledger.find_champion(self.entries) or "")


def tell_story(facts: NightFacts) -> Story:
    """Return the night in a few sentences; what is misread is added by who has the answers."""
    headline, tone, lead = _tell_outcome(facts)
    since = str(facts.move["at"]) if facts.move and facts.version else ""
    return Story(headline, tone, lead, facts.version, since, _tell_why(facts))


def _tell_outcome(facts: NightFacts) -> tuple[str, str, str]:
    own, stays = facts.own, _tell_stay(facts.version)
    kind, _, why = facts.outcome.partition(": ")
    if kind == "failed":
        return _tell_failure(own, stays, why)
    if own is not None:
        return tell_event(own)
    if kind == "skipped":
        return f"{stays}: nothing was trained", CALM, _as_sentence(why)
    if facts.decision is not None:
        return _tell_question(facts.decision, stays)
    return stays, CALM, _as_sentence(facts.outcome)


def _tell_failure(own: Entry | None, stays: str, why: str) -> tuple[str, str, str]:
    if own is not None and own["event"] in verdict.MOVES:
        headline, _, lead = tell_event(own)
        return f"{headline}. Then the night failed", BAD, f"{lead} {_as_sentence(why)}"
    return f"The night failed. {stays}", BAD, _as_sentence(why)


def _tell_question(decision: Mapping[str, Any], stays: str) -> tuple[str, str, str]:
    """Tell of a decision that is not carried out yet."""
    challenger = decision["challenger"]["version"]
    lead = _tell_gain(decision) or _as_sentence(decision["reason"])
    if decision["verdict"] == verdict.PROMOTE:
        return f"Version {challenger} is better, and waits for an answer", WARN, lead
    return f"{stays}. Version {challenger} was judged", CALM, lead


def _tell_stay(version: str) -> str:
    return f"Version {version} stays in use" if version else "No version is in use yet"


def tell_event(entry: Entry) -> tuple[str, str, str]:
    """Return what an entry of the ledger decided: a headline, its tone, and what it means."""
    stays = _tell_stay(str(entry["champion_after"] or ""))
    version, reason = entry["version"], _as_sentence(entry["reason"])
    decision = entry["decision"] or {}
    gain = _tell_gain(decision) if decision else ""
    if entry["event"] == verdict.PROMOTED:
        before = entry["champion_before"]
        rules = f"it met all {len(decision['checks'])} rules" if decision else "see why"
        lead = f"It replaces version {before}: {rules}." if before else f"The first one: {rules}."
        return f"Version {version} is now in use", GOOD, lead
    if entry["event"] == verdict.ROLLED_BACK:
        lead = f"{entry['by']} put it back in place of version {entry['champion_before']}. {reason}"
        return f"Version {version} is in use again", GOOD, lead
    if entry["event"] == verdict.BROUGHT_IN:
        before = entry["champion_before"]
        lead = f"{entry['by']} brought it in. {reason}"
        return (
            f"Version {version} is now in use",
            GOOD,
            f"It replaces version {before}. {lead}" if before else lead,
        )
    broken = _tell_broken_rules(decision)
    lead = " ".join(part for part in (gain, broken) if part) or reason
    if entry["event"] == verdict.REJECTED:
        said = f" “{entry['comment']}”" if entry["comment"] else ""
        return f"{stays}: {entry['by']} rejected version {version}", CALM, f"{gain}{said}".strip()
    heads = {
        verdict.KEPT: (f"{stays}: version {version} is not better enough", CALM),
        verdict.REFUSED: (f"{stays}: the comparison was not a fair one", WARN),
        verdict.NOT_MOVED: (f"{stays}: version {version} was judged in a dry run", CALM),
        verdict.HANDED_ON: (f"{stays}: version {version} went to another environment", CALM),
        verdict.LOST_RACE: (f"{stays}: another run was faster", WARN),
        verdict.UNVERIFIED: (f"{stays}: version {version} did not answer as it should", BAD),
        verdict.INTERRUPTED: (f"{stays}: the change to version {version} was interrupted", BAD),
    }
    if not decision.get("champion") and entry["event"] == verdict.KEPT:
        return f"{stays}: version {version} is not good enough", CALM, lead
    headline, tone = heads.get(entry["event"], (stays, CALM))
    return headline, tone, reason if tone == BAD else lead


def _tell_gain(decision: Mapping[str, Any]) -> str:
    """Return how many more images the challenger reads right, a sentence; "" for no champion."""
    tests, champion = decision["tests"], decision["champion"]
    if not tests or not champion:
        return ""
    images = int(decision["images"])
    ours, theirs = (
        round(images * decision[role]["metrics"]["accuracy"]) for role in ("challenger", "champion")
    )
    on = _tell_scope(images, decision["patients"])
    subject = f"{on}, version {decision['challenger']['version']} reads"
    if ours == theirs:
        return f"{subject} as many right as version {champion['version']}: {ours:,}."
    return (
        f"{subject} {abs(ours - theirs):,} {'more' if ours > theirs else 'fewer'} right than "
        f"version {champion['version']}: {ours:,} instead of {theirs:,}, "
        f"{format_points(tests['gain'])} points."
    )


def _tell_broken_rules(decision: Mapping[str, Any]) -> str:
    said = [check["sentence"] for check in decision.get("checks", ()) if not check["passed"]]
    return " ".join(map(_as_sentence, said[:2]))


def _tell_why(facts: NightFacts) -> str:
    move = facts.move
    if move is None or not facts.version:
        return "No version has met all rules yet."
    if move["event"] == verdict.ROLLED_BACK:
        return (
            f"{move['by']} put it back in place of version {move['champion_before']}: "
            f"{move['comment'] or move['reason']}"
        )
    try:
        gain = _tell_gain(move["decision"]) if move["decision"] else ""
    except (KeyError, TypeError, AttributeError, ValueError):  # a decision that is damaged
        gain = ""
    by = "" if move["by"] == "the policy" else f" {move['by']} approved it."
    if gain:
        return f"It won the comparison. {gain}{by}"
    return f"{_as_sentence(move['reason'])}{by}"


def describe_mistakes(table: pd.DataFrame, class_names: Sequence[str]) -> list[str]:
    """Return what a version gets wrong, sentences.

    Args:
        table: its predictions of labelled images that it was not trained on: `patient`, `label`,
            `category`.
        class_names: the classes, in order.
    """
    right = find_right(table).astype(bool)
    wrong, images = int((~right).sum()), len(table)
    groups = int(table["patient"].nunique())
    where = f"{_tell_scope(images, groups)} it never saw"
    if not wrong:
        return [f"{where}, it read none wrong."]
    said = [f"{where}, it reads {wrong:,} wrong ({tell_share(wrong / images)})."]
    missed = table[~right].groupby("label").size().sort_values(ascending=False)
    for name in [name for name in missed.index if name in class_names][:MOST_CLASSES]:
        others = table[~right & (table["label"] == name)]["category"].value_counts()
        of = int((table["label"] == name).sum())
        mostly = "" if len(others) == 1 else "mostly "
        said.append(
            f"{int(missed[name]):,} of {of:,} {tell_name(name)} are read as "
            f"{mostly}{tell_name(others.index[0])} "
            f"({tell_share(missed[name] / of)})."
        )
    by_group = table[~right].groupby("patient").size().sort_values(ascending=False)
    if groups > 1 and by_group.iloc[0] > 1:
        name = by_group.index[0]
        of = int((table["patient"] == name).sum())
        said.append(
            f"Most mistakes are of {words.current().group} {name}: {int(by_group.iloc[0])} of {of}."
        )
    return said


def recall_mistakes(entry: Entry, version: str) -> list[str]:
    """Return what a version got wrong when it was judged last, as the ledger keeps it."""
    decision = entry["decision"] or {}
    for role in ("challenger", "champion"):
        model = decision.get(role)
        if model and str(model["version"]) == version:
            metrics, images = model["metrics"], int(decision["images"])
            wrong = round(images * (1 - metrics["accuracy"]))
            share = tell_share(1 - metrics["accuracy"])
            scope = _tell_scope(images, decision["patients"])
            when = f"when it was judged on {format_day(entry['at'])}"
            told = [f"{scope} it never saw, it read {wrong:,} wrong ({share}), {when}."]
            if "sensitivity" in metrics:
                told.append(
                    f"Sensitivity {tell_share(metrics['sensitivity'])}, specificity "
                    f"{tell_share(metrics['specificity'])}."
                )
            return told
    return []


def format_day(at: str) -> str:
    """Return the day of a time in ISO 8601, as in "27 November 2026"."""
    day = datetime.fromisoformat(at)
    return f"{day.day} {day:%B %Y}"


def format_minute(at: str) -> str:
    """Return a time in ISO 8601 to the minute, as in "27 November 2026, 02:04 UTC"."""
    return f"{format_day(at)}, {datetime.fromisoformat(at):%H:%M} UTC"


def _tell_scope(images: int, groups: int) -> str:
    known = words.current()
    return f"Of {known.count_images(images)} of {known.count_groups(groups)}"


def tell_share(share: float) -> str:
    """Return a share in per cent, as in "3.2 %"."""
    return f"{100 * share:.1f} %"


def _as_sentence(text: str) -> str:
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text[-1:] in '.!?' else '.'}" if text else ""
