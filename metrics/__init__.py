"""Incremental, mergeable, retractable metrics: sufficient statistics in arrays, and the values they give.

Pure numpy and numba: no streams, no Kafka, no configuration. Each task's module has `COLUMNS` sums, a compiled
`add_outcome(sums, …, weight, sign)` (sign -1 takes an outcome back) and `values(sums, …)`; sums merge with
`sums.merge`. `roc_auc` keeps scores, which `average_precision` and `median_absolute_error` look at too; `histogram`
quantiles of times, `wilson` intervals of proportions.
"""

from metrics import (
    average_precision,
    binary,
    histogram,
    median_absolute_error,
    multiclass,
    regression,
    roc_auc,
    sums,
)
from metrics.wilson import wilson_interval

__all__ = [
    "average_precision",
    "binary",
    "histogram",
    "median_absolute_error",
    "multiclass",
    "regression",
    "roc_auc",
    "sums",
    "wilson_interval",
]
