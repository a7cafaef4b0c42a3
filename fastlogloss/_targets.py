"""Labels and targets: validated as far as reading can, with their weights."""

import math
from typing import Any, NamedTuple

import numpy as np

from fastlogloss._arrays import Array, as_numbers, is_array_like
from fastlogloss._classes import (
    Labels,
    encode_labels,
    n_labels,
    no_vector,
    read_labels,
)
from fastlogloss._columns import check_columns, column_names
from fastlogloss._engine import Spec
from fastlogloss._errors import CHUNK, Names, Objection, describe, raise_changed
from fastlogloss._labels import Codes, Encoded, class_list
from fastlogloss._weights import read_weights, weigh

# Machine epsilons of floats of less than 64 bits, by their name in whatever library.
_EPSILONS = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23}


class ManyHot(NamedTuple):
    """Rows of several labels: how often each is there."""

    counts: Array  # (n, K)


class Targets:
    """Labels or targets of all rows, and their weights.

    Attributes
    ----------
    codes
        See `_labels`; for soft targets they are the targets.
    classes : list
        The label of each column; empty where soft targets have no names.
    n_classes : int
    is_guess : bool
        Whether the labels are numbers that are taken to be codes, or the classes that
        are named. The kernel finds out.
    needs_all : bool
        Whether all classes have to occur among such labels: a few of others (1 and 2,
        and here only 1) may look like codes.
    takes_unseen, has_unseen : bool
        Whether labels may be none of the classes, and so have probability zero; and
        whether some are. Their code is `n_classes`.
    weights : ndarray or None
        Those of the rows, times `times`.
    times : ndarray or None
        How many labels there are in each row, where that is not one; and
    row_weights : ndarray or None
        the weights without it, by which a mean is taken.
    minus : Targets or None
        What is to be taken away: labels that count less than nothing.
    weight_sum : float or None
        Of `row_weights`, where it is known; infinite beyond the range of floats.
    """

    __slots__ = (
        *("classes", "codes", "has_unseen", "is_guess", "minus", "n_classes"),
        *("needs_all", "row_weights", "takes_unseen", "times", "weight_sum", "weights"),
    )
    codes: Codes
    classes: list[Any]
    weights: Array | None
    times: Array | None
    row_weights: Any
    minus: Any  # Targets or None
    weight_sum: Any

    def __init__(
        self,
        codes: Any,
        classes: Any,
        n_classes: int,
        weights: Array | None,
        weight_sum: float | None = None,
    ) -> None:
        self.codes = codes
        self.classes = classes
        self.n_classes = n_classes
        self.is_guess = self.needs_all = False
        self.takes_unseen = self.has_unseen = False
        self.weights = self.row_weights = weights
        self.times = self.minus = None
        self.weight_sum = weight_sum

    def __len__(self) -> int:
        return len(self.codes)


def read_targets(
    y_true: Any,
    scores: Any,
    weights: Array | None,
    classes: list[Any] | None,
    names: Names,
    *,
    drop_in: bool,
    takes_unseen: bool = False,
) -> Targets:
    """`Targets` for `Scores`; `drop_in` as in `read_labels`."""
    n_classes, shape = scores.n_classes, scores.p.shape
    if classes is not None and len(classes) != n_classes:
        raise Objection(
            "labels",
            f"there are {len(classes)} labels, but {n_classes} columns of "
            f"{names.scores}",
            unread=not scores.spec.soft,
        )
    if isinstance(y_true, ManyHot):
        return _many_hot(y_true.counts, scores, weights)
    if scores.spec.soft:
        codes = read_soft(y_true, names.targets)
        if codes.y.shape != shape:
            raise Objection(
                "y_true",
                f"y_true has shape {codes.y.shape}, but {names.scores} {shape}: "
                "there must be a soft target for each score",
            )
        of_targets = column_names(y_true)
        check_columns(of_targets, classes, names.targets, "y_true")
        classes = classes or of_targets or []
        check_columns(scores.columns, classes, names.scores)
        return Targets(codes, classes, n_classes, weights)
    if isinstance(y_true, Encoded):
        check_columns(scores.columns, y_true.classes, names.scores)
        return Targets(y_true.codes, y_true.classes, n_classes, weights)
    if not (type(y_true) is np.ndarray or is_array_like(y_true)):
        raise no_vector(y_true, names)
    y = read_labels(y_true, names, drop_in)
    if n_labels(y) != shape[0]:
        raise Objection(
            "y_true",
            f"y_true has {n_labels(y)} rows, but {names.scores} {shape[0]}",
            unread=True,
        )
    numbers = list(range(n_classes))
    if scores.columns is None and (classes is None or classes == numbers):
        if isinstance(y, np.ndarray) and y.dtype.kind in "biuf":
            targets = Targets(Codes(y), numbers, n_classes, weights)
            targets.is_guess, targets.needs_all = True, classes is None
            targets.takes_unseen = takes_unseen
            return targets
    targets = Targets(None, classes, n_classes, weights)
    targets.takes_unseen = takes_unseen
    is_sure = classes is None or takes_unseen
    look_up(targets, y, classes, names, drop_in, scores.columns, is_sure)
    targets.is_guess = not is_sure and targets.codes.classes is not None
    return targets


def look_up(
    targets: Targets,
    y: Labels,
    classes: list[Any] | None,
    names: Names,
    drop_in: bool,
    columns: list[Any] | None = None,
    is_sure: bool = True,
) -> None:
    """Give `targets` the codes of labels that `read_labels` has read.

    `is_sure` as of `_labels.encode`.
    """
    encoded = encode_labels(
        y, classes, targets.n_classes, names, drop_in, targets.takes_unseen, is_sure
    )
    targets.codes, targets.classes, targets.has_unseen = encoded
    targets.is_guess = False
    check_columns(columns, targets.classes, names.scores)


def _many_hot(counts: Array, scores: Any, weights: Array | None) -> Targets:
    """A row of several labels is a soft target, so many times as there are labels.

    Of the two values of a matrix one may be negative, to scikit-learn too.
    """
    times = np.maximum(counts, 0).sum(axis=1, dtype=np.float64)
    shares = np.maximum(counts, 0) / np.maximum(times, 1.0)[:, None]
    shares[times == 0, 0] = 1.0  # which counts for nothing
    if scores.p.ndim == 1:
        shares = shares[:, 1].copy()
    codes = Codes(shares, None, 1e-6)
    targets = Targets(codes, [], scores.n_classes, weights)
    targets.times = times
    targets.weights = times if weights is None else weights * times
    if (counts < 0).any():
        targets.minus = _many_hot(np.maximum(-counts, 0), scores, weights)
        targets.minus.weights = -targets.minus.weights
    return targets


def read_alone(
    y_true: Any, sample_weight: Any, classes: Any, spec: Spec, names: Names
) -> Targets:
    """`Targets` of scores that are still to come: copies."""
    if classes is not None:
        classes = class_list(classes)
    tolerance = 0.0
    y: Any
    if spec.soft:
        soft = read_soft(y_true, names.targets)
        y, tolerance = soft.y, soft.tolerance
        n_classes = 2 if y.ndim == 1 else y.shape[1]
        if classes is not None and len(classes) != n_classes:
            raise Objection(
                "classes",
                f"classes has {len(classes)} labels, {names.targets} {n_classes} "
                "columns",
            )
        of_targets = column_names(y_true)
        check_columns(of_targets, classes, names.targets, "y_true")
        if y.ndim == 2:
            classes = classes or of_targets
        whole = np.array(y, np.float64, order="C")
    else:
        y = read_labels(y_true, names)
        codes, classes, _ = encode_labels(y, classes, None, names)
        n_classes = len(classes)
        if n_classes < 2:
            raise Objection(
                "y_true",
                f"{names.targets} holds only the label {classes[0]!r}: name all of "
                "them (classes=)",
            )
        whole = np.empty(len(codes), np.uint8 if n_classes <= 255 else np.int64)
        for start in range(0, len(codes), CHUNK):
            code = codes.chunk(start, start + CHUNK)
            if not 0 <= code.min() <= code.max() < n_classes:
                raise_changed()
            whole[start : start + CHUNK] = code
    weights = read_weights(sample_weight, len(whole), strict=False)
    if weights is not None:  # a copy: nobody else may change what is validated
        weights = weights.astype(np.float64)
    total = weigh(weights, len(whole))
    codes = Codes(whole, None, tolerance)
    return Targets(codes, classes or [], n_classes, weights, total)


def read_soft(y_true: Any, name: str = "y_true") -> Codes:
    """Soft targets as `Codes`, not yet validated."""
    y = as_numbers(y_true)
    if y is None or y.dtype.kind not in "fiub" or y.ndim not in (1, 2):
        raise Objection(
            "y_true",
            lambda: (
                f"soft targets {name} must be real numbers of shape (n_samples,) or "
                f"(n_samples, n_classes), got {describe(y_true)}"
            ),
        )
    if y.size == 0:
        raise Objection("y_true", f"{name} holds no targets")
    tolerance = max(
        target_tolerance(y.dtype), target_tolerance(getattr(y_true, "dtype", None))
    )
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    return Codes(y, None, tolerance)


def target_tolerance(dtype: Any) -> float:
    """How far the sum of a row of targets may be from 1, of any library's dtype."""
    name = getattr(dtype, "name", None) or str(dtype).rpartition(".")[2]
    return max(1e-6, math.sqrt(_EPSILONS.get(name.lower(), 0.0)))
