"""The catalogue: detectors by name. An algorithm's module is imported when one of its kind is first built."""

from __future__ import annotations

from dataclasses import fields
from importlib import import_module
from numbers import Integral, Real
from typing import Any

import numpy as np

from detectors.detector import Detector, ParameterError, demand
from detectors.snapshot import SnapshotError, decode

_CATALOGUE: dict[str, tuple[str, str]] = {
    "adwin": ("mean.adwin", "Adwin"),
    "chi_squared": ("distribution.chi_squared", "ChiSquared"),
    "conformal": ("distribution.conformal", "Conformal"),
    "cramer_von_mises": ("distribution.cramer_von_mises", "CramerVonMises"),
    "cusum": ("mean.cusum", "Cusum"),
    "ddm": ("mean.ddm", "Ddm"),
    "domain_classifier": ("multivariate.domain_classifier", "DomainClassifier"),
    "eddm": ("mean.eddm", "Eddm"),
    "ewma": ("mean.ewma", "Ewma"),
    "focus": ("mean.focus", "Focus"),
    "half_space_trees": ("multivariate.half_space_trees", "HalfSpaceTrees"),
    "hddm_a": ("mean.hddm_a", "HddmA"),
    "hddm_w": ("mean.hddm_w", "HddmW"),
    "isolation_forest": ("multivariate.isolation_forest", "IsolationForest"),
    "jensen_shannon": ("distribution.jensen_shannon", "JensenShannon"),
    "kswin": ("distribution.kswin", "Kswin"),
    "mmd": ("multivariate.mmd", "MMD"),
    "one_class_svm": ("multivariate.one_class_svm", "OneClassSVM"),
    "page_hinkley": ("mean.page_hinkley", "PageHinkley"),
    "psi": ("distribution.psi", "PSI"),
    "river:DDM": ("river_adapter", "DDM"),
    "river:DummyDriftDetector": ("river_adapter", "DummyDriftDetector"),
    "river:EDDM": ("river_adapter", "EDDM"),
    "river:FHDDM": ("river_adapter", "FHDDM"),
    "river:HDDMA": ("river_adapter", "HDDMA"),
    "river:PageHinkley": ("river_adapter", "PageHinkley"),
    "shiryaev_roberts": ("mean.shiryaev_roberts", "ShiryaevRoberts"),
    "variance": ("mean.variance", "Variance"),
    "wasserstein": ("distribution.wasserstein", "Wasserstein"),
    "welch_t": ("distribution.welch_t", "WelchT"),
    "windowed_ks": ("distribution.windowed_ks", "WindowedKS"),
    "z_score": ("distribution.z_score", "ZScore"),
}
"""Where each is: module, class."""


def catalog() -> list[str]:
    """The names that `build` knows."""
    return list(_CATALOGUE)


def find(name: str) -> type[Detector]:
    """The class of a detector. Raises ParameterError for an unknown name."""
    if name not in _CATALOGUE:
        raise ParameterError(f"no detector is called {name!r}; there are {', '.join(catalog())}")
    module, kind = _CATALOGUE[name]
    found: type[Detector] = getattr(import_module(f"detectors.{module}"), kind)
    return found


def build(name: str, **params: Any) -> Detector:
    """A fresh detector. Raises ParameterError for an unknown name or parameter, or a value out of its range.

    >>> build("page_hinkley", threshold=20.0).update(0.5)
    False
    """
    detector = find(name)
    try:
        chosen = detector.parameters(**_plain(detector.parameters, params))
    except (TypeError, OverflowError) as problem:
        known = ", ".join(field.name for field in fields(detector.parameters))
        raise ParameterError(f"{name} takes the parameters {known} ({problem})") from problem
    return detector(chosen)


def _plain(kind: type[Any], params: dict[str, Any]) -> dict[str, Any]:
    """The parameters with whole and other numbers as Python's own, numpy's too: so they can be written out.

    Raises ParameterError where a number is not one: 50.0 is no size of a window.
    """
    types = {field.name: str(field.type).removesuffix(" | None") for field in fields(kind)}
    plain = dict(params)
    for name, value in params.items():
        number = isinstance(value, Real) and not isinstance(value, bool)
        if types.get(name) == "int" and value is not None:
            demand(number and isinstance(value, Integral), f"{name} must be a whole number")
            plain[name] = int(value)
        elif types.get(name) == "float" and value is not None:
            demand(number, f"{name} must be a number")
            plain[name] = float(value)
        elif types.get(name) == "bool":
            demand(isinstance(value, (bool, np.bool_)), f"{name} must be true or false")
            plain[name] = bool(value)
    return plain


def restore(data: bytes) -> Detector:
    """The detector whose `snapshot` this is. Raises SnapshotError where the bytes are not one."""
    name, params, state = decode(data)
    try:
        detector = build(name, **params)
        detector.load(state)
    except ParameterError as problem:
        raise SnapshotError(f"a snapshot with parameters that cannot be: {problem}") from problem
    except SnapshotError:
        raise
    except (AttributeError, IndexError, KeyError, MemoryError, OverflowError, TypeError, ValueError) as problem:
        raise SnapshotError(f"a snapshot that does not hold together: {problem!r}") from problem
    return detector
