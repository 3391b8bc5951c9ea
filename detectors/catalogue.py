"""The catalogue: detectors by name."""

from __future__ import annotations

from typing import Any

from detectors.adwin import Adwin, AdwinParams
from detectors.chi_squared import ChiSquared, ChiSquaredParams
from detectors.detector import Detector, ParameterError
from detectors.page_hinkley import PageHinkley, PageHinkleyParams
from detectors.snapshot import SnapshotError, decode
from detectors.windowed_ks import WindowedKS, WindowedKSParams

_CATALOGUE: dict[str, tuple[Any, Any]] = {
    "adwin": (Adwin, AdwinParams),
    "chi_squared": (ChiSquared, ChiSquaredParams),
    "page_hinkley": (PageHinkley, PageHinkleyParams),
    "windowed_ks": (WindowedKS, WindowedKSParams),
}


def catalog() -> list[str]:
    """The names that `build` knows."""
    return list(_CATALOGUE)


def build(name: str, **params: Any) -> Detector:
    """A fresh detector. Raises ParameterError for an unknown name or parameter, or a value out of its range.

    >>> build("page_hinkley", threshold=20.0).update(0.5)
    False
    """
    if name not in _CATALOGUE:
        raise ParameterError(f"no detector is called {name!r}; there are {', '.join(catalog())}")
    detector, parameters = _CATALOGUE[name]
    try:
        chosen = parameters(**params)
    except TypeError as problem:
        known = ", ".join(parameters.__dataclass_fields__)
        raise ParameterError(f"{name} takes the parameters {known} ({problem})") from problem
    built: Detector = detector(chosen)
    return built


def restore(data: bytes) -> Detector:
    """The detector whose `snapshot` this is. Raises SnapshotError where the bytes are not one."""
    name, params, state = decode(data)
    try:
        detector = build(name, **params)
    except ParameterError as problem:
        raise SnapshotError(f"a snapshot with parameters that cannot be: {problem}") from problem
    detector.load(state)
    return detector
