"""Types of labels: as scikit-learn has it, and without handing over."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from arrays import (
    LABEL_TYPES,
    LAYOUTS,
    NOT_IN_SKLEARN,
    TWO_VALUED,
    label_types,
    random_case,
)
from compare import METRICS, assert_same
from hypothesis import given
from hypothesis import strategies as st

from fastlogloss import d2_log_loss_score, log_loss, sample_log_loss
from fastlogloss._kernels._labels import RecordTable, encode_strings, kinds, recode
from fastlogloss._labels import Factorized, encode, read, sorted_labels

CASES = [(t, 1) for t in label_types(2)] + [(t, 4) for t in label_types(4)]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def typed(request):
    """(labels of some type, codes, p, w)."""
    name, n_columns = request.param
    codes, p, w = random_case(50, n_columns)
    return LABEL_TYPES[name](codes), codes, p, w


class TestFastPath:
    @pytest.mark.usefixtures("fast_path_only")
    def test_every_type(self, typed):
        y, codes, p, w = typed
        assert log_loss(y, p) == log_loss(codes, p)
        weighted = log_loss(codes, p, sample_weight=w)
        assert log_loss(y, p, sample_weight=w) == weighted
        assert d2_log_loss_score(y, p) == d2_log_loss_score(codes, p)
        rows = sample_log_loss(codes, p)
        np.testing.assert_array_equal(sample_log_loss(y, p), rows)

    @pytest.mark.usefixtures("fast_path_only")
    @pytest.mark.parametrize(
        # As `labels`, objects have to be str proper.
        ("name", "n_columns"),
        [case for case in CASES if case[0] != "object np.str_"],
    )
    def test_with_labels(self, name, n_columns):
        """One class of y_true is missing, but declared."""
        codes, p, _ = random_case(50, n_columns)
        n_classes = max(n_columns, 2)
        seen = np.minimum(codes, n_classes - 2)
        labels = LABEL_TYPES[name](np.arange(n_classes))
        if name == "column":
            labels = labels[:, 0]
        expected = log_loss(seen, p, labels=np.arange(n_classes))
        assert log_loss(LABEL_TYPES[name](seen), p, labels=labels) == expected

    @pytest.mark.usefixtures("fast_path_only")
    @pytest.mark.parametrize(
        ("layout", "name"),
        [
            (layout, name)
            for layout in LAYOUTS
            for name in ("str", "object str", "int32", "StringDType")
            # numpy has no memory map of strings that lie elsewhere.
            if (layout, name) != ("memory-mapped", "StringDType")
        ],
    )
    def test_layouts(self, layout, name):
        codes, p, _ = random_case(50, 3)
        y = LAYOUTS[layout](LABEL_TYPES[name](codes))
        assert log_loss(y, p) == log_loss(codes, p)

    @pytest.mark.usefixtures("fast_path_only")
    def test_range(self):
        p = random_case(5, 5).p
        assert log_loss(range(5), p) == log_loss(np.arange(5), p)

    @pytest.mark.parametrize("n_classes", [2, 3, 200, 254, 255, 256, 257, 300, 1000])
    @pytest.mark.parametrize("name", ["str", "object str", "shifted int", "pandas str"])
    @pytest.mark.usefixtures("fast_path_only")
    def test_many_classes(self, name, n_classes):
        """Codes change from one byte to eight at 255 classes."""
        codes, p, _ = random_case(2 * n_classes, n_classes)
        assert log_loss(LABEL_TYPES[name](codes), p) == log_loss(codes, p)


ODD_COLUMNS = {
    "Series gap": lambda v: pd.Series([*v[:-1], None]),
    "string gap": lambda v: pd.Series([*v[:-1], None], dtype="string"),
    "category gap": lambda v: pd.Series([*v[:-1], None], dtype="category"),
    "Categorical gap": lambda v: pd.Categorical([*v[:-1], None]),
    "polars gap": lambda v: pl.Series([*v[:-1], None]),
    "pyarrow gap": lambda v: pa.array([*v[:-1], None]),
    "object gap": lambda v: np.array([*v[:-1], None], dtype=object),
    "Int64 gap": lambda v: pd.Series(pd.array([1, 0, None, 1], dtype="Int64")),
    "boolean gap": lambda v: pd.Series(
        pd.array([True, False, None, True], dtype="boolean")
    ),
    "nan": lambda v: pd.Series([1.0, 0.0, np.nan, 1.0]),
    "DataFrame": lambda v: pd.DataFrame({"a": v}),
    "wide DataFrame": lambda v: pd.DataFrame({"a": v, "b": v}),
    "polars DataFrame": lambda v: pl.DataFrame({"a": v}),
    "pyarrow Table": lambda v: pa.table({"a": v}),
    "category as object": lambda v: pd.Series(v, dtype="category").astype(object),
    "mixed category": lambda v: pd.Series([1, "a", "b", 1], dtype="category"),
    "category of fractions": lambda v: pd.Series(
        [0.5, 1.5, 0.5, 1.5], dtype="category"
    ),
    "category of tuples": lambda v: pd.Series(
        [(1,), (2,), (1,), (2,)], dtype="category"
    ),
    "dates": lambda v: pd.Series(pd.to_datetime(["2020", "2021", "2020", "2021"])),
    "category of dates": lambda v: pd.Series(
        pd.to_datetime(["2020", "2021"] * 2)
    ).astype("category"),
    "intervals": lambda v: pd.interval_range(0, 4),
    "Float64 fractions": lambda v: pd.Series([0.5, 1.5, 0.5, 1.5], dtype="Float64"),
    "Float64": lambda v: pd.Series([1, 0, 1, 0], dtype="Float64"),
    "sparse": lambda v: pd.Series(pd.arrays.SparseArray([1, 0, 1, 0])),
    "Index": lambda v: pd.Index(v),
    "MultiIndex": lambda v: pd.MultiIndex.from_arrays([v, v]),
}


class TestParity:
    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize(
        ("name", "n_columns"), [c for c in CASES if c[0] not in NOT_IN_SKLEARN]
    )
    def test_every_type(self, metric, name, n_columns):
        codes, p, w = random_case(50, n_columns)
        y = LABEL_TYPES[name](codes)
        assert_same(metric, y, p)
        assert_same(metric, y, p, sample_weight=w)

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("name", sorted(set(LABEL_TYPES) - NOT_IN_SKLEARN))
    def test_wrong_number_of_classes(self, metric, name):
        codes = random_case(50, 2 if name in TWO_VALUED else 4).codes
        assert_same(metric, LABEL_TYPES[name](codes), random_case(50, 3).p)

    @pytest.mark.parametrize("metric", METRICS)
    def test_bytes(self, metric):
        """scikit-learn rejects them, in words that are its own."""
        codes, p, _ = random_case(20, 1)
        assert_same(metric, codes.astype("S1"), p)
        assert_same(metric, [b"a" if c else b"b" for c in codes], p)
        assert_same(metric, codes.astype("S1").astype(object), p)

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize("name", ODD_COLUMNS)
    def test_odd_columns(self, metric, name):
        assert_same(
            metric, ODD_COLUMNS[name](["a", "b", "a", "b"]), [0.2, 0.7, 0.4, 0.6]
        )

    @pytest.mark.parametrize("metric", METRICS)
    def test_zeros_of_both_signs(self, metric):
        y = np.array([-0.0, 0.0, 1.0, 1.0])
        for p in ([0.2, 0.7, 0.4, 0.6], random_case(4, 2).p):
            assert_same(metric, y, p)
            assert_same(metric, y - 1, p)
            assert_same(metric, y, p, labels=[-0.0, 1.0])

    @pytest.mark.parametrize("metric", METRICS)
    @pytest.mark.parametrize(
        ("y", "labels"),
        [
            ([0, 1, 1], ["0", "1"]),
            (["0", "1", "1"], [0, 1]),
            ([0, 1, 1], [0.0, 1.0]),
            ([0.0, 1.0, 1.0], [0, 1]),
            ([False, True, True], [0, 1]),
            ([0, 1, 1], [False, True]),
            ([0, 1, 1], [0, 1.5]),
            ([0, 1, 1], [0, np.nan]),
            ([0, 1, 1], (0, 1)),
            ([0, 1, 1], range(2)),
            ([0, 1, 1], pd.Series([0, 1])),
            ([0, 1, 1], pd.Index([0, 1])),
            ([0, 1, 1], {0, 1}),
            ([0, 1, 1], "ab"),
            (["a", "b", "b"], "ab"),
            (["a", "b", "b"], ["a", None]),
            (["a", "b", "b"], pd.Categorical(["a", "b"])),
            (["a", "b", "b"], pd.Categorical(["a", "b", "b"])),
            (["a", "b", "b"], np.array([["a", "b"]])),
            (["a", "b", "b"], np.array([["a"], ["b"]])),
            (["a", "b", "b"], ["a", "b\0"]),
            ([5, 7, 7], [5, 6]),
            ([5, 7, 7], [5, 7]),
            ([5, 7, 7], [5, 6, 7]),
        ],
    )
    def test_labels_of_another_type(self, metric, y, labels):
        p = [0.2, 0.7, 0.6]
        assert_same(metric, y, p, labels=labels)
        assert_same(metric, np.array(y), p, labels=labels)
        assert_same(metric, np.array(y, dtype=object), p, labels=labels)


class TestRead:
    def test_vectors(self):
        y = np.arange(4)
        assert read(y) is y
        assert read(y[:, None]).base is y
        assert read(y.tolist()).tolist() == y.tolist()
        assert read([1, "a"]) is None
        assert read(np.zeros((2, 2))) is None
        assert read(np.array(1)) is None

    def test_categories(self):
        found = read(pd.Categorical(["b", "a", "b"], categories=["a", "b", "c"]))
        assert isinstance(found, Factorized)
        assert np.array(found.found)[found.numbers].tolist() == ["b", "a", "b"]
        assert read(pd.Categorical(["b", None])) is None


class TestEncode:
    @pytest.mark.parametrize("name", label_types(4))
    def test_codes(self, name):
        codes = random_case(50, 4).codes
        y = read(LABEL_TYPES[name](codes))
        encoded = encode(y, limit=4)
        assert not encoded.unseen
        assert len(encoded.classes) == 4
        np.testing.assert_array_equal(encoded.codes.chunk(0, 50), codes)
        np.testing.assert_array_equal(encoded.codes.chunk(7, 9), codes[7:9])
        assert len(encoded.codes) == 50
        assert encode(y, limit=3) is None

    @pytest.mark.parametrize("name", label_types(4))
    def test_given_classes(self, name):
        """In any order; what is no class gets the code after the last."""
        codes = random_case(50, 4).codes
        y = read(LABEL_TYPES[name](codes))
        sorted_classes = encode(y, limit=4).classes
        encoded = encode(y, [sorted_classes[i] for i in (2, 0, 1)], limit=9)
        assert encoded.unseen
        expected = np.array([1, 2, 0, 3])[codes]
        np.testing.assert_array_equal(encoded.codes.chunk(0, 50), expected)

    def test_no_classes(self):
        for y in ([0.5, 1.0], [np.nan, 1.0], [np.inf, 1.0], [1j, 2], ["", 1], [b"a"]):
            array = read(np.array(y, dtype=None if len(y) == 2 else object))
            if array.dtype.kind != "U":
                assert encode(array, limit=5) is None

    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            ([0, 1], [0, 1]),
            (("a", "b"), ["a", "b"]),
            (np.array([0.0, 2.0]), [0.0, 2.0]),
            (pd.Categorical(["a", "b"]), ["a", "b"]),
            ([1, 0], None),
            ([0, 0, 1], None),
            ([0], None),
            ([], None),
            ([0.5, 1.0], None),
            ([[0, 1]], None),
            ([0, "a"], None),
            (["a", None], None),
            (3, None),
        ],
    )
    def test_sorted_labels(self, labels, expected):
        assert sorted_labels(labels) == expected


class TestCompiled:
    """The hash tables, called as `_labels` calls them and as it never does."""

    @pytest.mark.parametrize("itemsize", [1, 2, 3, 4, 7, 8, 9, 12, 16, 20, 40])
    @pytest.mark.parametrize("n_records", [1, 2, 17, 254, 255, 256, 5000])
    def test_records(self, rng, itemsize, n_records):
        n_records = min(n_records, 256**itemsize)
        pool = rng.integers(256, size=(4 * n_records, itemsize), dtype=np.uint8)
        pool = np.unique(pool, axis=0)[:n_records]
        n_records = len(pool)
        numbers = rng.permutation(np.repeat(np.arange(n_records), 3))
        records = np.ascontiguousarray(pool[numbers]).view(f"V{itemsize}").ravel()
        table = RecordTable(itemsize, n_records)
        out = np.empty(len(records), np.int64)
        assert table.encode(records, out)
        assert len(table) == n_records
        stored = np.frombuffer(table.tobytes(), np.uint8).reshape(-1, itemsize)
        np.testing.assert_array_equal(stored[out], pool[numbers])
        np.testing.assert_array_equal(np.unique(out), np.arange(n_records))
        if n_records < 256:
            narrow = np.empty(len(records), np.uint8)
            assert table.encode(records, narrow)
            np.testing.assert_array_equal(narrow, out)
        if n_records > 1:
            assert not RecordTable(itemsize, n_records - 1).encode(records)

    def test_strings_of_any_length(self):
        for length in (1, 2, 3, 4, 5, 9):
            y = np.array([f"{c:0{length}d}" for c in (1, 0, 1, 2)])
            encoded = encode(y, limit=3)
            assert encoded.codes.chunk(0, 4).tolist() == [1, 0, 1, 2]

    def test_strings(self):
        values = np.array(["b", "a", np.str_("b"), "\0", "", "é", "a" * 999], object)
        out = np.empty(7, np.int64)
        found = encode_strings(values, 7, out, np.str_)
        assert found == ["b", "a", "\0", "", "é", "a" * 999]
        assert out.tolist() == [0, 1, 0, 2, 3, 4, 5]
        assert {type(item) for item in found} == {str}
        assert encode_strings(values, 5, out, np.str_) is None
        values.flags.writeable = False
        assert encode_strings(values, 7, out, np.str_) == found

    def test_strings_that_nearly_agree(self):
        """Of every length up to twice a record, in all widths of a character."""
        letters = ("a", "b", "\0", "\xe9", "\u0101", "\u4100", "\U0001f600", "\ud800")
        words = {""}
        for size in range(1, 18):
            for letter in letters:
                words.add(letter * size)
                for at in {0, 1, size // 2, size - 2, size - 1} & set(range(size)):
                    words.add("a" * at + letter + "a" * (size - at - 1))
        words = sorted(words)
        self.check_strings(words + words[::-1])

    def test_strings_of_one_hash(self):
        self.check_strings(["sensor_Arow4col4", "sensor_Mrow0col0"])
        letters, digits = map(chr, range(65, 91)), range(10)
        words = [
            f"sensor_{c}row{i}col{j}" for c in letters for i in digits for j in digits
        ]
        self.check_strings(words)

    @given(st.lists(st.text("ab\0\xe9\u4100\U0001f600", max_size=12), min_size=1))
    def test_any_strings(self, words):
        self.check_strings(words)
        # numpy's own strings have no NUL at their end.
        self.check_strings([np.str_(word.rstrip("\0")) for word in words])

    def check_strings(self, words):
        again = ["".join(list(word)) for word in words]  # equal, not the same
        values = np.fromiter(words + again, object)
        found, numbers = list(dict.fromkeys(words)), np.empty(len(values), np.int64)
        assert encode_strings(values, len(found), numbers, np.str_) == found
        assert numbers.tolist() == [found.index(word) for word in words] * 2
        if len(found) > 1:
            assert encode_strings(values, len(found) - 1, numbers, np.str_) is None

    @pytest.mark.parametrize("bad", [None, 1, 1.5, b"a", ("a",)])
    def test_not_only_strings(self, bad):
        values = np.array(["a", None, "b"], object)
        values[1] = bad
        assert encode_strings(values, 9, np.empty(3, np.int64), np.str_) is None

    def test_subclass_of_str(self):
        class Word(str):
            __slots__ = ()

        values = np.array([Word("a"), "a"], object)
        assert encode_strings(values, 9, np.empty(2, np.int64), np.str_) is None

    @pytest.mark.parametrize(("itemsize", "limit"), [(0, 5), (-1, 5), (8, 0), (8, -1)])
    def test_no_such_table(self, itemsize, limit):
        with pytest.raises(ValueError, match="no table of"):
            RecordTable(itemsize, limit)

    @pytest.mark.parametrize("limit", [1, 63, 64, 65, 5000, 2**20, 2**40])
    def test_growth(self, rng, limit):
        """A limit is only that: memory goes by the records found."""
        values = rng.permutation(20_000)
        values = np.concatenate([values, values[::-1]])
        table, numbers = RecordTable(8, limit), np.empty(len(values), np.int64)
        assert table.encode(values, numbers) == (limit >= 20_000)
        n = min(limit, 20_000)
        assert len(table) == n
        np.testing.assert_array_equal(np.frombuffer(table.tobytes(), int), values[:n])
        if limit >= 20_000:
            expected = [*range(20_000), *range(20_000)[::-1]]
            assert numbers.tolist() == expected
        words = values.astype(str).astype(object)
        found = encode_strings(words, limit, numbers, np.str_)
        assert found == (words[:20_000].tolist() if limit >= 20_000 else None)

    @pytest.mark.parametrize(
        ("values", "out"),
        [
            (np.zeros(4, np.int32), np.zeros(4, np.int64)),
            (np.zeros(8, np.int64)[::2], np.zeros(4, np.int64)),
            (np.zeros(4, np.int64), np.zeros(3, np.int64)),
            (np.zeros(4, np.int64), np.zeros(4, np.int32)),
            (np.zeros(4, np.int64), np.zeros(8, np.int64)[::2]),
            (np.zeros(4, np.int64), np.broadcast_to(np.zeros((), np.int64), 4)),
        ],
    )
    def test_wrong_arrays(self, values, out):
        with pytest.raises(ValueError, match="contiguous"):
            RecordTable(8, 5).encode(values, out)

    def test_kinds(self):
        values = np.array([1, "a", 1.5, None, 2, np.float32(1)], object)
        expected = {int, str, float, type(None), np.float32}
        assert kinds(values) == expected
        assert kinds(np.empty(3, object)) == {type(None)}
        assert kinds(np.empty(0, object)) == set()
        for wrong in (values[::2], np.zeros(3)):
            with pytest.raises(ValueError, match="contiguous"):
                kinds(wrong)

    def test_too_many_for_a_byte(self):
        with pytest.raises(ValueError, match="uint8"):
            RecordTable(8, 256).encode(np.zeros(4), np.zeros(4, np.uint8))
        with pytest.raises(ValueError, match="uint8"):
            encode_strings(np.array(["a"], object), 256, np.zeros(1, np.uint8), np.str_)

    @pytest.mark.parametrize("dtype", [np.int64, np.uint8])
    def test_recode(self, dtype):
        numbers = np.array([0, 2, 1, 3, 200], dtype)
        recode(numbers, np.array([5, 6, 7]))
        unknown = np.array(-1).astype(dtype)
        assert numbers.tolist() == [5, 7, 6, unknown, unknown]
        with pytest.raises(ValueError, match="contiguous"):
            recode(numbers.astype(np.int16), np.array([5, 6, 7]))
        with pytest.raises(ValueError, match="contiguous"):
            recode(numbers, np.array([5.0, 6.0]))


class TestFloatsThatAreNoLabels:
    """Those of the short way too, which guesses the classes of few rows."""

    P = np.array([0.2, 0.7, 0.6, 0.1])

    @pytest.mark.parametrize("times", [1, 5000])
    @pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
    @pytest.mark.parametrize(
        "labels", [(0, np.inf), (-np.inf, 0), (0, 1e19), (0, 2.0**63), (-1e300, 1e300)]
    )
    def test_refused_with_every_option(self, labels, dtype, times):
        with np.errstate(over="ignore"):
            y = np.tile(np.array(labels, dtype)[[0, 1, 1, 0]], times)
        p = np.tile(self.P, times)
        assert_same("log_loss", y, p)
        for options in ({"eps": 1e-9}, {"label_smoothing": 0.1}, {"from_logits": True}):
            with pytest.raises(ValueError, match="y"):
                log_loss(y, p, **options)

    def test_the_least_int64_is_one(self):
        assert_same("log_loss", np.array([0, -(2.0**63), 0, 0]), self.P)

    @pytest.mark.parametrize("dtype", [np.int64, np.int8, np.float32])
    @pytest.mark.parametrize(
        "option", [{"from_logits": True}, {"label_smoothing": 0.1}]
    )
    def test_mark_of_torch_is_refused_in_few_rows_too(self, dtype, option):
        y = np.array([-100, 1, 1, -100], dtype)
        for y_true in (y, y.tolist()):
            with pytest.raises(ValueError, match="holds the label -100"):
                log_loss(y_true, self.P, **option)
