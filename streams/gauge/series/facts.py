"""What the series of a model tell the gauge: findings at rows, and what is watched and what is not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from streams.alerts import Cause, DriftFinding, Level, Suspect
from streams.state import shaped

State = Literal["warming", "armed", "uncalibrated", "unarmed"]
Reference = Literal["baseline", "previous_version", "self"]


@dataclass(frozen=True, slots=True)
class Finding:
    """An alarm or a recovery, decided at a row: its position in the rows that were applied (-1: before them)."""

    row: int
    drift: DriftFinding


@dataclass(frozen=True, slots=True)
class MonitorChange:
    """The state of one detector on one series has changed. `detectable` is {shift, within}, of armed ones."""

    version: str | None
    variant: str | None
    subject: str
    detector: str
    state: State
    reason: str | None
    reference: Reference | None
    detectable: Mapping[str, float] | None
    segment: Mapping[str, str] = field(default_factory=dict)


def finding_tree(finding: Finding) -> Any:
    """A finding for `streams.state.pack`."""
    return {"row": finding.row, "drift": asdict(finding.drift)}


def finding_of(tree: Any) -> Finding:
    """The finding that finding_tree gave."""
    shaped(Finding, tree)  # looked at alone: its numbers stay as they are
    drift = dict(tree["drift"])
    for name, kind in (("before", Level), ("after", Level), ("cause", Cause)):
        if drift[name] is not None:
            drift[name] = kind(**drift[name])
    drift["suspects"] = tuple(Suspect(**each) for each in drift["suspects"])
    return Finding(tree["row"], DriftFinding(**drift))
