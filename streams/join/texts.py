"""Forgetting texts: the table of strings also takes every category that a feature ever had; what is held needs few.

Held state refers to texts by code, so a smaller table means new codes in all that is held.
"""

from __future__ import annotations

import numba
import numpy as np

from streams.decode import Strings
from streams.join.held import Held
from streams.join.keys import read
from streams.join.layout import GONE, LABELS, PREDICTIONS, USED, Store
from streams.join.profiles import Profiles
from streams.join.rows import scores_of
from streams.join.words import recoded, texts_of
from streams.records import Int32Array

MOST_TEXTS = 20_000
MOST_CHARACTERS = 1 << 24
"""A text may be as long as a record."""


def without_unused(profiles: Profiles, held: Held) -> Profiles:
    """Tables with the texts and profiles that what is held needs; `held` is rewritten to their codes."""
    store = held.store
    rows = np.flatnonzero(store.predictions["status"][: store.totals[PREDICTIONS + USED]])
    labels = np.flatnonzero(store.labels["met"][: store.totals[LABELS + USED]] != GONE)
    _, names, _ = scores_of(store.arena, store.predictions["extra"][rows])
    texts = [texts_of(store.predictions[name][rows]) for name in ("value", "label")]
    texts.append(texts_of(store.labels["value"][labels]))
    used = np.unique(np.concatenate([store.predictions["profile"][rows], store.labels["profile"][labels]]))
    codes = np.unique(np.concatenate([*texts, names, profiles.matrix[:, used].ravel()]))
    smaller = Profiles(profiles.settings, Strings())
    places = np.full(len(profiles.strings) + 1, -1, np.int32)  # the last place is that of -1
    for code in codes[codes >= 0].tolist():
        places[code] = smaller.strings.code(profiles.strings.texts[code])
    profile_places = np.zeros(len(profiles), np.int32)
    profile_places[used] = smaller.codes_of(places[profiles.matrix[:, used]])
    for records, index, words in (
        (store.predictions, rows, ("value", "label")),
        (store.labels, labels, ("value",)),
    ):
        records["profile"][index] = profile_places[records["profile"][index]]
        for name in words:
            records[name][index] = recoded(records[name][index], places)
    recode_scores(store, places)
    return smaller


@numba.njit(cache=True)
def recode_scores(store: Store, places: Int32Array) -> None:
    """Give the classes of all score maps held their new codes."""
    arena = store.arena
    for row in range(store.totals[PREDICTIONS + USED]):
        extra = store.predictions[row].extra
        if store.predictions[row].status == 0 or extra < 0:
            continue
        at = extra + 2 + read(arena, extra, 2)
        count = read(arena, at, 4)
        for i in range(count):
            entry = at + 4 + 12 * i
            code = places[read(arena, entry, 4)]
            for j in range(4):
                arena[entry + j] = (code >> (8 * j)) & 0xFF
