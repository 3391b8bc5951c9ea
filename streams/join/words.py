"""A class as one 64-bit word: a number's bits, or the code of a text behind a tag that no number has.

Two classes are the same when their words are: -0.0 is written as 0.0, and NaN never stands for a class.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streams.decode import Strings
from streams.records import Float64Array, Int32Array, Int64Array

_TAG = 0x7FFC << 48  # a NaN that arithmetic never makes
_MASK = 0xFFFF_FFFF
ABSENT = (0x7FFD << 48) | 1
"""No class: a prediction that failed, or a model without an `on_expiry` label."""
WITHDRAWN = (0x7FFD << 48) | 2
"""A null label."""


def words_of(numbers: Float64Array, texts: Int32Array) -> Int64Array:
    """The words of classes given as numbers (NaN where a text stands) and codes (-1 where a number stands)."""
    words = (numbers + 0.0).view(np.int64)
    absent = np.isnan(numbers)
    if absent.any():
        words = np.where(absent, np.where(texts >= 0, _TAG | texts.astype(np.int64), ABSENT), words)
    return words


def word_of(label: float | str | None, strings: Strings) -> int:
    """The word of one class; None is ABSENT."""
    if label is None:
        return ABSENT
    if isinstance(label, str):
        return _TAG | strings.code(label)
    return int(np.float64(label + 0.0).view(np.int64))


def numbers_of(words: Int64Array) -> Float64Array:
    """The numbers; NaN where the word is no number."""
    return np.where(words >= _TAG, np.nan, words.view(np.float64))


def is_text(words: Int64Array) -> npt.NDArray[np.bool_]:
    """Whether each word is the code of a text."""
    texts: npt.NDArray[np.bool_] = (words >> 48) == (_TAG >> 48)
    return texts


def texts_of(words: Int64Array) -> Int32Array:
    """The codes; -1 where the word is no text."""
    return np.where(is_text(words), words & _MASK, -1).astype(np.int32)


def recoded(words: Int64Array, codes: Int32Array) -> Int64Array:
    """The words with each text's code c replaced by codes[c]."""
    texts = texts_of(words)
    if not (texts >= 0).any():
        return words
    return np.where(texts >= 0, _TAG | codes[texts].astype(np.int64), words)
