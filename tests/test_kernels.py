"""Every compiled variant, on one and two threads, against the NumPy twins."""

import functools
import math
import operator
import os
import shutil
import subprocess

import numpy as np
import pytest
from arrays import SHORT_LENGTHS, random_case
from conftest import load_variant, required_variants

import fastlogloss._kernels
from fastlogloss import _reference

EPS = 2.0**-52
TOLERANCE = 1e-8
COLUMNS = (1, 2, 3, 5, 10, 63, 64, 65, 1000)
# Design C and D of loops.pxi: eight roundings of a tree, one of the logarithm, one of
# the weight. The twin adds up exactly; its own logarithm is good to 1 ULP.
RTOL = 2e-15
EDGES = (
    *(0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129),
    *(254, 255, 256, 257, 510, 511, 512, 513, 597, 598, 599),
)


def new_spec(loops, n_columns, low=EPS, tolerance=TOLERANCE):
    return loops.Spec(n_columns, low, 1.0 - low, tolerance)


def summed(loops, y, p, w=None, low=EPS, n_threads=1, tolerance=TOLERANCE, out=None):
    spec = new_spec(loops, 1 if p.ndim == 1 else p.shape[1], low, tolerance)
    return spec.run(y, p, w, rows=out, n_threads=n_threads)


def sums(totals):
    return (
        totals.loss,
        totals.weight,
        totals.status,
        totals.n_classes_seen,
        totals.n_rows,
    )


def labels_of(dtype, codes):
    """The codes in a narrower dtype, as far as they go."""
    largest = {"bool": 1, "uint8": 255}.get(dtype)
    return (codes if largest is None else np.minimum(codes, largest)).astype(dtype)


def lengths(n_columns):
    """Short ones, and those around one and two blocks, up to 4 MB of probabilities."""
    rows = new_spec(fastlogloss._kernels.loops, n_columns).block_rows
    around = [k * rows + d for k in (1, 2) for d in (-1, 0, 1)]
    return sorted({*SHORT_LENGTHS, *around})


@functools.lru_cache(maxsize=512)
def twin_sums(n, n_columns, proba_dtype, label_dtype, weighted):
    case = random_case(n, n_columns, dtype=proba_dtype)
    w = case.w if weighted else None
    return _reference.loss_sums(labels_of(label_dtype, case.codes), case.p, w, EPS)


def test_more_rows_than_a_wave(loops, n_threads):
    """Signals are looked at every 2048 blocks of 8192 rows."""
    n = 2 * 2048 * 8192 + 5000
    y = (np.arange(n) % 3 == 0).astype(np.uint8)
    p = np.full(n, 0.25, np.float32)
    w = np.ones(n)
    totals = summed(loops, y, p, None, n_threads=n_threads)
    ones = int(y.sum())
    loss = -ones * math.log(0.25) - (n - ones) * math.log(0.75)
    assert totals.loss == pytest.approx(loss, rel=RTOL)
    assert (totals.weight, totals.n_rows, totals.n_classes_seen) == (n, n, 2)
    totals = summed(loops, y, p, w, n_threads=n_threads)
    assert totals.loss == pytest.approx(loss, rel=RTOL)
    assert totals.weight == n
    rows = np.empty(n)
    summed(loops, y, p, None, n_threads=n_threads, out=rows)
    expected = np.where(y == 1, -math.log(0.25), -math.log(0.75))
    np.testing.assert_allclose(rows, expected, rtol=RTOL)


def test_bad_sum_in_the_second_wave(loops, n_threads):
    n = 2048 * 8192 + 5000
    y = np.zeros(n, np.uint8)
    p = np.full((n, 2), 0.5, np.float32)
    p[n - 1] = 0.25
    totals = summed(loops, y, p, n_threads=n_threads)
    assert totals.status == loops.BAD_ROW_SUM
    assert n - 256 <= totals.bad_sum_from < n


class TestSums:
    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    @pytest.mark.parametrize("label_dtype", ["float64", "int64", "uint8", "bool"])
    @pytest.mark.parametrize("proba_dtype", ["float64", "float32"])
    @pytest.mark.parametrize("n_columns", COLUMNS)
    def test_equal_twin_and_base(
        self, loops, base, n_columns, proba_dtype, label_dtype, weighted
    ):
        for n in lengths(n_columns):
            case = random_case(n, n_columns, dtype=proba_dtype)
            y = labels_of(label_dtype, case.codes)
            w = case.w if weighted else None
            expected = twin_sums(n, n_columns, proba_dtype, label_dtype, weighted)
            # Rows of float32 sum to one in float32 alone.
            on_base = summed(base, y, case.p, w, tolerance=1e-3)
            for n_threads in (1, 2):
                totals = summed(
                    loops, y, case.p, w, n_threads=n_threads, tolerance=1e-3
                )
                assert sums(totals) == sums(on_base)  # to the last bit
                assert totals.status == 0
                assert totals.n_rows == n
                assert totals.n_classes_seen == len(np.unique(y))
                assert (totals.loss, totals.weight) == pytest.approx(
                    expected, rel=RTOL, abs=0
                )

    @pytest.mark.parametrize("low", [0.0, 2.0**-60, EPS, 2.0**-23, 2.0**-10, 0.3, 0.49])
    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    @pytest.mark.parametrize("n_columns", [1, 2, 3])
    def test_clip(self, loops, n_columns, weighted, low):
        codes, p, w = random_case(600, n_columns)
        for start, column in ((0, 0), (3, -1)):
            p[start::7] = 0.0
            if n_columns > 1:
                p[start::7, column] = 1.0
        if n_columns == 1:
            p[3::7] = 1.0
        w = w if weighted else None
        totals = summed(loops, codes, p, w, low)
        expected = _reference.loss_sums(codes, p, w, low)
        assert (totals.loss, totals.weight) == pytest.approx(expected, rel=RTOL, abs=0)
        assert totals.status == 0

    def test_weight_zero_silences_an_impossible_event(self, loops):
        y, p, w = np.array([1, 0, 1]), np.array([0.0, 0.5, 0.5]), np.array([0.0, 1, 1])
        totals = summed(loops, y, p, w, low=0.0)
        assert totals.loss == pytest.approx(2 * np.log(2), rel=RTOL)
        assert summed(loops, y, p, None, low=0.0).loss == np.inf

    @pytest.mark.parametrize("n", [3, 256, 600, 20000])
    def test_sum_of_infinities_is_no_nan(self, loops, n_threads, n):
        y, p = np.ones(n), np.zeros(n)
        assert summed(loops, y, p, None, 0.0, n_threads).loss == np.inf
        assert summed(loops, y, p, np.ones(n), 0.0, n_threads).loss == np.inf

    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10])
    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    def test_blocks_one_at_a_time_give_the_same_bits(self, loops, n_columns, weighted):
        spec = new_spec(loops, n_columns)
        rows = spec.block_rows
        codes, p, w = random_case(3 * rows + 77, n_columns)
        w = w if weighted else None
        whole = spec.run(codes, p, w, n_threads=2)
        for step in (rows, 2 * rows):
            parts = [slice(i, i + step) for i in range(0, len(p), step)]
            pieces = functools.reduce(
                operator.add,
                (spec.run(codes[i], p[i], None if w is None else w[i]) for i in parts),
            )
            assert sums(pieces) == sums(whole)

    @pytest.mark.parametrize("n", [1, 255, 257, 16385, 40000])
    def test_one_column_and_two_give_the_same_bits(self, loops, n_threads, n):
        codes, p, w = random_case(n, 1)
        pairs = np.stack([1.0 - p, p], axis=1)
        for weights in (None, w):
            one = summed(loops, codes, p, weights, n_threads=n_threads)
            two = summed(loops, codes, pairs, weights, n_threads=n_threads)
            assert sums(one) == sums(two)

    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10])
    def test_label_dtypes_give_the_same_bits(self, loops, n_columns):
        codes, p, _ = random_case(700, n_columns)
        results = {
            sums(summed(loops, codes.astype(dtype), p))
            for dtype in ("int64", "uint8", "float64")
        }
        assert len(results) == 1

    def test_empty_adds_nothing(self, loops):
        nothing = new_spec(loops, 1).run(np.empty(0), np.empty(0))
        assert sums(nothing) == (0.0, 0.0, 0, 0, 0)
        codes, p, w = random_case(5, 1)
        totals = summed(loops, codes, p, w)
        assert sums(nothing + totals) == sums(totals + nothing) == sums(totals)

    def test_totals_are_values(self, loops):
        """What is added is not changed by it."""
        p = np.full((4, 2), 0.5)
        p[3] = 0.25
        a = summed(loops, np.zeros(4), np.full((4, 2), 0.5), np.ones(4))
        b = summed(loops, np.ones(4), p, -np.ones(4))
        before = sums(a), sums(b)
        both = a + b
        assert (sums(a), sums(b)) == before
        assert (a.n_classes_seen, b.n_classes_seen, both.n_classes_seen) == (1, 1, 2)
        assert (a.status, both.status) == (0, loops.BAD_ROW_SUM)
        assert (a.bad_sum_from, b.bad_sum_from, both.bad_sum_from) == (-1, 0, 4)
        assert (a.signed, b.signed, both.signed) == (False, True, True)
        assert (a.in_range, both.in_range) == (True, False)  # the weights cancel
        assert (both.n_rows, both.weight, both.loss) == (8, 0.0, a.loss + b.loss)

    def test_totals_of_others_cannot_be_added(self, loops):
        three = summed(loops, np.zeros(4), np.full((4, 3), 1 / 3))
        with pytest.raises(ValueError, match="zip"):
            summed(loops, np.zeros(4), np.full(4, 0.5)) + three
        with pytest.raises(TypeError):
            three + 1

    @pytest.mark.parametrize("n", SHORT_LENGTHS)
    @pytest.mark.parametrize("n_columns", [1, 2, 3])
    @pytest.mark.parametrize("dtype", ["float64", "int64", "uint8"])
    def test_classes_seen(self, loops, n, n_columns, dtype):
        p = random_case(n, n_columns).p
        for only in range(max(n_columns, 2)):
            y = np.full(n, only, dtype)
            assert summed(loops, y, p).n_classes_seen == 1
            y[-1] = (only + 1) % 2
            assert summed(loops, y, p).n_classes_seen == len(set(y.tolist()))


class TestRows:
    @pytest.mark.parametrize("low", [0.0, EPS])
    @pytest.mark.parametrize("n_columns", [1, 2, 3, 64])
    def test_equal_twin_and_base(self, loops, base, n_threads, n_columns, low):
        for n in lengths(n_columns):
            codes, p, _ = random_case(n, n_columns)
            rows, base_rows = np.full(n, np.nan), np.empty(n)
            totals = summed(loops, codes, p, None, low, n_threads, out=rows)
            summed(base, codes, p, None, low, out=base_rows)
            assert totals.status == 0
            np.testing.assert_array_equal(rows, base_rows)
            # Two logarithms, each within 1 ULP.
            twin = _reference.sample_losses(codes, p, low)
            np.testing.assert_array_max_ulp(rows, twin, 2)


BAD_PROBA = {
    "nan": np.nan,
    "-nan": np.copysign(np.nan, -1),
    "inf": np.inf,
    "-inf": -np.inf,
    "-1e-320": -1e-320,
    "-5e-324": -5e-324,
    "-0.3": -0.3,
    "-1": -1.0,
    "-1e300": -1e300,
    "1 + 2^-52": 1.0 + EPS,
    "1.5": 1.5,
    "2": 2.0,
    "1e300": 1e300,
}
# In float32 they are zero, one or overflow.
FLOAT64_ONLY = {"-1e-320", "-5e-324", "1 + 2^-52", "1e300", "-1e300"}


class TestStatus:
    """What is wrong is found wherever it stands; what is not wrong is not found."""

    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10, 65])
    @pytest.mark.parametrize(
        ("dtype", "bad"),
        [("float64", bad) for bad in BAD_PROBA]
        + [("float32", bad) for bad in BAD_PROBA if bad not in FLOAT64_ONLY],
    )
    def test_bad_proba(self, loops, n_columns, bad, dtype):
        codes, p, _ = random_case(600, n_columns, dtype=dtype)
        value = np.dtype(dtype).type(BAD_PROBA[bad])
        for row in EDGES:
            for column in {0, n_columns // 2, n_columns - 1}:
                broken = p.copy()
                broken[(row, column) if p.ndim == 2 else row] = value
                for y in (codes, codes.astype(float), codes.astype(np.uint8)):
                    assert summed(loops, y, broken).status & loops.BAD_PROBA

    @pytest.mark.parametrize("low", [0.0, 2.0**-60, EPS, 0.2, 0.3, 0.34, 0.4, 0.49])
    @pytest.mark.parametrize("n_columns", [1, 2, 3])
    @pytest.mark.parametrize("bad", BAD_PROBA)
    def test_bad_proba_everywhere(self, loops, n_columns, bad, low):
        p = np.full((300, n_columns), BAD_PROBA[bad])
        p = p[:, 0].copy() if n_columns == 1 else p
        for y in (np.zeros(300), np.ones(300), np.ones(300, np.uint8)):
            assert summed(loops, y, p, low=low).status & loops.BAD_PROBA

    @pytest.mark.parametrize("low", [0.0, EPS, 0.4])
    @pytest.mark.parametrize("value", [0.0, -0.0, 5e-324, 1e-320, 1 - 2.0**-53, 1.0])
    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10])
    def test_good_proba(self, loops, n_columns, value, low):
        codes, p, _ = random_case(600, n_columns)
        for row in EDGES:
            fine = p.copy()
            if n_columns == 1:
                fine[row] = value
            else:
                fine[row] = 0.0
                fine[row, 0] = 1.0 - value
                fine[row, -1] = value
            totals = summed(loops, codes, fine, low=low)
            assert totals.status == 0
            expected = _reference.loss_sums(codes, fine, None, low)[0]
            assert totals.loss == pytest.approx(expected, rel=RTOL)

    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10, 65])
    @pytest.mark.parametrize(
        ("dtype", "bad"),
        [
            ("float64", 0.5),
            ("float64", 1.0 + EPS),
            ("float64", 1.0 - EPS),
            ("float64", 5e-324),
            ("float64", -1.0),
            ("float64", 65.0),
            ("float64", 2.0**63),
            ("float64", 1e300),
            ("float64", np.nan),
            ("float64", np.copysign(np.nan, -1)),
            ("float64", np.inf),
            ("float64", -np.inf),
            ("int64", -1),
            ("int64", 65),
            ("int64", 2**32),
            ("int64", 2**32 + 1),
            ("int64", 2**63 - 1),
            ("int64", -(2**63)),
            ("uint8", 65),
            ("uint8", 255),
        ],
    )
    def test_bad_label(self, loops, n_columns, dtype, bad):
        codes, p, _ = random_case(600, n_columns)
        for row in EDGES:
            y = codes.astype(dtype)
            y[row] = bad
            assert summed(loops, y, p).status == loops.BAD_LABEL

    @pytest.mark.parametrize("n_columns", [2, 3, 5, 10, 65])
    def test_row_sum(self, loops, n_columns):
        codes, p, _ = random_case(600, n_columns)
        for row in EDGES:
            for factor, expected in ((0.5, 0), (2.0, loops.BAD_ROW_SUM)):
                for sign in (1, -1):
                    shifted = p.copy()
                    shifted[row, row % n_columns] += sign * factor * TOLERANCE
                    assert summed(loops, codes, shifted).status == expected

    @pytest.mark.parametrize("n_columns", [2, 3, 40])
    def test_where_row_sums_are_bad(self, loops, n_threads, n_columns):
        """From the first tile of such a row on, of all that was added."""
        rows = new_spec(loops, n_columns).block_rows
        codes, p, w = random_case(3 * rows + 5, n_columns)
        assert summed(loops, codes, p, n_threads=n_threads).bad_sum_from == -1
        p[2 * rows + 7 :] *= 0.9
        for weights in (None, w):
            totals = summed(loops, codes, p, weights, n_threads=n_threads)
            assert totals.bad_sum_from == 2 * rows
        chunks = [slice(start, start + rows) for start in range(0, len(p), rows)]
        parts = (summed(loops, codes[chunk], p[chunk]) for chunk in chunks)
        assert functools.reduce(operator.add, parts).bad_sum_from == 2 * rows

    @pytest.mark.parametrize("n_columns", [1, 2, 3, 5, 10, 31, 32, 33, 100])
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    def test_worst_row(self, loops, n_columns, dtype):
        for n in (1, 2, 5, 256, 257, 700):
            p = random_case(n, max(n_columns, 2), dtype=dtype).p[:, :n_columns].copy()
            # Which of many is furthest by a rounding error is of no interest.
            total, expected = loops.worst_row(p)[1], _reference.worst_row(p)[1]
            assert total == pytest.approx(expected, rel=1e-14)
            for off, value in ((n // 2, 9.0), (n - 1, np.nan)):
                p[off, -1] = value
                assert loops.worst_row(p)[0] == _reference.worst_row(p)[0] == off
        for bad in (p[0], p[None], p.astype(complex), p.astype(object)):
            with pytest.raises(TypeError, match="matrix of numbers"):
                loops.worst_row(bad)

    def test_worst_row_is_the_first(self, loops):
        p = np.full((600, 3), 0.25)
        assert loops.worst_row(p) == (0, 0.75)
        p[:] = [0.5, 0.25, 0.25]
        assert loops.worst_row(p) == (0, 1.0)

    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10])
    def test_in_any_block(self, loops, n_threads, n_columns):
        rows = new_spec(loops, n_columns).block_rows
        codes, p, _ = random_case(3 * rows + 5, n_columns)
        for row in (0, rows - 1, rows, 2 * rows, 3 * rows + 4):
            broken = p.copy()
            broken[row] = np.nan
            assert summed(loops, codes, broken, n_threads=n_threads).status
            y = codes.copy()
            y[row] = n_columns + 1
            totals = summed(loops, y, p, n_threads=n_threads)
            assert totals.status == loops.BAD_LABEL

    @pytest.mark.parametrize("n_columns", [1, 2, 3])
    def test_with_weights_and_with_rows(self, loops, n_columns):
        codes, p, w = random_case(600, n_columns)
        p[599] = np.nan
        assert summed(loops, codes, p, w).status
        assert summed(loops, codes, p, out=np.empty(600)).status


class TestRefusals:
    """What is no array of numbers, or does not fit, raises; nothing is written."""

    @pytest.mark.parametrize(
        "change",
        [
            {"y": np.zeros(3)},
            {"y": np.zeros((4, 1))},
            {"y": np.array(0.0)},
            {"y": np.array(["a"] * 4)},
            {"y": np.zeros(4, object)},
            {"y": np.zeros(4, "M8[s]")},
            {"y": np.zeros(4, "m8[s]")},
            {"y": np.zeros(4, np.longdouble)},
            {"y": np.zeros(4, "V8")},
            {"p": np.zeros(4, np.complex128)},
            {"p": np.zeros(4, np.longdouble)},
            {"p": np.zeros(5)},
            {"p": np.zeros((4, 1))},
            {"w": np.zeros(3)},
            {"w": np.zeros((4, 1))},
            {"w": np.zeros(4, np.complex64)},
            {"rows": np.zeros(4, np.float32)},
            {"rows": np.zeros(4, np.int64)},
            {"rows": np.zeros(5)},
            {"rows": np.zeros((4, 1))},
            {"rows": np.zeros(4, np.dtype("f8").newbyteorder("S"))},
            {"rows": np.broadcast_to(np.zeros(()), 4)},
            {"classes": np.zeros(3)},
            {"classes": np.zeros((2, 1))},
            {"classes": np.array(0.0)},
            {"classes": np.zeros(2, np.float32)},
            {"classes": np.zeros(2, np.int64)},
            {"classes": np.zeros(4)[::2]},
            {"classes": np.zeros(2, np.dtype("f8").newbyteorder("S"))},
            {"classes": np.zeros(17, np.uint8)[1:].view(np.float64)},
        ],
        ids=lambda change: "{0}: {1.dtype} {1.shape} {1.strides}".format(
            *next(iter(change.items()))
        ),
    )
    def test_arrays(self, loops, change):
        rows, gradient = np.full(4, np.nan), np.full(4, np.nan)
        arguments = {"y": np.zeros(4), "p": np.full(4, 0.5), "w": None, "rows": rows}
        with pytest.raises((TypeError, ValueError)):
            new_spec(loops, 1).run(**arguments | change, gradient=gradient)
        assert np.isnan([rows, gradient]).all()

    def test_columns(self, loops):
        for shape in ((4,), (4, 2), (4, 4), (4, 3, 1)):
            with pytest.raises(ValueError, match="fit together"):
                new_spec(loops, 3).run(np.zeros(4), np.full(shape, 0.25))

    def test_classes_of_whole_numbers_are_no_floats(self, loops):
        for bad in (np.zeros(2), np.zeros(2, np.int32), np.zeros(2, bool)):
            with pytest.raises(TypeError, match="classes"):
                new_spec(loops, 1).run(np.zeros(4, int), np.zeros(4), classes=bad)

    @pytest.mark.parametrize("bad", [None, [0.0, 1.0], "ab", 1.0])
    def test_no_arrays(self, loops, bad):
        for arguments in ((bad, np.zeros(2)), (np.zeros(2), bad)):
            with pytest.raises(TypeError):
                new_spec(loops, 1).run(*arguments)
        for function in (loops.sum_weights, loops.worst_row):
            with pytest.raises(TypeError):
                function(bad)

    @pytest.mark.parametrize("n_columns", [0, -1])
    def test_no_columns(self, loops, n_columns):
        with pytest.raises(ValueError, match="n_columns"):
            new_spec(loops, n_columns)


class TestMeanLoss:
    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10])
    def test_equals_run(self, loops, n_columns):
        for n in (10, 32, 33, 257, 1536):
            codes, p, _ = random_case(n, n_columns)
            mean = loops.mean_loss(codes, p, EPS, TOLERANCE)
            assert mean == summed(loops, codes, p).loss / n

    @pytest.mark.parametrize("n_columns", [1, 2, 3, 10])
    @pytest.mark.parametrize("from_logits", [False, True])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_equals_mean(self, loops, n_columns, from_logits, weighted):
        spec = loops.Spec(n_columns, EPS, 1 - EPS, TOLERANCE, from_logits=from_logits)
        for n in (10, 33, 257, 1536):
            codes, p, w = random_case(n, n_columns)
            p = np.log(p) * 3 if from_logits else p
            w = w if weighted else None
            mean = loops.mean_loss(codes, p, EPS, TOLERANCE, w, from_logits)
            assert mean == spec.mean(codes, p, w, True) is not None
            totals = spec.run(codes, p, w)
            assert mean == totals.loss / totals.weight

    def test_leaves_weights_to_others(self, loops):
        codes, p, w = random_case(50, 1)
        for weights in (w.tolist(), -w, w[:-1], w * np.nan, w * 0, w[:, None]):
            assert loops.mean_loss(codes, p, EPS, TOLERANCE, weights) is None

    def test_leaves_the_rest_to_others(self, loops):
        codes, p, _ = random_case(50, 1)
        pairs = np.stack([1 - p, p], 1)
        for y, proba in (
            (codes.tolist(), p),
            (codes, p.tolist()),
            (codes, p.astype(np.float32)),  # clipped by another epsilon
            (codes[:-1], p),
            (np.zeros(50), p),
            (np.full(50, 2), p),
            (codes, p - 1),
            (codes, pairs * 2),
            (codes, pairs[:, :1]),
            (codes, np.empty((50, 0))),
            (np.empty(0), np.empty(0)),
            (np.array(1), np.array(0.5)),
            (codes[:, None], p),
            random_case(8193, 1)[:2],
            random_case(65, 65)[:2],
        ):
            assert loops.mean_loss(y, proba, EPS, TOLERANCE) is None


class TestSumWeights:
    @pytest.mark.parametrize("n", [0, 1, 255, 256, 257, 5000])
    def test_sum(self, loops, base, n, rng):
        w = 10.0 ** rng.uniform(-6, 6, n) * rng.choice([-1, 1], n)
        total, tail, size = loops.sum_weights(w)
        parts = [total, tail, *-w]
        assert abs(math.fsum(parts)) <= 2.0**-84 * math.fsum(abs(w))
        assert size == pytest.approx(math.fsum(abs(w)), rel=EPS)
        assert (total, tail, size) == base.sum_weights(w)

    @pytest.mark.parametrize("n", [3, 600])
    def test_not_finite(self, loops, n):
        for bad in (np.nan, -np.nan, np.inf, -np.inf):
            for row in (0, n // 2, n - 1):
                w = np.ones(n)
                w[row] = bad
                assert not math.isfinite(sum(loops.sum_weights(w)))
        assert not math.isfinite(sum(loops.sum_weights(np.full(n, 1e308))))

    def test_negative_zero(self, loops):
        assert loops.sum_weights(np.full(600, -0.0)) == (0, 0, 0)

    @pytest.mark.parametrize(
        "w", [np.ones((2, 2)), np.array(1.0), np.ones(2, complex), np.array(["1"])]
    )
    def test_refuses(self, loops, w):
        with pytest.raises(TypeError, match="vector of numbers"):
            loops.sum_weights(w)


class TestNeighbours:
    @pytest.mark.parametrize("low", [0.0, EPS])  # rows one by one, and by tiles
    @pytest.mark.parametrize("n_columns", [1, 3])
    def test_row_losses_know_nothing_of_them(self, loops, n_columns, low):
        codes, p, _ = random_case(600, n_columns)
        p[::7] = 1.0 if n_columns == 1 else [0.0, 0.0, 1.0]
        whole = self.row_losses(loops, codes, p, low)
        for n in EDGES[1:]:
            for rows in (slice(0, n), slice(600 - n, 600)):
                part = self.row_losses(loops, codes[rows], p[rows], low)
                np.testing.assert_array_equal(part, whole[rows])

    @staticmethod
    def row_losses(loops, codes, p, low):
        losses = np.full(len(codes), np.nan)
        summed(loops, codes, p, low=low, out=losses)
        return losses


def disassembly(module):
    tool = shutil.which("objdump")
    assert tool, "objdump is needed (it is part of binutils)"
    return subprocess.run(
        [tool, "--disassemble", "--no-show-raw-insn", module.__file__],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout.splitlines()


@pytest.mark.skipif("v3" not in required_variants(), reason="no such instructions")
@pytest.mark.skipif(
    os.environ.get("FASTLOGLOSS_DEBUG") == "1", reason="built without optimisation"
)
class TestInstructions:
    @pytest.mark.parametrize(
        "instruction",
        [
            "vfmsub",
            "vdivpd",
            "vmulpd",
            "vaddpd",
            "vsubpd",
            "vpor",
            "vpsubq",
            "vcvtps2pd",
        ],
    )
    def test_v3_is_vectorised(self, instruction):
        lines = disassembly(load_variant("v3"))
        assert any(instruction in line and "%ymm" in line for line in lines)
        assert not any("%zmm" in line for line in lines)

    @pytest.mark.skipif("v4" not in required_variants(), reason="no such instructions")
    @pytest.mark.parametrize("instruction", ["vfmsub", "vdivpd", "vmulpd", "vpternlog"])
    def test_v4_is_vectorised(self, instruction):
        lines = disassembly(load_variant("v4"))
        assert any(instruction in line and "%zmm" in line for line in lines)

    @pytest.mark.parametrize("name", ["base", "cpu", "labels"])
    def test_baseline_runs_everywhere(self, name):
        lines = disassembly(load_variant(name))
        assert len(lines) > 1000
        assert not any("%ymm" in line or "\tvfm" in line for line in lines)

    def test_base_is_vectorised(self):
        lines = disassembly(load_variant("base"))
        assert any("divpd" in line and "%xmm" in line for line in lines)


class TestVariants:
    def test_all_that_must_exist_do(self):
        assert set(fastlogloss._kernels.available()) == set(required_variants())

    def test_best_first(self):
        available = fastlogloss._kernels.available()
        assert available[-1] == "base"
        if "FASTLOGLOSS_ISA" not in os.environ:
            chosen = fastlogloss._kernels.loops
            assert chosen is fastlogloss._kernels.load(available[0])

    def test_unknown(self):
        with pytest.raises(ValueError, match=r"choose one of .*base"):
            fastlogloss._kernels.load("v5")


class TestShares:
    """What D2 asks: weights of classes, and the loss of their shares."""

    @pytest.mark.parametrize("dtype", ["i8", "u1", ">i4", "f8", "f2", "labels"])
    @pytest.mark.parametrize("n_classes", [2, 3, 5, 70, 300, 1000])
    @pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
    def test_same_bits_as_the_loss(self, loops, dtype, n_classes, weighted, n_threads):
        rng = np.random.default_rng(n_classes)
        n, classes = 20_001, None
        limit = min(n_classes, 255 if dtype == "u1" else n_classes)
        y = rng.integers(0, limit, n)
        if dtype == "labels":
            classes = np.sort(rng.choice(10 * n_classes, n_classes, replace=False))
            y = np.repeat(classes[y], 2)[::2]
        else:
            y = y.astype(dtype)
        w = rng.uniform(-0.1, 1, n) if weighted else None
        share = rng.uniform(0.1, 1, n_classes)
        share /= share.sum()
        spec = loops.Spec(n_classes, 2.0**-52, 1 - 2.0**-52, 1e-6)
        p = np.broadcast_to(share, (n, n_classes))
        expected = spec.run(y, p, w, classes=classes)
        found = loops.loss_of_shares(
            spec, y, share, w, classes=classes, n_threads=n_threads
        )
        assert found.status == expected.status == 0
        assert (found.loss, found.weight) == (expected.loss, expected.weight)
        assert found.in_range
        assert found.signed == weighted

    @pytest.mark.parametrize("n_classes", [2, 4, 5, 256, 257])
    @pytest.mark.parametrize("n", [0, 1, 255, 257, 40_000])
    def test_sums(self, loops, base, n_classes, n):
        rng = np.random.default_rng(n)
        y = rng.integers(0, n_classes, n)
        w = rng.normal(size=n)
        sums, others = np.empty((2, 2, n_classes))
        assert loops.sum_by_class(y, None, None, sums)
        assert sums[0].tolist() == np.bincount(y, minlength=n_classes).tolist()
        assert not sums[1].any()
        assert loops.sum_by_class(y, None, w, sums, 0.5)
        assert base.sum_by_class(y.astype("f8"), None, w, others, 0.5)
        assert sums.tolist() == others.tolist()
        bound = 2e-15 * np.bincount(y, np.abs(w), n_classes)
        exact = [math.fsum(w[y == j]) / 2 for j in range(n_classes)]
        assert (np.abs(sums.sum(axis=0) - exact) <= bound).all()

    @pytest.mark.parametrize("label", [-1, 3, 2**40, -(2**63), 2**63 - 1])
    @pytest.mark.parametrize("at", [0, 255, 256, 999])
    def test_no_class(self, loops, label, at):
        y = np.zeros(1000, np.int64)
        y[at] = label
        spec = loops.Spec(3, 2.0**-52, 1 - 2.0**-52, 1e-6)
        assert not loops.sum_by_class(y, None, None, np.empty((2, 3)))
        found = loops.loss_of_shares(spec, y, np.full(3, 1 / 3))
        assert found.status == loops.BAD_LABEL

    def test_what_does_not_fit(self, loops):
        y, w, share = np.zeros(3, int), np.ones(3), np.full(2, 0.5)
        spec = loops.Spec(2, 0.0, 1.0, 1e-6)
        for labels in (y.astype(object), y[:, None], y.astype("g")):
            with pytest.raises(TypeError, match="labels must be numbers"):
                loops.sum_by_class(labels, None, None, np.empty((2, 2)))
        for weights in (w[:2], w[:, None], w.astype(object)):
            with pytest.raises(ValueError, match="do not fit together"):
                loops.loss_of_shares(spec, y, share, weights)
        for sums in (np.empty(2), np.empty((3, 2)), np.empty((2, 4))[:, ::2]):
            with pytest.raises(TypeError, match="two rows of float64"):
                loops.sum_by_class(y, None, None, sums)
        for shares in (share[:1], share.astype("f4"), np.full(4, 0.25)[::2]):
            with pytest.raises(TypeError, match="plain array of float64"):
                loops.loss_of_shares(spec, y, shares)
        for options in ({"from_logits": True}, {"soft": True}, {"smoothing": 0.1}):
            with pytest.raises(ValueError, match="probabilities of labels"):
                loops.loss_of_shares(loops.Spec(2, 0, 1, 0, **options), y, share)
