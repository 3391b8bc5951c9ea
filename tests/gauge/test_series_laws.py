"""The laws of the series: any cut gives the same findings, and a restored model never stopped."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.gauge.series import Finding, ModelSeries, MonitorChange, SeriesSettings, WatchSettings
from streams.outcomes import Kind, Rows, concatenate, decode, encode
from streams.state import pack, unpack

sys.path.insert(0, str(Path(__file__).parent))
from series_world import traffic

SETTINGS = SeriesSettings(
    watches=(
        WatchSettings("error", "adwin", "critical"),
        WatchSettings("error", "page_hinkley", "critical", min_effect=0.08),  # waits for a longer reference
        WatchSettings("error", "cusum", params={"target": 0.1, "scale": 0.3, "decision_interval": 25.0}),
        WatchSettings("score", "windowed_ks"),
        WatchSettings("features", "windowed_ks", "info", params={"window": 100}),
        WatchSettings("features.f0", "adwin", "info"),
        WatchSettings("missing", "page_hinkley", "info"),
        WatchSettings("error", "page_hinkley", min_effect=0.08, segment="region"),
        WatchSettings("score", "windowed_ks", segment="region"),
    ),
    warm_up=300,
    budget=1000.0,
    recover_for=10_000,
    versions=2,
    features=4,
    segments=2,
)


def world() -> Rows:
    """Two versions side by side, then a third; changes and recoveries; texts, missing values, absent features."""
    parts = [
        traffic(1, 1500, change=900, changed_error=0.5, shift=2.0, delay=20),
        traffic(2, 700, start=1500, version="v2", error=0.12, delay=20),
        traffic(3, 700, start=2200, change=0, changed_error=0.1, shift=0.0, delay=20),
        traffic(4, 300, start=2900, version="v3", delay=20),
        traffic(5, 300, start=3200, version=None, change=100, delay=20),
    ]
    for part in parts[1:]:
        part.strings = parts[0].strings  # the names of a later part are those of the first, and versions are not
    codes = {"v1": len(parts[0].strings) - 2}
    strings = [*parts[0].strings, "v2", "v3"]
    codes |= {"v2": len(strings) - 2, "v3": len(strings) - 1}
    for part, version in zip(parts, ("v1", "v2", "v1", "v3", None), strict=True):
        part.strings = strings
        part.version[:] = codes[version] if version else -1
    rows = concatenate(parts)
    rng = np.random.default_rng(9)
    # v1 and v2 alternate in the middle
    middle = np.arange(2000, 4400)
    order = np.concatenate(
        [np.arange(2000), rng.permutation(middle.reshape(-1, 2)).ravel(), np.arange(4400, len(rows))]
    )
    rows = rows.take(order)
    rows.features.values[rng.random(len(rows.features.values)) < 0.05] = np.nan
    rows.features.texts[rng.random(len(rows.features.texts)) < 0.05] = -1
    gone = (np.arange(len(rows.features.names)) >= 6200) & (rows.features.names == 1)
    rows.features.values[gone] = np.nan
    rows.failed[rng.random(len(rows)) < 0.05] = 1
    rows.strings = [*strings, "eu", "us", "apac"]
    rows.segment_keys = ("region",)
    regions = rng.choice([-1, len(strings), len(strings) + 1, len(strings) + 2], len(rows), p=[0.1, 0.7, 0.1, 0.1])
    rows.segments = regions[None, :].astype(np.int32)
    rows.score[rng.random(len(rows)) < 0.1] = np.nan
    rows.refers_to[(rng.random(len(rows)) < 0.05) & (rows.kind == Kind.OUTCOME)] = 7
    rows.early[rng.random(len(rows)) < 0.2] = 1
    return rows


ROWS = world()


def cut(rows: Rows, start: int, stop: int) -> Rows:
    """A stretch of rows as a message of its own: other codes for the same strings."""
    return decode(encode(rows.take(np.arange(start, stop)), 3, 1)).rows


def run(
    bounds: list[int], decide_at: int, *, stop_at: set[int] | None = None
) -> tuple[list[Finding], list[Finding | MonitorChange]]:
    model = ModelSeries("m", SETTINGS)
    found: list[Finding] = []
    told: list[Finding | MonitorChange] = []
    for start, stop in pairwise(sorted({0, *bounds, decide_at, 2500, len(ROWS)})):
        if start == decide_at:
            model.decide("binary")
        if start == 2500:
            told += model.tick(0, None)
        found += [replace(each, row=each.row + start) for each in model.apply(cut(ROWS, start, stop), 3)]
        if stop_at is not None and stop in stop_at:
            saved = pack(b"TEST", 1, model.snapshot())
            model = ModelSeries("m", SETTINGS)
            model.restore(unpack(b"TEST", 1, saved))
    told += model.tick(0, None)
    return found, told


@pytest.fixture(scope="module")
def whole() -> tuple[list[Finding], list[Finding | MonitorChange]]:
    found, told = run([], 1000)
    # the world is worth the laws: all kinds of things happen in it
    assert {each.drift.kind for each in found} == {"fired", "recovered"}
    rules = {"error/adwin", "error/page_hinkley", "error/cusum", "features/windowed_ks", "missing/page_hinkley"}
    assert {each.drift.rule for each in found} >= rules
    assert any(each.drift.suspects for each in found)
    assert any(each.drift.segment == {"region": "eu"} for each in found)
    assert {each.reference for each in told if isinstance(each, MonitorChange)} >= {"self", "previous_version"}
    assert {each.version for each in told if isinstance(each, MonitorChange)} == {"v1", "v2", "__other__", None}
    return found, told


@given(bounds=st.lists(st.integers(1, len(ROWS) - 1), max_size=12))
@settings(derandomize=True, deadline=None, max_examples=25)
def test_any_cut_gives_the_same_findings(
    whole: tuple[list[Finding], list[Finding | MonitorChange]], bounds: list[int]
) -> None:
    assert run(bounds, 1000) == whole


@given(bounds=st.lists(st.integers(1, len(ROWS) - 1), min_size=1, max_size=6))
@settings(derandomize=True, deadline=None, max_examples=25)
def test_a_restored_model_never_stopped(
    whole: tuple[list[Finding], list[Finding | MonitorChange]], bounds: list[int]
) -> None:
    assert run(bounds, 1000, stop_at=set(bounds)) == whole


def test_single_rows_give_the_same_findings(whole: tuple[list[Finding], list[Finding | MonitorChange]]) -> None:
    assert run(list(range(1700, 2600)), 1000) == whole
