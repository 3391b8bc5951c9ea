"""The gauge stage: a fold of the outcomes topic into metric, monitor and alert events. Pure: it does no I/O."""

from streams.gauge.settings import GaugeSettings
from streams.gauge.task import GaugeStep, GaugeTask

__all__ = ["GaugeSettings", "GaugeStep", "GaugeTask"]
