"""The join task: decode, plan, install; rows out, journal out. One commit for each call.

Within a call all predictions are applied before all labels, each in the order of offsets; then the watermark moves
and lets go. Any other order gives the same outcomes (join rules 2 to 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from streams.decode import Refusal, Strings
from streams.join.batches import merged
from streams.join.clock import BEGINNING, EventTime, Ticker
from streams.join.events import changed_predictions, counts, let_go
from streams.join.held import Held
from streams.join.journal import Entry, blocks_of
from streams.join.layout import NewLabels, NewPredictions, Records, joined
from streams.join.past import Floor, restore
from streams.join.plan import PlannedLabels, PlannedPredictions, Planner
from streams.join.profiles import Profiles
from streams.join.room import Room
from streams.join.rows import Happened, RowBuilder
from streams.join.settings import JoinSettings
from streams.join.step import JoinStep, Ledger, committed_of
from streams.join.texts import MOST_CHARACTERS, MOST_TEXTS, without_unused
from streams.outcomes import Counter, Kind, Tick
from streams.records import Int32Array, Int64Array, Moment, OutputRecord, RecordBatch, TopicPartition

_NONE = np.empty(0, np.int32)
_NO_PLACES = np.empty(0, np.int64)
MOST_LET_GO = 100_000
"""Predictions, and labels, that are let go of in one commit, but for those that share the last one's deadline."""


@dataclass(slots=True)
class _Read:
    """What was read in a call, and what has come of it so far."""

    outputs: list[OutputRecord] = field(default_factory=list)
    ticks: list[OutputRecord] = field(default_factory=list)
    counts: list[Records] = field(default_factory=list)
    ends: dict[TopicPartition, int] = field(default_factory=dict)
    latest: dict[TopicPartition, int] = field(default_factory=dict)
    records: dict[str, int] = field(default_factory=dict)


class JoinTask:
    """The join of one pair of partitions: task t reads partition t of predictions and of labels.

    `tasks` counts all join tasks of the application: one a partition, and the control topic's, which is the last.
    `room` is where what is held lies: memory, where none is given.
    """

    def __init__(self, settings: JoinSettings, task: int, tasks: int, room: Room | None = None) -> None:
        self._settings = settings
        self._predictions = TopicPartition(settings.predictions, task)
        self._labels = TopicPartition(settings.labels, task)
        self._time = EventTime((self._predictions, self._labels), settings.disorder, settings.idle_after)
        ticker = Ticker((self._predictions, self._labels))
        self._ledger = Ledger(task, tasks, self._time, ticker)
        self._held = Held(settings.records_per_key, room)
        self._floor = Floor()
        self._swept: int | None = None  # the watermark up to which all that was due has been let go
        self._use(Profiles(settings, Strings()))

    def _use(self, profiles: Profiles) -> None:
        self._profiles = profiles
        self._planner = Planner(self._settings, profiles, self._ledger.task, self._ledger.tasks - 1)
        self._builder = RowBuilder(self._settings, profiles, self._ledger.task)
        self._most_texts = max(MOST_TEXTS, 2 * len(profiles), 2 * len(profiles.strings))
        self._most_characters = max(MOST_CHARACTERS, 2 * profiles.strings.size)

    def _is_overgrown(self) -> bool:
        """Whether the tables hold far more than what is held needs, as far as can be told without a look."""
        strings = self._planner.strings
        # To look goes through all that is held: a feature that carries ids must not make that happen at every turn.
        few = self._held.predictions // 4
        most, characters = max(self._most_texts, few), max(self._most_characters, 16 * few)
        return max(len(self._profiles), len(strings)) > most or strings.size > characters

    @property
    def positions(self) -> dict[TopicPartition, int]:
        """The next offset to read of each source that has been read, as the journal knows it."""
        return self._time.next_offsets

    @property
    def held(self) -> int:
        """Predictions and labels held."""
        return self._held.predictions + self._held.labels

    def apply(self, batches: Sequence[RecordBatch], moment: Moment) -> JoinStep:
        """Apply records of our two partitions, in any cut, and say what is to be committed.

        Called without records about once a second too, so that ticks go out and the idle are noticed. Every step
        must be committed: they are numbered.
        """
        read = _Read()
        if self._is_overgrown():
            self._use(without_unused(self._profiles, self._held))
        predictions = self._read_predictions(merged(batches, self._predictions), read)
        labels = self._read_labels(merged(batches, self._labels), read)
        # Nothing up to here has touched the held state; nothing from here on depends on what a record says.
        self._ledger.commit += 1
        events, entry = self._install(predictions, labels, read, moment)
        columns = None if predictions is None else predictions.columns
        read.outputs += self._builder.messages(
            Happened(events, self._ledger.row, columns), self._held, self._ledger.commit
        )
        self._ledger.row += len(events)
        self._tick(moment, read)
        return self._step(read, events, entry)

    # -- plan ---------------------------------------------------------------------------------------------------

    def _read_predictions(self, batch: RecordBatch | None, read: _Read) -> PlannedPredictions | None:
        if batch is None:
            return None
        decoded = self._settings.decoders.predictions.decode(batch, self._planner.strings)
        planned = self._planner.predictions(decoded.columns)
        self._refuse(batch, decoded.refusals + planned.refusals, decoded.tombstones, read)
        self._note(batch, planned.new, planned.misplaced, "prediction_offset", read)
        return planned

    def _read_labels(self, batch: RecordBatch | None, read: _Read) -> PlannedLabels | None:
        if batch is None:
            return None
        decoded = self._settings.decoders.labels.decode(batch, self._planner.strings)
        planned = self._planner.labels(decoded.columns)
        self._refuse(batch, decoded.refusals + planned.refusals, decoded.tombstones, read)
        self._note(batch, planned.new, planned.misplaced, "label_offset", read)
        return planned

    def _refuse(self, batch: RecordBatch, refusals: list[Refusal], tombstones: int, read: _Read) -> None:
        """Dead letters in the order of offsets; they and tombstones are counted under no model (profile 0)."""
        refusals.sort(key=lambda refusal: refusal.place)
        read.outputs += [self._settings.decoders.dead_letter(refusal, batch) for refusal in refusals]
        for counter, amount in ((Counter.DEAD_LETTERS, len(refusals)), (Counter.TOMBSTONES, tombstones)):
            if amount:
                at = batch.timestamps[-1:].astype(np.int64)
                read.counts.append(counts(counter, np.zeros(1, np.int32), at, amount))

    def _note(
        self, batch: RecordBatch, new: NewPredictions | NewLabels, misplaced: Int64Array, offset: str, read: _Read
    ) -> None:
        """What a batch says of time, and the records in it that belong elsewhere."""
        read.ends[batch.source] = int(batch.offsets[-1]) + 1
        read.records[batch.source.topic] = len(new.offset)
        if len(new.timestamp):
            read.latest[batch.source] = int(new.timestamp.max())
        if len(misplaced):
            events = counts(Counter.MISPLACED, new.profile[misplaced], new.timestamp[misplaced])
            events[offset] = new.offset[misplaced]
            read.counts.append(events)

    # -- install ------------------------------------------------------------------------------------------------

    def _install(
        self, predictions: PlannedPredictions | None, labels: PlannedLabels | None, read: _Read, moment: Moment
    ) -> tuple[Records, Entry]:
        """Apply the planned records, move the watermark, let go of what it has passed."""
        held, watermark = self._held, self._time.watermark
        passed = BEGINNING if watermark is None else watermark
        plans = [each for each in (predictions, labels) if each is not None]
        held.make_room(
            0 if predictions is None else len(predictions.new.order),
            0 if labels is None else len(labels.new.order),
            sum(each.arena for each in plans),
        )
        events: list[Records] = []
        slots = label_slots = met = _NONE
        places = label_places = _NO_PLACES
        if predictions is not None:
            found, slots, met = held.apply_predictions(predictions.new, self._profiles.rules, passed, self._ledger.row)
            events.append(found)
            places, slots = _kept(predictions.new.order, slots)
        if labels is not None:
            base = self._ledger.row + sum(map(len, events))
            found, label_slots = held.apply_labels(labels.new, self._profiles.rules, passed, base)
            events.append(found)
            label_places, label_slots = _kept(labels.new.order, label_slots)
        changed = changed_predictions(joined(events)) if events else _NONE
        self._time.advance(read.ends, read.latest, moment)
        due, due_labels = self._due()
        events += [*read.counts, let_go(held.store, due, due_labels, self._profiles.on_expiry)]
        stay, stay_labels = ~np.isin(slots, due), ~np.isin(label_slots, due_labels)
        entry = Entry(
            predictions=None if predictions is None else predictions.new,
            prediction_places=places[stay],
            labels=None if labels is None else labels.new,
            label_places=label_places[stay_labels],
            label_met=held.store.labels["met"][label_slots[stay_labels]],
            changed=held.copies(held.store.predictions, changed[~np.isin(changed, due)]),
            met=held.copies(held.store.labels, met[~np.isin(met, due_labels)])["offset"].copy(),
        )
        self._remember(entry)
        # Rows that are let go stay readable until records come again: messages are made from them after this.
        held.let_go(due, due_labels)
        return joined(events), entry

    def _due(self) -> tuple[Int32Array, Int32Array]:
        """What the watermark has passed. Where that is very much (event time has jumped), the watermark is held back,
        and goes on in the next commits: no transaction is larger for it, and ticks never run ahead of rows."""
        watermark = self._time.watermark
        if watermark is None or watermark == self._swept:
            return _NONE, _NONE
        rules, since = self._profiles.rules, self._swept
        if since is None:
            since = self._held.earliest(rules)
        since = watermark if since is None else min(since, watermark)
        due, due_labels, self._swept = self._held.due(rules, since, watermark, MOST_LET_GO)
        self._time.hold_back(self._swept)
        return due, due_labels

    def _remember(self, entry: Entry) -> None:
        for new, places in ((entry.predictions, entry.prediction_places), (entry.labels, entry.label_places)):
            if new is not None and len(places):
                deadlines = new.timestamp[places] + self._profiles.rules.hold[new.profile[places]]
                self._floor.add(self._ledger.commit, int(deadlines.max()))

    # -- say ----------------------------------------------------------------------------------------------------

    def _tick(self, moment: Moment, read: _Read) -> None:
        due = self._ledger.ticker.tick(moment)
        if due is None:
            return
        clock, caught_up = due
        task, time = (self._ledger.task, self._ledger.tasks), self._time
        tick = Tick(*task, time.watermark, time.idle, caught_up, clock, moment.stalled)
        read.ticks = self._builder.ticks(tick, self._ledger.row, self._ledger.commit)
        self._ledger.row += 1

    def _step(self, read: _Read, events: Records, entry: Entry) -> JoinStep:
        floor = self._floor.of(self._ledger.commit, self._time.watermark)
        return JoinStep(
            rows=read.outputs,
            ticks=read.ticks,
            journal=blocks_of(self._ledger.head(floor), entry, self._profiles),
            commit=self._ledger.commit,
            floor=floor,
            metadata=self._ledger.metadata(floor),
            counters=_counters(read, events),
            watermark=self._time.watermark,
            positions=self._time.positions(),
            held=self.held,
        )

    # -- restore ------------------------------------------------------------------------------------------------

    def restore(self, blocks: Iterable[bytes], metadata: Mapping[TopicPartition, str]) -> None:
        """Become the task that wrote these journal blocks, from the floor (or before it) to the last commit.

        `metadata` is what was committed with the offsets; where it is empty (offsets expired, or were moved by
        hand) the journal is taken at its word, and `positions` says where to read on. Raises StateError where
        blocks are damaged, missing or newer, or are not those of the commit that the metadata names.
        """
        said = committed_of(metadata)
        head, others = restore(blocks, said, self._profiles, self._held, self._floor)
        self._ledger.restore(head, said)
        self._ledger.since = said.since
        if others and said.commit is not None:
            self._ledger.since = said.commit, BEGINNING if said.watermark is None else said.watermark
        if said.commit is None and self._time.watermark is not None:
            rules, watermark = self._profiles.rules, self._time.watermark
            earliest = self._held.earliest(rules)
            if earliest is not None:
                due, due_labels, _ = self._held.due(rules, min(earliest, watermark), watermark)
                self._held.let_go(due, due_labels)


def _kept(order: Int64Array, slots: Int32Array) -> tuple[Int64Array, Int32Array]:
    """(places of the records that are held, their rows)."""
    places = order[slots[order] >= 0]
    return places, slots[places]


def _counters(read: _Read, events: Records) -> dict[str, int]:
    """Totals of this step: records by topic, rows by kind, counts by counter."""
    found = dict(read.records)
    kinds = np.bincount(events["kind"], minlength=len(Kind))
    found |= {kind.name.lower(): int(kinds[kind]) for kind in Kind if kinds[kind] and kind != Kind.COUNT}
    counted = events[events["kind"] == Kind.COUNT]
    amounts = np.bincount(counted["counter"], counted["amount"], minlength=len(Counter))
    found |= {counter.name.lower(): int(amounts[counter]) for counter in Counter if amounts[counter]}
    return found
