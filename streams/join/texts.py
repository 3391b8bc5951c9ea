"""Forgetting texts: the table of strings also takes every category that a feature ever had; what is held needs few.

Held state refers to texts by code, so a smaller table means new codes in all that is held.
"""

from __future__ import annotations

from collections.abc import Iterator

import numba
import numpy as np

from streams.decode import Strings
from streams.join.held import SEQUENTIAL, Held
from streams.join.keys import read
from streams.join.layout import GONE, LABELS, PREDICTION, PREDICTIONS, USED, Records
from streams.join.profiles import Profiles
from streams.join.rows import scores_of
from streams.join.words import recoded, texts_of
from streams.records import Int32Array, Int64Array, UInt8Array

MOST_TEXTS = 20_000
MOST_CHARACTERS = 1 << 24
"""A text may be as long as a record."""


def without_unused(profiles: Profiles, held: Held) -> Profiles:
    """Tables with the texts and profiles that what is held needs; `held` is rewritten to their codes."""
    used, codes = _used(held)
    codes = np.unique(np.concatenate([codes, profiles.matrix[:, used].ravel()]))
    smaller = Profiles(profiles.settings, Strings())
    places = np.full(len(profiles.strings) + 1, -1, np.int32)  # the last place is that of -1
    for code in codes[codes >= 0].tolist():
        places[code] = smaller.strings.code(profiles.strings.texts[code])
    profile_places = np.zeros(len(profiles), np.int32)
    profile_places[used] = smaller.codes_of(places[profiles.matrix[:, used]])
    for rows, words in _held_rows(held):
        index = _live(rows)
        rows["profile"][index] = profile_places[rows["profile"][index]]
        for name in words:
            rows[name][index] = recoded(rows[name][index], places)
        if rows.dtype == PREDICTION:
            recode_scores(held.store.arena, rows, places)
    return smaller


def _used(held: Held) -> tuple[Int32Array, Int32Array]:
    """(profiles, codes of texts) of what is held, each once."""
    used, codes = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    for rows, words in _held_rows(held):
        index = _live(rows)
        used.append(np.unique(rows["profile"][index]))
        codes += [np.unique(texts_of(rows[name][index])) for name in words]
        if rows.dtype == PREDICTION:
            codes.append(np.unique(scores_of(held.store.arena, rows["extra"][index])[1]))
    return np.unique(np.concatenate(used)), np.unique(np.concatenate(codes))


def _held_rows(held: Held) -> Iterator[tuple[Records, tuple[str, ...]]]:
    """Rows of predictions and labels, a chunk at a time, and which of their fields are words."""
    store = held.store
    for kind, rows, words in ((PREDICTIONS, store.predictions, ("value", "label")), (LABELS, store.labels, ("value",))):
        for first, stop in held.steps(int(store.totals[kind + USED]), SEQUENTIAL):
            yield rows[first:stop], words


def _live(rows: Records) -> Int64Array:
    return np.flatnonzero(rows["status"] if rows.dtype == PREDICTION else rows["met"] != GONE)


@numba.njit(cache=True)
def recode_scores(arena: UInt8Array, rows: Records, places: Int32Array) -> None:
    """Give the classes of the score maps of these predictions their new codes."""
    for row in range(len(rows)):
        extra = rows[row].extra
        if rows[row].status == 0 or extra < 0:
            continue
        at = extra + 2 + read(arena, extra, 2)
        count = read(arena, at, 4)
        for i in range(count):
            entry = at + 4 + 12 * i
            code = places[read(arena, entry, 4)]
            for j in range(4):
                arena[entry + j] = (code >> (8 * j)) & 0xFF
