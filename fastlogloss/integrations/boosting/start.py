"""The raw score that boosting starts from."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastlogloss._engine import Spec
from fastlogloss._errors import Names, check_flag
from fastlogloss._losses import prepare

_LEAST_SHARE = 1e-15  # of a class that does not occur, as in LightGBM


def initial_score(
    y: ArrayLike,
    sample_weight: ArrayLike | None = None,
    *,
    classes: ArrayLike | None = None,
    soft_targets: bool = False,
) -> float | NDArray[np.float64]:
    """The raw score from which boosting starts: the best constant.

    Built-in objectives start there by themselves: LightGBM; CatBoost with
    ``boost_from_average``; XGBoost since 3.0 with two classes and since 3.2 with more
    (shifted by a constant, which changes no probability). Custom objectives start from
    zero unless told otherwise.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_classes)
        Labels. With `soft_targets` numbers in [0, 1]: the probability of class 1, or
        rows of a distribution, whose sum is 1 within 1e-6 (float32
        targets: 3.5e-4, float16: 0.03, bfloat16: 0.09).
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, finite. Some may be negative, but not the total weight of
        a class.
    classes : array-like of shape (n_classes,), default=None
        All labels in the order of the scores; by default the sorted labels of `y`. A
        class that does not occur counts as a share of 1e-15.
    soft_targets : bool, default=False
        `y` holds targets instead of labels.

    Returns
    -------
    score : float or ndarray of shape (n_classes,)
        With two classes the log odds of the second; with more the logarithm of each
        share.

    Raises
    ------
    ValueError, TypeError
        If there are fewer than two classes; if `classes` are not all different or not
        as many as the columns of `y`; for the first row of `y` that is not a label, not
        in `classes`, or not a distribution; for weights that are not finite, sum to
        zero or give a class a negative share.

    Notes
    -----
    How to start from ``s = initial_score(y, w)``:

    - XGBoost: the parameter ``base_score``. With two classes it is a probability,
      ``1 / (1 + exp(-s))``, in ``train`` with ``objective="binary:logistic"`` and in
      ``XGBClassifier`` with any objective. With more it is ``s.tolist()`` (XGBoost >=
      3.1). Or give ``base_margin``, ``np.full(n, s)`` or ``np.tile(s, (n, 1))``, which
      prediction needs as well.
    - LightGBM: ``init_score``, of training and validation data, in the shapes of
      ``base_margin``. The model does not keep it: add it to raw predictions.
    - CatBoost: ``baseline``, used like ``init_score``.

    For class weights see :mod:`fastlogloss.integrations.boosting`.

    Examples
    --------
    >>> from fastlogloss.integrations.boosting import initial_score
    >>> round(initial_score([0, 1, 1, 1]), 6)
    1.098612
    >>> initial_score(["a", "b", "c", "c"]).round(6)
    array([-1.386294, -1.386294, -0.693147])
    """
    check_flag("soft_targets", soft_targets)
    spec = Spec(from_logits=True, soft=bool(soft_targets))
    targets = prepare(y, sample_weight, classes, spec, Names(targets="y"))
    codes, weights = targets.codes.y, targets.weights
    if weights is not None:  # their sum could overflow; a power of 2 changes no bit
        weights = np.ldexp(weights, -np.frexp(np.abs(weights).max())[1])
    if not soft_targets:
        totals = np.bincount(codes, weights, targets.n_classes)
    else:
        if codes.ndim == 1:
            codes = np.stack([1 - codes, codes], axis=1)
        totals = codes.sum(axis=0) if weights is None else weights @ codes
    shares = totals / totals.sum()
    worst = shares.argmin()
    if shares[worst] < 0:
        name = targets.classes[worst] if targets.classes else worst
        raise ValueError(
            f"sample_weight gives the class {name!r} of y a share of {shares[worst]}: "
            "no constant is the best"
        )
    scores = np.log(np.clip(shares, _LEAST_SHARE, 1 - _LEAST_SHARE))
    return float(scores[1] - scores[0]) if len(scores) == 2 else scores
