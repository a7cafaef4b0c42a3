"""Columns of an Arrow stream -> problems, batch by batch, without copies if possible.

Numbers and lists of numbers without nulls are read where they lie; scores in several
columns are put together by batch. Strings and dictionaries become codes by way of the
dictionary of the batch, so that no string is made for a row.
"""

import difflib
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastlogloss._arrays import Array
from fastlogloss._batches import Batches
from fastlogloss._engine import Sums
from fastlogloss._errors import Index, Names, Objection, shortened
from fastlogloss._labels import Codes, Encoded
from fastlogloss._losses import warn_of_sums
from fastlogloss._problem import Problem

Add = Callable[[Problem, Any], Sums]  # what takes a problem and the keys of its rows

# Batches and files that datasets read ahead: what they hold is memory.
READAHEAD = {"batch_readahead": 4, "fragment_readahead": 1}
# Words of messages about arrays; texts in quotation marks are the caller's.
_WORDS = re.compile(
    r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\brow (\d+)(?:, column (\d+))?"
    r"|\bcolumn (\d+) of groups\b|\b(?:y_score|y_true|sample_weight|groups)\b"
)


def import_pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.compute
    except ImportError as error:
        raise ImportError(
            'Arrow data needs pyarrow: pip install "fastlogloss[cli]"'
        ) from error
    return pyarrow


class Columns:
    """What the columns of a source are.

    Attributes
    ----------
    label, scores, weight, by : tuple of str
        Names of columns, of some of them none.
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
        self.label = _names(label, "label")
        self.scores = (
            _names(proba, "proba") if logit is None else _names(logit, "logit")
        )
        self.weight = () if weight is None else _names(weight, "weight")
        self.by = () if by == () else _names(by, "by")
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
        texts = {
            "y_score": text_of(self.scores),
            "y_true": text_of(self.label),
            "sample_weight": text_of(self.weight),
            "groups": text_of(self.by),
        }

        def of_columns(found: re.Match[str]) -> str:
            row, column, part = found.groups()
            if row is not None:
                text = f"row {first + int(row)}"
                if column is None:
                    return text
                names = self.scores
                named = len(names) > 1 and int(column) < len(names)
                return f"{text}, column " + (
                    repr(names[int(column)]) if named else column
                )
            if part is not None:
                return f"column {self.by[int(part)]!r}"
            return texts.get(found.group(), found.group())

        return _WORDS.sub(of_columns, words)


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


def _names(given: Any, argument: str) -> tuple[str, ...]:
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
    reader = open_stream(source, columns)
    first, warns = 0, True
    for batch in reader:
        if len(batch):
            warns = not columns.add(batch, first, add, warns) and warns
            first += len(batch)
    if not first:
        raise ValueError("the source holds no rows")


def open_stream(source: Any, columns: Columns) -> Any:
    """A reader of record batches that have the columns, and maybe others."""
    pyarrow = import_pyarrow()
    module = type(source).__module__.partition(".")[0]
    if hasattr(source, "scanner") and hasattr(source, "schema"):  # a dataset
        columns.check(source.schema.names)
        return source.scanner(columns=columns.names, **READAHEAD).to_reader()
    if module == "pandas" and hasattr(source, "iloc") and hasattr(source, "columns"):
        texts = [str(name) for name in source.columns]
        columns.check(texts)
        part = source.iloc[:, [texts.index(name) for name in columns.names]]
        return pyarrow.Table.from_pandas(part, preserve_index=False).to_reader()
    if module == "polars" and hasattr(source, "get_columns"):
        columns.check(source.columns)
        source = source.select(columns.names)
    elif module in ("duckdb", "_duckdb") and hasattr(source, "columns"):
        from duckdb import ColumnExpression

        columns.check(source.columns)
        source = source.select(*map(ColumnExpression, columns.names))
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


def column_of(batch: Any, name: str) -> Any:
    """A column without nulls."""
    array = plain(batch.column(name))
    if array.null_count:
        row = array.is_null().index(True).as_py()
        raise ValueError(f"column {name!r} is null in row {row}")
    return array


def key_column(batch: Any, name: str) -> Any:
    """A column of keys; strings as a dictionary."""
    array = plain(batch.column(name))
    return array.dictionary_encode() if is_text(array.type) else array


def plain(array: Any) -> Any:
    """The array without extensions and run ends; with strings that all casts know."""
    pyarrow = import_pyarrow()
    types = pyarrow.types
    if isinstance(array.type, pyarrow.BaseExtensionType):
        array = array.storage
    if types.is_run_end_encoded(array.type):
        array = pyarrow.compute.run_end_decode(array)
    if types.is_string_view(array.type):
        array = array.cast(pyarrow.large_string())
    elif types.is_dictionary(array.type):
        if types.is_string_view(array.type.value_type):
            values = array.dictionary.cast(pyarrow.large_string())
            array = pyarrow.DictionaryArray.from_arrays(array.indices, values)
    return array


def is_text(type_: Any) -> bool:
    return str(type_) in ("string", "large_string")


def as_numbers(array: Any) -> Array | None:
    """An array without nulls as NumPy's; None where it holds no numbers."""
    pyarrow = import_pyarrow()
    types, type_ = pyarrow.types, array.type
    if types.is_decimal(type_):
        # Of the text, since pyarrow does not round correctly on the direct way.
        array = array.cast(pyarrow.string()).cast(pyarrow.float64())
    elif not (
        types.is_integer(type_) or types.is_floating(type_) or types.is_boolean(type_)
    ):
        return None
    numbers: Array = array.to_numpy(zero_copy_only=False)
    return numbers


def codes_of(array: Any, classes: Sequence[Any], name: str) -> Array:
    """Codes of strings or of a dictionary; one too many for what is no class."""
    pyarrow = import_pyarrow()
    if is_text(array.type):
        array = array.dictionary_encode()
    if not pyarrow.types.is_dictionary(array.type):
        raise ValueError(
            f"column {name!r} holds {array.type}; labels are strings or whole numbers"
        )
    column = {label: code for code, label in enumerate(classes)}
    n = len(column)
    dtype = np.uint8 if n < 255 else np.int64
    found = [column.get(label, n) for label in array.dictionary.to_pylist()]
    codes = np.array(found, dtype)
    of_rows: Array = codes[array.indices.to_numpy(zero_copy_only=False)]
    return of_rows


def matrix(batch: Any, names: Sequence[str]) -> Array:
    """Numbers of a column, of a column of lists, or of several columns."""
    if len(names) == 1:
        return _vector_or_rows(column_of(batch, names[0]), names[0])
    columns = [_vector(column_of(batch, name), name) for name in names]
    dtype = np.result_type(*(column.dtype for column in columns))
    matrix = np.empty((len(batch), len(names)), dtype, order="F")
    for j, column in enumerate(columns):
        matrix[:, j] = column
    return matrix


def _vector(array: Any, name: str) -> Array:
    pyarrow = import_pyarrow()
    if pyarrow.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    numbers = as_numbers(array)
    if numbers is None:
        raise ValueError(f"column {name!r} holds {array.type} instead of numbers")
    return numbers


def _vector_or_rows(array: Any, name: str) -> Array:
    width = width_of(array)
    if width is None:
        return _vector(array, name)
    if not import_pyarrow().types.is_fixed_size_list(array.type):
        lengths = array.value_lengths().to_numpy()
        other = lengths != width
        if other.any():
            row = int(other.argmax())
            raise ValueError(
                f"column {name!r} must hold lists of one length, got {width} in row 0 "
                f"and {lengths[row]} in row {row}"
            )
    inner = array.flatten()
    if inner.null_count:
        row, column = divmod(inner.is_null().index(True).as_py(), width)
        raise ValueError(f"column {name!r} is null in row {row}, column {column}")
    return _vector(inner, name).reshape(len(array), width)


def width_of(array: Any) -> int | None:
    """Length of the first of some lists; None of what is no list."""
    types = import_pyarrow().types
    if types.is_fixed_size_list(array.type):
        return int(array.type.list_size)
    if types.is_list(array.type) or types.is_large_list(array.type):
        return int(array.value_lengths()[0].as_py()) if len(array) else 0
    return None
