"""Other window sizes at a restart: what is still configured goes on exactly as if nothing had happened, what is gone
goes, what is new starts with the first window that holds nothing of before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from windows_world import generated, rows_of

from streams.gauge.windows import ModelWindows, WindowSettings
from streams.state import pack, unpack

MINUTE = 60_000
SETTINGS = WindowSettings(task="binary", segments=("region",), horizon=30 * MINUTE, grace=0, emit_every=1000)
LOG = generated(5, "binary", 300, weighted=True)
SIZES = st.lists(st.sampled_from([10, 15, 30, 60, 120]), unique=True, max_size=3).map(
    lambda each: tuple(size * MINUTE for size in sorted(each))
)
ROLLING = st.lists(st.sampled_from([10, 25, 50]), unique=True, max_size=2).map(lambda each: tuple(sorted(each)))
Views = dict[tuple[Any, ...], Any]


def restored(windows: ModelWindows, sizes: WindowSettings) -> ModelWindows:
    """The same windows in another process, under these settings."""
    tree = unpack(b"test", 1, pack(b"test", 1, windows.snapshot()))
    made = ModelWindows("m", sizes)
    made.restore(tree)
    return made


def told(windows: ModelWindows) -> Views:
    """What there is to be told of each window: all of it but what time has to do with."""
    views = windows.tick(10**12, None, 100_000)
    return {
        (view.kind, view.size, view.start, view.version, view.variant, *view.segment.items()): (
            view.counts, view.metrics, view.label_delay, view.inputs, view.coverage_by_prediction,
        )
        for view in views
    }  # fmt: skip


def of(views: Views, kind: str, sizes: tuple[int, ...] | None = None) -> Views:
    return {key: view for key, view in views.items() if key[0] == kind and (sizes is None or key[1] in sizes)}


@given(SIZES, SIZES, ROLLING, ROLLING, st.integers(0, len(LOG)), st.booleans())
@settings(derandomize=True, deadline=None, max_examples=25)
def test_windows_go_on_go_and_start(
    tumbling: tuple[int, ...],
    other_tumbling: tuple[int, ...],
    rolling: tuple[int, ...],
    other_rolling: tuple[int, ...],
    place: int,
    cumulative: bool,
) -> None:
    before = replace(SETTINGS, tumbling=tumbling, rolling=rolling)
    after = replace(SETTINGS, tumbling=other_tumbling, rolling=other_rolling, cumulative=cumulative)
    windows = ModelWindows("m", before)
    windows.apply(rows_of(LOG[:place]))
    changed = restored(windows, after)
    changed.apply(rows_of(LOG[place:]))
    found = told(changed)

    unchanged = ModelWindows("m", before)
    unchanged.apply(rows_of(LOG))
    expected = told(unchanged)
    kept = tuple(set(tumbling) & set(other_tumbling))
    assert of(found, "tumbling", kept) == of(expected, "tumbling", kept)
    kept = tuple(set(rolling) & set(other_rolling))
    assert of(found, "rolling", kept) == of(expected, "rolling", kept)
    assert of(found, "cumulative") == (of(expected, "cumulative") if cumulative else {})
    assert {key[1] for key in of(found, "tumbling")} <= set(other_tumbling)
    assert {key[1] for key in of(found, "rolling")} <= set(other_rolling)

    always = ModelWindows("m", after)
    always.apply(rows_of(LOG))
    whole = told(always)
    for size in set(other_tumbling) - set(tumbling):
        new = of(found, "tumbling", (size,))
        first = min((key[2] for key in new), default=None)
        assert new == {
            key: view for key, view in of(whole, "tumbling", (size,)).items() if first is not None and key[2] >= first
        }
    fresh = ModelWindows("m", after)
    fresh.apply(rows_of(LOG[place:]))
    added = tuple(set(other_rolling) - set(rolling))
    since = told(fresh)
    for key, view in of(found, "rolling", added).items():
        assert view == since[key], key


def test_a_new_size_starts_with_the_first_window_after_all_that_was_there() -> None:
    windows = ModelWindows("m", replace(SETTINGS, tumbling=(30 * MINUTE,)))
    half = len(LOG) // 2
    windows.apply(rows_of(LOG[:half]))
    latest = max(row.timestamp for row in LOG[:half])
    changed = restored(windows, replace(SETTINGS, tumbling=(10 * MINUTE, 30 * MINUTE)))
    changed.apply(rows_of(LOG[half:]))
    starts = {key[2] for key in of(told(changed), "tumbling", (10 * MINUTE,))}
    assert starts and latest < min(starts) <= latest + 40 * MINUTE


def test_revisions_go_on_and_those_of_a_size_that_comes_back_are_above_the_old() -> None:
    both, one = replace(SETTINGS, rolling=(10, 25)), replace(SETTINGS, rolling=(25,))
    windows = ModelWindows("m", both)
    third = len(LOG) // 3
    last: dict[Any, int] = {}
    for i, chosen in enumerate((both, one, both)):
        windows = restored(windows, chosen)
        windows.apply(rows_of(LOG[i * third : (i + 1) * third]))
        for view in windows.tick((i + 1) * 10**12, None, 100_000):
            key = view.kind, view.size, view.start, view.version, view.variant, *view.segment.items()
            assert view.revision > last.get(key, 0)
            if view.size != 10:
                assert view.revision == last.get(key, 0) + 1
            last[key] = view.revision


def test_any_later_restart_changes_nothing() -> None:
    after = replace(SETTINGS, tumbling=(10 * MINUTE, 60 * MINUTE), rolling=(10, 50))
    windows = ModelWindows("m", replace(SETTINGS, tumbling=(60 * MINUTE,), rolling=(50,)))
    third = len(LOG) // 3
    windows.apply(rows_of(LOG[:third]))
    once = restored(windows, after)
    again = restored(once, after)
    for each in (once, again):
        each.apply(rows_of(LOG[third : 2 * third]))
    again = restored(again, after)
    for each in (once, again):
        each.apply(rows_of(LOG[2 * third :]))
    assert told(once) == told(again)
