"""The demo's verdict: found against planted."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from schemas import load_config
from streams.commands.demo_kafka import configuration
from streams.commands.demo_pipeline import Names
from streams.commands.demo_screen import Found, alert_lines, judge, sparkline
from streams.commands.demo_service import FEATURES, Diagnosis, World

CHANGED = 1_000_000


def found(subject: str, at: int, **more: Any) -> Found:
    return Found({"subject": subject, "rule": f"{subject}/test", "summary": "", "status": "firing"} | more, at)


def test_an_error_alert_after_the_change_and_nothing_before_is_good() -> None:
    verdict = judge([found("features.x", CHANGED + 5), found("error", CHANGED + 9)], CHANGED, "x")
    assert verdict.good and verdict.feature is not None


@pytest.mark.parametrize(
    "alerts",
    [[], [found("features.x", CHANGED + 5)], [found("error", CHANGED - 1)]],
    ids=["no alert", "only the feature's", "before the change"],
)
def test_a_missing_alert_or_one_before_the_change_is_not(alerts: list[Found]) -> None:
    assert not judge(alerts, CHANGED, "x").good


def test_a_false_alarm_before_the_change_spoils_a_true_one_after_it() -> None:
    assert not judge([found("score", CHANGED - 1), found("error", CHANGED + 9)], CHANGED, "x").good


def test_the_first_suspect_is_that_of_the_error_alert() -> None:
    alert = found("error", CHANGED, suspects=[{"feature": "a"}, {"feature": "b"}])
    assert judge([alert], CHANGED, "a").first_suspect == "a"
    assert judge([], CHANGED, "a").first_suspect is None


def test_alert_lines_name_cause_and_suspects() -> None:
    suspect = {"feature": "worst area", "detector": "windowed_ks", "statistic": 0.98, "p_value": 3e-9}
    alert = found("error", 0, cause={"topic": "labels", "partition": 2, "offset": 7}, suspects=[suspect]).alert
    text = "\n".join(alert_lines(alert))
    assert "labels, partition 2, offset 7" in text and "worst area" in text


def test_a_sparkline_goes_from_its_least_to_its_greatest() -> None:
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([1.0, 1.0]) == "▁▁" and sparkline([]) == ""


def test_the_planted_change_makes_the_model_wrong_and_nothing_else_does() -> None:
    diagnosis, world = Diagnosis(seed=1), World()
    rows, truth = diagnosis.draw(4_000)
    well = ((diagnosis.predict(rows) >= 0.5) != truth).mean()
    rows[:, FEATURES.index(world.feature)] *= world.factor
    ill = ((diagnosis.predict(rows) >= 0.5) != truth).mean()
    assert well < 0.06 and ill > 0.25


def test_the_demos_configuration_is_one_that_run_accepts(tmp_path: Any) -> None:
    path = tmp_path / "streamgauge.yaml"
    path.write_text(configuration("localhost:1", Names("demo-x"), 1234))
    config = load_config(path, {})
    assert config.kafka.application_id == "demo-x" and config.http.port == 1234
    assert (
        config.topics.dead_letters
        == "demo-x.dead-letters"
        == yaml.safe_load(path.read_text())["topics"]["dead_letters"]
    )
