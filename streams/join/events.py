"""Events that are not made by the kernels: counts, and what is let go (join rule 6)."""

from __future__ import annotations

import numpy as np

from streams.join.layout import EVENT, FAILED, LABELLED, NOWHERE, ONCE, Records, Store, joined, rows_at
from streams.join.words import ABSENT
from streams.outcomes import AGAIN, Counter, Kind
from streams.records import Int32Array, Int64Array

_BEARS_LABEL = np.array([kind in (Kind.OUTCOME, Kind.RETRACTED) for kind in Kind])


def blank(n: int) -> Records:
    """n events with nothing in them."""
    events = np.zeros(n, EVENT)
    for name in ("refers_to", "label_timestamp", "label_offset", "prediction_offset", "amount", "slot", "source"):
        events[name] = NOWHERE
    events["label"] = ABSENT
    events["weight"] = 1.0
    return events


def counts(counter: Counter, profiles: Int32Array, timestamps: Int64Array, amount: int = 1) -> Records:
    """A COUNT event for each profile and timestamp."""
    events = blank(len(profiles))
    events["kind"], events["counter"], events["amount"] = Kind.COUNT, counter, amount
    events["profile"], events["timestamp"] = profiles, timestamps
    return events


def changed_predictions(events: Records) -> Int32Array:
    """Rows of the held predictions whose outcome these events have changed, each once."""
    slots: Int32Array = np.unique(events["slot"][_BEARS_LABEL[events["kind"]]])
    return slots


def let_go(store: Store, predictions: Int32Array, labels: Int32Array, on_expiry: Int64Array) -> Records:
    """UNLABELLED for predictions that no label stands for (an outcome, where their profile's `on_expiry` says so),
    and counts of the labels that met nobody. A prediction that failed waits for no label."""
    held = rows_at(store.predictions, predictions)
    silent = ((held["status"] & LABELLED) == 0) & (held["value"] != ABSENT)
    held = held[silent]
    events = blank(len(held))
    events["slot"] = predictions[silent]
    events["profile"], events["timestamp"], events["prediction_offset"] = (
        held["profile"],
        held["timestamp"],
        held["offset"],
    )
    events["weight"], events["failed"] = held["weight"], (held["status"] & FAILED) > 0
    events["label"] = on_expiry[held["profile"]]
    events["kind"] = np.where(events["label"] == ABSENT, int(Kind.UNLABELLED), int(Kind.OUTCOME))
    events["refers_to"] = np.where((held["status"] & ONCE) > 0, AGAIN, NOWHERE)
    found = rows_at(store.labels, labels)
    orphans = found[found["met"] == 0]
    unmet = counts(Counter.ORPHAN_LABELS, orphans["profile"], orphans["timestamp"])
    unmet["label_timestamp"], unmet["label_offset"] = orphans["timestamp"], orphans["offset"]
    return joined([events, unmet])
