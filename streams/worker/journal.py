"""The journal topic as the worker sees it: envelopes around the join core's blocks.

Every commit of a join task writes at least one envelope to the task's partition, so the newest one says what the
group's committed offsets were, whatever became of them: offsets expire with an idle group, the journal does not.

    {commit, floor, sources: [[topic, partition, offset, metadata], …], block, terms: [horizon, grace, digest]}

`floor` is the oldest commit whose blocks are still needed; what lies below it is skipped, and deleted now and then.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import astuple, dataclass
from typing import Any

from streams.log import Committed
from streams.records import OutputRecord, TopicPartition
from streams.state import pack, unpack
from streams.worker.errors import StateLost
from streams.worker.restore import bounds, read_range
from streams.worker.stage import JournalBlock, Library

_MAGIC = b"SGJE"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Terms:
    """What decides which label counts, and for how long anything is held: the defaults in milliseconds, and a digest
    of those of every model. Outcomes follow from the two input topics only while they stay as they are."""

    horizon: int
    grace: int
    digest: str


@dataclass(frozen=True, slots=True)
class Envelope:
    """What one record of the journal says; `block` is None where the commit changed nothing that is held. `terms` are
    those that it was joined by, None where they were not written yet."""

    commit: int
    floor: int
    sources: dict[TopicPartition, Committed]
    block: bytes | None
    terms: Terms | None = None


def envelope_record(place: TopicPartition, envelope: Envelope) -> JournalBlock:
    """The record of an envelope, to be produced to `place`."""
    told = [[*partition, each.offset, each.metadata] for partition, each in sorted(envelope.sources.items())]
    terms = None if envelope.terms is None else list(astuple(envelope.terms))
    commit = envelope.commit
    tree = {"commit": commit, "floor": envelope.floor, "sources": told, "block": envelope.block, "terms": terms}
    value = pack(_MAGIC, _VERSION, tree)
    return JournalBlock(OutputRecord(place.topic, str(commit).encode(), value, place.partition), commit)


def open_envelope(value: bytes) -> Envelope:
    """Read one back. Raises StateError where it is damaged or newer than this version."""
    tree: Any = unpack(_MAGIC, _VERSION, value)
    sources = {TopicPartition(topic, number): Committed(at, text) for topic, number, at, text in tree["sources"]}
    terms = tree.get("terms")
    return Envelope(tree["commit"], tree["floor"], sources, tree["block"], None if terms is None else Terms(*terms))


def newest_envelope(place: TopicPartition, library: Library) -> Envelope | None:
    """The last envelope of the partition, or None where it holds none. Reads backwards in growing steps: the end of
    the log is transaction markers."""
    low, end = bounds(place, library)
    reach = 16
    start = end
    while start > low:
        start = max(low, end - reach)
        reach *= 8
        last = None
        for batch in read_range(place, start, end, library):
            last = next((value for value in reversed(batch.values) if value is not None), last)
        if last is not None:
            return open_envelope(last)
    return None


MOST_LANDED = 8_192
"""Commits whose places a ledger remembers: of five a second in a horizon of a week there are three million."""


class Ledger:
    """Where the envelopes of commits landed: what a floor means as an offset. Where there are very many commits, every
    second one is forgotten: an offset may then be a little low, never too high."""

    def __init__(self, place: TopicPartition) -> None:
        self.place = place
        self._landed: deque[tuple[int, int]] = deque()  # (commit, its first offset), rising
        self._cut = 0

    def __len__(self) -> int:
        return len(self._landed)

    def landed(self, commit: int, offset: int) -> None:
        """An envelope of `commit` is at `offset`. Commits come in order; only the first offset of each counts."""
        if self._landed and self._landed[-1][0] == commit:
            # A transaction that was aborted and sent again landed twice: the later place is the one that counts,
            # and a lower bound of it is what trimming needs, so the first one may stand.
            return
        self._landed.append((commit, offset))
        if len(self._landed) > MOST_LANDED:
            *older, newest = self._landed
            self._landed = deque([*older[::2], newest])

    def trim(self, floor: int) -> tuple[TopicPartition, int] | None:
        """The offset below which nothing is needed, where it has moved. The newest envelope always stays."""
        while len(self._landed) > 1 and self._landed[1][0] <= floor:
            self._landed.popleft()
        if not self._landed or self._landed[0][1] <= self._cut:
            return None
        self._cut = self._landed[0][1]
        return self.place, self._cut

    def read(self, floor: int, library: Library) -> Generator[bytes, None, None]:
        """The blocks from the floor on, noting where they are. Raises StateLost where the floor's are gone."""
        low, end = bounds(self.place, library)
        first: int | None = None
        for batch in read_range(self.place, low, end, library):
            for offset, value in zip(batch.offsets, batch.values, strict=True):
                if value is None:
                    continue
                envelope = open_envelope(value)
                if first is None:
                    first = envelope.commit
                    if first > floor:
                        raise StateLost(
                            f"the journal {self.place.topic}/{self.place.partition} begins at commit {first}, but "
                            f"commit {floor} is still needed: restore the topic (retention.ms must be -1), or start "
                            "anew under another kafka.application_id"
                        )
                if envelope.commit < floor:
                    continue
                self.landed(envelope.commit, int(offset))
                if envelope.block is not None:
                    yield envelope.block
