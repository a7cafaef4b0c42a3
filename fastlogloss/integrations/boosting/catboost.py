"""Objective and metric for CatBoost."""

import math
import sys
from collections.abc import Sequence
from types import FrameType

import numpy as np
from numpy.typing import ArrayLike

from fastlogloss.integrations.boosting.shared import Floats, Library, in_unit

_CATBOOST = Library("classes_count")


class CatBoostObjective:
    """Objective for ``CatBoost(loss_function=CatBoostObjective(), ...)``.

    CatBoost needs an ``eval_metric`` with it, for example ``"Logloss"``,
    ``"MultiClass"`` or a `CatBoostMetric`. The last needs ``classes_count`` as well if
    there are more than two classes. Then CatBoost also calls the objective for each
    row, which is slow, whatever the objective computes.

    With two classes, labels may be probabilities of class 1, but only without
    classification metrics. With an ``eval_metric`` or ``custom_metric`` like
    ``"Logloss"``, ``"CrossEntropy"`` or ``"Accuracy"``, CatBoost turns the labels into
    classes before the objective sees them. That is an error, unless ``target_border``
    or ``class_names`` asks for it. For such labels `CatBoostMetric` is
    ``"CrossEntropy"``; ``"RMSE"`` and ``"AUC"`` work, too.

    Notes
    -----
    The trees are those of the built-in objective, until a rounding decides between two
    splits with the same gain. Scores are the same to 1e-13; to 1e-7 if
    `initial_score` replaces ``boost_from_average``, an average in float32. For that,
    set by hand what CatBoost sets by objective: ``learning_rate``,
    ``leaf_estimation_method="Newton"``, ``leaf_estimation_iterations`` (10 for
    ``"Logloss"``, 1 for ``"MultiClass"``), ``bootstrap_type`` and ``boosting_type``.
    Set ``leaf_estimation_backtracking="No"`` for both objectives: a custom one allows
    nothing else.

    Examples
    --------
    >>> import numpy as np
    >>> from catboost import CatBoost, Pool
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlogloss.integrations.boosting import CatBoostObjective, initial_score
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> params = {
    ...     "iterations": 10,
    ...     "learning_rate": 0.1,
    ...     "leaf_estimation_method": "Newton",
    ...     "leaf_estimation_iterations": 10,
    ...     "leaf_estimation_backtracking": "No",
    ...     "eval_metric": "Logloss",
    ...     "allow_writing_files": False,
    ...     "verbose": False,
    ... }
    >>> start = initial_score(y)
    >>> data = Pool(X, y, baseline=np.full((len(y), 1), start))
    >>> builtin = CatBoost({**params, "loss_function": "Logloss"}).fit(data)
    >>> ours = CatBoost({**params, "loss_function": CatBoostObjective()}).fit(data)
    >>> bool(abs(ours.predict(X) - builtin.predict(X)).max() < 1e-13)
    True
    """

    # Labels of the current training that CatBoost may turn into classes.
    _soft: tuple[float, float] | None = None

    @property
    def no_jit(self) -> bool:
        """True: numba cannot compile the methods, and CatBoost should not try."""
        # CatBoost asks before it trains, in the caller's thread: labels can be seen.
        self._soft = _two_soft_labels()
        return True

    def calc_ders_range(
        self, approxes: ArrayLike, targets: ArrayLike, weights: ArrayLike | None
    ) -> Floats:
        """First and second derivatives of minus the loss, which CatBoost maximises.

        Parameters
        ----------
        approxes : ndarray of shape (n_samples,)
            Raw scores.
        targets : ndarray of shape (n_samples,)
            Labels.
        weights : ndarray of shape (n_samples,) or None
            Weights of the rows.

        Returns
        -------
        derivatives : ndarray of shape (n_samples, 2)

        Raises
        ------
        ValueError
            If labels or scores are not valid, and if CatBoost has turned labels that
            are probabilities into classes.
        """
        targets = np.asarray(targets)
        if self._soft:
            classes = {0, 1} - {*self._soft}  # which these labels cannot be
            if any((targets == code).any() for code in classes):
                low, high = self._soft
                raise ValueError(
                    f"labels are probabilities, {low:.6g} and {high:.6g}, but CatBoost "
                    "turned them into classes, as it does with a classification "
                    "metric: use eval_metric=CatBoostMetric()"
                )
        # Weights come last: those of a range of rows, unlike all, may sum to zero.
        pair = _CATBOOST.derivatives(targets, approxes)
        derivatives: Floats = np.negative(np.stack(pair, axis=1))
        if weights is not None:
            derivatives *= np.asarray(weights)[:, np.newaxis]
        return derivatives

    def calc_ders_multi(
        self, approxes: Sequence[float] | Floats, target: float, weight: float
    ) -> tuple[list[float], list[list[float]]]:
        """Derivatives of minus the loss of one row, and the matrix of second ones.

        In plain Python: for 3 classes it takes 3 us, array arithmetic 13.

        Parameters
        ----------
        approxes : ndarray of shape (n_classes,)
            Raw scores.
        target : float
            The label.
        weight : float

        Returns
        -------
        first : list of n_classes floats
        second : list of n_classes such lists

        Raises
        ------
        ValueError
            If `target` is not one of the codes.
        """
        scores = [float(score) for score in approxes]
        label = int(target)
        if label != target or not 0 <= label < len(scores):
            raise ValueError(
                f"labels must be 0 to {len(scores) - 1}, got {target}; is "
                f"classes_count={len(scores)} right?"
            )
        highest = max(scores)
        odds = [math.exp(score - highest) for score in scores]
        total = math.fsum(odds)
        first: list[float] = []
        second: list[list[float]] = []
        for odd in odds:
            p = odd / total
            wp = weight * p
            first.append(-wp)
            second.append([wp * (other / total) for other in odds])
            second[-1][len(first) - 1] -= wp
        # Not weight - wp, which would lose digits.
        first[label] = 0.0
        first[label] = -math.fsum(first)
        return first, second


class CatBoostMetric:
    """Metric for ``CatBoost(eval_metric=CatBoostMetric(), ...)``.

    For built-in objectives and for `CatBoostObjective`, which needs ``classes_count``
    if there are more than two classes. CatBoost lists it by the name of the class.

    Examples
    --------
    >>> from catboost import CatBoost
    >>> from sklearn.datasets import load_wine
    >>> from fastlogloss.integrations.boosting import CatBoostMetric
    >>> X, y = load_wine(return_X_y=True)
    >>> model = CatBoost(
    ...     {
    ...         "loss_function": "MultiClass",
    ...         "eval_metric": CatBoostMetric(),
    ...         "iterations": 10,
    ...         "allow_writing_files": False,
    ...         "verbose": False,
    ...     }
    ... ).fit(X, y)
    >>> sorted(model.get_best_score()["learn"])
    ['CatBoostMetric', 'MultiClass']
    """

    no_jit = True  # numba cannot compile the methods

    def is_max_optimal(self) -> bool:
        """Whether higher is better.

        Returns
        -------
        answer : bool
            False.
        """
        return False

    def evaluate(
        self,
        approxes: Sequence[Floats],
        target: ArrayLike,
        weight: ArrayLike | None,
    ) -> tuple[float, float]:
        """Sums of the losses and of the weights, over some of the rows.

        Parameters
        ----------
        approxes : sequence of n_scores ndarrays of shape (n_samples,)
            Raw scores: one array for two classes, else one for each class.
        target : ndarray of shape (n_samples,)
            Labels.
        weight : ndarray of shape (n_samples,) or None
            Weights of the rows.

        Returns
        -------
        error, weight_sum : float

        Raises
        ------
        ValueError
            If labels, weights or scores are not valid.
        """
        target = np.asarray(target)
        total = float(len(target))
        if weight is not None:
            weight = np.asarray(weight)
            total = float(weight.sum(dtype=np.float64))
        if total == 0:
            return 0.0, 0.0
        scores = np.stack(list(approxes), axis=1)
        return _CATBOOST.loss_sum(target, scores, weight), total

    def get_final_error(self, error: float, weight: float) -> float:
        """The mean loss, from the sums over all rows.

        Parameters
        ----------
        error, weight : float

        Returns
        -------
        loss : float
            In nats.
        """
        return error / weight if weight else 0.0


def _two_soft_labels() -> tuple[float, float] | None:
    """The two values of the labels of the training to come, if they are soft; or None.

    With a classification metric, CatBoost turns them into classes. Nothing that it
    passes to an objective shows that. But its Python function that trains has the
    labels in a variable.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame and not str(frame.f_globals.get("__name__")).startswith("catboost."):
        frame = frame.f_back
    variables = dict(frame.f_locals) if frame else {}
    params = variables.get("params") or {}
    if any(params.get(name) is not None for name in ("target_border", "class_names")):
        return None  # the user asked for classes
    holders = [pool for pool in variables.values() if hasattr(pool, "get_label")]
    for labels in [*(pool.get_label() for pool in holders), variables.get("y")]:
        labels = np.asarray(labels)
        if labels.dtype.kind == "f" and in_unit(labels) and (labels % 1).any():
            values = np.unique(labels)  # CatBoost makes two classes of two values only
            return (values[0], values[1]) if len(values) == 2 else None
    return None
