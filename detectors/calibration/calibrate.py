"""The door: parameters from a false-alarm budget and a healthy sample, or the reason why there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite

import numpy as np
import numpy.typing as npt

from detectors.calibration import bound, errors, excursions, means, multivariate, simulated, wagers, windows
from detectors.calibration.dependence import demand_steady
from detectors.calibration.preparation import Preparation, for_level, for_shape
from detectors.calibration.profile import as_timestamps
from detectors.calibration.request import Request
from detectors.calibration.result import MONTH, ROWS, Calibration, Direction, Kind, Promise, Uncalibrated
from detectors.catalogue import find
from detectors.detector import Float64Array, Int64Array, ParameterError, Values, as_rows, as_values, demand

FEWEST = 30
"""Values that a reference must hold."""
LARGEST = 1e100
"""Numbers beyond this are no measurements, and their squares no numbers."""
BRIEF = 2 * 86_400_000
"""Milliseconds: a reference of less may be a part of a season."""
LEAST_ROWS = 100
"""Rows that a reference of rows must hold."""
CONTRADICTED = 1e-3
"""The reference raises more alarms than a promise allows where it would do so by chance less often than this."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_METHODS: dict[str, Callable[[Request], Promise]] = {
    "adwin": bound.adwin,
    "chi_squared": bound.chi_squared,
    "conformal": wagers.conformal,
    "cramer_von_mises": simulated.cramer_von_mises,
    "cusum": excursions.cusum,
    "ddm": errors.ddm,
    "eddm": errors.eddm,
    "ewma": simulated.ewma,
    "focus": simulated.focus,
    "hddm_a": bound.hddm_a,
    "hddm_w": simulated.hddm_w,
    "jensen_shannon": simulated.jensen_shannon,
    "kswin": wagers.kswin,
    "page_hinkley": excursions.page_hinkley,
    "psi": simulated.psi,
    "shiryaev_roberts": wagers.shiryaev_roberts,
    "variance": simulated.variance,
    "wasserstein": simulated.wasserstein,
    "welch_t": means.welch_t,
    "windowed_ks": windows.windowed_ks,
    "z_score": means.z_score,
}
_SHAPE = ("conformal", "cramer_von_mises", "jensen_shannon", "kswin", "psi", "wasserstein", "windowed_ks")
_CLUSTERED = ("ddm", "eddm")  # a fresh start is what alarms most often
_UNGATED = ("conformal", "ddm", "eddm", "hddm_a", "hddm_w", "kswin", "variance")
_CATEGORIES = ("chi_squared", "jensen_shannon", "psi")


def knows_effect(name: str) -> bool:
    """Whether a detector can tell a change that matters by its size, so that `calibrate` takes a min_effect for it."""
    return name not in _UNGATED and name not in ROWS


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
    "12h". Shares of a budget that later series leave alone come from `Division`: hand them in as `false_alarms`.

    `min_effect` is the change that matters: smaller ones never fire, however long they last (but by chance, as seldom
    as a healthy series does). For page_hinkley and cusum it is the allowance, in the units of the values (default .05
    for binary, a quarter of a standard deviation for numbers); where it is given, the error of the reference's mean is
    added, and climbs that such a change could make wait until they are sure. In the same units, shiryaev_roberts takes
    a mean within it for healthy, and for adwin, ewma, focus, z_score and welch_t a mean must have moved by that much
    more than by what chance alone would do. For windowed_ks it is a distance (.1), for chi_squared (.05), psi and
    jensen_shannon a total variation, each as the window shows it; for wasserstein (in standard deviations) and
    cramer_von_mises (the root mean squared distance of distribution functions) it is added to the threshold. Detectors
    that know nothing of a change's size (ddm, eddm, hddm_a, hddm_w, kswin, conformal, variance, those over rows) refuse
    it. `window` is in values; None chooses one that finds 1.5 times (chi_squared: 3
    times) that change, where the reference allows it. `lag_one` is for values that are not consecutive: the
    autocorrelation of those that were; 0 takes them as independent.

    Detectors of a level get values within 6 standard deviations of the mean (both without absurd values, which lie
    beyond the middle 98 % by 50 times its span), their season taken off; those of a
    distribution get theirs with the season taken off where that makes days more alike; categories stay as they are,
    and their season counts as dependence. It takes some 20 to 50 ms for a reference of 40,000 values, up to a second
    where a threshold is simulated, and gives the same to the last bit for the same arguments. In the end the detector
    runs over the reference itself, which must not raise more alarms than are promised.

    Detectors over rows take rows as their reference (rows × features); mmd pays for their dependence, the others need
    rows that are independent of each other, and so do ddm and eddm errors.

    Raises Uncalibrated where no promise can be made from this reference, and ParameterError for arguments out of
    range and for detectors that there is no method for.

    >>> import numpy as np
    >>> reference = np.random.default_rng(3).normal(20.0, 4.0, 5000)
    >>> found = calibrate("cusum", reference, rate=1 / 60, false_alarms=1.0, per="30d")
    >>> detector = found.detector(reference)
    >>> detector.feed(found.transform(np.full(100, 25.0)))
    19
    """
    find(name)
    demand(name in _METHODS or name in ROWS, f"there is no calibration for {name}")
    demand(kind != "categories" or name in _CATEGORIES, f"{name} is for numbers; the values are categories")
    demand(kind == "categories" or name != "chi_squared", f"{name} is for categories; the values are numbers")
    if min_effect is not None:
        demand(knows_effect(name), f"{name} does not know how large a change is: it takes no min_effect")
        demand(isfinite(min_effect) and min_effect >= 0, "min_effect must be a number of at least 0")
    demand(isfinite(rate) and rate > 0, "rate must be a number above 0")
    demand(isfinite(false_alarms) and false_alarms > 0 and series >= 1, "false_alarms and series must be above 0")
    share, looks = false_alarms / series * MONTH / _seconds(per), max(rate * MONTH, 1.0)
    if name in ROWS:
        with _arithmetic():
            return _over_rows(name, reference, timestamps, looks, share, window)
    values = as_values(reference)
    present = np.isfinite(values)
    if present.sum() < FEWEST:
        raise Uncalibrated(f"the reference holds {present.sum()} values; a promise needs at least {FEWEST}", 1000)
    stamps = None if timestamps is None else as_timestamps(timestamps, len(values))[present]
    values = values[present]
    if kind != "categories" and np.abs(values).max() > LARGEST:
        raise Uncalibrated(f"the reference holds values beyond {LARGEST:g}")
    with _arithmetic():
        return _over_values(name, values, stamps, looks, share, kind, min_effect, direction, window, lag_one)


@contextmanager
def _arithmetic() -> Iterator[None]:
    """Numbers that arithmetic fails on are a reason to promise nothing, whatever the step."""
    try:
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            yield
    except (Uncalibrated, ParameterError):
        raise
    except (ArithmeticError, ValueError) as problem:  # LinAlgError, and a NaN that is to be a whole number
        raise Uncalibrated(f"arithmetic fails on the reference's values: {problem}") from problem


def _over_values(
    name: str, values: Float64Array, stamps: Int64Array | None, looks: float, share: float, kind: Kind,
    min_effect: float | None, direction: Direction, window: int | None, lag_one: float | None,
) -> Calibration:  # fmt: skip
    """For detectors of one series; the values are finite."""
    try:
        ready = _prepared(name, values, stamps, kind)
    except ParameterError as problem:  # no profile can be built
        raise Uncalibrated(str(problem)) from problem
    taken = values if ready.profile is None else ready.profile.apply(values, stamps)
    least = None if min_effect is None else min_effect / ready.unit
    request = Request(
        name, taken, looks, share, kind, direction, least, window, ready.parameters, ready.busiest, lag_one,
        ready.limits or (float(taken.min()), float(taken.max())),
    )  # fmt: skip
    try:
        promise = _METHODS[name](request)
    except ParameterError as problem:  # no detector can be built for it
        raise Uncalibrated(str(problem)) from problem
    numbers = (each for each in promise.params.values() if isinstance(each, float))
    if not all(map(isfinite, (promise.expected_per_30d, promise.shift, promise.inflation, *numbers))):
        raise Uncalibrated("arithmetic fails on the reference's values: what comes out is no number")
    if lag_one is None:
        steady = taken
        if kind == "categories":
            named, times = np.unique(taken, return_counts=True)
            steady = (taken == named[times.argmax()]).astype(np.float64)
        brief = stamps is not None and int(stamps.max() - stamps.min()) < BRIEF
        demand_steady(steady, ready.parameters, brief)
    found = Calibration(
        name=name,
        params=promise.params,
        method=promise.method,
        expected_per_30d=promise.expected_per_30d,
        at_most_per_30d=max(promise.expected_per_30d, promise.at_most_per_30d or 0.0),
        assumes=promise.assumes + _seasons(ready.seasonal, stamps),
        shift=promise.shift,
        within=promise.within,
        inflation=promise.inflation,
        profile=ready.profile,
        reference=promise.reference,
        in_order=lag_one is None,
    )
    if lag_one is None:
        _check(found, values, stamps, looks)
    return found


def _prepared(name: str, values: Float64Array, stamps: Int64Array | None, kind: Kind) -> Preparation:
    if kind == "categories":
        return Preparation(None)
    if name in _SHAPE:
        return for_shape(values, stamps)
    return for_level(values, stamps, kind, unit_range=name == "adwin")


def _over_rows(
    name: str, reference: Values, timestamps: npt.ArrayLike | None, looks: float, share: float, window: int | None
) -> Calibration:
    """For detectors over rows; rows that miss a value are left out."""
    flat = np.asarray(reference).ndim != 2
    demand(not flat, f"there is no calibration for {name} from values in a row: its reference is rows × features")
    rows = as_rows(reference)
    stamps = None if timestamps is None else as_timestamps(timestamps, len(rows))
    present = np.isfinite(rows).all(axis=1)
    rows, stamps = rows[present], None if stamps is None else stamps[present]
    if len(rows) < LEAST_ROWS:
        raise Uncalibrated(f"the reference holds {len(rows)} rows; a promise needs at least {LEAST_ROWS}", 1000)
    promise = multivariate.over_rows(name, rows, stamps, looks, share, window)
    found = Calibration(
        name=name,
        params=promise.params,
        method=promise.method,
        expected_per_30d=promise.expected_per_30d,
        at_most_per_30d=promise.expected_per_30d,
        assumes=promise.assumes + _seasons(False, stamps),
        shift=promise.shift,
        within=promise.within,
        inflation=promise.inflation,
        reference=promise.reference,
    )
    if name == "mmd":  # the others have learnt one half of these rows by heart
        _check(found, rows, None, looks)
    return found


def _seasons(taken_off: bool, stamps: Int64Array | None) -> str:
    """What is assumed of daily and weekly seasons."""
    if stamps is None:
        return "; no season, and no wander slower than the reference shows"
    days = float(stamps.max() - stamps.min()) / 86_400_000.0
    unseen = "" if days >= 14.0 else f", none of a week in {days:.3g} days"
    if days < 3.0:
        unseen = f" of a day or slower, but for what shows in {days:.3g} days"
    return f"; its hour-of-week profile taken off{unseen}" if taken_off else f"; no season{unseen}"


def _check(found: Calibration, values: Float64Array, stamps: Int64Array | None, looks: float) -> None:
    """Raises Uncalibrated where the reference itself raises more alarms than the promise allows."""
    from scipy.special import pdtrc

    alarms = len(found.detector(values, stamps).update_many(found.transform(values, stamps)))
    if found.name in _CLUSTERED:
        alarms = min(alarms, 1)
    expected = found.expected_per_30d * len(values) / looks
    if alarms and float(pdtrc(alarms - 1, expected)) < CONTRADICTED:
        raise Uncalibrated(f"the reference is not steady: it raises {alarms} alarms where {expected:.2g} are promised")


def _seconds(per: str | float) -> float:
    """A time in seconds. Raises ParameterError."""
    if isinstance(per, str):
        number, unit = per[:-1], per[-1:]
        demand(unit in _UNITS and number.replace(".", "", 1).isdigit(), "per must be seconds, or a text like 30d")
        per = float(number) * _UNITS[unit]
    demand(isfinite(per) and per > 0, "per must be a time above 0")
    return float(per)
