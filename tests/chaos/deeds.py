"""Doing what the plan says to a worker that stands at its step, and waiting until all is well again.

Each of these functions returns once the application has committed everything that was sent up to then, without the
worker or broker in question; what must have become of it is asserted.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from confluent_kafka import KafkaException

from streams.worker import Exit
from tests.chaos.cluster import ThreeBrokers
from tests.chaos.fleet import Fleet, hung
from tests.chaos.plan import STATIC, Deed, Kind
from tests.chaos.traffic import Flow
from tests.integration.application import Topics
from tests.kafka_client import Kafka, input_ends
from tests.service import Service, role, wait_until

_LOST = "membership_lost"
_REACH = 240.0
_WELL = 300.0
"""Seconds within which all must be well again; a stop past the session and a takeover are part of it."""
_ZOMBIE_ENDS = 120.0


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything there is."""

    brokers: ThreeBrokers
    kafka: Kafka
    topics: Topics
    fleet: Fleet
    flow: Flow
    session: float  # seconds


@dataclass(frozen=True, slots=True)
class Done:
    """A deed, whether its transaction was seen open on the broker, and how long until all was well, seconds."""

    deed: Deed
    seen_open: bool
    well_after: float


def do(deed: Deed, scene: Scene) -> Done:
    """Have a worker stand at the deed's step, among others; do it; wait until all is well."""
    for slot in STATIC:
        if slot not in scene.fleet.running:
            scene.fleet.start(slot)
    victim = scene.fleet.stand(deed, scene.flow.check)
    seen = _seen(deed, scene)
    began = time.monotonic()
    _DEEDS[deed.kind](deed, scene, victim)
    settle(scene)
    well_after = time.monotonic() - began
    scene.brokers.mend()
    return Done(deed, seen, well_after)


def settle(scene: Scene) -> None:
    """Wait until both stages have committed all that was there when this was asked."""
    application = scene.topics.application_id
    for group, topics in (("join", scene.topics.inputs.values()), ("gauge", [f"{application}-outcomes"])):
        ends = _patiently(lambda topics=topics: input_ends(scene.kafka, *topics))
        name = f"{application}-{group}"

        def committed(name: str = name, ends: dict[tuple[str, int], int] = ends) -> bool:
            scene.fleet.check()
            scene.flow.check()
            return scene.kafka.consumed(name, ends)

        wait_until(committed, _WELL, f"{name} has committed all there was")


def _patiently(ask: Callable[[], dict[tuple[str, int], int]]) -> dict[tuple[str, int], int]:
    """The answer of a cluster that has just lost a broker."""
    found: list[dict[tuple[str, int], int]] = []

    def answered() -> bool:
        try:
            found.append(ask())
        except (KafkaException, AssertionError):  # the latter after half a minute without a leader
            return False
        return True

    wait_until(answered, _WELL, "the cluster answers")
    return found[0]


def _transaction(deed: Deed, scene: Scene) -> tuple[int, str, str] | None:
    prefix = f"{scene.topics.application_id}-{deed.stage}-"
    named = {f"{prefix}{name}" for name in STATIC}

    def ours(name: str) -> bool:
        return name == prefix + deed.slot if deed.slot in STATIC else name.startswith(prefix) and name not in named

    return scene.brokers.transaction(ours)


def _seen(deed: Deed, scene: Scene) -> bool:
    """Look at the standing worker's transaction on the broker (KIP-664)."""
    if not deed.in_flight:
        return False
    state: list[str | None] = [None]

    def ongoing() -> bool:
        found = _transaction(deed, scene)
        state[0] = found and found[2]
        return state[0] == "Ongoing"

    wait_until(ongoing, 10, f"the transaction of {deed} is open on the broker (it is {state[0]})")
    return True


def _let_go(victim: Service) -> None:
    victim.signal(signal.SIGCONT)


# -- workers -------------------------------------------------------------------------------------------------------


def _killed_and_back(deed: Deed, scene: Scene, victim: Service) -> None:
    victim.kill()
    scene.fleet.start(deed.slot)


def _killed_for_good(deed: Deed, scene: Scene, victim: Service) -> None:
    victim.kill()
    scene.fleet.forget(deed.slot)


def _stage_killed(deed: Deed, scene: Scene, victim: Service) -> None:
    """The supervisor ends with its child, and somebody starts it again."""
    for process in victim.processes():
        if role(process) == deed.stage:
            process.kill()
    wait_until(lambda: victim.ended is not None, _WELL, "the supervisor ends with its child")
    assert victim.ended == Exit.BUG, f"the supervisor ended with code {victim.ended}"
    scene.fleet.start(deed.slot)


def _stopped(deed: Deed, scene: Scene, victim: Service) -> None:
    """Its session ends, the others take over and commit; then it wakes up, in the middle of its transaction, and must
    become a member like any other."""
    victim.signal(signal.SIGSTOP)
    at, before = time.monotonic(), victim.log().count(_LOST)
    settle(scene)
    wait_until(lambda: time.monotonic() - at > scene.session + 2, _WELL, "its session has ended")
    settle(scene)
    _let_go(victim)
    wait_until(lambda: victim.log().count(_LOST) > before or victim.ended is not None, _WELL, "it has learnt of it")


def _replaced(deed: Deed, scene: Scene, victim: Service) -> None:
    """Another of its name takes its place while it sleeps. When it wakes up it must end as fenced: the stage that
    stands in its transaction, and so the worker. Its other stage, where it has slept longer than its session, may have
    joined again before: then that one is the newer of the two, and its successor is fenced as well. Where it has slept
    for more than a minute, its watchdog may be the first to say so."""
    victim.signal(signal.SIGSTOP)
    successor = scene.fleet.start(deed.slot)
    successor.wait_ready(_REACH)
    settle(scene)
    _let_go(victim)
    wait_until(lambda: victim.ended is not None, _ZOMBIE_ENDS, "the zombie ends")
    assert victim.ended == Exit.FENCED or hung(victim), f"the zombie ended with code {victim.ended}"


# -- brokers -------------------------------------------------------------------------------------------------------


def _transaction_coordinator(deed: Deed, scene: Scene, victim: Service) -> None:
    scene.brokers.kill(_coordinator(deed, scene))
    _let_go(victim)


def _group_coordinator(deed: Deed, scene: Scene, victim: Service) -> None:
    group = f"{scene.topics.application_id}-{deed.stage}"
    scene.brokers.kill(scene.brokers.coordinator_of_group(group))
    _let_go(victim)


def _leader(deed: Deed, scene: Scene, victim: Service) -> None:
    written = "outcomes" if deed.stage == "join" else "snapshots"
    scene.brokers.kill(scene.brokers.leader_of(f"{scene.topics.application_id}-{written}", 0))
    _let_go(victim)


def _coordinator_moved(deed: Deed, scene: Scene, victim: Service) -> None:
    scene.brokers.stop(_coordinator(deed, scene))
    _let_go(victim)


def _coordinator(deed: Deed, scene: Scene) -> int:
    found = _transaction(deed, scene)
    assert found is not None, "no broker knows of the transaction"
    return found[0]


_DEEDS: dict[Kind, Callable[[Deed, Scene, Service], None]] = {
    Kind.KILLED_AND_BACK: _killed_and_back,
    Kind.KILLED_FOR_GOOD: _killed_for_good,
    Kind.STAGE_KILLED: _stage_killed,
    Kind.STOPPED: _stopped,
    Kind.REPLACED: _replaced,
    Kind.TRANSACTION_COORDINATOR: _transaction_coordinator,
    Kind.GROUP_COORDINATOR: _group_coordinator,
    Kind.LEADER: _leader,
    Kind.COORDINATOR_MOVED: _coordinator_moved,
}
