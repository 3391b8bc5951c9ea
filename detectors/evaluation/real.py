"""Real values that ship inside river and scikit-learn, regimes spliced openly: the splice is the annotation.

A healthy series is drawn with replacement from the rows of one regime, the change is rows of another; the polls alone
keep the order in which they were taken. Where a series is that of a model's errors or scores, the model is
fitted on rows that appear in neither regime.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from detectors.detector import Float64Array
from detectors.evaluation.series import Change, Family, drawn, in_order, mixed


def _pair(name: str, before: Float64Array, after: Float64Array, change: str, **more: Any) -> Family:
    settings: dict[str, Any] = {"kind": "numeric", "role": "numeric"} | more
    return Family(name, sample=drawn(before), changes=(Change(change, "abrupt", drawn(after)),), **settings)


def _wine() -> Family:
    from sklearn.datasets import load_wine

    data = load_wine()
    ash = data.data[:, 2]
    return _pair("wine: ash", ash[data.target == 1], ash[data.target == 2], "cultivar 1 to 2")


def _cancer() -> Family:
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    texture = data.data[:, 1]
    benign, malignant = texture[data.target == 1], texture[data.target == 0]
    return _pair("breast cancer: texture", benign, malignant, "benign to malignant")


def _diabetes() -> Family:
    """A regression fitted to every other man; its absolute errors on the other men, then on women."""
    from sklearn.datasets import load_diabetes
    from sklearn.linear_model import LinearRegression

    data = load_diabetes()
    sex = data.data[:, 1]
    men, women = np.flatnonzero(sex < 0), np.flatnonzero(sex > 0)
    model = LinearRegression().fit(data.data[men[::2]], data.target[men[::2]])
    errors = np.abs(model.predict(data.data) - data.target)
    return _pair("diabetes: absolute error", errors[men[1::2]], errors[women], "men to women", role="error")


def _digits() -> Family:
    """A classifier of digits on images that are as it knows them, then one in five moved by a pixel."""
    from sklearn.datasets import load_digits
    from sklearn.neighbors import KNeighborsClassifier

    data = load_digits()
    model = KNeighborsClassifier(1).fit(data.data[::2], data.target[::2])
    images, truth = data.images[1::2], data.target[1::2]
    some = images.copy()
    some[::5] = np.roll(images[::5], 1, axis=2)
    wrong = [(model.predict(x.reshape(len(x), -1)) != truth).astype(np.float64) for x in (images, some)]
    return _pair(
        "digits: errors of a classifier", wrong[0], wrong[1], "one image in five moves", kind="binary", role="error"
    )


def _phishing() -> Family:
    """Scores of a classifier of web sites; then two feeds are dead and their columns hold zeros."""
    from river.datasets import Phishing
    from sklearn.linear_model import LogisticRegression

    rows = list(Phishing())
    features = np.array([[float(value) for value in x.values()] for x, _ in rows])
    truth = np.array([bool(y) for _, y in rows])
    model = LogisticRegression().fit(features[::2], truth[::2])
    dead = features[1::2].copy()
    dead[:, [0, 6]] = 0.0
    scores = [model.predict_proba(x)[:, 1] for x in (features[1::2], dead)]
    return _pair(
        "phishing: scores of a classifier", scores[0], scores[1], "two features dead", kind="unit", role="score"
    )


def _bananas() -> Family:
    from river.datasets import Bananas

    rows = list(Bananas())
    first = np.array([float(x["1"]) for x, _ in rows])
    truth = np.array([bool(y) for _, y in rows])
    return _pair("bananas: first coordinate", first[~truth], first[truth], "one banana to the other")


def _segments() -> Family:
    from river.datasets import ImageSegments

    rows = [(x["saturation-mean"], y) for x, y in ImageSegments()]
    before, after = (np.array([float(x) for x, y in rows if y == name]) for name in ("cement", "path"))
    return _pair("image segments: saturation", before, after, "cement to path")


def _flares() -> Family:
    from river.datasets import SolarFlare

    rows = [(x["zurich-class"], x["evolution"]) for x, _ in SolarFlare()]
    names = sorted({name for name, _ in rows})
    before, after = (np.array([float(names.index(n)) for n, e in rows if e == kind]) for kind in (2, 3))
    return _pair(
        "solar flares: class of the region", before, after, "no growth to growth", kind="categories", role="categories"
    )


def _shuttle() -> Family:
    from river.datasets import Shuttle

    rows = [(float(x["f3"]), y) for x, y in Shuttle()]
    before, after = (np.array([value for value, y in rows if y == anomaly]) for anomaly in (0, 1))
    return _pair("shuttle: third sensor", before, after, "normal to anomalies")


def _shuttle_rows() -> Family:
    from river.datasets import Shuttle

    data = [([float(value) for value in x.values()], y) for x, y in Shuttle()]
    before, after = (drawn(np.array([row for row, y in data if y == anomaly])) for anomaly in (0, 1))
    change = Change("one row in ten an anomaly", "abrupt", mixed(before, after, 0.1))
    return Family("shuttle: rows of nine sensors", "rows", "rows", before, (change,), reference=2_000)


def _polls() -> Family:
    """Daily approval of a president: values that depend on those before them, in order; a low year, then the next."""
    from river.datasets import TrumpApproval

    days = np.array([float(y) for _, y in TrumpApproval()])
    change = Change("2017 to 2018 and 2019", "abrupt", in_order(days[400:], 125))
    return Family("approval polls, in order", "numeric", "numeric", in_order(days[100:350], 125), (change,))


_MADE_BY: dict[str, Callable[[], Family]] = {
    "wine: ash": _wine,
    "breast cancer: texture": _cancer,
    "diabetes: absolute error": _diabetes,
    "digits: errors of a classifier": _digits,
    "phishing: scores of a classifier": _phishing,
    "bananas: first coordinate": _bananas,
    "image segments: saturation": _segments,
    "solar flares: class of the region": _flares,
    "shuttle: third sensor": _shuttle,
    "shuttle: rows of nine sensors": _shuttle_rows,
    "approval polls, in order": _polls,
}
REAL = tuple(_MADE_BY)
"""Names of the real series."""


@cache
def real(name: str) -> Family:
    """A real series. Needs river or scikit-learn."""
    return _MADE_BY[name]()
