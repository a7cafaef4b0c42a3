"""Objectives and metrics for XGBoost."""

import functools
import sys
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastlogloss.integrations.boosting.shared import NAME, Data, Floats, Library, read

_XGBOOST = Library("num_class", hessian="xgboost", eps=1e-16)
_LEAST_HESSIAN = 1e-16  # as in XGBoost, which divides by sums of hessians


def xgboost_objective(preds: Floats, dtrain: Data) -> tuple[Floats, Floats]:
    """Objective for ``xgboost.train(params, dtrain, obj=xgboost_objective)``.

    Parameters
    ----------
    preds : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Raw scores.
    dtrain : xgboost.DMatrix
        Has labels and weights.

    Returns
    -------
    gradient, hessian : ndarray, shape of `preds`
        The hessian is XGBoost's own. With two classes it is p (1 - p). With more it is
        2 p (1 - p) or abs(p - y), whichever the loaded XGBoost has. At least 1e-16.

    Raises
    ------
    ValueError
        If labels, weights or scores are not valid: for example if there are more than
        two classes and ``num_class`` is missing.

    Notes
    -----
    Keep ``objective`` in the parameters as well, so that predictions are probabilities.
    XGBoost computes its derivatives in float32, ours are rounded to float32 once. So
    leaves differ by about 1e-6. Trees differ only from the first split on where two
    gains are equal but for that. The hessian of XGBoost is found once, with a tree of
    one row.

    Examples
    --------
    >>> import numpy as np, xgboost
    >>> from sklearn.datasets import load_breast_cancer
    >>> from fastlogloss.integrations.boosting import initial_score, xgboost_objective
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> data = xgboost.DMatrix(X, y)
    >>> params = {"objective": "binary:logistic", "nthread": 1}
    >>> builtin = xgboost.train(params, data, 10)
    >>> params["base_score"] = 1 / (1 + np.exp(-initial_score(y)))
    >>> ours = xgboost.train(params, data, 10, obj=xgboost_objective)
    >>> bool(abs(ours.predict(data) - builtin.predict(data)).max() < 1e-5)
    True
    """
    y, weights = read(dtrain)
    return xgboost_sklearn_objective(y, preds, weights)


def xgboost_metric(
    preds: Floats, dtrain: Data, *, from_logits: bool = True
) -> tuple[str, float]:
    """Metric for ``xgboost.train(..., custom_metric=xgboost_metric)``.

    Parameters
    ----------
    preds : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Raw scores, or probabilities if not `from_logits`.
    dtrain : xgboost.DMatrix
        Has labels and weights.
    from_logits : bool, default=True
        True with a custom objective, False with a built-in one.

    Returns
    -------
    name : str
        ``"log_loss"``.
    loss : float
        In nats. Without rows, or if all weights are zero, it is 0: XGBoost takes the
        mean of its workers' losses.

    Raises
    ------
    ValueError
        If labels, weights or scores are not valid.

    Warns
    -----
    UserWarning
        If raw scores are expected and `preds` are probabilities.

    Notes
    -----
    For probabilities it is XGBoost's own ``logloss`` or ``mlogloss``, clipped at 1e-16.
    For raw scores the loss of a row has no limit. XGBoost keeps six decimals of a
    custom metric: early stopping does not see smaller gains.

    Examples
    --------
    >>> import functools, xgboost
    >>> from sklearn.datasets import load_wine
    >>> from fastlogloss.integrations.boosting import xgboost_metric
    >>> X, y = load_wine(return_X_y=True)
    >>> data, result = xgboost.DMatrix(X, y), {}
    >>> model = xgboost.train(
    ...     {"objective": "multi:softprob", "num_class": 3, "nthread": 1},
    ...     data,
    ...     10,
    ...     evals=[(data, "train")],
    ...     custom_metric=functools.partial(xgboost_metric, from_logits=False),
    ...     evals_result=result,
    ...     verbose_eval=False,
    ... )
    >>> sorted(result["train"])
    ['log_loss', 'mlogloss']
    """
    return NAME, _XGBOOST.metric(preds, dtrain, from_logits)


def xgboost_sklearn_objective(
    y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """Objective for ``XGBClassifier(objective=xgboost_sklearn_objective)``.

    Parameters
    ----------
    y_true : ndarray of shape (n_samples,)
        Labels.
    y_pred : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Raw scores.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the rows.

    Returns
    -------
    gradient, hessian : ndarray, shape of `y_pred`
        Those of `xgboost_objective`.

    Raises
    ------
    ValueError
        If labels, weights or scores are not valid.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from xgboost import XGBClassifier
    >>> from fastlogloss.integrations.boosting import (
    ...     initial_score,
    ...     xgboost_sklearn_metric,
    ...     xgboost_sklearn_objective,
    ... )
    >>> X, y = load_wine(return_X_y=True)
    >>> model = XGBClassifier(
    ...     n_estimators=10,
    ...     objective=xgboost_sklearn_objective,
    ...     eval_metric=xgboost_sklearn_metric,
    ...     base_score=initial_score(y).tolist(),
    ... )
    >>> model.fit(X, y).predict_proba(X).shape
    (178, 3)

    With two classes ``base_score`` is a probability:

    >>> import numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> builtin = XGBClassifier(n_estimators=10).fit(X, y)
    >>> ours = XGBClassifier(
    ...     n_estimators=10,
    ...     objective=xgboost_sklearn_objective,
    ...     base_score=1 / (1 + np.exp(-initial_score(y))),
    ... ).fit(X, y)
    >>> bool(abs(ours.predict_proba(X) - builtin.predict_proba(X)).max() < 1e-5)
    True
    """
    gradient, hessian = _XGBOOST.derivatives(y_true, y_pred, sample_weight)
    xgboost = sys.modules.get("xgboost")  # not loaded: nobody asked for its hessian
    if xgboost and gradient.ndim == 2 and gradient.shape[1] > 1:
        if _hessian_is_residual(xgboost):
            np.abs(gradient, out=hessian)
    return gradient, np.maximum(hessian, _LEAST_HESSIAN, out=hessian)


def xgboost_sklearn_metric(
    y_true: ArrayLike, y_score: ArrayLike, sample_weight: ArrayLike | None = None
) -> float:
    """Metric for ``XGBClassifier(eval_metric=...)`` with `xgboost_sklearn_objective`.

    With a built-in objective use `xgboost_sklearn_proba_metric`. XGBoost lists either
    as ``"log_loss"``.

    Parameters
    ----------
    y_true, y_score, sample_weight
        Labels, raw scores and weights, as `xgboost_sklearn_objective` takes them.

    Returns
    -------
    loss : float
        That of `xgboost_metric`, with its errors and warnings.

    Examples
    --------
    In use see `xgboost_sklearn_objective`.

    >>> from fastlogloss.integrations.boosting import xgboost_sklearn_metric
    >>> round(xgboost_sklearn_metric([0, 1], [-1.0, 1.0]), 6)
    0.313262
    """
    return _XGBOOST.mean_loss(y_true, y_score, sample_weight, from_logits=True)


def xgboost_sklearn_proba_metric(
    y_true: ArrayLike, y_proba: ArrayLike, sample_weight: ArrayLike | None = None
) -> float:
    """Metric for ``XGBClassifier(eval_metric=...)`` with a built-in objective.

    Parameters
    ----------
    y_true, sample_weight
        Labels and weights, as `xgboost_sklearn_objective` takes them.
    y_proba : ndarray of shape (n_samples,) or (n_samples, n_classes)
        Probabilities.

    Returns
    -------
    loss : float
        That of `xgboost_metric`.

    Raises
    ------
    ValueError
        If the arguments are not valid: for example with ``"multi:softmax"``, which
        passes classes.

    Examples
    --------
    Early stopping where the validation set lacks a class:

    >>> from sklearn.datasets import load_wine
    >>> from xgboost import XGBClassifier
    >>> from fastlogloss.integrations.boosting import xgboost_sklearn_proba_metric
    >>> X, y = load_wine(return_X_y=True)
    >>> model = XGBClassifier(
    ...     n_estimators=10,
    ...     eval_metric=xgboost_sklearn_proba_metric,
    ...     early_stopping_rounds=3,
    ... )
    >>> model = model.fit(X, y, eval_set=[(X[y < 2], y[y < 2])], verbose=False)
    >>> sorted(model.evals_result()["validation_0"])
    ['log_loss', 'mlogloss']
    """
    return _XGBOOST.mean_loss(y_true, y_proba, sample_weight, from_logits=False)


# XGBoost lists the values of a metric under the name of the function.
xgboost_sklearn_metric.__name__ = NAME
xgboost_sklearn_proba_metric.__name__ = NAME


@functools.cache
def _hessian_is_residual(xgboost: ModuleType) -> bool:
    """Whether the hessian of XGBoost's own softmax is abs(p - y).

    Releases differ, and later ones are not known: a tree of one row gives the answer.
    """

    def grow() -> NDArray[Any]:
        data = xgboost.DMatrix(np.zeros((1, 1)), label=np.zeros(1))
        data.set_base_margin(np.zeros((1, 3)))
        params = {
            "objective": "multi:softprob",
            "num_class": 3,
            "learning_rate": 1.0,
            "reg_lambda": 0.0,
            "min_child_weight": 0.0,
            "nthread": 1,
        }
        tree = xgboost.train(params, data, 1)
        return np.asarray(tree.predict(data, output_margin=True))

    # In a thread of its own: XGBoost ties workers that train together to theirs.
    with ThreadPoolExecutor(1) as pool:
        scores = pool.submit(grow).result()
    # The score of the true class is 2/3 divided by the hessian: 4/9, or 2/3 itself.
    return bool(scores[0, 0] < 1.25)
