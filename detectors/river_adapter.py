"""River's own detectors behind our interface: `river:NAME`, a listed set whose state can be written out.

Listed are those of river 0.26's drift detectors that keep plain numbers. Not listed: ADWIN and HDDMW, whose state is
inside compiled code, KSWIN, which takes 0.3 ms a value (`adwin`, `hddm_w` and `kswin` are their exact twins), and
NoDrift, which never alarms. River is an optional package, imported when one of them is built.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, make_dataclass
from importlib import import_module
from math import inf, isfinite
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from detectors.detector import ALARMED, IGNORED, OBJECTS, SEEN, SINCE, Detector, Float64Array, State, demand
from detectors.snapshot import SnapshotError


@dataclass(frozen=True, slots=True)
class Listed:
    """A detector of river's: its module, its parameters with their defaults, and the attributes that are its state.

    `window`: the attribute that is a deque, and the parameter that is its length. `draws`: the random.Random.
    """

    module: str
    defaults: Mapping[str, bool | int | float | str | None]
    floats: tuple[str, ...] = ()
    integers: tuple[str, ...] = ()
    window: tuple[str, str] | None = None
    draws: str | None = None


class RiverDetector(Detector):
    """A detector of river's, fed value by value in Python, with river's own parameters and defaults.

    Alarms are river's, which is what calculates them; `statistic` is 1 at an alarm and else 0, for river tells no
    more, and `since_change` is 1. Missing and infinite values are skipped as everywhere here, where river would be
    blind from then on; a value that river raises at is skipped too, and the detector starts anew. A seed of None,
    river's default, would be drawn from the machine: here the default is 0 and None is refused.

    Memory: 20 KB, plus 40 bytes a value of its window, where it keeps one.

    >>> from detectors.catalogue import build
    >>> build("river:FHDDM").update_many([1.0] * 250 + [0.0, 1.0] * 100).tolist()
    [302]

    Montiel et al.: River: machine learning for streaming data in Python. JMLR 22 (2021), 1-8.
    """

    listed: ClassVar[Listed]

    def __init__(self, params: Any) -> None:
        self.params = params
        self.counts = np.zeros(8, np.int64)
        for key, default in self.listed.defaults.items():
            _check(key, getattr(params, key), default)
        try:
            self._probe()
            self._river = self._fresh()
        except ImportError:
            demand(False, f"{self.name} needs the package river, which is not installed: pip install river")
        except (ArithmeticError, ValueError) as problem:
            demand(False, f"{self.name} cannot work with these parameters: {problem}")

    def _fresh(self) -> Any:
        module = import_module(f"river.{self.listed.module}")
        return getattr(module, self.name.removeprefix("river:"))(**asdict(self.params))

    def _probe(self) -> None:
        """What river does not refuse at once it raises at later: when it is fed, or its window is full."""
        probe = self._fresh()
        for value in [0.0, 1.0] * (2 + self._length()):
            probe.update(value)

    def _length(self) -> int:
        return int(getattr(self.params, self.listed.window[1])) if self.listed.window else 0

    def _feed(self, values: Float64Array) -> int:
        counts = self.counts
        for i, value in enumerate(values.tolist()):
            if not isfinite(value):
                counts[IGNORED] += 1
                continue
            counts[ALARMED] = counts[SINCE] = 0
            try:
                self._river.update(value)
            except (ArithmeticError, TypeError, ValueError):  # the root of a negative number is complex, not an error
                self._river = self._fresh()
                counts[IGNORED] += 1
                continue
            counts[SEEN] += 1
            if self._river.drift_detected:
                counts[ALARMED] = counts[SINCE] = 1
                return i
        return -1

    def reset(self) -> None:
        self._river = self._fresh()
        self.counts[ALARMED] = self.counts[SINCE] = 0

    @property
    def statistic(self) -> float:
        return float(self.counts[ALARMED])

    @property
    def threshold(self) -> float:
        return 0.5

    @property
    def memory(self) -> int:
        return OBJECTS + 16_384 + 40 * self._length()

    def state(self) -> State:
        listed, own = self.listed, self._river
        # a least value that is not known yet is None, and infinite is as good
        floats = [inf if (value := _read(own, path)) is None else float(value) for path in listed.floats]
        integers = [int(_read(own, path) or 0) for path in listed.integers]
        state: State = {"counts": self.counts, "floats": np.array(floats), "integers": np.array(integers, np.int64)}
        if listed.window:
            state["window"] = np.array(getattr(own, listed.window[0]), np.float64)
        if listed.draws:
            state["words"] = np.array(getattr(own, listed.draws).getstate()[1], np.int64)
        return state

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        listed, own = self.listed, self._fresh()
        blank = {name: array.copy() for name, array in self.state().items() if name != "window"}
        for name, array in blank.items():
            self._load_array(state, name, array)
        for path, value in zip(listed.floats, blank["floats"].tolist(), strict=True):
            _assign(own, path, value)
        for path, value in zip(listed.integers, blank["integers"].tolist(), strict=True):
            _assign(own, path, value if path in _COUNTED else bool(value))
        if listed.window:
            attribute, length = listed.window[0], self._length()
            window = state.get("window", np.zeros((0, 0)))
            if window.ndim != 1 or window.dtype != np.float64 or len(window) > length or not np.isfinite(window).all():
                raise SnapshotError(f"the state of {self.name} does not fit its parameters (window)")
            setattr(own, attribute, deque(window.tolist(), maxlen=length))
        if listed.draws:
            draws: random.Random = getattr(own, listed.draws)
            try:
                draws.setstate((draws.getstate()[0], tuple(blank["words"].tolist()), None))
            except (OverflowError, ValueError) as problem:
                raise SnapshotError(f"the state of {self.name} is not one that can be: {problem}") from problem
        self.counts[:] = blank["counts"]
        self._river = own


def _check(key: str, value: object, default: object) -> None:
    """Refuse a parameter that is not of its default's kind, or not at least 0."""
    if isinstance(default, bool):
        demand(isinstance(value, bool), f"{key} must be true or false")
    elif isinstance(default, str):
        demand(isinstance(value, str), f"{key} must be a text")
    elif default is None and value is None:
        return
    else:
        kinds = (int, float) if isinstance(default, float) else int
        what = "number" if isinstance(default, float) else "whole number"
        fits = isinstance(value, kinds) and not isinstance(value, bool) and isfinite(value) and value >= 0
        demand(fits, f"{key} must be a {what} of at least 0")


def _read(thing: object, path: str) -> Any:
    """An attribute of an attribute; None where there is none with these parameters."""
    for name in path.split("."):
        thing = getattr(thing, name, None)
    return thing


def _assign(thing: object, path: str, value: object) -> None:
    """Set an attribute of an attribute, where there is one with these parameters."""
    *way, last = path.split(".")
    for name in way:
        thing = getattr(thing, name)
    if hasattr(thing, last):
        setattr(thing, last, value)


def _adapted(kind: str, listed: Listed) -> type[RiverDetector]:
    """The class of one listed detector."""
    fields = [
        (key, "int | None" if default is None else type(default).__name__, field(default=default))
        for key, default in listed.defaults.items()
    ]
    parameters = make_dataclass(f"River{kind}Params", fields, frozen=True, namespace={"__module__": __name__})
    contents = {"name": f"river:{kind}", "parameters": parameters, "listed": listed, "__doc__": RiverDetector.__doc__}
    return type(f"River{kind}", (RiverDetector,), {**contents, "__module__": __name__})


_COUNTED = ("_n", "_last_error", "_n_errors")  # other integers are flags
_FLAGS = ("_drift_detected", "_warning_detected")

DDM = _adapted(
    "DDM",
    Listed(
        "drift.binary",
        {"warm_start": 30, "warning_threshold": 2.0, "drift_threshold": 3.0},
        floats=("_p.n", "_p._mean", "_p_min", "_s_min", "_ps_min"),
        integers=_FLAGS,
    ),
)
EDDM = _adapted(
    "EDDM",
    Listed(
        "drift.binary",
        {"warm_start": 30, "alpha": 0.95, "beta": 0.9},
        floats=("_error_distances.mean.n", "_error_distances.mean._mean", "_error_distances._S", "_p2s_prime_max"),
        integers=("_n", "_last_error", "_n_errors", *_FLAGS),
    ),
)
FHDDM = _adapted(
    "FHDDM",
    Listed(
        "drift.binary",
        {"sliding_window_size": 100, "confidence_level": 0.000001, "short_window_size": None},
        floats=("n_one", "_u_max", "_u_short_max"),
        integers=_FLAGS,
        window=("_sliding_window", "sliding_window_size"),
    ),
)
HDDMA = _adapted(
    "HDDMA",
    Listed(
        "drift.binary",
        {"drift_confidence": 0.001, "warning_confidence": 0.005, "two_sided_test": False},
        floats=("_x_min.n", "_x_min._mean", "_x_max.n", "_x_max._mean", "_z.n", "_z._mean"),
        integers=_FLAGS,
    ),
)
PageHinkley = _adapted(
    "PageHinkley",
    Listed(
        "drift",
        {"min_instances": 30, "delta": 0.005, "threshold": 50.0, "alpha": 1 - 0.0001, "mode": "both"},
        floats=("_x_mean.n", "_x_mean._mean", "_sum_increase", "_sum_decrease", "_min_increase", "_max_decrease"),
        integers=("_drift_detected",),
    ),
)
DummyDriftDetector = _adapted(
    "DummyDriftDetector",
    Listed(
        "drift",
        {"trigger_method": "fixed", "t_0": 300, "w": 0, "seed": 0},
        integers=("_n", "_drift_detected", "_warmup_done"),
        draws="_rng",
    ),
)
