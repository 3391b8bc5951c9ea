"""The pictures: drawn from outcomes alone, the same bytes for the same outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detectors.detector import Float64Array
from detectors.evaluation.pages import best_delay
from detectors.evaluation.run import Found, Setting
from detectors.evaluation.series import Family

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "streamgauge",
    "svg.fonttype": "none",
    "font.size": 8,
    "font.family": "sans-serif",
}
_CURVES = 8


def false_alarms(families: Sequence[Family], found: Found, every: int, path: Path) -> None:
    """A map of false alarms per million: detectors by series, as they come and from a budget."""
    ten = [f for f in families if f.ten]
    names = sorted({name for _, name, _ in found})

    def grid(setting: Setting) -> Float64Array:
        outcomes = [[found.get((f.name, name, setting)) for f in ten] for name in names]
        cells = [[np.nan if o is None or o.rate is None else o.rate.per_million for o in row] for row in outcomes]
        return np.array(cells, np.float64)

    grids = {"as it comes": grid("defaults"), f"from a budget of {1e6 / every:.0f}": grid("calibrated")}
    _maps(grids, names, [f.name for f in ten], "false alarms per million values", (1.0, 1e4), path)


def delays(families: Sequence[Family], found: Found, every: int, path: Path) -> None:
    """A map of delays at the equal rate over the best one's: detectors by changes."""
    changes = [(f, c) for f in families for c in f.changes]
    names = sorted({name for _, name, _ in found})
    cells = np.full((len(names), len(changes)), np.nan)
    for j, (family, change) in enumerate(changes):
        best = best_delay(family, change, found, every)
        for i, name in enumerate(names):
            outcome = found.get((family.name, name, "equal"))
            if outcome is not None:
                cells[i, j] = outcome.delays[change.name].mean / best
    labels = [f"{f.name}: {c.name}" for f, c in changes]
    _maps({"at an equal rate": cells}, names, labels, "mean delay over the shortest", (1.0, 30.0), path)


def _maps(
    grids: dict[str, Float64Array], names: Sequence[str], columns: Sequence[str], what: str,
    limits: tuple[float, float], path: Path,
) -> None:  # fmt: skip
    from matplotlib.colors import LogNorm

    def draw(figure: Any) -> None:
        axes = figure.subplots(1, len(grids), squeeze=False, sharey=True)[0]
        for axis, (title, cells) in zip(axes, grids.items(), strict=True):
            colours = axis.imshow(
                np.clip(cells, *limits), norm=LogNorm(*limits), cmap="viridis_r", aspect="auto", interpolation="nearest"
            )
            axis.set_title(title)
            axis.set_xticks(range(len(columns)), columns, rotation=60, ha="right", rotation_mode="anchor")
            axis.set_yticks(range(len(names)), names)
        figure.colorbar(colours, ax=list(axes), label=what)

    _save(draw, (max(8.0, 3 + 0.24 * len(columns) * len(grids)), 4 + 0.2 * len(names)), path)


def curves(families: Sequence[Family], found: Found, every: int, path: Path) -> None:
    """Mean delays at the equal rate by the size of the change: a mean, an error rate."""
    panels = {
        "normal": (("mean + 0.25 sd", "mean + 0.5 sd", "mean + 1 sd"), (0.25, 0.5, 1.0), "shift in sd"),
        "errors 0.1": (("0.1 to 0.13", "0.1 to 0.2", "0.1 to 0.3"), (0.13, 0.2, 0.3), "error rate, from 0.1"),
    }

    panels = {name: panel for name, panel in panels.items() if any(f.name == name for f in families)}

    def draw(figure: Any) -> None:
        axes = figure.subplots(1, max(1, len(panels)), squeeze=False)[0]
        for axis, (name, (changes, sizes, label)) in zip(axes, panels.items(), strict=False):
            means = {
                who: [o.delays[c].mean for c in changes]
                for (f, who, setting), o in found.items()
                if f == name and setting == "equal"
            }
            soonest = sorted(means, key=lambda who: float(np.log(means[who]).sum()))[:_CURVES]
            for k, who in enumerate(soonest):
                axis.plot(sizes, means[who], marker="osv^Dx+*"[k], label=who, linewidth=1, markersize=4)
            axis.set(xscale="log", yscale="log", xlabel=label, ylabel="mean delay in values")
            axis.set_xticks(sizes, [f"{size:g}" for size in sizes])
            axis.minorticks_off()
            axis.legend(frameon=False)

    _save(draw, (9, 4), path)


def _save(draw: Any, size: tuple[float, float], path: Path) -> None:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
