"""Does a figure rise? Theil and Sen's slope, in per cent of the figure's own level an hour, with its interval.

Samples close in time resemble each other, which would make an interval look narrower than it is: the slope is taken
over the medians of whole minutes, of what is a least already over their least, of times over their means, in which
nothing is left out (P. K. Sen, 1968: "Estimates of the regression coefficient based on Kendall's tau").

Times rise when the machine slows down. What goes with its speeds is taken out of the figure and out of the time
axis alike, by least squares, and the slope is that of what remains (Frisch and Waugh, 1933; Lovell, 1963): the slope
at one speed. A machine that slows down steadily is not mistaken for a leak so, nor a leak for it; what both could
explain makes the interval wider.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

LIMIT = 1.0  # per cent an hour
LEVEL = 0.95
ENOUGH = 12  # minutes: fewer say nothing of what goes with the speeds
Verdict = Literal["under", "over", "cannot be told"]


@dataclass(frozen=True, slots=True)
class Slope:
    """A figure over time. `level` is its median; the slopes are in per cent of it an hour: `measured` as it was,
    `percent` at one speed of the machine (for a figure that has nothing to do with that: the same), with its interval.
    """

    name: str
    unit: str
    level: float
    first: float  # medians over the first and the last tenth of the minutes
    last: float
    measured: float
    percent: float
    low: float
    high: float
    minutes: int

    def __str__(self) -> str:
        return f"  {self.percent:+.2f} %/h [{self.low:+.2f}, {self.high:+.2f}]"

    @property
    def verdict(self) -> Verdict:
        """Under the limit or over it, where the whole interval is on one side."""
        if self.high < LIMIT:
            return "under"
        return "over" if self.low > LIMIT else "cannot be told"


def slope(
    name: str,
    unit: str,
    seconds: Sequence[float],
    values: Sequence[float],
    speeds: Sequence[Sequence[float]] = (),
) -> Slope:
    """The slope of `values` at `seconds`, at least two minutes of them; NaN is a sample without a value.

    `speeds` are the machine's, one value each for every sample; with less than `ENOUGH` minutes they are left alone.
    """
    of_minute = np.min if name.endswith("_least") else np.mean if speeds else np.median
    when, sampled = np.asarray(seconds, dtype=np.float64), np.asarray(values, dtype=np.float64)
    at, found = by_minute(when, sampled, of_minute)
    assert found.size >= 2, f"{name}: a slope needs two minutes of samples"
    level = float(np.median(found))
    hours = at / 3600
    scale = 100 / level if level else 0.0  # a figure that is 0 half of the time has no slope to speak of
    measured, _, low, high = scale * np.array(stats.theilslopes(found, hours, alpha=LEVEL))
    percent = measured
    if speeds and found.size >= ENOUGH:
        there = ~np.isnan(sampled)
        logs = [np.log(by_minute(when[there], np.asarray(each)[there], np.mean)[1]) for each in speeds]
        known = np.column_stack([np.ones_like(hours), *logs])
        whole = 100 * np.log(found) if found.min() > 0 else scale * found  # speeds multiply
        percent, _, low, high = stats.theilslopes(unexplained(whole, known), unexplained(hours, known), alpha=LEVEL)
    tenth = max(1, found.size // 10)
    return Slope(
        name=name,
        unit=unit,
        level=level,
        first=float(np.median(found[:tenth])),
        last=float(np.median(found[-tenth:])),
        measured=float(measured),
        percent=float(percent),
        low=float(low),
        high=float(high),
        minutes=int(found.size),
    )


def unexplained(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """What least squares on the columns of `known` leave of `values`."""
    weights, *_ = np.linalg.lstsq(known, values, rcond=None)
    return values - known @ weights


def by_minute(
    seconds: np.ndarray, values: np.ndarray, of_minute: Callable[[np.ndarray], float]
) -> tuple[np.ndarray, np.ndarray]:
    """The middle of every minute that has a value, and the one value that stands for the minute."""
    there = ~np.isnan(values)
    minutes = (seconds[there] // 60).astype(np.int64)
    kept = np.unique(minutes)
    found = [float(of_minute(values[there][minutes == minute])) for minute in kept]
    return 60.0 * kept + 30.0, np.array(found)
