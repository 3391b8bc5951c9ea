"""The season of a healthy sample: how its level differs from hour to hour of the week.

The means of the reference's hours are split into a part of the hour of the day, a part of the day of the week, and
what is left of the 168 hours of the week. Each part is kept only where an F test against its replicates (days, weeks)
is sure of it, with the degrees of freedom cut where hours of one day go together (Greenhouse, Geisser: On methods in
the analysis of profile data. Psychometrika 24, 1959, 95-112), and is shrunk by how much of it is noise (James, Stein:
Estimation with quadratic loss. Berkeley Symp. 4, 1961, 361-379). Replicates are a day or a week apart, so the test
stands where neighbouring values depend on each other. Hours are those of UTC.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detectors.calibration.profile import HOUR, WEEK
from detectors.detector import Float64Array, Int64Array

SURE = 1e-3
"""A part is kept where chance alone gives as much less often than this."""
STANDS_OUT = 9.0
"""Times its noise's variance that the square of a group's effect must be for it to be shrunk by itself alone."""
LONGEST = 1000
"""Days; of a longer reference no season is looked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Season:
    """`profile`: for each hour of the week since the epoch, what it adds to the level; `parameters`: the share of the
    freedom of the hours' (or days') means, 0 to 1, that estimating it took."""

    profile: Float64Array
    parameters: float


@dataclass(frozen=True, slots=True, eq=False)
class _Hours:
    """The means of the hours that hold values: their number since the epoch, and the means."""

    hour: Int64Array
    mean: Float64Array

    @property
    def of_day(self) -> Int64Array:
        return self.hour % 24

    @property
    def of_week(self) -> Int64Array:
        return self.hour % WEEK

    @property
    def day(self) -> Int64Array:
        found: Int64Array = self.hour // 24 - self.hour[0] // 24
        return found


def season_of(values: Float64Array, timestamps: Int64Array) -> Season | None:
    """The season of finite values; None where no part of it is sure. A part of the day needs three days, one of the
    week two weeks."""
    hours = _hour_means(values, timestamps)
    days = int(hours.day.max()) + 1
    if not 3 <= days <= LONGEST:
        return None
    cells = len(hours.mean)
    around = hours.mean - _means(hours.mean, hours.day, days)[hours.day]
    hourly, of_day = _effect(hours, around, hours.of_day, 24, 23, cells - days - 23)
    profile = np.tile(hourly, 7)
    used = [23.0 * of_day / cells]
    if days >= 14:
        levels = _means(hours.mean - hourly[hours.of_day], hours.day, days)
        held = np.bincount(hours.day, minlength=days)
        there = 4 * held >= 3 * np.median(held[held > 0])
        weekday = (hours.hour[0] // 24 + np.arange(days)) % 7
        daily, of_week = _weekdays(levels[there] - levels[there].mean(), weekday[there])
        left = around - hourly[hours.of_day]
        weekly, of_both = _effect(hours, left, hours.of_week, WEEK, 138, cells - days - WEEK + 7)
        profile = profile + np.repeat(daily, 24) + weekly
        used += [138.0 * of_both / cells + used[0], 6.0 * of_week / max(int(there.sum()), 1)]
    return Season(profile, min(max(used), 0.9)) if profile.any() else None


def _hour_means(values: Float64Array, timestamps: Int64Array) -> _Hours:
    """Of the hours that hold at least a quarter as many values as the usual one."""
    hour, place = np.unique(timestamps // HOUR, return_inverse=True)
    counts = np.bincount(place)
    means = np.bincount(place, values) / counts
    enough = counts * 4 >= np.median(counts)
    return _Hours(hour[enough], means[enough])


def _means(values: Float64Array, groups: Int64Array, number: int) -> Float64Array:
    """The mean of each group; 0 where it is empty."""
    found: Float64Array = np.bincount(groups, values, minlength=number) / np.maximum(
        np.bincount(groups, minlength=number), 1
    )
    return found


def _effect(
    hours: _Hours, left: Float64Array, groups: Int64Array, number: int, above: int, below: int
) -> tuple[Float64Array, float]:
    """The shrunken effects of groups of hours on what is left of their means, and the part of them that was kept."""
    effects = _means(left, groups, number)
    rest = left - effects[groups]
    if below < 2:
        return np.zeros(number), 0.0
    evenness = _evenness(hours, rest)
    counts, noise = np.bincount(groups, minlength=number), float(rest @ rest) / below
    kept = _kept(float(counts @ (effects * effects)) / above, noise, above * evenness, below * evenness)
    if kept == 0.0 or noise == 0.0:
        return kept * effects, kept
    # where few groups make the whole effect, these are kept by what they show themselves
    alone = counts * effects * effects / noise
    each = np.where(alone > STANDS_OUT, np.maximum(kept, 1.0 - 1.0 / np.maximum(alone, 1.0)), kept)
    return each * effects, float(each.mean())


def _weekdays(levels: Float64Array, weekday: Int64Array) -> tuple[Float64Array, float]:
    """The shrunken effects of the days of the week on the days' levels, and the part of them that was kept."""
    effects = _means(levels, weekday, 7)
    rest = levels - effects[weekday]
    between = float(np.bincount(weekday, minlength=7) @ (effects * effects)) / 6.0
    kept = _kept(between, float(rest @ rest) / max(len(levels) - 7, 1), 6.0, len(levels) - 7.0)
    return kept * effects, kept


def _evenness(hours: _Hours, rest: Float64Array) -> float:
    """Greenhouse and Geisser's epsilon of the days' hours: 1 where they vary each by itself, 1/23 where as one."""
    days = np.zeros((int(hours.day[-1]) + 1, 24))
    days[hours.day, hours.of_day] = rest
    # fourth powers: a ratio that no power of two changes, of numbers that would otherwise overflow
    days = np.ldexp(days, -int(np.frexp(np.abs(days).max())[1]))
    together = days.T @ days
    squares = float((together * together).sum())
    return max(float(np.trace(together)) ** 2 / (23.0 * squares), 1.0 / 23.0) if squares > 0 else 1.0


def _kept(between: float, within: float, above: float, below: float) -> float:
    """How much of an effect to keep: 0 where an F test is not sure of it, else 1 - 1/F."""
    from scipy.special import fdtrc

    if below < 1.0 or not between > 0:
        return 0.0
    if not within > 0:
        return 1.0
    ratio = between / within
    above, below = max(above, 1.0), max(below, 1.0)
    return 1.0 - 1.0 / ratio if ratio > 1.0 and float(fdtrc(above, below, ratio)) < SURE else 0.0
