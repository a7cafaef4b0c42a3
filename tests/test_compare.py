"""compare_log_loss and LogLossComparison: paired differences, and their intervals."""

import pickle
import warnings

import numpy as np
import pytest

from fastlogloss import (
    LogLoss,
    LogLossAccumulator,
    LogLossComparison,
    compare_log_loss,
    sample_log_loss,
)


def random_rows(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    y = (rng.random(n) < p).astype(int)
    a = np.clip(p + rng.normal(0, 0.02, n), 0.001, 0.999)
    b = np.clip(p + rng.normal(0, 0.05, n), 0.001, 0.999)
    return y, a, b, rng.integers(0, 4, n) / 3, rng.integers(0, 80, n)


class TestDifference:
    @pytest.mark.parametrize("weighted", [False, True])
    def test_rows(self, weighted):
        y, a, b, w, _ = random_rows()
        w = w if weighted else np.ones(len(y))
        found = compare_log_loss(y, a, b, sample_weight=w if weighted else None)
        losses_a, losses_b = sample_log_loss(y, a), sample_log_loss(y, b)
        difference = losses_a - losses_b
        mean, n = (w * difference).sum() / w.sum(), (w > 0).sum()
        squares = (w**2 * (difference - mean) ** 2).sum()
        assert found.difference == pytest.approx(mean, rel=1e-12)
        assert found.standard_error == pytest.approx(
            np.sqrt(n / (n - 1) * squares) / w.sum(), rel=1e-9
        )
        weights = w if weighted else None
        for loss, scores in ((found.loss_a, a), (found.loss_b, b)):
            assert loss == LogLossAccumulator().update(y, scores, weights).loss
        assert found.n_samples == len(y)
        assert found.n_groups is None

    def test_groups(self):
        y, a, b, w, keys = random_rows()
        found = compare_log_loss(y, a, b, sample_weight=w, groups=keys)
        difference = sample_log_loss(y, a) - sample_log_loss(y, b)
        mean = (w * difference).sum() / w.sum()
        u = np.bincount(keys, w * (difference - mean))
        error = np.sqrt(80 / 79 * (u**2).sum()) / w.sum()
        assert found.standard_error == pytest.approx(error, rel=1e-9)
        assert found.n_groups == 80
        assert "n_groups=80" in repr(found)

    def test_the_interval_and_the_p_value_agree(self):
        y, a, b, _, _ = random_rows()
        found = compare_log_loss(y, a, b, confidence_level=0.9)
        assert found.confidence_interval() == found.confidence_interval(0.9)
        for level in (0.5, 0.9, 0.99, 0.9999, 1 - 1e-9):
            low, high = found.confidence_interval(level)
            assert low < found.difference < high
            assert (found.pvalue < 1 - level) == (not low <= 0 <= high)

    def test_it_is_narrower_than_unpaired(self):
        y, a, b, _, _ = random_rows()
        found = compare_log_loss(y, a, b)
        errors = [LogLossAccumulator().update(y, p).standard_error for p in (a, b)]
        assert found.standard_error < 0.5 * np.hypot(*errors)

    def test_the_same_model(self):
        y, a, _, _, keys = random_rows()
        for groups in (None, keys):
            found = compare_log_loss(y, a, a, groups=groups)
            assert found.difference == found.standard_error == 0
            assert found.pvalue == 1
            assert found.confidence_interval() == (0, 0)

    def test_infinite_losses(self):
        y, a, b, _, keys = random_rows()
        a[y == 1] = np.maximum(a[y == 1], 0)
        a[np.flatnonzero(y)[0]] = 0
        for groups in (None, keys):
            found = compare_log_loss(y, a, b, groups=groups, eps=0)
            assert found.difference == np.inf
            assert np.isnan([found.standard_error, found.pvalue]).all()

    def test_several_classes_and_logits(self):
        rng = np.random.default_rng(1)
        y, a, b = rng.integers(0, 3, 900), *rng.normal(size=(2, 900, 3))
        found = compare_log_loss(y, a, b, classes=[0, 1, 2], from_logits=True)
        rows = [sample_log_loss(y, z, from_logits=True) for z in (a, b)]
        assert found.difference == pytest.approx((rows[0] - rows[1]).mean(), rel=1e-12)


class TestStates:
    @pytest.mark.parametrize("grouped", [False, True])
    def test_batches(self, grouped):
        y, a, b, w, keys = random_rows()
        keys = keys if grouped else None
        whole = compare_log_loss(y, a, b, sample_weight=w, groups=keys)
        order = np.random.default_rng(0).permutation(len(y))
        merged, updated = LogLossComparison(), LogLossComparison()
        for rows in np.array_split(order, 7):
            part = y[rows], a[rows], b[rows], w[rows], keys[rows] if grouped else None
            merged.merge(LogLossComparison().update(*part))
            updated.update(*part)
        assert merged == updated == whole
        assert merged.pvalue == whole.pvalue
        for other in (pickle.loads(pickle.dumps(whole)), whole.copy()):
            assert other == whole
            other.merge(whole)
            assert other != whole
            assert other.n_samples == 2 * whole.n_samples

    def test_prepared(self):
        y, a, b, w, keys = random_rows()
        prepared = LogLoss(y, sample_weight=w)
        assert prepared.compare(a, b) == compare_log_loss(y, a, b, sample_weight=w)
        assert prepared.compare(a, b, groups=keys) == compare_log_loss(
            y, a, b, sample_weight=w, groups=keys
        )
        words = LogLoss(np.array(["x", "y"])[y], classes=["x", "y"])
        assert words.compare(a, b).pvalue == compare_log_loss(y, a, b).pvalue

    def test_nothing(self):
        empty = LogLossComparison()
        assert empty.n_samples == 0
        assert np.isnan([empty.loss_a, empty.difference, empty.pvalue]).all()
        assert empty.merge(LogLossComparison()) == empty


class TestWarnings:
    def test_few_events(self):
        y = np.zeros(1000, int)
        y[:5] = 1
        a, b = np.full(1000, 0.01), np.full(1000, 0.02)
        with pytest.warns(UserWarning, match="only 5 rows of the rarest class"):
            compare_log_loss(y, a, b)
        with pytest.warns(UserWarning, match="only 5 rows"):
            LogLoss(y).compare(a, b)

    def test_few_groups(self):
        y, a, b, _, keys = random_rows()
        with pytest.warns(UserWarning, match="only 8 groups"):
            compare_log_loss(y, a, b, groups=keys % 8)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compare_log_loss(y, a, b, groups=keys)


class TestBadInput:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"score_a": [0.5, 1.5]}, "score_a must be probabilities.*row 1"),
            ({"score_b": [0.5, np.nan]}, "score_b must be probabilities.*row 1"),
            ({"score_b": [0.5]}, "score_b"),
            ({"y_true": [0, 2]}, "y_true holds the label 2 in row 1"),
            ({"sample_weight": [1, np.inf]}, "sample_weight.*row 1"),
            ({"groups": [1]}, "groups"),
        ],
    )
    def test_update(self, change, words):
        found = LogLossComparison().update([0, 1], [0.2, 0.7], [0.3, 0.8])
        before = found.copy()
        rows = {"y_true": [0, 1], "score_a": [0.5, 0.5], "score_b": [0.5, 0.5]}
        with pytest.raises(ValueError, match=words):
            LogLossComparison().update(**rows | change)
        if "groups" not in change:
            with pytest.raises(ValueError, match=words):
                found.update(**rows | change)
            assert found == before

    def test_groups_or_none(self):
        found = LogLossComparison().update([0, 1], [0.2, 0.7], [0.3, 0.8])
        with pytest.raises(ValueError, match="groups, or none"):
            found.update([0, 1], [0.2, 0.7], [0.3, 0.8], groups=[1, 2])
        other = LogLossComparison().update(
            [0, 1], [0.2, 0.7], [0.3, 0.8], groups=[1, 2]
        )
        with pytest.raises(ValueError, match="groups"):
            found.merge(other)
        with pytest.raises(ValueError, match="eps"):
            found.merge(LogLossComparison(eps=0.1))
        with pytest.raises(TypeError, match="LogLossComparison"):
            found.merge(LogLossAccumulator())

    def test_a_first_batch_that_is_refused(self):
        """Leaves it open whether there are groups."""
        found = LogLossComparison()
        with pytest.raises(TypeError, match="hashable"):
            found.update([0, 1], [0.2, 0.7], [0.3, 0.8], groups=[[1], [2]])
        assert found == LogLossComparison()
        assert found.n_groups is None
        assert found.update([0, 1], [0.2, 0.7], [0.3, 0.8]).n_samples == 2

    def test_levels(self):
        with pytest.raises(ValueError, match="confidence_level"):
            LogLossComparison(confidence_level=1)
        with pytest.raises(ValueError, match="method"):
            LogLossComparison().confidence_interval(method="t")
