"""Which kind of task a model does, where the configuration says `auto`: decided once, at the 1,000th outcome."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

import numpy as np

from streams.outcomes import NONE, Kind, Rows
from streams.state import Count, shaped

TaskType = Literal["binary", "multiclass", "regression"]
DECIDED_AT = 1000
MOST_CLASSES = 20


class _State(TypedDict):
    outcomes: Count
    numbers: list[float]
    texts: list[str]
    fractional: bool
    task: TaskType | None


class TaskDecision:
    """Watches first labels: non-integers or more than 20 values are regression, more than 2 classes multiclass,
    else binary. Predictions count too: a model that predicts 3.7 regresses, whatever its labels look like."""

    def __init__(self) -> None:
        self._outcomes = 0
        self._values: set[float | str] = set()
        self._fractional = False
        self.task: TaskType | None = None

    def watch(self, rows: Rows) -> int | None:
        """Look at the next rows. Returns the position of the row that decides, or None; ask no more after that."""
        at = np.flatnonzero((rows.kind == Kind.OUTCOME) & (rows.refers_to == NONE))
        missing = DECIDED_AT - self._outcomes
        decided = len(at) >= missing
        at = at[:missing]
        self._outcomes += len(at)
        for numbers, texts in ((rows.label, rows.label_text), (rows.prediction, rows.prediction_text)):
            values = np.unique(numbers[at])
            values = values[~np.isnan(values)]
            self._fractional = self._fractional or bool(np.any(values != np.floor(values)))
            if len(self._values) <= MOST_CLASSES:
                self._values.update(values[: MOST_CLASSES + 1].tolist())
                codes = np.unique(texts[at])
                self._values.update(rows.strings[code] for code in codes[codes >= 0][: MOST_CLASSES + 1])
        if not decided:
            return None
        self.task = self._decide()
        return int(at[-1])

    def _decide(self) -> TaskType:
        if self._fractional or len(self._values) > MOST_CLASSES:
            return "regression"
        return "multiclass" if len(self._values) > 2 else "binary"

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        numbers = sorted(value for value in self._values if isinstance(value, float))
        texts = sorted(value for value in self._values if isinstance(value, str))
        return {
            "outcomes": self._outcomes,
            "numbers": numbers,
            "texts": texts,
            "fractional": self._fractional,
            "task": self.task,
        }

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave."""
        tree = shaped(_State, tree)
        self._outcomes = tree["outcomes"]
        self._values = {*(float(value) for value in tree["numbers"]), *tree["texts"]}
        self._fractional = tree["fractional"]
        self.task = tree["task"]
