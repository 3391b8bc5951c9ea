"""A supervisor with two small stages, as a process of its own: `python -m tests.worker.family HOW [never]`.

Each stage says on stdout what happens to it. HOW is what "join" does once it may begin: `exit:N`, `kill` or `stay`;
"gauge" stays. With `never` the supervisor ends without ever letting them begin.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from streams.worker import Children, Link, set_up_logs
from streams.worker.process import stopping_on_signals


def say(text: str) -> None:
    """One write, so that lines of several processes stay lines."""
    os.write(1, f"{text}\n".encode())


def stage(name: str, link: Link) -> None:
    """What a stage's process does."""
    if not link.wait():
        say(f"{name} never began")
        return
    stopped = threading.Event()
    with stopping_on_signals(stopped.set):
        link.announce(1, stopped.set)
        say(f"{name} began")
        how = sys.argv[1] if name == "join" else "stay"
        if how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if how.startswith("exit:"):
            sys.exit(int(how.removeprefix("exit:")))
        stopped.wait()
    say(f"{name} stopped in order")


def main() -> None:
    """Until a stage ends, or a signal."""
    set_up_logs(verbose=False)
    with Children(("join", "gauge"), stage) as children:
        if sys.argv[2:] == ["never"]:
            sys.exit(7)
        sys.exit(children.supervise(("127.0.0.1", 0)))


if __name__ == "__main__":
    main()
