"""The evaluation writes what it promises, of every detector, the same from the same seed; its measures are right."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import detectors
from detectors.catalogue import find
from detectors.evaluation import FILES, Scale, evaluate, write
from detectors.evaluation.__main__ import main
from detectors.evaluation.contenders import CONTENDERS
from detectors.evaluation.made import SYNTHETIC
from detectors.evaluation.measure import Delays, Rate, Trial, turn_for
from detectors.evaluation.real import REAL, real
from detectors.evaluation.run import Job, run


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("detectors")
    main(["--quick", "--workers", "1", "--seed", "3", "--out", str(out)])
    return out


def test_every_page_and_picture_is_written_and_says_the_seed(written: Path) -> None:
    assert sorted(path.name for path in written.iterdir()) == sorted(FILES)
    for path in written.iterdir():
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".md":
            assert "--seed 3" in text
        else:
            assert text.rstrip().endswith("</svg>")


def test_every_detector_of_one_series_is_in_the_tables(written: Path) -> None:
    for page in ("README.md", "false_alarms.md", "delays.md"):
        text = (written / page).read_text(encoding="utf-8")
        missing = [name for name in of_one_series() if f"| {name} " not in text]
        assert missing == [], page


def of_one_series() -> set[str]:
    others = {"river:FHDDM"}  # what else river has is a twin's original, or alarms at random
    own = {name for name in detectors.catalog() if not name.startswith("river:")} | others
    return {name for name in own if ".multivariate." not in find(name).__module__}


def of_rows() -> set[str]:
    return {name for name in detectors.catalog() if ".multivariate." in find(name).__module__}


def test_river_itself_alarms_where_its_twins_do(written: Path) -> None:
    text = (written / "false_alarms.md").read_text(encoding="utf-8")
    twins = [c.label for c in CONTENDERS if c.river]
    rows = [line for line in text.splitlines() if line.endswith(("| yes |", "| **no** |"))]
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == twins
    assert all(row.endswith("| yes |") for row in rows)


def test_there_is_an_entry_for_every_detector() -> None:
    assert {c.name for c in CONTENDERS} == of_one_series() | of_rows()


def test_ten_kinds_of_series_and_four_of_real_values_with_every_sort_of_change() -> None:
    assert sum(family.ten for family in SYNTHETIC) >= 10
    assert len(REAL) >= 4
    sorts = {change.what for family in SYNTHETIC for change in family.changes}
    assert sorts == {"abrupt", "gradual", "recurring", "small"}
    for family in (*SYNTHETIC, *map(real, REAL)):
        for change in family.changes:
            values = change.sample(np.random.default_rng(1), 0, 1_000)
            assert values.shape == ((1_000,) if family.kind != "rows" else (1_000, values.shape[1]))
            assert np.isfinite(values).all()


class Every(detectors.Detector):
    """Alarms at every `n`-th value since the last alarm."""

    def __init__(self, n: int) -> None:
        self.params = n
        self.counts = np.zeros(8, np.int64)

    def _feed(self, values: np.ndarray) -> int:
        need = self.params - int(self.counts[4])
        if len(values) < need:
            self.counts[4] += len(values)
            return -1
        self.counts[4] = 0
        return need - 1

    def state(self) -> dict[str, np.ndarray]:
        return {"counts": self.counts}

    def load(self, state: dict[str, np.ndarray]) -> None:
        self.counts[:] = state["counts"]

    def reset(self) -> None:
        self.counts[4] = 0

    statistic = threshold = 0.0
    memory = 0


def test_alarms_are_counted_up_to_a_limit_and_the_start_is_the_same_each_time() -> None:
    trial = Trial(Every(7), primed=False)
    for _ in range(2):
        assert trial.alarms(np.zeros(100), 0, 1_000) == 14
    assert trial.alarms(np.zeros(100), 0, 5) == 5


def test_a_delay_counts_from_the_change_and_a_miss_is_none() -> None:
    trial = Trial(Every(7), primed=True)
    assert trial.delay(np.zeros(10), np.zeros(20), 0) == 4
    assert trial.delay(np.zeros(10), np.zeros(3), 0) is None


def test_a_transform_sees_the_numbers_of_its_values() -> None:
    seen: list[tuple[int, int]] = []

    def transform(values: np.ndarray, first: int) -> np.ndarray:
        seen.append((first, len(values)))
        return values

    trial = Trial(Every(7), primed=True, transform=transform)
    trial.alarms(np.zeros(10), 100, 10)
    trial.delay(np.zeros(10), np.zeros(20), 200)
    assert seen == [(100, 10), (200, 30)]


def test_missed_changes_count_with_the_horizon() -> None:
    found = Delays.of([10, 20, None, 30], 100)
    assert found.mean == Fraction(160, 4)
    assert found.missed == 0.25
    assert found.p90 == pytest.approx(np.quantile([10, 20, 100, 30], 0.9))


def test_a_knob_is_turned_to_the_wanted_rate() -> None:
    def rate(turn: float, share: float) -> Rate:
        values = int(share * 2_000_000)
        return Rate(round(values * 0.02 * np.exp(-12.0 * turn)), values)

    turn = turn_for(rate, 1 / 20_000)
    assert rate(turn, 1.0).per_million == pytest.approx(50.0, rel=0.12)


def test_the_equal_rate_is_near_the_wanted_one_on_fresh_streams() -> None:
    scale = Scale(references=4, values=50_000, trials=2, every=1_000, families=frozenset(("normal",)))
    for name in ("page_hinkley", "windowed_ks"):
        outcome = run(Job("normal", name, 5, scale))[2]
        assert outcome.setting == "equal"
        assert outcome.rate is not None
        assert outcome.rate.per_million == pytest.approx(1_000, rel=0.35)
        assert outcome.delays["mean + 1 sd"].mean < outcome.delays["mean + 0.25 sd"].mean


def test_the_same_seed_gives_the_same_bytes_whatever_the_processes_and_another_one_others(tmp_path: Path) -> None:
    scale = Scale(
        references=2, values=2_000, trials=2, every=500, families=frozenset(("errors 0.1", "five categories"))
    )

    def pages(name: str, workers: int) -> list[bytes]:
        write(evaluate(3, scale, workers, lambda line: None), 3, scale, tmp_path / name)
        return [(tmp_path / name / file).read_bytes() for file in FILES]

    assert pages("first", 1) == pages("second", 2)
    assert evaluate(3, scale, 1, lambda line: None) != evaluate(4, scale, 1, lambda line: None)


def test_the_information_of_a_change_is_its_relative_entropy() -> None:
    from scipy.integrate import quad
    from scipy.special import rel_entr
    from scipy.stats import norm

    known = {(f.name, c.name): c.information for f in SYNTHETIC for c in f.changes}
    assert known["errors 0.1", "0.1 to 0.2"] == pytest.approx(rel_entr([0.2, 0.8], [0.1, 0.9]).sum())
    for change, after in {"mean + 0.5 sd": norm(0.5, 1.0), "sd × 1.5": norm(0.0, 1.5)}.items():
        integral = quad(lambda x, p=after: p.pdf(x) * (p.logpdf(x) - norm.logpdf(x)), -12.0, 12.0)[0]
        assert known["normal", change] == pytest.approx(integral, rel=1e-6)
