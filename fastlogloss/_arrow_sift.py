"""Batches of Arrow without the rows that are not valid, which are counted by reason."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastlogloss._arrays import Array
from fastlogloss._arrow import Columns
from fastlogloss._arrow_arrays import (
    as_numbers,
    codes_of,
    import_pyarrow,
    matrix,
    plain,
    width_of,
)
from fastlogloss._exact import LEAST_WEIGHT, MOST_WEIGHT


class Sift:
    """What leaves rows out of batches.

    Parameters
    ----------
    columns : Columns
    classes : sequence
    skipped : Counter
        Rows that were left out, by reason; it is counted on.
    """

    def __init__(
        self, columns: Columns, classes: Sequence[Any], skipped: Counter[str]
    ) -> None:
        self._columns = columns
        self._classes = classes
        self._skipped = skipped

    def valid(self, batch: Any) -> Any:
        """The rows that are valid."""
        columns = self._columns
        batch = self._with_labels(batch, *columns.label)
        for name in columns.scores:
            batch = self._with_scores(batch, name)
        for name in columns.weight:
            batch = self._with_weights(batch, name)
        return batch

    def _with_labels(self, batch: Any, name: str) -> Any:
        batch = self._without_nulls(batch, name)
        if not len(batch):
            return batch
        labels = plain(batch.column(name))
        numbers = as_numbers(labels)
        if numbers is None:
            codes = codes_of(labels, self._classes, name)
            unknown = codes == len(self._classes)
        else:
            unknown = ~np.isin(numbers, np.array(self._classes))
        return self._without(batch, unknown, f"{name} is no class")

    def _with_scores(self, batch: Any, name: str) -> Any:
        batch = self._without_nulls(batch, name)
        if len(batch):
            nan = np.isnan(_rows(batch, name)).any(axis=1)
            batch = self._without(batch, nan, f"{name} is NaN")
        if len(batch) and not self._columns.are_logits:
            scores = _rows(batch, name)
            outside = ~((scores >= 0) & (scores <= 1)).all(axis=1)
            batch = self._without(batch, outside, f"{name} is outside [0, 1]")
        return batch

    def _with_weights(self, batch: Any, name: str) -> Any:
        batch = self._without_nulls(batch, name)
        if len(batch):
            infinite = ~np.isfinite(matrix(batch, (name,)))
            batch = self._without(batch, infinite, f"{name} is not finite")
        if len(batch):
            size = np.abs(matrix(batch, (name,)).astype(np.float64))
            outside = (size != 0) & ~((size >= LEAST_WEIGHT) & (size <= MOST_WEIGHT))
            batch = self._without(batch, outside, f"{name} is out of range")
        return batch

    def _without_nulls(self, batch: Any, name: str) -> Any:
        array = plain(batch.column(name))
        nulls = array.is_null().to_numpy(zero_copy_only=False)
        batch = self._without(batch, nulls, f"{name} is null")
        array = plain(batch.column(name))
        width = width_of(array)
        inner = array.flatten() if width else array
        if width and inner.null_count and len(inner) == width * len(array):
            nulls = inner.is_null().to_numpy(zero_copy_only=False)
            nulls = nulls.reshape(len(array), width).any(axis=1)
            batch = self._without(batch, nulls, f"{name} is null")
        return batch

    def _without(self, batch: Any, wrong: Any, reason: str) -> Any:
        n = int(np.count_nonzero(wrong))
        if not n:
            return batch
        self._skipped[reason] += n
        return batch.filter(import_pyarrow().array(~wrong))


def _rows(batch: Any, name: str) -> Array:
    scores: Array = matrix(batch, (name,)).reshape(len(batch), -1)
    return scores
