"""What the three libraries share: derivatives, losses, and errors in their words."""

import math
import warnings
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastlogloss._errors import caller_level, check_flag
from fastlogloss.derivatives import log_loss_gradient_hessian
from fastlogloss.metrics import log_loss

Floats = NDArray[np.floating[Any]]
Result = TypeVar("Result")

NAME = "log_loss"  # of the metrics; none of the libraries has one of this name


class Data(Protocol):
    """An ``xgboost.DMatrix`` or a ``lightgbm.Dataset``."""

    def get_label(self) -> Any: ...
    def get_weight(self) -> Any: ...


def read(data: Data) -> tuple[Any, Any]:
    """Labels, and weights or None."""
    weights = data.get_weight()
    if weights is not None and len(weights) == 0:  # XGBoost's way of saying None
        weights = None
    return data.get_label(), weights


class Library(NamedTuple):
    """What a library does in its own way."""

    class_count: str  # its parameter for the number of classes
    hessian: Literal["exact", "xgboost", "lightgbm"] = "exact"
    eps: float | Literal["auto"] = "auto"  # where its own metrics clip probabilities
    empty_loss: float = 0.0  # the mean without rows, or if all weights are zero

    def derivatives(
        self, y: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None
    ) -> tuple[Floats, Floats]:
        """Gradient and hessian of the weighted sum of the losses."""
        found = self._call(
            log_loss_gradient_hessian,
            y,
            scores,
            weights,
            normalize=False,
            from_logits=True,
            hessian=self.hessian,
        )
        if found is None:
            return np.zeros_like(scores), np.zeros_like(scores)
        _, gradient, hessian = found
        return gradient, hessian

    def metric(self, scores: ArrayLike, data: Data, from_logits: bool) -> float:
        """`mean_loss` with the labels and weights of `data`."""
        check_flag("from_logits", from_logits)
        y, weights = read(data)
        return self.mean_loss(y, scores, weights, from_logits=from_logits)

    def mean_loss(
        self,
        y: ArrayLike,
        scores: ArrayLike,
        weights: ArrayLike | None,
        *,
        from_logits: bool,
    ) -> float:
        """Mean loss of raw scores or, if not `from_logits`, of probabilities."""
        options = {"from_logits": True} if from_logits else {"eps": self.eps}
        loss = self._call(log_loss, y, scores, weights, **options)
        if from_logits:
            _warn_of_probabilities(y, scores, weights)
        return self.empty_loss if loss is None else loss

    def loss_sum(
        self, y: ArrayLike, scores: ArrayLike, weights: ArrayLike | None
    ) -> float:
        """Weighted sum of the losses of raw scores."""
        options = {"from_logits": True, "normalize": False}
        return self._call(log_loss, y, scores, weights, **options) or 0.0

    def _call(
        self,
        function: Callable[..., Result],
        y: ArrayLike,
        scores: ArrayLike,
        weights: ArrayLike | None,
        **options: Any,
    ) -> Result | None:
        """What the function returns, or None if no row counts.

        A worker may have no rows, or only rows of weight zero.
        """
        y, scores = np.asarray(y), np.asarray(scores)
        if len(scores) == 0:
            return None
        targets, meaning = _targets(y, scores)
        try:
            return function(
                targets, scores, sample_weight=weights, **meaning, **options
            )
        except ValueError:
            if weights is not None and not np.any(weights):
                return None
            if "from_logits" not in options:
                _explain_probability(scores)
            self._explain_label(y, scores)
            raise

    def _explain_label(self, y: NDArray[Any], scores: NDArray[Any]) -> None:
        """Raise for the first label that is not valid, if there is one."""
        if y.shape != scores.shape[:1] or y.dtype.kind not in "biuf":
            return
        n_columns = _n_columns(scores)
        if n_columns == 1:
            must = "be 0 or 1 (or the probability of 1)"
            hint = f"for more than two classes give {self.class_count}"
            valid = (y >= 0) & (y <= 1)
        else:
            must = f"be 0 to {n_columns - 1}"
            hint = f"is {self.class_count}={n_columns} right?"
            valid = (y >= 0) & (y < n_columns) & (y == np.floor(y))
        if not valid.all():
            row = int(valid.argmin())
            raise ValueError(
                f"labels must {must}, got {y[row]} in row {row}; {hint}"
            ) from None


def _targets(y: NDArray[Any], scores: NDArray[Any]) -> tuple[Any, dict[str, Any]]:
    """Targets and the arguments that tell what they are, even if a class is missing."""
    n_columns = _n_columns(scores)
    if n_columns > 1:
        return y, {"labels": range(n_columns)}
    is_one = y == 1
    # Codes of one byte take half the time of soft targets, for the same bits.
    if np.count_nonzero(is_one) == np.count_nonzero(y):
        return is_one, {"labels": (0, 1)}
    return y, {"soft_targets": True}


def _n_columns(scores: NDArray[Any]) -> int:
    return scores.shape[1] if scores.ndim == 2 else 1


def in_unit(scores: NDArray[Any]) -> bool:
    """Whether all scores are in [0, 1]."""
    return bool(((scores >= 0) & (scores <= 1)).all())


def _explain_probability(scores: NDArray[Any]) -> None:
    """Raise for the first score that is not a probability, if there is one."""
    valid = (scores >= 0) & (scores <= 1)
    if not valid.all():
        row, *_ = np.unravel_index(valid.argmin(), valid.shape)
        raise ValueError(
            f"scores must be probabilities, got {scores[~valid][0]} in row {row}; "
            "with a custom objective they are raw (from_logits=True), and with "
            '"multi:softmax" XGBoost passes classes: take "multi:softprob"'
        ) from None


def _warn_of_probabilities(
    y: ArrayLike, scores: ArrayLike, weights: ArrayLike | None
) -> None:
    """Warn if the scores, which should be raw, are probabilities."""
    y, scores = np.asarray(y), np.asarray(scores)
    # That all are in [0, 1] is no proof: raw scores of the first rounds often are.
    if not len(scores) or not in_unit(scores[:64]) or not in_unit(scores):
        return
    if scores.min() == scores.max():
        return
    if _n_columns(scores) == 1:
        found = _fit_as_probabilities(y, scores.reshape(len(scores)), weights)
    else:  # two columns of raw scores that start from 0.5 sum to one as well
        sums = scores.sum(axis=1)
        found = scores.shape[1] > 2 and np.abs(sums - 1).max() < 1e-5
    if found:
        warnings.warn(
            "The scores are probabilities, but raw scores are expected. With a "
            "built-in objective set from_logits=False, or use the metric for "
            "probabilities (xgboost_sklearn_proba_metric, "
            "lightgbm_sklearn_proba_metric).",
            UserWarning,
            stacklevel=caller_level(),
        )


def _fit_as_probabilities(
    y: NDArray[Any], p: NDArray[Any], weights: ArrayLike | None
) -> bool:
    """Whether scores in [0, 1] fit the labels as probabilities, but not as logits.

    - As probabilities, their mean is that of the labels, within 4 standard errors.
    - As logits, their mean is another one if training started from `initial_score`.
      If it is the same, they must span all of [0, 1]: raw scores would have left it.
    - If training started from zero, a raw score from 0 on means class 1, in every
      round. So the labels of the rows below 0.5 must be 1000 times as likely with the
      scores as probabilities.

    Not told apart are the first rounds from another start: there the mean of raw scores
    can be that of the labels by chance.
    """
    if y.shape != p.shape or y.min() != 0 or y.max() != 1:
        return False
    p = p.astype(np.float64)
    q = 1 / (1 + np.exp(-p))
    w = 1.0 if weights is None else np.asarray(weights)

    def has_the_mean_of_labels(p: NDArray[Any]) -> bool:
        apart = (y - p) * w
        return bool(abs(apart.sum()) <= 4 * math.sqrt((apart * apart).sum()))

    spans = p.min() < 0.005 and p.max() > 0.995
    if not has_the_mean_of_labels(p) or (has_the_mean_of_labels(q) and not spans):
        return False
    low = p < 0.5
    y, p, q = y[low], np.maximum(p[low], 1e-15), q[low]
    gain = y * np.log(p / q) + (1 - y) * np.log((1 - p) / (1 - q))
    return bool(gain.sum() > math.log(1000))
