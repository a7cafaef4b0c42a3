"""Sums of many groups, which move while they grow."""

import numpy as np
import pytest

from fastlogloss import GroupedLogLoss, LogLossAccumulator, log_loss_by_group


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
