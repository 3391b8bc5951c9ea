"""Parameters from a false-alarm budget."""

from detectors.calibration.bound import Calibration, Kind, Uncalibrated, calibrate, lag_one_autocorrelation
from detectors.calibration.run_length import cusum_interval, cusum_run_length, ewma_limit, ewma_run_length

__all__ = [
    "Calibration",
    "Kind",
    "Uncalibrated",
    "calibrate",
    "cusum_interval",
    "cusum_run_length",
    "ewma_limit",
    "ewma_run_length",
    "lag_one_autocorrelation",
]
