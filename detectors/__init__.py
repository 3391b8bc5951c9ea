"""Change detectors: one algorithm in a short file, compiled, with explicit state. Works alone, on numpy arrays.

    detector = build("adwin", delta=0.001)
    detector.update_many(values)      # positions of the alarms, 0-based
    data = detector.snapshot()        # bytes; restore(data) goes on as if it had never stopped

Thresholds can come from a false-alarm budget instead of by hand: see `calibrate`.
"""

from detectors.adwin import Adwin, AdwinParams
from detectors.budget import Calibration, Kind, Uncalibrated, calibrate, lag_one_autocorrelation
from detectors.catalogue import build, catalog, restore
from detectors.chi_squared import ChiSquared, ChiSquaredParams, pearson, total_variation
from detectors.detector import Detector, ParameterError
from detectors.page_hinkley import PageHinkley, PageHinkleyParams
from detectors.snapshot import SnapshotError
from detectors.windowed_ks import WindowedKS, WindowedKSParams, ks_bound, ks_distance, ks_distance_at

__all__ = [
    "Adwin",
    "AdwinParams",
    "Calibration",
    "ChiSquared",
    "ChiSquaredParams",
    "Detector",
    "Kind",
    "PageHinkley",
    "PageHinkleyParams",
    "ParameterError",
    "SnapshotError",
    "Uncalibrated",
    "WindowedKS",
    "WindowedKSParams",
    "build",
    "calibrate",
    "catalog",
    "ks_bound",
    "ks_distance",
    "ks_distance_at",
    "lag_one_autocorrelation",
    "pearson",
    "restore",
    "total_variation",
]
