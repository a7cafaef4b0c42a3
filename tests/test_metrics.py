"""The public functions: parity with scikit-learn, and what is ours alone."""

import inspect
import math
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn.metrics
from arrays import (
    LABEL_TYPES,
    LAYOUTS,
    LENGTHS,
    NOT_IN_SKLEARN,
    TWO_VALUED,
    random_case,
)
from compare import METRICS, assert_same, both, outcome
from hypothesis import given, settings
from hypothesis import strategies as st

import fastlogloss
from fastlogloss import (
    _losses,
    _reference,
    _sklearn,
    d2_log_loss_score,
    log_loss,
    metrics,
    sample_log_loss,
    scorers,
)
from fastlogloss._arrays import adds_pairwise, limits, sum_tolerance

EPS = 2.0**-52


# --- Parity: both raise or neither raises, and then the values agree ----------------

MISTAKES = {
    "none": lambda p: p,
    "nan": lambda p: _put(p, np.nan),
    "inf": lambda p: _put(p, np.inf),
    "negative": lambda p: _put(p, -0.25),
    "above one": lambda p: _put(p, 1.25),
    "all above one": lambda p: p + 1,
    "no sum": lambda p: p * 0.9,
    "nearly a sum": lambda p: p * (1 - 1.3e-8),
    "hardly a sum": lambda p: p * (1 - 0.9e-8),
    "short": lambda p: p[:-1],
    "long": lambda p: np.concatenate([p, p[-1:]]),
    "empty": lambda p: p[:0],
    "zeros and ones": np.round,
    "a dimension more": lambda p: p[..., None],
    "two more": lambda p: p[..., None, None],
    "a column less": lambda p: p[..., :-1],
    "transposed": lambda p: p.T,
}
WEIGHTS = {
    "none": lambda w: None,
    "random": lambda w: w,
    "list": lambda w: w.tolist(),
    "float32": lambda w: w.astype(np.float32),
    "float16": lambda w: w.astype(np.float16),
    "int": lambda w: (w * 10).astype(int),
    "bool": lambda w: w > 0.3,
    "one zero": lambda w: _put(w, 0),
    "one negative": lambda w: _put(w, -0.05),
    "zeros": lambda w: w * 0,
    "nan": lambda w: _put(w, np.nan),
    "inf": lambda w: _put(w, np.inf),
    "short": lambda w: w[:-1],
    "column": lambda w: w[:, None],
    "str": lambda w: w.astype(str),
    "scalar": lambda w: 2.0,
}
LABELS = {
    "none": lambda labels: None,
    "sorted": lambda labels: labels,
    "list": lambda labels: labels.tolist() if hasattr(labels, "tolist") else labels,
    "reversed": lambda labels: labels[::-1],
    "repeated": lambda labels: [*labels, labels[0]],
    "one less": lambda labels: labels[:-1],
    "one": lambda labels: labels[:1],
    "empty": lambda labels: labels[:0],
    "two dimensions": lambda labels: [labels],
    "others": lambda labels: ["x", "y"],
}


def _put(a, value):
    a = a.copy()
    if a.size:
        a.flat[a.size // 2] = value
    return a


# The likely choice comes first and twice: most examples have one mistake or none.
def _mostly(choices):
    names = list(choices)
    return st.one_of(st.just(names[0]), st.just(names[0]), st.sampled_from(names))


def _label_type(name):
    # Two-valued types take what is not class 0 for class 1.
    if name in TWO_VALUED:
        return lambda codes: LABEL_TYPES[name](codes > 0)
    return LABEL_TYPES[name]


calls = st.fixed_dictionaries(
    {
        "n": st.one_of(st.integers(1, 40), st.sampled_from([255, 256, 257, 511, 513])),
        "n_columns": st.sampled_from([1, 2, 3, 5]),
        "pairs": st.booleans(),
        "dtype": st.sampled_from(["float64", "float32", "float16", "longdouble"]),
        "layout": st.sampled_from(list(LAYOUTS)),
        "label_type": st.sampled_from(sorted(set(LABEL_TYPES) - NOT_IN_SKLEARN)),
        "mistake": _mostly(MISTAKES),
        "weights": _mostly(WEIGHTS),
        "labels": _mostly(LABELS),
        "constant": st.sampled_from([False, False, False, True]),
        "normalize": st.booleans(),
        "seed": st.integers(0, 3),
    }
)


def arguments(call):
    """What the call passes: y_true, y_proba and keywords."""
    n, n_columns = call["n"], call["n_columns"]
    codes, p, w = random_case(n, n_columns, call["seed"], call["dtype"])
    if call["constant"]:
        codes[:] = codes[0]
    to_labels = _label_type(call["label_type"])
    y = to_labels(codes)
    # Byte-swapped, large uint64 are a TypeError of numpy within scikit-learn.
    if isinstance(y, np.ndarray) and call["label_type"] != "large uint":
        y = LAYOUTS[call["layout"]](y)
    p = LAYOUTS[call["layout"]](MISTAKES[call["mistake"]](p))
    labels = np.asarray(to_labels(np.arange(max(n_columns, 2)))).ravel()
    keywords = {
        "sample_weight": WEIGHTS[call["weights"]](w),
        "labels": LABELS[call["labels"]](labels),
    }
    return y, p, keywords


def matrix_column(*values):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.matrix(values).T


class TestParity:
    @settings(max_examples=600)
    @given(calls)
    def test_log_loss(self, call):
        y, p, keywords = arguments(call)
        dtype = call["dtype"].replace("longdouble", "float64")
        n = 1 if call["normalize"] else call["n"]
        keywords["normalize"] = call["normalize"]
        assert_same("log_loss", y, p, dtype=dtype, n_summed=n, **keywords)

    @settings(max_examples=400)
    @given(calls)
    def test_d2_log_loss_score(self, call):
        y, p, keywords = arguments(call)
        dtype = call["dtype"].replace("longdouble", "float64")
        assert_same("d2_log_loss_score", y, p, dtype=dtype, **keywords)

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10])
    def test_all_lengths(self, metric, n_columns):
        for n in LENGTHS:
            if n >= max(n_columns, 2):
                codes, p, w = random_case(n, n_columns)
                assert_same(metric, codes, p, sample_weight=w)

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("mistake", MISTAKES)
    @pytest.mark.parametrize("n_columns", [1, 2, 3])
    @pytest.mark.parametrize("weights", ["none", "random"])
    def test_mistakes(self, metric, mistake, n_columns, weights):
        """Every mistake, at a length that needs several blocks too."""
        for n in (6, 20_000):
            codes, p, w = random_case(n, n_columns)
            w = WEIGHTS[weights](w)
            assert_same(metric, codes, MISTAKES[mistake](p), sample_weight=w)

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("weights", WEIGHTS)
    @pytest.mark.parametrize("n_columns", [1, 3])
    def test_weights(self, metric, weights, n_columns):
        codes, p, w = random_case(40, n_columns)
        assert_same(metric, codes, p, sample_weight=WEIGHTS[weights](w))

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("w", [[-0.05, 1, 1], [1, -0.05, -0.1], [-1, -2, -1]])
    def test_negative_weights(self, metric, w):
        """Shares of the classes may then be negative, or above one."""
        assert_same(metric, [0, 1, 1], [0.2, 0.7, 0.6], sample_weight=w)

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("labels", LABELS)
    @pytest.mark.parametrize("n_columns", [1, 2, 3])
    @pytest.mark.parametrize("label_type", ["int64", "str", "float64", "pandas str"])
    def test_labels(self, metric, labels, n_columns, label_type):
        codes, p, _ = random_case(40, n_columns)
        to_labels = LABEL_TYPES[label_type]
        classes = np.asarray(to_labels(np.arange(max(n_columns, 2))))
        keywords = {"labels": LABELS[labels](classes)}
        assert_same(metric, to_labels(codes), p, **keywords)
        assert_same(metric, to_labels(codes * 0), p, **keywords)

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("n_columns", [1, 2])
    def test_one_class(self, metric, n_columns):
        _, p, _ = random_case(9, n_columns)
        for y in ([0] * 9, [1] * 9, ["a"] * 9, [True] * 9, [0.0] * 9):
            assert_same(metric, y, p)

    @pytest.mark.parametrize(
        "normalize", [True, False, np.True_, 1, 0, "yes", None, [True]]
    )
    def test_normalize(self, normalize):
        assert_same("log_loss", [0, 1, 1], [0.1, 0.8, 0.7], normalize=normalize)

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("labels", [None, [0, 1]])
    def test_few_rows(self, metric, labels):
        for y, p in (([], []), ([1], [0.3]), ([0], [[0.3, 0.7]]), ([0, 1], [0.2, 0.2])):
            assert_same(metric, y, p, labels=labels)

    @pytest.mark.parametrize("metric", METRICS)
    def test_indicator_matrix(self, metric):
        codes, p, w = random_case(30, 3)
        assert_same(metric, np.eye(3)[codes], p)
        assert_same(metric, np.eye(3, dtype=int)[codes], p, sample_weight=w)
        assert_same(metric, np.eye(3)[codes], p, labels=[0, 1, 2])

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize(
        "y",
        [
            np.array([0.5, 1.0, 1.5]),
            np.array([0.0, np.nan, 1.0]),
            np.array([0.0, np.inf, 1.0]),
            np.array([0, None, 1], dtype=object),
            np.array(["a", None, "b"], dtype=object),
            np.array(["a", 1, "b"], dtype=object),
            np.array([b"a", b"b", b"b"]),
            np.array([0, 1, 2]),
            np.array([0, 1 + 1j, 1]),
            np.array([0, 1, 1], dtype="M8[D]"),
            np.array([0, 1, 1], dtype="m8[s]"),
            np.zeros((3, 2)),
            np.zeros((3, 1, 1)),
            np.array(1),
            np.array([-0.0, 1, 0.0]),
            np.ma.masked_array([0, 1, 1], mask=[0, 0, 1]),
            [[0, 1], [1]],
            [0, "a", 1],
            ["", "a", "a"],
            ["a", "a\0", "a"],
            "abc",
            b"abc",
            {0: 1, 1: 1, 2: 0},
            {0, 1, 2},
            iter([0, 1, 1]),
            range(3),
            None,
            3,
            [10**30, 0, 1],
            [2**63, -1, 0],
            object(),
        ],
        ids=lambda y: str(y).replace("\n", " ")[:30].split(" at 0x")[0],
    )
    def test_odd_targets(self, metric, y):
        assert_same(metric, y, [0.2, 0.7, 0.6])
        assert_same(metric, y, np.array([0.2, 0.7, 0.6]))

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize(
        "p",
        [
            None,
            0.5,
            "abc",
            [],
            [[]],
            np.array(0.5),
            ["0.1", "0.2", "0.9"],
            ["a", "b", "c"],
            [0.1, None, 0.9],
            [0.1, "0.2", 0.9],
            np.array([0.1, 0.2j, 0.9]),
            np.array([0, 1, 1]),
            np.array([0, 2, 1]),
            np.array([0, 1, 1], dtype="M8[D]"),
            np.array([False, True, True]),
            [[0.1, 0.9], [0.2]],
            np.ma.masked_array([0.1, 0.2, 0.9], mask=[0, 0, 1]),
            matrix_column(0.1, 0.2, 0.9),
            {0: 0.1, 1: 0.2, 2: 0.9},
            object(),
        ],
        ids=lambda p: str(p).replace("\n", " ")[:30].split(" at 0x")[0],
    )
    @pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
    def test_odd_probabilities(self, metric, p):
        assert_same(metric, [0, 1, 1], p)
        assert_same(metric, np.array([0, 1, 1]), p)


# --- Rows that do not sum to one ----------------------------------------------------

SUM_LAYOUTS = {
    **{name: LAYOUTS[name] for name in LAYOUTS if name != "byte-swapped"},
    "fortran, unaligned": lambda p: LAYOUTS["unaligned"](p.T.copy()).T,
    "fortran, negative": lambda p: np.flip(np.asfortranarray(np.flip(p))),
    "one row": lambda p: np.broadcast_to(p[-1], p.shape),
    "pandas": pd.DataFrame,
}
OFF_ROWS = {
    "all": slice(None),
    "first": slice(0, 1),
    "last": slice(-1, None),
    "some": slice(1, None, 7),
}
off_calls = st.fixed_dictionaries(
    {
        "n": st.sampled_from([1, 2, 3, 40, 300, 9000]),
        "n_columns": st.sampled_from([2, 3, 7, 8, 9, 17, 33, 130]),
        "dtype": st.sampled_from(["float64", "float32", "float16"]),
        "layout": st.sampled_from(list(SUM_LAYOUTS)),
        "part": st.sampled_from(
            [0.5, 0.999, 0.999999, 1 - 1e-9, 1.0, 1 + 1e-9, 1.000001, 1.1, 30]
        ),
        "sign": st.sampled_from([1, -1]),
        "rows": st.sampled_from(list(OFF_ROWS)),
        "words": st.booleans(),
        "weighted": st.booleans(),
        "seed": st.integers(0, 1000),
    }
)


def off_arguments(call):
    """What the call passes: y_true, y_proba and keywords."""
    n_columns = call["n_columns"]
    n = min(call["n"], 40_000 // n_columns)
    codes, p, w = random_case(n, n_columns, call["seed"])
    tolerance = 1e-8 + float(np.finfo(call["dtype"]).eps) ** 0.5
    p[OFF_ROWS[call["rows"]]] *= 1 + call["sign"] * call["part"] * tolerance
    p = np.clip(p, 0, 1).astype(call["dtype"])
    to_labels = LABEL_TYPES["str" if call["words"] else "int64"]
    keywords = {
        "labels": to_labels(np.arange(n_columns)),
        "sample_weight": w if call["weighted"] else None,
    }
    return to_labels(codes), SUM_LAYOUTS[call["layout"]](p), keywords


@pytest.fixture
def handed_over(monkeypatch):
    """Numbers of rows that scikit-learn is given."""
    given, original = [], _sklearn.original

    def counting(name):
        def call(y_true, y_proba, **keywords):
            given.append(len(y_proba))
            return original(name)(y_true, y_proba, **keywords)

        return call

    for module in (_sklearn, scorers):
        monkeypatch.setattr(module, "original", counting)
    return given


class TestRowSums:
    """scikit-learn's warning, at the price of a few of its rows."""

    @settings(max_examples=600)
    @given(off_calls)
    def test_warns_where_sklearn_does(self, call):
        """About the tolerance, whatever rounds the sums; and whatever it costs."""
        y, p, keywords = off_arguments(call)
        ours, theirs = both("log_loss", y, p, **keywords)
        assert ours.error is theirs.error is None
        assert ours.warnings == theirs.warnings
        codes = np.searchsorted(keywords["labels"], y)
        eps = float(np.finfo(call["dtype"]).eps)
        losses = _reference.sample_losses(codes, np.asarray(p), eps)
        expected = np.average(losses, weights=keywords["sample_weight"])
        assert ours.value == pytest.approx(expected, rel=1e-13)

    @pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
    @pytest.mark.parametrize("layout", ["contiguous", "fortran", "columns strided"])
    @pytest.mark.parametrize("n_columns", [2, 3, 10, 130])
    def test_numpy_adds_up_some_rows_as_all(self, layout, dtype, n_columns):
        """What the handover builds on; but for a single row."""
        p = LAYOUTS[layout](random_case(9001, n_columns, dtype=dtype).p)
        sums = p.sum(axis=1)
        for start, stop in ((0, 2), (17, 19), (8999, 9001), (1, 5000), (4096, 9001)):
            np.testing.assert_array_equal(p[start:stop].sum(axis=1), sums[start:stop])

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    @pytest.mark.parametrize("layout", ["C", "F", "rows", "columns", "reversed"])
    @pytest.mark.parametrize("n_columns", [2, 9, 65, 129, 1000, 9001, 20_000])
    def test_how_numpy_rounds_sums(self, layout, dtype, n_columns):
        """Never by more than `limits` allows for."""
        rng = np.random.default_rng(n_columns)
        wide = rng.dirichlet(np.ones(n_columns), 6)
        wide[::2] = wide[::2] * 0 + 0.999 / n_columns  # which all round alike
        p = np.array(wide, dtype, order="F" if layout == "F" else "C")
        if layout == "rows":
            p = p[::2]
        elif layout == "columns":
            p = np.repeat(p, 2, axis=1)[:, ::2]
        elif layout == "reversed":
            p = p[::-1, ::-1]
        exact = np.array([math.fsum(row) for row in p.tolist()])
        eps, tolerance = limits(p.dtype, n_columns, adds_pairwise(p))
        error = np.abs(p.sum(axis=1).astype(np.float64) - exact).max()
        assert error <= sum_tolerance(eps) - tolerance
        assert adds_pairwise(p) == (layout != "F")
        assert tolerance > 0 or layout == "F"

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    @pytest.mark.parametrize(
        ("order", "n_columns"), [("C", 66), ("C", 130), ("C", 6000), ("F", 66)]
    )
    def test_good_sums_of_many_columns(self, handed_over, dtype, order, n_columns):
        y = np.arange(12) % n_columns
        p = np.full((12, n_columns), 2.0**-13, dtype, order=order)
        p[:, 0] += np.dtype(dtype).type(1 - n_columns * 2.0**-13)
        labels = np.arange(n_columns)
        assert math.isfinite(log_loss(y, p, labels=labels))
        assert not handed_over
        log_loss(y, p, labels=labels, label_smoothing=0.1)  # without a warning

    @pytest.mark.parametrize("rows", OFF_ROWS)
    @pytest.mark.parametrize("part", [0.999999, 1 - 1e-9, 1.0, 1.1, 1e6])
    @pytest.mark.parametrize("n_columns", [2, 3, 10])
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_few_rows_are_handed_over(self, handed_over, dtype, n_columns, part, rows):
        codes, p, w = random_case(20_000, n_columns)
        tolerance = 1e-8 + float(np.finfo(dtype).eps) ** 0.5
        p[OFF_ROWS[rows]] *= max(0.9, 1 - part * tolerance)
        p = p.astype(dtype)
        classes = np.arange(n_columns)
        for call in (
            lambda: log_loss(codes, p),
            lambda: log_loss(codes, p, sample_weight=w, normalize=False),
            lambda: log_loss(codes, p, eps=0.01),
            lambda: log_loss(codes.astype(str), p, labels=classes.astype(str)),
            lambda: d2_log_loss_score(codes, p),
            lambda: sample_log_loss(codes, p),
            lambda: sample_log_loss(codes, p, out=np.empty(len(p))),
            lambda: scorers._log_loss_by_class(
                codes, p, classes=classes[::-1].tolist()
            ),
        ):
            given = outcome(call).warnings
            assert len(given) <= 1
            assert handed_over == [2] * len(given)
            handed_over.clear()
        if part == 1e6:
            assert given

    @pytest.mark.parametrize("n_columns", [2, 3])
    def test_points_to_sklearn(self, n_columns):
        """So that whoever filters by module or line filters ours as well."""
        codes, p, _ = random_case(300, n_columns)
        places = []
        for function in (log_loss, sample_log_loss, sklearn.metrics.log_loss):
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                function(codes, p * 0.9)
            places += [(w.filename, w.lineno, str(w.message)) for w in caught]
        assert len(places) == 3
        assert len(set(places)) == 1

    @pytest.mark.parametrize("metric", METRICS)
    def test_as_an_error(self, metric):
        codes, p, _ = random_case(300, 3)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(UserWarning, match="do not sum to one") as raised:
                getattr(fastlogloss, metric)(codes, p * 0.9)
        assert "sklearn" in str(raised.traceback[-1].path)
        assert not hasattr(raised.value, "__notes__")

    def test_while_patched(self):
        codes, p, _ = random_case(300, 3)
        expected = outcome(sklearn.metrics.log_loss, codes, p * 0.9)
        with fastlogloss.patched_sklearn():
            ours = outcome(sklearn.metrics.log_loss, codes, p * 0.9)
        assert ours.warnings == expected.warnings
        assert ours.warnings


class TestBetter:
    """Right answers where scikit-learn stumbles over the type of an argument."""

    def test_column_of_lists(self):
        assert log_loss([[0], [1], [1]], [0.2, 0.7, 0.6]) == log_loss(
            [0, 1, 1], [0.2, 0.7, 0.6]
        )

    def test_objects_as_weights(self):
        codes, p, w = random_case(20, 3)
        value = d2_log_loss_score(codes, p, sample_weight=w.astype(object))
        assert value == d2_log_loss_score(codes, p, sample_weight=w)

    def test_labels_of_polars(self):
        value = log_loss(["a", "b"], [0.2, 0.7], labels=pl.Series(["a", "b"]))
        assert value == log_loss(["a", "b"], [0.2, 0.7])


class TestOldName:
    """y_pred, which scikit-learn 1.9 renamed to y_proba."""

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("weights", [None, [1, 2, 1]])
    def test_alone(self, metric, weights):
        assert_same(metric, [0, 1, 1], y_pred=[0.2, 0.7, 0.6], sample_weight=weights)

    @pytest.mark.parametrize("metric", METRICS)
    def test_both_or_none(self, metric):
        ours, theirs = both(metric, [0, 1], [0.2, 0.7], y_pred=[0.2, 0.7])
        assert ours.error[0] is theirs.error[0]
        ours = outcome(getattr(fastlogloss, metric), [0, 1])
        assert ours.error is not None

    @pytest.mark.skipif(
        "y_proba" not in inspect.signature(sklearn.metrics.log_loss).parameters,
        reason="scikit-learn before 1.9 has one name alone",
    )
    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("y_pred", ["deprecated", "other", None, [0.2, 0.7]])
    @pytest.mark.parametrize("y_proba", [None, [0.2, 0.7]])
    def test_each_combination(self, metric, y_proba, y_pred):
        assert_same(metric, [0, 1], y_proba, y_pred=y_pred)
        assert_same(metric, [0, 1], y_proba=y_proba, y_pred=y_pred)

    def test_with_eps(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            value = log_loss([0, 1], y_pred=[0.0, 0.0], eps=0.1)
        assert value == log_loss([0, 1], [0.0, 0.0], eps=0.1)


class TestSignature:
    @pytest.mark.parametrize("metric", METRICS)
    def test_order_and_kind(self, metric):
        """Ours is theirs (of 1.9), and then ours alone."""
        ours = inspect.signature(getattr(fastlogloss, metric)).parameters
        theirs = inspect.signature(getattr(sklearn.metrics, metric)).parameters
        if "y_proba" in theirs:
            assert list(ours)[: len(theirs)] == list(theirs)
            for name, parameter in theirs.items():
                assert ours[name].default == parameter.default
                assert ours[name].kind == parameter.kind
        own = {"eps", "from_logits", "soft_targets", "label_smoothing"}
        assert set(ours) - set(theirs) <= own | {"y_proba"}

    def test_keyword_y_proba(self):
        assert log_loss([0, 1], y_proba=[0.2, 0.7]) == log_loss([0, 1], [0.2, 0.7])


# --- One answer: threads, variants, layouts ------------------------------------------


@pytest.mark.usefixtures("engine")
class TestSameBits:
    @pytest.mark.parametrize("n", [3, 257, 4097, 33000])
    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10])
    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    def test_base_and_one_thread(self, n, n_columns, weighted, base, monkeypatch):
        """The engine of this test against the one of `base` without threads."""
        case = random_case(max(n, n_columns), n_columns)
        w = case.w if weighted else None
        results = [everything(case.codes, case.p, w)]
        from fastlogloss import _engine, _short

        monkeypatch.setattr(_short, "loops", base)
        monkeypatch.setattr(_engine, "loops", base)
        monkeypatch.setattr(metrics, "mean_loss", base.mean_loss)
        monkeypatch.setattr(_engine, "threads_for", lambda nanoseconds: 1)
        results.append(everything(case.codes, case.p, w))
        assert results[0] == results[1]

    @pytest.mark.parametrize(
        ("layout", "dtype"),
        [
            (layout, dtype)
            for layout in LAYOUTS
            for dtype in ("float64", "float32", "float16")
            if layout != "byte-swapped" or dtype == "float64"  # see the next test
        ],
    )
    @pytest.mark.parametrize("n_columns", [1, 2, 3])
    def test_layouts(self, layout, dtype, n_columns):
        lay_out = LAYOUTS[layout]
        for n in (4, 33, 257, 33000):
            codes, p, w = random_case(n, n_columns, dtype=dtype)
            for weights in (None, w):
                expected = everything(codes, p, weights)
                moved = None if weights is None else lay_out(weights)
                assert everything(lay_out(codes), lay_out(p), moved) == expected
                assert everything(codes, lay_out(p), weights) == expected
                assert everything(lay_out(codes), p, moved) == expected

    @pytest.mark.parametrize("dtype", ["float32", "float16"])
    def test_byte_swapped_narrow_floats(self, dtype):
        """Float64 to scikit-learn, which knows native narrow floats alone."""
        swap = LAYOUTS["byte-swapped"]
        for n in (4, 33, 257, 33000):
            codes, p, w = random_case(n, 1, dtype=dtype)
            p[0] = 1 - codes[0]
            expected = everything(codes, p.astype(np.float64), w)
            assert everything(swap(codes), swap(p), swap(w)) == expected

    @pytest.mark.parametrize("label_type", LABEL_TYPES)
    def test_label_types(self, label_type):
        for n in (4, 2000):
            for n_columns in (1,) if label_type in TWO_VALUED else (1, 3):
                codes, p, w = random_case(n, n_columns)
                expected = everything(codes, p, w)
                assert everything(LABEL_TYPES[label_type](codes), p, w) == expected

    def test_rows_in_order(self):
        """Each row's loss is that of the row alone."""
        codes, p, _ = random_case(700, 3)
        rows = sample_log_loss(codes, p)
        for i in (0, 1, 255, 256, 699):
            part = slice(i, i + 1)
            alone = sample_log_loss(codes[part], p[part], labels=[0, 1, 2])
            assert alone[0] == rows[i]


def everything(y, p, w):
    """All numbers that the public functions have to say, to the last bit."""
    return (
        log_loss(y, p, sample_weight=w),
        log_loss(y, p, sample_weight=w, normalize=False),
        log_loss(y, p, sample_weight=w, eps=0),
        d2_log_loss_score(y, p, sample_weight=w),
        sample_log_loss(y, p).tobytes(),
        sample_log_loss(y, p, eps=0).tobytes(),
    )


# --- Ours alone ----------------------------------------------------------------------


class TestEps:
    @pytest.mark.parametrize("function", [log_loss, sample_log_loss])
    @pytest.mark.parametrize("eps", [-1e-9, 0.5, 1, 1.0, np.nan, np.inf, -np.inf, -1])
    def test_out_of_range(self, function, eps):
        with pytest.raises(ValueError, match=r"eps must be 'auto' or a number in"):
            function([0, 1], [0.2, 0.7], eps=eps)

    @pytest.mark.parametrize("function", [log_loss, sample_log_loss])
    @pytest.mark.parametrize(
        "eps",
        ["Auto", "", b"auto", None, True, False, 0.1j, [0.1], np.array([0.1, 0.2])],
    )
    def test_no_number(self, function, eps):
        with pytest.raises(TypeError, match=r"eps must be 'auto' or a number in"):
            function([0, 1], [0.2, 0.7], eps=eps)

    @pytest.mark.parametrize(
        "eps", [0, 0.1, np.float64(0.1), np.float32(0.25), np.int8(0), 0.49]
    )
    @pytest.mark.parametrize("n_columns", [1, 2, 3])
    def test_clips(self, eps, n_columns):
        codes, p, w = random_case(50, n_columns)
        losses = _reference.sample_losses(codes, p, float(eps))
        assert log_loss(codes, p, eps=eps) == pytest.approx(losses.mean(), rel=2e-15)
        assert sample_log_loss(codes, p, eps=eps) == pytest.approx(losses, rel=4e-16)
        weighted = log_loss(codes, p, eps=eps, sample_weight=w, normalize=False)
        assert weighted == pytest.approx(losses @ w, rel=2e-15)

    @pytest.mark.parametrize("eps", [0, 0.05, 0.4])
    @pytest.mark.parametrize("weights", [None, [1, 2, 3, 4]])
    @pytest.mark.parametrize("normalize", [True, False])
    def test_off_the_fast_path(self, eps, weights, normalize):
        """An indicator matrix gives what its labels give."""
        y, p = np.array([0, 2, 1, 1]), random_case(4, 3).p
        keywords = {"eps": eps, "sample_weight": weights, "normalize": normalize}
        value = log_loss(np.eye(3)[y], p, **keywords)
        assert value == pytest.approx(log_loss(y, p, **keywords), rel=4e-16)
        assert type(value) is float

    @pytest.mark.skipif(
        outcome(sklearn.metrics.log_loss, [0, 1], [-0.5, 0.5]).error is None,
        reason="this scikit-learn takes such probabilities, and so does a drop-in",
    )
    @pytest.mark.parametrize("eps", [0.2, 0.3, 0.34, 0.4, 0.49])
    @pytest.mark.parametrize("p", [[-0.5, -0.3], [1.5, 1.3], [-0.25, -0.25], [-1, -2]])
    def test_nonsense_is_rejected_at_every_eps(self, eps, p):
        for function in (log_loss, sample_log_loss):
            with pytest.raises(ValueError, match=r"y_pro|y_pred"):
                function([0, 1], p, eps=eps)
            with pytest.raises(ValueError, match=r"y_pro|y_pred"):
                function(np.array([0.0, 1.0]), np.array(p, dtype=float), eps=eps)


class TestRows:
    @pytest.mark.parametrize("n_columns", [1, 2, 3])
    @pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
    def test_mean_is_log_loss(self, n_columns, dtype):
        for n in (3, 300, 20_000):
            codes, p, w = random_case(n, n_columns, dtype=dtype)
            rows = sample_log_loss(codes, p)
            assert rows.shape == (n,)
            assert rows.dtype == np.float64
            assert rows.mean() == pytest.approx(log_loss(codes, p), rel=1e-14)
            weighted = log_loss(codes, p, sample_weight=w)
            assert np.average(rows, weights=w) == pytest.approx(weighted, rel=1e-14)

    @pytest.mark.parametrize(
        "out",
        [
            lambda n: np.full(n, np.nan),
            lambda n: np.full(3 * n, np.nan)[::3],
            lambda n: np.full(n, np.nan)[::-1],
            lambda n: np.full((n, 2), np.nan)[:, 1],
            lambda n: np.full(8 * n + 1, 0, np.uint8)[1:].view(np.float64),
        ],
        ids=["plain", "strided", "reversed", "column", "unaligned"],
    )
    @pytest.mark.parametrize("n_columns", [1, 3])
    @pytest.mark.parametrize("label_type", ["int64", "str", "int32", "pandas str"])
    def test_out(self, out, n_columns, label_type):
        for n in (5, 1000, 40_000):
            codes, p, _ = random_case(n, n_columns)
            y = LABEL_TYPES[label_type](codes)
            target = out(n)
            assert sample_log_loss(y, p, out=target) is target
            np.testing.assert_array_equal(target, sample_log_loss(y, p))

    def test_out_swapped(self):
        out = np.empty(2, np.dtype(np.float64).newbyteorder("S"))
        kept = outcome(sample_log_loss, [0, 1], [0.2, 0.7], out=out)
        if kept.error is None:
            np.testing.assert_array_equal(out, sample_log_loss([0, 1], [0.2, 0.7]))
        else:
            assert kept.error[0] is TypeError

    @pytest.mark.parametrize("n", [6, 40_000])
    @pytest.mark.parametrize("shift", [0, 1])
    def test_out_overlaps(self, n, shift):
        codes, p, _ = random_case(n, 1)
        expected = sample_log_loss(codes, p)
        buffer = np.concatenate([p, [0.0]])
        buffer[shift : n + shift] = p
        out = buffer[:n]
        sample_log_loss(codes, buffer[shift : n + shift], out=out)
        np.testing.assert_array_equal(out, expected)
        y = codes.astype(float)
        sample_log_loss(y, p, out=y)
        np.testing.assert_array_equal(y, expected)

    @pytest.mark.parametrize(
        ("out", "error"),
        [
            (np.empty(3), ValueError),
            (np.empty((2, 1)), ValueError),
            (np.empty(()), ValueError),
            (np.empty(2, np.float32), TypeError),
            (np.empty(2, np.int64), TypeError),
            (np.broadcast_to(0.0, 2), ValueError),
            (np.ma.array([0.0, 0.0]), TypeError),
            ([0.0, 0.0], TypeError),
            ("ab", TypeError),
        ],
        ids=str,
    )
    def test_bad_out(self, out, error):
        for options in ({}, {"from_logits": True}):
            with pytest.raises(error, match="out"):
                sample_log_loss([0, 1], [0.2, 0.7], out=out, **options)

    @pytest.mark.parametrize("kind", ["plain", "logits", "smoothed", "targets"])
    @pytest.mark.parametrize("n", [6, 40_000])
    def test_out_overlaps_anything(self, kind, n):
        """Targets and labels as well as scores, and not only from their first row."""
        codes, p, _ = random_case(n, 1)
        options = {
            "plain": {},
            "logits": {"from_logits": True},
            "smoothed": {"label_smoothing": 0.1},
            "targets": {"soft_targets": True},
        }[kind]
        expected = sample_log_loss(codes.astype(float), p, **options)
        for start in (0, 2, 4):
            buffer = np.concatenate([np.zeros(2), codes, np.zeros(2)])
            out = buffer[start : n + start]
            sample_log_loss(buffer[2:-2], p, out=out, **options)
            np.testing.assert_array_equal(out, expected)
            buffer[2:-2] = p
            sample_log_loss(codes.astype(float), buffer[2:-2], out=out, **options)
            np.testing.assert_array_equal(out, expected)

    @pytest.mark.parametrize("options", [{}, {"from_logits": True}])
    def test_changed_between_the_passes(self, monkeypatch, options):
        """By another thread, where rows have been validated but not yet written."""
        y, p = np.array([0.0, 1.0]), np.array([0.2, 0.7])
        add = _losses.add

        def changed(*args, **kwargs):
            y[0] = 9.0
            return add(*args, **kwargs)

        monkeypatch.setattr(
            _losses,
            "check_rows",
            lambda out, n: monkeypatch.setattr(_losses, "add", changed),
        )
        with pytest.raises(RuntimeError, match="changed by another thread"):
            sample_log_loss(y, p, out=np.empty(2), **options)

    @pytest.mark.compares
    @pytest.mark.parametrize(
        "mistake", ["nan", "negative", "above one", "short", "inf"]
    )
    @pytest.mark.parametrize("n_columns", [1, 3])
    def test_errors_leave_out_alone(self, mistake, n_columns):
        for n in (6, 40_000):
            codes, p, _ = random_case(n, n_columns)
            p = MISTAKES[mistake](p)
            out = np.full(n, 7.0)
            theirs = outcome(sklearn.metrics.log_loss, codes, p)
            for kwargs in ({}, {"out": out}):
                ours = outcome(sample_log_loss, codes, p, **kwargs)
                assert ours.error == theirs.error
                if theirs.error is None:  # scikit-learn 1.6 lets some of them pass
                    break
                assert (out == 7.0).all()

    def test_warns_as_log_loss_does(self):
        codes, p, _ = random_case(20, 3)
        theirs = outcome(sklearn.metrics.log_loss, codes, p * 0.9)
        ours = outcome(sample_log_loss, codes, p * 0.9)
        assert ours.warnings == theirs.warnings
        assert ours.warnings
        assert ours.value.mean() == pytest.approx(theirs.value, rel=1e-14)

    @pytest.mark.parametrize("eps", ["auto", 0, 0.1])
    def test_indicator_matrix(self, eps):
        codes, p, _ = random_case(30, 3)
        rows = sample_log_loss(np.eye(3)[codes], p, eps=eps)
        assert rows == pytest.approx(sample_log_loss(codes, p, eps=eps), rel=4e-16)
        out = np.empty(30)
        assert sample_log_loss(np.eye(3)[codes], p, eps=eps, out=out) is out
        np.testing.assert_array_equal(out, rows)

    def test_unsorted_labels(self):
        theirs = outcome(
            sklearn.metrics.log_loss, ["a", "b"], [0.2, 0.7], labels=["b", "a"]
        )
        ours = outcome(sample_log_loss, ["a", "b"], [0.2, 0.7], labels=["b", "a"])
        assert (ours.error, ours.warnings) == (theirs.error, theirs.warnings)
        assert ours.value.mean() == pytest.approx(theirs.value)
