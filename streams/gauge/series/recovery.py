"""Whether the last values of a series are back within what matters of what was before its alert."""

from __future__ import annotations

from math import pi, sqrt
from typing import Literal

import numpy as np

import detectors
from streams.records import Float64Array

CHANCE = 0.05
"""A distance that chance alone exceeds this rarely (by a bound) is taken for none."""
ROUNDING = 1e-9


def mean_is_calm(recent: Float64Array, before: float, least: float, mode: Literal["up", "down", "both"]) -> bool:
    """Whether the mean is less than `least` away from the one before, in the direction that counts; or is that one, but
    for rounding, where what was before did not vary and nothing is less."""
    gap = float(recent.mean()) - before
    if not least and abs(gap) <= ROUNDING * abs(before):
        return True
    return (gap if mode == "up" else -gap if mode == "down" else abs(gap)) < least


def distance_is_calm(recent: Float64Array, reference: Float64Array, least: float) -> bool:
    """Whether the KS distance to the reference is less than `least`, or than what chance alone may give."""
    chance = detectors.ks_distance_at(CHANCE, len(recent), len(reference))
    return detectors.ks_distance(recent, reference) < max(least, chance)


def variation_is_calm(recent: Float64Array, reference: Float64Array, least: float) -> bool:
    """Whether the total variation from the reference is less than `least`, or than 1.5 times its mean by chance."""
    n, m = len(recent), len(reference)
    _, counts = np.unique(reference, return_counts=True)
    p = counts / m
    # the mean of |observed - expected| of a binomial proportion is about sqrt(2/pi) of its deviation
    chance = float(np.sqrt(p * (1 - p)).sum()) * sqrt((1 / n + 1 / m) * 2 / pi) / 2
    return detectors.total_variation(recent, reference) < max(least, 1.5 * chance)
