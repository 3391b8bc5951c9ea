"""Errors for people: one clear sentence and the right exit code; the traceback only where it was asked for."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from schemas import ConfigError
from streams.devkafka import DevKafkaUnavailable
from streams.log import Refused
from streams.worker import Exit, exit_code, sentence


def ending(problem: BaseException) -> tuple[Exit, str]:
    """The exit code and the sentence of what ended a command."""
    if isinstance(problem, ConfigError):
        return Exit.USAGE, str(problem)
    if isinstance(problem, DevKafkaUnavailable):
        return Exit.KAFKA, str(problem)
    text = sentence(problem)
    if isinstance(problem, Refused) and (problem.code or "").endswith("_AUTHORIZATION_FAILED"):
        text += ": `streamgauge doctor --acls User:NAME` prints what each command must be allowed"
    return exit_code(problem), text


@contextmanager
def told_to_people(*, verbose: bool, prints: bool = True) -> Iterator[None]:
    """Turns what ends the body into a sentence on stderr and an exit code. `prints`: what the body says goes to stdout,
    and whoever reads it may have had enough; a service whose log is not read any more must not end as if in order."""
    try:
        yield
    except typer.Exit:
        raise
    except BrokenPipeError:
        if not prints:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is flushed at the end
        raise typer.Exit(Exit.DONE) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except Exception as problem:
        code, text = ending(problem)
        if verbose:
            traceback.print_exc()
        sys.stderr.write(f"streamgauge: {text}\n")
        raise typer.Exit(int(code)) from problem
