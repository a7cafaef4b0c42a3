"""Standard errors, intervals and p-values from sums, against numpy and mpmath."""

import math
import warnings

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fastlogloss import _intervals
from fastlogloss._intervals import (
    EPS,
    ConfidenceInterval,
    Estimate,
    Moments,
    clustered,
    confidence_interval,
    estimate,
    pvalue,
    warn_of_few,
)

LEVELS = st.floats(0.001, 0.999)
ESTIMATES = st.builds(
    Estimate,
    st.floats(-5, 5),
    st.floats(1e-3, 5),
    st.floats(-30, 30),
    st.integers(2, 10**6).map(float),
)


def moments(losses, w=None):
    w = np.ones(len(losses)) if w is None else np.asarray(w, float)
    powers = [(1, 0), (1, 1), *((2, k) for k in range(3)), *((3, k) for k in range(4))]
    sums = [
        math.fsum((w**i * np.asarray(losses, float) ** k).tolist()) for i, k in powers
    ]
    return Moments(float(np.count_nonzero(w)), *sums)


def stacked(all_moments):
    return Moments(*map(np.array, zip(*all_moments, strict=True)))


def exact(losses, w):
    """(mean, standard error, skewness) in 60 digits."""
    with mpmath.workdps(60):
        losses, w = [mpmath.mpf(x) for x in losses], [mpmath.mpf(x) for x in w]
        rows = [(a, b) for a, b in zip(losses, w, strict=True) if b]
        n, total = len(rows), mpmath.fsum(b for _, b in rows)
        mean = mpmath.fsum(a * b for a, b in rows) / total
        u = [b * (a - mean) for a, b in rows]
        q, cubes = mpmath.fsum(x**2 for x in u), mpmath.fsum(x**3 for x in u)
        error = mpmath.sqrt(mpmath.mpf(n) / (n - 1) * q) / abs(total)
        skew = cubes / n / (q / n) ** 1.5 if q else mpmath.mpf(0)
        return mean, error, skew, q


class TestMoments:
    def test_as_numpy(self, rng):
        losses = rng.gamma(0.5, size=300)
        found = estimate(moments(losses))
        assert found.mean == pytest.approx(losses.mean(), rel=1e-15)
        error = losses.std(ddof=1) / math.sqrt(300)
        assert found.standard_error == pytest.approx(error, rel=1e-14)
        skew = ((losses - losses.mean()) ** 3).mean() / losses.std() ** 3
        assert found.skewness == pytest.approx(skew, rel=1e-13)
        assert found.n == 300

    @pytest.mark.parametrize("ratio", [0.0, 1.0, 1e2, 1e5, 1e7])
    @pytest.mark.parametrize("kind", ["none", "some", "signed", "wide"])
    def test_as_mpmath(self, rng, ratio, kind):
        """The errors that the header states, for means of `ratio` deviations."""
        n = 400
        losses = ratio + rng.exponential(size=n)
        w = {
            "none": np.ones(n),
            "some": rng.random(n) * (rng.random(n) < 0.7),
            "signed": rng.random(n) - 0.2,
            "wide": 10.0 ** rng.uniform(-6, 6, n),
        }[kind]
        mean, error, skew, q = exact(losses, w)
        found = estimate(moments(losses, w))
        size = np.abs(w * losses).sum() / abs(w.sum())
        assert abs(found.mean - mean) <= 2 * EPS * size
        r2 = float(mean**2 * (w**2).sum() / q)
        # The error of a root is half as large.
        assert abs(found.standard_error / error - 1) <= 4 * EPS * (1 + 2 * r2)
        bound = 128 * EPS * (1 + math.sqrt(r2)) ** 3
        if kind != "none":
            bound *= math.sqrt(n)
        assert abs(found.skewness - skew) <= bound
        if ratio == 1e5 and kind != "wide":
            assert abs(found.standard_error / error - 1) < 1e-4

    @pytest.mark.parametrize("loss", [0.0, 0.1, math.log(2), 1e-9, 700.3])
    def test_equal_losses(self, rng, loss):
        for n in (2, 3, 10, 1000, 12345):
            for w in (np.ones(n), rng.random(n), 10.0 ** rng.uniform(-9, 9, n)):
                found = estimate(moments(np.full(n, loss), w))
                assert found.standard_error == 0
                assert found.skewness == 0
                assert confidence_interval(*found) == (found.mean, found.mean)

    def test_terms_of_24_bits(self, rng):
        """Sums of rounded terms: what they do not tell from zero is zero."""
        losses = np.full(1000, 0.3)
        exact = moments(losses)
        rounded = exact._replace(w2l2=1000 * float(np.float32(0.3 * 0.3)))
        assert estimate(rounded, rounding=2.0**-24).standard_error == 0
        assert estimate(rounded).standard_error > 0

    def test_scale_of_weights(self, rng):
        losses, w = rng.gamma(0.3, size=50), rng.random(50)
        plain = estimate(moments(losses, w))
        for power in (-60, 60):
            assert estimate(moments(losses, np.ldexp(w, power))) == plain

    def test_rows_without_weight(self, rng):
        losses, w = rng.gamma(0.3, size=50), rng.random(50)
        more = estimate(moments([*losses, 7.0, 9.0], [*w, 0.0, 0.0]))
        assert more == estimate(moments(losses, w))

    def test_skewness_has_its_limit(self):
        for n in (2, 3, 10, 10**4):
            losses = np.zeros(n)
            losses[0] = 1e-3
            limit = (n - 2) / math.sqrt(n - 1)
            found = estimate(moments(losses)).skewness
            assert found <= limit
            assert found == pytest.approx(limit, rel=1e-12)

    @pytest.mark.parametrize(
        ("losses", "w"),
        [
            ([], None),
            ([1.0], None),
            ([1.0, 2.0], [1.0, 0.0]),
            ([1.0, 2.0], [1.0, -1.0]),
            ([1.0, math.inf], None),
            ([1.0, math.nan], None),
        ],
    )
    def test_undefined(self, losses, w):
        with np.errstate(invalid="ignore"):
            found = estimate(moments(losses, w))
        assert math.isnan(found.standard_error)
        assert all(map(math.isnan, confidence_interval(*found)))
        assert math.isnan(pvalue(*found))

    def test_infinite_mean(self):
        found = estimate(moments([1.0, math.inf, 2.0]))
        assert found.mean == math.inf

    def test_arrays_have_the_bits_of_floats(self, rng):
        groups = [
            moments(rng.gamma(0.2, size=n), rng.random(n) - 0.1 * (n % 2))
            for n in (1, 2, 3, 5, 17, 100, 1, 40, 33)
        ]
        together = estimate(stacked(groups))
        low, high = confidence_interval(*together, 0.9)
        p = pvalue(*together)
        for i, group in enumerate(groups):
            alone = estimate(group)
            ends = confidence_interval(*alone, 0.9)
            arrays, floats = (*together, low, high, p), (*alone, *ends, pvalue(*alone))
            for a, b in zip((x[i] for x in arrays), floats, strict=True):
                assert np.float64(a).tobytes() == np.float64(b).tobytes()

    def test_results_are_floats(self):
        found = estimate(moments([0.1, 0.7, 0.2]))
        for value in (*found, *confidence_interval(*found), pvalue(*found)):
            assert isinstance(value, float)


class TestClustered:
    def test_formula(self, rng):
        losses, w = rng.gamma(0.5, size=(30, 7)), rng.random((30, 7))
        sums, weights = (w * losses).sum(axis=1), w.sum(axis=1)
        centre = sums.sum() / weights.sum()
        u = sums - centre * weights
        error = math.sqrt(30 / 29 * (u @ u)) / weights.sum()
        found = clustered(sums, weights)
        assert found.mean == pytest.approx(centre, rel=1e-15)
        assert found.standard_error == pytest.approx(error, rel=1e-13)
        skew = (u**3).mean() / (u**2).mean() ** 1.5
        assert found.skewness == pytest.approx(skew, rel=1e-11)
        assert found.n == 30

    @pytest.mark.parametrize("weighted", [False, True])
    def test_groups_of_one_row(self, rng, weighted):
        losses = rng.gamma(0.5, size=200)
        w = rng.random(200) if weighted else np.ones(200)
        np.testing.assert_allclose(
            clustered(w * losses, w), estimate(moments(losses, w)), rtol=1e-12
        )

    def test_order(self, rng):
        sums, weights = rng.gamma(0.1, size=999), 10.0 ** rng.uniform(-9, 9, 999)
        found = clustered(sums, weights)
        for _ in range(5):
            order = rng.permutation(999)
            assert clustered(sums[order], weights[order]) == found

    def test_empty_groups_do_not_count(self, rng):
        sums, weights = rng.random(20), rng.random(20)
        more = clustered(np.append(sums, [0, 0]), np.append(weights, [0, 0]))
        assert more == clustered(sums, weights)
        # Weights that cancel are weights.
        assert clustered(np.append(sums, 0.3), np.append(weights, 0)).n == 21

    @pytest.mark.parametrize("power", [-400, 400])
    def test_range(self, rng, power):
        sums, weights = rng.random(20), rng.random(20)
        plain = clustered(sums, weights)
        scaled = clustered(np.ldexp(sums, power), weights)
        assert scaled.standard_error == math.ldexp(plain.standard_error, power)
        assert scaled.skewness == plain.skewness

    def test_equal_groups(self, rng):
        weights = 10.0 ** rng.uniform(-5, 5, 500)
        found = clustered(0.3 * weights, weights)
        assert found.standard_error == 0
        assert confidence_interval(*found) == (found.mean, found.mean)

    @pytest.mark.parametrize(
        ("sums", "weights"),
        [
            ([], []),
            ([1.0], [2.0]),
            ([1.0, 2.0], [1.0, -1.0]),
            ([math.inf, 1.0], [1.0, 1.0]),
            ([math.inf, -math.inf], [1.0, 1.0]),
            ([math.nan, 1.0], [1.0, 1.0]),
        ],
    )
    def test_undefined(self, sums, weights):
        found = clustered(np.array(sums), np.array(weights))
        assert math.isnan(found.standard_error)
        assert all(map(math.isnan, confidence_interval(*found)))


class TestInterval:
    def test_normal(self):
        found = confidence_interval(0.3, 0.1, 2.0, 50, 0.95, "normal")
        assert isinstance(found, ConfidenceInterval)
        assert found._fields == ("low", "high")
        z = float(mpmath.sqrt(2) * mpmath.erfinv(0.95))
        assert found.low == pytest.approx(0.3 - 0.1 * z, rel=1e-14)
        assert found.high == pytest.approx(0.3 + 0.1 * z, rel=1e-14)

    @pytest.mark.parametrize("skew", [0.0, 1e-12, -0.3, 5.0, 40.0])
    @pytest.mark.parametrize("n", [2, 30, 10**5])
    @pytest.mark.parametrize("level", [0.5, 0.95, 1 - 1e-12])
    def test_as_the_paper(self, skew, n, level):
        """Hall's formula with a = 1/3 and b = 1/6, in 60 digits."""
        with mpmath.workdps(60):
            z = mpmath.sqrt(2) * mpmath.erfinv(mpmath.mpf(level))
            root = mpmath.sqrt(n)
            a, b = mpmath.mpf(1) / 3, mpmath.mpf(1) / 6
            k = mpmath.mpf(skew)

            def inverse(x):
                if not k:
                    return x
                v = 1 + 3 * a * k * (x / root - b * k / n)
                cube = mpmath.sign(v) * abs(v) ** (mpmath.mpf(1) / 3)
                return root * (cube - 1) / (a * k)

            wanted = [-inverse(z), -inverse(-z)]
        found = confidence_interval(0.0, 1.0, skew, n, level)
        for one, other in zip(found, wanted, strict=True):
            assert abs(one - other) <= 1e-12 * (1 + abs(other))

    @given(ESTIMATES, LEVELS, LEVELS)
    def test_wider_at_a_higher_level(self, one, level, other):
        level, other = sorted((level, other))
        low, high = confidence_interval(*one, level)
        wide_low, wide_high = confidence_interval(*one, other)
        slack = 1e-12 * (1 + abs(wide_low) + abs(wide_high))
        assert low <= high
        assert wide_low <= low + slack
        assert high <= wide_high + slack

    @given(ESTIMATES, st.floats(0.14, 0.9999), st.booleans())
    def test_contains_the_mean(self, one, level, extreme):
        limit = (one.n - 2) / math.sqrt(one.n - 1)
        skew = limit if extreme else min(abs(one.skewness), limit)
        for sign in (1, -1):
            low, high = confidence_interval(*one._replace(skewness=sign * skew), level)
            assert low < one.mean < high

    @given(ESTIMATES)
    def test_mirrored(self, one):
        low, high = confidence_interval(*one)
        mirror = one._replace(mean=-one.mean, skewness=-one.skewness)
        assert confidence_interval(*mirror) == (-high, -low)
        assert pvalue(*mirror) == pvalue(*one)

    @given(st.lists(st.floats(-20, 20), min_size=2, max_size=30), ESTIMATES)
    def test_transformation_is_monotone(self, t, one):
        _, _, skew, n = one
        bend = _intervals._bend(np.float64(skew), np.float64(n))
        t = np.sort(np.array(t))
        bent = _intervals._bent(t, bend)
        slack = 1e-12 * (1 + np.abs(bent)).max()
        assert (np.diff(bent) >= -slack).all()

    @given(st.floats(-8, 8), ESTIMATES)
    def test_inverse(self, x, one):
        _, _, skew, n = one
        bend = _intervals._bend(np.float64(skew), np.float64(n))
        there = _intervals._bent(_intervals._unbent(x, bend), bend)
        assert there == pytest.approx(x, abs=1e-12 * (1 + abs(x) + abs(bend[1])))

    @given(ESTIMATES, LEVELS)
    def test_pvalue_agrees_with_the_interval(self, one, level):
        p = pvalue(*one)
        assume(abs(p - (1 - level)) > 1e-9)
        low, high = confidence_interval(*one, level)
        assert (p < 1 - level) == (not low <= 0 <= high)

    def test_certain(self):
        assert confidence_interval(0.3, 0.0, 0.0, 5.0) == (0.3, 0.3)
        assert pvalue(0.3, 0.0, 0.0, 5.0) == 0
        assert pvalue(-0.3, 0.0, 0.0, 5.0) == 0
        assert pvalue(0.0, 0.0, 0.0, 5.0) == 1
        assert math.isnan(pvalue(math.nan, 0.0, 0.0, 5.0))

    @pytest.mark.parametrize("level", [0, 1, -0.5, 1.5, 95, math.nan, math.inf])
    def test_bad_level(self, level):
        with pytest.raises(ValueError, match="confidence_level must be a number in"):
            confidence_interval(0.3, 0.1, 0.0, 5.0, level)

    @pytest.mark.parametrize("level", [None, "0.95", True, [0.95]])
    def test_no_level(self, level):
        with pytest.raises(TypeError, match="confidence_level must be a number in"):
            confidence_interval(0.3, 0.1, 0.0, 5.0, level)

    @pytest.mark.parametrize("method", [None, "Hall", "t", ["hall"], 1])
    def test_bad_method(self, method):
        with pytest.raises(ValueError, match="method must be 'hall' or 'normal', got"):
            confidence_interval(0.3, 0.1, 0.0, 5.0, 0.95, method)

    def test_level_of_any_type(self):
        wanted = confidence_interval(0.3, 0.1, 0.0, 5.0, 0.5)
        for level in (np.float64(0.5), np.float32(0.5)):
            assert confidence_interval(0.3, 0.1, 0.0, 5.0, level) == wanted


class TestFew:
    @pytest.mark.parametrize(
        ("events", "groups", "words"),
        [
            (19, None, "only 19 rows of the rarest class. With fewer than 20"),
            (1, None, "only 1 row of the rarest class"),
            (0, 500, "only 0 rows"),
            (None, 29, "only 29 groups. With fewer than 30"),
            (500, 1, "only 1 group\\."),
        ],
    )
    def test_warns(self, events, groups, words):
        with pytest.warns(UserWarning, match=words) as caught:
            warn_of_few(events, groups)
        assert caught[0].filename == __file__

    def test_enough(self):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warn_of_few()
            warn_of_few(20, 30)


class TestCoverage:
    """How often intervals of 95 % contain the mean; `bench/coverage.py` has more."""

    REPEATS = 2000  # a share of 0.95 has a standard error of 0.005

    def share(self, estimates, truth, method="hall"):
        low, high = confidence_interval(*estimates, 0.95, method)
        return np.mean((low <= truth) & (truth <= high))

    @pytest.mark.parametrize("n", [1000, 3000])
    def test_few_events(self, n):
        """Events of 2 %, whose probabilities are too sharp."""
        rng = np.random.default_rng(1)

        def row_losses(shape):
            z = rng.normal(-4.5, 1.0, shape)
            y = rng.random(shape) * (1 + np.exp(-z)) < 1
            sharper = 1.3 * z + 0.2
            return np.logaddexp(0, np.where(y, -sharper, sharper)), y

        truth = np.mean([row_losses(10**6)[0].mean() for _ in range(8)])
        found, events = [], 0
        for _ in range(self.REPEATS):
            losses, y = row_losses(n)
            events += y.sum() / n / self.REPEATS
            powers = [losses, losses**2, losses**3]
            first, second, third = (x.sum() for x in powers)
            found.append(
                (n, n, first, n, first, second, n, first, second, third),
            )
        assert 0.015 < events < 0.025
        assert 0.93 <= self.share(estimate(stacked(found)), truth) <= 0.97

    def test_clusters(self):
        rng = np.random.default_rng(2)

        def cluster_sums(n_groups):
            z = rng.normal(-2, 1, (n_groups, 20))
            odds = z + rng.normal(0, 1.0, (n_groups, 1))
            y = rng.random(z.shape) * (1 + np.exp(-odds)) < 1
            losses = np.logaddexp(0, np.where(y, -z, z))
            other = 0.9 * z - 0.1
            return losses, losses - np.logaddexp(0, np.where(y, -other, other))

        truths = [x.mean() for x in cluster_sums(300_000)]
        size = np.full(300, 20.0)
        draws = [cluster_sums(300) for _ in range(self.REPEATS // 2)]
        for which, truth in enumerate(truths):
            groups = [clustered(draw[which].sum(axis=1), size) for draw in draws]
            together = Estimate(*map(np.array, zip(*groups, strict=True)))
            assert 0.93 <= self.share(together, truth) <= 0.97
            naive = [moments(draw[which].ravel()) for draw in draws]
            assert self.share(estimate(stacked(naive)), truth) < 0.92
