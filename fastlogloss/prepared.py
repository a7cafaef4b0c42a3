"""Log loss of many scores against the same targets, prepared once.

Longer than a room should be: most of it is docstrings.
"""

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from fastlogloss._arrays import as_array, as_scores, precision
from fastlogloss._batches import Batches
from fastlogloss._columns import check_columns, column_names
from fastlogloss._derivatives import check_hessian, derivatives
from fastlogloss._engine import INVALID, Spec, new_spec
from fastlogloss._errors import (
    Names,
    Objection,
    check_flag,
    check_out,
    check_rows,
    describe,
    in_our_words,
)
from fastlogloss._labels import Codes
from fastlogloss._losses import (
    loss_of,
    prepare,
    rows_of,
    sums_of,
    warn_of_sums,
    write_rows,
)
from fastlogloss._policy import remark
from fastlogloss._problem import AUTO, Problem, checked_spec, read_scores
from fastlogloss._sums import Floats
from fastlogloss._targets import Targets
from fastlogloss._threads import threads_for

if TYPE_CHECKING:
    from fastlogloss.comparison import LogLossComparison
    from fastlogloss.groups import GroupedLogLoss

_NUMBER = 0.2  # nanoseconds that a score takes `many`, at the least
_SHORT = 16384  # scores that are soon copied
_USUAL = Names()
_EXACT: Final = "exact"
_Name = TypeVar("_Name")


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

    __slots__ = ("_kernel", "_ndim", "_spec", "_targets", "classes")
    _kernel: Any
    _ndim: int
    _spec: Spec
    _targets: Targets
    classes: tuple[Any, ...]

    def __init__(
        self,
        y_true: Any,
        *,
        sample_weight: Any = None,
        classes: Any = None,
        eps: float | Literal["auto"] = "auto",
        from_logits: bool = False,
        soft_targets: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        if hasattr(self, "_targets"):
            raise AttributeError("a LogLoss does not change; make a new one")
        spec = checked_spec(eps, from_logits, soft_targets, label_smoothing)
        targets = prepare(y_true, sample_weight, classes, spec)
        self._set(spec, targets)

    def _set(self, spec: Spec, targets: Targets) -> None:
        put = super().__setattr__
        for array in (targets.codes.y, targets.weights):
            if array is not None:
                array.flags.writeable = False
        put("_spec", spec)
        put("_targets", targets)
        put("classes", tuple(targets.classes))
        ndim = 1 if targets.n_classes == 2 else 2
        if spec.soft:
            ndim = targets.codes.y.ndim
        put("_ndim", ndim)
        n_columns = 1 if ndim == 1 else targets.n_classes
        put("_kernel", new_spec(n_columns, spec, targets.codes.tolerance))

    def __call__(self, y_score: Any, *, normalize: bool = True) -> float:
        """Mean loss of scores of shape (n_samples,) or (n_samples, n_classes), in nats.

        Parameters
        ----------
        y_score : array-like of shape (n_samples,) or (n_samples, n_classes)
            Probabilities or logits.
        normalize : bool, default=True
            The mean loss; otherwise the sum.

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
        if normalize is True:
            targets = self._targets
            codes, weights = targets.codes.y, targets.weights
            loss: float | None = self._kernel.mean(codes, y_score, weights)
            if loss is not None:
                return loss
        check_flag("normalize", normalize)
        return self._loss(y_score, normalize)

    @in_our_words
    def _loss(self, y_score: Any, normalize: bool) -> float:
        problem, targets = self._read(y_score), self._targets
        p = problem.p
        is_new = p is not y_score or not p.flags.c_contiguous
        if normalize and is_new and p.size <= _SHORT and problem.spec is self._spec:
            plain = np.ascontiguousarray(p, np.float64)
            mean: float | None = self._kernel.mean(
                targets.codes.y, plain, targets.weights
            )
            if mean is not None:
                return mean
        loss, sums = loss_of(problem, normalize)
        remark(problem, sums)
        return loss

    def loss_gradient(
        self, y_score: Any, *, normalize: bool = True, out: Floats | None = None
    ) -> tuple[float, Floats]:
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
        >>> loss.loss_gradient([-20.0, 0.0])[1]
        array([ 1.03057681e-09, -2.50000000e-01])
        """
        found: tuple[float, Floats]
        found = self._derivatives(y_score, normalize, 1, _EXACT, out)
        return found

    def loss_gradient_hessian(
        self,
        y_score: Any,
        *,
        normalize: bool = True,
        hessian: Literal["exact", "xgboost", "lightgbm"] = _EXACT,
        out: tuple[Floats, Floats] | None = None,
    ) -> tuple[float, Floats, Floats]:
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
        >>> loss.loss_gradient_hessian([0.0, 0.0], normalize=False)[1:]
        (array([ 0.5, -0.5]), array([0.25, 0.25]))
        """
        found: tuple[float, Floats, Floats]
        found = self._derivatives(y_score, normalize, 2, hessian, out)
        return found

    @in_our_words
    def samples(
        self, y_score: Any, *, out: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Loss of each row, unweighted, in nats.

        Parameters
        ----------
        y_score : array-like of shape (n_samples,) or (n_samples, n_classes)
            Probabilities or logits.
        out : ndarray of float64, shape (n_samples,), default=None
            Receives the losses, as in :func:`sample_log_loss`.

        Returns
        -------
        losses : ndarray of float64, shape (n_samples,)

        Raises
        ------
        ValueError, TypeError
            For scores of another shape or, with the first row, that are no
            probabilities (or NaN, from logits), and for an `out` that does not fit.

        Examples
        --------
        >>> from fastlogloss import LogLoss
        >>> loss = LogLoss([0, 1], from_logits=True)
        >>> loss.samples([-20.0, 0.0]).round(6)
        array([0.      , 0.693147])
        """
        if out is not None:
            check_out(out, (np.float64,))
            check_rows(out, len(self._targets))
        problem = self._read(y_score)
        if out is None:
            rows, sums = rows_of(problem)
            remark(problem, sums)
            return rows
        # All is validated before the first row is written.
        remark(problem, sums_of(problem, check_only=True))
        return write_rows(problem, out)

    @overload
    def many(self, scores: Mapping[_Name, Any]) -> dict[_Name, float]: ...
    @overload
    def many(self, scores: Any) -> Any: ...
    @in_our_words
    def many(self, scores: Any) -> Any:
        """Mean loss of each of several models.

        Parameters
        ----------
        scores : array-like of shape (n_models, n_samples) or \
(n_models, n_samples, n_classes), dict or data frame
            Probabilities or logits. Of a list or a dict, each item is read as in a call
            with it. A data frame, of pandas or polars, has a column for each model.

        Returns
        -------
        losses : ndarray of float64, shape (n_models,), or dict
            Of a dict and of a data frame the losses by name, in their order.

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
        >>> loss.many({"constant": [0.0, 0.0]})
        {'constant': 0.6931471805599453}
        """
        if isinstance(scores, dict):
            return {name: self._one(one, name) for name, one in scores.items()}
        columns = _columns(scores)
        if columns is None:
            return self._many(scores)
        # Their names are those of models, not of a class.
        return {name: self._one(one, name, is_model=True) for name, one in columns}

    @in_our_words
    def by_group(self, y_score: Any, groups: Any) -> "GroupedLogLoss":
        """Loss of each group of rows; see :func:`log_loss_by_group`.

        Parameters
        ----------
        y_score : array-like of shape (n_samples,) or (n_samples, n_classes)
            Probabilities or logits.
        groups : array-like of shape (n_samples,), tuple of such or data frame
            The key of each row.

        Returns
        -------
        GroupedLogLoss
            Where eps is "auto", it is 2.2e-16 there, whatever the dtype of the scores.

        Raises
        ------
        ValueError, TypeError
            For scores and keys that are not as above; the message names the row.

        Examples
        --------
        >>> from fastlogloss import LogLoss
        >>> loss = LogLoss([0, 1, 1])
        >>> loss.by_group([0.1, 0.8, 0.4], ["a", "b", "a"]).loss.round(6)
        array([0.510826, 0.223144])
        """
        from fastlogloss.groups import GroupedLogLoss

        found = GroupedLogLoss._with(self._batches())
        found._add(self._exactly(y_score, _USUAL), groups)
        return found

    @in_our_words
    def compare(
        self,
        score_a: Any,
        score_b: Any,
        *,
        groups: Any = None,
        confidence_level: float = 0.95,
    ) -> "LogLossComparison":
        """Compare the mean losses of two models; see :func:`compare_log_loss`.

        Parameters
        ----------
        score_a, score_b : array-like of shape (n_samples,) or (n_samples, n_classes)
            Probabilities or logits of the two models.
        groups : array-like of shape (n_samples,), tuple of such or data frame, \
default=None
            Keys of rows that belong together.
        confidence_level : float in (0, 1), default=0.95

        Returns
        -------
        LogLossComparison

        Raises
        ------
        ValueError, TypeError
            For scores and keys that are not as above; the message names the row.

        Examples
        --------
        >>> from fastlogloss import LogLoss
        >>> loss = LogLoss([0, 1] * 50)
        >>> found = loss.compare([0.1, 0.8, 0.3, 0.6] * 25, [0.5, 0.5] * 50)
        >>> round(found.difference, 6)
        -0.394146
        """
        from fastlogloss.comparison import LogLossComparison

        found = LogLossComparison._with(self._batches(), confidence_level)
        problems = (
            self._exactly(score_a, Names("score_a")),
            self._exactly(score_b, Names("score_b")),
        )
        found._add(problems, groups)
        found._warn()
        return found

    def _batches(self) -> Batches:
        classes = self.classes or tuple(range(self._targets.n_classes))
        spec = self._spec
        options = spec.from_logits, spec.soft, spec.smoothing
        return Batches(classes, AUTO if spec.eps is None else spec.eps, *options)

    def _exactly(self, y_score: Any, names: Names) -> Problem:
        """The `Problem` of some scores, whose eps is that of exact sums."""
        problem = self._read(y_score, names)
        spec = problem.spec._replace(eps=self._batches().spec.eps)
        scores = problem.scores._replace(spec=spec)
        return Problem(scores, problem.targets, problem.names)

    def _one(self, scores: Any, name: Any, is_model: bool = False) -> float:
        """Mean loss of a model with a name."""
        names = Names("scores", of=f" of model {name!r}")
        problem = self._read(scores, names, is_model)
        loss, sums = loss_of(problem, True)
        remark(problem, sums)
        return loss

    def _many(self, scores: Any) -> NDArray[np.float64]:
        stack, dtype = as_scores(scores)
        if stack is None or stack.ndim not in (2, 3) or stack.dtype.kind not in "fiub":
            raise Objection(
                "scores",
                "scores must hold real numbers, of shape (n_models, n_samples) or "
                f"(n_models, n_samples, n_classes), got {describe(scores)}",
            )
        losses, statuses = np.empty(len(stack)), np.zeros(len(stack), np.int64)
        targets, names = self._targets, Names("scores")
        dtypes, is_list = [dtype], type(scores) in (list, tuple)
        is_named = False
        if is_list:  # as good as one model after the other
            for item in scores:
                if isinstance(item, np.ndarray) and as_array(item) is None:
                    self._read(item)  # raises: masks would be lost
            dtypes = [*map(precision, scores)]
            is_named = any(map(column_names, scores))
        if (
            stack.ndim == 1 + self._ndim
            and stack.shape[1] == len(targets)
            and (stack.ndim == 2 or stack.shape[2] == targets.n_classes)
            and stack.dtype == np.float64
            and dtypes.count(stack.dtype) == len(dtypes)
            and not is_named
            and self._kernel.run_many(
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
                warn_of_sums(stack[i], names._replace(of=f" of model {i}"))
            return losses
        # Other types and layouts, and errors: one by one.
        if not len(stack):
            self._read(np.empty(stack.shape[1:], stack.dtype), names)  # or an error
        for i, score in enumerate(stack):
            if is_named:
                check_columns(column_names(scores[i]), self.classes, f"scores[{i}]")
            problem = self._read(score, names)
            problem.names = names._replace(of=f" of model {i}")
            spec = self._spec.of_precision(dtypes[i if is_list else 0])
            problem.scores = problem.scores._replace(spec=spec)
            losses[i], sums = loss_of(problem, True)
            remark(problem, sums)
        return losses

    def _read(
        self, y_score: Any, names: Names = _USUAL, is_model: bool = False
    ) -> Problem:
        """The `Problem` of scores of these targets."""
        scores = read_scores(y_score, self._spec, names)
        n, n_classes = len(scores.p), scores.n_classes
        targets = self._targets
        if n != len(targets) or n_classes != targets.n_classes:
            raise Objection(
                "scores",
                f"{names.scores} is for {n} rows of {n_classes} classes, but "
                f"there are {len(targets)} of {targets.n_classes}{names.of}",
            )
        if self._spec.soft and scores.p.ndim != targets.codes.y.ndim:
            raise Objection(
                "scores",
                f"{names.scores} has shape {scores.shape}, but the soft targets "
                f"{targets.codes.y.shape}{names.of}",
            )
        if scores.columns is not None and not is_model:
            check_columns(scores.columns, self.classes, names.scores + names.of)
        return Problem(scores, targets, names)

    def _derivatives(
        self, y_score: Any, normalize: bool, order: int, hessian: str, out: Any
    ) -> Any:
        if (
            type(y_score) is np.ndarray
            and type(normalize) is bool
            and hessian is _EXACT
        ):
            targets = self._targets
            found = self._kernel.slopes(
                targets.codes.y,
                y_score,
                targets.weights,
                targets.weight_sum,
                order,
                normalize,
                out,
                False,
            )
            if found is not None:
                return found
        return self._derivatives_at_length(y_score, normalize, order, hessian, out)

    @in_our_words
    def _derivatives_at_length(
        self, y_score: Any, normalize: bool, order: int, hessian: str, out: Any
    ) -> Any:
        check_flag("normalize", normalize)
        check_hessian(hessian, self._spec.from_logits)
        return derivatives(
            self._read(y_score),
            normalize=normalize,
            order=order,
            hessian=hessian,
            out=out,
            remark=remark,
        )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a LogLoss does not change; make a new one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a LogLoss does not change; make a new one")

    def __reduce__(self) -> tuple[Any, ...]:
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
        return _rebuild, (type(self), tuple(self._spec), parts, tolerance), state

    def __repr__(self) -> str:
        parts = [f"n_samples={len(self._targets)}"]
        if self.classes:
            names = f"classes={list(self.classes)}"
            is_long = len(names) > 45
            parts.append(f"n_classes={len(self.classes)}" if is_long else names)
        if self._targets.weights is not None:
            parts.append("weighted")
        spec = self._spec
        if spec.eps is not None:
            parts.append(f"eps={spec.eps}")
        if spec.from_logits:
            parts.append("from_logits=True")
        if spec.soft:
            parts.append("soft_targets=True")
        if spec.smoothing:
            parts.append(f"label_smoothing={spec.smoothing}")
        return f"{type(self).__name__}({', '.join(parts)})"


def _rebuild(
    cls: type[LogLoss],
    spec: tuple[Any, ...],
    parts: tuple[Any, ...],
    tolerance: float,
) -> LogLoss:
    whole, *others = parts
    loss = cls.__new__(cls)
    loss._set(Spec(*spec), Targets(Codes(whole, None, tolerance), *others))
    return loss


def _columns(scores: Any) -> Any:
    """(name, column) of each column of a pandas or polars frame; None of all else."""
    pandas: Any = getattr(sys.modules.get("pandas"), "DataFrame", ())
    polars: Any = getattr(sys.modules.get("polars"), "DataFrame", ())
    if isinstance(scores, pandas):
        return scores.items()
    if isinstance(scores, polars):
        return ((column.name, column) for column in scores.iter_columns())
    return None
