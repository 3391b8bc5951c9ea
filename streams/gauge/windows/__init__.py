"""The windows of a model: tumbling, rolling and cumulative, for the whole model and each segment.

`ModelWindows` folds a model's rows and gives a `WindowView` for each window that is due; `metric_event` tells it.
"""

from streams.gauge.windows.model import ModelWindows
from streams.gauge.windows.settings import TaskType, WindowSettings
from streams.gauge.windows.view import WindowView, event_id, metric_event

__all__ = ["ModelWindows", "TaskType", "WindowSettings", "WindowView", "event_id", "metric_event"]
