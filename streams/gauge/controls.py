"""The control records that models which appear later must be told of: silences, announced events, baselines.

What only an open alert or a running series could heed (acknowledgements, re-baseline requests) is not kept, nor is a
silence that is over. At most 1,000 silences and events are kept (of more, those that end last) and 1,000 baselines of
16 MiB together (of more, the newest).
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from schemas import Baseline, Calendar, InputError, Silence, parse_control
from streams.outcomes import Control
from streams.state import Count, shaped

_MOST = 1_000
_MOST_BYTES = 16 * 2**20


def model_of(control: Control) -> str | None:
    """The one model that a record is about; None where it may be any."""
    kind, _, rest = control.key.partition("/")
    return unquote(rest.split("/")[0]) if kind in ("baseline", "rebaseline") else None


class Controls:
    """The newest of each key, in the order in which they came. `changed` since the last snapshot."""

    def __init__(self) -> None:
        self._mutes: dict[str, tuple[int, Control]] = {}  # with the clock at which it is over
        self._ends: list[tuple[int, str]] = []  # of them, in order
        self._baselines: dict[str, Control] = {}
        self._bytes = 0
        self.changed = False

    def put(self, control: Control, clock: int) -> None:
        """Take a record of the control topic."""
        self._drop(control.key)
        try:
            body = parse_control(control.key, control.value).body
        except InputError:
            return
        match body:
            case Silence() | Calendar(mute=True, until=int()):
                end = body.ends_at if isinstance(body, Silence) else body.until
                if end is not None and end > clock:
                    self._mutes[control.key] = end, control
                    insort(self._ends, (end, control.key))
                    if len(self._mutes) > _MOST:
                        self._drop(self._ends[0][1])
            case Baseline():
                self._baselines[control.key] = control
                self._bytes += len(control.value or b"")
                while len(self._baselines) > _MOST or self._bytes > _MOST_BYTES:
                    self._drop(next(iter(self._baselines)))
            case _:
                return
        self.changed = True

    def _drop(self, key: str) -> None:
        self.changed = self.changed or key in self._mutes or key in self._baselines
        mute = self._mutes.pop(key, None)
        if mute is not None:
            del self._ends[bisect_left(self._ends, (mute[0], key))]
        old = self._baselines.pop(key, None)
        if old is not None:
            self._bytes -= len(old.value or b"")

    def tick(self, clock: int) -> None:
        """Let go of what is over."""
        while self._ends and self._ends[0][0] <= clock:
            self._drop(self._ends[0][1])

    def __iter__(self) -> Iterator[Control]:
        yield from sorted((*(each for _, each in self._mutes.values()), *self._baselines.values()), key=_offset)

    def snapshot(self) -> dict[str, Any]:
        """The records as plain values, for `streams.state.pack`. They are unchanged from now on."""
        self.changed = False
        return {"controls": [[each.key, each.value, each.offset] for each in self]}

    def restore(self, tree: dict[str, Any], clock: int) -> None:
        """Take back what snapshot gave."""
        for fields in shaped(list[tuple[str, bytes | None, Count]], tree["controls"]):
            self.put(Control(*fields), clock)
        self.changed = False


def _offset(control: Control) -> int:
    return control.offset
