"""Log loss for scikit-learn: exact, validated, at the speed of memory."""

import importlib

from fastlogloss.derivatives import log_loss_gradient, log_loss_gradient_hessian
from fastlogloss.metrics import d2_log_loss_score, log_loss, sample_log_loss
from fastlogloss.prepared import LogLoss
from fastlogloss.sklearn_patch import (
    patch_sklearn,
    patched_sklearn,
    sklearn_is_patched,
    unpatch_sklearn,
)

__all__ = [
    "GroupedLogLoss",
    "LogLoss",
    "LogLossAccumulator",
    "LogLossComparison",
    "compare_log_loss",
    "d2_log_loss_score",
    "d2_log_loss_scorer",
    "log_loss",
    "log_loss_by_group",
    "log_loss_gradient",
    "log_loss_gradient_hessian",
    "make_log_loss_scorer",
    "multilabel_log_loss",
    "neg_log_loss_logits_scorer",
    "neg_log_loss_scorer",
    "patch_sklearn",
    "patched_sklearn",
    "sample_log_loss",
    "sklearn_is_patched",
    "unpatch_sklearn",
]

__version__ = "0.1.0"


# Imported when first used: scorers subclass scikit-learn's, whose import takes a
# second, and sums that merge are made of many rooms.
_MODULES = {
    "GroupedLogLoss": "groups",
    "LogLossAccumulator": "accumulator",
    "LogLossComparison": "comparison",
    "compare_log_loss": "comparison",
    "d2_log_loss_scorer": "scorers",
    "log_loss_by_group": "groups",
    "make_log_loss_scorer": "scorers",
    "multilabel_log_loss": "multilabel",
    "neg_log_loss_logits_scorer": "scorers",
    "neg_log_loss_scorer": "scorers",
}


def __getattr__(name):
    if name in _MODULES:
        module = importlib.import_module(f"fastlogloss.{_MODULES[name]}")
        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
