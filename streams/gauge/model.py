"""Everything the gauge knows of one model: its windows, its series, its alerts, and what task it does.

Rows go to the windows and the series; what the series find, and what threshold rules see in the windows, goes to the
alerts. The model's events are made here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any

import numpy as np
import orjson

from schemas import Baseline, InputError, Rebaseline, parse_control
from streams.alerts import Alert, AlertKey, AlertSettings, Condition, DriftFinding, ModelAlerts, WindowFigures
from streams.cloudevents import headers
from streams.gauge.clock import Now
from streams.gauge.limits import Limits
from streams.gauge.series import Finding, ModelSeries, MonitorChange, SeriesSettings
from streams.gauge.settings import GaugeSettings
from streams.gauge.strays import Strays
from streams.gauge.task_type import TaskDecision, TaskType
from streams.gauge.windows import ModelWindows, WindowSettings, WindowView, metric_event
from streams.outcomes import Control, Kind, Rows
from streams.records import Int64Array, OutputRecord
from streams.state import Count, shaped


class ModelGauge:
    """The state of one model: a fold of its rows, ticks and control records."""

    def __init__(self, name: str, settings: GaugeSettings) -> None:
        self.name = name
        self.changed = True
        self._settings = settings
        config, limits = settings.config.model(name), settings.config.limits
        self._windows = ModelWindows(name, WindowSettings.from_config(config, limits))
        self._series = ModelSeries(
            name, SeriesSettings.of(config, limits, settings.predictions_topic, settings.labels_topic)
        )
        self._alerts = ModelAlerts(name, AlertSettings.from_config(config, settings.config_hash))
        self._ruled = bool(config.rules)
        self._decision: TaskDecision | None = TaskDecision()
        self._monitored = 0  # monitor events so far: part of their identity
        self._strays = Strays()
        self._limits = Limits()
        self._beyond: dict[str, int] = {}  # limits of the task: sightings beyond them
        if config.task != "auto":
            self._decide(config.task)

    def _decide(self, task: TaskType) -> None:
        self._decision = None
        self._windows.decide(task)
        self._series.decide(task)
        self._alerts.decide(task)

    def apply(self, rows: Rows, join_tasks: Int64Array, clock: int) -> list[tuple[int, OutputRecord]]:
        """Fold the model's next rows, each of its join task. What was decided at rows, with their places."""
        self.changed = True
        decided: list[tuple[int, OutputRecord]] = []
        start = 0
        while start < len(rows):
            rest = rows if start == 0 else rows.take(np.arange(start, len(rows)))
            taken, change = self._windows.admit(rest)
            part = rest if taken == len(rest) else rest.take(np.arange(taken))
            made = self._admitted(part, join_tasks[start : start + taken], clock)
            decided += [(start + place, record) for place, record in made]
            start += taken
            if change is not None:
                leaving, coming = change
                decided += [(start, record) for record in self._records(self._alerts.forget(leaving, clock), clock)]
                self._series.forget(leaving)
                self._windows.replace(leaving, coming)
        return decided

    def _admitted(self, rows: Rows, join_tasks: Int64Array, clock: int) -> list[tuple[int, OutputRecord]]:
        """Fold rows whose versions and variants are within the limits."""
        if self._decision is not None:
            at = self._decision.watch(rows)
            task = self._decision.task
            if at is not None and task is not None:
                before = self._fold(rows.take(np.arange(at + 1)), join_tasks[: at + 1], clock)
                self._decide(task)
                after = self._fold(rows.take(np.arange(at + 1, len(rows))), join_tasks[at + 1 :], clock)
                return before + [(place + at + 1, record) for place, record in after]
        return self._fold(rows, join_tasks, clock)

    def _fold(self, rows: Rows, join_tasks: Int64Array, clock: int) -> list[tuple[int, OutputRecord]]:
        if not len(rows):
            return []
        self._windows.apply(rows, join_tasks)
        for version, variant, places in _by_version(rows):
            predicted = places[rows.kind[places] == Kind.PREDICTED]
            outcomes = places[rows.kind[places] == Kind.OUTCOME]
            if len(predicted) or len(outcomes):
                latest = int(rows.timestamp[np.concatenate([predicted, outcomes])].max())
                labelled = int((rows.label_offset[outcomes] >= 0).sum())  # what expires with a label is no label
                self._alerts.seen(version, variant, len(predicted), labelled, latest)
        self._strays.watch(rows, clock)
        decided: list[tuple[int, OutputRecord]] = []
        for finding in self._series.apply(rows, join_tasks):
            alerts = self._alerts.drift(finding.drift, clock)
            decided += [(finding.row, record) for record in self._records(alerts, clock)]
        return decided

    def went_beyond(self, limit: str) -> None:
        """Rows of this model are here because a limit of the task has no room for their own."""
        self._beyond[limit] = self._beyond.get(limit, 0) + 1

    def tick(self, now: Now, limit: int, work: int) -> list[OutputRecord]:
        """Time has passed: windows that are due, rules that judge them, what is monitored. About `limit` at most.
        Detectors that wait for it are armed, up to about `work`: values of references, for each detector."""
        made: list[OutputRecord] = []
        for view in self._windows.tick(now.clock, now.watermark, limit):
            made.append(self._metric(view, now.clock))
            if self._ruled and view.kind == "tumbling":
                made += self._records(self._alerts.judge(_figures(view), now.clock), now.clock)
        for told in self._series.tick(now.clock, now.watermark, work):
            if isinstance(told, Finding):
                made += self._records(self._alerts.drift(told.drift, now.clock), now.clock)
            else:
                made.append(self._monitor(told, now.clock))
        beyond = self._beyond | self._series.overflow()
        for name, sightings in self._windows.overflow().items():
            beyond[name] = beyond.get(name, 0) + sightings
        for condition in (*self._limits.tick(beyond, now.clock), *self._strays.tick(now.clock)):
            made += self._records(self._alerts.condition(condition, now.clock), now.clock)
        made += self._records(self._alerts.tick(now.clock, now.watermark, now.caught_up), now.clock)
        self.changed = True  # time moves more than what is published: what was looked at, silences, what is sealed
        return made

    @property
    def armed(self) -> int:
        """What of the work that was allowed the last tick has taken."""
        return self._series.worked

    def condition(self, condition: Condition, clock: int) -> list[OutputRecord]:
        """What others found out about this model's stream."""
        self.changed = True
        return self._records(self._alerts.condition(condition, clock), clock)

    def control(self, control: Control, clock: int) -> list[OutputRecord]:
        """A record of the control topic; most are of other models. The join stage lets only readable ones through."""
        try:
            alerts = self._alerts.control(control.key, control.value, clock)
            record = parse_control(control.key, control.value)
        except InputError:
            return []
        self.changed = True
        made = self._records(alerts, clock)
        match record.body:
            case Rebaseline() as asked if record.name[0] == self.name:
                _, version, subject = record.name
                for finding in (*self._series.late(), *self._series.rebaseline(version, subject, asked.from_)):
                    made += self._records(self._alerts.drift(finding.drift, clock), clock)
            case Baseline() as baseline if record.name[0] == self.name:
                self._series.baseline(record.name[1], baseline.profile)
            case None if record.kind == "baseline" and record.name[0] == self.name:
                self._series.withdraw_baseline(record.name[1])
        return made

    def _metric(self, view: WindowView, clock: int) -> OutputRecord:
        event = metric_event(view, self.name, self._settings.application_id)
        event["config_hash"] = self._settings.config_hash
        made = headers("metric", event["event_id"], self._settings.application_id, self.name, clock)
        return OutputRecord(self._settings.metrics_topic, self.name.encode(), orjson.dumps(event), headers=made)

    def _monitor(self, change: MonitorChange, clock: int) -> OutputRecord:
        self._monitored += 1
        identity = [self._settings.application_id, self.name, self._monitored]
        event_id = blake2b(orjson.dumps(identity), digest_size=16, person=b"monitor").hexdigest()
        event = {
            "event_id": event_id,
            "model": self.name,
            "version": change.version,
            "variant": change.variant,
            "segment": dict(change.segment),
            "subject": change.subject,
            "detector": change.detector,
            "state": change.state,
            "reason": change.reason,
            "reference": change.reference,
            "detectable": change.detectable and {**change.detectable, "within": math.ceil(change.detectable["within"])},
            "config_hash": self._settings.config_hash,
        }
        made = headers("monitor", event_id, self._settings.application_id, self.name, clock)
        value = orjson.dumps(event, option=orjson.OPT_SERIALIZE_NUMPY)
        return OutputRecord(self._settings.metrics_topic, self.name.encode(), value, headers=made)

    def _records(self, alerts: Iterable[Alert], clock: int) -> list[OutputRecord]:
        application = self._settings.application_id
        return [
            OutputRecord(
                self._settings.alerts_topic,
                alert.alert_id.encode(),
                alert.to_json(),
                headers=headers("alert", alert.event_id, application, self.name, clock),
            )
            for alert in alerts
        ]

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`. Marks the model as unchanged."""
        self.changed = False
        return {
            "decision": None if self._decision is None else self._decision.snapshot(),
            "monitored": self._monitored,
            "strays": self._strays.snapshot(),
            "limits": self._limits.snapshot(),
            "beyond": self._beyond,
            "windows": self._windows.snapshot(),
            "series": self._series.snapshot(),
            "alerts": self._alerts.snapshot(),
        }

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave."""
        self.changed = False
        self._monitored = shaped(Count, tree["monitored"])
        self._strays.restore(tree["strays"])
        self._limits.restore(tree.get("limits", []))
        self._beyond = shaped(dict[str, Count], tree.get("beyond", {}))
        self._windows.restore(tree["windows"])
        self._series.restore(tree["series"])
        self._alerts.restore(tree["alerts"])
        if self._decision is not None:
            if tree["decision"] is None:
                self._decision = None
            else:
                self._decision.restore(tree["decision"])
        task = self._settings.config.model(self.name).task
        if task != "auto":  # it may not have been so when the snapshot was made
            self._decide(task)
        self._alerts.drift_is_watched({_alert_key(each) for each in self._series.firing()})


def _alert_key(drift: DriftFinding) -> AlertKey:
    return AlertKey.of(drift.version, drift.variant, drift.segment, drift.rule, drift.subject)


def _by_version(rows: Rows) -> list[tuple[str | None, str | None, Int64Array]]:
    """(version, variant, places) of the rows, in the order in which the pairs first appear."""
    pairs = rows.version.astype(np.int64) * (len(rows.strings) + 1) + rows.variant
    found, first, which = np.unique(pairs, return_index=True, return_inverse=True)
    return [
        (rows.text(rows.version[first[k]]), rows.text(rows.variant[first[k]]), np.flatnonzero(which == k))
        for k in sorted(range(len(found)), key=lambda k: int(first[k]))
    ]


def _figures(view: WindowView) -> WindowFigures:
    assert view.start is not None
    assert view.size is not None
    return WindowFigures(
        version=view.version,
        variant=view.variant,
        start=view.start,
        size=view.size,
        state=view.state,
        mature=view.mature,
        outcomes=view.counts["outcomes"],
        metrics={name: view.value(name) for name in view.metrics},
        segment=view.segment,
    )
