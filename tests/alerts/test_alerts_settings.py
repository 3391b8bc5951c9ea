"""What the configuration says reaches the alerts, and what numbers become in the event."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from alerts_world import DAY, HOUR, World, fired, rule, window

from schemas import AlertEvent, load_config
from streams.alerts import AlertSettings, Limit, ModelAlerts
from streams.state import pack, unpack


def settings_of(tmp_path: Path, text: str) -> AlertSettings:
    path = tmp_path / "streamgauge.yaml"
    path.write_text(text)
    return AlertSettings.from_config(load_config(path, {}).model("fraud"), "c0ffee")


def test_rules_and_times_are_those_of_the_configuration(tmp_path: Path) -> None:
    settings = settings_of(
        tmp_path,
        """
        defaults:
          repeat: 2h
          join: {horizon: 2d, grace: 1h}
          rules:
            - {metric: accuracy, below: 0.9, window: 1h, for: 2h, min_count: 200, severity: critical, name: low}
            - {metric: log_loss, above: {sigmas: 3, over: 7d}, window: 1h, segment: region}
            - {metric: f1, below: {quantile: 0.01, over: 30d}, window: 1h}
        """,
    )
    assert settings.rules[0] == rule(name="low", hold=2 * HOUR, min_count=200, severity="critical")
    assert [each.limit for each in settings.rules] == [
        Limit("static", 0.9),
        Limit("sigmas", 3, 7 * DAY),
        Limit("quantile", 0.01, 30 * DAY),
    ]
    assert [each.fewest for each in settings.rules] == [0, 10, 100]
    assert settings.rules[1].side == "above"
    assert settings.rules[1].segment == "region"
    assert (settings.repeat, settings.keep, settings.config_hash) == (2 * HOUR, 2 * DAY + HOUR, "c0ffee")


def test_a_quantile_of_a_short_history_asks_for_all_of_it(tmp_path: Path) -> None:
    text = "defaults: {rules: [{metric: f1, below: {quantile: 0.01, over: 7d}, window: 1d}]}"
    assert settings_of(tmp_path, text).rules[0].fewest == 7


def test_annotations_of_a_detector_and_a_rule_come_over_those_of_the_model(tmp_path: Path) -> None:
    it = World(
        settings_of(
            tmp_path,
            """
            defaults:
              annotations: {team: risk, runbook: general}
              detectors:
                - {on: error, use: adwin, annotations: {runbook: errors}}
                - {on: features, use: windowed_ks, annotations: {runbook: features}}
              rules: [{metric: accuracy, below: 0.9, window: 1h, annotations: {runbook: accuracy}}]
            """,
        )
    )
    it.drift(fired())
    it.drift(fired(subject="features.amount", rule="features/windowed_ks"))
    it.drift(fired(subject="features.country", rule="features/chi_squared"))
    it.drift(fired(subject="score", rule="score/windowed_ks"))
    it.judge(window(0, 0.8))
    assert [event.annotations["runbook"] for event in it.events] == [
        "errors",
        "features",
        "features",
        "general",
        "accuracy",
    ]
    assert {event.annotations["team"] for event in it.events} == {"risk"}


def test_numbers_that_are_none_become_null() -> None:
    (alert,) = World(AlertSettings()).drift(fired(statistic=float("inf"), threshold=float("nan")))
    event = json.loads(alert.to_json())
    assert (event["statistic"], event["threshold"]) == (None, None)


def test_numbers_of_arrays_are_as_good_as_plain_ones() -> None:
    plain, arrays = World(AlertSettings()), World(AlertSettings())
    plain.drift(fired(statistic=0.25, observations_since_change=7))
    arrays.drift(fired(statistic=np.float64(0.25), observations_since_change=np.int64(7)))
    again = ModelAlerts("fraud", AlertSettings())
    again.restore(unpack(b"SGAL", 1, pack(b"SGAL", 1, arrays.alerts.snapshot())))
    assert plain.events[0].to_json() == arrays.events[0].to_json()
    clock = plain.clock + 4 * HOUR
    assert [e.to_json() for e in plain.alerts.tick(clock, None, True)] == [
        e.to_json() for e in again.tick(clock, None, True)
    ]


def test_the_event_has_the_keys_of_the_contract_and_no_others() -> None:
    (alert,) = World(AlertSettings()).drift(fired())
    assert list(json.loads(alert.to_json())) == list(AlertEvent.model_fields)
