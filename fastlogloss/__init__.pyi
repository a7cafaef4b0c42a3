from fastlogloss.accumulator import LogLossAccumulator as LogLossAccumulator
from fastlogloss.comparison import LogLossComparison as LogLossComparison
from fastlogloss.comparison import compare_log_loss as compare_log_loss
from fastlogloss.derivatives import log_loss_gradient as log_loss_gradient
from fastlogloss.derivatives import (
    log_loss_gradient_hessian as log_loss_gradient_hessian,
)
from fastlogloss.groups import GroupedLogLoss as GroupedLogLoss
from fastlogloss.groups import log_loss_by_group as log_loss_by_group
from fastlogloss.metrics import d2_log_loss_score as d2_log_loss_score
from fastlogloss.metrics import log_loss as log_loss
from fastlogloss.metrics import sample_log_loss as sample_log_loss
from fastlogloss.multilabel import multilabel_log_loss as multilabel_log_loss
from fastlogloss.prepared import LogLoss as LogLoss
from fastlogloss.scorers import d2_log_loss_scorer as d2_log_loss_scorer
from fastlogloss.scorers import make_log_loss_scorer as make_log_loss_scorer
from fastlogloss.scorers import (
    neg_log_loss_logits_scorer as neg_log_loss_logits_scorer,
)
from fastlogloss.scorers import neg_log_loss_scorer as neg_log_loss_scorer
from fastlogloss.sklearn_patch import patch_sklearn as patch_sklearn
from fastlogloss.sklearn_patch import patched_sklearn as patched_sklearn
from fastlogloss.sklearn_patch import sklearn_is_patched as sklearn_is_patched
from fastlogloss.sklearn_patch import unpatch_sklearn as unpatch_sklearn

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
__version__: str
