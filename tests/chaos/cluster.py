"""A cluster of three to break: which broker does what, killing it, and waiting until everything is replicated again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from confluent_kafka import ElectionType, KafkaException
from confluent_kafka.admin import AdminClient

from streams.devkafka import LocalCluster, local_cluster
from tests.integration.transactions import transactions
from tests.service import wait_until

BROKERS = 3
_TIMEOUT = 240.0
_CALL = 10.0
_Answer = TypeVar("_Answer")


class ThreeBrokers:
    """Brokers go by their number, from 0. Replication 3, min.insync 2: any one of them may be missing."""

    def __init__(self, local: LocalCluster) -> None:
        self._local = local
        self.servers = local.servers
        self._admin = AdminClient({"bootstrap.servers": local.servers, "log_level": 0, "error_cb": lambda _: None})

    def kill(self, broker: int) -> None:
        """SIGKILL."""
        self._local.kill(broker)

    def stop(self, broker: int) -> None:
        """SIGTERM: what it leads and coordinates is handed over first."""
        self._local.stop(broker)

    def mend(self) -> None:
        """Start what is down, if anything is; wait until every partition has all its replicas in sync; then let each
        partition's first replica lead again, which moves coordinators once more."""
        down = set(range(BROKERS)) - set(self._local.running)
        if not down:
            return
        for broker in down:
            self._local.start(broker)
        wait_until(self._in_sync, _TIMEOUT, "all replicas are in sync")
        self._asked(self._elect, "the preferred leaders are elected")

    def transaction(self, ours: Callable[[str], bool]) -> tuple[int, str, str] | None:
        """(broker that coordinates it, transactional id, state) of the transactional ids that are ours: one that is
        open, else any; None where there is none."""
        found = None
        for broker in self._local.running:
            try:
                known = transactions([self._local.addresses[broker]])
            except OSError:
                continue
            for name, state in known.items():
                if ours(name) and (found is None or state == "Ongoing"):
                    found = broker, name, state
        return found

    def coordinator_of_group(self, group: str) -> int:
        """The broker that coordinates a consumer group."""
        return self._asked(
            lambda: self._admin.describe_consumer_groups([group])[group].result(_CALL).coordinator.id - 1,
            f"the coordinator of {group} is known",
        )

    def leader_of(self, topic: str, partition: int) -> int:
        """The broker that leads a partition."""
        return self._asked(
            lambda: self._admin.list_topics(topic, timeout=_CALL).topics[topic].partitions[partition].leader - 1,
            f"the leader of {topic}/{partition} is known",
        )

    def _in_sync(self) -> bool:
        try:
            told = self._admin.list_topics(timeout=_CALL)
        except KafkaException:
            return False
        places = [place for topic in told.topics.values() for place in topic.partitions.values()]
        return len(told.brokers) == BROKERS and all(
            place.leader >= 0 and len(place.isrs) == len(place.replicas) for place in places
        )

    def _elect(self) -> bool:
        # The client takes no time-out here (2.16.1: a SystemError).
        self._admin.elect_leaders(ElectionType.PREFERRED, None).result(6 * _CALL)
        return True

    def _asked(self, ask: Callable[[], _Answer], what: str) -> _Answer:
        """The answer, as soon as the cluster can give one."""
        found: list[_Answer] = []

        def answered() -> bool:
            try:
                found.append(ask())
            except KafkaException:
                return False
            return True

        wait_until(answered, _TIMEOUT, what)
        return found[0]


@contextmanager
def three_brokers() -> Iterator[ThreeBrokers]:
    """A fresh cluster for as long as the context lasts. Coordinators move when they are told to, not by themselves."""
    properties = {
        "auto.leader.rebalance.enable": "false",
        "num.network.threads": "2",
        "num.io.threads": "4",
        # On a machine with more to do than these, the defaults (1 s and 2 s) elect controllers again and again.
        "controller.quorum.election.timeout.ms": "3000",
        "controller.quorum.fetch.timeout.ms": "4000",
        "broker.session.timeout.ms": "5000",
    }
    with local_cluster(BROKERS, properties) as local:
        yield ThreeBrokers(local)
