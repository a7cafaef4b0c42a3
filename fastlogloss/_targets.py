"""Labels and targets: validated as far as reading can, with their weights."""

import math
from typing import NamedTuple

import numpy as np

from fastlogloss import _kernels
from fastlogloss._arrays import as_array, as_numbers, as_weights, is_array_like
from fastlogloss._columns import check_columns, column_names
from fastlogloss._engine import sum_of_weights
from fastlogloss._errors import (
    CHUNK,
    Objection,
    ZeroSum,
    describe,
    explain_labels,
    find,
    place,
    raise_changed,
    shortened,
)
from fastlogloss._labels import (
    DirectCodes,
    Encoded,
    Factorized,
    StoredCodes,
    class_list,
    encode,
    plain_strings,
    read,
    sorted_labels,
)

_IGNORED = -100  # the label of rows to be left out, to torch and what is built on it
# Machine epsilons of the narrow dtypes, by their name in whatever library.
_EPSILONS = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23}


class ManyHot(NamedTuple):
    """Rows of several labels: how often each is there."""

    counts: np.ndarray  # (n, K)


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
        Whether the labels are numbers that are taken to be codes. The kernel finds out.
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

    def __init__(self, codes, classes, n_classes, weights, weight_sum=None):
        self.codes = codes
        self.classes = classes
        self.n_classes = n_classes
        self.is_guess = self.needs_all = False
        self.takes_unseen = self.has_unseen = False
        self.weights = self.row_weights = weights
        self.times = self.minus = None
        self.weight_sum = weight_sum

    def __len__(self):
        return len(self.codes)


def read_weights(sample_weight, n, strict=True):
    """Weights of any real type, or None. With `strict` as scikit-learn reads them."""
    if sample_weight is None:
        return None
    weights = None
    if not strict or type(sample_weight) is np.ndarray or is_array_like(sample_weight):
        weights = as_weights(sample_weight, n)
    if weights is None:
        raise Objection(
            "sample_weight",
            lambda: (
                f"sample_weight must be {n} real numbers of up to 64 bits, got "
                f"{describe(sample_weight)}"
            ),
            unread=True,
        )
    return weights


def weigh(weights, n, mean=True):
    """The sum of weights that are finite; infinite where it is beyond floats.

    With `mean` it is not zero; without, at least one weight is not.
    """
    if weights is None:
        return float(n)
    total = _sum_weights(weights)
    if total == 0 or not math.isfinite(total):
        total = float(exact_weight(weights, mean))
    return total


def exact_weight(weights, mean):
    """Likewise the `Sum`, rounded once."""
    at = find(lambda w: ~np.isfinite(w), weights)
    if at is not None:
        raise Objection(
            "sample_weight",
            f"sample_weight must be finite, got {weights[at]} in {place(at)}",
        )
    total = sum_of_weights(weights)
    if math.isnan(total.value):
        raise_changed()
    if total.value == 0 and mean:
        raise Objection("sample_weight", "sample_weight sums to zero", error=ZeroSum)
    if total.value == 0 and find(lambda w: w != 0, weights) is None:
        raise Objection("sample_weight", "sample_weight is zero in all rows")
    return total


def _sum_weights(weights):
    # In chunks whatever the type and layout, of which no bit of the sum may depend. The
    # kernel keeps others from resizing a chunk, but not the array that it is a part of.
    guard = _kernels.loops.hold(weights)
    sums = []
    for start in range(0, len(weights), CHUNK):
        chunk = weights[start : start + CHUNK]
        chunk = np.require(chunk, np.float64, "CA")
        sums.append(_kernels.loops.sum_weights(chunk))
    del guard
    try:
        return math.fsum(sums)
    except (OverflowError, ValueError):  # the second of infinities of both signs
        return math.nan


def read_classes(labels, drop_in):
    """`labels` as a sorted list, or None, and whether they were in another order.

    `drop_in` as in `read_labels`.
    """
    if labels is None:
        return None, False
    array = None
    if type(labels) is list or is_array_like(labels):
        found = sorted_labels(labels)
        if found is not None:
            return found, False
        array = read(labels) if np.ndim(labels) == 1 else None
    if isinstance(array, Factorized):
        array = np.array(array.found)
    for values in (array, None if drop_in else plain_strings(labels)):
        found = None if values is None else _in_order(values)
        if found is not None and len(found) == len(labels):
            return found, found != values.tolist()
    raise Objection(
        "labels",
        lambda: f"labels must be at least two labels, all different, got {labels!r}",
        unread=True,
    )


def _in_order(values):
    try:
        return sorted_labels(np.sort(values))
    except TypeError:  # of objects that have no order
        return None


def read_targets(
    y_true, scores, weights, classes, names, *, drop_in, takes_unseen=False
):
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
        if codes.whole.shape != shape:
            raise Objection(
                "y_true",
                f"y_true has shape {codes.whole.shape}, but {names.scores} {shape}: "
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
        raise _no_vector(y_true, names)
    y = read_labels(y_true, names, drop_in)
    if _length(y) != shape[0]:
        raise Objection(
            "y_true",
            f"y_true has {_length(y)} rows, but {names.scores} {shape[0]}",
            unread=True,
        )
    codes = list(range(n_classes))
    if scores.columns is None and (classes is None or classes == codes):
        if isinstance(y, np.ndarray) and y.dtype.kind in "biuf":
            targets = Targets(DirectCodes(y), codes, n_classes, weights)
            targets.is_guess, targets.needs_all = True, classes is None
            targets.takes_unseen = takes_unseen
            return targets
    targets = Targets(None, classes, n_classes, weights)
    targets.takes_unseen = takes_unseen
    look_up(targets, y, classes, names, drop_in, scores.columns)
    return targets


def look_up(targets, y, classes, names, drop_in, columns=None):
    """Give `targets` the codes of labels that `read_labels` has read."""
    encoded = encode_labels(
        y, classes, targets.n_classes, names, drop_in, targets.takes_unseen
    )
    targets.codes, targets.classes, targets.has_unseen = encoded
    targets.is_guess = False
    check_columns(columns, targets.classes, names.scores)


def _many_hot(counts, scores, weights):
    """A row of several labels is a soft target, so many times as there are labels.

    Of the two values of a matrix one may be negative, to scikit-learn too.
    """
    times = np.maximum(counts, 0).sum(axis=1, dtype=np.float64)
    shares = np.maximum(counts, 0) / np.maximum(times, 1.0)[:, None]
    shares[times == 0, 0] = 1.0  # which counts for nothing
    if scores.p.ndim == 1:
        shares = shares[:, 1].copy()
    codes = DirectCodes(shares, np.float64, 1e-6)
    targets = Targets(codes, [], scores.n_classes, weights)
    targets.times = times
    targets.weights = times if weights is None else weights * times
    if (counts < 0).any():
        targets.minus = _many_hot(np.maximum(-counts, 0), scores, weights)
        targets.minus.weights = -targets.minus.weights
    return targets


def read_alone(y_true, sample_weight, classes, spec, names):
    """`Targets` of scores that are still to come: copies."""
    if classes is not None:
        classes = class_list(classes)
    tolerance = 0.0
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
    codes = StoredCodes(whole, tolerance)
    return Targets(codes, classes or [], n_classes, weights, total)


def read_soft(y_true, name="y_true"):
    """Soft targets as `DirectCodes`, not yet validated."""
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
    return DirectCodes(y, np.float64, tolerance)


def target_tolerance(dtype):
    """How far the sum of a row of targets may be from 1, of any library's dtype."""
    name = getattr(dtype, "name", None) or str(dtype).rpartition(".")[2]
    return max(1e-6, math.sqrt(_EPSILONS.get(name.lower(), 0.0)))


def read_labels(y_true, names, drop_in=False):
    """A vector of labels, as `_labels.read` has it.

    Strings of subclasses (members of an Enum) are the strings that they are; for a
    drop-in scikit-learn is asked, to which they are their texts.
    """
    y = read(y_true)
    if y is None and not drop_in:
        y = plain_strings(y_true)
    if y is None or not _length(y):
        raise _no_vector(y_true, names)
    return y


def _no_vector(y_true, names):
    def explain():
        array = as_array(y_true)
        is_vector = array is not None and (array.ndim == 1 or array.shape[1:] == (1,))
        if not is_vector:
            return f"{names.targets} must be a vector of labels, got {describe(y_true)}"
        if not len(array):
            return f"{names.targets} holds no labels"
        # numpy makes one type of a list of several
        labels = y_true if isinstance(y_true, list | tuple) else array.ravel()
        return explain_labels(labels, names.targets)

    return Objection("y_true", explain, unread=True)


def encode_labels(y, classes, n_classes, names, drop_in=False, takes_unseen=False):
    """`Encoded` labels that `read_labels` has read."""
    limit = _length(y) if classes is not None or n_classes is None else n_classes
    limit = max(limit, 2)
    encoded = encode(y, classes, limit=limit)
    if encoded is None and not drop_in:
        strings = None if isinstance(y, Factorized) else plain_strings(y)
        if strings is not None:
            encoded = encode(strings, classes, limit=limit)
    if encoded is None:

        def explain():
            of_rows = [y.found[i] for i in y.numbers] if type(y) is Factorized else y
            return explain_labels(of_rows, names.targets, limit, names.scores)

        raise Objection("y_true", explain, unread=True)
    if classes is None and not drop_in and _marks_rows(encoded.classes):
        raise Objection(
            "y_true",
            f"{names.targets} holds the label {_IGNORED}, with which torch marks rows "
            "that do not count: leave these out, or name all classes if it is one",
        )
    if encoded.unseen and not takes_unseen:
        raise Objection(
            "y_true", lambda: _explain_unseen(y, encoded, names), unread=True
        )
    if n_classes is not None and len(encoded.classes) != n_classes:
        raise Objection(
            "y_true",
            f"{names.targets} holds the labels {shortened(encoded.classes)}, but the "
            f"scores are for {n_classes} classes: name all of them (labels=)",
            unread=True,
        )
    return encoded


def _explain_unseen(y, encoded, names):
    for start in range(0, _length(y), CHUNK):
        code = encoded.codes.chunk(start, start + CHUNK)
        at = find(lambda code: code == len(encoded.classes), code)
        if at is not None:
            i = start + at[0]
            return (
                f"{names.targets} holds the label {_label(y, i)!r} in row {i}, "
                f"which is none of {shortened(encoded.classes)}"
            )
    raise_changed()


def _marks_rows(classes):
    # One class by its value, beside codes.
    return classes[0] == _IGNORED and classes[1:] and classes[1] >= 0


def _label(y, i):
    if isinstance(y, Factorized):
        return y.found[y.numbers[i]]
    return y[i : i + 1].tolist()[0]


def _length(y):
    return len(y.numbers) if isinstance(y, Factorized) else len(y)
