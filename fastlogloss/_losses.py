"""Losses of a `Problem`: their sums, and its rows."""

import math
import warnings
from typing import Any

import numpy as np

from fastlogloss import _kernels
from fastlogloss._arrays import FLOAT64, Array, limits, overlap, sum_tolerance
from fastlogloss._engine import (
    INVALID,
    Spec,
    Sums,
    add,
    sum_of_weights,
    worst_rows,
)
from fastlogloss._errors import (
    Names,
    Objection,
    caller_level,
    check_rows,
    explain_labels,
    find,
    in_our_words,
    place,
    raise_changed,
)
from fastlogloss._exact import LEAST_WEIGHT, MOST_WEIGHT
from fastlogloss._labels import Codes
from fastlogloss._problem import Problem, Scores
from fastlogloss._sums import Sum, sum_of_products
from fastlogloss._targets import Targets, look_up, read_alone
from fastlogloss._weights import exact_weight

_BAD_LABEL = _kernels.loops.BAD_LABEL
_BAD_PROBA = _kernels.loops.BAD_PROBA
_BAD_SCORE = _kernels.loops.BAD_SCORE
_BAD_TARGET = _kernels.loops.BAD_TARGET
_BAD_WEIGHT = _kernels.loops.BAD_WEIGHT
_CHUNK = 16384
_USUAL = Spec()
_USUAL_NAMES = Names()


def sums_of(problem: Problem, rows: Array | None = None, **outputs: Any) -> Sums:
    """`Sums` over rows that are valid, or an Objection.

    Rows whose probabilities do not sum to one are not objected to.
    """
    targets, p = problem.targets, problem.p
    if targets.has_unseen:
        return _sums_of_unseen(problem)
    sums = add(targets.codes, p, targets.weights, problem.spec, rows, **outputs)
    status = sums.status & INVALID & ~_BAD_WEIGHT
    is_named = targets.codes.classes is not None
    if targets.is_guess and (is_named or status in (0, _BAD_LABEL)):
        is_right = not status and (
            not targets.needs_all or sums.n_classes_seen == targets.n_classes
        )
        if not is_right:  # labels are looked up, whatever else is wrong
            classes = None if targets.needs_all else targets.classes
            y = targets.codes.y
            look_up(targets, y, classes, problem.names, problem.drop_in)
            return sums_of(problem, rows, **outputs)
        targets.is_guess = False
    if status == _BAD_LABEL:  # there are more than there are columns
        raise Objection(
            "y_true",
            lambda: explain_labels(
                targets.codes.y,
                problem.names.targets,
                targets.n_classes,
                problem.names.scores,
            ),
        )
    if status:
        raise Objection("scores", lambda: _explain(status, problem))
    if sums.status & _BAD_WEIGHT:
        raise Objection("sample_weight", lambda: explain_weight(problem))
    if targets.minus is not None and rows is None:
        sums = _less(problem, sums, outputs)
    return sums


def _less(problem: Problem, sums: Sums, outputs: dict[str, Any]) -> Sums:
    """`Sums` once the targets that count less than nothing have been added too."""
    arrays = {"gradient", "hessian"} & set(outputs)
    others = {name: np.empty(outputs[name].shape) for name in arrays}
    rest = sums_of(problem.minus, **(outputs | others))
    for name, other in others.items():
        outputs[name] += other
    return sums._replace(loss=sums.loss + rest.loss)


def _sums_of_unseen(problem: Problem) -> Sums:
    """`sums_of` where some rows have a label, and so a code, without a column."""
    targets, spec, n_classes = problem.targets, problem.spec, problem.targets.n_classes
    code = np.concatenate(
        [
            targets.codes.chunk(i, i + _CHUNK)
            for i in range(0, len(targets.codes), _CHUNK)
        ]
    )
    unseen = (code < 0) | (code >= n_classes)
    w = np.ones(len(code))
    if targets.weights is not None:
        w = targets.weights.astype(np.float64)
    lost = sum_of_products(w[unseen])
    w_unseen = np.where(unseen, w, 0.0)
    w[unseen] = 0.0
    code[unseen] = 0
    sums = add(Codes(code), problem.p, w, spec)
    status = sums.status & INVALID
    if status:
        raise Objection("scores", lambda: _explain(status, problem))
    low = 0.0  # only an infinite logit is that of an impossible class
    if not spec.from_logits:
        low = limits(spec.precision, 2)[0] if spec.eps is None else spec.eps
    loss, kept = sums.loss, 1.0 - spec.smoothing
    if lost.value:
        loss += lost.times(-math.log(low) * kept if low else math.inf)
    if spec.smoothing:  # its share is spread over the columns, as in all other rows
        even = loss_of_share(problem, np.full(n_classes, 1 / n_classes), w_unseen)
        loss += even.times(spec.smoothing)
    return sums._replace(loss=loss, weight=sums.weight + lost)


def loss_of_share(problem: Problem, share: Any, weights: Array | None) -> Sum:
    """Sum of losses where the target of each row is `share`, one for each class."""
    p = problem.p
    share = np.asarray(share) if p.ndim == 2 else share[1]
    codes = Codes(np.broadcast_to(share, p.shape), None, 1e-6)
    spec = problem.spec._replace(soft=True, smoothing=0.0)
    return add(codes, p, weights, spec).loss


@in_our_words
def prepare(
    y_true: Any,
    sample_weight: Any,
    classes: Any,
    spec: Spec,
    names: Names = _USUAL_NAMES,
) -> Targets:
    """`Targets` of scores that are still to come, of which all is validated."""
    targets = read_alone(y_true, sample_weight, classes, spec, names)
    if spec.soft:
        logits = spec._replace(from_logits=True)
        p = np.zeros(targets.codes.y.shape)
        scores = Scores(p, targets.n_classes, p.shape, None, logits)
        sums_of(Problem(scores, targets, names), check_only=True)
    return targets


def weight_of(problem: Problem, sums: Sums, normalize: bool) -> Sum:
    """The `Sum` of weights that are finite, and of which there is a mean."""
    targets = problem.targets
    weight = sums.weight
    if targets.times is not None:
        weight = Sum(float(len(targets)))
        if targets.row_weights is not None:
            weight = sum_of_weights(targets.row_weights)
    if not math.isfinite(weight.value) or weight.value == 0:
        weight = exact_weight(targets.row_weights, normalize)
    return weight


def loss_of(problem: Problem, normalize: bool) -> tuple[float, Sums]:
    """The mean loss, or the sum of losses; and the `Sums`."""
    sums = sums_of(problem)
    weight = weight_of(problem, sums, normalize)
    return sums.loss.over(weight) if normalize else float(sums.loss), sums


def _explain(status: int, problem: Problem) -> str:
    """Find the first row that the kernel stumbled over, and say so."""
    names, p, targets = problem.names, problem.p, problem.targets
    if status & _BAD_SCORE:
        at = find(np.isnan, p)
        if at is not None:
            return f"{names.scores} is NaN in {names.place(at)}"
    if status & _BAD_PROBA:
        at = find(_outside, p)
        if at is not None:
            hint = "" if np.isnan(p[at]) else "; are these logits (from_logits=True)?"
            return (
                f"{names.scores} must be probabilities in [0, 1], got {p[at]} in "
                f"{names.place(at)}{hint}"
            )
    if status & _BAD_TARGET:
        t, y_name = targets.codes.y, names.targets
        at = find(_outside, t)
        if at is not None:
            return f"{y_name} must be in [0, 1], got {t[at]} in {place(at)}"
        if t.ndim == 2:
            tolerance = targets.codes.tolerance
            at = find(lambda t: ~(np.abs(_running(t) - 1) <= tolerance), t)
            if at is not None:
                return (
                    f"the targets {y_name} of {place(at)} sum to {_running(t[at])}, "
                    f"not to 1 within {tolerance:.2g}; to make them, "
                    f"{y_name} / {y_name}.sum(axis=1, keepdims=True)"
                )
    raise_changed()


def explain_weight(problem: Problem) -> str:
    """What to say of weights that exact sums do not take."""
    w: Any = problem.targets.weights
    at = find(lambda w: ~np.isfinite(w), w)
    if at is not None:
        return f"sample_weight must be finite, got {w[at]} in {place(at)}"
    least, most = LEAST_WEIGHT, MOST_WEIGHT

    def is_beyond(w: Array) -> Any:
        size = np.abs(w.astype(np.float64))
        return (w != 0) & ~((size >= least) & (size <= most))

    at = find(is_beyond, w)
    if at is not None:
        return (
            f"sample_weight is {w[at]} in {place(at)}: exact sums take 0 and weights "
            f"from {least:.1e} to {most:.1e}; multiply all of them by one number"
        )
    rows, _ = rows_of(problem)
    with np.errstate(over="ignore", invalid="ignore"):
        products = rows * w
    at = find(lambda x: np.isinf(x), np.where(np.isinf(rows), 0.0, products))
    if at is None:
        raise_changed()
    return (
        f"sample_weight is {w[at]} in {place(at)}, where the loss is {rows[at]}: their "
        "product is beyond the range of doubles"
    )


def _outside(values: Array) -> Array:
    return ~((values >= 0) & (values <= 1))


def _running(rows: Array) -> Any:
    # The sum from left to right, rounded as in the kernel.
    return np.add.accumulate(rows, axis=-1, dtype=np.float64)[..., -1]


def warn_of_sums(
    p: Array, names: Names, first: int = 0, precision: np.dtype[Any] = FLOAT64
) -> None:
    """Warn of the row from `first` on whose sum is furthest from 1, if it is far."""
    words = words_on_sums(p, names, first, precision)
    if words is not None:
        warnings.warn(words, UserWarning, stacklevel=caller_level())


def words_on_sums(
    p: Array, names: Names, first: int = 0, precision: np.dtype[Any] = FLOAT64
) -> str | None:
    """What `warn_of_sums` says; None where no sum is far from 1."""
    worst, worst_total = 0, 1.0
    for _, _, row, total in worst_rows(p, first):
        if math.isnan(total):
            raise_changed()
        if abs(total - 1.0) > abs(worst_total - 1.0):
            worst, worst_total = row, total
    eps, _ = limits(precision, 2)
    if abs(worst_total - 1.0) <= sum_tolerance(eps):
        return None
    return (
        f"The rows of {names.scores} do not sum to one. Make sure to pass "
        f"probabilities. The worst is {names.place((worst,))}, which sums to "
        f"{worst_total}."
    )


def write_rows(problem: Problem, out: Array) -> Array:
    """Losses of rows that have been validated, into `out`, which they may overlap."""
    targets, p = problem.targets, problem.p
    check_rows(out, len(p))
    if targets.times is not None:
        rows, _ = rows_of(problem)
    else:
        rows = np.empty(len(p)) if overlap(out, p, targets.codes.y) else out
        if add(targets.codes, p, None, problem.spec, rows).status & INVALID:
            raise_changed()
    if rows is not out:
        out[...] = rows
    return out


def write_part(problem: Problem, start: int, stop: int, out: Array) -> None:
    """Losses of some rows of a problem that has been validated."""
    codes = problem.targets.codes.part(start, stop)
    if add(codes, problem.p[start:stop], None, problem.spec, out).status & INVALID:
        raise_changed()


def rows_of(problem: Problem) -> tuple[Array, Sums]:
    """Losses of rows, and the `Sums`."""
    rows, targets = np.empty(len(problem.p)), problem.targets
    sums = sums_of(problem, rows)
    if targets.times is not None:
        with np.errstate(invalid="ignore"):  # a row without a label has no loss
            rows = np.where(targets.times == 0, 0.0, rows * targets.times)
        if targets.minus is not None:
            rows -= rows_of(problem.minus)[0]
    return rows, sums
