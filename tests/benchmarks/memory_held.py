"""Memory for a held prediction: resident size with a million held against with none. Prints JSON.

    python -m tests.benchmarks.memory_held [--held 1000000]

Keys are UUIDs of 36 bytes, each prediction has a key of its own; binary, with score and one segment. Score maps and
a prediction_id of its own are counted apart: they lie beside the key, 12 bytes a class, 2 bytes and the id. Further
segments cost nothing for each prediction.
"""

from __future__ import annotations

import argparse
import gc
import json

import numpy as np
import psutil

from streams.records import Moment
from tests.benchmarks.join_speed import RECORDS, keys_of, predictions_of, prepared_task, records

KEY_BYTES = 36


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--held", type=int, default=1_000_000)
    held = parser.parse_args().held
    draw = np.random.default_rng(1)
    task, predictions, _ = prepared_task(horizon=10**9)
    strings = task._profiles.strings  # the codes of prepared columns must be the task's own

    def fill(first: int) -> None:
        predictions.columns = predictions_of(keys_of(RECORDS), first, first, strings, draw)
        task.apply([records("predictions", first, RECORDS)], Moment(first, frozenset()))
        predictions.columns = None
        gc.collect()

    process = psutil.Process()
    fill(0)  # compiles, and warms all that is not held
    before, warm = process.memory_info().rss, task.held
    for first in range(RECORDS, held, RECORDS):
        fill(first)
    grown, more = process.memory_info().rss - before, task.held - warm
    print(
        json.dumps(
            {
                "held": task.held,
                "bytes_a_prediction": round(grown / more, 1),
                "bytes_a_prediction_without_its_key": round(grown / more - KEY_BYTES, 1),
                "key_bytes": KEY_BYTES,
            }
        )
    )


if __name__ == "__main__":
    main()
