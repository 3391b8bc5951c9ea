"""The series of one model: what its detectors watch, from reference to alarm to recovery. Pure: a fold of rows."""

from streams.gauge.series.facts import Finding, MonitorChange
from streams.gauge.series.model import ModelSeries
from streams.gauge.series.settings import SeriesSettings, WatchSettings

__all__ = ["Finding", "ModelSeries", "MonitorChange", "SeriesSettings", "WatchSettings"]
