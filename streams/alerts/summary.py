"""Sentences that a person can read: one for each event of an alert, without a full stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import assert_never

from streams.alerts.alert import AlertKey, Resolution, Status
from streams.alerts.episode import Episode, Facts
from streams.alerts.facts import DriftFinding, Level
from streams.alerts.settings import DAY, HOUR, MINUTE, SECOND, ThresholdRule
from streams.alerts.thresholds import Standing
from streams.cloudevents import rfc3339

_SHARES = (
    "accuracy",
    "precision",
    "recall",
    "f1",
    "balanced_accuracy",
    "expected_calibration_error",
)

_MOST_DIGITS = 15  # more than anyone wants to read, and nearly all that a double has


def share(value: float, more: int = 0) -> str:
    """A proportion in per cent: 0.1 is `10.0 %`, 0.0004 is `0.04 %`; `more` digits than that."""
    percent = 100 * value
    return f"{percent:.{1 + more}f} %" if abs(percent) >= 1 or percent == 0 else f"{percent:.{2 + more}g} %"


def number(value: float, more: int = 0) -> str:
    """Four significant digits, no exponent where a person would write none: 88.1, 12,346, 0.003; `more` than that."""
    if 1e4 <= abs(value) < 1e15:
        return f"{value:,.{more}f}"
    return f"{value:.{4 + more}g}"


def apart(value: float, limit: float, write: Callable[[float, int], str]) -> tuple[str, str]:
    """Both as `write` has them, with as many digits as tell them apart: 89.99 % is below 90.00 %, 90.0 % is not."""
    for more in range(_MOST_DIGITS):
        told = write(value, more), write(limit, more)
        if value == limit or told[0] != told[1]:
            break
    return told


def duration(milliseconds: int) -> str:
    """The two largest units: `2 d 3 h`, `4 h`, `90 s` as `1 min 30 s`."""
    parts: list[str] = []
    for size, unit in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (SECOND, "s")):
        if milliseconds >= size:
            parts.append(f"{milliseconds // size} {unit}")
            milliseconds %= size
        elif parts:
            break  # 1 d and some minutes is a day to a person
    return " ".join(parts[:2]) or "0 s"


def minute(moment: int) -> str:
    """Epoch milliseconds to the minute: `2026-11-22 08:14 UTC`."""
    return rfc3339(moment)[:16].replace("T", " ") + " UTC"


def summary(model: str, episode: Episode, clock: int, *, first: bool) -> str:
    """The sentence of an event. `first`: the first event of a status; else an update of a firing alert."""
    facts = episode.facts
    who = subject_of(model, episode.key)
    match episode.status:
        case Status.PENDING:
            return f"{who}: {facts.text}{facts.ago} (not long enough to fire yet)"
        case Status.FIRING if first:
            return f"{who}: {facts.text}{facts.ago}"
        case Status.FIRING:
            assert episode.started_at is not None
            return f"{who}: {facts.text}, firing for {duration(clock - episode.started_at)}"
        case Status.RESOLVED:
            return f"{who}: {_closing(episode, clock)}"
        case None:
            raise AssertionError("an episode that has not begun has nothing to say")
        case _:
            assert_never(episode.status)


def _closing(episode: Episode, clock: int) -> str:
    facts, key = episode.facts, episode.key
    lasted = "before it fired" if episode.started_at is None else f"after {duration(clock - episode.started_at)}"
    match episode.resolution:
        case Resolution.RECOVERED:
            return f"{facts.noun} recovered {lasted}{facts.close}"
        case Resolution.REBASELINED:
            return f"{facts.noun} has a new baseline; the alert is closed {lasted}"
        case Resolution.VERSION_RETIRED:
            return f"version {key.version} is no longer in use; the alert on {facts.noun} is closed {lasted}"
        case Resolution.EXPIRED:
            return f"there is nothing to judge {facts.noun} by any more; the alert is closed {lasted}"
        case None:
            raise AssertionError("a resolved alert has a resolution")
        case _:
            assert_never(episode.resolution)


def subject_of(model: str, key: AlertKey) -> str:
    """Whom it is about: the model, with its variant where that is not the champion, and its segment."""
    of = [] if key.variant in (None, "champion") else [str(key.variant)]
    of += [f"{name} {value}" for name, value in key.segment]
    return f"{model} ({', '.join(of)})" if of else model


def drift_noun(subject: str, task: str | None) -> str:
    """What a series is called."""
    if subject == "error":
        return "mean absolute error" if task == "regression" else "error rate"
    family, _, name = subject.partition(".")
    match family:
        case "features":
            return name
        case "attributions":
            return f"attribution of {name}"
        case "missing":
            return f"share of predictions without {name}"
        case "service":
            return name.replace("_", " ")
        case _:
            return subject


_KINDS = {"service": "service", "missing": "data_quality"}


def drift_facts(finding: DriftFinding, task: str | None, annotations: Mapping[str, str]) -> Facts:
    """What an alert says of a change that was found."""
    noun = drift_noun(finding.subject, task)
    family = finding.subject.partition(".")[0]
    write = share if family == "missing" or (family == "error" and task != "regression") else number
    before = finding.before.mean if finding.before else None
    return Facts(
        origin="drift",
        kind=_KINDS.get(family, "drift"),
        severity=finding.severity,
        noun=noun,
        text=_drift_text(finding, noun, write),
        ago=_ago(finding),
        close="" if before is None else f": back near {write(before)}",
        detector={"name": finding.detector, "params": dict(finding.params)},
        statistic=finding.statistic,
        threshold=finding.threshold,
        before=finding.before,
        after=finding.after,
        direction=finding.direction,
        change_at=finding.change_at,
        observations_since_change=finding.observations_since_change,
        cause=finding.cause,
        suspects=finding.suspects,
        calibration=finding.calibration,
        annotations=annotations,
    )


def _drift_text(finding: DriftFinding, noun: str, write: Callable[[float], str]) -> str:
    before = finding.before.mean if finding.before else None
    after = finding.after.mean if finding.after else None
    if before is not None and after is not None and write(before) != write(after):
        return f"{noun} {'rose' if after > before else 'fell'} from {write(before)} to {write(after)}"
    text = f"the distribution of {noun} changed"
    if finding.statistic is not None and finding.threshold is not None:
        test = finding.detector.replace("_", " ")
        text += f" ({test} statistic {number(finding.statistic)}, limit {number(finding.threshold)})"
    return text


def _ago(finding: DriftFinding) -> str:
    count = finding.observations_since_change
    if count is None:
        return ""
    unit = "outcome" if finding.subject in ("error", "residual") else "prediction"
    return f" about {count:,} {unit}{'' if count == 1 else 's'} ago"


def threshold_facts(rule: ThresholdRule, standing: Standing) -> Facts:
    """What an alert says of a rule's standing, whether it is breached or not any more."""
    verdict = standing.latest
    assert verdict is not None and verdict.value is not None and verdict.threshold is not None
    write = share if _is_share(rule.metric) else number
    noun, size = rule.metric.replace("_", " "), duration(rule.window)
    value, threshold = apart(verdict.value, verdict.threshold, write)
    limit = f"{rule.side} {threshold}{_origin_of_limit(rule, verdict.history)}"
    text = f"{noun} was {value} over {size}, {limit}"
    if standing.held > rule.window:
        text += f", for {duration(standing.held)} since {minute(standing.since)}"
    return Facts(
        origin="threshold",
        kind="threshold",
        severity=rule.severity,
        noun=noun,
        text=text,
        close=f": {value} over {size}, no longer {limit}",
        statistic=verdict.value,
        threshold=verdict.threshold,
        before=verdict.history,
        after=Level(verdict.value, verdict.outcomes),
        direction="down" if rule.side == "below" else "up",
        change_at=standing.since or None,
        observations_since_change=standing.outcomes,
        annotations=rule.annotations,
    )


def _origin_of_limit(rule: ThresholdRule, history: Level | None) -> str:
    windows = f"{history.count if history else 0} windows"
    match rule.limit.kind:
        case "sigmas":
            return f" ({number(rule.limit.value)} standard deviations from the mean of {windows})"
        case "quantile":
            return f" (quantile {number(rule.limit.value)} of {windows})"
        case "static":
            return ""
        case _:
            assert_never(rule.limit.kind)


def _is_share(metric: str) -> bool:
    return any(metric == name or metric.startswith(f"{name}_") for name in _SHARES)
