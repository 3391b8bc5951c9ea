"""Parameters from a false-alarm budget."""

from detectors.calibration.calibrate import calibrate, knows_effect
from detectors.calibration.dependence import lag_one_autocorrelation
from detectors.calibration.division import Division, share
from detectors.calibration.preparation import limits_of, plausible
from detectors.calibration.profile import Profile
from detectors.calibration.result import Calibration, Direction, Kind, Uncalibrated
from detectors.calibration.run_length import (
    cusum_interval,
    cusum_run_length,
    ewma_limit,
    ewma_run_length,
    focus_alarms,
    focus_run_length,
    focus_threshold,
)

__all__ = [
    "Calibration",
    "Direction",
    "Division",
    "Kind",
    "Profile",
    "Uncalibrated",
    "calibrate",
    "cusum_interval",
    "cusum_run_length",
    "ewma_limit",
    "ewma_run_length",
    "focus_alarms",
    "focus_run_length",
    "focus_threshold",
    "knows_effect",
    "lag_one_autocorrelation",
    "limits_of",
    "plausible",
    "share",
]
