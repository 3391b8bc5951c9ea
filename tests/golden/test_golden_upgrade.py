"""A rolling upgrade: workers of two versions in one group, the newer of which writes newer formats. Whoever cannot read
what it is given ends with exit 5, and nothing is lost or counted twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest import mock

import pytest
from golden_world import NOW, World

from schemas import Config
from streams.log import MemoryLog
from streams.partitioner import partition_of
from streams.records import Unreadable
from streams.worker import Exit, StageName, StateLost, Worker, exit_code

FORMATS = (
    "streams.worker.journal._VERSION", "streams.join.journal.VERSION", "streams.gauge.snapshots.VERSION",
    "streams.outcomes.FORMAT", "streams.worker.births.FORMAT",
)  # fmt: skip
CONFIG = Config.model_validate(
    {
        "outcomes_partitions": 2,
        "defaults": {"task": "binary", "join": {"horizon": "1h", "idle_after": "1s"}, "windows": {"emit_every": "1s"}},
    }
)
MODELS = ("a", "b", "c", "d")


@contextmanager
def newer() -> Iterator[None]:
    """The newer version at work: it writes format 2 of everything, and reads both."""
    with ExitStack() as stack:
        for name in FORMATS:
            stack.enter_context(mock.patch(name, 2))
        yield


class Upgrade:
    """An application of two input partitions, its workers, and what was sent."""

    def __init__(self) -> None:
        self.log = MemoryLog(clock=NOW)
        for topic in ("predictions", "labels"):
            self.log.create_topic(topic, 2)
        self.world = World(CONFIG, self.log)
        self.old: list[Worker] = []
        self.new: list[Worker] = []
        self.ended: list[BaseException] = []
        self.sent = 0

    def start_old(self, stage: StageName) -> None:
        worker = self.world.worker(stage)
        worker.start()
        self.old.append(worker)

    def start_new(self, stage: StageName) -> None:
        with newer():
            worker = self.world.worker(stage)
            worker.start()
        self.new.append(worker)

    def send(self, count: int) -> None:
        for i in range(self.sent, self.sent + count):
            key = f"id-{i}"
            at = partition_of(key.encode(), 2)
            event = {"prediction_id": key, "model": MODELS[i % 4], "timestamp": self.log.clock, "prediction": i % 2}
            label = {"prediction_id": key, "label": 1, "timestamp": self.log.clock}
            for topic, value in (("predictions", event), ("labels", label)):
                self.log.append(topic, json.dumps(value).encode(), partition=at, timestamp=self.log.clock)
        self.sent += count

    def turn(self, rounds: int) -> None:
        """Everyone turns; a worker that ends is noted and gone."""
        for _ in range(rounds):
            for worker in list(self.old):
                self._turn(worker, self.old)
            with newer():
                for worker in list(self.new):
                    self._turn(worker, self.new)

    def _turn(self, worker: Worker, among: list[Worker]) -> None:
        try:
            worker.turn()
        except (StateLost, Unreadable) as problem:
            self.ended.append(problem)
            among.remove(worker)
            worker.close()

    def kill(self, worker: Worker) -> None:
        """It never says a word again; its session ends."""
        worker.consumer.suspend()  # type: ignore[attr-defined]
        self.new.remove(worker)
        self.log.advance(13_000)


def outcomes(upgrade: Upgrade) -> dict[str, int]:
    """By model, what the newest cumulative window of it counts."""
    newest: dict[str, tuple[int, int]] = {}
    for value in upgrade.world.values("metrics"):
        event = json.loads(value)
        if event.get("window", {}).get("kind") == "cumulative":
            told = event["revision"], event["counts"]["outcomes"]
            newest[event["model"]] = max(newest.get(event["model"], (0, 0)), told)
    return {model: count for model, (_, count) in sorted(newest.items())}


def test_nothing_is_lost_while_both_versions_are_in_the_group_and_the_newer_one_dies() -> None:
    upgrade = Upgrade()
    upgrade.start_old("join")
    upgrade.start_old("gauge")
    upgrade.send(40)
    upgrade.turn(20)
    upgrade.start_new("join")
    upgrade.send(40)
    upgrade.turn(20)
    assert len(upgrade.ended) == 1  # the old gauge, at the first message of the newer format
    upgrade.start_new("gauge")
    upgrade.send(40)
    upgrade.turn(20)
    assert len(upgrade.ended) == 1 and len(upgrade.old) == 1  # the old join goes on beside the new one
    upgrade.kill(upgrade.new[0])
    upgrade.send(40)
    upgrade.turn(20)
    assert len(upgrade.ended) == 2 and upgrade.old == []  # it was given what the newer one had written
    upgrade.start_new("join")
    upgrade.send(40)
    upgrade.turn(60)
    assert [exit_code(problem) for problem in upgrade.ended] == [Exit.STATE_LOST] * 2
    assert outcomes(upgrade) == dict.fromkeys(MODELS, upgrade.sent // 4)
    identities = [json.loads(value).get("event_id") for value in upgrade.world.values("metrics")]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize("stages", [("join", "gauge"), ("gauge", "join")])
def test_an_upgrade_in_either_order_of_stages_loses_nothing(stages: tuple[StageName, StageName]) -> None:
    upgrade = Upgrade()
    for stage in stages:
        upgrade.start_old(stage)
    upgrade.send(40)
    upgrade.turn(20)
    for stage in stages:
        leaving = next((worker for worker in upgrade.old if worker.stage.name == stage), None)
        if leaving is not None:
            leaving.last_turn()
            leaving.close()
            upgrade.old.remove(leaving)
        upgrade.start_new(stage)
        upgrade.send(40)
        upgrade.turn(20)
    upgrade.turn(40)
    assert outcomes(upgrade) == dict.fromkeys(MODELS, upgrade.sent // 4)
