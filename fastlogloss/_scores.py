"""Losses and derivatives of scores, where fastlogloss owns the words.

`log_loss` as a drop-in hands what it does not read over to scikit-learn. Logits, soft
targets and derivatives have no counterpart there: here is their validation, and every
error names the argument and the first row that is wrong.
"""

import math
import sys
import warnings
from numbers import Real

import numpy as np

from fastlogloss import _kernels
from fastlogloss._inputs import (
    BAD_ROW_SUM,
    INVALID,
    Options,
    add,
    as_columns,
    as_numbers,
    as_weights,
    new_state,
)
from fastlogloss._targets import (
    DirectCodes,
    Factorized,
    StoredCodes,
    as_array,
    encode,
    read,
    sorted_labels,
)

# Hessians of softmax: exact, and as two libraries of boosted trees have them.
HESSIANS = {
    "exact": lambda n_classes: 1.0,
    "xgboost": lambda n_classes: 2.0,
    "lightgbm": lambda n_classes: n_classes / (n_classes - 1),
}
_BAD_LABEL = _kernels.loops.BAD_LABEL
_BAD_PROBA = _kernels.loops.BAD_PROBA
_BAD_SCORE = _kernels.loops.BAD_SCORE
_TARGET_TOLERANCE = 1e-6  # as in the kernel


class Targets:
    """Labels or targets of all rows, and their weights, validated.

    Attributes
    ----------
    codes
        See `_targets`; for soft targets they are the targets.
    classes : list or None
        The label of each column; None for soft targets and for labels that are
        codes, as far as the kernel will find.
    weights : ndarray of float64 or None
    weight_sum : float
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
    if not isinstance(label_smoothing, Real):
        raise TypeError(f"label_smoothing must be a number, got {label_smoothing!r}")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing!r}")
    return Options(
        eps, bool(from_logits), bool(soft_targets), float(label_smoothing), name
    )


def read_scores(y_score, name="y_score"):
    """`y_score` as (n,) or (n, K) numbers, and the number of classes."""
    p = as_numbers(y_score)
    n_classes = 0
    if p is not None:
        p, n_classes = as_columns(p)
    if n_classes < 2:
        raise ValueError(
            f"{name} must hold real numbers, of shape (n_samples,) or "
            f"(n_samples, n_classes), got {_describe(y_score)}"
        )
    if len(p) == 0:
        raise ValueError(f"{name} holds no rows")
    return p, n_classes


def read_weights(sample_weight, n):
    """Weights as float64 and their sum; None and `n` where there are none."""
    if sample_weight is None:
        return None, float(n)
    weights = as_weights(sample_weight, n)
    if weights is None:
        raise ValueError(
            f"sample_weight must be {n} real numbers, got {_describe(sample_weight)}"
        )
    if weights.dtype.str[1:] == "f8":  # others are converted where they are read
        weights = np.require(weights, np.float64, "CA")
    total = _sum_weights(weights)
    if not math.isfinite(total):
        i = _first(~(np.isfinite(weights) & (weights >= 0)))
        if i is not None:
            raise ValueError(
                "sample_weight must be finite and not negative, got "
                f"{weights[i]} in row {i}"
            )
        total = _sum_weights(np.abs(weights))  # there was a -0.0, or the sum overflows
        if not math.isfinite(total):
            raise ValueError("the sum of sample_weight is not finite")
    if total == 0:
        raise ValueError("sample_weight sums to zero")
    return weights, total


def _sum_weights(weights):
    sum_weights = _kernels.loops.sum_weights
    if weights.dtype == np.float64:
        return sum_weights(weights)
    chunks = (weights[i : i + 16384] for i in range(0, len(weights), 16384))
    return math.fsum(sum_weights(np.require(c, np.float64, "CA")) for c in chunks)


def read_targets(y_true, n_classes, shape, weights, weight_sum, options, classes=None):
    """`Targets` for scores of `n_classes` and `shape`.

    Without `classes`, plain numbers are taken to be codes; `sum_losses` finds out.
    """
    n = shape[0]
    if options.soft:
        codes = read_soft(y_true)
        if codes.whole.shape != shape:
            raise ValueError(
                f"y_true has shape {codes.whole.shape}, but {options.name} {shape}: "
                "there must be a soft target for each score"
            )
        return Targets(codes, None, n_classes, weights, weight_sum)
    y = read_labels(y_true)
    if _length(y) != n:
        raise ValueError(f"y_true has {_length(y)} rows, but {options.name} {n}")
    if classes is not None and len(classes) != n_classes:
        raise ValueError(
            f"there are {len(classes)} labels, but {n_classes} columns of "
            f"{options.name}"
        )
    if classes is None or classes == list(range(n_classes)):
        if isinstance(y, np.ndarray) and y.dtype.kind in "biuf":
            return Targets(DirectCodes(y), None, n_classes, weights, weight_sum)
    codes, classes = encode_labels(y, classes, n_classes)
    return Targets(codes, classes, n_classes, weights, weight_sum)


def read_soft(y_true):
    """Soft targets as `StoredCodes`: float64, not yet validated."""
    y = as_numbers(y_true)
    if y is None or y.dtype.kind not in "fiub" or y.ndim not in (1, 2):
        raise ValueError(
            "soft targets y_true must be real numbers of shape (n_samples,) or "
            f"(n_samples, n_classes), got {_describe(y_true)}"
        )
    if len(y) == 0:
        raise ValueError("y_true holds no targets")
    y = np.require(y, np.float64, "CA")
    return StoredCodes(y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y)


def read_labels(y_true):
    y = read(y_true)
    if y is None or _length(y) == 0:
        raise ValueError(f"y_true must be a vector of labels, got {_describe(y_true)}")
    return y


def encode_labels(y, classes, n_classes):
    """Codes of the labels that `read_labels` has read, and what they stand for."""
    limit = _length(y) if classes is not None or n_classes is None else n_classes
    encoded = encode(y, classes, limit=max(limit, 2))
    if encoded is None:
        if isinstance(y, np.ndarray) and y.dtype.kind == "f":
            i = _first(~(np.isfinite(y) & (y == np.floor(y))))
            if i is not None:
                raise ValueError(
                    f"y_true must hold labels, whole numbers among them, got {y[i]} in "
                    f"row {i}; are these soft targets (soft_targets=True)?"
                )
        raise ValueError(
            "y_true must hold labels, strings or whole numbers, of not more than "
            f"{limit} kinds"
        )
    if encoded.unseen:
        code = np.concatenate(
            [encoded.codes.chunk(i, i + 16384) for i in range(0, _length(y), 16384)]
        )
        i = _first(code == len(encoded.classes))
        label = y.found[y.numbers[i]] if isinstance(y, Factorized) else y[i : i + 1]
        label = label.tolist()[0] if isinstance(label, np.ndarray) else label
        raise ValueError(
            f"y_true holds the label {label!r} in row {i}, which is none of "
            f"{encoded.classes}"
        )
    if n_classes is not None and len(encoded.classes) != n_classes:
        _raise_missing(encoded.classes, n_classes)
    return encoded.codes, encoded.classes


def _raise_missing(found, n_classes):
    raise ValueError(
        f"y_true holds the labels {found}, but the scores are for {n_classes} classes: "
        "name all of them (labels= or classes=)"
    )


def sum_losses(targets, p, options, *, check_seen=False, rows=None, **outputs):
    """A `LossState` of valid rows, or the error that says what is wrong.

    With `check_seen`, labels taken as codes have to be all of them, since a few of
    others (1 and 2, and here only 1) may look like codes.
    """
    state = add(targets.codes, p, targets.weights, options, rows, **outputs)
    status = state.status & INVALID
    if not status:
        complete = (
            targets.classes is not None
            or options.soft
            or not check_seen
            or state.n_classes_seen == targets.n_classes
        )
        if complete:
            if state.status & BAD_ROW_SUM:
                _warn_of_sums(p, options.name)
            return state
    if status in (0, _BAD_LABEL) and targets.classes is None and not options.soft:
        # The labels are no codes. Once more, with codes.
        y, limit = targets.codes.y, targets.n_classes
        classes = None if check_seen else list(range(limit))
        targets.codes, targets.classes = encode_labels(y, classes, limit)
        return sum_losses(targets, p, options, rows=rows, **outputs)
    _explain(status, targets, p, options.name)


def _explain(status, targets, p, name):
    """Find the first row that the kernel stumbled over, and say so."""
    if status & _BAD_SCORE:
        i = _first(np.isnan(p))
        raise ValueError(f"{name} is NaN in row {i}")
    if status & _BAD_PROBA:
        i = _first(~((p >= 0) & (p <= 1)))
        raise ValueError(
            f"{name} must be probabilities in [0, 1], got {p[i]} in row {i}; are "
            "these logits (from_logits=True)?"
        )
    if status & _kernels.loops.BAD_TARGET:
        t = targets.codes.whole
        i = _first(~((t >= 0) & (t <= 1)))
        if i is not None:
            raise ValueError(f"y_true must be in [0, 1], got {t[i]} in row {i}")
        i = _first(~(np.abs(t.sum(axis=1) - 1) <= _TARGET_TOLERANCE))
        raise ValueError(f"the targets y_true of row {i} sum to {t[i].sum()}, not to 1")
    raise RuntimeError(f"an argument changed while it was read (status {status})")


def _warn_of_sums(p, name):
    total = p.sum(axis=1, dtype=np.float64)
    i = int(np.abs(total - 1).argmax())
    if np.isnan(total[i]):
        raise ValueError(f"{name} is NaN in row {i}")
    warnings.warn(
        f"The rows of {name} do not sum to one. Make sure to pass probabilities. The "
        f"worst is row {i}, which sums to {total[i]}.",
        UserWarning,
        stacklevel=_caller_level(),
    )


def _caller_level():
    """`stacklevel` of the first frame that is not ours."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals["__name__"].startswith("fastlogloss."):
        frame, level = frame.f_back, level + 1
    return level


def derivatives(
    targets, p, options, shape, *, normalize, order, hessian, out, check_seen=False
):
    """(loss, gradient) or, for `order` 2, (loss, gradient, hessian)."""
    if not isinstance(hessian, str) or hessian not in HESSIANS:
        raise ValueError(f"hessian must be one of {list(HESSIANS)}, got {hessian!r}")
    if hessian != "exact" and not options.from_logits:
        raise ValueError(f"hessian={hessian!r} is for from_logits=True")
    names = ("gradient", "hessian")[:order]
    if normalize and targets.weight_sum < 1e-290:
        # 1 / weight_sum would overflow; powers of 2 change no bit of the mean.
        scale = 2.0**600
        targets = Targets(
            targets.codes,
            targets.classes,
            targets.n_classes,
            targets.weights * scale,
            targets.weight_sum * scale,
        )
    factor = HESSIANS[hessian](targets.n_classes) if p.ndim == 2 else 1.0
    scaling = {
        "scale": 1.0 / targets.weight_sum if normalize else 1.0,
        "hessian_factor": factor,
    }
    if out is None:
        dtype = np.float32 if p.dtype == np.float32 else np.float64
        outputs = {name: np.empty(p.shape, dtype) for name in names}
        state = sum_losses(
            targets, p, options, check_seen=check_seen, **outputs, **scaling
        )
    else:
        outs = out if order > 1 else (out,)
        outputs = dict(zip(names, _checked_outs(outs, order, shape), strict=True))
        _refuse_overlap(outputs, targets, p)
        # All is validated before the first derivative is written.
        sum_losses(targets, p, options, check_seen=check_seen, check_only=True)
        outputs = {name: o.reshape(p.shape) for name, o in outputs.items()}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # has been given
            state = sum_losses(targets, p, options, **outputs, **scaling)
    loss = state.loss / state.weight if normalize else state.loss
    if out is None:
        return loss, *(o.reshape(shape) for o in outputs.values())
    return loss, *outs


def _checked_outs(outs, order, shape):
    if not isinstance(outs, tuple | list) or len(outs) != order:
        raise TypeError(
            "out must be a pair of arrays: for the gradient and the hessian"
        )
    for out in outs:
        if not isinstance(out, np.ndarray) or out.dtype not in (np.float64, np.float32):
            raise TypeError("out must be an ndarray of float64 or float32")
        if not out.flags.writeable:
            raise ValueError("out is read-only")
        if out.shape != shape:
            raise ValueError(f"out has shape {out.shape}, but y_score {shape}")
    return outs


def _refuse_overlap(outputs, targets, p):
    outs = list(outputs.values())
    read = [p, targets.weights, getattr(targets.codes, "y", targets.codes.whole)]
    for i, out in enumerate(outs):
        for other in [a for a in read if a is not None] + outs[i + 1 :]:
            if np.may_share_memory(out, other):
                raise ValueError("out overlaps with another argument")


def new_template(p_ndim, n_classes, options):
    """A `LossState` for `loops.mean_like`: what `LogLoss` of short arrays goes by."""
    like = np.empty(0) if p_ndim == 1 else np.empty((0, n_classes))
    return new_state(like, options)


def _length(y):
    return len(y.numbers) if isinstance(y, Factorized) else len(y)


def _first(wrong):
    """Row of the first True, or None."""
    if wrong.ndim > 1:
        wrong = wrong.any(axis=1)
    return int(wrong.argmax()) if wrong.any() else None


def _describe(value):
    array = as_array(value)
    if array is None:
        return type(value).__name__
    return f"{type(value).__name__} of shape {array.shape} and dtype {array.dtype}"


def checked_labels(labels):
    """`labels` as a sorted list, for the functions that scikit-learn does not have."""
    if labels is None:
        return None
    found = sorted_labels(labels)
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
