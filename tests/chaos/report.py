"""What a run has to say, for people and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from statistics import median

from tests.chaos.plan import Kind
from tests.chaos.run import Survived


def text(survived: Survived) -> str:
    """The histogram of kinds and steps, how long until all was well, and the verdict."""
    places = sorted({done.deed.place for done in survived.done})
    histogram = survived.histogram
    width = max(len(kind.value) for kind in Kind)
    lines = [" " * width + "".join(f"  {place:>19}" for place in places) + "    well after (s)"]
    for kind in Kind:
        times = [done.well_after for done in survived.done if done.deed.kind is kind]
        if times:
            counts = "".join(f"  {histogram[kind.value, place] or '·':>19}" for place in places)
            lines.append(f"{kind.value:<{width}}{counts}    median {median(times):.1f}, most {max(times):.1f}")
    seen = sum(done.seen_open for done in survived.done)
    lines.append(
        f"{len(survived.done)} deaths in {survived.seconds:.0f} s, {seen} of them with the transaction seen open on "
        f"its broker; {survived.workers_started} workers added, {survived.workers_retired} removed in order, "
        f"{survived.workers_hung} ended by their watchdog and "
        f"{survived.workers_fenced} as fenced beside those asked for, {survived.workers_without_kafka} since a start "
        f"found no Kafka; "
        f"{survived.records:,} records; 0 wrong"
    )
    lines.append(f"{survived.verdict.text()}; {survived.agreeing} offsets agree with journal and snapshots")
    return "\n".join(lines)


def as_json(survived: Survived) -> str:
    """The same for a machine."""
    steps = Counter(done.deed.place for done in survived.done)
    return json.dumps(
        {
            "deaths": len(survived.done),
            "seen_open": sum(done.seen_open for done in survived.done),
            "steps": dict(sorted(steps.items())),
            "kinds": dict(sorted(Counter(done.deed.kind.value for done in survived.done).items())),
            "records": survived.records,
            "workers_started": survived.workers_started,
            "workers_retired": survived.workers_retired,
            "workers_hung": survived.workers_hung,
            "workers_fenced": survived.workers_fenced,
            "workers_without_kafka": survived.workers_without_kafka,
            "seconds": round(survived.seconds, 1),
            "wrong": 0,
        }
    )
