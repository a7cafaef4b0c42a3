"""Runs the kernels over all rows: the only caller of them, and of threads."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from fastlogloss import _kernels
from fastlogloss._arrays import DOUBLE, FLOAT64, Array, adds_pairwise, limits
from fastlogloss._labels import Codes
from fastlogloss._sums import Sum, sum_of_chunks, sum_of_products
from fastlogloss._threads import threads_for

loops = _kernels.loops
BAD_ROW_SUM = loops.BAD_ROW_SUM
INVALID = ~BAD_ROW_SUM  # whatever else is wrong

_CHUNK = 16384
_CHANGED = "{} was changed by another thread during the call"
_CANCELLED = 2.0**-40  # relative error of a sum of weights, where it is made again


class Spec(NamedTuple):
    """What scores and targets mean; the defaults are those of probabilities."""

    eps: float | None = None  # None: that of the precision
    from_logits: bool = False
    soft: bool = False
    smoothing: float = 0.0
    precision: np.dtype[Any] = FLOAT64  # of the scores; see the function

    def of_precision(self, dtype: np.dtype[Any]) -> "Spec":
        """The same for scores of another precision."""
        return self if dtype is self.precision else self._replace(precision=dtype)


class Sums(NamedTuple):
    """What a pass over all rows has found."""

    loss: Sum
    weight: Sum
    status: int  # union of the flags BAD_*
    bad_sum_from: int  # as of `Totals`
    n_classes_seen: int
    exact: Any = None  # `Totals.exact`, where it was asked for

    @property
    def mean(self) -> float:
        """That of validated rows, whose weights did not sum to zero then."""
        if self.weight.value == 0:
            raise RuntimeError(_CHANGED.format("sample_weight"))
        return self.loss.over(self.weight)


def new_spec(
    n_columns: int,
    options: Spec,
    target_tolerance: float = 0.0,
    is_pairwise: bool = False,
) -> Any:
    """What the kernels go by; one column is that of class 1."""
    low, tolerance = limits(options.precision, max(n_columns, 2), is_pairwise)
    if options.eps is not None:
        low = options.eps
    return loops.Spec(
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
    codes: Codes,
    p: Array,
    weights: Array | None,
    options: Spec,
    rows: Array | None = None,
    *,
    gradient: Array | None = None,
    hessian: Array | None = None,
    weight_factor: float = 1.0,
    **scaling: Any,
) -> Sums:
    """`Sums` over all rows: one call of the kernel or, from buffers, many.

    Losses of rows and derivatives are written to `rows`, `gradient` and `hessian`, if
    given; `scaling` is passed on to the kernel. With ``exact=True`` the exact sums are
    all there is. Weights are multiplied by their factor,
    a power of 2; with one, the sums mean nothing but by their quotient.
    """
    n_columns = 1 if p.ndim == 1 else p.shape[1]
    spec = new_spec(n_columns, options, codes.tolerance, adds_pairwise(p))
    outputs = {"rows": rows, "gradient": gradient, "hessian": hessian}
    threads = 1
    if p.size > _CHUNK:
        threads = threads_for(_nanoseconds(p, weights, options, gradient))
    if weight_factor == 1:
        state = spec.run(
            codes.y,
            p,
            weights,
            classes=codes.classes,
            n_threads=threads,
            **outputs,
            **scaling,
        )
    else:
        state = _run_weighted(spec, codes, p, weights, weight_factor, outputs, scaling)
    status = state.status
    if scaling.get("exact"):
        found = Sum(0.0), Sum(0.0), status, state.bad_sum_from, state.n_classes_seen
        return Sums(*found, state.exact)
    loss, weight = Sum(state.loss), Sum(state.weight)
    if rows is None and not status & INVALID and not scaling.get("check_only"):
        good = state.in_range
        if good and state.signed:
            weight = sum_of_weights(weights)
            # Where much of the weights cancels, so it does of the losses.
            error = abs(weight.value - state.weight)
            good = weight.exponent == 0 and error <= _CANCELLED * abs(weight.value)
        if not good:
            loss, weight = _sums_of_any_range(
                codes, p, weights, options, spec.block_rows
            )
    return Sums(loss, weight, status, state.bad_sum_from, state.n_classes_seen)


def _sums_of_any_range(
    codes: Codes, p: Array, weights: Array | None, options: Spec, n_rows: int
) -> tuple[Sum, Sum]:
    """Sums of losses and weights, whatever their magnitude; memory for a block."""
    loss = Sum(0.0)
    for start in range(0, len(p), n_rows):
        chunk = p[start : start + n_rows]
        part = codes.part(start, start + n_rows)
        rows, shift = _rows_of_any_range(part, chunk, options)
        w = np.ones(len(chunk))
        if weights is not None:
            w = weights[start : start + n_rows].astype(np.float64)
        loss += sum_of_products(rows, w, shift)
    return loss, Sum(float(len(p))) if weights is None else sum_of_weights(weights)


def sum_of_weights(weights: Any) -> Sum:
    """Their sum, rounded once or nearly so, also where they nearly cancel.

    Returns
    -------
    Sum
    """

    def chunks() -> Iterator[Array]:
        for start in range(0, len(weights), _CHUNK):
            yield weights[start : start + _CHUNK]

    guard = loops.pin_memory(weights)
    parts: list[float] = []
    sizes = 0.0
    for chunk in chunks():
        total, tail, size = loops.sum_weights(chunk)
        parts += total, tail
        sizes += size
    del guard
    try:
        total = math.fsum(parts)
    except (OverflowError, ValueError):  # the second of infinities of both signs
        total = math.nan
    # 2^30 of cancellation leave an error of 2^-54.
    if 2.0**-1000 < max(abs(total), sizes * 2.0**-30) == abs(total) < math.inf:
        return Sum(total)
    return sum_of_chunks(chunks, len(weights))


def _rows_of_any_range(codes: Codes, p: Array, options: Spec) -> tuple[Array, Array]:
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


def _write(codes: Codes, p: Array, options: Spec, rows: Array, **scaling: Any) -> None:
    if add(codes, p, None, options, rows, **scaling).status & INVALID:
        raise RuntimeError("an argument was changed by another thread during the call")


def _nanoseconds(
    p: Array, weights: Array | None, options: Spec, gradient: Array | None
) -> float:
    # What one thread takes at the least (AVX-512), about: per number, and per row.
    number = 0.4 if p.ndim == 1 or p.shape[1] == 2 else 0.25
    number += 0.6 * options.from_logits + 1.0 * (gradient is not None)
    return p.size * number + len(p) * 0.8 * (weights is not None)


def _run_weighted(
    spec: Any,
    codes: Codes,
    p: Array,
    weights: Any,
    factor: float,
    outputs: dict[str, Array | None],
    scaling: dict[str, Any],
) -> Any:
    """`Spec.run` with weights times a factor, block by block."""
    totals = None
    outputs = {name: out for name, out in outputs.items() if out is not None}
    for start in range(0, len(p), spec.block_rows):
        rows = slice(start, start + spec.block_rows)
        part = spec.run(
            codes.y[rows],
            p[rows],
            weights[rows].astype(np.float64) * factor,
            classes=codes.classes,
            **{
                name: out if out is None else out[rows] for name, out in outputs.items()
            },
            **scaling,
        )
        totals = part if totals is None else totals + part
    return totals


def worst_rows(p: Array, first: int = 0) -> Iterator[tuple[int, int, int, float]]:
    """Of some rows after the other: the row whose sum is furthest from 1, and the sum.

    Yields (start, stop, row, sum), from row `first` on. A NaN is furthest.
    """
    step = max(1, 2 * _CHUNK // p.shape[1])
    for start in range(first, len(p), step):
        chunk = p[start : start + step]
        row, total = loops.worst_row(chunk)
        yield start, start + len(chunk), start + row, total


def null_loss(codes: Codes, n_classes: int, weights: Any = None) -> Sum:
    """Sum of the losses if each class had the probability of its share in the rows.

    By the same sums as the loss that it is compared with: a model that predicts the
    shares explains nothing, to the last bit.

    Returns
    -------
    Sum
    """
    low, tolerance = DOUBLE  # shares are float64, whatever the probabilities are
    totals, _ = sums_by_class(codes, n_classes, weights)
    total = totals.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):  # weights that nearly cancel
        share = total / np.float64(math.fsum(total))
    share = np.nan_to_num(share, posinf=np.inf, neginf=-np.inf)
    # Beyond [0, 1], where there are negative weights, scikit-learn clips too.
    share = np.clip(share, low, 1.0 - low)
    spec = loops.Spec(n_classes, low, 1.0 - low, tolerance)
    n_threads = threads_for(len(codes) * (1.0 + 0.8 * (weights is not None)))
    state = loops.loss_of_shares(
        spec, codes.y, share, weights, classes=codes.classes, n_threads=n_threads
    )
    if state.status:
        raise RuntimeError(_CHANGED.format("y_true"))
    if state.in_range:
        return Sum(state.loss)
    loss, rows = Sum(0.0), np.empty(n_classes)
    loops.Spec(1, low, 1.0 - low, tolerance).run(
        np.ones(n_classes, np.uint8), share, rows=rows
    )
    for start in range(0, len(codes), _CHUNK):
        code = np.array(codes.chunk(start, start + _CHUNK), np.intp)
        if code.min() < 0 or code.max() >= n_classes:
            raise RuntimeError(_CHANGED.format("y_true"))
        w = weights[start : start + _CHUNK].astype(np.float64)
        loss += sum_of_products(rows[code], w)
    if loss.value == 0 and not np.any(weights < 0):  # no clipped share costs nothing
        raise RuntimeError(_CHANGED.format("sample_weight"))
    return loss


def sums_by_class(codes: Codes, n_classes: int, weights: Any) -> tuple[Array, int]:
    """Weight of each class, times ``2**-exponent``, and that exponent.

    Two rows: sums, and what they were rounded by.
    """
    totals = np.empty((2, n_classes))
    for exponent in (0, 600):  # the second where the sums overflow
        power = 2.0**-exponent
        if not loops.sum_by_class(codes.y, codes.classes, weights, totals, power):
            raise RuntimeError(_CHANGED.format("y_true"))
        if np.isfinite(totals).all() and np.isfinite(totals.sum()):
            break
    else:  # they were not when they were validated
        raise RuntimeError(_CHANGED.format("sample_weight"))
    if not totals.any():
        raise RuntimeError(_CHANGED.format("sample_weight"))
    return totals, exponent
