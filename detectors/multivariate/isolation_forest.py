"""Isolation forest: rows that few random cuts set apart; fitted by scikit-learn, kept as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numba
import numpy as np
import numpy.typing as npt

from detectors.detector import Float64Array, demand
from detectors.multivariate.library import scikit_learn
from detectors.multivariate.outlying import Outlying, OutlyingParams
from detectors.multivariate.rows import Int32Array, fitted, places, standardize

_U8 = np.uint64  # an index that numba need not look at for its sign


@dataclass(frozen=True, slots=True)
class IsolationForestParams(OutlyingParams):
    __doc__ = f"""{OutlyingParams.__doc__}
    trees: how many. sample: rows that each is grown on. Fitted: roots (the first node of each tree); for each node
    questions (the feature that is asked for), cuts (what is at most this goes left), children (nodes × 2: left and
    right; a leaf's are itself), lengths (the path's, at a leaf); longest (the path length that is the unit) and
    depth (of the deepest tree)."""

    trees: int = 100
    sample: int = 256
    longest: float = 1.0
    depth: int = 0
    roots: npt.ArrayLike | None = None
    questions: npt.ArrayLike | None = None
    cuts: npt.ArrayLike | None = None
    children: npt.ArrayLike | None = None
    lengths: npt.ArrayLike | None = None

    def _check_model(self) -> None:
        demand(1 <= self.trees <= 1000, "trees must be 1 to 1000")
        demand(2 <= self.sample <= 4096, "sample must be 2 to 4096 rows")

    def _fit_model(self, rows: Float64Array, rng: np.random.Generator) -> None:
        sample = min(self.sample, len(rows))
        forest = scikit_learn("ensemble", "isolation_forest").IsolationForest(
            n_estimators=self.trees, max_samples=sample, random_state=int(rng.integers(2**31))
        )
        self._set(longest=path_length(sample), **arrays_of(forest.fit(rows)))

    def _check_fit(self) -> None:
        cuts = fitted(self.cuts, "cuts", None)
        lengths = fitted(self.lengths, "lengths", len(cuts))
        demand(bool((np.abs(lengths) < 1e6).all()), "lengths must be path lengths")
        demand(0 < self.longest < 1e6, "longest must be a path length above 0")
        children = places(self.children, "children", len(cuts), len(cuts), 2)
        here = np.arange(len(cuts))[:, None]
        onward = (children == here).all(axis=1) | (children > here).all(axis=1)
        demand(bool(onward.all()), "children must come after their parents, or be a leaf itself")
        self._set(cuts=cuts, lengths=lengths, children=children)
        self._set(roots=places(self.roots, "roots", len(cuts), self.trees))
        self._set(questions=places(self.questions, "questions", self.features, len(cuts)))
        self._set(depth=_depth(np.asarray(self.roots), children))

    def _score(self, rows: Float64Array) -> Float64Array:
        scores, row = np.empty(len(rows)), np.empty(self.features)
        arrays = self.roots, self.questions, self.cuts, self.children, self.lengths
        _score(rows, self.center, self.scale, *arrays, self.longest, self.depth, row, scores)
        return scores

    @property
    def model_bytes(self) -> int:
        arrays = self.roots, self.questions, self.cuts, self.children, self.lengths
        return sum(np.asarray(array).nbytes for array in arrays)


class IsolationForest(Outlying):
    """An isolation forest fitted on a reference: how many of the last rows are set apart by few random cuts.

    Each tree cuts a sample of the reference at random until its rows are alone; what lies out is alone early, and the
    score is -2^(-path length / that of an unsuccessful search), averaged over the trees. It is scikit-learn's forest,
    kept as arrays, and the scores are its score_samples within 1e-9, of rows in deviations from the reference's mean,
    held within ±1e6. The level that a `share` of healthy rows scores below comes from rows held out of the fit, and the
    alarm from the share of the window's rows beyond it, so that the promise of `threshold_for` holds whatever the
    forest is worth; it needs exchangeable rows. Rows that crowd where the reference is dense are no outliers: mmd and
    domain_classifier see them.

    Memory: 56 bytes × trees × sample at the most + 4 bytes × reference, plus the window.

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> detector = IsolationForest(IsolationForestParams(reference=rng.normal(size=(1000, 4)), trees=20))
    >>> rows = np.concatenate([rng.normal(size=(2000, 4)), rng.normal(1.0, size=(400, 4))])
    >>> int(detector.update_many(rows)[0])
    2099

    Liu, Ting, Zhou: Isolation forest. ICDM 2008, 413-422. Fitted by scikit-learn; a restored one does not need it.
    """

    name: ClassVar[str] = "isolation_forest"
    parameters: ClassVar[type[IsolationForestParams]] = IsolationForestParams


def path_length(rows: int) -> float:
    """The mean length of an unsuccessful search in a binary tree of so many rows (equation 1 of the paper)."""
    if rows <= 2:
        return float(max(rows - 1, 0))
    return 2.0 * (float(np.log(rows - 1.0)) + float(np.euler_gamma)) - 2.0 * (rows - 1.0) / rows


def arrays_of(forest: Any) -> dict[str, npt.NDArray[Any]]:
    """The parameters that a fitted sklearn.ensemble.IsolationForest gives; all trees' nodes one after the other."""
    trees = [each.tree_ for each in forest.estimators_]
    sizes = [tree.node_count for tree in trees]
    roots = np.cumsum([0, *sizes[:-1]])
    children = []
    for tree, root in zip(trees, roots, strict=True):
        both = np.stack([tree.children_left, tree.children_right], axis=1)
        children.append(np.where(both < 0, np.arange(tree.node_count)[:, None], both) + root)
    inner = np.concatenate([tree.children_left for tree in trees]) >= 0
    return {
        "roots": roots,
        "questions": np.where(inner, np.concatenate([tree.feature for tree in trees]), 0),
        "cuts": np.where(inner, np.concatenate([tree.threshold for tree in trees]), 0.0),
        "children": np.concatenate(children),
        "lengths": np.where(inner, 0.0, np.concatenate([_lengths(tree) for tree in trees])),
    }


def _depth(roots: Int32Array, children: Int32Array) -> int:
    """The edges on the longest way from a root to a leaf."""
    at, depth = roots, 0
    while len(at := at[children[at, 0] != at]) > 0:
        at, depth = np.unique(children[at]), depth + 1
        demand(depth <= 64, "children must be trees of a depth of at most 64")
    return depth


def _lengths(tree: Any) -> Float64Array:
    """The path length at each node: the edges above it, and what the rows that ended there together stand for."""
    depth = np.zeros(tree.node_count)
    for node in np.flatnonzero(tree.children_left >= 0):  # a parent comes before its children
        depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1.0
    lengths: Float64Array = depth + np.array([path_length(int(size)) for size in tree.n_node_samples])
    return lengths


@numba.njit(cache=True, _nrt=False)
def _score(
    rows: Float64Array,
    center: Float64Array,
    scale: Float64Array,
    roots: Int32Array,
    questions: Int32Array,
    cuts: Float64Array,
    children: Int32Array,
    lengths: Float64Array,
    longest: float,
    depth: int,
    row: Float64Array,
    scores: Float64Array,
) -> None:
    """Trees are walked four at a time: what one waits for, the others use."""
    trees = len(roots)
    for i in range(rows.shape[0]):
        if not standardize(rows[i], center, scale, row):
            scores[i] = np.nan
            continue
        for j in range(len(row)):
            row[j] = np.float32(row[j])  # as the library does
        total = 0.0
        for tree in range(0, trees, 4):
            a, b = _U8(roots[tree]), _U8(roots[min(tree + 1, trees - 1)])
            c, d = _U8(roots[min(tree + 2, trees - 1)]), _U8(roots[min(tree + 3, trees - 1)])
            for _ in range(depth):  # from a leaf to itself
                a = _U8(children[a, _U8(row[_U8(questions[a])] > cuts[a])])
                b = _U8(children[b, _U8(row[_U8(questions[b])] > cuts[b])])
                c = _U8(children[c, _U8(row[_U8(questions[c])] > cuts[c])])
                d = _U8(children[d, _U8(row[_U8(questions[d])] > cuts[d])])
            total += lengths[a]
            total += lengths[b] if tree + 1 < trees else 0.0
            total += lengths[c] if tree + 2 < trees else 0.0
            total += lengths[d] if tree + 3 < trees else 0.0
        scores[i] = -(2.0 ** (-total / (trees * longest)))
