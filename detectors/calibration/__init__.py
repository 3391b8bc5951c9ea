"""Parameters from a false-alarm budget."""

from detectors.calibration.calibrate import calibrate
from detectors.calibration.dependence import lag_one_autocorrelation
from detectors.calibration.division import Division
from detectors.calibration.result import Calibration, Kind, Uncalibrated
from detectors.calibration.run_length import cusum_interval, cusum_run_length, ewma_limit, ewma_run_length
from detectors.calibration.season import Profile

__all__ = [
    "Calibration",
    "Division",
    "Kind",
    "Profile",
    "Uncalibrated",
    "calibrate",
    "cusum_interval",
    "cusum_run_length",
    "ewma_limit",
    "ewma_run_length",
    "lag_one_autocorrelation",
]
