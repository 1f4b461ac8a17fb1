"""The card of a model version, in Markdown: what it is, and how it was judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from image_classification import words
from image_classification.champion.ledger import Entry, name_event
from image_classification.gate.check import tell_value
from image_classification.gate.measure import average_classes, find_measure
from image_classification.gate.number import format_change
from image_classification.gate.verdict import MOVES, ROLLED_BACK
from image_classification.text import escape_markdown, escape_text

IN_USE, NO_MORE, NOT_IN_USE = "Champion ", "Was champion ", "Not in use: "
"""How a card begins: MLflow's list of versions shows the first line as it is written."""
FORGOTTEN = "**Forgotten:**"
LET_GO = "**Let go:**"
"""How the note begins that a version has seen patients who were forgotten."""
OLD_MARK = "**Replaced"
"""How an earlier release began the card of a former champion."""
SPLITS = ("train", "validation", "test")
LONGEST_CARD = 5000
"""Characters of a description; an SQL server refuses a longer one."""
LONGEST_CELL = 120
MOST_CLASSES = 12
"""Classes that a card tells of, those with the worst recall."""
OF_THE_POSITIVE_CLASS = ("sensitivity", "specificity", "auc", "f1")
"""Measures that are about one class, where there is a positive one."""
LINKED = ("http", "#/", "get-artifact?")
"""How an address begins that a browser on MLflow's page can open."""


def render_card(
    entry: Entry,
    facts: Mapping[str, str],
    *,
    pictures: Mapping[str, str],
    links: Mapping[str, str],
    history: Iterable[Entry] = (),
    forgotten: str = "",
) -> str:
    """Return the card of a version after a decision about it.

    Args:
        entry: the entry of the ledger about this version.
        facts: the tags of the version that say which data it was made from.
        pictures: addresses of image files, by title.
        links: addresses of pages, by title.
        history: all entries of the ledger that mention the version.
        forgotten: of `tell_forgotten`.
    """
    decision = entry["decision"]
    parts = [
        _state_use(entry),
        _state_verdict(entry),
        forgotten,
        _describe_model(entry, links),
        *([_describe_judgement(decision), _tabulate_checks(decision)] if decision else []),
        _describe_data(facts),
        *(f"![{title}]({address})" for title, address in pictures.items()),
        _list_history(history),
    ]
    return _fit("\n\n".join(part for part in parts if part))


def mark_replaced(description: str, entry: Entry) -> str:
    """Return the card of a former champion; it now begins with who replaced it, when and why.

    Args:
        description: the card until now; it may carry such a mark already.
        entry: the promotion or rollback in the ledger that replaced the champion.
    """
    use = f"{NO_MORE}until {_tell_minute(entry)} UTC, then version {entry['version']}."
    who = f"{_capitalise(str(entry['event']))} by {escape_markdown(entry['by'])}:"
    if description.startswith(NO_MORE):
        description = description.partition("\n\n")[2].partition("\n\n")[2]
    elif description.startswith((IN_USE, OLD_MARK)):
        description = description.partition("\n\n")[2]
    return _fit("\n\n".join([use, f"{who} {_as_sentence(entry['reason'])}", description]))


def tell_forgotten(records: Iterable[Entry], version: str) -> str:
    """Return which patients a version has seen who were forgotten since; "" for none.

    Args:
        records: of the ledger, as `Chain.forgotten`.
        version: the version.
    """
    told = [
        f"`{record['patient']}` on {record['at'][:10]} (in {' and '.join(seen)})"
        for record in records
        if (seen := record["versions"].get(version))
    ]
    if not told:
        return ""
    return (
        f"{FORGOTTEN} {words.current().count_groups(len(told))} that this version has seen: "
        f"{', '.join(dict.fromkeys(told))}. Their images are removed; what the network has learned "
        "stays in it."
    )


def mark_forgotten(description: str, told: str) -> str:
    """Return a card with what `tell_forgotten` tells; an earlier such note is replaced."""
    return _note(description, FORGOTTEN, told)


def mark_let_go(description: str, told: str) -> str:
    """Return a card that says when and why the packaged model of its version was removed."""
    text = f"{LET_GO} the packaged model was removed {told}. This version cannot be champion again."
    return _note(description, LET_GO, text)


def _note(description: str, head: str, text: str) -> str:
    """Return a card with a note after its second paragraph, in the place of one of this head."""
    parts = [part for part in description.split("\n\n") if not part.startswith(head)]
    return _fit("\n\n".join([*parts[:2], text, *parts[2:]]))


def render_decision(decision: Mapping[str, Any]) -> str:
    """Return the whole decision: how the two models compare, and the result of every rule."""
    return "\n\n".join([_describe_judgement(decision), _tabulate_checks(decision)])


def _state_use(entry: Entry) -> str:
    """Return the first line: whether the version is champion, in plain text."""
    if entry["event"] not in MOVES:
        return f"{NOT_IN_USE}{entry['event']} on {_tell_minute(entry)} UTC."
    return f"{IN_USE}since {_tell_minute(entry)} UTC."


def _state_verdict(entry: Entry) -> str:
    event = str(entry["event"])
    if event == ROLLED_BACK:
        event = f"restored, in place of version {entry['champion_before']}"
    said = escape_markdown(entry["comment"])
    comment = f" “{said}”" if said and entry["comment"] != entry["reason"] else ""
    who = escape_markdown(entry["by"])
    return f"**{_capitalise(event)}** by {who}.{comment} {_as_sentence(entry['reason'])}"


def _tell_minute(entry: Entry) -> str:
    return str(entry["at"])[:16].replace("T", " ")


def _capitalise(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def _as_sentence(reason: str) -> str:
    said = escape_markdown(reason)
    return f"{_capitalise(said)}{'' if said.endswith('.') else '.'}"


def _flatten(text: str) -> str:
    """Return a text as one line, since a blank line would end the paragraph or the list."""
    return " ".join(text.split())


def _fit(text: str) -> str:
    if len(text) <= LONGEST_CARD:
        return text
    ending = "\n\n… cut here: `image-classification explain` tells all of it."
    kept = text[: LONGEST_CARD - len(ending)]
    whole_lines = kept.rpartition("\n")[0]
    return (whole_lines if len(whole_lines) > LONGEST_CARD / 2 else kept) + ending


def _describe_model(entry: Entry, links: Mapping[str, str]) -> str:
    named = " · ".join(
        f"[{title}]({address})" if address.startswith(LINKED) else f"{title}: `{address}`"
        for title, address in links.items()
    )
    what = (
        "A classifier of single images, trained on the data named below. Load it: "
        f"`mlflow.pyfunc.load_model('models:/{entry['model']}/{entry['version']}')`. "
        f"Code: `{entry['git_commit'] or 'unknown'}`."
    )
    return "\n".join(["### What it is", "", what, "", named])


def _describe_judgement(decision: Mapping[str, Any]) -> str:
    champion = decision["champion"]
    rival = f"champion v{champion['version']}" if champion else _explain_absence(decision)
    header = ["measure", "this version", *([rival, "difference"] if champion else [])]
    rows = [
        _compare(
            name,
            value,
            champion["metrics"].get(name) if champion else None,
            decision.get("positive_class") if name in OF_THE_POSITIVE_CLASS else None,
        )
        for name, value in decision["challenger"]["metrics"].items()
    ]
    unseen = ", none of them trained on" if _is_unseen(decision) else ""
    scored = (
        f"Against {rival}, on {decision['images']} validation images of "
        f"{words.current().count_groups(decision['patients'])}{unseen}."
    )
    table = "\n".join([_row(header), _row(["---"] * len(header)), *rows])
    classes = _tabulate_classes(decision)
    parts = ["### How it was judged", scored, table, classes, _describe_baseline(decision)]
    return "\n\n".join(part for part in parts if part)


def _tabulate_classes(decision: Mapping[str, Any]) -> str:
    """Return recall and precision of each class; "" for a decision of an earlier release."""
    ours = decision["challenger"].get("classes")
    if not ours:
        return ""
    champion = decision["champion"]
    theirs = champion.get("classes", {}) if champion else {}
    header = ["class", "images", "recall", "precision", *(["champion's recall"] if theirs else [])]
    names = sorted(ours, key=lambda name: float(ours[name]["recall"]))
    rows = [
        _row(
            [
                escape_markdown(_shorten(name)),
                str(ours[name]["images"]),
                f"{ours[name]['recall']:.4f}",
                f"{ours[name]['precision']:.4f}",
                *([f"{theirs[name]['recall']:.4f}"] if name in theirs else [""] if theirs else []),
            ]
        )
        for name in names[:MOST_CLASSES]
    ]
    averages = average_classes(ours)
    mean = ["**all, each class alike**", "", f"{averages['recall']:.4f}"]
    mean += [f"{averages['precision']:.4f}"]
    mean += [f"{average_classes(theirs)['recall']:.4f}"] if theirs else []
    left = len(names) - MOST_CLASSES
    more = f"\n\n{left} classes with a better recall are in `evaluation_report.json`." * (left > 0)
    return "\n".join([_row(header), _row(["---"] * len(header)), *rows, _row(mean)]) + more


def _describe_baseline(decision: Mapping[str, Any]) -> str:
    baseline = decision.get("baseline")
    if not baseline:
        return ""
    return (
        f"A {baseline['name']} has an accuracy of {baseline['accuracy']:.4f} on "
        f"{baseline['images']} of these images: shown to compare, and decides nothing."
    )


def _explain_absence(decision: Mapping[str, Any]) -> str:
    fault = decision["champion_fault"]
    return "no champion, since it could not be scored" if fault else "no champion"


def _is_unseen(decision: Mapping[str, Any]) -> bool:
    """Tell whether both guards passed: no model was trained on a validation patient."""
    guards = [check for check in decision["checks"] if check["name"].endswith("unseen_patients")]
    return bool(guards) and all(check["passed"] for check in guards)


def _compare(name: str, ours: float, theirs: float | None, of_class: str | None) -> str:
    measure = find_measure(name)
    title = measure.title if measure else name.replace("_", " ")
    if of_class is not None:
        title += f" ({escape_markdown(_shorten(of_class))})"
    if theirs is None:
        return _row([title, f"{ours:.4f}"])
    difference = format_change(ours - theirs, in_points=measure is not None and measure.in_points)
    if measure:
        better = ours > theirs if measure.larger_is_better else ours < theirs
        difference += ", =" if ours == theirs else ", better" if better else ", worse"
    return _row([title, f"{ours:.4f}", f"{theirs:.4f}", difference])


def _tabulate_checks(decision: Mapping[str, Any]) -> str:
    rows = [
        _row(
            [
                check["group"],
                words.current().tell_key(check["name"]),
                _show(check),
                escape_markdown(check["required"]),
                "yes" if check["passed"] else "**no**",
            ]
        )
        for check in decision["checks"]
    ]
    header = ["rule", "of", "found", "required", "met"]
    return "\n".join(["### The rules", "", _row(header), _row(["---"] * len(header)), *rows])


def _show(check: Mapping[str, Any]) -> str:
    told = tell_value(check)
    return told if isinstance(check["value"], float) else escape_markdown(_shorten(told))


def _describe_data(facts: Mapping[str, str]) -> str:
    known = {
        "images": facts.get("images"),
        words.current().groups: facts.get("patients"),
        "captured until": facts.get("captured_until"),
        "index as of": facts.get("index_until"),
        "batches": facts.get("batches"),
        "digest of all": facts.get("data_digest"),
        **{f"digest of {split}": facts.get(f"{split}_digest") for split in SPLITS},
    }
    rows = [_row([name, f"`{_quote(value)}`"]) for name, value in known.items() if value]
    if not rows:
        return ""
    return "\n".join(["### On what data", "", _row(["data", "value"]), _row(["---"] * 2), *rows])


def _list_history(history: Iterable[Entry]) -> str:
    lines = [
        f"- {entry['at'][:16].replace('T', ' ')}: {name_event(entry)}, by "
        f"{escape_markdown(entry['by'])}: {escape_markdown(entry['comment'] or entry['reason'])}"
        for entry in history
    ]
    return "\n".join(["### What was decided about it", "", *lines]) if lines else ""


def _row(cells: Iterable[str]) -> str:
    escaped = [_flatten(cell).replace("|", r"\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


def _quote(value: str) -> str:
    """Return text that stands between backticks, and cannot end there."""
    return _shorten(escape_text(_flatten(value))).replace("`", "'")


def _shorten(value: str) -> str:
    return value if len(value) <= LONGEST_CELL else f"{value[:LONGEST_CELL]} …"
