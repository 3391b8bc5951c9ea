"""Population stability index: the last values against a reference, bin by bin."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

from detectors.detector import demand
from detectors.distribution.binned import PSI as SUM_OF_PSI
from detectors.distribution.binned import Binned, BinnedParams


@dataclass(frozen=True, slots=True)
class PSIParams(BinnedParams):
    __doc__ = f"""{BinnedParams.__doc__}
    smoothing: added to the count of every cell, of the window and of the reference."""

    smoothing: float = 0.5

    def __post_init__(self) -> None:
        BinnedParams.__post_init__(self)
        demand(isfinite(self.smoothing) and self.smoothing > 0, "smoothing must be a number above 0")


class PSI(Binned):
    """The population stability index of a sliding window against a fixed reference.

    It is the sum over cells of (p - q) log(p / q), the relative entropies of both directions together. An empty cell
    would make it infinite, so `smoothing` is added to every count, of the window and of the reference; the habit of
    0.1 and 0.25 for levels overlooks that chance alone gives about (cells - 1) × (1 / window + 1 / reference). There
    is no test before the window is full; an alarm empties it.

    Memory: 12 bytes × window, plus 56 bytes × cells, plus the reference.

    >>> import numpy as np
    >>> rng = np.random.default_rng(3)
    >>> detector = PSI(PSIParams(reference=rng.normal(size=1000)))
    >>> int(detector.update_many(np.concatenate([rng.normal(size=2000), rng.normal(1.0, size=400)]))[0])
    2262

    Jeffreys: An invariant form for the prior probability in estimation problems. Proc. R. Soc. A 186 (1946), 453-461.
    Yurdakul, Naranjo: Statistical properties of the population stability index. J. Risk Model Validation 14 (2020).
    """

    name: ClassVar[str] = "psi"
    parameters: ClassVar[type[PSIParams]] = PSIParams
    sum_of: ClassVar[int] = SUM_OF_PSI

    def __init__(self, params: PSIParams) -> None:
        super().__init__(params, params.smoothing)
