"""Every flood, with and without it, each in a process of its own: a table of what it took and what it led to.

    python -m tests.floods [--values 1000000] [--only NAME …]

Ends with 1 where a flood took more memory than its bound, touched the innocent model, raised more than one alert for
its limit (a task of the gauge counts models for itself), or wrote a record that no broker would take.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from tests.floods.floods_made import FLOODS, Flood
from tests.floods.floods_run import run
from tests.floods.floods_world import LONGEST_MESSAGE

TASKS = 2


def faults(flood: Flood, flooded: dict[str, Any], alone: dict[str, Any]) -> list[str]:
    """What is wrong with a run."""
    limits = {rule: count for rule, count in flooded["alerts"].items() if rule.startswith("limits/")}
    expected = {} if flood.rule is None else {flood.rule: TASKS if flood.rule == "limits/models" else 1}
    found = []
    if flooded["peak"] - alone["peak"] > flood.bound:
        found.append(f"more than {flood.bound} MiB")
    if flooded["innocent"] != alone["innocent"]:
        found.append("another model's events differ")
    if limits != expected:
        found.append(f"alerts {limits}, not {expected}")
    if flood.other and not flooded["other"]:
        found.append("nothing in __other__")
    if max(flooded["largest_message"], flooded["largest_snapshot_record"]) > LONGEST_MESSAGE:
        found.append("a record that is too large")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--values", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="*", choices=FLOODS, default=list(FLOODS))
    given = parser.parse_args()
    print("| flood | MiB without | MiB with | bound | texts in the join | alert | s | verdict |", flush=True)
    print("|---|---|---|---|---|---|---|---|", flush=True)
    wrong = 0
    for name in given.only:
        flood = FLOODS[name]
        flooded, alone = (run(name, given.values, flooded=each) for each in (True, False))
        found = faults(flood, flooded, alone)
        wrong += bool(found)
        cells = [
            name, alone["peak"], flooded["peak"], f"+{flood.bound}", flooded["texts"], flood.rule or "none",
            flooded["seconds"], "; ".join(found) or "holds",
        ]  # fmt: skip
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
