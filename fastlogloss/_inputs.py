"""Array-likes to what the kernels read, and the sums over them.

Everything returns None for input that is off the fast path; the caller then hands over
to scikit-learn, which accepts it, warns or raises.
"""

import functools
import math
import sys
from decimal import Decimal
from numbers import Real
from typing import NamedTuple

import numpy as np

from fastlogloss import _kernels
from fastlogloss._kernels._labels import kinds
from fastlogloss._sums import Sum, sum_of_chunks, sum_of_products
from fastlogloss._targets import (
    DirectCodes,
    Factorized,
    StoredCodes,
    as_array,
    encode,
    read,
    sorted_labels,
)
from fastlogloss._threads import threads_for

LossState = _kernels.LossState
BAD_ROW_SUM = _kernels.loops.BAD_ROW_SUM
INVALID = ~BAD_ROW_SUM  # whatever else is wrong
_BAD_LABEL = _kernels.loops.BAD_LABEL

_CHUNK = 16384
_CHANGED = "{} was changed by another thread during the call"
_PLAIN = frozenset([np.ndarray, list])  # containers that need no closer look
_MAX_WORK = 1000  # of a search that decides most cases at once


_EPS = 2.0**-52
# Machine epsilons; probabilities of all other types are made float64.
_NARROW_EPS = {np.dtype(np.float32): 2.0**-23, np.dtype(np.float16): 2.0**-10}


@functools.lru_cache(maxsize=256)
def limits(dtype, n_columns):
    """Machine epsilon, and how far from 1 the sum of a row is sure to be good.

    scikit-learn adds up in the dtype of the probabilities, and in another order. Each
    addition may be rounded otherwise than ours; but for that of two float64.
    """
    eps = _NARROW_EPS.get(dtype, _EPS)
    additions = n_columns - 1
    rounding = additions * _EPS if additions > 1 else 0.0
    if eps != _EPS:
        rounding += n_columns * eps / 2
    return eps, sum_tolerance(eps) - rounding


def sum_tolerance(eps):
    """How far from 1 scikit-learn takes a sum: isclose(sum, 1, rtol=sqrt(eps))."""
    return 1e-8 + math.sqrt(eps)


_FLOAT64 = np.dtype(np.float64)
_PRECISIONS = frozenset([_FLOAT64, *_NARROW_EPS])
DOUBLE = limits(_FLOAT64, 1000)  # for all that take the short way


class Evaluation:
    """Validated sums over all rows, and what a second pass needs.

    Attributes
    ----------
    loss, weight : Sum
        Sums of ``w * -log(q)`` (nats) and of ``w``.
    bad_sum_from : int
        A row of the probabilities before which the sums of all are sure to be one; -1
        where they are of all rows.
    codes, proba, weights
        Codes of the labels (see `_targets`; None where some have no column),
        probabilities, weights or None.
    precision : dtype
        That in which scikit-learn would read the probabilities.
    rows : ndarray or None
        The loss of each row, where asked for; then there are no sums.
    """

    __slots__ = (
        *("bad_sum_from", "codes", "loss", "precision", "proba", "rows"),
        *("weight", "weights"),
    )

    def __init__(self, sums, codes, proba, precision, weights, rows):
        self.loss = sums.loss
        self.weight = sums.weight
        self.bad_sum_from = sums.bad_sum_from
        self.codes = codes
        self.proba = proba
        self.precision = precision
        self.weights = weights
        self.rows = rows

    @property
    def mean(self):
        return self.loss.over(self.weight)

    @property
    def n_classes(self):
        """Number of columns, counting that of class 0 where it is left out."""
        return 2 if self.proba.ndim == 1 else self.proba.shape[1]


def evaluate(
    y_true,
    y_proba,
    sample_weight=None,
    labels=None,
    eps=None,
    *,
    rows=False,
    classes=None,
    from_logits=False,
):
    """Validate all rows and sum their losses, or with `rows` list them.

    `labels` and the arguments before it are those of the public functions; `eps` None
    means that of the dtype. With `from_logits`, `y_proba` holds logits. `classes` is
    the label of each column, in any order; a label that is none of them has
    probability zero.

    Returns
    -------
    Evaluation or None
        None where scikit-learn has to be asked.
    """
    if type(y_true) not in _PLAIN and not _is_array_like(y_true):
        return None
    if type(y_proba) not in _PLAIN:
        if not _is_array_like(y_proba) or _has_sparse_columns(y_proba):
            return None
    p, dtype = as_scores(y_proba)
    if p is None:
        return None
    p, n_classes = as_columns(p)
    if n_classes < 2 or not len(p):
        return None
    weights = None
    if sample_weight is not None:
        if type(sample_weight) not in _PLAIN and not _is_array_like(sample_weight):
            return None
        weights = as_weights(sample_weight, len(p))
        if weights is None:
            return None
    if labels is not None:
        classes = sorted_labels(labels) if _is_array_like(labels) else None
        if classes is None:
            return None
    if classes is not None and len(classes) != n_classes:
        return None
    y = read(y_true)
    if y is None or len(y[0] if type(y) is Factorized else y) != len(p):
        return None
    options = _USUAL
    if eps is not None or from_logits or dtype is not _FLOAT64:
        options = Options(eps, from_logits, precision=dtype)
    out = np.empty(len(p)) if rows else None
    if classes is None or classes == list(range(n_classes)):
        # Most labels are 0 to n_classes - 1: let the kernel find out.
        if type(y) is np.ndarray and _is_real(y):
            codes = DirectCodes(y)
            state = add(codes, p, weights, options, out)
            if not state.status & INVALID:
                if classes is not None or state.n_classes_seen == n_classes:
                    return _finite(
                        Evaluation(state, codes, p, options.precision, weights, out)
                    )
            elif not state.status & _BAD_LABEL:
                return None
    strict = labels is not None or classes is None
    encoded = encode(y, classes, limit=n_classes if strict else len(p))
    if (
        encoded is None
        or (strict and encoded.unseen)
        or len(encoded.classes) != n_classes
    ):
        return None
    codes = encoded.codes
    if encoded.unseen:
        return _evaluate_unseen(codes, p, weights, options)
    state = add(codes, p, weights, options, out)
    if state.status & INVALID:
        return None
    return _finite(Evaluation(state, codes, p, options.precision, weights, out))


def _evaluate_unseen(codes, p, weights, options):
    """`evaluate` where some rows have a label, and so a code, without a column."""
    code = np.concatenate(
        [codes.chunk(i, i + _CHUNK) for i in range(0, len(codes), _CHUNK)]
    )
    unseen = code >= (2 if p.ndim == 1 else p.shape[1])
    w = np.ones(len(p)) if weights is None else weights.astype(np.float64)
    lost = sum_of_products(w[unseen])
    w[unseen] = 0.0
    code[unseen] = 0
    state = add(StoredCodes(code), p, w, options)
    if state.status & INVALID:
        return None
    found = Evaluation(state, None, p, options.precision, weights, None)
    low = 0.0  # no logit is that of an impossible class but an infinite one
    if not options.from_logits:
        low = limits(options.precision, 2)[0] if options.eps is None else options.eps
    found.weight += lost
    if lost.value:
        found.loss += lost.times(-math.log(low) if low else math.inf)
    return _finite(found)


class Options(NamedTuple):
    """What scores and targets mean; the defaults are those of probabilities."""

    eps: float | None = None  # None: that of the precision
    from_logits: bool = False
    soft: bool = False
    smoothing: float = 0.0
    precision: np.dtype = _FLOAT64  # of the scores; see the function
    # The rest is about scores that scikit-learn does not see.
    name: str = "y_score"  # where something is wrong with them
    of: str = ""  # " of model 3", likewise
    y_name: str = "y_true"

    def of_precision(self, dtype):
        """The same for scores of another precision."""
        return self if dtype is self.precision else self._replace(precision=dtype)


_USUAL = Options()


class Sums(NamedTuple):
    """What a pass over all rows has found."""

    loss: Sum
    weight: Sum
    status: int  # union of the flags BAD_*
    bad_sum_from: int  # as of an Evaluation
    n_classes_seen: int

    @property
    def mean(self):
        """That of validated rows, whose weights did not sum to zero then."""
        if self.weight.value == 0:
            raise RuntimeError(_CHANGED.format("sample_weight"))
        return self.loss.over(self.weight)


def new_state(p, options, target_tolerance=0.0):
    """An empty `LossState` for scores like `p`."""
    n_columns = 1 if p.ndim == 1 else p.shape[1]
    low, tolerance = limits(options.precision, max(n_columns, 2))
    if options.eps is not None:
        low = options.eps
    return LossState(
        n_columns,
        low,
        1.0 - low,
        tolerance,
        from_logits=options.from_logits,
        soft=options.soft,
        smoothing=options.smoothing,
        target_tolerance=target_tolerance,
    )


def add(
    codes,
    p,
    weights,
    options,
    rows=None,
    *,
    gradient=None,
    hessian=None,
    weight_factor=1.0,
    **scaling,
):
    """`Sums` over all rows: one call of the kernel or, from buffers, many.

    Losses of rows and derivatives are written to `rows`, `gradient` and `hessian`, if
    given; `scaling` is passed on to the kernel. Weights are multiplied by their factor,
    a power of 2; with one, the sums mean nothing but by their quotient.
    """
    state = new_state(p, options, codes.tolerance)
    outputs = {"rows": rows, "gradient": gradient, "hessian": hessian}
    whole = codes.whole is not None and weight_factor == 1
    threads = 1
    if p.size > _CHUNK:
        threads = threads_for(_nanoseconds(p, weights, options, gradient))
    done = whole and state.add(
        codes.whole, p, weights, n_threads=threads, **outputs, **scaling
    )
    if not done:
        _add_chunks(state, codes, p, weights, weight_factor, outputs, scaling)
    status = state.status
    if (
        state.in_range
        or rows is not None
        or status & INVALID
        or scaling.get("check_only")
    ):
        loss, weight = Sum(state.loss), Sum(state.weight)
    else:
        loss, weight = _sums_of_any_range(codes, p, weights, options, state.block_rows)
    return Sums(loss, weight, status, state.bad_sum_from, state.n_classes_seen)


def _sums_of_any_range(codes, p, weights, options, n_rows):
    """Sums of losses and weights, whatever their magnitude; memory for a block."""
    loss = Sum(0.0)
    for start in range(0, len(p), n_rows):
        chunk = p[start : start + n_rows]
        code = StoredCodes(codes.chunk(start, start + n_rows), codes.tolerance)
        rows, shift = _rows_of_any_range(code, chunk, options)
        w = np.ones(len(chunk))
        if weights is not None:
            w = weights[start : start + n_rows].astype(np.float64)
        loss += sum_of_products(rows, w, shift)
    return loss, Sum(float(len(p))) if weights is None else sum_of_weights(weights)


def sum_of_weights(weights):
    """Their exact sum, rounded once."""

    def chunks():
        for start in range(0, len(weights), _CHUNK):
            yield weights[start : start + _CHUNK].astype(np.float64)

    return sum_of_chunks(chunks, len(weights))


def _rows_of_any_range(codes, p, options):
    """Losses of rows, to be multiplied by ``2**shift``, and these exponents."""
    rows, shift = np.empty(len(p)), np.zeros(len(p), np.int32)
    _write(codes, p, options, rows)
    if options.from_logits:  # others are between 2^-53 and 745, or as given
        for found, exponent in ((np.isinf(rows), 2), (rows < 2.0**-1000, -1000)):
            if found.any():
                scaled = np.empty(len(p))
                _write(codes, p, options, scaled, row_scale=2.0**-exponent)
                rows[found], shift[found] = scaled[found], exponent
    return rows, shift


def _write(codes, p, options, rows, **scaling):
    if add(codes, p, None, options, rows, **scaling).status & INVALID:
        raise RuntimeError("an argument was changed by another thread during the call")


def _nanoseconds(p, weights, options, gradient):
    # What one thread takes at the least (AVX-512), about: per number, and per row.
    number = 0.4 if p.ndim == 1 or p.shape[1] == 2 else 0.25
    number += 0.6 * options.from_logits + 1.0 * (gradient is not None)
    return p.size * number + len(p) * 0.8 * (weights is not None)


def _add_chunks(state, codes, p, weights, weight_factor, outputs, scaling):
    # Blocks are the same as in one call, and so is the sum to the last bit.
    dtype = np.dtype(np.float32 if p.dtype.type is np.float32 else np.float64)
    n_rows = state.block_rows
    outputs = {name: out for name, out in outputs.items() if out is not None}
    buffers = {
        name: np.empty(out[:n_rows].shape, out.dtype)
        for name, out in outputs.items()
        if not (out.flags.c_contiguous and out.flags.aligned and out.dtype.isnative)
    }
    for start in range(0, len(p), n_rows):
        chunk = slice(start, min(start + n_rows, len(p)))
        w = weights
        if w is not None:
            w = np.require(w[chunk], np.float64, "CA")
            if weight_factor != 1:
                w = w * weight_factor
        written = {
            name: buffers[name][: chunk.stop - start] if name in buffers else out[chunk]
            for name, out in outputs.items()
        }
        done = state.add(
            codes.chunk(chunk.start, chunk.stop),
            np.require(p[chunk], dtype, "CA"),
            w,
            **written,
            **scaling,
        )
        if not done:
            raise RuntimeError("the kernel refused its own buffers")
        if state.status & INVALID:
            return
        for name in buffers:
            outputs[name][chunk] = written[name]


def worst_rows(p, first=0):
    """Of some rows after the other: the row whose sum is furthest from 1, and the sum.

    Yields (start, stop, row, sum), from row `first` on. A NaN is furthest.
    """
    dtype = np.dtype(np.float32 if p.dtype.type is np.float32 else np.float64)
    step = max(1, 2 * _CHUNK // p.shape[1])
    for start in range(first, len(p), step):
        chunk = p[start : start + step]
        found = _kernels.loops.worst_row(chunk)
        if found is None:
            found = _kernels.loops.worst_row(np.require(chunk, dtype, "CA"))
        row, total = found
        yield start, start + len(chunk), start + row, total


def null_loss(codes, n_classes, weights=None):
    """Sum of the losses if each class had the probability of its share in the rows.

    By the same kernel as the loss that it is compared with: a model that predicts the
    shares explains nothing, to the last bit.

    Returns
    -------
    Sum
    """
    low, tolerance = DOUBLE  # shares are float64, whatever the probabilities are
    # Beyond [0, 1], where there are negative weights, scikit-learn clips too.
    share = np.clip(_class_shares(codes, n_classes, weights), low, 1.0 - low)
    state = LossState(1, low, 1.0 - low, tolerance)
    for code, w in _code_chunks(codes, n_classes, weights):
        state.add(np.ones(len(code), np.uint8), share[code], w)
    if state.in_range:
        return Sum(state.loss)
    loss, rows = Sum(0.0), np.empty(n_classes)
    state.add(np.ones(n_classes, np.uint8), share, rows=rows)
    for code, w in _code_chunks(codes, n_classes, weights):
        loss += sum_of_products(rows[code], w)
    if loss.value == 0 and not np.any(weights < 0):  # no clipped share costs nothing
        raise RuntimeError(_CHANGED.format("sample_weight"))
    return loss


def _class_shares(codes, n_classes, weights=None):
    """Each class's share of the weight; negative weights may make it anything."""
    for power in (0, -600):  # the second where the sums overflow
        total = np.zeros(n_classes)
        with np.errstate(over="ignore", invalid="ignore"):
            for code, w in _code_chunks(codes, n_classes, weights):
                if power:
                    w = np.ldexp(w, power)
                total += np.bincount(code, w, n_classes)
            whole = total.sum()
        if math.isfinite(whole):
            break
    if not (math.isfinite(whole) and total.any()):  # it was not when it was validated
        raise RuntimeError(_CHANGED.format("sample_weight"))
    with np.errstate(divide="ignore", invalid="ignore"):  # weights that nearly cancel
        return np.nan_to_num(total / whole, nan=0.0, posinf=np.inf, neginf=-np.inf)


def _code_chunks(codes, n_classes, weights):
    for start in range(0, len(codes), _CHUNK):
        stop = start + _CHUNK
        w = weights
        if w is not None:
            w = np.require(w[start:stop], np.float64, "CA")
        # A copy: nobody else may change what has been looked at.
        code = np.array(codes.chunk(start, stop), dtype=np.intp)
        if code.min() < 0 or code.max() >= n_classes:
            raise RuntimeError(_CHANGED.format("y_true"))
        yield code, w


def _finite(evaluation):
    # A NaN or infinite weight makes their sum such; scikit-learn says which it was.
    return evaluation if math.isfinite(evaluation.weight.value) else None


def overlap(out, *arrays):
    """Whether writing to `out` may change one of the arrays, of which some are None.

    Where it would take long to find out, it may.
    """
    try:
        return any(
            np.shares_memory(out, array, max_work=_MAX_WORK)
            for array in arrays
            if array is not None
        )
    except np.exceptions.TooHardError:
        return True


def as_scores(values):
    """`as_numbers`, and the dtype that scikit-learn computes with: its `precision`."""
    array = as_array(values)
    if array is None or array.dtype is _FLOAT64:
        return array, _FLOAT64
    numbers = _as_numbers(array)
    return numbers, _FLOAT64 if numbers is None else precision(values)


def precision(values):
    """The dtype whose epsilon and tolerance are those of some scores.

    That is float32 or float16 where the container says so itself: by numpy's dtype in
    the order of this machine's bytes, be it an array's, a Series' or a data frame's.
    All else is float64, as scikit-learn makes it: lists and tuples whatever they hold,
    byte-swapped arrays, torch and polars, nullable and Arrow-backed columns, bfloat16.
    (Not so under scikit-learn's array API dispatch, which knows torch.)
    """
    if type(values) is np.ndarray:
        dtype = values.dtype
        return dtype if dtype is _FLOAT64 or dtype in _PRECISIONS else _FLOAT64
    if type(values) in (list, tuple):
        return _FLOAT64
    dtype = getattr(values, "dtype", None)
    if _is_pandas_frame(values):
        dtypes = list(values.dtypes)
        is_numpy = dtypes and all(isinstance(dtype, np.dtype) for dtype in dtypes)
        dtype = np.result_type(*dtypes) if is_numpy else None
    elif not isinstance(dtype, np.dtype) and _is_dispatched(values):
        dtype = as_array(values).dtype
    return dtype if isinstance(dtype, np.dtype) and dtype in _PRECISIONS else _FLOAT64


def _is_dispatched(values):
    # Where that is switched on, scikit-learn computes with the array's own library.
    if not (
        hasattr(values, "__array_namespace__")
        or type(values).__module__.startswith("torch")
    ):
        return False
    config = getattr(sys.modules.get("sklearn"), "get_config", dict)()
    return config.get("array_api_dispatch", False)


def _is_pandas_frame(values):
    pandas = sys.modules.get("pandas")
    return isinstance(values, getattr(pandas, "DataFrame", ()))


def _has_sparse_columns(values):
    # scikit-learn warns of them, and refuses those that are all sparse.
    if not _is_pandas_frame(values):
        return False
    sparse = sys.modules["pandas"].SparseDtype
    return any(isinstance(dtype, sparse) for dtype in values.dtypes)


def _is_array_like(values):
    # scikit-learn's functions take nothing else, and a memoryview for a scalar.
    return type(values) is not memoryview and (
        hasattr(values, "__len__")
        or hasattr(values, "shape")
        or hasattr(values, "__array__")
    )


def as_numbers(values):
    """An ndarray of real numbers, or None."""
    array = as_array(values)
    return None if array is None else _as_numbers(array)


def _as_numbers(array):
    if array.dtype.kind != "O":
        return array
    try:
        if first_unreal(array) is None:
            return array.astype(np.float64)
    except Exception:  # scikit-learn raises it again
        pass
    return None


def legible(values):
    """`values` as scikit-learn can read them: tensors of bfloat16 as an array."""
    if values is None or type(values) is np.ndarray:
        return values
    try:
        np.asarray(values)
    except Exception:  # who knows which
        array = as_array(values)
        return values if array is None else array
    return values


def first_unreal(objects):
    """Index of the first of some objects that is no real number, or None.

    Texts of numbers are none, and complex numbers would lose their imaginary part.
    """
    items = objects.ravel()
    # To numpy, spans of time are whole numbers.
    known = {
        kind: issubclass(kind, Real | Decimal) and kind is not np.timedelta64
        for kind in kinds(items)
    }
    if all(known.values()):
        return None
    for i, item in enumerate(items.tolist()):
        # Arrays and tensors of no dimension say themselves what they hold.
        if not known[type(item)] and not (
            np.ndim(item) == 0
            and np.can_cast(np.asarray(item).dtype, np.float64, "same_kind")
        ):
            return tuple(map(int, np.unravel_index(i, objects.shape)))
    return None


def as_columns(p):
    """`p` as (n,) for the positive class or (n, K), and the number of classes.

    Zero classes where it is neither, or holds no real numbers.
    """
    if p.dtype.kind not in "fiub":
        return p, 0
    if p.ndim == 1:
        return p, 2
    if p.ndim != 2:
        return p, 0
    if p.shape[1] == 1:
        return p[:, 0], 2
    return p, p.shape[1]


def as_weights(sample_weight, n):
    """An ndarray of `n` real numbers, or None."""
    weights = as_numbers(sample_weight)
    if weights is None or not _is_real(weights) or weights.shape != (n,):
        return None
    return weights


def _is_real(array):
    # Wider floats would lose their last bits: scikit-learn keeps them.
    return array.dtype.kind in "fiub" and array.dtype.itemsize <= 8
