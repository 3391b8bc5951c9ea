"""Bytes to columns: the hot decoder, and the pydantic model behind it that names what is wrong."""

from streams.decode.columns import (
    DecodedLabels,
    DecodedPredictions,
    LabelColumns,
    Packed,
    PredictionColumns,
    Refusal,
    Strings,
)
from streams.decode.dead_letters import dead_letter
from streams.decode.decoders import LabelDecoder, PredictionDecoder, Span
from streams.decode.listed import Privacy

__all__ = [
    "DecodedLabels",
    "DecodedPredictions",
    "LabelColumns",
    "LabelDecoder",
    "Packed",
    "PredictionColumns",
    "PredictionDecoder",
    "Privacy",
    "Refusal",
    "Span",
    "Strings",
    "dead_letter",
]
