"""Log loss of Dask arrays and of columns of Dask DataFrames.

Design
A. Rows belong together by their position, as everywhere in this library. An index has
   no say: it may have gaps, repeat, or be sorted otherwise.
B. The classes are known up front. Rejected: to look for them, which is a pass more.
"""

import math
import warnings
from typing import Any, Literal

import numpy as np

from fastlogloss._columns import check_columns, column_names
from fastlogloss._dask_blocks import (
    Tasks,
    import_dask,
    in_blocks,
    is_array,
    is_frame,
    paired,
    with_lengths,
)
from fastlogloss._dask_tasks import Accumulator, Part, UnequalBlocks, tree_of_tasks
from fastlogloss._errors import caller_level, check_flag, in_our_words
from fastlogloss.accumulator import LogLossAccumulator
from fastlogloss.groups import GroupedLogLoss

_SHAPES = {"y": "(n,)", "p": "(n,) or (n, K)", "sample_weight": "(n,)", "by": "(n,)"}
# What there must be, and kinds of dtypes that are not.
_DTYPES = {
    "y": ("labels, strings or whole numbers", "cmMS"),
    "p": ("real numbers", "cmMSTU"),
    "sample_weight": ("real numbers", "cmMSTU"),
    "by": ("keys", ""),
}


@in_our_words
def log_loss(
    y: Any,
    p: Any,
    sample_weight: Any = None,
    by: Any = None,
    compute: bool = True,
    *,
    classes: Any = None,
    eps: float | Literal["auto"] = "auto",
    from_logits: bool = False,
) -> Any:
    """Log loss of Dask arrays or of columns of Dask DataFrames, exactly.

    The result is that of one machine, to the last bit, whatever the chunks and the
    scheduler. It needs Dask: ``pip install "fastlogloss[dask]"``.

    Parameters
    ----------
    y : dask Array or Series of shape (n_samples,)
        Labels. For this and all that follow, arrays in memory are taken too, beside a
        collection of Dask. Rows belong together by their position, whatever the chunks
        and the index.
    p : dask Array, Series or DataFrame, of shape (n_samples,) or (n_samples, n_classes)
        Probabilities or logits; a vector is that of the second of two classes.
    sample_weight : dask Array or Series of shape (n_samples,), default=None
        Weights of the rows; some may be negative.
    by : dask Array or Series of shape (n_samples,), default=None
        The key of each row. A DataFrame, or a list or tuple of columns, is one key of
        several parts.
    compute : bool, default=True
        With False nothing is computed yet.
    classes : array-like of shape (n_classes,), default=None
        The label of each column of `p`, in this order. By default they are 0 to
        n_classes - 1: blocks may lack some of them.
    eps : "auto" or float in [0, 0.5), default="auto"
        Where to clip probabilities; "auto" is 2.2e-16, whatever their dtype.
    from_logits : bool, default=False
        `p` holds logits, which are not clipped.

    Returns
    -------
    LogLossAccumulator, GroupedLogLoss or dask.delayed.Delayed
        With `by` a GroupedLogLoss; without `compute` a Delayed of either. Losses are in
        nats.

    Raises
    ------
    TypeError, ValueError
        For arguments that are not as above, at once where that needs no computing. The
        message names argument and row: counted over all rows, or, where lengths of
        blocks are not known, over those of its block, which is counted from 0 too.
        Of several bad blocks, any may be named: work ends with the first that fails.
    ValueError
        For blocks that do not pair. Where lengths are unknown, blocks are paired if
        there are equally many. Else, and where paired ones turn out to be unequal, the
        lengths of partitions of DataFrames are computed first; with ``compute=False``,
        and of arrays, that is an error that says how to make them known.
    ImportError
        Without Dask.

    Warns
    -----
    UserWarning
        If rows of `p` do not sum to one.

    See Also
    --------
    fastlogloss.LogLossAccumulator : What comes back; on one machine, `update` it.
    fastlogloss.GroupedLogLoss : The same for groups.

    Examples
    --------
    >>> import dask.array as da
    >>> from fastlogloss.integrations.dask import log_loss
    >>> y = da.from_array([0, 1, 1, 0], chunks=2)
    >>> p = da.from_array([0.1, 0.7, 0.8, 0.6], chunks=3)
    >>> log_loss(y, p)
    LogLossAccumulator(n_samples=4, loss=0.4004)
    >>> log_loss(y, p, by=["shop", "search", "shop", "search"]).loss.round(4)
    array([0.6365, 0.1643])
    """
    check_flag("compute", compute)
    dask = import_dask()
    given = _by_name(dask, y, p, sample_weight, by)
    shapes = [_checked_shape(dask, name, value) for name, value in given.items()]
    kind = LogLossAccumulator if by is None else GroupedLogLoss
    n_classes = max([2, *shapes[1][1:]])
    labels = range(n_classes) if classes is None else classes
    empty = kind(labels, eps=eps, from_logits=from_logits)
    if len(empty.classes) != n_classes:
        raise ValueError(
            f"p is for {n_classes} classes, but classes has {len(empty.classes)}"
        )
    if is_frame(p):
        check_columns(column_names(p), empty.classes, "p")
    rows, sources = in_blocks(dask, given)
    tasks = Tasks(sources)
    root = tree_of_tasks(tasks, empty, [*given], paired(tasks, rows, bool(compute)))
    if not compute:
        return tasks.delayed(tasks.add("log-loss", finished, root))
    try:
        return finished(tasks.delayed(root).compute())
    except UnequalBlocks:
        if {r.is_frame for r in rows if r.lengths is None} != {True}:
            raise
    tasks = Tasks(sources)
    rows = with_lengths(tasks, rows)
    root = tree_of_tasks(tasks, empty, [*given], paired(tasks, rows, True))
    return finished(tasks.delayed(root).compute())


def _by_name(dask: Any, y: Any, p: Any, weights: Any, by: Any) -> dict[str, Any]:
    """The arguments, and each column of `by`, by their names."""
    given = {"y": y, "p": p}
    if weights is not None:
        given["sample_weight"] = weights

    def is_column(x: Any) -> bool:  # or a key
        return type(x) is not tuple and (dask.is_dask_collection(x) or np.ndim(x) > 0)

    if type(by) is tuple or (type(by) is list and by and all(map(is_column, by))):
        if not by:
            raise ValueError("by must have at least one column, got none")
        given |= {f"column {i} of by": column for i, column in enumerate(by)}
    elif by is not None:
        given["by"] = by
    return given


def _checked_shape(dask: Any, name: str, value: Any) -> tuple[Any, ...]:
    """The shape, with NaN for an unknown length; an error for what is no argument."""
    argument = "by" if name.endswith(" of by") else name
    if is_frame(value):
        shape: Any = (math.nan, len(value.columns))[: value.ndim]
    elif is_array(value):
        shape = value.shape
    elif (
        isinstance(value, str | bytes | dict | set | frozenset)
        or dask.is_dask_collection(value)
        or not hasattr(value, "__len__")
    ):
        hint = "; give the column itself" if isinstance(value, str) else ""
        raise TypeError(
            f"{name} must be a Dask array, a column of a Dask DataFrame or an array, "
            f"got {type(value).__name__}{hint}"
        )
    else:
        shape = getattr(value, "shape", None)
        if not isinstance(shape, tuple):
            shape = (len(value),) if argument == "by" else _shape_of_list(name, value)
    width = 1 if len(shape) == 1 else shape[1] if len(shape) == 2 else 0
    is_table = name == "p" or (name == "by" and hasattr(value, "columns"))
    is_flat = argument != "sample_weight" or len(shape) == 1
    if not (width == 1 or (is_table and width > 1)) or not is_flat:
        hint = "; compute_chunk_sizes() makes it known" if math.isnan(width) else ""
        raise ValueError(
            f"{name} must be of shape {_SHAPES[argument]}, got {tuple(shape)}{hint}"
        )
    if shape[0] == 0:
        raise ValueError(f"{name} holds no rows")
    must, kinds = _DTYPES[argument]
    of_columns = len(shape) == 2 and hasattr(value, "dtypes")
    for dtype in value.dtypes if of_columns else [getattr(value, "dtype", None)]:
        kind = "U" if str(dtype).startswith("str") else getattr(dtype, "kind", "O")
        if kind in kinds:
            raise ValueError(f"{name} must hold {must}, got the dtype {dtype}")
    return tuple(shape)


def _shape_of_list(name: str, values: Any) -> tuple[int, ...]:
    try:
        return np.shape(values)
    except ValueError as error:
        raise ValueError(f"{name} is no array: {error}") from None


def finished(part: Part) -> Accumulator:
    """The result, of which it warns."""
    if not np.any(part.found.n_samples):
        raise ValueError("p holds no rows")
    if part.warning is not None:
        warnings.warn(part.warning, UserWarning, stacklevel=caller_level())
    return part.found
