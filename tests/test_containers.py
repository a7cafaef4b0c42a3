"""What holds the numbers: containers, objects, extensions of numpy, named columns.

scikit-learn itself is the measure: what it clips by goes by the container.
"""

import array
import decimal
import enum
import fractions
import textwrap

import ml_dtypes
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from arrays import random_case
from compare import assert_same, both, outcome
from sklearn.base import BaseEstimator, ClassifierMixin

from fastlogloss import (
    LogLoss,
    d2_log_loss_score,
    log_loss,
    log_loss_gradient,
    log_loss_gradient_hessian,
    neg_log_loss_logits_scorer,
    neg_log_loss_scorer,
    sample_log_loss,
)


class Array:
    """Has `__array__`, and nothing that says what is in it."""

    def __init__(self, a):
        self.a = a

    def __len__(self):
        return len(self.a)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.a, dtype)


class Typed(Array):
    """Says so."""

    @property
    def dtype(self):
        return self.a.dtype


class Interface:
    def __init__(self, a):
        self.__array_interface__ = a.__array_interface__
        self.a = a

    def __len__(self):
        return len(self.a)


def strict(a):
    import array_api_strict

    return array_api_strict.asarray(a)


def objects(values):
    made = np.empty(len(values), object)
    made[:] = values
    return made


def of_rank(vector, matrix):
    return lambda a: vector(a) if a.ndim == 1 else matrix(a)


def nullable(a):
    return a.dtype.name.replace("float", "Float").replace("i", "I").replace("b", "b")


def arrow_dtype(a):
    return pd.ArrowDtype(pa.from_numpy_dtype(a.dtype))


# name -> the same numbers in it; where it cannot hold them, an error.
CONTAINERS = {
    "ndarray": lambda a: a,
    "byte-swapped": lambda a: a.astype(a.dtype.newbyteorder("S")),
    "Fortran": np.asfortranarray,
    "list": list,
    "tuple": tuple,
    "list of lists": lambda a: [list(row) for row in np.atleast_2d(a.T).T],
    "list of tuples": lambda a: [tuple(row) for row in np.atleast_2d(a.T).T],
    "list of 0-d": lambda a: [np.array(x) for x in a],
    "list of Python's": lambda a: a.tolist(),
    "objects": lambda a: a.astype(object),
    "objects of dtype": lambda a: objects(list(a)),
    "array.array": lambda a: array.array(a.dtype.char, a.tolist()),
    "memoryview": lambda a: memoryview(np.ascontiguousarray(a)),
    "__array__": Array,
    "__array__ and dtype": Typed,
    "__array_interface__": Interface,
    "array_api_strict": strict,
    "pandas": of_rank(pd.Series, pd.DataFrame),
    "pandas named": of_rank(
        lambda a: pd.Series(a, name="p"),
        lambda a: pd.DataFrame(a).add_prefix("p").iloc[::-1].iloc[::-1],
    ),
    "pandas mixed": lambda a: pd.DataFrame(
        {i: c.astype("f4" if i else a.dtype) for i, c in enumerate(a.T)}
    ),
    "pandas nullable": of_rank(
        lambda a: pd.Series(a, dtype=nullable(a)),
        lambda a: pd.DataFrame(a).astype(nullable(a)),
    ),
    "pandas nullable array": lambda a: pd.array(a, dtype=nullable(a)),
    "pandas partly nullable": lambda a: pd.DataFrame(a).astype({0: nullable(a)}),
    "pandas Arrow": of_rank(
        lambda a: pd.Series(a, dtype=arrow_dtype(a)),
        lambda a: pd.DataFrame(a).astype(arrow_dtype(a)),
    ),
    "pandas sparse": of_rank(
        lambda a: pd.Series(pd.arrays.SparseArray(a)),
        lambda a: pd.DataFrame(a).astype({0: pd.SparseDtype(a.dtype)}),
    ),
    "polars": of_rank(pl.Series, pl.DataFrame),
    "polars objects": lambda a: pl.Series(list(a), dtype=pl.Object),
    "pyarrow": of_rank(
        pa.array, lambda a: pa.table({str(i): c for i, c in enumerate(a.T)})
    ),
    "pyarrow chunked": lambda a: pa.chunked_array([pa.array(a[:2]), pa.array(a[2:])]),
    "narwhals": of_rank(
        lambda a: nw.from_native(pd.Series(a), allow_series=True),
        lambda a: nw.from_native(pd.DataFrame(a)),
    ),
    "narwhals polars": lambda a: nw.from_native(pl.DataFrame(a)),
}
DTYPES = (
    *("float16", "float32", "float64", "longdouble", "int8", "int64", "bool"),
    *("bfloat16", "float8_e4m3fn", "float8_e5m2"),
)
KEPT = ("ndarray", "Fortran", "__array__ and dtype", "pandas", "pandas named")


def numbers(dtype, n_columns):
    """Probabilities on both edges, and of 1 or 3 columns."""
    dtype = getattr(ml_dtypes, dtype, None) or np.dtype(dtype)
    p = np.array([0, 0, 0.75, 0.5, 1, 0.25])
    if np.dtype(dtype).kind in "ib":
        p = p.round()
    if n_columns > 1:
        p = np.stack([1 - p, p, 0 * p], 1)
    return p.astype(dtype)


def contained(name, values):
    """The container, or None where it holds no such numbers."""
    try:
        return CONTAINERS[name](values)
    except (
        TypeError,
        ValueError,
        NotImplementedError,  # of pyarrow: no longdouble, no types of ml_dtypes
        AttributeError,
        pa.ArrowInvalid,
    ):
        return None


Y = {1: [0, 1, 1, 0, 1, 0], 3: [0, 1, 2, 0, 1, 0]}


def precision_of(name, dtype):
    """That in which scikit-learn computes, for the tolerance of a comparison."""
    if name == "pandas mixed":
        return "float64" if dtype in ("float64", "int64") else "float32"
    return dtype if name in KEPT and dtype in ("float16", "float32") else "float64"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CONTAINERS)
@pytest.mark.parametrize("n_columns", [1, 3])
class TestContainers:
    @pytest.mark.compares
    def test_as_sklearn(self, name, dtype, n_columns):
        p = contained(name, numbers(dtype, n_columns))
        if p is None:
            return
        for metric in ("log_loss", "d2_log_loss_score"):
            assert_same(metric, Y[n_columns], p, dtype=precision_of(name, dtype))

    def test_sums_as_sklearn(self, name, dtype, n_columns):
        """Off by what float32 does not mind."""
        values = numbers(dtype, n_columns)
        if values.dtype.kind != "f":
            return
        p = contained(name, values * values.dtype.type(1 - 1e-4))
        if p is not None:
            assert_same("log_loss", Y[n_columns], p, dtype=precision_of(name, dtype))

    def test_ours_agree(self, name, dtype, n_columns):
        """One rule for all: LogLoss clips as log_loss does, and warns as it does."""
        p, y = contained(name, numbers(dtype, n_columns)), Y[n_columns]
        ours = outcome(log_loss, y, p)
        if p is None or ours.error is not None:
            return
        others = {
            "LogLoss": outcome(LogLoss(y), p),
            "many": outcome(lambda: LogLoss(y).many([p])[0]),
            "rows": outcome(lambda: sample_log_loss(y, p).mean()),
            "gradient": outcome(lambda: log_loss_gradient(y, p)[0]),
        }
        for other in others.values():
            assert other.error is None
            assert other.value == pytest.approx(ours.value, rel=1e-14)


class TestPrecision:
    def test_many_is_one_after_the_other(self):
        """Each model by its own container, whatever the others are."""
        p = np.array([0, 1, 0.25, 0.5])
        models = [p.astype("f4"), p, p.tolist(), p.astype("f2"), list(p.astype("f4"))]
        loss = LogLoss([1, 0, 1, 0])
        assert loss.many(models).tolist() == [loss(model) for model in models]
        assert loss.many(models[1:3]).tolist() == [loss(p), loss(p)]
        stack = np.stack([p, p]).astype("f4")
        assert loss.many(stack).tolist() == [loss(stack[0])] * 2
        assert loss.many(pl.DataFrame(stack.T).to_numpy().T.tolist())[0] == loss(p)

    def test_gradients_keep_their_type(self):
        """The epsilon is that of float64, the dtype what numpy makes of them."""
        z = np.array([0.25, 0.5], "f4")
        for p in (z, list(z), pl.Series(z), pd.Series(z, dtype="Float32")):
            assert log_loss_gradient([0, 1], p)[1].dtype == np.float32

    @pytest.mark.parametrize("off", [0, 1e-4])
    def test_scorer(self, off):
        """Also where columns have to be put in order, for scikit-learn's warning."""
        p = np.array([[1, 0, 0], [0, 1, 0], [0, 0.5, 0.5]], "f4") * np.float32(1 - off)
        y, model = ["b", "c", "a"], Model(["b", "a", "c"])
        for X in (pl.DataFrame(p), pd.DataFrame(p), p):
            rows = p[:, [1, 0, 2]]
            rows = [*rows] if isinstance(X, pl.DataFrame) else rows
            expected = outcome(log_loss, y, rows)
            found = outcome(neg_log_loss_scorer, model, X, y)
            assert found.error is None
            assert found.warnings == expected.warnings
            assert -found.value == expected.value


@pytest.mark.compares
def test_array_api_dispatch(run_python):
    """Where scikit-learn computes with the array's own library, in its dtype."""
    code = """
    import numpy as np, sklearn, sklearn.metrics, array_api_strict as xp
    from fastlogloss import LogLoss, log_loss
    sklearn.set_config(array_api_dispatch=True)
    y = np.array([0, 1, 1, 0])
    for dtype in ("float32", "float64"):
        p = xp.asarray(np.array([0, 0, 0.75, 0.5], dtype))
        expected = sklearn.metrics.log_loss(xp.asarray(y), p)
        for found in (log_loss(xp.asarray(y), p), log_loss(y, p), LogLoss(y)(p)):
            assert abs(found - expected) < 1e-6 * expected
    """
    run_python("-c", textwrap.dedent(code), SCIPY_ARRAY_API="1")


class Model(ClassifierMixin, BaseEstimator):
    """Predicts what it is given."""

    def __init__(self, classes):
        self.classes = classes
        self.classes_ = np.array(classes)

    def predict_proba(self, X):
        return X

    decision_function = predict_proba


BFLOAT16 = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3b11fnuz")


@pytest.mark.parametrize("dtype", BFLOAT16)
class TestExtensions:
    """Types of numbers that numpy has from elsewhere are read wherever numbers are."""

    def test_everywhere(self, dtype):
        codes, p, w = random_case(40, 1)
        dtype = getattr(ml_dtypes, dtype)
        p, w = (p / 2 + 0.25).astype(dtype), w.astype(dtype)
        wide, v = p.astype(np.float64), w.astype(np.float64)
        assert log_loss(codes, p) == log_loss(codes, wide)
        assert log_loss(codes, p, sample_weight=w) == log_loss(
            codes, wide, sample_weight=v
        )
        assert d2_log_loss_score(codes, p) == d2_log_loss_score(codes, wide)
        for options in ({"from_logits": True}, {"label_smoothing": 0.1}, {"eps": 0.3}):
            assert log_loss(codes, p, **options) == log_loss(codes, wide, **options)
        assert log_loss(p, p, soft_targets=True) == log_loss(
            wide, wide, soft_targets=True
        )
        loss, same = LogLoss(codes, sample_weight=w), LogLoss(codes, sample_weight=v)
        assert loss(p) == same(wide)
        assert loss.many([p, p]).tolist() == loss.many(np.stack([p, p])).tolist()
        assert loss.many([p, p]).tolist() == [same(wide)] * 2
        for function in (log_loss_gradient, log_loss_gradient_hessian):
            for found, expected in zip(
                function(codes, p), function(codes, wide), strict=True
            ):
                np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(
            sample_log_loss(codes, p), sample_log_loss(codes, wide)
        )
        assert LogLoss(codes.astype(dtype))(p) == LogLoss(codes)(wide)

    def test_errors(self, dtype):
        p = np.array([0.5, 2.0]).astype(getattr(ml_dtypes, dtype))
        with pytest.raises(ValueError, match=r"got 2\.0 in row 1"):
            LogLoss([0, 1])(p)
        assert_same("log_loss", [0, 1], p)


# --- Objects -------------------------------------------------------------------------

D, F = decimal.Decimal, fractions.Fraction
REAL = {
    "floats": [0.25, 0.5, 0.75, 0.125],
    "Decimal": [D("0.25"), D("0.5"), D("0.75"), D("0.125")],
    "Fraction": [F(1, 4), F(1, 2), F(3, 4), F(1, 8)],
    "mixed": [D("0.25"), F(1, 2), np.float32(0.75), 0.125],
    "0-d": [np.array(0.25), np.array(0.5), np.float16(0.75), ml_dtypes.bfloat16(0.125)],
    "bool": [True, np.True_, False, 0.5],
}
UNREAL = {
    "complex": [0.25, 0.5 + 1j, 0.75, 0.5],
    "complex64": list(np.array([0.25, 0.5 + 1j, 0.75, 0.5], np.complex64)),
    "complex of no imaginary part": [0.25, np.complex64(0.5), 0.75, 0.5],
    "0-d complex": [0.25, np.array(0.5 + 1j), 0.75, 0.5],
    "None": [0.25, None, 0.75, 0.5],
    "NA": [0.25, pd.NA, 0.75, 0.5],
    "NaT": [0.25, pd.NaT, 0.75, 0.5],
    "text": [0.25, "0.5", 0.75, 0.5],
    "bytes": [0.25, b"0.5", 0.75, 0.5],
    "datetime": [0.25, np.datetime64("1970-01-01"), 0.75, 0.5],
    "timedelta": [0.25, np.timedelta64(0, "s"), 0.75, 0.5],
    "list": [0.25, [0.5], 0.75, 0.5],
    "void": [0.25, np.void(b"ab"), 0.75, 0.5],
    "huge": [0.25, 10**400, 0.75, 0.5],
    "object": [0.25, object(), 0.75, 0.5],
}
OF_OBJECTS = {
    "array": objects,
    "Series": lambda values: pd.Series(objects(values)),
    "polars": lambda values: pl.Series(values, dtype=pl.Object),
    "matrix": lambda values: np.stack([objects(values), objects([0.5] * 4)], 1),
    "frame": lambda values: pd.DataFrame({0: objects(values), 1: [0.5] * 4}),
}
YB = [0, 1, 1, 0]


def test_dates_beside_numbers():
    p = pd.DataFrame({0: np.float32([0.5, 0.5]), 1: pd.to_datetime(["2020", "2021"])})
    assert_same("log_loss", [0, 1], p)
    with pytest.raises(ValueError, match=r"dtype object, with .* in row 0, column 1"):
        LogLoss([0, 1])(p)


@pytest.mark.parametrize("container", OF_OBJECTS)
class TestObjects:
    @pytest.mark.parametrize("kind", REAL)
    def test_real(self, container, kind):
        p = OF_OBJECTS[container](REAL[kind])
        assert_same("log_loss", YB, p)
        wide = np.asarray(p).astype(np.float64)
        found = outcome(LogLoss(YB), p)
        assert found.error is None
        assert found.value == outcome(log_loss, YB, wide).value

    @pytest.mark.parametrize("kind", UNREAL)
    def test_unreal(self, container, kind):
        """To scikit-learn whatever it makes of it; ours name the object and its row."""
        p = OF_OBJECTS[container](UNREAL[kind])
        for metric in ("log_loss", "d2_log_loss_score"):
            ours, theirs = both(metric, YB, p)
            assert (ours.error is None) == (theirs.error is None)
            assert (ours.error or [None])[0] == (theirs.error or [None])[0]
            if theirs.error is None:
                assert ours.value == pytest.approx(theirs.value, rel=1e-12)
        row = 0 if kind == "complex64" else 1
        found = rf"with .* in row {row}" if kind != "huge" else "dtype object"
        calls = [
            lambda: LogLoss(YB)(p),
            lambda: LogLoss(YB).many(np.asarray(p)[None]),
            lambda: LogLoss(YB).loss_gradient(p),
            lambda: log_loss(YB, p, from_logits=True),
            lambda: log_loss_gradient(YB, p),
            lambda: LogLoss(p, soft_targets=True),
        ]
        if np.ndim(p) == 1:
            calls.append(lambda: LogLoss(YB, sample_weight=p))
            calls.append(lambda: log_loss_gradient(YB, REAL["floats"], sample_weight=p))
        for i, call in enumerate(calls):
            with pytest.raises(ValueError, match="dtype object" if i == 1 else found):
                call()


def test_complex_weights_as_sklearn():
    for kind in ("complex", "complex64", "0-d complex"):
        for make in (objects, lambda values: pl.Series(values, dtype=pl.Object)):
            w = make(UNREAL[kind])
            ours, theirs = both("log_loss", YB, REAL["floats"], sample_weight=w)
            assert ours.error is not None
            assert ours.error[0] == theirs.error[0]


def test_what_is_no_array_like():
    """scikit-learn takes a memoryview for a scalar; ours read it."""
    p = np.array([0.25, 0.5, 0.75, 0.5])
    view, labels = memoryview(p), memoryview(np.array(YB))
    assert_same("log_loss", YB, view)
    assert_same("log_loss", labels, p)
    assert_same("log_loss", YB, p, sample_weight=view)
    assert_same("log_loss", YB, p, labels=memoryview(np.array([0, 1])))
    assert LogLoss(labels, sample_weight=view)(view) == log_loss(YB, p, sample_weight=p)


# --- Labels that are strings of subclasses -------------------------------------------


# As people write it. It is no StrEnum, as ruff would have it: str(Risk.LOW) is
# "Risk.LOW", not "b-low".
class Risk(str, enum.Enum):  # noqa: UP042
    LOW = "b-low"
    HIGH = "a-high"


class Level(enum.StrEnum):
    LOW = "b-low"
    HIGH = "a-high"


class Word(str):
    __slots__ = ()


class Number(enum.IntEnum):
    LOW = 7
    HIGH = 3


STRINGS = {
    "Enum": (Risk.LOW, Risk.HIGH),
    "StrEnum": (Level.LOW, Level.HIGH),
    "subclass": (Word("b-low"), Word("a-high")),
    "numpy": (np.str_("b-low"), np.str_("a-high")),
    "mixed": (Risk.LOW, "a-high"),
}
OF_LABELS = {
    "list": list,
    "tuple": tuple,
    "objects": objects,
    "column": lambda y: objects(y)[:, None],
    "Series": pd.Series,
    "Series of objects": lambda y: pd.Series(y, dtype=object),
    "Categorical": lambda y: pd.Series(pd.Categorical(y)),
    "Categorical of objects": lambda y: pd.Categorical(
        objects(y), categories=pd.Index([*dict.fromkeys(y)], dtype=object)
    ),
    "polars": lambda y: pl.Series([*y], dtype=pl.Object),
}


@pytest.mark.parametrize("container", OF_LABELS)
@pytest.mark.parametrize("kind", STRINGS)
class TestStrings:
    P = np.array([0.25, 0.5, 0.75, 0.125])

    def labels(self, container, kind):
        low, high = STRINGS[kind]
        return OF_LABELS[container]([high, low, low, high])

    def test_ours(self, container, kind):
        """They are the strings they are, not what their method says."""
        y, plain = self.labels(container, kind), ["a-high", "b-low", "b-low", "a-high"]
        expected = log_loss(plain, self.P)
        loss = LogLoss(y)
        assert loss(self.P) == expected
        assert loss.classes == ("a-high", "b-low")
        assert {*map(type, loss.classes)} == {str}
        low, high = STRINGS[kind]
        assert LogLoss(y, classes=["b-low", "a-high"])(1 - self.P) == expected
        assert LogLoss(plain, classes=OF_LABELS[container]([low, high])).classes == (
            ("b-low", "a-high")
        )
        z = [-2.0, 0.5, 1.5, -0.25]
        expected = log_loss(plain, z, from_logits=True)
        assert log_loss(y, z, from_logits=True) == expected
        labels = OF_LABELS[container]([high, low])
        assert log_loss(y, z, labels=labels, from_logits=True) == expected
        assert log_loss_gradient(y, z, from_logits=True)[0] == expected

    def test_as_sklearn(self, container, kind):
        assert_same("log_loss", self.labels(container, kind), self.P)
        labels = [*STRINGS[kind]][::-1]
        for given in (labels, objects(labels), ["a-high", "b-low"]):
            assert_same("log_loss", self.labels(container, kind), self.P, labels=given)


def test_whole_numbers_of_an_enum():
    y = [Number.HIGH, Number.LOW, Number.LOW, Number.HIGH]
    assert_same("log_loss", y, TestStrings.P)
    assert LogLoss(y).classes == (3, 7)
    with pytest.raises(ValueError, match=r"Number\.HIGH.* in row 0|objects"):
        LogLoss(objects(y))


def test_members_that_are_no_strings():
    class Color(enum.Enum):
        RED = "r"

    with pytest.raises(ValueError, match="strings or whole numbers"):
        LogLoss([Color.RED, Color.RED])


# --- Names of columns ----------------------------------------------------------------

FRAMES = {
    "pandas": lambda p, names: pd.DataFrame(p, columns=names),
    "polars": lambda p, names: pl.DataFrame(p, schema=[*map(str, names)]),
    "pyarrow": lambda p, names: pa.Table.from_arrays(
        [pa.array(c) for c in p.T], names=[*map(str, names)]
    ),
    "narwhals": lambda p, names: nw.from_native(pd.DataFrame(p, columns=names)),
}
P3 = np.array([[0.25, 0.5, 0.25], [0.5, 0.25, 0.25], [0.125, 0.25, 0.625]])
CLASSES = {"text": ["a", "b", "c"], "from 1": [1, 2, 3], "codes": [0, 1, 2]}


def owned(y, classes, soft=False):
    """name -> function of scores whose columns we know, all of them the same loss."""
    kwargs = {"soft_targets": soft}
    if not soft:
        kwargs["labels"] = classes
    prepared = LogLoss(y, classes=classes, soft_targets=soft)
    logits = LogLoss(y, classes=classes, soft_targets=soft, from_logits=True)
    return {
        "call": prepared,
        "samples": lambda p: prepared.samples(p).mean(),
        "many": lambda p: prepared.many([p])[0],
        "gradient": lambda p: prepared.loss_gradient(p)[0],
        "hessian": lambda p: prepared.loss_gradient_hessian(p)[0],
        "function": lambda p: log_loss_gradient(y, p, **kwargs)[0],
        "hessian function": lambda p: log_loss_gradient_hessian(y, p, **kwargs)[0],
        "logits": lambda p: log_loss(y, p, from_logits=True, **kwargs),
        "logits unlabelled": lambda p: (
            log_loss(y, p, from_logits=True) if not soft else logits(p)
        ),
        "rows": lambda p: sample_log_loss(y, p, from_logits=True, **kwargs).mean(),
        "smoothed": lambda p: log_loss(y, p, label_smoothing=0.1, **kwargs),
        "prepared logits": logits,
    }


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("kind", CLASSES)
class TestNames:
    def calls(self, kind):
        classes = CLASSES[kind]
        return owned([classes[i] for i in (1, 0, 2)], classes)

    def check(self, kind, frame, names, refused):
        p = FRAMES[frame](P3, names)
        for call in self.calls(kind).values():
            if refused:
                with pytest.raises(ValueError, match=r"columns of .* are .*classes"):
                    call(p)
            else:
                assert call(p) == pytest.approx(call(P3), rel=1e-15)

    @pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0), (1, 2, 0)])
    def test_order(self, kind, frame, order):
        names = [CLASSES[kind][i] for i in order]
        self.check(kind, frame, names, refused=order != (0, 1, 2))
        self.check(kind, frame, [*map(str, names)], refused=order != (0, 1, 2))

    @pytest.mark.parametrize("names", ["xyz", ["p_a", "p_b", "p_c"], [0, 1, 2], "012"])
    def test_other_names(self, kind, frame, names):
        """Also a count from 0, which is how a frame without names counts them."""
        self.check(kind, frame, [*names], refused=False)

    def test_some_of_the_classes(self, kind, frame):
        self.check(kind, frame, [*CLASSES[kind][1:], "other"], refused=True)

    def test_drop_ins_go_by_place(self, kind, frame):
        classes = CLASSES[kind]
        p = FRAMES[frame](P3, classes[::-1])
        y = [classes[i] for i in (1, 0, 2)]
        for metric in ("log_loss", "d2_log_loss_score"):
            assert_same(metric, y, p)


class TestMoreNames:
    Y = ("b", "a", "c")

    def test_unnamed_frames_count(self):
        p = pd.DataFrame(P3)
        assert LogLoss([2, 1, 3])(p) == LogLoss([2, 1, 3])(P3)
        part = pd.DataFrame(np.hstack([P3, P3])).iloc[:, 2:5]
        assert LogLoss([2, 1, 3])(part) == LogLoss([2, 1, 3])(part.to_numpy())
        loss = LogLoss([1, 0, 2], classes=[2, 0, 1])
        assert loss(p) == loss(P3)
        named = pd.DataFrame(P3, columns=pd.Index([0, 1, 2]).astype(str))
        with pytest.raises(ValueError, match="columns"):
            loss(named)

    def test_repeated(self):
        with pytest.raises(ValueError, match="columns"):
            LogLoss(self.Y)(pd.DataFrame(P3, columns=["a", "a", "c"]))

    def test_levels(self):
        """Names that are no single word have nothing to do with the classes."""
        columns = pd.MultiIndex.from_tuples([("p", "c"), ("p", "b"), ("p", "a")])
        assert LogLoss(self.Y)(pd.DataFrame(P3, columns=columns)) == LogLoss(self.Y)(P3)

    def test_odd_names(self):
        """Whole numbers are compared by their value, and all else by its text."""
        y = [2.0, 1.0, 3.0]
        for names in ([1, 2, 3], [1.0, 2.0, 3.0], np.float32([1, 2, 3]), [*"123"]):
            frame = pd.DataFrame(P3, columns=names)
            assert LogLoss(y)(frame) == LogLoss(y)(P3)
            with pytest.raises(ValueError, match="columns"):
                LogLoss(y)(frame.iloc[:, [1, 0, 2]])
        for names in ([np.inf, np.nan, -0.5], [None, ("a",), pd.Timestamp("2020")]):
            assert LogLoss(y)(pd.DataFrame(P3, columns=names)) == LogLoss(y)(P3)

    def test_booleans(self):
        p = pd.DataFrame(P3[:, :2] * [[4 / 3], [4 / 3], [8 / 3]])
        y = [True, False, True]
        expected = LogLoss(y)(p.to_numpy())
        assert LogLoss(y)(p.set_axis([False, True], axis=1)) == expected
        with pytest.raises(ValueError, match="columns"):
            LogLoss(y)(p.set_axis(["True", "False"], axis=1))

    def test_single_columns(self):
        """A vector is that of the second class, also by its name."""
        loss, p = LogLoss(["no", "yes", "no"]), [0.25, 0.5, 0.125]
        expected = loss(p)
        counted = LogLoss([*"010"])
        assert counted(pl.DataFrame({"0": p})) == counted(pd.Series(p)) == expected
        for name in ("yes", "p", None, 0, 1, "other"):
            assert loss(pd.Series(p, name=name)) == expected
        assert loss(pl.Series("yes", p)) == expected
        assert loss(pd.DataFrame({"yes": p})) == expected
        for wrong in (
            pd.Series(p, name="no"),
            pl.Series("no", p),
            pd.DataFrame({"no": p}),
            pl.DataFrame({"no": p}),
        ):
            with pytest.raises(ValueError, match=r"'no', but a single column .* 'yes'"):
                loss(wrong)

    def test_columns_of_an_unnamed_frame(self):
        """P[1] is called 1, which is the first of the classes 1 and 2."""
        p = pd.DataFrame([[0.75, 0.25], [0.5, 0.5]])
        assert LogLoss([1, 2])(p[1]) == LogLoss([1, 2])([0.25, 0.5])

    @pytest.mark.parametrize("frame", FRAMES)
    def test_soft_targets(self, frame):
        t, make = FRAMES[frame](P3, [*"abc"]), FRAMES[frame]
        for call in owned(t, ["a", "b", "c"], soft=True).values():
            assert call(make(P3, [*"abc"])) == pytest.approx(call(P3), rel=1e-15)
            with pytest.raises(ValueError, match="columns"):
                call(make(P3, [*"bac"]))
        loss = LogLoss(t, soft_targets=True)
        assert loss.classes == ("a", "b", "c")
        assert loss(make(P3, [*"xyz"])) == loss(P3)
        assert LogLoss(make(P3, [*"xyz"]), soft_targets=True)(t) == loss(P3)
        assert LogLoss(P3, soft_targets=True)(t) == loss(P3)
        with pytest.raises(ValueError, match="columns of y_true"):
            LogLoss(t, classes=["b", "a", "c"], soft_targets=True)
        with pytest.raises(ValueError, match="columns of y_true"):
            log_loss(t, P3, labels=["a", "c", "d"], soft_targets=True)

    def test_scorer_of_logits(self):
        model, p = Model([*"abc"]), pd.DataFrame(P3, columns=[*"abc"])
        expected = -log_loss(self.Y, P3, from_logits=True)
        assert neg_log_loss_logits_scorer(model, p, self.Y) == expected
        with pytest.raises(ValueError, match="columns of y_proba"):
            neg_log_loss_logits_scorer(model, p[["b", "a", "c"]], self.Y)

    def test_models_are_named_by_their_place(self):
        loss, right = LogLoss(self.Y), pd.DataFrame(P3, columns=[*"abc"])
        assert loss.many([right, P3]).tolist() == [loss(P3)] * 2
        with pytest.raises(ValueError, match=r"scores\[1\]"):
            loss.many([right, right[["b", "a", "c"]]])
