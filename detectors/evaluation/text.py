"""Numbers and tables as the pages write them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, log

from detectors.evaluation.contenders import CONTENDERS
from detectors.evaluation.measure import Rate

_RIVER = {c.label for c in CONTENDERS if c.river}


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = True) -> str:
    """A markdown table; all columns but the first to the right where they hold numbers."""
    lines = [head, ["---", *["--:" if numbers else "---"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def number(value: float) -> str:
    """With two digits that count; whole from ten on."""
    if value >= 100:
        digits = max(0, len(str(round(value))) - 3)
        return f"{round(value, -digits):,.0f}"
    return f"{value:.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


def rate_of(rate: Rate | None) -> str:
    """False alarms per million."""
    return "–" if rate is None else ("≥ " if rate.capped else "") + number(rate.per_million)


def label(name: str) -> str:
    """A detector's name as the pages write it: river's twins say so."""
    return f"{name} (river's)" if name in _RIVER else name


def percent(shares: Sequence[float]) -> str:
    return f"{100 * sum(shares) / len(shares):.0f} %" if shares else "–"


def geometric(ratios: Sequence[float]) -> float:
    """The geometric mean."""
    return exp(sum(map(log, ratios)) / len(ratios))
