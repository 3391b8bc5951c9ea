"""State larger than memory: what a record costs, and what it takes of memory, held in memory and spilled to disk.

    python -m tests.benchmarks.state [--held 1000000 10000000] [--memory 256] [--directory DIR] [--rounds 30]

For each number of predictions held, a process for each store: `memory`, `disk` with `--memory` MiB as state.memory, and
where it is installed `rocksdict` (state_rocksdict.py). It takes in that many predictions; then every round brings
10,000 predictions and 10,000 labels and lets 10,000 predictions go, the labels first for predictions of about the same
age (`near`), then for any of the newer half of all that is held (`anywhere`), then the same with the page cache emptied
of the store's files before each round (`cold`). Decoded columns are made before the clock starts; outcomes and journal
are encoded. At last a task is restored from the journal of the first part of it. Prints a JSON line for each, and
ratios. Rates are given by the wall clock and by CPU-seconds (the kernel's part included), which a busy machine distorts
less.
"""

from __future__ import annotations

import argparse
import dataclasses
import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

from streams.decode import Packed
from streams.join import JoinTask, ModelJoin
from streams.records import Int64Array, Moment
from streams.worker.spill import Spill, SpillRoom
from tests.benchmarks.join_speed import RECORDS, labels_of, predictions_of, prepared_task, records
from tests.benchmarks.state_rocksdict import Rocks
from tests.benchmarks.state_rocksdict import is_there as rocksdict_is_there

PER_MILLISECOND = 10  # predictions, in event time
UNITS = ("a_second", "a_cpu_second")
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_MIB = 1 << 20


def keys_of(numbers: Int64Array) -> Packed:
    """36-byte keys that look random and are the same for the same numbers."""
    parts = []
    for salt in (1, 2):
        mixed = numbers.astype(np.uint64) * np.uint64(2) + np.uint64(salt)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        parts.append(mixed[:, None] >> np.arange(0, 64, 4, dtype=np.uint64))
    digits = _HEX[np.hstack([*parts, parts[0][:, :4]]).astype(np.intp) & 15]
    return Packed(digits.ravel().copy(), np.arange(1, len(numbers) + 1, dtype=np.int64) * digits.shape[1])


class Bench:
    """A task, and what it is fed."""

    def __init__(self, held: int, room: SpillRoom | None) -> None:
        hold = held // PER_MILLISECOND
        task, self.predictions, self.labels = prepared_task()
        settings = dataclasses.replace(task._settings, default=ModelJoin(hold * 9 // 10, hold // 10))
        self.task = JoinTask(settings, 0, 2, room)
        self.room, self.held, self.first, self.most = room, held, 0, {"anonymous": 0, "files": 0}
        self.strings = self.task._profiles.strings  # the codes of prepared columns must be the task's own
        self.draw = np.random.default_rng(1)
        self.journal: list[bytes] = []

    def turn(self, labels: Int64Array | None = None) -> tuple[float, float]:
        """Read 10,000 predictions and perhaps the labels of so many others; the seconds it took, wall and CPU."""
        first, at = self.first, self.first // PER_MILLISECOND
        keys = keys_of(first + np.arange(RECORDS))
        self.predictions.columns = predictions_of(keys, first, at, self.strings, self.draw)
        batches = [records("predictions", first, RECORDS)]
        if labels is not None:
            said = labels_of(keys_of(labels), first, at, self.draw)
            self.labels.columns = dataclasses.replace(said, timestamp=np.full(len(labels), at))
            batches.append(records("labels", first, len(labels)))
        self.first += RECORDS
        gc.disable()
        start, busy = time.perf_counter(), time.process_time()
        step = self.task.apply(batches, Moment(at, frozenset()))
        spent = time.perf_counter() - start, time.process_time() - busy
        gc.enable()
        note_memory(self.most)
        if len(self.journal) < 50:
            self.journal += step.journal
        return spent

    def forget_cache(self) -> None:
        """Write what is not written yet, and empty the page cache of the files."""
        if self.room is not None:
            self.room.give_back()
            for file in self.room._files.values():
                os.fdatasync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def near(first: int, held: int, draw: np.random.Generator) -> Int64Array:
    """Predictions about half as old as the oldest; `first` is the number of the next."""
    return np.unique(first - held // 2 + draw.integers(0, 2 * RECORDS, RECORDS))


def anywhere(first: int, held: int, draw: np.random.Generator) -> Int64Array:
    """Predictions of any age up to half that of the oldest."""
    return np.unique(first - draw.integers(RECORDS, held // 2 + RECORDS, RECORDS))


KINDS = {"near": near, "anywhere": anywhere, "cold": anywhere}


def note_memory(most: dict[str, int]) -> None:
    """Keep the most that there was, in MiB."""
    told = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    for name, key in (("anonymous", "RssAnon"), ("files", "RssFile")):
        most[name] = max(most[name], int(told[key].split()[0]) // 1024)


def measure(held: int, memory: int | None, directory: Path, rounds: int) -> dict[str, object]:
    """Take in `held` predictions and go on; memory None is the store in memory."""
    bench = Bench(held, None if memory is None else Spill(memory * _MIB, directory).room())
    bench.turn()  # compiles
    bench.turn(np.arange(0, RECORDS, 2))
    told: dict[str, object] = {
        "held": held,
        "store": "memory" if memory is None else "disk",
        "state_memory_mib": memory,
    }
    note_memory(bench.most)
    told["mib_before"] = {**bench.most}
    told["taking_in"] = _rates([bench.turn() for _ in range(held // RECORDS - 2)], RECORDS)
    for name, choose in KINDS.items():
        if name == "cold" and memory is None:
            continue
        told[name] = in_rounds(
            rounds,
            lambda choose=choose: choose(bench.first, held, bench.draw),
            bench.turn,
            bench.forget_cache if name == "cold" else None,
        )
    told["mib_most"] = bench.most
    again = Bench(held, None if memory is None else Spill(memory * _MIB, directory).room())
    start, busy = time.perf_counter(), time.process_time()
    again.task.restore(bench.journal, {})
    told["restoring"] = _rates([(time.perf_counter() - start, time.process_time() - busy)], again.task.held)
    told["disk_mib"] = disk_used(bench.room)
    return told


def measure_rival(held: int, memory: int, directory: Path, rounds: int) -> dict[str, object]:
    """The same pattern of RocksDB, alone (state_rocksdict.py)."""
    rocks, draw, most, first = Rocks(memory, directory), np.random.default_rng(1), {"anonymous": 0, "files": 0}, 0
    note_memory(most)
    told: dict[str, object] = {"held": held, "store": "rocksdict", "state_memory_mib": memory, "mib_before": {**most}}

    def turn(labels: Int64Array | None = None) -> tuple[float, float]:
        nonlocal first
        each = np.arange(RECORDS)
        gone = None if first < held else keys_of(first - held + each)
        spent = rocks.turn(keys_of(first + each), None if labels is None else keys_of(labels), gone)
        first += RECORDS
        note_memory(most)
        return spent

    told["taking_in"] = _rates([turn() for _ in range(held // RECORDS)], RECORDS)
    for name in ("near", "anywhere"):
        told[name] = in_rounds(rounds, lambda name=name: KINDS[name](first, held, draw), turn)
    told |= {"mib_most": most, "disk_mib": rocks.disk_mib()}
    rocks.close()
    return told


def in_rounds(
    rounds: int,
    choose: Callable[[], Int64Array],
    turn: Callable[[Int64Array], tuple[float, float]],
    before: Callable[[], None] | None = None,
) -> dict[str, float]:
    """Each round takes predictions in and the labels that `choose` names; `before` is not timed."""
    spent, count = [], 0
    for _ in range(rounds):
        if before is not None:
            before()
        chosen = choose()
        spent.append(turn(chosen))
        count = RECORDS + len(chosen)
    return _rates(spent, count)


def _rates(spent: list[tuple[float, float]], count: int) -> dict[str, float]:
    """Records a second of the median round, and the seconds of the slowest."""
    wall, busy = (statistics.median(each) for each in zip(*spent, strict=True))
    slowest = max(wall for wall, _ in spent)
    return {"a_second": round(count / wall), "a_cpu_second": round(count / busy), "slowest_s": round(slowest, 3)}


def disk_used(room: SpillRoom | None) -> int:
    """MiB of files."""
    return 0 if room is None else sum(os.fstat(each.fileno()).st_blocks * 512 for each in room._files.values()) // _MIB


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--held", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--memory", type=int, default=256, help="state.memory in MiB")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--store", choices=["memory", "disk", "rocksdict"], help="one of them, in this process")
    given = parser.parse_args()
    if given.store == "rocksdict":
        print(json.dumps(measure_rival(given.held[0], given.memory, given.directory, given.rounds)), flush=True)
        return
    if given.store:
        memory = None if given.store == "memory" else given.memory
        print(json.dumps(measure(given.held[0], memory, given.directory, given.rounds)), flush=True)
        return
    print(json.dumps({"load": psutil.getloadavg(), "cores": psutil.cpu_count()}))
    stores = ["memory", "disk", *(["rocksdict"] if rocksdict_is_there() else [])]
    if "rocksdict" not in stores:
        print("rocksdict is not installed, and left out")
    for held in given.held:
        common = ["--memory", str(given.memory), "--directory", str(given.directory), "--rounds", str(given.rounds)]
        told = {}
        for store in stores:
            command = [sys.executable, "-m", "tests.benchmarks.state", "--held", str(held), "--store", store, *common]
            said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            line = said.splitlines()[-1]  # what comes before it is logged
            print(line, flush=True)
            told[store] = json.loads(line)
        for other in (store for store in stores if store != "disk"):
            for name in ("taking_in", "near", "anywhere", "restoring"):
                if name in told[other]:
                    ratios = {unit: round(told["disk"][name][unit] / told[other][name][unit], 3) for unit in UNITS}
                    print(json.dumps({"held": held, f"{name}: disk to {other}": ratios}), flush=True)


if __name__ == "__main__":
    main()
