"""The threshold rules of a model: each on every version × variant, and on the whole model or a segment key's values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from streams.alerts.alert import Alert, AlertKey, Resolution, Status
from streams.alerts.book import AlertBook
from streams.alerts.facts import WindowFigures
from streams.alerts.settings import HOUR, AlertSettings, ThresholdRule
from streams.alerts.summary import threshold_facts
from streams.alerts.thresholds import RuleTrack, Standing
from streams.state import Count, Time, shaped


class ModelRules:
    """A track of verdicts for each rule and scope, and what they mean for the alerts."""

    def __init__(self, settings: AlertSettings, book: AlertBook) -> None:
        self._keep = settings.keep
        self._book = book
        self._rules = {(rule.name, rule.metric): rule for rule in settings.rules}
        self._tracks: dict[AlertKey, RuleTrack] = {}
        self._swept_at = 0

    def window(self, key: AlertKey) -> int | None:
        """The size of the windows that the alert's rule judges; None where it is no longer configured."""
        rule = self._rules.get((key.rule, key.subject))
        if rule is None or tuple(name for name, _ in key.segment) != ((rule.segment,) if rule.segment else ()):
            return None
        return rule.window

    def judge(self, figures: WindowFigures, clock: int) -> list[Alert]:
        """Let every rule that is meant look at a revision of a window."""
        events: list[Alert] = []
        for rule in self._rules.values():
            if rule.window != figures.size or tuple(figures.segment) != ((rule.segment,) if rule.segment else ()):
                continue
            key = AlertKey.of(figures.version, figures.variant, figures.segment, rule.name, rule.metric)
            track = self._tracks.get(key)
            if track is None:
                track = self._tracks[key] = RuleTrack(rule, self._keep)
            standing = track.judge(figures)
            if standing is None:
                continue
            events += self._act(rule, key, standing, clock)
            self._note(track, key, standing)
            for belated in track.belated():
                if self._book.get(key) is not None:
                    break
                events += self._book.raise_(key, threshold_facts(rule, belated), Status.FIRING, clock)
                self._note(track, key, belated)
                events += self._recovered(rule, key, standing, clock)
        return events

    def _note(self, track: RuleTrack, key: AlertKey, standing: Standing) -> None:
        """What its alert tells of needs not be told again; it may not have opened, for want of room."""
        episode = self._book.get(key)
        if standing.known and standing.run and episode is not None and episode.status is Status.FIRING:
            track.tell(standing)

    def _act(self, rule: ThresholdRule, key: AlertKey, standing: Standing, clock: int) -> list[Alert]:
        if standing.outdated:  # what it was compared with is gone: neither right nor wrong can be told
            return self._book.resolve(key, Resolution.EXPIRED, clock)
        if not standing.known or standing.latest is None:
            return []
        if standing.latest.breached:
            status = Status.FIRING if standing.held >= rule.hold else Status.PENDING
            return self._book.raise_(key, threshold_facts(rule, standing), status, clock)
        return self._recovered(rule, key, standing, clock)

    def _recovered(self, rule: ThresholdRule, key: AlertKey, standing: Standing, clock: int) -> list[Alert]:
        episode = self._book.get(key)
        if episode is None:
            return []
        now = threshold_facts(rule, standing)
        facts = replace(
            episode.facts, statistic=now.statistic, threshold=now.threshold, after=now.after, close=now.close
        )
        return self._book.resolve(key, Resolution.RECOVERED, clock, facts)

    def tick(self, event_time: int | None) -> None:
        """Let go of tracks too old to matter, about once an hour of event time."""
        if event_time is None or event_time - self._swept_at < HOUR:
            return
        self._swept_at = event_time
        for key in [key for key, track in self._tracks.items() if track.is_past(event_time)]:
            del self._tracks[key]

    def forget(self, version: str) -> None:
        """Let go of the tracks of a version that has left."""
        for key in [key for key in self._tracks if key.version == version]:
            del self._tracks[key]

    def snapshot(self) -> dict[str, Any]:
        """The tracks as plain values, each with the size of its windows."""
        tracks = [
            [key.tree(), self._rules[key.rule, key.subject].window, track.snapshot()]
            for key, track in self._tracks.items()
        ]
        return {"tracks": tracks, "swept_at": self._swept_at}

    def restore(self, tree: Mapping[str, Any]) -> None:
        """Take the tracks of a snapshot, but for those whose rule is gone or judges windows of another size."""
        self._swept_at = shaped(Time, tree["swept_at"])
        self._tracks = {}
        for names, window, verdicts in shaped(list[tuple[Any, Count, Any]], tree["tracks"]):
            key = AlertKey.of_tree(names)
            rule = self._rules.get((key.rule, key.subject))
            if rule is not None and rule.window == window:
                self._tracks[key] = RuleTrack(rule, self._keep)
                self._tracks[key].restore(verdicts)
