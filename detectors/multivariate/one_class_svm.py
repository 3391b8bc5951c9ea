"""One-class support vector machine: rows outside the smallest region that holds most of the reference."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, isfinite
from typing import ClassVar

import numba
import numpy as np
import numpy.typing as npt

from detectors.detector import Float64Array, demand
from detectors.multivariate.library import scikit_learn
from detectors.multivariate.outlying import Outlying, OutlyingParams
from detectors.multivariate.rows import fitted, standardize


@dataclass(frozen=True, slots=True)
class OneClassSVMParams(OutlyingParams):
    __doc__ = f"""{OutlyingParams.__doc__}
    nu: share of the sample that may lie outside, and the least share of it that is kept as support vectors. gamma: the
    kernel is exp(-gamma × squared distance), in the reference's deviations; 0 for 1 / features. sample: the most rows
    that are fitted on. Fitted: vectors (the support vectors, shape vectors × features) and weights (of each)."""

    nu: float = 0.1
    gamma: float = 0.0
    sample: int = 1000
    vectors: npt.ArrayLike | None = None
    weights: npt.ArrayLike | None = None

    def _check_model(self) -> None:
        demand(0 < self.nu < 1, "nu must lie between 0 and 1")
        demand(isfinite(self.gamma) and self.gamma >= 0, "gamma must be a number of at least 0")
        demand(50 <= self.sample <= 10_000, "sample must be 50 to 10,000 rows")

    def _fit_model(self, rows: Float64Array, rng: np.random.Generator) -> None:
        if self.gamma == 0.0:
            self._set(gamma=1.0 / rows.shape[1])
        machine = scikit_learn("svm", "one_class_svm").OneClassSVM(nu=self.nu, gamma=self.gamma)
        machine.fit(rows[: self.sample])
        self._set(vectors=machine.support_vectors_, weights=machine.dual_coef_[0])

    def _check_fit(self) -> None:
        vectors = fitted(self.vectors, "vectors", None, self.features)
        weights = fitted(self.weights, "weights", len(vectors))
        demand(bool((np.abs(weights) < 1e100).all()) and len(weights) > 0, "weights must be numbers within ±1e100")
        self._set(vectors=vectors, weights=weights)

    def _score(self, rows: Float64Array) -> Float64Array:
        scores, row = np.empty(len(rows)), np.empty(self.features)
        _score(rows, self.center, self.scale, self.vectors, self.weights, self.gamma, row, scores)
        return scores

    @property
    def model_bytes(self) -> int:
        return np.asarray(self.vectors).nbytes + np.asarray(self.weights).nbytes


class OneClassSVM(Outlying):
    """A one-class support vector machine fitted on a reference: how many of the last rows lie outside its region.

    It is the region of the feature space that holds all but `nu` of the reference with the widest margin from the
    origin; the score is the weighted sum of Gaussian kernels at the support vectors. It is scikit-learn's machine, kept
    as arrays, and the scores are its score_samples within 1e-9, of rows in deviations from the reference's mean, held
    within ±1e6. The level that a `share` of healthy rows scores below comes from rows held out of the fit, and the
    alarm from the share of the window's rows beyond it, so that the promise of `threshold_for` holds whatever the
    machine is worth; it needs exchangeable rows. Rows that crowd where the reference is dense are no outliers: mmd and
    domain_classifier see them.

    Memory: 8 bytes × (features + 1) × support vectors + 4 bytes × reference, plus the window.

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> detector = OneClassSVM(OneClassSVMParams(reference=rng.normal(size=(1000, 4))))
    >>> rows = np.concatenate([rng.normal(size=(2000, 4)), rng.normal(1.0, size=(400, 4))])
    >>> int(detector.update_many(rows)[0])
    2124

    Schölkopf, Platt, Shawe-Taylor, Smola, Williamson: Estimating the support of a high-dimensional distribution. Neural
    Computation 13 (2001), 1443-1471. Fitted by scikit-learn; a restored one does not need it.
    """

    name: ClassVar[str] = "one_class_svm"
    parameters: ClassVar[type[OneClassSVMParams]] = OneClassSVMParams


@numba.njit(cache=True, _nrt=False)
def _score(
    rows: Float64Array,
    center: Float64Array,
    scale: Float64Array,
    vectors: Float64Array,
    weights: Float64Array,
    gamma: float,
    row: Float64Array,
    scores: Float64Array,
) -> None:
    features = len(row)
    for i in range(rows.shape[0]):
        if not standardize(rows[i], center, scale, row):
            scores[i] = np.nan
            continue
        total = 0.0
        for k in range(len(weights)):
            squares = 0.0
            for j in range(features):
                apart = row[j] - vectors[k, j]
                squares += apart * apart
            total += weights[k] * exp(-gamma * squares)
        scores[i] = total
