"""What a series' values pass before a detector takes them, chosen from its reference.

The profile keeps the mean and the units: it takes off what an hour adds to the level, and evens out its spread where
that differs. Detectors of a level get values held within some standard deviations of the mean, for one glitch is no
change of level, and no bound stands on a tail that no reference can show. An absurd value in the reference itself
takes no part in finding level, season, spread and limits: one among a thousand would make the limits its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from detectors.calibration.profile import HOUR, WEEK, Profile
from detectors.calibration.result import Kind, Uncalibrated
from detectors.calibration.season import Season, season_of
from detectors.detector import Float64Array, Int64Array

LIMIT = 6.0
"""Standard deviations from the mean at which values are held."""
ABSURD = 50.0
"""Times the span of the middle 98 % that a value must lie beyond it to be absurd: some 230 standard deviations of
normal values, and further than all of 1,000 log-normal ones with an exponent's deviation of 2 in 99 of 100 cases."""
UNEVEN = 1.25
"""The largest spread of an hour over the smallest, from which on they are evened out."""
_FLATTEST = 0.25  # of the mean spread: no hour is stretched by more
_BLOCKS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Preparation:
    """`profile`: None where values go in as they are. `seasonal`: whether hours were told apart. `parameters`: see
    `Season`. `busiest`: the mean of the six hours with the highest level, for 0/1 values with a season. `limits`: those
    that values are held within, where they are. `unit`: what one of the detector's units is of the values'."""

    profile: Profile | None
    seasonal: bool = False
    parameters: float = 0.0
    busiest: float | None = None
    limits: tuple[float, float] | None = None
    unit: float = 1.0


def plausible(values: Float64Array) -> npt.NDArray[np.bool_]:
    """Which of the values are not absurd. All of them are plausible where the middle 98 % are one value."""
    low = float(np.quantile(values, 0.01, method="higher"))
    high = float(np.quantile(values, 0.99, method="lower"))
    with np.errstate(over="ignore"):
        reach = ABSURD * np.float64(high - low)
    if not 0.0 < reach < np.inf:
        return np.ones(len(values), np.bool_)
    found: npt.NDArray[np.bool_] = (values >= low - reach) & (values <= high + reach)
    return found


def limits_of(values: Float64Array) -> tuple[float, float] | None:
    """What detectors of a level hold such numbers within; None where they do not vary."""
    usual = values[plausible(values)]
    with np.errstate(over="ignore", invalid="ignore"):
        mean, reach = float(usual.mean()), LIMIT * float(usual.std())
    return (mean - reach, mean + reach) if 1e-100 < reach < np.inf else None


def for_level(values: Float64Array, stamps: Int64Array | None, kind: Kind, unit_range: bool = False) -> Preparation:
    """For detectors of a level; `unit_range` for those that take values of a range of 1."""
    everything, at = values, stamps
    if kind != "binary":
        values, stamps = _usual(values, stamps)
    season = None if stamps is None else season_of(values, stamps)
    if kind == "binary":
        if season is None:
            return Preparation(None)
        mean = float(values.mean())
        around = np.concatenate([season.profile, season.profile[:5]])
        busiest = mean + float(np.convolve(around, np.ones(6) / 6.0, "valid").max())
        profile = Profile(season.profile, np.ones(1))
        return Preparation(profile, True, season.parameters, min(max(busiest, mean), 1.0 - 0.5 / len(values)))
    if not values.min() < values.max():
        raise Uncalibrated("the reference does not vary")
    location, scale, parameters = _hours(values, stamps, season)
    even = Profile(location, scale).apply(values, stamps)
    mean, reach = float(even.mean()), LIMIT * float(even.std())
    low, high = mean - reach, mean + reach
    even = Profile(location, scale).apply(everything, at)
    unit = max(min(high, float(even.max())) - max(low, float(even.min())), 1e-300) if unit_range else 1.0
    if not reach > 1e-100:
        raise Uncalibrated("the reference hardly varies")
    profile = Profile(location, scale * unit, low / unit, high / unit)
    return Preparation(profile, len(location) > 1, parameters, limits=(profile.low, profile.high), unit=unit)


def for_shape(values: Float64Array, stamps: Int64Array | None) -> Preparation:
    """For detectors of a distribution of numbers: the hours' levels and spreads, where taking them off makes parts of
    the reference more alike (it does not for values of which many are the same)."""
    usual, at = _usual(values, stamps)
    season = None if at is None else season_of(usual, at)
    location, scale, parameters = _hours(usual, at, season)
    if len(location) == 1:
        return Preparation(None)
    profile = Profile(location, scale)
    if _unlikeness(profile.apply(values, stamps)) >= _unlikeness(values):
        return Preparation(None)
    return Preparation(profile, True, parameters)


def _usual(values: Float64Array, stamps: Int64Array | None) -> tuple[Float64Array, Int64Array | None]:
    """The plausible ones."""
    good = plausible(values)
    return values[good], None if stamps is None else stamps[good]


def _hours(
    values: Float64Array, stamps: Int64Array | None, season: Season | None
) -> tuple[Float64Array, Float64Array, float]:
    """(location, scale, parameters): of each hour of the week, or one number each where there is no season."""
    if stamps is None:
        return np.zeros(1), np.ones(1), 0.0
    level = np.zeros(WEEK) if season is None else season.profile
    taken = 0.0 if season is None else season.parameters
    mean, hour = float(values.mean()), (stamps // HOUR) % WEEK
    gaps = values - mean - level[hour]
    uneven = season_of(np.abs(gaps), stamps)
    if uneven is not None:
        usual = float(np.abs(gaps).mean())
        spreads = np.maximum(usual + uneven.profile, _FLATTEST * usual)
        if spreads.max() > UNEVEN * spreads.min():
            scale = spreads / usual
            evened = (values - mean) / scale[hour]
            again = season_of(evened, stamps)  # loud hours hid some of it
            if again is not None:
                level, taken = scale * (again.profile + float(evened.mean())), again.parameters
                gaps = values - mean - level[hour]
            scale = scale * (float((gaps / scale[hour]).std()) / float(gaps.std()))
            return mean + level - mean * scale, scale, max(uneven.parameters, taken)
    return (np.zeros(1), np.ones(1), 0.0) if season is None else (level, np.ones(1), taken)


def _unlikeness(values: Float64Array) -> float:
    """How far the distributions of stretches of the sample lie apart, at three quantiles."""
    length = max(len(values) // _BLOCKS, 1)
    size = len(values) // length * length
    total = 0.0
    for cut in np.quantile(values, (0.25, 0.5, 0.75)):
        total += float((values[:size] <= cut).reshape(-1, length).mean(axis=1).var())
    return total
