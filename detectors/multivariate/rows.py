"""What detectors over rows share: rows in and out, the scale of the features, fitted arrays among the parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from detectors.detector import Detector, Float64Array, Int64Array, Row, as_rows, demand

CLIP = 1e6
"""Standard deviations from the reference's mean at which a feature is held."""
WIDEST = 1024
"""The most features a row may have."""

Int32Array = npt.NDArray[np.int32]


def reference_rows(reference: npt.ArrayLike, least: int) -> Float64Array:
    """The rows of a reference sample that miss nothing. Raises ParameterError where they are too few or too many."""
    try:
        array = as_rows(reference)
    except ValueError as problem:
        demand(False, f"reference must be rows of equally many features: {problem}")
    demand(1 <= array.shape[1] <= WIDEST, f"reference must have 1 to {WIDEST} features")
    array = array[np.isfinite(array).all(axis=1)]
    demand(len(array) >= least, f"reference must hold at least {least} rows without a missing value")
    demand(bool((np.abs(array) < 1e100).all()), "reference must hold numbers within ±1e100")
    return array


def scaling(reference: Float64Array) -> tuple[Float64Array, Float64Array]:
    """(mean, standard deviation) of each feature, its outermost hundredths held in so that a heavy tail does not
    flatten the rest, unless nothing else varies; 1 for the deviation of a feature that does not vary."""
    inner = np.clip(reference, *np.quantile(reference, [0.01, 0.99], axis=0))
    inner = np.where(_varies(inner), inner, reference)
    return inner.mean(axis=0), np.where(_varies(inner), inner.std(axis=0), 1.0)


def _varies(rows: Float64Array) -> npt.NDArray[np.bool_]:
    """Whether each feature varies by more than rounding would make it."""
    varies: npt.NDArray[np.bool_] = rows.std(axis=0) > np.maximum(1e-12 * np.abs(rows).max(axis=0), 1e-290)
    return varies


def standardized(rows: Float64Array, center: Float64Array, scale: Float64Array) -> Float64Array:
    """Finite rows in deviations from the reference's mean, as the kernels see them."""
    with np.errstate(over="ignore", under="ignore"):
        return np.clip((rows - center) / scale, -CLIP, CLIP)


def fitted(array: Any, name: str, *shape: int | None) -> Float64Array:
    """A fitted array of the parameters, of this shape (None: any length), finite, read-only. Raises ParameterError."""
    demand(array is not None, f"give a reference to fit on, or {name} and all else that was fitted")
    try:
        taken = np.ascontiguousarray(array, np.float64).copy()
    except (TypeError, ValueError):
        taken = np.full(0, np.nan)
    fits = taken.ndim == len(shape) and all(n in (None, m) for n, m in zip(shape, taken.shape, strict=True))
    demand(fits and bool(np.isfinite(taken).all()), f"{name} does not fit the other parameters, or is not finite")
    taken.flags.writeable = False
    return taken


def places(array: Any, name: str, below: int, *shape: int | None) -> Int32Array:
    """A fitted array of whole numbers from 0 to under `below`, of this shape, read-only. Raises ParameterError."""
    numbers = fitted(array, name, *shape)
    demand(bool(((numbers >= 0) & (numbers < below) & (numbers % 1 == 0)).all()), f"{name} must be 0 to under {below}")
    taken = numbers.astype(np.int32)
    taken.flags.writeable = False
    return taken


@dataclass(frozen=True, slots=True)
class FittedParams:
    """What is fitted on every reference. reference: healthy rows, shape rows × features; they are fitted on. center,
    scale: mean and standard deviation of each feature, in its units."""

    reference: npt.ArrayLike | None = None
    center: npt.ArrayLike | None = None
    scale: npt.ArrayLike | None = None

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _fit_scale(self, reference: Float64Array) -> Float64Array:
        """Take over the reference's scale; its rows in that scale."""
        center, scale = scaling(reference)
        self._set(center=center, scale=scale)
        return standardized(reference, center, scale)

    def _check_scale(self) -> None:
        center = fitted(self.center, "center", None)
        scale = fitted(self.scale, "scale", len(center))
        demand(1 <= len(center) <= WIDEST and bool((scale > 0).all()), "scale must lie above 0 for each feature")
        self._set(center=center, scale=scale)

    @property
    def features(self) -> int:
        """Features of a row."""
        return len(np.asarray(self.center))


class Rows(Detector):
    """A detector over rows of several features. A row with a missing or infinite value is counted in `ignored`, and
    skipped. What it gives for rows (`update`, `update_many`) is what other detectors give for values."""

    params: Any

    def _start(self, params: Any) -> None:
        """Take over the parameters; room for one row, and for one row in the reference's scale."""
        self.params = params
        self.counts: Int64Array = np.zeros(8, np.int64)
        self._one = np.zeros((1, params.features))
        self._room = np.zeros(params.features)

    def feed(self, values: npt.ArrayLike | Sequence[Row]) -> int:
        """Take rows (shape rows × features) up to and including the first alarm: its 0-based position, or -1."""
        return self._feed(as_rows(values, self.params.features))

    def update(self, value: Row) -> bool:
        """Take one row; whether it alarms. Raises ValueError where it has not as many features as the reference."""
        if value is None:
            self._one[0] = np.nan
        else:
            row = np.asarray(value, np.float64)
            if row.shape != self._room.shape:
                raise ValueError(f"a row must hold {len(self._room)} features, not be of shape {row.shape}")
            self._one[0] = row
        return self._feed(self._one) == 0

    def update_many(self, values: npt.ArrayLike | Sequence[Row]) -> Int64Array:
        """Take all rows (shape rows × features): the 0-based positions of the alarms, exactly those that `update`
        gives one by one. Raises ValueError where the rows have not as many features as the reference."""
        array = as_rows(values, self.params.features)
        found: list[int] = []
        start = 0
        while (at := self._feed(array[start:])) >= 0:
            start += at + 1
            found.append(start - 1)
        return np.array(found, np.int64)


@numba.njit(cache=True, _nrt=False)
def standardize(row: Float64Array, center: Float64Array, scale: Float64Array, into: Float64Array) -> bool:
    """Write a row in deviations from the reference's mean; False, and nothing of use, where a value is not finite."""
    complete = True
    for j in range(len(into)):
        value = row[j]
        complete &= np.isfinite(value)
        into[j] = min(max((value - center[j]) / scale[j], -CLIP), CLIP)
    return complete
