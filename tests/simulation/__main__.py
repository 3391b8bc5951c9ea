"""The simulation: generated traffic and generated faults over the in-memory log, one seed = one history.

    python -m tests.simulation --seeds 1000              seeds 1 to 1000; the first that fails is shrunk
    python -m tests.simulation --minutes 30              as many of them as begin within half an hour
    python -m tests.simulation --seed 39 --keep 0-3,64   one history again, or only these parts of it

| fault of a real Kafka | where it is made |
|---|---|
| markers take offsets | `streams/log/memory/partition.py`, always |
| markers appear one after the other; offsets before or after them | `transactions._finish`; `world._step` |
| markers that come seconds late, the offsets long there | `late markers` |
| inputs written in transactions, committed or aborted | `transaction`; services.py |
| open transactions hold the last stable offset back, and the end is that | `partition.stable_end`, always |
| committed offsets are unstable while a transaction is open | `transactions.unstable_for`, always |
| fencing by member and generation, not by ownership | `group.verify_offsets`, always |
| a commit whose reply is lost, applied or not | `error` UnknownOutcome; then death: `kill` at commit, after |
| delayed produce | `late produce`: records leave their producer when it commits |
| rebalance inside consume; eager revocation of everything | `rebalance`, `hire`; `consumer._turn_protocol` |
| scaling out and in | `hire`, `retire`, crews of 1 to 4 |
| static members that do not leave | crews with instance names; `group.leave` |
| two workers of one name | `twin` |
| arbitrary interleaving of partitions | `world._fetch` |
| arbitrary interleaving of workers | `world._once`: every step of the log gives way, before and after |
| death at any step | `kill` |
| a process that stands still at any step: past the transaction's time-out, past the session's | `stall` |
| retention, of what is read already; the journal cut at its floor | `retention`; `upkeep`, every 4 s |
| compaction and tombstones | `compaction` |
| size and metadata limits | `streams/log/checks.py`, always |
| offsets that expire | `downtime` with `offsets` |
| an outage of one partition, also longer than sessions and transactions | `outage`; `additions._long_outage` |
| streams that fall silent until they are missed, and come back | `additions._quiet`; `PATIENCE` |
| a broker that refuses every third request | `flaky` |
| errors of every class from every call | `error` |
| clocks that differ, and go at other rates | `plan.Member` |
| hours of downtime, and catching up | `downtime` |
| labels or predictions that stall beyond the horizon | `plan._traffic`, `stalled` |
| labels told at the last moment: corrections, withdrawals around expiry and floor | `plan.Drawn._labels` |
| bad records, and poison that raises while it is applied | `traffic.Traffic._bad`; `plan.Drawn.poison` |
| tombstones, and records too large for any message | `additions._unfit` |
| commits of several messages for one partition, snapshots of many chunks | `additions._heavy`; `small chunks` |
| silences, announced events, baselines, acknowledgements; bad ones | `additions._control`; `acknowledge` |
| a change that a detector must see | `additions._change` |
| one worker, four, two | `scale` |
| a zombie in its commit, a successor at hand; death while a commit's fate is asked | `additions._troubles` |

What of it has occurred, and how often, is counted (occurred.py) and printed at the end; that something never does is a
failure, from two hundred histories on.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.simulation.additions import full_plan
from tests.simulation.occurred import WANTED, table
from tests.simulation.play import Played, parts_of, play, play_seed, ranges, shrink

_SHRINKING = 150
_ENOUGH = 200
"""Histories in which everything should have occurred."""


def main() -> int:
    """Exit code 1 where a history fails."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description="Simulated histories.")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many")
    parser.add_argument("--first", type=int, default=1, help="the first of them")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--keep", help="only these parts of it, such as 0-3,7")
    parser.add_argument("--minutes", type=float, help="no history begins after so many")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    options = parser.parse_args()
    if options.seed is not None:
        return _one(options.seed, options.keep)
    return _many(range(options.first, options.first + options.seeds), options.workers, options.minutes)


def _one(seed: int, keep: str | None) -> int:
    plan = full_plan(seed)
    if keep is not None:
        plan = plan.keeping(parts_of(keep))
    for sent in plan.all_sent:
        print(f"{sent.at:>7} ms  {sent.record.topic:<12} {sent.record.meaning}")
    for trouble in plan.all_troubles:
        print(f"{trouble.at:>7} ms  {trouble}")
    played = play(plan)
    print(played.text or f"seed {seed} holds: {played.commits} commits, {dict(played.checks)}")
    return 1 if played.checker else 0


def _many(seeds: range, workers: int, minutes: float | None) -> int:
    began = time.monotonic()
    total, failed = Total(), None
    for played in played_by(seeds, workers):
        if played.checker is not None:
            print(f"seed {played.seed} fails: {played.text[:2_000]}", flush=True)
            failed = failed or played
        total.add(played)
        if total.histories % 50 == 0:
            print(
                f"{total.histories} histories, {total.commits:,} commits, {time.monotonic() - began:.0f} s", flush=True
            )
        if minutes is not None and time.monotonic() - began >= 60 * minutes:
            break
    print(f"{total}, seeds {seeds.start} to {seeds.start + total.histories - 1}")
    if failed is not None:
        return _shrunk(failed)
    lacking = total.lacking
    if lacking and total.histories >= _ENOUGH:
        print(f"never occurred: {'; '.join(lacking)}")
        return 1
    return 0


@dataclass(slots=True)
class Total:
    """What came of many histories."""

    histories: int = 0
    held: int = 0
    commits: int = 0
    checks: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    seen_in: Counter[str] = field(default_factory=Counter)

    def add(self, played: Played) -> None:
        """One more."""
        self.histories += 1
        self.held += played.checker is None
        self.commits += played.commits
        self.checks += played.checks
        self.seen += played.seen
        self.seen_in += Counter(dict.fromkeys(played.seen, 1))

    @property
    def lacking(self) -> list[str]:
        """What should have occurred and has not."""
        return [name for name in WANTED if not self.seen[name]]

    def __str__(self) -> str:
        compared = "\n".join(f"  {name:<80} {count:>9,}" for name, count in sorted(self.checks.items()))
        occurred = table(self.seen, self.seen_in)
        return (
            f"occurred, times in histories:\n{occurred}\ncompared:\n{compared}\n"
            f"{self.held} of {self.histories} histories hold, {self.commits:,} commits"
        )


def played_by(seeds: Iterable[int], workers: int) -> Iterator[Played]:
    """The histories of the seeds, in their order."""
    if workers == 1:
        yield from map(play_seed, seeds)
        return
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(play_seed, seeds, chunksize=4)


def _shrunk(played: Played) -> int:
    assert played.checker is not None
    print(f"shrinking seed {played.seed} …", flush=True)
    kept = shrink(full_plan(played.seed), played.checker, runs=_SHRINKING)
    print(f"python -m tests.simulation --seed {played.seed} --keep {ranges(kept)}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
