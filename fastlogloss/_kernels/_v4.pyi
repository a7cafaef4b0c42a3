# The same loops as _base, compiled for AVX-512.
from fastlogloss._kernels._base import BAD_LABEL as BAD_LABEL
from fastlogloss._kernels._base import BAD_PROBA as BAD_PROBA
from fastlogloss._kernels._base import BAD_ROW_SUM as BAD_ROW_SUM
from fastlogloss._kernels._base import BAD_SCORE as BAD_SCORE
from fastlogloss._kernels._base import BAD_TARGET as BAD_TARGET
from fastlogloss._kernels._base import Spec as Spec
from fastlogloss._kernels._base import Totals as Totals
from fastlogloss._kernels._base import encode as encode
from fastlogloss._kernels._base import loss_of_shares as loss_of_shares
from fastlogloss._kernels._base import mean_loss as mean_loss
from fastlogloss._kernels._base import pin_memory as pin_memory
from fastlogloss._kernels._base import sum_by_class as sum_by_class
from fastlogloss._kernels._base import sum_weights as sum_weights
from fastlogloss._kernels._base import worst_row as worst_row
