"""Log loss of many scores against the same targets, prepared once."""

import numpy as np

from fastlogloss._arrays import as_array, as_scores, precision
from fastlogloss._engine import INVALID, Options
from fastlogloss._errors import describe
from fastlogloss._labels import Codes
from fastlogloss._scores import (
    Targets,
    check_columns,
    checked_options,
    column_names,
    derivatives,
    new_template,
    read_scores,
    read_targets_alone,
    sum_losses,
    warn_of_sums,
)
from fastlogloss._threads import threads_for

_NUMBER = 0.2  # nanoseconds that a score takes `many`, at the least
_SHORT = 16384  # scores that are soon copied


class LogLoss:
    """Log loss against given targets, validated and encoded once.

    An instance holds copies of the targets and weights and never changes; it can be
    pickled, and shared between threads.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_classes)
        Labels: whole numbers, or strings (members of an Enum that are strings are
        those strings, not their names); with `soft_targets` numbers in [0, 1]: the
        probability of class 1, or rows of a distribution, whose sum is 1 within 1e-6
        (float32 targets: 3.5e-4, float16: 0.03, bfloat16: 0.09).
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows, finite; negative ones too, but their sum is not zero.
    classes : array-like of shape (n_classes,), default=None
        The label of each column, in this order; they need not all occur in `y_true`.
        Without it, the sorted labels of `y_true`. A vector of scores, or a single
        column, is that of the second: ``classes[1]``. Columns of a data frame that are
        named for the classes (``3`` or ``"3"`` for the class 3) have to be in this
        order: another one, or only some of the classes, is an error. Names that have
        nothing to do with the classes do not matter.
    eps : "auto" or float in [0, 0.5), default="auto"
        Where to clip probabilities, as in :func:`log_loss`; logits are not clipped.
    from_logits : bool, default=False
        Scores are logits.
    soft_targets : bool, default=False
        `y_true` holds targets instead of labels.
    label_smoothing : float in [0, 1), default=0.0
        Share of every target that is spread evenly over all classes.

    Attributes
    ----------
    classes : tuple
        The label of each column; of soft targets the names of their columns, where
        classes were not given, or empty.

    Raises
    ------
    ValueError, TypeError
        For arguments that are not as above; the message names the argument and the
        first row. The same goes for the scores given to the methods.

    Notes
    -----
    The formulas are those of :func:`log_loss` and :func:`log_loss_gradient`.

    References
    ----------
    C. M. Bishop (2006). Pattern Recognition and Machine Learning, sections 4.3.2 and
    4.3.4. Springer.

    Examples
    --------
    >>> import numpy as np
    >>> from fastlogloss import LogLoss
    >>> loss = LogLoss(["no", "yes", "no"], classes=["no", "yes"])
    >>> loss
    LogLoss(n_samples=3, classes=['no', 'yes'])
    >>> round(loss([0.1, 0.8, 0.4]), 6)
    0.279777
    >>> loss.many(np.array([[0.1, 0.8, 0.4], [0.5, 0.5, 0.5]])).round(6)
    array([0.279777, 0.693147])
    """

    __slots__ = ("_ndim", "_options", "_targets", "_template", "classes")

    def __init__(
        self,
        y_true,
        *,
        sample_weight=None,
        classes=None,
        eps="auto",
        from_logits=False,
        soft_targets=False,
        label_smoothing=0.0,
    ):
        if hasattr(self, "_targets"):
            raise AttributeError("a LogLoss does not change; make a new one")
        options = checked_options(eps, from_logits, soft_targets, label_smoothing)
        targets = read_targets_alone(y_true, sample_weight, classes, options)
        self._set(options, targets)

    def _set(self, options, targets):
        put = super().__setattr__
        for array in (targets.codes.y, targets.weights):
            if array is not None:
                array.flags.writeable = False
        put("_options", options)
        put("_targets", targets)
        put("classes", tuple(targets.classes))
        ndim = 1 if targets.n_classes == 2 else 2
        if options.soft:
            ndim = targets.codes.y.ndim
        put("_ndim", ndim)
        put("_template", new_template(ndim, targets, options))

    def __call__(self, y_score):
        """Mean loss of scores of shape (n_samples,) or (n_samples, n_classes), in nats.

        Parameters
        ----------
        y_score : array-like of shape (n_samples,) or (n_samples, n_classes)
            Probabilities or logits.

        Returns
        -------
        loss : float

        Raises
        ------
        ValueError
            For scores of another shape or, with the first row, that are no
            probabilities (or NaN, from logits).

        Examples
        --------
        >>> from fastlogloss import LogLoss
        >>> loss = LogLoss([0, 1], from_logits=True)
        >>> round(loss([-20.0, 0.0]), 6)
        0.346574
        """
        targets = self._targets
        loss = self._template.mean(targets.codes.y, y_score, targets.weights)
        if loss is not None:
            return loss
        scores = self._read(y_score, self._options)
        p, options = scores.p, scores.options
        is_new = p is not y_score or not p.flags.c_contiguous
        if is_new and p.size <= _SHORT and options is self._options:
            plain = np.ascontiguousarray(p, np.float64)
            codes, weights = targets.codes.y, targets.weights
            loss = self._template.mean(codes, plain, weights)
            if loss is not None:
                return loss
        return sum_losses(targets, p, options).mean

    def gradient(self, y_score, *, normalize=True, out=None):
        """Loss and gradient; see :func:`log_loss_gradient`.

        Parameters
        ----------
        y_score : array-like of shape (n_samples,) or (n_samples, n_classes)
            Probabilities or logits.
        normalize : bool, default=True
            The mean and its derivatives; otherwise those of the sum.
        out : ndarray of float64 or float32, shape of `y_score`, default=None
            Receives the gradient.

        Returns
        -------
        loss : float
        gradient : ndarray, shape of `y_score`

        Raises
        ------
        ValueError, TypeError
            For scores of another shape or, with the first row, that are no
            probabilities (or NaN, from logits), and for an `out` that does not fit.

        Examples
        --------
        >>> from fastlogloss import LogLoss
        >>> loss = LogLoss([0, 1], from_logits=True)
        >>> loss.gradient([-20.0, 0.0])[1]
        array([ 1.03057681e-09, -2.50000000e-01])
        """
        return self._derivatives(y_score, normalize, 1, "exact", out)

    def gradient_hessian(self, y_score, *, normalize=True, hessian="exact", out=None):
        """Loss, gradient and hessian; see :func:`log_loss_gradient_hessian`.

        Parameters
        ----------
        y_score : array-like of shape (n_samples,) or (n_samples, n_classes)
            Probabilities or logits.
        normalize : bool, default=True
            The mean and its derivatives; otherwise those of the sum.
        hessian : {"exact", "xgboost", "lightgbm"}, default="exact"
            For logits of several columns, the convention in use.
        out : (ndarray, ndarray), default=None
            Receive gradient and hessian.

        Returns
        -------
        loss : float
        gradient, hessian : ndarray, shape of `y_score`

        Raises
        ------
        ValueError, TypeError
            For scores of another shape or, with the first row, that are no
            probabilities (or NaN, from logits), and for an `out` that does not fit.

        Examples
        --------
        >>> from fastlogloss import LogLoss
        >>> loss = LogLoss([0, 1], from_logits=True)
        >>> loss.gradient_hessian([0.0, 0.0], normalize=False)[1:]
        (array([ 0.5, -0.5]), array([0.25, 0.25]))
        """
        return self._derivatives(y_score, normalize, 2, hessian, out)

    def samples(self, y_score):
        """Loss of each row, unweighted, in nats.

        Parameters
        ----------
        y_score : array-like of shape (n_samples,) or (n_samples, n_classes)
            Probabilities or logits.

        Returns
        -------
        losses : ndarray of float64, shape (n_samples,)

        Raises
        ------
        ValueError
            For scores of another shape or, with the first row, that are no
            probabilities (or NaN, from logits).

        Examples
        --------
        >>> from fastlogloss import LogLoss
        >>> loss = LogLoss([0, 1], from_logits=True)
        >>> loss.samples([-20.0, 0.0]).round(6)
        array([0.      , 0.693147])
        """
        rows = np.empty(len(self._targets))
        scores = self._read(y_score, self._options)
        sum_losses(self._targets, scores.p, scores.options, rows=rows)
        return rows

    def many(self, scores):
        """Mean loss of each of several models.

        Parameters
        ----------
        scores : array-like of shape (n_models, n_samples) or \
(n_models, n_samples, n_classes)
            Probabilities or logits. Of a list, each item is read as in a call with it.

        Returns
        -------
        losses : ndarray of float64, shape (n_models,)

        Raises
        ------
        ValueError
            As of a call with the scores of one model, which the message names.

        Examples
        --------
        >>> from fastlogloss import LogLoss
        >>> loss = LogLoss([0, 1], from_logits=True)
        >>> loss.many([[-20.0, 0.0], [0.0, 0.0]]).round(6)
        array([0.346574, 0.693147])
        """
        stack, dtype = as_scores(scores)
        if stack is None or stack.ndim not in (2, 3) or stack.dtype.kind not in "fiub":
            raise ValueError(
                "scores must hold real numbers, of shape (n_models, n_samples) or "
                f"(n_models, n_samples, n_classes), got {describe(scores)}"
            )
        losses, statuses = np.empty(len(stack)), np.zeros(len(stack), np.int64)
        targets, options = self._targets, self._options._replace(name="scores")
        dtypes, is_list = [dtype], type(scores) in (list, tuple)
        is_named = False
        if is_list:  # as good as one model after the other
            for item in scores:
                if isinstance(item, np.ndarray) and as_array(item) is None:
                    self._read(item, self._options)  # raises: masks would be lost
            dtypes = [*map(precision, scores)]
            is_named = any(map(column_names, scores))
        if (
            stack.ndim == 1 + self._ndim
            and (stack.ndim == 2 or stack.shape[2] == targets.n_classes)
            and stack.dtype == np.float64
            and dtypes.count(stack.dtype) == len(dtypes)
            and not is_named
            and self._template.run_many(
                targets.codes.y,
                stack,
                targets.weights,
                losses,
                statuses,
                threads_for(stack.size * _NUMBER),
            )
            and not (statuses & INVALID).any()
        ):
            for i in np.flatnonzero(statuses).tolist():
                warn_of_sums(stack[i], options._replace(of=f" of model {i}"))
            return losses
        # Other types and layouts, and errors: one by one.
        if not len(stack):
            self._read(np.empty(stack.shape[1:], stack.dtype), options)  # or an error
        for i, score in enumerate(stack):
            if is_named:
                check_columns(column_names(scores[i]), self.classes, f"scores[{i}]")
            p = self._read(score, options).p
            of_model = options.of_precision(dtypes[i if is_list else 0])
            sums = sum_losses(targets, p, of_model._replace(of=f" of model {i}"))
            losses[i] = sums.mean
        return losses

    def _read(self, y_score, options):
        """`Scores` for these targets."""
        scores = read_scores(y_score, options)
        n, n_classes = len(scores.p), scores.n_classes
        targets = self._targets
        if n != len(targets) or n_classes != targets.n_classes:
            raise ValueError(
                f"{options.name} is for {n} rows of {n_classes} classes, but "
                f"there are {len(targets)} of {targets.n_classes}"
            )
        if options.soft and scores.p.ndim != targets.codes.y.ndim:
            raise ValueError(
                f"{options.name} has shape {scores.shape}, but the soft targets "
                f"{targets.codes.y.shape}"
            )
        if scores.names is not None:
            check_columns(scores.names, self.classes, options.name)
        return scores

    def _derivatives(self, y_score, normalize, order, hessian, out):
        return derivatives(
            self._targets,
            self._read(y_score, self._options),
            normalize=normalize,
            order=order,
            hessian=hessian,
            out=out,
        )

    def __setattr__(self, name, value):
        raise AttributeError("a LogLoss does not change; make a new one")

    def __delattr__(self, name):
        raise AttributeError("a LogLoss does not change; make a new one")

    def __reduce__(self):
        targets = self._targets
        parts = (
            targets.codes.y,
            targets.classes,
            targets.n_classes,
            targets.weights,
            targets.weight_sum,
        )
        state = getattr(self, "__dict__", None) or None  # of a subclass
        tolerance = targets.codes.tolerance
        return _rebuild, (type(self), tuple(self._options), parts, tolerance), state

    def __repr__(self):
        parts = [f"n_samples={len(self._targets)}"]
        if self.classes:
            names = f"classes={list(self.classes)}"
            is_long = len(names) > 45
            parts.append(f"n_classes={len(self.classes)}" if is_long else names)
        if self._targets.weights is not None:
            parts.append("weighted")
        options = self._options
        if options.eps is not None:
            parts.append(f"eps={options.eps}")
        if options.from_logits:
            parts.append("from_logits=True")
        if options.soft:
            parts.append("soft_targets=True")
        if options.smoothing:
            parts.append(f"label_smoothing={options.smoothing}")
        return f"{type(self).__name__}({', '.join(parts)})"


def _rebuild(cls, options, parts, tolerance=1e-6):
    whole, *others = parts
    loss = cls.__new__(cls)
    loss._set(Options(*options), Targets(Codes(whole, None, tolerance), *others))
    return loss
