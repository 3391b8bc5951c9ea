"""Birth records: that a task has begun, and where. They tell a first start from one whose offsets have been lost.

A birth is written to the snapshots topic in the same transaction as the task's first offsets, under the key
`birth/<stage>/<task>`; compaction keeps it for good.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from streams.records import OutputRecord, TopicPartition
from streams.worker.errors import StateLost
from streams.worker.restore import newest
from streams.worker.stage import Library

FORMAT = 1


class Birth(msgspec.Struct, frozen=True):
    """What a task was born with: the partition counts of its topics, and the offset each partition started at."""

    format: int
    stage: str
    task: int
    tasks: int
    start: dict[str, int]  # "<topic>/<partition>": offset


_DECODER = msgspec.json.Decoder(Birth)


def _key(stage: str, task: int) -> bytes:
    return f"birth/{stage}/{task}".encode()


def birth_record(
    place: TopicPartition, stage: str, task: int, tasks: int, start: Mapping[TopicPartition, int]
) -> OutputRecord:
    """The record to be produced with the first offsets; `place` is a partition of the snapshots topic."""
    starts = {f"{each.topic}/{each.partition}": offset for each, offset in sorted(start.items())}
    value = msgspec.json.encode(Birth(FORMAT, stage, task, tasks, starts))
    return OutputRecord(place.topic, _key(stage, task), value, place.partition)


def read_birth(place: TopicPartition, stage: str, task: int, library: Library) -> Birth | None:
    """The birth of a task, or None where it never began. Raises StateLost where it is not readable or newer."""
    value = newest(place, _key(stage, task), library)
    if value is None:
        return None
    try:
        birth = _DECODER.decode(value)
    except msgspec.MsgspecError as problem:
        raise StateLost(
            f"the birth record of {stage} task {task} on {place.topic}/{place.partition} is not readable ({problem}); "
            "restore the topic, or start anew under another kafka.application_id"
        ) from problem
    if birth.format > FORMAT:
        raise StateLost(
            f"{stage} task {task} was begun by a newer version (format {birth.format}, this one reads {FORMAT}): "
            "run that version or a later one"
        )
    return birth
