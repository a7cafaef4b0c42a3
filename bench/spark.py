"""Log loss inside Spark, ours and that of MLlib: seconds, and what they accept.

    python -m bench.spark

It needs pyspark and Java. Rows are cached; contestants alternate on two threads, and
the minimum of their turns counts.
"""

import argparse
import os
import sys
import time

import numpy as np

from bench.report import RESULTS, machine

SIZES = {10**6: 30, 10**7: 12}  # turns
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.memory": "4g",
    "spark.log.level": "ERROR",
    "spark.ui.showConsoleProgress": "false",
}


def start():
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["PYSPARK_PYTHON"] = sys.executable
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]")
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    return builder.getOrCreate()


def contestants(spark, n):
    """Calls by name; what they read is cached."""
    from pyspark.ml.evaluation import MulticlassClassificationEvaluator
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    from fastlogloss.integrations.spark import (
        LogLossEvaluator,
        log_loss,
        log_loss_column,
    )

    p = F.col("p")
    rows = spark.range(n, numPartitions=2).select(
        F.rand(1).alias("p"),
        F.rand(2).alias("u"),
        F.rand(3).alias("w"),
        (F.col("id") % 100).alias("g"),
    )
    rows = rows.select("p", "w", "g", (F.col("u") < p).cast("int").alias("y"))
    rows = rows.withColumn("z", F.log(p / (1 - p))).cache()
    vectors = rows.select(
        F.col("y").cast("double").alias("label"),
        F.lit(1.0).alias("prediction"),
        array_to_vector(F.array(1 - p, p)).alias("probability"),
    ).cache()
    rows.count()
    vectors.count()
    loss = log_loss_column("y", probability="p")
    of_logits = log_loss_column("y", logit="z")
    mllib = MulticlassClassificationEvaluator(metricName="logLoss")
    columns = {"label": "y", "probability": "p"}
    return {
        "`MulticlassClassificationEvaluator`": lambda: mllib.evaluate(vectors),
        "`log_loss`": lambda: log_loss(rows, **columns).loss,
        "`log_loss`, weights": lambda: log_loss(rows, **columns, weight="w").loss,
        "`log_loss`, logits": lambda: log_loss(rows, label="y", logit="z").loss,
        "`log_loss`, 100 groups": lambda: (
            log_loss(rows, **columns, by="g").total().loss
        ),
        "`LogLossEvaluator`, the vectors of MLlib": lambda: LogLossEvaluator().evaluate(
            vectors
        ),
        "`F.avg(log_loss_column)`": lambda: rows.agg(F.avg(loss)).first()[0],
        "`F.avg(log_loss_column)`, logits": lambda: rows.agg(F.avg(of_logits)).first()[
            0
        ],
    }


def measure(calls, turns):
    expected = calls["`log_loss`"]()
    for name, call in calls.items():
        if "weights" not in name:
            np.testing.assert_allclose(call(), expected, rtol=1e-9, err_msg=name)
    seconds = dict.fromkeys(calls, np.inf)
    for _ in range(turns):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            seconds[name] = min(seconds[name], time.perf_counter() - begin)
    return seconds


def accepted(spark):
    """What the two say to three rows, one of them with a probability of 1.7."""
    from pyspark.ml.evaluation import MulticlassClassificationEvaluator
    from pyspark.ml.linalg import Vectors

    from fastlogloss.integrations.spark import LogLossEvaluator

    rows = [(1.0, 1.0, p) for p in (0.9, 0.8, 1.7)]
    rows = [(y, k, Vectors.dense(1 - p, p)) for y, k, p in rows]
    df = spark.createDataFrame(rows, ["label", "prediction", "probability"])
    theirs = MulticlassClassificationEvaluator(metricName="logLoss").evaluate(df)
    try:
        ours = LogLossEvaluator().evaluate(df)
    except ValueError as error:
        ours = str(error)
    return theirs, ours


def markdown(found, theirs, ours):
    import pyspark

    about = machine()
    first, *_ = found.values()
    sizes = " | ".join(f"{n:.0e}".replace("e+0", "e") for n in found)
    yield f"Log loss of two classes in Spark {pyspark.__version__}, local[2], classic."
    yield f"{about['processor']}, {about['cores']} cores. Cached rows; seconds."
    yield ""
    yield f"| rows | {sizes} |"
    yield "| --- |" + " ---: |" * len(found)
    for name in first:
        cells = " | ".join(f"{seconds[name]:.2f}" for seconds in found.values())
        yield f"| {name} | {cells} |"
    yield ""
    yield f"Of a row with a probability of 1.7 MLlib makes {theirs:.4f}. We say:"
    yield f"`{ours}`"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--turns", type=int, help="instead of those of the sizes")
    turns = parser.parse_args(argv).turns
    spark = start()
    try:
        found = {}
        for n, usual in SIZES.items():
            found[n] = measure(contestants(spark, n), turns or usual)
            spark.catalog.clearCache()
        text = "\n".join(markdown(found, *accepted(spark))) + "\n"
    finally:
        spark.stop()
    print(text)
    if turns is None:
        (RESULTS / "spark.md").write_text(text)


if __name__ == "__main__":
    main()
