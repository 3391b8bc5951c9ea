"""Structured logs on stderr: for people on a terminal, JSON elsewhere. Nothing of events or secrets is logged."""

from __future__ import annotations

import logging
import sys

import structlog


def set_up_logs(*, verbose: bool = False) -> None:
    """Call once for a process."""
    terminal = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    )
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        renderer if terminal else structlog.processors.format_exc_info,
    ]
    if not terminal:
        processors.append(renderer)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),  # whatever stderr is when something is said
        cache_logger_on_first_use=False,
    )
