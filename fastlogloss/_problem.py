"""The reader: what was asked, read once; or an `Objection` to it.

Nobody else looks at arguments. Whether an objection is an error, and in whose words,
is not decided here: see `_policy`.
"""

import functools
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

from fastlogloss._arrays import (
    Array,
    as_columns,
    as_scores,
    has_sparse_columns,
    is_array_like,
)
from fastlogloss._classes import read_classes
from fastlogloss._columns import column_names
from fastlogloss._engine import Spec
from fastlogloss._errors import Names, Objection, check_flag, describe
from fastlogloss._targets import Targets, read_targets
from fastlogloss._weights import read_weights

AUTO = "auto"
_PLAIN = Spec()


class Call(NamedTuple):
    """What was asked of a function, as it came."""

    y_true: Any
    scores: Any
    sample_weight: Any = None
    labels: Any = None
    normalize: Any = True
    spec: Spec = _PLAIN
    names: Names = Names()
    function: str = "log_loss"  # scikit-learn's, of the same arguments
    drop_in: bool = False  # whether this is that function, in every respect
    classes: list[Any] | None = None  # of the columns, in any order, instead of labels
    is_settled: bool = False  # scikit-learn has accepted all of it, with its warnings


class Scores(NamedTuple):
    """Scores that have the right shape; their numbers are not yet validated."""

    p: Array  # (n,) or (n, K)
    n_classes: int
    shape: tuple[int, ...]  # as they came
    columns: list[Any] | None  # names of their columns, where these may name classes
    spec: Spec  # with their precision


class Problem:
    """Scores against targets: all that a pass over the rows needs.

    Attributes
    ----------
    scores : Scores
    targets : Targets
    names : Names
        Of the arguments, for messages.
    unsorted : array-like or None
        Labels that were sorted for the caller, which is worth a warning.
    drop_in : bool
        Whether labels and sums are scikit-learn's in every respect.
    is_settled : bool
        Whether scikit-learn has warned of all that it warns of.
    """

    __slots__ = ("drop_in", "is_settled", "names", "scores", "targets", "unsorted")

    def __init__(
        self,
        scores: Scores,
        targets: Targets,
        names: Names,
        unsorted: Any = None,
        call: Call | None = None,
    ) -> None:
        self.scores = scores
        self.targets = targets
        self.names = names
        self.unsorted = unsorted
        self.drop_in = call is not None and call.drop_in
        self.is_settled = call is not None and call.is_settled

    @property
    def minus(self) -> "Problem":
        """The Problem of what is to be taken away."""
        return Problem(self.scores, self.targets.minus, self.names)

    @property
    def p(self) -> Array:
        return self.scores.p

    @property
    def spec(self) -> Spec:
        return self.scores.spec


def read(call: Call) -> Problem:
    """The `Problem` of a `Call`, or an Objection."""
    drop_in = call.drop_in
    scores = read_scores(call.scores, call.spec, call.names, strict=True)
    if drop_in:
        scores = scores._replace(columns=None)
    weights = read_weights(call.sample_weight, len(scores.p))
    classes, is_unsorted = call.classes, False
    if classes is None:
        classes, is_unsorted = read_classes(call.labels, drop_in)
    targets = read_targets(
        call.y_true,
        scores,
        weights,
        classes,
        call.names,
        drop_in=drop_in,
        takes_unseen=call.classes is not None,
    )
    if targets.times is not None:
        scores = scores._replace(spec=scores.spec._replace(soft=True))
    unsorted = call.labels if is_unsorted else None
    return Problem(scores, targets, call.names, unsorted, call)


def read_scores(y_score: Any, spec: Spec, names: Names, strict: bool = False) -> Scores:
    """`Scores`; with `strict` of what scikit-learn takes for an array, without a word.

    As a memoryview and a frame with sparse columns are not.
    """
    p: Any = None
    n_classes, shape = 0, ()
    is_usual = type(y_score) is np.ndarray
    if (
        is_usual
        or not strict
        or (is_array_like(y_score) and not has_sparse_columns(y_score))
    ):
        p, dtype = as_scores(y_score)
    if p is not None:
        shape = p.shape
        p, n_classes = as_columns(p)
    if n_classes < 2:
        raise Objection(
            "scores",
            lambda: (
                f"{names.scores} must hold real numbers, of shape (n_samples,) or "
                f"(n_samples, n_classes), got {describe(y_score)}"
            ),
            unread=True,
        )
    if len(p) == 0:
        raise Objection("scores", f"{names.scores} holds no rows")
    if dtype is not spec.precision:
        spec = spec.of_precision(dtype)
    columns = None if is_usual else column_names(y_score)
    return Scores(p, n_classes, shape, columns, spec)


def checked_spec(
    eps: Any, from_logits: Any, soft_targets: Any, label_smoothing: Any
) -> Spec:
    """`Spec` of the arguments that the public functions have in common."""
    if isinstance(eps, str) and eps == AUTO:
        eps = None
    elif not _is_number(eps):
        raise TypeError(f"eps must be 'auto' or a number in [0, 0.5), got {eps!r}")
    elif not 0 <= eps < 0.5:
        raise ValueError(f"eps must be 'auto' or a number in [0, 0.5), got {eps!r}")
    else:
        eps = float(eps)
    check_flag("from_logits", from_logits)
    check_flag("soft_targets", soft_targets)
    if not _is_number(label_smoothing):
        raise TypeError(f"label_smoothing must be a number, got {label_smoothing!r}")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be in [0, 1), got {label_smoothing!r}")
    return Spec(eps, bool(from_logits), bool(soft_targets), float(label_smoothing))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


_remembered = functools.lru_cache(maxsize=64, typed=True)(checked_spec)


def spec_of(*arguments: Any) -> Spec:
    """`checked_spec`, which remembers what it has checked."""
    try:
        return _remembered(*arguments)
    except TypeError:  # of what is no number; that may be what nothing remembers
        pass
    return checked_spec(*arguments)


def is_plain(spec: Spec) -> bool:
    """Whether scikit-learn has a word for all of it but the clip."""
    return not (spec.from_logits or spec.soft or spec.smoothing)
