"""The command line of streamgauge."""

from streams.commands import config, dev, run, topics
from streams.commands.main import app, main

__all__ = ["app", "config", "dev", "main", "run", "topics"]
