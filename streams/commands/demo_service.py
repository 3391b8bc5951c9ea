"""The demo's model service: a real scikit-learn model on real data, producing events as a user's service would.

It knows nothing of streamgauge but the shape of the events. The data are the Wisconsin diagnostic breast cancer set
that ships inside scikit-learn (569 samples): half trains the model, rows drawn from the other half are the requests.
"""

from __future__ import annotations

import heapq
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import orjson

from streams.commands.demo_pipeline import Sender

FEATURES = ("worst area", "worst texture", "worst smoothness", "worst concavity", "worst symmetry", "mean texture")
SITES = ("north", "south", "east")
MODEL, VERSION = "tumour", "2026-11"


@dataclass(frozen=True, slots=True)
class World:
    """What happens, and when (seconds since the service began). The change is planted, and says so."""

    change_after: float = 35.0
    feature: str = "worst area"
    factor: float = 0.01
    story: str = "the imaging software now reports `worst area` in cm² instead of mm²"
    rate: float = 120.0
    label_delay: tuple[float, float] = (2.0, 5.0)


class Diagnosis:
    """The model, trained on half of the data; `draw` gives requests out of the other half."""

    def __init__(self, seed: int) -> None:
        from sklearn.datasets import load_breast_cancer
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import train_test_split
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        data = load_breast_cancer()
        columns = [list(data.feature_names).index(name) for name in FEATURES]
        train, self._rows, labels, self._truth = train_test_split(
            data.data[:, columns], data.target == 0, test_size=0.5, random_state=1, stratify=data.target
        )
        self._model = make_pipeline(StandardScaler(), LogisticRegression()).fit(train, labels)
        self._draw = np.random.default_rng(seed)
        self.trained_on, self.served_from = len(train), len(self._rows)
        self.accuracy = float(self._model.score(self._rows, self._truth))

    def draw(self, count: int) -> tuple[Any, Any]:
        """`count` requests and what they really are: rows of shape (count, features), truth of shape (count,)."""
        picked = self._draw.integers(len(self._rows), size=count)
        return self._rows[picked].copy(), self._truth[picked]

    def predict(self, rows: Any) -> Any:
        """The probability that each row is malignant, shape (count,)."""
        return self._model.predict_proba(rows)[:, 1]

    def site(self) -> str:
        """Where a request comes from."""
        return SITES[int(self._draw.integers(len(SITES)))]

    def delay(self, bounds: tuple[float, float]) -> float:
        """How long the label takes, in seconds."""
        return float(self._draw.uniform(*bounds))


class Service(threading.Thread):
    """Serves requests at a steady rate and sends predictions at once, labels when they become known."""

    def __init__(self, sender: Sender, topics: Mapping[str, str], world: World, seed: int) -> None:
        super().__init__(name="demo-service", daemon=True)
        self._sender = sender
        self._topics = topics
        self._world = world
        self._over = threading.Event()
        self._labels: list[tuple[float, str, bytes]] = []
        self.diagnosis = Diagnosis(seed)
        self.served = self.labelled = 0
        self.changed_at: int | None = None  # epoch ms
        self.problem: Exception | None = None

    def stop(self) -> None:
        """Serve no more, and wait until everything is sent."""
        self._over.set()
        self.join(timeout=15)

    def run(self) -> None:
        try:
            self._serve()
        except Exception as problem:  # noqa: BLE001 - told to the demo, which ends
            self.problem = problem

    def _serve(self) -> None:
        began = time.monotonic()
        while not self._over.wait(0.05):
            now = time.monotonic()
            due = int((now - began) * self._world.rate) - self.served
            if due > 0:
                self._predict(due, changed=now - began >= self._world.change_after, now=now)
            self._tell_labels(now)
        self._sender.flush()

    def _predict(self, count: int, *, changed: bool, now: float) -> None:
        rows, truth = self.diagnosis.draw(count)
        if changed:
            rows[:, FEATURES.index(self._world.feature)] *= self._world.factor
            if self.changed_at is None:
                self.changed_at = time.time_ns() // 1_000_000
        began = time.perf_counter()
        scores = self.diagnosis.predict(rows)
        latency = (time.perf_counter() - began) * 1000
        for row, score, malignant in zip(rows, scores, truth, strict=True):
            identifier = str(uuid.uuid4())
            event = {
                "prediction_id": identifier,
                "model": MODEL,
                "version": VERSION,
                "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "prediction": "malignant" if score >= 0.5 else "benign",
                "score": float(score),
                "features": dict(zip(FEATURES, map(float, row), strict=True)),
                "segments": {"site": self.diagnosis.site()},
                "latency_ms": round(latency, 3),
            }
            self._sender.send(self._topics["predictions"], identifier.encode(), orjson.dumps(event))
            label = {"prediction_id": identifier, "label": "malignant" if malignant else "benign"}
            known = now + self.diagnosis.delay(self._world.label_delay)
            heapq.heappush(self._labels, (known, identifier, orjson.dumps(label)))
        self.served += count

    def _tell_labels(self, now: float) -> None:
        while self._labels and self._labels[0][0] <= now:
            _, identifier, label = heapq.heappop(self._labels)
            self._sender.send(self._topics["labels"], identifier.encode(), label)
            self.labelled += 1
