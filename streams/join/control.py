"""The control topic's own join task: it copies control records into every partition of the outcomes topic.

So their place in the order is fixed, and a replay sees them where they were. It holds nothing, and its ticks say
that it is idle: it never holds event time back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from schemas import Baseline, InputError, parse_control
from streams.decode import Privacy, Refusal, Strings
from streams.join.batches import merged
from streams.join.clock import EventTime, Ticker
from streams.join.journal import head_block, read_heads
from streams.join.profiles import Profiles
from streams.join.rows import RowBuilder
from streams.join.settings import JoinSettings
from streams.join.step import JoinStep, Ledger, committed_of
from streams.outcomes import Control, Kind, Rows, Tick
from streams.records import Moment, OutputRecord, RecordBatch, TopicPartition

LARGEST_COPY = 900_000
"""Bytes of a control record as a row, which is never split: a message's limit is 1,000,000."""


class ControlTask:
    """The last join task, with the interface of JoinTask. A record that cannot be copied becomes a dead letter."""

    def __init__(self, settings: JoinSettings, task: int, tasks: int) -> None:
        self._settings = settings
        self._source = TopicPartition(settings.control, 0)
        time = EventTime((self._source,), settings.disorder, settings.idle_after)
        self._ledger = Ledger(task, tasks, time, Ticker((self._source,)))
        self._builder = RowBuilder(settings, Profiles(settings, Strings()), task)

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """The next offset to read, as the journal knows it."""
        return self._ledger.time.next_offsets

    def apply(self, batches: Sequence[RecordBatch], moment: Moment) -> JoinStep:
        """Copy control records, in their order, into every outcomes partition."""
        self._ledger.commit += 1
        batch = merged(batches, self._source)
        outputs: list[OutputRecord] = []
        ticks: list[OutputRecord] = []
        ends: dict[TopicPartition, int] = {}
        copied = 0
        if batch is not None:
            ends[self._source] = int(batch.offsets[-1]) + 1
            payloads, refusals = _payloads(batch, self._settings.privacy)
            copied = len(payloads)
            outputs += [self._settings.decoders.dead_letter(refusal, batch) for refusal in refusals]
            outputs += self._copies(payloads)
        self._ledger.time.advance(ends, {}, moment)
        due = self._ledger.ticker.tick(moment)
        if due is not None:
            tick = Tick(self._ledger.task, self._ledger.tasks, None, True, due[1], due[0], moment.stalled)
            ticks = self._builder.ticks(tick, self._ledger.row, self._ledger.commit)
            self._ledger.row += 1
        commit = self._ledger.commit
        return JoinStep(
            rows=outputs,
            ticks=ticks,
            journal=[head_block(self._ledger.head(commit))],
            commit=commit,
            floor=commit,
            metadata=self._ledger.metadata(commit),
            counters={self._settings.control: copied} if copied else {},
            watermark=None,
            positions={},
            held=0,
        )

    def _copies(self, payloads: list[bytes]) -> list[OutputRecord]:
        if not payloads:
            return []
        found: list[OutputRecord] = []
        for partition in range(self._settings.outcomes_partitions):
            rows = Rows.blank(len(payloads), [], self._settings.segment_keys)
            rows.kind[:] = Kind.CONTROL
            rows.number = self._ledger.row + np.arange(len(payloads))
            rows.payloads = dict(enumerate(payloads))
            self._ledger.row += len(payloads)
            found += self._builder.encoded(rows, partition, self._ledger.commit)
        return found

    def restore(self, blocks: Iterable[bytes], metadata: Mapping[TopicPartition, str]) -> None:
        """As JoinTask.restore."""
        self._ledger.restore(read_heads(blocks), committed_of(metadata))


def _payloads(batch: RecordBatch, privacy: Privacy) -> tuple[list[bytes], list[Refusal]]:
    payloads: list[bytes] = []
    refusals: list[Refusal] = []
    for place, (offset, value) in enumerate(zip(batch.offsets.tolist(), batch.values, strict=True)):
        key = batch.key(place)
        try:
            if key is None:
                refusals.append(Refusal(place, "missing_field", "a control record needs a key", "key"))
            else:
                text = key.decode()
                record = parse_control(text, value)
                if isinstance(record.body, Baseline) and (privacy.drop or privacy.hashed):
                    value = msgspec.json.encode({"profile": privacy.profile(record.body.profile)})
                payload = msgspec.json.encode(Control(text, value, offset))
                if len(payload) > LARGEST_COPY:
                    text = f"takes {len(payload)} bytes as a row, and may take {LARGEST_COPY}: give fewer values"
                    refusals.append(Refusal(place, "too_large", text))
                else:
                    payloads.append(payload)
        except UnicodeDecodeError:
            refusals.append(Refusal(place, "invalid_utf8", "the key is not UTF-8", "key"))
        except InputError as problem:
            refusals.append(Refusal(place, problem.code, problem.message, problem.field))
    return payloads, refusals
