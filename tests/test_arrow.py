"""Streams of Arrow: whatever brings the rows, the sums are those of arrays."""

import sys
import warnings

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlogloss import GroupedLogLoss, LogLossAccumulator, log_loss_by_group

N = 1000
RNG = np.random.default_rng(0)
Y = RNG.integers(2, size=N)
P = RNG.random(N) ** 4
W = RNG.random(N)
G = np.array(["mon", "tue", "wed", "thu"])[RNG.integers(4, size=N)]
COLUMNS = {"y": Y, "p": P, "w": W, "g": G, "other": np.full(N, "x")}
TABLE = pa.table(COLUMNS)
SOURCES = {
    "table": lambda: TABLE,
    "chunks": lambda: pa.concat_tables(
        [TABLE.slice(0, 10), TABLE.slice(10, 0), TABLE.slice(10)]
    ),
    "batch": lambda: TABLE.combine_chunks().to_batches()[0],
    "reader": lambda: TABLE.to_reader(max_chunksize=77),
    "dataset": lambda: pyarrow.dataset.dataset(TABLE),
    "scanner": lambda: pyarrow.dataset.dataset(TABLE).scanner(batch_size=99),
    "polars": lambda: pl.DataFrame(COLUMNS),
    "polars categories": lambda: pl.DataFrame(COLUMNS).with_columns(
        pl.col("g").cast(pl.Categorical)
    ),
    "polars batches": lambda: pl.LazyFrame(COLUMNS).collect_batches(
        chunk_size=77, maintain_order=True
    ),
    "duckdb": lambda: duckdb.from_arrow(TABLE),
    "pandas": lambda: pd.DataFrame(COLUMNS, index=[object() for _ in range(N)]),
    "pandas of Arrow": lambda: TABLE.to_pandas(types_mapper=pd.ArrowDtype),
    "pandas categories": lambda: pd.DataFrame(COLUMNS).astype({"g": "category"}),
}


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
class TestSources:
    def test_rows(self, make):
        found = LogLossAccumulator().update_from(make(), label="y", proba="p")
        assert found == LogLossAccumulator().update(Y, P)

    def test_weights(self, make):
        found = LogLossAccumulator()
        found.update_from(make(), label="y", proba="p", weight="w")
        assert found == LogLossAccumulator().update(Y, P, W)

    def test_groups(self, make):
        found = GroupedLogLoss()
        assert found.update_from(make(), label="y", proba="p", by="g") is found
        assert found == log_loss_by_group(Y, P, G)
        found = GroupedLogLoss()
        found.update_from(make(), label="y", proba="p", weight="w", by=["g", "y"])
        assert found == log_loss_by_group(Y, P, (G, Y), sample_weight=W)


def update(columns, classes=(0, 1), proba="p", **options):
    table = pa.table(columns)
    found = LogLossAccumulator(classes, **options)
    name = "logit" if options.get("from_logits") else "proba"
    return found.update_from(table.to_reader(64), label="y", **{name: proba})


TEXTS = np.array(["no", "yes"])[Y]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (pa.array(Y.astype(bool)), (0, 1)),
        (pa.array(Y, pa.int8()), (0, 1)),
        (pa.array(Y, pa.uint64()), (0, 1)),
        (pa.array(Y.astype(float)), (0, 1)),
        (pa.array(Y.astype(np.float16)), (0, 1)),
        (pa.array(Y).cast(pa.decimal128(21, 2)), (0, 1)),
        (pa.array(Y * 5 + 2), (2, 7)),
        (pa.array(Y * 5 + 2).dictionary_encode(), (2, 7)),
        (pa.array(TEXTS), ("no", "yes")),
        (pa.array(TEXTS, pa.large_string()), ("no", "yes")),
        (pa.array(TEXTS, pa.string_view()), ("no", "yes")),
        (pa.array(TEXTS).dictionary_encode(), ("no", "yes")),
        (pa.compute.run_end_encode(pa.array(Y)), (0, 1)),
    ],
    ids=lambda x: str(x.type) if isinstance(x, pa.Array) else "",
)
def test_labels(labels, classes):
    expected = LogLossAccumulator(classes).update(np.array(classes)[Y], P)
    assert update({"y": labels, "p": P}, classes) == expected


@pytest.mark.parametrize(
    "dtype", [pa.float16(), pa.float32(), pa.float64(), pa.decimal128(20, 9)]
)
def test_scores(dtype):
    p = P.round(9)
    p = pa.array(p).cast(dtype) if dtype.bit_width > 64 else pa.array(p.astype("f2"))
    p = p.cast(dtype) if dtype.bit_width <= 64 else p
    plain = np.array(p.to_pylist(), float)
    assert update({"y": Y, "p": p}) == LogLossAccumulator().update(Y, plain)


class TestManyClasses:
    y = RNG.integers(3, size=N)
    q = RNG.dirichlet([1, 1, 1], N)
    expected = LogLossAccumulator(range(3)).update(y, q)

    @pytest.mark.parametrize(
        "type_",
        [
            pa.list_(pa.float64()),
            pa.large_list(pa.float64()),
            pa.list_(pa.float64(), 3),
        ],
        ids=str,
    )
    def test_lists(self, type_):
        lists = pa.array(self.q.tolist(), type_)
        assert update({"y": self.y, "p": lists}, range(3)) == self.expected

    def test_columns(self):
        columns = {"y": self.y, "b": self.q[:, 1], "a": self.q[:, 0], "c": self.q[:, 2]}
        assert update(columns, range(3), ["a", "b", "c"]) == self.expected

    def test_columns_of_several_types(self):
        q = np.full((N, 2), 0.5)
        q[:, 1] = Y
        q[:, 0] = 1 - Y
        columns = {"y": Y, "a": q[:, 0].astype(np.int8), "b": q[:, 1].astype("f4")}
        assert update(columns, proba=["a", "b"]) == LogLossAccumulator().update(Y, q)

    def test_logits(self):
        z = np.log(self.q)
        columns = {"y": self.y} | {f"z{i}": z[:, i] for i in range(3)}
        found = update(columns, range(3), ["z0", "z1", "z2"], from_logits=True)
        assert found == LogLossAccumulator(range(3), from_logits=True).update(self.y, z)

    def test_soft_targets(self):
        table = pa.table(
            {"t0": P, "t1": 1 - P, "a": self.q[:, 0], "b": 1 - self.q[:, 0]}
        )
        found = LogLossAccumulator(soft_targets=True)
        found.update_from(table, label=["t0", "t1"], proba=["a", "b"])
        q = np.column_stack([table["a"], table["b"]])
        expected = LogLossAccumulator(soft_targets=True)
        assert found == expected.update(np.column_stack([P, 1 - P]), q)

    def test_sums_that_are_not_one_warn_once(self):
        q = self.q.copy()
        q[500:] *= 0.9
        columns = {"y": self.y} | {f"p{i}": q[:, i] for i in range(3)}
        with pytest.warns(UserWarning, match=r"columns 'p0', .* is row 5\d\d,") as all_:
            update(columns, range(3), ["p0", "p1", "p2"])
        assert len(all_) == 1
        assert all_[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = LogLossAccumulator(range(3))
            with pytest.raises(UserWarning, match="sum to one"):
                found.update_from(
                    pa.table(columns), label="y", proba=["p0", "p1", "p2"]
                )
            assert found == LogLossAccumulator(range(3))


def changed(array, row, value):
    array = array.astype(object)
    array[row] = value
    return pa.array(array.tolist())


BAD = {
    "null": ({"p": changed(P, 700, None)}, "column 'p' is null in row 700"),
    "NaN": ({"p": changed(P, 700, np.nan)}, "column 'p' .* got nan in row 700"),
    "1.7": ({"p": changed(P, 700, 1.7)}, r"column 'p' .* got 1\.7 in row 700"),
    "text": ({"p": pa.array(["a"] * N)}, "column 'p' holds string"),
    "null label": ({"y": changed(Y, 700, None)}, "column 'y' is null in row 700"),
    "NaN label": ({"y": changed(Y, 700, np.nan)}, "column 'y' .* got nan in row 700"),
    "label": ({"y": changed(Y, 700, 2)}, r"column 'y' .* 2 in row 700, .* \[0, 1\]"),
    "text label": ({"y": pa.array(["row 1"] * N)}, "'row 1' in row 0, .* none of"),
    "date label": (
        {"y": pa.array([0] * N, pa.date32())},
        "column 'y' holds date32.*labels are",
    ),
    "weight": ({"w": changed(W, 700, None)}, "column 'w' is null in row 700"),
    "inf weight": ({"w": changed(W, 700, np.inf)}, "column 'w' .* got inf in row 700"),
    "big weight": ({"w": changed(W, 700, 1e99)}, r"column 'w' is 1e\+99 in row 700"),
    "all null": ({"p": pa.nulls(N)}, "column 'p' is null in row 0"),
    "lists": (
        {"p": pa.array([[0.5, 0.5]] * 700 + [[1.0]] * 300)},
        "column 'p' .* got 2 in row 640 and 1 in row 700",
    ),
    "null in a list": (
        {"p": pa.array([[0.5, 0.5]] * 700 + [[1.0, None]] * 300)},
        "column 'p' is null in row 700, column 1",
    ),
    "1.7 in a list": (
        {"p": pa.array([[0.5, 0.5]] * 700 + [[1.7, 0.5]] * 300)},
        r"column 'p' .* got 1\.7 in row 700, column 0",
    ),
}


@pytest.mark.parametrize(("columns", "words"), BAD.values(), ids=BAD)
def test_bad_rows(columns, words):
    """The message names column and row; nothing has been added."""
    table = pa.table({"y": Y, "p": P, "w": W, "g": G} | columns)
    options = {"label": "y", "proba": "p", "weight": "w"}
    found = LogLossAccumulator().update([0, 1], [0.2, 0.7])
    before = found.copy()
    with pytest.raises(ValueError, match=words):
        found.update_from(table.to_reader(64), **options)
    assert found == before
    groups = GroupedLogLoss().update([0, 1], [0.2, 0.7], ["mon", "sun"])
    as_it_was = groups.copy()
    with pytest.raises(ValueError, match=words):
        groups.update_from(table.to_reader(64), **options, by="g")
    assert groups == as_it_was


def test_bad_row_of_several_columns():
    columns = {"y": Y, "a": 1 - P, "b": changed(P, 700, -0.5)}
    with pytest.raises(ValueError, match=r"'a', 'b' .* row 700, column 'b'"):
        update(columns, proba=["a", "b"])


@given(st.integers(0, N - 1), st.integers(1, 300), st.sampled_from([None, 2.0, np.nan]))
@settings(max_examples=30)
def test_row_is_that_of_the_source(row, size, value):
    table = pa.table({"y": Y, "p": changed(P, row, value)})
    with pytest.raises(ValueError, match=f"column 'p' .* row {row}\\b"):
        LogLossAccumulator().update_from(
            table.to_reader(max_chunksize=size), label="y", proba="p"
        )


class TestArguments:
    def test_misspelt(self):
        with pytest.raises(ValueError, match=r"no column 'clik'; did you mean 'click'"):
            LogLossAccumulator().update_from(
                pa.table({"click": Y, "p": P}), label="clik", proba="p"
            )
        for source in (TABLE, pl.DataFrame(COLUMNS), pd.DataFrame(COLUMNS)):
            with pytest.raises(
                ValueError, match=r"no column 'zzz'; the columns are \['y'"
            ):
                LogLossAccumulator().update_from(source, label="y", proba="zzz")

    def test_twice(self):
        table = pa.table([Y, P, P], names=["y", "p", "p"])
        with pytest.raises(ValueError, match="2 columns of the name 'p'"):
            LogLossAccumulator().update_from(table, label="y", proba="p")
        with pytest.raises(ValueError, match="names a column twice"):
            LogLossAccumulator().update_from(TABLE, label="y", proba=["p", "p"])

    def test_scores_are_of_one_kind(self):
        update = LogLossAccumulator().update_from
        of_logits = LogLossAccumulator(from_logits=True).update_from
        with pytest.raises(ValueError, match="from_logits=True"):
            update(TABLE, label="y", logit="p")
        with pytest.raises(ValueError, match="from_logits=False"):
            of_logits(TABLE, label="y", proba="p")
        for names in ({}, {"proba": "p", "logit": "p"}):
            with pytest.raises(TypeError, match="one of the two"):
                update(TABLE, label="y", **names)

    @pytest.mark.parametrize("name", [None, 1, [], [1], {"p"}])
    def test_names(self, name):
        with pytest.raises(TypeError):
            LogLossAccumulator().update_from(TABLE, label="y", proba=name)
        with pytest.raises(TypeError):
            GroupedLogLoss().update_from(TABLE, label="y", proba="p", by=name)

    def test_no_source(self):
        for source in (None, [1], {"y": Y}, P):
            with pytest.raises(TypeError, match="stream of Arrow"):
                LogLossAccumulator().update_from(source, label="y", proba="p")
        with pytest.raises(TypeError, match="LazyFrame; it has collect_batches"):
            LogLossAccumulator().update_from(pl.LazyFrame(), label="y", proba="p")

    def test_no_rows(self):
        with pytest.raises(ValueError, match="no rows"):
            LogLossAccumulator().update_from(TABLE.slice(0, 0), label="y", proba="p")

    def test_wrong_number_of_columns(self):
        with pytest.raises(ValueError, match=r"columns 'p', 'w', 'y' has shape"):
            LogLossAccumulator().update_from(TABLE, label="y", proba=["p", "w", "y"])

    def test_a_source_that_fails(self):
        def batches():
            yield from TABLE.select(["y", "p"]).to_batches()
            raise OSError("the disk is gone")

        schema = TABLE.select(["y", "p"]).schema
        source = pa.RecordBatchReader.from_batches(schema, batches())
        found = LogLossAccumulator()
        with pytest.raises(OSError, match="the disk is gone"):
            found.update_from(source, label="y", proba="p")
        assert found == LogLossAccumulator()

    def test_pyarrow_is_an_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        with pytest.raises(ImportError, match=r"fastlogloss\[cli\]"):
            LogLossAccumulator().update_from(TABLE, label="y", proba="p")


def test_import_is_light(run_python):
    code = "import sys, fastlogloss; assert 'pyarrow' not in sys.modules"
    run_python("-c", code)
