"""The decoders: a record batch of the predictions or labels topic to columns, refusals and a count of tombstones.

msgspec reads, `vectors` and `listed` make columns, the models in `schemas` decide whatever these two are not sure of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from schemas import LARGEST_EXACT, Config, format_duration
from streams.decode.columns import (
    DecodedLabels,
    DecodedPredictions,
    LabelColumns,
    PredictionColumns,
    Refusal,
    Strings,
)
from streams.decode.listed import Privacy, listed
from streams.decode.scan import LabelScan, PredictionScan
from streams.decode.vectors import Doubt, classes, flags, identifiers, names, nothing, numbers, times
from streams.decode.wire import LabelWire, PredictionWire, Reader, label_of, prediction_of
from streams.outcomes import Listed
from streams.records import Float64Array, Int64Array, RecordBatch

W = TypeVar("W", PredictionWire, LabelWire)
C = TypeVar("C", PredictionColumns, LabelColumns)
HOUR, DAY = 3_600_000, 86_400_000


@dataclass(frozen=True)
class Span:
    """How far an event's time may lie ahead of, or behind, its record's, in milliseconds (join rule 7)."""

    max_future: int = HOUR
    max_past: int = 400 * DAY

    def refusals(self, places: Int64Array, times: Int64Array, record_times: Int64Array) -> list[Refusal]:
        """A refusal for each event outside, and where the record's own time is none that an event may have."""
        ahead = times - record_times
        impossible = (times > LARGEST_EXACT) | (times < -LARGEST_EXACT)
        outside = np.flatnonzero((ahead > self.max_future) | (ahead < -self.max_past) | impossible)
        return [self._refusal(int(places[i]), int(ahead[i]), bool(impossible[i])) for i in outside]

    def _refusal(self, place: int, ahead: int, impossible: bool) -> Refusal:
        if impossible:
            message = "there is no timestamp, and the record's is too large for epoch milliseconds"
            return Refusal(place, "out_of_range", message, "timestamp")
        if ahead > 0:
            allowed = format_duration(self.max_future)
            message = f"timestamp lies more than {allowed} (max_future) ahead of the record's"
            return Refusal(place, "future_timestamp", message, "timestamp")
        allowed = format_duration(self.max_past)
        return Refusal(
            place, "out_of_range", f"timestamp lies more than {allowed} (max_past) behind the record's", "timestamp"
        )


class PredictionDecoder:
    """Bytes of the predictions topic to columns.

    `fields` maps the contract's names to a user's own; `segment_keys` are the segments kept; `positive_label` gives a
    model's positive class, to take `score` from a map of probabilities. `ask_the_model` False refuses whatever the
    fast way is not sure of: for tests.
    """

    def __init__(
        self,
        fields: Mapping[str, str] | None = None,
        segment_keys: tuple[str, ...] = (),
        positive_label: Callable[[str], str] = lambda _: "1",
        privacy: Privacy | None = None,
        span: Span | None = None,
        *,
        ask_the_model: bool = True,
    ) -> None:
        self._segment_keys = segment_keys
        self._positive_label = positive_label
        self._privacy = privacy or Privacy()
        self._span = span or Span()
        self._reader = Reader(PredictionWire, fields or {}, prediction_of if ask_the_model else None)
        plain = not fields and not self._privacy.drop and not self._privacy.hashed
        self._scan = PredictionScan(segment_keys, positive_label) if plain else None

    @classmethod
    def from_config(cls, config: Config) -> PredictionDecoder:
        """The decoder that a configuration asks for."""
        positive = {name: config.model(name).positive_label for name in config.models}
        return cls(
            config.fields,
            config.segment_keys,
            lambda model: positive.get(model, config.defaults.positive_label),
            Privacy.from_config(config),
            Span(config.defaults.join.max_future, config.defaults.join.max_past),
        )

    def decode(self, batch: RecordBatch, strings: Strings) -> DecodedPredictions:
        """The batch's events as columns; never raises for what a record holds."""
        scanned = self._scan.columns(batch, strings) if self._scan else None
        if scanned is not None and not self._span.refusals(scanned.place, scanned.timestamp, batch.timestamps):
            return DecodedPredictions(scanned, [], 0)
        columns, refusals = _decode(
            batch, self._reader, lambda events, places: self._columns(batch, events, places, strings), self._span
        )
        return DecodedPredictions(columns, refusals, batch.values.count(None))

    def _columns(
        self, batch: RecordBatch, events: list[PredictionWire], places: Int64Array, strings: Strings
    ) -> tuple[PredictionColumns, Doubt]:
        ids, doubtful = identifiers([event.prediction_id for event in events])
        keys = [event.label_key for event in events]
        if nothing(keys):
            label_key, prediction_id = ids, None
        else:
            pairs = zip(events, keys, strict=True)
            label_key, doubt = identifiers([event.prediction_id if key is None else key for event, key in pairs])
            prediction_id = ids
            doubtful |= doubt
        models = [event.model for event in events]
        model, model_doubt = names(models, strings)
        timestamp, doubt = times([event.timestamp for event in events], np.zeros(len(events), np.int64))
        doubtful |= doubt
        failed = flags([event.error for event in events])
        predictions = [event.prediction for event in events]
        prediction, prediction_text, doubt = classes(predictions, strings)
        doubtful |= doubt
        if predictions.count(None):
            doubtful |= np.array([value is None for value in predictions]) & (failed == 0)
        score, scores, doubt = self._scores([event.score for event in events], models, strings)
        doubtful |= doubt
        latency, latency_doubt = numbers([event.latency_ms for event in events], np.nan)
        weight, weight_doubt = numbers([event.weight for event in events], 1.0)
        features, features_doubt = listed([event.features for event in events], strings, self._privacy)
        without = Privacy(self._privacy.drop)
        attributions, attributions_doubt = listed([event.attributions for event in events], strings, without)
        for maybe in (model_doubt, latency_doubt, weight_doubt, features_doubt, attributions_doubt):
            if maybe is not None:
                doubtful |= maybe
        segments = np.full((len(self._segment_keys), len(events)), -1, np.int32)
        if self._segment_keys:
            maps = [event.segments for event in events]
            for row, key in enumerate(self._segment_keys if not nothing(maps) else ()):
                segments[row] = strings.codes([None if one is None else one.get(key) for one in maps])
        columns = PredictionColumns(
            place=places,
            offset=batch.offsets[places],
            timestamp=timestamp,
            label_key=label_key,
            prediction_id=prediction_id,
            model=model,
            version=strings.codes([event.version for event in events]),
            variant=strings.codes([event.variant for event in events]),
            prediction=prediction,
            prediction_text=prediction_text,
            score=score,
            weight=weight,
            latency=latency,
            failed=failed,
            segments=segments,
            features=features,
            attributions=attributions,
            scores=scores,
        )
        return columns, doubtful

    def _scores(self, values: list[Any], models: list[str], strings: Strings) -> tuple[Float64Array, Listed, Doubt]:
        """The positive class's probability, the maps of classes, and the rows out of range."""
        doubtful = np.zeros(len(values), np.bool_)
        if dict not in set(map(type, values)):
            score, doubt = numbers(values, np.nan)
            return score, Listed.empty(len(values)), doubtful if doubt is None else doubt
        maps = [value if type(value) is dict else None for value in values]
        positive = {model: self._positive_label(model) for model in dict.fromkeys(models)}
        plain = [
            value.get(positive[model]) if type(value) is dict else value
            for value, model in zip(values, models, strict=True)
        ]
        score, doubt = numbers(plain, np.nan)
        scores, scores_doubt = listed(maps, strings)
        for maybe in (doubt, scores_doubt):
            if maybe is not None:
                doubtful |= maybe
        return score, scores, doubtful


class LabelDecoder:
    """Bytes of the labels topic to columns. `fields` and `ask_the_model` as in PredictionDecoder."""

    def __init__(
        self, fields: Mapping[str, str] | None = None, span: Span | None = None, *, ask_the_model: bool = True
    ) -> None:
        self._span = span or Span()
        self._reader = Reader(LabelWire, fields or {}, label_of if ask_the_model else None)
        self._scan = None if fields else LabelScan()

    @classmethod
    def from_config(cls, config: Config) -> LabelDecoder:
        """The decoder that a configuration asks for."""
        return cls(config.label_fields, Span(config.defaults.join.max_future, config.defaults.join.max_past))

    def decode(self, batch: RecordBatch, strings: Strings) -> DecodedLabels:
        """The batch's events as columns; never raises for what a record holds."""
        scanned = self._scan.columns(batch, strings) if self._scan else None
        if scanned is not None and not self._span.refusals(scanned.place, scanned.timestamp, batch.timestamps):
            return DecodedLabels(scanned, [], 0)
        columns, refusals = _decode(
            batch, self._reader, lambda events, places: self._columns(batch, events, places, strings), self._span
        )
        return DecodedLabels(columns, refusals, batch.values.count(None))

    @staticmethod
    def _columns(
        batch: RecordBatch, events: list[LabelWire], places: Int64Array, strings: Strings
    ) -> tuple[LabelColumns, Doubt]:
        ids = [event.prediction_id if event.label_key is None else event.label_key for event in events]
        label_key, doubtful = identifiers(["" if one is None else one for one in ids] if None in ids else ids)  # type: ignore[arg-type]
        both = [
            event.prediction_id for event in events if event.label_key is not None and event.prediction_id is not None
        ]
        if both:  # a prediction_id is checked also where label_key goes before it
            _, bad = identifiers(both)
            if bad.any():
                doubtful |= np.array(
                    [event.label_key is not None and event.prediction_id is not None for event in events]
                )
        own = np.maximum(batch.timestamps[places], -LARGEST_EXACT - 1)  # one that is BAD is no doubt about the event
        timestamp, doubt = times([event.timestamp for event in events], own)
        doubtful |= doubt
        model, model_doubt = names([event.model for event in events], strings)
        labels = [event.label for event in events]
        label, label_text, doubt = classes(labels, strings)
        doubtful |= doubt
        weight, weight_doubt = numbers([event.weight for event in events], np.nan)
        for maybe in (model_doubt, weight_doubt):
            if maybe is not None:
                doubtful |= maybe
        withdrawn = np.zeros(len(events), np.uint8)
        if labels.count(None):
            withdrawn = np.array([value is None for value in labels], np.uint8)
        columns = LabelColumns(
            place=places,
            offset=batch.offsets[places],
            timestamp=timestamp,
            label_key=label_key,
            model=model,
            label=label,
            label_text=label_text,
            weight=weight,
            withdrawn=withdrawn,
        )
        return columns, doubtful


def _decode(
    batch: RecordBatch,
    reader: Reader[W],
    build: Callable[[list[W], Int64Array], tuple[C, Doubt]],
    span: Span,
) -> tuple[C, list[Refusal]]:
    """Reads, builds columns, asks the model about doubtful rows, refuses what is out of time; refusals in order.

    Bad records are rare, so the columns are simply built again without them.
    """
    events, found, refusals = reader.read(batch.values)
    places = np.array(found, np.int64)
    columns, doubtful = build(events, places)
    if doubtful.any():
        events, places = _settle(batch, reader, events, places, doubtful, refusals)
        columns, doubtful = build(events, places)
        assert not doubtful.any(), "what the model accepts leaves no doubt"
    outside = span.refusals(places, columns.timestamp, batch.timestamps[places])
    if outside:
        refusals += outside
        gone = {refusal.place for refusal in outside}
        stay = [i for i, place in enumerate(places) if place not in gone]
        columns, _ = build([events[i] for i in stay], places[stay])
    refusals.sort(key=lambda refusal: refusal.place)
    return columns, refusals


def _settle(
    batch: RecordBatch,
    reader: Reader[W],
    events: list[W],
    places: Int64Array,
    doubtful: Doubt,
    refusals: list[Refusal],
) -> tuple[list[W], Int64Array]:
    """The events with the model's word on the doubtful ones; adds its refusals."""
    settled: list[W] = []
    kept: list[int] = []
    for event, place, doubt in zip(events, places.tolist(), doubtful.tolist(), strict=True):
        decided: W | Refusal = event
        if doubt:
            value = batch.values[place]
            assert value is not None
            decided = reader.reconsider(value, place)
        if isinstance(decided, Refusal):
            refusals.append(decided)
        else:
            settled.append(decided)
            kept.append(place)
    return settled, np.array(kept, np.int64)
