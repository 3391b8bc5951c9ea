"""The gauge task of one outcomes partition: a fold of outcomes messages into metric, monitor and alert events.

What it publishes depends on the order of the rows alone. Between two ticks each model's rows are folded in bulk; what
is decided at a row (an alarm) is published in the order of the rows, what is decided by time (windows, rules, repeats)
at the tick row that brought the time. So any cut of the log into batches gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NotRequired, TypedDict

import msgspec
import numpy as np

from streams.gauge.absences import Absences
from streams.gauge.clock import GaugeClock, Now
from streams.gauge.controls import Controls, model_of
from streams.gauge.model import ModelGauge
from streams.gauge.settings import GaugeSettings
from streams.gauge.snapshots import Cut, Written, head, model_records, read
from streams.gauge.stalls import Stalls
from streams.outcomes import UNKNOWN_MODEL, Control, Kind, Rows, Tick, decode_all
from streams.records import Int32Array, Int64Array, OutputRecord, RecordBatch
from streams.state import Count, Time, shaped

_TICKS = msgspec.json.Decoder(Tick)
_CONTROLS = msgspec.json.Decoder(Control)
_ROWS_AT_ONCE = 20_000
ARM_EVERY = 1000
"""Milliseconds of the ticks' clock, however many join tasks tick."""
SMALL = 4 * 2**20
"""A snapshot of fewer bytes is written as often as snapshots are."""
LONGEST_REPLAY = 600_000
"""Milliseconds of the ticks' clock after which one is written however large it is."""
OTHER = "__other__"
_NOBODY = ""
"""The name, which no model has, under which snapshots hold the control records."""
_BEYOND = -2
"""The code of models beyond the limit; -1 is that of no model."""


@dataclass(slots=True)
class GaugeStep:
    """What one batch of outcomes messages led to."""

    outputs: list[OutputRecord] = field(default_factory=list)
    watermark: int | None = None
    counters: dict[str, int] = field(default_factory=dict)

    @property
    def metadata(self) -> str:
        """What goes with the offsets: the watermark, for people who look at the group."""
        return "" if self.watermark is None else f"watermark={self.watermark}"


class _State(TypedDict):
    clock: Any
    cursor: Count
    models: list[str]
    armed: NotRequired[Time]
    stalls: NotRequired[Any]
    heard: NotRequired[Any]
    controls: NotRequired[Any]


class GaugeTask:
    """Folds the messages of one outcomes partition, in their order."""

    def __init__(self, settings: GaugeSettings, partition: int) -> None:
        self._settings = settings
        self._partition = partition
        self._clock = GaugeClock()
        self._models: dict[str, ModelGauge] = {}  # in the order in which they appeared
        self._cursor = 0  # the model at which the next tick begins: see _tick
        self._ticked: Now | None = None  # the tick since which nothing has come
        self._stalls, self._absences = Stalls(), Absences()
        self._controls = Controls()  # for models that appear later
        self._written: dict[str, Written] = {}  # what of each model is on the snapshots topic
        self._armed_clock = 0  # when detectors were last armed at a tick
        self._snapshot_clock = 0
        self._bytes_since_snapshot = 0
        self._snapshot_size = 0  # of the last one, bytes

    def apply(self, batch: RecordBatch) -> GaugeStep:
        """Fold the messages of the batch. Raises FormatError where one is not ours: nothing must be skipped here."""
        step = GaugeStep()
        values = [value for value in batch.values if value is not None]
        self._bytes_since_snapshot += sum(map(len, values))
        for rows, join_tasks in decode_all(values, _ROWS_AT_ONCE):
            self._fold(rows, join_tasks, step)
            _count(step, "rows", len(rows))
        step.watermark = self._clock.watermark
        return step

    def _fold(self, rows: Rows, join_tasks: Int64Array, step: GaugeStep) -> None:
        """Fold rows, each of its join task: in bulk between the rows that carry a payload, which stand alone."""
        start = 0
        for at in sorted(rows.payloads):
            self._fold_events(rows, start, at, join_tasks, step)
            if rows.kind[at] == Kind.TICK:
                tick = _TICKS.decode(rows.payloads[at])
                now = self._clock.tick(tick)
                self._watch_pipeline(tick, now, step)
                self._tick(replace(now, caught_up=now.caught_up and self._absences.complete(now.clock)), step)
            else:
                self._control(_CONTROLS.decode(rows.payloads[at]), step)
            start = at + 1
        self._fold_events(rows, start, len(rows), join_tasks, step)

    def _fold_events(self, rows: Rows, start: int, stop: int, join_tasks: Int64Array, step: GaugeStep) -> None:
        if start == stop:
            return
        self._ticked = None
        codes = self._admitted(rows.model[start:stop], rows.strings)
        order = np.argsort(codes, kind="stable")
        bounds = np.flatnonzero(np.diff(codes[order])) + 1
        decided: list[tuple[int, OutputRecord]] = []
        # The order in which models first appear must not depend on string codes: they are per message.
        groups = sorted(np.split(order, bounds), key=lambda group: int(group[0]))
        for group in groups:
            places = group + start
            gauge = self._model(self._name(int(codes[group[0]]), rows.strings))
            decided += [
                (int(places[at]), record)
                for at, record in gauge.apply(rows.take(places), join_tasks[places], self._clock.clock)
            ]
        decided.sort(key=lambda each: each[0])
        step.outputs += [record for _, record in decided]
        _count(step, "alerts", len(decided))

    def _admitted(self, codes: Int32Array, strings: list[str]) -> Int32Array:
        """The codes of the models, with those beyond the limit replaced by _BEYOND: they are folded as one."""
        found, first = np.unique(codes, return_index=True)
        special = {UNKNOWN_MODEL, self._beyond}
        known = special.union(self._models)
        new = [k for k in np.argsort(first) if self._name(int(found[k]), strings) not in known]
        ours = sum(name not in special for name in self._models)
        beyond = found[new[max(self._settings.config.limits.models - ours, 0) :]]
        return np.where(np.isin(codes, beyond), np.int32(_BEYOND), codes) if len(beyond) else codes

    def _name(self, code: int, strings: list[str]) -> str:
        if code == _BEYOND:
            return self._beyond
        return strings[code] if code >= 0 else UNKNOWN_MODEL

    def _model(self, name: str) -> ModelGauge:
        gauge = self._models.get(name)
        if gauge is None:
            gauge = self._models[name] = ModelGauge(name, self._settings)
            for control in self._controls:
                if model_of(control) in (None, name):
                    gauge.control(control, self._clock.clock)
        if name == self._beyond:
            gauge.went_beyond("models")
        return gauge

    def _watch_pipeline(self, tick: Tick, now: Now, step: GaugeStep) -> None:
        """Alerts about the pipeline itself are of no model, and are raised in the partition of what names none."""
        stall = self._stalls.watch(tick.stalled, now.clock)
        for condition in [*([] if stall is None else [stall]), *self._absences.watch(tick, now.clock)]:
            if self._partition == self._settings.nobodys_partition:
                step.outputs += self._model(UNKNOWN_MODEL).condition(condition, now.clock)
                self._ticked = None

    @property
    def _beyond(self) -> str:
        """The model that stands for those beyond the limit; a partition has its own, as it has its own limit."""
        return f"{OTHER}/{self._partition}"

    def _tick(self, now: Now, step: GaugeStep) -> None:
        """Let time pass for every model. At most `events_per_tick` events leave; the next tick goes on from there. Once
        a second detectors are armed by long references, some at a time: all at once would be a pause of minutes.
        The join tasks of a commit mostly tell the same time one after the other, and once is enough then."""
        if now == self._ticked:
            return
        self._controls.tick(now.clock)
        left, work = self._settings.events_per_tick, 0
        if now.clock - self._armed_clock >= ARM_EVERY:
            self._armed_clock, work = now.clock, self._settings.armed_at_once
        names = list(self._models)
        begin = self._cursor if self._cursor < len(names) else 0
        self._cursor = 0
        for i in range(len(names)):
            at = (begin + i) % len(names)
            if left <= 0:
                self._cursor = at
                break
            gauge = self._models[names[at]]
            made = gauge.tick(now, left, work)
            step.outputs += made
            left -= len(made)
            work -= gauge.armed
        self._ticked = now if left > 0 else None

    def _control(self, control: Control, step: GaugeStep) -> None:
        self._ticked = None
        self._controls.put(control, self._clock.clock)
        only = model_of(control)
        for name, gauge in self._models.items():
            if only in (None, name):
                step.outputs += gauge.control(control, self._clock.clock)

    def snapshot_due(self) -> bool:
        """Whether 30 s of the ticks' clock or 64 MiB of outcomes have passed since the last cut. Where that was large,
        not before outcomes of half its size, but after ten minutes at the latest: windows are written whole, and what
        is replayed instead is no more than what is written."""
        passed = self._clock.clock - self._snapshot_clock
        worth = self._bytes_since_snapshot >= self._snapshot_size // 2 or passed >= LONGEST_REPLAY
        due = passed >= self._settings.snapshot_every and (worth or self._snapshot_size < SMALL)
        return due or self._bytes_since_snapshot >= self._settings.snapshot_bytes

    def snapshot(self, next_offset: int) -> list[OutputRecord]:
        """The records of a cut at `next_offset`: changed models and the head. They must all be in one transaction."""
        records: list[tuple[bytes, bytes | None]] = []
        for name, gauge in self._models.items():
            if gauge.changed:
                made, self._written[name] = model_records(name, gauge.snapshot(), self._written.get(name, Written()))
                records += made
        if self._controls.changed:
            before = self._written.get(_NOBODY, Written())
            made, self._written[_NOBODY] = model_records(_NOBODY, self._controls.snapshot(), before)
            records += made
        state = {
            "clock": self._clock.snapshot(),
            "cursor": self._cursor,
            "armed": self._armed_clock,
            "stalls": self._stalls.snapshot(),
            "heard": self._absences.snapshot(),
            "models": list(self._models),
        }
        chunks = {name: written.chunks for name, written in self._written.items()}
        records.append(head(Cut(next_offset, state, chunks)))
        self._snapshot_clock = self._clock.clock
        self._bytes_since_snapshot = 0
        self._snapshot_size = sum(len(value) for _, value in records if value is not None)
        topic = self._settings.snapshots_topic
        return [OutputRecord(topic, key, value, self._partition) for key, value in records]

    def restore(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> int | None:
        """Take the newest cut. Returns the offset from which outcomes are to be replayed silently; None: no cut.

        Raises StateError where the cut is damaged, incomplete or newer than this version.
        """
        snapshot = read(records)
        if snapshot is None:
            return None
        state = shaped(_State, snapshot.cut.state)
        self._clock.restore(state["clock"])
        self._cursor = state["cursor"]
        self._armed_clock = state.get("armed", 0)
        self._stalls.restore(state.get("stalls"))
        self._absences.restore(state.get("heard"))
        if _NOBODY in snapshot.models:
            self._controls.restore(snapshot.models[_NOBODY], self._clock.clock)
        else:  # once they were in the head, where few have room
            self._controls.restore({"controls": state.get("controls", [])}, self._clock.clock)
            self._controls.changed = True
        self._written = snapshot.written
        self._snapshot_clock = self._clock.clock
        for name in state["models"]:
            self._models[name] = ModelGauge(name, self._settings)
            self._models[name].restore(snapshot.models[name])
        return snapshot.cut.offset


def _count(step: GaugeStep, name: str, amount: int) -> None:
    step.counters[name] = step.counters.get(name, 0) + amount
