"""A whole run: a cluster, workers, traffic; deeds one after the other; the verdict over all that was published."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.chaos.cluster import ThreeBrokers
from tests.chaos.deeds import Done, Scene, do, settle
from tests.chaos.evidence import as_it_lies, keep
from tests.chaos.fleet import Fleet
from tests.chaos.plan import DYNAMIC, SLOTS, Deed
from tests.chaos.traffic import Flow
from tests.integration.application import PARTITIONS, Topics, settings
from tests.integration.traffic import HOUR, Traffic
from tests.integration.verdict import Verdict, judge, judge_state
from tests.kafka_client import Kafka

DAY = 24 * HOUR
RATE = 40.0
"""Records a second: enough for a transaction in flight at any time, little enough for two cores."""
_RECORDS_A_REQUEST = 2.0
_LONG = 30.0
"""Seconds for which a deed needs traffic."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What the workers are told beyond the defaults, the session's time-out that follows, and for how long all may be
    waited for at the end; seconds."""

    client: Mapping[str, Any]
    session: float
    patience: float = 120.0


DEFAULTS = Pace({}, 12.0)
QUICK = Pace({"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000, "transaction.timeout.ms": 4000}, 6.0)


@dataclass(frozen=True, slots=True)
class Survived:
    """What was done, how much was sent, and that all of it came out as it must."""

    done: Sequence[Done]
    records: int
    workers_started: int
    workers_retired: int
    workers_hung: int
    workers_fenced: int
    workers_without_kafka: int
    seconds: float
    verdict: Verdict
    agreeing: int  # offsets that journal and snapshots agree with

    @property
    def histogram(self) -> Counter[tuple[str, str]]:
        """How often what was done at which step."""
        return Counter((done.deed.kind.value, done.deed.place) for done in self.done)


def survive(
    brokers: ThreeBrokers,
    deeds: Sequence[Deed],
    seed: int,
    pace: Pace,
    *,
    tell: Callable[[str], None] = lambda _: None,
    enough: Callable[[], bool] = lambda: False,
) -> Survived:
    """Do all of it, or what can be done until it is `enough`. AssertionError says what did not survive."""
    topics = Topics(f"chaos-{uuid.uuid4().hex[:8]}")
    options = settings(brokers.servers, topics)
    options["kafka"]["client"] = dict(pace.client)
    options["commit_interval"] = "500ms"
    options["defaults"]["windows"]["emit_every"] = "2s"
    requests = max(4_000, int(len(deeds) * _LONG * RATE / _RECORDS_A_REQUEST))
    traffic = Traffic(seed, requests, start=int(time.time() * 1000) // HOUR * HOUR - 3 * DAY)
    records = traffic.records()
    folder = Path(tempfile.mkdtemp(prefix="streamgauge-chaos-"))
    began = time.monotonic()
    with closing(Kafka(brokers.servers)) as kafka, Fleet(options, folder) as fleet:
        kafka.create(dict.fromkeys(topics.inputs.values(), PARTITIONS))
        flow = Flow(brokers.servers, topics, records, RATE)
        try:
            scene = Scene(brokers, kafka, topics, fleet, flow, pace.session)
            done: list[Done] = []
            for slot in SLOTS:
                fleet.start(slot)
            fleet.wait_ready()
            settle(scene)
            for number, deed in enumerate(deeds):
                if enough():
                    break
                _come_and_go(fleet, number)
                tell(f"{time.monotonic() - began:5.0f} s  {number + 1}/{len(deeds)}  {deed}")
                done.append(do(deed, scene))
            tell(f"{time.monotonic() - began:5.0f} s  the rest of the traffic, and the verdict")
            flow.finish(lambda: settle(scene))
            sent = flow.after(traffic.sentinels())
            log = as_it_lies(kafka, topics, sent)
            if len(log) > len(sent):
                tell(f"{len(log) - len(sent)} records lie twice in the inputs: the traffic's own producer's copies")
            try:
                verdict = judge(kafka, topics, options, log, folder, patience=pace.patience)
                for slot in fleet.running:
                    fleet.retire(slot)
                agreeing = judge_state(kafka, topics, options, folder)
            except AssertionError:
                tell(f"what was wrong can be looked at: {keep(kafka, topics, folder)}")
                raise
        finally:
            flow.stop()
        ended = fleet.hung, fleet.fenced, fleet.unreachable
        return Survived(
            done, len(log), fleet.started, fleet.retired, *ended, time.monotonic() - began, verdict, agreeing
        )


def _come_and_go(fleet: Fleet, number: int) -> None:
    """The worker without a name is there for a while and away for a while."""
    if number % 4 == 1 and DYNAMIC in fleet.running:
        fleet.retire(DYNAMIC)
    elif number % 4 == 3 and DYNAMIC not in fleet.running:
        fleet.start(DYNAMIC)
