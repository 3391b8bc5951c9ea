"""How a budget of false alarms is divided over series that come one after the other.

Expected numbers of alarms add up, whether series depend on each other or not: where each series keeps to its share
and the shares sum to the budget, all of them together keep to it. Shares are fixed for good when they are given, so
that a series that comes later moves no threshold: the series that are known at arming share 6/π² (61 %) of the budget
evenly, the next as many share a quarter of that, then a ninth, and so on: 1 + 1/4 + 1/9 + … = π²/6.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import pi
from typing import Any, Self

from detectors.detector import demand


def share(place: int, known: int) -> float:
    """The part of the budget, 0 to 1, of the series at a place (from 0), where `known` were known at arming.

    >>> [round(share(place, known=2), 3) for place in (0, 1, 2, 3, 4)]
    [0.304, 0.304, 0.076, 0.076, 0.034]
    """
    demand(place >= 0 and known >= 1, "place must be at least 0 and known at least 1")
    generation = place // known + 1
    return 6.0 / (pi * pi * generation * generation * known)


class Division:
    """Which series holds which share. A newcomer takes the lowest free place; who goes frees his for the next.

    The sum over those who are there never exceeds 1, at any time. The first `known` places are worth the same, so it
    does not matter in which order the series known at arming take them.

    >>> division = Division(known=2)
    >>> division.take("error") == division.take("score") > division.take("features.amount")
    True
    """

    def __init__(self, known: int) -> None:
        demand(known >= 1, "known must be at least 1")
        self.known = known
        self._places: dict[str, int] = {}

    def take(self, series: str) -> float:
        """The share, 0 to 1, of a series: the one it has, or the largest that is free."""
        if series not in self._places:
            taken = set(self._places.values())
            self._places[series] = next(place for place in range(len(taken) + 1) if place not in taken)
        return share(self._places[series], self.known)

    def free(self, series: str) -> None:
        """A series is no longer watched."""
        self._places.pop(series, None)

    @property
    def total(self) -> float:
        """The sum of the shares that are taken."""
        return sum(share(place, self.known) for place in sorted(self._places.values()))

    def tree(self) -> dict[str, Any]:
        """Itself as numbers and texts, for a snapshot."""
        return {"known": self.known, "places": dict(self._places)}

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> Self:
        """What `tree` gave."""
        division = cls(tree["known"])
        division._places = dict(tree["places"])
        return division
