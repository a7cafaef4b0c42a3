"""Log loss inside Apache Spark, classic or Connect: the rows stay where they are.

It needs pyspark: ``pip install "fastlogloss[spark]"``. Tested with Spark 4.3, Java 17
and Python 3.11; all of it runs in the JVM, and nothing needs Python on executors.
"""

from importlib.util import find_spec

if find_spec("pyspark") is None:
    raise ImportError(
        'fastlogloss.integrations.spark needs pyspark: pip install "fastlogloss[spark]"'
    )

from fastlogloss.integrations.spark.column import log_loss_column
from fastlogloss.integrations.spark.evaluator import LogLossEvaluator
from fastlogloss.integrations.spark.sums import log_loss

__all__ = ["LogLossEvaluator", "log_loss", "log_loss_column"]
