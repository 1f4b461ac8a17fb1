"""Figures of a training run, as matplotlib figures (no global state: safe in any thread)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from image_classification.metrics import PROBABILITY_PREFIX

COLOURS = {"train": "#4c72b0", "validation": "#dd8452", "test": "#55a868"}
VERDICT_COLOURS = {"promote": "#55a868", "keep": "#c44e52", "refuse": "#8172b3"}
PHASE_COLOURS = {
    "queue": "#d3d3d3",
    "start": "#8c8c8c",
    "session": "#937860",
    "load": "#64b5cd",
    "compute": "#4c72b0",
    "save": "#55a868",
    "tracking": "#dd8452",
    "other": "#ccb974",
}
SHEET_COLUMNS = 6
LONGEST_AXIS = 20
"""Labels that are readable side by side."""
RELIABILITY_BINS = 10


def plot_curves(history: Mapping[str, Sequence[float]]) -> Figure:
    """Plot accuracy and loss by epoch.

    Args:
        history: `train_accuracy`, `validation_accuracy`, `train_loss`, `validation_loss`, a value
            per epoch each.
    """
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, measure in zip(figure.subplots(1, 2), ("accuracy", "loss"), strict=True):
        for split in ("train", "validation"):
            values = history[f"{split}_{measure}"]
            axes.plot(range(1, len(values) + 1), values, "o-", label=split, color=COLOURS[split])
        axes.set(xlabel="epoch", ylabel=measure, title=f"{measure.capitalize()} by epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def plot_confusion(predictions: Mapping[str, pd.DataFrame], class_names: Sequence[str]) -> Figure:
    """Plot the confusion matrix of each split, with counts and the share of each row."""
    width = 4.5 + 0.5 * len(class_names)
    figure = Figure(figsize=(width * len(predictions), width - 0.5), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(predictions)))
    for axes, (split, table) in zip(panels, predictions.items(), strict=True):
        counts = confusion_matrix(table["label"], table["category"], labels=list(class_names))
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            share = shares[row, column]
            axes.text(
                *(column, row, f"{count}\n{share:.1%}"),
                ha="center",
                va="center",
                color="white" if share > 0.5 else "black",
            )
        ticks = range(len(class_names))
        axes.set_xticks(ticks, class_names, rotation=30 if len(class_names) > 2 else 0)
        axes.set_yticks(ticks, class_names)
        axes.set(xlabel="predicted", ylabel="label", title=f"{split}: {len(table)} images")
    return figure


def plot_roc(predictions: Mapping[str, pd.DataFrame], positive_class: str) -> Figure:
    """Plot the ROC curve of the positive class against the rest, on each split."""
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    for split, table in predictions.items():
        positive = (table["label"] == positive_class).to_numpy()
        scores = table[f"{PROBABILITY_PREFIX}{positive_class}"]
        false_rate, true_rate, _ = roc_curve(positive, scores)
        area = roc_auc_score(positive, scores)
        axes.plot(false_rate, true_rate, label=f"{split} (AUC {area:.4f})", color=COLOURS[split])
    axes.plot([0, 1], [0, 1], ":", color="grey", label="chance")
    axes.set(
        xlabel="1 - specificity",
        ylabel="sensitivity",
        title=f"ROC curve of '{positive_class}'",
        aspect="equal",
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return figure


def plot_reliability(predictions: Mapping[str, pd.DataFrame], positive_class: str) -> Figure:
    """Plot the observed share of the positive class against the probability given to it.

    A reliability diagram (DeGroot and Fienberg, 1983, The Statistician 32) with bins of equal
    width; below it, how many images fall into each.
    """
    figure = Figure(figsize=(5.5, 6), layout="constrained")
    axes, counts = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    edges = np.linspace(0, 1, RELIABILITY_BINS + 1)
    for split, table in predictions.items():
        positive = (table["label"] == positive_class).to_numpy()
        scores = table[f"{PROBABILITY_PREFIX}{positive_class}"].clip(0, 1)
        observed, given = calibration_curve(positive, scores, n_bins=RELIABILITY_BINS)
        axes.plot(given, observed, "o-", label=split, color=COLOURS[split])
        counts.hist(scores, bins=edges, histtype="step", color=COLOURS[split])
    axes.plot([0, 1], [0, 1], ":", color="grey", label="perfect")
    axes.set(ylabel=f"share that is '{positive_class}'", title="Reliability")
    counts.set(xlabel=f"probability given to '{positive_class}'", ylabel="images", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    return figure


def plot_contact_sheet(
    mistakes: pd.DataFrame,
    pixels: npt.NDArray[np.uint8],
    mistake_count: int,
    image_count: int,
) -> Figure:
    """Show misclassified images in a grid, each with its label, its category and the confidence.

    Args:
        mistakes: `label`, `category`, `patient` and `confidence` of each image shown.
        pixels: the images shown, ``(n, size, size, 3)`` uint8.
        mistake_count: how many images are misclassified in all.
        image_count: how many were classified.
    """
    title = (
        f"The {len(mistakes)} most confident of {mistake_count} mistakes in {image_count} images"
        if mistake_count
        else f"No mistake in {image_count} images"
    )
    captions = [
        f"label {mistake.label}\ncalled {mistake.category} {mistake.confidence:.0%}\n"
        f"patient {mistake.patient}"
        for mistake in mistakes.itertuples()
    ]
    return _draw_sheet(title, pixels, captions)


def plot_suspects(batch: str, suspects: pd.DataFrame, pixels: npt.NDArray[np.uint8]) -> Figure:
    """Show the most suspicious images of a batch in a grid, each with its label.

    Args:
        batch: its name.
        suspects: `path`, `label` and `patient` of each image shown, the most suspicious first.
        pixels: the images shown, ``(n, size, size, 3)`` uint8.
    """
    rows = suspects[["label", "patient", "path"]].astype(str).to_numpy()
    captions = [
        f"{label}\npatient {patient[:12]}\n{path.rsplit('/')[-1][-24:]}"
        for label, patient, path in rows
    ]
    title = f"Batch '{batch}': its {len(suspects)} most suspicious images, with their labels"
    return _draw_sheet(title, pixels, captions)


def plot_comparison(comparison: Mapping[str, Any], required_gain: float) -> Figure:
    """Plot the gain with its interval, and both models patient by patient.

    Args:
        comparison: of `comparison.compare_predictions`.
        required_gain: share of accuracy that the lower end of the interval must exceed.
    """
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    gain, patients = figure.subplots(1, 2, width_ratios=(1, 1.6))
    if tests := comparison["tests"]:
        _draw_gain(gain, tests, required_gain)
    else:
        gain.axis("off")
        gain.text(
            0.5, 0.5, comparison["champion_fault"] or "no champion yet", ha="center", wrap=True
        )
    rows = sorted(comparison["slices"], key=lambda row: row["challenger"])
    places = range(len(rows))
    for role, marker, colour in (("champion", "s", "#4c72b0"), ("challenger", "o", "#dd8452")):
        if comparison[role]:
            shares = [row[role] for row in rows]
            patients.plot(shares, places, marker, color=colour, label=role, alpha=0.8)
    for place, row in zip(places, rows, strict=True):
        if row["champion"] is not None:
            ends = (row["champion"], row["challenger"])
            patients.plot(ends, (place, place), "-", color="grey", lw=1, zorder=0)
    patients.set_yticks(places, [f"{row['patient'][:12]} ({row['images']})" for row in rows])
    patients.tick_params(axis="y", labelsize=max(4, min(9, 200 // max(1, len(rows)))))
    patients.set(xlabel="accuracy", title="Patient by patient (images)")
    patients.grid(alpha=0.3)
    if rows:
        patients.legend(loc="lower right")
    return figure


def _draw_gain(axes: Any, tests: Mapping[str, Any], required_gain: float) -> None:
    low, middle, high = (100 * tests[name] for name in ("low", "gain", "high"))
    axes.errorbar(
        [middle], [0], xerr=[[middle - low], [high - middle]], fmt="o", capsize=6, color="#dd8452"
    )
    axes.axvline(100 * required_gain, color="#c44e52", ls="--", label="required: beyond this")
    axes.axvline(0, color="grey", lw=0.8)
    axes.set_yticks([])
    axes.set_ylim(-1, 1)
    axes.set(
        xlabel="gain in accuracy, points",
        title=f"Challenger over champion, {100 * tests['confidence']:g} % interval\n"
        f"over {tests['patients']} patients",
    )
    axes.legend(loc="lower center")


def plot_gate_report(report: pd.DataFrame) -> Figure:
    """Plot the stored comparisons under two policies: each gain, and the promotions so far.

    Args:
        report: a row per comparison in the order of time: `at`, `version`, `gain`, `gain_low`,
            `gain_high` (shares, NaN without a champion), `then` and `now` (verdicts).
    """
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    gains, counts = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    places = np.arange(len(report))
    middle, low, high = (
        100 * report[name].astype(float).to_numpy() for name in ("gain", "gain_low", "gain_high")
    )
    gains.vlines(places, low, high, color="grey", lw=1)
    for verdict, colour in VERDICT_COLOURS.items():
        rows = (report["now"] == verdict).to_numpy()
        if rows.any():
            gains.plot(places[rows], np.nan_to_num(middle)[rows], "o", color=colour, label=verdict)
    gains.axhline(0, color="black", lw=0.8)
    gains.set(ylabel="gain, points", title="Stored comparisons, judged by the policy asked for")
    if len(report):
        gains.legend()
    for name, title, style in (("then", "policy of the time", "--"), ("now", "asked for", "-")):
        promoted = (report[name] == "promote").cumsum()
        counts.step(places, promoted, style, where="post", label=title)
    counts.set(ylabel="promotions so far", xlabel="version")
    shown = places[:: -(-len(places) // LONGEST_AXIS) or 1]
    counts.set_xticks(shown, [f"v{version}" for version in report["version"].iloc[shown]])
    counts.yaxis.get_major_locator().set_params(integer=True)
    counts.legend()
    for axes in (gains, counts):
        axes.grid(alpha=0.3)
    return figure


def plot_history(history: pd.DataFrame) -> Figure:
    """Plot what each night brought: images, accuracies on validation, and decisions.

    Args:
        history: a row per night: `night`, `images` (in all, NaN where nothing was trained),
            `challenger_accuracy`, `champion_accuracy` (0 to 1, or NaN), `decision`.
    """
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    accuracy, images = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    nights = history["night"]
    accuracy.plot(nights, history["challenger_accuracy"], "-", color="grey", lw=1, zorder=1)
    for decision, marker, colour in (
        ("promoted", "^", "#55a868"),
        ("kept champion", "v", "#c44e52"),
    ):
        rows = history[history["decision"] == decision]
        if len(rows):
            accuracy.scatter(
                *(rows["night"], rows["challenger_accuracy"], 90, colour),
                marker=marker,
                label=f"challenger, {decision}",
            )
    accuracy.plot(nights, history["champion_accuracy"], "s--", color="#4c72b0", label="champion")
    accuracy.set(ylabel="accuracy on validation", title="Challenger and champion, night by night")
    accuracy.grid(alpha=0.3)
    accuracy.legend()
    bars = images.bar(nights, history["images"].fillna(0), color="#8172b3")
    images.bar_label(
        bars,
        [f"{count:.0f}" if count else "nothing trained" for count in history["images"].fillna(0)],
    )
    images.set(xlabel="night", ylabel="images in all")
    images.margins(y=0.2)
    images.xaxis.get_major_locator().set_params(integer=True)
    return figure


def plot_champion_trend(trend: pd.DataFrame) -> Figure:
    """Plot the champion's accuracy on the newest days over time, beside what it was promoted with.

    Args:
        trend: a row per measurement, oldest first: `recorded_at` (ISO 8601), `model_version`,
            `accuracy`, `low`, `high`, `reference` (0 to 1, or NaN) and `alert`.
    """
    trend = trend.assign(time=pd.to_datetime(trend["recorded_at"]).dt.tz_localize(None))
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    axes: Any = figure.subplots()
    reigns = (trend["model_version"] != trend["model_version"].shift()).cumsum()
    for number, (_, reign) in enumerate(trend.groupby(reigns)):
        _draw_reign(axes, reign, is_first=number == 0)
    alerts = trend[trend["alert"].astype(bool)]
    if len(alerts):
        axes.plot(
            *(alerts["time"], alerts["accuracy"], "v"),
            color="#c44e52",
            ms=9,
            label="alert",
            zorder=4,
        )
    missed = trend[trend["accuracy"].isna()]
    if len(missed):
        axes.plot(
            *(missed["time"], np.full(len(missed), 0.02), "x"),
            color="grey",
            transform=axes.get_xaxis_transform(),
            label="not measured",
        )
    _scale_nights(axes, trend["time"])
    axes.set(
        xlabel="night (UTC)",
        ylabel="accuracy",
        title="The champion on the newest labelled days, of patients it was not trained on",
    )
    axes.margins(y=0.12)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=5, frameon=False)
    return figure


def plot_profile(profile: pd.DataFrame, title: str) -> Figure:
    """Plot where the seconds of a run went: a bar per task, in order, from when it was queued.

    Args:
        profile: of `timing.tabulate_profile`.
        title: names the run.
    """
    figure = Figure(figsize=(10, 1.6 + 0.28 * len(profile)), layout="constrained")
    axes = figure.subplots()
    left = profile["at"].to_numpy(float)
    for phase, colour in PHASE_COLOURS.items():
        seconds = profile[phase].to_numpy(float)
        axes.barh(range(len(profile)), seconds, left=left, color=colour, label=phase)
        left = left + seconds
    for row, (end, total) in enumerate(zip(left, profile["total"], strict=True)):
        axes.annotate(f"{total:.1f} s", (end, row), (3, 0), textcoords="offset points", va="center")
    axes.set_yticks(range(len(profile)), profile["task"])
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.set(xlabel="seconds since the first task was queued", title=title)
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside lower center", ncols=len(PHASE_COLOURS), frameon=False)
    return figure


def _scale_nights(axes: Any, times: pd.Series) -> None:
    locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    # Some room at the sides; alone, the first night would stand in a range of years.
    room = max(0.03 * (times.max() - times.min()), pd.Timedelta(minutes=30))
    axes.set_xlim(times.min() - room, times.max() + room)


def _draw_reign(axes: Any, reign: pd.DataFrame, is_first: bool) -> None:
    """Draw the nights of one champion: accuracy, interval, reference, and where it began."""

    def name(text: str) -> str:
        return text if is_first else f"_{text}"  # matplotlib leaves it out of the legend

    times, blue = reign["time"], "#4c72b0"
    axes.fill_between(
        *(times, reign["low"], reign["high"]),
        color=blue,
        alpha=0.18,
        lw=0,
        label=name("interval over patients"),
    )
    axes.vlines(times, reign["low"], reign["high"], color=blue, alpha=0.35, lw=1)
    axes.plot(times, reign["accuracy"], "o-", color=blue, ms=4, label=name("champion"), zorder=3)
    axes.plot(
        *(times, reign["reference"], "--"),
        color="#55a868",
        marker="_",
        label=name("on validation, when promoted"),
    )
    axes.axvline(times.iloc[0], color="grey", lw=1, ls=":")
    axes.annotate(
        f"v{reign['model_version'].iloc[0]}",
        *((times.iloc[0], 1),),
        xycoords=("data", "axes fraction"),
        xytext=(3, -12),
        textcoords="offset points",
        color="grey",
    )


def _draw_sheet(title: str, pixels: npt.NDArray[np.uint8], captions: Sequence[str]) -> Figure:
    rows = max(1, -(-len(captions) // SHEET_COLUMNS))
    figure = Figure(figsize=(2.1 * SHEET_COLUMNS, 2.6 * rows + 0.6), layout="constrained")
    figure.suptitle(title)
    panels: list[Any] = list(np.atleast_1d(figure.subplots(rows, SHEET_COLUMNS)).ravel())
    for axes in panels:
        axes.axis("off")
    for axes, image, caption in zip(panels, pixels, captions, strict=False):
        axes.imshow(image)
        axes.set_title(caption[:90], fontsize=8)
    return figure
