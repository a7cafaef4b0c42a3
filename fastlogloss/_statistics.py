"""What sums over rows say: properties that an accumulator and groups have in common.

Of an accumulator they are floats, of groups arrays, one entry for each group.
"""

from typing import Any, Literal, NamedTuple

import numpy as np

from fastlogloss import _intervals
from fastlogloss._batches import Batches
from fastlogloss._engine import Spec, add
from fastlogloss._intervals import ConfidenceInterval, Estimate, Moments
from fastlogloss._labels import Codes

_ROUNDING = 1e-12  # of sums that engines make: relative error, at most


class Sums(NamedTuple):
    """Sums over rows as floats, or as arrays of them."""

    n_samples: Any
    moments: Moments  # of rows of finite losses
    infinite: Any  # rows of infinite loss whose weight is positive,
    minus_infinite: Any  # and negative
    beyond: Any  # powers that the moments leave out, for no double holds them
    classes: list[Any]  # sum of the weights of each class
    exact: bool  # False where an engine made some of them


class Statistics:
    """Loss, entropies and intervals, of what `_sums` returns."""

    __slots__ = ()
    _batches: Batches

    def _sums(self) -> Sums:
        raise NotImplementedError

    def _estimate(self) -> Estimate:
        sums = self._sums()
        rounding = _intervals.EPS if sums.exact else _ROUNDING
        found = _intervals.estimate(sums.moments, rounding)
        lost = (sums.infinite + sums.minus_infinite + sums.beyond) > 0
        error: Any = np.where(lost, np.nan, found.standard_error)
        return found._replace(mean=self._loss(sums), standard_error=error)

    @staticmethod
    def _loss_sum(sums: Sums) -> Any:
        up, down = sums.infinite > 0, sums.minus_infinite > 0
        signed = np.where(up, np.inf, -np.inf)
        infinite = np.where(up & down, np.nan, signed)
        return np.where(up | down, infinite, sums.moments.wl)

    def _loss(self, sums: Sums) -> Any:
        with np.errstate(all="ignore"):
            loss = self._loss_sum(sums) / sums.moments.w
        return np.where(sums.moments.w == 0, np.nan, loss)

    def _null(self, sums: Sums) -> Any:
        spec, w = self._batches.spec, sums.moments.w
        low = spec.eps or 0.0
        shares: Any
        with np.errstate(all="ignore"):
            shares = np.array([of_class / w for of_class in sums.classes])
        is_known = np.isfinite(shares).all(axis=0)
        targets = np.where(is_known, shares, 0.0)
        if spec.smoothing:
            even = targets.sum(axis=0) / len(targets)
            targets = (1.0 - spec.smoothing) * targets + spec.smoothing * even
        clipped = np.clip(targets, low, 1.0 - low).ravel()
        losses = np.empty(clipped.size)
        ones = Codes(np.ones(clipped.size, np.uint8))
        add(ones, clipped, None, Spec(eps=low), losses)
        # Infinite, with eps=0, where there is no such class.
        known = np.where(targets == 0, 0.0, losses.reshape(targets.shape))
        terms = targets * known
        null = terms[0]
        for term in terms[1:]:
            null = null + term
        return np.where(is_known, null, np.nan)

    @property
    def exact(self) -> bool:
        """Whether the sums are exact: False where an engine made some of them."""
        return self._sums().exact

    @property
    def n_samples(self) -> Any:
        """Number of rows, those of weight zero too."""
        n = self._sums().n_samples
        return int(n) if np.ndim(n) == 0 else n

    @property
    def loss_sum(self) -> Any:
        """Sum of the weighted losses, in nats, rounded once."""
        return _plain(self._loss_sum(self._sums()))

    @property
    def weight_sum(self) -> Any:
        """Sum of the weights, rounded once; without weights, the number of rows."""
        return _plain(self._sums().moments.w)

    @property
    def loss(self) -> Any:
        """Mean loss, in nats: `loss_sum` / `weight_sum`; NaN where that is zero."""
        return _plain(self._loss(self._sums()))

    @property
    def class_weights(self) -> dict[Any, Any]:
        """Sum of the weights of each class, by label; of soft targets, of targets."""
        sums = self._sums().classes
        return dict(zip(self._batches.classes, map(_plain, sums), strict=True))

    @property
    def null_loss(self) -> Any:
        r"""Mean loss of a model that gives to each class its share, in nats.

        That is the entropy :math:`-\sum_k m_k \log m_k` of the weighted mean of the
        targets, which are smoothed and clipped as those of `loss`.
        """
        return _plain(self._null(self._sums()))

    @property
    def normalized_entropy(self) -> Any:
        """`loss` / `null_loss`: below 1 is better than the shares of the classes.

        X. He et al. (2014). Practical lessons from predicting clicks on ads at
        Facebook. ADKDD'14, section 2.2.
        """
        sums = self._sums()
        with np.errstate(all="ignore"):
            return _plain(self._loss(sums) / self._null(sums))

    @property
    def d2(self) -> Any:
        """Share of the loss that is explained: 1 - `normalized_entropy`."""
        sums = self._sums()
        with np.errstate(all="ignore"):
            return _plain(1.0 - self._loss(sums) / self._null(sums))

    @property
    def standard_error(self) -> Any:
        r"""Standard error of `loss`, in nats.

        .. math::
            s = \frac{1}{|\sum_i w_i|}
                \sqrt{\frac{n}{n - 1} \sum_i w_i^2 (l_i - L)^2}

        over the n rows whose weight is not zero: without weights, that is the standard
        deviation of the losses over :math:`\sqrt{n}`. NaN for fewer than two rows, and
        where a loss is infinite or its cube beyond the range of doubles.
        """
        return _plain(self._estimate().standard_error)

    def confidence_interval(
        self,
        confidence_level: float = 0.95,
        method: Literal["hall", "normal"] = "hall",
    ) -> ConfidenceInterval:
        """Interval for the expected loss, in nats.

        Parameters
        ----------
        confidence_level : float in (0, 1), default=0.95
        method : {"hall", "normal"}, default="hall"
            "hall" corrects for the skewness of the losses, which is large where events
            are rare; "normal" is symmetric: `loss` and a multiple of `standard_error`.

        Returns
        -------
        ConfidenceInterval
            With `low` and `high`; NaN where `standard_error` is.

        Raises
        ------
        ValueError
            For a level outside (0, 1) or another method.

        References
        ----------
        P. Hall (1992). On the removal of skewness by transformation. Journal of the
        Royal Statistical Society B 54, pp. 221-228.
        """
        found = self._estimate()
        interval = _intervals.confidence_interval(
            *found, confidence_level=confidence_level, method=method
        )
        return ConfidenceInterval(_plain(interval.low), _plain(interval.high))


def _plain(x: Any) -> Any:
    return float(x) if np.ndim(x) == 0 else x
