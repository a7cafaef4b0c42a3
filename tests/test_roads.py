"""Every road to the same rows gives the same number.

Bit for bit where fastlogloss sums; where an engine does, within 1e-12: engines add up
doubles, with an error of some units in the last place for every thousand rows.
"""

import contextlib
import io
import json

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.feather
import pyarrow.parquet
import pytest
from spark_session import session

import fastlogloss
from fastlogloss import GroupedLogLoss, LogLossAccumulator
from fastlogloss.cli import main
from fastlogloss.integrations import frames

N = 2003
ENGINE = 1e-12  # relative


def awkward_rows():
    """Rows with what breaks sums: extremes, cancelling weights, keys that are null."""
    rng = np.random.default_rng(0)
    p = rng.random(N) ** 3
    p[:6] = 0.0, 1.0, 5e-324, 1 - 2.0**-53, 2.0**-60, 0.5
    z = rng.normal(0, 20, N)
    z[:6] = 800.0, -800.0, 0.0, -0.0, 5e-324, -40.0
    P = rng.dirichlet([0.3, 0.3, 0.3], N)
    w = 10.0 ** rng.uniform(-6, 6, N)
    w[::50] = 0.0
    w[1::50] *= -0.5
    country = rng.choice(["at", "be", None], N)
    return {
        "y": rng.integers(0, 2, N).astype(np.int8),
        "kind": rng.integers(0, 3, N),
        **{"p": p, "z": z, "p0": P[:, 0], "p1": P[:, 1], "p2": P[:, 2], "w": w},
        **{"country": country, "day": rng.integers(0, 7, N)},
    }


ROWS = awkward_rows()
TABLE = pa.table(ROWS)
CASES = {
    "probabilities": {"label": "y", "proba": "p"},
    "weights": {"label": "y", "proba": "p", "weight": "w"},
    "logits": {"label": "y", "logit": "z", "weight": "w"},
    "three classes": {"label": "kind", "proba": ["p0", "p1", "p2"], "weight": "w"},
}
BY = None, ["country"], ["country", "day"]


def options_of(case):
    return {
        "classes": range(3) if case["label"] == "kind" else (0, 1),
        "from_logits": "logit" in case,
    }


def arrays_of(case, rows=slice(None)):
    """Labels, scores, weights."""
    scores = case.get("proba", case.get("logit"))
    names = scores if isinstance(scores, list) else [scores]
    P = np.stack([ROWS[name][rows] for name in names], axis=1)
    weight = ROWS[case["weight"]][rows] if "weight" in case else None
    return ROWS[case["label"]][rows], P if len(names) > 1 else P[:, 0], weight


def keys_of(by, rows=slice(None)):
    keys = tuple(ROWS[name][rows] for name in by)
    return keys if len(keys) > 1 else keys[0]


def in_one_update(case, by):
    y, p, w = arrays_of(case)
    if by is None:
        return LogLossAccumulator(**options_of(case)).update(y, p, w)
    return GroupedLogLoss(**options_of(case)).update(y, p, keys_of(by), w)


def in_batches(case, by):
    parts = []
    for rows in np.array_split(np.random.default_rng(1).permutation(N), 7):
        y, p, w = arrays_of(case, rows)
        if by is None:
            parts.append(LogLossAccumulator(**options_of(case)).update(y, p, w))
        else:
            found = GroupedLogLoss(**options_of(case))
            parts.append(found.update(y, p, keys_of(by, rows), w))
    found = parts.pop()
    for part in parts:
        found.merge(part)
    return found


def as_source(convert):
    def road(case, by):
        make = LogLossAccumulator if by is None else GroupedLogLoss
        more = {} if by is None else {"by": by}
        return make(**options_of(case)).update_from(convert(TABLE), **case, **more)

    return road


def as_frame(convert):
    def road(case, by):
        return frames.log_loss(convert(TABLE), by=by, **case)

    return road


def in_dask(case, by):
    import dask.array

    from fastlogloss.integrations import dask as integration

    y, p, w = (
        None if x is None else dask.array.from_array(x, chunks=chunks)
        for x, chunks in zip(arrays_of(case), (300, 170, 411), strict=True)
    )
    keys = None if by is None else keys_of(by)
    logits = "logit" in case
    return integration.log_loss(y, p, w, keys, from_logits=logits)


def by_sql(case, by):
    import duckdb

    from fastlogloss import sql

    with duckdb.connect() as connection:
        connection.register("rows", TABLE)
        found = connection.execute(sql.log_loss("rows", by=by, **case))
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    return sql.from_sums(rows if by else rows[0], by=by, classes=classes_of(case))


def classes_of(case):
    return [*options_of(case)["classes"]]


def as_relation(table):
    import duckdb

    return duckdb.from_arrow(table)


EXACT = {
    "batches": in_batches,
    "Arrow table": as_source(lambda table: table),
    "Arrow reader": as_source(lambda table: table.to_reader(max_chunksize=100)),
    "Arrow dataset": as_source(pa.dataset.dataset),
    "DuckDB, streamed": as_source(as_relation),
    "pandas": as_frame(lambda table: table.to_pandas()),
    "pandas of Arrow": as_frame(
        lambda table: table.to_pandas(types_mapper=pd.ArrowDtype)
    ),
    "polars": as_frame(pl.from_arrow),
    "pyarrow": as_frame(lambda table: table),
    "Dask": in_dask,
}
ENGINES = {
    "polars, lazy": as_frame(lambda table: pl.from_arrow(table).lazy()),
    "DuckDB, relation": as_frame(as_relation),
    "DuckDB, SQL": by_sql,
}


def assert_near(found, expected):
    """The same rows and nearly the same sums."""
    assert not found.exact
    assert np.array_equal(found.n_samples, expected.n_samples)
    # Weights of both signs cancel: errors are relative to sums of sizes.
    for name in ("weight_sum", "loss_sum"):
        a, b = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(a, b, rtol=ENGINE)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=2 * ENGINE)
    a, b = found.standard_error, expected.standard_error
    np.testing.assert_allclose(a, b, rtol=1e-9)  # of differences of sums


def check_groups(found, expected, check):
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        assert one == two or (one != one and two != two)
    check(found, expected)
    check(found.total(), expected.total())


@pytest.mark.parametrize("by", BY, ids=str)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
class TestRoads:
    @pytest.mark.parametrize("road", EXACT.values(), ids=EXACT)
    def test_exact(self, road, case, by):
        assert road(case, by) == in_one_update(case, by)

    @pytest.mark.parametrize("road", ENGINES.values(), ids=ENGINES)
    def test_engine(self, road, case, by):
        found, expected = road(case, by), in_one_update(case, by)
        if by is None:
            assert_near(found, expected)
        else:
            check_groups(found, expected, assert_near)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_one_call(case):
    """All at once, without an accumulator: 2e-15, as the README says."""
    y, p, w = arrays_of(case)
    kwargs = {"from_logits": True} if "logit" in case else {}
    once = fastlogloss.log_loss(y, p, sample_weight=w, **kwargs)
    # Some weights are negative: relative to the sum of sizes.
    losses = fastlogloss.sample_log_loss(y, p, **kwargs)
    sizes = np.ones(N) if w is None else np.abs(w)
    scale = (sizes * losses).sum() / abs(1.0 * N if w is None else w.sum())
    assert abs(once - in_one_update(case, None).loss) <= 2e-15 * scale


def write_hive(path):
    pa.dataset.write_dataset(
        TABLE.filter(pa.compute.is_valid(TABLE["country"])),
        path,
        format="parquet",
        partitioning=["day"],
        partitioning_flavor="hive",
    )


def write_zst(path):
    with pa.CompressedOutputStream(str(path), "zstd") as out:
        pa.csv.write_csv(TABLE, out)


FILES = {
    "a.parquet": lambda path: pa.parquet.write_table(TABLE, path, row_group_size=500),
    "a.csv": lambda path: pa.csv.write_csv(TABLE, path),
    "a.csv.zst": write_zst,
    "a.feather": lambda path: pa.feather.write_feather(TABLE, str(path)),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_files(name, case, tmp_path):
    FILES[name](tmp_path / name)
    options = ["--by", "country", "--format", "json"]
    for key, value in case.items():
        text = ",".join(value) if isinstance(value, list) else value
        options += [f"--{key}", text]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(["score", str(tmp_path / name), *options])
    found, expected = json.loads(out.getvalue()), in_one_update(case, ["country"])
    assert found["loss_sum"] == expected.total().loss_sum
    assert found["loss"] == expected.total().loss
    groups = {group["group"]["country"]: group["loss"] for group in found["groups"]}
    assert groups == dict(zip(expected, expected.loss.tolist(), strict=True))


def test_folders(tmp_path):
    """Rows of a country, in a folder for each day."""
    write_hive(tmp_path / "log")
    out = io.StringIO()
    arguments = ["--label", "y", "--proba", "p", "--by", "day", "--format", "json"]
    with contextlib.redirect_stdout(out):
        main(["score", str(tmp_path / "log"), *arguments])
    rows = np.array([country is not None for country in ROWS["country"]])
    expected = LogLossAccumulator().update(ROWS["y"][rows], ROWS["p"][rows])
    assert json.loads(out.getvalue())["loss"] == expected.loss


@pytest.fixture(scope="module")
def spark(tmp_path_factory):
    with session(tmp_path_factory.mktemp("spark")) as started:
        yield started


@pytest.mark.heavy
@pytest.mark.filterwarnings(  # Spark 4.3 says so wherever it makes a frame
    "ignore:PySpark does not yet fully support pandas:FutureWarning"
)
@pytest.mark.parametrize("by", BY, ids=str)
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
class TestSpark:
    def test_streamed(self, spark, case, by):
        road = as_source(spark.createDataFrame)
        assert road(case, by) == in_one_update(case, by)

    @pytest.mark.parametrize("road", ["integrations.spark", "integrations.frames"])
    def test_engine(self, spark, road, case, by):
        from fastlogloss.integrations import spark as integration

        frame, expected = spark.createDataFrame(TABLE), in_one_update(case, by)
        if road == "integrations.spark":
            names = {"probability" if k == "proba" else k: v for k, v in case.items()}
            found = integration.log_loss(frame, by=by, **names)
        else:
            found = frames.log_loss(frame, by=by, **case)
        if by is None:
            assert_near(found, expected)
        else:
            check_groups(found, expected, assert_near)
