"""Parameters from a false-alarm budget."""

from detectors.calibration.calibrate import calibrate
from detectors.calibration.dependence import lag_one_autocorrelation
from detectors.calibration.division import Division
from detectors.calibration.result import Calibration, Kind, Uncalibrated
from detectors.calibration.season import Profile

__all__ = ["Calibration", "Division", "Kind", "Profile", "Uncalibrated", "calibrate", "lag_one_autocorrelation"]
