"""Types of probabilities and weights; threads and memory."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from arrays import LAYOUTS, PROBA_TYPES, REAL_DTYPES, random_case
from compare import METRICS, assert_same

from fastlogloss import _engine, d2_log_loss_score, log_loss, sample_log_loss
from fastlogloss._labels import Codes

WEIGHT_TYPES = {
    **{d: (lambda w, d=d: w.astype(d)) for d in REAL_DTYPES if d != "longdouble"},
    "list": lambda w: w.tolist(),
    "pandas": pd.Series,
    "pandas Int64": lambda w: pd.Series(w.astype(int), dtype="Int64"),
    "object": lambda w: w.astype(object),
}


def sklearn_dtype(name):
    """In which scikit-learn computes."""
    return name if name in ("float32", "float16") else "float64"


class TestProbabilities:
    @pytest.mark.parametrize("name", PROBA_TYPES)
    @pytest.mark.parametrize("n_columns", [1, 2, 3])
    @pytest.mark.parametrize("metric", METRICS)
    def test_parity(self, metric, name, n_columns):
        codes, p, w = random_case(60, n_columns)
        p = PROBA_TYPES[name](p)
        dtype = sklearn_dtype(name)
        assert_same(metric, codes, p, dtype=dtype)
        assert_same(metric, codes, p, dtype=dtype, sample_weight=w)

    @pytest.mark.parametrize("name", PROBA_TYPES)
    @pytest.mark.parametrize("n_columns", [1, 2, 3])
    @pytest.mark.usefixtures("fast_path_only")
    def test_fast_path(self, name, n_columns):
        codes, p, w = random_case(60, n_columns)
        expected = PROBA_TYPES[name](p)
        if sklearn_dtype(name) == "float64":
            expected = p
        p = PROBA_TYPES[name](p)
        for keywords in ({}, {"sample_weight": w}, {"normalize": False}):
            value = log_loss(codes, p, **keywords)
            assert value == log_loss(codes, expected, **keywords)
        assert d2_log_loss_score(codes, p) == d2_log_loss_score(codes, expected)
        rows = sample_log_loss(codes, expected)
        np.testing.assert_array_equal(sample_log_loss(codes, p), rows)

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "longdouble"])
    @pytest.mark.parametrize("n_columns", [1, 3])
    @pytest.mark.parametrize("metric", METRICS)
    def test_layouts(self, metric, layout, dtype, n_columns):
        codes, p, w = random_case(60, n_columns, dtype=dtype)
        lay_out = LAYOUTS[layout]
        keywords = {"sample_weight": lay_out(w), "dtype": sklearn_dtype(dtype)}
        assert_same(metric, lay_out(codes), lay_out(p), **keywords)

    @pytest.mark.parametrize("dtype", [d for d in REAL_DTYPES if "float" not in d])
    @pytest.mark.parametrize("metric", METRICS)
    def test_integers(self, metric, dtype):
        y = np.array([0, 1, 1, 0, 1])
        p = np.array([0, 1, 0, 0, 1])
        dtype = "float64" if dtype == "longdouble" else dtype
        assert_same(metric, y, p.astype(dtype))
        assert_same(metric, y, np.stack([1 - p, p], 1).astype(dtype))

    @pytest.mark.parametrize("metric", METRICS)
    def test_column(self, metric):
        codes, p, _ = random_case(30, 1)
        assert_same(metric, codes, p[:, None])
        assert_same(metric, codes, p[:, None].tolist())

    @pytest.mark.usefixtures("fast_path_only")
    def test_column_is_vector(self):
        codes, p, _ = random_case(30, 1)
        assert log_loss(codes, p[:, None]) == log_loss(codes, p)

    @pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
    @pytest.mark.parametrize("n_columns", [2, 3, 10])
    def test_sums_near_the_tolerance(self, dtype, n_columns):
        """Whether to warn is scikit-learn's decision, to the last bit."""
        eps = float(np.finfo(dtype).eps)
        limit = 1e-8 + eps**0.5
        codes, p, _ = random_case(12, n_columns)
        for factor in (0.8, 0.89, 0.91, 0.99, 0.999999, 1.0, 1.000001, 1.01, 1.2, 2):
            for sign in (1, -1):
                off = p.copy()
                off[5] *= 1 + sign * factor * limit
                assert_same("log_loss", codes, off.astype(dtype), dtype=dtype)

    @pytest.mark.compares
    @pytest.mark.parametrize("metric", METRICS)
    def test_array_api_strict(self, metric):
        """Without dispatch such an array is what numpy makes of it."""
        import array_api_strict as xp

        codes, p, _ = random_case(30, 3)
        assert_same(metric, xp.asarray(codes), xp.asarray(p))


class TestWeights:
    @pytest.mark.parametrize("name", WEIGHT_TYPES)
    @pytest.mark.parametrize("n_columns", [1, 3])
    @pytest.mark.parametrize("metric", METRICS)
    def test_parity(self, metric, name, n_columns):
        codes, p, w = random_case(60, n_columns)
        w = WEIGHT_TYPES[name](np.ceil(w * 10))
        if (metric, name) == ("d2_log_loss_score", "object"):
            pytest.skip("an AttributeError of scikit-learn; see TestBetter")
        assert_same(metric, codes, p, sample_weight=w)

    @pytest.mark.parametrize("name", WEIGHT_TYPES)
    @pytest.mark.usefixtures("fast_path_only")
    def test_fast_path(self, name):
        codes, p, w = random_case(60, 3)
        w = np.ceil(w * 10)
        typed = WEIGHT_TYPES[name](w)
        w = (w > 0).astype(float) if name == "bool" else w
        value = log_loss(codes, p, sample_weight=typed)
        assert value == log_loss(codes, p, sample_weight=w)

    @pytest.mark.parametrize("n", [10, 300, 20_000])
    def test_whole_numbers_repeat_rows(self, n):
        codes, p, w = random_case(n, 3)
        times = (w * 3).astype(int)
        repeated = log_loss(np.repeat(codes, times), np.repeat(p, times, axis=0))
        weighted = log_loss(codes, p, sample_weight=times)
        assert weighted == pytest.approx(repeated, rel=4e-15)

    @pytest.mark.compares
    @pytest.mark.parametrize("weights", [[1, -1, 0], [0, 0, 0], [2, -1, -1.0]])
    @pytest.mark.parametrize("normalize", [True, False])
    def test_zero_sum(self, weights, normalize):
        keywords = {"sample_weight": weights, "normalize": normalize}
        assert_same("log_loss", [0, 1, 1], [0.2, 0.7, 0.6], **keywords)
        assert_same(
            "d2_log_loss_score", [0, 1, 1], [0.2, 0.7, 0.6], sample_weight=weights
        )


class TestMemory:
    """At most a mebibyte beyond the arguments, whatever their length."""

    @pytest.mark.parametrize("y_dtype", ["float64", "int64", "bool", "int8", "float32"])
    @pytest.mark.parametrize("p_dtype", ["float64", "float32", "float16"])
    @pytest.mark.parametrize("layout", ["contiguous", "strided", "byte-swapped"])
    def test_peak(self, y_dtype, p_dtype, layout):
        codes, p, w = random_case(400_000, 1, dtype=p_dtype)
        lay_out = LAYOUTS[layout]
        y, p, w = lay_out(codes.astype(y_dtype)), lay_out(p), lay_out(w)
        assert peak(log_loss, y, p) <= 2**20
        assert peak(log_loss, y, p, sample_weight=w) <= 2**20
        assert peak(d2_log_loss_score, y, p, sample_weight=w) <= 2**20

    def test_peak_of_other_numbers(self):
        codes, p, _ = random_case(400_000, 3)
        for y in (codes * 2 - 7, codes.astype(np.uint16) + 5, codes / 1 - 1):
            assert peak(log_loss, y, p) <= 2**20

    def test_arguments_are_not_written(self):
        for dtype in ("float64", "float32"):
            case = random_case(5000, 3, dtype=dtype)
            for array in case:
                array.flags.writeable = False
            before = [array.copy() for array in case]
            log_loss(case.codes, case.p, sample_weight=case.w)
            d2_log_loss_score(case.codes, case.p, sample_weight=case.w)
            sample_log_loss(case.codes, case.p)
            for array, copy in zip(case, before, strict=True):
                np.testing.assert_array_equal(array, copy)


def peak(function, *args, **kwargs):
    """Bytes at most allocated at a time during a call."""
    function(*args, **kwargs)
    tracemalloc.start()
    try:
        function(*args, **kwargs)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


class TestNullLoss:
    @pytest.mark.parametrize("code", [-1, 3, 2**40])
    def test_labels_changed_since_the_first_look(self, code):
        y = np.array([0, 1, 2, code])
        with pytest.raises(RuntimeError, match="y_true was changed by another thread"):
            _engine.null_loss(Codes(y), 3)
