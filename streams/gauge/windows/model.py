"""The windows of one model: a fold of its rows, and what of it is due to be told.

What is due depends on the rows and on the ticks alone: open windows that changed at most once per `emit_every`,
closed ones that changed (or may have become mature) at most once per `revise_every`, and any at once when its state
rises: open → closed → final. A final window is told a last time and forgotten.
"""

from __future__ import annotations

from dataclasses import replace
from math import gcd
from typing import Any

import numpy as np

from metrics import roc_auc
from streams.gauge.windows.change import begin_of_new, kinds_of, with_other_sizes
from streams.gauge.windows.excess import Excess
from streams.gauge.windows.features import fold_features
from streams.gauge.windows.gather import drop_scores, scores_of
from streams.gauge.windows.intact import look_at
from streams.gauge.windows.kernel import BINARY, MULTICLASS, REGRESSION, ROW, UNDECIDED, Plan, admit, fold, needs
from streams.gauge.windows.names import Names, fits
from streams.gauge.windows.settings import TaskType, WindowSettings
from streams.gauge.windows.store import (
    ERRORS,
    EVER,
    FREE_CHUNK,
    LONG,
    N_SCOPES,
    N_WINDOWS,
    OUTCOMES,
    OVERFLOW,
    PREDICTIONS,
    REFUSED_CLASSES,
    STUCK_RING,
    WANTED,
    compact,
    forget_refused,
    new_store,
    with_features,
    with_longer_ring,
    with_room,
    without_pairs,
)
from streams.gauge.windows.telling import Telling, cells_of
from streams.gauge.windows.tree import bins_from, store_from, tree_of, tree_of_bins
from streams.gauge.windows.versions import (
    admit_variants,
    by_first_row,
    empty,
    lasting_windows,
    refurnish,
    rename,
    scopes_of,
    settled,
)
from streams.gauge.windows.view import WindowView
from streams.outcomes import Kind, Rows
from streams.records import Int32Array, Int64Array

_TASKS: dict[TaskType | None, int] = {
    None: UNDECIDED, "binary": BINARY, "multiclass": MULTICLASS, "regression": REGRESSION
}  # fmt: skip
_NEVER = -(2**62)  # a watermark before all time
_DAY = 86_400_000


class ModelWindows:
    """All windows of one model. `apply` folds its rows in log order; any cut gives the same."""

    def __init__(self, model: str, settings: WindowSettings) -> None:
        self.model = model
        self.task: TaskType | None = settings.task
        self._use(settings, settings.pane, np.full(len(settings.tumbling), _NEVER, np.int64))
        self._names = Names(settings)
        self._store = new_store(len(settings.tumbling), len(settings.rolling))
        self._bins: dict[int, roc_auc.Bins] = {}
        self._excess = Excess()
        self._waiting: list[tuple[Any, Int32Array]] = []  # outcomes before the task is decided
        self._sealed = _NEVER
        self._revision_base = 0
        self._retired = 0  # the highest revision of windows that are configured no more
        self._forgotten = 0  # the highest revision of windows of versions that have left
        self._none_settled = False  # as of the last tick: no version may leave

    def _use(self, settings: WindowSettings, pane: int, since: Int64Array) -> None:
        """Keep the windows of these settings; of each tumbling size those that start at `since` or later. A pane may
        be shorter than the sizes need: it is where they once were others."""
        self._settings = settings
        self._pane = pane
        self._since = since
        self._sizes = np.array(settings.tumbling, np.int64)
        self._kinds = len(settings.tumbling)  # the kind of cumulative windows; rolling ones come after it

    # --- versions

    def admit(self, rows: Rows) -> tuple[int, tuple[str, str] | None]:
        """Let versions and variants beyond their limits be `__other__`, in place, in as many of the next rows as
        returned. Those can be folded; then, where so returned, the first version must be replaced by the second."""
        versions, beyond, taken = self._names.versions, [], len(rows)
        change: tuple[str, str] | None = None
        for code, first in by_first_row(rows.version):
            name = rows.text(code)
            if versions.has_room(name):
                versions.code(name)
                continue
            leaving = None if self._none_settled or name is None or not fits(name) else self._settled()
            if leaving is not None:  # what comes before may still be its own: that is folded first
                taken, change = first, None if first else (leaving, str(name))
                break
            beyond.append(code)
            versions.overflow += 1
        rows.version = rename(rows.version, beyond, rows.strings)
        admit_variants(rows, taken, self._names.variants)
        return taken, change

    def _settled(self) -> str | None:
        watermark = self._sealed + self._settings.horizon + self._settings.grace
        found = settled(self._store, self._names, self._kinds, min(self._sealed, watermark - _DAY))
        self._none_settled = found is None  # until time goes on: predictions only make it later
        return found

    def replace(self, old: str, new: str) -> None:
        """Forget a version that `admit` has named, and let the other have its place."""
        code = self._names.versions.replace(old, new)
        scopes = scopes_of(self._store, code)
        kept = [(columns, names, names[0] != code) for columns, names in self._waiting]
        self._waiting = [(columns[mine], names[:, mine]) for columns, names, mine in kept if mine.any()]
        lasting = lasting_windows(self._store, scopes)
        self._forgotten = max(self._forgotten, int(self._store.windows["revision"][lasting].max(initial=0)))
        for window in lasting.tolist():
            self._bins.pop(window, None)
        self._excess.forget(scopes.tolist())
        empty(self._store, scopes, self._forgotten)
        self._compact()
        if self._settings.cumulative:
            self._store = refurnish(self._store, scopes, self._kinds)

    # --- folding

    def apply(self, rows: Rows, join_task: int | Int64Array = 0) -> None:
        """Fold rows of this model, of one join task or each of its own; no TICK or CONTROL rows."""
        if len(rows) == 0:
            return
        self._excess.make_room(self._store, len(rows))
        columns, names = self._names.columns(rows, join_task)
        if self.task is None:
            of = np.flatnonzero((rows.kind == Kind.OUTCOME) | (rows.kind == Kind.RETRACTED))
            if len(of):
                self._waiting.append((columns[of], names[:, of]))
        whole_cells = self._fold(columns, names, counting=True, scoring=self.task is not None)
        self._fold_features(rows, whole_cells)

    def decide(self, task: TaskType) -> None:
        """The task of a model on `auto`. Outcomes before it are folded into the sums now."""
        if self.task is not None:
            return
        self.task = task
        if task != "multiclass":
            self._store = without_pairs(self._store)
        waiting, self._waiting = self._waiting, []
        for columns, names in waiting:
            self._fold(columns, np.ascontiguousarray(names), counting=False, scoring=True)
        windows = self._store.windows
        n = int(self._store.counts[N_WINDOWS])
        windows["dirty"][:n] |= (windows["kind"][:n] > self._kinds) & (windows["revision"][:n] > 0)

    def _plan(self, *, counting: bool, scoring: bool) -> Plan:
        settings = self._settings
        return Plan(
            _TASKS[self.task], counting, scoring, self._names.positive_number, self._names.positive_text,
            self._pane, self._sizes, self._since, np.array(settings.rolling, np.int64), settings.cumulative,
            settings.categories, settings.open_windows, self._sealed,
        )  # fmt: skip

    def _fold(self, columns: Any, names: Int32Array, *, counting: bool, scoring: bool) -> Any:
        settings = self._settings
        plan = self._plan(counting=counting, scoring=scoring)
        each = needs(self._kinds, len(settings.rolling), 1 + len(settings.segments))
        whole_cells = np.full((len(columns), 2), -1, np.int32)
        at = fold(self._store, columns, names, 0, plan, whole_cells)
        while at < len(columns):
            if self._store.counts[WANTED]:
                self._store.counts[WANTED] = 0
                known = int(self._store.counts[N_WINDOWS])
                admit(self._store, plan, columns, names, at)
                if self._forgotten:  # it may be a version that was here before
                    made = self._store.windows[known : int(self._store.counts[N_WINDOWS])]
                    made["revision"][made["start"] == EVER] = self._forgotten
                at = fold(self._store, columns, names, at, plan, whole_cells)
                continue
            store = with_room(self._store, each)
            if store is self._store:  # room for all but a ring
                ring = int(store.counts[STUCK_RING])
                store = with_longer_ring(store, settings.rolling[ring])
            self._store = store
            at = fold(self._store, columns, names, at, plan, whole_cells)
        if self._store.counts[LONG]:
            self._consolidate()
        return whole_cells

    def _fold_features(self, rows: Rows, whole_cells: Any) -> None:
        features = rows.features
        if len(features.names) == 0:
            return
        places = self._names.feature_places(features, rows.strings)
        self._store = with_features(self._store, len(self._names.features.names))
        owned = [array if array.flags.writeable else array.copy() for array in
                 (features.offsets, features.names, features.values, features.texts)]  # fmt: skip
        at = fold_features(self._store, 0, whole_cells, *owned, places)
        while at < len(whole_cells):
            self._store = with_room(self._store, {"blocks": 2})
            at = fold_features(self._store, at, whole_cells, *owned, places)

    def _consolidate(self) -> None:
        """Put the scores of windows that have many into bins, always so many at a time, wherever a batch ends."""
        store = self._store
        store.counts[LONG] = 0
        n = int(store.counts[N_WINDOWS])
        for window in np.flatnonzero(store.windows["fill"][:n] > roc_auc.EXACT_ROWS).tolist():
            bins = self._bins.get(window, roc_auc.no_bins())
            while store.windows["fill"][window] > roc_auc.EXACT_ROWS:
                entries, weights = scores_of(store, window, roc_auc.EXACT_ROWS)
                drop_scores(store, window, FREE_CHUNK)
                bins = roc_auc.consolidate(bins, entries, weights)
                if len(bins.low) > roc_auc.EXACT_ROWS:
                    bins = roc_auc.coarsen(bins, self.task == "regression")
            self._bins[window] = bins

    # --- telling

    def is_due(self, clock: int, watermark: int | None) -> bool:
        """Whether tick() has anything to look at."""
        return bool(self._due(clock, watermark)[0].any())

    def _due(self, clock: int, watermark: int | None) -> tuple[Any, Any]:
        """Which windows are to be looked at, and the state each is in."""
        windows, n = self._store.windows, int(self._store.counts[N_WINDOWS])
        now = _NEVER if watermark is None else watermark
        told, looked = windows["state"][:n], windows["looked"][:n]
        dirty = windows["dirty"][:n] == 1
        state = np.zeros(n, np.int32)
        if self._kinds:
            tumbling = windows["kind"][:n] < self._kinds
            end = windows["start"][:n] + self._sizes[np.minimum(windows["kind"][:n], self._kinds - 1)]
            state[tumbling & (end <= now)] = 1
            state[tumbling & (end <= now - self._settings.horizon - self._settings.grace)] = 2
        state = np.maximum(state, told)
        closed = state > 0
        waited = clock - looked
        due = dirty & (told < 0)
        due |= (state > told) & (told >= 0)
        due |= dirty & (waited >= np.where(closed, self._settings.revise_every, self._settings.emit_every))
        due |= closed & (windows["mature"][:n] == 0) & (waited >= self._settings.revise_every)
        due &= windows["alive"][:n] == 1
        return due, state

    def tick(self, clock: int, watermark: int | None, limit: int) -> list[WindowView]:
        """The windows due now, at most `limit` of them, longest untold first; the rest are due at the next tick."""
        due, state = self._due(clock, watermark)
        if watermark is not None:
            self._sealed = max(self._sealed, watermark - self._settings.horizon - self._settings.grace)
        self._none_settled = False
        forget_refused(self._store.counts, self._sealed - max(self._settings.tumbling, default=0))
        places = np.flatnonzero(due)
        windows = self._store.windows
        order = np.lexsort(
            (windows["start"][places], windows["kind"][places], windows["scope"][places], windows["looked"][places])
        )
        telling = Telling(
            self._store, self._names, self._settings, self.task, self._plan(counting=False, scoring=False),
            self._pane, self._bins, self._excess, watermark, self._revision_base,
        )  # fmt: skip
        views: list[WindowView] = []
        for window in places[order].tolist():
            if len(views) >= limit:
                break
            view = self._look(telling, window, int(state[window]), clock)
            if view is not None:
                views.append(view)
        # At every tick that made a window final, so that a snapshot, which compacts too, changes nothing.
        if any(view.state == "final" for view in views):
            self._compact()
        return views

    def _look(self, telling: Telling, window: int, state: int, clock: int) -> WindowView | None:
        """The window's view, and its marks set; None where nothing has changed after all."""
        windows = self._store.windows
        view = telling.view(window, state)
        windows["looked"][window] = clock
        if (
            state == windows["state"][window]
            and not windows["dirty"][window]
            and view.mature == bool(windows["mature"][window])
        ):
            return None
        windows["dirty"][window] = 0
        windows["mature"][window] = view.mature
        windows["state"][window] = state
        windows["revision"][window] += 1
        if state == 2:
            self._forget(window)
        return view

    def _forget(self, window: int) -> None:
        """A final window goes, and with it the panes that no other window needs."""
        store = self._store
        cells, windows, scopes = store.cells, store.windows, store.scopes
        scope, kind = int(windows["scope"][window]), int(windows["kind"][window])
        windows["alive"][window] = 0
        self._bins.pop(window, None)
        members = cells_of(store, self._settings, self._pane, window)
        store.cell_windows[members, kind] = -1
        gone = members[np.all(store.cell_windows[members] < 0, axis=1)]
        cells["alive"][gone] = 0
        if scopes["key"][scope, 2] < 0:
            scopes["past_delay"][scope] += cells["delay"][gone].sum(axis=0)
            predictions, errors, outcomes = cells["ints"][gone][:, [PREDICTIONS, ERRORS, OUTCOMES]].T
            scopes["past"][scope] += np.maximum(predictions - errors, outcomes).sum(), outcomes.sum()

    def _compact(self) -> None:
        self._store, window_of = compact(self._store)
        self._bins = {int(window_of[window]): bins for window, bins in self._bins.items()}

    def overflow(self) -> dict[str, int]:
        """What went beyond a limit so far, by the limit's name: sightings (rows) that were put elsewhere."""
        found = self._names.overflow()
        found["classes"] += int(self._store.counts[REFUSED_CLASSES])
        return {**found, "open_windows": int(self._store.counts[OVERFLOW])}

    # --- state

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        self._compact()
        return {
            "shape": self._shape(),
            "task": self.task,
            "sealed": self._sealed,
            "revision_base": self._revision_base,
            "retired": self._retired,
            "forgotten": self._forgotten,
            "pane": self._pane,
            "since": self._since.copy(),
            "names": self._names.snapshot(),
            "store": tree_of(self._store),
            **tree_of_bins(self._bins),
            "excess": self._excess.snapshot(),
            "waiting": [
                [names, {field: columns[field].copy() for field in ROW.names or ()}] for columns, names in self._waiting
            ],
        }

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave. Where other sizes are configured, the windows that are still there go on and
        the new ones start; where more than sizes has changed all start anew, with revisions above those before."""
        settings = self._settings
        self._sealed = tree["sealed"]
        self._revision_base, self._retired = tree["revision_base"], tree.get("retired", 0)
        self._forgotten = tree.get("forgotten", 0)
        tumbling, rolling, cumulative, *other = tree["shape"]
        if other != self._shape()[3:] or (settings.cumulative and not cumulative):
            last = int(tree["store"]["windows"]["revision"].max(initial=0))
            self._revision_base += max(last, self._retired, self._forgotten)
            self._retired = self._forgotten = 0
            self.task = settings.task or tree["task"]  # what was decided stays decided
            # Of predictions counted before, only labels would come: windows begin behind them.
            had = store_from(tree["store"], len(tumbling), len(rolling))
            none = replace(settings, tumbling=())
            self._since = begin_of_new(had, none, tree.get("pane", self._pane), np.empty(0, np.int64), settings)
            return
        before = replace(settings, tumbling=tuple(tumbling), rolling=tuple(rolling), cumulative=cumulative)
        since = tree.get("since", np.full(len(tumbling), _NEVER, np.int64))
        self._use(before, tree.get("pane", before.pane), since)
        self._restore(tree)
        if before != settings:
            self._change(settings)

    def _change(self, settings: WindowSettings) -> None:
        """Go on with other sizes."""
        before, windows = self._settings, self._store.windows
        used = int(self._store.counts[N_WINDOWS])
        self._retired = max(self._retired, int(windows["revision"][:used].max(initial=0)))
        kept = kinds_of(settings)
        gone = [number for kind, number in kinds_of(before).items() if kind not in kept]
        for window in np.flatnonzero(np.isin(windows["kind"][:used], gone) & (windows["alive"][:used] == 1)).tolist():
            if windows["kind"][window] < self._kinds:
                self._forget(window)
            else:
                windows["alive"][window] = 0
                self._bins.pop(window, None)
        if before.cumulative and not settings.cumulative:
            self._excess = Excess()
            self._store.cells["alive"][self._store.scopes["ever_cell"][: int(self._store.counts[N_SCOPES])]] = 0
        self._compact()
        since = begin_of_new(self._store, before, self._pane, self._since, settings)
        self._store = with_other_sizes(self._store, before, settings, self._retired)
        self._use(settings, gcd(self._pane, settings.pane), since)

    def _restore(self, tree: Any) -> None:
        look_at(tree)
        self.task = tree["task"]
        self._names.restore(tree["names"])
        self._store = store_from(tree["store"], len(self._settings.tumbling), len(self._settings.rolling))
        self._bins = bins_from(tree)
        self._excess = Excess(tree.get("excess"))
        self._excess.carry(self._store)  # it is not known how many rows came since
        self._waiting = []
        for names, fields in tree["waiting"]:
            columns = np.empty(names.shape[1], ROW)
            for field, array in fields.items():
                columns[field] = array
            self._waiting.append((columns, names))

    def _shape(self) -> list[Any]:
        """What the arrays' meaning depends on."""
        settings = self._settings
        sizes = [list(settings.tumbling), list(settings.rolling), settings.cumulative]
        return [*sizes, list(settings.segments), settings.positive_label, settings.task]
