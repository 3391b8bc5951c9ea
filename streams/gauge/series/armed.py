"""A detector that looks: what its values pass first, what it promises, and how it starts afresh."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

import detectors
from streams.gauge.series.reference import Sample
from streams.gauge.series.settings import needs_reference
from streams.records import Float64Array, Int64Array

MEANS = frozenset(
    {
        "adwin",
        "cusum",
        "ddm",
        "eddm",
        "ewma",
        "focus",
        "hddm_a",
        "hddm_w",
        "page_hinkley",
        "shiryaev_roberts",
        "welch_t",
        "z_score",
    }
)
"""Detectors of a mean: their alarms are judged by how far the mean has moved. The others know their own effect."""
UNDATED = frozenset({"adwin", "ddm", "eddm", "hddm_a", "hddm_w", "page_hinkley"})
"""Detectors whose own estimate of when a change began is coarser than the history's."""


FOR_CATEGORIES = frozenset({"chi_squared", "jensen_shannon", "psi"})
"""Detectors that can look at categories."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a watch asks of a calibration. `share` is the number of false alarms in 30 days that it may raise;
    `min_effect` is in standard deviations where values are numbers, None for the detector's default."""

    kind: detectors.Kind
    share: float
    min_effect: float | None
    direction: detectors.Direction
    window: int | None


class Armed:
    """A detector with its own parameters, or with those of a calibration."""

    def __init__(self, use: str, params: dict[str, Any], calibration: detectors.Calibration | None) -> None:
        self.use = use
        self.params = params
        self.calibration = calibration
        self._detector: detectors.Detector
        self._reference: Float64Array | None = None
        self._start: detectors.State | None = None  # what a fresh start begins with; None: with nothing

    @classmethod
    def own(cls, use: str, params: dict[str, Any], reference: Float64Array | None) -> Self:
        """With the user's parameters, and the reference's values where it compares with them."""
        armed = cls(use, params, None)
        armed._build(reference)
        return armed

    @classmethod
    def calibrated(cls, use: str, sample: Sample, terms: Terms) -> Self:
        """With parameters for a share of the budget. Raises Uncalibrated, and ParameterError where there are none."""
        effect = terms.min_effect if detectors.knows_effect(use) else None
        if effect is not None and use in MEANS and terms.kind == "numeric":
            with np.errstate(over="raise"):
                effect *= float(sample.values[detectors.plausible(sample.values)].std())
        found = detectors.calibrate(
            use, sample.values, rate=sample.rate, false_alarms=terms.share, kind=terms.kind,
            timestamps=sample.timestamps, min_effect=effect, direction=terms.direction, window=terms.window,
            lag_one=sample.lag_one,
        )  # fmt: skip
        armed = cls(use, dict(found.params), found)
        armed._detector = found.detector(sample.values, sample.timestamps)
        armed._reference = found.reference
        armed._start = None if needs_reference(use) else armed._copied()
        return armed

    def _build(self, reference: Float64Array | None) -> None:
        params = {key: value for key, value in self.params.items() if value is not None}
        self._reference = reference if needs_reference(self.use) else None
        if self._reference is not None:
            params["reference"] = self._reference
        self._detector = detectors.build(self.use, **params)

    def _copied(self) -> detectors.State:
        return {name: array.copy() for name, array in self._detector.state().items()}

    def inputs(self, values: Float64Array, timestamps: Int64Array) -> Float64Array:
        """The values as the detector takes them; each by itself, whatever the batch."""
        return values if self.calibration is None else self.calibration.transform(values, timestamps)

    def feed(self, inputs: Float64Array) -> int:
        """Look at inputs up to and including the first alarm: its place, or -1."""
        return self._detector.feed(inputs)

    def afresh(self, sample: Sample | None) -> None:
        """Start anew, against the same reference; `sample` is what the series has kept of it."""
        self._detector.reset()
        if self._start is not None:
            self._detector.load(self._start)
        elif self.calibration is not None and sample is not None:
            self._detector = self.calibration.detector(sample.values, sample.timestamps)

    @property
    def statistic(self) -> float:
        """At the last input, in the detector's units."""
        return self._detector.statistic

    @property
    def threshold(self) -> float:
        """What the statistic must exceed."""
        return self._detector.threshold

    @property
    def since(self) -> int | None:
        """At an alarm: how many values ago the change began; None where the history knows better."""
        return None if self.use in UNDATED else self._detector.since_change

    def tree(self) -> Any:
        """Itself for `streams.state.pack`."""
        found = self.calibration
        return {
            "params": self.params,
            "calibration": None if found is None else {**found.tree(), "reference": None},
            "reference": self._reference,
            "detector": self._copied(),
            "start": self._start,
        }

    @classmethod
    def of(cls, use: str, tree: Any) -> Self:
        """What `tree` gave."""
        found = tree["calibration"]
        if found is not None:
            found = detectors.Calibration.of({**found, "reference": tree["reference"]})
        armed = cls(use, tree["params"], found)
        armed._build(tree["reference"])
        armed._detector.load(tree["detector"])
        armed._start = tree["start"]
        return armed
