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

__all__ = [
    "DecodedLabels",
    "DecodedPredictions",
    "LabelColumns",
    "Packed",
    "PredictionColumns",
    "Refusal",
    "Strings",
]
