"""The targets, by name."""

from __future__ import annotations

from tests.fuzz.target import Target
from tests.fuzz.targets.configuration import Configuration
from tests.fuzz.targets.control import Control
from tests.fuzz.targets.detector import Detectors
from tests.fuzz.targets.events import Labels, MappedLabels, MappedPredictions, Predictions
from tests.fuzz.targets.outcomes import Outcomes
from tests.fuzz.targets.states import Journal, Snapshots

_ALL: tuple[type[Target], ...] = (
    Predictions, Labels, MappedPredictions, MappedLabels, Control, Configuration, Journal, Snapshots, Outcomes,
    Detectors,
)  # fmt: skip
TARGETS: dict[str, type[Target]] = {target.name: target for target in _ALL}

__all__ = ["TARGETS", "Target"]
