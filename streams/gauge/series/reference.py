"""The reference of a series: the first values, kept in log order until there are enough of them over enough time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

import detectors
from streams.gauge.series.columns import code
from streams.gauge.series.facts import Reference
from streams.gauge.series.history import Moments
from streams.records import Float64Array, Int64Array
from streams.state import Count, array, shaped

FASTEST = 1000.0
"""Values a second that are assumed where the reference's timestamps are all the same."""
UNKNOWN_RATE = 10.0
"""Values a second that are assumed of a published baseline that does not say."""
BLOCK = 256
"""Values in a row that are kept or left out together: how they follow each other is part of what they tell."""
MOST = 196 * BLOCK
"""Values that a warm-up keeps at the most, 12 bytes each (5 of 0/1 values)."""
HELD = 4096
"""Values of a finished reference that stay, 12 bytes each: what recovery, suspects and later versions need."""

Seconds = npt.NDArray[np.uint32]
_Warming = tuple[Count, Any, Any, Count, Count, int, int]
_Rest = tuple[float, float | None, Reference, Count]


@dataclass(frozen=True, slots=True)
class Sample:
    """A finished reference. `at` is the row that completed it; `rate` is in values a second; `seconds` are the values'
    event times, None where they are not known; `lag_one` is the autocorrelation of consecutive values, None to take
    it from `values` themselves."""

    values: Float64Array
    seconds: Seconds | None
    rate: float
    lag_one: float | None
    origin: Reference
    at: int

    @property
    def moments(self) -> Moments:
        """Of its values."""
        return Moments.of(self.values)

    @property
    def timestamps(self) -> Int64Array | None:
        """Event times in epoch milliseconds, to the second."""
        return None if self.seconds is None else self.seconds.astype(np.int64) * 1000

    def held(self) -> Sample:
        """At most HELD of its values, in blocks spread evenly over it."""
        block = BLOCK // 4
        if len(self.values) <= HELD:
            return self
        blocks = len(self.values) // block
        chosen = np.arange(HELD // block) * blocks // (HELD // block)
        index = (chosen[:, None] * block + np.arange(block)).ravel()
        seconds = None if self.seconds is None else self.seconds[index]
        return replace(self, values=self.values[index], seconds=seconds)

    def tree(self) -> Any:
        """Itself for `streams.state.pack`."""
        return [self.values, self.seconds, self.rate, self.lag_one, self.origin, self.at]


class WarmUp:
    """Collects the first values. Where there come more than MOST, every second block of those kept so far is dropped
    whenever there is no more room, so memory is bounded and the sample covers the whole span evenly."""

    def __init__(self, values: int, span: int, kind: detectors.Kind) -> None:
        self.least = values
        self._span = span
        self._kept: npt.NDArray[Any] = np.empty(0, np.uint8 if kind == "binary" else np.float64)
        self._seconds: Seconds = np.empty(0, np.uint32)
        self._size = 0
        self._seen = 0
        self._stride = 1
        self._first = 0
        self._last = 0

    def take(self, values: Float64Array, timestamps: Int64Array) -> int | None:
        """Take values until the reference is complete: how many that took, or None where all were taken."""
        if not len(values):
            return None
        if self._seen == 0:
            self._first = self._last = int(timestamps[0])
        first = np.minimum.accumulate(np.concatenate(([self._first], timestamps)))[1:]
        last = np.maximum.accumulate(np.concatenate(([self._last], timestamps)))[1:]
        seen = self._seen + 1 + np.arange(len(values))
        complete = np.flatnonzero((seen >= self.least) & (last - first >= self._span))
        taken = int(complete[0]) + 1 if len(complete) else len(values)
        start = 0
        while start < taken:
            start += self._keep(values[start:taken], timestamps[start:taken])
        self._first, self._last = int(first[taken - 1]), int(last[taken - 1])
        return taken if len(complete) else None

    def _keep(self, values: Float64Array, timestamps: Int64Array) -> int:
        """Keep some of the next values; how many were dealt with."""
        cycle = BLOCK * self._stride
        place = self._seen % cycle
        if place >= BLOCK:  # in a block that is left out
            skipped = min(len(values), cycle - place)
            self._seen += skipped
            return skipped
        count = min(len(values), BLOCK - place)
        if self._stride == 1:
            count = min(len(values), MOST - self._size)
        self._room(self._size + count)
        self._kept[self._size : self._size + count] = values[:count]
        seconds = np.clip(timestamps[:count] // 1000, 0, 2**32 - 1)
        self._seconds[self._size : self._size + count] = seconds
        self._size += count
        self._seen += count
        if self._size == MOST:
            for array in (self._kept, self._seconds):
                array[: MOST // 2] = array.reshape(-1, BLOCK)[::2].ravel()
            self._size //= 2
            self._stride *= 2
        return count

    def _room(self, size: int) -> None:
        if size > len(self._kept):
            length = min(MOST, max(size, 2 * len(self._kept)))
            for name in ("_kept", "_seconds"):
                array = getattr(self, name)
                grown = np.empty(length, array.dtype)
                grown[: self._size] = array[: self._size]
                setattr(self, name, grown)

    @property
    def seen(self) -> int:
        """How many values it was given."""
        return self._seen

    @property
    def kept(self) -> int:
        """How many of them it has kept."""
        return self._size

    def sample(self, row: int) -> Sample:
        """The reference, complete at `row`."""
        seconds = (self._last - self._first) / 1000.0
        rate = (self._seen - 1) / seconds if seconds > 0 else FASTEST
        values = self._kept[: self._size].astype(np.float64)
        return Sample(values, self._seconds[: self._size].copy(), rate, None, "self", row)

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        kept, seconds = self._kept[: self._size].copy(), self._seconds[: self._size].copy()
        return [self.least, kept, seconds, self._seen, self._stride, self._first, self._last]

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave."""
        self.least, kept, seconds, self._seen, self._stride, self._first, self._last = shaped(_Warming, tree)
        self._kept = array(kept, self._kept.dtype.str, None)
        self._size = len(self._kept)
        self._seconds = array(seconds, "<u4", self._size)


def baseline_of(profile: Mapping[str, Any], kind: detectors.Kind, row: int) -> Sample | None:
    """A published profile of one subject as a reference; None where it is not one of the series' kind."""
    rate = float(profile.get("rate", UNKNOWN_RATE))
    if kind == "categories":
        counts = profile.get("counts")
        if not counts:
            return None
        codes = [code(str(text)) for text in counts]
        return Sample(np.repeat(codes, [int(n) for n in counts.values()]), None, rate, 0.0, "baseline", row)
    values = np.asarray(profile.get("values", ()), np.float64)
    values = values[np.isfinite(values)]
    return Sample(values, None, rate, profile.get("lag_one"), "baseline", row) if len(values) else None


def sample_of(tree: Any) -> Sample:
    """The sample that Sample.tree gave."""
    values, seconds, *rest = tree
    values = array(values, "<f8", None)
    return Sample(values, None if seconds is None else array(seconds, "<u4", len(values)), *shaped(_Rest, rest))
