"""Jensen-Shannon distance: the last values against a reference, bin by bin, on a scale from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from detectors.detector import demand
from detectors.distribution.binned import JENSEN_SHANNON, Binned, BinnedParams


@dataclass(frozen=True, slots=True)
class JensenShannonParams(BinnedParams):
    __doc__ = BinnedParams.__doc__

    threshold: float = 0.2

    def __post_init__(self) -> None:
        BinnedParams.__post_init__(self)
        demand(self.threshold < 1, "threshold must be below 1, the largest distance")


class JensenShannon(Binned):
    """The Jensen-Shannon distance of a sliding window from a fixed reference.

    It is the square root of the mean relative entropy of both to their mixture, in bits: 0 where they are equal, 1
    where they have nothing in common, a metric, and finite without smoothing. It equals
    scipy.spatial.distance.jensenshannon's with base 2; small differences give about half the square root of
    psi / (2 log 2). There is no test before the window is full; an alarm empties it.

    Memory: 12 bytes × window, plus 56 bytes × cells, plus the reference.

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> detector = JensenShannon(JensenShannonParams(reference=rng.normal(size=1000)))
    >>> int(detector.update_many(np.concatenate([rng.normal(size=2000), rng.normal(1.0, size=400)]))[0])
    2244

    Lin: Divergence measures based on the Shannon entropy. IEEE Trans. Inf. Theory 37 (1991), 145-151. Endres,
    Schindelin: A new metric for probability distributions. IEEE Trans. Inf. Theory 49 (2003), 1858-1860.
    """

    name: ClassVar[str] = "jensen_shannon"
    parameters: ClassVar[type[JensenShannonParams]] = JensenShannonParams
    sum_of: ClassVar[int] = JENSEN_SHANNON

    def __init__(self, params: JensenShannonParams) -> None:
        super().__init__(params, 0.0)
