"""Parameters from a false-alarm budget."""

from detectors.calibration.bound import Calibration, Kind, Uncalibrated, calibrate, lag_one_autocorrelation

__all__ = ["Calibration", "Kind", "Uncalibrated", "calibrate", "lag_one_autocorrelation"]
