"""Plan, then install: everything about a batch that could fail happens here, before the held state is touched.

A record whose plan raises is refused with the code `unknown`; one that no message could carry, with `too_large`.
A record on a partition where its key does not belong is set aside: its other half is elsewhere, so holding it here
would only make it unlabelled. It is counted, under its model, and goes no further.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from streams.decode import LabelColumns, Packed, PredictionColumns, Refusal, Strings
from streams.join.columns import BAD, TextWeights, take_labels, take_predictions
from streams.join.keys import own_ids
from streams.join.layout import NewLabels, NewPredictions
from streams.join.profiles import Profiles
from streams.join.settings import JoinSettings
from streams.join.words import WITHDRAWN, words_of
from streams.partitioner import partitions_of
from streams.records import Int32Array, Int64Array

LARGEST_ROW = 256 * 1024
_Columns = TypeVar("_Columns", PredictionColumns, LabelColumns)
_Planned = TypeVar("_Planned", "PlannedPredictions", "PlannedLabels")


@dataclass(slots=True)
class PlannedPredictions:
    """A batch of predictions, ready to be installed; `arena` is the room its texts need."""

    columns: PredictionColumns
    new: NewPredictions
    misplaced: Int64Array
    arena: int
    refusals: list[Refusal] = field(default_factory=list)


@dataclass(slots=True)
class PlannedLabels:
    """A batch of labels, ready to be installed; `arena` is the room its texts need."""

    columns: LabelColumns
    new: NewLabels
    misplaced: Int64Array
    arena: int
    refusals: list[Refusal] = field(default_factory=list)


class Planner:
    """Plans batches of one join task. Adds to the tables of strings and profiles, and to nothing else."""

    def __init__(self, settings: JoinSettings, profiles: Profiles, task: int, partitions: int) -> None:
        self._settings, self._profiles = settings, profiles
        self._task, self._partitions = task, partitions
        self._weights = TextWeights(profiles.strings)

    @property
    def strings(self) -> Strings:
        """The table that decoded columns' codes point into."""
        return self._profiles.strings

    def predictions(self, columns: PredictionColumns) -> PlannedPredictions:
        """Plan a batch; never raises for what a record holds."""
        return _plan_all(columns, self._plan_predictions, take_predictions)

    def labels(self, columns: LabelColumns) -> PlannedLabels:
        """Plan a batch; never raises for what a record holds."""
        return _plan_all(columns, self._plan_labels, take_labels)

    def _plan_predictions(self, columns: PredictionColumns) -> PlannedPredictions:
        self._weights.review()
        refusals, good = _refuse_heavy(self._weights.of_predictions(columns), columns.place)
        keys = _writable(columns.label_key)
        here, misplaced = self._by_place(keys, good)
        matrix = np.vstack([columns.model, columns.version, columns.variant, columns.segments]).astype(np.int32)
        ids = _own_ids(keys, columns.prediction_id)
        scores = columns.scores
        new = NewPredictions(
            order=here,
            timestamp=columns.timestamp,
            offset=columns.offset,
            value=words_of(columns.prediction, columns.prediction_text),
            score=columns.score,
            weight=columns.weight,
            profile=self._profiles.codes_of(matrix),
            failed=columns.failed,
            key_data=keys.data,
            key_ends=keys.ends,
            id_data=ids.data,
            id_ends=ids.ends,
            score_ends=scores.offsets[1:].astype(np.int64),
            score_names=scores.names,
            score_values=scores.values.view(np.int64),
        )
        arena = len(new.key_data) + 8 * len(columns) + len(new.id_data) + 12 * len(scores.names)
        return PlannedPredictions(columns, new, misplaced, arena, refusals)

    def _plan_labels(self, columns: LabelColumns) -> PlannedLabels:
        self._weights.review()
        refusals, good = _refuse_heavy(self._weights.of_labels(columns), columns.place)
        keys = _writable(columns.label_key)
        here, misplaced = self._by_place(keys, good)
        words = np.where(columns.withdrawn > 0, WITHDRAWN, words_of(columns.label, columns.label_text))
        new = NewLabels(
            order=here,
            timestamp=columns.timestamp,
            offset=columns.offset,
            value=words,
            weight=columns.weight,
            profile=self._profiles.codes_of_models(columns.model),
            key_data=keys.data,
            key_ends=keys.ends,
        )
        return PlannedLabels(columns, new, misplaced, len(new.key_data) + 2 * len(columns), refusals)

    def _by_place(self, keys: Packed, good: Int64Array) -> tuple[Int64Array, Int64Array]:
        """(those that belong on our partition, those that do not)."""
        homes: Int32Array = partitions_of(keys.data, keys.ends, self._partitions, self._settings.partitioner)
        ours = homes[good] == self._task
        return good[ours], good[~ours]


def _plan_all(
    columns: _Columns, plan: Callable[[_Columns], _Planned], take: Callable[[_Columns, Int64Array], _Columns]
) -> _Planned:
    """Plan the batch; where that raises, find the records that are to blame one by one, and plan the others."""
    try:
        return plan(columns)
    except Exception:  # noqa: BLE001  (whatever it is: one record must not stop the others)
        refusals, good = [], []
        for i in range(len(columns)):
            try:
                plan(take(columns, np.array([i])))
                good.append(i)
            except Exception as problem:  # noqa: BLE001
                text = f"could not be applied ({type(problem).__name__})"
                refusals.append(Refusal(int(columns.place[i]), "unknown", text))
    planned = plan(take(columns, np.array(good, np.int64)))
    planned.refusals += refusals
    return planned


def _refuse_heavy(weights: Int64Array, place: Int64Array) -> tuple[list[Refusal], Int64Array]:
    """(refusals of what no message could carry, the places of the others)."""
    heavy = np.flatnonzero(weights > LARGEST_ROW)
    refusals = [
        Refusal(int(place[i]), "unknown", "a text is not Unicode (a lone surrogate)")
        if weights[i] >= BAD
        else Refusal(int(place[i]), "too_large", f"takes more than {LARGEST_ROW} bytes as a row")
        for i in heavy.tolist()
    ]
    return refusals, np.flatnonzero(weights <= LARGEST_ROW)


def _own_ids(keys: Packed, ids: Packed | None) -> Packed:
    """The prediction ids, empty where one is its label_key; nothing at all where all are."""
    if ids is not None:
        ids = _writable(ids)
        data, ends = own_ids(keys.data, keys.ends, ids.data, ids.ends)
        if len(data):
            return Packed(data, ends)
    return Packed(np.empty(0, np.uint8), np.empty(0, np.int64))


def _writable(packed: Packed) -> Packed:
    """The same bytes in arrays of one type for the kernels, which are compiled for each type anew."""
    return packed if packed.data.flags.writeable else Packed(packed.data.copy(), packed.ends)
