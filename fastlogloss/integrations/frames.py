"""Log loss of data frames: in memory by the kernels, else inside their engine.

Design
------
(a) Frames that are in memory are Arrow already, or nearly so: the kernels take them
    batch by batch, and sums are exact. Rejected: one expression for all frames, which
    takes up to four times as long in memory, and rounds.
(b) What is lazy stays where it is: narwhals' expressions of `_query` run inside the
    engine, and a row for each group leaves it.
(c) Types are compared before an engine sees them: messages name column and type.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any, Literal, NamedTuple

import narwhals.stable.v2 as nw

from fastlogloss._arrow import Columns, feed_batches, open_stream
from fastlogloss._arrow_arrays import is_text, n_classes_of, plain
from fastlogloss._arrow_sift import Sift
from fastlogloss._batches import Batches
from fastlogloss._errors import shortened
from fastlogloss._exact import empty_state
from fastlogloss._lazy_frames import LazyColumns, collected
from fastlogloss._query_result import read, settled, skips, state_of
from fastlogloss.accumulator import LogLossAccumulator
from fastlogloss.groups import GroupedLogLoss

__all__ = ["log_loss"]


def log_loss(
    frame: Any,
    *,
    label: str,
    proba: str | Sequence[str] | None = None,
    logit: str | Sequence[str] | None = None,
    weight: str | None = None,
    by: str | Sequence[str] | None = None,
    classes: Any = None,
    eps: float | Literal["auto"] = "auto",
    on_invalid: Literal["error", "skip"] = "error",
    lazy: bool = False,
) -> Any:
    """Log loss of the rows of a data frame, in memory or inside the engine it is of.

    Parameters
    ----------
    frame : data frame
        In memory, of pandas, polars, pyarrow and what else narwhals or
        :meth:`LogLossAccumulator.update_from` know: its sums are exact, and need
        pyarrow. Or lazy: a LazyFrame of polars, a relation of DuckDB, a DataFrame of
        PySpark (classic or Connect), which sums up itself in one pass.
    label : str
        The column of the labels: numbers, booleans, strings or categories.
    proba, logit : str or list of str
        One of the two: the column of the scores of the second of two classes, or one
        for each class; in memory also a column of lists.
    weight : str, default=None
        The column of the weights; some may be negative.
    by : str or list of str, default=None
        The column of the keys of groups; several are one key of several parts.
    classes : array-like of shape (n_classes,), default=None
        The label of each column of the scores, in this order: 0, 1, ... by default.
    eps : "auto" or float in [0, 0.5), default="auto"
        Where to clip probabilities; "auto" is 2.2e-16.
    on_invalid : {"error", "skip"}, default="error"
        What to do with rows with nulls, NaN, labels that are no class, probabilities
        outside [0, 1], and weights that are infinite or out of range: raise, or leave
        them out. Their number is then that of the rows of the frame, less `n_samples`.
    lazy : bool, default=False
        Return the sums as a lazy frame of the engine, of which nothing is computed:
        `n_rows`, `sum_wl` and so on, after the columns of `by`.

    Returns
    -------
    LogLossAccumulator, GroupedLogLoss with `by`, or the engine's own lazy frame
        `loss` and the like are in nats. Where an engine made the sums `exact` is False,
        and they are within some 1e-12, relative, of the exact ones.

    Raises
    ------
    ValueError, TypeError
        For columns that are missing or of a wrong type, and rows that are not valid: in
        memory with column and row, of engines how many for which reason.
    ImportError
        For frames in memory without pyarrow.

    See Also
    --------
    LogLossAccumulator.update_from : More rows, batch by batch.

    Examples
    --------
    >>> import polars
    >>> from fastlogloss.integrations import frames
    >>> log = polars.DataFrame(
    ...     {"click": [0, 1, 0], "p": [0.1, 0.7, 0.4], "day": ["mon", "mon", "tue"]}
    ... )
    >>> frames.log_loss(log, label="click", proba="p")
    LogLossAccumulator(n_samples=3, loss=0.3243)
    >>> found = frames.log_loss(log.lazy(), label="click", proba="p", by="day")
    >>> found
    GroupedLogLoss(n_groups=2, n_samples=3, loss=0.3243)
    >>> found.exact
    False
    """
    leaves_out = skips(on_invalid)
    native = nw.to_native(frame, pass_through=True)
    if nw.dependencies.is_dask_dataframe(native):
        raise TypeError(
            "frames of Dask are for fastlogloss.integrations.dask.log_loss, which is "
            "exact"
        )
    names = label, proba, logit, weight, () if by is None else by
    asked = _Asked(names, classes, eps, leaves_out)
    try:
        known = nw.from_native(native)
    except (TypeError, ValueError):  # batches, datasets; columns of one name
        known = None
    if isinstance(known, nw.LazyFrame):
        return _of_engine(known, asked, lazy)
    if lazy:
        raise ValueError(
            "lazy=True is for lazy frames; this one is in memory (it may have .lazy())"
        )
    return _in_memory(native if known is None else _as_read(known, asked), asked)


class _Asked(NamedTuple):
    """What has been asked for."""

    names: tuple[Any, ...]  # arguments of Columns
    classes: Any
    eps: Any
    skips: bool

    def columns(self, n_classes: int = 2) -> tuple[Batches, Columns]:
        """With 0, 1, ... for the classes where they are not given."""
        classes = self.classes
        if classes is None:
            classes = range(max(n_classes, 2))
        batches = Batches(classes, self.eps, self.names[2] is not None)
        return batches, Columns(batches, *self.names)

    def check_labels(self, batches: Batches, are_text: bool, words: str) -> None:
        """Raise where classes are strings and labels are not, or the other way."""
        if are_text and self.classes is None:
            raise ValueError(
                f"{words}: name all classes (classes=), in the order of the scores"
            )
        if are_text != isinstance(batches.classes[0], str):
            which = "numbers" if are_text else "strings"
            raise ValueError(
                f"{words}, but the classes are {which}: {shortened(batches.classes)}"
            )


def _as_read(frame: Any, asked: _Asked) -> Any:
    """The frame as it is if Arrow knows its library; else a table of its columns."""
    library = frame.implementation
    if library.is_pandas() or library.is_polars() or library.is_pyarrow():
        return frame.to_native()
    _, columns = asked.columns()
    columns.check(frame.columns)
    return frame.select(columns.names).to_arrow()


def _in_memory(source: Any, asked: _Asked) -> Any:
    """The exact sums, by the kernels."""
    _, columns = asked.columns()
    stream = iter(open_stream(source, columns))
    first = next((batch for batch in stream if len(batch)), None)
    if first is None:
        raise ValueError("there are no rows")
    batches, columns = asked.columns(n_classes_of(first, columns.scores))
    (name,) = columns.label
    labels = plain(first.column(name))
    if labels.null_count < len(labels):
        type_ = getattr(labels.type, "value_type", labels.type)
        words = f"column {name!r} holds {labels.type}"
        asked.check_labels(batches, is_text(type_), words)
    skipped: Counter[str] = Counter()
    sift = Sift(columns, batches.classes, skipped).valid if asked.skips else None
    found: Any
    if columns.by:
        found = GroupedLogLoss._with(batches)
    else:
        found = LogLossAccumulator._of(batches, empty_state(len(batches.classes)))
    n = feed_batches(chain([first], stream), columns, found._add, sift)
    if n == skipped.total():
        raise ValueError(f"no rows are left of {n}")
    return found


def _of_engine(frame: Any, asked: _Asked, lazy: bool) -> Any:
    """The sums that the engine makes."""
    _, columns = asked.columns()
    batches, columns = asked.columns(len(columns.scores))
    source = LazyColumns(frame, columns)
    source.check_types()
    are_text = source.are_labels_text
    if are_text is not None:
        asked.check_labels(batches, are_text, source.text_of(*columns.label))
    query, sums = source.sums(batches)
    if lazy:
        return source.under_own_names(sums).to_native()
    table, arrays = collected(sums)
    found = settled(read(arrays, query.n_classes), columns, asked.skips)
    if not columns.by:
        return LogLossAccumulator._of(batches, state_of(found))
    parts = tuple(table[key].to_native() for key in query.keys)
    return GroupedLogLoss._of_sums(
        batches, parts if len(parts) > 1 else parts[0], found
    )
