"""The reference of a series: what is kept of the first values, however long they are waited for."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.gauge.series import HELD, MOST, Sample, WarmUp

VALUES = np.random.default_rng(5).normal(size=3 * MOST)
TIMES = 1_790_000_000_000 + 2_000 * np.arange(len(VALUES))


def taken(bounds: list[int], least: int, span: int = 0) -> tuple[Sample, int]:
    """The reference of VALUES in such batches, and how many values it took."""
    warm_up = WarmUp(least, span, "numeric")
    for start, stop in pairwise([0, *sorted(bounds), len(VALUES)]):
        count = warm_up.take(VALUES[start:stop], TIMES[start:stop])
        again = WarmUp(least, span, "numeric")
        again.restore(warm_up.snapshot())
        warm_up = again
        if count is not None:
            return warm_up.sample(7), start + count
    raise AssertionError("never complete")


@given(bounds=st.lists(st.integers(0, len(VALUES)), max_size=8), least=st.sampled_from([30, 50_000, 120_000]))
@settings(derandomize=True, deadline=None, max_examples=20)
def test_any_cut_and_any_restart_keep_the_same_values(bounds: list[int], least: int) -> None:
    (one, count), (other, same) = taken(bounds, least), taken([], least)
    assert count == same == least
    assert np.array_equal(one.values, other.values)
    assert one.rate == other.rate


def test_values_and_time_must_both_pass() -> None:
    assert taken([], 1000)[1] == 1000
    assert taken([], 1000, span=4_000_000)[1] == 2001
    assert taken([], 3000, span=4_000_000)[1] == 3000


def test_memory_is_bounded_and_what_is_kept_covers_all_in_blocks_of_neighbours() -> None:
    sample, _ = taken([], 2 * MOST + 999)
    assert MOST / 2 <= len(sample.values) <= MOST
    places = np.searchsorted(TIMES, sample.timestamps)
    assert np.array_equal(VALUES[places], sample.values)
    assert (np.diff(places) == 1).mean() > 0.99
    assert np.diff(places).max() < 2000
    assert places[-1] > 2 * MOST - 2000


@pytest.mark.parametrize("size", [100, HELD, HELD + 1, MOST])
def test_of_a_finished_reference_stays_what_others_need(size: int) -> None:
    sample = taken([], size)[0]
    held = sample.held()
    assert len(held.values) == min(size, HELD)
    assert held.seconds is not None
    assert len(held.seconds) == len(held.values)
    places = np.searchsorted(TIMES, held.timestamps)
    assert np.array_equal(VALUES[places], held.values)
    assert np.diff(places, prepend=-1, append=size).max() <= max(1, size // 50)
