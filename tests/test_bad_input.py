"""Nothing crashes, hangs, reads out of bounds or returns a number for nonsense.

What may take a process down runs in one of its own, bounded in time.
"""

import itertools
import math
import os
import re
import sys
import textwrap
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn.metrics
from arrays import random_case
from compare import METRICS, assert_same, outcome
from sklearn.dummy import DummyClassifier

import fastlogloss
from fastlogloss import (
    _kernels,
    d2_log_loss_score,
    log_loss,
    log_loss_gradient,
    log_loss_gradient_hessian,
    sample_log_loss,
)

POSIX = pytest.mark.skipif(os.name == "nt", reason="of POSIX systems")


checks_the_range = pytest.mark.skipif(
    outcome(sklearn.metrics.log_loss, [0, 1], [-0.5, 0.5]).error is None,
    reason="this scikit-learn takes such probabilities, and so does a drop-in",
)


class Raises:
    """Raises on every conversion to an array."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 3

    def __array__(self, dtype=None, copy=None):
        raise self.error


class Lies:
    """Has a length that its array has not."""

    def __init__(self, array):
        self.array = array

    def __len__(self):
        return 3

    def __array__(self, dtype=None, copy=None):
        return self.array


class RaisingFloat:
    def __float__(self):
        raise OverflowError("too much")


class TestRejected:
    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("n_columns", [1, 2, 3])
    @pytest.mark.parametrize(
        "lengths", [(5, 6), (6, 5), (0, 6), (6, 0), (0, 0), (1, 6)]
    )
    def test_lengths(self, metric, n_columns, lengths):
        codes, p, w = random_case(6, n_columns)
        n_y, n_p = lengths
        assert_same(metric, codes[:n_y], p[:n_p])
        assert_same(metric, codes[:n_y].astype(str), p[:n_p])
        assert_same(metric, codes[:n_y], p[:n_p], sample_weight=w)
        assert_same(metric, codes, p, sample_weight=w[:n_y])

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize(
        "value",
        [np.nan, np.copysign(np.nan, -1), np.inf, -np.inf, -0.1, 1.1, 1e300, -1e-300],
    )
    @pytest.mark.parametrize("n_columns", [1, 2, 3])
    def test_values(self, metric, value, n_columns):
        """Anywhere: in the first row, the last, in other columns than the label's."""
        for n in (6, 300):
            codes, p, w = random_case(n, n_columns)
            for row in (0, n // 2, n - 1):
                for column in range(n_columns):
                    broken = p.copy()
                    broken[(row, column) if n_columns > 1 else row] = value
                    assert_same(metric, codes, broken)
                y = codes.astype(float)
                y[row] = value
                assert_same(metric, y, p)
                if abs(value) > 2 or value != value:
                    v = w.copy()
                    v[row] = value
                    assert_same(metric, codes, p, sample_weight=v)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    @pytest.mark.parametrize("n", [70_000, 300_000])
    def test_values_in_long_input(self, value, n):
        """With threads, and in every kind of chunk."""
        codes, p, _ = random_case(n, 1)
        for row in (0, n // 2, n - 1):
            for dtype in ("float64", "float32", "float16"):
                broken = p.astype(dtype)
                broken[row] = value
                ours = outcome(log_loss, codes, broken)
                assert ours.error is not None
                assert ours.error[0] is ValueError

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize(
        "shape", [(), (3, 1, 1), (3, 2, 1), (1, 3), (3, 0), (0, 2)]
    )
    def test_shapes(self, metric, shape):
        p = np.full(shape, 0.5)
        assert_same(metric, [0, 1, 1], p)
        assert_same(metric, np.array([0, 1, 1]), p)
        assert_same(metric, np.zeros(shape), [0.2, 0.7, 0.6])
        assert_same(metric, [0, 1, 1], [0.2, 0.7, 0.6], sample_weight=p)

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize(
        "error", [ValueError("v"), TypeError("t"), RuntimeError("r"), KeyError("k")]
    )
    def test_objects_that_raise(self, metric, error):
        bad, good = Raises(error), [0.2, 0.7, 0.6]
        assert_same(metric, bad, good)
        assert_same(metric, [0, 1, 1], bad)
        assert_same(metric, [0, 1, 1], good, sample_weight=bad)
        assert_same(metric, [0, 1, 1], good, labels=bad)

    @pytest.mark.parametrize("metric", METRICS)
    def test_elements_that_raise(self, metric):
        bad = np.array([RaisingFloat(), 0.5, 0.5], dtype=object)
        assert_same(metric, [0, 1, 1], bad)
        assert_same(metric, bad, [0.2, 0.7, 0.6])
        assert_same(metric, [0, 1, 1], [0.2, 0.7, 0.6], sample_weight=bad)

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("array", [np.zeros(5), np.zeros(0), np.array(1.0), 3.0])
    def test_objects_that_lie(self, metric, array):
        assert_same(metric, Lies(array), [0.2, 0.7, 0.6])
        assert_same(metric, [0, 1, 1], Lies(array))
        assert_same(metric, [0, 1, 1], [0.2, 0.7, 0.6], sample_weight=Lies(array))

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, MemoryError])
    def test_interrupts_pass_through(self, error):
        bad = Raises(error())
        for arguments in ((bad, [0.2, 0.7, 0.6]), ([0, 1, 1], bad)):
            with pytest.raises(error):
                log_loss(*arguments)

    @pytest.mark.parametrize("metric", METRICS)
    def test_sparse(self, metric):
        from scipy import sparse

        p = sparse.csr_array(np.array([[0.5, 0.5], [0.0, 1.0]]))
        assert_same(metric, [0, 1], p)
        assert_same(metric, p, [[0.5, 0.5], [0.1, 0.9]])

    @checks_the_range
    @pytest.mark.parametrize("function", [log_loss, sample_log_loss])
    def test_no_number_for_nonsense(self, function):
        """At no eps, and wherever in a row of good ones."""
        for eps in ("auto", 0, 0.1, 0.3, 0.34, 0.4, 0.49):
            for value in (-0.3, -1e-9, 1.2, np.nan, -np.inf):
                for n_columns in (1, 2, 3):
                    codes, p, _ = random_case(40, n_columns)
                    everywhere = np.full_like(p, value)
                    p[17] = value
                    for broken in (p, everywhere):
                        ours = outcome(function, codes, broken, eps=eps)
                        assert ours.error is not None, (eps, value, n_columns)

    def test_zero_columns_and_rows(self):
        for shape in ((0, 0), (0, 3), (3, 0)):
            assert_same("log_loss", np.zeros(shape[0]), np.zeros(shape))

    @pytest.mark.parametrize("eps", [1e-300, 1e-18, 2.0**-54, 2.0**-53, 2.0**-52, 0.1])
    def test_any_positive_eps_is_a_cap(self, eps):
        """Certain and wrong costs -log(eps), in each form of the input."""
        for y, p in (
            ([0, 1], [1.0, 0.0]),
            ([0, 1], [[0.0, 1.0], [1.0, 0.0]]),
            ([0, 1, 2], [[0.0, 1, 0], [1, 0, 0], [1, 0, 0]]),
        ):
            loss = log_loss(y, p, eps=eps)
            assert loss == pytest.approx(-math.log(eps), rel=2e-15)
            assert sample_log_loss(y, p, eps=eps) == pytest.approx(-math.log(eps))


# --- Notes on scikit-learn's errors --------------------------------------------------

Y = [0, 1, 1, 0]
P = np.array([0.2, 0.7, 0.6, 0.5])
PAIRS = np.column_stack([1 - P, P])
NAN = float("nan")
MISSING = {
    "None, strings": ["a", None, "b", "a"],
    "None, numbers": [0, None, 1, 1],
    "NaN, strings": np.array(["a", NAN, "b", "a"], dtype=object),
    "NaN, numbers": [0, NAN, 1, 1],
    "NA, strings": ["a", pd.NA, "b", "a"],
    "NA, string": pd.Series(["a", pd.NA, "b", "a"], dtype="string"),
    "NA, object": pd.Series(["a", pd.NA, "b", "a"], dtype=object),
    "NA, Int64": pd.Series([0, pd.NA, 1, 1], dtype="Int64", index=[9, 8, 7, 6]),
    "NA, boolean": pd.Series([True, pd.NA, False, True], dtype="boolean"),
    "Categorical": pd.Categorical(["a", None, "b", "a"]),
    "polars strings": pl.Series(["a", None, "b", "a"]),
    "polars numbers": pl.Series([0, None, 1, 1]),
    "column": [[0.0], [NAN], [1.0], [1.0]],
}
SOFT = r"log_loss takes soft targets with soft_targets=True"
LOGITS = r"log_loss takes logits with from_logits=True"
# (y_true, y_proba, keywords, what the note says)
NOTED = {
    **{
        f"missing: {name}": (y, P, {}, r"y_true is missing or NaN in row 1: leave")
        for name, y in MISSING.items()
    },
    "soft": ([0.1, 0.9, 0.5, 1], P, {}, rf"y_true is 0\.1 in row 0.*{SOFT}"),
    "soft objects": (
        np.array([1, 0.9, 0, 1], "O"),
        P,
        {},
        rf"0\.9 in row 1.*{SOFT}",
    ),
    "soft rows": (PAIRS, PAIRS, {}, rf"y_true holds a row of numbers.*{SOFT}"),
    "one-hot, labels": (np.eye(2)[Y], PAIRS, {"labels": [0, 1]}, SOFT),
    "regression": (
        [0, 1, 1.5, 4],
        P,
        {},
        r"y_true is 1\.5 in row 2: [^;]*$",
    ),
    "infinite label": ([0, 1, np.inf, 1], P, {}, r"y_true is inf in row 2"),
    "columns": ([[0, 1], [1, 2], [1, 1], [2, 0]], P, {}, r"y_true has 2 columns"),
    "kinds": (np.array([0, 1, "a", 1], "O"), P, {}, r"'a' in row 2, but 0 in row 0"),
    "kinds in a list": (
        [0, 1, "a", "b"],
        P,
        {},
        r"y_true .* 'a' in row 2, but 0",
    ),
    "big": ([0, 10**30, 1, 1], P, {}, r"y_true .*000 in row 1, which has more than 64"),
    "no label": (
        [0, 1, 2, 1],
        P,
        {"labels": [0, 1]},
        r"y_true is 2 in row 2",
    ),
    "no word": (
        list("abca"),
        P,
        {"labels": list("ab")},
        r"'c' in row 2, .*\['a', 'b'\]",
    ),
    "other kind": (list("abab"), P, {"labels": [0, 1]}, r"y_true is 'a' in row 0"),
    "missing of labels": (
        Y,
        P,
        {"labels": [0, NAN]},
        r"labels is .* in row 1",
    ),
    "NaN": (
        Y,
        [0.1, NAN, 0.2, 0.3],
        {},
        r"y_proba is .* row 1: leave",
    ),
    "None": (Y, [0.1, 0.2, None, 0.3], {}, r"y_proba is missing .* row 2"),
    "NA": (
        Y,
        pd.Series([0, pd.NA, 0, 1], dtype="Float64"),
        {},
        "row 1",
    ),
    "inf": (
        Y,
        [0.1, np.inf, 0.2, 0.3],
        {},
        rf"inf in row 1.*{LOGITS}",
    ),
    "logits": (
        Y,
        [0.1, 0.2, 2.5, -1],
        {},
        rf"2\.5 in row 2.*{LOGITS}",
    ),
    "logit rows": (
        [0, 1],
        [[0.5, 0.5], [0.5, -1]],
        {},
        r"-1\.0 in row 1, column 1",
    ),
    "NaN weight": (
        Y,
        P,
        {"sample_weight": [1, NAN, 1, 1]},
        r"NaN in row 1: 0",
    ),
    "no weight": (
        Y,
        P,
        {"sample_weight": [1, 1, None, 1]},
        r"sample_.* row 2",
    ),
    "inf weight": (
        Y,
        P,
        {"sample_weight": [1, 1, np.inf, 1]},
        r"is inf in row 2",
    ),
}
NOT_NOTED = {
    "lengths": ([0, NAN, 1], P, {}),
    "weights' length": (Y, P, {"sample_weight": [1, 1]}),
    "one label": ([1, 1, 1, 1], P, {}),
    "too many labels": ([0, 1, 2, 0], P, {}),
    "bytes": (np.array([b"a", b"b", b"b", b"a"]), P, {}),
    "dimensions": (Y, P[:, None, None], {}),
    "words": (Y, list("abcd"), {}),
    "no array": (object(), P, {}),
    "elements that raise": (np.array([RaisingFloat()] * 4), P, {}),
    "conversion that raises": (Raises(KeyError("k")), P[:3], {}),
}


def raised(function, *args, **kwargs):
    """The exception, with its class and text of scikit-learn, and its notes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function(*args, **kwargs)
    except Exception as error:
        return type(error), str(error), getattr(error, "__notes__", [])
    return None


@pytest.mark.compares
class TestNotes:
    """The error is scikit-learn's; a note says which row of what, and what to do."""

    @pytest.mark.parametrize("case", NOTED)
    def test_noted(self, case):
        y, p, keywords, words = NOTED[case]
        for metric in METRICS:
            theirs = raised(getattr(sklearn.metrics, metric), y, p, **keywords)
            ours = raised(getattr(fastlogloss, metric), y, p, **keywords)
            assert ours[:2] == theirs[:2]
            assert theirs[2] == []
            (note,) = ours[2]
            assert re.search(words, note), note
            with fastlogloss.patched_sklearn():
                assert (
                    raised(getattr(sklearn.metrics, metric), y, p, **keywords) == ours
                )
        rows = {k: v for k, v in keywords.items() if k == "labels"}
        if rows == keywords:
            ours = raised(sample_log_loss, y, p, **keywords)
            assert ours[2] == [note]

    @pytest.mark.parametrize("case", NOT_NOTED)
    def test_not_noted(self, case):
        """Where the error names it, or nothing better is known."""
        y, p, keywords = NOT_NOTED[case]
        for metric in METRICS:
            theirs = raised(getattr(sklearn.metrics, metric), y, p, **keywords)
            assert raised(getattr(fastlogloss, metric), y, p, **keywords) == theirs
            assert theirs[2] == []

    def test_parameters(self):
        ours = raised(log_loss, [0, NAN, 1, 1], P, normalize="yes")
        assert ours[2] == []

    def test_old_name(self):
        assert "row 1" in raised(log_loss, [0, 1], y_pred=[0.2, NAN])[2][0]

    def test_noted_once(self):
        """Even if a foreign object raises one and the same error again and again."""
        error = ValueError("v")
        for _ in range(2):
            assert raised(log_loss, [0, NAN, 1], Raises(error))[1] == "v"
            assert raised(log_loss, [0, NAN, 1], P[:3], sample_weight=Raises(error))
        assert len(getattr(error, "__notes__", [])) <= 1

    def test_interrupts_have_none(self):
        error = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            log_loss(Raises(error), [0.2, 0.7, 2.0])
        assert not hasattr(error, "__notes__")

    def test_by_a_scorer(self):
        model = DummyClassifier().fit([[0]] * 4, [0, 1, 1, 0])
        scorer = fastlogloss.neg_log_loss_scorer
        kind, text, (note,) = raised(scorer, model, [[0]] * 4, [0, NAN, 1, 1])
        assert kind is ValueError
        assert note.startswith("y_true is missing or NaN in row 1: leave")
        assert "nan" in text

    def test_in_a_traceback(self, run_python):
        code = "import fastlogloss; fastlogloss.log_loss([0, 1], [0.5, 2.5])"
        done = run_python("-c", code, check=False)
        last = done.stderr.strip().splitlines()[-2:]
        assert last[0].startswith("ValueError: y_pro")
        assert last[1].startswith("y_proba is 2.5 in row 1, which is no probability.")


# --- Other threads, signals, forks ---------------------------------------------------


def program(text):
    return textwrap.dedent(text)


# What scikit-learn does with arrays that change under it is not the subject.
ALONE = """
import fastlogloss
from fastlogloss import _sklearn, scorers
def refuse(name):
    raise ValueError("handed over")
_sklearn.original = scorers.original = refuse
"""


class TestOtherThreads:
    @pytest.mark.parametrize(
        ("y_dtype", "p_dtype"),
        [
            ("float64", "float64"),
            ("int64", "float32"),
            ("int32", "float64"),
            ("uint8", "float16"),
        ],
    )
    def test_resize(self, run_python, y_dtype, p_dtype):
        """While a call reads them, arrays cannot be resized, or to no effect."""
        code = ALONE + program(
            """
            import sys, threading, time, numpy as np
            y_dtype, p_dtype = sys.argv[1:]
            done = threading.Event()
            def resize(a, n):
                while not done.is_set():
                    for size in (10, n):
                        try:
                            a.resize(size, refcheck=False)
                        except ValueError:
                            pass
            n = 500_000
            y, p, w = np.ones(n, y_dtype), np.full(n, 0.5, p_dtype), np.ones(n)
            threads = [
                threading.Thread(target=resize, args=(a, n), daemon=True)
                for a in (y, p, w)
            ]
            for thread in threads:
                thread.start()
            end = time.monotonic() + 1.5
            weights = [None, w]
            while time.monotonic() < end:
                weights.reverse()
                try:
                    fastlogloss.log_loss(
                        y, p, labels=[0, 1], sample_weight=weights[0]
                    )
                except (ValueError, RuntimeError):
                    pass
            done.set()
            for thread in threads:
                thread.join()
            print("alive")
            """
        )
        # Conversions of other dtypes are numpy's, which a resize may well crash:
        # there the arrays are resized between the chunks only, under the GIL.
        if y_dtype == "int32" or p_dtype == "float16":
            code = code.replace("refcheck=False", "refcheck=True")
        done = run_python("-c", code, y_dtype, p_dtype, timeout=120)
        assert done.stdout == "alive\n"

    def test_resize_during_the_kernel_raises(self, run_python):
        code = program(
            """
            import threading, time, numpy as np
            from fastlogloss._kernels import loops
            n = 30_000_000
            y, p = np.zeros(n, np.uint8), np.zeros(n, np.float32)
            spec = loops.Spec(1, 0.0, 1.0, 1e-8)
            refused = []
            def resize():
                while not finished:
                    for a in (y, p):
                        try:
                            a.resize(n - 1, refcheck=False)
                            a.resize(n, refcheck=False)
                        except ValueError:
                            refused.append(True)
                    time.sleep(0.0005)
            finished = False
            thread = threading.Thread(target=resize, daemon=True)
            thread.start()
            end = time.monotonic() + 60
            while not refused and time.monotonic() < end:
                spec.run(y, p)
            finished = True
            thread.join()
            print(len(refused) > 0)
            y.resize(5, refcheck=False)  # and is possible again
            print(len(y))
            """
        )
        assert run_python("-c", code).stdout.split() == ["True", "5"]

    def test_what_is_held_cannot_be_resized(self):
        """Nor can what a view belongs to, and both can be afterwards."""
        whole, other = np.zeros((4, 1)), np.zeros(3)
        held = _kernels.loops.pin_memory(whole[:, 0][::2], None, other)
        for array in (whole, other):
            with pytest.raises(ValueError, match="resize"):
                array.resize(2, refcheck=False)
        del held
        for array in (whole, other):
            array.resize(2, refcheck=False)

    @pytest.mark.parametrize("name", ["log_loss", "log_loss_gradient"])
    def test_resize_of_a_column_during_a_call(self, run_python, name):
        code = ALONE + program(
            """
            import sys, threading, numpy as np
            function = getattr(fastlogloss, sys.argv[1])
            p = np.full((5_000_000, 1), 0.5)
            y = (np.arange(len(p)) % 2).astype(np.uint8)
            refused = []
            def resize():
                started.wait()
                while not refused:
                    try:
                        p.resize((len(p) - 1, 1), refcheck=False)
                    except ValueError:
                        refused.append(True)
            started = threading.Event()
            thread = threading.Thread(target=resize, daemon=True)
            thread.start()
            threading.Timer(0.004, started.set).start()
            for _ in range(20):
                try:
                    function(y[: len(p)], p)
                except (ValueError, RuntimeError):
                    pass
            print("alive")
            """
        )
        assert run_python("-c", code, name).stdout == "alive\n"

    @pytest.mark.parametrize("labels", ["float", "int", "shifted", "str", "object"])
    def test_mutation(self, run_python, labels):
        """A number or an error, but no crash."""
        code = ALONE + program(
            """
            import sys, threading, time, warnings, numpy as np
            from sklearn.dummy import DummyClassifier
            warnings.simplefilter("ignore")
            n = 100_000
            codes = np.arange(n) % 3
            y = {
                "float": codes.astype(float),
                "int": codes,
                "shifted": codes * 5 - 3,
                "str": codes.astype(str),
                "object": codes.astype(str).astype(object),
            }[sys.argv[1]]
            p = np.full((n, 3), 1 / 3)
            w = np.ones(n)
            good, stop = y.copy(), threading.Event()
            model = DummyClassifier().fit(p, y)
            bad = np.array([-(2**40), 77, 3])
            if y.dtype.kind in "OU":
                bad = np.array(["zz" * 9, "q", "0"], object)
            def mutate(seed):
                rng = np.random.default_rng(seed)
                while not stop.is_set():
                    rows = rng.integers(n, size=200)
                    y[rows] = bad[rng.integers(3, size=200)].astype(y.dtype)
                    p[rows] = rng.choice([np.nan, -1, 5, 0.1])
                    w[rows] = rng.choice([np.nan, 0, 1e308])
                    y[rows], p[rows], w[rows] = good[rows], 1 / 3, 1
            threads = [
                threading.Thread(target=mutate, args=(i,), daemon=True)
                for i in range(2)
            ]
            for thread in threads:
                thread.start()
            end = time.monotonic() + 1.5
            calls = [
                lambda: fastlogloss.sample_log_loss(y, p, out=np.empty(n)),
                lambda: fastlogloss.sample_log_loss(y, p),
                lambda: fastlogloss.d2_log_loss_score(y, p, sample_weight=w),
                lambda: fastlogloss.log_loss(y, p, sample_weight=w),
                lambda: fastlogloss.log_loss_gradient(y, p, sample_weight=w),
                lambda: fastlogloss.log_loss_gradient_hessian(
                    y, p, sample_weight=w, from_logits=True
                ),
                lambda: fastlogloss.d2_log_loss_scorer(model, p, y, w),
                lambda: fastlogloss.neg_log_loss_scorer(model, p, y, w),
            ]
            while time.monotonic() < end:
                for call in calls:
                    try:
                        call()
                    except (ValueError, RuntimeError, ZeroDivisionError):
                        pass
            stop.set()
            for thread in threads:
                thread.join()
            y[:], p[:], w[:] = good, 1 / 3, 1
            print(round(fastlogloss.log_loss(y, p), 6))
            """
        )
        done = run_python("-c", code, labels, timeout=120)
        assert float(done.stdout) == round(math.log(3), 6)

    def test_weights_that_become_zero(self, run_python):
        """What was validated has a sum; where it has none later, that is the error."""
        code = ALONE + program(
            """
            import sys, threading, time, warnings, numpy as np
            from collections import Counter
            from fastlogloss import LogLoss
            from sklearn.dummy import DummyClassifier
            warnings.simplefilter("error")
            sys.setswitchinterval(1e-5)
            n = 50_000
            y, p, w = np.arange(n) % 2, np.full(n, 0.5), np.ones(n)
            P, narrow, stop = np.full((n, 2), 0.5), np.ones(n, "f4"), threading.Event()
            model = DummyClassifier().fit(P, y)
            def mutate():
                while not stop.is_set():
                    for value in (0, 1, np.nan, 1, 0, 1):
                        w[:] = narrow[:] = value
            thread = threading.Thread(target=mutate, daemon=True)
            thread.start()
            calls = [
                lambda w: fastlogloss.log_loss(y, p, sample_weight=w),
                lambda w: fastlogloss.d2_log_loss_score(y, p, sample_weight=w),
                lambda w: fastlogloss.log_loss(
                    y, p, sample_weight=w, label_smoothing=0.1
                ),
                lambda w: fastlogloss.log_loss(
                    P, P, sample_weight=w, soft_targets=True
                ),
                lambda w: fastlogloss.log_loss_gradient(y, p, sample_weight=w),
                lambda w: fastlogloss.log_loss_gradient_hessian(
                    y, P, sample_weight=w, from_logits=True
                ),
                lambda w: LogLoss(y, sample_weight=w)(p),
                lambda w: LogLoss(y, sample_weight=w).many([p, p]),
                lambda w: fastlogloss.d2_log_loss_scorer(model, P, y, sample_weight=w),
                lambda w: fastlogloss.neg_log_loss_scorer(model, P, y, sample_weight=w),
            ]
            end = time.monotonic() + 3
            while time.monotonic() < end:
                for call in calls:
                    for weights in (w, narrow):
                        try:
                            call(weights)
                        except ValueError:
                            pass
                        except RuntimeError as error:
                            assert "changed by another thread" in str(error)
            stop.set()
            thread.join()
            """
        )
        run_python("-c", code)

    def test_many_callers(self):
        """One answer for all of them."""
        from concurrent.futures import ThreadPoolExecutor

        codes, p, w = random_case(200_000, 1)
        expected = log_loss(codes, p, sample_weight=w)
        with ThreadPoolExecutor(8) as pool:
            calls = [
                pool.submit(log_loss, codes, p, sample_weight=w) for _ in range(64)
            ]
            assert {call.result(timeout=60) for call in calls} == {expected}


class TestInterrupts:
    @POSIX
    def test_within_one_call(self, run_python):
        """A signal's exception is raised before all rows are done."""
        code = program(
            """
            import signal, time, numpy as np
            from fastlogloss._kernels import loops
            n = 40_000_000
            y, p = np.zeros(n, np.uint8), np.full(n, 0.5, np.float32)
            spec = loops.Spec(1, 2.0**-23, 1 - 2.0**-23, 1e-8)
            def seconds_until(alarm=0):
                start = time.perf_counter()
                try:  # the alarm may come anywhere in here
                    signal.setitimer(signal.ITIMER_REAL, alarm)
                    spec.run(y, p)
                    signal.setitimer(signal.ITIMER_REAL, 0)
                except KeyboardInterrupt:
                    pass
                return time.perf_counter() - start
            def interrupt(*args):
                raise KeyboardInterrupt
            signal.signal(signal.SIGALRM, interrupt)
            whole = min(seconds_until() for _ in range(3))
            # Others may keep the processor busy: some attempts are allowed.
            parts = [seconds_until(max(whole / 8, 1e-4)) for _ in range(10)]
            print(min(parts) < whole / 2)
            """
        )
        assert run_python("-c", code).stdout == "True\n"

    @POSIX
    @pytest.mark.parametrize("kind", ["contiguous", "strided"])
    def test_ctrl_c(self, tmp_path, kind):
        import signal
        import subprocess

        code = program(
            """
            import sys, numpy as np, fastlogloss
            n = 20_000_000
            y = np.arange(n, dtype=np.uint8) & 1
            p = np.full(2 * n, 0.5, np.float32)
            p = p[::2] if sys.argv[1] == "strided" else p[:n]
            fastlogloss.log_loss(y, p)
            print("ready", flush=True)
            while True:
                fastlogloss.log_loss(y, p)
            """
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code, kind],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            process.stderr.close()
        assert "KeyboardInterrupt" in errors
        assert process.returncode != 0


class TestIgnoredRows:
    """-100 marks rows that do not count, to torch: it is no first class by the way."""

    SCORES = np.arange(12.0).reshape(4, 3)
    CALLS = (
        lambda y, z: log_loss(y, z, from_logits=True, sample_weight=[1, 0, 1, 1]),
        lambda y, z: fastlogloss.log_loss_gradient(y, z, from_logits=True),
        lambda y, z: fastlogloss.LogLoss(y, from_logits=True)(z),
    )

    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize("kind", [list, np.array, lambda y: np.array(y, float)])
    def test_refused(self, call, kind):
        with pytest.raises(ValueError, match="y_true holds the label -100, with which"):
            call(kind([0, -100, 1, 1]), self.SCORES)

    def test_a_class_if_it_is_named(self):
        y = [0, -100, 1, 1]
        named = log_loss(y, self.SCORES, from_logits=True, labels=[-100, 0, 1])
        others = fastlogloss.LogLoss(y, classes=[-100, 0, 1], from_logits=True)
        assert named == others(self.SCORES)

    def test_negative_classes_of_all_signs(self):
        assert fastlogloss.LogLoss([-100, -5, 3]).classes == (-100, -5, 3)


def two_mistakes():
    """Pairs of arguments that are wrong, the one to be named first in front."""
    n, y = 20, np.arange(20) % 3
    p = np.full((n, 3), 1 / 3)
    mistakes = [  # in the order of reading; the last, but one, are of all rows
        {"y_score": p[:, :, None]},
        {"sample_weight": np.ones(n - 1)},
        {"labels": [0]},
        {"labels": [*range(9)]},
        {"y_true": y[:-1]},
        {"y_true": np.where(np.arange(n) == 5, 99, y), "labels": [0, 1, 2]},
        {"y_true": np.where(np.arange(n) == 5, 99, 10 * y), "labels": [0, 10, 20]},
        {"y_score": np.where(np.arange(n)[:, None] == 3, np.nan, p)},
        {"y_score": np.where(np.arange(n)[:, None] == 3, 7, p)},
        {"sample_weight": np.where(np.arange(n) == 4, np.nan, 1.0)},
        {"sample_weight": np.zeros(n)},
    ]
    good = {"y_true": y, "y_score": p, "sample_weight": None, "labels": None}
    for one, other in itertools.combinations(mistakes, 2):
        if not set(one) & set(other):
            yield good | one, good | other, good | one | other


class TestTwoMistakes:
    """All functions of the same arguments name the same one first."""

    @pytest.mark.parametrize("case", list(two_mistakes()))
    def test_which_is_named(self, case):
        smoothing = {"label_smoothing": 0.1}  # else scikit-learn answers
        out = np.zeros((20, 3))

        def message(function, arguments, **keywords):
            arguments = dict(arguments)
            y, p = arguments.pop("y_true"), arguments.pop("y_score")
            if function is sample_log_loss:
                del arguments["sample_weight"]
            with pytest.raises((ValueError, TypeError, ZeroDivisionError)) as raised:
                function(y, p, **arguments, **smoothing, **keywords)
            return str(raised.value)

        calls = [
            (log_loss, {}),
            (d2_log_loss_score, {}),
            (log_loss_gradient, {}),
            (log_loss_gradient_hessian, {}),
            (log_loss_gradient, {"out": out}),
        ]
        first, _, both = case
        if first["sample_weight"] is both["sample_weight"] is None:
            calls += (sample_log_loss, {}), (sample_log_loss, {"out": out[:, 0]})
        for function, keywords in calls:
            found = message(function, both, **keywords)
            assert found == message(function, first, **keywords)
        assert not out.any()
