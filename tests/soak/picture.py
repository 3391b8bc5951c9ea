"""The picture of a soak: a panel for each kind of figure, the samples and the slope through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np

from tests.soak.machine import SPEEDS
from tests.soak.sampling import Sample
from tests.soak.slopes import Slope

matplotlib.use("svg")
from matplotlib import pyplot  # the backend is chosen first: there may be no screen

PANELS: Mapping[str, Sequence[str]] = {
    "resident memory, MiB, least of 10 s": ("join.rss_least", "gauge.rss_least", "parent.rss_least"),
    "open files and threads": ("join.files", "gauge.files", "join.threads", "gauge.threads"),
    "held records": ("join.held",),
    "lag, records": ("join.lag", "gauge.lag"),
    "from timestamp to commit, ms": ("join.delay", "gauge.delay"),
    "commit, ms": ("join.commit", "gauge.commit", "control.commit"),
    "CPU time a record, µs": ("join.work", "gauge.work"),
    "the machine's speed: CPU time of fixed work, ms": SPEEDS,
}


def draw(samples: Sequence[Sample], slopes: Sequence[Slope], settle: float, title: str, path: Path) -> None:
    """Write the picture (SVG). `settle` is when the slopes begin, in seconds."""
    by_name = {slope.name: slope for slope in slopes}
    minutes = np.array([sample["seconds"] for sample in samples]) / 60
    with pyplot.rc_context({"svg.hashsalt": "soak", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = pyplot.subplots(
            len(PANELS), 1, sharex=True, figsize=(8, 2.1 * len(PANELS)), layout="constrained"
        )
        for axis, (label, names) in zip(axes, PANELS.items(), strict=True):
            for name in names:
                values = [sample[name] for sample in samples]
                axis.plot(minutes, values, linewidth=0.8, label=f"{name}{by_name.get(name, '')}")
            axis.set_ylabel(label)
            axis.set_ylim(bottom=0)
            axis.axvline(settle / 60, color="grey", linestyle=":", linewidth=0.8)
            axis.legend(loc="lower right", fontsize=7, framealpha=0.6)
        axes[0].set_title(title, fontsize=9)
        axes[-1].set_xlabel("minutes")
        figure.savefig(path, metadata={"Date": None})
        pyplot.close(figure)
