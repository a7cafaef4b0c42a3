"""Which estimators are known to answer with what is no logit, or no probability.

They are known by the names of their classes, so that no library is imported to find
out. Estimators that are not known are let through.
"""

_LIBRARIES = ("sklearn", "lightgbm")  # whose names are known

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


def objection(estimator, method, n_classes):
    """Why the answers of an estimator cannot be scored, in a sentence; or None.

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
    name = type(inner).__name__
    if method == "predict_proba":
        if "LGBMClassifier" in names and callable(inner.objective):
            return (
                f"predict_proba of {name} gives raw scores, not probabilities, if its "
                "objective is a function: use neg_log_loss_logits_scorer, or log_loss "
                "with from_logits=True"
            )
        return None
    reasons = (_not_logits(known, inner, n_classes) for known in names)
    reason = next(filter(None, reasons), None)
    if reason is None:
        return None
    sentence = f"decision_function of {name} gives {reason}"
    if n_classes == 0:  # no classifier
        return sentence
    remedy = "use neg_log_loss_scorer, which scores predict_proba"
    if not hasattr(estimator, "predict_proba"):
        remedy = f"calibrate it (CalibratedClassifierCV), and {remedy}"
    return f"{sentence}: {remedy}"


def _unwrapped(estimator, method, n_classes):
    """The estimator inside of wrappers, as far as they are known and fitted."""
    while True:
        names = _names(estimator, method)
        place = next((_WRAPPERS[name] for name in names if name in _WRAPPERS), "")
        inner = getattr(estimator, place, None)
        if "Pipeline" in names:
            inner = estimator.steps[-1][1]
        elif "OneVsRestClassifier" in names and n_classes == 2:
            inner = next(iter(getattr(estimator, "estimators_", [])), None)
        if inner is None:
            return estimator
        estimator = inner


def _names(estimator, method):
    """Names of its class and of those up to the one that it has the method from."""
    names = []
    for base in type(estimator).__mro__:
        if base.__module__.partition(".")[0] in _LIBRARIES:
            names.append(base.__name__)
        if method in vars(base):
            break
    return names


def _not_logits(name, estimator, n_classes):
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
