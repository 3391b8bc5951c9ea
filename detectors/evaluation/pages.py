"""The pages: outcomes as plain markdown tables."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt

from detectors.evaluation.measure import Delays, Rate
from detectors.evaluation.rivers_own import Agreement
from detectors.evaluation.run import Found, Outcome, Scale, Setting
from detectors.evaluation.series import Change, Family, Role
from detectors.evaluation.text import label, number, rate_of, table

_ROLE: dict[Role, str] = {
    "error": "an error",
    "score": "a score",
    "numeric": "a numeric feature",
    "categories": "a categorical feature",
    "rows": "several features at once",
}


def uneven(rate: Rate, every: int) -> bool:
    """Whether a rate is not the wanted one, by more than chance (three deviations of the count) and a factor of two."""
    expected = rate.values / every
    return abs(rate.alarms - expected) > 3.0 * sqrt(expected) and not 0.5 <= rate.alarms / expected <= 2.0


def noisy(rate: Rate | None, every: int) -> bool:
    """Whether a rate is that much over the wanted one: delays at it prove nothing."""
    return rate is None or (uneven(rate, every) and rate.alarms * every > rate.values)


def heading(title: str, seed: int, scale: Scale, more: str) -> str:
    """The beginning of a page: what it is, and what makes it again."""
    values = f"{scale.references * scale.values:,}"
    return f"""# {title}

Written by `python -m detectors.evaluation --seed {seed}`, with {scale.references} references and {values} healthy
values for each detector and series. {more}
"""


def false_alarms(families: Sequence[Family], found: Found, own: Sequence[Agreement], seed: int, scale: Scale) -> str:
    """The page of false alarms on stationary series."""
    ten = [f for f in families if f.ten]
    names = sorted({name for _, name, _ in found})

    def rates(setting: Setting) -> str:
        cells = [[label(name), *[_rate_cell(found.get((f.name, name, setting))) for f in ten]] for name in names]
        return table(["detector", *[f.name for f in ten]], cells)

    return f"""{heading("False alarms on healthy series", seed, scale, "Figures are false alarms in a million values.")}
The series never change. – is where a detector is not for such values.

![False alarms, by defaults and from a budget](false_alarms.svg)

## As they come

Each detector with its own defaults, told no more than it must be told (a reference, or the mean and standard
deviation). River's detectors are run by their twins here; below, river itself on the first of the same values.

{rates("defaults")}
{_agreements(own)}
## From a budget

`calibrate` with a budget of {number(1e6 / scale.every)} in a million, from a reference of the same series. *refused*:
it gave no parameters from any reference, and said why; in brackets, how many of {scale.references} references it
refused where it gave some. *none*: there is no method for this detector.

{rates("calibrated")}
### Reasons

{_reasons(ten, names, found)}"""


def _agreements(own: Sequence[Agreement]) -> str:
    rows = [[a.detector, f"{a.values:,}", f"{a.rivers:,}", f"{a.twins:,}", "yes" if a.same else "**no**"] for a in own]
    return table(["detector", "values", "river's alarms", "the twin's", "at the same values"], rows)


def _rate_cell(outcome: Outcome | None) -> str:
    if outcome is None:
        return "–"
    if outcome.rate is None:
        return "*refused*" if outcome.refused else "*none*"
    return rate_of(outcome.rate) + (f" ({outcome.refused})" if outcome.refused else "")


def _reasons(ten: Sequence[Family], names: Sequence[str], found: Found) -> str:
    why: dict[tuple[str, str], list[str]] = {}
    for name in names:
        for family in ten:
            outcome = found.get((family.name, name, "calibrated"))
            if outcome is not None and outcome.reason is not None:
                why.setdefault((name, outcome.reason), []).append(family.name)
    rows = [[name, ", ".join(series), reason] for (name, reason), series in why.items()]
    return table(["detector", "series", "reason, of the last"], rows, numbers=False) if rows else "None.\n"


def delays(title: str, families: Sequence[Family], found: Found, seed: int, scale: Scale) -> str:
    """The page of delays: a table for each change."""
    budget = number(1e6 / scale.every)
    about = f"Each change was tried {scale.references * scale.trials} times."
    parts = [
        f"""{heading(title, seed, scale, about)}
Delays are values from the change to the first alarm; where there was none within the horizon, the horizon stands for it
in mean and p90. A blind detector alarms by chance too: its share missed is exp(-horizon × rate).

*Equal rate*: thresholds turned by simulation to {budget} false alarms in a million values, and verified on fresh
streams: what came of it is in the column. † marks a rate that is another by more than chance and a factor of two (two
is worth 7 % of a delay): where values are discrete, or a detector tests only now and then, not every rate can be had.
*From a budget*: `calibrate` with {budget} in a million. *As it comes*: its own defaults; where these alarm all the
time, a short delay is worth nothing. In bold the shortest mean delay at the equal rate.

*log L / information*, where it is known: no detector with L values between false alarms, knowing all of both
distributions, has a mean delay much under it (Lorden 1971).
"""
    ]
    for family in families:
        for change in family.changes:
            parts.append(f"## {family.name}: {change.name}\n")
            parts.append(
                f"{change.what.capitalize()}; {_ROLE[family.role]}; horizon {family.horizon:,} values"
                f"{_floor(change, scale.every)}.\n"
            )
            parts.append(_delay_table(family, change, found, scale.every))
    return "\n".join(parts)


def _floor(change: Change, every: int) -> str:
    """The delay that no detector can be much under."""
    return "" if change.information is None else f"; log L / information = {number(log(every) / change.information)}"


def _delay_table(family: Family, change: Change, found: Found, every: int) -> str:
    names = [name for (f, name, setting) in found if f == family.name and setting == "equal"]
    equal = {name: found[family.name, name, "equal"] for name in names}
    names.sort(key=lambda name: (equal[name].delays[change.name].mean, name))
    best = best_delay(family, change, found, every)
    rows = []
    for name in names:
        cells = [label(name)]
        for setting in ("equal", "calibrated", "defaults"):
            outcome = found[family.name, name, setting]
            cells += _delay_cells(outcome, change, every if setting == "equal" else None, best)
        rows.append(cells)
    head = [
        "equal rate: false alarms", "mean", "p90", "missed",
        "from a budget: false alarms", "mean", "p90", "missed",
        "as it comes: false alarms", "mean", "p90", "missed",
    ]  # fmt: skip
    return table(["detector", *head], rows)


def _delay_cells(outcome: Outcome, change: Change, every: int | None, best: float) -> list[str]:
    if outcome.rate is None:
        return ["*refused*" if outcome.refused else "*none*", "", "", ""]
    found: Delays = outcome.delays[change.name]
    odd = " †" if every is not None and uneven(outcome.rate, every) else ""
    mean = number(found.mean)
    bold = every is not None and not odd and found.mean <= best
    return [
        rate_of(outcome.rate) + odd,
        f"**{mean}**" if bold else mean,
        number(found.p90),
        f"{100 * found.missed:.0f} %",
    ]


def best_delay(family: Family, change: Change, found: Found, every: int) -> float:
    """The shortest mean delay of those that have the equal rate; of all, where none has."""
    means = {
        name: o.delays[change.name].mean
        for (f, name, setting), o in found.items()
        if f == family.name and setting == "equal" and o.rate is not None and not uneven(o.rate, every)
    }
    every_mean = [o.delays[change.name].mean for (f, _, s), o in found.items() if f == family.name and s == "equal"]
    return min(means.values(), default=min(every_mean))
