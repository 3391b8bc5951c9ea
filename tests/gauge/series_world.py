"""Rows for tests of series: predictions and their outcomes, with changes planted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streams.outcomes import Kind, Listed, Rows

LABEL_BASE = 5_000_000
"""Offsets of labels begin here, so that they cannot be taken for those of predictions."""


def rows_of(
    wrong: npt.NDArray[np.bool_],
    score: npt.NDArray[np.float64],
    numbers: npt.NDArray[np.float64],
    texts: npt.NDArray[np.int32] | None = None,
    *,
    start: int = 0,
    rate: float = 10.0,
    version: str | None = "v1",
    variant: str | None = "champion",
    delay: int = 0,
) -> Rows:
    """n events: row 2i is a prediction, row 2i + 1 the outcome of the prediction `delay` events before it (of the
    first one, while there is none). `numbers` has a numeric feature a column (f0, f1, …), `texts` a categorical one
    a column (c0, c1, …), as numbers of the categories k0, k1, …; `start` numbers the first event."""
    n, features = numbers.shape
    categorical = 0 if texts is None else texts.shape[1]
    names = [f"f{k}" for k in range(features)] + [f"c{k}" for k in range(categorical)]
    strings = [*names, *(f"k{k}" for k in range(50)), "m", version or "", variant or ""]
    rows = Rows.blank(2 * n, strings)
    event = np.arange(start, start + n)
    back = np.maximum(event - delay, 0)
    rows.kind[0::2], rows.kind[1::2] = Kind.PREDICTED, Kind.OUTCOME
    rows.model[:] = len(strings) - 3
    rows.version[:] = -1 if version is None else len(strings) - 2
    rows.variant[:] = -1 if variant is None else len(strings) - 1
    rows.timestamp[0::2], rows.timestamp[1::2] = event * 1000 / rate, back * 1000 / rate
    rows.prediction_offset[0::2], rows.prediction_offset[1::2] = event, back
    rows.label_offset[1::2] = LABEL_BASE + event
    rows.prediction[:] = 1.0
    rows.label[1::2] = 1.0 - wrong
    rows.score[0::2] = score
    width = features + categorical
    values = np.full((n, width), np.nan)
    values[:, :features] = numbers
    codes = np.full((n, width), -1, np.int32)
    if texts is not None:
        codes[:, features:] = np.where(texts >= 0, texts + width, -1)
    ends = (np.arange(1, n + 1) * width).astype(np.int32)
    offsets = np.zeros(2 * n + 1, np.int32)
    offsets[1::2], offsets[2::2] = ends, ends
    rows.features = Listed(offsets, np.tile(np.arange(width, dtype=np.int32), n), values.ravel(), codes.ravel())
    return rows


def traffic(
    seed: int,
    n: int,
    *,
    change: int | None = None,
    error: float = 0.1,
    changed_error: float = 0.3,
    shift: float = 0.0,
    moved: int = 0,
    features: int = 3,
    categories: int = 1,
    version: str | None = "v1",
    start: int = 0,
    delay: int = 0,
    rate: float = 10.0,
) -> Rows:
    """n events; from event `change` on the error rate is `changed_error` and feature `moved` is shifted."""
    rng = np.random.default_rng(seed)
    after = np.arange(n) >= (n if change is None else change)
    wrong = rng.random(n) < np.where(after, changed_error, error)
    numbers = rng.normal(size=(n, features))
    numbers[:, moved] += shift * after
    texts = rng.integers(4, size=(n, categories)).astype(np.int32)
    return rows_of(wrong, rng.normal(size=n), numbers, texts, version=version, start=start, delay=delay, rate=rate)
