"""Who finds the changes soonest, role by role: what the default detectors are chosen from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from detectors.evaluation.pages import best_delay, noisy
from detectors.evaluation.run import Found, Outcome, Setting
from detectors.evaluation.series import Family, Role
from detectors.evaluation.text import geometric, label, number, percent, table

ROLES: tuple[Role, ...] = ("error", "score", "numeric", "categories", "rows")
_HEAD = (
    "detector", "changes",
    "equal rate: delay", "worst", "missed",
    "from a budget: delay", "missed", "refused", "worst false alarms",
    "as it comes: delay", "missed", "false alarms", "worst",
)  # fmt: skip


def summary(families: Sequence[Family], found: Found, every: int) -> str:
    """A table for each role, the soonest first."""
    names = sorted({name for _, name, _ in found})
    parts = []
    for role in ROLES:
        mine = [family for family in families if family.role == role and family.changes]
        rows = [standing for name in names if (standing := _standing(name, mine, found, every)) is not None]
        if rows:
            parts.append(
                f"### {role.capitalize()}: {sum(len(f.changes) for f in mine)} changes on {len(mine)} series\n"
            )
            parts.append(table(_HEAD, [row for _, row in sorted(rows)]))
    return "\n".join(parts)


def _standing(
    name: str, families: Sequence[Family], found: Found, every: int
) -> tuple[tuple[float, str], list[str]] | None:
    """(what to sort by, the row) of a detector; None where it takes none of the families."""
    taken = [f for f in families if (f.name, name, "equal") in found]
    if not taken:
        return None
    changes = sum(len(f.changes) for f in taken)
    equal = _delays(name, taken, "equal", found, every)
    row = [label(name), str(changes), equal.price(), f"× {number(max(equal.prices))}", percent(equal.missed)]
    promised = [found[f.name, name, "calibrated"] for f in taken]
    if any(o.rate is not None or o.refused for o in promised):
        budget = _delays(name, taken, "calibrated", found, every)
        refused = percent([o.refused / o.references for o in promised])
        row += [budget.price(), percent(budget.missed), refused, _worst(promised)]
    else:
        row += ["*none*", "", "", ""]
    comes = [found[f.name, name, "defaults"] for f in taken]
    bare = _delays(name, taken, "defaults", found, every)
    rates = sorted(o.rate.per_million for o in comes if o.rate is not None)
    row += [bare.price(), percent(bare.missed), number(rates[len(rates) // 2]), _worst(comes)]
    return (geometric(equal.prices), name), row


@dataclass(frozen=True, slots=True)
class _Delays:
    """Over changes: mean delays over the best one's at the equal rate, shares missed."""

    prices: list[float]
    missed: list[float]

    def price(self) -> str:
        return f"× {geometric(self.prices):.2f}" if self.prices else "–"


def _delays(name: str, families: Sequence[Family], setting: Setting, found: Found, every: int) -> _Delays:
    prices, missed = [], []
    for family in families:
        outcome = found[family.name, name, setting]
        hopeless = setting == "equal" and noisy(outcome.rate, every)
        for change in family.changes if outcome.rate is not None else ():
            delays = outcome.delays[change.name]
            mean = family.horizon if hopeless else delays.mean
            prices.append(mean / best_delay(family, change, found, every))
            missed.append(1.0 if hopeless else delays.missed)
    return _Delays(prices, missed)


def _worst(outcomes: Sequence[Outcome]) -> str:
    worst = max((o.rate.per_million for o in outcomes if o.rate is not None), default=None)
    return "–" if worst is None else number(worst)
