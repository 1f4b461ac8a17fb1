"""A consumer of a registered model, in a process of its own: loads it, times it, asks it.

It runs as a script, so that the process has none of this project's code but what the model brings:
``python -I consumer.py MODEL_FOLDER ANSWER_FILE TIMED_CALLS``.
"""

from __future__ import annotations

import hashlib
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

GOLDEN_CELLS = "golden_cells.parquet"
"""File of a logged model: images, and the answers of its network when it was trained."""

DOWNLOAD_NOTE = "registered_model_meta"
"""File that MLflow adds when it fetches a model from the registry: its name and version."""

COUNTERSIGNATURES = "model-*.sig"
"""Signatures of installations that took the model over; see `signature`."""

WARM_UP_CALLS = 2


def consume_model(folder: Path, timed_calls: int) -> dict[str, Any]:
    """Load a model as any consumer would, let it classify its golden cells, and measure it.

    Args:
        folder: the model's files, as they were fetched.
        timed_calls: how often one image is classified to measure the latency; 0 for not at all.

    Returns:
        `model_id`; `files_digest` (see `digest_files`); `load_s` (seconds to
        import the packages that the model needs, and to load it); `latency_ms` (median for one
        image; None without golden cells or timed calls); `size_mb` (of its files, in 10^6 bytes);
        `golden_cells` (how many are stored with it); and `golden_difference` (the largest
        difference between a probability that it answers now and the stored one; None without
        golden cells).
    """
    import mlflow  # noqa: PLC0415 - a consumer pays for it while loading

    began = time.perf_counter()
    model = mlflow.pyfunc.load_model(str(folder))
    load_s = time.perf_counter() - began
    files = [path for path in folder.rglob("*") if path.is_file()]
    golden = next((path for path in files if path.name == GOLDEN_CELLS), None)
    answer = {
        "model_id": model.metadata.model_id,
        "files_digest": digest_files(folder),
        "load_s": load_s,
        "latency_ms": None,
        "size_mb": sum(path.stat().st_size for path in files) / 1e6,
        "golden_cells": 0,
        "golden_difference": None,
    }
    return answer if golden is None else {**answer, **_ask(model, golden, timed_calls)}


def digest_files(folder: Path) -> str:
    """Return one sha256 of the names and contents of all files of a model, in order of name.

    It leaves out what is added later: byte code, MLflow's note (`DOWNLOAD_NOTE`), and signatures of
    installations that took the model over.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        added = path.suffix == ".pyc" or path.name == DOWNLOAD_NOTE or path.match(COUNTERSIGNATURES)
        if path.is_file() and not added:
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            digest.update(f"{path.relative_to(folder).as_posix()} {content}\n".encode())
    return digest.hexdigest()


def _ask(model: Any, golden: Path, timed_calls: int) -> dict[str, Any]:
    import pandas as pd  # noqa: PLC0415

    cells = pd.read_parquet(golden)
    images = cells[["image_name", "image"]]
    probabilities = [name for name in map(str, cells) if name.startswith("probability_")]
    answers = model.predict(images)
    difference = abs(answers[probabilities].to_numpy() - cells[probabilities].to_numpy())
    return {
        "latency_ms": _time(model, images.head(1), timed_calls) if timed_calls else None,
        "golden_cells": len(cells),
        "golden_difference": float(difference.max()),
    }


def _time(model: Any, image: Any, timed_calls: int) -> float:
    """Return the median time of a call, in milliseconds."""
    seconds = []
    for _ in range(WARM_UP_CALLS + timed_calls):
        began = time.perf_counter()
        model.predict(image)
        seconds.append(time.perf_counter() - began)
    return 1000 * statistics.median(seconds[WARM_UP_CALLS:])


def main(model_folder: str, answer_file: str, timed_calls: str) -> None:
    """Consume a model and write the result into a JSON file."""
    answer = consume_model(Path(model_folder), int(timed_calls))
    Path(answer_file).write_text(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
