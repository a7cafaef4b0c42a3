"""The log loss of a data frame of Spark, summed by Spark.

Design
------
(a) The sums are those of `Query`, one selection for each of its stages, which Spark
    compiles to one loop. It is given them as texts of SQL: the objects of its Column
    API take a call of the JVM for each operator, 0.1 s for a query, which is as much
    as all of the rest with 10^6 rows.
(b) The columns of a frame are numbered first, so that no name is part of a text, and
    names need neither be quoted nor be different by more than case.

Longer than a room should be: a third of it is a docstring.
"""

import math
from collections.abc import Sequence
from typing import Any, Literal

from pyspark.ml.linalg import VectorUDT
from pyspark.mllib.linalg import VectorUDT as OldVectorUDT
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    AtomicType,
    BooleanType,
    DataType,
    FloatType,
    NumericType,
    StringType,
)

from fastlogloss._arrow import Columns, names_of
from fastlogloss._arrow_arrays import key_column
from fastlogloss._batches import Batches
from fastlogloss._query import Query
from fastlogloss._query_result import read, settled, skips, state_of
from fastlogloss.accumulator import LogLossAccumulator
from fastlogloss.groups import GroupedLogLoss
from fastlogloss.integrations.spark.shared import one_of, to_array

Scores = str | Sequence[str]
_VECTORS = VectorUDT, OldVectorUDT


class _Text(str):
    """An expression in the SQL of Spark."""

    __slots__ = ()


def _operator(symbol: str) -> Any:
    return lambda a, b: _Text(f"({a} {symbol} {b})")


for _name, _symbol in {
    **{"add": "+", "sub": "-", "mul": "*", "truediv": "/", "and": "AND"},
    **{"lt": "<", "le": "<=", "gt": ">", "ge": ">="},
}.items():
    setattr(_Text, f"__{_name}__", _operator(_symbol))


class _Words:
    """The vocabulary of Spark; see `fastlogloss._query.Words`."""

    def column(self, name: str) -> _Text:
        return _Text(name)

    def literal(self, value: Any) -> _Text:
        if isinstance(value, str):  # of bytes, which nothing has to be escaped in
            return _Text(f"CAST(X'{value.encode().hex()}' AS STRING)")
        if isinstance(value, float):
            return _Text(
                f"{value!r}D" if math.isfinite(value) else f"DOUBLE('{value}')"
            )
        return _Text(int(value))

    def number(self, x: _Text) -> _Text:
        return _Text(f"CAST({x} AS DOUBLE)")

    def equal(self, a: _Text, b: _Text) -> _Text:
        return _Text(f"({a} = {b})")

    def choose(self, condition: _Text, a: _Text, b: _Text) -> _Text:
        return _Text(f"IF({condition}, {a}, {b})")

    def absolute(self, x: _Text) -> _Text:
        return _Text(f"ABS({x})")

    def log(self, x: _Text) -> _Text:
        return _Text(f"LN({x})")

    def exp(self, x: _Text) -> _Text:
        return _Text(f"EXP({x})")

    def least(self, x: _Text, y: _Text) -> _Text:
        return _Text(f"LEAST({x}, {y})")

    def greatest(self, *x: _Text) -> _Text:
        return _Text(f"GREATEST({', '.join(x)})")

    def total(self, x: _Text) -> _Text:
        return _Text(f"SUM({x})")


def log_loss(
    df: DataFrame,
    *,
    label: str,
    probability: Scores | None = None,
    logit: Scores | None = None,
    weight: str | None = None,
    by: str | Sequence[str] | None = None,
    classes: Any = None,
    eps: float | Literal["auto"] = "auto",
    on_invalid: Literal["error", "skip"] = "error",
) -> LogLossAccumulator | GroupedLogLoss:
    """Log loss of the rows of a Spark data frame, summed by Spark in one job.

    Parameters
    ----------
    df : pyspark.sql.DataFrame
        Classic or of Spark Connect.
    label : str
        The column of the labels: numbers, booleans or, with `classes`, strings.
    probability, logit : str or list of str
        One of the two: a column of numbers, which are of the second of two classes; a
        column for each class; or a column of arrays or of ML vectors with an entry for
        each class.
    weight : str, default=None
        The column of the weights; some may be negative.
    by : str or list of str, default=None
        Columns of keys: the loss of each group of rows.
    classes : array-like of shape (n_classes,), default=None
        The label of each column of the scores; by default 0, 1 and so on. How many
        entries arrays have is known from ML attributes, or else from a first row.
    eps : "auto" or float in [0, 0.5), default="auto"
        Where to clip probabilities, to ``[eps, 1 - eps]``; "auto" is 2.2e-16.
    on_invalid : {"error", "skip"}, default="error"
        What to do with rows that are not valid: those with nulls, NaN, probabilities
        outside [0, 1], labels that are no class, weights that are not finite, and
        arrays of another length.

    Returns
    -------
    found : LogLossAccumulator or, with `by`, GroupedLogLoss
        The loss in nats, with its standard error and all that these have. Sums are
        Spark's, which rounds them: `exact` is False.

    Raises
    ------
    ValueError
        For columns that are not there, are there twice, or of a type that they must
        not have; for rows that are not valid, of which it says how many are so for
        which reason; and if there are no rows.
    TypeError
        For arguments that are no names.

    Warns
    -----
    UserWarning
        If the probabilities of rows do not sum to one.

    See Also
    --------
    log_loss_column : The loss of each row, as a column.
    LogLossEvaluator : For `CrossValidator` and `TrainValidationSplit`.
    fastlogloss.LogLossAccumulator.update_from : Exact sums of rows that come here.

    Notes
    -----
    Spark compiles a query for each number of classes, in 2 s for 30, 10 s for 300.
    With 1000 it says that the query is too complex.

    Examples
    --------
    >>> from fastlogloss.integrations.spark import log_loss  # doctest: +SKIP
    >>> log_loss(df, label="clicked", probability="p")  # doctest: +SKIP
    LogLossAccumulator(n_samples=10000000, loss=0.2137)
    >>> by_day = log_loss(df, label="clicked", probability="p", by="day")
    ... # doctest: +SKIP
    >>> by_day.to_frame()  # doctest: +SKIP
    """
    if not isinstance(df, DataFrame):
        kind = type(df).__name__
        raise TypeError(f"df must be a data frame of Spark, got {kind}")
    leaves_out = skips(on_invalid)
    names_of(one_of(probability, logit), "probability" if logit is None else "logit")
    given = (0, 1) if classes is None else classes
    batches = Batches(given, eps, logit is not None)
    columns = Columns(
        batches, label, probability, logit, weight, () if by is None else by
    )
    columns.check(df.columns)
    picked = _Picked(df, columns)
    n = picked.n_scores(None if classes is None else len(batches.classes))
    if classes is None and n > 2:
        batches = Batches(list(range(n)), eps, logit is not None)
    picked.check_label(batches.classes)
    names = [f"s{j}" for j in range(n)]
    plain = Columns(
        batches,
        "y",
        names if logit is None else None,
        None if logit is None else names,
        "w" if columns.weight else None,
        tuple(f"g{i}" for i in range(len(columns.by))),
    )
    query, words = Query(plain, batches, picked.is_single), _Words()
    frame = picked.frame(n)
    for stage in query.stages(words):
        frame = frame.selectExpr(*_named(stage))
    sums = query.sums(words)
    if query.keys:
        frame = frame.groupBy(*query.keys).agg(*map(F.expr, _named(sums)))
    else:
        frame = frame.selectExpr(*_named(sums))
    table = frame.toArrow()
    rows = {name: table.column(name).to_pylist() for name in sums}
    found = settled(
        read(rows, len(batches.classes)),
        columns,
        leaves_out,
        n if picked.are_listed else 0,
    )
    if not query.keys:
        return LogLossAccumulator._of(batches, state_of(found))
    (batch,) = table.combine_chunks().to_batches()
    keys = tuple(key_column(batch, key) for key in query.keys)
    return GroupedLogLoss._of_sums(batches, keys if len(keys) > 1 else keys[0], found)


def _named(selection: dict[str, Any]) -> list[str]:
    return [f"{text} AS {name}" for name, text in selection.items()]


class _Picked:
    """The columns of a frame that are asked for, of types that are checked."""

    def __init__(self, df: DataFrame, columns: Columns) -> None:
        self._columns = columns
        fields = list(df.schema)
        places = {field.name: i for i, field in enumerate(fields)}
        self._fields = {name: fields[places[name]] for name in columns.names}
        self._numbers = {name: f"c{places[name]}" for name in columns.names}
        self._numbered = df.toDF(*(f"c{i}" for i in range(len(fields))))
        types = [self._type(name) for name in columns.scores]
        self.are_listed = len(types) == 1 and _is_list(types[0])
        if self.are_listed:
            inner = getattr(types[0], "elementType", None)
            self.is_single = isinstance(inner, FloatType)
            if isinstance(types[0], _VECTORS):
                number = self._numbers[columns.scores[0]]
                array = to_array(F.col(number))
                self._numbered = self._numbered.withColumn(number, array)
        else:
            self.is_single = all(isinstance(type_, FloatType) for type_ in types)
            for name in columns.scores:
                self._check(name, "numbers", NumericType)
        for name in columns.weight:
            self._check(name, "numbers", NumericType)
        for name in columns.by:
            self._check(name, "keys", AtomicType)

    def _type(self, name: str) -> DataType:
        return self._fields[name].dataType

    def _check(self, name: str, what: str, *types: type[DataType]) -> None:
        found = self._type(name)
        if not isinstance(found, types):
            kind = found.simpleString()
            raise ValueError(f"column {name!r} holds {kind} instead of {what}")

    def check_label(self, classes: Sequence[Any]) -> None:
        (name,) = self._columns.label
        if isinstance(classes[0], str):
            self._check(name, "strings, which the classes are", StringType)
        else:
            what = "numbers, which the classes are"
            self._check(name, what, NumericType, BooleanType)

    def n_scores(self, n_classes: int | None) -> int:
        """How many columns of scores there are, or entries of lists."""
        if not self.are_listed:
            return len(self._columns.scores)
        if n_classes is not None:
            return n_classes
        (name,) = self._columns.scores
        attributes = self._fields[name].metadata.get("ml_attr", {})
        kinds = attributes.get("attrs", {}).values()
        n = attributes.get("num_attrs") or sum(map(len, kinds))
        if not n:
            size = self._numbered.selectExpr(f"SIZE({self._numbers[name]}) AS n")
            first = size.where("n >= 2").first()
            if first is None:
                raise ValueError(f"column {name!r} has no row with a list of scores")
            n = first.n
        return int(n)

    def frame(self, n: int) -> DataFrame:
        """The columns by short names: labels y, scores s0 and so on, w, keys g0."""
        (label,) = self._columns.label
        kind = self._type(label)
        y = self._numbers[label]
        if isinstance(kind, BooleanType):
            y = f"CAST({y} AS INT)"
        elif isinstance(kind, StringType):  # without a collation
            y = f"CAST(CAST({y} AS BINARY) AS STRING)"
        kept = {"y": y}
        if self._columns.weight:
            kept["w"] = self._numbers[self._columns.weight[0]]
        kept |= {f"g{i}": self._numbers[x] for i, x in enumerate(self._columns.by)}
        scores = [self._numbers[name] for name in self._columns.scores]
        if not self.are_listed:
            kept |= {f"s{j}": number for j, number in enumerate(scores)}
            return self._numbered.selectExpr(*_named(kept))
        lists = {"s": f"CAST({scores[0]} AS ARRAY<DOUBLE>)"}
        frame = self._numbered.selectExpr(*_named(kept | lists))
        entries = {f"s{j}": f"IF(SIZE(s) = {n}, GET(s, {j}), NULL)" for j in range(n)}
        return frame.selectExpr(*kept, *_named(entries))


def _is_list(type_: DataType) -> bool:
    if isinstance(type_, ArrayType):
        return isinstance(type_.elementType, NumericType)
    return isinstance(type_, _VECTORS)
