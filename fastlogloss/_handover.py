"""scikit-learn's own functions, for input that is off the fast path."""

import functools


@functools.cache
def original(name):
    """`sklearn.metrics.<name>` as it is without `patch_sklearn`, which asks first."""
    import sklearn.metrics

    return getattr(sklearn.metrics, name)


def log_loss_rows(y_true, y_proba, labels=None, eps=None):
    """Losses of rows that scikit-learn accepts and the kernels do not read.

    Slow and of the dtype of numpy's operations; the input has been validated by a call
    of `original`.
    """
    import numpy as np
    from sklearn.preprocessing import LabelBinarizer
    from sklearn.utils import check_array

    binarizer = LabelBinarizer().fit(y_true if labels is None else labels)
    is_class = binarizer.transform(y_true)
    if is_class.shape[1] == 1:
        is_class = np.hstack([1 - is_class, is_class])
    p = check_array(
        y_proba, ensure_2d=False, dtype=(np.float64, np.float32, np.float16)
    )
    low = np.finfo(p.dtype).eps if eps is None else eps
    p = p.astype(np.float64)
    p = p.reshape(len(p), -1)
    if p.shape[1] == 1:
        p = np.hstack([1 - p, p])
    with np.errstate(divide="ignore"):
        losses = -np.log(np.clip(p, low, 1 - low))
    return np.where(is_class, losses, 0.0).sum(axis=1)
