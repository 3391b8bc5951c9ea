"""Change detectors: one algorithm in a short file, compiled, with explicit state. Works alone, on numpy arrays.

    detector = build("adwin", delta=0.001)
    detector.update_many(values)      # positions of the alarms, 0-based
    data = detector.snapshot()        # bytes; restore(data) goes on as if it had never stopped

Thresholds can come from a false-alarm budget instead of by hand: see `calibrate`.

Rooms: `mean` (changes of a level), `distribution` (changes of a shape or of categories), `multivariate` (rows of
several features), `calibration` (parameters from a budget), `evaluation` (false alarms and delays, measured).
"""

from detectors.calibration import (
    Calibration,
    Direction,
    Division,
    Kind,
    Profile,
    Uncalibrated,
    calibrate,
    knows_effect,
    lag_one_autocorrelation,
    limits_of,
    plausible,
    share,
)
from detectors.catalogue import build, catalog, find, restore
from detectors.detector import Detector, ParameterError, State
from detectors.distribution import ks_bound, ks_distance, ks_distance_at, pearson, total_variation
from detectors.snapshot import SnapshotError

__all__ = [
    "Calibration",
    "Detector",
    "Direction",
    "Division",
    "Kind",
    "ParameterError",
    "Profile",
    "SnapshotError",
    "State",
    "Uncalibrated",
    "build",
    "calibrate",
    "catalog",
    "find",
    "knows_effect",
    "ks_bound",
    "ks_distance",
    "ks_distance_at",
    "lag_one_autocorrelation",
    "limits_of",
    "pearson",
    "plausible",
    "restore",
    "share",
    "total_variation",
]
