"""What the broker does not check, and both logs therefore do."""

from __future__ import annotations

from collections.abc import Mapping

from streams.log.base import (
    MESSAGE_LIMIT,
    METADATA_LIMIT,
    Committed,
    GroupMetadata,
    LogError,
    MembershipLost,
)
from streams.records import OutputRecord, TopicPartition


def refuse_foreign_offsets(offsets: Mapping[TopicPartition, Committed], group: GroupMetadata) -> None:
    """Raise where these offsets are not this member's to commit: a broker takes metadata of a consumer that never
    joined, and offsets of partitions that someone else owns (KIP-447 fences by member and generation alone). Nor could
    metadata that is too large ever be committed: the broker's refusal would only cost the transaction."""
    if group.generation < 0:
        raise MembershipLost(f"this consumer has not joined {group.group_id}", "UNKNOWN_MEMBER_ID")
    foreign = sorted(offsets.keys() - group.owned)
    if foreign:
        topic, number = foreign[0]
        raise MembershipLost(f"{topic}/{number} is not owned by this member of {group.group_id}", "_ASSIGNMENT_LOST")
    for partition, committed in offsets.items():
        if len(committed.metadata.encode()) > METADATA_LIMIT:
            raise LogError(
                f"the offset metadata of {partition.topic}/{partition.partition} is too large",
                "OFFSET_METADATA_TOO_LARGE",
            )


def refuse_large_record(record: OutputRecord) -> None:
    """Raise where no broker with default limits would take the record."""
    size = len(record.key or b"") + len(record.value or b"")
    if size > MESSAGE_LIMIT:
        raise LogError(f"a record of {size} bytes for {record.topic} is too large", "MSG_SIZE_TOO_LARGE")
