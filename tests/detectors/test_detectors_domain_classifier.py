"""The domain classifier against its definition in plain Python, and its promise by simulation."""

from __future__ import annotations

from math import isclose, tanh
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from detectors.multivariate.domain_classifier import DomainClassifier, DomainClassifierParams

Array = np.ndarray[Any, np.dtype[np.float64]]
RATES, BETS = (0.5, 0.1, 0.02), (1.0, 0.5, 0.2)
REFERENCE = np.random.default_rng(5).normal(size=(120, 2)) * [1.0, 10.0]


def splitmix(seed: int, count: int) -> float:
    state = (seed + count * 0x9E3779B97F4A7C15) % 2**64
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % 2**64
    return ((state ^ (state >> 31)) >> 11) * 2.0**-53


class Plain:
    """What the docstring says, one number after the other."""

    def __init__(self, params: DomainClassifierParams) -> None:
        self.params, self.drawn, self.left = params, 0, list(range(len(np.asarray(params.partners))))
        self.place = 0
        self.clear()

    def clear(self) -> None:
        self.weights = np.zeros((3, self.params.inputs))
        self.wealth = np.zeros((3, 3))

    def seen(self, row: Array) -> Array:
        z = np.clip((row - self.params.center) / self.params.scale, -4.0, 4.0)
        pairs = [z[i] * z[j] for i in range(len(z)) for j in range(i, len(z))] if self.params.products else []
        return np.array([*z, *pairs])

    def partner(self) -> Array:
        if self.place == len(self.left):
            self.clear()
            self.place = 0
        self.drawn += 1
        other = self.place + int(splitmix(self.params.seed, self.drawn) * (len(self.left) - self.place))
        self.left[self.place], self.left[other] = self.left[other], self.left[self.place]
        self.place += 1
        row: Array = np.asarray(self.params.partners)[self.left[self.place - 1]]
        return row

    def update(self, row: Array) -> bool:
        partner = self.partner()
        apart = self.seen(row) - self.seen(partner)
        for c, rate in enumerate(RATES):
            sure = tanh(0.5 * float(self.weights[c] @ apart))
            for b, bet in enumerate(BETS):
                self.wealth[c, b] = (self.wealth[c, b] + 1.0) * (1.0 + bet * sure)
            self.weights[c] *= 1.0 - 0.01 * rate
            self.weights[c] += rate * (1.0 - sure) / (1.0 + float(apart @ apart)) * apart
        return bool(self.wealth.mean() > self.params.threshold)

    def __call__(self, rows: Array) -> list[int]:
        found = []
        for i, row in enumerate(rows):
            if self.update(row):
                found.append(i)
                self.clear()
        return found


@given(seed=st.integers(0, 2**63 - 1), products=st.booleans())
@settings(derandomize=True, deadline=None, max_examples=15)
def test_it_is_what_its_docstring_says(seed: int, products: bool) -> None:
    rng = np.random.default_rng(seed)
    rows = REFERENCE[rng.integers(120, size=400)]
    rows[150:250] += [0.5, 20.0]
    params = DomainClassifierParams(reference=REFERENCE, threshold=40.0, products=products, seed=seed)
    detector, plain = DomainClassifier(params), Plain(params)
    found = detector.update_many(rows).tolist()
    assert found == plain(rows)
    assert len(found) >= 1
    if found[-1] < 399:
        assert isclose(detector.statistic, plain.wealth.mean(), rel_tol=1e-9)


def test_each_reference_row_is_drawn_once_in_a_round_and_each_round_is_another_order() -> None:
    params = DomainClassifierParams(reference=REFERENCE, threshold=1e12)
    detector = DomainClassifier(params)
    size = len(np.asarray(params.partners))
    assert size == 108
    rounds = []
    for _ in range(3):
        detector.update_many(REFERENCE[:108])
        assert detector.state()["counts"][5] == size
        rounds.append(detector.state()["order"].tolist())
    assert all(sorted(each) == list(range(size)) for each in rounds)
    assert rounds[0] != rounds[1] != rounds[2] != rounds[0]


def test_an_alarm_does_not_give_used_rows_back() -> None:
    detector = DomainClassifier(DomainClassifierParams(reference=REFERENCE, threshold=30.0))
    at = detector.feed(REFERENCE + np.array([3.0, 0.0]))
    assert 0 <= at < 50
    used = detector.state()["order"][: at + 1].tolist()
    detector.update_many(REFERENCE[:10])
    assert detector.state()["order"][: at + 1].tolist() == used
    assert detector.state()["counts"][5] == at + 11


def correlated(rng: np.random.Generator, size: int) -> Array:
    rows = rng.normal(size=(size, 3))
    rows[:, 1] = 0.9 * rows[:, 0] + 0.4 * rows[:, 1]
    return rows


WORLDS = {
    "normal": lambda rng, size: rng.normal(size=(size, 3)),
    "correlated": correlated,
    "rare": lambda rng, size: (rng.random((size, 3)) < 0.05) * 1.0,
    "heavy": lambda rng, size: rng.standard_cauchy((size, 3)),
}


@pytest.mark.parametrize("world", WORLDS)
def test_the_run_length_is_at_least_the_threshold_however_often_the_reference_is_gone_through(world: str) -> None:
    """200 references of 150 rows, each against 1500 healthy rows: eleven rounds."""
    rng, alarms, rows = np.random.default_rng(7), 0, 0
    for seed in range(200):
        params = DomainClassifierParams(reference=WORLDS[world](rng, 150), threshold=60.0, seed=seed)
        alarms += len(DomainClassifier(params).update_many(WORLDS[world](rng, 1500)))
        rows += 1500
    promised = rows / 60.0
    assert 0.02 * promised < alarms <= promised + 3.0 * np.sqrt(promised)
    assert alarms <= poisson.ppf(0.9999, promised)


@pytest.mark.parametrize("kind", ["mean", "spread", "correlation", "one of ten"])
def test_changes_of_mean_spread_and_correlation_are_found(kind: str) -> None:
    delays = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        features = 10 if kind == "one of ten" else 2
        detector = DomainClassifier(DomainClassifierParams(reference=rng.normal(size=(5000, features)), threshold=1e5))
        assert detector.update_many(rng.normal(size=(1000, features))).tolist() == []
        changed = rng.normal(size=(1000, features))
        if kind == "mean":
            changed += 0.7
        elif kind == "spread":
            changed *= 1.6
        elif kind == "correlation":
            changed[:, 1] = 0.9 * changed[:, 0] + np.sqrt(1 - 0.9**2) * changed[:, 1]
        else:
            changed[:, 3] += 1.2
        delays.append(detector.feed(changed))
    assert min(delays) >= 0
    assert np.median(delays) < 200


def test_without_products_a_correlation_is_not_looked_for() -> None:
    rng = np.random.default_rng(0)
    params = DomainClassifierParams(reference=rng.normal(size=(2000, 3)), threshold=1e4, products=False)
    assert params.inputs == 3
    assert DomainClassifier(params).update_many(correlated(rng, 1000)).tolist() == []
