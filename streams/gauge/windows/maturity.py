"""How many labels are still to come, from how long they took so far.

The share of predictions that get a label in the end is estimated by the product-limit estimator (E. L. Kaplan,
P. Meier, JASA 53, 1958) over the panes of a version × variant: a pane that is d old tells about delays up to d, one
that is final about all. So young panes, whose late labels are still out, do not drag the estimate down.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from metrics import histogram
from streams.gauge.windows.store import DELAY_BINS, ERRORS, EVER, N_CELLS, OUTCOMES, PREDICTIONS, Store
from streams.records import Float64Array

LEVELLED = 0.02


@numba.njit(cache=True)
def labelled_by_age(store: Store, scope: int, watermark: int, pane: int) -> Float64Array:
    """The estimated share of predictions labelled by the upper edge of each delay bin; NaN beyond the ages seen."""
    cells = store.cells
    members = np.empty(store.counts[N_CELLS], np.int64)
    made = 0
    for cell in range(store.counts[N_CELLS]):
        if cells[cell].scope == scope and cells[cell].alive and cells[cell].start != EVER:
            members[made] = cell
            made += 1
    waiting = np.empty(made + 1, np.int64)
    for m in range(made):
        ints = cells[members[m]].ints
        waiting[m] = max(ints[PREDICTIONS] - ints[ERRORS], ints[OUTCOMES])  # one that failed waits for none
    waiting[made] = store.scopes[scope].past[0]
    share = np.full(DELAY_BINS, np.nan)
    left = 1.0
    for place in range(DELAY_BINS):
        edge = histogram.lower_edge(place + 1)
        risk, came = waiting[made], store.scopes[scope].past_delay[place]
        waiting[made] -= came
        for m in range(made):
            cell = members[m]
            if watermark - (cells[cell].start + pane) >= edge:
                risk += waiting[m]
                came += cells[cell].delay[place]
                waiting[m] -= cells[cell].delay[place]
        if risk <= 0 and came != 0:
            break
        if risk > 0:
            left *= max(0.0, 1.0 - came / risk)
        elif waiting.sum() > 0:
            break  # nothing old enough is left to tell
        share[place] = 1.0 - left
    return share


def expected_coverage(store: Store, scope: int, watermark: int, pane: int) -> float | None:
    """The share of predictions expected to have a label in the end; None until that can be told.

    It can once a pane is final, or once the curve has levelled off: it rose by less than 2 % of itself over the
    second half of the ages seen.
    """
    share = labelled_by_age(store, scope, watermark, pane)
    seen = int(np.count_nonzero(~np.isnan(share)))
    if seen == 0:
        return None
    final = float(share[seen - 1])
    if final <= 0.0:
        return None
    if store.scopes["past"][scope, 0] == 0:
        half = histogram.bin_of(histogram.lower_edge(seen) / 2.0, DELAY_BINS)
        if math.isnan(share[half]) or final - float(share[half]) > LEVELLED * final:
            return None
    return final
