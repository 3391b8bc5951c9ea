"""The rows of the outcomes topic, read with pyarrow, without the application's code; and what is raised where something
that must hold does not.

Messages are Arrow IPC streams whose columns may be left out where every value is missing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

PREDICTED, OUTCOME, RETRACTED, UNLABELLED, COUNT, TICK, CONTROL = range(7)
_NUMBERS = ("number", "refers_to", "timestamp", "prediction_offset", "label_offset")
_OTHERS = (
    *("prediction", "label", "weight", "score", "scores", "prediction_text", "label_text"),
    *("model", "version", "variant"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the outcomes topic. `prediction` and `label` are the number, or else the text, of a class; `score` is a
    number, or what is said of each class."""

    kind: int
    number: int
    refers_to: int
    timestamp: int
    prediction_offset: int
    label_offset: int
    prediction: float | str | None
    label: float | str | None
    weight: float
    score: float | dict[str, float] | None
    model: str | None
    version: str | None
    variant: str | None
    region: str | None
    counter: int
    payload: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the outcomes topic."""

    task: int
    commit: int
    rows: list[Row]


def read_message(value: bytes) -> Message:
    """Read one message."""
    reader = pa.ipc.open_stream(pa.py_buffer(value))
    told = {name.decode(): text.decode() for name, text in reader.schema.metadata.items()}
    batch = reader.read_next_batch()
    size = int(told["streamgauge.rows"])
    columns = {name: column.to_pylist() for name, column in zip(batch.schema.names, batch.columns, strict=True)
               if name in {"kind", "payload", "counter", "segment.region", *_NUMBERS, *_OTHERS}}  # fmt: skip

    def of(name: str, missing: Any = None) -> list[Any]:
        return columns.get(name) or [missing] * size

    numbers = [of(name, -1) for name in _NUMBERS]
    classes = [
        [text if text is not None else number for text, number in zip(of(f"{name}_text"), of(name), strict=True)]
        for name in ("prediction", "label")
    ]
    scores = [
        {each["name"]: each["value"] for each in several} if several else score
        for several, score in zip(of("scores"), of("score"), strict=True)
    ]
    names = [of(name) for name in ("model", "version", "variant", "segment.region")]
    payloads = [json.loads(data) if data and kind in {TICK, CONTROL} else None
                for data, kind in zip(of("payload"), of("kind", 0), strict=True)]  # fmt: skip
    others = [of("counter", -1), payloads]
    columns_of_rows = [of("kind", 0), *numbers, *classes, of("weight", 1.0), scores, *names, *others]
    rows = [Row(*each) for each in zip(*columns_of_rows, strict=True)]
    return Message(int(told["streamgauge.join_task"]), int(told["streamgauge.commit"]), rows)


class Violation(AssertionError):
    """What must hold does not. `checker` names what found it."""

    def __init__(self, checker: str, text: str) -> None:
        super().__init__(f"{checker}: {text}")
        self.checker = checker
