"""Detectors of a change of distribution: they keep a window, a reference, or both."""

from detectors.distribution.categories import pearson, total_variation
from detectors.distribution.windowed_ks import ks_bound, ks_distance, ks_distance_at

__all__ = ["ks_bound", "ks_distance", "ks_distance_at", "pearson", "total_variation"]
