"""Log loss for scikit-learn: exact, validated, at the speed of memory."""

from fastlogloss.accumulator import LogLossAccumulator
from fastlogloss.comparison import LogLossComparison, compare_log_loss
from fastlogloss.derivatives import log_loss_gradient, log_loss_gradient_hessian
from fastlogloss.groups import GroupedLogLoss, log_loss_by_group
from fastlogloss.metrics import d2_log_loss_score, log_loss, sample_log_loss
from fastlogloss.multilabel import multilabel_log_loss
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


def __getattr__(name):
    # Scorers subclass scikit-learn's, whose import takes a second: when first used.
    if name.endswith("_scorer") and name in __all__:
        from fastlogloss import scorers

        return getattr(scorers, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted({*globals(), *__all__})
