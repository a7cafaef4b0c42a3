"""Is the difference real? Two models on the same rows.

Longer than a room should be: most of it is docstrings.
"""

from math import nan
from typing import Any, Literal

import numpy as np

from fastlogloss import _intervals, _kernels
from fastlogloss._batches import Batches, check_mergeable, exact_sums
from fastlogloss._errors import Names, Objection, in_our_words, raise_changed
from fastlogloss._exact import State, empty_state, to_float
from fastlogloss._intervals import ConfidenceInterval, Estimate, Moments
from fastlogloss._losses import write_part
from fastlogloss._problem import Problem
from fastlogloss.accumulator import LogLossAccumulator
from fastlogloss.groups import GroupedLogLoss

_CHUNK = 16384
_A, _B = Names("score_a"), Names("score_b")


def compare_log_loss(
    y_true: Any,
    score_a: Any,
    score_b: Any,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    confidence_level: float = 0.95,
    classes: Any = (0, 1),
    eps: float | Literal["auto"] = "auto",
    from_logits: bool = False,
    soft_targets: bool = False,
    label_smoothing: float = 0.0,
) -> "LogLossComparison":
    """Compare the mean losses of two models on the same rows.

    The comparison is paired: what rows are hard for both models cancels, and the
    interval of the difference is narrower than those of the losses.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_classes)
        Labels; with `soft_targets` targets.
    score_a, score_b : array-like of shape (n_samples,) or (n_samples, n_classes)
        Probabilities or logits of the two models.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows.
    groups : array-like of shape (n_samples,), tuple of such or data frame, default=None
        Keys of rows that belong together (of a user, of a day), as of
        :func:`log_loss_by_group`. The interval is cluster-robust then. For logs that
        are ordered by time: the day.
    confidence_level : float in (0, 1), default=0.95
        Of `confidence_interval`.
    classes : array-like of shape (n_classes,), default=(0, 1)
        The label of each column of the scores, in this order.
    eps : "auto" or float in [0, 0.5), default="auto"
        Where to clip probabilities; "auto" is 2.2e-16, whatever their dtype.
    from_logits : bool, default=False
        Scores are logits.
    soft_targets : bool, default=False
        `y_true` holds targets in [0, 1] instead of labels.
    label_smoothing : float in [0, 1), default=0.0
        Share of every target that is spread evenly over all classes.

    Returns
    -------
    LogLossComparison

    Raises
    ------
    ValueError, TypeError
        For arguments that are not as above; the message names argument and row.

    Warns
    -----
    UserWarning
        Where events or groups are so few that intervals are too narrow.

    See Also
    --------
    LogLossComparison : What comes back; it takes more rows.

    Examples
    --------
    >>> from fastlogloss import compare_log_loss
    >>> y = [0, 1, 1, 0, 1, 0, 0, 1] * 10
    >>> a = [0.1, 0.8, 0.7, 0.2, 0.9, 0.3, 0.1, 0.8] * 10
    >>> b = [0.2, 0.7, 0.8, 0.4, 0.7, 0.3, 0.2, 0.6] * 10
    >>> found = compare_log_loss(y, a, b)
    >>> found
    LogLossComparison(n_samples=80, loss_a=0.2124, loss_b=0.3451, difference=-0.1328, \
pvalue=1.5e-12)
    """
    found = LogLossComparison(
        classes,
        eps=eps,
        from_logits=from_logits,
        soft_targets=soft_targets,
        label_smoothing=label_smoothing,
        confidence_level=confidence_level,
    )
    found.update(y_true, score_a, score_b, sample_weight=sample_weight, groups=groups)
    found._warn()
    return found


class LogLossComparison:
    """Two models on the same rows, which come in batches.

    Parameters
    ----------
    classes, eps, from_logits, soft_targets, label_smoothing
        As of :class:`LogLossAccumulator`.
    confidence_level : float in (0, 1), default=0.95
        Of `confidence_interval`.

    See Also
    --------
    compare_log_loss : Of rows that are all there.

    Notes
    -----
    Sums are exact, as those of :class:`LogLossAccumulator`: the same bits for every
    split into batches, and comparisons merge. One comparison is for one thread.

    References
    ----------
    F. X. Diebold and R. S. Mariano (1995). Comparing predictive accuracy. Journal of
    Business & Economic Statistics 13, pp. 253-263.

    Examples
    --------
    >>> from fastlogloss import LogLossComparison
    >>> found = LogLossComparison()
    >>> found.update([0, 1], [0.2, 0.7], [0.3, 0.9]).n_samples
    2
    >>> round(found.update([1, 0], [0.6, 0.1], [0.7, 0.4]).difference, 4)
    -0.0334
    """

    __slots__ = ("_a", "_b", "_batches", "_clusters", "_difference", "confidence_level")

    def __init__(
        self,
        classes: Any = (0, 1),
        *,
        eps: float | Literal["auto"] = "auto",
        from_logits: bool = False,
        soft_targets: bool = False,
        label_smoothing: float = 0.0,
        confidence_level: float = 0.95,
    ) -> None:
        batches = Batches(classes, eps, from_logits, soft_targets, label_smoothing)
        self._set(batches, confidence_level)

    @classmethod
    def _with(cls, batches: Batches, confidence_level: float) -> "LogLossComparison":
        made = cls.__new__(cls)
        made._set(batches, confidence_level)
        return made

    def _set(self, batches: Batches, confidence_level: float) -> None:
        self._batches = batches
        _intervals.check_method(confidence_level, "hall")
        self.confidence_level = confidence_level
        # Sums of the losses of each model and, without groups, of their difference.
        self._a = self._b = empty_state(len(self._batches.classes))
        self._difference = empty_state(0)
        self._clusters: tuple[GroupedLogLoss, GroupedLogLoss] | None = None

    @in_our_words
    def update(
        self,
        y_true: Any,
        score_a: Any,
        score_b: Any,
        sample_weight: Any = None,
        groups: Any = None,
    ) -> "LogLossComparison":
        """Add the rows of a batch.

        Parameters
        ----------
        y_true, score_a, score_b, sample_weight, groups
            As of :func:`compare_log_loss`. All batches have groups, or none.

        Returns
        -------
        self : LogLossComparison

        Raises
        ------
        ValueError, TypeError
            For what is no batch of rows; the message names argument and row. Nothing
            has been added then.
        """
        problems = (
            self._batches.read(y_true, score_a, sample_weight, _A),
            self._batches.read(y_true, score_b, sample_weight, _B),
        )
        if len(problems[0].p) != len(problems[1].p):
            raise Objection(
                "scores",
                f"score_a has {len(problems[0].p)} rows, score_b {len(problems[1].p)}",
            )
        self._add(problems, groups)
        return self

    def _add(self, problems: tuple[Problem, Problem], groups: Any) -> None:
        if self._a.n_rows and (groups is None) != (self._clusters is None):
            raise ValueError("all batches have groups, or none")
        a, b = (exact_sums(problem)[0] for problem in problems)
        a, b = self._a.plus(a), self._b.plus(b)
        if groups is None:
            difference = self._difference.plus(self._sums_of_difference(problems))
            self._a, self._b, self._difference = a, b, difference
            return
        clusters = self._clusters or self._new_clusters()
        before = [grouped._group_sums.n_total for grouped in clusters]
        try:
            for grouped, problem in zip(clusters, problems, strict=True):
                grouped._add(problem, groups)
            self._a, self._b, self._clusters = a, b, clusters
        except BaseException:
            for grouped, problem, n in zip(clusters, problems, before, strict=True):
                if grouped._group_sums.n_total > n:
                    grouped._add(problem, groups, take_away=True)
            raise

    def _new_clusters(self) -> tuple[GroupedLogLoss, GroupedLogLoss]:
        of_a, of_b = map(GroupedLogLoss._with, (self._batches, self._batches))
        return of_a, of_b

    def _sums_of_difference(self, problems: tuple[Problem, Problem]) -> State:
        n = len(problems[0].p)
        weights = problems[0].targets.weights
        total = empty_state(0)
        buffers = np.empty((2, min(n, _CHUNK)))
        for start in range(0, n, _CHUNK):
            stop = min(start + _CHUNK, n)
            rows = buffers[:, : stop - start]
            for problem, row_losses in zip(problems, rows, strict=True):
                write_part(problem, start, stop, row_losses)
            w = None
            if weights is not None:
                w = np.ascontiguousarray(weights[start:stop], np.float64)
            with np.errstate(invalid="ignore"):
                difference = rows[0] - rows[1]
            # Of a row that is impossible to both models nothing is known.
            difference[np.isnan(difference)] = np.inf
            found = _kernels.loops.sum_exactly(difference, w)
            if found is None:
                raise_changed()
            total = total.plus(State(found[0], found[1], ()))
        return total

    @property
    def classes(self) -> tuple[Any, ...]:
        return self._batches.classes

    def merge(self, other: "LogLossComparison") -> "LogLossComparison":
        """Add all rows of another comparison, which stays as it is.

        Parameters
        ----------
        other : LogLossComparison
            Of the same classes and options, and with groups if this one has.

        Returns
        -------
        self : LogLossComparison

        Raises
        ------
        TypeError, ValueError
            For anything else; the message says what differs.
        """
        check_mergeable(self, other, LogLossComparison)
        if not other._a.n_rows:
            return self
        if self._a.n_rows and (self._clusters is None) != (other._clusters is None):
            raise ValueError("one of the comparisons has groups, the other has none")
        clusters: tuple[GroupedLogLoss, GroupedLogLoss] | None = None
        if other._clusters is not None:
            of_a, of_b = self._clusters or self._new_clusters()
            clusters = (
                of_a.copy().merge(other._clusters[0]),
                of_b.copy().merge(other._clusters[1]),
            )
        a, b = self._a.plus(other._a), self._b.plus(other._b)
        paired = self._difference.plus(other._difference)
        self._a, self._b, self._difference, self._clusters = a, b, paired, clusters
        return self

    def copy(self) -> "LogLossComparison":
        """A comparison of the same rows, on its own from now on."""
        made: LogLossComparison = _restored(*self._parts())
        if made._clusters is not None:
            made._clusters = (made._clusters[0].copy(), made._clusters[1].copy())
        return made

    __copy__ = copy

    def __deepcopy__(self, _: Any) -> "LogLossComparison":
        return self.copy()

    def _parts(self) -> tuple[Any, ...]:
        return (
            *(self._batches, self.confidence_level),
            *(self._a, self._b, self._difference, self._clusters),
        )

    def __reduce__(self) -> Any:
        return _restored, self._parts()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LogLossComparison):
            return NotImplemented
        return self._parts() == other._parts()

    def __repr__(self) -> str:
        words = f"n_samples={self.n_samples}"
        if self.n_groups is not None:
            words += f", n_groups={self.n_groups}"
        return (
            f"LogLossComparison({words}, loss_a={self.loss_a:.4g}, "
            f"loss_b={self.loss_b:.4g}, difference={self.difference:.4g}, "
            f"pvalue={self.pvalue:.2g})"
        )

    @property
    def n_samples(self) -> int:
        """Number of rows."""
        return self._a.n_rows

    @property
    def n_groups(self) -> int | None:
        """Number of groups; None where rows have none."""
        return None if self._clusters is None else len(self._clusters[0])

    @property
    def loss_a(self) -> float:
        """Mean loss of the first model, in nats."""
        loss: float = LogLossAccumulator._of(self._batches, self._a).loss
        return loss

    @property
    def loss_b(self) -> float:
        """Mean loss of the second model, in nats."""
        loss: float = LogLossAccumulator._of(self._batches, self._b).loss
        return loss

    @property
    def difference(self) -> float:
        """`loss_a` - `loss_b`, in nats, rounded twice: negative where a is better."""
        if any(self._a.counts[2:4]) or any(self._b.counts[2:4]):
            return self.loss_a - self.loss_b
        weight = to_float(self._a.sums[0])
        return to_float(self._a.sums[1] - self._b.sums[1]) / weight if weight else nan

    def _estimate(self) -> Estimate:
        lost = any(self._a.counts[2:4]) or any(self._b.counts[2:4])
        if self._clusters is not None:
            of_a, of_b = (groups._sums() for groups in self._clusters)
            sums = of_a.moments.wl - of_b.moments.wl
            found = _intervals.clustered(sums, of_a.moments.w)
        else:
            rows, zeros, *others = self._difference.counts
            floats = (np.float64(to_float(x)) for x in self._difference.sums)
            found = _intervals.estimate(Moments(np.float64(rows - zeros), *floats))
            lost = lost or any(others)
        if lost:
            found = found._replace(standard_error=np.float64(nan))
        return found._replace(mean=np.float64(self.difference))

    @property
    def standard_error(self) -> float:
        """Standard error of `difference`; with groups it is cluster-robust."""
        return float(self._estimate().standard_error)

    def confidence_interval(
        self,
        confidence_level: float | None = None,
        method: Literal["hall", "normal"] = "hall",
    ) -> ConfidenceInterval:
        """Interval for the expected difference, in nats.

        Parameters
        ----------
        confidence_level : float in (0, 1), default=None
            That of the comparison, unless given.
        method : {"hall", "normal"}, default="hall"
            As of :meth:`LogLossAccumulator.confidence_interval`.

        Returns
        -------
        ConfidenceInterval
            With `low` and `high`.
        """
        level = self.confidence_level if confidence_level is None else confidence_level
        interval = _intervals.confidence_interval(
            *self._estimate(), confidence_level=level, method=method
        )
        return ConfidenceInterval(float(interval.low), float(interval.high))

    @property
    def pvalue(self) -> float:
        """Two-sided: below 0.05 where Hall's 95 % interval leaves out zero."""
        return float(_intervals.pvalue(*self._estimate()))

    def _warn(self) -> None:
        """Warn of few events or groups."""
        weights = [to_float(weight) for weight in self._a.classes]
        n = self._a.counts[0] - self._a.counts[1]
        share = min(weights) / sum(weights) if sum(weights) > 0 else 0.0
        _intervals.warn_of_few(round(share * n), self.n_groups)


def _restored(
    batches: Batches,
    confidence_level: float,
    a: State,
    b: State,
    difference: State,
    clusters: tuple[GroupedLogLoss, GroupedLogLoss] | None,
) -> LogLossComparison:
    made = LogLossComparison._with(batches, confidence_level)
    made._a, made._b, made._difference = a, b, difference
    made._clusters = clusters
    return made
