"""Who finds the changes soonest, role by role: what the default detectors are chosen from."""

from __future__ import annotations

from collections.abc import Sequence

from detectors.evaluation.pages import best_delay
from detectors.evaluation.run import Found, Outcome, Setting
from detectors.evaluation.series import Family, Role
from detectors.evaluation.text import geometric, label, number, percent, table

ROLES: tuple[Role, ...] = ("error", "score", "numeric", "categories")
_HEAD = (
    "detector", "changes", "equal rate: delay", "worst", "missed", "from a budget: delay", "missed", "refused",
    "worst false alarms", "as it comes: false alarms",
)  # fmt: skip


def summary(families: Sequence[Family], found: Found, every: int) -> str:
    """A table for each role; those that take the most of its changes first, then by delay."""
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


def prices(family: Family, outcome: Outcome, found: Found, every: int) -> list[float]:
    """Mean delays over the best one's at the equal rate, a change each."""
    if outcome.rate is None:
        return []
    return [outcome.delays[c.name].mean / best_delay(family, c, found, every) for c in family.changes]


def _standing(
    name: str, families: Sequence[Family], found: Found, every: int
) -> tuple[tuple[int, float, str], list[str]] | None:
    """(what to sort by, the row) of a detector; None where it takes none of the families."""
    taken = [f for f in families if (f.name, name, "equal") in found]
    if not taken:
        return None

    def all_prices(setting: Setting) -> list[float]:
        return [r for f in taken for r in prices(f, found[f.name, name, setting], found, every)]

    def missed(setting: Setting) -> str:
        return percent([d.missed for f in taken for d in found[f.name, name, setting].delays.values()])

    equal, promised = all_prices("equal"), all_prices("calibrated")
    outcomes = [found[f.name, name, "calibrated"] for f in taken]
    has_method = any(o.rate is not None or o.refused for o in outcomes)
    worst = max((o.rate.per_million for o in outcomes if o.rate is not None), default=None)
    comes = sorted(o.rate.per_million for f in taken if (o := found[f.name, name, "defaults"]).rate is not None)
    changes = sum(len(f.changes) for f in taken)
    row = [
        label(name),
        str(changes),
        f"× {geometric(equal):.2f}",
        f"× {number(max(equal))}",
        missed("equal"),
        f"× {geometric(promised):.2f}" if promised else "–",
        missed("calibrated"),
        percent([o.refused / o.references for o in outcomes]) if has_method else "*none*",
        "–" if worst is None else number(worst),
        number(comes[len(comes) // 2]) if comes else "–",
    ]
    return (-changes, geometric(equal), name), row
