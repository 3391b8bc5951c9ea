"""The detectors that can be named in the configuration, with the parameters they have in `detectors`: those that watch
one series. Names and defaults are the library's, and a test holds them together."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args

from pydantic import Field

from schemas.watching import WatchedDetector


class Adwin(WatchedDetector):
    """ADWIN (Bifet and Gavaldà 2007): the mean of an adaptive window has changed."""

    use: Literal["adwin"]
    """The detector."""
    delta: float = Field(default=0.002, gt=0, lt=1)
    """Confidence of each test."""
    clock: int = Field(default=32, ge=1, le=1_000_000_000)
    """Test every so many values."""
    max_buckets: int = Field(default=5, ge=1, le=1_000)
    """Buckets of each size in the exponential histogram."""
    min_window_length: int = Field(default=5, ge=1, le=1_000_000_000)
    """Shortest sub-window tested."""
    grace_period: int = Field(default=10, ge=0, le=1_000_000_000)
    """Values before the first test."""
    least_change: float = Field(default=0.0, ge=0)
    """By how much the means must differ beyond the bound, in units of the values."""


class PageHinkley(WatchedDetector):
    """Page-Hinkley (Page 1954): the cumulative deviation from the mean has grown beyond a threshold."""

    use: Literal["page_hinkley"]
    """The detector."""
    min_instances: int = Field(default=30, ge=1, le=1_000_000_000)
    """Values before the first test."""
    delta: float = Field(default=0.005, ge=0)
    """Deviation allowed for."""
    threshold: float = Field(default=50.0, gt=0)
    """Cumulative deviation that raises the alarm."""
    alpha: float = Field(default=0.9999, gt=0, le=1)
    """Forgetting factor."""
    mode: Literal["up", "down", "both"] = "both"
    """Direction of the change looked for."""
    gate: float = Field(default=0.0, ge=0)
    """The least climb, as a multiple of the root of how many values it took; 0 is Page's, and river's."""


class WindowedKs(WatchedDetector):
    """Two-sample Kolmogorov-Smirnov test of a sliding window against the reference."""

    use: Literal["windowed_ks"]
    """The detector."""
    window: int = Field(default=500, ge=10, le=1_000_000)
    """Values looked back on."""
    threshold: float = Field(default=0.2, gt=0, le=1)
    """Distance that raises the alarm."""
    before: int | None = Field(default=None, ge=10, le=1_000_000)
    """With a number the window is compared with so many values before it, and not with the reference."""


class ChiSquared(WatchedDetector):
    """Chi-squared test of a sliding window's categories against the reference."""

    use: Literal["chi_squared"]
    """The detector."""
    window: int = Field(default=500, ge=10, le=1_000_000)
    """Values looked back on."""
    threshold: float = Field(default=60.0, gt=0)
    """Statistic that raises the alarm."""
    surprise: float = Field(default=25.0, gt=0)
    """Surprise of a single category, in nats, that raises the alarm."""
    min_share: float = Field(default=0.005, ge=0, lt=1)
    """A single category must make up this share of the window."""
    least: float = Field(default=10.0, ge=0)
    """Categories expected fewer times than this in a window are pooled."""


class Conformal(WatchedDetector):
    """Conformal test martingale (Vovk et al. 2003) for exchangeable values: no baseline, no season."""

    use: Literal["conformal"]
    """The detector."""
    threshold: float = Field(default=1e5, ge=1, le=1e12)
    """Average number of values between false alarms, at least."""
    history: int = Field(default=2000, ge=20, le=1_000_000)
    """Values that a new one is compared with."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Seed of the numbers that break ties."""


class CramerVonMises(WatchedDetector):
    """Two-sample Cramér-von Mises test of a sliding window against the reference."""

    use: Literal["cramer_von_mises"]
    """The detector."""
    window: int = Field(default=500, ge=10, le=1_000_000)
    """Values looked back on."""
    threshold: float = Field(default=3.0, gt=0)
    """Statistic that raises the alarm."""


class Cusum(WatchedDetector):
    """CUSUM (Page 1954): the sum of deviations from a known mean has grown beyond a limit."""

    use: Literal["cusum"]
    """The detector."""
    reference_value: float = Field(default=0.5, ge=0)
    """Allowance, in standard deviations: half the shift to be found."""
    decision_interval: float = Field(default=12.66, gt=0)
    """Sum that raises the alarm, in standard deviations."""
    target: float = 0.0
    """Healthy mean, in units of the values."""
    scale: float = Field(default=1.0, gt=0)
    """Healthy standard deviation, in units of the values."""
    gate: float = Field(default=0.0, ge=0)
    """The least climb, as a multiple of the root of how many values it took, in standard deviations; 0 is Page's."""


class Ddm(WatchedDetector):
    """DDM (Gama et al. 2004): the error rate has left its best level."""

    use: Literal["ddm"]
    """The detector."""
    warm_start: int = Field(default=30, ge=0, le=1_000_000_000)
    """Values before the first test."""
    warning_threshold: float = Field(default=2.0, ge=0)
    """Standard deviations above the best rate of river's warning, which is not published."""
    drift_threshold: float = Field(default=3.0, ge=0)
    """Standard deviations above the best rate that raise the alarm."""


class Eddm(WatchedDetector):
    """EDDM (Baena-García et al. 2006): errors come closer together."""

    use: Literal["eddm"]
    """The detector."""
    warm_start: int = Field(default=30, ge=0, le=1_000_000_000)
    """Values before the first test."""
    alpha: float = Field(default=0.95, gt=0, le=1)
    """Ratio of river's warning, which is not published."""
    beta: float = Field(default=0.9, gt=0, le=1)
    """Ratio of the distance between errors to its maximum that raises the alarm."""


class Ewma(WatchedDetector):
    """EWMA chart (Roberts 1959): an exponentially weighted mean has left its limits."""

    use: Literal["ewma"]
    """The detector."""
    smoothing: float = Field(default=0.1, gt=0, le=1)
    """Weight of the newest value."""
    limit: float = Field(default=4.824, gt=0)
    """Standard deviations of the weighted mean that raise the alarm."""
    target: float = 0.0
    """Healthy mean, in units of the values."""
    scale: float = Field(default=1.0, gt=0)
    """Healthy standard deviation, in units of the values."""


class Focus(WatchedDetector):
    """FOCuS (Romano et al. 2023): the likelihood of a change of any size at any time."""

    use: Literal["focus"]
    """The detector."""
    threshold: float = Field(default=14.4, gt=0)
    """Log-likelihood ratio that raises the alarm."""
    family: Literal["gaussian", "bernoulli", "poisson", "gamma"] = "gaussian"
    """What the values are."""
    target: float | None = None
    """Healthy mean, where it is known."""
    scale: float = Field(default=1.0, gt=0)
    """Healthy standard deviation, in units of the values."""
    shape: float = Field(default=1.0, gt=0)
    """Shape of gamma values."""
    least_change: float = Field(default=0.0, ge=0)
    """A mean that has moved by no more is no change, in units of the values."""


class HddmA(WatchedDetector):
    """HDDM_A (Frías-Blanco et al. 2015): Hoeffding's bound on the difference of two means."""

    use: Literal["hddm_a"]
    """The detector."""
    drift_confidence: float = Field(default=0.001, gt=0, le=1)
    """Probability of an error of a test that raises the alarm."""
    warning_confidence: float = Field(default=0.005, gt=0, le=1)
    """The same for river's warning, which is not published."""
    two_sided_test: bool = False
    """Whether a fall of the mean is an alarm too."""


class HddmW(WatchedDetector):
    """HDDM_W (Frías-Blanco et al. 2015): McDiarmid's bound on the difference of two weighted means."""

    use: Literal["hddm_w"]
    """The detector."""
    drift_confidence: float = Field(default=0.001, gt=0, le=1)
    """Probability of an error of a test that raises the alarm."""
    warning_confidence: float = Field(default=0.005, gt=0, le=1)
    """The same for river's warning, which is not published."""
    lambda_val: float = Field(default=0.05, ge=0, le=1)
    """Weight of the newest value."""
    two_sided_test: bool = False
    """Whether a fall of the mean is an alarm too."""


class JensenShannon(WatchedDetector):
    """Jensen-Shannon distance of a sliding window's histogram from the reference's."""

    use: Literal["jensen_shannon"]
    """The detector."""
    window: int = Field(default=500, ge=10, le=1_000_000)
    """Values looked back on."""
    threshold: float = Field(default=0.2, gt=0, lt=1)
    """Distance that raises the alarm."""
    cells: Literal["linear", "quantile", "categories"] = "linear"
    """Cells of equal width, of equal share of the reference, or one a category."""
    bins: int = Field(default=10, ge=1, le=1_000_000_000)
    """Cells within the reference's range."""


class Kswin(WatchedDetector):
    """KSWIN (Raab et al. 2020): a Kolmogorov-Smirnov test of the newest values against a draw of older ones."""

    use: Literal["kswin"]
    """The detector."""
    alpha: float = Field(default=0.005, ge=0, le=1)
    """Significance of a test."""
    window_size: int = Field(default=100, ge=2, le=100_000)
    """Values looked back on."""
    stat_size: int = Field(default=30, ge=1, le=10_000)
    """How many of the newest, and of the older, are compared."""
    seed: int = Field(default=0, ge=-(2**63), lt=2**63)
    """Seed of the draws."""


class Psi(WatchedDetector):
    """Population stability index of a sliding window against the reference."""

    use: Literal["psi"]
    """The detector."""
    window: int = Field(default=500, ge=10, le=1_000_000)
    """Values looked back on."""
    threshold: float = Field(default=0.25, gt=0)
    """Index that raises the alarm."""
    cells: Literal["linear", "quantile", "categories"] = "linear"
    """Cells of equal width, of equal share of the reference, or one a category."""
    bins: int = Field(default=10, ge=1, le=1_000_000_000)
    """Cells within the reference's range."""
    smoothing: float = Field(default=0.5, gt=0)
    """Added to the count of every cell."""


class ShiryaevRoberts(WatchedDetector):
    """Shiryaev-Roberts e-detector (Shin, Ramdas, Rinaldo 2023) for the mean of bounded values."""

    required: ClassVar[frozenset[str]] = frozenset({"bound"})

    use: Literal["shiryaev_roberts"]
    """The detector."""
    bound: float = 0.0
    """Largest conditional mean that is healthy."""
    low: float = 0.0
    """Lower end of the values' range."""
    high: float = 1.0
    """Upper end of the values' range."""
    threshold: float = Field(default=1e5, ge=1, le=1e12)
    """Average number of values between false alarms, at least."""
    lower: float | None = None
    """Least healthy mean, where both directions count."""
    bets: int = Field(default=16, ge=1, le=256)
    """Sizes of bet in the mixture."""


class Variance(WatchedDetector):
    """CUSUM of the variance: the spread has changed by a factor."""

    use: Literal["variance"]
    """The detector."""
    ratio: float = Field(default=1.5, gt=1, le=1e6)
    """Factor on the standard deviation that is to be found soonest."""
    threshold: float = Field(default=12.0, gt=0)
    """Log-likelihood ratio that raises the alarm."""
    target: float = 0.0
    """Healthy mean, in units of the values."""
    scale: float = Field(default=1.0, gt=0)
    """Healthy standard deviation, in units of the values."""


class Wasserstein(WatchedDetector):
    """Wasserstein distance of a sliding window from the reference."""

    use: Literal["wasserstein"]
    """The detector."""
    window: int = Field(default=500, ge=10, le=1_000_000)
    """Values looked back on."""
    threshold: float = Field(default=0.25, gt=0)
    """Distance that raises the alarm."""
    unit: Literal["deviation", "value"] = "deviation"
    """Of the distance: the reference's standard deviation, or that of the values."""


class WelchT(WatchedDetector):
    """Welch's t test of a sliding window's mean against the reference's."""

    use: Literal["welch_t"]
    """The detector."""
    window: int = Field(default=100, ge=2, le=1_000_000)
    """Values looked back on."""
    threshold: float = Field(default=6.0, gt=0)
    """Standard errors that raise the alarm."""


class ZScore(WatchedDetector):
    """z test of a sliding window's mean against a known mean."""

    required: ClassVar[frozenset[str]] = frozenset({"target", "scale"})

    use: Literal["z_score"]
    """The detector."""
    target: float = 0.0
    """Healthy mean, in units of the values."""
    scale: float = Field(default=1.0, gt=0)
    """Healthy standard deviation, in units of the values."""
    window: int = Field(default=100, ge=1, le=1_000_000)
    """Values averaged; 1 judges single values."""
    threshold: float = Field(default=6.0, gt=0)
    """Standard errors that raise the alarm."""


Detector = Annotated[
    Adwin
    | ChiSquared
    | Conformal
    | CramerVonMises
    | Cusum
    | Ddm
    | Eddm
    | Ewma
    | Focus
    | HddmA
    | HddmW
    | JensenShannon
    | Kswin
    | PageHinkley
    | Psi
    | ShiryaevRoberts
    | Variance
    | Wasserstein
    | WelchT
    | WindowedKs
    | ZScore,
    Field(discriminator="use"),
]

DETECTORS: tuple[str, ...] = tuple(
    sorted(get_args(kind.model_fields["use"].annotation)[0] for kind in get_args(get_args(Detector)[0]))
)
"""Their names."""
SEVERAL = frozenset({"domain_classifier", "half_space_trees", "isolation_forest", "mmd", "one_class_svm"})
"""Detectors of the library that look at rows of several features: none of them watches a series."""
