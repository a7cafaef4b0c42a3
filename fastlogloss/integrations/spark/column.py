"""The losses of rows as a column of Spark.

Design
------
A single expression has no stages, as the sums have. So it has a formula of its own, in
which nothing large occurs twice. Rejected, with 10^6 rows of logits of two classes: the
stages put into each other (2000 operators, 4 s) and a chain of lambda functions, which
Spark does not compile (1.3 s), instead of 0.2 s.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

from pyspark.sql import Column
from pyspark.sql import functions as F

from fastlogloss._batches import Batches
from fastlogloss.integrations.spark.shared import one_of, to_array

ColumnOrName = Column | str


def log_loss_column(
    label: ColumnOrName,
    *,
    probability: ColumnOrName | Sequence[ColumnOrName] | None = None,
    logit: ColumnOrName | Sequence[ColumnOrName] | None = None,
    classes: Any = (0, 1),
    eps: float | Literal["auto"] = "auto",
    kind: Literal["number", "array", "vector"] | None = None,
) -> Column:
    """The loss of each row, in nats, as a column of Spark.

    It is null where a row is not valid, as `log_loss` says. So means leave out such
    rows in silence: compare ``F.count`` of it with the number of rows.

    Parameters
    ----------
    label : str or pyspark.sql.Column
        The name of a column, which needs no quotes, or any expression; of a type that
        Spark compares with `classes`.
    probability, logit : str, pyspark.sql.Column, or a list of them
        One of the two, as of `log_loss`.
    classes : array-like of shape (n_classes,), default=(0, 1)
        The label of each column of the scores, or of each entry.
    eps : "auto" or float in [0, 0.5), default="auto"
        Where to clip probabilities.
    kind : {"number", "array", "vector"}, default=None
        What a single column of scores holds, which an expression does not know: by
        default numbers, for two classes, or arrays, for more.

    Returns
    -------
    loss : pyspark.sql.Column

    Raises
    ------
    ValueError, TypeError
        For arguments that are not as above.

    See Also
    --------
    log_loss : Mean, standard error and counts of rows that are not valid, in one job.

    Notes
    -----
    With the logits of n classes the expression has a size of n squared, which Spark
    compiles for some 10 classes; `log_loss` has no such limit.

    Examples
    --------
    >>> from pyspark.sql import functions as F  # doctest: +SKIP
    >>> loss = log_loss_column("clicked", probability="p")  # doctest: +SKIP
    >>> df.groupBy("day").agg(F.avg(loss), F.count(loss))  # doctest: +SKIP
    """
    scores = one_of(probability, logit)
    batches = Batches(classes, eps, logit is not None)
    n, y = len(batches.classes), _quoted(label)
    if kind not in (None, "number", "array", "vector"):
        raise ValueError(f'kind must be "number", "array" or "vector", got {kind!r}')
    if isinstance(scores, list | tuple):
        s = [_quoted(score) for score in scores]
        if kind in ("array", "vector"):
            raise ValueError(f"with kind={kind!r} scores must be a single column")
    else:
        s = [_quoted(scores)]
        if kind in ("array", "vector") or (kind is None and n > 2):
            array = to_array(s[0]) if kind == "vector" else s[0]
            has_all = F.size(array) == F.lit(n)
            s = [F.when(has_all, F.get(array, F.lit(j))) for j in range(n)]
    s = [x.cast("double") for x in s]
    if len(s) not in (n, 3 - n):
        raise ValueError(f"there are {len(s)} columns of scores, but {n} classes")
    is_class = [y == F.lit(label) for label in batches.classes]
    if logit is None:
        return _of_probabilities(is_class, s, batches.spec.eps or 0.0)
    return _of_logits(is_class, s)


def _quoted(column: Any) -> Column:
    if isinstance(column, Column):
        return column
    if not isinstance(column, str):
        raise TypeError(f"columns must be names or columns of Spark, got {column!r}")
    return F.col("`" + column.replace("`", "``") + "`")


def _choice(conditions: Sequence[Column], values: Sequence[Column]) -> Column:
    """The value of the condition that is true; null where none is."""
    return F.coalesce(*map(F.when, conditions, values))


def _sum(x: Sequence[Column]) -> Column:
    """Of halves, since Connect sends no expression that is a hundred levels deep."""
    half = len(x) // 2
    return _sum(x[:half]) + _sum(x[half:]) if half else x[0]


def _within(s: Sequence[Column], low: float, high: float) -> Column:
    # Of NaN, which is the largest, and of nulls, which only the sum knows of.
    total = _sum(s)
    most, least = (F.greatest(*s), F.least(*s)) if len(s) > 1 else (s[0], s[0])
    return total.isNotNull() & (most <= F.lit(high)) & (least >= F.lit(low))


def _of_probabilities(
    is_class: Sequence[Column], s: Sequence[Column], eps: float
) -> Column:
    picked = s if len(s) > 1 else [F.lit(1.0) - s[0], s[0]]
    q = _choice(is_class, picked)
    if eps:
        clipped = F.least(F.greatest(q, F.lit(eps)), F.lit(1.0 - eps))
        loss = F.when(q.isNotNull(), F.abs(F.log(clipped)))
    else:  # there is no logarithm of zero in Spark
        loss = F.when(q > F.lit(0.0), F.abs(F.log(q)))
        loss = F.when(q == F.lit(0.0), F.lit(math.inf)).otherwise(loss)
    return F.when(_within(s, 0.0, 1.0), loss)


def _of_logits(is_class: Sequence[Column], s: Sequence[Column]) -> Column:
    zero = F.lit(0.0)
    if len(s) == 1:
        z = _choice(is_class, [-s[0], s[0]])
        loss = F.greatest(-z, zero) + F.log1p(F.exp(-F.abs(z)))
        return F.when(_within(s, -math.inf, math.inf) & z.isNotNull(), loss)
    top, z = F.greatest(*s), _choice(is_class, s)
    # Two infinities that are equal differ by nothing.
    above = [F.when(x == top, zero).otherwise(x - top) for x in s]
    others = [
        F.when(condition, zero).otherwise(F.exp(x))
        for condition, x in zip(is_class, above, strict=True)
    ]
    rest = _sum(others)
    gap = F.when(z == top, zero).otherwise(top - z)
    loss = F.when(gap > zero, gap + F.log(F.exp(-gap) + rest)).otherwise(F.log1p(rest))
    return F.when(_within(s, -math.inf, math.inf) & z.isNotNull(), loss)
