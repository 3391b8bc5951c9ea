"""Half-space trees: rows that fall where few of the reference's did; no library, no distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numba
import numpy as np
import numpy.typing as npt

from detectors.detector import Float64Array, demand
from detectors.multivariate.outlying import Outlying, OutlyingParams
from detectors.multivariate.rows import Int32Array, fitted, places, standardize

_SPARSE = 0.1  # of the rows that were fitted on: a node with fewer is not looked into further


@dataclass(frozen=True, slots=True)
class HalfSpaceTreesParams(OutlyingParams):
    __doc__ = f"""{OutlyingParams.__doc__}
    trees: how many. height: questions asked in each. Fitted: questions (trees × (2^height - 1), level by level: the
    feature that is asked for), cuts (likewise: the value that sends what is below it left) and worth (trees × 2^height:
    the score of a row that ends there)."""

    trees: int = 25
    height: int = 8
    questions: npt.ArrayLike | None = None
    cuts: npt.ArrayLike | None = None
    worth: npt.ArrayLike | None = None

    def _check_model(self) -> None:
        demand(1 <= self.trees <= 1000, "trees must be 1 to 1000")
        demand(1 <= self.height <= 12, "height must be 1 to 12")

    def _fit_model(self, rows: Float64Array, rng: np.random.Generator) -> None:
        drawn = [_halves(rows, self.height, rng) for _ in range(self.trees)]
        questions, cuts = (np.stack(each) for each in zip(*drawn, strict=True))
        masses = np.zeros((self.trees, 2 ** (self.height + 1) - 1))
        _fill(questions, cuts, masses, rows)
        self._set(questions=questions, cuts=cuts, worth=worth_of(masses))

    def _check_fit(self) -> None:
        nodes = 2**self.height - 1
        questions = places(self.questions, "questions", self.features, self.trees, nodes)
        cuts = fitted(self.cuts, "cuts", self.trees, nodes)
        worth = fitted(self.worth, "worth", self.trees, nodes + 1)
        demand(bool((np.abs(worth) < 1e100).all()), "worth must be numbers within ±1e100")
        self._set(questions=questions, cuts=cuts, worth=worth)

    def _score(self, rows: Float64Array) -> Float64Array:
        scores, row = np.empty(len(rows)), np.empty(self.features)
        _score(rows, self.center, self.scale, self.questions, self.cuts, self.worth, row, scores)
        return scores

    @property
    def model_bytes(self) -> int:
        return sum(np.asarray(array).nbytes for array in (self.questions, self.cuts, self.worth))


class HalfSpaceTrees(Outlying):
    """Half-space trees fitted on a reference: how many of the last rows lie where few reference rows lay.

    Each tree halves a box around the reference again and again, each time across a feature drawn by the seed, and keeps
    how many reference rows came by each node. A row's score is the sum over the trees of mass × 2^depth along its way,
    which ends early where the mass is under a tenth of the rows: small where the reference is thin. The level that a
    `share` of healthy rows scores below comes from rows held out of the fit, and the alarm from the share of the
    window's rows beyond it, so that the promise of `threshold_for` holds whatever the trees are worth; it needs
    exchangeable rows. Other than in the paper, the masses stay those of the reference. Rows that crowd where the
    reference is dense are no outliers: mmd and domain_classifier see them.

    Memory: 20 bytes × trees × 2^height + 4 bytes × reference, plus the window. Box: the reference's 1st to 99th
    percentile of each feature, from the middle outwards by a drawn factor.

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> detector = HalfSpaceTrees(HalfSpaceTreesParams(reference=rng.normal(size=(1000, 4))))
    >>> rows = np.concatenate([rng.normal(size=(2000, 4)), rng.normal(1.0, size=(400, 4))])
    >>> int(detector.update_many(rows)[0])
    2154

    Tan, Ting, Liu: Fast anomaly detection for streaming data. IJCAI 2011, 1511-1516.
    """

    name: ClassVar[str] = "half_space_trees"
    parameters: ClassVar[type[HalfSpaceTreesParams]] = HalfSpaceTreesParams


def worth_of(masses: Float64Array) -> Float64Array:
    """The score at each leaf (trees × 2^height) from the masses of all nodes (trees × (2^(height + 1) - 1), level by
    level): the sum of mass × 2^depth on the way to it, which ends at the first node of a tenth of the mass or less."""
    sparse = _SPARSE * masses[0, 0]
    total, open_still = np.zeros((len(masses), 1)), np.ones((len(masses), 1), np.bool_)
    first, depth = 0, 0
    while first < masses.shape[1]:
        here = masses[:, first : first + 2**depth]
        total = total + np.where(open_still, here * 2.0**depth, 0.0)
        open_still = open_still & (here >= sparse)
        first, depth = first + 2**depth, depth + 1
        if first < masses.shape[1]:
            total, open_still = np.repeat(total, 2, axis=1), np.repeat(open_still, 2, axis=1)
    return total


def _halves(rows: Float64Array, height: int, rng: np.random.Generator) -> tuple[Int32Array, Float64Array]:
    """One tree's questions and cuts: the paper's boxes, on what lies between the 1st and the 99th percentile."""
    low, high = np.quantile(rows, [0.01, 0.99], axis=0)
    middle = rng.random(len(low))
    reach = 2.0 * np.maximum(middle, 1.0 - middle)
    size = 2**height - 1
    lows, highs = np.empty((size, len(low))), np.empty((size, len(low)))
    lows[0], highs[0] = low + (middle - reach) * (high - low), low + (middle + reach) * (high - low)
    questions = rng.integers(len(low), size=size, dtype=np.int32)
    cuts = np.empty(size)
    for node, asked in enumerate(questions):
        cuts[node] = 0.5 * (lows[node, asked] + highs[node, asked])
        for child, edges in ((2 * node + 1, highs), (2 * node + 2, lows)):
            if child < size:
                lows[child], highs[child] = lows[node], highs[node]
                edges[child, asked] = cuts[node]
    return questions, cuts


@numba.njit(cache=True, _nrt=False)
def _fill(questions: Int32Array, cuts: Float64Array, masses: Float64Array, rows: Float64Array) -> None:
    """Count the rows that come by each node."""
    size = cuts.shape[1]
    for tree in range(cuts.shape[0]):
        for i in range(rows.shape[0]):
            node = 0
            while node < size:
                masses[tree, node] += 1.0
                node = 2 * node + (1 if rows[i, questions[tree, node]] < cuts[tree, node] else 2)
            masses[tree, node] += 1.0


@numba.njit(cache=True, _nrt=False)
def _score(
    rows: Float64Array,
    center: Float64Array,
    scale: Float64Array,
    questions: Int32Array,
    cuts: Float64Array,
    worth: Float64Array,
    row: Float64Array,
    scores: Float64Array,
) -> None:
    """Trees are walked four at a time: what one waits for, the others use."""
    trees, size = cuts.shape
    for i in range(rows.shape[0]):
        if not standardize(rows[i], center, scale, row):
            scores[i] = np.nan
            continue
        total = 0.0
        for tree in range(0, trees, 4):
            a, b, c, d = tree, min(tree + 1, trees - 1), min(tree + 2, trees - 1), min(tree + 3, trees - 1)
            at_a, at_b, at_c, at_d = 0, 0, 0, 0
            while at_a < size:  # all are of one height
                at_a = 2 * at_a + 2 - (row[questions[a, at_a]] < cuts[a, at_a])
                at_b = 2 * at_b + 2 - (row[questions[b, at_b]] < cuts[b, at_b])
                at_c = 2 * at_c + 2 - (row[questions[c, at_c]] < cuts[c, at_c])
                at_d = 2 * at_d + 2 - (row[questions[d, at_d]] < cuts[d, at_d])
            total += worth[a, at_a - size]
            total += worth[b, at_b - size] if b == tree + 1 else 0.0
            total += worth[c, at_c - size] if c == tree + 2 else 0.0
            total += worth[d, at_d - size] if d == tree + 3 else 0.0
        scores[i] = total
