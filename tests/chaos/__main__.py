"""`python -m tests.chaos`: thirty-four deaths on a cluster of three, then how long a recovery takes.

Interrupted (SIGINT), it does no more deaths and gives its verdict over those that it has done.
"""

from __future__ import annotations

import argparse
import signal
import sys

from tests.chaos import recovery, report
from tests.chaos.cluster import three_brokers
from tests.chaos.plan import thirty
from tests.chaos.run import DEFAULTS, survive


def main() -> None:
    """Do all of it; what did not survive ends it with a traceback."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="what traffic and the order of the deaths are drawn from")
    parser.add_argument("--deaths", type=int, default=None, help="only the first so many of them; 0 is none")
    parser.add_argument("--held", type=int, default=1_000_000, help="predictions held in a recovery; 0 measures none")
    told = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that workers and brokers go as well
    deeds = thirty(told.seed)[: told.deaths]
    if deeds:
        interrupted: list[int] = []
        before = signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
        with three_brokers() as brokers:
            survived = survive(brokers, deeds, told.seed, DEFAULTS, tell=_tell, enough=lambda: bool(interrupted))
        signal.signal(signal.SIGINT, before)
        _tell(report.text(survived))
        _tell(report.as_json(survived))
    if told.held:
        with three_brokers() as brokers:
            recoveries = recovery.measure(brokers, told.held, DEFAULTS.client)
        _tell(recovery.table(recoveries))
        _tell(recovery.as_json(recoveries))


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
