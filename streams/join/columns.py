"""Choosing rows of decoded columns, and what each row's texts weigh."""

from __future__ import annotations

import numpy as np

from streams.decode import LabelColumns, Packed, PredictionColumns, Strings
from streams.join.keys import gather_packed
from streams.outcomes import Listed
from streams.records import Int32Array, Int64Array

LONG = 1024
BAD = 1 << 40
"""What a text weighs that is not Unicode (a lone surrogate): no message can carry it."""


def take_packed(packed: Packed, index: Int64Array) -> Packed:
    """The byte strings of `index`, in its order."""
    return Packed(*gather_packed(packed.data, packed.ends, index))


def take_predictions(columns: PredictionColumns, index: Int64Array) -> PredictionColumns:
    """The events of `index`, in its order."""
    return PredictionColumns(
        place=columns.place[index],
        offset=columns.offset[index],
        timestamp=columns.timestamp[index],
        label_key=take_packed(columns.label_key, index),
        prediction_id=None if columns.prediction_id is None else take_packed(columns.prediction_id, index),
        model=columns.model[index],
        version=columns.version[index],
        variant=columns.variant[index],
        prediction=columns.prediction[index],
        prediction_text=columns.prediction_text[index],
        score=columns.score[index],
        weight=columns.weight[index],
        latency=columns.latency[index],
        failed=columns.failed[index],
        segments=columns.segments[:, index],
        features=columns.features.take(index),
        attributions=columns.attributions.take(index),
        scores=columns.scores.take(index),
    )


def take_labels(columns: LabelColumns, index: Int64Array) -> LabelColumns:
    """The events of `index`, in its order."""
    return LabelColumns(
        place=columns.place[index],
        offset=columns.offset[index],
        timestamp=columns.timestamp[index],
        label_key=take_packed(columns.label_key, index),
        model=columns.model[index],
        label=columns.label[index],
        label_text=columns.label_text[index],
        weight=columns.weight[index],
        withdrawn=columns.withdrawn[index],
    )


class TextWeights:
    """Which texts of a table are long, or no Unicode: both are rare, and cost nothing where there are none."""

    def __init__(self, strings: Strings) -> None:
        self._strings = strings
        self._seen = 0
        self._heavy: dict[int, int] = {}

    def review(self) -> None:
        """Look at the texts that have come since."""
        new = self._strings.texts[self._seen :]
        try:
            "".join(new).encode()
        except UnicodeEncodeError:
            self._heavy |= {self._seen + i: BAD for i, text in enumerate(new) if not _is_unicode(text)}
        if new and max(map(len, new)) > LONG:
            long = {self._seen + i: 4 * len(text) for i, text in enumerate(new) if len(text) > LONG}
            self._heavy = long | self._heavy
        self._seen += len(new)

    def of_predictions(self, columns: PredictionColumns) -> Int64Array:
        """The bytes that each event takes as a row, roughly; at least BAD where it cannot be written."""
        weights = self._by_code()
        lists = (columns.features, columns.attributions, columns.scores)
        total = np.zeros(len(columns), np.int64)
        for each in lists:
            total += 16 * np.diff(each.offsets)
        if weights is not None:
            for codes in (columns.model, columns.version, columns.variant, columns.prediction_text, *columns.segments):
                total += weights[codes]
            for each in lists:
                sums = np.concatenate(([0], np.cumsum(weights[each.names] + weights[each.texts])))
                total += np.diff(sums[each.offsets])
        return total

    def of_labels(self, columns: LabelColumns) -> Int64Array:
        """The same for labels."""
        weights = self._by_code()
        if weights is None:
            return np.zeros(len(columns), np.int64)
        found: Int64Array = weights[columns.model] + weights[columns.label_text]
        return found

    def _by_code(self) -> Int64Array | None:
        if not self._heavy:
            return None
        weights = np.zeros(len(self._strings) + 1, np.int64)  # the last place is that of -1
        weights[list(self._heavy)] = list(self._heavy.values())
        return weights


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def spread(listed: Listed, source: Int32Array) -> Listed:
    """A list column whose row i is row source[i] of `listed`; empty where source[i] is -1."""
    lengths = np.where(source >= 0, np.diff(listed.offsets)[source] if len(listed.offsets) > 1 else 0, 0)
    offsets = np.zeros(len(source) + 1, np.int32)
    np.cumsum(lengths, out=offsets[1:])
    shift = np.repeat(listed.offsets[source] - offsets[:-1], lengths)
    entries = np.arange(offsets[-1], dtype=np.int32) + shift
    return Listed(offsets, listed.names[entries], listed.values[entries], listed.texts[entries])
