"""Does a figure rise? Theil and Sen's slope, in per cent of the figure's own level an hour, with its interval.

Samples close in time resemble each other, which would make an interval look narrower than it is: the slope is taken
over the medians of whole minutes, of what is a least already over their least (P. K. Sen, 1968: "Estimates of the
regression coefficient based on Kendall's tau").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

LIMIT = 1.0  # per cent an hour
LEVEL = 0.95
Verdict = Literal["under", "over", "cannot be told"]


@dataclass(frozen=True, slots=True)
class Slope:
    """A figure over time. `level` is its median; `percent`, `low` and `high` are in per cent of it an hour."""

    name: str
    unit: str
    level: float
    first: float  # medians over the first and the last tenth of the minutes
    last: float
    percent: float
    low: float
    high: float
    minutes: int

    @property
    def verdict(self) -> Verdict:
        """Under the limit or over it, where the whole interval is on one side."""
        if self.high < LIMIT:
            return "under"
        return "over" if self.low > LIMIT else "cannot be told"


def slope(name: str, unit: str, seconds: Sequence[float], values: Sequence[float]) -> Slope:
    """The slope of `values` at `seconds`, at least two minutes of them; NaN is a sample without a value."""
    of_minute = np.min if name.endswith("_least") else np.median
    at, found = by_minute(np.asarray(seconds, dtype=np.float64), np.asarray(values, dtype=np.float64), of_minute)
    assert found.size >= 2, f"{name}: a slope needs two minutes of samples"
    level = float(np.median(found))
    per_hour, _, low, high = stats.theilslopes(found, at / 3600, alpha=LEVEL)
    scale = 100 / level if level else 0.0  # a figure that is 0 half of the time has no slope to speak of
    tenth = max(1, found.size // 10)
    return Slope(
        name=name,
        unit=unit,
        level=level,
        first=float(np.median(found[:tenth])),
        last=float(np.median(found[-tenth:])),
        percent=float(per_hour) * scale,
        low=float(low) * scale,
        high=float(high) * scale,
        minutes=int(found.size),
    )


def by_minute(
    seconds: np.ndarray, values: np.ndarray, of_minute: Callable[[np.ndarray], float]
) -> tuple[np.ndarray, np.ndarray]:
    """The middle of every minute that has a value, and the one value that stands for the minute."""
    there = ~np.isnan(values)
    minutes = (seconds[there] // 60).astype(np.int64)
    kept = np.unique(minutes)
    found = [float(of_minute(values[there][minutes == minute])) for minute in kept]
    return 60.0 * kept + 30.0, np.array(found)
