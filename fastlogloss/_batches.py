"""How batches of rows are read: the classes and options that all of them share."""

from typing import Any

import numpy as np

from fastlogloss._classes import no_vector
from fastlogloss._engine import Spec, Sums, new_spec
from fastlogloss._errors import Names, Objection
from fastlogloss._exact import State
from fastlogloss._labels import class_list
from fastlogloss._losses import sums_of
from fastlogloss._policy import remark
from fastlogloss._problem import AUTO, Problem, checked_spec, read_scores
from fastlogloss._targets import read_targets
from fastlogloss._weights import read_weights

EPS = 2.0**-52  # of "auto", whatever the dtype of a batch: every road to one number
_SHORT = 8192  # scores
_NAMES = Names()
_DEFAULTS = {
    "eps": EPS,
    "from_logits": False,
    "soft_targets": False,
    "label_smoothing": 0.0,
}
OPTIONS = tuple(_DEFAULTS)


def exact_sums(problem: Problem) -> tuple[State, Sums]:
    """The exact sums of rows that are valid, or an Objection; and the `Sums`."""
    sums = sums_of(problem, exact=True)
    remark(problem, sums)
    return State(*sums.exact), sums


def check_mergeable(one: Any, other: Any, kind: type[Any]) -> None:
    """Raise for what cannot be merged, and say what differs.

    Parameters
    ----------
    one, other
        What has `_batches`, of that kind; `other` may be anything.
    """
    if not isinstance(other, kind):
        raise TypeError(
            f"only a {kind.__name__} can be merged, got {type(other).__name__}"
        )
    difference = one._batches.difference(other._batches)
    if difference is not None:
        raise ValueError(f"what is to be merged has different {difference}")


class Batches:
    """Classes and options; reads the rows of a batch into a `Problem`.

    Attributes
    ----------
    classes : tuple
    spec : Spec
    options : dict
        Those of the public classes, by name; without "auto".
    """

    __slots__ = ("_are_codes", "_kernels", "classes", "options", "spec")

    def __init__(
        self,
        classes: Any = (0, 1),
        eps: Any = AUTO,
        from_logits: Any = False,
        soft_targets: Any = False,
        label_smoothing: Any = 0.0,
    ) -> None:
        self.classes = tuple(class_list(classes))
        spec = checked_spec(eps, from_logits, soft_targets, label_smoothing)
        self.spec: Spec = spec._replace(eps=EPS if spec.eps is None else spec.eps)
        self.options: dict[str, Any] = {
            "eps": self.spec.eps,
            "from_logits": self.spec.from_logits,
            "soft_targets": self.spec.soft,
            "label_smoothing": self.spec.smoothing,
        }
        numbers = list(range(len(self.classes)))
        self._are_codes = self.spec.soft or list(self.classes) == numbers
        self._kernels = (
            new_spec(1, self.spec, 1e-6) if len(numbers) == 2 else None,
            new_spec(len(numbers), self.spec, 1e-6),
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Batches):
            return NotImplemented
        return self.difference(other) is None

    def __reduce__(self) -> Any:
        return Batches, (self.classes, *self.options.values())

    def difference(self, other: "Batches") -> str | None:
        """Words on what differs; None where nothing does."""
        types = [type(label) for label in self.classes]
        if self.classes != other.classes or types != [*map(type, other.classes)]:
            return f"classes: {list(self.classes)} and {list(other.classes)}"
        for name, value in self.options.items():
            if value != other.options[name]:
                return f"{name}: {value} and {other.options[name]}"
        return None

    def text(self) -> str:
        """Arguments that are not the defaults, for a repr."""
        words = [f"classes={list(self.classes)}"]
        for name, value in self.options.items():
            if value != _DEFAULTS[name]:
                words.append(f"{name}={value}")
        return ", ".join(words)

    def read(
        self, y_true: Any, y_score: Any, sample_weight: Any, names: Names = _NAMES
    ) -> Problem:
        scores = read_scores(y_score, self.spec, names)
        if scores.n_classes != len(self.classes):
            raise Objection(
                "scores",
                f"{names.scores} has shape {scores.shape}, but there are "
                f"{len(self.classes)} classes",
            )
        weights = read_weights(sample_weight, len(scores.p), strict=False)
        targets = read_targets(
            y_true, scores, weights, list(self.classes), names, drop_in=False
        )
        if targets.times is not None:
            raise no_vector(y_true, names)
        return Problem(scores, targets, names)

    def sums(self, y_true: Any, y_score: Any, sample_weight: Any) -> State:
        """The exact sums of a batch, or an Objection."""
        found = self._sums_of_few(y_true, y_score, sample_weight)
        if found is None:
            return exact_sums(self.read(y_true, y_score, sample_weight))[0]
        return State(*found)

    def _sums_of_few(self, y: Any, p: Any, w: Any) -> Any:
        """The short way: few rows of plain arrays, with nothing to warn of; or None."""
        if (
            type(y) is not np.ndarray
            or type(p) is not np.ndarray
            or not self._are_codes
            or p.size > _SHORT
            or (w is not None and type(w) is not np.ndarray)
            or p.ndim not in (1, 2)
            or not p.size
        ):
            return None
        kernel = self._kernels[p.ndim - 1]
        if kernel is None or (p.ndim == 2 and p.dtype != np.float64):
            return None
        try:
            totals = kernel.run(y, p, w, exact=True)
        except (TypeError, ValueError):  # the reader says of what
            return None
        return None if totals.status else totals.exact
