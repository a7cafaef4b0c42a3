"""Log loss for Spark's cross-validation."""

from typing import Any, Literal

import numpy as np
from pyspark import keyword_only
from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasLabelCol, HasProbabilityCol, HasWeightCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame

from fastlogloss._batches import EPS, Batches
from fastlogloss.integrations.spark.sums import log_loss


def _to_eps(value: Any) -> float:
    given = value if isinstance(value, str) else TypeConverters.toFloat(value)
    eps = Batches((0, 1), given).spec.eps
    return 0.0 if eps is None else eps


class LogLossEvaluator(
    Evaluator,
    HasLabelCol,
    HasProbabilityCol,
    HasWeightCol,
    DefaultParamsReadable["LogLossEvaluator"],
    DefaultParamsWritable,
):
    """Log loss as an evaluator of Spark ML, of which less is better.

    Classes are 0, 1 and so on, as many as the probabilities of a row.

    Parameters
    ----------
    labelCol : str, default="label"
    probabilityCol : str, default="probability"
        A column of ML vectors, as classifiers make them, or of arrays; or of numbers,
        which are of class 1 of two.
    weightCol : str, default=None
    eps : "auto" or float in [0, 0.5), default="auto"
        Where to clip probabilities; "auto" is 2.2e-16. MLlib's evaluator has 1e-15.

    See Also
    --------
    log_loss : With standard error, by groups.

    Notes
    -----
    `evaluate` raises a ValueError if rows are not valid, or if weights sum to zero.

    Examples
    --------
    >>> from pyspark.ml.tuning import CrossValidator  # doctest: +SKIP
    >>> evaluator = LogLossEvaluator(labelCol="clicked")  # doctest: +SKIP
    >>> search = CrossValidator(
    ...     estimator=model, estimatorParamMaps=grid, evaluator=evaluator
    ... )  # doctest: +SKIP
    """

    _input_kwargs: dict[str, Any]

    eps: Param[float] = Param(
        Params._dummy(),
        "eps",
        "probabilities are clipped to [eps, 1 - eps]. Must be in range [0, 0.5). "
        "The default value is 2.2e-16.",
        typeConverter=_to_eps,
    )

    @keyword_only
    def __init__(
        self,
        *,
        labelCol: str = "label",
        probabilityCol: str = "probability",
        weightCol: str | None = None,
        eps: float | Literal["auto"] = "auto",
    ) -> None:
        super().__init__()
        self._setDefault(eps=EPS)
        self._set(**self._input_kwargs)

    @keyword_only
    def setParams(
        self,
        *,
        labelCol: str = "label",
        probabilityCol: str = "probability",
        weightCol: str | None = None,
        eps: float | Literal["auto"] = "auto",
    ) -> "LogLossEvaluator":
        """Set some of the parameters; the others stay as they are."""
        return self._set(**self._input_kwargs)

    def setLabelCol(self, value: str) -> "LogLossEvaluator":
        """Set the column of the labels."""
        return self._set(labelCol=value)

    def setProbabilityCol(self, value: str) -> "LogLossEvaluator":
        """Set the column of the probabilities."""
        return self._set(probabilityCol=value)

    def setWeightCol(self, value: str) -> "LogLossEvaluator":
        """Set the column of the weights."""
        return self._set(weightCol=value)

    def setEps(self, value: float | Literal["auto"]) -> "LogLossEvaluator":
        """Set where to clip probabilities."""
        return self._set(eps=value)

    def getEps(self) -> float:
        """Where probabilities are clipped."""
        return self.getOrDefault(self.eps)

    def isLargerBetter(self) -> bool:
        """False."""
        return False

    def _evaluate(self, dataset: DataFrame) -> float:
        weighted = self.isDefined(self.weightCol) and self.getWeightCol()
        found = log_loss(
            dataset,
            label=self.getLabelCol(),
            probability=self.getProbabilityCol(),
            weight=self.getWeightCol() if weighted else None,
            eps=self.getEps(),
        )
        loss = float(found.loss)
        if np.isnan(loss):
            raise ValueError(f"the weights in {self.getWeightCol()!r} sum to zero")
        return loss
