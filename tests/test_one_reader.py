"""One function has one behaviour: what log_loss accepts, it accepts with every option.

scikit-learn is asked about each call, and so are ours with options that change nothing
but the way: an `eps` that is the same, a smoothing that is nearly none, logits of the
same probabilities, derivatives. They agree, or refuse by an error of the same class.
"""

import math
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn.metrics
from arrays import random_case
from compare import outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logit

from fastlogloss import (
    LogLoss,
    d2_log_loss_score,
    log_loss,
    log_loss_gradient,
    log_loss_gradient_hessian,
    sample_log_loss,
)
from fastlogloss._errors import ZeroSum, refusal
from fastlogloss._labels import Codes

WORDS = np.array(list("abcd"))


def matrix(codes, n):
    return np.eye(n, dtype=int)[codes]


def several(codes, n):
    """An indicator matrix of no label in a row, of one, or of several."""
    return (np.random.default_rng(n).random((len(codes), n)) < 0.5).astype(int)


# name -> labels of codes and a number of classes
TARGETS = {
    "codes": lambda c, n: c,
    "list": lambda c, n: c.tolist(),
    "words": lambda c, n: WORDS[c],
    "objects": lambda c, n: WORDS[c].astype(object),
    "categories": lambda c, n: pd.Categorical(WORDS[c]),
    "Series": lambda c, n: pd.Series(c),
    "nullable": lambda c, n: pd.Series(c, dtype="Int64"),
    "column": lambda c, n: c[:, None],
    "apart": lambda c, n: c * 2 - 1,
    "floats": lambda c, n: c.astype(float),
    "one-hot": matrix,
    "one-hot floats": lambda c, n: matrix(c, n).astype(float),
    "one-hot bool": lambda c, n: matrix(c, n) > 0,
    "one-hot list": lambda c, n: matrix(c, n).tolist(),
    "one-hot frame": lambda c, n: pd.DataFrame(matrix(c, n)),
    "one-hot polars": lambda c, n: pl.DataFrame(matrix(c, n)),
    "one-hot wide": lambda c, n: matrix(c, n + 1),
    "several": several,
    "no label": lambda c, n: np.zeros((len(c), n), int),
    "all labels": lambda c, n: np.ones((len(c), n), int),
    "0 and 2": lambda c, n: matrix(c, n) * 2,
    "1 and 2": lambda c, n: matrix(c, n) + 1,
    "-1 and 1": lambda c, n: matrix(c, n) * 2 - 1,
    "counts": lambda c, n: np.stack([c + i for i in range(n)], axis=1) % 4,
    "one class": lambda c, n: c * 0,
    "whole objects": lambda c, n: c.astype(object),
    "NaN": lambda c, n: np.where(np.arange(len(c)) == 1, np.nan, c),
    "fractions": lambda c, n: c + 0.5,
    "short": lambda c, n: c[:-1],
    "empty": lambda c, n: [],
    "cube": lambda c, n: np.zeros((len(c), 2, 2)),
    "None": lambda c, n: None,
    "text": lambda c, n: "abc",
    "number": lambda c, n: 3,
    "set": lambda c, n: set(c.tolist()),
    "mixed": lambda c, n: ["a", *c[1:].tolist()],
    "bytes": lambda c, n: WORDS.astype("S")[c],
    "memoryview": lambda c, n: memoryview(c),
    "masked": lambda c, n: np.ma.array(c),
    "large": lambda c, n: c.astype(np.uint64) + 2**63,
}
LABELS = {
    "none": lambda k: None,
    "sorted": lambda k: k,
    "reversed": lambda k: k[::-1],
    "reversed array": lambda k: np.array(k[::-1]),
    "reversed tuple": lambda k: tuple(k[::-1]),
    "reversed Series": lambda k: pd.Series(k[::-1]),
    "categories": lambda k: pd.Categorical(k),
    "repeated": lambda k: [*k, k[0]],
    "repeated categories": lambda k: pd.Categorical([*k, k[0]]),
    "one": lambda k: k[:1],
    "empty": lambda k: [],
    "row": lambda k: [k],
    "column": lambda k: np.array(k)[:, None],
    "less": lambda k: k[:-1],
    "more": lambda k: [*k, "z" if isinstance(k[0], str) else 9],
    "text": lambda k: "ab",
    "number": lambda k: 3,
    "others": lambda k: ["x", "y"],
    "matrix": lambda k: np.eye(len(k), dtype=int),
}
WEIGHTS = {
    "none": lambda w: None,
    "floats": lambda w: w,
    "list": lambda w: w.tolist(),
    "objects": lambda w: w.astype(object),
    "Series": pd.Series,
    "bool": lambda w: w > 0.3,
    "long": lambda w: w.astype(np.longdouble),
    "masked": np.ma.array,
    "negative": lambda w: np.where(np.arange(len(w)) == 1, -0.2, w),
    "zeros": lambda w: w * 0,
    "that cancel": lambda w: np.arange(len(w)) - (len(w) - 1) / 2,
    "NaN": lambda w: np.where(np.arange(len(w)) == 1, np.nan, w),
    "infinite": lambda w: np.where(np.arange(len(w)) == 1, np.inf, w),
    "texts": lambda w: w.astype(str),
    "None in it": lambda w: [None, *w[1:]],
    "complex": lambda w: w * 1j,
    "dates": lambda w: np.arange(len(w)).astype("M8[D]"),
    "number": lambda w: 2.0,
    "column": lambda w: w[:, None],
    "short": lambda w: w[:-1],
    "text": lambda w: "ab",
    "set": lambda w: {1, 2},
    "memoryview": memoryview,
}
SCORES = {
    "floats": lambda p: p,
    "list": lambda p: p.tolist(),
    "float32": lambda p: p.astype("f4"),
    "long": lambda p: p.astype(np.longdouble),
    "objects": lambda p: p.astype(object),
    "frame": pd.DataFrame,
    "texts": lambda p: p.astype(str),
    "sparse": lambda p: pd.DataFrame(p).astype({0: pd.SparseDtype(float)}),
    "NaN": lambda p: np.where(np.arange(p.size).reshape(p.shape) == 3, np.nan, p),
    "complex": lambda p: p * 1j,
    "None in it": lambda p: [None, *p.tolist()[1:]],
    "cube": lambda p: p[..., None, None],
    "short": lambda p: p[:-1],
    "empty": lambda p: p[:0],
    "None": lambda p: None,
    "text": lambda p: "ab",
    "number": lambda p: 0.5,
    "0-d": lambda p: np.array(0.5),
    "set": lambda p: {0.1, 0.2},
    "memoryview": memoryview,
}


def mostly(choices):
    names = list(choices)
    return st.one_of(st.just(names[0]), st.just(names[0]), st.sampled_from(names))


calls = st.fixed_dictionaries(
    {
        "n": st.sampled_from([8, 9, 300]),
        "n_columns": st.sampled_from([1, 2, 3]),
        "targets": st.sampled_from(list(TARGETS)),
        "labels": mostly(LABELS),
        "weights": mostly(WEIGHTS),
        "scores": mostly(SCORES),
        "normalize": st.sampled_from([True, True, False, 1, "yes", None]),
    }
)


def arguments(call):
    """y_true, y_proba and keywords; and logits, where there are any."""
    codes, p, w = random_case(call["n"], call["n_columns"])
    p = p * 0.9 + 0.1 / max(call["n_columns"], 2)
    n_classes = max(call["n_columns"], 2)
    classes = np.arange(n_classes).tolist()
    if call["targets"] in ("words", "objects", "categories"):
        classes = WORDS[:n_classes].tolist()
    if call["targets"] == "apart":
        classes = [2 * k - 1 for k in classes]
    keywords = {
        "sample_weight": WEIGHTS[call["weights"]](w),
        "labels": LABELS[call["labels"]](classes),
    }
    logits = None
    if call["scores"] == "floats":
        logits = logit(p) if p.ndim == 1 else np.log(p)
    y = TARGETS[call["targets"]](codes, n_classes)
    return y, SCORES[call["scores"]](p), logits, keywords


def has_one_mistake(call):
    """Of several, another may be found first."""
    mistakes = 0
    for argument in ("targets", "labels", "weights", "scores", "normalize"):
        usual = {"targets": "codes", "labels": "none", "weights": "none"}
        usual |= {"scores": "floats", "normalize": True}
        y, p, _, keywords = arguments(call | usual | {argument: call[argument]})
        keywords["normalize"] = call["normalize"] if argument == "normalize" else True
        found = outcome(sklearn.metrics.log_loss, y, p, **keywords)
        mistakes += found.error is not None
    return mistakes <= 1


TINY = {"label_smoothing": 1e-300}


def check(ours, theirs, call=None):
    """The same number, or an error of the same class; warned of labels alike."""
    if theirs.error is not None:
        assert ours.error is not None
        if call is None or has_one_mistake(call):
            assert issubclass(ours.error[0], theirs.error[0])
        return
    assert ours.error is None
    if math.isfinite(theirs.value):
        assert ours.value == pytest.approx(theirs.value, rel=2e-6, abs=1e-9)
    else:
        assert repr(ours.value) == repr(theirs.value)
    about_labels = [
        [w for w in found.warnings if "Labels passed" in w[1]]
        for found in (ours, theirs)
    ]
    assert about_labels[0] == about_labels[1]


@pytest.mark.compares
class TestOneBehaviour:
    @settings(max_examples=300)
    @given(calls)
    def test_log_loss(self, call):
        y, p, z, keywords = arguments(call)
        keywords["normalize"] = call["normalize"]
        theirs = outcome(sklearn.metrics.log_loss, y, p, **keywords)
        check(outcome(log_loss, y, p, **keywords), theirs, call)
        check(outcome(log_loss, y, p, **keywords, **TINY), theirs, call)
        check(outcome(lambda: log_loss_gradient(y, p, **keywords)[0]), theirs, call)
        check(
            outcome(lambda: log_loss_gradient_hessian(y, p, **keywords)[0]),
            theirs,
            call,
        )
        if call["scores"] != "float32":
            check(outcome(log_loss, y, p, eps=2.0**-52, **keywords), theirs, call)
        if z is not None:
            keywords["from_logits"] = True
            check(outcome(log_loss, y, z, **keywords), theirs, call)
            check(outcome(lambda: log_loss_gradient(y, z, **keywords)[0]), theirs, call)

    @settings(max_examples=150)
    @given(calls)
    def test_d2_log_loss_score(self, call):
        y, p, z, keywords = arguments(call)
        if call["weights"] == "objects":  # an AttributeError of scikit-learn
            keywords["sample_weight"] = None
        theirs = outcome(sklearn.metrics.d2_log_loss_score, y, p, **keywords)
        check(outcome(d2_log_loss_score, y, p, **keywords), theirs, call)
        check(outcome(d2_log_loss_score, y, p, **keywords, **TINY), theirs, call)
        if call["scores"] != "float32":
            check(
                outcome(d2_log_loss_score, y, p, eps=2.0**-52, **keywords), theirs, call
            )
        if z is not None:
            check(
                outcome(d2_log_loss_score, y, z, from_logits=True, **keywords),
                theirs,
                call,
            )

    @settings(max_examples=150)
    @given(calls)
    def test_rows(self, call):
        y, p, z, keywords = arguments(call)
        labels = keywords["labels"]
        theirs = outcome(sklearn.metrics.log_loss, y, p, labels=labels)

        def mean(*args, **options):
            return outcome(
                lambda: float(sample_log_loss(*args, labels=labels, **options).mean())
            )

        check(mean(y, p), theirs, call)
        check(mean(y, p, **TINY), theirs, call)
        if z is not None:
            check(mean(y, z, from_logits=True), theirs, call)

    @pytest.mark.parametrize("targets", TARGETS)
    @pytest.mark.parametrize("labels", LABELS)
    def test_labels(self, targets, labels):
        """Each with each, and with negative weights."""
        call = {"n": 8, "n_columns": 3, "scores": "floats", "weights": "negative"}
        call |= {"targets": targets, "labels": labels}
        y, p, z, keywords = arguments(call)
        theirs = outcome(sklearn.metrics.log_loss, y, p, **keywords)
        for args, options in (((y, p), TINY), ((y, z), {"from_logits": True})):
            check(outcome(log_loss, *args, **keywords, **options), theirs)

    @pytest.mark.parametrize("weights", WEIGHTS)
    @pytest.mark.parametrize("normalize", [True, False])
    @pytest.mark.parametrize("targets", ["codes", "words", "several"])
    def test_weights(self, weights, normalize, targets):
        call = {"n": 8, "n_columns": 2, "scores": "floats", "labels": "none"}
        call |= {"targets": targets, "weights": weights}
        y, p, z, keywords = arguments(call)
        keywords["normalize"] = normalize
        theirs = outcome(sklearn.metrics.log_loss, y, p, **keywords)
        for args, options in (((y, p), TINY), ((y, z), {"from_logits": True})):
            check(outcome(log_loss, *args, **keywords, **options), theirs)
            options = {} if options is TINY else options
            found = outcome(log_loss_gradient, *args, **keywords, **options)
            check(found._replace(value=found.value and found.value[0]), theirs)


@pytest.mark.compares
class TestSeveralLabels:
    """Rows of several labels: each costs, and none is normalised away."""

    @pytest.mark.parametrize("n_columns", [1, 2, 3])
    @pytest.mark.parametrize("kind", ["several", "-1 and 1", "0 and 2", "one-hot"])
    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("smoothing", [0.0, 0.2])
    @pytest.mark.parametrize("from_logits", [False, True])
    def test_formula(self, n_columns, kind, weighted, smoothing, from_logits):
        codes, p, w = random_case(50, n_columns)
        p = p * 0.9 + 0.1 / max(n_columns, 2)
        n_classes = max(n_columns, 2)
        y = TARGETS[kind](codes, n_classes)
        t = y * (1 - smoothing) + y.sum(1, keepdims=True) * smoothing / n_classes
        pairs = np.stack([1 - p, p], 1) if n_columns == 1 else p
        scores = p
        if from_logits:
            scores = logit(p) if n_columns == 1 else log_softmax(np.log(p), axis=1)
        options = {"label_smoothing": smoothing, "from_logits": from_logits}
        rows = -(t * np.log(pairs)).sum(axis=1)
        found = sample_log_loss(y, scores, **options)
        np.testing.assert_allclose(found, rows, rtol=1e-12, atol=1e-13)
        out = np.empty(50)
        assert sample_log_loss(y, scores, out=out, **options) is out
        np.testing.assert_array_equal(out, found)
        weights = w if weighted else np.ones(50)
        options["sample_weight"] = w if weighted else None
        mean = rows @ weights / weights.sum()
        if kind != "-1 and 1" and (weighted or smoothing):
            score = d2_log_loss_score(y, scores, **options)
            share = np.average(t, axis=0, weights=weights)
            null = -(share * np.log(np.clip(share, 2.0**-52, 1 - 2.0**-52))).sum()
            assert score == pytest.approx(1 - mean / null, rel=1e-11)
        assert log_loss(y, scores, **options) == pytest.approx(mean, rel=1e-12)
        if from_logits and n_columns == 1:
            slope = t.sum(axis=1) * p - t[:, 1]
        elif from_logits:
            slope = t.sum(axis=1, keepdims=True) * p - t
        elif n_columns == 1:
            slope = t[:, 0] / (1 - p) - t[:, 1] / p
        else:
            slope = -t / p
        slope = (slope.T * weights).T / weights.sum()
        for out in (None, np.empty(p.shape), np.empty(p.shape, "f4")):
            value, gradient = log_loss_gradient(y, scores, out=out, **options)
            assert value == pytest.approx(mean, rel=1e-12)
            rtol = 1e-5 if gradient.dtype == np.float32 else 1e-11
            np.testing.assert_allclose(gradient, slope, rtol=rtol, atol=rtol / 100)

    def test_nothing_costs_nothing(self):
        y = np.array([[0, 0], [1, 0]])
        assert sample_log_loss(y, [[0.0, 1.0], [1.0, 0.0]], eps=0).tolist() == [0, 0]
        assert sample_log_loss(
            y, [[-np.inf, 0.0], [np.inf, 0.0]], from_logits=True
        ).tolist() == [0, 0]


class TestD2:
    """1 - D2 is the loss over that of the mean target."""

    @pytest.mark.parametrize("n_columns", [1, 3])
    @pytest.mark.parametrize("eps", ["auto", 0, 0.01, 0.3])
    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    @pytest.mark.parametrize("soft", [False, True])
    @pytest.mark.parametrize("scale", [1.0, 1e-300, 1e306])
    def test_mean_target(self, n_columns, eps, smoothing, soft, scale):
        codes, p, w = random_case(40, n_columns)
        w = w * scale
        options = {"eps": eps, "label_smoothing": smoothing, "soft_targets": soft}
        y = random_case(40, n_columns, seed=3).p if soft else codes
        t = y if soft else np.eye(max(n_columns, 2))[codes]
        if t.ndim == 1:
            t = np.stack([1 - t, t], axis=1)
        share = np.average(t, axis=0, weights=w / scale)
        null = np.tile(share, (40, 1))
        if n_columns == 1:
            null = null[:, 1]
        if smoothing:  # the mean target after it
            null = null * (1 - smoothing) + smoothing / max(n_columns, 2)
        keywords = {"sample_weight": w, **options}
        score = d2_log_loss_score(y, p, **keywords)
        loss, worst = (log_loss(y, q, **keywords) for q in (p, null))
        assert score == pytest.approx(1 - loss / worst, rel=1e-9)
        assert d2_log_loss_score(y, null, **keywords) == pytest.approx(0, abs=1e-12)

    def test_logits(self):
        codes, p, w = random_case(40, 3)
        p = p * 0.9 + 0.1 / 3
        found = d2_log_loss_score(codes, np.log(p), from_logits=True, sample_weight=w)
        expected = d2_log_loss_score(codes, p, sample_weight=w)
        assert found == pytest.approx(expected, rel=1e-12)

    def test_nothing_to_explain(self):
        with pytest.raises(ZeroDivisionError, match="not defined"):
            d2_log_loss_score([1, 1], [0.5, 0.5], labels=[0, 1], eps=0)

    @pytest.mark.parametrize("options", [{"from_logits": True}, {"soft_targets": True}])
    def test_one_row(self, options):
        with pytest.warns(UserWarning, match="less than two"):
            assert math.isnan(d2_log_loss_score([1], [0.5], labels=None, **options))

    def test_layouts_and_blocks(self):
        _, p, w = random_case(40_000, 3)
        t = random_case(40_000, 3, seed=2).p
        expected = d2_log_loss_score(t, p, sample_weight=w, soft_targets=True)
        for layout in (np.asfortranarray, lambda a: a[::-1].copy()[::-1]):
            found = d2_log_loss_score(
                layout(t), layout(p), sample_weight=layout(w), soft_targets=True
            )
            assert found == expected


@pytest.mark.compares
class TestUnsorted:
    @pytest.mark.parametrize(
        "function", [log_loss, sample_log_loss, d2_log_loss_score, log_loss_gradient]
    )
    def test_warning_comes_before_anything_is_written(self, function):
        out = np.full((3, 3) if function is log_loss_gradient else 3, 7.0)
        keywords = {"labels": [2, 1, 0], "from_logits": True}
        if function in (sample_log_loss, log_loss_gradient):
            keywords["out"] = out
        with pytest.raises(UserWarning, match=r"Labels passed were \[2, 1, 0\]"):
            function([0, 1, 2], np.eye(3), **keywords)
        assert (out == 7).all()

    def test_scikit_learn_is_asked_about_labels_alone(self, monkeypatch):
        from fastlogloss import _sklearn

        asked, original = [], _sklearn.original

        def counting(name):
            def call(y_true, *args, **kwargs):
                asked.append(len(y_true))
                return original(name)(y_true, *args, **kwargs)

            return call

        monkeypatch.setattr(_sklearn, "original", counting)
        codes, p, _ = random_case(5000, 3)
        for options in ({}, {"eps": 0.1}, {"from_logits": True}):
            found = outcome(log_loss, codes, p, labels=[2, 0, 1], **options)
            assert found.value == log_loss(codes, p, labels=[0, 1, 2], **options)
            assert len(found.warnings) == 1
        assert asked == [3, 3, 3]


class TestErrors:
    @pytest.mark.parametrize("kind", [TypeError, ZeroDivisionError, UnicodeDecodeError])
    def test_of_two_classes(self, kind):
        if kind is UnicodeDecodeError:  # a ValueError that is not made of words
            with pytest.raises(TypeError):
                refusal(kind, "words")
            return
        error = refusal(kind, "words")
        for other in (error, pickle.loads(pickle.dumps(error))):
            assert isinstance(other, kind)
            assert isinstance(other, ValueError)
            assert str(other) == "words"

    def test_sum_of_zero(self):
        for call in (
            lambda w: log_loss([0, 1], [1.0, 2.0], sample_weight=w, from_logits=True),
            lambda w: log_loss_gradient([0, 1], [0.5, 0.5], sample_weight=w),
            lambda w: LogLoss([0, 1], sample_weight=w),
        ):
            with pytest.raises(ZeroSum, match=r"^sample_weight sums to zero"):
                call([1, -1])

    @pytest.mark.compares
    def test_words_are_ours(self):
        """Argument, row and remedy, whatever scikit-learn says of it."""
        for call, words in (
            (
                lambda: log_loss([0, 1], "ab", from_logits=True),
                "y_proba must hold real",
            ),
            (lambda: log_loss_gradient(None, [0.5]), "y_true must be a vector"),
            (
                lambda: log_loss_gradient([0, 1], [0.5, 0.5], sample_weight=["a", "b"]),
                "sample_weight must be 2 real numbers",
            ),
            (
                lambda: log_loss([0, 5], [1, 2], labels=[0, 1], from_logits=True),
                "y_true holds the label 5 in row 1, which is none of",
            ),
        ):
            with pytest.raises(ValueError, match=rf"^{words}"):
                call()


class TestNamedModels:
    P = np.array([0.25, 0.75, 0.5, 0.125])

    @pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, dict])
    def test_by_name(self, make):
        loss = LogLoss([0, 1, 1, 0])
        found = loss.many(make({"b": self.P, "a": self.P[::-1], "c": self.P * 0.5}))
        assert type(found) is dict
        assert list(found) == ["b", "a", "c"]
        assert found["b"] == loss(self.P)
        assert found["a"] == loss(self.P[::-1])
        assert {*map(type, found.values())} == {float}

    @pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame])
    def test_names_are_of_models(self, make):
        """Not of a class."""
        loss = LogLoss(["no", "yes"])
        assert loss.many(make({"no": [0.5, 0.5]})) == {"no": math.log(2)}

    @pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, dict])
    def test_errors_name_the_model(self, make):
        loss = LogLoss([0, 1])
        with pytest.raises(ValueError, match=r"in row 1 of model 'b'"):
            loss.many(make({"a": [0.5, 0.5], "b": [0.5, 1.5]}))

    def test_matrices(self):
        p = np.array([[0.2, 0.3, 0.5], [0.4, 0.4, 0.2], [0.1, 0.2, 0.7]])
        loss = LogLoss([2, 0, 1])
        assert loss.many({"m": p, 3: pd.DataFrame(p)}) == {"m": loss(p), 3: loss(p)}
        with pytest.warns(UserWarning, match="of model 'm'"):
            loss.many({"m": p * 0.9})
        with pytest.raises(ValueError, match=r"2 classes.*of model 'x'"):
            loss.many(pd.DataFrame({"x": p[:, 0]}))

    def test_empty(self):
        assert LogLoss([0, 1]).many({}) == {}


class TestPrepared:
    @pytest.mark.parametrize("n", [4, 20_000])
    @pytest.mark.parametrize("from_logits", [False, True])
    def test_sum(self, n, from_logits):
        codes, p, w = random_case(n, 1)
        keywords = {"sample_weight": w, "from_logits": from_logits}
        loss = LogLoss(codes, **keywords)
        expected = log_loss(codes, p, normalize=False, **keywords)
        assert loss(p, normalize=False) == expected
        assert loss(p, normalize=np.True_) == loss(p)
        with pytest.raises(TypeError, match=r"^normalize must be"):
            loss(p, normalize=1)

    @pytest.mark.parametrize("n_columns", [1, 3])
    def test_samples_into(self, n_columns):
        codes, p, _ = random_case(300, n_columns)
        loss, out = LogLoss(codes), np.empty(600)[::2]
        assert loss.samples(p, out=out) is out
        np.testing.assert_array_equal(out, loss.samples(p))
        kept = out.copy()
        p[-1] = np.nan
        with pytest.raises(ValueError, match="row 299"):
            loss.samples(p, out=out)
        np.testing.assert_array_equal(out, kept)
        with pytest.raises(ValueError, match=r"^out has shape"):
            loss.samples(p, out=np.empty(2))


class TestShortWay:
    """It changes no bit, and no error."""

    @pytest.mark.parametrize("n", [1, 2, 100, 3000])
    @pytest.mark.parametrize("n_columns", [1, 2, 3])
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"eps": 0.01},
            {"from_logits": True},
            {"label_smoothing": 0.1},
            {"soft_targets": True},
        ],
    )
    def test_same_bits(self, monkeypatch, n, n_columns, options):
        from fastlogloss import _short

        codes, p, w = random_case(n, n_columns)
        apart = codes * 2 - 1
        labels = list(range(max(n_columns, 2)))
        if options.get("soft_targets"):
            apart = codes = random_case(n, n_columns, seed=5).p
            labels = None
        calls = [
            lambda: log_loss(codes, p, **options),
            lambda: log_loss(codes, p, labels=labels, **options),
            lambda: log_loss(codes, p, labels=labels, sample_weight=w, **options),
            lambda: log_loss(apart, p, sample_weight=w, **options),
            lambda: log_loss(apart.astype(float), p, **options),
            lambda: log_loss(pd.Series(codes.ravel()), pd.Series(p.ravel()), **options),
            lambda: log_loss_gradient(codes, p, **options),
            lambda: log_loss_gradient(codes, p, labels=labels, **options),
            lambda: log_loss_gradient_hessian(codes, p, normalize=False, **options),
            lambda: log_loss_gradient(codes, p, out=np.empty(p.shape), **options),
        ]
        found = [outcome(call) for call in calls]
        monkeypatch.setattr(_short, "mean", lambda *args: None)
        monkeypatch.setattr(_short, "derivatives", lambda *args: None)
        for call, short in zip(calls, found, strict=True):
            expected = outcome(call)
            assert short.error == expected.error
            assert short.warnings == expected.warnings
            np.testing.assert_equal(short.value, expected.value)

    @pytest.mark.parametrize("view", [lambda a: a, lambda a: a[:]])
    def test_out_is_no_argument(self, view):
        p, t = np.array([0.25, 0.5]), np.array([0.25, 0.75])
        for out in (p, t, p[:], p.view()):
            with pytest.raises(ValueError, match=r"^out overlaps"):
                log_loss_gradient(view(t), view(p), soft_targets=True, out=out)
        both = np.empty(2)
        with pytest.raises(ValueError, match=r"^out overlaps"):
            log_loss_gradient_hessian([0, 1], p, out=(both, both))
        loss = LogLoss([0, 1])
        with pytest.raises(ValueError, match=r"^out overlaps"):
            loss.loss_gradient(view(p), out=p)

    def test_options_that_cannot_be_remembered(self):
        for options in (
            {"eps": np.array(0.1)},
            {"label_smoothing": np.array([0.1, 0.2])},
            {"from_logits": []},
            {"soft_targets": np.array(True)},
        ):
            for function in (log_loss, log_loss_gradient, sample_log_loss):
                with pytest.raises(TypeError, match=rf"^{next(iter(options))} must be"):
                    function([0, 1], [0.5, 0.5], **options)

    def test_flags_are_not_numbers(self):
        """Though they are equal, and one has been seen."""
        log_loss([0, 1], [0.5, 0.5], from_logits=True, eps=0)
        with pytest.raises(TypeError, match="from_logits"):
            log_loss([0, 1], [0.5, 0.5], from_logits=1, eps=0)
        with pytest.raises(TypeError, match="eps"):
            log_loss([0, 1], [0.5, 0.5], from_logits=True, eps=False)

    @pytest.mark.parametrize("function", [log_loss, log_loss_gradient])
    @pytest.mark.parametrize("false", [False, np.False_])
    def test_flags_of_numpy(self, function, false):
        """Labels that lack a class are refused by whichever False."""
        with pytest.raises(ValueError, match="label"):
            function([0, 0], [0.5, 0.5], soft_targets=false)
        with pytest.raises(ValueError, match="label"):
            function(np.array([0, 0]), np.array([0.5, 0.5]), soft_targets=false)

    @pytest.mark.parametrize("labels", [[np.array([0, 1]), 1], [pd.NA, 1], [[0], 1]])
    def test_labels_that_do_not_compare(self, labels):
        y, p = np.array([0, 1]), np.array([0.5, 0.5])
        theirs = outcome(sklearn.metrics.log_loss, y, p, labels=labels)
        check(outcome(log_loss, y, p, labels=labels), theirs)
        check(outcome(log_loss_gradient, y, p, labels=labels), theirs)


class TestNamedLabels:
    """Numbers whose classes are named are read by the kernel alone, once."""

    @pytest.mark.parametrize("dtype", ["i8", "u2", "f4", "f8"])
    @pytest.mark.parametrize("labels", [[1, 2], [3, 5, 9]])
    @pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}])
    def test_one_look(self, dtype, labels, options, monkeypatch):
        codes, p, _ = random_case(60, 1 if len(labels) == 2 else 3)
        y = np.array(labels, dtype)[codes]
        functions = log_loss, sample_log_loss, d2_log_loss_score, log_loss_gradient
        keywords = {"labels": labels, **options}
        monkeypatch.setattr(Codes, "chunk", None)
        for function in functions:
            found = function(y, p, **keywords)
            expected = function(codes, p, **options)
            np.testing.assert_equal(found, expected)

    @pytest.mark.parametrize("row", [0, 40])
    @pytest.mark.parametrize("dtype", [np.int64, np.float64])
    def test_unseen_label_is_named_first(self, row, dtype):
        """Before scores that are wrong, wherever these are."""
        y, p = np.array([1, 2] * 30, dtype), np.full(60, 0.5)
        y[row], p[20] = 7, np.nan
        options = {"labels": [1, 2], "label_smoothing": 0.1}
        for function in (log_loss, sample_log_loss, log_loss_gradient):
            with pytest.raises(ValueError, match=f"7(.0)? in row {row}"):
                function(y, p, **options)
