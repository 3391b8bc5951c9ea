"""A consumer group's coordinator in memory: Kafka's classic protocol with the range assignor, eager.

    EMPTY ──join──► PREPARING ──all members are back──► STABLE
      ▲                 ▲                                  │
      │                 └── join, leave, session over ─────┤
      └──────────────── last member gone ──────────────────┘

Fencing is by member and generation, not by ownership (KIP-447); a static member that comes back with its instance id
takes its place without a rebalance, and its predecessor is fenced (KIP-345).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from streams.log.base import Committed, Fenced, GroupMetadata, MembershipLost
from streams.records import TopicPartition


class GroupState(Enum):
    """Where a group is in its protocol."""

    EMPTY = "empty"
    PREPARING = "preparing"
    STABLE = "stable"


@dataclass(slots=True)
class Member:
    """A member as the coordinator sees it. `silent_since` is when its heartbeats stopped, None while they come."""

    member_id: str
    instance_id: str | None
    topics: tuple[str, ...]
    rejoined: bool = True
    assigned: tuple[TopicPartition, ...] = ()
    silent_since: int | None = None


@dataclass(slots=True)
class Group:
    """Members, generation and committed offsets of one group."""

    group_id: str
    partition_count: Callable[[str], int]
    session_timeout: int
    state: GroupState = GroupState.EMPTY
    generation: int = 0
    members: dict[str, Member] = field(default_factory=dict)
    static: dict[str, str] = field(default_factory=dict)
    offsets: dict[TopicPartition, Committed] = field(default_factory=dict)
    _serial: int = 0

    def join(self, instance_id: str | None, topics: tuple[str, ...]) -> str:
        """A new member's id. A known instance takes over its predecessor's place, generation and assignment."""
        self._serial += 1
        member_id = f"{instance_id or 'member'}-{self._serial:06d}"
        before = self.members.pop(self.static[instance_id]) if instance_id in self.static else None
        member = Member(member_id, instance_id, topics)
        if instance_id is not None:
            self.static[instance_id] = member_id
        self.members[member_id] = member
        if before is not None and self.state is GroupState.STABLE and before.topics == topics:
            member.assigned = before.assigned
        else:
            self._rebalance()
            member.rejoined = True
            self._complete()
        return member_id

    def leave(self, member_id: str) -> None:
        """Gone for good; the others rebalance."""
        member = self.members.pop(member_id, None)
        if member is None:
            return
        if member.instance_id is not None and self.static.get(member.instance_id) == member_id:
            del self.static[member.instance_id]
        self._rebalance()
        self._complete()

    def rejoin(self, member_id: str) -> None:
        """The member has given everything back and waits for the new generation."""
        self.members[member_id].rejoined = True
        self._complete()

    def topics_changed(self) -> None:
        """A subscribed topic came or went."""
        self._rebalance()

    def expire(self, now: int) -> None:
        """End the sessions that have been silent for too long."""
        for member in list(self.members.values()):
            if member.silent_since is not None and now - member.silent_since >= self.session_timeout:
                self.leave(member.member_id)

    def verify(self, member_id: str, instance_id: str | None) -> Member:
        """The member; raises where the coordinator would refuse its heartbeat."""
        if instance_id is not None and self.static.get(instance_id, member_id) != member_id:
            raise Fenced(f"instance {instance_id} was replaced by a newer one", "FENCED_INSTANCE_ID")
        if member_id not in self.members:
            raise MembershipLost(f"{member_id} is no member of {self.group_id}", "UNKNOWN_MEMBER_ID")
        return self.members[member_id]

    def verify_offsets(self, metadata: GroupMetadata) -> None:
        """What the coordinator checks of offsets in a transaction: not the ownership, and nothing at all of a
        consumer that never joined."""
        if metadata.generation < 0 and metadata.member_id == "":
            return
        self.verify(metadata.member_id, metadata.instance_id)
        if metadata.generation != self.generation:
            raise MembershipLost(
                f"generation {metadata.generation} of {self.group_id} is over, it is {self.generation}",
                "ILLEGAL_GENERATION",
            )

    def _rebalance(self) -> None:
        if not self.members:
            self.state = GroupState.EMPTY
            return
        if self.state is not GroupState.PREPARING:
            self.state = GroupState.PREPARING
            for member in self.members.values():
                member.rejoined = False

    def _complete(self) -> None:
        waiting = [member for member in self.members.values() if not member.rejoined]
        if self.state is not GroupState.PREPARING or waiting:
            return
        self.generation += 1
        self.state = GroupState.STABLE
        assignment = range_assignment(
            {member.member_id: member.topics for member in self.members.values()}, self.partition_count
        )
        for member_id, partitions in assignment.items():
            self.members[member_id].assigned = partitions


def range_assignment(
    subscriptions: Mapping[str, tuple[str, ...]], partition_count: Callable[[str], int]
) -> dict[str, tuple[TopicPartition, ...]]:
    """Kafka's range assignor: the partitions of each topic in runs, members in the order of their ids, the first ones
    taking one more where it does not divide. Equal partition counts stay together."""
    found: dict[str, list[TopicPartition]] = {member: [] for member in subscriptions}
    for topic in sorted({topic for topics in subscriptions.values() for topic in topics}):
        members = sorted(member for member, topics in subscriptions.items() if topic in topics)
        each, more = divmod(partition_count(topic), len(members))
        at = 0
        for i, member in enumerate(members):
            take = each + (1 if i < more else 0)
            found[member] += [TopicPartition(topic, p) for p in range(at, at + take)]
            at += take
    return {member: tuple(partitions) for member, partitions in found.items()}
