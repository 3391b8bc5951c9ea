"""What the join costs a record, decoding excluded: prints JSON.

    python -m tests.benchmarks.join_speed [--rounds 20]

Each round applies 10,000 predictions and their 10,000 labels (36-byte keys, ten models, five regions, four
features), and encodes outcomes and journal; at the end the journal is restored from. Decoded columns are made before
the clock starts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import uuid
from typing import Any

import numpy as np

from streams.decode import (
    DecodedLabels,
    DecodedPredictions,
    LabelColumns,
    Packed,
    PredictionColumns,
    Strings,
)
from streams.join import Decoders, JoinSettings, JoinTask, ModelJoin
from streams.outcomes import Listed
from streams.records import Moment, OutputRecord, RecordBatch, TopicPartition

RECORDS = 10_000
MODELS = [f"model-{i}" for i in range(10)]
REGIONS = ["eu", "us", "apac", "latam", "mea"]


def keys_of(number: int) -> Packed:
    """So many random keys of 36 bytes."""
    data = "".join(str(uuid.uuid4()) for _ in range(number)).encode()
    return Packed(np.frombuffer(data, np.uint8).copy(), np.arange(1, number + 1, dtype=np.int64) * 36)


def predictions_of(keys: Packed, first: int, at: int, strings: Strings, draw: np.random.Generator) -> PredictionColumns:
    """Columns of predictions with these keys."""
    n = len(keys.ends)
    models = np.array([strings.code(name) for name in MODELS], np.int32)
    regions = np.array([strings.code(name) for name in REGIONS], np.int32)
    names = np.array([strings.code(name) for name in ("amount", "age", "balance", "country")], np.int32)
    countries = np.array([strings.code(f"c{i}") for i in range(30)], np.int32)
    values, texts = draw.normal(size=(n, 4)), np.full((n, 4), -1, np.int32)
    values[:, 3], texts[:, 3] = np.nan, countries[draw.integers(0, 30, n)]
    features = Listed(np.arange(n + 1, dtype=np.int32) * 4, np.tile(names, n), values.ravel(), texts.ravel())
    absent = np.full(n, -1, np.int32)
    return PredictionColumns(
        place=np.arange(n),
        offset=first + np.arange(n),
        timestamp=at + np.arange(n) // 10,
        label_key=keys,
        prediction_id=None,
        model=models[draw.integers(0, len(models), n)],
        version=np.full(n, strings.code("2026-11-02"), np.int32),
        variant=absent,
        prediction=draw.integers(0, 2, n).astype(float),
        prediction_text=absent,
        score=draw.random(n),
        weight=np.ones(n),
        latency=draw.random(n),
        failed=np.zeros(n, np.uint8),
        segments=regions[draw.integers(0, len(regions), n)][None, :],
        features=features,
        attributions=Listed.empty(n),
        scores=Listed.empty(n),
    )


def labels_of(keys: Packed, first: int, at: int, draw: np.random.Generator) -> LabelColumns:
    """Columns of labels for these keys."""
    n = len(keys.ends)
    return LabelColumns(
        place=np.arange(n),
        offset=first + np.arange(n),
        timestamp=at + np.arange(n) // 10,
        label_key=keys,
        model=np.full(n, -1, np.int32),
        label=draw.integers(0, 2, n).astype(float),
        label_text=np.full(n, -1, np.int32),
        weight=np.full(n, np.nan),
        withdrawn=np.zeros(n, np.uint8),
    )


class Prepared:
    """A decoder that hands out what was prepared."""

    def __init__(self) -> None:
        self.columns: Any = None
        self.strings: Strings | None = None

    def decode(self, batch: RecordBatch, strings: Strings) -> Any:
        self.strings = strings
        made = DecodedPredictions if isinstance(self.columns, PredictionColumns) else DecodedLabels
        return made(self.columns)


def prepared_task(horizon: int = 60_000) -> tuple[JoinTask, Prepared, Prepared]:
    """A join task of one partition and its two decoders."""
    predictions, labels = Prepared(), Prepared()
    decoders = Decoders(predictions, labels, lambda *_: OutputRecord("dead-letters", None, None))
    settings = JoinSettings(decoders, segment_keys=("region",), default=ModelJoin(horizon, horizon))
    return JoinTask(settings, 0, 2), predictions, labels


def records(topic: str, first: int, n: int) -> RecordBatch:
    """A batch of n records whose bytes nobody reads."""
    return RecordBatch(TopicPartition(topic, 0), first + np.arange(n), np.zeros(n, np.int64), [b""] * n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    draw = np.random.default_rng(1)
    task, predictions, labels = prepared_task()
    strings = task._profiles.strings  # the codes of prepared columns must be the task's own
    spent, outcomes, blocks = [], 0, []
    for turn in range(rounds + 2):
        keys = keys_of(RECORDS)
        first, at = turn * RECORDS, turn * 1_000
        predictions.columns = predictions_of(keys, first, at, strings, draw)
        labels.columns = labels_of(keys, first, at + 500, draw)
        batches = [records("predictions", first, RECORDS), records("labels", first, RECORDS)]
        start = time.process_time()
        step = task.apply(batches, Moment(at, frozenset()))
        spent.append((time.process_time() - start) / (2 * RECORDS))
        outcomes += sum(len(each.value or b"") for each in step.outputs)
        blocks += step.journal
    total = (rounds + 2) * 2 * RECORDS
    again, *_ = prepared_task()
    start = time.process_time()
    again.restore(blocks, {})
    restoring = time.process_time() - start
    assert again.held == task.held
    print(
        json.dumps(
            {
                "microseconds_a_record": round(statistics.median(spent[2:]) * 1e6, 3),
                "records_a_round": 2 * RECORDS,
                "rounds": rounds,
                "outcomes_bytes_a_record": round(outcomes / total, 1),
                "journal_bytes_a_record": round(sum(map(len, blocks)) / total, 1),
                "restored_records_a_second": round(total / restoring),
                "held": task.held,
            }
        )
    )


if __name__ == "__main__":
    main()
