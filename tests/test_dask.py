"""Dask: whatever the blocks and the scheduler, the sums are those of one machine."""

import contextlib
import logging
import os
import pickle
import signal
import sys
import time

import dask
import dask.array as da
import dask.dataframe as dd
import distributed
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlogloss import GroupedLogLoss, LogLossAccumulator, log_loss_by_group
from fastlogloss.integrations.dask import log_loss

N = 1000
RNG = np.random.default_rng(0)
Y = RNG.integers(2, size=N)
P = RNG.random(N) ** 4
W = RNG.random(N)
G = RNG.integers(7, size=N)
TEXTS = np.array(["no", "yes"])[Y]
Y3 = RNG.integers(3, size=N)
Q = RNG.dirichlet([1, 1, 1], N)
PLAIN = LogLossAccumulator().update(Y, P)
WEIGHTED = LogLossAccumulator().update(Y, P, W)
GROUPED = log_loss_by_group(Y, P, G, sample_weight=W)
OF_TEXTS = LogLossAccumulator(["no", "yes"]).update(TEXTS, P)
NAMES = ["y", "p", "sample_weight", "by"]
FRAME = pd.DataFrame({"y": Y, "p": P, "w": W, "g": G, "text": TEXTS})


@pytest.fixture(autouse=True)
def one_thread():
    """Tests that do not say otherwise run where they are."""
    with dask.config.set(scheduler="synchronous"):
        yield


def arrays(*values, chunks=100):
    return [da.from_array(value, chunks=chunks) for value in values]


def frame(n_partitions=7, **columns):
    return dd.from_pandas(FRAME.assign(**columns), npartitions=n_partitions)


def in_parts(values, sizes):
    """A collection of these partitions."""
    ends = np.cumsum(sizes)
    parts = [values.iloc[end - n : end] for n, end in zip(sizes, ends, strict=True)]
    return dd.from_map(lambda part: part, parts, meta=values.iloc[:0])


@st.composite
def sizes(draw):
    """Sizes of blocks, some of which may be empty."""
    cuts = draw(st.lists(st.integers(0, N), max_size=12))
    return np.diff([0, *sorted(cuts), N]).tolist()


KINDS = st.sampled_from(["array", "unknown", "frame", "memory", "pandas"])


def collection(values, kind, blocks):
    """The values, a collection of that kind and of these blocks."""
    if kind == "memory":
        return values
    matrix = np.ndim(values) == 2
    series = (pd.DataFrame if matrix else pd.Series)(values)
    if kind == "pandas":
        return series
    if kind == "frame":
        return in_parts(series, blocks)
    columns = ((1,) * values.shape[1],) if matrix else ()
    array = da.from_array(values, chunks=(tuple(blocks), *columns))
    if kind == "unknown":
        array = array[da.ones(N, chunks=(tuple(blocks),)) > 0]
    return array


class TestBits:
    @given(st.data())
    @settings(max_examples=60)
    def test_any_blocks(self, data):
        """Arrays, frames and arrays in memory, each in blocks of its own."""
        many = data.draw(st.booleans())
        values = {"y": Y3 if many else Y, "p": Q if many else P}
        logits = data.draw(st.booleans())
        if logits:
            values["p"] = np.log(values["p"])
        weights = W if data.draw(st.booleans()) else None
        grouped = data.draw(st.booleans())
        if weights is not None:
            values["sample_weight"] = weights
        if grouped:
            values["by"] = G
        kinds = {name: data.draw(KINDS) for name in values}
        blocks = None
        if "unknown" in kinds.values():  # which pair block by block alone
            blocks = data.draw(sizes())
            in_memory = {"memory": "array", "pandas": "unknown"}
            kinds = {name: in_memory.get(kind, kind) for name, kind in kinds.items()}
        given = {
            name: collection(value, kinds[name], blocks or data.draw(sizes()))
            for name, value in values.items()
        }
        options = {"from_logits": logits}
        found = log_loss(**given, **options)
        classes = range(3) if many else (0, 1)
        expected = (GroupedLogLoss if grouped else LogLossAccumulator)(
            classes, **options
        )
        keys = (G,) if grouped else ()
        assert found == expected.update(values["y"], values["p"], *keys, weights)

    @pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes"])
    def test_schedulers(self, scheduler):
        y, p, w, g = arrays(Y, P, W, G, chunks=300)
        with dask.config.set(scheduler=scheduler, num_workers=2):
            assert log_loss(y, p, w) == WEIGHTED
            assert log_loss(y, p, w, g) == GROUPED

    def test_blocks_that_lack_a_class(self):
        order = np.argsort(Y)
        y, p = arrays(Y[order], P[order])
        assert log_loss(y, p) == PLAIN
        order = np.argsort(Y3)
        y, p = arrays(Y3[order], Q[order])
        assert log_loss(y, p) == LogLossAccumulator(range(3)).update(Y3, Q)

    def test_is_no_mean_of_means(self):
        y, p = da.from_array(Y, chunks=((10, 990),)), da.from_array(P, chunks=N)
        assert log_loss(y, p).loss == PLAIN.loss

    def test_many_blocks(self):
        y, p = arrays(Y, P, chunks=1)
        assert log_loss(y, p) == PLAIN

    def test_options(self):
        y, p = arrays(Y, P.astype("f4"))
        found = log_loss(y, p, eps=0.01)
        assert found == LogLossAccumulator(eps=0.01).update(Y, P.astype("f4"))

    def test_tasks_change_nothing(self):
        """A second run of any task has the same inputs."""
        y, p, w, g = arrays(Y, P, W, G)
        part = log_loss(y, p, w, g, compute=False)
        kept = part.persist()
        states = [pickle.dumps(v) for v in kept.dask.values()]
        assert kept.compute() == part.compute() == GROUPED
        assert states == [pickle.dumps(v) for v in kept.dask.values()]
        tasks = log_loss(y, p, w, g, compute=False)
        for _ in range(2):
            assert tasks.compute() == GROUPED


COLUMNS = {
    "labels": {"y": Y},
    "floats": {"y": Y.astype(float)},
    "booleans": {"y": Y.astype(bool)},
    "nullable": {"y": pd.array(Y, "Int8"), "p": pd.array(P, "Float64")},
    "Arrow": {
        "y": pd.array(Y, "int64[pyarrow]"),
        "p": pd.array(P, "double[pyarrow]"),
        "g": pd.array(G, "int16[pyarrow]"),
    },
    "categories": {"y": pd.Categorical(Y), "g": pd.Categorical(G)},
    "float32": {"w": W.astype("f4").astype("f8")},
}


@pytest.mark.parametrize("columns", COLUMNS.values(), ids=COLUMNS)
class TestFrames:
    def test_columns(self, columns):
        w = columns.get("w", W)
        df = frame(**columns)
        assert log_loss(df.y, df.p) == PLAIN
        expected = log_loss_by_group(Y, P, G, sample_weight=w)
        assert log_loss(df.y, df.p, df.w, df.g) == expected
        expected = log_loss_by_group(Y, P, (G, TEXTS))
        assert log_loss(df.y, df.p, by=[df.g, df.text]) == expected
        assert log_loss(df.y, df.p, by=df[["g", "text"]]) == expected

    def test_of_other_partitions(self, columns):
        df, other = frame(**columns), frame(3)
        y, p = arrays(Y, P)
        for found in (
            log_loss(df.y, other.p),
            log_loss(y, df.p),
            log_loss(df.y, p),
            log_loss(df.y, P),
        ):
            assert found == PLAIN
        assert log_loss(y, p, by=df.g) == log_loss_by_group(Y, P, G)
        found = log_loss(y, p, by=df[["g", "text"]])
        assert found == log_loss_by_group(Y, P, (G, TEXTS))


class TestMoreFrames:
    def test_texts(self):
        df, options = frame(), {"classes": ["no", "yes"]}
        assert log_loss(df.text, df.p, **options) == OF_TEXTS
        assert log_loss(TEXTS.tolist(), df.p, **options) == OF_TEXTS
        text, p = arrays(TEXTS.astype(object), P, chunks=77)
        assert log_loss(text, p, **options) == OF_TEXTS
        category = frame(text=pd.Categorical(TEXTS))
        for found in (category.text, category.text.cat.as_unknown()):
            assert log_loss(found, df.p, **options) == OF_TEXTS
            assert log_loss(found, p, **options) == OF_TEXTS
        expected = log_loss_by_group(Y, P, TEXTS)
        assert log_loss(df.y, df.p, by=df.text) == expected
        assert log_loss(df.y, p, by=df.text) == expected

    def test_partitions_of_other_categories(self):
        parts = [FRAME[:10], FRAME[10:300], FRAME[300:]]
        parts = [part.assign(text=part.text.astype("category")) for part in parts]
        parts[0]["text"] = parts[0].text.cat.remove_unused_categories()
        df = dd.from_map(lambda part: part, parts, meta=parts[1].iloc[:0])
        assert log_loss(df.text, df.p, classes=["no", "yes"]) == OF_TEXTS
        assert log_loss(df.text, P, classes=["no", "yes"]) == OF_TEXTS
        codes = [part.assign(text=pd.Categorical(part.y)) for part in parts]
        df = dd.from_map(lambda part: part, codes, meta=codes[1].iloc[:0])
        assert log_loss(df.text, da.from_array(P, chunks=70)) == PLAIN

    def test_rows_belong_together_by_position(self):
        y = dd.from_pandas(pd.Series(Y), npartitions=4)
        shuffled = pd.Series(P, index=RNG.permutation(N))
        p = dd.from_pandas(shuffled, npartitions=4, sort=False)
        assert log_loss(y, p) == PLAIN
        p = in_parts(pd.Series(P, index=np.zeros(N)), [1, 0, 499, 500])
        assert log_loss(y, p) == PLAIN

    def test_equally_many_but_other_partitions(self):
        y, p = in_parts(FRAME.y, [10, 900, 90]), in_parts(FRAME.p, [90, 900, 10])
        assert log_loss(y, p, by=G) == log_loss_by_group(Y, P, G)
        assert log_loss(y, p) == PLAIN
        late = log_loss(y, p, compute=False)
        with pytest.raises(
            ValueError, match=r"y has \d0 rows in block \d, but p has \d0"
        ):
            late.compute()
        with pytest.raises(ValueError, match="y has 999 rows, but p has 1000"):
            log_loss(in_parts(FRAME.y[1:], [9, 900, 90]), p)

    def test_empty_partitions(self):
        df = frame()
        few = df[df.g == 3]
        rows = G == 3
        assert log_loss(few.y, few.p) == LogLossAccumulator().update(Y[rows], P[rows])
        few = df[df.index.to_series() < 200]
        expected = log_loss_by_group(Y[:200], P[:200], TEXTS[:200])
        assert log_loss(few.y, few.p, by=few.text) == expected
        assert log_loss(few.y, P[:200], by=few.text) == expected
        none = df[df.index.to_series() < 0]
        with pytest.raises(ValueError, match="p holds no rows"):
            log_loss(none.y, none.p)

    def test_index(self):
        df = frame(2)
        assert log_loss(df.y, df.p, by=df.index) == log_loss_by_group(Y, P, range(N))
        by = df.set_index("text", sorted=False, sort=False).index
        assert log_loss(df.y, df.p, by=by) == log_loss_by_group(Y, P, TEXTS)
        p = da.from_array(P, chunks=70)
        assert log_loss(Y, p, by=by) == log_loss_by_group(Y, P, TEXTS)

    def test_frame_of_scores(self):
        q = pd.DataFrame({"a": Q[:, 0], "b": Q[:, 1], "c": Q[:, 2]})
        expected = LogLossAccumulator(["a", "b", "c"])
        expected.update(np.array(["a", "b", "c"])[Y3], Q)
        p = dd.from_pandas(q, npartitions=3)
        y = da.from_array(np.array(["a", "b", "c"])[Y3], chunks=400)
        assert log_loss(y, p, classes=["a", "b", "c"]) == expected
        with pytest.raises(ValueError, match=r"columns of p are \['b', 'a', 'c'\]"):
            log_loss(y, p[["b", "a", "c"]], classes=["a", "b", "c"], compute=False)

    def test_files_are_read_once_and_paired(self, tmp_path):
        """Few columns of many: Dask would join partitions, of each file as it likes."""
        wide = FRAME.assign(**{f"x{i}": W for i in range(30)})
        for name, n in (("labels", 100), ("scores", 100)):
            (tmp_path / name).mkdir()
            table = wide if name == "labels" else FRAME
            for i in range(0, N, n):
                table[i : i + n].to_parquet(tmp_path / name / f"{i:04d}.parquet")
        labels = dd.read_parquet(tmp_path / "labels")
        scores = dd.read_parquet(tmp_path / "scores")
        for p in (labels.p, scores.p):
            found = log_loss(labels.y, p, labels.w, compute=False)
            assert found.compute() == WEIGHTED

    def test_shared_work_is_done_once(self):
        calls = []

        def model(block):
            calls.append(len(block))
            return block

        x = da.from_array(np.column_stack([Y, P, W]), chunks=(100, 3))
        x = x.map_blocks(model, meta=np.empty((0, 0)))
        assert log_loss(x[:, 0], x[:, 1], x[:, 2]) == WEIGHTED
        assert len(calls) == 10
        calls.clear()
        df = frame(5).map_partitions(model, meta=FRAME.iloc[:0])
        assert log_loss(df.y, df.p, df.w) == WEIGHTED
        assert len(calls) == 5


class TestArrays:
    def test_columns_in_chunks(self):
        expected = LogLossAccumulator(range(3)).update(Y3, Q)
        y, q = da.from_array(Y3, chunks=90), da.from_array(Q, chunks=(400, 2))
        assert log_loss(y, q) == expected
        assert log_loss(y[:, None], q) == expected

    def test_unknown_sizes(self):
        y, p = arrays(Y, P)
        some = Y + G > 2
        expected = LogLossAccumulator().update(Y[some], P[some])
        keep = da.from_array(some, chunks=100)
        assert log_loss(y[keep], p[keep]) == expected
        known = p[keep].compute_chunk_sizes()
        assert log_loss(y[keep], known) == expected
        assert log_loss(y[keep].compute_chunk_sizes(), P[some]) == expected
        for other in (known.rechunk(50), P[some], p.rechunk(50)):
            with pytest.raises(ValueError, match=r"of y .*compute_chunk_sizes\(\)"):
                log_loss(y[keep], other)
        with pytest.raises(ValueError, match=r"y has \d+ rows in block \d,"):
            log_loss(y[keep], p[y == 1])
        q = da.from_array(Q, chunks=100)
        with pytest.raises(ValueError, match=r"p must .* compute_chunk_sizes\(\)"):
            log_loss(y, q[:, q[0] > 0])

    def test_sizes_that_are_wrong(self):
        y, p = arrays(Y, P)
        short = p.map_blocks(lambda block: block[1:], meta=np.empty(0))
        with pytest.raises(
            ValueError, match=r"p has 99 rows in block \d instead of 100"
        ):
            log_loss(y, short)

    def test_empty_chunks(self):
        y, p = arrays(Y, P)
        y = da.concatenate([y[:0], y[:10], y[:0], y[10:]])
        p = da.concatenate([p[:0], p[:0], p, p[:0]])
        assert log_loss(y, p) == PLAIN

    def test_in_memory(self):
        y, p = arrays(Y, P)
        values = (Y, Y.tolist(), pd.Series(Y), pd.Series(Y, dtype="Int8"), pl.Series(Y))
        for value in values:
            assert log_loss(value, p) == PLAIN
        assert log_loss(y, P) == PLAIN
        assert log_loss(Y, P, by=p) == log_loss_by_group(Y, P, P)
        assert log_loss(Y, P) == PLAIN

    def test_keys_in_memory(self):
        y, p = arrays(Y, P)
        expected = log_loss_by_group(Y, P, G)
        for keys in (G.tolist(), pd.Index(G), pa.array(G), (G,), [G], G[:, None]):
            assert log_loss(y, p, by=keys) == expected
        expected = log_loss_by_group(Y, P, (G, TEXTS))
        pair = {"g": G, "text": TEXTS}
        for keys in ((G, TEXTS), pd.DataFrame(pair), pl.DataFrame(pair)):
            assert log_loss(y, p, by=keys) == expected
        tuples = [*zip(G.tolist(), TEXTS.tolist(), strict=True)]
        assert log_loss(y, p, by=tuples) == log_loss_by_group(Y, P, tuples)

    def test_keys_that_are_missing(self):
        for keys in (
            np.where(G < 3, np.nan, G),
            np.where(np.arange(N) < N / 2, None, TEXTS),
        ):
            y, p, by = arrays(Y, P, keys)
            assert log_loss(y, p, by=by) == log_loss_by_group(Y, P, keys)

    def test_the_same_array_twice(self):
        y = da.from_array(Y, chunks=100)
        found = log_loss(y, y, y, by=[y, y])
        assert found == log_loss_by_group(Y, Y, (Y, Y), sample_weight=Y)


def changed(array, row, value):
    array = array.astype(np.result_type(array, type(value)))
    array[row] = value
    return array


class TestErrors:
    @pytest.mark.parametrize(
        ("bad", "words"),
        [
            ({"p": changed(P, 700, np.nan)}, "p must .* got nan in row 700"),
            ({"p": changed(P, 700, 1.7)}, r"p must .* got 1\.7 in row 700"),
            ({"y": changed(Y, 700, 2)}, "y holds the label 2 in row 700"),
            ({"y": changed(Y, 700, 0.5)}, r"y must hold labels, .* 0\.5 in row 700"),
            ({"w": changed(W, 700, np.inf)}, "sample_weight .* got inf in row 700"),
            ({"w": changed(W, 700, 1e99)}, r"sample_weight is 1e\+99 in row 700"),
        ],
    )
    def test_bad_rows(self, bad, words):
        """Over all rows where lengths are known, else over those of the block."""
        y, p, w = ({"y": Y, "p": P, "w": W} | bad).values()
        for chunks in (64, 100, N):
            with pytest.raises(ValueError, match=words + r"\b"):
                log_loss(*arrays(y, p, w, chunks=chunks))
            with pytest.raises(ValueError, match=words + r"\b"):
                log_loss(*arrays(y, p, w, chunks=chunks), by=G)
        df = frame(4, y=y, p=p, w=w)
        with pytest.raises(ValueError, match=words + r"\b"):
            log_loss(df.y, df.p, W if w is W else w)
        in_block = words.replace("row 700", "row 200 of block 2")
        with pytest.raises(ValueError, match=in_block + r"\b"):
            log_loss(df.y, df.p, df.w)

    def test_column_of_a_row(self):
        y, q = arrays(Y3, Q)
        bad = da.where(da.arange(N, chunks=100)[:, None] == 555, q * [1, -1, 1], q)
        with pytest.raises(ValueError, match=r"p must .* row 555, column 1"):
            log_loss(y, bad)

    def test_without_a_row(self):
        y, p = arrays(Y, P)
        with pytest.raises(ValueError, match=r"^p must hold .* \(block \d\)$"):
            log_loss(y, da.ma.masked_greater(p, 0.5))

    @pytest.mark.parametrize("value", [None, 1, "p", b"p", {"p": P}, {1}, object()])
    @pytest.mark.parametrize("name", NAMES)
    def test_types(self, name, value):
        given = dict(zip(NAMES, arrays(Y, P, W, G), strict=True))
        if value is None and name in ("sample_weight", "by"):
            return
        with pytest.raises(TypeError, match=f"^{name} must be a Dask array"):
            log_loss(**given | {name: value}, compute=False)

    @pytest.mark.parametrize("name", NAMES)
    def test_other_collections(self, name):
        given = dict(zip(NAMES, arrays(Y, P, W, G), strict=True))
        for value in (dask.delayed(Y), frame().y.sum()):
            with pytest.raises(TypeError, match=f"^{name} must be a Dask array"):
                log_loss(**given | {name: value}, compute=False)
        for value in (given["y"].sum(), given["y"][:, None, None], np.array(1)):
            with pytest.raises(ValueError, match=f"^{name} must be of shape"):
                log_loss(**given | {name: value}, compute=False)
        with pytest.raises(ValueError, match="holds no rows"):
            log_loss(**given | {name: given["y"][:0]}, compute=False)

    def test_what_is_known_needs_no_computing(self):
        y, p, q = arrays(Y, P, Q)
        df = frame()
        for words, arguments, options in (
            ("p must hold real numbers, got the dtype", (y, da.from_array(TEXTS)), {}),
            ("p must hold real numbers, got the dtype", (df.y, df.text), {}),
            ("p must hold real numbers", (y, p.astype(complex)), {}),
            ("y must hold labels", (y.astype("M8[s]"), p), {}),
            ("sample_weight must hold", (y, p, TEXTS), {}),
            ("sample_weight must be of shape", (y, p, p[:, None]), {}),
            ("y must be of shape", (q, p), {}),
            ("by must be of shape", (y, p, None, q), {}),
            ("y is no array", ([[1], [1, 2]], p), {}),
            ("by must have at least one column", (y, p, None, ()), {}),
            ("column 0 of by must be of", (y, p, None, [df[["g", "y"]], y]), {}),
            ("p is for 3 classes, but classes has 2", (y, q), {"classes": [0, 1]}),
            ("p is for 2 classes, but classes has 3", (y, p), {"classes": [0, 1, 2]}),
            ("classes must be at least two", (y, p), {"classes": [0]}),
            ("eps must be", (y, p), {"eps": 1}),
            ("y has 999 rows, but p has 1000", (y[1:], p), {}),
            ("column 1 of by has 999 rows", (y, p, None, (G, G[1:])), {}),
        ):
            with pytest.raises(ValueError, match=words):
                log_loss(*arguments, compute=False, **options)
        with pytest.raises(TypeError, match="compute must be True or False"):
            log_loss(y, p, compute=1)

    def test_keys_of_different_kinds(self):
        y, p = arrays(Y, P)
        by = np.where(np.arange(N) < 500, G.astype(object), TEXTS.astype(object))
        with pytest.raises(TypeError, match=r"^by held .* but now holds"):
            log_loss(y, p, by=by)
        with pytest.raises(TypeError, match=r"^column 1 of by held .* but now holds"):
            log_loss(y, p, by=(G, by))

    def test_sums_that_are_not_one_warn_once(self):
        q = Q.copy()
        q[450:] *= 0.9
        y, p = arrays(Y3, q)
        words = r"rows of p do not sum to one.* is row 4\d\d,"
        with pytest.warns(UserWarning, match=words) as found:
            log_loss(y, p)
        assert [w.filename for w in found] == [__file__]
        late = log_loss(y, p, compute=False)
        with pytest.warns(UserWarning, match=words) as found:
            late.compute()
        assert len(found) == 1

    def test_dask_is_an_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "dask", None)
        with pytest.raises(ImportError, match=r'pip install "fastlogloss\[dask\]"'):
            log_loss(Y, P)


class TestLaziness:
    def test_nothing_is_computed(self):
        calls = []

        def count(block):
            calls.append(1)
            return block

        y, p = arrays(Y, P)
        p = p.map_blocks(count, meta=np.empty(0))
        df = frame().map_partitions(count, meta=FRAME.iloc[:0])
        late = [log_loss(y, p, compute=False), log_loss(df.y, df.p, compute=False)]
        late.append(log_loss(y.rechunk(77), p, W, compute=False))
        assert not calls
        for found in late[:2]:
            assert dask.is_dask_collection(found)
            assert found.compute() == PLAIN
        assert late[2].compute() == WEIGHTED
        assert calls

    def test_lengths_are_not_computed(self):
        df, y = frame(), da.from_array(Y, chunks=100)
        with pytest.raises(ValueError, match=r"of p are unknown: .*compute=True"):
            log_loss(y, df.p, compute=False)
        p = df.p.to_dask_array(lengths=True)
        assert log_loss(y, p, compute=False).compute() == PLAIN

    def test_import_is_light(self, run_python):
        code = (
            "import sys, fastlogloss, fastlogloss.integrations.dask as d\n"
            "assert not {'dask', 'distributed', 'pandas'} & set(sys.modules)\n"
        )
        run_python("-W", "error", "-c", code)

    def test_arrays_need_no_data_frames(self, run_python):
        code = (
            "import sys, numpy as np, dask.array as da\n"
            "sys.modules['pandas'] = sys.modules['dask.dataframe'] = None\n"
            "from fastlogloss.integrations.dask import log_loss\n"
            "y = da.from_array(np.array([0, 1, 1]), chunks=2)\n"
            "assert log_loss(y, y.astype(float), None).loss < 1e-9\n"
        )
        run_python("-c", code)


def sent(x):
    """The same as a cluster brings it: in memory that is read-only and not aligned."""
    buffers = []
    text = pickle.dumps(x, protocol=5, buffer_callback=buffers.append)
    there = [memoryview(b"-" + bytes(buffer.raw()))[1:] for buffer in buffers]
    return pickle.loads(text, buffers=there)


KEYS = {
    "integers": G,
    "uint64": G.astype(np.uint64) + 2**63,
    "small integers": G.astype(np.int8),
    "floats": G / 8,
    "dates": G.astype("M8[D]"),
    "texts": G.astype(str),
    "objects": G.astype(str).astype(object),
    "categories": pd.Categorical(G),
    "nullable": pd.array(G, "Int64"),
    "Arrow": pd.array(G, "int64[pyarrow]"),
    "two columns": (G, Y),
}


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("weights", [None, W], ids=["", "weights"])
def test_states_and_keys_that_were_sent(keys, weights):
    expected = log_loss_by_group(Y, P, keys, sample_weight=weights)
    arguments = sent((Y, P, keys, weights))
    found = log_loss_by_group(*arguments[:3], sample_weight=arguments[3])
    assert found == sent(found) == expected
    found = sent(found)
    found.update(*arguments)
    assert found == expected.update(Y, P, keys, weights)
    found.revert(*arguments).merge(sent(found))
    assert found == expected


@pytest.mark.parametrize("labels", [Y, Y.astype("f2"), TEXTS, pd.Categorical(TEXTS)])
def test_batches_that_were_sent(labels):
    classes = [0, 1] if np.asarray(labels).dtype.kind in "if" else ["no", "yes"]
    for p in (P, P.astype("f4"), np.stack([1 - P, P], axis=1), pd.array(P, "Float64")):
        found = LogLossAccumulator(classes).update(*sent((labels, p, W)))
        assert sent(found) == LogLossAccumulator(classes).update(labels, p, W)


@contextlib.contextmanager
def two_workers():
    """Two worker processes of `distributed`, on this machine alone."""
    cluster = distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",  # with None, port 8787 is taken or warned of
        silence_logs=logging.CRITICAL,  # of a worker that is killed
    )
    with cluster, distributed.Client(cluster, timeout=60) as client:
        yield client


@pytest.fixture(scope="class")
def client():
    with two_workers() as client:
        yield client


class TestCluster:
    @pytest.fixture(autouse=True)
    def on_it(self, one_thread, client):
        with dask.config.set(scheduler=client):
            yield

    def test_bits(self):
        y, p, w, g = arrays(Y, P, W, G)
        df = frame()
        assert log_loss(y, p, w) == log_loss(df.y, df.p, df.w) == WEIGHTED
        assert log_loss(y, p, w, g) == log_loss(df.y, p, W, df.g) == GROUPED

    def test_errors(self):
        y, p = arrays(Y, changed(P, 700, 1.7))
        with pytest.raises(ValueError, match=r"p must .* got 1\.7 in row 700"):
            log_loss(y, p)
        y, p = in_parts(FRAME.y, [10, 990]), in_parts(FRAME.p, [990, 10])
        assert log_loss(y, p) == PLAIN
        with pytest.raises(ValueError, match=r"y has \d+ rows in block"):
            log_loss(y, p, compute=False).compute()

    def test_warns_here(self):
        y, q = arrays(Y3, Q * 0.9)
        with pytest.warns(UserWarning, match="do not sum to one") as found:
            log_loss(y, q)
        assert [w.filename for w in found] == [__file__]


@pytest.mark.parametrize("by", [None, G], ids=["all", "groups"])
def test_a_worker_is_killed(tmp_path, by):
    """In the middle of the work: its blocks are added again, by the other one."""

    def slow(block, block_info=None):
        time.sleep(0.05)
        number = block_info[0]["chunk-location"][0]
        (tmp_path / f"{number}-{os.getpid()}").touch()
        return block

    def done():
        return [path.name.partition("-")[0] for path in tmp_path.iterdir()]

    y, p = arrays(Y, P, chunks=20)
    y = y.map_blocks(slow, meta=np.empty(0, int))
    with two_workers() as client:
        future = client.compute(log_loss(y, p, by=by, compute=False))
        deadline = time.monotonic() + 60
        while len(done()) < 15:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(min(client.run(os.getpid).values()), signal.SIGKILL)
        assert len(set(done())) < 50
        expected = PLAIN if by is None else log_loss_by_group(Y, P, by)
        assert future.result(timeout=60) == expected
    assert len(set(done())) == 50
    assert len(done()) > 50  # those that were lost, again
