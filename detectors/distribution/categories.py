"""Categories of two samples: counts, cells, Pearson's statistic, total variation, the surprise at one count."""

from __future__ import annotations

import numba
import numpy as np

from detectors.detector import Float64Array, Values, as_reference, demand, finite

LEAST = 10.0
"""Categories expected fewer times than this in a window are too rare for Pearson's statistic: small expectations make
its tail heavy, and a threshold that holds for it blind to everything else."""


def counted(reference: Values) -> Float64Array:
    """Rows of (category, how often it came), ascending, read-only: of such rows, or of a sample's finite values (30 at
    the least). Raises ParameterError."""
    rows = np.asarray(reference, np.float64)
    if rows.ndim != 2:
        rows = np.stack(np.unique(as_reference(reference, 30), return_counts=True), axis=1).astype(np.float64)
    demand(rows.ndim == 2 and rows.shape[1] == 2 and len(rows) > 0, "reference must be values, or rows of two")
    demand(
        finite(rows) and bool((rows[1:, 0] > rows[:-1, 0]).all()), "reference must name each category once, ascending"
    )
    times = rows[:, 1]
    demand(bool((times >= 1).all() and (times % 1 == 0).all()), "reference must say how often each category came")
    demand(30 <= times.sum() < 2**31, "reference must hold at least 30 finite values, and fewer than 2^31")
    rows.flags.writeable = False
    return rows


@numba.njit(cache=True)
def surprise(inside: int, before: int, window: int, size: int) -> float:
    """How surprising it is that of the values of a category so many are in the window, the others in the reference:
    minus the log of Chernoff's bound of the chance, in nats; 0 where they are no more than expected.

    Of t = inside + before values of independent origin each lies in the window with the chance π = window / (window +
    size): the number is hypergeometric, whatever the category's true rate, and has no more than exp(-t KL(inside/t, π))
    (Hoeffding, Probability inequalities for sums of bounded random variables. J. Am. Stat. Assoc. 58 (1963), 13-30).
    """
    both, chance = inside + before, window / (window + size)
    if inside <= both * chance:
        return 0.0
    nats: float = inside * np.log(inside / both / chance)
    if before > 0:
        nats += before * np.log(before / both / (1.0 - chance))
    return max(nats, 0.0)


def cells(reference: Float64Array, window: int, least: float) -> tuple[Float64Array, Float64Array]:
    """(categories with a cell of their own, ascending; proportions of the cells, the pooled one last, which is taken
    to expect `least` at the least: a cell that expects nothing would alarm at one value)."""
    categories, counts = np.unique(reference, return_counts=True)
    own = counts * window >= least * len(reference)
    rest = max(float(counts[~own].sum()) / len(reference), least / window, 0.5 / len(reference))
    named = counts[own] / len(reference)
    return categories[own], np.append(named / named.sum() * (1.0 - rest) if len(named) else named, min(rest, 1.0))


def pearson(values: Values, reference: Values, least: float = LEAST) -> tuple[float, int]:
    """(Pearson's statistic of the values against the reference's proportions, its degrees of freedom). What is rare
    in the reference, or not in it, shares a cell."""
    array = np.asarray(values, np.float64)
    if not len(array):
        return 0.0, 0
    categories, proportions = cells(np.asarray(reference, np.float64), len(array), least)
    expected = proportions * len(array)
    gaps = _tally(array, categories) - expected
    return float((gaps * gaps / expected).sum()), len(proportions) - 1


def total_variation(values: Values, reference: Values) -> float:
    """Half the sum of the differences between the proportions of the categories in the two samples."""
    one, two = np.asarray(values, np.float64), np.asarray(reference, np.float64)
    if not len(one) or not len(two):
        return 0.0
    known = np.union1d(one, two)
    return float(np.abs(_tally(one, known) / len(one) - _tally(two, known) / len(two)).sum() / 2)


def _tally(values: Float64Array, categories: Float64Array) -> Float64Array:
    """How often each category came, those without one last."""
    place = np.searchsorted(categories, values)
    if not len(categories):
        return np.array([float(len(values))])
    known = categories[np.minimum(place, len(categories) - 1)] == values
    return np.bincount(np.where(known, place, len(categories)), minlength=len(categories) + 1).astype(np.float64)
