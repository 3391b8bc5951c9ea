"""What a value costs each detector against river's or scipy's own, on the same values in the same run.

    python -m tests.benchmarks.detector_speed [--rounds 7] [--scale 1.0]

Prints nanoseconds a value of both and their ratio: for `update_many` against river's loop of updates (which does not
even ask for the alarm), and for a single `update` against a single one. Each round times both one after the other, in
CPU time; the fastest round counts. Exit 1 where the alarms differ, and only then: a machine's speed is no failure.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from river import drift
from scipy import stats

import detectors

Array = npt.NDArray[np.float64]
REFERENCE = np.random.default_rng(11).normal(size=1000)
WINDOW, DISTANCE = 500, 0.2


class SlidingKS:
    """What one writes with scipy: a test of the last values against the reference at every value."""

    def __init__(self) -> None:
        self.drift_detected = False
        self._window: list[float] = []

    def update(self, value: float) -> None:
        """Take a value; an alarm empties the window."""
        if self.drift_detected:
            self._window.clear()
        self._window.append(value)
        del self._window[:-WINDOW]
        full = len(self._window) == WINDOW
        self.drift_detected = full and stats.ks_2samp(self._window, REFERENCE, method="asymp").statistic > DISTANCE


@dataclass(frozen=True)
class Pair:
    """Ours and theirs with the same parameters. `goal`: how many times as fast `update_many` is to be; `single`: how
    many times as long a single update may take. The first `before` values are fed before the clock starts."""

    ours: str
    params: dict[str, Any]
    theirs: Callable[[], Any]
    values: Callable[[int], Array]
    size: int
    goal: float | None = None
    single: float | None = None
    before: int = 0


def errors(size: int) -> Array:
    """Errors at a rate of .1, which doubles for a while, twice."""
    rate = np.repeat([0.1, 0.2, 0.1, 0.2, 0.1], -(-size // 5))[:size]
    return (np.random.default_rng(1).random(size) < rate).astype(np.float64)


def normal(size: int) -> Array:
    """Normal values, which move by one deviation for a while, twice."""
    return np.random.default_rng(2).normal(np.repeat([0.0, 1.0, 0.0, 1.0, 0.0], -(-size // 5))[:size])


PAIRS = {
    "adwin": Pair("adwin", {}, drift.ADWIN, errors, 200_000, goal=7, single=2),
    "adwin, clock 1": Pair("adwin", {"clock": 1}, lambda: drift.ADWIN(clock=1), errors, 100_000, single=2),
    "ddm": Pair("ddm", {}, drift.binary.DDM, errors, 50_000),
    "eddm": Pair("eddm", {}, drift.binary.EDDM, errors, 100_000),
    "hddm_a": Pair("hddm_a", {}, drift.binary.HDDMA, errors, 20_000, goal=20),
    "hddm_w": Pair("hddm_w", {}, drift.binary.HDDMW, errors, 20_000, goal=20),
    "kswin": Pair("kswin", {"seed": 1}, lambda: drift.KSWIN(seed=1), normal, 1_500),
    "page_hinkley": Pair("page_hinkley", {}, drift.PageHinkley, normal, 100_000, goal=40),
    "windowed_ks against ks_2samp": Pair(
        "windowed_ks",
        {"reference": REFERENCE, "window": WINDOW, "threshold": DISTANCE},
        SlidingKS,
        normal,
        2_500,
        goal=500,
        before=WINDOW,
    ),
}


def alarms_of(detector: Any, values: Array) -> list[int]:
    """The alarms of a detector of theirs, value by value."""
    found = []
    for i, value in enumerate(values.tolist()):
        detector.update(value)
        if detector.drift_detected:
            found.append(i)
    return found


def timed(work: Callable[[], object]) -> float:
    """Seconds of CPU that it takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def looped(update: Callable[[float], object], values: list[float]) -> Callable[[], None]:
    """One update after the other."""

    def work() -> None:
        for value in values:
            update(value)

    return work


def measure(pair: Pair, rounds: int, scale: float) -> dict[str, float | bool]:
    """Nanoseconds a value: ours of many, theirs, ours of one; and whether the alarms were the same."""
    values = pair.values(max(pair.before + 100, int(pair.size * scale)))
    expected = alarms_of(pair.theirs(), values)
    single = detectors.build(pair.ours, **pair.params)
    same = detectors.build(pair.ours, **pair.params).update_many(values).tolist() == expected
    same &= [i for i, value in enumerate(values) if single.update(value)] == expected

    first, rest = values[: pair.before], values[pair.before :]
    listed = rest.tolist()
    best = {"many": float("inf"), "theirs": float("inf"), "one": float("inf")}
    for _ in range(rounds):
        ours, alone = (detectors.build(pair.ours, **pair.params) for _ in range(2))
        theirs = pair.theirs()
        ours.update_many(first)
        alone.update_many(first)
        alarms_of(theirs, first)
        took = {
            "many": timed(lambda ours=ours: ours.update_many(rest)),  # type: ignore[misc]
            "theirs": timed(looped(theirs.update, listed)),
            "one": timed(looped(alone.update, listed)),
        }
        best = {key: min(best[key], seconds / len(rest) * 1e9) for key, seconds in took.items()}
    return {**best, "alarms": len(expected), "same": same}


def verdict(ratio: float, goal: float | None, least: bool) -> str:
    """What there is to say of a ratio and its goal."""
    if goal is None:
        return ""
    met = ratio >= goal if least else ratio <= goal
    return f"{'at least' if least else 'at most'} {goal:g}: {'met' if met else 'MISSED'}"


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 where alarms differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of values")
    chosen = parser.parse_args(arguments)
    print(f"{'ns a value':30}{'ours':>9}{'theirs':>11}{'times':>8}  goal{'':16}{'single':>8}{'of':>7}  goal")
    differing = []
    for name, pair in PAIRS.items():
        got = measure(pair, chosen.rounds, chosen.scale)
        times, share = got["theirs"] / got["many"], got["one"] / got["theirs"]
        print(
            f"{name:30}{got['many']:9.1f}{got['theirs']:11.0f}{times:8.1f}  {verdict(times, pair.goal, True):20}"
            f"{got['one']:8.0f}{share:7.2f}  {verdict(share, pair.single, False)}",
            flush=True,
        )
        if not got["same"]:
            differing.append(name)
    print(f"alarms differ: {', '.join(differing)}" if differing else "all alarms are the same")
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
