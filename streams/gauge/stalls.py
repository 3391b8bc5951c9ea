"""Kafka let the join stage commit nothing for a while: an alert about the pipeline itself.

It can only be told afterwards, since everything that is told goes through Kafka: the first tick after it says how long
it was. The alert ends after ten minutes of the ticks' clock without another, so that a broker which comes and goes is
one episode. Our own absence is none: a worker that is started anew has waited for nobody.
"""

from __future__ import annotations

from typing import Any

from streams.alerts import Condition
from streams.state import Time, shaped

_QUIET = 600_000


class Stalls:
    """Listens to the ticks of all join tasks. Ticks of one commit say the same; that is told once."""

    def __init__(self) -> None:
        self._latest: int | None = None  # the ticks' clock when the last stall was told; None: no alert stands

    def watch(self, stalled: int, clock: int) -> Condition | None:
        """Take the next tick: it says for how many milliseconds nothing was committed before it."""
        if stalled:
            self._latest = clock
            text = (
                f"Kafka let nothing be committed for {stalled / 1000:.0f} s: metrics and alerts came late, "
                "nothing is lost; look at the brokers and at the network to them"
            )
            return Condition("pipeline", "kafka/commits", "kafka", True, text, statistic=float(stalled))
        if self._latest is None or clock - self._latest < _QUIET:
            return None
        self._latest = None
        return Condition("pipeline", "kafka/commits", "kafka", False, "")

    def snapshot(self) -> Any:
        """The state, for `streams.state.pack`."""
        return self._latest

    def restore(self, tree: Any) -> None:
        """Take back what snapshot gave."""
        self._latest = shaped(Time | None, tree)
