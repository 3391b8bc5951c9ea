"""A flood in a process of its own, and the same run without it: resident memory, and what came out of both."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from dataclasses import fields
from typing import Any

from schemas import Config
from tests.floods.floods_made import FLOODS, Flood, batch_of, configuration
from tests.floods.floods_world import Batch, Flooded


def play(flood: Flood, values: int, *, flooded: bool, scale: float = 1.0) -> Flooded:
    """The pipeline after so many values, or after as many rounds without them."""
    world = Flooded(Config.model_validate(configuration(flood, scale)))
    world.play(Batch())  # the innocent model is there first: a limit that is reached is no place for newcomers
    for number in range(-(-values // flood.each)):
        world.play(batch_of(flood, number) if flooded else Batch())
    for _ in range(10):
        world.play(Batch())
    return world


def run(name: str, values: int, *, flooded: bool, scale: float = 1.0) -> dict[str, Any]:
    """The same in a process of its own: what was seen, peak resident memory in MiB, seconds."""
    arguments = [name, str(values), str(int(flooded)), str(scale)]
    command = [sys.executable, "-m", "tests.floods.floods_run", *arguments]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=FLOODS)
    parser.add_argument("values", type=int)
    parser.add_argument("flooded", type=int)
    parser.add_argument("scale", type=float)
    given = parser.parse_args()
    begun = time.monotonic()
    world = play(FLOODS[given.name], given.values, flooded=bool(given.flooded), scale=given.scale)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sizes = world.snapshot_sizes()
    told = {each.name: getattr(world.seen, each.name) for each in fields(world.seen)} | {
        "peak": round(peak),
        "seconds": round(time.monotonic() - begun, 1),
    }
    told |= {"held": world.join.held, "texts": len(world.join._planner.strings), "snapshot": sum(sizes)}
    print(json.dumps(told | {"largest_snapshot_record": max(sizes)}))


if __name__ == "__main__":
    main()
