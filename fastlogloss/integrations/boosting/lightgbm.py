"""Objectives and metrics for LightGBM."""

import math
from typing import Any

from numpy.typing import ArrayLike

from fastlogloss.integrations.boosting.shared import NAME, Data, Floats, Library, read

Labels = Any  # ArrayLike | None in the types of LightGBM, which passes no None

_LIGHTGBM = Library("num_class", hessian="lightgbm", eps=1e-15, empty_loss=math.nan)


def lightgbm_objective(preds: Floats, train_data: Data) -> tuple[Floats, Floats]:
    """Objective for ``lightgbm.train({"objective": lightgbm_objective}, ...)``.

    Parameters
    ----------
    preds : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Raw scores.
    train_data : lightgbm.Dataset
        Has labels and weights.

    Returns
    -------
    gradient, hessian : ndarray, shape of `preds`
        The hessian is LightGBM's own: p (1 - p) with two classes, K / (K - 1) p (1 - p)
        with K > 2.

    Raises
    ------
    ValueError
        For the first label, weight or score that is not valid. Class 2 is not valid
        without ``num_class``.

    Notes
    -----
    Predictions are raw scores without `initial_score`. LightGBM computes derivatives in
    float64 and rounds them to float32. Ours are rounded in the same way, nearly always
    to the same number. So leaves are the same to 1e-15, or to 1e-7 where a rounding
    falls on the other side. Trees differ only from the first split on where two gains
    are equal but for that.

    Examples
    --------
    >>> import lightgbm, numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlogloss.integrations.boosting import initial_score, lightgbm_objective
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> params = {"objective": "binary", "num_threads": 1, "verbosity": -1}
    >>> builtin = lightgbm.train(params, lightgbm.Dataset(X, y), 10)
    >>> start = initial_score(y)
    >>> data = lightgbm.Dataset(X, y, init_score=np.full(len(y), start))
    >>> ours = lightgbm.train({**params, "objective": lightgbm_objective}, data, 10)
    >>> raw = builtin.predict(X, raw_score=True)
    >>> bool(abs(start + ours.predict(X) - raw).max() < 1e-6)
    True
    """
    y, weights = read(train_data)
    return lightgbm_sklearn_objective(y, preds, weights)


def lightgbm_metric(
    preds: Floats, eval_data: Data, *, from_logits: bool = True
) -> tuple[str, float, bool]:
    """Metric for ``lightgbm.train(..., feval=lightgbm_metric)``.

    Parameters
    ----------
    preds : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Raw scores; without `from_logits` probabilities.
    eval_data : lightgbm.Dataset
        Has labels and weights.
    from_logits : bool, default=True
        False with a built-in objective, True with a custom one.

    Returns
    -------
    name : str
        ``"log_loss"``.
    loss : float
        In nats; NaN if all weights are zero, as in LightGBM.
    is_higher_better : bool
        False.

    Raises
    ------
    ValueError
        For the first label, weight or score that is not valid.

    Warns
    -----
    UserWarning
        With `from_logits`, if `preds` are probabilities.

    Notes
    -----
    For probabilities it is LightGBM's own ``binary_logloss`` or ``multi_logloss``,
    clipped at 1e-15. For raw scores the loss of a row has no limit.

    Examples
    --------
    >>> import functools, lightgbm
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlogloss.integrations.boosting import lightgbm_metric
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> data, result = lightgbm.Dataset(X, y), {}
    >>> model = lightgbm.train(
    ...     {"objective": "binary", "num_threads": 1, "verbosity": -1},
    ...     data,
    ...     10,
    ...     valid_sets=[data],
    ...     feval=functools.partial(lightgbm_metric, from_logits=False),
    ...     callbacks=[lightgbm.record_evaluation(result)],
    ... )
    >>> sorted(result["training"])
    ['binary_logloss', 'log_loss']
    """
    return NAME, _LIGHTGBM.metric(preds, eval_data, from_logits), False


def lightgbm_sklearn_objective(
    y_true: Labels, y_pred: ArrayLike, weight: ArrayLike | None
) -> tuple[Floats, Floats]:
    """Objective for ``LGBMClassifier(objective=lightgbm_sklearn_objective)``.

    Parameters
    ----------
    y_true : ndarray of shape (n_samples,)
        Labels: codes or, with two classes, probabilities of class 1.
    y_pred : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Raw scores.
    weight : ndarray of shape (n_samples,) or None
        Weights of the rows.

    Returns
    -------
    gradient, hessian : ndarray, shape of `y_pred`
        Those of `lightgbm_objective`, with its errors.

    Notes
    -----
    With a custom objective, `predict_proba` of ``LGBMClassifier`` returns raw scores as
    well (a vector if there are two classes), and warns of it. Scorers of probabilities
    cannot read them. Score them by hand, or with
    :data:`fastlogloss.neg_log_loss_logits_scorer` if training started from zero.

    Examples
    --------
    >>> import numpy as np
    >>> from lightgbm import LGBMClassifier
    >>> from sklearn.datasets import load_wine
    >>> from fastlogloss.integrations.boosting import (
    ...     initial_score,
    ...     lightgbm_sklearn_metric,
    ...     lightgbm_sklearn_objective,
    ... )
    >>> X, y = load_wine(return_X_y=True)
    >>> start = np.tile(initial_score(y), (len(y), 1))
    >>> model = LGBMClassifier(
    ...     n_estimators=10, objective=lightgbm_sklearn_objective, verbosity=-1
    ... )
    >>> model = model.fit(X, y, init_score=start, eval_metric=lightgbm_sklearn_metric)
    >>> raw = start + model.predict(X, raw_score=True)
    >>> float((raw.argmax(axis=1) == y).mean())
    1.0
    """
    return _LIGHTGBM.derivatives(y_true, y_pred, weight)


def lightgbm_sklearn_metric(
    y_true: Labels, y_pred: ArrayLike, weight: ArrayLike | None
) -> tuple[str, float, bool]:
    """Metric for ``LGBMClassifier.fit(eval_metric=lightgbm_sklearn_metric)``.

    For raw scores, with `lightgbm_sklearn_objective`. With a built-in objective use
    `lightgbm_sklearn_proba_metric`.

    Parameters
    ----------
    y_true, y_pred, weight
        Labels, raw scores and weights, as `lightgbm_sklearn_objective` takes them.

    Returns
    -------
    name, loss, is_higher_better : str, float, bool
        Those of `lightgbm_metric`, with its errors and warnings.

    Examples
    --------
    In use see `lightgbm_sklearn_objective`.

    >>> from fastlogloss.integrations.boosting import lightgbm_sklearn_metric
    >>> name, loss, is_higher_better = lightgbm_sklearn_metric([0, 1], [-1, 1], None)
    >>> name, round(loss, 6), is_higher_better
    ('log_loss', 0.313262, False)
    """
    loss = _LIGHTGBM.mean_loss(y_true, y_pred, weight, from_logits=True)
    return NAME, loss, False


def lightgbm_sklearn_proba_metric(
    y_true: Labels, y_pred: ArrayLike, weight: ArrayLike | None
) -> tuple[str, float, bool]:
    """Metric for ``LGBMClassifier.fit(eval_metric=lightgbm_sklearn_proba_metric)``.

    For probabilities, with a built-in objective.

    Parameters
    ----------
    y_true, weight
        Labels and weights, as `lightgbm_sklearn_objective` takes them.
    y_pred : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Probabilities.

    Returns
    -------
    name, loss, is_higher_better : str, float, bool
        Those of `lightgbm_metric`, with its errors.

    Examples
    --------
    Early stopping where the validation set lacks a class:

    >>> from lightgbm import LGBMClassifier, early_stopping
    >>> from sklearn.datasets import load_wine
    >>> from fastlogloss.integrations.boosting import lightgbm_sklearn_proba_metric
    >>> X, y = load_wine(return_X_y=True)
    >>> model = LGBMClassifier(n_estimators=10, verbosity=-1).fit(
    ...     X,
    ...     y,
    ...     eval_X=X[y < 2],
    ...     eval_y=y[y < 2],
    ...     eval_metric=lightgbm_sklearn_proba_metric,
    ...     callbacks=[early_stopping(3, verbose=False)],
    ... )
    >>> sorted(model.best_score_["valid_0"])
    ['log_loss', 'multi_logloss']
    """
    loss = _LIGHTGBM.mean_loss(y_true, y_pred, weight, from_logits=False)
    return NAME, loss, False
