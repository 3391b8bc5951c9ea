"""All alerts of one model: what the gauge found goes in, alert events come out.

State is moved by the calls alone, so the same calls in the same order give the same bytes. Clocks and event times are
epoch milliseconds; every `clock` is that of the ticks.

Besides the gauge's findings two things are decided here, at ticks:
- A version is retired when it has not predicted for `retire_after` of event time, while another version of its
  variant has predicted since. Its alerts resolve (`version_retired`) and no new ones are opened.
- A drift, threshold or silence alert of which nothing was heard for `expire_after` of the clock (no traffic of its
  version and variant; no window that could be judged, its size granted on top) resolves (`expired`), and so does one
  whose rule is no longer configured.
A change whose alert was closed in one of these ways, or had no room, still stands for its series: it is kept, and
raised again when its version predicts again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypedDict, assert_never

from schemas import Acknowledgement, Baseline, Calendar, Rebaseline, Silence, parse_control
from streams.alerts.alert import Alert, AlertKey, Resolution, Status
from streams.alerts.book import AlertBook
from streams.alerts.episode import Episode, Facts, facts_of, facts_tree
from streams.alerts.facts import Condition, DriftFinding, WindowFigures
from streams.alerts.mutes import Mute, Mutes
from streams.alerts.rules import ModelRules
from streams.alerts.settings import AlertSettings
from streams.alerts.silence import ModelSilence
from streams.alerts.summary import drift_facts
from streams.state import Time, shaped

_STANDING_LIMIT = 1_000
_SCOPE_LIMIT = 1_000

Scope = tuple[str | None, str | None]
"""A version × variant."""


class _State(TypedDict):
    task: str | None
    event_time: Time | None
    latest: list[tuple[str | None, str | None, Time]]
    news: list[tuple[str | None, str | None]]
    retired: list[tuple[str | None, str | None]]
    standing: list[tuple[Any, Any]]
    mutes: Any
    book: dict[str, Any]
    rules: dict[str, Any]
    silence: dict[str, Any]


class ModelAlerts:
    """The alerts of one model. Every method returns the events it leads to, in the order they are to be published."""

    def __init__(self, model: str, settings: AlertSettings) -> None:
        self._model = model
        self._settings = settings
        self._mutes = Mutes()
        self._book = AlertBook(model, settings, self._mutes)
        self._rules = ModelRules(settings, self._book)
        self._silence = ModelSilence(settings, self._book)
        self._task: str | None = None
        self._event_time: int | None = None
        self._latest: dict[Scope, int] = {}  # event time of the last prediction
        self._news: dict[Scope, None] = {}  # which spoke since the last tick
        self._retired: dict[Scope, None] = {}  # as of the last tick: rows between two ticks must not change it
        self._standing: dict[AlertKey, Facts] = {}  # changes that stand, with no alert open
        self._unwatched: frozenset[AlertKey] = frozenset()  # open, but no detector stands behind them any more

    def decide(self, task: str) -> None:
        """The model's task is known: an error is a share of wrong outcomes, or of regression a distance."""
        self._task = task

    def seen(self, version: str | None, variant: str | None, predictions: int, outcomes: int, latest: int) -> None:
        """PREDICTED and OUTCOME rows have come: how many of each, and the largest event time of a prediction among
        them (other kinds of rows left out, so that any cut says the same)."""
        scope = (version, variant)
        self._silence.seen(predictions, outcomes, latest)
        self._news[scope] = None
        self._latest[scope] = max(latest, self._latest.get(scope, latest))

    def drift(self, finding: DriftFinding, clock: int) -> list[Alert]:
        """A series changed, or is back."""
        key = AlertKey.of(finding.version, finding.variant, finding.segment, finding.rule, finding.subject)
        if finding.kind != "fired":
            self._standing.pop(key, None)
            return self._book.resolve(key, Resolution(finding.kind), clock)
        facts = drift_facts(finding, self._task, self._settings.detector_annotations.get(finding.rule, {}))
        if (finding.version, finding.variant) in self._retired:
            self._keep(key, facts)
            return []
        events = self._book.raise_(key, facts, Status.FIRING, clock)
        if self._book.get(key) is None:
            self._keep(key, facts)
        return events

    def drift_is_watched(self, firing: Collection[AlertKey]) -> None:
        """After a restore, by a configuration that may have changed: drift alerts that no detector stands behind any
        more, since it was removed or has started anew, expire at the next tick."""
        open_now = (each.key for each in self._book.episodes() if each.facts.origin == "drift")
        self._unwatched = frozenset(open_now).difference(firing)
        self._standing = {key: facts for key, facts in self._standing.items() if key in firing}

    def judge(self, figures: WindowFigures, clock: int) -> list[Alert]:
        """A tumbling window has a new revision: the threshold rules look at it."""
        if (figures.version, figures.variant) in self._retired:
            return []
        return self._rules.judge(figures, clock)

    def condition(self, condition: Condition, clock: int) -> list[Alert]:
        """Others raise or clear what they watch."""
        key = AlertKey.of(condition.version, condition.variant, condition.segment, condition.rule, condition.subject)
        if not condition.active:
            return self._book.resolve(key, Resolution.RECOVERED, clock)
        facts = Facts(
            origin="condition",
            kind=condition.kind,
            severity=condition.severity,
            noun=condition.subject,
            text=condition.text,
            statistic=condition.statistic,
            threshold=condition.threshold,
            direction=condition.direction,
            change_at=condition.change_at,
            cause=condition.cause,
        )
        return self._book.raise_(key, facts, Status.FIRING, clock)

    def control(self, key: str, value: bytes | None, clock: int) -> list[Alert]:
        """A record of the control topic, with its key; most are of other models, and change nothing.

        A silence and an announced event that mutes count for every model; an acknowledgement is noted on its episode; a
        rebaseline request of this model closes the drift alerts of its version and subject. What is done to the series
        is not done here: where a published baseline replaces a reference, the series' findings say so. Raises
        InputError, with nothing changed, where the record is none.
        """
        record = parse_control(key, value)
        match record.body:
            case Silence() as silence:
                matchers = tuple(sorted(silence.matchers.items()))
                self._mutes.put(Mute(key, matchers, silence.starts_at, silence.ends_at))
            case Calendar(mute=True, until=int(until)) as event:
                self._mutes.put(Mute(key, (), event.at, until))
            case Acknowledgement() as acknowledgement:
                self._book.acknowledge(record.name[0], acknowledgement.by)
            case Rebaseline():
                model, version, subject = record.name
                return self.rebaseline(version, subject, clock) if model == self._model else []
            case Calendar():
                self._mutes.remove(key)
            case Baseline():
                pass
            case None if record.kind == "ack":
                self._book.acknowledge(record.name[0], None)
            case None:
                self._mutes.remove(key)
            case _:
                assert_never(record.body)
        return []

    def rebaseline(self, version: str | None, subject: str, clock: int) -> list[Alert]:
        """The reference of a subject was moved: its drift alerts are closed. `features` stands for every feature."""
        events: list[Alert] = []
        for key in [key for key in self._standing if _concerns(key, version, subject)]:
            del self._standing[key]
        for episode in self._book.episodes():
            if episode.facts.origin == "drift" and _concerns(episode.key, version, subject):
                events += self._book.resolve(episode.key, Resolution.REBASELINED, clock)
        return events

    def forget(self, version: str, clock: int) -> list[Alert]:
        """A version has left to make room for another: its alerts resolve, and nothing of it is kept."""
        events: list[Alert] = []
        for episode in self._book.episodes():
            if episode.key.version == version:
                events += self._book.resolve(episode.key, Resolution.VERSION_RETIRED, clock)
        for scopes in (self._latest, self._news, self._retired):
            for scope in [scope for scope in scopes if scope[0] == version]:
                del scopes[scope]
        for key in [key for key in self._standing if key.version == version]:
            del self._standing[key]
        self._rules.forget(version)
        return events

    def tick(self, clock: int, event_time: int | None, caught_up: bool) -> list[Alert]:
        """Time has passed: silence, versions retired, alerts expired, repeats, the ends of incidents and mutes.

        `event_time` is the watermark over all join tasks, None before there is one; `caught_up`: all of them are.
        """
        if event_time is not None:
            self._event_time = max(event_time, self._event_time or event_time)
        self._retire()
        self._mutes.tick(clock)
        events = self._silence.tick(clock, caught_up)
        events += self._close(clock)
        events += self._reopen(clock)
        self._news.clear()
        self._rules.tick(self._event_time)
        events += self._book.tick(clock)
        return events

    def _close(self, clock: int) -> list[Alert]:
        """Close what is retired, out of date, or has no rule any more."""
        events: list[Alert] = []
        for episode in self._book.episodes():
            key, origin = episode.key, episode.facts.origin
            if origin == "drift" and (key.version, key.variant) in self._news:
                episode.heard_at = clock
            if origin == "silence" and self._news:  # one stream goes on without the other
                episode.heard_at = clock
            resolution = None
            if (key.version, key.variant) in self._retired:
                resolution = Resolution.VERSION_RETIRED
            elif key in self._unwatched or self._is_out_of_date(episode, clock):
                resolution = Resolution.EXPIRED
            if resolution is not None:
                events += self._book.resolve(key, resolution, clock)
                if origin == "drift" and key not in self._unwatched:
                    self._keep(key, episode.facts)
        self._unwatched = frozenset()
        return events

    def _is_out_of_date(self, episode: Episode, clock: int) -> bool:
        silent_for = clock - episode.heard_at
        match episode.facts.origin:
            case "threshold":
                window = self._rules.window(episode.key)
                return window is None or silent_for >= self._settings.expire_after + window
            case "drift" | "silence":
                return silent_for >= self._settings.expire_after
            case "condition" | "limit":
                return False  # whoever raised it says when it is over
            case _:
                assert_never(episode.facts.origin)

    def _reopen(self, clock: int) -> list[Alert]:
        """Raise what still stands, where its version speaks again and there is room."""
        events: list[Alert] = []
        if not self._standing or not self._news:
            return events
        for key, facts in list(self._standing.items()):
            scope = (key.version, key.variant)
            if scope in self._news and scope not in self._retired and self._book.room() > 0:
                del self._standing[key]
                events += self._book.raise_(key, facts, Status.FIRING, clock)
        return events

    def _keep(self, key: AlertKey, facts: Facts) -> None:
        self._standing.pop(key, None)
        self._standing[key] = facts
        if len(self._standing) > _STANDING_LIMIT:
            del self._standing[next(iter(self._standing))]

    def _retire(self) -> None:
        """Tell which versions are retired, and forget the scopes that spoke longest ago, beyond the limit."""
        if len(self._latest) > _SCOPE_LIMIT:
            kept = sorted(self._latest, key=lambda each: (-self._latest[each], str(each)))[:_SCOPE_LIMIT]
            self._latest = {scope: self._latest[scope] for scope in kept}
        self._retired = {}
        if self._event_time is None or len(self._latest) < 2:
            return
        newest: dict[str | None, int] = {}
        for (_, variant), last in self._latest.items():
            newest[variant] = max(last, newest.get(variant, last))
        past = self._event_time - self._settings.retire_after
        for scope, last in self._latest.items():
            version, variant = scope
            # replaced by one that has gone on for as long: siblings that stop together have not replaced each other
            if version is not None and last <= past and newest[variant] >= last + self._settings.retire_after:
                self._retired[scope] = None

    def snapshot(self) -> dict[str, Any]:
        """All state as plain values, for `streams.state.pack`."""
        return {
            "task": self._task,
            "event_time": self._event_time,
            "latest": [[version, variant, latest] for (version, variant), latest in self._latest.items()],
            "news": [list(scope) for scope in self._news],
            "retired": [list(scope) for scope in self._retired],
            "standing": [[key.tree(), facts_tree(facts)] for key, facts in self._standing.items()],
            "mutes": self._mutes.snapshot(),
            "book": self._book.snapshot(),
            "rules": self._rules.snapshot(),
            "silence": self._silence.snapshot(),
        }

    def restore(self, tree: Mapping[str, Any]) -> None:
        """Take the state of a snapshot; the settings may have changed since. Alerts of rules that are gone expire at
        the next tick."""
        tree = shaped(_State, tree)
        self._task = tree["task"]
        self._event_time = tree["event_time"]
        self._latest = {(version, variant): latest for version, variant, latest in tree["latest"]}
        self._news = dict.fromkeys((version, variant) for version, variant in tree["news"])
        self._retired = dict.fromkeys((version, variant) for version, variant in tree["retired"])
        self._standing = {AlertKey.of_tree(key): facts_of(facts) for key, facts in tree["standing"]}
        self._mutes.restore(tree["mutes"])
        self._book.restore(tree["book"])
        self._rules.restore(tree["rules"])
        self._silence.restore(tree["silence"])


def _concerns(key: AlertKey, version: str | None, subject: str) -> bool:
    return key.version == version and subject in (key.subject, key.subject.partition(".")[0])
