"""Log loss of many labels for each row, against scikit-learn's of each column."""

import math
from fractions import Fraction

import ml_dtypes
import mpmath
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from arrays import LABEL_DTYPES
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB

from fastlogloss import log_loss, multilabel, multilabel_log_loss, sample_log_loss

SHAPES = [(1, 1), (1, 7), (7, 1), (33, 3), (300, 20), (5, 400)]
AVERAGES = ("micro", "macro", None)


def case(shape=(33, 3), seed=0):
    rng = np.random.default_rng([seed, *shape])
    y = rng.integers(2, size=shape)
    return y, rng.random(shape), rng.random(shape) + 0.1


def by_columns(y, p, w=None, **options):
    w = np.ones(y.shape) if w is None else w
    w = np.repeat(w[:, None], y.shape[1], axis=1) if w.ndim == 1 else w
    return np.array(
        [
            sklearn_log_loss(y[:, j], p[:, j], labels=[0, 1], sample_weight=w[:, j])
            for j in range(y.shape[1])
        ]
    )


def all_three(*args, **kwargs):
    found = [multilabel_log_loss(*args, average=a, **kwargs) for a in AVERAGES]
    return found[0], found[1], found[2].tolist()


class TestAgainstSklearn:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize("weights", ["none", "rows", "cells"])
    def test_columns(self, shape, weights):
        y, p, w = case(shape)
        w = {"none": None, "rows": w[:, 0], "cells": w}[weights]
        wanted = by_columns(y, p, w)
        micro, macro, each = all_three(y, p, sample_weight=w)
        assert type(micro) is type(macro) is float
        np.testing.assert_allclose(each, wanted, rtol=1e-14)
        assert macro == pytest.approx(wanted.mean(), rel=1e-14)
        total = np.ones(shape[1]) if weights != "cells" else w.sum(axis=0)
        assert micro == pytest.approx(wanted @ total / total.sum(), rel=1e-14)
        if weights != "cells":
            assert micro == pytest.approx(macro, rel=2e-15)
        else:
            flat = sklearn_log_loss(
                y.ravel(), p.ravel(), labels=[0, 1], sample_weight=w.ravel()
            )
            assert micro == pytest.approx(flat, rel=1e-14)

    def test_several_blocks(self, monkeypatch):
        y, p, w = case((300, 20))
        wanted = all_three(y, p, sample_weight=w)
        for size in (1, 20, 999, 6000):
            monkeypatch.setattr(multilabel, "_BLOCK", size)
            for found, right in zip(
                all_three(y, p, sample_weight=w), wanted, strict=True
            ):
                np.testing.assert_allclose(found, right, rtol=1e-15)

    def test_predict_proba_of_several_outputs(self):
        X, y = make_multilabel_classification(200, random_state=0)
        model = MultiOutputClassifier(GaussianNB()).fit(X, y)
        several = model.predict_proba(X)
        p = np.stack([one[:, 1] for one in several], axis=1)
        wanted = np.array(
            [sklearn_log_loss(y[:, j], one) for j, one in enumerate(several)]
        )
        w = np.random.default_rng(0).random(y.shape)
        for values in (several, tuple(several), [pd.DataFrame(one) for one in several]):
            np.testing.assert_allclose(
                multilabel_log_loss(y, values, average=None), wanted, rtol=1e-14
            )
            micro = multilabel_log_loss(y, values)
            assert micro == pytest.approx(wanted.mean(), rel=1e-14)
            assert micro == pytest.approx(multilabel_log_loss(y, p), rel=1e-9)
            weighted = multilabel_log_loss(y, values, sample_weight=w)
            wanted_weighted = multilabel_log_loss(y, p, sample_weight=w)
            assert weighted == pytest.approx(wanted_weighted, rel=1e-9)

    def test_log_probabilities_of_several_outputs(self):
        y, p, _ = case()
        z = [np.log(np.stack([1 - c, c], axis=1)) for c in p.T]
        found = multilabel_log_loss(y, z, from_logits=True)
        assert found == pytest.approx(multilabel_log_loss(y, p), rel=1e-14)

    def test_is_not_the_one_hot_reading(self):
        y, p = np.eye(3, dtype=int), np.full((3, 3), 1 / 3)
        assert log_loss(y, p) == pytest.approx(math.log(3))
        wanted = (math.log(3) + 2 * math.log(1.5)) / 3
        assert multilabel_log_loss(y, p) == pytest.approx(wanted)


class TestOptions:
    @pytest.mark.parametrize("average", AVERAGES)
    @pytest.mark.parametrize(
        "options",
        [
            {"eps": 0.1},
            {"eps": 0},
            {"from_logits": True},
            {"soft_targets": True},
            {"label_smoothing": 0.2},
            {"from_logits": True, "soft_targets": True, "label_smoothing": 0.1},
        ],
        ids=str,
    )
    def test_as_rows(self, rng, options, average):
        """Cells are rows of a binary log loss."""
        shape = (40, 5)
        y = rng.integers(2, size=shape).astype(float)
        if options.get("soft_targets"):
            y = rng.random(shape)
        p = rng.random(shape)
        if options.get("from_logits"):
            p = rng.normal(0, 20, shape)
        labels = None if options.get("soft_targets") else [0, 1]
        rows = sample_log_loss(y.ravel(), p.ravel(), labels=labels, **options)
        rows = rows.reshape(shape)
        w = rng.random(shape)
        found = multilabel_log_loss(y, p, sample_weight=w, average=average, **options)
        each = (w * rows).sum(axis=0) / w.sum(axis=0)
        wanted = {"micro": (w * rows).sum() / w.sum(), "macro": each.mean(), None: each}
        np.testing.assert_allclose(found, wanted[average], rtol=1e-14)

    def test_soft_targets_and_matrices(self, rng):
        t, p = rng.random((9, 4)), rng.random((9, 4))
        several = [np.stack([1 - c, c], axis=1) for c in p.T]
        found = multilabel_log_loss(t, several, soft_targets=True)
        wanted = multilabel_log_loss(t, p, soft_targets=True)
        assert found == pytest.approx(wanted, rel=1e-12)

    def test_infinite(self):
        y, p = [[1, 0], [0, 1]], [[0.0, 0.5], [0.5, 0.5]]
        assert multilabel_log_loss(y, p, eps=0) == math.inf
        assert multilabel_log_loss(y, p, eps=0, average=None).tolist() == [
            math.inf,
            math.log(2),
        ]
        w = [[0, 1], [1, 1]]  # leaves it out
        assert multilabel_log_loss(y, p, eps=0, sample_weight=w) == pytest.approx(
            math.log(2)
        )

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    def test_eps_of_narrow_types(self, dtype):
        y, p = [[1, 0]], np.array([[0, 1]], dtype)
        wanted = -math.log(float(np.finfo(dtype).eps))
        assert multilabel_log_loss(y, p) == pytest.approx(wanted, rel=1e-12)
        several = [np.array([[1, 0]], dtype), np.array([[0, 1]], dtype)]
        assert multilabel_log_loss(y, several) == pytest.approx(wanted, rel=1e-12)

    def test_precision(self, rng):
        shape = (200, 30)
        y, z = rng.integers(2, size=shape), rng.normal(0, 100, shape)
        w = 10.0 ** rng.uniform(-6, 6, shape)
        with mpmath.workdps(40):
            losses = [
                mpmath.log1p(mpmath.exp(-a if b else a))
                for a, b in zip(z.ravel().tolist(), y.ravel().tolist(), strict=True)
            ]
            total = mpmath.fsum(map(mpmath.mpf, w.ravel().tolist()))
            terms = zip(losses, w.ravel().tolist(), strict=True)
            exact = mpmath.fsum(a * b for a, b in terms) / total
        found = multilabel_log_loss(y, z, sample_weight=w, from_logits=True)
        assert abs(found - exact) <= 2e-15 * exact


class TestWeights:
    def test_zero_leaves_out(self):
        y, p, w = case((50, 4))
        w[3:20, 2] = 0
        w[:, 1] = 0
        kept = [0, 2, 3]
        found = multilabel_log_loss(y, p, sample_weight=w)
        rest = multilabel_log_loss(y[:, kept], p[:, kept], sample_weight=w[:, kept])
        assert found == pytest.approx(rest, rel=1e-14)
        for average in ("macro", None):
            with pytest.raises(ValueError, match="sums to zero in column 1"):
                multilabel_log_loss(y, p, sample_weight=w, average=average)

    @pytest.mark.parametrize("average", AVERAGES)
    def test_sum_of_zero(self, average):
        y, p, w = case()
        for wrong in (0 * w, 0 * w[:, 0]):
            with pytest.raises(ZeroDivisionError, match="sample_weight sums to zero"):
                multilabel_log_loss(y, p, sample_weight=wrong, average=average)

    @pytest.mark.parametrize("several", [False, True])
    def test_that_cancel(self, several):
        """The sum of all is rounded once, whatever the parts are."""
        y, p = np.array([[1, 0, 1]]), np.array([[0.5, 0.5, 0.5]])
        if several:
            p = [np.array([[0.5, 0.5]])] * 3
        w = [[0.1, 0.2, -0.3]]
        weight = float(sum(map(Fraction, w[0])))
        loss = math.log(2) * weight
        found = multilabel_log_loss(y, p, sample_weight=w)
        assert abs(found * weight - loss) <= 1e-15
        with pytest.raises(ZeroDivisionError):
            multilabel_log_loss(y, p, sample_weight=[[0.25, 0.5, -0.75]])

    @pytest.mark.parametrize("factor", [1e-320, 1e-300, 1e300, 1e308])
    def test_of_any_size(self, factor):
        y, p, _ = case((40, 6))
        w = np.full(y.shape, factor)
        wanted = multilabel_log_loss(y, p)
        for weights in (w, w[:, 0]):
            for average in ("micro", "macro"):
                found = multilabel_log_loss(
                    y, p, sample_weight=weights, average=average
                )
                assert found == pytest.approx(wanted, rel=1e-14)

    def test_negative(self, rng):
        y, p, w = case((40, 6))
        w[::3] *= -0.2
        found = multilabel_log_loss(y, p, sample_weight=w)
        rows = sample_log_loss(y.ravel(), p.ravel()) * w.ravel()
        assert found == pytest.approx(math.fsum(rows) / math.fsum(w.ravel()), rel=1e-13)

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("average", AVERAGES)
    def test_not_finite(self, bad, average):
        y, p, w = case((40, 6))
        w[7, 2] = bad
        text = str(bad)
        with pytest.raises(ValueError, match=f"finite, got {text} in row 7, column 2"):
            multilabel_log_loss(y, p, sample_weight=w, average=average)
        with pytest.raises(ValueError, match=f"finite, got {text} in row 7$"):
            multilabel_log_loss(y, p, sample_weight=w[:, 2], average=average)

    @pytest.mark.parametrize(
        "bad", [np.ones(3), np.ones((33, 2)), np.ones((33, 1)), ["a"] * 33, 1.0]
    )
    def test_bad_shape(self, bad):
        y, p, _ = case()
        with pytest.raises(ValueError, match=r"sample_weight must be .*\(33, 3\)"):
            multilabel_log_loss(y, p, sample_weight=bad)


def layouts(a):
    """The same numbers, otherwise in memory."""
    wide = np.zeros((2 * len(a), 3 * a.shape[1]), a.dtype)
    wide[::2, 1::3] = a
    yield wide[::2, 1::3]
    yield np.asfortranarray(a)
    yield a[::-1, ::-1].copy()[::-1, ::-1]
    yield a.astype(a.dtype.newbyteorder())
    read_only = a.copy()
    read_only.flags.writeable = False
    yield read_only


class TestTypesAndLayouts:
    def test_layout_does_not_matter(self):
        y, p, w = case((257, 9))
        wanted = all_three(y, p, sample_weight=w)
        for others in zip(*map(layouts, (y, p, w)), strict=True):
            assert all_three(*others[:2], sample_weight=others[2]) == wanted
            assert all_three(y, others[1], sample_weight=w) == wanted
            assert all_three(others[0], p, sample_weight=w) == wanted

    def test_blocks_of_any_layout(self):
        shape = (2000, 300)  # more than one block
        y, p, w = case(shape)
        assert y.size > multilabel._BLOCK
        for weights in (None, w[:, 0], w):
            wanted = multilabel_log_loss(y, p, sample_weight=weights)
            yf, pf = np.asfortranarray(y), np.asfortranarray(p)
            assert multilabel_log_loss(yf, pf, sample_weight=weights) == wanted

    def test_threads_do_not_matter(self, monkeypatch):
        y, p, w = case((2000, 300))
        found = set()
        for n in ("1", "2"):
            monkeypatch.setenv("FASTLOGLOSS_NUM_THREADS", n)
            found.add(str(all_three(y, p, sample_weight=w)))
        assert len(found) == 1

    @pytest.mark.parametrize("dtype", [*LABEL_DTYPES, "longdouble", "O"])
    def test_labels(self, dtype):
        y, p, _ = case()
        wanted = all_three(y, p)
        assert all_three(y.astype(dtype), p) == wanted

    @pytest.mark.parametrize("dtype", ["int8", "uint16", "int64", "float32", "O"])
    def test_weights(self, dtype):
        y, p, w = case()
        w = np.round(w * 50)
        wanted = all_three(y, p, sample_weight=w)
        assert all_three(y, p, sample_weight=w.astype(dtype)) == wanted

    def test_containers(self):
        y, p, w = case()
        wanted = all_three(y, p, sample_weight=w)
        for make in (
            np.ndarray.tolist,
            pd.DataFrame,
            pl.DataFrame,
            lambda a: pd.DataFrame(a, columns=list("abc")),
            lambda a: pd.DataFrame(a, columns=list("abc"), dtype=object),
            lambda a: tuple(map(tuple, a.tolist())),
        ):
            assert all_three(make(y), make(p), sample_weight=make(w)) == wanted

    def test_bfloat16(self):
        y, p, _ = case()
        p = p.astype(ml_dtypes.bfloat16)
        wanted = all_three(y, p.astype(float))
        assert all_three(y, p) == wanted

    @pytest.mark.heavy
    def test_tensors(self):
        import torch

        y, p, w = case()
        y_of, p_of, w_of = map(torch.tensor, (y, p, w))
        wanted = all_three(y, p, sample_weight=w)
        assert all_three(y_of, p_of, sample_weight=w_of) == wanted
        p = p.astype(ml_dtypes.bfloat16).astype(float)
        wanted = all_three(y, p)
        assert all_three(y, torch.tensor(p).bfloat16()) == wanted

    @settings(max_examples=60, deadline=None)
    @given(
        st.integers(1, 40),
        st.integers(1, 12),
        st.sampled_from(["int8", "bool", "float32", "int64"]),
        st.sampled_from(["float64", "float32", "float16"]),
        st.sampled_from(["C", "F"]),
        st.sampled_from([None, 1, 2]),
    )
    def test_any(self, n, n_labels, y_dtype, p_dtype, order, ndim):
        y, p, w = case((n, n_labels), seed=1)
        w = None if ndim is None else w if ndim == 2 else w[:, 0].copy()
        y, p = y.astype(y_dtype, order=order), p.astype(p_dtype, order=order)
        wanted = by_columns(y, p.astype(float), w)
        each = multilabel_log_loss(y, p, sample_weight=w, average=None, eps=2.0**-52)
        np.testing.assert_allclose(each, wanted, rtol=1e-13)
        for j in range(n_labels):
            wj = w if ndim != 2 else w[:, j]
            one = log_loss(y[:, j], p[:, j], labels=[0, 1], sample_weight=wj)
            alone = multilabel_log_loss(y, p, sample_weight=w, average=None)[j]
            assert alone == pytest.approx(one, rel=2e-15)


@pytest.mark.parametrize("average", AVERAGES)
class TestBadInput:
    @pytest.mark.parametrize("bad", [2, -1, 0.5, math.nan, math.inf])
    def test_labels(self, bad, average):
        y, p, _ = case((30, 4))
        y = y.astype(float)
        y[5, 3] = y[20, 0] = bad
        with pytest.raises(
            ValueError, match=r"y_true must be 0 or 1, got .* row 5,"
        ) as e:
            multilabel_log_loss(y, p, average=average)
        assert "row 5, column 3" in str(e.value)
        assert ("soft_targets=True" in str(e.value)) == (bad == 0.5)

    @pytest.mark.parametrize("bad", [1.5, -1e-9, math.nan, math.inf])
    def test_probabilities(self, bad, average):
        y, p, _ = case((30, 4))
        p[5, 3] = p[20, 0] = bad
        with pytest.raises(ValueError, match=r"y_proba .* row 5, column 3"):
            multilabel_log_loss(y, p, average=average)
        several = [np.full((30, 2), 0.5) for _ in range(4)]
        several[2][7, 1] = bad
        with pytest.raises(ValueError, match=r"y_proba\[2\] .* row 7, column 1"):
            multilabel_log_loss(y, several, average=average)

    def test_logits(self, average):
        y, p, _ = case((30, 4))
        p[5, 3] = math.nan
        with pytest.raises(ValueError, match="y_proba is NaN in row 5, column 3"):
            multilabel_log_loss(y, p, from_logits=True, average=average)

    @pytest.mark.parametrize("bad", [1.5, -0.1, math.nan])
    @pytest.mark.parametrize("several", [False, True])
    def test_targets(self, bad, average, several):
        y, p, _ = case((30, 4))
        y = y.astype(float)
        y[5, 3] = bad
        if several:
            p = [np.stack([1 - c, c], axis=1) for c in p.T]
        with pytest.raises(ValueError, match=r"y_true must be in \[0, 1\]") as e:
            multilabel_log_loss(y, p, soft_targets=True, average=average)
        assert "row 5, column 3" in str(e.value)

    @pytest.mark.parametrize(
        ("y", "words"),
        [
            ([0, 1], "y_true must hold 0 and 1"),
            ([["0", "1"]], "y_true must hold 0 and 1"),
            ([[0, 1j]], "y_true must hold 0 and 1"),
            ([[0, None]], "y_true must hold 0 and 1"),
            ([[0, 1], [1]], "y_true must hold 0 and 1"),
            (np.zeros((1, 2, 1)), "y_true must hold 0 and 1"),
            (np.ma.masked_array([[0, 1]], [[0, 1]]), "y_true must hold 0 and 1"),
            (np.zeros((0, 2)), "y_true holds no labels"),
            (np.zeros((3, 0)), "y_true holds no labels"),
            (7, "y_true must hold 0 and 1"),
            (None, "y_true must hold 0 and 1"),
        ],
    )
    def test_y(self, y, words, average):
        with pytest.raises(ValueError, match=words):
            multilabel_log_loss(y, [[0.5, 0.5]], average=average)

    @pytest.mark.parametrize(
        ("p", "words"),
        [
            ([0.5, 0.5], "y_proba must hold real numbers"),
            ([["a", "b"]], "y_proba must hold real numbers"),
            (None, "y_proba must hold real numbers"),
            ([], "y_proba must hold real numbers"),
            ([[0.5, 0.5, 0.5]], r"y_proba has shape \(1, 3\), but y_true \(1, 2\)"),
            ([[0.5, 0.5]] * 2, r"y_proba has shape \(2, 2\)"),
            (np.zeros((2, 1, 2)), "y_proba must hold real numbers"),
            ([np.full((1, 2), 0.5)], "a list of 1 matrices, but y_true has 2 labels"),
            ([np.full((1, 2), 0.5)] * 3, "a list of 3 matrices"),
            (
                [np.full((1, 2), 0.5), np.ones((1, 1))],
                r"y_proba\[1\] has shape \(1, 1\).* never change in training",
            ),
            (
                [np.full((2, 2), 0.5)] * 2,
                r"y_proba\[0\] has shape \(2, 2\), but must have \(1, 2\)",
            ),
        ],
    )
    def test_p(self, p, words, average):
        with pytest.raises(ValueError, match=words):
            multilabel_log_loss([[0, 1]], p, average=average)

    @pytest.mark.parametrize("make", [scipy.sparse.csr_matrix, scipy.sparse.coo_array])
    def test_sparse(self, make, average):
        y, p, _ = case()
        with pytest.raises(TypeError, match=r"y_true is sparse: .*y_true.toarray\(\)"):
            multilabel_log_loss(make(y), p, average=average)
        with pytest.raises(TypeError, match="y_proba is sparse"):
            multilabel_log_loss(y, make(p), average=average)

    def test_names_in_another_order(self, average):
        y, p, _ = case()
        y, p = (pd.DataFrame(a, columns=["cat", "dog", "cow"]) for a in (y, p))
        for wrong in (p[["dog", "cat", "cow"]], pl.DataFrame(p[["cow", "dog", "cat"]])):
            with pytest.raises(ValueError, match=r"columns of y_proba .* of y_true"):
                multilabel_log_loss(y, wrong, average=average)
        renamed = p.rename(columns=lambda name: f"p_{name}")
        multilabel_log_loss(y, renamed, average=average)

    def test_options(self, average):
        for options, words in (
            ({"eps": 0.7}, "eps must be"),
            ({"label_smoothing": 1}, "label_smoothing must be"),
        ):
            with pytest.raises(ValueError, match=words):
                multilabel_log_loss([[0]], [[0.5]], average=average, **options)
        with pytest.raises(TypeError, match="from_logits must be"):
            multilabel_log_loss([[0]], [[0.5]], average=average, from_logits=1)


@pytest.mark.parametrize("average", ["samples", "weighted", "Micro", 0, ["micro"]])
def test_bad_average(average):
    with pytest.raises(ValueError, match="average must be 'micro', 'macro' or None"):
        multilabel_log_loss([[0]], [[0.5]], average=average)


def test_rows_that_do_not_sum_to_one():
    several = [np.array([[0.5, 0.5]]), np.array([[0.5, 0.6]])]
    with pytest.warns(UserWarning, match=r"The rows of y_proba\[1\] do not") as caught:
        multilabel_log_loss([[0, 1]], several)
    assert caught[0].filename == __file__
