"""The demo, whole: on a real Kafka the planted change is found, and nothing before it."""

from __future__ import annotations

from contextlib import closing

import pytest

from streams.commands.demo import demo
from tests.kafka_client import Kafka


@pytest.mark.kafka
@pytest.mark.xdist_group("demo")
def test_the_demo_finds_what_it_planted_and_cleans_up(kafka: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka)
    assert demo(seed=7) == 0
    with closing(Kafka(kafka)) as cluster:
        assert not cluster.topics("streamgauge-demo-")
