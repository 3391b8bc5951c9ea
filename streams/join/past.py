"""The past of a task: the floor of its journal, and restoring from it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import numba
import numpy as np

from streams.join.clock import BEGINNING
from streams.join.held import Held
from streams.join.journal import Block, in_order, read_block
from streams.join.kernels import hold_label, hold_prediction
from streams.join.keys import add_key, find_key, hash_of
from streams.join.layout import (
    EARLY,
    KERNEL,
    LABELLED,
    NOWHERE,
    ONCE,
    NewLabels,
    NewPredictions,
    Records,
    Rules,
    Store,
)
from streams.join.profiles import Profiles
from streams.join.step import Committed
from streams.records import Int32Array, Int64Array, UInt8Array

_MOST_COMMITS = 8192


class Floor:
    """The oldest commit that still holds a live record.

    A commit is dead once the watermark has passed the last deadline of its records. Where there are very many
    commits, neighbours are taken together: the floor is then a little low, never too high.
    """

    def __init__(self) -> None:
        self._commits: deque[tuple[int, int]] = deque()

    def add(self, commit: int, deadline: int) -> None:
        """`commit` has written records of which the last is let go once the watermark is past `deadline`."""
        if self._commits and self._commits[-1][0] == commit:
            deadline = max(deadline, self._commits.pop()[1])
        self._commits.append((commit, deadline))
        if len(self._commits) > _MOST_COMMITS:
            pairs = [self._commits.popleft() for _ in range(_MOST_COMMITS)]
            together = [
                (first, max(one, other)) for (first, one), (_, other) in zip(pairs[::2], pairs[1::2], strict=True)
            ]
            self._commits.extendleft(reversed(together))

    def of(self, commit: int, watermark: int | None) -> int:
        """The floor now; `commit` itself where nothing older is alive."""
        while watermark is not None and self._commits and watermark > self._commits[0][1]:
            self._commits.popleft()
        return self._commits[0][0] if self._commits else commit


def restore(
    blocks: Iterable[bytes], said: Committed, profiles: Profiles, held: Held, floor: Floor
) -> tuple[dict[str, Any] | None, bool]:
    """Fill `held`, which is empty, and `floor` from blocks, oldest first. Returns the newest head, None where there is
    no block; and whether what was put back was held under other terms until now.

    What the committed watermark has passed is not put back. Without one, only what a block's own watermark has passed
    is left out. By the terms of now, for what was held under others: once it has been let go by them. Until then, by
    those of its block. Raises StateError where a block is damaged, newer, or missing.
    """
    head: dict[str, Any] | None = None
    watermark, others = said.watermark, False
    commit: list[Block] = []
    for block in in_order(read_block(data, profiles) for data in blocks):
        head = block.head
        passed = head["time"][0] if watermark is None else watermark
        others |= _hold(block, BEGINNING if passed is None else passed, said.since, profiles.rules, held, floor)
        commit.append(block)
        if head["last"]:  # a block may change what a later one of its commit brings
            for each in commit:
                _lay_over(held, each)
            commit.clear()
        held.ease()
    return head, others


def _hold(block: Block, passed: int, since: tuple[int, int] | None, rules: Rules, held: Held, floor: Floor) -> bool:
    """Put back what of a block the watermark has not passed. Whether the terms of any of it have just changed."""
    last, others = BEGINNING, False
    before = since if since is not None and block.head["commit"] <= since[0] else None

    def left(written: Int64Array, now: Int64Array) -> Int64Array:
        nonlocal last, others
        keep = written >= passed if before is None else (written >= before[1]) & (now >= passed)
        others |= before is None and bool((written != now)[keep].any())
        last = max(last, int(now[keep].max(initial=BEGINNING)))
        return np.flatnonzero(keep)

    if block.predictions is not None:
        now = block.predictions.timestamp + rules.hold[block.predictions.profile]
        places = left(block.prediction_deadlines, now)
        new = block.predictions._replace(order=places)
        arena = len(new.key_data) + 8 * len(new.offset) + len(new.id_data) + 12 * len(new.score_names)
        held.make_room(len(places), 0, arena)
        hold_predictions(held.store, rules, new)
    if block.labels is not None:
        places = left(block.label_deadlines, block.labels.timestamp + rules.hold[block.labels.profile])
        found = block.labels._replace(order=places)
        held.make_room(0, len(places), len(found.key_data) + 2 * len(found.offset))
        rows = np.empty(len(places), np.int32)
        hold_labels(held.store, rules, found, rows)
        held.store.labels["met"][rows] = block.label_met[places]
    if last > BEGINNING:
        floor.add(block.head["commit"], last)
    return others


def _lay_over(held: Held, block: Block) -> None:
    """What a block says of records that are held already becomes their state."""
    predictions, labels = held.store.predictions, held.store.labels
    for start, stop in held.steps(len(block.changed["offset"])):
        changed = {name: column[start:stop] for name, column in block.changed.items()}
        rows = rows_of(predictions, held.predictions, changed["offset"])
        known = rows >= 0
        rows = rows[known]
        for name in ("label", "label_weight", "label_timestamp", "label_offset", "row"):
            predictions[name][rows] = changed[name][known]
        moves = np.uint8(LABELLED | EARLY | ONCE)
        predictions["status"][rows] = (predictions["status"][rows] & ~moves) | (changed["status"][known] & moves)
    for start, stop in held.steps(len(block.met)):
        rows = rows_of(labels, held.labels, block.met[start:stop])
        labels["met"][rows[rows >= 0]] = 1


@numba.njit(cache=True)
def rows_of(records: Records, used: int, offsets: Int64Array) -> Int32Array:
    """The row of each offset, or -1, among the first `used` rows. They are in the order of offsets: the log is read in
    that order, and a store that only takes in gives rows in theirs."""
    found = np.empty(len(offsets), np.int32)
    for i in range(len(offsets)):
        low, high = 0, used
        while low < high:
            middle = (low + high) // 2
            if records[middle].offset < offsets[i]:
                low = middle + 1
            else:
                high = middle
        found[i] = low if low < used and records[low].offset == offsets[i] else NOWHERE
    return found


@numba.njit(**KERNEL)
def hold_predictions(store: Store, rules: Rules, new: NewPredictions) -> None:
    """Hold new.order as they are, each behind those of its key."""
    for i in new.order:
        key = _key(store, new.key_data, new.key_ends, i)
        last = np.int64(NOWHERE)
        slot = np.int64(store.keys[key].predictions)
        while slot >= 0:
            last = slot
            slot = np.int64(store.predictions[slot].next)
        hold_prediction(store, rules, new, i, key, last)


@numba.njit(**KERNEL)
def hold_labels(store: Store, rules: Rules, new: NewLabels, rows: Int32Array) -> None:
    """The same for labels; `rows` become theirs, in that order."""
    for n in range(len(new.order)):
        i = new.order[n]
        rows[n] = hold_label(store, rules, new, i, _key(store, new.key_data, new.key_ends, i))


@numba.njit(**KERNEL)
def _key(store: Store, data: UInt8Array, ends: Int64Array, i: int) -> int:
    start = ends[i - 1] if i else 0
    h = hash_of(data, start, ends[i])
    key = find_key(store, data, start, ends[i], h)
    if key < 0:
        key = add_key(store, data, start, ends[i], h)
    return int(key)
