"""Log loss over batches: exact sums that merge.

Longer than a room should be: most of it is docstrings.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from fastlogloss import _arrow
from fastlogloss._batches import OPTIONS, Batches, check_mergeable, exact_sums
from fastlogloss._engine import Sums as PassSums
from fastlogloss._errors import in_our_words
from fastlogloss._exact import (
    COUNTS,
    FORMAT,
    ROW_LOSSES,
    SUMS,
    State,
    empty_state,
    from_text,
    to_float,
    to_text,
)
from fastlogloss._intervals import Moments
from fastlogloss._problem import Problem
from fastlogloss._statistics import Statistics, Sums

_KIND = "fastlogloss.LogLossAccumulator"


class LogLossAccumulator(Statistics):
    """Log loss of rows that come in batches.

    Sums are exact: any split of the same rows into batches, in any order and merged in
    any tree, on any number of threads and any machine, gives the same bits, and rows
    that were added can be taken away again.

    Parameters
    ----------
    classes : array-like of shape (n_classes,), default=(0, 1)
        The label of each column of the scores, in this order. A vector of scores is
        that of the second of two classes.
    eps : "auto" or float in [0, 0.5), default="auto"
        Where to clip probabilities, to ``[eps, 1 - eps]``. "auto" is 2.2e-16, whatever
        the dtype of a batch; with 0 an event of probability zero costs ``inf``.
    from_logits : bool, default=False
        Scores are logits, which are not clipped.
    soft_targets : bool, default=False
        Targets in [0, 1] come instead of labels.
    label_smoothing : float in [0, 1), default=0.0
        Share of every target that is spread evenly over all classes.

    Attributes
    ----------
    classes : tuple
        The label of each column.

    Raises
    ------
    ValueError, TypeError
        For arguments that are not as above.

    See Also
    --------
    log_loss_by_group : The same for each of many groups.
    LogLossComparison : Two models on the same rows.
    log_loss : Of rows that are all there.

    Notes
    -----
    The loss of a row is that of :func:`sample_log_loss`, of which a double times the
    weight, rounded once, is added. `loss` is within 2e-15, relative, of that of
    :func:`log_loss` for the same numbers in float64.

    Rows whose weight is zero count in `n_samples` and nowhere else. Weights are 0, or
    from 4.9e-91 to 2.0e+90 in size.

    Sums that an engine made (see `fastlogloss.integrations`) are rounded: `exact` is
    False then, also of all that they are merged into. They are equal to others that are
    not exact, with the same bits, and no rows are taken away from them.

    One accumulator is for one thread: let each have its own, and merge them.

    Examples
    --------
    >>> from fastlogloss import LogLossAccumulator
    >>> monday = LogLossAccumulator().update([0, 1, 0], [0.1, 0.7, 0.4])
    >>> tuesday = LogLossAccumulator().update([1, 1], [0.8, 0.6])
    >>> week = monday + tuesday
    >>> week
    LogLossAccumulator(n_samples=5, loss=0.3414)
    >>> week - tuesday == monday
    True
    >>> round(week.standard_error, 4)
    0.0798
    """

    __slots__ = ("_batches", "_floats", "_state")

    def __init__(
        self,
        classes: Any = (0, 1),
        *,
        eps: float | Literal["auto"] = "auto",
        from_logits: bool = False,
        soft_targets: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        self._batches = Batches(
            classes, eps, from_logits, soft_targets, label_smoothing
        )
        self._state = empty_state(len(self._batches.classes))
        self._floats: Sums | None = None

    @classmethod
    def _of(cls, batches: Batches, state: State) -> "LogLossAccumulator":
        made = cls.__new__(cls)
        made._batches = batches
        made._set(state)
        return made

    def _set(self, state: State) -> None:
        self._floats = None
        self._state = state

    @property
    def classes(self) -> tuple[Any, ...]:
        return self._batches.classes

    @in_our_words
    def update(
        self, y_true: Any, y_score: Any, sample_weight: Any = None
    ) -> "LogLossAccumulator":
        """Add the rows of a batch.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,) or (n_samples, n_classes)
            Labels; with `soft_targets` targets.
        y_score : array-like of shape (n_samples,) or (n_samples, n_classes)
            Probabilities or logits.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows; some may be negative.

        Returns
        -------
        self : LogLossAccumulator

        Raises
        ------
        ValueError, TypeError
            For what is no batch of rows; the message names argument and row. Nothing
            has been added then.
        """
        found = self._batches.sums(y_true, y_score, sample_weight)
        self._set(self._state.plus(found))
        return self

    def update_from(
        self,
        source: Any,
        *,
        label: str | Sequence[str],
        proba: str | Sequence[str] | None = None,
        logit: str | Sequence[str] | None = None,
        weight: str | None = None,
    ) -> "LogLossAccumulator":
        """Add the rows of a table, data frame, dataset or stream, batch by batch.

        Parameters
        ----------
        source : object with ``__arrow_c_stream__``, or a pyarrow dataset or scanner
            Such as tables and readers of pyarrow, frames of polars and what their
            `collect_batches` returns, relations of DuckDB and frames of pandas and
            Spark. It needs pyarrow.
        label : str
            The column of the labels; with `soft_targets` that of the targets, or
            columns of them as of `proba`.
        proba, logit : str or list of str
            One of the two: the column of the scores of the second of two classes, a
            column of lists, or a column for each class. With `from_logits` it is
            `logit`.
        weight : str, default=None
            The column of the weights.

        Returns
        -------
        self : LogLossAccumulator

        Raises
        ------
        ValueError, TypeError
            For what is no such source; the message names column and row, counted from
            0 over the whole source. Nothing has been added then.

        Examples
        --------
        >>> import pyarrow
        >>> from fastlogloss import LogLossAccumulator
        >>> table = pyarrow.table({"click": [0, 1, 0], "p": [0.1, 0.7, 0.4]})
        >>> LogLossAccumulator().update_from(table, label="click", proba="p")
        LogLossAccumulator(n_samples=3, loss=0.3243)
        """
        columns = _arrow.Columns(self._batches, label, proba, logit, weight)
        found = self._of(self._batches, empty_state(len(self.classes)))
        _arrow.feed(source, columns, found._add)
        return self.merge(found)

    def _add(self, problem: Problem, _: Any = None) -> PassSums:
        state, sums = exact_sums(problem)
        self._set(self._state.plus(state))
        return sums

    @in_our_words
    def revert(
        self, y_true: Any, y_score: Any, sample_weight: Any = None
    ) -> "LogLossAccumulator":
        """Take away the rows of a batch that was added, exactly.

        Parameters
        ----------
        y_true, y_score, sample_weight
            As of `update`.

        Returns
        -------
        self : LogLossAccumulator

        Raises
        ------
        ValueError, TypeError
            As of `update`; and where counts show that these rows were never added.
        """
        found = self._batches.sums(y_true, y_score, sample_weight)
        self._set(self._state.minus(found))
        return self

    def merge(self, other: "LogLossAccumulator") -> "LogLossAccumulator":
        """Add all rows of another accumulator, which stays as it is.

        Parameters
        ----------
        other : LogLossAccumulator
            Of the same classes and options.

        Returns
        -------
        self : LogLossAccumulator

        Raises
        ------
        TypeError, ValueError
            For anything else; the message says what differs.
        """
        self._set(self._state.plus(self._matching(other)))
        return self

    def _matching(self, other: Any) -> State:
        check_mergeable(self, other, LogLossAccumulator)
        state: State = other._state
        return state

    def __add__(self, other: Any) -> "LogLossAccumulator":
        if not isinstance(other, LogLossAccumulator):
            return NotImplemented
        return self._of(self._batches, self._state.plus(self._matching(other)))

    def __sub__(self, other: Any) -> "LogLossAccumulator":
        if not isinstance(other, LogLossAccumulator):
            return NotImplemented
        return self._of(self._batches, self._state.minus(self._matching(other)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LogLossAccumulator):
            return NotImplemented
        return self._batches == other._batches and self._state == other._state

    def copy(self) -> "LogLossAccumulator":
        """An accumulator of the same rows, on its own from now on."""
        return self._of(self._batches, self._state)

    __copy__ = copy

    def __deepcopy__(self, _: Any) -> "LogLossAccumulator":
        return self.copy()

    def __repr__(self) -> str:
        words = self._batches.text()
        words = "" if words == "classes=[0, 1]" else f"{words}, "
        n = self._state.n_rows
        return f"LogLossAccumulator({words}n_samples={n}, loss={self.loss:.4g})"

    def _sums(self) -> Sums:
        if self._floats is None:
            rows, zeros, up, down, beyond = map(np.int64, self._state.counts)
            floats = (np.float64(to_float(x)) for x in self._state.sums)
            classes = [np.float64(to_float(x)) for x in self._state.classes]
            moments = Moments(np.float64(rows - zeros), *floats)
            exact = self._state.exact
            self._floats = Sums(rows, moments, up, down, beyond, classes, exact)
        return self._floats

    def to_dict(self) -> dict[str, Any]:
        """The sums and options as plain values that JSON holds, exactly.

        Returns
        -------
        state : dict
            Of strings, numbers, lists and dicts; see :meth:`from_dict`.
        """
        state = self._state
        return {
            "kind": _KIND,
            "format": FORMAT,
            "row_losses": ROW_LOSSES,
            "classes": list(self._batches.classes),
            **self._batches.options,
            "counts": dict(zip(COUNTS, state.counts, strict=True)),
            "sums": dict(zip(SUMS, map(to_text, state.sums), strict=True)),
            "class_weights": [*map(to_text, state.classes)],
            "exact": state.exact,
        }

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "LogLossAccumulator":
        """The accumulator that :meth:`to_dict` has written.

        Parameters
        ----------
        state : dict

        Returns
        -------
        LogLossAccumulator

        Raises
        ------
        ValueError
            For what is none, or of another version of the format or of the losses of
            rows, whose sums do not add up to one.

        Examples
        --------
        >>> import json
        >>> from fastlogloss import LogLossAccumulator
        >>> day = LogLossAccumulator().update([0, 1], [0.2, 0.7])
        >>> text = json.dumps(day.to_dict())
        >>> LogLossAccumulator.from_dict(json.loads(text)) == day
        True
        """
        if not isinstance(state, Mapping) or state.get("kind") != _KIND:
            raise ValueError("this is no state of a LogLossAccumulator")
        for name, version in (("format", FORMAT), ("row_losses", ROW_LOSSES)):
            if state.get(name) != version:
                raise ValueError(
                    f"the state has version {state.get(name)!r} of {name}, this "
                    f"release {version}: they do not merge"
                )
        try:
            batches = Batches(state["classes"], *(state[name] for name in OPTIONS))
            counts = tuple(state["counts"][name] for name in COUNTS)
            sums = tuple(from_text(state["sums"][name]) for name in SUMS)
            classes = tuple(map(from_text, state["class_weights"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"the state is incomplete: {error}") from None
        found = State(sums, counts, classes, state.get("exact", True))
        if (
            len(classes) != len(batches.classes)
            or not all(type(n) is int and n >= 0 for n in counts)
            or type(found.exact) is not bool
            or found.is_odd
        ):
            raise ValueError("the state is damaged: its parts do not fit together")
        return cls._of(batches, found)

    def __reduce__(self) -> Any:
        return type(self).from_dict, (self.to_dict(),)
