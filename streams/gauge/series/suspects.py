"""Which features changed at the time of an error alarm: the last values of each against its reference."""

from __future__ import annotations

from collections.abc import Iterable
from math import e, exp, log

import numpy as np
from scipy import stats

import detectors
from streams.alerts import Suspect
from streams.gauge.series.series import Series

MOST = 5
CLEAR = log(1e-3)
"""Only features whose change chance explains less often than this are named."""
_FEWEST = 50


def suspects(features: Iterable[Series]) -> tuple[Suspect, ...]:
    """The features that changed, the strongest evidence first: by p-value, then statistic, then name."""
    found = [evidence for series in features if (evidence := _evidence(series)) is not None]
    found.sort(key=lambda each: (each[0], -each[1].statistic, each[1].feature))
    return tuple(suspect for _, suspect in found[:MOST])


def _evidence(series: Series) -> tuple[float, Suspect] | None:
    """(log of the p-value, the suspect); None where the feature has not clearly changed or has no reference."""
    recent = series.history.recent(series.history.count)
    if series.sample is None or len(recent) < _FEWEST:
        return None
    name = series.subject.partition(".")[2]
    reference = series.sample.values
    if series.kind == "categories":
        statistic, freedom = detectors.pearson(recent, reference)
        if freedom < 1:
            return None
        # the reference's own error, to first order
        log_p = float(stats.chi2.logsf(statistic / (1.0 + len(recent) / len(reference)), freedom))
        suspect = Suspect(name, "chi_squared", statistic, exp(log_p), None)
        return (log_p, suspect) if log_p < CLEAR else None
    statistic = detectors.ks_distance(recent, reference)
    log_p = log(e) - 2.0 * statistic**2 * len(recent) * len(reference) / (len(recent) + len(reference))
    if log_p >= CLEAR:
        return None
    up = np.median(recent) > np.median(reference) or (
        np.median(recent) == np.median(reference) and recent.mean() > reference.mean()
    )
    return log_p, Suspect(name, "windowed_ks", statistic, exp(log_p), "up" if up else "down")
