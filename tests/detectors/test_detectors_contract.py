"""What every detector of the catalogue promises, whatever its algorithm."""

from __future__ import annotations

import doctest
import importlib
import struct
import zlib
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import detectors

REFERENCE = np.random.default_rng(7).normal(size=200)
CATEGORIES = np.random.default_rng(7).integers(4, size=200).astype(float)
CASES: dict[str, list[dict[str, Any]]] = {
    "adwin": [{}, {"delta": 0.2, "clock": 1, "min_window_length": 2, "grace_period": 3}],
    "page_hinkley": [{"threshold": 8.0}, {"threshold": 3.0, "mode": "up", "alpha": 1.0, "min_instances": 5}],
    "windowed_ks": [{"reference": REFERENCE, "window": 40, "threshold": 0.3}],
    "chi_squared": [{"reference": CATEGORIES, "window": 60, "threshold": 20.0, "min_effect": 0.05}],
}
EVERY = [pytest.param(name, params, id=f"{name}-{k}") for name in CASES for k, params in enumerate(CASES[name])]


def stream(name: str, seed: int, size: int = 900) -> npt.NDArray[np.float64]:
    """Values that change twice, with missing and infinite ones among them."""
    rng = np.random.default_rng(seed)
    lengths = [size // 3, size // 3, size - 2 * (size // 3)]
    if name == "chi_squared":
        parts = [rng.integers(top, size=length) for top, length in zip((4, 2, 9), lengths, strict=True)]
        values = np.concatenate(parts).astype(float)
    else:
        values = rng.normal(size=size) + np.repeat([0.0, 1.5, -0.5], lengths)
    values[rng.random(size) < 0.03] = np.nan
    values[rng.random(size) < 0.01] = np.inf
    return values


def test_the_catalogue_is_what_these_tests_cover() -> None:
    assert sorted(detectors.catalog()) == sorted(CASES)


@pytest.mark.parametrize("module", ["adwin", "page_hinkley", "windowed_ks", "chi_squared", "catalogue"])
def test_the_examples_in_the_docstrings_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"detectors.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.parametrize(("name", "params"), EVERY)
def test_a_batch_gives_what_single_values_give(name: str, params: dict[str, Any]) -> None:
    values = stream(name, 1)
    one, many = detectors.build(name, **params), detectors.build(name, **params)
    single = [i for i, value in enumerate(values) if one.update(value)]
    assert len(single) >= 1
    found = many.update_many(values)
    assert found.dtype == np.int64
    assert found.tolist() == single
    assert one.snapshot() == many.snapshot()


@pytest.mark.parametrize(("name", "params"), EVERY)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(0, 900), max_size=5))
@settings(derandomize=True, deadline=None, max_examples=30)
def test_the_cuts_between_batches_do_not_matter(name: str, params: dict[str, Any], seed: int, cuts: list[int]) -> None:
    values = stream(name, seed)
    whole, parts = detectors.build(name, **params), detectors.build(name, **params)
    bounds = [0, *sorted(cuts), len(values)]
    found = [int(at) + start for start, stop in pairwise(bounds) for at in parts.update_many(values[start:stop])]
    assert found == whole.update_many(values).tolist()
    assert parts.snapshot() == whole.snapshot()
    assert parts.statistic == whole.statistic


@pytest.mark.parametrize(("name", "params"), EVERY)
@given(seed=st.integers(0, 2**32), at=st.integers(0, 900))
@settings(derandomize=True, deadline=None, max_examples=30)
def test_a_restored_detector_goes_on_as_if_it_had_never_stopped(
    name: str, params: dict[str, Any], seed: int, at: int
) -> None:
    values = stream(name, seed)
    never = detectors.build(name, **params)
    never.update_many(values[:at])
    restored = detectors.restore(never.snapshot())
    assert restored.snapshot() == never.snapshot()
    assert restored.statistic == never.statistic
    assert restored.threshold == never.threshold
    assert restored.update_many(values[at:]).tolist() == never.update_many(values[at:]).tolist()
    assert restored.snapshot() == never.snapshot()
    assert restored.since_change == never.since_change


@pytest.mark.parametrize(("name", "params"), EVERY)
def test_missing_and_infinite_values_are_counted_and_change_nothing_else(name: str, params: dict[str, Any]) -> None:
    values = stream(name, 3)
    good = np.isfinite(values)
    clean, dirty = detectors.build(name, **params), detectors.build(name, **params)
    places = np.flatnonzero(good)
    assert dirty.update_many(values).tolist() == places[clean.update_many(values[good])].tolist()
    assert dirty.ignored == int((~good).sum()) > 0
    assert dirty.seen == clean.seen == int(good.sum())
    assert dirty.statistic == clean.statistic


@pytest.mark.parametrize(("name", "params"), EVERY)
def test_none_is_a_missing_value(name: str, params: dict[str, Any]) -> None:
    detector = detectors.build(name, **params)
    assert not detector.update(None)
    assert detector.update_many([None, 1.0, None]).tolist() == []
    assert (detector.ignored, detector.seen) == (3, 1)


@pytest.mark.parametrize(("name", "params"), EVERY)
def test_feed_stops_after_the_first_alarm(name: str, params: dict[str, Any]) -> None:
    values = stream(name, 4)
    whole, fed = detectors.build(name, **params), detectors.build(name, **params)
    expected = whole.update_many(values).tolist()
    first = fed.feed(values)
    assert first == expected[0]
    assert fed.alarmed
    assert 1 <= fed.since_change <= first + 1
    assert fed.statistic > fed.threshold
    rest = fed.update_many(values[first + 1 :]) + first + 1
    assert [first, *rest.tolist()] == expected


@pytest.mark.parametrize(("name", "params"), EVERY)
def test_a_reset_detector_is_as_new(name: str, params: dict[str, Any]) -> None:
    values = stream(name, 5)
    detector = detectors.build(name, **params)
    detector.update_many(values[:500])
    detector.reset()
    fresh = detectors.build(name, **params)
    assert detector.update_many(values[500:]).tolist() == fresh.update_many(values[500:]).tolist()


@pytest.mark.parametrize(("name", "params"), EVERY)
def test_damaged_bytes_are_refused(name: str, params: dict[str, Any]) -> None:
    detector = detectors.build(name, **params)
    detector.update_many(stream(name, 6))
    data = detector.snapshot()
    for wrong in (
        b"",
        b"x",
        data[:-1],
        b"NOPE" + data[4:],
        data + b"\0",
        data[:40] + bytes([data[40] ^ 1]) + data[41:],
    ):
        with pytest.raises(detectors.SnapshotError):
            detectors.restore(wrong)
    with pytest.raises(detectors.SnapshotError, match="version 2"):
        detectors.restore(data[:4] + struct.pack(">H", 2) + data[6:])


@pytest.mark.parametrize(("name", "params"), EVERY)
@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
@settings(derandomize=True, deadline=None, max_examples=60)
def test_a_forged_checksum_never_reaches_the_kernels(name: str, params: dict[str, Any], at: int, byte: int) -> None:
    detector = detectors.build(name, **params)
    detector.update_many(stream(name, 6, 300))
    data = bytearray(detector.snapshot())
    body = data[10:]
    body[at % len(body)] = byte
    data = data[:6] + struct.pack(">I", zlib.crc32(body)) + body
    try:
        restored = detectors.restore(bytes(data))
    except detectors.SnapshotError:
        return
    restored.update_many(stream(name, 8))


@pytest.mark.parametrize(
    ("name", "params", "sentence"),
    [
        ("nothing", {}, "no detector is called"),
        ("adwin", {"delta": 0.0}, "delta must lie between 0 and 1"),
        ("adwin", {"delta": float("nan")}, "delta must lie between 0 and 1"),
        ("adwin", {"clock": 0}, "clock must be at least 1"),
        ("adwin", {"sigma": 1}, "adwin takes the parameters delta, clock"),
        ("page_hinkley", {"mode": "sideways"}, "mode must be up, down or both"),
        ("page_hinkley", {"threshold": -1.0}, "threshold must be a number above 0"),
        ("page_hinkley", {"alpha": 1.5}, "alpha must lie above 0"),
        ("windowed_ks", {}, "windowed_ks takes the parameters reference"),
        ("windowed_ks", {"reference": [1.0, np.nan]}, "at least 30 finite values"),
        ("windowed_ks", {"reference": REFERENCE, "threshold": 0.0}, "threshold must lie above 0"),
        ("chi_squared", {"reference": CATEGORIES, "window": 3}, "window must be at least 10"),
    ],
)
def test_wrong_parameters_get_a_sentence(name: str, params: dict[str, Any], sentence: str) -> None:
    with pytest.raises(detectors.ParameterError, match=sentence):
        detectors.build(name, **params)


def test_values_must_be_in_a_row() -> None:
    with pytest.raises(ValueError, match="2 dimensions"):
        detectors.build("adwin").update_many(np.zeros((2, 2)))
