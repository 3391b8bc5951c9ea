"""The command line of streamgauge."""

import gc

# Cyclic garbage is looked for after so many new objects instead of 700: imports make a million that stay, and one poll
# of a consumer makes thousands of messages that their reference counts free. Looking took a tenth of all CPU.
gc.set_threshold(200_000, 20, 20)

from streams.commands import config, dev, doctor, run, topics  # noqa: E402
from streams.commands.main import app, main  # noqa: E402

__all__ = ["app", "config", "dev", "doctor", "main", "run", "topics"]
