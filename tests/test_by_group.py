"""log_loss_by_group and GroupedLogLoss: each group is an accumulator of its rows."""

import pickle
import textwrap
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlogloss import (
    GroupedLogLoss,
    LogLoss,
    LogLossAccumulator,
    _group_sums,
    groups,
    log_loss_by_group,
    sample_log_loss,
)

STATISTICS = (
    *("n_samples", "weight_sum", "loss_sum", "loss", "null_loss", "d2"),
    *("normalized_entropy", "standard_error"),
)


def random_rows(seed, n, n_classes=2, weights="wide", kind="labels"):
    """(y, scores, weights, options) of rows of some kind."""
    rng = np.random.default_rng([seed, n, n_classes])
    shape = n if n_classes == 2 else (n, n_classes)
    y = rng.integers(n_classes, size=n)
    p = rng.random(shape) ** rng.integers(1, 9, n if n_classes == 2 else (n, 1))
    options = {"classes": range(n_classes)}
    if "logits" in kind:
        p = rng.normal(0, 10.0 ** rng.integers(-3, 3), shape)
        options["from_logits"] = True
    elif n_classes > 2:
        p = (p + 1e-9) / (p + 1e-9).sum(axis=1, keepdims=True)
    if "targets" in kind:
        y = rng.random(shape)
        y = y / y.sum(axis=1, keepdims=True) if y.ndim == 2 else y
        options["soft_targets"] = True
    if "smoothed" in kind:
        options["label_smoothing"] = 0.1
    w = None
    if weights == "wide":
        w = rng.random(n) * 10.0 ** rng.integers(-12, 12, n)
        w[rng.random(n) < 0.1] = 0.0
        w[rng.random(n) < 0.1] *= -1
    elif weights == "counts":
        w = rng.integers(0, 4, n)
    return y, p, w, options


def check_groups(found, y, p, w, keys, options):
    """Against an accumulator for each of the groups, to the last bit."""
    groups = found.groups.tolist()
    assert sorted(groups) == groups
    assert set(groups) == set(np.asarray(keys).tolist())
    assert len(found) == len(groups)
    intervals = found.confidence_interval()
    for i, key in enumerate(groups):
        rows = np.asarray(keys) == key
        one = LogLossAccumulator(**options)
        one.update(y[rows], p[rows], None if w is None else w[rows])
        assert found[key] == one
        for name in STATISTICS:
            np.testing.assert_equal(getattr(found, name)[i], getattr(one, name), name)
        np.testing.assert_equal(intervals.low[i], one.confidence_interval().low)
        for label, weight in one.class_weights.items():
            assert found.class_weights[label][i] == weight


class TestGroups:
    @pytest.mark.parametrize("n_classes", [2, 3, 5])
    @pytest.mark.parametrize(
        "kind", ["labels", "logits", "targets", "smoothed labels", "logits of targets"]
    )
    @pytest.mark.parametrize("weights", [None, "counts", "wide"])
    def test_they_are_accumulators(self, n_classes, kind, weights):
        y, p, w, options = random_rows(0, 700, n_classes, weights, kind)
        keys = np.random.default_rng(1).integers(0, 20, 700)
        found = log_loss_by_group(y, p, keys, sample_weight=w, **options)
        check_groups(found, y, p, w, keys, options)
        whole = LogLossAccumulator(**options).update(y, p, w)
        total = found.total()
        assert total._accumulator == whole
        for name in ("n_samples", "loss", "null_loss", "d2"):
            np.testing.assert_equal(getattr(total, name), getattr(whole, name))

    @given(
        st.integers(0, 10**6),
        st.integers(1, 200),
        st.lists(st.sampled_from([None, "counts", "wide"]), min_size=1, max_size=5),
        st.integers(2, 3),
    )
    @settings(max_examples=50, deadline=None)
    def test_batches_of_every_kind(self, seed, n, weights, n_classes):
        """Weighted after unweighted, in any order, and merged in any tree."""
        batches = [
            random_rows(seed + i, n, n_classes, weight)
            for i, weight in enumerate(weights)
        ]
        rng = np.random.default_rng(seed)
        keys = [rng.integers(-3, 6, n) * 10**9 for _ in batches]
        options = batches[0][3]
        one, parts = GroupedLogLoss(**options), []
        for (y, p, w, _), key in zip(batches, keys, strict=True):
            one.update(y, p, key, w)
            parts.append(GroupedLogLoss(**options).update(y, p, key, w))
        while len(parts) > 1:
            i = int(rng.integers(len(parts) - 1))
            parts[i : i + 2] = [parts[i].merge(parts[i + 1])]
        assert parts[0] == one
        ones = [np.ones(n) if w is None else w for _, _, w, _ in batches]
        y, p = (np.concatenate([batch[i] for batch in batches]) for i in (0, 1))
        key, w = np.concatenate(keys), np.concatenate(ones)
        order = rng.permutation(len(y))
        mixed = GroupedLogLoss(**options)
        mixed.update(y[order], p[order], key[order], w[order])
        assert mixed == one
        for (y, p, w, _), key in zip(batches, keys, strict=True):
            one.revert(y, p, key, w)
        assert one == GroupedLogLoss(**options)
        assert len(one) == 0

    def test_pairs_of_columns(self):
        """(n,) and (n, 2) scores of two classes are the same."""
        y, p, w, _ = random_rows(2, 500)
        keys = np.arange(500) % 3
        pairs = np.column_stack([1 - p, p])
        found = GroupedLogLoss().update(y, pairs, keys, w)
        check_groups(found, y, pairs, w, keys, {})
        logits = log_loss_by_group(y, np.log(pairs + 1e-9), keys, from_logits=True)
        one = LogLossAccumulator(from_logits=True)
        assert logits[0] == one.update(y[::3], np.log(pairs + 1e-9)[::3])

    def test_losses_of_all_sizes(self):
        """Windows widen as they have to, and nothing is lost."""
        z = np.array([0.5, -700.0, 300.0, 1e100, -30.0, 5e-324, 0.0, -745.2])
        y, keys = np.zeros(8, int), np.arange(8) % 2
        found = GroupedLogLoss(from_logits=True)
        for i in range(8):
            found.update(y[i : i + 1], z[i : i + 1], keys[i : i + 1])
        check_groups(found, y, z, None, keys, {"from_logits": True})

    @given(st.integers(0, 10**6), st.integers(2, 4), st.booleans())
    @settings(max_examples=60, deadline=None)
    def test_numbers_at_the_ends_of_the_range(self, seed, n_classes, weighted):
        """Powers of logits and weights that no double holds, up or down."""
        rng = np.random.default_rng(seed)
        n, shape = 400, 400 if n_classes == 2 else (400, n_classes)
        y, keys = rng.integers(n_classes, size=n), rng.integers(0, 3, n)
        z = rng.normal(size=shape) * 10.0 ** rng.integers(-320, 290)
        w = None
        if weighted:
            w = rng.normal(size=n) * 2.0 ** rng.integers(-290, 290)
            w *= 2.0 ** rng.integers(-8, 8, n)
        options = {"classes": range(n_classes), "from_logits": True}
        losses = sample_log_loss(y, z, from_logits=True, labels=range(n_classes))
        with np.errstate(over="ignore"):
            is_beyond = np.isinf(losses if w is None else w * losses).any()
        if is_beyond:
            with pytest.raises(ValueError, match="beyond the range"):
                log_loss_by_group(y, z, keys, sample_weight=w, **options)
            return
        whole = LogLossAccumulator(**options).update(y, z, w)
        found = log_loss_by_group(y, z, keys, sample_weight=w, **options)
        assert found.total()._accumulator == whole
        check_groups(found, y, z, w, keys, options)

    @given(st.integers(0, 10**6), st.integers(2, 4), st.booleans())
    @settings(max_examples=60, deadline=None)
    def test_batches_at_the_ends_of_the_range(self, seed, n_classes, soft):
        """Weighted ones and others, added, merged and taken away again."""
        rng = np.random.default_rng([seed, n_classes])
        options = {"classes": range(n_classes), "from_logits": True}
        options["soft_targets"] = soft
        whole, found, held = (
            LogLossAccumulator(**options),
            GroupedLogLoss(**options),
            [],
        )
        for _ in range(6):
            n = int(rng.choice([1, 2, 300]))
            shape = n if n_classes == 2 else (n, n_classes)
            y = rng.random(shape) if soft else rng.integers(n_classes, size=n)
            if soft and n_classes > 2:
                y = y / y.sum(axis=1, keepdims=True)
            z = rng.normal(size=shape)
            z = (z.T * 10.0 ** rng.integers(-320, 290, n)).T
            w = None
            if rng.random() < 0.6:
                w = rng.integers(-1, 2, n) * 2.0 ** rng.integers(-290, 290, n)
            keys = rng.integers(0, 3, n)
            try:
                whole.update(y, z, w)
            except ValueError:  # a product beyond the range
                continue
            held.append((y, z, keys, w))
            if rng.random() < 0.5:
                found.update(y, z, keys, w)
            else:
                found.merge(GroupedLogLoss(**options).update(y, z, keys, w))
            if rng.random() < 0.3:
                y, z, keys, w = held.pop(int(rng.integers(len(held))))
                whole.revert(y, z, w)
                found.revert(y, z, keys, w)
            assert found.total()._accumulator == whole
            for i, key in enumerate(found):
                one = found[key]
                for name in STATISTICS:
                    np.testing.assert_equal(getattr(found, name)[i], getattr(one, name))

    @pytest.mark.parametrize("z", [740.0, 728.7, 720.0])
    @pytest.mark.parametrize("w", [1.0, 2.0**290, 2.0**-3])
    def test_losses_of_fewer_bits(self, z, w):
        """Those below 2^-1022 alone."""
        y, z, w = np.ones(3, int), np.full(3, z), np.array([w, w * 1.1, w])
        found = log_loss_by_group(
            y, z, [1, 1, 2], sample_weight=w, from_logits=True, eps=0
        )
        options = {"from_logits": True, "eps": 0}
        check_groups(found, y, z, w, np.array([1, 1, 2]), options)
        assert (found.loss_sum > 0).all()

    def test_infinite_losses(self):
        y, p = np.array([1, 1, 0, 0]), np.array([0.0, 0.5, 0.5, 0.25])
        found = log_loss_by_group(y, p, ["a", "b", "a", "b"], eps=0)
        assert found.loss[0] == np.inf
        assert np.isnan(found.standard_error[0])
        assert found["a"] == LogLossAccumulator(eps=0).update([1, 0], [0.0, 0.5])
        assert np.isnan(found.total().standard_error)

    def test_one_group_and_groups_of_one(self):
        y, p, w, _ = random_rows(3, 3000)
        found = log_loss_by_group(y, p, np.zeros(3000, int), sample_weight=w)
        assert found[0] == LogLossAccumulator().update(y, p, w)
        found = log_loss_by_group(y, p, np.arange(3000))
        losses = sample_log_loss(y, p)
        assert (found.loss == losses).all()
        assert np.isnan(found.standard_error).all()

    def test_many_groups(self):
        n = 150_000
        rng = np.random.default_rng(0)
        y, p, keys = rng.integers(0, 2, n), rng.random(n), rng.integers(0, 50_000, n)
        found = log_loss_by_group(y, p, keys)
        sums = np.bincount(keys, sample_log_loss(y, p), 50_000)
        counts = np.bincount(keys, minlength=50_000)
        assert (found.n_samples == counts[found.groups]).all()
        np.testing.assert_allclose(found.loss_sum, sums[found.groups], rtol=1e-13)

    def test_memory(self):
        """What a group takes, and nothing else by rows."""
        rng = np.random.default_rng(0)
        y, p = rng.integers(0, 2, 400_000), rng.random(400_000)
        keys = np.arange(400_000) % 40_000
        log_loss_by_group(y[:100], p[:100], keys[:100])
        tracemalloc.start()
        found = log_loss_by_group(y, p, keys)
        size, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(found) == 40_000
        assert size <= 400 * 40_000
        assert peak <= 400 * 40_000 * 2 + (1 << 20)  # where all is moved once


class TestKeys:
    @pytest.mark.parametrize(
        "keys",
        [
            ["b", "a", "b", None],
            pd.Categorical(["b", "a", "b", None]),
            np.array(["2026-01-02", "2026-01-01", "2026-01-02", "NaT"], "M8[D]"),
            pd.Series([2, 1, 2, None], dtype="Int64"),
            np.array([2.5, 1.5, 2.5, np.nan]),
        ],
    )
    def test_missing_keys_are_a_group(self, keys):
        found = log_loss_by_group([0, 1, 1, 0], [0.1, 0.6, 0.7, 0.4], keys)
        assert found.n_samples.tolist() == [1, 2, 1]
        assert pd.isna(found.groups[-1])
        assert found[None].loss == pytest.approx(-np.log(0.6))
        assert None in found

    def test_several_columns(self):
        days, places = [1, 2, 1, 2], ["x", "x", "y", "x"]
        arguments = [0, 1, 1, 0], [0.1, 0.6, 0.7, 0.4]
        for keys in (
            (days, places),
            (np.array(days), pd.Series(places)),
            pd.DataFrame({"day": days, "place": places}),
        ):
            found = log_loss_by_group(*arguments, keys)
            assert [*found] == [(1, "x"), (1, "y"), (2, "x")]
            assert [column.tolist() for column in found.groups] == [
                [1, 1, 2],
                ["x", "y", "x"],
            ]
            assert found[2, "x"].n_samples == 2
            assert (2, "y") not in found
        assert [*found.to_frame().columns[:2]] == ["group_0", "group_1"]

    def test_dates_with_a_time_zone_keep_it(self):
        """Also where some of the groups are taken away."""
        days = pd.date_range("2026-01-01", periods=3, tz="Europe/Berlin")
        found = log_loss_by_group([0, 1, 0], [0.1, 0.6, 0.3], days)
        before = found.copy()
        found.revert([1], [0.6], days[1:2])
        assert len(found) == 2
        assert found.update([1], [0.6], days[1:2]) == before

    def test_no_group(self):
        found = log_loss_by_group([0, 1], [0.2, 0.7], [5, 7])
        with pytest.raises(KeyError):
            found[6]
        assert 5 in found
        assert [*found] == [5, 7]


class TestFrames:
    @pytest.mark.parametrize("backend", [None, "pandas", "polars", "pyarrow"])
    def test_to_frame(self, backend):
        found = log_loss_by_group([0, 1, 1], [0.2, 0.7, 0.6], ["b", "a", "b"])
        frame = found.to_frame(backend)
        library = "pandas" if backend is None else backend
        assert type(frame).__module__.startswith(library)
        rows = frame.to_pandas() if library != "pandas" else frame
        assert rows["group"].tolist() == ["a", "b"]
        assert rows["loss"].tolist() == found.loss.tolist()
        assert rows["n_samples"].tolist() == [1, 2]
        interval = found.confidence_interval()
        np.testing.assert_equal(rows["high"].to_numpy(), interval.high)

    def test_another_library(self):
        with pytest.raises(ValueError, match="backend must be one of"):
            log_loss_by_group([0], [0.2], [1]).to_frame("spark")


class TestTotal:
    def test_it_is_cluster_robust(self):
        rng = np.random.default_rng(0)
        keys = rng.integers(0, 60, 2000)
        hard = rng.normal(0, 1, 60)[keys]
        y = (rng.random(2000) < 1 / (1 + np.exp(-hard))).astype(int)
        p, w = rng.uniform(0.2, 0.8, 2000), rng.random(2000)
        found = log_loss_by_group(y, p, keys, sample_weight=w).total()
        losses = sample_log_loss(y, p)
        mean = (w * losses).sum() / w.sum()
        u = np.bincount(keys, w * (losses - mean))
        error = np.sqrt(60 / 59 * (u**2).sum()) / w.sum()
        assert found.standard_error == pytest.approx(error, rel=1e-9)
        assert found.n_groups == 60
        assert found.confidence_interval().low < found.loss
        assert repr(found).startswith("ClusteredLogLoss(n_groups=60, n_samples=2000")


class TestObject:
    def test_copies(self):
        y, p, w, _ = random_rows(4, 300)
        keys = np.arange(300) % 7
        found = GroupedLogLoss().update(y, p, keys, w)
        for other in (found.copy(), pickle.loads(pickle.dumps(found))):
            assert other == found
            assert (other.groups == found.groups).all()
            other.update(y[:1], p[:1], [99])
            assert other != found
            assert len(found) == 7

    def test_the_order_of_groups_does_not_matter(self):
        one = GroupedLogLoss().update([0, 1], [0.2, 0.7], ["a", "b"])
        other = GroupedLogLoss().update([1, 0], [0.7, 0.2], ["b", "a"])
        assert one == other
        assert one != GroupedLogLoss().update([1, 0], [0.7, 0.2], ["a", "b"])
        assert one != GroupedLogLoss().update([0, 1], [0.2, 0.7], ["a", "c"])

    def test_prepared(self):
        y, p, w, _ = random_rows(5, 400, weights="counts")
        keys = np.arange(400) % 5
        expected = log_loss_by_group(y, p, keys, sample_weight=w)
        assert LogLoss(y, sample_weight=w).by_group(p, keys) == expected
        words = np.array(["no", "yes"])[y]
        found = LogLoss(words, sample_weight=w, classes=["no", "yes"]).by_group(p, keys)
        assert (found.loss == expected.loss).all()
        narrow = p.astype(np.float32)
        found = LogLoss(y, sample_weight=w).by_group(narrow, keys)
        assert found == log_loss_by_group(
            y, narrow.astype(np.float64), keys, sample_weight=w
        )

    def test_nothing(self):
        empty = GroupedLogLoss()
        assert len(empty) == len(empty.groups) == len(empty.loss) == 0
        assert repr(empty) == "GroupedLogLoss(n_groups=0, n_samples=0, loss=nan)"
        assert np.isnan(empty.total().loss)
        assert empty.merge(GroupedLogLoss()) == empty


MANY = np.random.default_rng(3).integers(-40, 60, 50_000)
KEYS = {
    "int64": MANY,
    "int8": MANY.astype(np.int8),
    "uint16": (MANY + 40).astype(np.uint16),
    "uint64": (MANY + 40).astype(np.uint64),
    "swapped": MANY.astype(">i4"),
    "strided": np.column_stack([MANY, -MANY])[:, 1],
    "backwards": MANY[::-1],
    "bool": MANY > 3,
    "float": MANY * 0.5,
    "far apart": MANY * 10**15,
    "large": MANY + 2**62,
    "one": np.full(len(MANY), 7),
    "new ones all the time": np.arange(len(MANY)) // 20,
    "a new one at last": np.where(np.arange(len(MANY)) == 49_000, 10**6, MANY),
    "strings": MANY.astype(str),
    "objects": np.array([*MANY.tolist()[:-1], "x"], object),
    "dates": MANY.astype("M8[D]"),
    "categories": pd.Categorical(MANY),
    "nullable": pd.array(np.where(MANY == 5, None, MANY), "Int32"),
    "series": pd.Series(MANY),
    "columns": (MANY, MANY % 3),
}


class TestThreads:
    """Sums are exact: threads change no bit, nor the order of groups."""

    @pytest.fixture(params=[2, 3, 8])
    def threads(self, request, monkeypatch):
        def let(n):
            monkeypatch.setattr(_group_sums, "threads_for", lambda _: n)

        let(1)
        return lambda: let(request.param)

    @pytest.mark.parametrize("weights", [None, "wide"])
    @pytest.mark.parametrize("kind", KEYS)
    def test_every_kind_of_keys(self, threads, kind, weights):
        keys = KEYS[kind]
        y, p, w, _ = random_rows(0, len(MANY), weights=weights)
        one = log_loss_by_group(y, p, keys, sample_weight=w)
        threads()
        found = log_loss_by_group(y, p, keys, sample_weight=w)
        assert found == one
        assert repr([*found]) == repr([*one])
        np.testing.assert_array_equal(found.loss, one.loss)
        # All groups are known now, and all digits.
        found.update(y, p, keys, w).update(y, p, keys, w).revert(y, p, keys, w)
        assert found == one.merge(one.copy())

    @pytest.mark.parametrize("n_classes", [2, 3])
    @pytest.mark.parametrize("kind", ["labels", "logits", "targets"])
    def test_every_kind_of_rows(self, threads, n_classes, kind):
        y, p, w, options = random_rows(1, 30_000, n_classes, "wide", kind)
        keys = MANY[:30_000]
        one = log_loss_by_group(y, p, keys, sample_weight=w, **options)
        threads()
        assert log_loss_by_group(y, p, keys, sample_weight=w, **options) == one

    @pytest.mark.parametrize("row", [0, 3000, 25_000, 49_999])
    @pytest.mark.parametrize("what", ["label", "score", "weight", "product"])
    @pytest.mark.parametrize("take_away", [False, True])
    def test_all_is_as_it_was_after_an_error(self, threads, row, what, take_away):
        rng = np.random.default_rng(4)
        y, z, w = MANY % 2, rng.normal(size=len(MANY)), rng.random(len(MANY)) + 1
        found = GroupedLogLoss(from_logits=True).update(y, z, MANY, w)
        before = found.copy()
        if what == "label":
            y = np.where(np.arange(len(y)) == row, 2, y)
        z, w = z.copy(), w.copy()
        z[row] = {"score": np.nan, "product": 1e300}.get(what, z[row])
        w[row] = {"weight": np.inf, "product": 1e30}.get(what, w[row])
        y[row] = 0 if what == "product" else y[row]
        threads()
        method = found.revert if take_away else found.update
        with pytest.raises(ValueError, match=f"row {row}" if what != "label" else "2"):
            method(y, z, MANY, w)
        assert found == before
        assert [*found] == [*before]

    @pytest.mark.parametrize("first", [0, 5000, 45_000])
    def test_rows_that_need_more_digits(self, threads, first):
        """In the part of a helper, or of the caller, again and again."""
        y, z = np.zeros(len(MANY)), np.random.default_rng(5).normal(size=len(MANY))
        z[first:] *= 10.0 ** np.linspace(0, 250, len(z) - first)
        one = log_loss_by_group(y, z, MANY, from_logits=True)
        threads()
        assert log_loss_by_group(y, z, MANY, from_logits=True) == one

    def test_warnings_that_are_errors(self, threads):
        p = np.full((len(MANY), 2), 0.5)
        found = GroupedLogLoss().update(MANY > 0, p, MANY)
        before = found.copy()
        p[40_000] = 0.5, 0.4
        threads()
        with pytest.raises(UserWarning, match="row 40000"):
            found.update(MANY > 0, p, MANY + 1)
        assert found == before
        with pytest.warns(UserWarning, match="row 40000"):
            found.update(MANY > 0, p, MANY)
        assert found.n_samples.sum() == 2 * len(MANY)


class TestBadInput:
    """An error names argument and row, and leaves all as it was."""

    @pytest.mark.parametrize(
        ("rows", "words"),
        [
            (([0, 1], [0.5, 1.5], [1, 9]), "y_score must be probabilities.*row 1"),
            (([0, 2], [0.5, 0.5], [1, 9]), "y_true holds the label 2 in row 1"),
            (([0, 1], [0.5, 0.5], [1]), "groups"),
            (([0, 1], [0.5, 0.5], [1, 9], [1, np.nan]), "sample_weight.*row 1"),
            (([0, 1], [0.5, 0.5], [1, 9], [1, 1e200]), "sample_weight.*row 1"),
            (([], [], []), "no rows"),
        ],
    )
    def test_update(self, rows, words):
        found = GroupedLogLoss().update([0, 1], [0.2, 0.7], [1, 2])
        before = found.copy()
        for method in (found.update, found.revert):
            with pytest.raises(ValueError, match=words):
                method(*rows)
            assert found == before

    def test_unhashable_keys(self):
        found = GroupedLogLoss().update([0, 1], [0.2, 0.7], ["a", "b"])
        before = found.copy()
        with pytest.raises(TypeError, match="row 1"):
            found.update([0, 1], [0.2, 0.7], np.array(["c", ["d"]], object))
        with pytest.raises(TypeError):
            found.update([0, 1], [0.2, 0.7], [1, 2])
        assert found == before

    @pytest.mark.parametrize("take_away", [False, True])
    def test_a_late_row(self, take_away):
        """In a later chunk, after new groups and wider digits have come."""
        n = 70_000
        y, p, w, _ = random_rows(6, n)
        keys = np.arange(n) % 50
        found = GroupedLogLoss().update(y, p, keys, w)
        before = found.copy()
        w = w.copy()
        w[69_000] = np.inf
        method = found.revert if take_away else found.update
        with pytest.raises(ValueError, match="row 69000"):
            method(y, p, keys + 25, w)
        assert found == before
        assert len(found) == 50

    @pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
    @pytest.mark.parametrize("after", [0, 1, 2])
    @pytest.mark.parametrize("threads", [1, 2])
    def test_interrupted(self, monkeypatch, error, after, threads):
        monkeypatch.setattr(groups, "_MANY", 40_000)
        monkeypatch.setattr(_group_sums, "threads_for", lambda _: threads)
        n = 100_000
        y, p, _, _ = random_rows(7, n, weights=None)
        found = GroupedLogLoss().update(y[:10], p[:10], np.arange(10))
        before = found.copy()
        sums = type(found._group_sums)
        add, calls = sums.add, []

        def failing(self, *arguments):
            status = add(self, *arguments)
            calls.append(status)
            if len(calls) == after + 1:
                raise error
            return status

        monkeypatch.setattr(sums, "add", failing)
        with pytest.raises(error):
            found.update(y, p, np.arange(n) % 1000)
        monkeypatch.undo()
        assert found == before

    def test_rows_that_were_never_added(self):
        found = GroupedLogLoss().update([0, 1], [0.2, 0.7], ["a", "b"])
        before = found.copy()
        for rows in (
            ([0], [0.2], ["c"]),
            ([0], [0.3], ["a"]),
            ([0, 0], [0.2, 0.2], ["a", "a"]),
        ):
            with pytest.raises(ValueError, match="never added"):
                found.revert(*rows)
            assert found == before

    def test_what_does_not_merge(self):
        found = GroupedLogLoss().update([0, 1], [0.2, 0.7], ["a", "b"])
        before = found.copy()
        with pytest.raises(ValueError, match="eps"):
            found.merge(GroupedLogLoss(eps=1e-3))
        with pytest.raises(TypeError, match="GroupedLogLoss"):
            found.merge(LogLossAccumulator())
        with pytest.raises((TypeError, ValueError)):
            found.merge(GroupedLogLoss().update([0], [0.5], [3]))
        assert found == before

    def test_keys_that_another_thread_resizes(self, run_python):
        """They cannot be while they are read."""
        code = """
        import threading, time, numpy as np
        from fastlogloss import log_loss_by_group
        n = 300_000
        y, p = np.ones(n, int), np.full(n, 0.5)
        done = threading.Event()
        def resize(a):
            while not done.is_set():
                for size in (10, n):
                    try:
                        a.resize(size, refcheck=False)
                    except ValueError:
                        pass
        keys = [np.arange(n) % 7, np.array(["a", "bc"] * (n // 2))]
        threads = [threading.Thread(target=resize, args=(a,)) for a in (*keys, p)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            for groups in (*keys, tuple(keys)):
                try:
                    log_loss_by_group(y, p, groups)
                except (ValueError, RuntimeError):
                    pass
        done.set()
        for thread in threads:
            thread.join()
        print("alive")
        """
        assert run_python("-c", textwrap.dedent(code)).stdout == "alive\n"
