"""A configuration that changed while alerts fire and windows are open: nothing is left firing that nobody watches, and
no window is made of labels alone."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from schemas import Config
from streams.gauge import GaugeSettings, GaugeTask
from streams.outcomes import Control, Kind, Rows, Tick, concatenate, encode

sys.path.insert(0, str(Path(__file__).parent))
from gauge_traffic import Traffic, batch, row_of
from series_world import rows_of as series_rows

HOUR = 3_600_000
ERROR: dict[str, Any] = {"on": "error", "use": "page_hinkley", "severity": "critical"}
SCORE: dict[str, Any] = {"on": "score", "use": "windowed_ks"}


def watching(*detectors: dict[str, Any], task: str = "binary") -> GaugeSettings:
    """A warm-up of a thousand values, windows of an hour."""
    defaults = {
        "task": task,
        "positive_label": 1,
        "windows": {"tumbling": ["1h"], "rolling": [], "cumulative": False},
        "reference": {"warm_up": 1000},
        "budget": {"false_alarms": 1, "per": "1d"},
        "detectors": list(detectors),
    }
    return GaugeSettings.from_config(Config.model_validate({"defaults": defaults}))


def restored(task: GaugeTask, settings: GaugeSettings) -> GaugeTask:
    again = GaugeTask(settings, 0)
    again.restore([(record.key, record.value) for record in task.snapshot(0)])
    return again


@pytest.mark.parametrize(
    ("then", "ending"),
    [((ERROR, SCORE), "recovered"), ((SCORE,), "expired"), (({**ERROR, "min_effect": 0.1}, SCORE), "expired")],
)
def test_an_alert_whose_detector_is_gone_or_starts_anew_ends(then: tuple[dict[str, Any], ...], ending: str) -> None:
    traffic = Traffic(3, shift_after=6000)
    alerts: list[dict[str, Any]] = []

    def feed(task: GaugeTask, rounds: int) -> None:
        for message in traffic.messages(rounds, 60):
            made = (
                json.loads(each.value or b"")
                for each in task.apply(batch([message], 0)).outputs
                if each.topic == "alerts"
            )
            alerts.extend(each for each in made if each["rule"] == "error/page_hinkley")

    first = GaugeTask(watching(ERROR, SCORE), 0)
    feed(first, 150)
    assert {(each["model"], each["status"]) for each in alerts} == {("fraud", "firing"), ("churn", "firing")}
    alerts.clear()
    traffic.shift_after = None
    second = restored(first, watching(*then))
    feed(second, 60)
    traffic.made += 40 * 36_000  # 40 hours of event time later
    feed(second, 200)
    assert {(each["model"], each["status"], each["resolution"]) for each in alerts} == {
        ("fraud", "resolved", ending), ("churn", "resolved", ending),
    }  # fmt: skip


def test_an_error_alert_ends_when_the_task_becomes_another_and_the_next_change_is_told() -> None:
    traffic = Traffic(3, shift_after=6000)

    def fed(task: GaugeTask, rounds: int) -> set[tuple[str, str, str | None]]:
        outputs = task.apply(batch(list(traffic.messages(rounds, 60)), 0)).outputs
        alerts = [json.loads(each.value or b"") for each in outputs if each.topic == "alerts"]
        return {(each["model"], each["status"], each["resolution"]) for each in alerts}

    first = GaugeTask(watching(ERROR), 0)
    assert fed(first, 150) == {("fraud", "firing", None), ("churn", "firing", None)}
    second = restored(first, watching(ERROR, task="regression"))
    traffic.shift_after = None
    assert fed(second, 100) == {("fraud", "resolved", "expired"), ("churn", "resolved", "expired")}
    traffic.shift_after = traffic.made
    assert fed(second, 150) == {("fraud", "firing", None), ("churn", "firing", None)}


@pytest.mark.parametrize("kind", ["auto", "binary"])
@pytest.mark.parametrize("every", [500, 6000])
def test_a_change_among_outcomes_that_waited_for_the_task_is_told_before_its_recovery(kind: str, every: int) -> None:
    draw = np.random.default_rng(1)
    task = GaugeTask(watching(ERROR, task=kind), 0)
    alerts: list[str] = []

    def feed(rows: Rows) -> None:
        outputs = task.apply(batch([encode(rows, 0, 0)], 0)).outputs
        alerts.extend(json.loads(each.value or b"")["status"] for each in outputs if each.topic == "alerts")

    def tick(seconds: int) -> None:
        clock = 1_790_000_000_000 + 1000 * seconds
        feed(row_of(Tick(0, 1, clock - 60_000, idle=False, caught_up=True, clock=clock)))

    tick(0)
    values = (draw.random(3000) < 0.1).astype(float).tolist()
    profile = json.dumps({"profile": {"error": {"values": values, "rate": 1.0}}}).encode()
    feed(row_of(Control("baseline/m/v1", profile, 0)))
    n = 6000
    at = np.arange(n)
    wrong = draw.random(n) < np.where((at > 300) & (at < 800), 0.6, 0.1)
    rows = series_rows(wrong, draw.normal(size=n), np.zeros((n, 0)), rate=1.0)
    rows.timestamp = rows.timestamp + 1_790_000_000_000
    for start in range(0, n, every):
        feed(rows.take(np.arange(2 * start, 2 * min(n, start + every))))
        tick(start + every)
    assert alerts == ["firing", "resolved"]


def judged(*segments: str) -> GaugeSettings:
    """An accuracy below .7 is told of windows of an hour."""
    rule = {"metric": "accuracy", "below": 0.7, "window": "1h", "min_count": 20, "severity": "critical"}
    defaults = {
        "task": "binary", "positive_label": 1, "segments": list(segments), "join": {"horizon": "1h", "grace": "1h"},
        "windows": {"tumbling": ["1h"], "rolling": [], "cumulative": False}, "detectors": [], "rules": [rule],
    }  # fmt: skip
    return GaugeSettings.from_config(Config.model_validate({"defaults": defaults}))


@pytest.mark.parametrize("segments", [(), ("region",)])
@pytest.mark.parametrize("retracts", [False, True])
def test_labels_of_predictions_before_a_new_segment_key_make_no_window_of_their_own(
    segments: tuple[str, ...], retracts: bool
) -> None:
    traffic, told, alerts = Traffic(5), {}, []

    def feed(task: GaugeTask, *parts: Rows) -> None:
        for output in task.apply(batch([encode(concatenate(list(parts)), 0, 0)], 0)).outputs:
            event = json.loads(output.value or b"")
            if output.topic == "alerts":
                alerts.append(event)
            elif event.get("window", {}).get("kind") == "tumbling" and not event["segment"]:
                told[event["model"], event["window"]["start"]] = event

    first = GaugeTask(judged(), 0)
    predicted = traffic.predicted(600)
    outcomes = traffic.outcomes(predicted)
    wrong = outcomes.prediction != outcomes.label  # misses are told late, as those of fraud are
    early, late = outcomes.take(np.flatnonzero(~wrong)), outcomes.take(np.flatnonzero(wrong))
    traffic.clock += 1000
    traffic.made += 36_000
    feed(first, predicted, early, traffic.tick(0), traffic.tick(1))
    second = restored(first, judged(*segments))
    more = [late]
    if retracts:
        back = early.take(np.arange(300))
        back.kind[:], back.refers_to = Kind.RETRACTED, back.number.copy()
        back.number = traffic.number + np.arange(300)
        traffic.number += 300
        more.append(back)
    traffic.clock += 10_000
    feed(second, *more, traffic.tick(0), traffic.tick(1))
    traffic.made += 3 * 36_000
    traffic.clock += 400_000
    feed(second, traffic.predicted(10), traffic.tick(0), traffic.tick(1))
    assert all(0 <= event["counts"]["outcomes"] <= event["counts"]["predictions"] for event in told.values())
    assert alerts == []
