"""Replay real capture days through the screening: false alarms, and what of bad batches it holds.

    python benchmarks/screening.py --images FOLDER --cache FOLDER

The folder holds `<label>/<name>.png` of the NIH malaria set. Each day is screened against all
earlier ones, by a champion trained on earlier days alone; then the same day's batch is spoilt in
every way of `KINDS` and screened again. A second part knows one half of the patients and screens
each patient of the other half, for rates that no limit was chosen on. What is slow is kept in the
cache: a second run takes seconds to a minute.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import yaml
from matplotlib import colors
from matplotlib import pyplot as plt
from scipy.ndimage import gaussian_filter, uniform_filter
from sklearn.datasets import load_sample_images

from image_classification import vision
from image_classification.intake import statistic
from image_classification.intake.screening import Evidence, ScreeningParameters, screen_batch
from image_classification.intake.statistic import STATISTICS
from image_classification.local.synthetic import make_cells

PARAMETERS = Path(__file__).parents[1] / "conf" / "base" / "parameters_data_processing.yml"
LIMITS: ScreeningParameters = yaml.safe_load(PARAMETERS.read_text())["data_processing"]["screening"]
CLASS_NAMES = ["Parasitized", "Uninfected"]
SIZE_PX = 64
TRAINING = {
    "epochs": 8,
    "batch_size": 64,
    "precision": "auto",
    "learning_rate": 0.003,
    "weight_decay": 0.01,
    "label_smoothing": 0.05,
    "seed": 20150601,
}
FIRST_CHAMPION_IMAGES = 700
GROWTH = 1.35
"""A new champion is trained when the images have grown by this factor since the last."""

TRAIN_SHARE = 0.65
REFERENCE_IMAGES = 3000
PATIENT_IMAGES = 60
"""Images of a patient in a spoilt batch: as small as real batches come."""

CHECKS = {
    "blank": "blank_share",
    "look": "look_distance",
    "embedding": "embedding_distance",
    "strange": "strange_share",
    "labels": "contradiction_share",
}

Pixels = np.ndarray
Spoiler = Callable[[Pixels, np.random.Generator], Pixels]


def turn_hue(degrees: float) -> Spoiler:
    def spoil(pixels: Pixels, _: np.random.Generator) -> Pixels:
        hsv = colors.rgb_to_hsv(pixels / np.float32(255))
        hsv[..., 0] = (hsv[..., 0] + degrees / 360) % 1
        return (colors.hsv_to_rgb(hsv) * 255).round().astype(np.uint8)

    return spoil


def scale_light(factor: float) -> Spoiler:
    return lambda pixels, _: np.clip(pixels * factor, 0, 255).astype(np.uint8)


def fill(level: int) -> Spoiler:
    return lambda pixels, _: np.full_like(pixels, level)


def mix(spoil: Spoiler, share: float) -> Spoiler:
    def spoil_some(pixels: Pixels, random: np.random.Generator) -> Pixels:
        mixed = pixels.copy()
        chosen = random.permutation(len(pixels))[: round(share * len(pixels))]
        mixed[chosen] = spoil(pixels[chosen], random)
        return mixed

    return spoil_some


def swap_red_and_blue(pixels: Pixels, _: np.random.Generator) -> Pixels:
    return pixels[..., ::-1].copy()


def invert(pixels: Pixels, _: np.random.Generator) -> Pixels:
    return np.where(pixels.max(3, keepdims=True) > 0, 255 - pixels, 0).astype(np.uint8)


def defocus(pixels: Pixels, _: np.random.Generator) -> Pixels:
    return uniform_filter(pixels, size=(1, 5, 5, 1))


def make_noise(pixels: Pixels, random: np.random.Generator) -> Pixels:
    return random.integers(0, 256, pixels.shape, np.uint8)


def make_textures(pixels: Pixels, random: np.random.Generator) -> Pixels:
    images = np.empty(pixels.shape, np.float32)
    for image in images:
        width = random.uniform(1, 6)
        field = gaussian_filter(random.normal(size=image.shape), (width, width, 0))
        image[:] = field / field.std() * 40 + random.uniform(60, 200, 3)
    return np.clip(images, 0, 255).astype(np.uint8)


def make_gradients(pixels: Pixels, random: np.random.Generator) -> Pixels:
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX] / SIZE_PX
    angle = random.uniform(0, 2 * np.pi, (len(pixels), 1, 1))
    place = (np.cos(angle) * x + np.sin(angle) * y + 1) / 2.5
    start, end = random.uniform(0, 255, (2, len(pixels), 1, 1, 3))
    return np.clip(start + (end - start) * place[..., None], 0, 255).astype(np.uint8)


def cut_photographs(pixels: Pixels, random: np.random.Generator) -> Pixels:
    photographs = load_sample_images().images
    images = np.empty_like(pixels)
    for image in images:
        photograph = photographs[random.integers(len(photographs))]
        top = random.integers(photograph.shape[0] - 2 * SIZE_PX)
        left = random.integers(photograph.shape[1] - 2 * SIZE_PX)
        image[:] = photograph[top : top + 2 * SIZE_PX : 2, left : left + 2 * SIZE_PX : 2]
    return images


KINDS: dict[str, Spoiler] = {
    "hue turned by 30 degrees": turn_hue(30),
    "hue turned back by 30 degrees": turn_hue(-30),
    "hue turned by 60 degrees": turn_hue(60),
    "hue turned by 90 degrees": turn_hue(90),
    "hue turned by 180 degrees": turn_hue(180),
    "red and blue swapped": swap_red_and_blue,
    "light x 0.7": scale_light(0.7),
    "light x 1.3": scale_light(1.3),
    "inverted": invert,
    "out of focus": defocus,
    "black": fill(0),
    "white": fill(255),
    "grey": fill(128),
    "20 % grey": mix(fill(128), 0.2),
    "noise": make_noise,
    "textures": make_textures,
    "gradients": make_gradients,
    "photographs": cut_photographs,
    "half: hue turned by 90 degrees": mix(turn_hue(90), 0.5),
    "half: hue turned by 180 degrees": mix(turn_hue(180), 0.5),
    "half: textures": mix(make_textures, 0.5),
    "half: photographs": mix(cut_photographs, 0.5),
    "half: light x 0.7": mix(scale_light(0.7), 0.5),
}
SYNTHETIC = "synthetic cells"
LABEL_KINDS = {
    "labels: all swapped": 1.0,
    "labels: half swapped": 0.5,
    "labels: a third swapped": 1 / 3,
}
HONEST = "honest"


def read_table(images: Path, csv: Path | None) -> pd.DataFrame:
    """Return `name`, `label`, `patient`, `captured_on`, from the table or from the names alone."""
    if csv:
        table = pd.read_csv(csv)[["name", "label", "patient", "captured_on"]]
    else:
        paths = sorted(path for label in CLASS_NAMES for path in (images / label).glob("*.png"))
        table = pd.DataFrame({"name": p.name, "label": p.parent.name} for p in paths)
        table["patient"] = table["name"].str.extract(r"^(C\d+)")
        table["captured_on"] = table["name"].str.extract(r"IMG_(\d{8})")
    table["captured_on"] = pd.to_datetime(table["captured_on"].astype(str)).dt.date.astype(str)
    table = table.sort_values(["captured_on", "patient", "name"], ignore_index=True)
    shuffled = table.sample(frac=1, random_state=0)
    table["rank"] = shuffled.groupby("patient").cumcount()
    return table


def pack(images: Path, table: pd.DataFrame) -> Pixels:
    paths = [
        images / label / name for label, name in zip(table["label"], table["name"], strict=True)
    ]
    return vision.decode_images([path.read_bytes() for path in paths], SIZE_PX)


def place(name: str) -> float:
    """Return a number from 0 to 1 that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) / 2**64


class Store:
    """What is slow to compute, kept in a folder."""

    def __init__(self, cache: Path, table: pd.DataFrame, images: Path) -> None:
        cache.mkdir(parents=True, exist_ok=True)
        self.cache, self.table = cache, table
        self.networks: dict[str, Any] = {}
        self.pixels: Pixels = self.keep("pixels", lambda: [pack(images, table)])[0]
        self.few = np.flatnonzero(table["rank"] < PATIENT_IMAGES)

    def keep(self, name: str, make: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
        """Return what `make` gives, from the folder where it is there."""
        path = self.cache / f"{re.sub(r'[^a-z0-9]+', '_', name.lower())}.npz"
        if not path.exists():
            np.savez(path, *make())
        with np.load(path) as stored:
            return [stored[key] for key in stored.files]

    def champion(self, name: str, known: np.ndarray) -> Any:
        """Return a network trained on the images `known` of most patients."""
        if name not in self.networks:
            self.networks[name] = self.train(name, known)
        return self.networks[name]

    def train(self, name: str, known: np.ndarray) -> Any:
        """Return the network of the folder, trained where it is not there."""
        path = self.cache / f"champion_{name}.keras"
        if not path.exists():
            started = time.monotonic()
            chosen = self.table["patient"].map(lambda patient: place(patient) < TRAIN_SHARE)
            trained = np.flatnonzero(known & chosen)
            others = np.flatnonzero(known & ~chosen)[:64]
            targets = (self.table["label"] == CLASS_NAMES[1]).to_numpy(int)
            build = partial(vision.build_network, "small", SIZE_PX, 2, 0.2)
            data = [(self.pixels[rows], targets[rows]) for rows in (trained, others)]
            network, *_ = vision.fit_network(build, *data, **TRAINING)
            network.save(path)
            print(
                f"{path.name}: {len(trained)} images, {time.monotonic() - started:.0f} s",
                flush=True,
            )
        return vision.load_network(path)

    def spoil(self, kind: str) -> tuple[Pixels, np.ndarray]:
        """Return the pixels of the rows `few` spoilt, patient by patient, and their labels."""
        labels = self.table["label"].to_numpy(object)[self.few]
        spoilt = self.pixels[self.few]
        patients = pd.factorize(self.table["patient"].to_numpy()[self.few])[0]
        if kind == SYNTHETIC:
            cells = read_table(self.draw_cells(), None)
            drawn = pack(self.draw_cells(), cells)
            spots = patients % 30 * PATIENT_IMAGES + self.table["rank"].to_numpy()[self.few]
            return drawn[spots], cells["label"].to_numpy(object)[spots]
        for patient in np.unique(patients):
            own = np.flatnonzero(patients == patient)
            spoilt[own] = KINDS[kind](spoilt[own], np.random.default_rng([len(kind), patient]))
        return spoilt, labels

    def draw_cells(self) -> Path:
        """Return the folder of the synthetic cells of 30 patients."""
        folder = self.cache / "synthetic"
        if not folder.exists():
            make_cells(folder, range(1, 31), PATIENT_IMAGES)
        return folder

    def outputs(self, champion: str, known: np.ndarray) -> list[np.ndarray]:
        """Return a champion's probabilities and embeddings of all images."""
        return self.keep(
            f"honest {champion}",
            lambda: list(vision.embed_pixels(self.champion(champion, known), self.pixels)),
        )


@dataclass(frozen=True)
class Case:
    """A batch, what is known when it comes, and the champion that judges it."""

    name: str
    rows: np.ndarray
    known: np.ndarray
    champion: str


def list_days(table: pd.DataFrame, champions: dict[str, np.ndarray]) -> list[Case]:
    """Return a case per day; fill `champions` with the rows that each is made from."""
    days, cases, latest = table["captured_on"].to_numpy(str), [], ""
    for day in np.unique(days):
        known = days < day
        size = champions[latest].sum() if latest else FIRST_CHAMPION_IMAGES / GROWTH
        if known.sum() >= size * GROWTH:
            latest = day
            champions[day] = known
        cases.append(Case(day, np.flatnonzero(days == day), known, latest))
    return cases


def list_unseen(table: pd.DataFrame, champions: dict[str, np.ndarray]) -> list[Case]:
    """Return a case per patient, judged by what is known of the other half of the patients."""
    halves = table["patient"].map(lambda patient: place(f"half {patient}") < 0.5).to_numpy()
    champions |= {"first_half": halves, "second_half": ~halves}
    cases = []
    for patient, rows in table.groupby("patient").indices.items():
        first = bool(halves[rows[0]])
        name = "second_half" if first else "first_half"
        cases.append(Case(str(patient), rows, ~halves if first else halves, name))
    return cases


class Trial:
    """Screens the cases, honest and spoilt."""

    def __init__(self, store: Store, cases: list[Case], champions: dict[str, np.ndarray]) -> None:
        self.store, self.cases, self.champions = store, cases, champions
        code = inspect.getsource(statistic._describe_chunk).encode()
        self.version = hashlib.sha256(code).hexdigest()[:8]
        self.statistics = store.keep(
            f"statistics honest {self.version}",
            lambda: [statistic.describe_pixels(store.pixels).to_numpy()],
        )[0]
        self.outputs = {name: store.outputs(name, known) for name, known in champions.items()}

    def collect(self, rows: np.ndarray, champion: str) -> Evidence:
        """Return what is known of honest images."""
        outputs = self.outputs.get(champion)
        return self.tell(
            self.store.table.iloc[rows],
            self.statistics[rows],
            *([values[rows] for values in outputs] if outputs else [None, None]),
        )

    def tell(
        self,
        table: pd.DataFrame,
        statistics: np.ndarray,
        probabilities: np.ndarray | None,
        embeddings: np.ndarray | None,
    ) -> Evidence:
        """Return images and what is measured of them in the form the screening takes."""
        images = table.rename(columns={"name": "image_id"}).reset_index(drop=True)
        images[list(STATISTICS)] = statistics
        return Evidence(images, CLASS_NAMES, embeddings, probabilities)

    def sample_known(self, case: Case) -> Evidence:
        """Return the reference: as many images of each known patient."""
        most = REFERENCE_IMAGES // max(1, self.store.table["patient"][case.known].nunique())
        return self.collect(
            np.flatnonzero(case.known & (self.store.table["rank"] < most)), case.champion
        )

    def run(self, kind: str) -> list[dict[str, Any]]:
        """Screen every case with its batch spoilt in one way, or honest."""
        make = self.spoil(kind) if kind in (*KINDS, SYNTHETIC) else None
        results = []
        for case in self.cases:
            if kind != HONEST and not case.champion:
                continue
            batch = make(case) if make else self.collect(case.rows, case.champion)
            if kind in LABEL_KINDS:
                batch = swap_labels(batch, LABEL_KINDS[kind])
            started = time.perf_counter()
            screened = screen_batch(batch, self.sample_known(case), LIMITS)
            results.append(
                {"case": case.name, "kind": kind, "held": screened.held}
                | {"patients": batch.images["patient"].nunique(), "judged": not screened.notes}
                | {"reasons": screened.reasons, "seconds": time.perf_counter() - started}
                | screened.numbers
            )
        return results

    def spoil(self, kind: str) -> Callable[[Case], Evidence]:
        """Return what gives the spoilt batch of a case."""
        few, table = self.store.few, self.store.table
        judges = np.full(len(table), "", object)
        for case in self.cases:
            judges[case.rows] = case.champion
        name = f"{'-'.join(sorted(self.champions))[:40]} {kind}"
        statistics, labels = self.store.keep(
            f"statistics {kind} {self.version}",
            lambda: describe(*self.store.spoil(kind)),
        )
        outputs = self.store.keep(name, lambda: self.embed(self.store.spoil(kind)[0], judges[few]))

        def collect(case: Case) -> Evidence:
            places = np.flatnonzero(np.isin(few, case.rows))
            rows = table.iloc[few[places]].assign(label=labels[places].astype(object))
            return self.tell(rows, statistics[places], outputs[0][places], outputs[1][places])

        return collect

    def embed(self, pixels: Pixels, judges: np.ndarray) -> list[np.ndarray]:
        """Return probabilities and embeddings of each image by the champion that judges it."""
        probabilities = np.zeros((len(pixels), 2), np.float32)
        embeddings = np.zeros((len(pixels), 96), np.float32)
        for champion, known in self.champions.items():
            rows = np.flatnonzero(judges == champion)
            network = self.store.champion(champion, known)
            probabilities[rows], embeddings[rows] = vision.embed_pixels(network, pixels[rows])
        return [probabilities, embeddings]


def describe(pixels: Pixels, labels: np.ndarray) -> list[np.ndarray]:
    """Return the statistics and the labels in the form they are stored in."""
    return [statistic.describe_pixels(pixels).to_numpy(), labels.astype(str)]


def swap_labels(batch: Evidence, share: float) -> Evidence:
    """Return the batch with a share of each patient's labels turned to the other class."""
    images, random = batch.images.copy(), np.random.default_rng(len(batch.images))
    other = dict(zip(CLASS_NAMES, CLASS_NAMES[::-1], strict=True))
    for rows in images.groupby("patient").indices.values():
        chosen = random.permutation(rows)[: round(share * len(rows))]
        labels = images["label"].to_numpy(object, copy=True)
        labels[chosen] = [other[label] for label in labels[chosen]]
        images["label"] = labels
    return replace(batch, images=images)


def measure(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row per kind: batches, the share held, and the share that each check holds."""
    judged = table[table["judged"]]
    fired = pd.DataFrame(
        {check: judged[name] > find_limit(judged, check) for check, name in CHECKS.items()}
    )
    rates = fired.assign(held=judged["held"]).groupby(judged["kind"], sort=False).mean()
    return rates[["held", *CHECKS]].assign(batches=judged.groupby("kind").size())


def find_limit(table: pd.DataFrame, check: str) -> float:
    return float(table[f"limit_maximum_{CHECKS[check]}"].iloc[0])


def print_rates(title: str, rates: pd.DataFrame) -> None:
    print(f"\n### {title}\n")
    print("| batch | batches | held | " + " | ".join(f"by {check}" for check in CHECKS) + " |")
    print("|---|---:|---:|" + "---:|" * len(CHECKS))
    for kind, row in rates.iterrows():
        shares = " | ".join(f"{row[name]:.0%}" for name in ("held", *CHECKS))
        print(f"| {kind} | {row['batches']:.0f} | {shares} |")


def print_alarms(table: pd.DataFrame) -> None:
    honest = table[table["kind"] == HONEST]
    held = honest[honest["held"]]
    print(
        f"\n{len(honest)} honest batches: {(~honest['judged']).sum()} not judged, {len(held)} held."
    )
    for _, row in held.iterrows():
        print(f"- {row['case']} ({row['images']:.0f} images): {' '.join(row['reasons'])}")
    print("\nThe largest of honest batches: ")
    for name in CHECKS.values():
        top = honest[honest["judged"]].nlargest(5, name)
        print(f"- {name}: " + ", ".join(f"{r['case']} {r[name]:.2f}" for _, r in top.iterrows()))


def tune_on_half(table: pd.DataFrame, margin: float = 1.15) -> pd.DataFrame:
    """Choose each limit on one half of the cases, by honest ones alone; measure on the other.

    The limit is the largest value of an honest batch of the first half, times `margin`.
    """
    judged = table[table["judged"]].copy()
    half = judged["case"].map(lambda name: place(f"tune {name}") < 0.5)
    rates = []
    for tuned_on in (half, ~half):
        honest, rest = judged[tuned_on & (judged["kind"] == HONEST)], judged[~tuned_on]
        fired = pd.DataFrame(
            {check: rest[name] > honest[name].max() * margin for check, name in CHECKS.items()}
        )
        rates.append(fired.assign(held=fired.any(axis=1), kind=rest["kind"]))
    both = pd.concat(rates)
    sizes = both.groupby("kind").size()
    return both.groupby("kind", sort=False).mean()[["held", *CHECKS]].assign(batches=sizes)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw what each check measures, a row per kind, with the limit."""
    mpl.use("Agg")
    judged = table[table["judged"]]
    kinds = list(judged["kind"].unique())[::-1]
    figure, axes = plt.subplots(1, len(CHECKS), figsize=(20, 0.32 * len(kinds) + 1.5), sharey=True)
    for axis, (check, name) in zip(axes, CHECKS.items(), strict=True):
        for place_, kind in enumerate(kinds):
            values = judged.loc[judged["kind"] == kind, name]
            colour = "tab:blue" if kind == HONEST else "tab:red"
            axis.plot(values, np.full(len(values), place_), "|", color=colour, markersize=9)
        axis.axvline(find_limit(judged, check), color="black", linestyle="--", linewidth=1)
        axis.set(title=check, xlabel=name, yticks=range(len(kinds)), yticklabels=kinds)
        if name.endswith("distance"):
            axis.set_xscale("symlog")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="folder <label>/<name>.png")
    parser.add_argument("--csv", type=Path, help="name, label, patient, captured_on")
    parser.add_argument("--cache", type=Path, default=Path(".local/screening"))
    parser.add_argument(
        "--output", type=Path, help="folder of the PNG and JSON; default: the cache"
    )
    arguments = parser.parse_args()
    output = arguments.output or arguments.cache
    store = Store(arguments.cache, read_table(arguments.images, arguments.csv), arguments.images)
    for name, list_cases in (("days", list_days), ("unseen patients", list_unseen)):
        champions: dict[str, np.ndarray] = {}
        trial = Trial(store, list_cases(store.table, champions), champions)
        kinds = [HONEST, *LABEL_KINDS, *KINDS, SYNTHETIC]
        table = pd.DataFrame([result for kind in kinds for result in trial.run(kind)])
        print_rates(f"{name}, limits as by default", measure(table))
        print_alarms(table)
        print_rates(f"{name}, limits chosen on the other half", tune_on_half(table))
        print(f"\nSlowest screening: {table['seconds'].max():.2f} s")
        stem = output / f"screening_{name.replace(' ', '_')}"
        draw(table, stem.with_suffix(".png"))
        stem.with_suffix(".json").write_text(json.dumps(table.to_dict("records"), default=str))


if __name__ == "__main__":
    main()
