"""The promise's short cut, and its traffic, are what they are said to be."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from streams.gauge.series import Finding, ModelSeries, SeriesSettings, WatchSettings
from streams.outcomes import Rows
from streams.state import pack, unpack
from tests.promise.promise_traffic import DAY, MINUTE, NULLS, Change, Model
from tests.promise.promise_world import REFERENCE, World, outcome_rows

PLAN: dict[Change, int] = {"error": 28 * DAY + 300, "feature": 28 * DAY + 300, "nulls": 28 * DAY + 300}


@pytest.mark.xdist_group("promise")
def test_outcomes_written_in_bulk_lead_to_the_alarms_that_joined_ones_lead_to() -> None:
    model = Model(np.random.SeedSequence(3))
    long, short = (World([model], REFERENCE + 2, [PLAN], joined=joined).run() for joined in (False, True))
    assert {alarm.subject for alarm in long.alarms} >= {"error", model.subject("feature"), model.subject("nulls")}
    told = [sorted((each.minute, each.subject, each.rule, each.kind) for each in way.alarms) for way in (long, short)]
    assert told[0] == told[1]
    assert long.states == short.states
    assert long.reasons == short.reasons


WATCHED = SeriesSettings(
    watches=(
        WatchSettings("error", "page_hinkley"),
        WatchSettings("error", "cusum", segment="region"),
        WatchSettings("score", "windowed_ks"),
        *(WatchSettings(f"features.{name}", "windowed_ks") for name in ("f0", "f5", "c0")),
        WatchSettings("features.f0", "page_hinkley"),
        WatchSettings("missing", "page_hinkley"),
    ),
    warm_up=1000,
    span=21 * DAY * MINUTE,
    budget=20.0,
)


COMPLETE = 2 * 21 * DAY
"""The row at which most references are."""
TICKS = range(COMPLETE, COMPLETE + 1500, 60)


def fold(rows: Rows, cuts: list[int], stops: set[int]) -> tuple[list[Finding], list[object]]:
    """What is told of rows in such batches, with a restart at some of the cuts. Three or four detectors are armed at
    each tick."""
    model = ModelSeries("m", WATCHED)
    model.decide("binary")
    found, told = [], []
    for start, stop in pairwise(sorted({0, *cuts, *TICKS, len(rows)})):
        if start in TICKS:
            told.append(model.tick(0, None, work=100_000))
            assert model.worked < 250_000
        if start in stops:
            tree = unpack(b"TEST", 1, pack(b"TEST", 1, model.snapshot()))
            model = ModelSeries("m", WATCHED)
            model.restore(tree)
        part = rows.take(np.arange(start, stop))
        found += [replace(each, row=each.row + start) for each in model.apply(part, 0)]
    return found, [*told, model.tick(0, None)]


def test_seasons_and_long_references_change_nothing_for_any_cut_and_any_restart() -> None:
    model = Model(np.random.SeedSequence(7))
    model.scaled = 0
    columns = model.columns(25, {"feature": 22 * DAY - 600, "nulls": 23 * DAY, "error": 22 * DAY})
    rows = outcome_rows(0, columns, 0, 25 * DAY, 1)
    whole = fold(rows, [], set())
    assert {each.drift.subject for each in whole[0]} >= {"error", "features.f0", model.subject("nulls")}
    assert any(each.drift.segment for each in whole[0])
    (error,) = (each for each in whole[0] if each.drift.subject == "error" and not each.drift.segment)
    assert [each.feature for each in error.drift.suspects] == ["f0"]  # of what else is watched, nothing has changed
    assert sum(bool(each) for each in whole[1]) > 5, "they were armed at several ticks"
    rng = np.random.default_rng(1)
    for _ in range(2):
        near = rng.integers(COMPLETE - 50, COMPLETE + 500, 12)  # where references are completed, and detectors armed
        cuts = sorted({*near.tolist(), *rng.integers(1, len(rows) - 1, 30).tolist()})
        assert fold(rows, cuts, set(cuts[::3])) == whole


def test_a_change_begins_when_it_is_planned_and_leaves_the_healthy_part_as_it_was() -> None:
    model = Model(np.random.SeedSequence(3))
    at = 5 * DAY
    healthy = model.columns(10, {})
    changed = model.columns(10, {"feature": at, "nulls": at, "category": at, "score": at, "error": at})
    for name in ("numbers", "texts", "score", "wrong", "region"):
        assert np.array_equal(getattr(healthy, name)[:at], getattr(changed, name)[:at], equal_nan=name == "numbers")
    k = model.scaled
    both = np.isfinite(healthy.numbers[at:, k]) & np.isfinite(changed.numbers[at:, k])
    ratio = changed.numbers[at:, k][both].mean() / healthy.numbers[at:, k][both].mean()
    assert ratio == pytest.approx(1.3, rel=0.02)
    assert np.isnan(changed.numbers[at:, model.nulled]).mean() == pytest.approx(NULLS, abs=0.02)
    assert changed.wrong[at:].mean() == pytest.approx(2 * healthy.wrong[at:].mean(), rel=0.1)
    assert (changed.texts[at:, 0] == 8).mean() == pytest.approx(0.1, abs=0.01)
    assert not (healthy.texts == 8).any()


def test_the_information_in_a_change_of_a_dependent_process_is_that_of_its_innovations() -> None:
    """The log-likelihood ratio of the simulated process, value by value, has the mean that `kl` says."""
    model = Model(np.random.SeedSequence(5))
    for k, feature in enumerate(model.features):
        if feature.family == "gaussian" and feature.season == 0.0:
            model.scaled = k
            changed = model.columns(60, {"feature": 0}).numbers[:, k] / feature.unit - feature.level
            changed = changed[np.isfinite(changed)]
            spread = np.sqrt(1 - feature.phi**2)
            healthy = (changed[1:] - feature.phi * changed[:-1]) / spread
            moved = 0.3 * (1 - feature.phi) * feature.level / spread
            ratio = healthy**2 / 2 - ((healthy - moved) / 1.3) ** 2 / 2 - np.log(1.3)
            assert ratio.mean() == pytest.approx(feature.kl, rel=0.05)
            return
    raise AssertionError("no such feature")
