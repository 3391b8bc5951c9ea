"""One absurd number, or a mean that dwarfs the spread, changes nothing of what is told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import detectors
from streams.gauge.series import Finding, ModelSeries, MonitorChange, SeriesSettings, WatchSettings
from streams.gauge.series.history import History
from streams.gauge.series.lane import Lane
from streams.outcomes import Rows
from streams.state import pack, unpack

sys.path.insert(0, str(Path(__file__).parent))
from series_world import rows_of

Floats = np.ndarray[Any, np.dtype[np.float64]]
CHANGE = 12_000


def errors(outlier: float | None, at: int, *, size: int = 14_000, change: int = CHANGE) -> Rows:
    """Predictions whose errors grow fivefold; one is absurd."""
    noise = np.random.default_rng(1).normal(size=size)
    noise[change:] *= 5.0
    rows = rows_of(np.zeros(size, bool), np.full(size, np.nan), np.zeros((size, 0)))
    rows.label[1::2] = 100.0
    rows.prediction[:] = np.repeat(100.0 + noise, 2)
    if outlier is not None:
        rows.prediction[2 * at : 2 * at + 2] = outlier
    return rows


def feature(values: Floats, *, rate: float = 10.0) -> Rows:
    return rows_of(np.zeros(len(values), bool), np.full(len(values), np.nan), values[:, None], rate=rate)


def model_of(task: str, *watches: WatchSettings) -> ModelSeries:
    # without the default watches where there are others; sooner back than by default
    settings = SeriesSettings(recover_for=60_000)
    model = ModelSeries("m", replace(settings, watches=watches) if watches else settings)
    model.decide(task)  # type: ignore[arg-type]
    return model


def fired(found: list[Finding]) -> dict[str, Finding]:
    """The first alert of each rule."""
    return {each.drift.rule: each for each in reversed(found) if each.drift.kind == "fired"}


def states(model: ModelSeries) -> dict[str, MonitorChange]:
    told = [each for each in model.tick(0, None) if isinstance(each, MonitorChange)]
    return {f"{each.subject}/{each.detector}": each for each in told}


def older(tree: Any) -> Any:
    """The state as a version saved it that held nothing and summed about 0."""
    if isinstance(tree, dict):
        new = ("origin", "limits", "extent", "first") if "marks" in tree else ()
        return {key: older(each) for key, each in tree.items() if key not in new} | (
            {"moments": [each[:3] for each in tree["moments"]]} if "moments" in tree else {}
        )
    return [older(each) for each in tree] if isinstance(tree, list) else tree


def stored(model: ModelSeries, task: str, change: Callable[[Any], Any] = lambda tree: tree) -> ModelSeries:
    """The model after a restart."""
    fresh = model_of(task)
    fresh.restore(change(unpack(b"TEST", 1, pack(b"TEST", 1, model.snapshot()))))
    return fresh


@pytest.mark.parametrize("outlier", [9999.0, 1e30, 1e100])
@pytest.mark.parametrize("at", [0, 500, 3000])
def test_an_absurd_value_hides_no_later_change(outlier: float, at: int) -> None:
    with_it, without = (fired(model_of("regression").apply(errors(each, at), 0)) for each in (outlier, None))
    assert set(without) == {"error/adwin", "error/page_hinkley"}
    for rule, wanted in without.items():
        found = with_it[rule]
        assert abs(found.row - wanted.row) <= 20
        for mine, theirs in ((found.drift.before, wanted.drift.before), (found.drift.after, wanted.drift.after)):
            assert mine is not None
            assert theirs is not None
            assert mine.mean == pytest.approx(theirs.mean, rel=0.15)
            assert abs(mine.count - theirs.count) <= 20


def test_an_absurd_value_before_a_rebaseline_hides_no_change_after_it() -> None:
    rows = errors(1e30, 3000)
    model = model_of("regression")
    stop = 2 * 6000
    found = model.apply(rows.take(np.arange(stop)), 0)
    found += model.rebaseline("v1")
    found += model.apply(rows.take(np.arange(stop, len(rows))), 0)
    assert set(fired(found)) == {"error/adwin", "error/page_hinkley"}


def test_a_state_that_an_older_version_has_saved_is_held_within_limits_from_then_on() -> None:
    rows = errors(1e30, 3000)
    rows.prediction[:2] = 100.0  # an error of 0: sums about the first value are such about 0
    model = model_of("regression")
    model.apply(rows.take(np.arange(2 * 2000)), 0)
    model = stored(model, "regression", older)
    found = model.apply(rows.take(np.arange(2 * 2000, len(rows))), 0)
    assert set(fired(found)) == {"error/adwin", "error/page_hinkley"}


@pytest.mark.parametrize(("outlier", "at"), [(1e30, 500), (1e30, 3000), (130.0, 994), (130.0, 999)])
@pytest.mark.parametrize("seed", range(3))
def test_absurd_values_are_held_alike_whatever_the_cut_and_the_restarts(seed: int, outlier: float, at: int) -> None:
    rows = errors(outlier, at)
    whole = model_of("regression")
    wanted = whole.apply(rows, 0)
    assert wanted
    cuts = np.random.default_rng(seed).integers(1, len(rows), 8).tolist()
    model, found = model_of("regression"), []
    for start, stop in pairwise(sorted({0, 2 * at, 2 * at + 1, 1990 + seed, *cuts, len(rows)})):
        part = model.apply(rows.take(np.arange(start, stop)), 0)
        found += [replace(each, row=each.row + start) for each in part]
        model = stored(model, "regression")
    assert found == wanted
    assert pack(b"TEST", 1, model.snapshot()) == pack(b"TEST", 1, whole.snapshot())


def test_a_detector_of_ones_own_parameters_finds_a_change_after_an_absurd_first_value() -> None:
    values = np.random.default_rng(3).normal(size=9000)
    values[0] = 1e30
    values[6000:] += 2.0
    own = WatchSettings("features", "cusum", params={"target": 0.0, "scale": 1.0, "decision_interval": 25.0})
    model = ModelSeries("m", SeriesSettings(watches=(own,), recover_for=10_000))
    found = model.apply(feature(values), 0)
    assert [each.drift.kind for each in found] == ["fired", "recovered", "fired"]
    assert found[0].row == 0
    assert 6000 <= found[2].row // 2 < 6100


@pytest.mark.parametrize("mean", [1e6, 1.7e9, 1e10])
@pytest.mark.parametrize("shift", [0.0, 0.2, 1.0, 3.0])
def test_a_large_mean_tells_what_a_mean_of_nothing_tells(mean: float, shift: float) -> None:
    values = np.random.default_rng(1).normal(size=16_000)
    values[6000:9000] += shift
    watches = tuple(WatchSettings("features", use, "critical") for use in ("page_hinkley", "z_score"))
    there, here = (model_of("binary", *watches).apply(feature(each + values), 0) for each in (mean, 0.0))
    assert [(each.row, each.drift.kind) for each in there] == [(each.row, each.drift.kind) for each in here]
    assert len(here) == (4 if shift >= 1.0 else 0)  # fired and recovered, twice
    for found, wanted in zip(there, here, strict=True):
        if wanted.drift.before is None or wanted.drift.after is None:
            continue
        assert found.drift.before is not None
        assert found.drift.after is not None
        assert found.drift.before.mean == pytest.approx(mean + wanted.drift.before.mean, abs=1e-5)
        assert found.drift.after.mean == pytest.approx(mean + wanted.drift.after.mean, abs=1e-5)
        assert found.drift.change_at == wanted.drift.change_at


def test_a_level_far_beyond_what_is_plausible_is_told_as_it_is() -> None:
    values = np.random.default_rng(2).normal(size=6000)
    values[4000:] += 5000.0
    watch = WatchSettings("features", "page_hinkley")
    alert = fired(model_of("binary", watch).apply(feature(values), 0))["features/page_hinkley"]
    assert alert.drift.before is not None
    assert alert.drift.after is not None
    assert alert.drift.before.mean == pytest.approx(values[:4000].mean(), abs=1e-9)
    assert alert.drift.after.mean == pytest.approx(5000.0, abs=5.0)


@pytest.mark.parametrize("big", [1e80, 1e100])
@pytest.mark.parametrize("days", [0.5, 4, 15])
def test_an_absurd_value_in_a_reference_stops_nothing(big: float, days: float) -> None:
    values = np.random.default_rng(1).normal(size=1500)
    values[300] = big
    model = model_of("binary")
    model.apply(feature(values, rate=1000 / (days * 86_400)), 0)
    assert states(model)["features.f0/windowed_ks"].state == "armed"


def test_a_reference_of_numbers_without_squares_is_a_reason_to_promise_nothing() -> None:
    values = 1e200 * np.random.default_rng(1).normal(size=1500)
    model = model_of("binary", WatchSettings("features", "z_score", min_effect=0.5))
    assert model.apply(feature(values), 0) == []
    assert states(model)["features.f0/z_score"].state == "uncalibrated"


@pytest.mark.parametrize("problem", [OverflowError("too large"), FloatingPointError("no number")])
def test_arithmetic_that_fails_leaves_one_detector_uncalibrated(
    problem: ArithmeticError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(detectors, "calibrate", fails)
    watch = WatchSettings("features", "page_hinkley")
    model = model_of("binary", watch)
    assert model.apply(feature(np.random.default_rng(1).normal(size=1500)), 0) == []
    told = states(model)["features.f0/page_hinkley"]
    assert (told.state, told.reason) == ("uncalibrated", str(problem))


def test_sums_are_those_of_the_values_within_limits() -> None:
    rng = np.random.default_rng(4)
    values = 1.7e9 + rng.standard_t(2, 3000)
    history = History()
    history.hold((1.7e9 - 6.0, 1.7e9 + 6.0))
    done = 0
    for size in (1, 999, 3, 1997):
        blank = np.zeros(size, np.int64)
        history.extend(Lane(values[done : done + size], blank, blank, blank, blank.astype(np.uint8), blank))
        done += size
    held = np.clip(values - 1.7e9, -6.0, 6.0)
    found = history.moments(3000)
    assert found.mean - 1.7e9 == pytest.approx(held.mean(), abs=1e-6)
    assert found.deviation == pytest.approx(held.std(), rel=1e-6)
    part = found - history.moments(2000)
    assert part.deviation == pytest.approx(held[2000:].std(), rel=1e-6)
    assert part.rise(history.moments(2000)) == pytest.approx(held[2000:].mean() - held[:2000].mean(), abs=1e-7)
