"""Kernels: the join rules. Records change the store, and what happened goes into an array of events.

Kernels never fail: room in the store is made before they run, and where the room for events runs short they return
the place of the first record not yet applied, to be called again.
"""

from __future__ import annotations

import numba
import numpy as np

from streams.join.keys import add_extra, add_key, extra_size, find_key, hash_of, remove_key, same_id
from streams.join.layout import (
    ARENA_GARBAGE,
    EARLY,
    FAILED,
    FREE,
    GONE,
    HELD,
    KERNEL,
    LABELLED,
    LABELS,
    LIVE,
    MUTE,
    NOWHERE,
    ONCE,
    PREDICTIONS,
    USED,
    NewLabels,
    NewPredictions,
    Records,
    Rules,
    Store,
)
from streams.join.words import ABSENT, WITHDRAWN
from streams.outcomes import AGAIN, Counter, Kind
from streams.records import Int32Array

EVENTS_A_MEETING = 3
"""The most events that one label and one prediction give: retracted, outcome, count."""

_PREDICTED, _OUTCOME, _RETRACTED, _COUNT = (
    int(Kind.PREDICTED),
    int(Kind.OUTCOME),
    int(Kind.RETRACTED),
    int(Kind.COUNT),
)
_DUPLICATE_PREDICTIONS, _LATE_PREDICTIONS = int(Counter.DUPLICATE_PREDICTIONS), int(Counter.LATE_PREDICTIONS)
_DUPLICATE_LABELS, _CORRECTED, _WITHDRAWN = (
    int(Counter.DUPLICATE_LABELS),
    int(Counter.CORRECTED_LABELS),
    int(Counter.WITHDRAWN_LABELS),
)
_LATE_LABELS, _LOST, _OVERFLOW = int(Counter.LATE_LABELS), int(Counter.LOST_LABELS), int(Counter.OVERFLOW)


@numba.njit(**KERNEL)
def _event(events: Records, at: int, kind: int, counter: int, profile: int, timestamp: int) -> None:
    event = events[at]
    event.kind = kind
    event.counter = counter
    event.profile = profile
    event.timestamp = timestamp
    event.refers_to = NOWHERE
    event.label = ABSENT
    event.weight = 1.0
    event.label_timestamp = NOWHERE
    event.label_offset = NOWHERE
    event.prediction_offset = NOWHERE
    event.amount = 1 if kind == _COUNT else NOWHERE
    event.slot = NOWHERE
    event.source = NOWHERE
    event.early = 0
    event.failed = 0


@numba.njit(**KERNEL)
def _event_of(store: Store, slot: int, events: Records, at: int, kind: int, counter: int) -> None:
    held = store.predictions[slot]
    _event(events, at, kind, counter, held.profile, held.timestamp)
    events[at].slot = slot
    events[at].prediction_offset = held.offset
    events[at].weight = held.weight
    events[at].failed = 1 if held.status & FAILED else 0


@numba.njit(**KERNEL)
def _standing(store: Store, slot: int, events: Records, at: int) -> None:
    """Write the outcome that stands into event `at`."""
    held = store.predictions[slot]
    events[at].label = held.label
    events[at].weight = held.label_weight
    events[at].label_timestamp = held.label_timestamp
    events[at].label_offset = held.label_offset
    events[at].early = 1 if held.status & EARLY else 0


@numba.njit(**KERNEL)
def _count_label(store: Store, slot: int, label: int, events: Records, at: int, counter: int) -> int:
    _event_of(store, slot, events, at, _COUNT, counter)
    events[at].label_timestamp = store.labels[label].timestamp
    events[at].label_offset = store.labels[label].offset
    return at + 1


@numba.njit(**KERNEL)
def _meet(store: Store, rules: Rules, slot: int, label: int, early: int, events: Records, at: int, base: int) -> int:
    """A label and a prediction of its key (and model) meet: rules 2 and 3. Returns the next event's place.

    The number of the row that event i becomes is base + i. A null label where none stands takes nothing back, and
    is not counted.
    """
    held, found = store.predictions[slot], store.labels[label]
    found.met = 1
    if held.status & MUTE:
        return at
    if abs(found.timestamp - held.timestamp) > rules.horizon[held.profile]:
        return int(_count_label(store, slot, label, events, at, _LATE_LABELS))
    if found.value != WITHDRAWN:
        return int(_label(store, slot, label, early, events, at, base))
    if held.status & LABELLED:
        at = _retract(store, slot, events, at)
        held.status = (held.status & ~(LABELLED | EARLY)) | ONCE
        return int(_count_label(store, slot, label, events, at, _WITHDRAWN))
    return at


@numba.njit(**KERNEL)
def _retract(store: Store, slot: int, events: Records, at: int) -> int:
    _event_of(store, slot, events, at, _RETRACTED, 0)
    _standing(store, slot, events, at)
    events[at].refers_to = store.predictions[slot].row
    return at + 1


@numba.njit(**KERNEL)
def _label(store: Store, slot: int, label: int, early: int, events: Records, at: int, base: int) -> int:
    held, found = store.predictions[slot], store.labels[label]
    weight = held.weight if np.isnan(found.weight) else found.weight
    replaces = AGAIN if held.status & ONCE else NOWHERE
    if held.status & LABELLED:
        if held.label == found.value and held.label_weight == weight:
            return int(_count_label(store, slot, label, events, at, _DUPLICATE_LABELS))
        replaces = held.row
        at = _retract(store, slot, events, at)
    held.label = found.value
    held.label_weight = weight
    held.label_timestamp = found.timestamp
    held.label_offset = found.offset
    held.status = (held.status & ~EARLY) | LABELLED | (EARLY if early else 0)
    held.row = base + at
    _event_of(store, slot, events, at, _OUTCOME, 0)
    _standing(store, slot, events, at)
    events[at].refers_to = replaces
    at += 1
    if replaces >= 0:
        at = _count_label(store, slot, label, events, at, _CORRECTED)
    return at


@numba.njit(**KERNEL)
def apply_predictions(
    store: Store,
    rules: Rules,
    new: NewPredictions,
    first: int,
    watermark: int,
    slots: Int32Array,
    met: Int32Array,
    mets: int,
    events: Records,
    at: int,
    base: int,
) -> tuple[int, int, int]:
    """Apply new.order[first:]; slots[i] becomes the row that record i is held in, or -1. Rows of labels that meet
    their first prediction go into `met`, which has room for all labels held.

    Returns the place in `order` of the first record not applied (there may be no room for its events), the number
    of `met`, and the number of events.
    """
    most = EVENTS_A_MEETING * rules.limit + 1
    for n in range(first, len(new.order)):
        if at + most > len(events):
            return n, mets, at
        i = new.order[n]
        slots[i] = NOWHERE
        profile, timestamp = new.profile[i], new.timestamp[i]
        if watermark > timestamp + rules.hold[profile]:
            at = _refused(new, i, events, at, _LATE_PREDICTIONS)
            continue
        start = new.key_ends[i - 1] if i else 0
        h = hash_of(new.key_data, start, new.key_ends[i])
        key = find_key(store, new.key_data, start, new.key_ends[i], h)
        if key < 0:
            key = add_key(store, new.key_data, start, new.key_ends[i], h)
        elif at + EVENTS_A_MEETING * _chain(store.labels, store.keys[key].labels) >= len(events):
            # more are held than the limit allows: it was higher
            return n, mets, at
        original, last, count = _look_through(store, rules, key, new, i)
        if original >= 0:
            _event_of(store, original, events, at, _COUNT, _DUPLICATE_PREDICTIONS)
            events[at].prediction_offset = new.offset[i]
            at += 1
            continue
        if count >= rules.limit:
            at = _refused(new, i, events, at, _OVERFLOW)
            continue
        slot = hold_prediction(store, rules, new, i, key, last)
        slots[i] = slot
        _event_of(store, slot, events, at, _PREDICTED, 0)
        events[at].source = i
        at += 1
        label = store.keys[key].labels
        while label >= 0:
            serves = store.labels[label].profile
            if not rules.names_model[serves] or rules.model[serves] == rules.model[profile]:
                if not store.labels[label].met:
                    met[mets] = label
                    mets += 1
                at = _meet(store, rules, slot, label, 1, events, at, base)
            label = store.labels[label].next
    return len(new.order), mets, at


@numba.njit(**KERNEL)
def _refused(new: NewPredictions, i: int, events: Records, at: int, counter: int) -> int:
    _event(events, at, _COUNT, counter, new.profile[i], new.timestamp[i])
    events[at].prediction_offset = new.offset[i]
    return at + 1


@numba.njit(**KERNEL)
def _look_through(store: Store, rules: Rules, key: int, new: NewPredictions, i: int) -> tuple[int, int, int]:
    """(a held prediction that record i repeats, or -1; the last of the chain; how many it has): rule 1."""
    identity, timestamp = rules.identity[new.profile[i]], new.timestamp[i]
    last, count = NOWHERE, 0
    slot = store.keys[key].predictions
    while slot >= 0:
        held = store.predictions[slot]
        if (
            rules.identity[held.profile] == identity
            and abs(held.timestamp - timestamp) <= rules.horizon[held.profile]
            and same_id(store, held.extra, new, i)
        ):
            return slot, last, count
        last = slot
        count += 1
        slot = held.next
    return NOWHERE, last, count


@numba.njit(**KERNEL)
def _bucket(wheel: Int32Array, rules: Rules, deadline: int) -> int:
    """Where a deadline belongs; a wheel is a power of two long."""
    return int((deadline // rules.width) & (len(wheel) - 1))


@numba.njit(**KERNEL)
def hold_prediction(store: Store, rules: Rules, new: NewPredictions, i: int, key: int, last: int) -> int:
    """Hold record i behind `last` of its key (-1: it is the first). Returns its row."""
    totals = store.totals
    slot = totals[PREDICTIONS + FREE]
    if slot >= 0:
        totals[PREDICTIONS + FREE] = store.predictions[slot].later
    else:
        slot = totals[PREDICTIONS + USED]
        totals[PREDICTIONS + USED] += 1
    totals[PREDICTIONS + LIVE] += 1
    held = store.predictions[slot]
    held.timestamp = new.timestamp[i]
    held.offset = new.offset[i]
    held.value = new.value[i]
    held.score = new.score[i]
    held.weight = new.weight[i]
    held.label = ABSENT
    held.label_weight = np.nan
    held.label_timestamp = NOWHERE
    held.label_offset = NOWHERE
    held.row = NOWHERE
    held.profile = new.profile[i]
    held.key = key
    held.next = NOWHERE
    held.extra = add_extra(store, new, i)
    held.status = HELD
    if new.failed[i]:
        held.status |= FAILED
        if new.value[i] == ABSENT:
            held.status |= MUTE
    if last < 0:
        store.keys[key].predictions = slot
    else:
        store.predictions[last].next = slot
    deadline = held.timestamp + rules.hold[held.profile]
    bucket = _bucket(store.prediction_wheel, rules, deadline)
    held.later = store.prediction_wheel[bucket]
    store.prediction_wheel[bucket] = slot
    return int(slot)


@numba.njit(**KERNEL)
def apply_labels(
    store: Store,
    rules: Rules,
    new: NewLabels,
    first: int,
    watermark: int,
    slots: Int32Array,
    events: Records,
    at: int,
    base: int,
) -> tuple[int, int]:
    """Apply new.order[first:]; slots[i] becomes the row that label i is held in, or -1.

    Returns the place in `order` of the first label not applied, and the number of events.
    """
    most = EVENTS_A_MEETING * rules.limit + 1
    for n in range(first, len(new.order)):
        if at + most > len(events):
            return n, at
        i = new.order[n]
        slots[i] = NOWHERE
        profile, timestamp = new.profile[i], new.timestamp[i]
        if watermark > timestamp + rules.hold[profile]:
            at = _refused_label(new, i, events, at, _LOST)
            continue
        start = new.key_ends[i - 1] if i else 0
        h = hash_of(new.key_data, start, new.key_ends[i])
        key = find_key(store, new.key_data, start, new.key_ends[i], h)
        if key < 0:
            key = add_key(store, new.key_data, start, new.key_ends[i], h)
        elif at + EVENTS_A_MEETING * _chain(store.predictions, store.keys[key].predictions) >= len(events):
            # more are held than the limit allows: it was higher
            return n, at
        elif _chain(store.labels, store.keys[key].labels) >= rules.limit:
            at = _refused_label(new, i, events, at, _OVERFLOW)
            continue
        label = hold_label(store, rules, new, i, key)
        slots[i] = label
        slot = store.keys[key].predictions
        while slot >= 0:
            if not rules.names_model[profile] or rules.model[store.predictions[slot].profile] == rules.model[profile]:
                at = _meet(store, rules, slot, label, 0, events, at, base)
            slot = store.predictions[slot].next
    return len(new.order), at


@numba.njit(**KERNEL)
def _refused_label(new: NewLabels, i: int, events: Records, at: int, counter: int) -> int:
    _event(events, at, _COUNT, counter, new.profile[i], new.timestamp[i])
    events[at].label_timestamp = new.timestamp[i]
    events[at].label_offset = new.offset[i]
    return at + 1


@numba.njit(**KERNEL)
def _chain(records: Records, first: int) -> int:
    """How many of one key are held, from the first of them on."""
    count = 0
    while first >= 0:
        count += 1
        first = records[first].next
    return count


@numba.njit(**KERNEL)
def hold_label(store: Store, rules: Rules, new: NewLabels, i: int, key: int) -> int:
    """Hold label i behind the others of its key. Returns its row."""
    totals = store.totals
    label = totals[LABELS + FREE]
    if label >= 0:
        totals[LABELS + FREE] = store.labels[label].later
    else:
        label = totals[LABELS + USED]
        totals[LABELS + USED] += 1
    totals[LABELS + LIVE] += 1
    found = store.labels[label]
    found.timestamp = new.timestamp[i]
    found.offset = new.offset[i]
    found.value = new.value[i]
    found.weight = new.weight[i]
    found.profile = new.profile[i]
    found.key = key
    found.next = NOWHERE
    found.met = 0
    if store.keys[key].labels < 0:
        store.keys[key].labels = label
    else:
        store.labels[store.keys[key].last_label].next = label
    store.keys[key].last_label = label
    deadline = found.timestamp + rules.hold[found.profile]
    bucket = _bucket(store.label_wheel, rules, deadline)
    found.later = store.label_wheel[bucket]
    store.label_wheel[bucket] = label
    return int(label)


@numba.njit(cache=True)
def due_rows(
    wheel: Int32Array, rows: Records, rules: Rules, since: int, watermark: int, every_bucket: bool, most: int
) -> tuple[Int32Array, int]:
    """Take the rows out of the wheel whose deadline the watermark has passed, coming from `since`; no further bucket
    is looked into once there are `most` of them, nor more than a lap of the wheel (but each, if `every_bucket`).

    Returns the rows, and the watermark for which they are all that is due."""
    found = np.empty(256, np.int32)
    count = 0
    start, stop, reached = since // rules.width, watermark // rules.width, watermark
    if every_bucket:
        start, stop = 0, len(wheel) - 1
    elif stop - start >= len(wheel):
        stop = start + len(wheel) - 1
        reached = (stop + 1) * rules.width
    for turn in range(start, stop + 1):
        bucket = turn % len(wheel)
        row = wheel[bucket]
        kept = np.int32(NOWHERE)
        while row >= 0:
            following = rows[row].later
            if watermark > rows[row].timestamp + rules.hold[rows[row].profile]:
                if count == len(found):
                    more = np.empty(2 * count, np.int32)
                    more[:count] = found
                    found = more
                found[count] = row
                count += 1
            else:
                rows[row].later = kept
                kept = row
            row = following
        wheel[bucket] = kept
        if count >= most and not every_bucket and turn < stop:
            reached = (turn + 1) * rules.width
            break
    return found[:count], reached


@numba.njit(**KERNEL)
def put_back(wheel: Int32Array, rows: Records, rules: Rules, index: Int32Array) -> None:
    """Into the wheel again with these rows."""
    for row in index:
        bucket = _bucket(wheel, rules, rows[row].timestamp + rules.hold[rows[row].profile])
        rows[row].later = wheel[bucket]
        wheel[bucket] = row


@numba.njit(**KERNEL)
def let_go_predictions(store: Store, due: Int32Array) -> None:
    """Give back the rows of predictions already taken out of the wheel."""
    totals = store.totals
    for slot in due:
        held = store.predictions[slot]
        key = held.key
        if store.keys[key].predictions == slot:
            store.keys[key].predictions = held.next
        else:
            before = store.keys[key].predictions
            while store.predictions[before].next != slot:
                before = store.predictions[before].next
            store.predictions[before].next = held.next
        if held.extra >= 0:
            totals[ARENA_GARBAGE] += extra_size(store.arena, held.extra)
        held.status = 0
        held.later = totals[PREDICTIONS + FREE]
        totals[PREDICTIONS + FREE] = slot
        totals[PREDICTIONS + LIVE] -= 1
        if store.keys[key].predictions < 0 and store.keys[key].labels < 0:
            remove_key(store, key)


@numba.njit(**KERNEL)
def let_go_labels(store: Store, due: Int32Array) -> None:
    """Give back the rows of labels already taken out of the wheel."""
    totals = store.totals
    for label in due:
        found = store.labels[label]
        key = store.keys[found.key]
        before = np.int64(NOWHERE)
        if key.labels == label:
            key.labels = found.next
        else:
            before = np.int64(key.labels)
            while store.labels[before].next != label:
                before = np.int64(store.labels[before].next)
            store.labels[before].next = found.next
        if key.last_label == label:
            key.last_label = before
        found.met = GONE
        found.later = totals[LABELS + FREE]
        totals[LABELS + FREE] = label
        totals[LABELS + LIVE] -= 1
        if key.predictions < 0 and key.labels < 0:
            remove_key(store, found.key)
