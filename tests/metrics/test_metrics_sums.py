"""Sums against math.fsum: any additions, retractions and merges, also after a term that dwarfs all others."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from metrics import histogram, sums, wilson_interval

NUMBERS = st.floats(-1e12, 1e12, allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-12)
QUICK = settings(derandomize=True, deadline=None, max_examples=60)


def added(values: list[float]) -> np.ndarray:
    found = np.zeros((1, 2))
    for value in values:
        sums.add(found, 0, value)
    return found


@given(st.lists(NUMBERS, max_size=40), st.lists(NUMBERS, max_size=40))
@QUICK
def test_a_sum_is_that_of_fsum_and_what_was_taken_back_leaves_no_trace(kept: list[float], taken: list[float]) -> None:
    found = added([*taken, *kept, *(-value for value in taken)])
    scale = math.fsum(abs(value) for value in [*kept, *taken])
    assert abs(sums.value(found, 0) - math.fsum(kept)) <= 2**-95 * scale + 2**-52 * abs(math.fsum(kept))


def test_the_square_of_an_error_of_1e9_taken_back_leaves_no_trace() -> None:
    found = np.zeros((1, 2))
    small = [0.1 * i for i in range(100)]
    for value in small:
        sums.add_product(found, 0, 1.0, value, value)
    sums.add_product(found, 0, 1.0, 1e9, 1e9)
    sums.add_product(found, 0, -1.0, 1e9, 1e9)
    exact = float(sum(Fraction(value) ** 2 for value in small))
    assert abs(sums.value(found, 0) - exact) <= 1e-12


@given(st.lists(st.lists(NUMBERS, max_size=10), max_size=6))
@QUICK
def test_merged_sums_are_the_sum_of_all(parts: list[list[float]]) -> None:
    whole = np.zeros((1, 2))
    for part in parts:
        sums.merge(whole, added(part))
    flat = [value for part in parts for value in part]
    assert abs(sums.value(whole, 0) - math.fsum(flat)) <= 2**-95 * math.fsum(map(abs, flat)) + 2**-52 * abs(
        math.fsum(flat)
    )


@given(st.lists(st.tuples(st.floats(-1, 1), st.sampled_from([0.5, 1.0, 3.0])), min_size=1, max_size=30))
@QUICK
def test_a_variance_survives_a_mean_of_a_million(rows: list[tuple[float, float]]) -> None:
    table = np.zeros((3, 2))
    for x, w in rows:
        sums.add(table, 2, w)
        hi, lo = sums.two_product(w, x + 1e6)
        sums.add(table, 1, hi)
        sums.add(table, 1, lo)
        sums.add_product(table, 0, w, x + 1e6, x + 1e6)
    exact = [(Fraction(x + 1e6), Fraction(w)) for x, w in rows]
    mean = sum(x * w for x, w in exact) / sum(w for _, w in exact)
    spread = float(sum(w * (x - mean) ** 2 for x, w in exact))
    assert abs(sums.centred(table, 0, 1, 2) - spread) <= 1e-12 * max(spread, 1e-6)


@given(st.lists(st.floats(0, 1e10), min_size=1, max_size=60), st.sampled_from([0.5, 0.9, 0.99]))
@QUICK
def test_a_quantile_of_a_histogram_is_within_three_percent(values: list[float], fraction: float) -> None:
    counts = np.zeros(700, np.int64)
    for value in values:
        counts[histogram.bin_of(value, 700)] += 1
    exact = sorted(values)[math.ceil(fraction * len(values)) - 1]
    found = histogram.quantiles(counts, [fraction])
    assert found is not None
    assert abs(found[0] - exact) <= (0.03 * exact if exact >= 1 else 1)
    assert histogram.quantiles(np.zeros(700, np.int64), [fraction]) is None


def test_every_value_lies_between_the_edges_of_its_bin() -> None:
    for value in [1.0, 1.99999, 2.0, 3.5, 1e6, 12345.678, float(2**30)]:
        place = histogram.bin_of(value, 700)
        assert histogram.lower_edge(place) <= value < histogram.lower_edge(place + 1)


def test_the_wilson_interval_is_that_of_scipy() -> None:
    from scipy.stats import binomtest

    for hits, trials in ((0, 10), (3, 10), (941, 1000), (10, 10)):
        exact = binomtest(hits, trials).proportion_ci(0.95, "wilson")
        found = wilson_interval(hits / trials, trials)
        assert found is not None
        assert np.allclose(found, [exact.low, exact.high], rtol=1e-9, atol=1e-12)
    assert wilson_interval(0.0, 0.0) is None
