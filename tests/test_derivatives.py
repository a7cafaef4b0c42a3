"""Logits, gradients, hessians and soft targets of the public functions.

Exact values are those of mpmath at 40 digits, from the arrays as they are: nothing but
the logits, or the probabilities as float64 and 1 - p as float64, is taken as rounded.
"""

import math
import pickle
import threading
import tracemalloc
import warnings
from types import SimpleNamespace

import mpmath
import numpy as np
import pandas as pd
import pytest
from arrays import LAYOUTS, random_case, random_codes, words
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import check_grad, minimize
from scipy.special import expit, log_softmax, softmax

from fastlogloss import (
    LogLoss,
    _kernels,
    log_loss,
    log_loss_gradient,
    log_loss_gradient_hessian,
    sample_log_loss,
)
from fastlogloss._labels import Codes
from fastlogloss._targets import target_tolerance
from fastlogloss.integrations.boosting import initial_score

EPS = 2.0**-52
ROW_RTOL = 1e-15  # from logits; docstring of sample_log_loss
RTOL = 2e-15  # docstring of log_loss
DERIVATIVE_RTOL = 1e-14  # docstring of log_loss_gradient
# Below 2^-1022 numbers are multiples of 5e-324: an exponential there is rounded twice,
# a derivative made of it once or twice more.
SUBNORMAL = 2 * 5e-324
DIGITS = 40
LOGITS = {"from_logits": True}


@pytest.fixture(autouse=True)
def digits():
    with mpmath.workdps(DIGITS):
        yield


# --- Exact values -------------------------------------------------------------------


def one_hot(codes, n_columns):
    return codes.astype(float) if n_columns == 1 else np.eye(n_columns)[codes]


def exact_logits(t, z):
    """Loss, gradient and hessian (lists of mpmath) of a row; t of class 1 or a list."""
    if np.ndim(z) == 0:
        loss, gradient, hessian = exact_logits([1 - mpmath.mpf(t), t], [0.0, z])
        return loss, gradient[1:], hessian[1:]
    z, t = [mpmath.mpf(v) for v in z], [mpmath.mpf(v) for v in t]
    top = z.index(max(z))
    below = [z[top] - v for v in z]
    # exp(-1e4) is far below the smallest number.
    e = [mpmath.exp(-d) if d < 1e4 else mpmath.mpf(0) for d in below]
    rest = mpmath.fsum(e[:top] + e[top + 1 :])
    loss = mpmath.fdot(t, below) + mpmath.log1p(rest)
    total = 1 + rest
    others = [
        rest
        if j == top
        else 1 + mpmath.fsum(v for k, v in enumerate(e) if k not in (j, top))
        for j in range(len(e))
    ]
    gradient = [
        -o / total if u == 1 else v / total - u
        for v, o, u in zip(e, others, t, strict=True)
    ]
    hessian = [v * o / total**2 for v, o in zip(e, others, strict=True)]
    return loss, gradient, hessian


def exact_probabilities(t, p, low=EPS):
    """The same for probabilities; the clip is flat."""
    if np.ndim(p) == 0:
        pairs = [1 - mpmath.mpf(t), t], [1.0 - p, p]
        loss, gradient, hessian = exact_probabilities(*pairs, low)
        return loss, [gradient[1] - gradient[0]], [mpmath.fsum(hessian)]
    t = [mpmath.mpf(v) for v in t]
    q = [mpmath.mpf(min(max(float(v), low), 1 - low)) for v in p]
    loss = -mpmath.fsum(u * mpmath.log(v) for u, v in zip(t, q, strict=True) if u)
    # Where 1 - low is 1, nothing is clipped there.
    flat = [(low > 0 and v <= low) or v >= 1 - low < 1 for v in p]
    silent = [f or not u for f, u in zip(flat, t, strict=True)]
    gradient = [0 if s else -u / v for u, v, s in zip(t, q, silent, strict=True)]
    hessian = [0 if s else u / v**2 for u, v, s in zip(t, q, silent, strict=True)]
    return loss, gradient, hessian


_EXACT = {}


def exact_rows(t, x, from_logits, low=EPS):
    """Lists over the rows; computed once for all variants."""
    key = t.tobytes(), x.tobytes(), x.shape, from_logits, low
    if key not in _EXACT:
        _EXACT[key] = _exact_rows(t, x, from_logits, low)
    return _EXACT[key]


def _exact_rows(t, x, from_logits, low):
    if from_logits:
        rows = [
            exact_logits(*pair) for pair in zip(t.tolist(), x.tolist(), strict=True)
        ]
    else:
        rows = [
            exact_probabilities(*pair, low)
            for pair in zip(t.tolist(), x.tolist(), strict=True)
        ]
    losses, gradient, hessian = zip(*rows, strict=True)
    return losses, gradient, hessian


def assert_exact(values, exact, rtol, factors=None, terms=0.0):
    """Each value within `rtol` of the exact one, and `terms` times 4 roundings."""
    values = np.asarray(values)
    terms = np.broadcast_to(terms, values.shape).reshape(len(values), -1).tolist()
    values = values.reshape(len(values), -1).tolist()
    for i, (row, true_row) in enumerate(zip(values, exact, strict=True)):
        true_row = true_row if isinstance(true_row, list) else [true_row]
        for value, truth, size in zip(row, true_row, terms[i], strict=True):
            truth = truth * (1 if factors is None else factors[i])
            allowed = rtol * abs(truth) + 2 * EPS * size + SUBNORMAL
            assert abs(mpmath.mpf(value) - truth) <= allowed, (i, value, truth)


# --- Logits to derive from: name -> (rng, n, n_columns, codes) -> logits ------------


def signed(rng, size):
    return np.where(rng.random(size) < 0.5, -1.0, 1.0)


def _confident(rng, n, k, codes):
    """Differences of 30 to 700 between the true class and the others."""
    by = rng.uniform(30, 700, n)
    if k == 1:
        return np.where(codes == 1, by, -by)
    z = rng.normal(size=(n, k))
    z[np.arange(n), codes] += by
    return z


def _shape(n, k):
    return (n,) if k == 1 else (n, k)


Z_KINDS = {
    "normal": lambda rng, n, k, y: rng.normal(size=_shape(n, k)) * 3,
    "log-uniform": lambda rng, n, k, y: (
        signed(rng, _shape(n, k)) * 10.0 ** rng.uniform(-300, 300, _shape(n, k))
    ),
    "near the end of exp": lambda rng, n, k, y: (
        signed(rng, _shape(n, k)) * rng.uniform(690, 750, _shape(n, k))
    ),
    "confident": _confident,
    "wrong": lambda rng, n, k, y: _confident(rng, n, k, (y + 1) % max(k, 2)),
    "ties": lambda rng, n, k, y: rng.integers(-1, 2, _shape(n, k)).astype(float),
    # Design L of loops.pxi: beyond 2048 logits are subtracted from the maximum.
    "around the limit": lambda rng, n, k, y: (
        2048 * signed(rng, (n, 1))
        + rng.normal(size=(n, k)) * rng.choice([1, 300], (n, 1))
    ).reshape(_shape(n, k)),
    # As far from one integer exponent as from the next.
    "between powers of 2": lambda rng, n, k, y: (
        (rng.integers(-30, 30, _shape(n, k)) + 0.5) * math.log(2)
    ),
    "close": lambda rng, n, k, y: (
        1e8 * rng.normal(size=(n, 1)) + rng.normal(size=(n, k))
    ).reshape(_shape(n, k)),
}


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("kind", Z_KINDS)
@pytest.mark.parametrize("n_columns", [1, 2, 3, 10])
class TestExactLogits:
    def case(self, kind, n_columns):
        n = 140 if n_columns < 10 else 40
        rng = np.random.default_rng([n, n_columns])
        codes = random_codes(rng, n, max(n_columns, 2))
        return codes, Z_KINDS[kind](rng, n, n_columns, codes), rng.random(n) + 0.1

    def test_rows_and_sums(self, kind, n_columns):
        codes, z, w = self.case(kind, n_columns)
        losses, _, _ = exact_rows(one_hot(codes, n_columns), z, True)
        assert_exact(sample_log_loss(codes, z, **LOGITS), losses, ROW_RTOL)
        w = [mpmath.mpf(v) for v in w.tolist()]
        for weights, factors in ((None, [mpmath.mpf(1)] * len(w)), (w, w)):
            keywords = {"sample_weight": weights and np.array(weights, float), **LOGITS}
            total, weight = mpmath.fdot(losses, factors), mpmath.fsum(factors)
            loss = log_loss(codes, z, normalize=False, **keywords)
            assert abs(mpmath.mpf(loss) - total) <= RTOL * total
            loss = log_loss(codes, z, **keywords)
            assert abs(mpmath.mpf(loss) - total / weight) <= RTOL * total / weight
            for f in (log_loss_gradient, log_loss_gradient_hessian):
                assert f(codes, z, **keywords)[0] == loss

    def test_derivatives(self, kind, n_columns):
        codes, z, w = self.case(kind, n_columns)
        exact = exact_rows(one_hot(codes, n_columns), z, True)
        found = log_loss_gradient_hessian(codes, z, normalize=False, **LOGITS)
        assert_exact(found[1], exact[1], DERIVATIVE_RTOL)
        assert_exact(found[2], exact[2], DERIVATIVE_RTOL)
        found = log_loss_gradient_hessian(codes, z, sample_weight=w, **LOGITS)
        weights = [mpmath.mpf(v) for v in w.tolist()]
        factors = [v / mpmath.fsum(weights) for v in weights]
        assert_exact(found[1], exact[1], DERIVATIVE_RTOL, factors)
        assert_exact(found[2], exact[2], DERIVATIVE_RTOL, factors)
        gradient = log_loss_gradient(codes, z, sample_weight=w, **LOGITS)[1]
        np.testing.assert_array_equal(gradient, found[1])

    def test_targets(self, kind, n_columns):
        _, z, _ = self.case(kind, n_columns)
        rng = np.random.default_rng(n_columns)
        t = rng.random(len(z))
        if n_columns > 1:
            t = rng.dirichlet(np.ones(n_columns), len(z))
        losses, gradient, hessian = exact_rows(t, z, True)
        keywords = {"soft_targets": True, **LOGITS}
        rows = sample_log_loss(t, z, **keywords)
        # One product and one sum for each class, before what a label costs.
        assert_exact(rows, losses, ROW_RTOL + n_columns * EPS)
        found = log_loss_gradient_hessian(t, z, normalize=False, **keywords)
        # p and t are both rounded, and of their difference nothing may be left; t of
        # the exact values sums to one within n_columns roundings.
        terms = 1.0 if n_columns == 1 else n_columns * 0.5
        assert_exact(found[1], gradient, DERIVATIVE_RTOL, terms=terms)
        assert_exact(found[2], hessian, DERIVATIVE_RTOL)


class TestLogits:
    @pytest.mark.parametrize("z", [-45.0, -40.0, -39.6, -36.0])
    @pytest.mark.parametrize("n", [8192, 1_000_000])
    @pytest.mark.usefixtures("engine")
    def test_rows_below_the_last_bit_of_one(self, n, z):
        """No factor 1 + exp(z) moves a product off 1; all of them do."""
        with mpmath.workdps(40):
            exact = float(mpmath.log1p(mpmath.exp(z)))
        y, scores = np.zeros(n), np.full(n, z)
        keywords = {"labels": [0, 1], **LOGITS}
        for loss in (
            log_loss(y, scores, **keywords),
            log_loss_gradient(y, scores, **keywords)[0],
        ):
            assert abs(loss - exact) <= RTOL * exact

    def test_margins(self):
        """Both tails, where a probability would be 0 or 1."""
        losses = sample_log_loss([0, 0, 1, 1], [20.0, 800, -20, -800], **LOGITS)
        np.testing.assert_array_equal(losses[[1, 3]], 800)
        assert losses[[0, 2]].tolist() == [20.000000002061153] * 2
        losses = sample_log_loss([1, 1, 0, 0], [20.0, 800, -20, -800], **LOGITS)
        assert losses.tolist() == [math.exp(-20) - math.exp(-40) / 2, 0] * 2

    @pytest.mark.usefixtures("engine")
    @pytest.mark.parametrize("n", [2, 40, 300])
    def test_infinite(self, n):
        y = np.arange(n) % 2
        right = np.where(y == 1, np.inf, -np.inf)
        for z, loss in ((right, 0.0), (-right, np.inf)):
            for scores in (z, np.stack([-z, z], 1), np.stack([0 * y, z], 1)):
                rows = sample_log_loss(y, scores, **LOGITS)
                np.testing.assert_array_equal(rows, loss)
                assert not np.signbit(rows).any()
                for w in (None, np.ones(n)):
                    keywords = {"sample_weight": w, **LOGITS}
                    assert log_loss(y, scores, **keywords) == loss
                    found = log_loss_gradient_hessian(y, scores, **keywords)
                    assert found[0] == loss
                    # The limits: p is 0 or 1.
                    np.testing.assert_array_equal(found[2], 0)
                    assert np.isin(np.abs(found[1]), [0, 1 / n]).all()

    @pytest.mark.usefixtures("engine")
    def test_equal_infinities_share(self):
        z = np.array([[np.inf, np.inf, 0], [-np.inf] * 3, [-np.inf, 5, -np.inf]])
        rows = sample_log_loss([0, 1, 2], z, **LOGITS)
        np.testing.assert_allclose(rows, [math.log(2), math.log(3), np.inf], RTOL)
        _, gradient = log_loss_gradient([0, 1, 2], z, normalize=False, **LOGITS)
        expected = [[-1 / 2, 1 / 2, 0], [1 / 3, -2 / 3, 1 / 3], [0, 1, -1]]
        np.testing.assert_allclose(gradient, expected, DERIVATIVE_RTOL)

    def test_weight_zero_silences_infinity(self):
        y, z, w = [1, 0], np.array([-np.inf, 0]), [0.0, 2.0]
        loss, gradient = log_loss_gradient(y, z, sample_weight=w, **LOGITS)
        assert loss == pytest.approx(math.log(2), rel=RTOL)
        assert gradient.tolist() == [0.0, 0.5]
        pairs = np.stack([-z, z], 1)
        loss, gradient = log_loss_gradient(y, pairs, sample_weight=w, **LOGITS)
        assert loss == pytest.approx(math.log(2), rel=RTOL)
        assert gradient.tolist() == [[0.0, 0.0], [-0.5, 0.5]]

    @pytest.mark.parametrize("n_columns", [1, 2, 4])
    def test_is_the_loss_of_the_probabilities(self, n_columns, rng):
        case = random_case(500, n_columns)
        z = rng.normal(size=case.p.shape)
        p = expit(z) if n_columns == 1 else softmax(z, axis=1)
        # A probability is rounded by a few EPS.
        assert log_loss(case.codes, z, **LOGITS) == pytest.approx(
            log_loss(case.codes, p), rel=20 * EPS
        )
        if n_columns > 1:
            rows = -log_softmax(z, axis=1)[np.arange(500), case.codes]
            found = sample_log_loss(case.codes, z, **LOGITS)
            np.testing.assert_allclose(found, rows, rtol=1e-13)

    def test_eps_means_nothing(self):
        y, z = [0, 1], [800.0, 3.0]
        assert log_loss(y, z, eps=0.4, **LOGITS) == log_loss(y, z, **LOGITS)

    def test_out_may_overlap(self):
        z = np.array([1.0, -2.0, 3.0])
        expected = sample_log_loss([0, 1, 1], z, **LOGITS)
        assert sample_log_loss([0, 1, 1], z, out=z, **LOGITS) is z
        np.testing.assert_array_equal(z, expected)


@pytest.mark.usefixtures("engine")
class TestProbabilities:
    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10])
    @pytest.mark.parametrize("eps", ["auto", 0.0, 1e-300, 0.1])
    def test_derivatives(self, n_columns, eps):
        codes, p, w = random_case(90, n_columns)
        if n_columns == 1:
            p[::3] = 10.0 ** -np.linspace(1, 15, 30)
            p[1::3] = 1 - p[::3]
        else:
            p[5], p[6] = np.eye(n_columns)[[0, 1]]
            codes[5], codes[6] = 0, 1
        low = EPS if eps == "auto" else eps
        t = one_hot(codes, n_columns)
        losses, gradient, hessian = exact_rows(t, p, False, low)
        found = log_loss_gradient_hessian(codes, p, eps=eps, normalize=False)
        total = mpmath.fsum(losses)
        assert abs(mpmath.mpf(found[0]) - total) <= RTOL * total
        assert_exact(found[1], gradient, DERIVATIVE_RTOL)
        assert_exact(found[2], hessian, DERIVATIVE_RTOL)
        found = log_loss_gradient_hessian(codes, p, eps=eps, sample_weight=w)
        factors = [mpmath.mpf(v) / mpmath.fsum(w.tolist()) for v in w.tolist()]
        assert_exact(found[1], gradient, DERIVATIVE_RTOL, factors)
        assert_exact(found[2], hessian, DERIVATIVE_RTOL, factors)

    @pytest.mark.parametrize("n_columns", [1, 2, 5])
    def test_targets(self, n_columns, rng):
        p = random_case(90, n_columns).p
        t = rng.random(90) if n_columns == 1 else rng.dirichlet(np.ones(n_columns), 90)
        losses, gradient, hessian = exact_rows(t, p, False)
        keywords = {"soft_targets": True}
        rows = sample_log_loss(t, p, **keywords)
        # A logarithm within 1 ULP, a product and a sum for each class.
        assert_exact(rows, losses, (2 + n_columns) * EPS)
        found = log_loss_gradient_hessian(t, p, normalize=False, **keywords)
        # Of one column the terms of both classes are subtracted.
        terms = np.sqrt(found[2]) if n_columns == 1 else 0.0
        assert_exact(found[1], gradient, DERIVATIVE_RTOL, terms=terms)
        assert_exact(found[2], hessian, DERIVATIVE_RTOL)

    @pytest.mark.parametrize("soft", [False, True], ids=["labels", "targets"])
    @pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
    def test_zero_where_clipped(self, dtype, soft):
        low = float(np.finfo(dtype).eps)
        p = np.array(
            [0, low / 2, low, 2 * low, 0.5, 1 - 2 * low, 1 - low / 2, 1], dtype
        )
        clipped = np.array([1, 1, 1, 0, 0, 0, 1, 1], bool)
        for label in (0, 1):
            y = np.full(8, label)
            keywords = {"soft_targets": True} if soft else {"labels": [0, 1]}
            _, gradient, hessian = log_loss_gradient_hessian(y, p, **keywords)
            np.testing.assert_array_equal(gradient == 0, clipped)
            np.testing.assert_array_equal(hessian == 0, clipped)
            pairs = np.stack([1 - p, p], 1)
            y = np.eye(2)[y] if soft else y
            _, gradient, hessian = log_loss_gradient_hessian(y, pairs, **keywords)
            np.testing.assert_array_equal(gradient[:, label] == 0, clipped)
            np.testing.assert_array_equal(hessian[:, label] == 0, clipped)
            np.testing.assert_array_equal(gradient[:, 1 - label], 0)


class TestFiniteDifferences:
    """Nothing that is shared with the exact values above."""

    @pytest.mark.parametrize("n_columns", [1, 3])
    @pytest.mark.parametrize("from_logits", [True, False])
    @pytest.mark.parametrize("smoothing", [0.0, 0.2])
    def test_gradient_and_hessian(self, n_columns, from_logits, smoothing, rng):
        codes, x, w = random_case(12, n_columns)
        x = rng.normal(size=x.shape) if from_logits else 0.1 + 0.5 * x
        keywords = {
            "sample_weight": w,
            "from_logits": from_logits,
            "label_smoothing": smoothing,
        }
        keep = (
            pytest.warns(UserWarning, match="sum to one")
            if n_columns > 1 and not from_logits
            else None
        )

        def loss(v):
            return log_loss_gradient_hessian(codes, v.reshape(x.shape), **keywords)[0]

        def gradient(v):
            found = log_loss_gradient_hessian(codes, v.reshape(x.shape), **keywords)
            return found[1].ravel()

        def check():
            # The step of 1.5e-8 leaves half of the digits.
            assert check_grad(loss, gradient, x.ravel()) < 1e-6
            hessian = log_loss_gradient_hessian(codes, x, **keywords)[2].ravel()
            for i in range(x.size):
                step = np.zeros(x.size)
                step[i] = 1e-5
                slope = (gradient(x.ravel() + step) - gradient(x.ravel() - step)) / 2e-5
                assert slope[i] == pytest.approx(hessian[i], rel=1e-6, abs=1e-8)

        if keep is None:
            check()
        else:
            with keep:
                check()


class TestForm:
    @pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "longdouble"])
    @pytest.mark.parametrize("n_columns", [1, 3])
    @pytest.mark.parametrize("from_logits", [True, False])
    def test_dtype(self, dtype, n_columns, from_logits):
        codes, p, _ = random_case(50, n_columns, dtype="float32")
        keywords = {"from_logits": from_logits}
        # Rows of float16 do not sum to one closely enough for a float64.
        p = (np.round(p * 8) / 8).astype(dtype) if from_logits else p.astype(dtype)
        if not from_logits and n_columns > 1:
            p = np.eye(3)[codes].astype(dtype) / 2 + np.array([0, 0.25, 0.25], dtype)
        found = log_loss_gradient_hessian(codes, p, **keywords)
        narrow = np.float32 if dtype == "float32" else np.float64
        assert found[1].dtype == found[2].dtype == narrow
        assert type(found[0]) is float
        if dtype == "float32" and from_logits:
            wide = log_loss_gradient_hessian(codes, p.astype(float), **keywords)
            np.testing.assert_array_equal(found[1], wide[1].astype("f4"))
            np.testing.assert_array_equal(found[2], wide[2].astype("f4"))
            assert found[0] == wide[0]

    @pytest.mark.parametrize("make", [np.array, pd.DataFrame, list])
    @pytest.mark.parametrize("n_columns", [1, 3])
    def test_shape_is_kept(self, make, n_columns):
        z = np.arange(12.0).reshape(-1, n_columns) / 7
        codes = np.arange(len(z)) % max(n_columns, 2)
        expected = log_loss_gradient_hessian(codes, np.squeeze(z), **LOGITS)
        scores = z.tolist() if make is list else make(z)
        found = log_loss_gradient_hessian(codes, scores, **LOGITS)
        assert found[1].shape == found[2].shape == z.shape
        assert found[0] == expected[0]
        np.testing.assert_array_equal(np.squeeze(found[1]), expected[1])
        loss = LogLoss(codes, **LOGITS)
        assert loss.loss_gradient(scores)[1].shape == z.shape

    def test_column_into_a_column(self):
        z, out = np.array([[1.0], [2.0]]), np.empty((2, 1))
        _, gradient = log_loss_gradient([0, 1], z, out=out, **LOGITS)
        assert gradient is out
        np.testing.assert_array_equal(out, log_loss_gradient([0, 1], z, **LOGITS)[1])
        with pytest.raises(ValueError, match=r"^out has shape \(2,\)"):
            log_loss_gradient([0, 1], z, out=np.empty(2), **LOGITS)

    @pytest.mark.usefixtures("engine")
    @pytest.mark.parametrize("from_logits", [True, False])
    @pytest.mark.parametrize("n_columns", [1, 3])
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_layouts_give_the_same_bits(self, layout, n_columns, from_logits):
        for n in (257, 34000):
            codes, p, w = random_case(n, n_columns)
            keywords = {"from_logits": from_logits}
            expected = log_loss_gradient_hessian(codes, p, sample_weight=w, **keywords)
            make = LAYOUTS[layout]
            arguments = make(codes), make(p)
            found = log_loss_gradient_hessian(
                *arguments, sample_weight=make(w), **keywords
            )
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_array_equal(a, b)
            if layout in ("read-only", "byte-swapped", "memory-mapped"):
                continue
            out = make(np.empty_like(p)), make(np.empty_like(p))
            found = log_loss_gradient_hessian(
                *arguments, sample_weight=make(w), out=out, **keywords
            )
            assert found[1] is out[0]
            assert found[2] is out[1]
            for a, b in zip(found, expected, strict=True):
                np.testing.assert_array_equal(a, b)

    @pytest.mark.parametrize("dtypes", [("f4", "f4"), ("f4", "f8"), ("f8", "f4")])
    @pytest.mark.parametrize("n_columns", [1, 3])
    @pytest.mark.parametrize("from_logits", [True, False])
    def test_out_dtypes(self, dtypes, n_columns, from_logits):
        codes, p, _ = random_case(300, n_columns)
        expected = log_loss_gradient_hessian(codes, p, from_logits=from_logits)
        out = [np.empty(p.shape, dtype) for dtype in dtypes]
        found = log_loss_gradient_hessian(codes, p, from_logits=from_logits, out=out)
        assert found[0] == expected[0]
        for a, b in zip(found[1:], expected[1:], strict=True):
            np.testing.assert_array_equal(a, b.astype(a.dtype))
            assert any(a is o for o in out)

    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10])
    def test_hessian_conventions(self, n_columns):
        codes, z, w = random_case(100, n_columns)
        factors = {"xgboost": 2.0, "lightgbm": n_columns / max(n_columns - 1, 1)}
        if n_columns == 1:
            factors = {"xgboost": 1.0, "lightgbm": 1.0}
        keywords = {"sample_weight": w, **LOGITS}
        loss, gradient, exact = log_loss_gradient_hessian(codes, z, **keywords)
        for name, factor in factors.items():
            found = log_loss_gradient_hessian(codes, z, hessian=name, **keywords)
            assert found[0] == loss
            np.testing.assert_array_equal(found[1], gradient)
            # Two products are rounded in another order.
            np.testing.assert_allclose(found[2], factor * exact, rtol=4 * EPS)

    @pytest.mark.usefixtures("engine")
    @pytest.mark.parametrize("n_columns", [1, 2, 3])
    @pytest.mark.parametrize("from_logits", [True, False])
    def test_normalize(self, n_columns, from_logits):
        codes, x, w = random_case(300, n_columns)
        for weights in (None, w):
            keywords = {"from_logits": from_logits, "sample_weight": weights}
            mean = log_loss_gradient_hessian(codes, x, **keywords)
            total = log_loss_gradient_hessian(codes, x, normalize=False, **keywords)
            weight = 300 if weights is None else math.fsum(w)
            for a, b in zip(mean, total, strict=True):
                np.testing.assert_allclose(np.asarray(a) * weight, b, rtol=8 * EPS)
            assert mean[0] == log_loss(codes, x, **keywords)
            assert total[0] == log_loss(codes, x, normalize=False, **keywords)

    @pytest.mark.parametrize("weight", [5e-324, 1e-310, 1e-300, 1e300])
    def test_weights_of_any_size(self, weight):
        keywords = {"sample_weight": [weight, weight], **LOGITS}
        for z in ([0.0, 0.0], [[0.0, 0.0]] * 2):
            loss, gradient = log_loss_gradient([0, 1], z, **keywords)
            assert loss == pytest.approx(math.log(2), rel=RTOL)
            np.testing.assert_allclose(np.abs(gradient), 0.25, rtol=DERIVATIVE_RTOL)

    @pytest.mark.usefixtures("engine")
    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10])
    def test_weights_of_all_sizes(self, n_columns):
        rng = np.random.default_rng(n_columns)
        codes = random_codes(rng, 70, max(n_columns, 2))
        z = Z_KINDS["normal"](rng, 70, n_columns, codes)
        w = 10.0 ** rng.uniform(-323, 0, 70)
        exact = exact_rows(one_hot(codes, n_columns), z, True)
        found = log_loss_gradient_hessian(codes, z, sample_weight=w, **LOGITS)
        weights = [mpmath.mpf(v) for v in w.tolist()]
        factors = [v / mpmath.fsum(weights) for v in weights]
        assert_exact(found[1], exact[1], DERIVATIVE_RTOL, factors)
        assert_exact(found[2], exact[2], DERIVATIVE_RTOL, factors)

    @pytest.mark.usefixtures("engine")
    def test_weights_beyond_the_range_of_exp(self):
        """A sum, not a mean, and so heavy that nothing that small is lost."""
        keywords = {"normalize": False, "labels": [0, 1, 2], **LOGITS}
        z = np.array([[0.0, -np.inf, -900.0], [0.0, -740.0, -745.0]])
        w = np.array([1e300, 1e20])
        _, gradient, hessian = log_loss_gradient_hessian(
            [0, 0], z, sample_weight=w, **keywords
        )
        assert gradient[0].tolist() == [0.0, 0.0, 0.0]
        assert hessian[0].tolist() == [0.0, 0.0, 0.0]
        _, exact, exact_hessian = exact_logits([1, 0, 0], z[1].tolist())
        factor = [mpmath.mpf(w[1])]
        assert_exact(gradient[1:], [exact], DERIVATIVE_RTOL, factor)
        assert_exact(hessian[1:], [exact_hessian], DERIVATIVE_RTOL, factor)

    def test_negative_zero_is_a_weight(self):
        found, expected = (
            log_loss_gradient([0, 1], [1.0, 2.0], sample_weight=[zero, 1], **LOGITS)
            for zero in (-0.0, 0.0)
        )
        assert found[0] == expected[0]
        np.testing.assert_array_equal(found[1], expected[1])

    @pytest.mark.parametrize("from_logits", [True, False])
    def test_labels_of_other_types(self, from_logits):
        codes, p, _ = random_case(200, 3)
        expected = log_loss_gradient(codes, p, from_logits=from_logits)
        for y in (words(codes), words(codes).tolist(), codes * 3 + 5, codes - 1.0):
            found = log_loss_gradient(y, p, from_logits=from_logits)
            assert found[0] == expected[0]
            np.testing.assert_array_equal(found[1], expected[1])
        few = np.minimum(codes, 1)
        found = log_loss_gradient(
            words(few), p, labels=words(np.arange(3)), from_logits=from_logits
        )
        expected = log_loss_gradient(few, p, labels=[0, 1, 2], from_logits=from_logits)
        np.testing.assert_array_equal(found[1], expected[1])

    def test_minimize(self, rng):
        """A logistic regression, by the book."""
        X = np.column_stack([np.ones(300), rng.normal(size=(300, 2))])
        y = (X @ [0.3, 1, -2] + rng.logistic(size=300) > 0).astype(int)

        def objective(coefficients):
            loss, gradient = log_loss_gradient(y, X @ coefficients, **LOGITS)
            return loss, gradient @ X

        found = minimize(objective, np.zeros(3), jac=True, tol=1e-12)
        _, gradient = objective(found.x)
        assert np.abs(gradient).max() < 1e-6
        assert found.fun < objective(np.array([0.3, 1, -2]))[0]
        free = minimize(
            lambda z: log_loss_gradient(y, z, label_smoothing=0.5, **LOGITS),
            np.zeros(300),
            jac=True,
            method="L-BFGS-B",
            options={"ftol": 0, "gtol": 1e-10},
        )
        np.testing.assert_allclose(expit(free.x), 0.25 + y / 2, atol=1e-6)


seeds = st.integers(0, 2**32 - 1)
shares = st.one_of(st.sampled_from([0.0, 1.0, 0.5]), st.floats(0, 1, width=32))


class TestNegativeWeights:
    """As of simulated events. Bounds are relative to the sum of |weight| loss."""

    WEIGHTS = ([2, -1, 0.5, -0.25, -0.0], [-3, 1, 0.5, -0.25, 1], [1, -1, 1, -1, 1e-30])

    @pytest.mark.parametrize("w", WEIGHTS)
    @pytest.mark.parametrize("scale", [1.0, 1e-270, 1e304])
    @pytest.mark.parametrize("from_logits", [True, False])
    @pytest.mark.parametrize("n_columns", [1, 3])
    @pytest.mark.parametrize("kind", ["labels", "smoothed", "targets"])
    def test_sums(self, kind, n_columns, from_logits, scale, w):
        w = scale * np.array(w)
        codes, scores, _ = random_case(5, n_columns)
        codes = codes % 2
        keywords = {"from_logits": from_logits, "labels": range(max(n_columns, 2))}
        prepared = {"from_logits": from_logits, "classes": keywords["labels"]}
        if kind == "smoothed":
            keywords["label_smoothing"] = prepared["label_smoothing"] = 0.1
        if kind == "targets":
            codes = random_case(5, n_columns, seed=1).p
            keywords = {"from_logits": from_logits, "soft_targets": True}
            prepared = keywords
        rows = sample_log_loss(codes, scores, **keywords)
        _, *slopes = log_loss_gradient_hessian(
            codes, scores, normalize=False, **keywords
        )
        loss = LogLoss(codes, sample_weight=w, **prepared)
        keywords["sample_weight"] = w
        exact = [mpmath.mpf(v) for v in w.tolist()]
        for normalize, total in ((True, mpmath.fsum(exact)), (False, 1)):
            factors = [v / total for v in exact]
            expected = mpmath.fdot(factors, rows.tolist())
            tolerance = RTOL * mpmath.fdot(map(abs, factors), rows.tolist())
            keywords["normalize"] = normalize
            found = [log_loss(codes, scores, **keywords)]
            derived = log_loss_gradient_hessian(codes, scores, **keywords)
            again = loss.loss_gradient_hessian(scores, normalize=normalize)
            found += [derived[0], again[0]]
            if normalize:
                found += [loss(scores), *loss.many(np.stack([scores] * 2))]
            for value in found:
                assert abs(mpmath.mpf(value) - expected) <= tolerance
            for array, other, plain in zip(derived[1:], again[1:], slopes, strict=True):
                np.testing.assert_array_equal(array, other)
                for i, factor in enumerate(factors):
                    close = [factor * mpmath.mpf(v) for v in plain[i].ravel().tolist()]
                    for a, b in zip(array[i].ravel().tolist(), close, strict=True):
                        assert abs(mpmath.mpf(a) - b) <= DERIVATIVE_RTOL * abs(b)

    @pytest.mark.parametrize("from_logits", [True, False])
    def test_sum_of_zero(self, from_logits):
        """No mean, but a sum, as in scikit-learn; of no weight at all neither."""
        y, scores, w = [0, 1, 1], [0.2, 0.5, 0.7], [1, 2, -3]
        keywords = {"sample_weight": w, "from_logits": from_logits}
        smoothed = {**keywords, "label_smoothing": 0.1}
        with pytest.raises(ValueError, match="sample_weight sums to zero"):
            log_loss(y, scores, **smoothed)
        with pytest.raises(ValueError, match="sample_weight sums to zero"):
            log_loss_gradient(y, scores, **keywords)
        with pytest.raises(ValueError, match="sample_weight sums to zero"):
            LogLoss(y, **keywords)
        rows = sample_log_loss(y, scores, from_logits=from_logits)
        loss, gradient = log_loss_gradient(y, scores, normalize=False, **keywords)
        assert loss == pytest.approx(rows @ w, rel=1e-14)
        assert (np.sign(gradient) == [1, -1, 1]).all()
        smooth = {"from_logits": from_logits, "label_smoothing": 0.1}
        rows = sample_log_loss(y, scores, **smooth)
        loss = log_loss(y, scores, normalize=False, **smoothed)
        assert loss == pytest.approx(rows @ w, rel=1e-14)
        for function in (log_loss, log_loss_gradient):
            keywords = {**smooth, "sample_weight": [0, -0.0, 0], "normalize": False}
            with pytest.raises(ValueError, match="sample_weight is zero in all rows"):
                function(y, scores, **keywords)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("normalize", [True, False])
    def test_not_finite(self, bad, normalize):
        w = np.array([1.7e308, 1.7e308, bad, bad])
        keywords = {"sample_weight": w, "normalize": normalize, **LOGITS}
        match = f"^sample_weight must be finite, got {bad} in row 2$"
        for function in (log_loss, log_loss_gradient):
            with pytest.raises(ValueError, match=match):
                function([0, 1, 1, 0], [0.2, 0.5, 0.7, 0.0], **keywords)
        with pytest.raises(ValueError, match=match):
            LogLoss([0, 1, 1, 0], sample_weight=w)


TOLERANCES = {"f2": 2.0**-5, "f4": 2.0**-11.5, ">f4": 2.0**-11.5, "f8": 1e-6}


class TestTargetSums:
    """Rows of targets sum to one as far as their dtype can."""

    @staticmethod
    def rows(dtype, off):
        """Targets of two rows, the second with a sum that is so far from one."""
        t = np.array([[0.25, 0.5, 0.25], [0.25, 0.5, 0.25 + off]])
        return t.astype(dtype)

    @pytest.mark.parametrize("dtype", TOLERANCES)
    @pytest.mark.parametrize("sign", [1, -1])
    def test_tolerance(self, dtype, sign):
        t = self.rows(dtype, sign * 0.95 * TOLERANCES[dtype])
        z = np.array([[0.0, 1.0, -1.0], [0.5, -0.5, 0.0]])
        exact = [
            mpmath.fsum(
                mpmath.mpf(u) * (mpmath.log(mpmath.fsum(map(mpmath.exp, row))) - v)
                for u, v in zip(targets, row, strict=True)
            )
            for targets, row in zip(t.tolist(), z.tolist(), strict=True)
        ]
        keywords = {"soft_targets": True, **LOGITS}
        rows = sample_log_loss(t, z, **keywords)
        assert_exact(rows, [[v] for v in exact], ROW_RTOL)
        mean = pytest.approx(float(mpmath.fsum(exact) / 2), rel=RTOL)
        prepared = LogLoss(t, **keywords)
        for loss in (prepared, pickle.loads(pickle.dumps(prepared))):
            assert loss(z) == mean
            assert loss(z.astype("f4")) == pytest.approx(mean.expected, rel=1e-6)
            assert loss.many(z[None])[0] == mean
            assert loss.loss_gradient(z)[0] == mean
        assert log_loss(t, z, **keywords) == mean
        assert log_loss_gradient(t, z, **keywords)[0] == mean
        p = softmax(z, axis=1)
        assert log_loss(t, p, soft_targets=True) == pytest.approx(mean.expected)
        shares = t.astype("f8").sum(0)
        expected = np.log(shares / shares.sum())
        np.testing.assert_allclose(initial_score(t, soft_targets=True), expected)

    @pytest.mark.parametrize("dtype", TOLERANCES)
    @pytest.mark.parametrize("sign", [1, -1])
    def test_beyond(self, dtype, sign):
        t = self.rows(dtype, sign * 1.1 * TOLERANCES[dtype])
        z = np.zeros((2, 3))
        match = (
            r"targets y_true of row 1 sum to .*; .*y_true\.sum\(axis=1, keepdims=True"
        )
        for function in (log_loss, sample_log_loss, log_loss_gradient):
            with pytest.raises(ValueError, match=match):
                function(t, z, soft_targets=True, **LOGITS)
        with pytest.raises(ValueError, match=match):
            LogLoss(t, soft_targets=True)
        LogLoss(t / t.sum(axis=1, keepdims=True), soft_targets=True)

    @pytest.mark.parametrize("dtype", ["f2", "f4"])
    @pytest.mark.parametrize("n_classes", [3, 1000, 32000])
    def test_softmax_of_the_dtype(self, dtype, n_classes, rng):
        """Its rows pass, rounded and added up in that dtype as they are."""
        z = (rng.normal(size=(4, n_classes)) * 4).astype(dtype)
        t = np.exp(z - z.max(axis=1, keepdims=True))
        t /= t.sum(axis=1, keepdims=True)
        loss = log_loss(t, np.zeros(z.shape), soft_targets=True, **LOGITS)
        total = t.astype("f8").sum(axis=1).mean()
        assert loss == pytest.approx(total * math.log(n_classes), rel=1e-14)

    def test_lists_of_narrow_numbers(self):
        t = list(self.rows("f2", 0.03))
        assert log_loss(t, np.zeros((2, 3)), soft_targets=True, **LOGITS) > 0

    def test_dtypes_by_name(self):
        """Also those of other libraries, of which numpy knows nothing."""
        for dtype, epsilon in (
            ("torch.bfloat16", 2.0**-7),
            ("torch.float16", 2.0**-10),
            (SimpleNamespace(name="bfloat16"), 2.0**-7),
            (pd.Float32Dtype(), 2.0**-23),
            (np.dtype(">f2"), 2.0**-10),
        ):
            assert target_tolerance(dtype) == math.sqrt(epsilon)
        for dtype in (None, np.dtype("f8"), np.dtype("i4"), "object", pd.Int8Dtype()):
            assert target_tolerance(dtype) == 1e-6


class TestExpansion:
    """A target is as many weighted rows as there are classes, each with a label."""

    @given(
        t=st.lists(shares, min_size=1, max_size=40),
        smoothing=st.sampled_from([0.0, 0.1, 0.9]),
        from_logits=st.booleans(),
        seed=seeds,
    )
    def test_binary(self, t, smoothing, from_logits, seed):
        rng = np.random.default_rng(seed)
        t = np.array(t)
        x = 5 * rng.normal(size=len(t)) if from_logits else rng.random(len(t))
        hard = np.stack([1 - t, t], 1) * (1 - smoothing) + smoothing / 2
        self.check(t, hard, x, rng.random(len(t)) + 0.1, smoothing, from_logits)

    @given(
        n=st.integers(1, 40),
        n_classes=st.integers(2, 6),
        concentration=st.sampled_from([0.01, 1.0]),
        smoothing=st.sampled_from([0.0, 0.1, 0.9]),
        from_logits=st.booleans(),
        seed=seeds,
    )
    def test_multiclass(
        self, n, n_classes, concentration, smoothing, from_logits, seed
    ):
        rng = np.random.default_rng(seed)
        t = rng.dirichlet(np.full(n_classes, concentration), n)
        t[t < 1e-280] = 0  # products with subnormal targets are not exact to RTOL
        t[0] = np.eye(n_classes)[0]
        x = 5 * rng.normal(size=t.shape)
        x = x if from_logits else softmax(x, axis=1)
        hard = t * (1 - smoothing) + smoothing / n_classes
        self.check(t, hard, x, rng.random(n) + 0.1, smoothing, from_logits)

    @staticmethod
    def check(t, hard, x, w, smoothing, from_logits):
        n, k = hard.shape
        keywords = {"from_logits": from_logits, "normalize": False}
        found = log_loss_gradient_hessian(
            t,
            x,
            sample_weight=w,
            soft_targets=True,
            label_smoothing=smoothing,
            **keywords,
        )
        weights = (hard * w[:, None]).ravel()
        expanded = log_loss_gradient_hessian(
            np.tile(np.arange(k), n),
            np.repeat(x, k, axis=0),
            sample_weight=weights,
            labels=list(range(k)),
            **keywords,
        )
        # Both are within RTOL of the exact sum, and `hard` is rounded three times.
        assert found[0] == pytest.approx(expanded[0], rel=2 * RTOL + 3 * EPS)
        gradients = expanded[1].reshape(n, k, -1)
        terms = np.abs(gradients).sum(axis=1).reshape(x.shape)
        gradient = gradients.sum(axis=1).reshape(x.shape)
        # p - t is rounded as p and t are, which are below 1.
        rounded = 4 * EPS * from_logits * (w if x.ndim == 1 else w[:, None])
        assert (np.abs(found[1] - gradient) <= DERIVATIVE_RTOL * terms + rounded).all()
        hessian = expanded[2].reshape(n, k, -1).sum(axis=1).reshape(x.shape)
        np.testing.assert_allclose(found[2], hessian, rtol=2 * DERIVATIVE_RTOL)
        rows = sample_log_loss(
            t, x, soft_targets=True, label_smoothing=smoothing, from_logits=from_logits
        )
        assert math.fsum(rows * w) == pytest.approx(found[0], rel=2 * RTOL)

    @pytest.mark.parametrize("n_columns", [1, 2, 4])
    def test_targets_of_one_are_as_exact_as_labels(self, n_columns):
        """p - 1 of a confident row, which is far below the rounding error of 1."""
        codes = np.arange(40) % max(n_columns, 2)
        t = one_hot(codes, n_columns)
        z = 30 * (2 * t - 1) + np.linspace(0, 9, 40).reshape((-1, 1)[: t.ndim])
        _, of_labels = log_loss_gradient(codes, z, **LOGITS)
        _, of_targets = log_loss_gradient(t, z, soft_targets=True, **LOGITS)
        np.testing.assert_allclose(of_targets, of_labels, rtol=2 * DERIVATIVE_RTOL)

    @pytest.mark.parametrize("smoothing", [0.1, 0.9])
    @pytest.mark.parametrize("n_columns", [1, 2, 4])
    @pytest.mark.parametrize("from_logits", [True, False])
    def test_smoothed_labels_are_smoothed_targets(
        self, n_columns, smoothing, from_logits
    ):
        codes, x, w = random_case(300, n_columns)
        keywords = {
            "sample_weight": w,
            "from_logits": from_logits,
            "label_smoothing": smoothing,
        }
        of_labels = log_loss_gradient_hessian(codes, x, **keywords)
        of_targets = log_loss_gradient_hessian(
            one_hot(codes, n_columns), x, soft_targets=True, **keywords
        )
        assert of_labels[0] == pytest.approx(of_targets[0], rel=2 * RTOL)
        np.testing.assert_allclose(of_labels[1], of_targets[1], atol=EPS, rtol=1e-14)
        np.testing.assert_allclose(of_labels[2], of_targets[2], rtol=1e-14)

    @pytest.mark.parametrize("smoothing", [0.1, 1e-3, 1e-6, 1e-10, 1e-16, 1e-30])
    @pytest.mark.parametrize("from_logits", [True, False])
    def test_small_shares(self, smoothing, from_logits):
        """In one column, too, the other class has what it gets, not what 1 leaves."""
        y = [1, 0, 0, 1]
        x = [50.0, -50.0, 3.0, -3.0]
        if not from_logits:
            x = [1 - 2.0**-40, 2.0**-40, 0.75, 0.25]
        share = mpmath.mpf(smoothing) / 2
        exact = exact_logits if from_logits else exact_probabilities
        rows = [exact(abs(label - share), v) for label, v in zip(y, x, strict=True)]
        keywords = {"label_smoothing": smoothing, "from_logits": from_logits}
        losses = sample_log_loss(y, x, **keywords)
        assert_exact(losses, [row[0] for row in rows], ROW_RTOL)
        found = log_loss_gradient_hessian(y, x, normalize=False, **keywords)
        assert_exact(found[1], [row[1] for row in rows], DERIVATIVE_RTOL)
        assert_exact(found[2], [row[2] for row in rows], DERIVATIVE_RTOL)

    def test_integral_floats_are_labels_unless_asked_for(self):
        y, p = [0.0, 1.0, 2.0], np.eye(3) * 0.4 + 0.2
        assert log_loss(y, p) == pytest.approx(-math.log(0.6), rel=RTOL)
        with pytest.raises(ValueError, match="y_true"):
            log_loss(y, p[:, 0], soft_targets=True)
        assert log_loss([0.25, 0.25], [0.5, 0.5], soft_targets=True) == pytest.approx(
            math.log(2), rel=RTOL
        )


# --- Errors -------------------------------------------------------------------------

P3 = np.array([[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.2, 0.2, 0.6]])
SOFT = {"soft_targets": True}
# Arguments that differ from those that are fine, and what the message says.
FINE = {"y_true": [0, 1, 2], "y_score": P3}
FINE_1 = {"y_true": [0, 1, 1], "y_score": P3[:, 0]}


def changed(array, at, value):
    array = np.array(array, dtype=float)
    array[at] = value
    return array


ERRORS = {
    "NaN logit": (LOGITS | {"y_score": changed(P3, (1, 2), np.nan)}, "y_score.* row 1"),
    "NaN logit, 1d": (
        LOGITS | FINE_1 | {"y_score": [0, np.nan, np.nan]},
        "y_score.* row 1",
    ),
    "NaN": ({"y_score": changed(P3, (2, 0), np.nan)}, "y_score.* row 2, column 0"),
    "0 / 0": (
        {"y_score": changed(P3, (2, 1), np.copysign(np.nan, -1))},
        "y_score.* row 2, column 1",
    ),
    "above one": ({"y_score": changed(P3, 1, 1.5)}, "y_score.* row 1, column 0"),
    "one column": ({"y_score": changed(P3, (2, 1), -0.3)}, "-0.3 in row 2, column 1"),
    "negative": (FINE_1 | {"y_score": [0.5, 0.5, -0.5]}, "y_score.* row 2"),
    "label": ({"y_true": [0, 1, 7], "labels": [0, 1, 2]}, "y_true.* 7.* row 2"),
    "label, logits": (
        LOGITS | {"y_true": [0, -1, 7], "labels": [0, 1, 2]},
        "y_true.* -1.* row 1",
    ),
    "label, str": (
        LOGITS | {"y_true": ["a", "z", "c"], "labels": ["a", "b", "c"]},
        "y_true.*'z'.* row 1",
    ),
    "NaN label": (
        LOGITS | {"y_true": [0, np.nan, 2], "labels": [0, 1, 2]},
        "y_true.* row 1",
    ),
    "fractional label": (
        LOGITS | {"y_true": [0, 1, 0.5], "labels": [0, 1, 2]},
        "y_true.* row 2",
    ),
    "None": ({"y_true": [0, None, 2]}, "y_true.* None in row 1"),
    "missing": (
        {"y_true": pd.Series([0, 1, None], dtype="Int64")},
        "y_true.* (<NA>|nan) in row 2",
    ),
    "missing category": (
        {"y_true": pd.Categorical(["a", None, "c"])},
        "y_true.* nan in row 1",
    ),
    "mixed labels": (
        {"y_true": ["a", 1, "c"]},
        "y_true.* 1 in row 1, but 'a' in row 0",
    ),
    "mixed objects": (
        {"y_true": np.array(["a", "b", 1], object)},
        "y_true.* 1 in row 2, but 'a' in row 0",
    ),
    "objects": (
        {"y_true": np.array([0, 1, 2], object)},
        "y_true.* objects must be str",
    ),
    "bytes": ({"y_true": [b"a", b"b", b"c"]}, "y_true.* b'a' in row 0"),
    "dates": (
        {"y_true": np.array(["2020-01-01"] * 3, "M8[D]")},
        "y_true.*2020-01-01.* in row 0",
    ),
    "complex labels": ({"y_true": [0j, 1, 2]}, "y_true.* 0j in row 0"),
    "long integers": ({"y_true": [0, 1, 2**64]}, "y_true.* row 2, .* 64 bits"),
    "too many labels": (
        FINE_1 | LOGITS | {"y_true": [0, 2, 1]},
        r"y_true .* beyond the 2 classes of y_score: after \[0, 2\] comes 1 in row 2; "
        "name all labels",
    ),
    "too many words": (
        FINE_1 | {"y_true": ["x", "y", "z"]},
        "y_true .* beyond the 2 classes .* 'z' in row 2",
    ),
    "too many categories": (
        FINE_1 | {"y_true": pd.Categorical(["x", "y", "z"])},
        "y_true .* beyond the 2 classes .* 'z' in row 2",
    ),
    "labels of targets": (
        SOFT | {"y_true": P3, "labels": [0, 1]},
        "2 labels.*3 columns",
    ),
    "masked scores": ({"y_score": np.ma.array(P3)}, "y_score.*MaskedArray.*subclass"),
    "flag": ({"from_logits": 1}, "from_logits must be True or False, got 1"),
    "text flag": ({"soft_targets": "no"}, "soft_targets must be True or False"),
    "no target": (FINE_1 | {"y_true": [0, 1, 1.5]}, "y_true.* 1.5 in row 2$"),
    "no array": ({"y_true": None}, "y_true.*got NoneType$"),
    "labels missing": (LOGITS | {"y_true": [0, 1, 1]}, "y_true.*name all of them"),
    "equal labels": ({"labels": [0, 1, 1]}, "labels.*different"),
    "too few labels": ({"labels": [0, 1]}, "2 labels.*3 columns"),
    "target": (FINE_1 | SOFT | {"y_true": [0, 0.5, 1.5]}, "y_true.*1.5.* row 2"),
    "negative target": (
        SOFT | {"y_true": changed(P3, (1, 2), -1)},
        "y_true.*-1.0 in row 1, column 2",
    ),
    "NaN target": (
        SOFT | LOGITS | {"y_true": changed(P3, (1, 0), np.nan)},
        "y_true.* row 1",
    ),
    "target sum": (
        SOFT | LOGITS | {"y_true": changed(P3, (2, 0), 0.3)},
        "y_true.* row 2.* sum",
    ),
    "target shape": (SOFT | {"y_true": [0.1, 0.2, 0.3]}, "y_true.*shape"),
    "target strings": (SOFT | {"y_true": ["a", "b", "c"]}, "y_true"),
    "weights that cancel": ({"sample_weight": [1, 2, -3]}, "sample_weight.*zero"),
    "NaN weight": ({"sample_weight": [1, 2, np.nan]}, "sample_weight.* row 2"),
    "infinite weight": ({"sample_weight": [np.inf, 2, 1]}, "sample_weight.* row 0"),
    "no weight": ({"sample_weight": [0, 0, 0]}, "sample_weight.*zero"),
    "short weights": ({"sample_weight": [1, 2]}, "sample_weight.*3"),
    "weight strings": ({"sample_weight": ["a", "b", "c"]}, "sample_weight"),
    "short y": ({"y_true": [0, 1]}, "y_true.*2.*y_score.*3"),
    "empty": ({"y_true": [], "y_score": P3[:0]}, "y_score"),
    "cube": ({"y_score": P3[None]}, "y_score.*shape"),
    "strings": ({"y_score": [["a"] * 3] * 3}, "y_score"),
    "complex": ({"y_score": P3 * 1j}, "y_score"),
    "smoothing of one": ({"label_smoothing": 1.0}, "label_smoothing.*1.0"),
    "negative smoothing": ({"label_smoothing": -0.1}, "label_smoothing"),
    "NaN smoothing": ({"label_smoothing": np.nan}, "label_smoothing"),
    "text smoothing": ({"label_smoothing": "much"}, "label_smoothing"),
    "eps": ({"eps": 0.5}, "eps"),
    "text eps": ({"eps": "small"}, "eps"),
}


class Subclass(np.ndarray):
    """Means something that nobody knows."""


# Sums of rows of probabilities are a warning, which is an error here.
WARNED = {"y_score": P3 * 0.9}


class TestTypes:
    @pytest.mark.parametrize(
        "function", [log_loss_gradient, LogLoss([0, 1]).loss_gradient]
    )
    def test_byte_order(self, function):
        """Where bytes are swapped float32 is clipped as float64, as in log_loss."""
        p = np.array([1.0, 0.25], "f4")
        y = [[0, 1]] if function is log_loss_gradient else []
        loss, gradient = function(*y, p.astype(np.float64))
        swapped, other = function(*y, p.astype(p.dtype.newbyteorder("S")))
        assert swapped == loss == log_loss([0, 1], p.astype(p.dtype.newbyteorder("S")))
        assert other.dtype == np.float32
        np.testing.assert_array_equal(other, gradient)

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_weights_of_any_layout_give_the_same_bits(self, layout):
        codes, z, w = random_case(200_000, 1)
        expected = log_loss_gradient(codes, z, sample_weight=w, **LOGITS)
        found = log_loss_gradient(codes, z, sample_weight=LAYOUTS[layout](w), **LOGITS)
        assert found[0] == expected[0]
        np.testing.assert_array_equal(found[1], expected[1])

    def test_weights_cannot_be_resized_meanwhile(self, monkeypatch):
        """By another thread: the sum is made without the GIL."""
        w = np.ones(3)
        sum_weights = _kernels.loops.sum_weights

        def resize_first(chunk):
            with pytest.raises(ValueError, match="resize"):
                w.resize(2, refcheck=False)
            return sum_weights(chunk)

        loops = SimpleNamespace(**vars(_kernels.loops) | {"sum_weights": resize_first})
        monkeypatch.setattr(_kernels, "loops", loops)
        log_loss_gradient([0, 1, 1], [0.2, 0.5, 0.7], sample_weight=w)
        w.resize(2, refcheck=False)  # and is possible again

    def test_labels_that_change_while_they_are_copied(self, monkeypatch):
        y = np.arange(20) % 2 * 2 + 5
        chunk = Codes.chunk

        def change_first(codes, start, stop):
            y[3] = 9
            return chunk(codes, start, stop)

        monkeypatch.setattr(Codes, "chunk", change_first)
        with pytest.raises(RuntimeError, match="changed by another thread"):
            LogLoss(y)

    def test_lists_are_converted_once(self, monkeypatch):
        class Scores:
            made = 0

            def __array__(self, dtype=None, copy=None):
                self.made += 1
                return np.array([0.25, 0.5])

        for function in (
            lambda p: log_loss_gradient([0, 1], p),
            LogLoss([0, 1]).loss_gradient,
            LogLoss([0, 1]).samples,
        ):
            scores = Scores()
            function(scores)
            assert scores.made == 1


class TestErrors:
    @pytest.mark.parametrize("name", ERRORS)
    def test_named_and_out_is_left(self, name):
        change, match = ERRORS[name]
        arguments = FINE | change
        for function, order in ((log_loss_gradient, 1), (log_loss_gradient_hessian, 2)):
            with pytest.raises((ValueError, TypeError), match=match):
                function(**arguments)
            shape = np.shape(arguments["y_score"])
            outs = [np.full(shape, 7.0) for _ in range(order)]
            with pytest.raises((ValueError, TypeError), match=match):
                function(**arguments, out=outs[0] if order == 1 else outs)
            for out in outs:
                np.testing.assert_array_equal(out, 7.0)

    @pytest.mark.parametrize("n_columns", [1, 3])
    @pytest.mark.parametrize("from_logits", [True, False])
    def test_late_errors_leave_out(self, n_columns, from_logits):
        """What is wrong in the last block is found before the first is written."""
        codes, p, _ = random_case(40000, n_columns)
        bad = p.copy()
        bad[-1] = np.nan
        out = np.full(p.shape, 7.0)
        wrong = np.where(np.arange(40000) == 39999, 9, codes)
        for y, scores in ((codes, bad), (wrong, p)):
            with pytest.raises(ValueError, match="row 39999"):
                log_loss_gradient(
                    y,
                    scores,
                    from_logits=from_logits,
                    labels=list(range(max(n_columns, 2))),
                    out=out,
                )
            np.testing.assert_array_equal(out, 7.0)

    def test_sums_of_probabilities_warn(self):
        out = np.full((3, 3), 7.0)
        with pytest.raises(UserWarning, match="do not sum to one"):
            log_loss_gradient([0, 1, 2], P3 * 0.9, out=out)
        np.testing.assert_array_equal(out, 7.0)
        with pytest.warns(UserWarning, match="sums to 0.9") as caught:
            log_loss_gradient([0, 1, 2], P3 * 0.9, out=out)
        assert len(caught) == 1
        assert caught[0].filename == __file__
        # Code that has no name, even of its module.
        with pytest.warns(UserWarning, match="do not sum to one"):
            exec("f([0, 1], p)", {"f": log_loss_gradient, "p": np.full((2, 2), 0.4)})

    def test_warns_once_for_a_line(self):
        """As the filters say: they are not touched, where `out` is given neither."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            for _ in range(3):
                log_loss_gradient([0, 1, 2], P3 * 0.9, out=np.empty((3, 3)))
        assert len(caught) == 1

    def test_threads_leave_the_filters(self):
        codes, p, _ = random_case(200_000, 2)
        with warnings.catch_warnings():
            before = list(warnings.filters)

            def call():
                out = np.empty(p.shape)
                for _ in range(5):
                    log_loss_gradient(codes, p, out=out)

            threads = [threading.Thread(target=call) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert list(warnings.filters) == before

    @pytest.mark.parametrize("from_logits", [True, False])
    @pytest.mark.parametrize("order", [1, 2])
    def test_out(self, order, from_logits):
        y, z = [0, 1, 2], P3.copy()
        readonly = np.full((3, 3), 7.0)
        readonly.flags.writeable = False
        weights = np.array([1.0, 2.0, 3.0])
        buffer = np.full((4, 3), 7.0)
        function = (log_loss_gradient, log_loss_gradient_hessian)[order - 1]
        for bad, match in (
            (np.full((3, 2), 7.0), "shape"),
            (np.full(9, 7.0), "shape"),
            (np.full((3, 3), 7, "f2"), "float64 or float32"),
            (np.full((3, 3), 7), "float64 or float32"),
            (np.full((3, 3), 7, ">f8"), "float64 or float32"),
            ([[7.0] * 3] * 3, "ndarray"),
            (np.full((3, 3), 7.0).view(Subclass), "ndarray"),
            (readonly, "read-only"),
            (z, "overlaps"),
            (np.lib.stride_tricks.as_strided(weights, (3, 3), (8, 0)), "overlaps"),
        ):
            good = np.full((3, 3), 7.0)
            for out in ([bad],) if order == 1 else ([bad, good], [good, bad]):
                name = "out" if order == 1 else rf"out\[{int(out[1] is bad)}\]"
                name = "out" if match == "overlaps" else name
                with pytest.raises(
                    (ValueError, TypeError), match=rf"^{name} .*{match}"
                ):
                    function(
                        y,
                        z,
                        sample_weight=weights,
                        from_logits=from_logits,
                        out=out[0] if order == 1 else out,
                    )
                np.testing.assert_array_equal(good, 7.0)
        np.testing.assert_array_equal(z, P3)
        assert weights.tolist() == [1, 2, 3]
        if order == 2:
            for bad in (buffer[:3], (buffer[:3],), (buffer[:3],) * 3, 5):
                with pytest.raises(TypeError, match=r"^out must be a pair"):
                    function(y, z, from_logits=from_logits, out=bad)
            with pytest.raises(ValueError, match=r"^out overlaps"):
                function(y, z, from_logits=from_logits, out=(buffer[:3], buffer[1:]))
            np.testing.assert_array_equal(buffer, 7.0)

    @pytest.mark.parametrize("order", ["C", "F"])
    def test_interleaved_is_no_overlap(self, order):
        codes, p, _ = random_case(40_000, 1)
        expected = log_loss_gradient_hessian(codes, p)
        buffer = np.empty((40_000, 3), order=order)
        buffer[:, 1] = p
        out = buffer[:, 0], buffer[:, 2]
        assert log_loss_gradient_hessian(codes, buffer[:, 1], out=out)[0] == expected[0]
        np.testing.assert_array_equal(buffer.T, [expected[1], p, expected[2]])

    def test_out_overlaps_targets(self):
        t, y = P3.copy(), np.array([0.0, 1.0, 1.0])
        with pytest.raises(ValueError, match=r"^out overlaps"):
            log_loss_gradient(t, P3, out=t, **LOGITS, **SOFT)
        with pytest.raises(ValueError, match=r"^out overlaps"):
            log_loss_gradient(y, P3[:, 0], out=y, **LOGITS)
        np.testing.assert_array_equal(t, P3)

    @pytest.mark.parametrize("smoothing", [None, "0.1", 1.0, -0.1, math.nan])
    @pytest.mark.parametrize("function", [log_loss, sample_log_loss, log_loss_gradient])
    def test_smoothing(self, function, smoothing):
        with pytest.raises((ValueError, TypeError), match="label_smoothing"):
            function([0, 1], [0.2, 0.7], label_smoothing=smoothing)

    def test_former_name(self):
        for keywords in ({"y_proba": [0.0, 1.0]}, {}):
            with pytest.raises(TypeError, match="y_pred"):
                log_loss([0, 1], y_pred=[0.2, 0.7], **keywords, **LOGITS)

    def test_tensors_that_require_grad(self):
        class Tensor:
            def __array__(self, dtype=None, copy=None):
                raise RuntimeError("use tensor.detach()")

        for change in ({"y_score": Tensor()}, {"y_true": Tensor()} | SOFT):
            with pytest.raises(ValueError, match=r"Tensor, of which .*tensor.detach"):
                log_loss_gradient(**FINE | change)

    @pytest.mark.parametrize("value", [1, 0, None, "x"])
    def test_normalize(self, value):
        with pytest.raises(TypeError, match=r"^normalize must be True or False"):
            log_loss_gradient([0, 1], [0.5, 0.5], normalize=value)
        with pytest.raises(TypeError, match=r"^normalize must be True or False"):
            log_loss([0, 1], [0.5, 0.5], normalize=value, **LOGITS)
        assert log_loss([0, 1], [0.5, 0.5], normalize=np.True_) == math.log(2)
        assert log_loss_gradient([0, 1], [0.5, 0.5], normalize=np.False_)[0] == (
            pytest.approx(2 * math.log(2), rel=RTOL)
        )

    @pytest.mark.parametrize("function", [log_loss, sample_log_loss, LogLoss])
    @pytest.mark.parametrize("name", ["from_logits", "soft_targets"])
    @pytest.mark.parametrize("value", [1, 0, None, "x"])
    def test_flags(self, function, name, value):
        scores = () if function is LogLoss else ([0.2, 0.7],)
        with pytest.raises(TypeError, match=rf"^{name} must be True or False"):
            function([0, 1], *scores, **{name: value})
        function([0, 1], *scores, **{name: np.False_})

    @pytest.mark.parametrize("hessian", ["other", None, ["exact"]])
    def test_hessian(self, hessian):
        with pytest.raises((ValueError, TypeError), match="hessian"):
            log_loss_gradient_hessian([0, 1, 2], P3, hessian=hessian, **LOGITS)

    def test_conventions_are_for_logits(self):
        with pytest.raises(ValueError, match="hessian='xgboost' is for from_logits"):
            log_loss_gradient_hessian([0, 1, 2], P3, hessian="xgboost")

    @pytest.mark.parametrize("function", [log_loss, sample_log_loss])
    @pytest.mark.parametrize("name", ERRORS)
    def test_losses(self, function, name):
        """The same errors, of the functions that have no derivatives."""
        change, match = ERRORS[name]
        arguments = FINE | change
        if not ({"from_logits", "soft_targets"} & set(change)) or "eps" in change:
            arguments |= LOGITS
        if function is sample_log_loss and "sample_weight" in change:
            return
        if "probabilities" in match or name in (
            "above one",
            "one column",
            "negative",
            "eps",
        ):
            return  # fine logits
        arguments["y_proba"] = arguments.pop("y_score")
        # Here the argument has scikit-learn's name.
        with pytest.raises(
            (ValueError, TypeError), match=match.replace("y_score", "(y_proba|y_score)")
        ):
            function(**arguments)
        if function is sample_log_loss:
            out = np.full(3, 7.0)
            with pytest.raises((ValueError, TypeError)):
                function(**arguments, out=out)
            np.testing.assert_array_equal(out, 7.0)

    @pytest.mark.parametrize("function", [log_loss, sample_log_loss])
    def test_losses_name_their_own_argument(self, function):
        with pytest.raises(ValueError, match=r"y_proba.* row 1"):
            function([0, 1], [0.0, np.nan], **LOGITS)


# --- Memory -------------------------------------------------------------------------


def peak(function, *args, **kwargs):
    """Bytes that a call allocates on top of what there is."""
    function(*args, **kwargs)
    tracemalloc.start()
    try:
        function(*args, **kwargs)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def ones(n, dtype="f8", step=1):
    return np.ones(abs(step) * n, dtype)[::step]


# Numbers of every type and layout: the arguments of (n,) logits or probabilities.
NUMBERS = {
    "weights strided": lambda n: {"sample_weight": ones(n, step=2)},
    "weights reversed": lambda n: {"sample_weight": ones(n, step=-1)},
    "weights swapped": lambda n: {"sample_weight": ones(n, ">f8")},
    "weights float16": lambda n: {"sample_weight": ones(n, "f2")},
    "weights of -0": lambda n: {"sample_weight": changed(ones(n), 5, -0.0)},
    "weights tiny": lambda n: {"sample_weight": ones(n) * 1e-310},
    "labels strided": lambda n: {"y_true": (np.arange(2 * n) // 2 % 2)[::2]},
    "labels shifted": lambda n: {"y_true": np.arange(n) % 2 * 3 - 7},
    "scores strided": lambda n: {"y_score": ones(n, step=2) / 2},
    "scores float16": lambda n: {"y_score": ones(n, "f2") / 2},
    "scores swapped": lambda n: {"y_score": (ones(n) / 2).astype(">f4")},
    **{
        f"targets {name}": lambda n, name=name, make=make: {
            "y_true": make(n),
            "soft_targets": True,
        }
        for name, make in {
            "float32": lambda n: ones(n, "f4") / 2,
            "float16": lambda n: ones(n, "f2") / 2,
            "bool": lambda n: ones(n, "?"),
            "int": lambda n: ones(n, "i4"),
            "strided": lambda n: ones(n, step=2),
        }.items()
    },
}


class TestMemory:
    N = 1_000_000
    MIB = 1 << 20

    @pytest.mark.parametrize("from_logits", [True, False])
    @pytest.mark.parametrize("name", NUMBERS)
    def test_numbers(self, name, from_logits):
        n = 3 * self.N
        call = {
            "y_true": np.arange(n) % 2,
            "y_score": np.full(n, 0.5),
            "from_logits": from_logits,
            **NUMBERS[name](n),
        }
        out = np.empty(n), np.empty(n)
        assert peak(log_loss_gradient, out=out[0], **call) <= self.MIB
        assert peak(log_loss_gradient_hessian, out=out, **call) <= self.MIB
        if "sample_weight" not in call:
            call["y_proba"] = call.pop("y_score")
            assert peak(sample_log_loss, out=out[0], **call) <= self.MIB

    @pytest.mark.parametrize("from_logits", [True, False])
    @pytest.mark.parametrize("n_classes", [100, 1000])
    def test_many_classes_in_columns(self, n_classes, from_logits):
        n = 3 * self.N // n_classes
        p = np.full((n_classes, n), 1 / n_classes).T
        y = np.arange(n) % n_classes
        out = tuple(np.empty(p.shape, order="F") for _ in range(2))
        call = {"labels": range(n_classes), "from_logits": from_logits, "out": out}
        assert peak(log_loss_gradient_hessian, y, p, **call) <= self.MIB

    @pytest.mark.parametrize("from_logits", [True, False])
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_numbers_in_columns(self, dtype, from_logits):
        """The widest blocks, scores and targets of which nothing can be read as is."""
        n = self.N
        t = np.full((n, 6), 0.5, dtype)[:, ::3]
        p = np.asfortranarray(t)
        call = {"soft_targets": True, "from_logits": from_logits}
        out = np.empty(p.shape), np.empty((n, 4))[:, ::2]
        assert peak(log_loss_gradient, t, p, out=out[1], **call) <= self.MIB
        assert peak(log_loss_gradient_hessian, t, p, out=out, **call) <= self.MIB
        assert peak(sample_log_loss, t, p, out=np.empty(n), **call) <= self.MIB

    @pytest.mark.filterwarnings("ignore:The rows of y_score do not sum to one")
    def test_warning(self):
        p, out = np.full((self.N, 3), 0.3), np.empty((self.N, 3))
        y = np.arange(self.N) % 3
        assert peak(log_loss_gradient, y, p, out=out) <= self.MIB

    @pytest.mark.parametrize("from_logits", [True, False])
    @pytest.mark.parametrize("n_columns", [1, 4])
    @pytest.mark.parametrize("kind", ["plain", "strided", "targets", "smoothed"])
    def test_out(self, from_logits, n_columns, kind):
        n = self.N // n_columns
        shape = _shape(n, n_columns)
        y, p = np.arange(n) % max(n_columns, 2), np.full(shape, 1 / max(n_columns, 2))
        keywords = {"from_logits": from_logits, "sample_weight": np.ones(n)}
        if kind == "strided":
            p = LAYOUTS["strided"](p)
        elif kind == "targets":
            y = p.copy()
            keywords["soft_targets"] = True
        elif kind == "smoothed":
            keywords["label_smoothing"] = 0.1
        out = np.empty(shape), np.empty(shape)
        assert peak(log_loss_gradient, y, p, out=out[0], **keywords) <= self.MIB
        assert peak(log_loss_gradient_hessian, y, p, out=out, **keywords) <= self.MIB

    @pytest.mark.parametrize("from_logits", [True, False])
    def test_samples(self, from_logits):
        y, p, out = np.arange(self.N) % 2, np.full(self.N, 0.5), np.empty(self.N)
        assert peak(sample_log_loss, y, p, from_logits=from_logits, out=out) <= self.MIB

    @pytest.mark.parametrize("dtype", ["int64", "float32"])
    def test_weights_of_other_types(self, dtype):
        y, z, out = np.arange(self.N) % 2, np.full(self.N, 0.5), np.empty(self.N)
        w = np.ones(self.N, dtype)
        assert (
            peak(log_loss_gradient, y, z, sample_weight=w, out=out, **LOGITS)
            <= self.MIB
        )
