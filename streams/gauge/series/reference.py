"""The reference of a series: the first values, kept in log order until there are enough of them over enough time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import detectors
from streams.gauge.series.columns import code
from streams.gauge.series.facts import Reference
from streams.gauge.series.history import Moments
from streams.records import Float64Array, Int64Array

FASTEST = 1000.0
"""Values a second that are assumed where the reference's timestamps are all the same."""
UNKNOWN_RATE = 10.0
"""Values a second that are assumed of a published baseline that does not say."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A finished reference. `at` is the row that completed it; `rate` is in values a second; `lag_one` is the
    autocorrelation of consecutive values, None to take it from `values` themselves."""

    values: Float64Array
    rate: float
    lag_one: float | None
    origin: Reference
    at: int

    @property
    def moments(self) -> Moments:
        """Of its values."""
        return Moments.of(self.values)


class WarmUp:
    """Collects the first values. Where `span` makes it wait, every second value kept so far is dropped whenever there
    are twice as many as asked for, so memory is bounded and the sample covers the whole span evenly."""

    def __init__(self, values: int, span: int) -> None:
        self._least = values
        self._span = span
        self._kept: Float64Array = np.empty(0)
        self._seen = 0
        self._stride = 1
        self._first = 0
        self._last = 0
        self._lag_one: float | None = None

    def take(self, values: Float64Array, timestamps: Int64Array, kind: detectors.Kind) -> int | None:
        """Take values until the reference is complete: how many that took, or None where all were taken."""
        if not len(values):
            return None
        if self._seen == 0:
            self._first = self._last = int(timestamps[0])
        first = np.minimum.accumulate(np.concatenate(([self._first], timestamps)))[1:]
        last = np.maximum.accumulate(np.concatenate(([self._last], timestamps)))[1:]
        seen = self._seen + 1 + np.arange(len(values))
        complete = np.flatnonzero((seen >= self._least) & (last - first >= self._span))
        taken = int(complete[0]) + 1 if len(complete) else len(values)
        start = 0
        while start < taken:  # cut where the sample is thinned out or its correlation is taken
            room = (2 * self._least - len(self._kept)) * self._stride
            stop = min(taken, start + max(room, 1))
            if self._seen + start < self._least:
                stop = min(stop, self._least - self._seen)
            self._keep(values[start:stop], kind)
            start = stop
        self._first, self._last = int(first[taken - 1]), int(last[taken - 1])
        return taken if len(complete) else None

    def _keep(self, values: Float64Array, kind: detectors.Kind) -> None:
        self._kept = np.concatenate([self._kept, values[-self._seen % self._stride :: self._stride]])
        self._seen += len(values)
        if self._seen == self._least:
            self._lag_one = detectors.lag_one_autocorrelation(self._kept, kind)
        if len(self._kept) >= 2 * self._least:
            self._kept = self._kept[::2].copy()
            self._stride *= 2

    def sample(self, row: int) -> Sample:
        """The reference, complete at `row`."""
        seconds = (self._last - self._first) / 1000.0
        rate = (self._seen - 1) / seconds if seconds > 0 else FASTEST
        return Sample(self._kept, rate, self._lag_one, "self", row)

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        return [self._kept, self._seen, self._stride, self._first, self._last, self._lag_one]

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave."""
        self._kept, self._seen, self._stride, self._first, self._last, self._lag_one = tree


def baseline_of(profile: Mapping[str, Any], kind: detectors.Kind, row: int) -> Sample | None:
    """A published profile of one subject as a reference; None where it is not one of the series' kind."""
    rate = float(profile.get("rate", UNKNOWN_RATE))
    if kind == "categories":
        counts = profile.get("counts")
        if not counts:
            return None
        codes = [code(str(text)) for text in counts]
        return Sample(np.repeat(codes, [int(n) for n in counts.values()]), rate, 0.0, "baseline", row)
    values = np.asarray(profile.get("values", ()), np.float64)
    values = values[np.isfinite(values)]
    return Sample(values, rate, profile.get("lag_one"), "baseline", row) if len(values) else None


def sample_tree(sample: Sample | None) -> Any:
    """A sample for `streams.state.pack`."""
    return None if sample is None else [sample.values, sample.rate, sample.lag_one, sample.origin, sample.at]


def sample_of(tree: Any) -> Sample | None:
    """The sample that sample_tree gave."""
    return None if tree is None else Sample(*tree)
