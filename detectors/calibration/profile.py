"""What values pass before a detector looks at them: their usual level and spread at each hour of the week taken off.

A season is no change, yet to a detector for independent values it is one every day. The profile is frozen, and each
value passes it by itself: any cut of a stream into batches gives the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Self

import numba
import numpy as np
import numpy.typing as npt

from detectors.detector import Float64Array, Int64Array, ParameterError, Values, as_values, demand

HOUR = 3_600_000
"""Milliseconds."""
WEEK = 168
"""Hours."""


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """What a value passes: (value - location) / scale of its hour of the week, held within [low, high].

    `location` and `scale` have 168 numbers, or one where there is no season; `low` and `high` are in units of the
    result. `parameters` is the share of the reference's freedom that estimating the profile took, 0 to 1.
    """

    location: Float64Array
    scale: Float64Array
    low: float = -1e300
    high: float = 1e300
    parameters: float = 0.0

    def __post_init__(self) -> None:
        for name in ("location", "scale"):
            array = np.array(getattr(self, name), np.float64)
            demand(array.shape in ((1,), (WEEK,)), f"{name} must have 1 or {WEEK} numbers")
            demand(bool(np.isfinite(array).all()), f"{name} must be finite")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        demand(bool((self.scale > 0).all()), "scale must be above 0")
        demand(isfinite(self.low) and isfinite(self.high) and self.low < self.high, "low must be below high")

    @property
    def seasonal(self) -> bool:
        """Whether the time of a value matters."""
        return len(self.location) > 1 or len(self.scale) > 1

    def apply(self, values: Values, timestamps: npt.ArrayLike | None = None) -> Float64Array:
        """The values transformed, one by one; missing and infinite ones become NaN. `timestamps` are epoch
        milliseconds, one for each value. Raises ParameterError where they are needed and not there."""
        array = as_values(values)
        found: Float64Array
        if self.seasonal:
            stamps = as_timestamps(timestamps, len(array))
            location = np.broadcast_to(self.location, (WEEK,))
            scale = np.broadcast_to(self.scale, (WEEK,))
            found = _deseasoned(array, stamps, location, scale, self.low, self.high)
        else:
            found = _scaled(array, self.location[0], self.scale[0], self.low, self.high)
        return found

    def tree(self) -> list[Any]:
        """Itself as a list of arrays and numbers, for a snapshot."""
        return [self.location, self.scale, self.low, self.high, self.parameters]

    @classmethod
    def of(cls, tree: list[Any] | Mapping[str, Any]) -> Self:
        """What `tree` gave."""
        return cls(*tree)


def as_timestamps(timestamps: npt.ArrayLike | None, size: int) -> Int64Array:
    """Epoch milliseconds, as many as there are values. Raises ParameterError."""
    if timestamps is None:
        raise ParameterError("the profile has a season: timestamps (epoch milliseconds) are needed")
    stamps = np.ascontiguousarray(timestamps, dtype=np.int64)
    demand(stamps.shape == (size,), "timestamps must be as many as the values")
    return stamps


@numba.njit(cache=True)
def _scaled(values: Float64Array, location: float, scale: float, low: float, high: float) -> Float64Array:
    found = np.empty(len(values))
    for i in range(len(values)):
        found[i] = min(max((values[i] - location) / scale, low), high) if np.isfinite(values[i]) else np.nan
    return found


@numba.njit(cache=True)
def _deseasoned(
    values: Float64Array, stamps: Int64Array, location: Float64Array, scale: Float64Array, low: float, high: float
) -> Float64Array:
    found = np.empty(len(values))
    for i in range(len(values)):
        hour = (stamps[i] // HOUR) % WEEK
        fit = (values[i] - location[hour]) / scale[hour]
        found[i] = min(max(fit, low), high) if np.isfinite(values[i]) else np.nan
    return found
