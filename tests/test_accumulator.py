"""LogLossAccumulator: any way to the same rows gives the same state."""

import copy
import gc
import json
import pickle
import tracemalloc

import mpmath
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastlogloss
from fastlogloss import LogLoss, LogLossAccumulator, d2_log_loss_score, log_loss

EPS = 2.0**-52


def random_rows(seed, n, n_classes=2, weighted=True):
    rng = np.random.default_rng([seed, n, n_classes])
    y = rng.integers(n_classes, size=n)
    if n_classes == 2:
        p = rng.random(n) ** rng.integers(1, 9, n)
        p[rng.random(n) < 0.1] = 0.0
    else:
        p = rng.random((n, n_classes)) ** 3 + 1e-9
        p /= p.sum(axis=1, keepdims=True)
    w = rng.random(n) * 10.0 ** rng.integers(-12, 12, n)
    w[rng.random(n) < 0.1] = 0.0
    w[rng.random(n) < 0.1] *= -1
    return y, p, w if weighted else None


def some(rows, arrays):
    return [a if a is None else a[rows] for a in arrays]


class TestOneState:
    """Splits, orders and trees of merges."""

    @given(st.integers(0, 10**6), st.integers(1, 300), st.booleans(), st.integers(2, 4))
    @settings(max_examples=60, deadline=None)
    def test_splits(self, seed, n, weighted, n_classes):
        arrays = random_rows(seed, n, n_classes, weighted)
        classes = range(n_classes)
        whole = LogLossAccumulator(classes).update(*arrays)
        rng = np.random.default_rng(seed)
        order = rng.permutation(n)
        cuts = np.sort(rng.integers(0, n + 1, rng.integers(0, 12)))
        parts = [rows for rows in np.split(order, cuts) if len(rows)]
        one_by_one = LogLossAccumulator(classes)
        for rows in parts:
            one_by_one.update(*some(rows, arrays))
        assert one_by_one == whole
        tree = [LogLossAccumulator(classes).update(*some(r, arrays)) for r in parts]
        while len(tree) > 1:
            i = int(rng.integers(len(tree) - 1))
            tree[i : i + 2] = [tree[i] + tree[i + 1]]
        assert tree[0] == whole
        for rows in parts[::-1]:
            one_by_one.revert(*some(rows, arrays))
        assert one_by_one == LogLossAccumulator(classes)

    def test_single_rows(self):
        arrays = random_rows(3, 100)
        found = LogLossAccumulator()
        for i in range(100):
            found.update(*some([i], arrays))
        assert found == LogLossAccumulator().update(*arrays)

    def test_sum(self):
        arrays = random_rows(4, 90)
        parts = [
            LogLossAccumulator().update(*some(slice(i, i + 30), arrays))
            for i in (0, 30, 60)
        ]
        assert sum(parts, LogLossAccumulator()) == LogLossAccumulator().update(*arrays)
        assert (parts[0] + parts[1]) - parts[1] == parts[0]

    def test_threads(self, monkeypatch):
        y, p, w = random_rows(5, 300_000)
        found = {}
        for n in ("1", "2", "3"):
            monkeypatch.setenv("OMP_NUM_THREADS", n)
            found[n] = LogLossAccumulator().update(y, p, w).to_dict()
        assert found["1"] == found["2"] == found["3"]

    def test_processes(self, run_python):
        code = """
            import json, numpy as np, fastlogloss
            rng = np.random.default_rng(0)
            y, p, w = rng.integers(0, 2, 9999), rng.random(9999), rng.random(9999)
            found = fastlogloss.LogLossAccumulator().update(y, p, w)
            print(json.dumps(found.to_dict()))
        """
        rng = np.random.default_rng(0)
        y, p, w = rng.integers(0, 2, 9999), rng.random(9999), rng.random(9999)
        lines = "\n".join(line.strip() for line in code.strip().splitlines())
        state = json.loads(run_python("-c", lines).stdout)
        assert LogLossAccumulator.from_dict(state) == LogLossAccumulator().update(
            y, p, w
        )

    def test_forms_of_the_same_numbers(self):
        y, p, w = random_rows(6, 500)
        p = p.astype(np.float32)
        wide = p.astype(np.float64)
        found = LogLossAccumulator().update(y, p, w)
        for other in (
            (y, wide, w),
            (y.tolist(), wide.tolist(), w.tolist()),
            (pd.Series(y), pd.Series(p), pd.Series(w)),
            (y.astype(np.uint8), p.astype(">f4"), w),
            (y[::-1][::-1], np.repeat(p, 2)[::2], w),
            (y.astype(str), wide, w),
        ):
            classes = ["0", "1"] if other[0] is not y and _is_text(other[0]) else (0, 1)
            one = LogLossAccumulator(classes).update(*other)
            assert one.to_dict()["sums"] == found.to_dict()["sums"]


def _is_text(y):
    return isinstance(y, np.ndarray) and y.dtype.kind == "U"


class TestStatistics:
    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_it_agrees_with_log_loss(self, n_classes, weighted):
        y, p, w = random_rows(7, 2000, n_classes, weighted)
        w = None if w is None else np.abs(w)
        found = LogLossAccumulator(range(n_classes)).update(y, p, w)
        assert found.loss == pytest.approx(log_loss(y, p, sample_weight=w), rel=2e-15)
        d2 = d2_log_loss_score(y, p, sample_weight=w)
        assert found.d2 == pytest.approx(d2, rel=4e-15)
        assert found.normalized_entropy == pytest.approx(1 - d2, rel=4e-15)
        assert found.loss / found.null_loss == found.normalized_entropy
        ones = np.ones(2000) if w is None else w
        for label, weight in found.class_weights.items():
            assert weight == pytest.approx(ones[y == label].sum(), rel=1e-13)
        assert found.n_samples == 2000
        assert found.exact is True

    @pytest.mark.parametrize(
        "options",
        [
            {"from_logits": True},
            {"soft_targets": True},
            {"label_smoothing": 0.1},
            {"from_logits": True, "soft_targets": True, "label_smoothing": 0.2},
        ],
    )
    @pytest.mark.parametrize("n_classes", [2, 4])
    def test_options(self, options, n_classes):
        rng = np.random.default_rng(n_classes)
        shape = 400 if n_classes == 2 else (400, n_classes)
        y, p = rng.integers(n_classes, size=400), rng.random(shape)
        if "soft_targets" in options:
            y = rng.random(shape)
        if n_classes > 2:
            p /= p.sum(axis=1, keepdims=True)
            y = y / y.sum(axis=1, keepdims=True) if y.ndim == 2 else y
        w = rng.random(400)
        labels = list(range(n_classes))
        found = LogLossAccumulator(labels, **options).update(y, p, w)
        kwargs = {**options, "sample_weight": w, "labels": labels}
        assert found.loss == pytest.approx(log_loss(y, p, **kwargs), rel=2e-15)
        assert found.d2 == pytest.approx(d2_log_loss_score(y, p, **kwargs), rel=1e-13)

    def test_accuracy(self):
        """Against mpmath, for weights over 24 orders of magnitude."""
        rng = np.random.default_rng(8)
        y, p = rng.integers(0, 2, 3000), rng.random(3000)
        w = rng.random(3000) * 10.0 ** rng.integers(-12, 12, 3000)
        with mpmath.workdps(40):
            q = [
                mpmath.mpf(a) if b else 1 - mpmath.mpf(a)
                for a, b in zip(p.tolist(), y.tolist(), strict=True)
            ]
            terms = [
                -mpmath.mpf(c) * mpmath.log(x)
                for c, x in zip(w.tolist(), q, strict=True)
            ]
            true = mpmath.fsum(terms) / mpmath.fsum(map(mpmath.mpf, w.tolist()))
            found = LogLossAccumulator().update(y, p, w).loss
            assert abs(found - true) <= 1e-15 * true

    def test_standard_error(self):
        y, p, _ = random_rows(9, 1000)
        rows = fastlogloss.sample_log_loss(y, p)
        found = LogLossAccumulator().update(y, p)
        assert found.standard_error == pytest.approx(
            rows.std(ddof=1) / np.sqrt(1000), rel=1e-12
        )
        low, high = found.confidence_interval()
        assert low < found.loss < high
        wide = found.confidence_interval(0.99)
        assert wide.low < low
        assert wide.high > high

    def test_standard_error_of_weighted_rows(self):
        y, p, _ = random_rows(10, 1000)
        w = np.random.default_rng(0).integers(0, 4, 1000) / 7
        rows = fastlogloss.sample_log_loss(y, p)
        mean = (w * rows).sum() / w.sum()
        n = (w > 0).sum()
        error = np.sqrt(n / (n - 1) * (w**2 * (rows - mean) ** 2).sum()) / w.sum()
        found = LogLossAccumulator().update(y, p, w)
        assert found.standard_error == pytest.approx(error, rel=1e-12)

    def test_nothing(self):
        empty = LogLossAccumulator()
        assert empty.n_samples == empty.weight_sum == empty.loss_sum == 0
        assert np.isnan(
            [empty.loss, empty.d2, empty.null_loss, empty.standard_error]
        ).all()
        assert np.isnan(empty.confidence_interval()).all()
        assert repr(empty) == "LogLossAccumulator(n_samples=0, loss=nan)"

    def test_weights_of_one(self):
        """Are none, also where powers are beyond the range of doubles."""
        z = np.array([1.0, -1e100, -1e120, -1e160, 745.0])
        found = LogLossAccumulator(from_logits=True).update(np.ones(5), z)
        other = LogLossAccumulator(from_logits=True).update(np.ones(5), z, np.ones(5))
        assert found == other
        assert np.isnan(found.standard_error)

    def test_weights_of_zero(self):
        found = LogLossAccumulator().update([0, 1], [0.1, 0.2], [0, 0])
        assert (found.n_samples, found.weight_sum) == (2, 0)
        assert np.isnan(found.loss)

    def test_unseen_classes(self):
        found = LogLossAccumulator(["a", "b", "c"]).update(["a"], [[0.5, 0.3, 0.2]])
        assert found.class_weights == {"a": 1.0, "b": 0.0, "c": 0.0}
        assert found.null_loss == pytest.approx(EPS)

    def test_classes_that_are_impossible(self):
        found = LogLossAccumulator(eps=0).update([1, 1], [0.25, 0.5])
        assert found.null_loss == 0
        assert found.normalized_entropy == np.inf

    def test_infinite_losses(self):
        found = LogLossAccumulator(eps=0).update([1, 1], [0.0, 0.5])
        assert found.loss == found.loss_sum == np.inf
        assert np.isnan(found.standard_error)
        assert np.isnan(found.confidence_interval()).all()
        found.revert([1], [0.0])
        assert found == LogLossAccumulator(eps=0).update([1], [0.5])
        negative = LogLossAccumulator(eps=0).update([1, 1], [0.0, 0.5], [-1, 3])
        assert negative.loss == -np.inf
        assert np.isnan((negative + found.update([1], [0.0])).loss)

    def test_a_silenced_impossible_event(self):
        found = LogLossAccumulator(eps=0).update([1, 1], [0.0, 0.5], [0, 1])
        assert found.loss == pytest.approx(np.log(2))


class TestStates:
    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_round_trips(self, n_classes):
        labels = [f"class {i}" for i in range(n_classes)]
        y, p, w = random_rows(11, 60, n_classes)
        found = LogLossAccumulator(labels, label_smoothing=0.1, eps=1e-5)
        found.update([labels[i] for i in y], p, w)
        text = json.dumps(found.to_dict())
        assert len(text) < 2048
        others = [
            LogLossAccumulator.from_dict(json.loads(text)),
            pickle.loads(pickle.dumps(found)),
            *(copy.copy(found), copy.deepcopy(found), found.copy()),
        ]
        for other in others:
            assert other == found
            assert other.loss == found.loss
            other.update([labels[0]], p[:1])
            assert other != found
        assert found.n_samples == 60

    def test_a_state_that_was_written(self):
        """States outlive releases: new bits are a new version of the row losses."""
        found = LogLossAccumulator().update([0, 1, 1], [0.1, 0.7, 0.4], [1, 2, 0.5])
        assert found.to_dict()["sums"] == {
            "w": "7p-1",
            "wl": "28dc00a172f7b7p-53",
            "w2": "15p-2",
            "w2l": "e16cce286ffba5p-55",
            "w2l2": "5d6c4069da99091p-59",
            "w3": "49p-3",
            "w3l": "312c38dae130bd3p-56",
            "w3l2": "911fe28c2c14a59p-59",
            "w3l3": "ebb0e55d832197p-57",
        }

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"format": 2}, "version 2 of format"),
            ({"row_losses": 0}, "version 0 of row_losses"),
            ({"kind": "other"}, "no state"),
            ({"sums": {}}, "incomplete"),
            ({"counts": None}, "incomplete"),
            ({"class_weights": ["0p0"]}, "damaged"),
            ({"class_weights": ["0x", "0p0"]}, "no exact sum"),
            ({"class_weights": ["1p99999999999", "0p0"]}, "no exact sum"),
            ({"class_weights": ["f" * 999 + "p0", "0p0"]}, "no exact sum"),
            ({"counts": [2, 3, 0, 0, 0]}, "damaged"),
            ({"counts": [2, 0, 2, 1, 0]}, "damaged"),
            ({"counts": [2**63, 0, 0, 0, 0]}, "damaged"),
            ({"counts": [-1, 0, 0, 0, 0]}, "damaged"),
            ({"counts": [True, 0, 0, 0, 0]}, "damaged"),
            ({"classes": [0]}, "classes"),
            ({"eps": 0.7}, "eps"),
        ],
    )
    def test_damaged(self, change, words):
        state = LogLossAccumulator().update([0, 1], [0.2, 0.7]).to_dict()
        if isinstance(change.get("counts"), list):
            counts = zip(state["counts"], change["counts"], strict=True)
            change = {"counts": dict(counts)}
        with pytest.raises(ValueError, match=words):
            LogLossAccumulator.from_dict(state | change)

    def test_subclasses(self):
        class Mine(LogLossAccumulator):
            pass

        found = Mine().update([0, 1], [0.2, 0.7])
        for other in (found.copy(), found + found, Mine.from_dict(found.to_dict())):
            assert type(other) is Mine
        assert found == LogLossAccumulator().update([0, 1], [0.2, 0.7])
        make, arguments = found.__reduce__()
        assert type(make(*arguments)) is Mine

    def test_no_state(self):
        for other in (None, 3, [], "text"):
            with pytest.raises(ValueError, match="no state"):
                LogLossAccumulator.from_dict(other)

    @pytest.mark.parametrize(
        ("other", "words"),
        [
            (LogLossAccumulator([0, 2]), r"classes: \[0, 1\] and \[0, 2\]"),
            (LogLossAccumulator([1, 0]), "classes"),
            (LogLossAccumulator([False, True]), "classes"),
            (LogLossAccumulator(eps=1e-3), "eps"),
            (LogLossAccumulator(from_logits=True), "from_logits"),
            (LogLossAccumulator(soft_targets=True), "soft_targets"),
            (LogLossAccumulator(label_smoothing=0.1), "label_smoothing"),
        ],
    )
    def test_what_does_not_merge(self, other, words):
        found = LogLossAccumulator().update([0, 1], [0.2, 0.7])
        before = found.copy()
        for operation in (found.merge, found.__add__, found.__sub__):
            with pytest.raises(ValueError, match=words):
                operation(other)
        assert found == before
        assert found != other

    def test_other_types(self):
        found = LogLossAccumulator()
        with pytest.raises(TypeError, match="can be merged"):
            found.merge(3)
        with pytest.raises(TypeError):
            found + 3
        assert found != 3
        with pytest.raises(TypeError, match="unhashable"):
            hash(found)

    def test_rows_that_were_never_added(self):
        found = LogLossAccumulator().update([0, 1], [0.2, 0.7])
        before = found.copy()
        with pytest.raises(ValueError, match="never added"):
            found.revert([0, 1, 1], [0.2, 0.7, 0.5])
        with pytest.raises(ValueError, match="never added"):
            found.revert([0, 1], [0.2, 0.6])
        with pytest.raises(ValueError, match="never added"):
            LogLossAccumulator() - found
        assert found == before


class TestBadInput:
    """An error names argument and row, and leaves the state as it was."""

    @pytest.mark.parametrize(
        ("rows", "words"),
        [
            (([0, 2], [0.5, 0.5]), "y_true holds the label 2 in row 1"),
            (([0, 1], [0.5, 1.5]), "y_score must be probabilities.*row 1"),
            (([0, 1], [0.5, np.nan]), "y_score must be probabilities.*row 1"),
            (([0, 1], [0.5]), "y_true has 2 rows"),
            (([], []), "no rows"),
            (([0, 1], [[0.2, 0.3, 0.5]] * 2), "2 classes"),
            (([[0, 1], [1, 0]], [0.5, 0.5]), "vector of labels"),
            (([0, 1], [0.5, 0.5], [1, np.nan]), "sample_weight must be finite.*row 1"),
            (([0, 1], [0.5, 0.5], [1, np.inf]), "sample_weight must be finite.*row 1"),
            (([0, 1], [0.5, 0.5], [1, 1e200]), "sample_weight is 1e\\+200 in row 1"),
            (([0, 1], [0.5, 0.5], [1, 1e-200]), "sample_weight is 1e-200 in row 1"),
            (([0, 1], [0.5, 0.5], [1]), "sample_weight must be 2 real numbers"),
            (([0, None], [0.5, 0.5]), "y_true"),
            ((["a", "b"], [0.5, 0.5]), "y_true"),
            (([0, 1], ["a", "b"]), "y_score"),
        ],
    )
    def test_update(self, rows, words):
        found = LogLossAccumulator().update([0, 1], [0.2, 0.7])
        before = found.copy()
        for method in (found.update, found.revert):
            with pytest.raises(ValueError, match=words):
                method(*rows)
            assert found == before

    def test_many_rows(self):
        n = 100_000
        y, p, w = np.zeros(n), np.full(n, 0.5), np.ones(n)
        w[77_777] = 1e300
        with pytest.raises(ValueError, match="row 77777"):
            LogLossAccumulator().update(y, p, w)

    def test_a_product_beyond_the_range(self):
        found = LogLossAccumulator(from_logits=True)
        with pytest.raises(ValueError, match="row 1, where the loss is 1e\\+300"):
            found.update([0, 0], [1.0, 1e300], [1.0, 1e80])

    def test_options(self):
        with pytest.raises(ValueError, match="two different labels"):
            LogLossAccumulator([1])
        with pytest.raises(ValueError, match="eps"):
            LogLossAccumulator(eps=0.5)
        with pytest.raises(TypeError, match="from_logits"):
            LogLossAccumulator(from_logits=1)
        found = LogLossAccumulator().update([0, 1], [0.2, 0.7])
        with pytest.raises(ValueError, match="confidence_level"):
            found.confidence_interval(1.0)
        with pytest.raises(ValueError, match="method"):
            found.confidence_interval(method="t")

    def test_sums_of_rows_are_remarked(self):
        found = LogLossAccumulator(range(3))
        with pytest.warns(UserWarning, match="do not sum to one"):
            found.update([0, 1, 2], [[0.5, 0.2, 0.2]] * 3)
        assert found.n_samples == 3


def test_log_loss_of_labels_against_prepared():
    y, p, w = random_rows(12, 300)
    prepared = LogLoss(y, sample_weight=w)
    found = prepared.by_group(p, np.zeros(300, int))
    assert found[0] == LogLossAccumulator().update(y, p, w)


def test_nothing_leaks():
    """A thousand updates, merges and errors leave no memory behind."""
    y, p, w = random_rows(13, 300)
    found = LogLossAccumulator()

    def use():
        for _ in range(100):
            found.update(y, p, w)
            found.merge(LogLossAccumulator().update(y.tolist(), p))
            with pytest.raises(ValueError, match="row 0"):
                found.update(y, p + 2)
        gc.collect()  # of tracebacks, which are cycles
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        use()
        before = use()
        assert use() - before < 50_000
    finally:
        tracemalloc.stop()
