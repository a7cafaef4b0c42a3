"""Queries in SQL: engines that run them find what the kernels find."""

import datetime
import json
import math
import os
import re
import subprocess
import sys
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sqlglot
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from fastlogloss import GroupedLogLoss, LogLossAccumulator, sql

DIALECTS = ("bigquery", "duckdb", "postgres", "snowflake", "spark")
N = 3000
RNG = np.random.default_rng(0)


def awkward(values, at):
    values[: len(at)] = at
    return values


Y = RNG.integers(2, size=N)
K = RNG.integers(3, size=N)
P = awkward(RNG.random(N) ** 4, [0, 0, 1, 1, 5e-324, 1 - 2**-53, 1e-300, 2**-52])
W = np.exp(RNG.normal(size=N))
W[::7] *= -1
W[3::11] = 0
W[8:12] = 2.0**300, -(2.0**-300), 2.0**-300, 1.5
Q = RNG.dirichlet([0.1] * 3, N)
Q[:4] = np.eye(3)[[0, 1, 2, 1]]
# A loss of 1e-300 is of a logit that is that of exp(-690).
TAILS = [800, -800, np.inf, -np.inf, 690.8, -690.8, 1e300, -1e300, 0, -0.0, 5e-324, 37]
Z = awkward(RNG.normal(0, 30, N), [*TAILS, *TAILS])
ZS = RNG.normal(0, 30, (N, 3))
ZS[:6] = [
    [np.inf, 1, np.inf],
    [-np.inf] * 3,
    [-np.inf, 2, 1],
    [800, -800, 0],
    [0, 0, 0],
    [1e300, -1e300, 5],
]
Y[: 2 * len(TAILS)] = np.repeat([0, 1], len(TAILS))
ROWS = pl.DataFrame(
    {
        "y": Y,
        "yes": Y == 1,
        "text": np.array(["it's \\ no", 'a "yes"\n'])[Y],
        "minus": np.array([-1, 7])[Y],
        "k": K,
        "p": P,
        "single": RNG.random(N).astype(np.float32),
        "w": W,
        "z": Z,
        "g": RNG.integers(20, size=N),
        "h": RNG.choice(np.array(["a", "it's", None]), N),
        "day": [datetime.date(2026, 1, 1 + i % 5) for i in range(N)],
        **{f"q{j}": Q[:, j] for j in range(3)},
        **{f"z{j}": ZS[:, j] for j in range(3)},
    }
)
KINDS = {
    "two": {"label": "y", "proba": "p"},
    "weights": {"label": "y", "proba": "p", "weight": "w"},
    "eps": {"label": "y", "proba": "p", "weight": "w", "eps": 1e-3},
    "no eps": {"label": "y", "proba": "p", "eps": 0},
    "no eps, weights": {"label": "y", "proba": "p", "weight": "w", "eps": 0.0},
    "booleans": {"label": "yes", "proba": "p", "classes": [False, True]},
    "strings": {"label": "text", "proba": "p", "classes": ["it's \\ no", 'a "yes"\n']},
    "negative": {"label": "minus", "proba": "p", "classes": [-1, 7]},
    "other order": {"label": "y", "proba": "p", "classes": [1, 0]},
    "single": {"label": "y", "proba": "single"},
    "wide": {"label": "k", "proba": ["q0", "q1", "q2"]},
    "wide, weights": {"label": "k", "proba": ["q0", "q1", "q2"], "weight": "w"},
    "wide, no eps": {"label": "k", "proba": ["q2", "q1", "q0"], "eps": 0},
    "logit": {"label": "y", "logit": "z"},
    "logit, weights": {"label": "y", "logit": "z", "weight": "w"},
    "logits": {"label": "k", "logit": ["z0", "z1", "z2"]},
    "logits, weights": {"label": "k", "logit": ["z0", "z1", "z2"], "weight": "w"},
}
KEYS = {"all": None, "number": "g", "day": "day", "two keys": ["h", "g"]}


def options_of(asked):
    """Arguments of an accumulator, and of its `update_from`."""
    asked = dict(asked)
    classes = asked.pop("classes", None)
    scores = asked.get("proba") or asked["logit"]
    if classes is None:
        classes = range(2 if isinstance(scores, str) else len(scores))
    made = {"eps": asked.pop("eps", "auto"), "from_logits": "logit" in asked}
    return (classes, made), asked


def exact(rows, by=None, **asked):
    (classes, made), asked = options_of(asked)
    if by is None:
        return LogLossAccumulator(classes, **made).update_from(rows, **asked)
    return GroupedLogLoss(classes, **made).update_from(rows, by=by, **asked)


def duck(rows, table="t"):
    engine = duckdb.connect()
    engine.register(table, rows.to_arrow() if hasattr(rows, "to_arrow") else rows)
    return engine


def found(rows, by=None, on_invalid="error", **asked):
    text = sql.log_loss("t", by=by, **asked)
    row = duck(rows).sql(text).pl()
    classes = asked.get("classes")
    return sql.from_sums(row, by=by, classes=classes, on_invalid=on_invalid)


def check_same(one, other, rtol=1e-12):
    assert one.classes == other.classes
    for name in ("n_samples", "weight_sum", "loss_sum", "loss", "standard_error"):
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(a, b, rtol, 0, equal_nan=True, err_msg=name)
    for label, weight in other.class_weights.items():
        np.testing.assert_allclose(one.class_weights[label], weight, rtol)
    for a, b in zip(
        one.confidence_interval(), other.confidence_interval(), strict=True
    ):
        np.testing.assert_allclose(a, b, 1e-9, equal_nan=True)
    np.testing.assert_allclose(one.d2, other.d2, 1e-9, equal_nan=True)


@pytest.mark.parametrize("by", KEYS.values(), ids=KEYS)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_duckdb(kind, by):
    asked, expected = found(ROWS, by, **kind), exact(ROWS, by, **kind)
    assert not asked.exact
    check_same(asked, expected)
    if by is not None:
        np.testing.assert_equal(asked.groups, expected.groups)
        one, other = asked.total(), expected.total()
        np.testing.assert_allclose(one.standard_error, other.standard_error, 1e-12)
        assert len(asked.merge(expected)) == len(expected)


BAD = {
    "label null": ({"y": None}, "in 1 the label is null or no class"),
    "label 2": ({"y": 2}, "in 1 the label is null or no class"),
    "score null": ({"s": None}, "in 1 the score is null or NaN"),
    "score NaN": ({"s": math.nan}, "in 1 the score is null or NaN"),
    "weight null": ({"w": None}, "in 1 the weight is null, not finite or out of range"),
    "weight NaN": ({"w": math.nan}, "in 1 the weight"),
    "weight inf": ({"w": -math.inf}, "in 1 the weight"),
    "weight small": ({"w": 1e-91}, "in 1 the weight"),
    "weight large": ({"w": -3e90}, "in 1 the weight"),
}
BAD_PROBA = {
    "1.7": ({"s": 1.7}, "outside"),
    "beyond 1": ({"s": 1 + 2**-52}, "outside"),
    "negative": ({"s": -5e-324}, "outside"),
    "inf": ({"s": math.inf}, "outside"),
}
GOOD = [{"y": 1, "s": 0.25, "w": 2.0}, {"y": 0, "s": 0.5, "w": 0.0}] * 2


def table(rows):
    types = {"y": pl.Int64, "s": pl.Float64, "w": pl.Float64, "g": pl.String}
    return pl.DataFrame(rows, {name: types[name] for name in rows[0]})


@pytest.mark.parametrize("score", ["proba", "logit"])
@pytest.mark.parametrize(("bad", "words"), [*BAD.values(), *BAD_PROBA.values()])
@pytest.mark.parametrize("eps", ["auto", 0])
def test_rows_that_are_not_valid(score, bad, words, eps):
    if score == "logit" and words == "outside":
        return
    rows = table([GOOD[0] | bad, *GOOD])
    asked = {"label": "y", score: "s", "weight": "w", "eps": eps}
    with pytest.raises(ValueError, match="1 of 5 rows are not valid") as raised:
        found(rows, **asked)
    assert words in str(raised.value)
    check_same(found(rows, on_invalid="skip", **asked), exact(table(GOOD), **asked))


def test_rows_that_are_not_valid_have_one_reason():
    rows = table(
        [
            *GOOD,
            *[{"y": None, "s": None, "w": None}] * 2,
            *[{"y": 1, "s": math.nan, "w": math.nan}] * 3,
        ]
    )
    with pytest.raises(
        ValueError, match=r"5 of 9 rows .* in 2 the label .* in 3 the s"
    ):
        found(rows, label="y", proba="s", weight="w")


def test_wide_rows_that_are_not_valid():
    rows = ROWS.head(20).with_columns(
        q1=pl.when(pl.col("p").rank("ordinal") == 3).then(None).otherwise(pl.col("q1"))
    )
    with pytest.raises(ValueError, match="1 of 20 rows are not valid: in 1 the score"):
        found(rows, label="k", proba=["q0", "q1", "q2"])


@pytest.mark.parametrize("eps", ["auto", 0])
def test_probabilities_that_do_not_sum_to_one(eps):
    rows = ROWS.head(20).with_columns(q1=pl.col("q1") * 0.5, q2=pl.lit(1e-7))
    with pytest.warns(UserWarning, match=r"the score do not sum to one.* such rows"):
        found(rows, label="k", proba=["q0", "q1", "q2"], eps=eps)
    rows = ROWS.with_columns(pl.col("q0", "q1", "q2").cast(pl.Float32))
    found(rows, label="k", proba=["q0", "q1", "q2"], eps=eps)


def test_groups_of_no_valid_row():
    rows = table([row | {"g": "a"} for row in GOOD] + [GOOD[0] | {"g": "b", "y": 7}])
    asked = {"label": "y", "proba": "s", "by": "g"}
    with pytest.raises(ValueError, match="1 of 5 rows"):
        found(rows, **asked)
    groups = found(rows, on_invalid="skip", **asked)
    assert [*groups] == ["a"]
    check_same(groups, exact(table(rows.head(4).to_dicts()), **asked))


@pytest.mark.parametrize("by", [None, "g"])
def test_no_rows(by):
    with pytest.raises(ValueError, match="there are no rows"):
        found(ROWS.head(0), by, label="y", proba="p", weight="w")
    row = duck(ROWS.head(0)).sql(sql.log_loss("t", label="y", proba="p")).df()
    with pytest.raises(ValueError, match="there are no rows"):
        sql.from_sums(row)
    with pytest.raises(ValueError, match="no rows are left of 4"):
        found(table([{"y": 7, "s": 0.5}] * 4), label="y", proba="s", on_invalid="skip")


INNER = ("y", "w", "s0", "s1", "l", "k", "wrong", "g0", "z", "x", "u", "t", "rows")


def test_columns_called_as_ours():
    columns = {name: RNG.random(9) for name in INNER}
    rows = pl.DataFrame(columns | {"first": Y[:9], "g1": [1, 2, 3] * 3})
    for name in columns:
        asked = {"label": "first", "proba": name, "weight": "w", "by": "g1"}
        check_same(found(rows, **asked), exact(rows, **asked))
        other = next(n for n in columns if n != name)
        rows_of_two = rows.with_columns(pl.col("first").alias(other))
        asked = {"label": other, "proba": name, "by": [*columns][3:7]}
        check_same(found(rows_of_two, **asked), exact(rows_of_two, **asked))
    rows = rows.rename({name: name.upper() for name in rows.columns})
    asked = {"label": "FIRST", "proba": "Y", "weight": "S0", "by": ["W", "G0", "K"]}
    check_same(found(rows, **asked), exact(rows, **asked))


@pytest.mark.parametrize("name", ["n_rows", "EPS", "Sum_WL", "class_1", "from_logits"])
def test_groups_called_as_a_result(name):
    with pytest.raises(ValueError, match=f"the column '{name}' of by is called as"):
        sql.log_loss("t", label="y", proba="p", by=["g", name])
    # Without weights there is no such result.
    sql.log_loss("t", label="y", proba="p", by="sum_w")


TEXTS = [
    'a"b',
    "a`b",
    "a'b",
    "a.b",
    "a;b--c",
    "/* a */",
    "a\nb",
    "a\n  b\r\n\tc",
    "a\\",
    "\\'; DROP TABLE t; --",
    "\\`; DROP TABLE t; --",
    "select",
    "{a} {{b}} %s $1 ? :c @d #e",
    "café 日本 \U0001f600 \u2028",
    "__SQLGLOT__LB__",
    " ",
    "[a]",
    "r'",
    "E'",
    "\\n\\x41\\u0041\\101",
    "$$a$$",
]
NO_TEXT = "\0\ufdd0\ufdd1\ufdd2\ufdd3"
texts = st.one_of(
    st.sampled_from(TEXTS),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters=NO_TEXT)),
    st.text("\"'`\\.;-/*\n\r\t {}[]$%aB_", max_size=12),
).filter(lambda text: text and "${" not in text)


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


@given(st.lists(texts, min_size=4, max_size=4, unique_by=str.casefold), texts, texts)
@settings(max_examples=60)
def test_names_are_quoted(names, table_name, label):
    y, p, w, g = names
    result = {"n_rows", "eps", "from_logits", "sum_wl"}
    if g.lower() in result or table_name.lower() in ("main", "temp"):
        return
    engine = duckdb.connect()
    engine.execute('CREATE TABLE t(note VARCHAR); CREATE SCHEMA "a.b"')
    where = f'"a.b".{quoted(table_name)}'
    columns = ", ".join(map(quoted, names))
    engine.execute(f"CREATE TABLE {where} AS SELECT * FROM (VALUES (?, .25, 2.0, 7), "
        f"(?, .5, 1.0, 8)) AS v({columns})", [label, label + "x"])  # fmt: skip
    text = sql.log_loss(
        ("a.b", table_name),
        label=y,
        proba=p,
        weight=w,
        by=g,
        classes=[label, label + "x"],
    )
    groups = sql.from_sums(engine.sql(text).pl(), by=g, classes=[label, label + "x"])
    assert [*groups] == [7, 8]
    np.testing.assert_allclose(groups.loss, [-math.log(0.75), -math.log(0.5)], 1e-15)
    assert engine.execute("SHOW TABLES").fetchall() == [("t",)]


def read_back(text, dialect):
    """The names and strings of a text: of columns of the table, of it, and the rest."""
    (tree,) = sqlglot.parse(text, read=dialect)
    (of_table,) = tree.find_all(exp.Table)
    inner = of_table.find_ancestor(exp.Select)
    assert all(i.args["quoted"] for i in tree.find_all(exp.Identifier))
    assert {call.name for call in tree.find_all(exp.Anonymous)} <= {"GREATEST", "LEAST"}
    columns = {column.name for column in inner.find_all(exp.Column)}
    strings = {i.this for i in tree.find_all(exp.Literal) if i.is_string}
    parts = [part.name for part in of_table.parts]
    return columns, parts, strings, [x.alias for x in tree.expressions]


def check_names(dialect, y, p, w, g, label):
    if dialect == "bigquery":  # no name has a dot there, even in quotation marks
        y, p, w, g = (name.replace(".", ":") for name in (y, p, w, g))
    names = {"label": y, "proba": p, "weight": w, "by": g}
    classes = [label, label + "x"]
    text = sql.log_loss(("a", p), dialect=dialect, classes=classes, **names)
    columns, parts, strings, results = read_back(text, dialect)
    assert columns == {y, p, w, g}
    assert parts == ["a", p]
    assert {*classes} <= strings
    assert results[0] == g


@pytest.mark.parametrize("dialect", DIALECTS)
def test_names_are_read_back(dialect):
    for i, text in enumerate(TEXTS):
        y, p, w, g = (TEXTS[(i + j) % len(TEXTS)] for j in range(4))
        check_names(dialect, y, p, w, g, text)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(st.lists(texts, min_size=4, max_size=4, unique_by=str.casefold), texts)
@settings(max_examples=15)
def test_random_names_are_read_back(dialect, names, label):
    if names[3].lower() != "n_rows":
        check_names(dialect, *names, label)


@pytest.mark.parametrize(
    ("dialect", "name", "text"),
    [
        ("duckdb", 'a"b`c\\', '"a""b`c\\"'),
        ("postgres", 'a"b`c\\', '"a""b`c\\"'),
        ("snowflake", 'a"b`c\\', '"a""b`c\\"'),
        ("spark", 'a"b`c\\', '`a"b``c\\`'),
        ("bigquery", 'a"b`c\\', '`a"b\\`c\\\\`'),
        ("bigquery", "a\nb", "`a\\nb`"),
        ("duckdb", "a\nb", '"a\nb"'),
    ],
)
def test_quoted_name(dialect, name, text):
    found = sql.log_loss("t", label=name, proba="p", dialect=dialect)
    assert text in found


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("duckdb", "'it''s \\ a\n'"),
        ("postgres", "'it''s \\ a\n'"),
        ("snowflake", "'it\\'s \\\\ a\n'"),
        ("spark", "'it\\'s \\\\ a\n'"),
        ("bigquery", "'it\\'s \\\\ a\\n'"),
    ],
)
def test_quoted_class(dialect, text):
    classes = ["it's \\ a\n", "b"]
    found = sql.log_loss("t", label="y", proba="p", classes=classes, dialect=dialect)
    assert text in found


@pytest.mark.parametrize(
    ("dialect", "double"),
    [
        ("duckdb", "DOUBLE"),
        ("spark", "DOUBLE"),
        ("bigquery", "FLOAT64"),
        ("snowflake", "DOUBLE"),
        ("postgres", "DOUBLE PRECISION"),
    ],
)
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_words_of_dialects(dialect, double, kind):
    text = sql.log_loss("t", dialect=dialect, by="g", **kind)
    (tree,) = sqlglot.parse(text, read=dialect)
    for cast in tree.find_all(exp.Cast):
        assert cast.to.sql(dialect) == double
    # No double but by a cast, of a whole number or of text.
    numbers = [i.this for i in tree.find_all(exp.Literal) if not i.is_string]
    assert all(number.isdigit() for number in numbers)
    functions = {*re.findall(r"\w+(?=\()", text)}
    assert functions <= {"ABS", "CAST", "EXP", "GREATEST", "LEAST", "LN", "SUM"}
    assert text.count("OFFSET 0") == (dialect == "postgres") * text.count("FROM (")
    bounds = "'1e+100'" in text
    assert bounds == (dialect not in ("duckdb", "spark"))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_booleans(dialect):
    asked = {"label": "y", "proba": "p", "dialect": dialect}
    text = sql.log_loss("t", classes=[False, True], **asked)
    assert re.search(r"(?s)y.? = FALSE\s+THEN 1.*y.? = TRUE\s+THEN 2", text)
    text = sql.log_loss("t", classes=[-1, 2**62], **asked)
    assert re.search(rf"(?s)y.? = -1\s+THEN 1.*y.? = {2**62}\s+THEN 2", text)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_parts_of_a_table(dialect):
    def parts(table):
        text = sql.log_loss(table, label="y", proba="p", dialect=dialect)
        return read_back(text, dialect)[1]

    assert parts("t") == parts(("t",)) == ["t"]
    assert parts("a.b") == ["a", "b"]
    assert parts("a-1.b c.d") == parts(["a-1", "b c", "d"]) == ["a-1", "b c", "d"]
    assert parts("a.b.c.d") == ["a", "b", "c", "d"]
    if dialect != "bigquery":
        assert parts(("a.b", "c")) == ["a.b", "c"]


def wide(**changed):
    return {"label": "y", "proba": ["p0", "p1", "p2"]} | changed


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"dialect": "postgresql"}, ValueError, "did you mean 'postgres'?"),
        ({"dialect": "SPARK"}, ValueError, "did you mean 'spark'?"),
        ({"dialect": "qqqq"}, ValueError, "no dialect 'qqqq'; there are athena, big"),
        ({"dialect": ""}, ValueError, "there is no dialect ''"),
        ({"dialect": None}, ValueError, "there is no dialect None"),
        ({"table": ""}, ValueError, "a name is empty"),
        ({"table": "a..b"}, ValueError, "a name is empty"),
        ({"table": ()}, TypeError, "table must be a name or a tuple of its parts"),
        ({"table": None}, TypeError, "table must be a name or a tuple of its parts"),
        (
            {"table": ("a", 1)},
            TypeError,
            "table must be a name or a tuple of its parts",
        ),
        ({"label": ""}, ValueError, "a name is empty"),
        ({"label": None}, TypeError, "label must be names of columns"),
        ({"label": ["a", "b"]}, ValueError, "label must be one column"),
        ({"weight": ["a", "b"]}, ValueError, "weight must be one column"),
        ({"weight": "a\0b"}, ValueError, "the name 'a\\x00b' holds NUL"),
        ({"weight": "\ufdd0"}, ValueError, "holds NUL or U+FDD0 to U+FDD3"),
        ({"weight": "\ud800"}, ValueError, "is no text of Unicode"),
        ({"proba": None}, TypeError, "there must be proba= or logit="),
        ({"logit": "z"}, TypeError, "there must be proba= or logit="),
        ({"proba": []}, TypeError, "proba must be names of columns"),
        ({"proba": 3}, TypeError, "proba must be names of columns"),
        ({"classes": [0, 1]}, ValueError, "there are 3 columns of scores, but 2 cl"),
        ({"classes": [0, 1, 1]}, ValueError, "at least two different labels"),
        ({"classes": ["a", "b", "\0c"]}, ValueError, "the class '\\x00c' holds"),
        ({"by": []}, TypeError, "by must be names of columns"),
        ({"by": ["a", "a"]}, ValueError, "by names a column twice"),
        ({"eps": 0.5}, ValueError, "eps"),
        ({"eps": "all"}, TypeError, "eps"),
        ({"dialect": "spark", "by": "${a}"}, ValueError, "where spark puts in a var"),
    ],
)
def test_wrong_arguments(changed, error, words):
    asked = {"table": "t"} | wide(**changed)
    with pytest.raises(error, match=re.escape(words)):
        sql.log_loss(**asked)


def test_without_sqlglot(run_python):
    code = (
        "import sys; sys.modules['sqlglot'] = None\n"
        "from fastlogloss import sql\n"
        "row = dict(n_rows=1, n_bad_labels=0, n_bad_scores=0, sum_wl=1, sum_w2l2=1,"
        " sum_w3l3=1, class_0=1, class_1=0, eps=1e-15, from_logits=False)\n"
        "assert sql.from_sums(row).loss == 1\n"
        "try: sql.log_loss('t', label='y', proba='p')\n"
        "except ImportError as error: print(error)"
    )
    assert 'pip install "fastlogloss[sql]"' in run_python("-c", code).stdout


def row_of(**asked):
    return duck(ROWS).sql(sql.log_loss("t", **asked)).pl().to_dicts()[0]


PLAIN, WEIGHTED = (row_of(**KINDS[kind]) for kind in ("two", "logit, weights"))


class Keyed:
    """A row as some clients have it: no Mapping."""

    def __init__(self, row):
        self.row = row

    def keys(self):
        return self.row.keys()

    def __getitem__(self, name):
        return self.row[name]


@pytest.mark.parametrize("row", [PLAIN, WEIGHTED], ids=["plain", "weighted"])
@pytest.mark.parametrize(
    "change",
    [
        lambda row: {name.upper(): x for name, x in row.items()},
        lambda row: {name.title(): x for name, x in row.items()},
        lambda row: {name: Decimal(x) for name, x in row.items()},
        lambda row: {name: np.float64(x) for name, x in row.items()},
        lambda row: row | {"other": "text", 7: 8},
        lambda row: row | {"from_logits": np.bool_(row["from_logits"])},
        Keyed,
        lambda row: [row],
        lambda row: (Keyed(row),),
        lambda row: pl.DataFrame([row]),
        lambda row: pl.LazyFrame([row]),
        lambda row: pd.DataFrame([row]),
        lambda row: pd.DataFrame([row]).iloc[0],
        lambda row: pd.DataFrame([row]).astype(
            {"n_rows": "Int64", "sum_wl": "Float64"}
        ),
        lambda row: pa.Table.from_pylist([row]),
        lambda row: duckdb.from_arrow(pa.Table.from_pylist([row])),
    ],
)
def test_rows_of_clients(row, change):
    expected = sql.from_sums(row)
    assert sql.from_sums(change(row)) == expected
    assert expected.n_samples == N


GROUPS = duck(ROWS).sql(sql.log_loss("t", by=["h", "g"], **KINDS["weights"]))


@pytest.mark.parametrize(
    "change",
    [
        lambda groups: groups,
        lambda groups: groups.pl(),
        lambda groups: groups.df(),
        lambda groups: groups.to_arrow_table(),
        lambda groups: groups.pl().to_dicts(),
        lambda groups: iter([*map(Keyed, groups.pl().to_dicts())]),
        lambda groups: groups.pl().rename(str.upper),
    ],
)
def test_rows_of_groups(change):
    groups = sql.from_sums(change(GROUPS), by=["h", "g"])
    expected = exact(ROWS, ["h", "g"], **KINDS["weights"])
    np.testing.assert_equal(groups.groups, expected.groups)
    check_same(groups, expected)
    assert groups["it's", 3].n_samples == expected["it's", 3].n_samples


@pytest.mark.parametrize("row", [PLAIN, WEIGHTED], ids=["plain", "weighted"])
def test_missing_columns(row):
    for name in row:
        if name.startswith("class_"):
            words = "there are 2 classes, but [01] columns class_0"
        else:
            words = f"there is no column '{name}'; the columns are"
        with pytest.raises(ValueError, match=words):
            sql.from_sums({key: x for key, x in row.items() if key != name})
        rows = [row, {key: x for key, x in row.items() if key != name}]
        with pytest.raises(ValueError, match="in some rows"):
            sql.from_sums([dict(r, g=i) for i, r in enumerate(rows)], by="g")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"n_rows": -1}, "column 'n_rows' must be a number of rows, got -1"),
        ({"n_rows": 1.5}, "column 'n_rows' must be a number of rows, got 1.5"),
        ({"n_rows": math.inf}, "column 'n_rows' must be a number of rows, got inf"),
        ({"n_rows": 2**63}, "column 'n_rows' must be a number of rows"),
        ({"n_rows": "3"}, "column 'n_rows' must hold numbers, got '3'"),
        ({"n_rows": [3]}, "column 'n_rows' must hold numbers"),
        ({"n_rows": 2j}, "column 'n_rows' must hold numbers"),
        ({"n_rows": 5}, "the classes have 3000 rows, but n_rows is 5"),
        ({"n_bad_labels": -3}, "column 'n_bad_labels' must be a number of rows"),
        ({"class_1": -3}, "column 'class_1' must be a number of rows"),
        ({"sum_wl": None}, "column 'sum_wl' must hold numbers, got None"),
        ({"sum_wl": math.nan}, "the sum of the weighted losses is beyond doubles"),
        ({"sum_wl": -1.0}, "column 'sum_wl' must not be negative, got -1.0"),
        ({"sum_w2l2": -1.0}, "column 'sum_w2l2' must not be negative"),
        ({"eps": 0.7}, "eps"),
        ({"eps": "auto"}, "column 'eps' must hold numbers, got 'auto'"),
        ({"from_logits": "false"}, "column 'from_logits' must hold numbers"),
        ({"from_logits": 3}, "column 'from_logits' must be true or false"),
        ({"from_logits": True}, "there is no column 'n_infinite'"),
        ({"class_2": 0}, "there is no column 'n_off_one'"),
    ],
)
def test_nonsense(changed, words):
    with pytest.raises(ValueError, match=words):
        sql.from_sums(PLAIN | changed)


def test_wrong_rows():
    for row in (None, 7, "row", [7], [None], ["n_rows"], b"row", np.zeros(3)):
        with pytest.raises(TypeError, match="row must be a mapping"):
            sql.from_sums(row)
    for empty in ([], {}, pl.DataFrame()):
        with pytest.raises(ValueError, match=r"there are no rows|there is no column"):
            sql.from_sums(empty)
    with pytest.raises(ValueError, match=r"there are 2 rows, not one; .* need by="):
        sql.from_sums([PLAIN, PLAIN])
    with pytest.raises(ValueError, match="there is no column 'g'"):
        sql.from_sums([PLAIN], by="g")
    for by in ([], 7, [7], ()):
        with pytest.raises(TypeError, match="by must be names of columns"):
            sql.from_sums([PLAIN], by=by)
    with pytest.raises(ValueError, match='on_invalid must be "error" or "skip"'):
        sql.from_sums(PLAIN, on_invalid="ignore")
    with pytest.raises(ValueError, match="there are 3 classes, but 2 columns class_0"):
        sql.from_sums(PLAIN, classes=["a", "b", "c"])
    rows = [PLAIN | {"g": 1}, PLAIN | {"g": 2, "eps": 0.1}]
    with pytest.raises(ValueError, match="column 'eps' must be constant"):
        sql.from_sums(rows, by="g")


SPARK = """
import json, sys
import pyarrow.parquet
from pyspark.sql import SparkSession

asked = json.load(open(sys.argv[1]))
spark = (
    SparkSession.builder.master("local[1]")
    .config("spark.ui.enabled", False)
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.sql.shuffle.partitions", 2)
    .config("spark.sql.warehouse.dir", sys.argv[2])
    .getOrCreate()
)
try:
    for name, path in asked["tables"].items():
        frame = spark.createDataFrame(pyarrow.parquet.read_table(path))
        frame.createOrReplaceTempView("`" + name.replace("`", "``") + "`")
    found = [[r.asDict() for r in spark.sql(t).collect()] for t in asked["texts"]]
    json.dump(found, open(sys.argv[2] + "/found.json", "w"))
finally:
    spark.stop()
"""
NASTY = {"y": "it's `y`; -- \\", "p": "select * {p}.q", "g": 'g\n"0" /* */', "w": "É w"}
NASTY_CLASSES = ["it's \\ no", 'a "yes"\n']


@pytest.fixture(scope="module")
def spark_found(tmp_path_factory):
    """What Spark finds, for each text that is asked, in one session of its own."""
    folder = tmp_path_factory.mktemp("spark")
    rows = ROWS.drop("day")
    nasty = rows.select(y="text", p="p", g="h", w="w").rename(NASTY)
    bad = table(
        [*GOOD, *[GOOD[0] | bad for bad, _ in [*BAD.values(), *BAD_PROBA.values()]]]
    )
    tables = {"t": rows, "bad": bad, "a`b.c; --": nasty, "none": rows.head(0)}
    for i, (name, frame) in enumerate(tables.items()):
        frame.write_parquet(folder / f"{i}.parquet")
        tables[name] = str(folder / f"{i}.parquet")
    spark = {"dialect": "spark"}
    texts = {}
    for name, kind in KINDS.items():
        texts[name] = sql.log_loss("t", **kind, **spark)
        texts[name, "groups"] = sql.log_loss("t", by=["h", "g"], **kind, **spark)
    texts["bad"] = sql.log_loss("bad", label="y", proba="s", weight="w", **spark)
    texts["none"] = sql.log_loss("none", label="y", proba="p", **spark)
    names = dict(zip(["label", "proba", "by", "weight"], NASTY.values(), strict=True))
    texts["nasty"] = sql.log_loss(
        ("a`b.c; --",), classes=NASTY_CLASSES, **names, **spark
    )
    asked = {"tables": tables, "texts": [*texts.values()]}
    (folder / "asked.json").write_text(json.dumps(asked))
    subprocess.run(
        [sys.executable, "-c", SPARK, folder / "asked.json", folder],
        check=True,
        timeout=400,
        env=os.environ | {"PYSPARK_PYTHON": sys.executable},
        cwd=folder,
    )
    found = json.loads((folder / "found.json").read_text())
    return dict(zip(texts, found, strict=True))


@pytest.mark.heavy
class TestSpark:
    @pytest.mark.parametrize("name", KINDS)
    def test_rows(self, spark_found, name):
        kind = KINDS[name]
        (row,) = spark_found[name]
        check_same(sql.from_sums(row, classes=kind.get("classes")), exact(ROWS, **kind))

    @pytest.mark.parametrize("name", KINDS)
    def test_groups(self, spark_found, name):
        kind, by = KINDS[name], ["h", "g"]
        rows = spark_found[name, "groups"]
        groups = sql.from_sums(rows, by=by, classes=kind.get("classes"))
        expected = exact(ROWS, by, **kind)
        np.testing.assert_equal(groups.groups, expected.groups)
        check_same(groups, expected)

    def test_rows_that_are_not_valid(self, spark_found):
        n, n_proba = len(BAD), len(BAD_PROBA)
        words = (
            f"{n + n_proba} of {n + n_proba + 4} .* in 2 the .* in 6 the .* in 5 the"
        )
        with pytest.raises(ValueError, match=words):
            sql.from_sums(spark_found["bad"])
        found = sql.from_sums(spark_found["bad"], on_invalid="skip")
        check_same(found, exact(table(GOOD), label="y", proba="s", weight="w"))

    def test_no_rows(self, spark_found):
        with pytest.raises(ValueError, match="there are no rows"):
            sql.from_sums(spark_found["none"])

    def test_names(self, spark_found):
        groups = sql.from_sums(
            spark_found["nasty"], by=NASTY["g"], classes=NASTY_CLASSES
        )
        check_same(groups, exact(ROWS, "h", **KINDS["strings"], weight="w"))
