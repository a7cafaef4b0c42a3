"""How far a mean loss may be off: standard errors and intervals, from sums alone.

Log loss is a mean, so that its interval needs moments of the row losses and no
resampling. All functions take floats and arrays (an entry for each group) alike, to the
same bits.

Longer than a room should be: half of it is formulas and their sources.

Design
------
(a) Elementwise NumPy, of which +, -, *, / and sqrt are rounded by IEEE 754; the cube
    root and the normal distribution are SciPy's, imported when first used. Rejected:
    powers and NumPy's cube root, whose last bit depends on the instruction set.
(b) Central moments are made of raw ones, since raw ones merge. What cancels is lost:
    the variance has a relative error of up to ``8 eps (1 + 2 r^2)``, and the skewness
    an absolute one of up to ``128 eps (1 + r)^3``, or sqrt(n) times as much where few
    rows have the weight. Here r is the mean over the standard deviation of the losses,
    and eps is 2.2e-16 (or the `rounding` of the sums). With r = 1e5 a standard error
    has four good digits, and a skewness none: it is 0 then. Rejected: moments about a
    centre, which would have to be the same for all parts.
(c) What is within these bounds is 0: losses that are all equal have a standard error of
    0, not of 1e-9.
(d) Hall's transformation is monotone, so that interval and p-value are two readings of
    one function. Rejected: Edgeworth expansions, which turn back for skewed data; the
    bootstrap, which needs resampling, and covers less (see `bench/coverage.py`).
(e) Quantiles are those of the normal distribution, as in Hall's paper. Rejected so far:
    Student's t, with n - 1 degrees of freedom, in their place. From some hundred terms
    on there is no difference; with 10 clusters it contains the mean in 94 % of cases
    instead of 91 %, by ends that no reference has. `warn_of_few` speaks instead.

References
----------
P. Hall (1992). On the removal of skewness by transformation. Journal of the Royal
Statistical Society B 54, 221-228.
W. G. Cochran (1977). Sampling Techniques, sections 6.3 and 9A.2: ratios, and clusters
of rows. Wiley.
A. C. Cameron and D. L. Miller (2015). A practitioner's guide to cluster-robust
inference. Journal of Human Resources 50, 317-372.
"""

import math
import warnings
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from fastlogloss._arrays import Array
from fastlogloss._errors import caller_level

Floats = Any  # a float, or an array with an entry for each group

EPS = 2.0**-52
FEW_EVENTS = 20
FEW_GROUPS = 30
_METHODS = ("hall", "normal")


class Moments(NamedTuple):
    """Sums over rows of powers of weights and losses.

    `n` is the number of rows whose weight is not zero, and ``w2l`` the sum of
    ``w**2 * l``. Weights may be scaled by any number; no result depends on it.
    """

    n: Floats
    w: Floats
    wl: Floats
    w2: Floats
    w2l: Floats
    w2l2: Floats
    w3: Floats
    w3l: Floats
    w3l2: Floats
    w3l3: Floats


class Estimate(NamedTuple):
    """A mean, and what its interval is made of."""

    mean: Floats
    standard_error: Floats
    skewness: Floats  # of the terms
    n: Floats  # of independent terms: rows, or groups of them


class ConfidenceInterval(NamedTuple):
    """Both ends of an interval."""

    low: Floats
    high: Floats


def mean(m: Moments) -> Floats:
    """The weighted mean ``L = sum w l / sum w``; NaN where the weights sum to zero."""
    w, wl = _floats(m.w, m.wl)
    with np.errstate(all="ignore"):
        return np.where(w == 0, math.nan, wl / w)[()]


def standard_error(m: Moments, rounding: float = EPS) -> Floats:
    r"""Standard error of the mean.

    .. math::
        \sqrt{\frac{n}{n - 1} \sum_i w_i^2 (l_i - L)^2} \Big/ \Big|\sum_i w_i\Big|

    which without weights is ``numpy.std(l, ddof=1) / sqrt(n)``. It is 0 where what is
    left of the sum is at most ``8 rounding (sum w^2 l^2 + L^2 sum w^2)``, which is how
    far it may be off; NaN for fewer than two rows, weights that sum to zero, and losses
    of which one is infinite or NaN.

    Parameters
    ----------
    m : Moments
    rounding : float
        Relative error of the terms and of the sums.
    """
    n, w = _floats(m.n, m.w)
    q = _squares(m, rounding)
    with np.errstate(all="ignore"):
        error = np.sqrt(n / (n - 1.0) * q) / np.abs(w)
        return np.where((n < 2) | (w == 0), math.nan, error)[()]


def skewness(m: Moments, rounding: float = EPS) -> Floats:
    """Skewness of the terms ``w_i (l_i - L)``, whose mean is zero.

    It is 0 where they are all equal or rounding has left nothing of it, and never
    beyond the ``(n - 2) / sqrt(n - 1)`` of one row that differs from all others.
    """
    n, w3, w3l, w3l2, w3l3 = _floats(m.n, m.w3, m.w3l, m.w3l2, m.w3l3)
    centre = mean(m)
    with np.errstate(all="ignore"):
        square = centre * centre
        cubes = (w3l3 - centre * w3l2) - 2.0 * centre * (w3l2 - centre * w3l)
        cubes = cubes + square * (w3l - centre * w3)
        size = np.abs(w3l3) + 3.0 * np.abs(centre * w3l2)
        size = size + 3.0 * np.abs(square * w3l) + np.abs(square * centre * w3)
        cubes = np.where(np.abs(cubes) <= 16.0 * rounding * size, 0.0, cubes)
        return _skewness(n, _squares(m, rounding), cubes)


def estimate(m: Moments, rounding: float = EPS) -> Estimate:
    """The `Estimate` of rows that are independent of each other."""
    parts = mean(m), standard_error(m, rounding), skewness(m, rounding)
    return Estimate(*parts, _floats(m.n)[0][()])


def clustered(sums: Array, weights: Array) -> Estimate:
    r"""The `Estimate` where rows of a group belong together: cluster-robust.

    Of G groups with sums :math:`T_g` of ``w l`` and :math:`W_g` of w, with
    :math:`L = \sum T_g / \sum W_g` and :math:`u_g = T_g - L W_g`, the standard error is

    .. math::
        \sqrt{\frac{G}{G - 1} \sum_g u_g^2} \Big/ \Big|\sum_g W_g\Big|

    Groups with neither weight nor loss do not count. Sums are rounded once, so that the
    order of the groups does not matter.

    Parameters
    ----------
    sums, weights : ndarray of float64, shape (n_groups,)
    """
    counts = (weights != 0) | (sums != 0)
    sums, weights = sums[counts], weights[counts]
    n, total = float(len(sums)), _fsum(weights)
    centre = _fsum(sums) / total if total else math.nan
    with np.errstate(all="ignore"):
        expected = centre * weights
        u = sums - expected
        size = np.abs(sums) + np.abs(expected)
        u[np.abs(u) <= 4.0 * EPS * size] = 0.0
        # Squares and cubes stay within the range of floats.
        largest = float(np.max(np.abs(u), initial=0.0))
        power = math.frexp(largest)[1] if math.isfinite(largest) else 0
        u = np.ldexp(u, -power)
        squares, cubes = _fsum(u * u), _fsum(u * u * u)
    error = math.nan
    if n >= 2 and total:
        error = math.sqrt(n / (n - 1.0) * squares) / abs(total)
        error = float(np.ldexp(error, power))
    with np.errstate(all="ignore"):
        skew = _skewness(*_floats(n, squares, cubes))
    return Estimate(np.float64(centre), np.float64(error), skew, np.float64(n))


def confidence_interval(
    mean: Floats,
    standard_error: Floats,
    skewness: Floats,
    n: Floats,
    confidence_level: float = 0.95,
    method: str = "hall",
) -> ConfidenceInterval:
    r"""Interval of the mean, equal-tailed.

    "normal" is ``mean -+ z standard_error``. "hall" takes the skewness of the mean out
    first: of :math:`t = (L - \mu) / s` it knows that

    .. math::
        g(t) = t + \frac{\gamma}{\sqrt n}\Big(\frac{t^2}{3} + \frac16\Big)
               + \frac{\gamma^2 t^3}{27 n}

    is nearly normal, and so is from :math:`L - s\,g^{-1}(z)` to
    :math:`L - s\,g^{-1}(-z)`. At levels from 0.14 on it contains the mean, whatever the
    skewness of the rows. Both ends are the mean where the standard error is 0, and NaN
    where it is NaN.

    Parameters
    ----------
    mean, standard_error, skewness, n : float or ndarray
        An `Estimate`.
    confidence_level : float in (0, 1), default=0.95
    method : {"hall", "normal"}, default="hall"

    Raises
    ------
    ValueError, TypeError
        For another `confidence_level` or `method`.
    """
    check_method(confidence_level, method)
    from scipy.special import ndtri

    centre, error, skew, n = _floats(mean, standard_error, skewness, n)
    z = -ndtri((1.0 - float(confidence_level)) / 2.0)
    with np.errstate(all="ignore"):
        if method == "normal":
            upper, lower = z, -z
        else:
            bend = _bend(skew, n)
            upper, lower = _unbent(z, bend), _unbent(-z, bend)
        low, high = centre - error * upper, centre - error * lower
        certain = error == 0
        low, high = (np.where(certain, centre, end)[()] for end in (low, high))
    return ConfidenceInterval(low, high)


def pvalue(
    mean_difference: Floats, standard_error: Floats, skewness: Floats, n: Floats
) -> Floats:
    """Two-sided p-value of a mean of zero, of Hall's transformation.

    It is below ``1 - confidence_level`` where Hall's interval of that level leaves out
    zero. Where the standard error is 0, it is 1 for a difference of 0, and 0 otherwise;
    NaN where the standard error is.

    Parameters
    ----------
    mean_difference, standard_error, skewness, n : float or ndarray
        An `Estimate`.
    """
    from scipy.special import ndtr

    centre, error, skew, n = _floats(mean_difference, standard_error, skewness, n)
    with np.errstate(all="ignore"):
        bent = _bent(centre / error, _bend(skew, n))
        p = 2.0 * ndtr(-np.abs(bent))
        certain = np.where(np.isnan(centre), math.nan, np.where(centre == 0, 1.0, 0.0))
        return np.where(error == 0, certain, p)[()]


def check_method(confidence_level: Any, method: Any) -> None:
    """Raise for what is no level or no method, before any work is done."""
    words = f"confidence_level must be a number in (0, 1), got {confidence_level!r}"
    if not isinstance(confidence_level, Real) or isinstance(confidence_level, bool):
        raise TypeError(words)
    if not 0 < float(confidence_level) < 1:
        raise ValueError(words)
    if not (isinstance(method, str) and method in _METHODS):
        raise ValueError(f"method must be 'hall' or 'normal', got {method!r}")


def warn_of_few(n_events: int | None = None, n_groups: int | None = None) -> None:
    """Warn of an interval that too few rows of a class, or too few groups, support.

    Intervals of 95 % by Hall's method were measured to contain the mean in 82 % of
    cases with 2 rows of the rarest class, 95 % with 3, 98 % with 9, 96 % with 18 and
    94 % with 175; with clusters in 86 % with 5 of them, 91 % with 10, 93 % with 20 and
    30, 94 % with 50 and 95 % with 300. Normal ones contain it in 81, 87, 92, 93 and
    94 %, and in 83, 89, 92, 93 and 95 %. (`bench/coverage.py`)

    Parameters
    ----------
    n_events : int or None
        Rows of the rarest class whose weight is not zero.
    n_groups : int or None
        Groups, where these are what is independent.

    Warns
    -----
    UserWarning
        For fewer than 20 rows of the rarest class, or 30 groups.
    """
    few = []
    if n_events is not None and n_events < FEW_EVENTS:
        rows = "row" if n_events == 1 else "rows"
        few.append((f"{n_events} {rows} of the rarest class", FEW_EVENTS))
    if n_groups is not None and n_groups < FEW_GROUPS:
        few.append((f"{n_groups} group" + "s" * (n_groups != 1), FEW_GROUPS))
    for what, enough in few:
        warnings.warn(
            f"There are only {what}. With fewer than {enough}, a confidence interval "
            "may miss the true value more often than it says.",
            UserWarning,
            stacklevel=caller_level(),
        )


def _floats(*values: Floats) -> tuple[Array, ...]:
    return tuple(np.asarray(value, np.float64) for value in values)


def _squares(m: Moments, rounding: float) -> Array:
    """Sum of ``w^2 (l - L)^2``, or 0 where only rounding is left of it."""
    w2, w2l, w2l2 = _floats(m.w2, m.w2l, m.w2l2)
    centre = mean(m)
    with np.errstate(all="ignore"):
        # Where all weights are 1, the second difference is rounding alone.
        q = (w2l2 - centre * w2l) - centre * (w2l - centre * w2)
        size = w2l2 + centre * centre * w2
        return np.where(q <= 8.0 * rounding * size, 0.0, q)


def _skewness(n: Array, squares: Array, cubes: Array) -> Floats:
    """That of n terms whose mean is zero, of the sums of their powers."""
    limit = (n - 2.0) / np.sqrt(n - 1.0)
    variance = squares / n
    skew = cubes / n / (variance * np.sqrt(variance))
    skew = np.where(squares == 0, 0.0, np.clip(skew, -limit, limit))
    return np.where(n < 2, math.nan, skew)[()]


def _bend(skew: Array, n: Array) -> tuple[Array, Array]:
    """What Hall's transformation goes by: of t, and where t is 0."""
    root = np.sqrt(n)
    return skew / (3.0 * root), skew / (6.0 * root)


def _bent(t: Array, bend: tuple[Array, Array]) -> Array:
    """Hall's transformation: ``((1 + c t)^3 - 1) / (3 c) + d``, and t where c is 0."""
    c, d = bend
    ct = c * t
    return t * (1.0 + ct * (1.0 + ct / 3.0)) + d


def _unbent(x: Any, bend: tuple[Array, Array]) -> Array:
    """Its inverse, without a division by c."""
    from scipy.special import cbrt

    c, d = bend
    y = x - d
    root = cbrt(1.0 + 3.0 * c * y)
    inverse: Array = 3.0 * y / (1.0 + root * (1.0 + root))
    return inverse


def _fsum(values: Array) -> float:
    try:
        return math.fsum(values.tolist())
    except (OverflowError, ValueError):  # the second of infinities of both signs
        return math.nan
