"""What the broker does not check, and both logs therefore do."""

from __future__ import annotations

from collections.abc import Iterable

from streams.log.base import GroupMetadata, MembershipLost
from streams.records import TopicPartition


def refuse_foreign_offsets(partitions: Iterable[TopicPartition], group: GroupMetadata) -> None:
    """Raise where these offsets are not this member's to commit: a broker takes metadata of a consumer that never
    joined, and offsets of partitions that someone else owns (KIP-447 fences by member and generation alone)."""
    if group.generation < 0:
        raise MembershipLost(f"this consumer has not joined {group.group_id}", "UNKNOWN_MEMBER_ID")
    foreign = sorted(set(partitions) - group.owned)
    if foreign:
        topic, number = foreign[0]
        raise MembershipLost(f"{topic}/{number} is not owned by this member of {group.group_id}", "_ASSIGNMENT_LOST")
