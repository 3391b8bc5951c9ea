"""Control records as people publish them: silences, announced events, baselines, re-baselines."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from tests.integration.traffic import MINUTE

KINDS = ("silence", "silence", "silence", "calendar", "baseline", "rebaseline")
MUTING = ("silence", "silence", "calendar")
_NAMES = ("a", "b", "c")


def order(draw: random.Random, now: int, start: int, kinds: Sequence[str] = KINDS) -> tuple[str, dict[str, Any]]:
    """Key and body of one, said at `now`, epoch milliseconds; `start` is when the traffic's event time begins."""
    model, version = draw.choice(("fraud", "churn", "demand")), draw.choice("12")
    kind = draw.choice(kinds)
    begins = now + draw.randrange(-5_000, 5_000)
    ends = begins + draw.choice((2_000, 10_000, 60_000))
    if kind == "silence":
        both = {"model": model, "kind": "drift"}
        matchers = draw.choice(({"model": model}, {"kind": "threshold"}, both, {"severity": "critical"}))
        return f"silence/{draw.choice(_NAMES)}", {"matchers": matchers, "starts_at": begins, "ends_at": ends}
    if kind == "calendar":
        body = {"at": begins, "until": ends, "kind": "release", "mute": draw.random() < 0.5}
        return f"calendar/{draw.choice(_NAMES)}", body
    if kind == "baseline":
        values = [draw.random() for _ in range(40)]
        return f"baseline/{model}/{version}", {"profile": {"score": {"values": values, "rate": 0.01}}}
    since = {} if draw.random() < 0.5 else {"from": start + draw.randrange(120) * MINUTE}
    return f"rebaseline/{model}/{version}/{draw.choice(('error', 'score', 'features'))}", since
