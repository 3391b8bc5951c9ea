"""The soak runs small in the tests, so that it never rots; what it measures here is not looked at."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from tests.kafka_client import Kafka
from tests.soak.__main__ import SoakApplication, arguments, soak
from tests.soak.sampling import judged


@pytest.mark.kafka
@pytest.mark.xdist_group("bench")
def test_a_soak_of_seconds_samples_every_figure_and_counts_every_record_once(
    kafka: str, unique: object, tmp_path: Path
) -> None:
    options = arguments().parse_args(["--minutes", "0.15", "--every", "2", "--out", str(tmp_path)])
    app = SoakApplication(kafka, unique("soak"))  # type: ignore[operator]
    with closing(Kafka(kafka)) as cluster:
        found = soak(cluster, app, 400.0, options, Console(stderr=True))
        cluster.delete(app.application_id)
    assert found["exit"] == 0
    assert found["counted"]["predictions"] == found["sent"]["predictions"] >= 1_500
    assert len(found["samples"]) >= 3
    assert found["samples"][-1].keys() >= set(judged())
