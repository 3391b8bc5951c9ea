"""False alarms and delays, measured: `python -m detectors.evaluation` writes docs/detectors/.

Needs the extra `evaluation`: matplotlib for the pictures, river and scikit-learn for their data sets.
"""

from detectors.evaluation.report import FILES, write
from detectors.evaluation.run import FULL, QUICK, Found, Outcome, Scale, evaluate

__all__ = ["FILES", "FULL", "QUICK", "Found", "Outcome", "Scale", "evaluate", "write"]
