"""What all events that go out have in common: nothing but what is written here is in them.

Times are RFC 3339 in UTC with milliseconds. Where a number has no value (a zero denominator) it is null, never NaN.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

METRIC_TYPE = "io.streamgauge.metric.v1"
ALERT_TYPE = "io.streamgauge.alert.v1"
MONITOR_TYPE = "io.streamgauge.monitor.v1"
DEAD_LETTER_TYPE = "io.streamgauge.dead_letter.v1"

Time = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$")]
Figure = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Segment = Annotated[dict[str, str], Field(max_length=1)]


class OutputEvent(BaseModel):
    """Base of the events that go out."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, use_attribute_docstrings=True, defer_build=True
    )
