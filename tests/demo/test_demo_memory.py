"""The demo where no Kafka can be had: the same stages on the in-memory log, and it says so."""

from __future__ import annotations

from typing import NoReturn

import pytest
import structlog

from streams.commands.demo import demo
from streams.commands.demo_service import World
from streams.devkafka import DevKafkaUnavailable

REASON = "there is no Java [here], for all we know: install Java 17 or newer"


@pytest.fixture
def no_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_to_be_had() -> NoReturn:
        raise DevKafkaUnavailable(REASON)

    monkeypatch.setattr("streams.commands.demo.dev_kafka", none_to_be_had)


@pytest.mark.xdist_group("demo")
def test_without_a_kafka_the_demo_says_so_first_and_finds_what_it_planted_on_the_in_memory_log(
    no_kafka: None, capsys: pytest.CaptureFixture[str]
) -> None:
    logging_before = structlog.get_config()["wrapper_class"]
    assert demo(seed=7, world=World(change_after=12.0, rate=300.0, label_delay=(0.5, 1.5))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("No Kafka could be had, so this demo runs on the in-memory log") and REASON in lines[0]
    assert any("first suspect: worst area" in line for line in lines)
    assert structlog.get_config()["wrapper_class"] is logging_before


@pytest.mark.xdist_group("demo")
def test_where_the_world_does_not_change_after_all_nothing_is_found_and_the_code_says_so(
    no_kafka: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("streams.commands.demo._ALERT_WITHIN", 4.0)
    assert demo(seed=7, world=World(change_after=4.0, factor=1.0, rate=300.0, label_delay=(0.5, 1.5))) == 1
    assert "no alert" in capsys.readouterr().out
