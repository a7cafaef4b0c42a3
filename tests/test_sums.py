"""Sums whatever the magnitude of their terms, against fractions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fastlogloss import LogLoss, log_loss, log_loss_gradient
from fastlogloss._engine import sum_of_weights
from fastlogloss._sums import Sum, sum_of_products

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
EPS = Fraction(2) ** -52


def fraction(total):
    return Fraction(total.value) * Fraction(2) ** total.exponent


@given(st.lists(st.tuples(FLOATS, FLOATS, st.integers(-1000, 10)), max_size=9))
def test_products(rows):
    x, w, shift = (
        (list(column) for column in zip(*rows, strict=True)) if rows else [[]] * 3
    )
    terms = [
        Fraction(a) * Fraction(b) * Fraction(2) ** k
        for a, b, k in zip(x, w, shift, strict=True)
    ]
    size = sum(map(abs, terms))
    found = sum_of_products(np.array(x), np.array(w), np.array(shift, np.int32))
    assert abs(fraction(found) - sum(terms)) <= 2 * EPS * size
    whole = sum_of_products(np.array(w))
    assert abs(fraction(whole) - sum(map(Fraction, w))) <= EPS * sum(
        map(abs, map(Fraction, w))
    )
    both = found + whole
    exact = fraction(found) + fraction(whole)
    size = abs(fraction(found)) + abs(fraction(whole))
    assert abs(fraction(both) - exact) <= EPS * size


@given(FLOATS, FLOATS.filter(bool), st.integers(-2000, 2000))
def test_quotient_and_product(a, b, exponent):
    exact = Fraction(a) * Fraction(2) ** exponent / Fraction(b)
    found = Sum(a, exponent).over(Sum(b))
    if Fraction(2) ** -1022 <= abs(exact) <= Fraction(2) ** 1023:
        assert abs(Fraction(found) - exact) <= EPS * abs(exact)
    exact *= Fraction(b) ** 2
    assert abs(fraction(Sum(a, exponent).times(b)) - exact) <= EPS * abs(exact)


def test_plain_numbers_are_what_they_were():
    assert Sum(1.0).over(Sum(3.0)) == 1 / 3
    assert Sum(0.1) + Sum(0.2) == Sum(0.1 + 0.2)
    assert sum_of_products(np.array([])) == Sum(0.0)
    assert Sum(-1.0).over(Sum(0.0)) == -math.inf
    assert math.isnan(Sum(0.0).over(Sum(0.0)))


def test_infinite():
    infinite = sum_of_products(np.array([math.inf, 1.0]), np.array([0.5, 2.0]))
    assert float(infinite) == math.inf
    assert float(infinite + Sum(-1e308)) == math.inf
    assert infinite.over(Sum(2.0)) == math.inf
    silent = sum_of_products(np.array([math.inf, 3.0]), np.array([0.0, 2.0]))
    assert silent == Sum(6.0)
    assert math.isnan(float(infinite + Sum(-math.inf)))
    assert float(Sum(1e308) + Sum(1e308)) == math.inf
    assert (Sum(1e308) + Sum(1e308)).over(Sum(2.0)) == 1e308


class TestCancellation:
    """What is left of large numbers that cancel."""

    def test_sum_over_chunks(self):
        w = np.zeros(40000)
        w[[0, 1, 30000]] = 1e16, 3.5, -1e16
        assert sum_of_weights(w) == Sum(3.5)

    def test_at_both_ends(self):
        w = np.array([1e308, 1e308, -1e308, -1e308, 1e-291])
        assert sum_of_weights(w) == Sum(1e-291)
        assert LogLoss([0, 1, 0, 1, 0], sample_weight=w)([0.5] * 5) == math.log(2)

    @given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=300), st.integers(0, 60))
    def test_weights_of_both_signs(self, some, power):
        """Their sum is exact but for a rounding, however little is left of it."""
        w = np.array([*some, *(-x * 2.0**power for x in some), 1.5])
        w = np.concatenate([w, -w[len(some) : -1]])
        exact = sum(map(Fraction, w.tolist()))
        total = fraction(sum_of_weights(w))
        assert abs(total - exact) <= EPS * abs(exact)
        assume(exact != 0)
        y = np.arange(len(w)) % 2
        found = log_loss_gradient(y, np.full(len(w), 0.5), sample_weight=w)[1]
        share = Fraction(w[-1]) / exact
        assert float(found[-1]) == pytest.approx(
            float(share) * 2 * (-1) ** int(y[-1]), rel=1e-14, abs=1e-300
        )

    @pytest.mark.parametrize("spec", [{}, {"label_smoothing": 0.25}])
    def test_mean_of_equal_losses(self, spec):
        y, p = np.array([0, 1, 0, 1, 0]), np.full(5, 0.5)
        w = np.array([1e16, 1e16, -1e16, -1e16, 3.5])
        loss = LogLoss(y, sample_weight=w, **spec)
        gradient = log_loss_gradient(y, p, sample_weight=w, **spec)
        expected = pytest.approx(math.log(2), rel=2e-15)
        assert log_loss(y, p, sample_weight=w, **spec) == expected
        assert loss(p) == gradient[0] == expected
        assert loss.many([p, p]) == expected

    def test_derivatives(self):
        n = 256
        y, p, w = np.arange(n) % 2, np.full(n, 0.3), np.zeros(n)
        w[[0, 1, 64]] = 1, -1, 1e-291
        loss, gradient = log_loss_gradient(y, p, sample_weight=w)
        assert loss == pytest.approx(
            (math.log(0.3) - math.log(0.7)) / 1e-291, rel=1e-15
        )
        assert np.isfinite(gradient).all()

    def test_sum_of_zero(self):
        """As with small weights, where scikit-learn's sums overflow."""
        y, p = np.ones(200), np.linspace(0.1, 0.9, 200)
        w = np.repeat([1e307, -1e307], 100)
        found = log_loss(y, p, sample_weight=w, normalize=False, labels=[0, 1])
        small = log_loss(y, p, sample_weight=np.sign(w), normalize=False, labels=[0, 1])
        assert found == pytest.approx(1e307 * small, rel=1e-12)
        with pytest.raises(ZeroDivisionError, match="sum to zero"):
            log_loss(y, p, sample_weight=w, labels=[0, 1])
