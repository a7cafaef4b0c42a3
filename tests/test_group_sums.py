"""Sums of many groups, which move while they grow."""

import contextlib
import threading
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastlogloss import GroupedLogLoss, LogLossAccumulator, log_loss_by_group
from fastlogloss._exact import SUMS, from_float, to_float
from fastlogloss._group_sums import GroupSums
from fastlogloss._intervals import Moments
from fastlogloss._statistics import Sums


@pytest.mark.parametrize("weighted", [False, True])
def test_many_groups_in_batches(weighted):
    # More than fit where they began: cells move while they grow.
    rng = np.random.default_rng(0)
    n = 120_000
    groups = np.concatenate([np.arange(n), rng.integers(n, size=n)])
    p = rng.random(2 * n) ** 3
    y = rng.random(2 * n) < p
    w = rng.random(2 * n) ** 2 if weighted else None
    whole = log_loss_by_group(y, p, groups, sample_weight=w)
    parts = GroupedLogLoss()
    for rows in np.array_split(rng.permutation(2 * n), 7):
        parts.update(y[rows], p[rows], groups[rows], None if w is None else w[rows])
    assert parts == whole
    total = LogLossAccumulator().update(y, p, w)
    assert whole.n_samples.sum() == 2 * n
    assert whole.total().loss == total.loss
    assert whole[5] == LogLossAccumulator().update(
        y[groups == 5], p[groups == 5], None if w is None else w[groups == 5]
    )
    np.testing.assert_array_equal(whole.loss[:9], [whole[i].loss for i in range(9)])


@pytest.mark.parametrize("exponent", [-250, -60, 60, 250])
def test_weights_far_from_one(exponent):
    p, w = np.full(5, 0.25), np.array([1, 2, 0, 3, 0]) * 2.0**exponent
    found = log_loss_by_group(np.ones(5), p, np.zeros(5, int), sample_weight=w)
    assert found[0] == LogLossAccumulator().update(np.ones(5), p, w)


SHARED = """
import sys
sys.path[:0] = [{tests!r}]
import test_group_sums
test_group_sums.share()
"""


def share():
    """Threads that use the same groups, whose memory grows."""
    rng = np.random.default_rng(0)
    n = 65536
    y, p, keys = rng.integers(0, 2, n), rng.random(n), np.arange(n)
    found = GroupedLogLoss().update(y, p, keys)
    done = threading.Event()

    def work(call):
        while not done.is_set():
            with contextlib.suppress(Exception):  # sums and messages may be wrong
                call()

    threads = [
        threading.Thread(target=work, args=(call,))
        for call in (lambda: found.update(y, p, keys), lambda: found.copy().loss)
    ]
    for thread in threads:
        thread.start()
    for i in range(1, 16):
        with contextlib.suppress(Exception):
            found.update(y, p, keys + i * 20_000)
    done.set()
    for thread in threads:
        thread.join()


def test_threads_that_share_groups(run_python):
    """What one should not do: nothing is written where the memory was before."""
    run_python("-c", SHARED.format(tests=str(Path(__file__).parent)))


def test_memory_grows_in_place(monkeypatch):
    grown = []
    grow = GroupSums._has_grown
    monkeypatch.setattr(
        GroupSums,
        "_has_grown",
        lambda self, n: grown.append(grow(self, n)) or grown[-1],
    )
    n = 131_072
    y, p = np.zeros(n, int), np.full(n, 0.25)
    found = GroupedLogLoss()
    for i in range(3):
        found.update(y, p, np.arange(n) + i * n)
    assert len(grown) > 3
    assert all(grown)


# Sums that engines make: of any size, with any sign, of two classes or more.
FLOATS = st.floats(-(2.0**1000), 2.0**1000) | st.sampled_from(
    [0.0, -0.0, 5e-324, -5e-324, 2.0**-1073, 8e307, -8e307, 2.0**-1022, 1.0, 2**53]
)


@st.composite
def sums_of_engines(draw):
    n, n_classes = draw(st.integers(0, 6)), draw(st.integers(2, 4))

    def floats():
        return np.array(draw(st.lists(FLOATS, min_size=n, max_size=n)), float)

    def counts(most):
        some = st.lists(st.integers(0, most), min_size=n, max_size=n)
        return np.array(draw(some), np.int64)

    rows = counts(2**40)
    moments = [floats() for _ in SUMS]
    classes = [floats() for _ in range(n_classes)]
    if n_classes == 2:  # the first of two is the rest
        classes[0] = np.array(
            [
                float(Fraction(w) - Fraction(x))
                for w, x in zip(moments[0], classes[1], strict=True)
            ]
        )
    of_rows = [counts(9) for _ in range(3)]
    moments = Moments(counts(2**40).astype(float), *moments)
    return Sums(rows, moments, *of_rows, classes, exact=False)


def same_floats(a, b):
    """Of sums, but for the sign of a zero."""
    flat = (
        [x.n_samples, *x.moments, x.infinite, x.minus_infinite, x.beyond, *x.classes]
        for x in (a, b)
    )
    return all(map(np.array_equal, *flat))


@given(sums_of_engines())
def test_floats_and_back(sums):
    n = len(sums.n_samples)
    found = GroupSums.of_floats(sums, np.arange(n), n)
    assert not found.exact
    assert found.n_total == sums.n_samples.sum()
    assert same_floats(found.floats(np.arange(n)), sums)
    # Groups come in any order, and a state is what accumulators have.
    order = np.arange(n)[::-1]
    assert same_floats(
        GroupSums.of_floats(sums, order, n).floats(order), found.floats(np.arange(n))
    )
    for i in range(n):
        state = found.state(i)
        assert not state.exact
        assert list(map(to_float, state.sums)) == [x[i] for x in sums.moments[1:]]
    assert found.equal(found.copy(), np.arange(n))


@given(sums_of_engines(), st.data())
def test_floats_of_a_key_add_up(sums, data):
    """As integers do: exactly, whatever their size."""
    n = len(sums.n_samples)
    numbers = np.array(
        data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), np.int64
    )
    found = GroupSums.of_floats(sums, numbers, 3)
    for group in range(3):
        rows = np.flatnonzero(numbers == group)
        state = found.state(group)
        assert state.n_rows == sums.n_samples[rows].sum()
        for total, x in zip(state.sums, sums.moments[1:], strict=True):
            assert total == sum(from_float(float(x[i])) for i in rows)
    # Merged from parts they are the same.
    parts = GroupSums(len(sums.classes))
    parts.grow(3)
    for i in range(n):
        one = GroupSums.of_floats(take(sums, [i]), np.array([0]), 1)
        parts.merge(one, numbers[[i]])
    assert n == 0 or parts.equal(found, np.arange(3))


def take(sums, rows):
    return Sums(
        sums.n_samples[rows],
        Moments(*(x[rows] for x in sums.moments)),
        *(x[rows] for x in (sums.infinite, sums.minus_infinite, sums.beyond)),
        [x[rows] for x in sums.classes],
        sums.exact,
    )
