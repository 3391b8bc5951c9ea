"""What the contract suite runs every detector with: parameters, a stream with changes, what must be refused.

Each group of detectors describes its own in `cases_<group>.py`; `every` collects them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

GROUPS = ("betting", "multivariate", "river", "run_length", "windows")


@dataclass(frozen=True)
class Case:
    """A detector as the contract suite sees it.

    `healthy(rng, size)` and `changed(rng, size)` are values before and after a change of the kind the detector is for,
    with the parameters `params[0]`: it must alarm within `within` of them, and it stays quiet over `quiet` healthy
    ones. `refused`: parameters (over params[0]) and what the sentence must say. `slow`: over 1 µs a value.
    `draws`: it draws numbers, and does not draw those of before an alarm again. `knob`: the parameter that says what
    an alarm is, and what to multiply it by to make alarms rarer; None where there is none. `shaped`: that parameter
    shapes what the detector remembers, too.
    """

    name: str
    params: tuple[dict[str, Any], ...]
    healthy: Callable[[np.random.Generator, int], Array]
    changed: Callable[[np.random.Generator, int], Array]
    refused: tuple[tuple[dict[str, Any], str], ...]
    within: int = 500
    quiet: int = 300
    slow: bool = False
    draws: bool = False
    knob: tuple[str, float] | None = ("threshold", 1.3)
    shaped: bool = False

    def stream(self, seed: int, size: int = 900) -> Array:
        """Values that change twice, with missing and infinite ones among them."""
        rng = np.random.default_rng(seed)
        third = size // 3
        values = np.concatenate(
            [self.healthy(rng, third), self.changed(rng, third), self.healthy(rng, size - 2 * third)]
        )
        bad = rng.random(len(values))
        values[bad < 0.03] = np.nan
        values[bad > 0.99] = np.inf
        return values


def normal(mean: float = 0.0, deviation: float = 1.0) -> Callable[[np.random.Generator, int], Array]:
    """Independent normal values."""
    return lambda rng, size: rng.normal(mean, deviation, size)


def bernoulli(rate: float) -> Callable[[np.random.Generator, int], Array]:
    """Independent errors, 0 or 1."""
    return lambda rng, size: (rng.random(size) < rate).astype(np.float64)


def categories(*weights: float) -> Callable[[np.random.Generator, int], Array]:
    """Independent categories, coded 0, 1, … in proportion to the weights."""
    shares = np.array(weights) / sum(weights)
    return lambda rng, size: rng.choice(len(shares), size, p=shares).astype(np.float64)


def every() -> list[Case]:
    """The cases of all groups."""
    return [case for group in GROUPS for case in import_module(f"tests.detectors.cases_{group}").CASES]
