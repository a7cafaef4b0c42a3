"""Losses and derivatives of scores, where fastlogloss owns the words.

`log_loss` as a drop-in hands what it does not read over to scikit-learn. Logits, soft
targets and derivatives have no counterpart there: here is their validation, and every
error names the argument and the first row that is wrong.
"""

import functools
import math
import warnings
from numbers import Real
from typing import NamedTuple

import numpy as np

from fastlogloss import _kernels
from fastlogloss._arrays import as_array, as_columns, as_numbers, as_scores, as_weights
from fastlogloss._engine import (
    INVALID,
    Options,
    add,
    new_spec,
    overlap,
    sum_of_weights,
    worst_rows,
)
from fastlogloss._errors import (
    CHUNK,
    caller_level,
    check_flag,
    check_out,
    check_rows,
    describe,
    explain_labels,
    find,
    place,
    raise_changed,
    shortened,
)
from fastlogloss._labels import (
    Codes,
    Factorized,
    class_list,
    encode,
    plain_strings,
    read,
    sorted_labels,
)

# Hessians of softmax: exact, and as two libraries of boosted trees have them.
HESSIANS = {
    "exact": lambda n_classes: 1.0,
    "xgboost": lambda n_classes: 2.0,
    "lightgbm": lambda n_classes: n_classes / (n_classes - 1),
}
_BIG = 600  # exponent that takes any weight, and its inverse, far from the ends
_IGNORED = -100  # the label of rows to be left out, to torch and what is built on it
_BAD_LABEL = _kernels.loops.BAD_LABEL
_BAD_PROBA = _kernels.loops.BAD_PROBA
_BAD_SCORE = _kernels.loops.BAD_SCORE
# Machine epsilons of the narrow dtypes, by their name in whatever library.
_EPSILONS = {"bfloat16": 2.0**-7, "float16": 2.0**-10, "float32": 2.0**-23}


class Targets:
    """Labels or targets of all rows, and their weights, validated.

    Attributes
    ----------
    codes
        See `_labels`; for soft targets they are the targets.
    classes : list or None
        The label of each column; None for soft targets and for labels that are
        codes, as far as the kernel will find.
    weights : ndarray of float64 or None
    weight_sum : float
        Infinite where it is beyond the range of floats.
    """

    __slots__ = ("classes", "codes", "n_classes", "weight_sum", "weights")

    def __init__(self, codes, classes, n_classes, weights, weight_sum):
        self.codes = codes
        self.classes = classes
        self.n_classes = n_classes
        self.weights = weights
        self.weight_sum = weight_sum

    def __len__(self):
        return len(self.codes)


def checked_options(eps, from_logits, soft_targets, label_smoothing, name="y_score"):
    """`Options` of the arguments that the public functions have in common."""
    eps = checked_eps(eps)
    check_flag("from_logits", from_logits)
    check_flag("soft_targets", soft_targets)
    if not isinstance(label_smoothing, Real) or isinstance(label_smoothing, bool):
        raise TypeError(f"label_smoothing must be a number, got {label_smoothing!r}")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing!r}")
    flags = bool(from_logits), bool(soft_targets)
    return Options(eps, *flags, float(label_smoothing), name=name)


class Scores(NamedTuple):
    """Scores that have the right shape; their numbers are not yet validated."""

    p: np.ndarray  # (n,) or (n, K)
    n_classes: int
    shape: tuple  # as they came
    names: list | None  # of their columns
    options: Options  # with their precision


def read_scores(y_score, options):
    """`Scores`, or an error."""
    p, dtype = as_scores(y_score)
    n_classes, shape = 0, ()
    if p is not None:
        shape = p.shape
        p, n_classes = as_columns(p)
    if n_classes < 2:
        raise ValueError(
            f"{options.name} must hold real numbers, of shape (n_samples,) or "
            f"(n_samples, n_classes), got {describe(y_score)}"
        )
    if len(p) == 0:
        raise ValueError(f"{options.name} holds no rows")
    names = None if type(y_score) is np.ndarray else column_names(y_score)
    if dtype is not options.precision:
        options = options.of_precision(dtype)
    return Scores(p, n_classes, shape, names, options)


def column_names(values):
    """Names of the columns of a data frame or of a Series, or None.

    A pandas frame that nobody has given names counts its columns, also those of a slice
    of it: these are none.
    """
    attribute = _names_attribute(type(values))
    try:
        names = getattr(values, attribute) if attribute else None
        if attribute == "name":
            return [names] if isinstance(names, str) else None
        is_count = getattr(names, "step", 0) == 1  # of a RangeIndex
        return None if names is None or is_count else list(names)
    except Exception:  # of a foreign object
        return None


@functools.lru_cache(maxsize=64)
def _names_attribute(kind):
    # The columns of pyarrow's tables, which have names, are arrays.
    attributes = ("column_names", "columns", "name")
    return next((a for a in attributes if hasattr(kind, a)), None)


def check_columns(names, classes, what):
    """Raise for columns that are named for classes, but not in the order of these.

    Columns are known by their place. Names that have nothing to do with the classes do
    not matter, nor does a count from 0, beside classes that are other numbers.
    """
    if not names or not classes:
        return
    found, wanted = [_text(name) for name in names], [_text(c) for c in classes]
    if found == wanted:
        return
    if len(found) == 1 and len(wanted) == 2:
        # A vector is that of the second class. P[1] may be the second column of P, so
        # that only texts that do not count name a class.
        if isinstance(classes[0], str) and found[0] == wanted[0] != "0":
            raise ValueError(
                f"{what} is named {names[0]!r}, but a single column has to be that of "
                f"{classes[1]!r}"
            )
        return
    is_count = found == [str(i) for i in range(len(found))]
    if set(found) == set(wanted) or (set(found) & set(wanted) and not is_count):
        raise ValueError(
            f"the columns of {what} are {shortened(names)}, but the classes are "
            f"{shortened(classes)}: select or rename the columns, in this order"
        )


def _text(label):
    """What the name of a column and a class are compared by.

    1, 1.0, True and the texts of them agree.
    """
    text = str.__str__(label) if isinstance(label, str) else str(label)
    text = {"True": "1", "False": "0"}.get(text, text)
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text


def read_weights(sample_weight, n, mean=True):
    """Weights, of any real type, and their sum; None and `n` where there are none.

    The sum is infinite where it is beyond the range of floats. With `mean` it is not
    zero; without, at least one weight is not.
    """
    if sample_weight is None:
        return None, float(n)
    weights = as_weights(sample_weight, n)
    if weights is None:
        raise ValueError(
            f"sample_weight must be {n} real numbers of up to 64 bits, got "
            f"{describe(sample_weight)}"
        )
    total = float(sum_of_weights(weights))
    if total == 0 or not math.isfinite(total):
        at = find(lambda w: ~np.isfinite(w), weights)
        if at is not None:
            raise ValueError(
                f"sample_weight must be finite, got {weights[at]} in {place(at)}"
            )
        if math.isnan(total):
            raise_changed()
    if total == 0:
        if mean:
            raise ValueError("sample_weight sums to zero")
        if find(lambda w: w != 0, weights) is None:
            raise ValueError("sample_weight is zero in all rows")
    return weights, total


def read_targets(y_true, scores, weights, weight_sum, classes=None):
    """`Targets` for `Scores`.

    Without `classes`, plain numbers are taken to be codes; `sum_losses` finds out.
    """
    options, n_classes, shape = scores.options, scores.n_classes, scores.p.shape
    n = shape[0]
    if classes is not None and len(classes) != n_classes:
        raise ValueError(
            f"there are {len(classes)} labels, but {n_classes} columns of "
            f"{options.name}"
        )
    if options.soft:
        codes = read_soft(y_true, options.y_name)
        if codes.y.shape != shape:
            raise ValueError(
                f"y_true has shape {codes.y.shape}, but {options.name} {shape}: "
                "there must be a soft target for each score"
            )
        names = column_names(y_true)
        check_columns(names, classes, options.y_name)
        check_columns(scores.names, classes or names, options.name)
        return Targets(codes, None, n_classes, weights, weight_sum)
    y = read_labels(y_true, options.y_name)
    if _length(y) != n:
        raise ValueError(f"y_true has {_length(y)} rows, but {options.name} {n}")
    if scores.names is None and (classes is None or classes == list(range(n_classes))):
        if isinstance(y, np.ndarray) and y.dtype.kind in "biuf":
            return Targets(Codes(y), None, n_classes, weights, weight_sum)
    codes, classes = encode_labels(y, classes, n_classes, options)
    check_columns(scores.names, classes, options.name)
    return Targets(codes, classes, n_classes, weights, weight_sum)


def read_targets_alone(y_true, sample_weight, classes, options):
    """`Targets` of scores that are still to come: copies, of which all is validated."""
    y_name = options.y_name
    if classes is not None:
        classes = class_list(classes)
    tolerance = 0.0
    if options.soft:
        targets = read_soft(y_true, y_name)
        y, tolerance = targets.y, targets.tolerance
        n_classes = 2 if y.ndim == 1 else y.shape[1]
        if classes is not None and len(classes) != n_classes:
            raise ValueError(
                f"classes has {len(classes)} labels, {y_name} {n_classes} columns"
            )
        names = column_names(y_true)
        check_columns(names, classes, y_name)
        if y.ndim == 2:
            classes = classes or names
        whole = np.array(y, np.float64, order="C")
    else:
        y = read_labels(y_true, y_name)
        codes, classes = encode_labels(y, classes, None, options)
        n_classes = len(classes)
        if n_classes < 2:
            raise ValueError(
                f"{y_name} holds only the label {classes[0]!r}: name all of them "
                "(classes=)"
            )
        whole = np.empty(len(codes), np.uint8 if n_classes <= 255 else np.int64)
        for start in range(0, len(codes), CHUNK):
            code = codes.chunk(start, start + CHUNK)
            if not 0 <= code.min() <= code.max() < n_classes:
                raise_changed()
            whole[start : start + CHUNK] = code
    if sample_weight is not None:
        weights = as_weights(sample_weight, len(whole))
        if weights is not None:  # a copy: nobody else may change what is validated
            sample_weight = weights.astype(np.float64)
    weights, total = read_weights(sample_weight, len(whole))
    codes = Codes(whole, None, tolerance)
    targets = Targets(codes, classes or (), n_classes, weights, total)
    if options.soft:
        logits = options._replace(from_logits=True)
        sum_losses(targets, np.zeros(whole.shape), logits, check_only=True)
    return targets


def read_soft(y_true, name="y_true"):
    """Soft targets as `Codes`, not yet validated."""
    y = as_numbers(y_true)
    if y is None or y.dtype.kind not in "fiub" or y.ndim not in (1, 2):
        raise ValueError(
            f"soft targets {name} must be real numbers of shape (n_samples,) or "
            f"(n_samples, n_classes), got {describe(y_true)}"
        )
    if y.size == 0:
        raise ValueError(f"{name} holds no targets")
    tolerance = max(
        target_tolerance(y.dtype), target_tolerance(getattr(y_true, "dtype", None))
    )
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    return Codes(y, None, tolerance)


def target_tolerance(dtype):
    """How far the sum of a row of targets may be from 1, of any library's dtype."""
    name = getattr(dtype, "name", None) or str(dtype).rpartition(".")[2]
    return max(1e-6, math.sqrt(_EPSILONS.get(name.lower(), 0.0)))


def read_labels(y_true, name="y_true"):
    y = read(y_true)
    if y is None:
        y = plain_strings(y_true)
    if y is not None and _length(y):
        return y
    array = as_array(y_true)
    is_vector = array is not None and (array.ndim == 1 or array.shape[1:] == (1,))
    if is_vector and not len(array):
        raise ValueError(f"{name} holds no labels")
    if is_vector:  # numpy makes one type of a list of several
        labels = y_true if isinstance(y_true, list | tuple) else array.ravel()
        explain_labels(labels, name)
    raise ValueError(f"{name} must be a vector of labels, got {describe(y_true)}")


def encode_labels(y, classes, n_classes, options):
    """Codes of the labels that `read_labels` has read, and what they stand for."""
    limit = _length(y) if classes is not None or n_classes is None else n_classes
    encoded = encode(y, classes, limit=max(limit, 2))
    if encoded is None:
        strings = None if isinstance(y, Factorized) else plain_strings(y)
        if strings is not None:
            encoded = encode(strings, classes, limit=max(limit, 2))
    if encoded is None:
        labels = [y.found[i] for i in y.numbers] if isinstance(y, Factorized) else y
        explain_labels(labels, options.y_name, max(limit, 2), options.name)
    if classes is None and _marks_rows(encoded.classes):
        raise ValueError(
            f"{options.y_name} holds the label {_IGNORED}, with which torch marks rows "
            "that do not count: leave these out, or name all classes if it is one"
        )
    if encoded.unseen:
        for start in range(0, _length(y), CHUNK):
            code = encoded.codes.chunk(start, start + CHUNK)
            at = find(lambda code: code == len(encoded.classes), code)
            if at is not None:
                i = start + at[0]
                raise ValueError(
                    f"{options.y_name} holds the label {_label(y, i)!r} in row {i}, "
                    f"which is none of {shortened(encoded.classes)}"
                )
        raise_changed()
    if n_classes is not None and len(encoded.classes) != n_classes:
        raise ValueError(
            f"{options.y_name} holds the labels {shortened(encoded.classes)}, but the "
            f"scores are for {n_classes} classes: name all of them (labels=)"
        )
    return encoded.codes, encoded.classes


def _marks_rows(classes):
    # One class by its value, beside codes.
    return classes[0] == _IGNORED and classes[1:] and classes[1] >= 0


def _label(y, i):
    if isinstance(y, Factorized):
        return y.found[y.numbers[i]]
    return y[i : i + 1].tolist()[0]


def sum_losses(
    targets, p, options, *, check_seen=False, warn=True, rows=None, **outputs
):
    """`Sums` over valid rows, or the error that says what is wrong.

    With `check_seen`, labels taken as codes have to be all of them, since a few of
    others (1 and 2, and here only 1) may look like codes. With `warn`, rows of
    probabilities whose sum is not one are a warning.
    """
    sums = add(targets.codes, p, targets.weights, options, rows, **outputs)
    status = sums.status & INVALID
    if not status:
        complete = (
            targets.classes is not None
            or options.soft
            or not check_seen
            or sums.n_classes_seen == targets.n_classes
        )
        if complete:
            if warn and sums.bad_sum_from >= 0:
                warn_of_sums(p, options, sums.bad_sum_from)
            return sums
    if status in (0, _BAD_LABEL) and targets.classes is None and not options.soft:
        # The labels are no codes. Once more, with codes.
        y, limit = targets.codes.y, targets.n_classes
        classes = None if check_seen else list(range(limit))
        targets.codes, targets.classes = encode_labels(y, classes, limit, options)
        return sum_losses(targets, p, options, warn=warn, rows=rows, **outputs)
    _explain(status, targets, p, options)


def _explain(status, targets, p, options):
    """Find the first row that the kernel stumbled over, and say so."""
    name, y_name = options.name, options.y_name
    if status & _BAD_SCORE:
        at = find(np.isnan, p)
        if at is not None:
            raise ValueError(f"{name} is NaN in {place(at, options)}")
    if status & _BAD_PROBA:
        at = find(_outside, p)
        if at is not None:
            hint = "" if np.isnan(p[at]) else "; are these logits (from_logits=True)?"
            raise ValueError(
                f"{name} must be probabilities in [0, 1], got {p[at]} in "
                f"{place(at, options)}{hint}"
            )
    if status & _kernels.loops.BAD_TARGET:
        t = targets.codes.y
        at = find(_outside, t)
        if at is not None:
            raise ValueError(f"{y_name} must be in [0, 1], got {t[at]} in {place(at)}")
        if t.ndim == 2:
            tolerance = targets.codes.tolerance
            at = find(lambda t: ~(np.abs(_running(t) - 1) <= tolerance), t)
            if at is not None:
                total = _running(t[at])
                raise ValueError(
                    f"the targets {y_name} of {place(at)} sum to {total}, not to 1 "
                    f"within {tolerance:.2g}; to make them, "
                    f"{y_name} / {y_name}.sum(axis=1, keepdims=True)"
                )
    raise_changed()


def _outside(values):
    return ~((values >= 0) & (values <= 1))


def _running(rows):
    # The sum from left to right, rounded as in the kernel.
    return np.add.accumulate(rows, axis=-1, dtype=np.float64)[..., -1]


def warn_of_sums(p, options, first=0):
    """Warn of the row whose sum is furthest from 1, which is not before `first`."""
    worst, worst_total = 0, 1.0
    for _, _, row, total in worst_rows(p, first):
        if math.isnan(total):
            raise_changed()
        if abs(total - 1.0) > abs(worst_total - 1.0):
            worst, worst_total = row, total
    warnings.warn(
        f"The rows of {options.name} do not sum to one. Make sure to pass "
        f"probabilities. The worst is {place((worst,), options)}, which sums to "
        f"{worst_total}.",
        UserWarning,
        stacklevel=caller_level(),
    )


def write_rows(codes, p, options, out):
    """Losses of rows that have been validated, into `out`, which they may overlap."""
    check_rows(out, len(p))
    rows = np.empty(len(p)) if overlap(out, p, codes.y) else out
    if add(codes, p, None, options, rows).status & INVALID:
        raise_changed()
    if rows is not out:
        out[...] = rows
    return out


def derivatives(targets, scores, *, normalize, order, hessian, out, check_seen=False):
    """(loss, gradient) or, for `order` 2, (loss, gradient, hessian)."""
    p, options, shape = scores.p, scores.options, scores.shape
    check_flag("normalize", normalize)
    if not isinstance(hessian, str) or hessian not in HESSIANS:
        raise ValueError(f"hessian must be one of {list(HESSIANS)}, got {hessian!r}")
    if hessian != "exact" and not options.from_logits:
        raise ValueError(f"hessian={hessian!r} is for from_logits=True")
    names = ("gradient", "hessian")[:order]
    factor = HESSIANS[hessian](targets.n_classes) if p.ndim == 2 else 1.0
    scaling = {"hessian_factor": factor}
    if normalize:
        # Where 1 / weight_sum would overflow, or be no normal number; powers of 2
        # change no bit of the mean.
        total, exponent = abs(targets.weight_sum), 0
        if total < 1e-290:
            exponent = -_BIG
        elif total > 2.0**1020:
            exponent = _BIG
        if exponent:
            whole = sum_of_weights(targets.weights)
            total = math.ldexp(whole.value, whole.exponent - exponent)
            scaling["weight_factor"] = 2.0**-exponent
        else:
            total = targets.weight_sum
        if total == 0 or math.isnan(total):  # it was neither when it was validated
            raise_changed()
        scaling["scale"] = 1.0 / total
    if out is None:
        dtype = np.float32 if p.dtype.type is np.float32 else np.float64
        outs = [np.empty(shape, dtype) for _ in names]
    else:
        outs = _checked_outs(out, order, shape)
        for i, o in enumerate(outs):
            if overlap(o, p, targets.weights, targets.codes.y, *outs[:i]):
                raise ValueError("out overlaps with another argument")
        # All is validated before the first derivative is written.
        sum_losses(targets, p, options, check_seen=check_seen, check_only=True)
        check_seen = False
    outputs = {name: o.reshape(p.shape) for name, o in zip(names, outs, strict=True)}
    sums = sum_losses(
        targets,
        p,
        options,
        check_seen=check_seen,
        warn=out is None,  # else it has been given
        **outputs,
        **scaling,
    )
    return sums.mean if normalize else float(sums.loss), *outs


def _checked_outs(out, order, shape):
    names = ("out",) if order == 1 else ("out[0]", "out[1]")
    outs = (out,) if order == 1 else out
    if not isinstance(outs, tuple | list) or len(outs) != order:
        raise TypeError(
            "out must be a pair of arrays: for the gradient and the hessian"
        )
    for name, array in zip(names, outs, strict=True):
        check_out(array, (np.float64, np.float32), name)
        if array.shape != shape:
            raise ValueError(f"{name} has shape {array.shape}, but y_score {shape}")
    return outs


def new_template(p_ndim, targets, options):
    """The `Spec` of `LogLoss` of short arrays."""
    n_columns = 1 if p_ndim == 1 else targets.n_classes
    return new_spec(n_columns, options, targets.codes.tolerance)


def _length(y):
    return len(y.numbers) if isinstance(y, Factorized) else len(y)


def checked_labels(labels):
    """`labels` as a sorted list, for the functions that scikit-learn does not have."""
    if labels is None:
        return None
    found = sorted_labels(labels)
    if found is None:
        strings = plain_strings(labels)
        found = None if strings is None else sorted_labels(strings)
    if found is None:
        raise ValueError(
            "labels must be at least two labels, sorted and all different; LogLoss "
            f"takes classes in any order. Got {labels!r}"
        )
    return found


def checked_eps(eps):
    """A float, or None for "auto"."""
    if isinstance(eps, str) and eps == "auto":
        return None
    if not isinstance(eps, Real) or isinstance(eps, bool):
        raise TypeError(f"eps must be 'auto' or a number in [0, 0.5), got {eps!r}")
    if not 0 <= eps < 0.5:
        raise ValueError(f"eps must be 'auto' or a number in [0, 0.5), got {eps!r}")
    return float(eps)
