"""Numbers of group keys against a dict, for all that can hold keys."""

import copy
import datetime
import pickle
import threading
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlogloss._groups import Keys

NAN = float("nan")
UTC = datetime.UTC
DAY = datetime.date(2024, 2, 29)
NOON = datetime.datetime(2024, 2, 29, 12)


def number(keys, groups, n, chunk=5):
    reader = keys.reader(groups, n)
    out = np.full(n + chunk, -7, np.int64)
    for start in range(0, n, chunk):
        stop = min(n, start + chunk)
        reader.number(start, stop, out[start:])
        assert (out[start:stop] < len(keys)).all()
        assert (out[start:stop] >= 0).all()
        assert (out[stop:] == -7).all()
    return out[:n]


def key_of(x):
    """What a dict tells apart as groups are."""
    if isinstance(x, tuple):
        return tuple(map(key_of, x))
    if x is None or x is pd.NA or x is pd.NaT or x != x:
        return None
    return x


def by_dict(cells):
    numbers = {}
    return [numbers.setdefault(key_of(x), len(numbers)) for x in cells]


def column(values):
    """The cells of some values as a list, with None for what is missing."""
    return [key_of(x) for x in np.asarray(values, object)]


def cells_of(keys):
    values = keys.values()
    if isinstance(values, tuple):
        return [*zip(*map(column, values), strict=True)]
    return column(values)


INTS = [3, -1, 3, 2**40, 0, None, 3, -1, None, 7, 0, 2**40]
SMALL = [3, 1, 3, 2, 0, None, 3, 1, None, 7, 0, 2]
TEXTS = ["b", "a", None, "", "b", "ü", "long enough to be hashed", "€", None, "a", "𝄞"]
BOOLS = [True, False, None, True, False]
FLOATS = [0.5, -0.0, 0.0, None, 1e300, 5e-324, -5e-324, -0.5, np.inf, -np.inf, 0.5, 3.0]
DATES = [DAY, None, datetime.date(1, 1, 1), DAY, datetime.date(9999, 12, 31)]
TIMES = [NOON, None, NOON + datetime.timedelta(microseconds=1), NOON]
SPANS = [
    datetime.timedelta(3),
    None,
    datetime.timedelta(0, 1, 1),
    datetime.timedelta(3),
]


def without(values, missing):
    return [missing if x is None else x for x in values]


def present(values):
    return [x for x in values if x is not None]


def objects(values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


CONTAINERS = {
    "list of ints": (INTS, INTS),
    "object ints": (INTS, objects(INTS)),
    "ints as floats": (SMALL, np.array(without(SMALL, NAN))),
    "ints as float32": (SMALL, np.array(without(SMALL, NAN), np.float32)),
    "ints": (present(INTS), np.array(present(INTS))),
    "swapped ints": (present(INTS), np.array(present(INTS), ">i8")),
    "strided ints": (present(INTS), np.repeat(present(INTS), 2)[::2]),
    "reversed ints": (present(INTS), np.array(present(INTS)[::-1])[::-1]),
    "uint8": (present(SMALL), np.array(present(SMALL), np.uint8)),
    "int16": (present(SMALL), np.array(present(SMALL), np.int16)),
    "column": (present(INTS), np.array(present(INTS))[:, None]),
    "Int64": (INTS, pd.Series(INTS, dtype="Int64")),
    "UInt8": (SMALL, pd.array(SMALL, dtype="UInt8")),
    "int64[pyarrow]": (INTS, pd.Series(INTS, dtype="int64[pyarrow]")),
    "Index": (present(INTS), pd.Index(present(INTS))),
    "Sparse": (present(INTS), pd.Series(pd.arrays.SparseArray(present(INTS)))),
    "polars ints": (INTS, pl.Series(INTS)),
    "arrow ints": (INTS, pa.array(INTS)),
    "arrow chunks": (INTS, pa.chunked_array([INTS[:5], INTS[5:]])),
    "arrow dictionary": (INTS, pa.array(INTS).dictionary_encode()),
    "arrow dictionaries": (
        TEXTS,
        pa.chunked_array(
            [
                pa.array(TEXTS[:4]).dictionary_encode(),
                pa.array(TEXTS[4:]).dictionary_encode(),
            ]
        ),
    ),
    "int categories": (INTS, pd.Series(objects(INTS), dtype="category")),
    "list of strings": (TEXTS, TEXTS),
    "object strings": (TEXTS, objects(TEXTS)),
    "object strings, NaN": (TEXTS, objects(without(TEXTS, NAN))),
    "object strings, NA": (TEXTS, objects(without(TEXTS, pd.NA))),
    "object strings, NaT": (TEXTS, objects(without(TEXTS, np.datetime64("NaT")))),
    "object strings, float64": (TEXTS, objects(without(TEXTS, np.float64("nan")))),
    "U": (present(TEXTS), np.array(present(TEXTS))),
    "swapped U": (present(TEXTS), np.array(present(TEXTS)).astype(">U30")),
    "StringDType": (
        TEXTS,
        np.array(TEXTS, np.dtypes.StringDType(na_object=None)),
    ),
    "pandas str": (TEXTS, pd.Series(TEXTS, dtype="str")),
    "pandas string": (TEXTS, pd.Series(TEXTS, dtype="string[python]")),
    "pandas arrow": (TEXTS, pd.Series(TEXTS, dtype="string[pyarrow]")),
    "pandas ArrowDtype": (TEXTS, pd.Series(TEXTS, dtype=pd.ArrowDtype(pa.string()))),
    "categories": (TEXTS, pd.Categorical(TEXTS)),
    "polars strings": (TEXTS, pl.Series(TEXTS)),
    "polars Categorical": (TEXTS, pl.Series(TEXTS, dtype=pl.Categorical)),
    "polars Enum": (
        TEXTS,
        pl.Series(TEXTS, dtype=pl.Enum(sorted({*present(TEXTS)}))),
    ),
    "arrow strings": (TEXTS, pa.array(TEXTS)),
    "arrow large": (TEXTS, pa.array(TEXTS, pa.large_string())),
    "arrow view": (TEXTS, pa.array(TEXTS, pa.string_view())),
    "bools": (present(BOOLS), np.array(present(BOOLS))),
    "object bools": (BOOLS, objects(BOOLS)),
    "boolean": (BOOLS, pd.Series(BOOLS, dtype="boolean")),
    "polars bools": (BOOLS, pl.Series(BOOLS)),
    "arrow bools": (BOOLS, pa.array(BOOLS)),
    "floats": (FLOATS, np.array(without(FLOATS, NAN))),
    "object floats": (FLOATS, objects(without(FLOATS, NAN))),
    "Float64": (FLOATS, pd.Series(FLOATS, dtype="Float64")),
    "polars floats": (FLOATS, pl.Series(FLOATS)),
    "arrow floats": (FLOATS, pa.array(FLOATS)),
    "dates D": (DATES, np.array(DATES, "M8[D]")),
    "dates us": (DATES, np.array(DATES, "M8[us]")),
    "dates s, swapped": (DATES, np.array(DATES, ">M8[s]")),
    "object dates": (DATES, objects(DATES)),
    "polars dates": (DATES, pl.Series(DATES)),
    "arrow dates": (DATES, pa.array(DATES)),
    "times": (TIMES, np.array(TIMES, "M8[us]")),
    "times ns": (TIMES, np.array(TIMES, "M8[ns]")),
    "object times": (TIMES, objects(TIMES)),
    "Timestamps": (TIMES, objects([t and pd.Timestamp(t) for t in TIMES])),
    "pandas times": (TIMES, pd.Series(TIMES, dtype="M8[us]")),
    "polars times": (TIMES, pl.Series(TIMES)),
    "arrow times": (TIMES, pa.array(TIMES, pa.timestamp("ns"))),
    "pandas zone": (TIMES, pd.Series(TIMES, dtype="M8[us]").dt.tz_localize("UTC")),
    "polars zone": (TIMES, pl.Series(TIMES).dt.replace_time_zone("UTC")),
    "arrow zone": (TIMES, pa.array(TIMES, pa.timestamp("us", "Europe/Berlin"))),
    "object zone": (TIMES, objects([t and t.replace(tzinfo=UTC) for t in TIMES])),
    "spans": (SPANS, np.array(SPANS, "m8[us]")),
    "object spans": (SPANS, objects(SPANS)),
    "pandas spans": (SPANS, pd.Series(SPANS, dtype="m8[ns]")),
    "polars spans": (SPANS, pl.Series(SPANS)),
    "arrow spans": (SPANS, pa.array(SPANS)),
    "bytes": ([b"a", b"b", b"a"], np.array([b"a", b"b", b"a"])),
    "complex": ([1j, 2j, 1j], np.array([1j, 2j, 1j])),
    "tuples": ([(1, 2), (0, 1), (1, 2)], [(1, 2), (0, 1), (1, 2)]),
    "decimals": ([Decimal(1), Decimal(2), Decimal(1)],) * 2,
    "mixed": ([1, "1", None, 1.0, "1", b"1"],) * 2,
    "all missing": ([None, None],) * 2,
    "polars null": ([None, None], pl.Series([None, None])),
    "arrow null": ([None, None], pa.nulls(2)),
    "no category": ([None, None], pd.Categorical([None, None])),
    "NaN": ([None, None], np.array([NAN, NAN])),
    "empty": ([], []),
    "empty U": (["", ""], np.array(["", ""])),
    "large": ([2**63 + 5, 1, 2**63 + 5], np.array([2**63 + 5, 1, 2**63 + 5], "u8")),
    "extremes": (
        [-(2**63), 2**63 - 1, -(2**63)],
        np.array([-(2**63), 2**63 - 1, -(2**63)]),
    ),
    "extreme objects": ([-(2**63), None, 2**63 - 1], [-(2**63), None, 2**63 - 1]),
}
CASES = pytest.mark.parametrize(
    ("cells", "groups"), CONTAINERS.values(), ids=CONTAINERS.keys()
)


def comparable(cells):
    return [x.item() if isinstance(x, np.generic) else x for x in cells]


def same_key(a, b):
    if isinstance(b, datetime.date) and not isinstance(b, datetime.datetime):
        return a in (b, datetime.datetime(b.year, b.month, b.day))
    return a == b


@CASES
class TestContainers:
    @pytest.mark.parametrize("chunk", [1, 2, 100])
    def test_numbers(self, cells, groups, chunk):
        keys = Keys()
        expected = by_dict(cells)
        assert number(keys, groups, len(cells), chunk).tolist() == expected
        assert len(keys) == len({*expected})
        for key, value in zip(
            dict.fromkeys(map(key_of, cells)), cells_of(keys), strict=True
        ):
            assert same_key(value, key), (value, key)

    def test_again(self, cells, groups):
        keys = Keys()
        first = number(keys, groups, len(cells))
        assert number(keys, groups, len(cells), 3).tolist() == first.tolist()

    def test_copies(self, cells, groups):
        keys = Keys()
        numbers = number(keys, groups, len(cells))
        copies = [keys.copy(), copy.copy(keys), pickle.loads(pickle.dumps(keys))]
        for other in copies:
            assert other == keys
            assert cells_of(other) == cells_of(keys)
            assert number(other, groups, len(cells)).tolist() == numbers.tolist()
            assert len(other) == len(keys)

    @pytest.mark.parametrize("count", [0, 1, 2])
    def test_truncate(self, cells, groups, count):
        keys = Keys()
        number(keys, groups, len(cells))
        before = cells_of(keys)
        keys.truncate(count)
        assert cells_of(keys) == before[:count]
        number(keys, groups, len(cells))
        assert cells_of(keys) == before

    def test_find(self, cells, groups):
        keys = Keys()
        numbers = number(keys, groups, len(cells)).tolist()
        before = cells_of(keys)
        zoned = "zone" in keys._columns[0].kind if len(keys) else False
        for cell, expected in zip(cells, numbers, strict=True):
            key = cell.replace(tzinfo=UTC) if zoned and cell is not None else cell
            assert keys.find(key) == expected
        for key in ("no such", 12345, 0.125, NOON + datetime.timedelta(9), (1,), 1e300):
            if key not in cells:
                assert keys.find(key) is None
        assert cells_of(keys) == before

    def test_merge(self, cells, groups):
        keys, other = Keys(), Keys()
        numbers = number(keys, groups, len(cells))
        assert other.numbers_of(keys).tolist() == [*range(len(keys))]
        assert keys.numbers_of(other).tolist() == [*range(len(keys))]
        assert number(other, groups, len(cells)).tolist() == numbers.tolist()
        assert (keys == other) is True

    def test_order(self, cells, groups):
        keys = Keys()
        number(keys, groups, len(cells))
        order = keys.sorted_order()
        assert sorted(order) == [*range(len(keys))]
        values = [cells_of(keys)[i] for i in order]
        if None in values:
            assert values.pop() is None
        try:
            expected = sorted(values)
        except TypeError:
            return
        assert values == expected


@CASES
def test_two_columns(cells, groups):
    n = len(cells)
    other = np.arange(n) // 2 % 2
    expected = by_dict(zip(cells, other.tolist(), strict=True))
    for columns, rows in (
        ((groups, other), zip(cells, other.tolist(), strict=True)),
        ((other, groups), zip(other.tolist(), cells, strict=True)),
    ):
        rows = [*rows]
        keys = Keys()
        assert number(keys, columns, n, 3).tolist() == expected
        values = cells_of(keys)
        count = len(values) // 2
        assert pickle.loads(pickle.dumps(keys)) == keys
        keys.truncate(count)
        assert cells_of(keys) == values[:count]
        assert number(keys, columns, n, 2).tolist() == expected
        assert cells_of(keys) == values
        if "zone" not in str([c.kind for c in keys._columns]):
            for row, found in zip(rows, expected, strict=True):
                assert keys.find(row) == found


KINDS = {
    "ints": st.integers(-3, 3),
    "wide ints": st.integers(-(2**63), 2**63 - 1),
    "far ints": st.integers(-3, 3).map(lambda x: x * 10**17),
    "texts": st.text(max_size=20),
    "floats": st.floats(allow_nan=False),
    "booleans": st.booleans(),
    "dates": st.datetimes(),
    "mixed": st.one_of(
        st.integers(-9, 2**52), st.text(max_size=2), st.floats(allow_nan=False)
    ),
}


@pytest.mark.parametrize("name", KINDS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_chunks(name, data):
    cells = data.draw(st.lists(st.one_of(KINDS[name], st.none()), max_size=40))
    keys = Keys()
    expected = by_dict(cells)
    chunk = data.draw(st.integers(1, 41))
    assert number(keys, objects(cells), len(cells), chunk).tolist() == expected
    values = cells_of(keys)
    count = data.draw(st.integers(0, len(keys)))
    keys.truncate(count)
    assert cells_of(keys) == values[:count]
    assert number(keys, cells, len(cells), chunk).tolist() == expected
    assert keys == pickle.loads(pickle.dumps(keys))
    for cell, n in zip(cells, expected, strict=True):
        assert keys.find(cell) == n


@pytest.mark.parametrize("spread", [1, 1000, 2**40])
@pytest.mark.parametrize("n_keys", [1, 100, 100_000])
@pytest.mark.parametrize("missing", [0, 0.1])
def test_many_ints(spread, n_keys, missing):
    rng = np.random.default_rng(0)
    n = 200_000
    values = rng.integers(-n_keys, n_keys, n) * spread
    groups = pd.array(values, dtype="Int64")
    groups[rng.random(n) < missing] = pd.NA
    keys = Keys()
    numbers = number(keys, groups, n, 16384)
    expected, found = pd.factorize(groups, use_na_sentinel=False)
    assert np.array_equal(numbers, expected)
    assert cells_of(keys)[:50] == column(found[:50])
    keys.truncate(len(keys) // 2)
    assert np.array_equal(number(keys, groups, n, 10_000), expected)
    ordered = keys.values()[keys.sorted_order()]
    ordered = ordered[~pd.isna(ordered)]
    assert (np.diff(ordered.astype(np.int64)) > 0).all()


@pytest.mark.parametrize("step", [1, -1, 1000])
def test_growing_ints(step):
    values = np.arange(300_000) * step
    keys = Keys()
    assert np.array_equal(number(keys, values, len(values), 16384), range(300_000))


@pytest.mark.parametrize("kind", ["object", "U", "category", "arrow"])
def test_many_strings(kind):
    rng = np.random.default_rng(0)
    texts = rng.integers(0, 30_000, 100_000).astype("U8")
    expected, _ = pd.factorize(texts.astype(object))
    groups = {
        "object": texts.astype(object),
        "U": texts,
        "category": pd.Categorical(texts),
        "arrow": pa.array(texts.astype(object)),
    }[kind]
    keys = Keys()
    assert np.array_equal(number(keys, groups, len(texts), 16384), expected)
    keys.truncate(10_000)
    assert np.array_equal(number(keys, groups, len(texts), 16384), expected)


class TestBatches:
    @pytest.mark.parametrize(
        "batches",
        [
            [np.array([1, 2], np.int32), np.array([2, 3], np.int64), [1.0, 3.0, NAN]],
            [np.array(["a", "bcd"]), objects(["bcd", "x"]), pl.Series(["x", None])],
            [pd.Categorical(["a", "b"], ["b", "a"]), pd.Categorical(["b"], ["a", "b"])],
            [np.array(["2020-01-01"], "M8[D]"), np.array(["2020-01-01T00"], "M8[ns]")],
            [np.array(["2020-01-01T00:00:00.000000001"], "M8[ns]"), [DAY, NOON]],
            [np.array([2**60]), np.array([2**63 + 1, 2**60], np.uint64)],
            [np.array([NAN, NAN]), ["a"], [None], np.array([NAN]), pl.Series([None])],
            [[None], [True, None], np.array([False])],
            [[None], np.array(["NaT", "2020"], "M8[Y]"), np.array([NAN])],
            [["a"], ["b", 1], [1, 2.5], ["a"]],
            [[1], [], ["b", 1], np.array([1, 7])],
        ],
    )
    def test_together(self, batches):
        keys, merged = Keys(), Keys()
        for groups in batches:
            number(keys, groups, len(groups))
            part = Keys()
            number(part, groups, len(groups))
            merged.numbers_of(part)
        assert len({*cells_of(keys)}) == len(keys)
        assert cells_of(merged) == cells_of(keys)
        assert merged == keys
        sizes = len(keys)
        for groups in batches:
            number(keys, groups, len(groups))
        assert len(keys) == sizes

    def test_values(self):
        keys = Keys()
        number(keys, np.array([1, 2], np.int32), 2)
        assert keys.values().dtype == np.int64
        number(keys, [NAN], 1)
        assert keys.values().dtype == np.float64
        number(keys, [0.5], 1)
        assert np.array_equal(keys.values(), [1, 2, NAN, 0.5], equal_nan=True)
        keys.truncate(2)
        assert keys.values().dtype == np.int64

    @pytest.mark.parametrize(
        ("first", "then", "words"),
        [
            ([1], ["a"], "groups held numbers before, but now holds strings"),
            (["a"], np.array([1, 2]), "held strings before, but now holds numbers"),
            ([True], [1], "held booleans before, but now holds numbers"),
            ([DAY], [1], "held dates before, but now holds numbers"),
            ([NOON], [NOON.replace(tzinfo=UTC)], "now holds dates with a time zone"),
            ([NOON], [datetime.timedelta(1)], "now holds spans of time"),
        ],
    )
    def test_other_type(self, first, then, words):
        keys = Keys()
        number(keys, first, 1)
        with pytest.raises(TypeError, match=words):
            keys.reader(then, len(then))
        assert len(keys) == 1
        other = Keys()
        number(other, then, len(then))
        assert keys != other
        keys.truncate(0)
        assert number(keys, then, len(then)).tolist() == [*range(len(then))]
        assert keys == other

    @pytest.mark.parametrize(
        ("first", "then", "row"),
        [
            ([2**60], np.array([1.0, 0.5]), 1),
            ([0.5], np.array([1, 2, 2**60]), 2),
            ([-1], np.array([1, 2**63], np.uint64), 1),
            (np.array([2**63], np.uint64), [1, -1], 1),
            (np.array([2**63], np.uint64), [0.5], 0),
        ],
    )
    def test_numbers_that_are_not_told_apart(self, first, then, row):
        keys = Keys()
        number(keys, first, 1)
        with pytest.raises(ValueError, match=f"in row {row}"):
            number(keys, then, len(then), 1)
        keys.truncate(1)
        assert keys.find(-1 if row == 99 else first[0]) == 0

    def test_times_beyond_nanoseconds(self):
        keys = Keys()
        number(keys, [datetime.date(9999, 1, 1)], 1)
        fine = np.array(["2020-01-01T00:00:00.000000001"], "M8[ns]")
        assert keys.find(fine[0]) is None
        with pytest.raises(ValueError, match=r"in row 0"):
            number(keys, fine, 1)
        with pytest.raises(ValueError, match=r"in row 0"):
            number(Keys(), np.array([10**9], "M8[Y]"), 1)

    @pytest.mark.parametrize(
        "items",
        [
            [datetime.timedelta(999_999_999)],
            [pd.Timestamp("2020-01-01 00:00:00.000000001"), datetime.date(9999, 1, 1)],
        ],
    )
    def test_times_of_objects_beyond_64_bits(self, items):
        with pytest.raises(ValueError, match="groups must hold"):
            number(Keys(), items, len(items))

    def test_timestamps_within_microseconds(self):
        items = [pd.Timestamp("2020").as_unit("ns"), datetime.date(9999, 1, 1), DAY]
        keys = Keys()
        assert number(keys, items, 3).tolist() == [0, 1, 2]
        assert keys.values().tolist()[1] == datetime.date(9999, 1, 1)

    def test_truncate_under_a_reader(self):
        keys = Keys()
        groups = np.array(["a", "b", "c", "a"])
        reader = keys.reader(groups, 4)
        out = np.empty(4, np.int64)
        reader.number(0, 3, out)
        keys.truncate(1)
        reader.number(1, 4, out)
        assert out[:3].tolist() == [1, 2, 0]
        assert keys.values().tolist() == ["a", "b", "c"]


class TestErrors:
    @pytest.mark.parametrize(
        ("groups", "error", "words"),
        [
            ([1, 2], ValueError, "groups has 2 rows, but y_true has 3"),
            (([1, 2, 3], [1, 2]), ValueError, "column 1 of groups has 2 rows"),
            ((), ValueError, "at least one column"),
            (None, TypeError, "groups must be a vector of keys"),
            ("abc", TypeError, "groups must be a vector of keys"),
            ((1, 2, 3), TypeError, "column 0 of groups must be a vector"),
            (
                np.zeros((3, 2)),
                TypeError,
                "a tuple of such columns, got ndarray of shape",
            ),
            (np.zeros(3, np.longdouble), TypeError, "float128|longdouble|dtype"),
            (np.zeros(3, "i4,i4"), TypeError, "must be a vector"),
            ([1, [2], {3}], TypeError, r"hashable keys, got \[2\] in row 1"),
            (([0, 0, 0], ["a", {}, 0]), TypeError, r"column 1 of groups .* in row 1"),
            (np.ma.array([1, 2, 3]), TypeError, "subclass"),
        ],
    )
    def test_reader(self, groups, error, words):
        keys = Keys()
        with pytest.raises(error, match=words):
            keys.reader(groups, 3)
        assert len(keys) == 0

    def test_unhashable_inside(self):
        keys = Keys()
        with pytest.raises(TypeError, match=r"hashable keys, got .* in row 6"):
            number(keys, [("a",)] * 6 + [([],)], 7, 3)
        keys.truncate(0)
        assert len(keys) == 0

    def test_too_large(self):
        with pytest.raises(ValueError, match="64 bits"):
            number(Keys(), [2**64], 1)

    def test_columns(self):
        keys = Keys()
        number(keys, ([1, 2], ["a", "b"]), 2)
        with pytest.raises(ValueError, match="groups had 2 columns before, now 1"):
            keys.reader([1, 2], 2)
        with pytest.raises(TypeError, match="column 1 of groups held strings"):
            keys.reader(([1], [1]), 1)
        assert keys.find((1, "b")) is None
        assert keys.find((2, "b")) == 1
        assert keys.find(1) is None

    def test_find_unhashable(self):
        with pytest.raises(TypeError, match="unhashable"):
            Keys().find([1])


def test_frames():
    a, b = [1, 2, 1, 1], ["x", "y", "x", None]
    for frame in (
        pd.DataFrame({"a": a, "b": b}),
        pl.DataFrame({"a": a, "b": b}),
        pa.table({"a": a, "b": b}),
    ):
        keys = Keys()
        assert number(keys, frame, 4).tolist() == [0, 1, 0, 2]
        assert cells_of(keys) == [(1, "x"), (2, "y"), (1, None)]
    keys = Keys()
    assert number(keys, (a, b, [0, 0, 1, 1]), 4).tolist() == [0, 1, 2, 3]
    assert keys.find((1, None, 1)) == 3
    assert keys.sorted_order().tolist() == [0, 2, 3, 1]
    single = Keys()
    number(single, pd.DataFrame({"a": a}), 4)
    assert single.values().tolist() == [1, 2]


def test_empty():
    keys = Keys()
    assert keys == Keys() == keys.copy() == pickle.loads(pickle.dumps(keys))
    assert len(keys) == 0
    assert len(keys.values()) == len(keys.sorted_order()) == 0
    assert keys.find(1) is None
    keys.truncate(0)
    assert len(keys.numbers_of(Keys())) == 0


@pytest.mark.parametrize("groups", [[(1,)] * 9, np.arange(9), np.array(["a"] * 9)])
def test_rows_that_are_gone(groups):
    """As where another thread resizes the array."""
    groups = objects(groups) if isinstance(groups, list) else groups
    for columns in (groups, (groups, np.arange(9))):
        keys = Keys()
        reader = keys.reader(columns, 9)
        column = reader._columns[0]
        for name in ("part", "codes"):
            read = getattr(column, name)
            if read is not None:
                fewer = lambda s, read=read: read(slice(s.start, s.stop - 1))  # noqa: E731
                setattr(column, name, fewer)
        with pytest.raises(RuntimeError, match="changed by another thread"):
            reader.number(0, 9, np.empty(9, np.int64))
        keys.truncate(0)
        assert keys == Keys()


def test_objects_that_change():
    groups = objects(["a", "b"] * 4)
    keys = Keys()
    reader = keys.reader(groups, 8)
    groups[3:6] = [7, None, [1]]
    out = np.empty(8, np.int64)
    reader.number(0, 8, out)
    assert out.tolist() == [0, 1, 0, 2, 2, 2, 0, 1]


@pytest.mark.parametrize("kind", ["ints", "texts", "objects", "U"])
def test_arrays_that_another_thread_changes(kind):
    values = {
        "ints": np.arange(4000) % 50,
        "texts": objects(list("abcdefgh") * 500),
        "objects": objects([("a", i % 9) for i in range(4000)]),
        "U": np.array(list("abcdefgh") * 500),
    }[kind]
    others = {
        "ints": [7, -(2**62), 10**6],
        "texts": ["z" * 30, 7, None],
        "objects": [7, None, "a"],
        "U": ["", "ä", "𝄞"],
    }[kind]
    stop = threading.Event()

    def change():
        while not stop.is_set():
            for other in others:
                values[::7] = other

    thread = threading.Thread(target=change)
    thread.start()
    try:
        keys = Keys()
        for _ in range(50):
            number(keys, values, len(values), 500)
    finally:
        stop.set()
        thread.join()
    assert len({*cells_of(keys)}) == len(keys)
    assert keys == keys.copy()
