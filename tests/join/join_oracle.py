"""A brute-force join of two whole topics, written from the contract's join semantics alone.

It knows no watermark, no batches and no order between the topics: that is the point. It holds while nothing is read
more than `grace` after its time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

Event = dict[str, Any]


@dataclass
class Joined:
    """Outcomes that stand (prediction offset, label, weight, label offset), who is unlabelled, and the counts of each
    prediction; `unmet` are labels that met nobody, by the model they name."""

    outcomes: set[tuple[int, Any, float, int]] = field(default_factory=set)
    unlabelled: set[int] = field(default_factory=set)
    counts: Counter[tuple[str, int]] = field(default_factory=Counter)
    unmet: Counter[str] = field(default_factory=Counter)


def join(predictions: Sequence[Event], labels: Sequence[Event], horizon: int) -> Joined:
    """The join of all events; an event's place in its list is its offset."""
    joined = Joined()
    kept: list[tuple[int, Event]] = []
    for offset, event in enumerate(predictions):
        same = [first for first, other in kept if _identity(other) == _identity(event)
                and abs(other["timestamp"] - event["timestamp"]) <= horizon]  # fmt: skip
        if same:
            joined.counts["duplicate_predictions", same[0]] += 1
        else:
            kept.append((offset, event))
    met: set[int] = set()
    for offset, event in kept:
        standing: tuple[Any, float, int] | None = None
        for label_offset, label in enumerate(labels):
            if label["key"] != event["key"] or label.get("model") not in (None, event["model"]):
                continue
            met.add(label_offset)
            if "error" in event:
                continue
            if abs(label["timestamp"] - event["timestamp"]) > horizon:
                joined.counts["late_labels", offset] += 1
            elif label["label"] is None:
                joined.counts["withdrawn_labels", offset] += int(standing is not None)
                standing = None
            else:
                weight = label.get("weight", event.get("weight", 1.0))
                if standing is not None:
                    same_again = standing[:2] == (label["label"], weight)
                    joined.counts["duplicate_labels" if same_again else "corrected_labels", offset] += 1
                    if same_again:
                        continue
                standing = (label["label"], weight, label_offset)
        if standing is not None:
            joined.outcomes.add((offset, *standing))
        elif "error" not in event:
            joined.unlabelled.add(offset)
    for label_offset, label in enumerate(labels):
        if label_offset not in met:
            joined.unmet[label.get("model") or "__unknown__"] += 1
    joined.counts += Counter()  # drops what is zero
    return joined


def _identity(event: Event) -> tuple[Any, ...]:
    return (
        event["key"],
        event.get("id", event["key"]),
        event["model"],
        event.get("version"),
        event.get("variant"),
    )
