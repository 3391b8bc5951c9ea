"""scikit-learn, imported when a model is fitted: a restored detector, and all others, do without."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from detectors.detector import ParameterError


def scikit_learn(module: str, detector: str) -> Any:
    """A module of scikit-learn. Raises ParameterError with what to do where it is not installed."""
    try:
        return import_module(f"sklearn.{module}")
    except ImportError as problem:
        raise ParameterError(
            f"{detector} is fitted by scikit-learn, which is not installed: pip install 'streamgauge[multivariate]'"
        ) from problem
