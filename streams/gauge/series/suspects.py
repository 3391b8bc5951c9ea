"""Which features changed at the time of an error alarm: the last values of each against its reference."""

from __future__ import annotations

from collections.abc import Iterable
from math import e, exp, log

import numpy as np

import detectors
from streams.alerts import Suspect
from streams.gauge.series.series import Series

MOST = 5
CLEAR = log(1e-4)
"""Only features whose change chance explains less often than this are named."""
_WINDOWS = (500, 250, 125, 60)
"""How far back a feature is looked at: an alarm may come long before 500 values of the new state have been seen. The
strongest evidence counts, its p-value times the number of looks."""


def suspects(features: Iterable[Series]) -> tuple[Suspect, ...]:
    """The features that changed, the strongest evidence first: by p-value, then statistic, then name."""
    found = []
    for series in features:
        looks = [evidence for window in _WINDOWS if (evidence := _evidence(series, window)) is not None]
        if looks:
            best = min(looks, key=_strength)
            if best[0] < CLEAR:
                found.append(best)
    found.sort(key=_strength)
    return tuple(suspect for _, suspect in found[:MOST])


def _strength(evidence: tuple[float, Suspect]) -> tuple[float, float, str]:
    log_p, suspect = evidence
    return log_p, -suspect.statistic, suspect.feature


def _evidence(series: Series, window: int) -> tuple[float, Suspect] | None:
    """(log of the p-value, the suspect); None where the feature has no reference, or too few values."""
    recent = series.history.recent(series.history.count)[-window:]
    reference = series.levels()
    if reference is None or len(recent) < min(_WINDOWS):
        return None
    name = series.subject.partition(".")[2]
    several = log(len(_WINDOWS))
    if series.kind == "categories":
        statistic, freedom = detectors.pearson(recent, reference)
        if freedom < 1:
            return None
        # the reference's own error, to first order
        scaled = statistic / (1.0 + len(recent) / len(reference)) / series.inflation
        from scipy import special  # half a second that no start need wait for

        tail = float(special.chdtrc(freedom, scaled))
        # beyond what a float holds, the tail's exponent
        log_p = several + (log(tail) if tail > 0.0 else -scaled / 2.0)
        return log_p, Suspect(name, "chi_squared", statistic, min(1.0, exp(log_p)), None)
    statistic = detectors.ks_distance(recent, reference)
    size = len(recent) * len(reference) / (len(recent) + len(reference)) / series.inflation
    log_p = several + log(e) - 2.0 * statistic**2 * size
    up = np.median(recent) > np.median(reference) or (
        np.median(recent) == np.median(reference) and recent.mean() > reference.mean()
    )
    return log_p, Suspect(name, "windowed_ks", statistic, min(1.0, exp(log_p)), "up" if up else "down")
