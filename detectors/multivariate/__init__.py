"""Detectors over rows of several features: each is fitted on reference rows, and keeps what was fitted as arrays."""

from detectors.multivariate.outlying import share_for
from detectors.multivariate.rows import Rows

__all__ = ["Rows", "share_for"]
