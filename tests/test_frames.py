"""Data frames: the same rows in every library and engine, by one call."""

import copy
import json
import os
import pickle
import re
import subprocess
import sys
import time
import warnings

import duckdb
import narwhals as nw
import narwhals.stable.v1
import narwhals.stable.v2
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastlogloss import GroupedLogLoss, LogLossAccumulator
from fastlogloss.integrations.frames import log_loss

N = 600


def rows():
    """Awkward rows, of two classes and of three."""
    rng = np.random.default_rng(0)

    def awkward(values, special):
        values = np.array(values, float)
        for i in range(3):
            values[i * len(special) : (i + 1) * len(special)] = special
        return rng.permutation(values)

    p = awkward(
        rng.random(N) ** 3, [0, 1, 5e-324, 1 - 2**-53, 1e-300, 2.2e-16, 0.5, 2**-53]
    )
    z = rng.normal(0, 30, N)
    z = awkward(z, [800, -800, np.inf, -np.inf, 690, -690, 0, -0.0, 37])
    w = awkward(np.exp(rng.normal(size=N)), [0, -0.5, 1e-90, 32, -0.0, 1e-3, 7])
    q = rng.dirichlet([0.1] * 3, N)
    q[:3] = np.eye(3)
    s = rng.normal(0, 300, (N, 3))
    inf = np.inf
    s[:3] = [inf, 1, inf], [-inf] * 3, [-inf, 0, 1]
    s[3:6] = [800, -800, 0], [0, 690, 0], [inf] * 3
    y = rng.integers(2, size=N)
    frame = pl.DataFrame(
        {
            **{"y": y, "p": p, "z": z, "w": w, "c": rng.integers(3, size=N)},
            **{f"q{j}": q[:, j] for j in range(3)},
            **{f"r{j}": q[:, j].astype("f4") for j in range(3)},
            **{f"s{j}": s[:, j] for j in range(3)},
            "p single": p.astype("f4"),
            "y text": np.array(["no", "yes"])[y],
            "y bool": y.astype(bool),
            "y float": y.astype("f4"),
            "y other": pl.Series(np.array([-7, 300])[y], dtype=pl.Int16),
            "k": rng.integers(50, size=N),
            "day": pl.Series(rng.choice(np.array(["mon", "tue", None], object), N)),
            "g": rng.choice(np.array([1.5, -2.0, 0.0, -0.0, np.nan]), N),
        },
        strict=False,
    )
    # Some keys are null, and some NaN.
    is_null = pl.int_range(pl.len()) % 17 == 0
    return frame.with_columns(g=pl.when(is_null).then(None).otherwise("g"))


FRAME = rows()


def rows_of_all_sizes(rng, n=3000):
    """Doubles whose bits are random, and others that are near 0, 1 or each other."""

    def between(low, high, size=n):
        low, high = np.array([low, high]).view(np.int64)
        return rng.integers(low, high, size).view(np.float64)

    def signed(x):
        return x * rng.choice([-1, 1], x.shape)

    p = between(5e-324, 1.0)
    p[::3] = 1 - between(2**-54, 0.5)[::3]
    s = signed(between(1e-300, 1e5, 3 * n)).reshape(n, 3)
    s[::3] = s[::3, :1] + rng.normal(0, 1e-9, (n // 3, 3))
    s[::5, 1] = s[::5, 0]
    s[rng.random((n, 3)) < 0.05] = np.inf
    s[rng.random((n, 3)) < 0.05] = -np.inf
    z = signed(between(5e-324, 1e300))
    z[::3] = rng.normal(0, 20, n // 3)
    columns = {"p": p, "p single": p.astype("f4"), "z": z}
    columns |= {f"s{j}": s[:, j] for j in range(3)}
    columns |= {"y": rng.integers(2, size=n), "c": rng.integers(3, size=n)}
    columns["w"] = signed(between(2.0**-299, 2.0**299))
    columns["v"] = signed(np.exp(rng.normal(size=n)))
    return pl.DataFrame({"row": np.arange(n), **columns})


def of_categories(frame):
    texts = ["y text", "day"]
    return frame.to_pandas().astype(dict.fromkeys(texts, "category"))


def nullable(frame):
    frame = frame.to_pandas()
    names = {"i": "Int", "f": "Float", "b": "boolean"}
    types = {
        name: names[t.kind] + (str(8 * t.itemsize) if t.kind != "b" else "")
        for name, t in frame.dtypes.items()
        if getattr(t, "kind", "O") in names
    }
    return frame.astype(types)


MEMORY = {
    "polars": lambda f: f,
    "polars categories": lambda f: f.with_columns(
        pl.col("y text", "day").cast(pl.Categorical)
    ),
    "pyarrow": lambda f: f.to_arrow(),
    "pandas": lambda f: f.to_pandas(),
    "pandas categories": of_categories,
    "pandas nullable": nullable,
    "pandas of Arrow": lambda f: f.to_pandas(use_pyarrow_extension_array=True),
    "narwhals": lambda f: nw.from_native(f),
    "narwhals v1": lambda f: nw.stable.v1.from_native(f.to_pandas()),
    "narwhals, lazy pandas": lambda f: nw.stable.v2.from_native(f.to_pandas()).lazy(),
    "reader": lambda f: f.to_arrow().to_reader(77),
    "dataset": lambda f: pyarrow.dataset.dataset(f.to_arrow()),
}
ENGINES = {
    "polars": lambda f: f.lazy(),
    "duckdb": lambda f: duckdb.from_arrow(f.to_arrow()),
    "narwhals": lambda f: nw.from_native(f.lazy()),
    "narwhals, duckdb": lambda f: nw.stable.v1.from_native(ENGINES["duckdb"](f)),
}
QS, RS, LS = ([f"{name}{j}" for j in range(3)] for name in "qrs")
QUESTIONS = {
    "two": {"proba": "p"},
    "two, weighted": {"proba": "p", "weight": "w"},
    "single": {"proba": "p single"},
    "eps=0": {"proba": "p", "eps": 0},
    "eps=0, weighted": {"proba": "p", "eps": 0, "weight": "w"},
    "eps": {"proba": "p", "eps": 1e-3},
    "logits": {"logit": "z"},
    "logits, weighted": {"logit": "z", "weight": "w"},
    "two columns of logits": {"logit": ["s0", "s1"]},
    "wide": {"label": "c", "proba": QS},
    "wide, eps=0": {"label": "c", "proba": QS, "eps": 0, "weight": "w"},
    "wide, single": {"label": "c", "proba": RS, "weight": "w"},
    "wide logits": {"label": "c", "logit": LS},
    "wide logits, weighted": {"label": "c", "logit": LS, "weight": "w"},
    "wide, another order": {"label": "c", "proba": QS, "classes": [2, 0, 1]},
    "booleans": {"label": "y bool", "proba": "p"},
    "classes False and True": {
        **{"label": "y bool", "proba": "p"},
        "classes": [False, True],
    },
    "strings": {"label": "y text", "proba": "p", "classes": ["no", "yes"]},
    "other classes": {"label": "y other", "proba": "p", "classes": [-7, 300]},
    "floats": {"label": "y float", "proba": "p"},
    "integers as scores": {"proba": "y", "weight": "k"},
}
KEYS = [None, "g", "day", "k", ["day", "g"], ["k", "y bool"]]


def truth(question, by=None, frame=FRAME):
    """The exact sums, by `update`."""
    options = {"label": "y", **question}
    is_logit = "logit" in options
    names = options.pop("logit" if is_logit else "proba")
    label, weight = options.pop("label"), options.pop("weight", None)
    options.setdefault("classes", range(3 if len(names) == 3 else 2))
    scores = frame.select(names).to_numpy()
    scores = scores if isinstance(names, list) else scores[:, 0]
    weights = None if weight is None else frame[weight].to_numpy()
    kind = LogLossAccumulator if by is None else GroupedLogLoss
    keys = () if by is None else (frame.select(by),)
    found = kind(from_logits=is_logit, **options)
    return found.update(frame[label].to_numpy(), scores, *keys, weights)


def asked(make, question, frame=FRAME, **options):
    return log_loss(make(frame), **{"label": "y", **question}, **options)


def assert_near(found, exact):
    """1e-12, relative: engines round some sums."""
    assert type(found) is type(exact)
    assert not found.exact
    assert found.classes == exact.classes
    assert np.array_equal(found.n_samples, exact.n_samples)
    names = ["loss_sum", "weight_sum", "loss", "null_loss", "standard_error"]
    for name in names:
        a, b = getattr(found, name), getattr(exact, name)
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=0, err_msg=name)
    for label, weight in exact.class_weights.items():
        np.testing.assert_allclose(found.class_weights[label], weight, rtol=1e-12)
    for a, b in zip(
        found.confidence_interval(), exact.confidence_interval(), strict=True
    ):
        np.testing.assert_allclose(a, b, rtol=1e-10)
    if isinstance(exact, GroupedLogLoss):
        assert found._keys == exact._keys
        total, true = found.total(), exact.total()
        np.testing.assert_allclose(total.standard_error, true.standard_error, 1e-12)


@pytest.mark.parametrize("make", MEMORY.values(), ids=MEMORY)
class TestInMemory:
    @pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
    def test_same_bits(self, make, question):
        assert asked(make, question) == truth(question)

    @pytest.mark.parametrize("by", KEYS[1:], ids=str)
    def test_groups(self, make, by):
        question = QUESTIONS["two, weighted"]
        assert asked(make, question, by=by) == truth(question, by)

    def test_is_not_lazy(self, make):
        with pytest.raises(ValueError, match=r"in memory \(it may have .lazy\(\)"):
            asked(make, {"proba": "p"}, lazy=True)


class TestEngines:
    @pytest.mark.parametrize("by", KEYS, ids=str)
    @pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
    @pytest.mark.parametrize("engine", ["polars", "duckdb"])
    def test_near(self, engine, question, by):
        assert_near(asked(ENGINES[engine], question, by=by), truth(question, by))

    @pytest.mark.parametrize("by", KEYS, ids=str)
    @pytest.mark.parametrize("make", ENGINES.values(), ids=ENGINES)
    def test_wrapped(self, make, by):
        question = QUESTIONS["strings"] | {"weight": "w"}
        assert_near(asked(make, question, by=by), truth(question, by))

    @pytest.mark.parametrize("seed", range(2))
    @pytest.mark.parametrize("engine", ["polars", "duckdb"])
    def test_each_row(self, engine, seed):
        """Of doubles of all sizes no row hides behind others."""
        frame = rows_of_all_sizes(np.random.default_rng(seed))
        for question in (
            {"proba": "p"},
            {"proba": "p", "eps": 0},
            {"proba": "p single", "eps": 0, "weight": "w"},
            {"logit": "z"},
            {"logit": "z", "weight": "v"},
            {"logit": ["s0", "s1"]},
            {"label": "c", "logit": ["s0", "s1", "s2"], "weight": "v"},
        ):
            found = asked(ENGINES[engine], question, frame, by="row")
            exact = asked(MEMORY["polars"], question, frame, by="row")
            for name in ("loss", "loss_sum", "weight_sum", "n_samples"):
                a, b = getattr(found, name), getattr(exact, name)
                np.testing.assert_allclose(a, b, rtol=1e-13, atol=0)

    @pytest.mark.parametrize("make", ENGINES.values(), ids=ENGINES)
    def test_lazy_sums(self, make):
        frame = make(FRAME)
        found = log_loss(
            frame, label="y", proba="p", weight="w", by=["day", "k"], lazy=True
        )
        assert type(found) is type(nw.to_native(frame, pass_through=True))
        table = nw.from_native(found).collect()
        names = ["day", "k", "n_rows", "n_bad_labels", "n_bad_scores", "n_bad_weights"]
        assert table.columns[:6] == names
        assert {"sum_w", "sum_wl", "sum_w3l3", "class_1"} < {*table.columns}
        exact = truth({"proba": "p", "weight": "w"}, ["day", "k"])
        assert sum(table["n_rows"].to_list()) == N
        assert len(table) == len(exact)

    def test_lazy_computes_nothing(self):
        def read(_):
            raise AssertionError

        frame = pl.LazyFrame({"y": [0], "p": [0.5]}).map_batches(
            read, schema={"y": pl.Int64, "p": pl.Float64}
        )
        assert (
            "n_rows"
            in log_loss(frame, label="y", proba="p", lazy=True).collect_schema()
        )

    def test_counts_are_wide(self):
        frame = log_loss(FRAME.lazy(), label="y", proba="p", eps=0, lazy=True)
        for name, type_ in frame.collect_schema().items():
            assert type_ == (pl.Float64 if name.startswith("sum_") else pl.Int64)

    @pytest.mark.parametrize("name", ["sum_wl", "N_ROWS", "class_0"])
    @pytest.mark.parametrize("make", ENGINES.values(), ids=ENGINES)
    def test_keys_that_are_called_as_sums(self, make, name):
        frame = make(FRAME.rename({"k": name}))
        assert len(log_loss(frame, label="y", proba="p", by=name)) == 50
        with pytest.raises(ValueError, match=f"as one of the sums: '{name.lower()}'"):
            log_loss(frame, label="y", proba="p", by=name, lazy=True)

    def test_many_groups(self):
        n = 100_000
        frame = pl.DataFrame({"k": np.arange(2 * n) % n}).with_columns(
            y=pl.col("k") % 2, p=(pl.col("k") % 97 + 1) / 99, w=pl.col("k") % 5 + 0.5
        )
        options = {"label": "y", "proba": "p", "weight": "w", "by": "k"}
        exact = log_loss(frame, **options)
        start = time.process_time()
        found = log_loss(frame.lazy(), **options)
        # Sums of a group become integers at once, not one by one: that is 0.2 s.
        assert time.process_time() - start < 3
        assert_near(found, exact)


NAMES = ["^p.*$", "*", "self", "y", "w", "k", "S0", "s0", "c0", "c1", "label", "wrong"]
NAMES += ["a.b", 'quo"te', "a b", "g0", "G0", "Y", "literal", "n_rows", "é", "COLUMNS"]


@pytest.mark.parametrize("engine", ["polars", "duckdb", "memory"])
@settings(max_examples=30)
@given(names=st.permutations(NAMES))
def test_names_mean_nothing(engine, names):
    """Not to an engine, and not to us."""
    if engine == "duckdb":  # to which names that differ by case are one, and * is all
        names = list({name.lower(): name for name in names if name != "*"}.values())
    columns = ["y", "p", "w", "k", "q0", "q1"]
    frame = FRAME.select(columns)
    y, p, w, k, *_ = frame.columns = names[: len(columns)]
    make = MEMORY["polars"] if engine == "memory" else ENGINES[engine]
    found = log_loss(make(frame), label=y, proba=p, weight=w, by=[k, y])
    exact = truth({"proba": "p", "weight": "w"}, ["k", "y"])
    if engine == "memory":
        assert found == exact
    else:
        assert_near(found, exact)
        sums = {"n_rows": y}.get(k, k)  # which would be called as a sum
        found = log_loss(make(frame), label=y, proba=p, by=sums, lazy=True)
        assert nw.from_native(found).collect_schema().names()[0] == sums


NAN = float("nan")
BAD = pl.DataFrame(
    {
        "y": [0, 1, 2, None, 1, 0, 1, 0, 1, 1, 0, 1],
        "p": [0.5, 1.7, 0.5, 0.5, NAN, None, -0.1, 0.3, 0.2, 0.6, 0.4, 0.7],
        "w": [1.0, 1, 1, 1, 1, 1, 1, np.inf, 2.0**301, 2, NAN, 1e-91],
        "g": [1, 1, 2, 2, 3, 3, 1, 1, 1, None, 1, 1],
    },
    strict=False,
)
EVERY = {**{name: MEMORY[name] for name in ("polars", "pyarrow", "pandas")}, **ENGINES}


def pick(rows):
    return BAD[rows].with_columns(pl.col("y").cast(pl.Int64))


class TestInvalidRows:
    @pytest.mark.parametrize("make", ENGINES.values(), ids=ENGINES)
    def test_engines_count(self, make):
        words = (
            "10 of 12 rows are not valid: in 2 column 'y' is null or no class; in 4 "
            "column 'p' is null or NaN or outside [0, 1]; in 4 column 'w' is null, not "
            'finite or out of range (on_invalid="skip" leaves them out)'
        )
        with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
            asked(make, {"proba": "p", "weight": "w"}, BAD)
        with pytest.raises(ValueError, match="6 of 12 rows are not valid"):
            asked(make, {"proba": "p"}, BAD, by="g")
        # Of logits none is outside.
        with pytest.raises(ValueError, match="in 2 column 'p' is null or NaN "):
            asked(make, {"logit": "p"}, BAD)

    @pytest.mark.parametrize("name", ["polars", "pyarrow", "pandas"])
    def test_memory_names_the_row(self, name):
        for rows, words in (
            ([0, 1], "column 'p' .* 1.7 in row 1"),
            ([0, 2], "column 'y' holds the label 2 in row 1"),
            ([0, 3], "column 'y' is null in row 1"),
            ([0, 6], "column 'p' .* -0.1 in row 1"),
        ):
            with pytest.raises(ValueError, match=words):
                asked(MEMORY[name], {"proba": "p"}, pick(rows))
        for rows in ([0, 7], [0, 8], [0, 10], [0, 11]):
            with pytest.raises(ValueError, match=r"column 'w' .* row 1"):
                asked(MEMORY[name], {"proba": "p", "weight": "w"}, pick(rows))

    @pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
    def test_skip(self, make):
        skip = {"on_invalid": "skip"}
        found = asked(make, {"proba": "p"}, BAD, **skip)
        left = pick([0, 7, 8, 9, 10, 11])
        assert_alike(found, truth({"proba": "p"}, None, left))
        weighted = {"proba": "p", "weight": "w"}
        left = pick([0, 9])
        assert_alike(asked(make, weighted, BAD, **skip), truth(weighted, None, left))
        # Group 3 has no row that is valid.
        found = asked(make, weighted, BAD, by="g", **skip)
        assert_alike(found, truth(weighted, "g", left))
        assert np.array_equal(found.groups, [1, NAN], equal_nan=True)

    @pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
    @pytest.mark.parametrize("by", [None, "g"])
    def test_none_left(self, make, by):
        bad = BAD[1:7]
        with pytest.raises(ValueError, match="no rows are left of 6"):
            asked(make, {"proba": "p"}, bad, by=by, on_invalid="skip")
        with pytest.raises(ValueError, match=r"6 of 6 rows|row 2"):
            asked(make, {"proba": "p"}, bad, by=by)
        for on_invalid in ("error", "skip"):
            with pytest.raises(ValueError, match="there are no rows"):
                asked(make, {"proba": "p"}, BAD[:0], by=by, on_invalid=on_invalid)

    @pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
    @pytest.mark.parametrize("name", ["y", "p", "w"])
    def test_columns_of_nulls(self, make, name):
        frame = FRAME.head(3).with_columns(pl.lit(None).alias(name))
        question = {"proba": "p", "weight": "w"}
        with pytest.raises(ValueError, match=f"column '{name}' is null"):
            asked(make, question, frame)
        with pytest.raises(ValueError, match="no rows are left of 3"):
            asked(make, question, frame, on_invalid="skip")
        found = asked(make, {"proba": "q0"}, FRAME.head(3).with_columns(k=None), by="k")
        assert [*found] in ([None], [NAN]) or np.isnan([*found]).all()

    @pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
    def test_weights_in_range(self, make):
        """The bounds are valid on each road, and what is beyond on none."""
        w = np.array([2.0**-300, 2.0**300, -(2.0**300), -(2.0**-300), 0, 1])
        frame = FRAME.head(6).with_columns(w=w, p=pl.lit(0.25), y=pl.lit(1))
        assert asked(make, {"proba": "p", "weight": "w"}, frame).n_samples == 6
        beyond = np.nextafter(w, [0, np.inf, -np.inf, 0, 1, 1])
        frame = frame.with_columns(w=beyond)
        found = asked(make, {"proba": "p", "weight": "w"}, frame, on_invalid="skip")
        assert found.n_samples == 1

    @pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
    def test_probabilities_that_do_not_sum_to_one(self, make):
        question = {"proba": ["p", "z"]}
        frame = pl.DataFrame({"y": [0, 1], "p": [0.5, 0.5], "z": [0.5, 0.25]})
        with pytest.warns(UserWarning, match="columns 'p', 'z' do not sum to one") as w:
            found = asked(make, question, frame)
        assert w[0].filename == __file__
        assert found.n_samples == 2


def assert_alike(found, exact):
    if found.exact:
        assert found == exact
    else:
        assert_near(found, exact)


TYPES = pl.DataFrame(
    {
        **{"i": [0, 1], "text": ["0", "1"], "p": [0.25, 0.5], "flag": [True, False]},
        **{"list": [[0.1, 0.9], [0.2, 0.8]], "struct": [{"a": 1}] * 2},
        **{"bytes": [b"a", b"b"], "q0": [0.75, 0.5]},
    }
).with_columns(
    pl.lit(0).cast(pl.Date).alias("date"),
    pl.lit(0).cast(pl.Duration).alias("span"),
    pl.lit(0).cast(pl.Time).alias("time"),
    pl.col("text").cast(pl.Categorical).alias("category"),
    pl.col("text").cast(pl.Enum(["0", "1", "2"])).alias("enum"),
    pl.col("list").cast(pl.Array(pl.Float64, 2)).alias("array"),
    pl.col("p").cast(pl.Decimal(9, 3)).alias("decimal"),
    *(pl.col("i").cast(t).alias(str(t)) for t in (pl.UInt64, pl.Int8, pl.Float32)),
)


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
class TestTypes:
    @pytest.mark.parametrize(
        "name", ["text", "category", "enum", "date", "span", "bytes", "time", "struct"]
    )
    @pytest.mark.parametrize("role", ["proba", "logit", "weight"])
    def test_no_numbers(self, make, name, role):
        question = {"label": "i", "proba": "p", role: name}
        if role == "logit":
            del question["proba"]
        with pytest.raises(ValueError, match=f"column '{name}' .*instead of numbers"):
            asked(make, question, TYPES)

    @pytest.mark.parametrize("name", ["list", "array"])
    def test_lists(self, make, name):
        question = {"label": "i", "proba": name}
        if make in MEMORY.values():
            assert asked(make, question, TYPES).n_samples == 2
        else:
            with pytest.raises(ValueError, match=f"column '{name}' .*for each class"):
                asked(make, question, TYPES)

    @pytest.mark.parametrize("name", ["text", "category", "enum"])
    def test_strings(self, make, name):
        question = {"label": name, "proba": "p"}
        with pytest.raises(ValueError, match=rf"column '{name}' .*classes="):
            asked(make, question, TYPES)
        with pytest.raises(ValueError, match=rf"column '{name}' .*are numbers: \[0, 1"):
            asked(make, question | {"classes": [0, 1]}, TYPES)
        found = asked(make, question | {"classes": ["0", "1"]}, TYPES)
        assert_alike(
            found,
            truth({"label": "text", "classes": ["0", "1"], "proba": "p"}, None, TYPES),
        )
        # No string is another class than all of the column's.
        with pytest.raises(ValueError, match=r"no class|none of"):
            asked(make, question | {"classes": ["0", "no"]}, TYPES)

    @pytest.mark.parametrize("name", ["i", "flag", "p", "decimal", "UInt64", "Float32"])
    def test_numbers_are_no_strings(self, make, name):
        with pytest.raises(ValueError, match=f"column '{name}' .*are strings"):
            asked(make, {"label": name, "proba": "p", "classes": ["0", "1"]}, TYPES)

    @pytest.mark.parametrize("name", ["list", "date", "span", "bytes", "struct"])
    def test_no_labels(self, make, name):
        with pytest.raises(ValueError, match=f"column '{name}' holds"):
            asked(make, {"label": name, "proba": "p"}, TYPES)

    @pytest.mark.parametrize("name", ["i", "UInt64", "Int8", "Float32"])
    def test_whole_numbers(self, make, name):
        expected = truth({"label": "i", "proba": "p"}, None, TYPES)
        assert_alike(asked(make, {"label": name, "proba": "p"}, TYPES), expected)
        for classes in ([0, 1000], [0, -(2**62)], [1, 0.0]):
            found = asked(
                make,
                {"label": name, "proba": "p", "classes": np.array(classes)},
                TYPES,
                on_invalid="skip",
            )
            assert found.n_samples == 1 + (1 in classes)

    def test_whole_numbers_that_no_double_holds(self, make):
        classes = [2**60 + 1, 2**60 + 2]
        question = {"proba": "p", "classes": classes}
        frame = pl.DataFrame({"y": classes, "p": [0.25, 0.75]})
        for type_ in (pl.Int64, pl.UInt64):
            found = asked(make, question, frame.with_columns(pl.col("y").cast(type_)))
            np.testing.assert_allclose(found.loss, -np.log(0.75), 1e-14)
        floats = frame.with_columns(pl.col("y").cast(pl.Float64))
        with pytest.raises(ValueError, match="column 'y' holds"):
            asked(make, question, floats)

    def test_decimals(self, make):
        expected = truth({"label": "i", "proba": "p"}, None, TYPES)
        question = {"label": "i", "proba": "decimal"}
        assert_alike(asked(make, question, TYPES), expected)
        labels = TYPES.with_columns(pl.col("i").cast(pl.Decimal(9, 2)))
        assert_alike(asked(make, {"label": "i", "proba": "p"}, labels), expected)

    def test_keys_that_are_none(self, make):
        for name in ("list", "struct"):
            with pytest.raises(TypeError, match=f"column '{name}' "):
                asked(make, {"label": "i", "proba": "p"}, TYPES, by=name)

    def test_keys_of_all_types(self, make):
        for name in ("date", "bytes", "decimal", "category", "flag", "Int8"):
            question = {"label": "i", "proba": "p"}
            found = asked(make, question, TYPES, by=name)
            exact = log_loss(TYPES, **question, by=name)
            assert_alike(found, exact)


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY)
class TestArguments:
    def test_names(self, make):
        with pytest.raises(ValueError, match="no column 'q4'; did you mean 'q"):
            asked(make, {"proba": "q4"})
        with pytest.raises(ValueError, match="no column 'Y'"):
            asked(make, {"label": "Y", "proba": "p"})
        with pytest.raises(ValueError, match="no column 'zzz'"):
            asked(make, {"proba": "p"}, by="zzz")
        with pytest.raises(ValueError, match="no column 'zzz'"):
            asked(make, {"proba": "p", "weight": "zzz"})
        with pytest.raises(ValueError, match="names a column twice"):
            asked(make, {"proba": "p"}, by=["k", "k"])
        with pytest.raises(ValueError, match="label must be one column"):
            asked(make, {"label": ["y", "c"], "proba": "p"})
        with pytest.raises(TypeError, match="by must be names"):
            asked(make, {"proba": "p"}, by=[])

    def test_scores(self, make):
        with pytest.raises(TypeError, match="one of the two"):
            asked(make, {})
        with pytest.raises(TypeError, match="one of the two"):
            asked(make, {"proba": "p", "logit": "z"})
        with pytest.raises(ValueError, match="3 classes"):
            asked(make, {"proba": "p", "classes": [0, 1, 2]})
        with pytest.raises(ValueError, match="2 classes"):
            asked(make, {"proba": QS, "classes": [0, 1]})

    def test_options(self, make):
        with pytest.raises(ValueError, match='on_invalid must be "error" or "skip"'):
            asked(make, {"proba": "p"}, on_invalid="ignore")
        with pytest.raises(ValueError, match="eps must be"):
            asked(make, {"proba": "p", "eps": 0.7})
        with pytest.raises(ValueError, match="classes must be"):
            asked(make, {"proba": "p", "classes": [1]})


def test_no_frame():
    for what in (None, [1], {"y": [0]}, 5, "y", np.eye(2)):
        with pytest.raises(TypeError, match="source must be a table, a data frame"):
            log_loss(what, label="y", proba="p")
    for series in (pl.Series([1.0]), pd.Series([1.0])):
        with pytest.raises((TypeError, ValueError)):
            log_loss(series, label="y", proba="p")


def test_columns_of_one_name():
    """They do no harm where they are not asked for."""
    table = pa.table([[0, 1], [0.2, 0.7], [1, 2], [3, 4]], names=["y", "p", "x", "x"])
    expected = LogLossAccumulator().update([0, 1], [0.2, 0.7])
    for frame in (table, table.to_pandas()):
        assert log_loss(frame, label="y", proba="p") == expected
        with pytest.raises(ValueError, match="2 columns of the name 'x'"):
            log_loss(frame, label="y", proba="p", weight="x")


def test_other_libraries(monkeypatch):
    """Modin, cuDF and what else comes go through a table of Arrow."""
    question = QUESTIONS["strings"] | {"weight": "w", "label": "y text"}
    monkeypatch.setattr(nw.Implementation, "is_pandas", lambda self: False)
    frame = FRAME.to_pandas().assign(other=[object()] * N)
    assert log_loss(frame, **question, by="k") == truth(question, "k")
    with pytest.raises(ValueError, match="no column 'q7'"):
        log_loss(frame, label="y", proba="q7")


@pytest.mark.parametrize("kind", ["proba", "logit"])
def test_many_classes(kind):
    """As many as make expressions deeper than Python goes, were they chains."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(300), 50)
    if kind == "logit":
        p = np.log(p)
    names = [f"p{j}" for j in range(300)]
    frame = pl.DataFrame(
        {"y": rng.integers(300, size=50), **dict(zip(names, p.T, strict=True))}
    )
    question = {"label": "y", kind: names}
    exact = LogLossAccumulator(range(300), from_logits=kind == "logit")
    exact.update(frame["y"].to_numpy(), p)
    for engine in ("polars", "duckdb"):
        assert_near(asked(ENGINES[engine], question, frame), exact)


def test_names_of_methods():
    columns = ["scanner", "schema", "types", "toDF", "collect_schema", "to_native"]
    frame = pd.DataFrame([[0, 0.2, 1.0, 0, 0, 0], [1, 0.7, 2.0, 0, 0, 0]])
    frame.columns = columns
    options = {"label": "scanner", "proba": "schema", "weight": "types", "by": "toDF"}
    exact = log_loss(frame, **options)
    assert exact.n_samples == [2]
    for make in ENGINES.values():
        assert_near(log_loss(make(pl.from_pandas(frame)), **options), exact)


def test_dask_is_elsewhere(monkeypatch):
    monkeypatch.setattr(
        nw.stable.v2.dependencies, "is_dask_dataframe", lambda frame: True
    )
    with pytest.raises(TypeError, match=r"fastlogloss\.integrations\.dask\.log_loss"):
        log_loss(object(), label="y", proba="p")


def test_pyarrow_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="pyarrow"):
        log_loss(pd.DataFrame({"y": [0], "p": [0.5]}), label="y", proba="p")


class TestContagion:
    """What an engine has rounded stays so, whatever comes to it."""

    @pytest.fixture(params=[None, "k"], ids=["all", "groups"])
    def pair(self, request):
        question = {"proba": "p", "weight": "w"}
        found = asked(ENGINES["polars"], question, by=request.param)
        return found, truth(question, request.param)

    def test_merges(self, pair):
        found, exact = pair
        assert exact.exact
        for one, other in (pair, pair[::-1]):
            both = copy.copy(one).merge(other)
            assert not both.exact
            assert np.sum(both.n_samples) == 2 * N
            np.testing.assert_allclose(both.loss, exact.loss, 1e-12)
        assert exact.exact
        assert not found.exact

    def test_nothing_is_taken_away(self, pair):
        found, exact = pair
        keys = () if isinstance(found, LogLossAccumulator) else (FRAME["k"],)
        columns = [FRAME[name].to_numpy() for name in ("y", "p", "w")]
        for one in (found, copy.copy(exact).merge(found)):
            before = copy.copy(one)
            with pytest.raises(ValueError, match="no rows can be taken away"):
                one.revert(*columns[:2], *keys, columns[2])
            assert one == before

    def test_equality(self, pair):
        found, exact = pair
        assert found == copy.copy(found)
        assert found == copy.deepcopy(found)
        assert found != exact
        assert exact != found

    def test_kept(self, pair):
        found, _ = pair
        for one in (pickle.loads(pickle.dumps(found)), copy.deepcopy(found)):
            assert one == found
            assert not one.exact
        if isinstance(found, LogLossAccumulator):
            text = json.dumps(found.to_dict())
            again = LogLossAccumulator.from_dict(json.loads(text))
            assert again == found
            assert not again.exact
        else:
            assert not found.total().exact
            assert not found[3].exact


def spark_session(builder):
    return (
        builder.config("spark.ui.enabled", "false")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.shuffle.partitions", "2")
        .getOrCreate()
    )


def check_spark(builder):
    """The same rows in a session of Spark, which is stopped."""
    warnings.simplefilter("ignore")  # of pyspark, on pandas that it does not know
    session = spark_session(builder)
    try:
        frame = session.createDataFrame(FRAME.to_arrow())
        names = [
            "two",
            "two, weighted",
            "single",
            "eps=0, weighted",
            "logits, weighted",
        ]
        names += ["wide", "wide, single", "wide logits", "booleans", "strings"]
        for name in names:
            question = QUESTIONS[name]
            by = ["day", "g"] if "weighted" in name else None
            found = asked(lambda _: frame, question, by=by)
            assert_near(found, truth(question, by))
        bad = session.createDataFrame(BAD.to_arrow())
        TestInvalidRows().test_engines_count(lambda _: bad)
        TestInvalidRows().test_skip(lambda _: bad)
        odd = session.sql(
            "select 1 as `a.b`, 0.5D as `p``x`, 2 as `*`, 0.25D as P, 0 as p, "
            "cast(null as void) v, array(0.5D) l, 's' s, 3 as x, 4 as x"
        )
        found = log_loss(odd, label="a.b", proba="p`x", weight="*", by="p")
        assert found.loss == [np.log(2)]
        sums = log_loss(odd, label="a.b", proba="P", by=["a.b", "*"], lazy=True)
        assert type(sums) is type(odd)
        assert sums.columns[:3] == ["a.b", "*", "n_rows"]
        assert sums.collect()[0]["class_1"] == 1
        for role, name, words in (
            ("proba", "v", "1 of 1 rows are not valid: in 1 column 'v' is null"),
            ("label", "v", "1 of 1 rows are not valid: in 1 column 'v' is null"),
            ("proba", "l", "column 'l' .* a column for each class"),
            ("label", "s", "column 's' holds String: name all classes"),
            ("weight", "s", "column 's' holds String instead of numbers"),
            ("weight", "x", "2 columns of the name 'x'"),
        ):
            with pytest.raises(ValueError, match=words):
                log_loss(odd, **{"label": "a.b", "proba": "P", role: name})
    finally:
        session.stop()


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["master", "remote"], ids=["classic", "Connect"])
def test_spark(kind, tmp_path):
    """In a process of its own: a session of one kind keeps off the other."""
    code = (
        "import sys; sys.path[:0] = [sys.argv[1]]\n"
        "from pyspark.sql import SparkSession\n"
        "import test_frames\n"
        "builder = getattr(SparkSession.builder, sys.argv[2])('local[2]')\n"
        "test_frames.check_spark(builder)"
    )
    environment = {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, "-c", code, os.path.dirname(__file__), kind],
        env={**os.environ, **environment},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=550,  # of a machine that is busy
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
