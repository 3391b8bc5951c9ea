"""What the demo shows: metrics as they move, alerts as they come, and at the end what was found against what was
planted, read back from the alerts topic (committed events only)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table

from streams.commands.demo_pipeline import Event, Pipeline
from streams.commands.demo_service import Service, World

_BARS = "▁▂▃▄▅▆▇█"


class Watcher:
    """What the metrics and alerts topics have said so far, for the screen."""

    def __init__(self, alerts_topic: str) -> None:
        self._alerts_topic = alerts_topic
        self.rolling: dict[str, list[float]] = {}
        self.cumulative: dict[str, Any] = {}
        self.alerts: list[Event] = []
        self.armed = 0

    def take(self, events: Sequence[tuple[str, Event]]) -> list[Event]:
        """Take in what has come, by topic; the alerts that are new."""
        fresh: list[Event] = []
        for topic, event in events:
            if topic == self._alerts_topic:
                fresh.append(event)
            elif "metrics" in event:
                self._metric(event)
            elif event["state"] == "armed":
                self.armed += 1
        self.alerts += fresh
        return fresh

    def _metric(self, event: dict[str, Any]) -> None:
        if event["segment"]:
            return
        if event["window"]["kind"] == "rolling":
            for name, metric in event["metrics"].items():
                if isinstance(metric["value"], float | int):
                    self.rolling.setdefault(name, []).append(metric["value"])
        elif event["window"]["kind"] == "cumulative":
            self.cumulative = event


def screen(service: Service, watcher: Watcher, world: World, elapsed: float) -> Group:
    """The screen at this moment."""
    return Group(_progress(service, watcher, world, elapsed), _metrics(watcher), *_alerts(watcher))


def _progress(service: Service, watcher: Watcher, world: World, elapsed: float) -> Panel:
    if service.changed_at is None:
        left = max(0, round(world.change_after - elapsed))
        text = f"all is well; in {left} s the world will change, on purpose"
        style = "green"
    else:
        text = f"the world has changed, on purpose: {world.story}"
        style = "yellow"
    outcomes = watcher.cumulative.get("counts", {}).get("outcomes", 0)
    counts = f"{service.served:,} predictions served · {service.labelled:,} labels sent, late · {outcomes:,} joined"
    return Panel(f"{text}\n[dim]{counts} · {watcher.armed} detectors armed[/dim]", title="model `tumour`", style=style)


def _metrics(watcher: Watcher) -> Table:
    table = Table(title="last 200 outcomes", expand=True)
    for column in ("metric", "now", "as it moved"):
        table.add_column(column, justify="right" if column == "now" else "left")
    for name in ("accuracy", "precision", "recall", "roc_auc", "log_loss"):
        values = watcher.rolling.get(name, [])
        table.add_row(name, f"{values[-1]:.3f}" if values else "…", sparkline(values[-40:]))
    return table


def sparkline(values: list[float]) -> str:
    """The values as a row of bars, from their least to their greatest."""
    if not values:
        return ""
    low, high = min(values), max(values)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((value - low) * scale)] for value in values)


def _alerts(watcher: Watcher) -> Iterator[Panel]:
    for alert in watcher.alerts[-4:]:
        yield Panel("\n".join(alert_lines(alert)), title=f"alert · {alert['severity']}", style=_style(alert))


def _style(alert: Mapping[str, Any]) -> str:
    return {"critical": "red", "warning": "yellow"}.get(alert["severity"], "cyan")


def alert_lines(alert: Mapping[str, Any]) -> list[str]:
    """An alert for people: its summary, its cause and its suspects."""
    lines = [f"{alert['summary']}  ({alert['status']}, {alert['rule']})"]
    cause = alert.get("cause")
    if cause:
        lines.append(f"cause: {cause['topic']}, partition {cause['partition']}, offset {cause['offset']}")
    for suspect in (alert.get("suspects") or [])[:3]:
        p = suspect.get("p_value")
        lines.append(
            f"suspect: {suspect['feature']} ({suspect['detector']} {suspect['statistic']:.3g}"
            + (f", p {p:.1g})" if p is not None else ")")
        )
    return lines


# -- found against planted -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """A drift alert at its first firing, and when (epoch ms) the record that tipped it was produced."""

    alert: dict[str, Any]
    caused_at: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found. `early` are drift alerts that were tipped before the change: false ones."""

    error: Found | None
    feature: Found | None
    early: list[Found]

    @property
    def good(self) -> bool:
        """Whether the error alert came, and nothing before the change."""
        return self.error is not None and not self.early

    @property
    def first_suspect(self) -> str | None:
        """The feature that the error alert suspects first."""
        suspects = self.error.alert.get("suspects") if self.error else None
        return suspects[0]["feature"] if suspects else None


def drift_alerts(pipeline: Pipeline, topic: str) -> list[Found]:
    """The drift alerts of the topic, each at its first firing, in the order of the records that tipped them."""
    first: dict[str, Event] = {}
    for alert in pipeline.read(topic):
        if alert["kind"] == "drift" and alert["status"] == "firing":
            first.setdefault(alert["episode_id"], alert)
    found = [Found(alert, pipeline.produced_at(alert["cause"])) for alert in first.values()]
    return sorted(found, key=lambda one: one.caused_at)


def judge(found: list[Found], changed_at: int, feature: str) -> Verdict:
    """Compare the drift alerts with what was planted at `changed_at`."""
    later = [one for one in found if one.caused_at >= changed_at]
    return Verdict(
        error=next((one for one in later if one.alert["subject"] == "error"), None),
        feature=next((one for one in later if one.alert["subject"] == f"features.{feature}"), None),
        early=[one for one in found if one.caused_at < changed_at],
    )


def report(verdict: Verdict, world: World, changed_at: int) -> Table:
    """The table at the end."""
    table = Table(title="found against planted (read back from the alerts topic, committed events only)", expand=True)
    for column in ("planted", "found", ""):
        table.add_column(column)
    at = datetime.fromtimestamp(changed_at / 1000, UTC).strftime("%H:%M:%S")
    table.add_row(f"error rate, from {at} UTC", _found(verdict.error, changed_at), _mark(verdict.error is not None))
    first = verdict.first_suspect
    table.add_row(f"because of `{world.feature}`", f"first suspect: {first}", _mark(first == world.feature))
    table.add_row(world.story, _found(verdict.feature, changed_at), _mark(verdict.feature is not None))
    false = "; ".join(f"{one.alert['rule']} on {one.alert['subject']}" for one in verdict.early) or "none"
    table.add_row("nothing before", f"drift alerts before the change: {false}", _mark(not verdict.early))
    return table


def _found(found: Found | None, changed_at: int) -> str:
    if found is None:
        return "no alert"
    after = (found.caused_at - changed_at) / 1000
    return f"{found.alert['summary']} [dim]({found.alert['rule']}, by a record {after:.1f} s later)[/dim]"


def _mark(good: bool) -> str:
    return "[green]yes[/green]" if good else "[red]no[/red]"
