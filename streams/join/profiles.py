"""Profiles: each model × version × variant × segments that is held has one code, and with it its times and route.

Profile 0 is that of labels and counts that name no model.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from streams.decode import Strings
from streams.join.layout import Rules
from streams.join.settings import JoinSettings
from streams.join.words import word_of
from streams.outcomes import NONE, UNKNOWN_MODEL
from streams.partitioner import partition_of
from streams.records import Int32Array, Int64Array

WHEEL = 4096
"""Buckets of the timing wheel; one spans 1/1024 of the longest hold, so that most rounds come once."""

TERMS = (np.int32, np.int32, np.int64, np.int64, np.uint8, np.int32, np.int64)
"""Of what is known of each profile: model, identity, horizon, hold, whether it names a model, route, word on expiry."""


class Profiles:
    """A growing table; codes are dense and never change. Holds the code of each of its texts in `strings`."""

    def __init__(self, settings: JoinSettings, strings: Strings) -> None:
        self.settings, self.strings = settings, strings
        self._codes: dict[tuple[int, ...], int] = {}
        self._identities: dict[tuple[int, ...], int] = {}
        self._routes: dict[int, int] = {}
        self._new: list[tuple[tuple[int, ...], tuple[int, ...]]] = []  # rows and their terms, not in the arrays yet
        self._width = max(1, settings.longest_hold // (WHEEL // 4))
        self._matrix = np.empty((3 + len(settings.segment_keys), 0), np.int32)
        self._terms: tuple[npt.NDArray[Any], ...] = tuple(np.empty(0, dtype) for dtype in TERMS)
        self._unknown = strings.code(UNKNOWN_MODEL)
        self._add((self._unknown,) + (NONE,) * (2 + len(settings.segment_keys)))
        self._build()

    def __len__(self) -> int:
        return len(self._codes)

    def codes_of(self, matrix: Int32Array) -> Int32Array:
        """The profile of each column of `matrix`: model, version, variant, then the segments."""
        if not matrix.shape[1]:
            return np.empty(0, np.int32)
        inverse, firsts = distinct_columns(np.ascontiguousarray(matrix))
        found = np.array([self._code(tuple(column)) for column in matrix[:, firsts].T.tolist()], np.int32)
        self._build()
        codes: Int32Array = found[inverse]
        return codes

    def codes_of_models(self, models: Int32Array) -> Int32Array:
        """The profile of labels that name a model alone, or none (-1): that one is profile 0."""
        matrix = np.full((3 + len(self.settings.segment_keys), len(models)), NONE, np.int32)
        matrix[0] = np.where(models >= 0, models, self._unknown)
        return self.codes_of(matrix)

    def _code(self, row: tuple[int, ...]) -> int:
        found = self._codes.get(row)
        return self._add(row) if found is None else found

    def _add(self, row: tuple[int, ...]) -> int:
        code = len(self._codes)
        model = self.strings.texts[row[0]]
        join = self.settings.join_of(model)
        identity = self._identities.setdefault(row[:3], len(self._identities))
        if row[0] not in self._routes:
            # A model that is no Unicode is refused by the plan; it must not stop the batch before.
            self._routes[row[0]] = partition_of(model.encode(errors="replace"), self.settings.outcomes_partitions)
        hold = join.horizon + join.grace if code else self.settings.longest_hold
        on_expiry = word_of(join.on_expiry, self.strings)
        terms = (row[0], identity, join.horizon, hold, int(code > 0), self._routes[row[0]], on_expiry)
        self._codes[row] = code
        self._new.append((row, terms))
        return code

    def _build(self) -> None:
        """What is new goes behind what the arrays have; they grow by half, so that each row is copied a few times."""
        if not self._new:
            return
        count, first = len(self._codes), len(self._codes) - len(self._new)
        rows, terms = zip(*self._new, strict=True)
        self._new = []
        self._matrix = roomy(self._matrix, count)
        self._matrix[:, first:count] = np.array(rows, np.int32).T
        self._terms = tuple(roomy(column, count) for column in self._terms)
        for column, new in zip(self._terms, zip(*terms, strict=True), strict=True):
            column[first:count] = new
        model, identity, horizon, hold, names_model, route, on_expiry = (column[:count] for column in self._terms)
        self.matrix: Int32Array = self._matrix[:, :count]
        self.route: Int32Array = route
        self.on_expiry: Int64Array = on_expiry
        limit = self.settings.records_per_key
        self.rules = Rules(model, identity, horizon, hold, names_model, self._width, limit)


def roomy(array: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """`array` with room for `count` along its last axis."""
    have = array.shape[-1]
    if have >= count:
        return array
    larger = np.empty((*array.shape[:-1], max(count, have + have // 2, 16)), array.dtype)
    larger[..., :have] = array
    return larger


@numba.njit(cache=True)
def distinct_columns(matrix: Int32Array) -> tuple[Int32Array, Int64Array]:
    """(number of each column among the distinct ones, where each distinct one is met first)."""
    height, n = matrix.shape
    size = 256
    while size < 2 * n:
        size *= 2
    table = np.full(size, -1, np.int32)
    inverse, firsts = np.empty(n, np.int32), np.empty(n, np.int64)
    count = 0
    for i in range(n):
        h = np.uint64(0)
        for row in range(height):
            h = (h ^ np.uint64(np.uint32(matrix[row, i]))) * np.uint64(0xFF51AFD7ED558CCD)
            h ^= h >> np.uint64(29)
        at = np.int64(h & np.uint64(size - 1))
        while True:
            found = table[at]
            if found < 0:
                table[at] = count
                firsts[count] = i
                inverse[i] = count
                count += 1
                break
            same = True
            for row in range(height):
                if matrix[row, i] != matrix[row, firsts[found]]:
                    same = False
                    break
            if same:
                inverse[i] = found
                break
            at = (at + 1) & (size - 1)
    return inverse, firsts[:count]
