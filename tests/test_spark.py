"""Log loss inside Spark: the numbers of our own sums, and errors that count rows.

All runs in a session of Spark in this process. The last test runs what is not of MLlib
once more, in a process of its own with Spark Connect.
"""

import gc
import math
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import MulticlassClassificationEvaluator
from pyspark.ml.functions import array_to_vector, vector_to_array
from pyspark.ml.linalg import Vectors
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder, TrainValidationSplit
from pyspark.sql import functions as F
from spark_session import session

from fastlogloss import GroupedLogLoss, LogLossAccumulator, sample_log_loss
from fastlogloss.integrations.spark import LogLossEvaluator, log_loss, log_loss_column

pytestmark = [
    pytest.mark.heavy,
    # Of Spark 4.3, wherever it makes a frame.
    pytest.mark.filterwarnings(
        "ignore:PySpark does not yet fully support pandas:FutureWarning"
    ),
    # Of settings that the session has already, when Connect is told of them.
    pytest.mark.filterwarnings("ignore:Failed to set spark:UserWarning"),
]

CONNECT = "FASTLOGLOSS_TEST_CONNECT"
N = 3000
SUMS = (
    *("n_samples", "weight_sum", "loss_sum", "loss", "null_loss"),
    *("standard_error", "normalized_entropy"),
)


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spark")
    with session(folder, connect=CONNECT in os.environ) as started:
        yield started


def rows(rng, n=N):
    """Columns of awkward numbers, which all are valid."""
    y, c = rng.integers(2, size=n), rng.integers(3, size=n)
    p = rng.random(n)
    p[:6] = 0, 1, 5e-324, 1 - 2**-53, 1e-300, 0.5
    y[:6] = 0, 1, 1, 0, 1, 0
    w = np.exp(rng.normal(size=n))
    w[::7] *= -1
    w[::11] = 0
    wide = rng.dirichlet([0.1] * 3, n)
    z = rng.normal(0, 30, n)
    z[6:10] = 800, -800, 36.8, -745
    y[6:10] = 1, 0, 1, 0
    logits = rng.normal(0, 30, (n, 3))
    logits[0] = 800, -800, -math.inf
    logits[1] = math.inf, 1, math.inf
    logits[2] = -math.inf
    c[:3] = 1, 0, 2
    columns = {"y": y, "c": c, "p": p, "w": w, "z": z}
    columns |= {"z of both": np.concatenate([[-math.inf, math.inf], z[2:]])}
    columns |= {f"p{j}": wide[:, j] for j in range(3)}
    columns |= {f"z{j}": logits[:, j] for j in range(3)}
    columns |= {
        "g": pa.array(rng.integers(9, size=n), mask=rng.random(n) < 0.1),
        "h": pa.array(rng.choice(["a", "b", "", "ä"], n), mask=rng.random(n) < 0.1),
        "A": pa.array(wide.tolist()),
        "L": pa.array(logits.tolist()),
    }
    return pa.table(columns)


@pytest.fixture(scope="module")
def table():
    return rows(np.random.default_rng(0))


@pytest.fixture(scope="module")
def df(spark, table):
    plain = table.drop_columns(["A", "L"])
    frame = spark.createDataFrame(plain).withColumns(
        {
            "A": F.array("p0", "p1", "p2"),
            "L": F.array("z0", "z1", "z2"),
            "V": array_to_vector(F.array("p0", "p1", "p2")),
            "single": F.col("p").cast("float"),
        }
    )
    return frame.cache()


def assert_same(found, expected):
    for name in SUMS:
        ours, theirs = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=0, err_msg=name)
    for label in expected.class_weights:
        np.testing.assert_allclose(
            found.class_weights[label], expected.class_weights[label], rtol=1e-12
        )


WIDE, LOGITS = ["p0", "p1", "p2"], ["z0", "z1", "z2"]
CASES = {
    "probability": {"probability": "p"},
    "without clipping": {"probability": "p", "eps": 0},
    "clipped": {"probability": "p", "eps": 1e-3},
    "logits": {"logit": "z"},
    "infinite logits": {"logit": "z of both"},
    "columns": {"label": "c", "probability": WIDE},
    "array": {"label": "c", "probability": "A"},
    "columns of logits": {"label": "c", "logit": LOGITS},
    "array of logits": {"label": "c", "logit": "L"},
}


def exactly(table, by=None, **case):
    """The sums of our own."""
    n = 3 if case["label"] == "c" else 2
    options = {"eps": case.pop("eps", "auto"), "from_logits": "logit" in case}
    if "probability" in case:
        case["proba"] = case.pop("probability")
    if by is None:
        return LogLossAccumulator(range(n), **options).update_from(table, **case)
    return GroupedLogLoss(range(n), **options).update_from(table, by=by, **case)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
class TestSums:
    @pytest.mark.parametrize("weight", [None, "w"])
    def test_all_rows(self, df, table, case, weight):
        case = {"label": "y", "weight": weight} | case
        found = log_loss(df, **case)
        assert_same(found, exactly(table, **case))
        assert isinstance(found, LogLossAccumulator)
        assert not found.exact

    def test_groups(self, df, table, case):
        case, by = {"label": "y", "weight": "w"} | case, ["h", "g"]
        found = log_loss(df, by=by, **case)
        expected = exactly(table, by, **case)
        assert len(found) == len(expected)
        assert repr([*found]) == repr([*expected])  # with NaN among them
        assert_same(found, expected)
        assert_same(found.total(), expected.total())

    def test_column(self, df, table, case):
        case = {"label": "y"} | case
        n = 3 if case["label"] == "c" else 2
        of_rows = log_loss_column(**case, classes=range(n))
        found = np.array([row[0] for row in df.select(of_rows).collect()])
        label, eps = table[case["label"]].to_numpy(), case.get("eps", "auto")
        scores = case.get("logit", case.get("probability"))
        names = [scores] if isinstance(scores, str) else scores
        names = {"A": WIDE, "L": LOGITS}.get(names[0], names)
        scores = np.stack([table[name].to_numpy() for name in names], axis=1)
        scores = scores[:, 0] if len(names) == 1 else scores
        logits = "logit" in case
        options = {"from_logits": True} if logits else {"eps": eps}
        expected = sample_log_loss(label, scores, labels=range(n), **options)
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=0)


class TestScores:
    def test_vectors(self, df, table):
        found = log_loss(df, label="c", probability="V", weight="w")
        assert_same(found, exactly(table, label="c", probability=WIDE, weight="w"))
        of_rows = log_loss_column("c", probability="V", classes=range(3), kind="vector")
        mean = df.agg(F.avg(of_rows)).first()[0]
        assert mean == pytest.approx(log_loss(df, label="c", probability="V").loss)

    def test_sparse_vectors(self, spark):
        one = Vectors.sparse(3, [(2, 1.0)])
        df = spark.createDataFrame(
            [(2, one), (2, Vectors.dense(0.5, 0, 0.5))], ["y", "v"]
        )
        found = log_loss(df, label="y", probability="v")
        assert found.loss == pytest.approx(math.log(2) / 2)

    def test_two_columns(self, df):
        both = df.withColumn("q", 1 - F.col("p"))
        one = log_loss(df, label="y", probability="p")
        two = log_loss(both, label="y", probability=["q", "p"])
        assert two.loss == pytest.approx(one.loss, rel=1e-12)

    def test_single_precision(self, df, table):
        p = table["p"].to_numpy().astype(np.float32)
        expected = LogLossAccumulator().update(table["y"].to_numpy(), p)
        assert_same(log_loss(df, label="y", probability="single"), expected)

    @pytest.mark.parametrize("type_", ["decimal(12, 6)", "int", "bigint", "float"])
    def test_numbers(self, spark, type_):
        whole = type_ in ("int", "bigint")
        y, p = [0, 1], [0.0, 1.0] if whole else [0.25, 0.5]
        df = spark.createDataFrame([*zip(y, p, strict=True)], "y int, p double")
        df = df.withColumn("p", F.col("p").cast(type_))
        expected = LogLossAccumulator().update(y, p)
        assert_same(log_loss(df, label="y", probability="p"), expected)

    def test_rows_that_do_not_sum_to_one(self, df):
        half = df.withColumn("p1", F.col("p1") / 2)
        with pytest.warns(UserWarning, match="do not sum to one") as found:
            log_loss(half, label="c", probability=WIDE)
        assert found[0].filename == __file__
        assert "'p0', 'p1', 'p2'" in str(found[0].message)

    def test_single_precision_sums_to_one(self, df):
        single = df.withColumns({name: F.col(name).cast("float") for name in WIDE})
        log_loss(single, label="c", probability=WIDE)
        array = single.withColumn("A", F.array(*WIDE))
        log_loss(array, label="c", probability="A")

    def test_how_many_entries(self, spark):
        df = spark.createDataFrame(
            [(0, None), (0, [0.5, 0.25, 0.25]), (2, [0.5, 0.25, 0.25])],
            "y int, a array<double>",
        )
        found = log_loss(df, label="y", probability="a", on_invalid="skip")
        assert found.classes == (0, 1, 2)
        assert found.n_samples == 2
        with pytest.raises(ValueError, match="'a' has no row with a list of scores"):
            log_loss(df.limit(0), label="y", probability="a")

    def test_entries_by_attributes(self, spark):
        df = spark.createDataFrame([(0, Vectors.dense(0.5, 0.5))], ["y", "v"])
        attributes = {"ml_attr": {"num_attrs": 3}}
        df = df.withMetadata("v", attributes)
        with pytest.raises(ValueError, match=r"1 of 1 rows .* not a list of 3"):
            log_loss(df, label="y", probability="v")


class TestLabels:
    @pytest.mark.parametrize("type_", ["tinyint", "bigint", "double", "boolean"])
    def test_types(self, df, type_):
        typed = df.withColumn("y", F.col("y").cast(type_))
        expected = log_loss(df, label="y", probability="p")
        assert log_loss(typed, label="y", probability="p") == expected
        booleans = log_loss(typed, label="y", probability="p", classes=[False, True])
        assert booleans.loss == expected.loss

    def test_texts(self, spark, df):
        awkward = 'it\'s \\n "a" `b` ${x} {y} %s -- ü\n'
        texts = df.withColumn(
            "y", F.when(F.col("y") == 1, F.lit(awkward)).otherwise(F.lit("A"))
        )
        found = log_loss(texts, label="y", probability="p", classes=["A", awkward])
        assert found.classes == ("A", awkward)
        assert found.loss == log_loss(df, label="y", probability="p").loss
        of_rows = log_loss_column("y", probability="p", classes=["A", awkward])
        assert texts.where(of_rows.isNull()).count() == 0
        with pytest.raises(ValueError, match=rf"in {N} column 'y' is null or no class"):
            log_loss(texts, label="y", probability="p", classes=["a", "B"])

    def test_collations(self, spark):
        df = spark.createDataFrame([("a", 0.5), ("A", 0.5)], "y string, p double")
        df = df.withColumn("y", F.collate("y", "UTF8_LCASE"))
        found = log_loss(df, label="y", probability="p", classes=["a", "A"])
        assert found.class_weights == {"a": 1, "A": 1}

    def test_large_numbers(self, spark):
        labels = [2**53 + 1, -(2**63), 2**31]
        data = [(label, [0.5, 0.25, 0.25]) for label in labels]
        df = spark.createDataFrame(data, "y bigint, a array<double>")
        found = log_loss(df, label="y", probability="a", classes=labels)
        assert list(found.class_weights.values()) == [1, 1, 1]
        off = [2**53, -(2**63), 2**31]
        with pytest.raises(ValueError, match="1 of 3 rows"):
            log_loss(df, label="y", probability="a", classes=off)


BAD = [
    (1, 0.5, 1.0),
    *[(y, 0.5, 1.0) for y in (None, 2, -1)],
    *[(0, p, 1.0) for p in (None, math.nan, 1.7, -0.1, math.inf)],
    *[(1, 0.5, w) for w in (None, math.nan, math.inf, -math.inf, 1e300, 1e-300)],
]
BAD_WORDS = (
    "14 of 15 rows are not valid: in 3 column 'y' is null or no class; in 5 column 'p' "
    "is null or NaN or outside [0, 1]; in 6 column 'w' is null, not finite or out of "
    "range"
)


@pytest.fixture(scope="module")
def bad(spark):
    return spark.createDataFrame(BAD, "y int, p double, w double").cache()


class TestInvalidRows:
    @pytest.mark.parametrize("by", [None, "y"])
    def test_are_counted(self, bad, by):
        case = {"label": "y", "probability": "p", "weight": "w", "by": by}
        with pytest.raises(ValueError, match="rows are not valid") as found:
            log_loss(bad, **case)
        assert str(found.value).startswith(BAD_WORDS)
        with pytest.raises(ValueError, match="8 of 15 rows"):
            log_loss(bad, label="y", probability="p", by=by)

    def test_are_skipped(self, bad):
        case = {"label": "y", "probability": "p", "on_invalid": "skip"}
        found = log_loss(bad, weight="w", **case)
        assert (found.n_samples, found.loss) == (1, pytest.approx(math.log(2)))
        assert log_loss(bad, **case).n_samples == 7
        by_label = log_loss(bad, weight="w", by="y", **case)
        assert by_label[1].n_samples == 1
        with pytest.raises(ValueError, match="no rows are left of 4"):
            log_loss(bad.where("p not between 0 and 1"), **case)

    def test_column_is_null(self, bad):
        of_rows = log_loss_column("y", probability="p")
        assert bad.where(of_rows.isNull()).count() == 8
        z = bad.withColumn("p", F.col("p") * 1000)
        of_logits = log_loss_column("y", logit="p")
        found = bad.select(of_logits).where(of_logits.isNotNull()).count()
        assert found == z.where("y in (0, 1) and not isnan(ifnull(p, 'NaN'))").count()

    def test_logits(self, spark):
        z = [0.0, None, math.nan, math.inf, -math.inf]
        df = spark.createDataFrame([(1, x) for x in z], "y int, z double")
        words = "2 of 5 rows are not valid: in 2 column 'z' is null or NaN "
        with pytest.raises(ValueError, match=words):
            log_loss(df, label="y", logit="z")

    @pytest.mark.parametrize("is_vector", [False, True])
    def test_arrays(self, spark, is_vector):
        arrays = [[0.5, 0.5], None, [1.0], [0.5, 0.25, 0.25], [], [0.5, math.nan]]
        arrays += [] if is_vector else [[0.5, None]]
        if is_vector:
            arrays = [a if a is None else Vectors.dense(a) for a in arrays]
        df = spark.createDataFrame([(1, a) for a in arrays], ["y", "a"])
        bad = len(arrays) - 1
        words = (
            f"{bad} of {bad + 1} rows are not valid: in {bad} column 'a' is null or "
            r"NaN or outside \[0, 1\], or not a list of 2"
        )
        with pytest.raises(ValueError, match=words):
            log_loss(df, label="y", probability="a")
        case = {"label": "y", "probability": "a"}
        assert log_loss(df, **case, on_invalid="skip").n_samples == 1
        of_rows = log_loss_column(**case, kind="vector" if is_vector else "array")
        assert df.where(of_rows.isNotNull()).count() == 1

    def test_no_rows(self, df):
        for by in (None, "g"):
            with pytest.raises(ValueError, match="there are no rows"):
                log_loss(df.limit(0), label="y", probability="p", by=by)

    def test_mllib_accepts(self, spark):
        """A probability of 1.7, which is taken for 1."""
        data = [(1.0, 1.0, Vectors.dense(1 - p, p)) for p in (0.9, 0.8, 1.7)]
        df = spark.createDataFrame(data, ["label", "prediction", "probability"])
        mllib = MulticlassClassificationEvaluator(metricName="logLoss")
        assert mllib.evaluate(df) < 0.2
        with pytest.raises(ValueError, match="1 of 3 rows are not valid"):
            LogLossEvaluator().evaluate(df)


NAMES = ["a.b", "a b", "a`b", "`a`", 'a"b', "a'b", "ä", "c0", "s0", "*", "a,b;--", " "]


class TestNames:
    @pytest.mark.parametrize("first", range(len(NAMES)))
    def test_any(self, df, first):
        y, p, w, g = (NAMES * 2)[first : first + 4]
        named = df.select("y", "p", "w", "g").toDF(y, p, w, g)
        found = log_loss(named, label=y, probability=p, weight=w, by=g)
        assert found.n_samples.sum() == N
        of_rows = log_loss_column(y, probability=p)
        assert named.agg(F.count(of_rows)).first()[0] == N

    def test_case(self, df):
        both = df.select("y", "p", (F.col("p") / 2).alias("P2")).toDF("y", "p", "P")
        expected = log_loss(df, label="y", probability="p")
        assert log_loss(both, label="y", probability="p") == expected
        assert log_loss(both, label="y", probability="P") != expected

    def test_twice(self, df):
        twice = df.select("y", "p", "p", "w", "w")
        with pytest.raises(ValueError, match="there are 2 columns of the name 'p'"):
            log_loss(twice, label="y", probability="p")
        other = twice.toDF("y", "p", "q", "w", "w")
        assert log_loss(other, label="y", probability="p").n_samples == N

    def test_one_for_all(self, spark):
        df = spark.createDataFrame([(0,), (1,)], "x int")
        found = log_loss(df, label="x", probability="x", weight="x", by="x")
        assert found.n_samples.tolist() == [1, 1]

    def test_misspelt(self, df):
        with pytest.raises(ValueError, match="no column 'wide0'; the columns are"):
            log_loss(df, label="y", probability="wide0")
        with pytest.raises(ValueError, match="'z of bot'; did you mean 'z of both'"):
            log_loss(df, label="y", logit="z of bot")

    @pytest.mark.parametrize(
        ("case", "words"),
        [
            ({"label": "h"}, "'h' holds string instead of numbers, which the classes"),
            ({"classes": ["a", "b"]}, "'y' holds bigint instead of strings, which"),
            ({"probability": "h"}, "column 'h' holds string instead of numbers"),
            ({"probability": ["h", "p"]}, "column 'h' holds string instead of numbers"),
            ({"probability": ["A", "p"]}, "'A' holds array<double> instead of numbers"),
            ({"weight": "h"}, "column 'h' holds string instead of numbers"),
            ({"by": ["g", "A"]}, "column 'A' holds array<double> instead of keys"),
            ({"label": "A"}, "column 'A' holds array<double> instead of numbers"),
            ({"probability": WIDE, "classes": [0, 1]}, "3 columns of scores, but 2"),
            ({"probability": ["p", "p"]}, "probability names a column twice"),
            ({"eps": 0.7}, "eps"),
            ({"classes": [0]}, "at least two different labels"),
            ({"on_invalid": "ignore"}, 'must be "error" or "skip"'),
        ],
    )
    def test_other_values(self, df, case, words):
        with pytest.raises(ValueError, match=words):
            log_loss(df, **({"label": "y", "probability": "p"} | case))

    @pytest.mark.parametrize(
        ("case", "words"),
        [
            ({}, "probability= or logit="),
            ({"probability": "p", "logit": "z"}, "probability= or logit="),
            ({"probability": 1}, "probability must be names of columns, got 1"),
            ({"probability": "p", "by": 2}, "by must be names"),
            ({"probability": "p", "by": []}, "by must be names"),
        ],
    )
    def test_other_types(self, df, case, words):
        with pytest.raises(TypeError, match=words):
            log_loss(df, label="y", **case)

    def test_other_frames(self, table):
        with pytest.raises(TypeError, match="a data frame of Spark, got Table"):
            log_loss(table, label="y", probability="p")


class TestFound:
    def test_merged_into_exact_sums(self, df, table):
        exact = exactly(table, label="y", probability="p")
        found = exact.merge(log_loss(df, label="y", probability="p"))
        assert not found.exact
        assert found.n_samples == 2 * N

    def test_keys(self, df):
        """Of the types that streams of Arrow have."""
        keyed = df.withColumns(
            {
                "day": F.date_add(
                    F.lit("2026-01-01").cast("date"), F.col("g").cast("int")
                ),
                "second": F.timestamp_seconds("g"),
                "part": F.col("g") / 2,
                "is_two": F.col("g") == 2,
            }
        ).select("y", "p", "day", "second", "part", "is_two")
        arrow = keyed.toArrow()
        for by in ("day", "second", "part", "is_two", ["is_two", "day"]):
            found = log_loss(keyed, label="y", probability="p", by=by)
            expected = exactly(arrow, by, label="y", probability="p")
            assert repr([*found]) == repr([*expected])  # with NaN among them
            assert_same(found, expected)

    def test_decimal_keys_and_sums(self, spark):
        data = [(1, 0.5, Decimal("1.5")), (0, 0.5, Decimal("2.5"))]
        df = spark.createDataFrame(data, "y int, p double, w decimal(5, 2)")
        found = log_loss(df, label="y", probability="p", weight="w")
        assert (found.weight_sum, found.loss) == (4, pytest.approx(math.log(2)))

    def test_many_classes(self, spark, rng):
        n, k = 200, 60
        p = rng.dirichlet([0.2] * k, n)
        y = rng.integers(k, size=n)
        data = [(int(label), row) for label, row in zip(y, p.tolist(), strict=True)]
        df = spark.createDataFrame(data, "y int, a array<double>")
        expected = LogLossAccumulator(range(k)).update(y, p)
        assert_same(log_loss(df, label="y", probability="a"), expected)
        of_rows = log_loss_column("y", probability="a", classes=range(k))
        mean = df.agg(F.avg(of_rows)).first()[0]
        assert mean == pytest.approx(expected.loss, rel=1e-12)


class TestColumn:
    def test_columns_and_names(self, df):
        mean = df.agg(F.avg(log_loss_column("y", probability="p"))).first()[0]
        for given in (F.col("p"), df["p"], 1 - (1 - F.col("p"))):
            of_rows = log_loss_column(F.col("y"), probability=given)
            assert df.agg(F.avg(of_rows)).first()[0] == pytest.approx(mean, 1e-9)
        of_rows = log_loss_column("y", probability=[1 - F.col("p"), "p"])
        assert df.agg(F.avg(of_rows)).first()[0] == pytest.approx(mean, 1e-9)
        array = vector_to_array("V")
        found = df.select(
            log_loss_column("c", probability=array, classes=range(3)).alias("ours"),
            log_loss_column("c", probability=WIDE, classes=range(3)).alias("wide"),
        )
        assert found.where("ours != wide").count() == 0

    def test_groups_and_conditions(self, df):
        of_rows = log_loss_column("y", probability="p")
        by_key = df.groupBy("h").agg(F.avg(of_rows).alias("loss")).collect()
        expected = log_loss(df, label="y", probability="p", by="h")
        for row in by_key:
            assert row.loss == pytest.approx(expected[row.h].loss, rel=1e-12)
        assert df.where(of_rows > 1e9).count() == 0
        assert df.orderBy(of_rows.desc()).select("p").first().p in (0, 5e-324, 1e-300)

    @pytest.mark.parametrize(
        ("case", "error", "words"),
        [
            ({"label": 1}, TypeError, "names or columns of Spark, got 1"),
            ({"probability": ["p"] * 3}, ValueError, "3 columns of scores, but 2"),
            ({"kind": "list"}, ValueError, "kind must be"),
            ({"probability": ["p", "p"], "kind": "array"}, ValueError, "single column"),
            ({"classes": "a"}, ValueError, "classes"),
        ],
    )
    def test_other_arguments(self, spark, case, error, words):
        with pytest.raises(error, match=words):
            log_loss_column(**({"label": "y", "probability": "p"} | case))


@pytest.fixture(scope="module", params=[2, 3])
def training(request, spark):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(120, 2))
    y = (x[:, 0] + rng.normal(size=120) > 0) + (request.param - 2) * (x[:, 1] > 0.5)
    data = [
        (float(label), Vectors.dense(row), float(w))
        for label, row, w in zip(y, x, rng.random(120), strict=True)
    ]
    df = spark.createDataFrame(data, ["label", "features", "w"])
    return df.coalesce(1).cache()


class TestEvaluator:
    def test_like_mllib(self, training):
        model = LogisticRegression(maxIter=5).fit(training)
        scored = model.transform(training)
        mllib = MulticlassClassificationEvaluator(metricName="logLoss", weightCol="w")
        ours = LogLossEvaluator(weightCol="w")
        assert ours.evaluate(scored) == pytest.approx(mllib.evaluate(scored))
        unweighted = ours.evaluate(scored, {ours.weightCol: ""})
        assert unweighted == pytest.approx(LogLossEvaluator().evaluate(scored))

    # Searches of Spark do not close their threads.
    @pytest.mark.filterwarnings("ignore:unclosed running multiproc:ResourceWarning")
    @pytest.mark.parametrize("search", [CrossValidator, TrainValidationSplit])
    def test_search(self, training, search, tmp_path):
        model = LogisticRegression(maxIter=5)
        grid = ParamGridBuilder().addGrid(model.regParam, [10.0, 0.01]).build()
        given = {"numFolds": 2} if search is CrossValidator else {"trainRatio": 0.5}
        searched = search(
            estimator=model,
            estimatorParamMaps=grid,
            evaluator=LogLossEvaluator(weightCol="w"),
            parallelism=2,
            seed=0,
            **given,
        )
        fitted = searched.fit(training)
        is_cv = search is CrossValidator
        losses = fitted.avgMetrics if is_cv else fitted.validationMetrics
        assert losses[1] < losses[0]
        assert fitted.bestModel.getRegParam() == 0.01
        searched.write().save(str(tmp_path / "search"))
        again = search.load(str(tmp_path / "search")).getEvaluator()
        assert isinstance(again, LogLossEvaluator)
        assert again.getWeightCol() == "w"
        gc.collect()  # while the warning is ignored

    def test_parameters(self, spark):
        evaluator = LogLossEvaluator()
        assert evaluator.getLabelCol() == "label"
        assert evaluator.getProbabilityCol() == "probability"
        assert evaluator.getEps() == 2.0**-52
        assert not evaluator.isDefined(evaluator.weightCol)
        assert evaluator.isLargerBetter() is False
        assert evaluator.setLabelCol("y").setProbabilityCol("p") is evaluator
        assert evaluator.setWeightCol("w").setEps(1e-3).getWeightCol() == "w"
        assert evaluator.setParams(eps="auto").getEps() == 2.0**-52
        assert evaluator.getLabelCol() == "y"
        other = evaluator.copy({evaluator.eps: 0.1})
        assert (other.getEps(), evaluator.getEps()) == (0.1, 2.0**-52)
        assert (other.uid, other.getLabelCol()) == (evaluator.uid, "y")
        assert "eps" in evaluator.explainParams()
        with pytest.raises(TypeError):
            LogLossEvaluator("label")
        with pytest.raises(TypeError):
            LogLossEvaluator(metricName="logLoss")
        for eps in (0.5, -1.0, math.nan, "automatic"):
            with pytest.raises((TypeError, ValueError), match="eps"):
                LogLossEvaluator(eps=eps)

    def test_saved(self, spark, tmp_path):
        path = str(tmp_path / "evaluator")
        evaluator = LogLossEvaluator(labelCol="y", weightCol="a.b", eps=1e-3)
        evaluator.save(path)
        again = LogLossEvaluator.load(path)
        assert again.uid == evaluator.uid
        assert again.extractParamMap() == evaluator.extractParamMap()

    def test_scores_and_invalid_rows(self, df):
        evaluator = LogLossEvaluator(labelCol="c", probabilityCol="V")
        expected = log_loss(df, label="c", probability="V").loss
        assert evaluator.evaluate(df) == expected
        arrays = evaluator.copy().setProbabilityCol("A")
        assert arrays.evaluate(df) == pytest.approx(expected)
        with pytest.raises(ValueError, match=f"{N} of {N} rows are not valid"):
            evaluator.evaluate(df.withColumn("c", F.lit(3)))
        zero = df.withColumn("zero", F.lit(0.0))
        weighted = evaluator.copy().setWeightCol("zero")
        with pytest.raises(ValueError, match="'zero' sum to zero"):
            weighted.evaluate(zero)


def test_import_is_lazy(run_python):
    code = "import sys, fastlogloss; assert 'pyspark' not in sys.modules"
    run_python("-c", code)
    code = (
        "import sys; sys.modules['pyspark'] = None\n"
        "import fastlogloss.integrations.spark"
    )
    done = run_python("-c", code, check=False)
    assert done.returncode == 1
    assert 'pip install "fastlogloss[spark]"' in done.stderr.splitlines()[-1]


def test_connect(tmp_path):
    """Of each of the roads some tests."""
    chosen = (
        "groups or column or counted or arrays or vectors or parameters or saved or "
        "scores_and or keys or texts or many_classes"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-k", chosen, __file__],
        cwd=Path(__file__).parent.parent,
        env=os.environ | {CONNECT: "1"},
        capture_output=True,
        text=True,
        timeout=540,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
