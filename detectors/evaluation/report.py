"""Everything that docs/detectors/ holds, from outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detectors.evaluation import pages, plots
from detectors.evaluation.real import REAL
from detectors.evaluation.rivers_own import agreements
from detectors.evaluation.run import Found, Scale, families
from detectors.evaluation.series import Family
from detectors.evaluation.summary import summary

FILES = (
    "README.md", "false_alarms.md", "delays.md", "real.md", "false_alarms.svg", "delays.svg", "curves.svg",
)  # fmt: skip
"""What `write` writes."""


def write(found: Found, seed: int, scale: Scale, out: Path) -> None:
    """Write every page and picture into the folder."""
    out.mkdir(parents=True, exist_ok=True)
    tried = {family for family, _, _ in found}
    every = [family for family in families(scale) if family.name in tried]
    made, lived = [f for f in every if f.name not in REAL], [f for f in every if f.name in REAL]
    own = agreements([f for f in every if f.ten], seed, scale)
    texts = {
        "README.md": _front(every, found, seed, scale),
        "false_alarms.md": pages.false_alarms(every, found, own, seed, scale),
        "delays.md": pages.delays("Delays after a change", made, found, seed, scale),
        "real.md": pages.delays("Delays on real values, regimes spliced", lived, found, seed, scale),
    }
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    plots.false_alarms(every, found, scale.every, out / "false_alarms.svg")
    plots.delays(every, found, scale.every, out / "delays.svg")
    plots.curves(every, found, scale.every, out / "curves.svg")


def _front(every: Sequence[Family], found: Found, seed: int, scale: Scale) -> str:
    about = "Nothing here is written by hand; the same seed gives the same bytes."
    return f"""{pages.heading("Detectors, measured", seed, scale, about)}
- [False alarms](false_alarms.md) on healthy series of many kinds: as detectors come, and from a budget.
- [Delays](delays.md) after abrupt, gradual, recurring and small changes, at an equal rate of false alarms.
- [Delays on real values](real.md): data sets that ship inside river and scikit-learn, regimes spliced openly.

## Who finds changes soonest
*changes*: how many the detector is for. *delay*: its mean delay over the shortest of all at the equal rate of
{1e6 / scale.every:.0f} false alarms in a million values, the geometric mean over the changes; *worst*: the largest such
ratio. Where it cannot be set to so low a rate, the horizon stands for the delay. *missed*: trials without an alarm
within the horizon. *from a budget*: calibrated from a reference to the same number, and with the least effect that
matters by default; *refused*: references from which the promise could not be made, which are left out of the delay.
*false alarms* are in a million values: the worst of the series and, as it comes, the median.

{summary(every, found, scale.every)}
![Delays over the shortest](delays.svg)

![Delays by the size of the change](curves.svg)
"""
