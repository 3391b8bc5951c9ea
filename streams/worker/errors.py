"""What ends a worker, and the exit code of each ending: the one place where they are matched.

0  done                     2  usage or configuration       4  fenced by a newer instance
1  bug                      3  Kafka not reachable,         5  state cannot be restored
                               topic missing, or refused       without loss
"""

from __future__ import annotations

from enum import IntEnum

from streams.log import Fenced, LogError, OffsetOutOfRange, Refused, TopicMissing, Unreachable, WrongProperty
from streams.records import Unreadable


class Exit(IntEnum):
    """Exit codes of every command."""

    DONE = 0
    BUG = 1
    USAGE = 2
    KAFKA = 3
    FENCED = 4
    STATE_LOST = 5


class WorkerError(Exception):
    """An ending that we name: its text is one sentence for people that says what to do."""

    exit = Exit.BUG


class RepeatedlyAborted(WorkerError):
    """The same transaction was aborted five times."""


class Misfit(WorkerError):
    """Topics and configuration do not fit each other."""

    exit = Exit.USAGE


class DirectoryUnusable(WorkerError):
    """What is held cannot spill to the directory given for it."""

    exit = Exit.USAGE


class KafkaRefuses(WorkerError):
    """A topic that must be there is missing, or Kafka does not let us do what we must."""

    exit = Exit.KAFKA


class StateLost(WorkerError):
    """State cannot be restored without loss."""

    exit = Exit.STATE_LOST


_OF_OTHERS: tuple[tuple[type[Exception], Exit], ...] = (
    (Fenced, Exit.FENCED),
    (WrongProperty, Exit.USAGE),
    (Unreachable, Exit.KAFKA),
    (Refused, Exit.KAFKA),
    (TopicMissing, Exit.KAFKA),
    (OffsetOutOfRange, Exit.STATE_LOST),
    (Unreadable, Exit.STATE_LOST),
)


def exit_code(problem: BaseException) -> Exit:
    """The exit code of an exception that ended a command."""
    if isinstance(problem, WorkerError):
        return problem.exit
    return next((code for kind, code in _OF_OTHERS if isinstance(problem, kind)), Exit.BUG)


def sentence(problem: BaseException) -> str:
    """What to tell a person: the sentence of an ending that we name, or the kind of a bug and its text."""
    if isinstance(problem, LogError):
        code = f" [{problem.code}]" if problem.code and problem.code not in str(problem) else ""
        return f"{problem}{code}"
    if isinstance(problem, (WorkerError, Unreadable)):
        return str(problem)
    return f"{type(problem).__name__}: {problem}. This is a bug: run again with --verbose and report the traceback."
