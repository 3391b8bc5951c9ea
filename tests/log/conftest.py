"""Both clusters for the conformance suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from log_cluster import AnyCluster, KafkaCluster, MemoryCluster


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def cluster(request: pytest.FixtureRequest) -> Iterator[AnyCluster]:
    """The in-memory log, then a real Apache Kafka."""
    made: AnyCluster
    made = MemoryCluster() if request.param == "memory" else KafkaCluster(request.getfixturevalue("kafka"))
    yield made
    made.close()
