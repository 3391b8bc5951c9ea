"""Events to rows to messages of the outcomes topic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numba
import numpy as np

from streams.decode import PredictionColumns
from streams.join.columns import spread
from streams.join.held import Held
from streams.join.keys import read
from streams.join.layout import NOWHERE, Records, Store, rows_at
from streams.join.profiles import Profiles
from streams.join.settings import JoinSettings
from streams.join.words import numbers_of, texts_of
from streams.outcomes import Kind, Listed, Rows, Tick, encode
from streams.records import Float64Array, Int32Array, Int64Array, OutputRecord, UInt8Array

LARGEST_MESSAGE = 512 * 1024
_ROW_BYTES = 150
_ENTRY_BYTES = 16


@dataclass(frozen=True, slots=True)
class Happened:
    """Events in the order they become rows (the number of row i is `base` + i), and the columns that PREDICTED
    events point into (None where there are none)."""

    events: Records
    base: int
    columns: PredictionColumns | None


class RowBuilder:
    """Makes the messages of one commit."""

    def __init__(self, settings: JoinSettings, profiles: Profiles, task: int) -> None:
        self._settings, self._profiles, self._task = settings, profiles, task

    def messages(self, happened: Happened, held: Held, commit: int) -> Iterator[OutputRecord]:
        """Messages of all that happened, for each partition in the order of its numbers. To be called before the
        rows of what was let go are used again."""
        route = self._profiles.route[happened.events["profile"]]
        order = np.argsort(route, kind="stable")
        stops = np.cumsum(np.bincount(route, minlength=self._settings.outcomes_partitions))
        start = 0
        for partition, stop in enumerate(stops.tolist()):
            for index in self._portions(happened, order[start:stop]):
                yield from self.encoded(self._rows(happened, index, held), partition, commit)
            start = stop

    def ticks(self, tick: Tick, number: int, commit: int) -> list[OutputRecord]:
        """The same TICK row, numbered `number`, for every partition."""
        rows = Rows.blank(1, [], self._settings.segment_keys)
        rows.kind[0] = Kind.TICK
        rows.number[0] = number
        rows.payloads[0] = msgspec.json.encode(tick)
        message = encode(rows, self._task, commit)
        topic, partitions = self._settings.outcomes, range(self._settings.outcomes_partitions)
        return [OutputRecord(topic, None, message, partition) for partition in partitions]

    def encoded(self, rows: Rows, partition: int, commit: int) -> Iterator[OutputRecord]:
        """The rows as messages of at most 512 KiB (a single row is never split)."""
        message = encode(rows, self._task, commit)
        if len(message) <= LARGEST_MESSAGE or len(rows) == 1:
            yield OutputRecord(self._settings.outcomes, None, message, partition)
            return
        half = len(rows) // 2
        yield from self.encoded(rows.take(np.arange(half)), partition, commit)
        yield from self.encoded(rows.take(np.arange(half, len(rows))), partition, commit)

    def _portions(self, happened: Happened, index: Int64Array) -> Iterator[Int64Array]:
        """Cut into what will fit a message, by estimate."""
        if not len(index):
            return
        sizes = np.full(len(index), _ROW_BYTES)
        if happened.columns is not None:
            source = happened.events["source"][index]
            for each in (happened.columns.features, happened.columns.attributions):
                entries = np.append(np.diff(each.offsets), 0)  # the last place is that of -1
                sizes += _ENTRY_BYTES * entries[source]
        portion = np.cumsum(sizes) // LARGEST_MESSAGE
        if portion[-1] == 0:
            yield index
            return
        yield from np.split(index, np.flatnonzero(np.diff(portion)) + 1)

    def _rows(self, happened: Happened, index: Int64Array, held: Held) -> Rows:
        """The events of `index` as rows."""
        events = rows_at(happened.events, index)
        slots = events["slot"]
        rows = held.copies(held.store.predictions, np.maximum(slots, 0))
        known = slots >= 0
        values = rows["value"]
        profile = self._profiles.matrix[:, events["profile"]]
        labelled = events["label"]
        columns, source = happened.columns, events["source"]
        none = Listed.empty(len(index))
        latency = np.full(len(index), np.nan)
        if columns is not None and len(columns):
            latency = np.where(source >= 0, columns.latency[source], np.nan)
        return Rows(
            self._profiles.strings.texts,
            self._settings.segment_keys,
            kind=events["kind"],
            counter=events["counter"],
            failed=events["failed"],
            early=events["early"],
            number=happened.base + index,
            refers_to=events["refers_to"],
            timestamp=events["timestamp"],
            label_timestamp=events["label_timestamp"],
            prediction_offset=events["prediction_offset"],
            label_offset=events["label_offset"],
            amount=events["amount"],
            prediction=np.where(known, numbers_of(values), np.nan),
            label=numbers_of(labelled),
            score=np.where(known, rows["score"], np.nan),
            weight=events["weight"],
            latency=latency,
            model=profile[0],
            version=profile[1],
            variant=profile[2],
            prediction_text=np.where(known, texts_of(values), -1).astype(np.int32),
            label_text=texts_of(labelled),
            segments=profile[3:],
            features=none if columns is None else spread(columns.features, source),
            attributions=none if columns is None else spread(columns.attributions, source),
            scores=_scores(held.store, slots, rows["extra"]),
        )


def _scores(store: Store, slots: Int32Array, extras: Int64Array) -> Listed:
    extras = np.where(slots >= 0, extras, NOWHERE)
    if not (extras >= 0).any():
        return Listed.empty(len(slots))
    offsets, names, values = scores_of(store.arena, extras)
    return Listed(offsets, names, values, np.full(len(names), -1, np.int32))


@numba.njit(cache=True)
def scores_of(arena: UInt8Array, extras: Int64Array) -> tuple[Int32Array, Int32Array, Float64Array]:
    """(offsets, class codes, probabilities) of the score maps in the arena; -1 in `extras` has none."""
    offsets = np.zeros(len(extras) + 1, np.int32)
    for i in range(len(extras)):
        count = 0
        if extras[i] >= 0:
            count = read(arena, extras[i] + 2 + read(arena, extras[i], 2), 4)
        offsets[i + 1] = offsets[i] + count
    names = np.empty(offsets[-1], np.int32)
    bits = np.empty(offsets[-1], np.int64)
    for i in range(len(extras)):
        if extras[i] < 0:
            continue
        at = extras[i] + 6 + read(arena, extras[i], 2)
        for j in range(offsets[i], offsets[i + 1]):
            names[j] = read(arena, at, 4)
            bits[j] = read(arena, at + 4, 8)
            at += 12
    return offsets, names, bits.view(np.float64)
