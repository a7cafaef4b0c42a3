"""Responses of estimators: how to get them, and which are no logits or probabilities.

Design
------
(a) scikit-learn's scorers look at the estimator before each response: whether it is a
    classifier, and what its classes are. That takes longer than the loss of 100,000
    rows. `plain_method` and `plain_response` do the same for most classifiers, and
    leave all others, and so every error, to scikit-learn. Rejected: a cache of what
    scikit-learn finds, by estimator: estimators change.
(b) Estimators whose responses are no logits are known by the names of their classes, so
    that no library is imported to find out. Estimators that are not known are accepted.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import is_classifier

_LIBRARIES = ("sklearn", "lightgbm")  # whose names are known

_SECOND = np.intp(1)  # of scikit-learn's type, which errors of data frames name

_MARGINS = "margins, not logits"
_ONE_VERSUS_REST = "logits of each class against the rest, not of a softmax"
_ONE_VERSUS_ONE = "votes of classes one against one, not logits"
_AVERAGES = "averages over models, not the logits of their average probability"
_SCALED = "a multiple of the logits"

# Wrappers that pass on the answer of an estimator, and the attribute that holds it.
_WRAPPERS = {
    "BaseSearchCV": "best_estimator_",
    "BaseThresholdClassifier": "estimator_",
    "FrozenEstimator": "estimator",
    "RFE": "estimator_",
    "SelfTrainingClassifier": "estimator_",
    "StackingClassifier": "final_estimator_",
}


def plain_classes(classes: Any) -> list[Any] | None:
    """Classes as a list, if they are different labels of the usual types; or None.

    scikit-learn calls two of them "binary", and more of them "multiclass".
    """
    if type(classes) is not np.ndarray or classes.ndim != 1 or len(classes) < 2:
        return None
    kind, labels = classes.dtype.kind, classes.tolist()
    if kind not in "biuU":
        if kind == "O":
            is_plain = all(type(label) is str for label in labels)
        else:  # scikit-learn reads whole numbers that are no int64 as continuous
            is_plain = kind == "f" and all(
                type(label) is float and label.is_integer() and abs(label) < 2.0**63
                for label in labels
            )
        if not is_plain:
            return None
    return labels if len(set(labels)) == len(labels) else None


def plain_method(estimator: Any, name: str) -> Callable[[Any], Any] | None:
    """The method of an estimator, if scikit-learn takes this for a classifier; or None.

    Parameters
    ----------
    estimator : object
    name : str
    """
    try:
        # Pipelines and searches are what an estimator of theirs is. They say so by
        # copies of all tags of all estimators, which takes ten times as long.
        inner = estimator
        while True:
            names = _names(inner, "__sklearn_tags__")
            if "Pipeline" in names:
                inner = inner.steps[-1][1]
            elif "BaseSearchCV" in names:
                inner = inner.estimator
            else:
                break
        if is_classifier(inner):
            method = getattr(estimator, name)
            return method if method.__name__ == name else None
    except Exception:  # of a foreign object; scikit-learn raises what there is to raise
        pass
    return None


def plain_response(method: Callable[[Any], Any], X: Any, n_classes: int) -> Any:
    """What scikit-learn's scorers make of the response of a `plain_method`; or None.

    That is the response; of the probabilities of two classes the second column.
    """
    response = method(X)
    if n_classes == 2 and method.__name__ == "predict_proba":
        return response[:, _SECOND] if response.shape[1] >= 2 else None
    return response


def objection(estimator: Any, method: str, n_classes: int) -> str | None:
    """Why the responses of an estimator cannot be scored, in a sentence; or None.

    Parameters
    ----------
    estimator : object
        Looked into, if it is a wrapper that is known.
    method : str
        "decision_function" has to give logits: for two classes that of the second, for
        more those of a softmax. "predict_proba" has to give probabilities.
    n_classes : int
        0 if it has none.
    """
    inner = _unwrapped(estimator, method, n_classes)
    names = _names(inner, method)
    if method == "predict_proba":
        if "LGBMClassifier" in names and callable(inner.objective):
            return (
                f"predict_proba of {type(inner).__name__} gives raw scores, not "
                "probabilities, if its objective is a function: use "
                "neg_log_loss_logits_scorer, or log_loss with from_logits=True"
            )
        return None
    for name in names:
        reason = _not_logits(name, inner, n_classes)
        if reason is not None:
            break
    else:
        return None
    sentence = f"decision_function of {type(inner).__name__} gives {reason}"
    if n_classes == 0:  # no classifier
        return sentence
    remedy = "use neg_log_loss_scorer, which scores predict_proba"
    if not hasattr(estimator, "predict_proba"):
        remedy = f"calibrate it (CalibratedClassifierCV), and {remedy}"
    return f"{sentence}: {remedy}"


def _unwrapped(estimator: Any, method: str, n_classes: int) -> Any:
    """The estimator inside of wrappers, as far as they are known and fitted."""
    while True:
        inner = None
        for name in _names(estimator, method):
            if name == "Pipeline":
                inner = estimator.steps[-1][1]
            elif name == "OneVsRestClassifier" and n_classes == 2:
                inner = next(iter(getattr(estimator, "estimators_", [])), None)
            elif name in _WRAPPERS:
                inner = getattr(estimator, _WRAPPERS[name], None)
        if inner is None:
            return estimator
        estimator = inner


def _names(estimator: object, method: str) -> tuple[str, ...]:
    kind: Any = type(estimator)  # mypy takes no class for hashable
    return _names_of(kind, method)


@functools.lru_cache(maxsize=256)
def _names_of(kind: type, method: str) -> tuple[str, ...]:
    """Names of a class and of its bases, up to the one that has the method."""
    names = []
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] in _LIBRARIES:
            names.append(base.__name__)
        if method in vars(base):
            break
    return tuple(names)


def _not_logits(name: str, estimator: Any, n_classes: int) -> str | None:
    """What the decision function of a class of that name gives instead of logits."""
    several = n_classes > 2
    match name:
        case (
            "LinearSVC"
            | "NuSVC"
            | "PassiveAggressiveClassifier"
            | "Perceptron"
            | "RidgeClassifier"
            | "RidgeClassifierCV"
            | "SVC"
        ):
            return _MARGINS
        case (
            "EllipticEnvelope"
            | "IsolationForest"
            | "LocalOutlierFactor"
            | "OneClassSVM"
            | "SGDOneClassSVM"
        ):
            return _MARGINS
        case "SGDClassifier" if estimator.loss != "log_loss":
            return _MARGINS
        case "SGDClassifier" | "OneVsRestClassifier" if several:
            return _ONE_VERSUS_REST
        case "LogisticRegression":
            # Before scikit-learn 1.8 it had a parameter for what to do with classes.
            scheme = getattr(estimator, "multi_class", None)
            if several:
                rest = scheme == "ovr" or estimator.solver == "liblinear"
                return _ONE_VERSUS_REST if rest else None
            return _SCALED if scheme == "multinomial" else None
        case "OneVsOneClassifier":
            return _ONE_VERSUS_ONE
        case "AdaBoostClassifier" if several:
            return _SCALED
        case "GradientBoostingClassifier" if estimator.loss == "exponential":
            return _SCALED
        case "BaggingClassifier":
            return _AVERAGES
        case "LGBMClassifier":
            if several and estimator.objective in ("multiclassova", "ova", "ovr"):
                return _ONE_VERSUS_REST
            if estimator.boosting_type == "rf":
                return _AVERAGES
            if not several and not callable(estimator.objective):
                return _SCALED if getattr(estimator, "sigmoid", 1) != 1 else None
    return None
