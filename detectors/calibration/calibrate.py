"""The door: parameters from a false-alarm budget and a healthy sample, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite

import numpy as np
import numpy.typing as npt

from detectors.calibration import bound
from detectors.calibration.dependence import lag_one_autocorrelation
from detectors.calibration.result import MONTH, Calibration, Direction, Kind, Promise, Request, Uncalibrated
from detectors.catalogue import find
from detectors.detector import Values, as_values, demand

LAG_ONE = 0.1
"""Lag-1 autocorrelation above which values are not taken as independent."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_METHODS: dict[str, Callable[[Request], Promise]] = {
    "adwin": bound.adwin,
    "chi_squared": bound.chi_squared,
    "page_hinkley": bound.page_hinkley,
    "windowed_ks": bound.windowed_ks,
}
_REFERS = ("chi_squared", "windowed_ks")


def calibrate(
    name: str,
    reference: Values,
    *,
    rate: float,
    false_alarms: float = 1.0,
    per: str | float = "30d",
    series: int = 1,
    kind: Kind = "numeric",
    timestamps: npt.ArrayLike | None = None,
    min_effect: float | None = None,
    direction: Direction = "both",
    window: int | None = None,
    lag_one: float | None = None,
) -> Calibration:
    """Parameters for a detector that keeps to its share, false_alarms / series, of the false alarms in a time.

    `reference` are healthy values in the order in which they came, `timestamps` their event times (epoch
    milliseconds; without them no season is looked for). `rate` is in values a second, `per` in seconds or as "30d",
    "12h". `min_effect` is the change that matters: for page_hinkley, the allowance, in the units of the values
    (default .05 for binary, a quarter of a standard deviation for numbers); for windowed_ks a distance (.1); for
    chi_squared a total variation (.05). `window` is in values; None chooses one. `lag_one` is for values that are
    not consecutive: the autocorrelation of those that were. Raises Uncalibrated where no promise can be made from
    this reference, and ParameterError for arguments out of range and detectors that there is no method for.
    """
    find(name)
    demand(name in _METHODS, f"there is no calibration for {name!r}")
    demand(isfinite(rate) and rate > 0, "rate must be a number above 0")
    demand(isfinite(false_alarms) and false_alarms > 0 and series >= 1, "false_alarms and series must be above 0")
    seconds = _seconds(per)
    values = as_values(reference)
    values = values[np.isfinite(values)]
    if len(values) < 30:
        raise Uncalibrated(f"the reference holds {len(values)} values; a promise needs at least 30", 1000)
    found = lag_one_autocorrelation(values, kind) if lag_one is None else lag_one
    if found > LAG_ONE:
        raise Uncalibrated(
            f"neighbouring values of the reference are correlated (lag-1 autocorrelation {found:.3f}, over {LAG_ONE}); "
            "the bound holds for independent values only"
        )
    share, looks = false_alarms / series * MONTH / seconds, max(rate * MONTH, 1.0)
    request = Request(name, values, looks, share, kind, direction, min_effect, window)
    promise = _METHODS[name](request)
    return Calibration(
        name=name,
        params=promise.params,
        method=promise.method,
        expected_per_30d=promise.expected_per_30d,
        at_most_per_30d=promise.expected_per_30d if promise.at_most_per_30d is None else promise.at_most_per_30d,
        assumes=promise.assumes,
        shift=promise.shift,
        within=promise.within,
        inflation=promise.inflation,
        profile=None,
        reference=values if name in _REFERS else None,
    )


def _seconds(per: str | float) -> float:
    """A time in seconds. Raises ParameterError."""
    if isinstance(per, str):
        number, unit = per[:-1], per[-1:]
        demand(unit in _UNITS and number.replace(".", "", 1).isdigit(), "per must be seconds, or a text like 30d")
        per = float(number) * _UNITS[unit]
    demand(isfinite(per) and per > 0, "per must be a time above 0")
    return float(per)
