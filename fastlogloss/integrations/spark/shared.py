"""What sums and columns of losses have in common."""

from typing import Any

from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column
from pyspark.sql import functions as F


def one_of(probability: Any, logit: Any) -> Any:
    if (probability is None) == (logit is None):
        raise TypeError("there must be probability= or logit=, one of the two")
    return logit if probability is None else probability


def to_array(vector: Column) -> Column:
    """The entries of ML vectors; null where the vector is.

    Those of dense ones are there, as an array. `vector_to_array` calls a function for
    each row, which takes longer than the loss; null is an error to it.
    """
    parts = F.unwrap_udt(vector)
    is_dense = parts.getField("type") == F.lit(1)
    entries = F.when(vector.isNotNull(), vector_to_array(vector))
    return F.when(is_dense, parts.getField("values")).otherwise(entries)
