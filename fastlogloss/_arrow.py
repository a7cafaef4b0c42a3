"""Columns of an Arrow stream -> problems, batch by batch; errors that name columns."""

import difflib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fastlogloss._arrow_arrays import (
    as_numbers,
    codes_of,
    column_of,
    import_pyarrow,
    key_column,
    matrix,
)
from fastlogloss._batches import Batches
from fastlogloss._engine import Sums
from fastlogloss._errors import Index, Names, Objection, reworded, shortened
from fastlogloss._labels import Codes, Encoded
from fastlogloss._losses import warn_of_sums
from fastlogloss._problem import Problem

Add = Callable[[Problem, Any], Sums]  # what takes a problem and the keys of its rows
Sift = Callable[[Any], Any]  # what leaves rows out of a batch

# Batches and files that datasets read ahead: what they hold is memory.
_READAHEAD = {"batch_readahead": 4, "fragment_readahead": 1}
PARQUET_BUFFER = 1 << 20  # bytes of a column of a file that are read at once


class Columns:
    """What the columns of a source are.

    Attributes
    ----------
    label, scores, weight, by : tuple of str
        Names of columns, of some of them none.
    are_logits : bool
    """

    def __init__(
        self,
        batches: Batches,
        label: Any,
        proba: Any,
        logit: Any,
        weight: Any = None,
        by: Any = (),
    ) -> None:
        if (proba is None) == (logit is None):
            raise TypeError("there must be proba= or logit=, one of the two")
        if logit is None and batches.spec.from_logits:
            raise ValueError("proba= needs from_logits=False; logits come as logit=")
        if logit is not None and not batches.spec.from_logits:
            raise ValueError("logit= needs from_logits=True")
        self._batches = batches
        self.are_logits = logit is not None
        self.label = names_of(label, "label")
        self.scores = (
            names_of(proba, "proba") if logit is None else names_of(logit, "logit")
        )
        self.weight = () if weight is None else names_of(weight, "weight")
        self.by = () if by == () else names_of(by, "by")
        if len(self.label) > 1 and not batches.spec.soft:
            raise ValueError("label must be one column; several need soft_targets=True")
        if len(self.weight) > 1:
            raise ValueError("weight must be one column")
        every = self.label + self.scores + self.weight + self.by
        self.names = list(dict.fromkeys(every))

    def check(self, there: Sequence[str]) -> None:
        """Raise for names that are not there, or there twice."""
        for name in self.names:
            n = list(there).count(name)
            if n == 0:
                near = difflib.get_close_matches(name, there, 1, 0.5)
                hint = f"did you mean {near[0]!r}?" if near else ""
                hint = hint or f"the columns are {shortened(there)}"
                raise ValueError(f"there is no column {name!r}; {hint}")
            if n > 1:
                raise ValueError(f"there are {n} columns of the name {name!r}")

    def problem(self, batch: Any) -> Problem:
        """The problem of the rows of a batch."""
        soft = self._batches.spec.soft
        y = matrix(batch, self.label) if soft else self._labels(batch)
        scores = matrix(batch, self.scores)
        weights = matrix(batch, self.weight) if self.weight else None
        problem = self._batches.read(y, scores, weights)
        # Of rows that do not sum to one the first batch that has some warns.
        problem.is_settled = True
        return problem

    def _labels(self, batch: Any) -> Any:
        (name,) = self.label
        array = column_of(batch, name)
        numbers = as_numbers(array)
        if numbers is not None:
            return numbers
        codes = codes_of(array, self._batches.classes, name)
        unseen = codes == len(self._batches.classes)
        if unseen.any():
            row = int(unseen.argmax())
            raise ValueError(
                f"column {name!r} holds the label {array[row].as_py()!r} in row "
                f"{row}, which is none of {shortened(self._batches.classes)}"
            )
        return Encoded(Codes(codes), list(self._batches.classes), False)

    def groups(self, batch: Any) -> Any:
        """The keys of the rows; None where there are none."""
        if not self.by:
            return None
        columns = tuple(key_column(batch, name) for name in self.by)
        return columns if len(columns) > 1 else columns[0]

    def add(self, batch: Any, first: int, add: Add, warns: bool) -> bool:
        """Add the rows of a batch; whether it has warned, which once is enough."""
        try:
            problem = self.problem(batch)
            sums = add(problem, self.groups(batch))
        except (Objection, TypeError, ValueError) as error:
            raised = error.in_our_words() if isinstance(error, Objection) else error
            words = self._in_words_of_columns(str(raised), first)
            kind = TypeError if isinstance(raised, TypeError) else ValueError
            reworded = kind(words)
        else:
            if warns and sums.bad_sum_from >= 0:
                names = _FromRow(text_of(self.scores))
                names.first = first
                warn_of_sums(problem.p, names, sums.bad_sum_from)
                return True
            return False
        raise reworded

    def _in_words_of_columns(self, words: str, first: int) -> str:
        names = {
            "y_score": text_of(self.scores),
            "y_true": text_of(self.label),
            "sample_weight": text_of(self.weight),
            "groups": text_of(self.by),
        }
        scores = self.scores if len(self.scores) > 1 else ()

        def column(j: int) -> str:
            return f"column {scores[j]!r}" if j < len(scores) else f"column {j}"

        return reworded(
            words,
            names,
            lambda i: f"row {first + i}",
            column,
            lambda j: f"column {self.by[j]!r}",
        )


class _FromRow(Names):
    """Names of the arrays of a batch that begins at a row of the source."""

    first = 0

    def place(self, at: Index) -> str:
        return super().place((at[0] + self.first, *at[1:]))


def text_of(names: Sequence[str]) -> str:
    """What messages call some columns."""
    if len(names) == 1:
        return f"column {names[0]!r}"
    return f"columns {shortened(names)[1:-1]}" if names else "groups"


def names_of(given: Any, argument: str) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else given
    if (
        not isinstance(names, list | tuple)
        or not names
        or not all(isinstance(name, str) for name in names)
    ):
        raise TypeError(f"{argument} must be names of columns, got {given!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"{argument} names a column twice: {list(names)}")
    return tuple(names)


def feed(source: Any, columns: Columns, add: Add) -> None:
    """Add all rows of a source, batch by batch."""
    if not feed_batches(open_stream(source, columns), columns, add):
        raise ValueError("the source holds no rows")


def feed_batches(
    batches: Iterable[Any], columns: Columns, add: Add, sift: Sift | None = None
) -> int:
    """Add the rows of batches, or those that a sift leaves; how many there were."""
    first, warns = 0, True
    for batch in batches:
        left = batch if sift is None or not len(batch) else sift(batch)
        if len(left):
            warns = not columns.add(left, first, add, warns) and warns
        first += len(batch)
    return first


def open_stream(source: Any, columns: Columns) -> Any:
    """A reader of record batches that have the columns, and maybe others."""
    pyarrow = import_pyarrow()
    module = type(source).__module__.partition(".")[0]
    if module == "pandas" and hasattr(source, "iloc") and hasattr(source, "columns"):
        texts = [str(name) for name in source.columns]
        columns.check(texts)
        part = source.iloc[:, [texts.index(name) for name in columns.names]]
        return pyarrow.Table.from_pandas(part, preserve_index=False).to_reader()
    if hasattr(source, "scanner") and hasattr(source, "schema"):  # a dataset
        columns.check(source.schema.names)
        options = _READAHEAD | _options_of_parquet(source)
        return source.scanner(columns=columns.names, **options).to_reader()
    if module == "polars" and hasattr(source, "get_columns"):
        columns.check(source.columns)
        # To select() some names are patterns.
        source = type(source)([source.get_column(name) for name in columns.names])
    elif module in ("duckdb", "_duckdb") and hasattr(source, "columns"):
        from duckdb import ColumnExpression

        columns.check(source.columns)
        source = source.select(*map(ColumnExpression, columns.names))
    elif module == "pyspark" and hasattr(source, "columns"):
        columns.check(source.columns)
        return _of_spark(source, columns.names)
    if hasattr(source, "__arrow_c_stream__"):
        reader = pyarrow.RecordBatchReader.from_stream(source)
    elif hasattr(source, "to_reader"):  # a scanner
        reader = source.to_reader()
    else:
        is_lazy = hasattr(source, "collect_batches")
        hint = "; it has collect_batches()" if is_lazy else ""
        raise TypeError(
            "source must be a table, a data frame, a dataset or a stream of Arrow "
            f"(__arrow_c_stream__), got {type(source).__name__}{hint}"
        )
    columns.check(reader.schema.names)
    return reader


def _options_of_parquet(dataset: Any) -> dict[str, Any]:
    """Options for Parquet files that are here: by default they stay in memory."""
    from pyarrow import fs
    from pyarrow.dataset import ParquetFileFormat, ParquetFragmentScanOptions

    is_parquet = isinstance(getattr(dataset, "format", None), ParquetFileFormat)
    if not is_parquet or not isinstance(dataset.filesystem, fs.LocalFileSystem):
        return {}
    options = ParquetFragmentScanOptions(
        pre_buffer=False, use_buffered_stream=True, buffer_size=PARQUET_BUFFER
    )
    return {"fragment_scan_options": options}


def _of_spark(source: Any, names: list[str]) -> Any:
    """A reader of some columns of a Spark data frame, whose streams take no dots."""
    pyarrow = import_pyarrow()
    there = list(source.columns)
    numbered = source.toDF(*(f"c{i}" for i in range(len(there))))
    picked = numbered.select(*(f"c{there.index(name)}" for name in names))
    reader = pyarrow.RecordBatchReader.from_stream(picked)
    named = [f.with_name(name) for f, name in zip(reader.schema, names, strict=True)]
    batches = (batch.rename_columns(names) for batch in reader)
    return pyarrow.RecordBatchReader.from_batches(pyarrow.schema(named), batches)
