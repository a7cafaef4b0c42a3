"""Values against exact ones: the bounds that the documentation states.

Exact are the logarithm and the sums, by mpmath at 40 digits. What comes before them
(selection, fl(1 - p) as scikit-learn forms it, clip) is defined by `_reference`, in
operations that round once or not at all.

Sums of many rows take their rows from a table of a thousand: the exact sum is then
that of a thousand logarithms, each times the number of its rows, at any length.
"""

import math

import mpmath
import numpy as np
import pytest
from arrays import CONFIDENCES, confident_case, random_case, random_codes
from compare import ulps

from fastlogloss import (
    LogLoss,
    _reference,
    d2_log_loss_score,
    log_loss,
    log_loss_gradient,
    log_loss_gradient_hessian,
    sample_log_loss,
)

pytestmark = pytest.mark.usefixtures("fast_path_only")

EPS = 2.0**-52
RTOL = 2e-15  # docstring of log_loss; Design D of loops.pxi
ULP = 1.0  # Design C of scalar.h
DIGITS = 40

LENGTHS = (1, 2, 3, 16, 17, 33, 255, 256, 257, 1000, 3001)
BINARY = {"labels": [0, 1]}


@pytest.fixture(autouse=True)
def digits():
    with mpmath.workdps(DIGITS):
        yield


def exact_losses(q):
    return [-mpmath.log(mpmath.mpf(v)) if v else mpmath.inf for v in q.tolist()]


def exact_sums(q, w):
    """Sums of -w log q and of w."""
    w = [mpmath.mpf(v) for v in (np.ones(len(q)) if w is None else w).tolist()]
    return mpmath.fdot(w, exact_losses(q)), mpmath.fsum(w)


def assert_close(value, exact, rtol=RTOL):
    assert abs(mpmath.mpf(value) - exact) <= rtol * abs(exact), (value, float(exact))


def assert_log_loss(y, p, w=None, low=EPS, **kwargs):
    """Mean and sum of the public function against the exact ones."""
    loss, weight = exact_sums(_reference.true_class_probabilities(y, p, low), w)
    keywords = {"sample_weight": w, **kwargs}
    assert_close(log_loss(y, p, **keywords), loss / weight)
    assert_close(log_loss(y, p, normalize=False, **keywords), loss)


def wide_weights(n, seed=0):
    """Over twelve decades."""
    return 10.0 ** np.random.default_rng([seed, n]).uniform(-6, 6, n)


@pytest.mark.usefixtures("engine")
class TestSums:
    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    @pytest.mark.parametrize("kind", CONFIDENCES)
    def test_binary(self, kind, weighted):
        for n in LENGTHS:
            y, p = confident_case(kind, n)
            assert_log_loss(y, p, wide_weights(n) if weighted else None, **BINARY)

    @pytest.mark.parametrize("kind", CONFIDENCES)
    def test_pairs(self, kind):
        y, p = confident_case(kind, 777)
        assert_log_loss(y, np.stack([1.0 - p, p], 1), **BINARY)

    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    @pytest.mark.parametrize("n_classes", [3, 10, 65])
    def test_multiclass(self, n_classes, weighted):
        for n in (n_classes, 257, 1001):
            case = random_case(n, n_classes)
            case.p[n // 2] = np.eye(n_classes)[0]
            case.p[n // 2 + 1] = np.eye(n_classes)[1]
            assert_log_loss(case.codes, case.p, wide_weights(n) if weighted else None)

    @pytest.mark.parametrize("eps", [0.0, 1e-300, 1e-18, 2.0**-56, 1e-15, 0.01, 0.4])
    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    def test_eps(self, eps, weighted):
        for kind in ("random", "tiny", "log-uniform", "confident"):
            y, p = confident_case(kind, 500)
            w = wide_weights(500) if weighted else None
            if eps == 0:  # where 1 - p is zero, the loss is infinite
                p = np.where(y == 1, np.maximum(p, 1e-310), np.minimum(p, 1 - EPS))
            assert_log_loss(y, p, w, eps, eps=eps, **BINARY)


class TestManyRows:
    """A bound that does not grow with the number of rows."""

    @staticmethod
    def table(kind, size=1000):
        """(label, p, weight) of the rows to choose from."""
        y, p = confident_case(kind, size)
        return y, p, wide_weights(size)

    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    @pytest.mark.parametrize("kind", CONFIDENCES)
    @pytest.mark.parametrize("n", [100_000, 1_000_000])
    def test_binary(self, n, kind, weighted):
        self.check(n, kind, weighted)

    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    @pytest.mark.parametrize("kind", ["mixed", "confident"])
    def test_ten_million(self, kind, weighted):
        self.check(10_000_000, kind, weighted)

    def check(self, n, kind, weighted):
        y, p, w = self.table(kind)
        choice = np.random.default_rng(n).integers(len(y), size=n)
        count = np.bincount(choice, minlength=len(y)).astype(float)
        q = _reference.true_class_probabilities(y, p, EPS)
        losses = exact_losses(q)
        per_row = w if weighted else np.ones(len(y))
        shares = [mpmath.mpf(c) * v for c, v in zip(count, per_row, strict=True)]
        loss, weight = mpmath.fdot(shares, losses), mpmath.fsum(shares)
        rows = w[choice] if weighted else None
        keywords = {"sample_weight": rows, **BINARY}
        y, p = y[choice], p[choice]
        assert_close(log_loss(y, p, **keywords), loss / weight)
        assert_close(log_loss(y, p, normalize=False, **keywords), loss)

    @pytest.mark.parametrize("kind", ["random", "confident", "log-uniform"])
    def test_all_rows_different(self, kind):
        """Against fsum: exact, but for the logarithms, each within 1 ULP."""
        n = 300_000
        y, p = confident_case(kind, n)
        loss, _ = _reference.loss_sums(y, p, None, EPS)
        assert_close(log_loss(y, p, normalize=False), loss, RTOL + EPS)

    def test_float16_does_not_overflow(self):
        n = 1_000_000
        rng = np.random.default_rng(0)
        y = random_codes(rng, n, 2)
        p = rng.random(n).astype(np.float16)
        q = _reference.true_class_probabilities(y, p, 2.0**-10)
        values, counts = np.unique(q, return_counts=True)
        losses = exact_losses(values)
        exact = mpmath.fdot([mpmath.mpf(int(c)) for c in counts], losses)
        loss = log_loss(y, p, normalize=False)
        assert loss > float(np.finfo(np.float16).max)
        assert_close(loss, exact)


class TestNarrowFloats:
    """Clipped by the eps of their dtype; all maths is float64."""

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    @pytest.mark.parametrize("kind", ["random", "saturated", "log-uniform", "mixed"])
    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    def test_binary(self, kind, dtype, weighted):
        for n in (2, 17, 257, 2001):
            y, p = confident_case(kind, n)
            w = wide_weights(n) if weighted else None
            low = float(np.finfo(dtype).eps)
            assert_log_loss(y, p.astype(dtype), w, low, **BINARY)

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    def test_multiclass(self, dtype):
        case = random_case(1000, 5, dtype=dtype)
        case.p[:5] = np.eye(5)
        assert_log_loss(case.codes, case.p, None, float(np.finfo(dtype).eps))

    @pytest.mark.parametrize("dtype", ["float16", "float32"])
    def test_eps_overrules_the_dtype(self, dtype):
        y, p = confident_case("random", 500)
        p = p.astype(dtype)
        p[p == 0] = 0.5
        p[p == 1] = 0.5
        assert_log_loss(y, p, None, 1e-12, eps=1e-12)


def adversarial(rng):
    """q where a logarithm goes wrong, if it does."""
    ends = np.arange(1, 2000)
    powers = 2.0 ** np.arange(-1022.0, 1)
    # Exponents are cut at sqrt(1/2); the error is largest near 0.7.
    cut = math.sqrt(0.5) + np.arange(-1000, 1000) * 2.0**-53
    parts = [
        1 - ends * 2.0**-53,
        1 - 2.0 ** -np.arange(1.0, 54),
        powers,
        np.nextafter(powers[1:], 0),
        np.nextafter(powers[:-1], 1),
        powers[1:] * math.sqrt(0.5),
        cut,
        rng.uniform(0.69, 0.72, 6000),
        rng.uniform(0, 1, 6000),
        2.0 ** rng.uniform(-1022, 0, 6000),
        1 - 2.0 ** rng.uniform(-52, 0, 3000),
        [0.5, 1.0, 2.0**-1022, math.exp(-1), math.nextafter(1, 0)],
    ]
    q = np.concatenate(parts)
    return q[(q >= 2.0**-1022) & (q <= 1)]


class TestRows:
    @pytest.mark.parametrize("eps", [0.0, 2.0**-1022])
    @pytest.mark.usefixtures("engine")
    def test_ulps(self, rng, eps):
        """With labels 1 alone, q is p; from 2^-1022 on there is nothing to clip."""
        q = adversarial(rng)
        losses = sample_log_loss(np.ones(len(q)), q, labels=[0, 1], eps=eps)
        off = ulps(losses, exact_losses(q))
        assert off.max() < ULP, (off.max(), q[off.argmax()].hex())

    def test_ulps_by_default(self, rng):
        """The same with the default clip, which takes the other loop."""
        q = adversarial(rng)
        losses = sample_log_loss(np.ones(len(q)), q, labels=[0, 1])
        off = ulps(losses, exact_losses(np.clip(q, EPS, 1 - EPS)))
        assert off.max() < ULP, (off.max(), q[off.argmax()].hex())

    def test_subnormal(self, rng):
        q = np.concatenate([5e-324 * 2.0 ** np.arange(52), rng.random(500) * 2e-308])
        losses = sample_log_loss(np.ones(len(q)), q, labels=[0, 1], eps=0)
        # One rounding more than a normal number has: that of the exponent's part.
        assert ulps(losses, exact_losses(q)).max() <= 1.5
        assert_log_loss(np.ones(len(q)), q, None, 0.0, eps=0, **BINARY)

    def test_impossible_and_certain(self):
        losses = sample_log_loss([1, 1, 0, 0], [0.0, 1.0, 0.0, 1.0], eps=0)
        np.testing.assert_array_equal(losses, [np.inf, 0, 0, np.inf])
        assert not np.signbit(losses).any()
        losses = sample_log_loss([1, 1, 0, 0], [-0.0, 1.0, -0.0, 1.0])
        worst, best = -math.log(EPS), -math.log1p(-EPS)
        assert losses == pytest.approx([worst, best, best, worst], rel=EPS)

    def test_impossible_event_in_the_mean(self):
        y, p = [0, 1, 1], [0.1, 0.9, 0.0]
        assert log_loss(y, p, eps=0) == math.inf
        assert log_loss(y, p, eps=0, normalize=False) == math.inf
        mean = log_loss(y, p, eps=0, sample_weight=[1, 1, 0])
        assert mean == pytest.approx(-math.log(0.9), rel=RTOL)

    @pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
    def test_caps(self, dtype):
        """36.04, 15.94 and 6.93."""
        cap = log_loss([0, 1], np.array([1, 0], dtype))
        assert cap == pytest.approx(-math.log(np.finfo(dtype).eps), rel=EPS)


def few_values(n, k, spread, seed=0):
    """(n, k) numbers, of which 30 are different."""
    rng = np.random.default_rng([seed, n, k])
    values = rng.normal(size=30) * spread
    return values[rng.integers(30, size=(n, k))]


def exact_sum(function, *arrays):
    """Of a function of numbers that are often the same."""
    pairs = np.empty(len(arrays[0]), complex)
    pairs.real, pairs.imag = arrays[0], arrays[-1]
    values, counts = np.unique(pairs, return_counts=True)
    numbers = [values.real.tolist(), values.imag.tolist()][: len(arrays)]
    terms = [function(*map(mpmath.mpf, v)) for v in zip(*numbers, strict=True)]
    return mpmath.fdot(terms, counts.tolist())


@pytest.mark.parametrize("n_classes", [20, 32, 33, 64, 1000, 100_000])
class TestManyClasses:
    """Bounds that do not grow with the number of classes."""

    ROW = 1e-15  # docstring of sample_log_loss
    DERIVATIVE = 1e-14  # docstring of log_loss_gradient

    @staticmethod
    def case(n_classes, spread):
        """Logits, labels (one of them the likeliest), and log(sum(exp(z)))."""
        n = 2
        z = few_values(n, n_classes, spread)
        codes = np.array([z[0].argmax(), n_classes // 2])
        norms = [mpmath.log(exact_sum(mpmath.exp, row)) for row in z]
        return z, codes, {"labels": range(n_classes), "from_logits": True}, norms

    def assert_rows(self, y, scores, exact, **keywords):
        rows = sample_log_loss(y, scores, **keywords)
        for row, value in zip(rows.tolist(), exact, strict=True):
            assert_close(row, value, self.ROW)
        mean = mpmath.fsum(exact) / len(exact)
        assert_close(log_loss(y, scores, **keywords), mean)

    @pytest.mark.parametrize("spread", [0.0, 0.3, 30.0])
    def test_labels(self, n_classes, spread):
        z, codes, keywords, norms = self.case(n_classes, spread)
        exact = [norms[i] - mpmath.mpf(z[i, c]) for i, c in enumerate(codes)]
        self.assert_rows(codes, z, exact, **keywords)

    @pytest.mark.parametrize("smoothing", [0.1, 0.3, 0.9])
    @pytest.mark.parametrize("spread", [0.03, 3.0])
    def test_smoothing(self, n_classes, spread, smoothing):
        z, codes, keywords, norms = self.case(n_classes, spread)
        s = mpmath.mpf(smoothing)
        exact = [
            (1 - s) * (norms[i] - mpmath.mpf(z[i, c]))
            + s * exact_sum(lambda v, i=i: norms[i] - v, z[i]) / n_classes
            for i, c in enumerate(codes)
        ]
        self.assert_rows(codes, z, exact, label_smoothing=smoothing, **keywords)

    @pytest.mark.parametrize("from_logits", [True, False])
    def test_targets(self, n_classes, from_logits):
        z, _, _, norms = self.case(n_classes, 1.0)
        t = np.exp(few_values(2, n_classes, 1.0, seed=1))
        t /= t.sum(axis=1, keepdims=True)
        if from_logits:
            exact = [
                exact_sum(lambda u, v, i=i: u * (norms[i] - v), t[i], z[i])
                for i in range(2)
            ]
        else:
            z = np.exp(z)
            z /= z.sum(axis=1, keepdims=True)
            exact = [
                exact_sum(lambda u, v: -u * mpmath.log(v), t[i], z[i]) for i in range(2)
            ]
        keywords = {"from_logits": from_logits, "soft_targets": True}
        self.assert_rows(t, z, exact, **keywords)

    @pytest.mark.parametrize("smoothing", [0.0, 0.3])
    @pytest.mark.parametrize("spread", [0.0, 3.0])
    def test_derivatives(self, n_classes, spread, smoothing):
        z, codes, keywords, norms = self.case(n_classes, spread)
        _, gradient, hessian = log_loss_gradient_hessian(
            codes, z, normalize=False, label_smoothing=smoothing, **keywords
        )
        for i, code in enumerate(codes.tolist()):
            _, columns = np.unique(z[i], return_index=True)
            for j in {*columns.tolist(), code}:
                p = mpmath.exp(mpmath.mpf(z[i, j]) - norms[i])
                target = mpmath.mpf(smoothing) / n_classes
                if j == code:
                    target += 1 - mpmath.mpf(smoothing)
                tolerance = self.DERIVATIVE * max(p, target)
                if j == code and not smoothing:
                    tolerance = self.DERIVATIVE * (1 - p)
                assert abs(mpmath.mpf(gradient[i, j]) - (p - target)) <= tolerance
                assert_close(hessian[i, j], p * (1 - p), self.DERIVATIVE)


# Weights at and between both ends of the range of floats.
WEIGHTS = {
    "largest": lambda rng, n: rng.uniform(1, 1.79, n) * 1e308,
    "large": lambda rng, n: 10.0 ** rng.uniform(300, 308, n),
    "small": lambda rng, n: 10.0 ** rng.uniform(-307, -300, n),
    "smallest": lambda rng, n: np.full(n, 2.0**-1022),
    "both ends": lambda rng, n: np.where(rng.random(n) < 0.5, 1.7e308, 3e-308),
    "all": lambda rng, n: 10.0 ** rng.uniform(-307, 308, n),
    "some zero": lambda rng, n: np.where(rng.random(n) < 0.5, 0.0, 1.7e308),
    "signed": lambda rng, n: rng.normal(size=n),
    "signed and large": lambda rng, n: rng.uniform(-1, 1.79, n) * 1e308,
    "signed, all": lambda rng, n: (
        10.0 ** rng.uniform(-307, 308, n) * rng.choice([1, 1, -1], n)
    ),
}
SCORES = {
    "usual": lambda rng, size: rng.normal(size=size),
    "large": lambda rng, size: rng.uniform(-1, 1, size) * 8e307,
    "confident": lambda rng, size: rng.uniform(-350, 350, size),
    "all": lambda rng, size: (
        rng.choice([-1, 1], size) * 10.0 ** rng.uniform(-300, 307, size)
    ),
}
LEAST, GREATEST = mpmath.mpf(2) ** -1022, mpmath.mpf(2) ** 1023


@pytest.mark.parametrize("weights", WEIGHTS)
class TestRange:
    """Sums beyond the range of floats, on the way to what is in it."""

    @pytest.fixture(autouse=True)
    def exponents(self):
        with mpmath.workprec(800):
            yield

    @staticmethod
    def check(found, exact, terms, rtol=RTOL):
        if LEAST <= abs(exact) <= GREATEST:
            assert abs(mpmath.mpf(found) - exact) <= rtol * terms, (found, exact)

    def check_all(self, y, scores, w, exact, keywords):
        factors = [mpmath.mpf(v) for v in w.tolist()]
        total, loss = mpmath.fsum(factors), mpmath.fdot(factors, exact)
        terms = mpmath.fdot(map(abs, factors), exact)
        keywords = {"sample_weight": w, **keywords}
        labels = keywords.pop("labels")
        prepared = LogLoss(y, classes=labels, **keywords)
        means = [
            log_loss(y, scores, labels=labels, **keywords),
            prepared(scores),
            *prepared.many(np.stack([scores, scores])),
        ]
        assert means == means[:1] * 4
        self.check(means[0], loss / total, terms / abs(total))
        keywords["labels"] = labels
        mean, *_ = log_loss_gradient(y, scores, **keywords)
        self.check(mean, loss / total, terms / abs(total))
        found = log_loss(y, scores, normalize=False, **keywords)
        self.check(found, loss, terms)
        return total, factors

    @pytest.mark.parametrize("scores", SCORES)
    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize("n", [1, 7, 300])
    def test_logits(self, n, n_classes, scores, weights, rng):
        z = SCORES[scores](rng, (n, n_classes))
        codes = np.where(rng.random(n) < 0.7, z.argmax(1), 0)
        w = WEIGHTS[weights](rng, n)
        if not w.any():
            w[0] = 1.0
        exact, slopes = zip(*map(softmax_row, codes.tolist(), z.tolist()), strict=True)
        keywords = {"labels": range(n_classes), "from_logits": True}
        total, factors = self.check_all(codes, z, w, exact, keywords)
        if n > 7:
            return
        for normalize, scale in ((True, total), (False, 1)):
            _, gradient = log_loss_gradient(
                codes, z, sample_weight=w, normalize=normalize, **keywords
            )
            for i, v in enumerate(factors):
                for g, slope in zip(gradient[i].tolist(), slopes[i], strict=True):
                    if abs(slope) >= LEAST:
                        slope *= v / scale
                        self.check(g, slope, abs(slope), TestManyClasses.DERIVATIVE)

    @pytest.mark.parametrize("eps", [0.0, "auto"])
    @pytest.mark.parametrize("dtype", ["f8", "f4"])
    def test_probabilities(self, weights, eps, dtype, rng):
        n = 40
        y, p = rng.integers(2, size=n), rng.uniform(0.01, 0.99, n).astype(dtype)
        p[:2], y[:2] = [0, 1], [0, 1]  # certain
        w = WEIGHTS[weights](rng, n)
        low = float(np.finfo(dtype).eps) if eps == "auto" else eps
        exact = exact_losses(_reference.true_class_probabilities(y, p, low))
        self.check_all(y, p, w, exact, {"labels": [0, 1], "eps": eps})
        factors = [mpmath.mpf(v) for v in w.tolist()]
        share = mpmath.fdot(factors, y.tolist()) / mpmath.fsum(factors)
        if eps == "auto" and 0.01 < share < 0.99:  # of a rare class it is rounded
            null = mpmath.fdot(
                factors, [-mpmath.log(share if c else 1 - share) for c in y]
            )
            ratio = mpmath.fdot(factors, exact) / null
            terms = mpmath.fdot(map(abs, factors), exact) / null
            found = d2_log_loss_score(y, p, sample_weight=w)
            assert abs(mpmath.mpf(found) - (1 - ratio)) <= 1e-13 * abs(terms)


def softmax_row(code, z):
    """Loss of a row of logits, and its derivatives."""
    z = [mpmath.mpf(v) for v in z]
    top = z.index(max(z))
    e = [mpmath.exp(v - z[top]) if v - z[top] > -1e4 else mpmath.mpf(0) for v in z]
    rest = mpmath.fsum(v for j, v in enumerate(e) if j != top)
    slopes = [
        (v if j != code else v - mpmath.fsum(e)) / mpmath.fsum(e)
        for j, v in enumerate(e)
    ]
    return mpmath.log1p(rest) + (z[top] - z[code]), slopes


class TestD2:
    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    @pytest.mark.parametrize("n_columns", [1, 3])
    def test_exact(self, n_columns, weighted):
        """One minus a quotient of two sums that are within 2e-15.

        The shares themselves are rounded: 1e-16 each, less than that of their logs'
        sum, since no class is rare here.
        """
        for n in (3, 64, 1001):
            codes, p, w = random_case(n, n_columns)
            w = w if weighted else np.ones(n)
            loss, _ = exact_sums(_reference.true_class_probabilities(codes, p, EPS), w)
            share = [mpmath.fsum(w[codes == c].tolist()) for c in np.unique(codes)]
            total = mpmath.fsum(share)
            null = -mpmath.fsum(s * mpmath.log(s / total) for s in share)
            value = d2_log_loss_score(codes, p, sample_weight=w)
            assert abs(value - (1 - loss / null)) <= 3 * RTOL * loss / null

    @pytest.mark.parametrize("n", [4, 100, 1000, 40000])
    def test_shares_explain_nothing(self, n):
        y = np.arange(n) % 4 == 0
        assert d2_log_loss_score(y, np.full(n, 0.25)) == 0.0

    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    @pytest.mark.parametrize("n_classes", [2, 3, 7, 100])
    @pytest.mark.parametrize("n", [10_000, 30_001])
    @pytest.mark.usefixtures("engine")
    def test_shares_of_any_classes_explain_nothing(self, n_classes, n, weighted):
        """To the last bit: the same sums, in the same blocks."""
        rng = np.random.default_rng(n + n_classes)
        y = rng.integers(0, n_classes, n)
        w = rng.integers(1, 9, n) / 8 if weighted else None
        share = np.bincount(y, w) / (n if w is None else w.sum())
        p = np.tile(share, (n, 1))
        assert d2_log_loss_score(y, p, sample_weight=w) == 0.0
        assert d2_log_loss_score(10.0 * y, p, sample_weight=w) == 0.0

    def test_twin(self):
        codes, p, w = random_case(700, 4)
        null = _reference.null_loss(codes, w, EPS)
        loss, _ = _reference.loss_sums(codes, p, w, EPS)
        value = d2_log_loss_score(codes, p, sample_weight=w)
        assert value == pytest.approx(1 - loss / null, abs=3 * RTOL * loss / null)
