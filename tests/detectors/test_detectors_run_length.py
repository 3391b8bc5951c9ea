"""Run lengths of CUSUM and EWMA against published tables, closed forms and another discretization."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest
from scipy.stats import norm

from detectors import ParameterError
from detectors.calibration import cusum_interval, cusum_run_length, ewma_limit, ewma_run_length

SHIFTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)


@pytest.mark.parametrize(
    ("interval", "published"),
    [
        # Montgomery, Introduction to Statistical Quality Control, table of the tabular CUSUM, k = 1/2, two sides
        (4.0, (168, 74.2, 26.6, 13.3, 8.38, 4.75, 3.34, 2.62, 2.19, 1.71)),
        (5.0, (465, 139, 38.0, 17.0, 10.4, 5.75, 4.01, 3.11, 2.57, 2.01)),
    ],
)
def test_the_run_lengths_of_a_cusum_are_the_published_ones(interval: float, published: tuple[float, ...]) -> None:
    found = [cusum_run_length(0.5, interval, 2, shift) for shift in SHIFTS]
    assert found == pytest.approx(published, rel=0.006)


@pytest.mark.parametrize(
    ("smoothing", "limit", "published"),
    [
        # Lucas, Saccucci: Exponentially weighted moving average control schemes. Technometrics 32, 1990, 1-29
        (0.4, 3.054, (500, 224, 71.2, 28.4, 14.3, 5.9, 3.5, 2.5, 2.0, 1.4)),
        (0.25, 2.998, (500, 170, 48.2, 20.1, 11.1, 5.5, 3.6, 2.7, 2.3, 1.7)),
        (0.1, 2.814, (500, 106, 31.3, 15.9, 10.3, 6.1, 4.4, 3.4, 2.9, 2.2)),
    ],
)
def test_the_run_lengths_of_an_ewma_are_the_published_ones(
    smoothing: float, limit: float, published: tuple[float, ...]
) -> None:
    found = [ewma_run_length(smoothing, limit, 2, shift) for shift in SHIFTS]
    assert found == pytest.approx(published, rel=0.03)


@pytest.mark.parametrize("sides", [1, 2])
def test_without_memory_the_run_length_is_geometric(sides: int) -> None:
    for limit in (1.0, 3.0, 6.0, 8.0):
        assert ewma_run_length(1.0, limit, sides) == pytest.approx(1.0 / (sides * norm.sf(limit)), rel=1e-9)
        assert cusum_run_length(limit, 1e-9, sides) == pytest.approx(1.0 / (sides * norm.sf(limit)), rel=1e-6)


def markov_chain(interval: float, reference_value: float, cells: int) -> float:
    """Brook and Evans, as published: cells of equal width, a dense solution; one side."""
    width = 2.0 * interval / (2 * cells - 1)
    centres = np.arange(cells) * width
    upper = norm.cdf(centres[None, :] + width / 2 - centres[:, None] + reference_value)
    moves = np.diff(upper, axis=1, prepend=0.0)
    return float(np.linalg.solve(np.eye(cells) - moves, np.ones(cells))[0])


@pytest.mark.parametrize(("reference_value", "interval"), [(0.5, 4.0), (0.25, 8.0), (1.0, 2.5), (0.0, 5.0)])
def test_brook_and_evans_come_to_the_same(reference_value: float, interval: float) -> None:
    coarse, fine = (markov_chain(interval, reference_value, cells) for cells in (150, 300))
    limit = fine + (fine - coarse) / 3.0  # the error falls with the square of the width
    assert cusum_run_length(reference_value, interval, 1) == pytest.approx(limit, rel=2e-4)


def test_a_long_run_length_is_as_sure_as_a_short_one() -> None:
    """Far out a run length grows by exp(2 k) with each unit of the interval."""
    lengths = [cusum_run_length(0.5, interval, 1) for interval in (38.0, 39.0, 40.0)]
    assert lengths[0] > 1e16
    assert lengths[1] / lengths[0] == pytest.approx(exp(1.0), rel=1e-9)
    assert lengths[2] / lengths[1] == pytest.approx(exp(1.0), rel=1e-9)


@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("run_length", [10.0, 370.0, 1e6, 1e12])
def test_limits_are_found_from_run_lengths(sides: int, run_length: float) -> None:
    for reference_value in (0.1, 0.5, 1.0):
        interval = cusum_interval(reference_value, run_length, sides)
        assert cusum_run_length(reference_value, interval, sides) == pytest.approx(run_length, rel=1e-8)
    for smoothing in (0.02, 0.2, 1.0):
        limit = ewma_limit(smoothing, run_length, sides)
        assert ewma_run_length(smoothing, limit, sides) == pytest.approx(run_length, rel=1e-8)


def test_an_interval_of_nothing_is_the_answer_where_no_run_is_so_short() -> None:
    assert cusum_interval(2.0, 1.5) < 1e-5


def test_a_shift_towards_the_watched_side_shortens_runs_and_one_away_lengthens_them() -> None:
    for length in (
        lambda shift: cusum_run_length(0.5, 4.0, 1, shift),
        lambda shift: ewma_run_length(0.1, 3.0, 1, shift),
    ):
        assert length(1.0) < length(0.0) < length(-0.5)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: cusum_run_length(-0.1, 4.0), "reference_value must be a number of at least 0"),
        (lambda: cusum_run_length(0.5, 0.0), "decision_interval must be a number above 0"),
        (lambda: cusum_run_length(0.5, 1e4), "too wide"),
        (lambda: cusum_run_length(0.5, 4.0, 3), "sides must be 1 or 2"),  # type: ignore[arg-type]
        (lambda: cusum_run_length(0.5, 4.0, 1, float("nan")), "shift must be a number"),
        (lambda: ewma_run_length(0.0, 3.0), "smoothing must lie above 0"),
        (lambda: ewma_run_length(0.1, -1.0), "limit must be a number above 0"),
        (lambda: cusum_interval(0.5, 1.0), "run_length must be a number above 1"),
        (lambda: ewma_limit(0.1, float("inf")), "run_length must be a number above 1"),
    ],
)
def test_what_cannot_be_gets_a_sentence(call: object, sentence: str) -> None:
    with pytest.raises(ParameterError, match=sentence):
        call()  # type: ignore[operator]
