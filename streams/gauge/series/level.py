"""What a series' values are freed of before their levels are compared: its season, in the values' own units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import detectors
from streams.records import Float64Array, Int64Array
from streams.state import array

HOUR = 3_600_000
WEEK = 168


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """By hour of the week what is taken off a value and what it is divided by; on average 0 and 1."""

    shift: Float64Array
    scale: Float64Array

    def apply(self, values: Float64Array, timestamps: Int64Array | None) -> Float64Array:
        """The values without their season; as they are where their times are not known."""
        if timestamps is None:
            return values
        hour = timestamps // HOUR % WEEK
        center = self.shift.mean()
        freed: Float64Array = (values - self.shift[hour]) / self.scale[hour] + center
        return freed

    def tree(self) -> Any:
        """Itself for `streams.state.pack`."""
        return [self.shift, self.scale]


def level_from(tree: Any) -> Level:
    """The level that Level.tree gave."""
    shift, scale = tree
    return Level(array(shift, "<f8", WEEK), array(scale, "<f8", WEEK))


def level_of(profile: detectors.Profile | None) -> Level | None:
    """The season of a profile; None where it has none."""
    if profile is None or not profile.seasonal:
        return None
    shift = np.broadcast_to(profile.location, (WEEK,)).copy()
    scale = np.broadcast_to(profile.scale, (WEEK,))
    return Level(shift, scale / scale.mean())
