"""The promise about false alarms, and what it leaves to be found: one configuration, the same thresholds for all."""

from __future__ import annotations

import numpy as np
from gauge.series_world import LABEL_BASE, rows_of

from streams.gauge.series import Finding, ModelSeries, MonitorChange, SeriesSettings
from streams.state import pack, unpack

SEEDS = 40
EVENTS = 200_000
BATCH = 20_000
FEATURES = 11  # and the error and the score: 13 series
PARTITION = 3


def batch(
    rng: np.random.Generator, n: int, start: int, *, error: float = 0.1, score: float = 0.0, feature: float = 0.0
):
    """Independent events at 10 a second."""
    numbers = rng.standard_normal((n, FEATURES))
    numbers[:, 4] += feature
    return rows_of(rng.random(n) < error, rng.normal(score, 1.0, n), numbers, start=start)


def found_within(model: ModelSeries, rows, subject: str, limit: int) -> bool:
    """Whether the first alarm of the subject comes within `limit` events and names the very record."""
    alarms: list[Finding] = [
        each for each in model.apply(rows, PARTITION) if each.drift.kind == "fired" and each.drift.subject == subject
    ]
    if not alarms or alarms[0].row // 2 >= limit:
        return False
    row, cause = alarms[0].row, alarms[0].drift.cause
    assert cause is not None
    if subject == "error":
        assert (cause.topic, cause.partition, cause.offset) == ("labels", PARTITION, rows.label_offset[row])
        assert cause.offset >= LABEL_BASE
    else:
        assert (cause.topic, cause.partition, cause.offset) == ("predictions", PARTITION, rows.prediction_offset[row])
    return True


def test_healthy_streams_keep_quiet_and_changed_ones_are_found(base_seed: int) -> None:
    settings = SeriesSettings()
    armed = healthy = errors = scores = features = 0
    for seed in np.random.SeedSequence(base_seed).spawn(SEEDS):
        rng = np.random.default_rng(seed)
        model = ModelSeries("m", settings)
        model.decide("binary")
        alarms = [
            found for start in range(0, EVENTS, BATCH) for found in model.apply(batch(rng, BATCH, start), PARTITION)
        ]
        healthy += not alarms
        told = [each for each in model.tick(0, None) if isinstance(each, MonitorChange)]
        armed += len({each.subject for each in told if each.state == "armed"})
        saved = pack(b"TEST", 1, model.snapshot())

        def changed() -> ModelSeries:
            again = ModelSeries("m", settings)
            again.restore(unpack(b"TEST", 1, saved))  # noqa: B023 - called within the loop's turn
            return again

        errors += found_within(changed(), batch(rng, 300, EVENTS, error=0.3), "error", 300)
        scores += found_within(changed(), batch(rng, 500, EVENTS, score=1.0), "score", 500)
        features += found_within(changed(), batch(rng, 500, EVENTS, feature=1.0), "features.f4", 500)
    print(f"{armed=} of {13 * SEEDS}, {healthy=} {errors=} {scores=} {features=} of {SEEDS}")
    assert armed >= 0.95 * 13 * SEEDS
    assert healthy >= 36
    assert errors >= 38
    assert scores >= 38
    assert features >= 38
