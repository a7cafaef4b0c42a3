"""Switch all of scikit-learn over to fastlogloss, and back.

The patch replaces `log_loss` and `d2_log_loss_score` in `sklearn.metrics` and the
modules behind it, the scorers named "neg_log_loss" and "d2_log_loss_score", and
`get_scorer`, which refuses our metrics where a scorer is wanted. For an estimator that
knows one class, these scorers raise scikit-learn's error; `neg_log_loss_scorer` and
`d2_log_loss_scorer` score it. The patch does not reach names that were imported before
(``from sklearn.metrics import log_loss``), scorers that were made before, and processes
that do not run `patch_sklearn` themselves. What is sent to joblib workers works there,
since it refers to fastlogloss.
"""

import contextlib
import functools
import importlib
import threading
from collections.abc import Iterator
from typing import Any

from fastlogloss._sklearn import METRICS, original

_SCORERS = {
    "neg_log_loss": "neg_log_loss_scorer",
    "d2_log_loss_score": "d2_log_loss_scorer",
}
_MODULES = (
    "sklearn.metrics",
    "sklearn.metrics._classification",
    "sklearn.metrics._scorer",
)

_lock = threading.RLock()
_switched_on = False  # by patch_sklearn
_depth = 0  # of patched_sklearn blocks, in all threads
# (mapping, key, original) of all that is replaced, while it is.
_undo: list[tuple[dict[str, Any], str, Any]] | None = None


def patch_sklearn() -> None:
    """Make scikit-learn use fastlogloss, in this process, until `unpatch_sklearn`.

    Calling it again changes nothing.

    Examples
    --------
    >>> import sklearn.metrics
    >>> from fastlogloss import patch_sklearn, unpatch_sklearn
    >>> patch_sklearn()
    >>> sklearn.metrics.log_loss.__module__
    'fastlogloss.metrics'
    >>> unpatch_sklearn()
    >>> sklearn.metrics.log_loss.__module__
    'sklearn.metrics._classification'
    """
    global _switched_on
    with _lock:
        _switched_on = True
        _update()


def unpatch_sklearn() -> None:
    """Undo `patch_sklearn`: every object is put back that was there before.

    Inside a ``with patched_sklearn():`` block it takes effect at the block's end.

    Examples
    --------
    >>> from fastlogloss import patch_sklearn, sklearn_is_patched, unpatch_sklearn
    >>> patch_sklearn()
    >>> unpatch_sklearn()
    >>> sklearn_is_patched()
    False
    """
    global _switched_on
    with _lock:
        _switched_on = False
        _update()


@contextlib.contextmanager
def patched_sklearn() -> Iterator[None]:
    """Context manager: scikit-learn uses fastlogloss until its end.

    Blocks may be nested and may overlap in several threads (the patch is of the
    process, not of the thread): scikit-learn is restored at the end of the last one,
    unless `patch_sklearn` is in force.

    Examples
    --------
    >>> from fastlogloss import patched_sklearn, sklearn_is_patched
    >>> with patched_sklearn():
    ...     print(sklearn_is_patched())
    True
    >>> sklearn_is_patched()
    False
    """
    global _depth
    with _lock:
        _depth += 1
        _update()
    try:
        yield
    finally:
        with _lock:
            _depth -= 1
            _update()


def sklearn_is_patched() -> bool:
    """Whether scikit-learn uses fastlogloss now.

    Returns
    -------
    patched : bool

    Examples
    --------
    >>> from fastlogloss import sklearn_is_patched
    >>> sklearn_is_patched()
    False
    """
    with _lock:
        return _undo is not None


def _update() -> None:
    global _undo
    wanted = _switched_on or _depth > 0
    if wanted and _undo is None:
        replacements = list(_replacements())
        _undo = [(names, key, names[key]) for names, key, _ in replacements]
        for names, key, value in replacements:
            names[key] = value
    elif not wanted and _undo is not None:
        for names, key, value in _undo:
            names[key] = value
        _undo = None


def _replacements() -> Iterator[tuple[dict[str, Any], str, Any]]:
    """(mapping, key, our object) for every place that holds one of the functions."""
    from fastlogloss import metrics, scorers

    get_scorer = original("get_scorer")  # remembered before it is replaced
    functools.update_wrapper(_get_scorer, get_scorer, assigned=["__doc__"])
    functions = {name: getattr(metrics, name) for name in METRICS}
    for name, function in {**functions, "get_scorer": _get_scorer}.items():
        original(name)
        for module in _MODULES:
            names = vars(importlib.import_module(module))
            if name in names:
                yield names, name, function
    registry = importlib.import_module("sklearn.metrics._scorer")
    for name, attribute in _SCORERS.items():
        for names, key in ((registry._SCORERS, name), (vars(registry), attribute)):
            if key in names:  # older releases have no scorer of the D^2 score
                scorer = getattr(scorers, attribute)  # a new one for each place
                scorer._takes_one_class = False
                yield names, key, scorer


def _get_scorer(scoring: Any) -> Any:
    # check_scoring knows metrics by the name of their module, and takes ours for
    # scorers. It calls this last. Asked about its own metric, it says what is wrong.
    from fastlogloss import metrics

    for name in METRICS:
        if scoring is getattr(metrics, name):
            original("check_scoring")(scoring=original(name))
    return original("get_scorer")(scoring)
