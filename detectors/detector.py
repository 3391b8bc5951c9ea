"""What every detector is: frozen parameters, state in named arrays, a compiled kernel that feeds them.

A kernel takes values one after the other up to and including the first alarm, so a batch gives exactly what single
values give. After an alarm the detector starts afresh at its next value, as river's detectors do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from detectors.snapshot import SnapshotError, encode

Float64Array = npt.NDArray[np.float64]
Int64Array = npt.NDArray[np.int64]
Values = npt.ArrayLike | Sequence[float | None]
Row = npt.ArrayLike | Sequence[float | None] | None
State = dict[str, npt.NDArray[Any]]

SEEN, IGNORED, ALARMED, SINCE = 0, 1, 2, 3
"""Places in `counts`: values used and left out since birth, whether the last value alarmed, values since the change."""


OBJECTS = 4096
"""Bytes of a detector beside its arrays' contents: the objects themselves."""


class ParameterError(ValueError):
    """A parameter that a detector cannot work with; the message says which and what it must be."""


def demand(holds: bool, sentence: str) -> None:
    """Raise ParameterError with the sentence where the condition does not hold."""
    if not holds:
        raise ParameterError(sentence)


def as_values(values: Values) -> Float64Array:
    """The values as a vector of float64; None becomes NaN. Raises ValueError where they are not numbers in a row."""
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"a detector takes values in a row, not an array of {array.ndim} dimensions")
    return array


def as_rows(rows: npt.ArrayLike | Sequence[Row], features: int | None = None) -> Float64Array:
    """Rows as float64 of shape (n, features), C-contiguous; None, for a number or a row, becomes NaN.

    Raises ValueError where they are not rows of so many features.
    """
    if isinstance(rows, (list, tuple)) and features is not None:
        rows = [[None] * features if row is None else row for row in rows] or np.zeros((0, features))
    try:
        array = np.ascontiguousarray(rows, dtype=np.float64)
    except (TypeError, ValueError) as problem:
        raise ValueError(f"a detector of rows takes rows of equally many features, all numbers: {problem}") from problem
    if array.ndim != 2 or (features is not None and array.shape[1] != features):
        wanted = "features" if features is None else f"{features} features"
        raise ValueError(f"a detector of rows takes an array of rows × {wanted}, not of shape {array.shape}")
    return array


def as_reference(reference: Values, least: int) -> Float64Array:
    """The finite values of a reference sample, read-only. Raises ParameterError where there are too few."""
    array = as_values(reference)
    array = array[np.isfinite(array)]
    demand(len(array) >= least, f"reference must hold at least {least} finite values")
    array.flags.writeable = False
    return array


class Detector(ABC):
    """A change detector over one series of values. NaN and infinite values are counted in `ignored`, and skipped."""

    name: ClassVar[str]
    parameters: ClassVar[type[Any]]
    """The frozen dataclass of its parameters."""
    params: Any
    counts: Int64Array
    """Length 8: seen, ignored, alarmed, since; the rest is the algorithm's own."""

    _one: Float64Array
    """Room for the value of `update`: making an array for each takes longer than most kernels."""

    def __new__(cls, *_args: Any, **_params: Any) -> Self:
        made = super().__new__(cls)
        made._one = np.zeros(1)
        return made

    @abstractmethod
    def __init__(self, params: Any) -> None: ...

    @abstractmethod
    def _feed(self, values: Float64Array) -> int:
        """The kernel: feed up to and including the first alarm; its position, or -1."""

    @abstractmethod
    def state(self) -> State:
        """The arrays that hold everything but the parameters; not copies."""

    def load(self, state: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over a state of a detector with the same parameters. Raises SnapshotError where it does not fit.

        A detector whose numbers are places in its arrays looks at them before it takes them over.
        """
        for name, array in self.state().items():
            self._load_array(state, name, array)

    @abstractmethod
    def reset(self) -> None:
        """Forget the series, keep parameters and counts: a fresh start against the reference."""

    @property
    @abstractmethod
    def statistic(self) -> float:
        """The statistic after the last value, in the units of `threshold`."""

    @property
    @abstractmethod
    def threshold(self) -> float:
        """What the statistic must exceed for an alarm."""

    @property
    @abstractmethod
    def memory(self) -> int:
        """The most bytes it will ever hold, parameters included, whatever it is fed."""

    def prime(self, reference: Values) -> None:
        """Learn from a healthy sample without alarming. Where the reference is a parameter, a fresh start."""
        self.reset()

    def feed(self, values: Values) -> int:
        """Take values up to and including the first alarm: its 0-based position, or -1. Go on after it."""
        return self._feed(as_values(values))

    def update(self, value: float | None) -> bool:
        """Take one value; whether it alarms."""
        self._one[0] = np.nan if value is None else value
        return self._feed(self._one) == 0

    def update_many(self, values: Values) -> Int64Array:
        """Take all values: the 0-based positions of the alarms, exactly those that `update` gives one by one."""
        array = as_values(values)
        found: list[int] = []
        start = 0
        while (at := self._feed(array[start:])) >= 0:
            start += at + 1
            found.append(start - 1)
        return np.array(found, np.int64)

    def retuned(self, **params: Any) -> Self:
        """This detector with other parameters and the same state: a new threshold for what is under way."""
        other = type(self)(replace(self.params, **params))
        other.load({name: array.copy() for name, array in self.state().items()})
        return other

    @property
    def seen(self) -> int:
        """Values used since birth."""
        return int(self.counts[SEEN])

    @property
    def ignored(self) -> int:
        """Values that were missing or not finite since birth."""
        return int(self.counts[IGNORED])

    @property
    def alarmed(self) -> bool:
        """Whether the last value raised an alarm."""
        return bool(self.counts[ALARMED])

    @property
    def since_change(self) -> int:
        """At an alarm: how many values ago the change is estimated to have begun (at least 1)."""
        return int(self.counts[SINCE])

    def snapshot(self) -> bytes:
        """Parameters and state as bytes, versioned and checksummed; `detectors.restore` takes them."""
        params = {f.name: getattr(self.params, f.name) for f in fields(self.params)}
        return encode(self.name, params, self.state())

    def _load_array(self, state: Mapping[str, npt.NDArray[Any]], name: str, into: npt.NDArray[Any]) -> None:
        """Copy one array of a state, which must have the type and shape of ours."""
        array = state.get(name)
        if not isinstance(array, np.ndarray) or array.shape != into.shape or array.dtype != into.dtype:
            raise SnapshotError(f"the state of {self.name} does not fit its parameters ({name})")
        into[...] = array


def finite(array: npt.NDArray[Any]) -> bool:
    """Whether every number of it is finite."""
    return bool(np.isfinite(array).all())


def split(values: Float64Array) -> int:
    """How many of the last values stand out: the split at which the sums of both parts are furthest from what an even
    spread would give (Pettitt, A non-parametric approach to the change-point problem, Appl. Statist. 28, 1979)."""
    sums = np.cumsum(values)
    even = sums[-1] * np.arange(1, len(values) + 1) / len(values)
    return len(values) - 1 - int(np.argmax(np.abs(sums[:-1] - even[:-1])))
