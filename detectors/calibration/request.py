"""What a method of calibration is asked."""

from __future__ import annotations

from dataclasses import dataclass

from detectors.calibration.dependence import Dependence, dependence_at, dependence_of
from detectors.calibration.result import Direction, Kind
from detectors.detector import Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Healthy values as the detector takes them, in order, how many it looks at in 30 days, and how many false alarms
    it may raise on them.

    `min_effect` is in the detector's units, None for its default; `parameters` is the share of freedom that a season
    has taken from the values, `busiest` the highest level of a season of 0/1 values; `lag_one` is given where the
    values are not consecutive; `limits` are those that the values are held within.
    """

    name: str
    values: Float64Array
    looks: float
    share: float
    kind: Kind
    direction: Direction
    min_effect: float | None
    window: int | None
    parameters: float = 0.0
    busiest: float | None = None
    lag_one: float | None = None
    limits: tuple[float, float] = (-1e300, 1e300)

    def dependence(self, values: Float64Array | None = None) -> Dependence:
        """Of the values, or of others that were made of them one by one. Raises Uncalibrated."""
        chosen = self.values if values is None else values
        if self.lag_one is not None:
            return dependence_at(chosen, self.lag_one)
        return dependence_of(chosen, self.parameters)

    @property
    def sides(self) -> tuple[float, ...]:
        """1 for changes upwards, -1 for changes downwards."""
        return {"up": (1.0,), "down": (-1.0,), "both": (1.0, -1.0)}[self.direction]
