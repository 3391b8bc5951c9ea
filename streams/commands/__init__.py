"""The command line of streamgauge."""

from streams.commands import config, dev, doctor, run, topics
from streams.commands.main import app, main

__all__ = ["app", "config", "dev", "doctor", "main", "run", "topics"]
