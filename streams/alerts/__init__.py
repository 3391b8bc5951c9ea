"""Alerts: rules, episodes, incidents, silences and summaries of one model. Pure: no I/O, no clock of its own.

The gauge stage tells a `ModelAlerts` what it found (`DriftFinding`, `WindowFigures`, `Condition`), what came
(`seen`), what was controlled (`control`) and that time passed (`tick`); what comes back are the `Alert` events to
publish, in order. Its state is a fold of these calls: `snapshot` and `restore` at any place change nothing.

    facts.py        what the gauge says                    alert.py      the event, its identities, its bytes
    settings.py     rules, limits and times                episode.py    one firing: the state machine
    thresholds.py   verdicts on windows, `for`             book.py       what is open; repeats; incidents; the limit
    rules.py        every rule on every scope              mutes.py      silences and announced events
    silence.py      streams that have gone quiet           summary.py    sentences
    model.py        ModelAlerts: all of them, for one model
"""

from streams.alerts.alert import Alert, AlertKey, Resolution, Status
from streams.alerts.facts import Cause, Condition, DriftFinding, Level, Suspect, WindowFigures
from streams.alerts.model import ModelAlerts
from streams.alerts.settings import AlertSettings, Limit, QuietSettings, SettingsError, ThresholdRule

__all__ = [
    "Alert",
    "AlertKey",
    "AlertSettings",
    "Cause",
    "Condition",
    "DriftFinding",
    "Level",
    "Limit",
    "ModelAlerts",
    "QuietSettings",
    "Resolution",
    "SettingsError",
    "Status",
    "Suspect",
    "ThresholdRule",
    "WindowFigures",
]
