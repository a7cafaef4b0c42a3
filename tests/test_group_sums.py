"""Sums of many groups, which move while they grow."""

import contextlib
import threading
from pathlib import Path

import numpy as np
import pytest

from fastlogloss import GroupedLogLoss, LogLossAccumulator, log_loss_by_group
from fastlogloss._group_sums import GroupSums


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
