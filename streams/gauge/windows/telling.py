"""What is told of a window at a tick: its rows merged, and every figure of its metric event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metrics import binary, roc_auc
from schemas import canonical_class
from streams.gauge.windows import figures
from streams.gauge.windows.excess import Excess
from streams.gauge.windows.features import inputs
from streams.gauge.windows.gather import merge_cells, merge_ring, pane_cells, scores_of
from streams.gauge.windows.kernel import Plan
from streams.gauge.windows.maturity import expected_coverage
from streams.gauge.windows.names import OTHER, Names
from streams.gauge.windows.settings import TaskType, WindowSettings
from streams.gauge.windows.store import ERRORS, N_CLASSES, OUTCOMES, PREDICTIONS, Store
from streams.gauge.windows.view import WindowState, WindowView
from streams.records import Int64Array

_STATES: tuple[WindowState, ...] = ("open", "closed", "final")


def cells_of(store: Store, settings: WindowSettings, pane: int, window: int) -> Int64Array:
    """The panes of a tumbling window, or the cell of a cumulative one."""
    windows, scopes = store.windows, store.scopes
    scope, kind, start = int(windows["scope"][window]), int(windows["kind"][window]), int(windows["start"][window])
    if kind == len(settings.tumbling):
        return np.array([scopes["ever_cell"][scope]], np.int64)
    cells: Int64Array = pane_cells(store, scope, start, start + settings.tumbling[kind], pane)
    return cells


@dataclass(slots=True)
class Telling:
    """Looks at the windows of one model at one tick, and changes nothing. `bins` are the scores of windows that have
    many; `revision_base` is below all revisions."""

    store: Store
    names: Names
    settings: WindowSettings
    task: TaskType | None
    plan: Plan
    pane: int
    bins: Mapping[int, roc_auc.Bins]
    excess: Excess
    watermark: int | None
    revision_base: int
    _hoped: dict[int, float | None] = field(default_factory=dict)

    def view(self, window: int, state: int) -> WindowView:
        """A window that has come into `state`, as an index of open, closed, final."""
        store, settings, names = self.store, self.settings, self.names
        windows, kinds = store.windows, len(settings.tumbling)
        scope, kind, start = int(windows["scope"][window]), int(windows["kind"][window]), int(windows["start"][window])
        version, variant, key, segment = store.scopes["key"][scope].tolist()
        is_tumbling, is_rolling, whole = kind < kinds, kind > kinds, key < 0
        told_inputs: dict[str, dict[str, Any]] = {}
        if is_rolling:
            merged, entries, weights = merge_ring(store, self.plan, scope, kind - kinds - 1)
            bins = roc_auc.consolidate(roc_auc.no_bins(), entries, weights) if len(entries) else None
        else:
            cells = cells_of(store, settings, self.pane, window)
            merged = merge_cells(store, cells)
            if kind == kinds:
                self.excess.add_to(scope, merged.delay, merged.latency)
            bins = self._scores(window)
            if whole:
                told_inputs = inputs(store, cells, names.features.names)
        ints = merged.ints.tolist()
        coverage = binary.ratio(ints[OUTCOMES], max(ints[PREDICTIONS] - ints[ERRORS], ints[OUTCOMES]))
        hoped = None if is_rolling else self._expected(version, variant)
        end = start + settings.tumbling[kind] if is_tumbling else None
        mature = state == 2 or (
            state == 1 and coverage is not None and hoped is not None and coverage >= settings.min_coverage * hoped
        )
        return WindowView(
            version=names.versions.names[version],
            variant=names.variants.names[variant],
            segment={} if whole else {settings.segments[key]: str(names.segments[key].names[segment])},
            kind="tumbling" if is_tumbling else "rolling" if is_rolling else "cumulative",
            size=settings.tumbling[kind] if is_tumbling else settings.rolling[kind - kinds - 1] if is_rolling
            else None,
            start=start if is_tumbling else None,
            end=end,
            revision=self.revision_base + int(windows["revision"][window]) + 1,
            state=_STATES[state],
            counts=figures.counts(ints, ever=kind == kinds, final=state == 2),
            coverage=coverage,
            expected_coverage=hoped,
            coverage_by_prediction=figures.coverage_by_prediction(
                self.task, merged, ints, self._class_text, (settings.positive_label, self._negative())
            ),
            mature=mature,
            label_delay=figures.label_delay(merged.delay),
            metrics=figures.metrics(self.task, merged, bins, self._class_text, settings.level),
            service=figures.service(
                merged, ints, self._seconds(scope, kind, start, state), classes=self.task == "binary"
            ),
            inputs=told_inputs,
        )  # fmt: skip

    def _scores(self, window: int) -> roc_auc.Bins | None:
        """All scores of a window in bins; None without any."""
        fill = int(self.store.windows["fill"][window])
        bins = self.bins.get(window)
        if fill == 0:
            return bins
        entries, weights = scores_of(self.store, window, fill)
        found: roc_auc.Bins = roc_auc.consolidate(bins or roc_auc.no_bins(), entries, weights)
        return found

    def _seconds(self, scope: int, kind: int, start: int, state: int) -> float | None:
        """The event time that a window has covered so far; None where that cannot be told."""
        kinds, watermark = len(self.settings.tumbling), self.watermark
        if kind > kinds:
            return None
        if kind == kinds:
            first, last = int(self.store.scopes["first"][scope]), int(self.store.scopes["last"][scope])
            return (last - first) / 1000.0 if last > first else None
        size = self.settings.tumbling[kind]
        if state > 0:
            return size / 1000.0
        return (watermark - start) / 1000.0 if watermark is not None and watermark > start else None

    def _expected(self, version: int, variant: int) -> float | None:
        """The coverage to be expected of a version × variant, worked out once."""
        if self.watermark is None or not self.pane:
            return None
        keys, known = self.store.scopes["key"], self._hoped
        scope = int(np.flatnonzero((keys[:, 0] == version) & (keys[:, 1] == variant) & (keys[:, 2] == -1))[0])
        if scope not in known:
            known[scope] = expected_coverage(self.store, scope, self.watermark, self.pane)
        return known[scope]

    def _class_text(self, code: int) -> str:
        if code == 0:
            return OTHER
        text = int(self.store.classes["text"][code])
        if text >= 0:
            return str(self.names.texts.names[text])
        return canonical_class(float(self.store.classes["number"][code]))

    def _negative(self) -> str | None:
        """The negative class of a binary model, where one and only one was seen."""
        texts = [self._class_text(code) for code in range(1, int(self.store.counts[N_CLASSES]))]
        others = [text for text in texts if text != self.settings.positive_label]
        return others[0] if len(others) == 1 else None
