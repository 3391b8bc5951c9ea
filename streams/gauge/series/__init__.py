"""The series of one model: what its detectors watch, from reference to alarm to recovery. Pure: a fold of rows."""

from streams.gauge.series.facts import Finding, MonitorChange
from streams.gauge.series.model import ModelSeries
from streams.gauge.series.reference import HELD, MOST, Sample, WarmUp
from streams.gauge.series.settings import SeriesSettings, WatchSettings

__all__ = [
    "HELD",
    "MOST",
    "Finding",
    "ModelSeries",
    "MonitorChange",
    "Sample",
    "SeriesSettings",
    "WarmUp",
    "WatchSettings",
]
