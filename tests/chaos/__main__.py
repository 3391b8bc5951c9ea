"""`python -m tests.chaos`: thirty-four deaths on a cluster of three, then how long a recovery takes."""

from __future__ import annotations

import argparse
import sys

from tests.chaos import report
from tests.chaos.cluster import three_brokers
from tests.chaos.plan import thirty
from tests.chaos.run import DEFAULTS, survive


def main() -> None:
    """Do all of it; what did not survive ends it with a traceback."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="what traffic and the order of the deaths are drawn from")
    parser.add_argument("--deaths", type=int, default=None, help="only so many of them")
    told = parser.parse_args()
    with three_brokers() as brokers:
        survived = survive(brokers, thirty(told.seed)[: told.deaths], told.seed, DEFAULTS, tell=_tell)
    _tell(report.text(survived))
    _tell(report.as_json(survived))


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
