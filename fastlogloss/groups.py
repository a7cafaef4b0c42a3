"""Log loss of each of many groups: exact sums in one pass.

Longer than a room should be: most of it is docstrings.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fastlogloss import _arrow, _intervals, _kernels
from fastlogloss._batches import Batches, check_mergeable
from fastlogloss._engine import BAD_ROW_SUM, INVALID
from fastlogloss._engine import Sums as PassSums
from fastlogloss._errors import Objection, in_our_words, raise_changed
from fastlogloss._exact import State, raise_not_exact
from fastlogloss._frames import new_frame
from fastlogloss._group_sums import GroupSums
from fastlogloss._groups import KeyReader, Keys
from fastlogloss._intervals import Estimate
from fastlogloss._losses import explain_weight, sums_of
from fastlogloss._policy import remark
from fastlogloss._problem import Problem
from fastlogloss._statistics import Statistics, Sums
from fastlogloss._sums import Sum
from fastlogloss.accumulator import LogLossAccumulator

_CHUNK = 32768  # rows whose groups are numbered at once
_MANY = 1 << 20  # and of threads, between two looks at signals
BAD_WEIGHT = _kernels.loops.BAD_WEIGHT
_NOTHING_FOUND = PassSums(Sum(0.0), Sum(0.0), 0, -1, 0)


def log_loss_by_group(
    y_true: Any,
    y_score: Any,
    groups: Any,
    *,
    sample_weight: Any = None,
    classes: Any = (0, 1),
    eps: float | Literal["auto"] = "auto",
    from_logits: bool = False,
    soft_targets: bool = False,
    label_smoothing: float = 0.0,
) -> "GroupedLogLoss":
    """Log loss of each group of rows, in one pass and without a sort of the rows.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_classes)
        Labels; with `soft_targets` targets.
    y_score : array-like of shape (n_samples,) or (n_samples, n_classes)
        Probabilities or logits.
    groups : array-like of shape (n_samples,), tuple of such or data frame
        The key of each row: a number, string, category, date or any hashable object;
        several columns of them, as a tuple of arrays, are one key of several parts.
        Missing keys are a group of their own.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the rows; some may be negative.
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
    GroupedLogLoss

    Raises
    ------
    ValueError, TypeError
        For arguments that are not as above; the message names argument and row.

    See Also
    --------
    GroupedLogLoss : What comes back; it takes more rows.
    LogLossAccumulator : All rows as one.

    Examples
    --------
    >>> from fastlogloss import log_loss_by_group
    >>> found = log_loss_by_group(
    ...     [0, 1, 1, 0], [0.1, 0.7, 0.8, 0.6], ["shop", "search", "shop", "search"]
    ... )
    >>> found.groups
    array(['search', 'shop'], dtype=object)
    >>> found.loss.round(4)
    array([0.6365, 0.1643])
    """
    found = GroupedLogLoss(
        classes,
        eps=eps,
        from_logits=from_logits,
        soft_targets=soft_targets,
        label_smoothing=label_smoothing,
    )
    found.update(y_true, y_score, groups, sample_weight)
    return found


class GroupedLogLoss(Statistics):
    """Log loss of each of many groups of rows, which come in batches.

    What :class:`LogLossAccumulator` has is here an array, with an entry for each group
    in the order of `groups`, and as exact. A group takes about 300 bytes, with weights
    700. One of these is for one thread: let each have its own, and merge them.

    Parameters
    ----------
    classes, eps, from_logits, soft_targets, label_smoothing
        As of :class:`LogLossAccumulator`.

    Attributes
    ----------
    classes : tuple
        The label of each column.
    groups : ndarray of shape (n_groups,), or tuple of such
        The keys, sorted; a missing one comes last. Of several columns a tuple. Keys
        that have no order are as they first came.

    See Also
    --------
    log_loss_by_group : Of rows that are all there.

    Examples
    --------
    >>> from fastlogloss import GroupedLogLoss
    >>> found = GroupedLogLoss()
    >>> found.update([0, 1], [0.1, 0.7], ["mon", "mon"])
    GroupedLogLoss(n_groups=1, n_samples=2, loss=0.231)
    >>> found.update([1, 0], [0.8, 0.6], ["tue", "mon"])
    GroupedLogLoss(n_groups=2, n_samples=4, loss=0.4004)
    >>> found.n_samples
    array([3, 1])
    >>> found["mon"]
    LogLossAccumulator(n_samples=3, loss=0.4594)
    >>> found.total().n_samples
    4
    """

    __slots__ = ("_batches", "_floats", "_group_sums", "_keys", "_order")

    def __init__(
        self,
        classes: Any = (0, 1),
        *,
        eps: float | Literal["auto"] = "auto",
        from_logits: bool = False,
        soft_targets: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        self._set(Batches(classes, eps, from_logits, soft_targets, label_smoothing))

    @classmethod
    def _with(cls, batches: Batches) -> "GroupedLogLoss":
        made = cls.__new__(cls)
        made._set(batches)
        return made

    def _set(
        self, batches: Batches, keys: Keys | None = None, cells: GroupSums | None = None
    ) -> None:
        self._batches = batches
        self._keys = Keys() if keys is None else keys
        self._group_sums = GroupSums(len(batches.classes)) if cells is None else cells
        self._forget()

    @classmethod
    def _of_sums(cls, batches: Batches, keys: Any, sums: Sums) -> "GroupedLogLoss":
        """Of sums that an engine made, an entry for each of the keys.

        Groups whose rows are all left out are none.
        """
        n, numbered = len(sums.n_samples), Keys()
        numbers = np.empty(n, np.int64)
        numbered.reader(keys, n).number(0, n, numbers)
        cells = GroupSums.of_floats(sums, numbers, len(numbered))
        kept = np.flatnonzero(cells.n_rows)
        if len(kept) < len(numbered):
            numbered, cells = numbered.kept(kept), cells.kept(kept)
        return _restored(batches, numbered, cells)

    def _forget(self) -> None:
        self._floats: Sums | None = None
        self._order: NDArray[np.int64] | None = None

    @property
    def classes(self) -> tuple[Any, ...]:
        return self._batches.classes

    @property
    def groups(self) -> Any:
        order, values = self._sorted, self._keys.values()
        if isinstance(values, tuple):
            return tuple(column[order] for column in values)
        return values[order]

    @property
    def _sorted(self) -> NDArray[np.int64]:
        if self._order is None:
            self._order = self._keys.sorted_order()
        return self._order

    def __len__(self) -> int:
        return len(self._keys)

    @in_our_words
    def update(
        self, y_true: Any, y_score: Any, groups: Any, sample_weight: Any = None
    ) -> "GroupedLogLoss":
        """Add the rows of a batch.

        Parameters
        ----------
        y_true, y_score, groups, sample_weight
            As of :func:`log_loss_by_group`.

        Returns
        -------
        self : GroupedLogLoss

        Raises
        ------
        ValueError, TypeError
            For what is no batch of rows; the message names argument and row. All is as
            it was then.
        """
        problem = self._batches.read(y_true, y_score, sample_weight)
        self._add(problem, groups)
        return self

    def update_from(
        self,
        source: Any,
        *,
        label: str | Sequence[str],
        by: str | Sequence[str],
        proba: str | Sequence[str] | None = None,
        logit: str | Sequence[str] | None = None,
        weight: str | None = None,
    ) -> "GroupedLogLoss":
        """Add the rows of a table, data frame, dataset or stream, batch by batch.

        Parameters
        ----------
        source, label, proba, logit, weight
            As of :meth:`LogLossAccumulator.update_from`.
        by : str or list of str
            The column of the keys; several are one key of several parts.

        Returns
        -------
        self : GroupedLogLoss

        Raises
        ------
        ValueError, TypeError
            For what is no such source; the message names column and row, counted from
            0 over the whole source. All is as it was then.
        """
        columns = _arrow.Columns(self._batches, label, proba, logit, weight, by)
        found = self._with(self._batches)
        _arrow.feed(source, columns, found._add)
        return self.merge(found)

    @in_our_words
    def revert(
        self, y_true: Any, y_score: Any, groups: Any, sample_weight: Any = None
    ) -> "GroupedLogLoss":
        """Take away the rows of a batch that was added, exactly.

        Parameters
        ----------
        y_true, y_score, groups, sample_weight
            As of :func:`log_loss_by_group`.

        Returns
        -------
        self : GroupedLogLoss

        Raises
        ------
        ValueError, TypeError
            As of `update`; and where counts show that these rows were never added.
        """
        if not self._group_sums.exact:
            raise_not_exact()
        problem = self._batches.read(y_true, y_score, sample_weight)
        self._add(problem, groups, take_away=True)
        return self

    def _add(self, problem: Problem, groups: Any, take_away: bool = False) -> PassSums:
        n, before = len(problem.p), len(self._keys)
        targets = problem.targets
        columns = groups if isinstance(groups, tuple) else (groups,)
        # Nobody resizes what is read chunk by chunk.
        guard = _kernels.loops.pin_memory(
            problem.p, targets.codes.y, targets.weights, *columns
        )
        reader = self._keys.reader(groups, n)
        self._forget()
        sign = -1 if take_away else 1
        try:
            status = self._steps(problem, reader, n, take_away)
            found = _validated(problem) if status & BAD_ROW_SUM else _NOTHING_FOUND
            remark(problem, found)
            if take_away and (
                len(self._keys) > before or not self._group_sums.are_consistent()
            ):
                raise ValueError("some of the rows to be taken away were never added")
            self._close(sign * n)
        except BaseException as error:
            # The first rows have been added, as many as are too many now: exactly these
            # are taken away again.
            sums = self._group_sums
            done = sign * (int(sums.n_rows.sum()) - sums.n_total)
            try:
                self._steps(problem, reader, done, not take_away)
            finally:  # also where another thread has changed these rows
                self._keys.truncate(before)
                sums.truncate(before)
                sums.n_total = int(sums.n_rows.sum())
            if not isinstance(error, Exception):
                raise
            raised = error
        else:
            del guard
            return found
        # What is wrong with labels and scores comes first.
        codes = targets.codes
        try:
            _validated(problem)
            if targets.codes is codes:
                raise raised
        finally:
            del raised  # whose traceback holds this frame
        # Labels looked like codes, but were none.
        return self._add(problem, groups, take_away)

    def _steps(self, problem: Problem, reader: KeyReader, n: int, takes: bool) -> int:
        """Add the first `n` rows, or take them away; the union of their status."""
        codes, weights = problem.targets.codes, problem.targets.weights
        sums, numbers = self._group_sums, np.empty(min(n, _CHUNK), np.int64)
        threads, done, found = sums.threads_for(n, weights is not None), 0, 0
        while done < n:
            # Several threads add many rows, whose groups the kernel looks up once more.
            together = threads > 1 and sums.is_small and reader.numbered() is not None
            first, stop = done, min(n, done + (_MANY if together else _CHUNK))
            for start in range(first, stop, _CHUNK):
                reader.number(start, min(start + _CHUNK, stop), numbers)
            sums.grow(len(self._keys))
            known = reader.numbered() if together and sums.is_small else None
            if together and known is None:  # more groups than was thought
                continue
            keys, window, base = known or (None, None, 0)
            while done < stop:
                rows = slice(done, stop)
                of_rows = numbers[done - first : stop - first]
                status, n_done = sums.add(
                    problem.spec,
                    codes.part(done, stop),
                    problem.p[rows],
                    None if weights is None else weights[rows],
                    of_rows if keys is None else keys[rows],
                    window,
                    base,
                    takes,
                    threads if together else 1,
                )
                done += n_done
                found |= status
                if status & BAD_WEIGHT:
                    raise Objection("sample_weight", lambda: explain_weight(problem))
                if status & INVALID:
                    raise_changed()
        return found

    def _close(self, n: int) -> None:
        """Count `n` rows that have been added; groups without rows are gone."""
        if n < 0:
            kept = np.flatnonzero(self._group_sums.n_rows)
            if len(kept) < len(self):
                keys, sums = self._keys.kept(kept), self._group_sums.kept(kept)
                # Without a call between them: an interrupt comes before or after.
                self._keys, self._group_sums = keys, sums
                return
        self._group_sums.n_total += n

    def merge(self, other: "GroupedLogLoss") -> "GroupedLogLoss":
        """Add all rows of another one, group by group; it stays as it is.

        Parameters
        ----------
        other : GroupedLogLoss
            Of the same classes and options.

        Returns
        -------
        self : GroupedLogLoss

        Raises
        ------
        TypeError, ValueError
            For anything else; the message says what differs.
        """
        check_mergeable(self, other, GroupedLogLoss)
        before = len(self._keys)
        self._forget()
        try:
            numbers = self._keys.numbers_of(other._keys)
            self._group_sums.grow(len(self._keys))
            self._group_sums.merge(other._group_sums, numbers)
        except BaseException:
            self._keys.truncate(before)
            self._group_sums.truncate(before)
            raise
        return self

    def copy(self) -> "GroupedLogLoss":
        """The same groups and rows, on their own from now on."""
        return _restored(self._batches, self._keys.copy(), self._group_sums.copy())

    __copy__ = copy

    def __deepcopy__(self, _: Any) -> "GroupedLogLoss":
        return self.copy()

    def __reduce__(self) -> Any:
        return _restored, (self._batches, self._keys, self._group_sums)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GroupedLogLoss):
            return NotImplemented
        if self._batches != other._batches or len(self) != len(other):
            return False
        if self._keys != other._keys:
            return False
        numbers = self._keys.copy().numbers_of(other._keys)
        return self._group_sums.equal(other._group_sums, numbers)

    def __getitem__(self, key: Any) -> LogLossAccumulator:
        """The rows of a group.

        Parameters
        ----------
        key
            As in `groups`; of several columns a tuple. None is the missing one.

        Returns
        -------
        LogLossAccumulator

        Raises
        ------
        KeyError
            If there is no such group.
        """
        number = self._keys.find(key)
        if number is None:
            raise KeyError(key)
        return LogLossAccumulator._of(self._batches, self._group_sums.state(number))

    def __contains__(self, key: Any) -> bool:
        return self._keys.find(key) is not None

    def __iter__(self) -> Iterator[Any]:
        groups = self.groups
        if isinstance(groups, tuple):
            return zip(*(column.tolist() for column in groups), strict=True)
        return iter(groups.tolist())

    def total(self) -> "ClusteredLogLoss":
        """The loss of all rows, whose interval knows that groups belong together.

        Returns
        -------
        ClusteredLogLoss
        """
        return ClusteredLogLoss(self)

    def to_frame(self, backend: str | None = None) -> Any:
        """A data frame with a row for each group.

        Parameters
        ----------
        backend : {"pandas", "polars", "pyarrow"}, default=None
            The library; the first of these that is installed.

        Returns
        -------
        frame : data frame
            ``group`` (or ``group_0``, ``group_1`` and so on), ``n_samples``,
            ``weight_sum``, ``loss``, ``standard_error``, ``low`` and ``high`` of the
            95 % interval, ``null_loss`` and ``normalized_entropy``.
        """
        groups = self.groups
        columns: dict[str, Any] = {"group": groups}
        if isinstance(groups, tuple):
            columns = {f"group_{i}": column for i, column in enumerate(groups)}
        for name in ("n_samples", "weight_sum", "loss", "standard_error"):
            columns[name] = getattr(self, name)
        interval = self.confidence_interval()
        columns |= {"low": interval.low, "high": interval.high}
        for name in ("null_loss", "normalized_entropy"):
            columns[name] = getattr(self, name)
        return new_frame(columns, backend)

    def __repr__(self) -> str:
        words = self._batches.text()
        words = "" if words == "classes=[0, 1]" else f"{words}, "
        total = self._group_sums.state()
        whole = LogLossAccumulator._of(self._batches, total)
        return (
            f"GroupedLogLoss({words}n_groups={len(self)}, n_samples={total.n_rows}, "
            f"loss={whole.loss:.4g})"
        )

    def _sums(self) -> Sums:
        if self._floats is None:
            self._floats = self._group_sums.floats(self._sorted)
        return self._floats


def _restored(batches: Batches, keys: Keys, cells: GroupSums) -> GroupedLogLoss:
    made = GroupedLogLoss.__new__(GroupedLogLoss)
    made._set(batches, keys, cells)
    return made


class ClusteredLogLoss(Statistics):
    """The loss of all rows of groups, which are clusters: see `GroupedLogLoss.total`.

    It has what :class:`LogLossAccumulator` has, but takes no rows. `standard_error` and
    `confidence_interval` are cluster-robust: with the sum :math:`u_g` of
    :math:`w_i (l_i - L)` over the rows of group g,

    .. math::
        s = \\frac{1}{|\\sum_i w_i|} \\sqrt{\\frac{G}{G - 1} \\sum_g u_g^2}.

    Attributes
    ----------
    n_groups : int

    References
    ----------
    K.-Y. Liang and S. L. Zeger (1986). Longitudinal data analysis using generalized
    linear models. Biometrika 73, pp. 13-22.
    """

    __slots__ = ("_accumulator", "_batches", "_clusters", "n_groups")

    def __init__(self, groups: GroupedLogLoss) -> None:
        state: State = groups._group_sums.state()
        self._batches = groups._batches
        self._accumulator = LogLossAccumulator._of(groups._batches, state)
        sums = groups._sums()
        self.n_groups = len(groups)
        found = _intervals.clustered(sums.moments.wl, sums.moments.w)
        if state.counts[2] or state.counts[3]:
            found = found._replace(standard_error=np.float64(np.nan))
        self._clusters = found

    def _sums(self) -> Sums:
        return self._accumulator._sums()

    def _estimate(self) -> Estimate:
        return self._clusters._replace(mean=self._loss(self._sums()))

    def __repr__(self) -> str:
        n = self._accumulator.n_samples
        return (
            f"ClusteredLogLoss(n_groups={self.n_groups}, n_samples={n}, "
            f"loss={self.loss:.4g}, standard_error={self.standard_error:.2g})"
        )


def _validated(problem: Problem) -> PassSums:
    """What a look at labels and scores finds; an Objection, if that is wrong."""
    return sums_of(problem, check_only=True)
