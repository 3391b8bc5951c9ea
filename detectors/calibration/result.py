"""What a calibration gives: parameters, what their values must pass first, and what is promised of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from detectors.calibration.profile import Profile
from detectors.catalogue import build
from detectors.detector import Detector, Float64Array, Values, as_rows, as_values

Kind = Literal["binary", "numeric", "categories"]
"""What the values are: 0/1, numbers, or categories coded as numbers."""

Direction = Literal["up", "down", "both"]
Method = Literal["closed form", "bound", "simulation", "block bootstrap"]

ROWS = ("domain_classifier", "half_space_trees", "isolation_forest", "mmd", "one_class_svm")
"""The detectors over rows of several features."""
MONTH = 30 * 86400.0
"""Seconds of the time that promises are given for."""


class Uncalibrated(ValueError):
    """No promise can be made from this sample; the message is the reason. `needed` is the size of a reference that
    would do, where a larger one would."""

    def __init__(self, reason: str, needed: int | None = None) -> None:
        super().__init__(reason)
        self.needed = needed


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Parameters to build a detector with, and what they promise.

    `params` lacks the reference; `reference` is the sample that a detector which takes one is to hold, already
    transformed (None for those that take none). `profile` is what values pass before they reach the detector, None
    where they go in as they are. `expected_per_30d` is the average number of false alarms of this one series, and
    `at_most_per_30d` its upper limit at 95 % confidence, given how much the reference can tell. `inflation` is how
    many times larger the variance of a long mean is than if the values were independent; `in_order`: whether the
    reference was given in the order in which it came. A change of `shift`
    (standard deviations, a rate's difference, a KS distance, a total variation) is found in about `within` values.
    """

    name: str
    params: dict[str, Any]
    method: Method
    expected_per_30d: float
    at_most_per_30d: float
    assumes: str
    shift: float
    within: int
    inflation: float = 1.0
    profile: Profile | None = None
    reference: Float64Array | None = None
    in_order: bool = True

    def transform(self, values: Values, timestamps: npt.ArrayLike | None = None) -> Float64Array:
        """The values, or rows of them, as the detector takes them. `timestamps` (epoch milliseconds, one a value) are
        needed where the profile has a season. Each value by itself: any cut into batches gives the same."""
        if self.profile is not None:
            return self.profile.apply(values, timestamps)
        return as_rows(values) if self.name in ROWS else as_values(values)

    def detector(self, reference: Values, timestamps: npt.ArrayLike | None = None) -> Detector:
        """The detector, built and primed with the healthy sample (in the values' own units, in their order). A window
        begins full, with the sample's last values, so that it looks from the first value on."""
        held = {} if self.reference is None else {"reference": self.reference}
        made = build(self.name, **self.params, **held)
        values = self.transform(reference, timestamps)
        made.prime(values)
        if self.in_order and "window" in self.params and made.feed(values[-self.params["window"] :]) >= 0:
            made.prime(values)
        return made

    def tree(self) -> dict[str, Any]:
        """Itself as texts, numbers, lists, dictionaries and arrays, for a snapshot."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        found["params"] = dict(self.params)
        found["profile"] = None if self.profile is None else self.profile.tree()
        return found

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> Self:
        """What `tree` gave."""
        found = dict(tree)
        found["profile"] = None if tree["profile"] is None else Profile.of(tree["profile"])
        found["reference"] = None if tree["reference"] is None else np.asarray(tree["reference"], np.float64)
        return cls(**found)


@dataclass(frozen=True, slots=True, eq=False)
class Promise:
    """What one method finds: parameters and what they promise, before the door adds what values must pass."""

    params: dict[str, Any]
    method: Method
    expected_per_30d: float
    assumes: str
    shift: float
    within: int
    at_most_per_30d: float | None = None
    inflation: float = 1.0
    reference: Float64Array | None = None
