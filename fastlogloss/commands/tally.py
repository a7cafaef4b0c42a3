"""Sums of some models over the same rows, batch by batch."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain, combinations
from typing import Any, NamedTuple

from fastlogloss._arrow import Columns
from fastlogloss._arrow_arrays import import_pyarrow, is_text, n_classes_of, plain
from fastlogloss._arrow_sift import Sift
from fastlogloss._batches import Batches
from fastlogloss._engine import Sums
from fastlogloss._exact import State, empty_state
from fastlogloss._problem import Problem
from fastlogloss.accumulator import LogLossAccumulator
from fastlogloss.commands.files import Failure
from fastlogloss.comparison import LogLossComparison
from fastlogloss.groups import GroupedLogLoss


class Task(NamedTuple):
    """What is to be scored, in names of columns."""

    models: dict[str, tuple[str, ...]]  # the columns of each, by its name
    label: str
    is_logit: bool = False
    weight: str | None = None
    by: tuple[str, ...] = ()
    classes: tuple[str, ...] | None = None  # as texts
    eps: Any = "auto"
    skips: bool = False

    def columns(self, batches: Batches, scores: Sequence[str]) -> Columns:
        proba, logit = (None, scores) if self.is_logit else (scores, None)
        return Columns(batches, self.label, proba, logit, self.weight, self.by)

    def all_columns(self) -> Columns:
        """Of all models, for what reads the files."""
        batches = Batches(from_logits=self.is_logit)
        of_models = [self.columns(batches, names).scores for names in self.scores]
        return self.columns(batches, [*dict.fromkeys(chain(*of_models))])

    @property
    def scores(self) -> list[tuple[str, ...]]:
        return list(self.models.values())


class Tally:
    """The sums so far.

    Attributes
    ----------
    n_rows : int
        Read, with those that were skipped.
    skipped : Counter
        Rows that were left out, by reason.
    models : list of LogLossAccumulator or GroupedLogLoss
    source : str
        What is being read, for messages.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.n_rows = 0
        self.source = ""
        self.skipped: Counter[str] = Counter()
        self.models: list[Any] = []
        self._columns: list[Columns] = []
        self._differences: dict[tuple[int, int], State] = {}
        self._has_warned = False

    def add(self, batch: Any, first: int) -> None:
        """Add the rows of a batch, the first of which is number `first` of its file.

        Raises
        ------
        ValueError, TypeError
            For what is invalid; the message names column and row.
        """
        if not len(batch):
            return
        if not self.models:
            self._open(batch)
        n = len(batch)
        if self.task.skips:
            batch = self._sift.valid(batch)
        if len(batch):
            problems: list[Problem] = []
            for columns, model in zip(self._columns, self.models, strict=True):

                def add(problem: Problem, groups: Any, model: Any = model) -> Sums:
                    problems.append(problem)
                    found: Sums = model._add(problem, groups)
                    return found

                warns = not self._has_warned
                self._has_warned |= columns.add(batch, first, add, warns)
            for a, b in self._differences:
                pair = problems[a], problems[b]
                found = self._comparison()._sums_of_difference(pair)
                self._differences[a, b] = self._differences[a, b].plus(found)
        self.n_rows += n

    def _open(self, batch: Any) -> None:
        task = self.task
        widths = [n_classes_of(batch, names) for names in task.scores]
        labels = plain(batch.column(task.label))
        classes = typed_classes(task.classes, labels.type, max(widths))
        try:
            batches = Batches(classes, task.eps, task.is_logit)
        except (TypeError, ValueError) as error:
            raise Failure(str(error)) from None
        self._batches = batches
        self._sift = Sift(task.all_columns(), batches.classes, self.skipped)
        self._columns = [task.columns(batches, names) for names in task.scores]
        self.models = [self._new_model() for _ in task.models]
        if not task.by:
            pairs = combinations(range(len(self.models)), 2)
            self._differences = {pair: empty_state(0) for pair in pairs}

    def _new_model(self) -> Any:
        if self.task.by:
            return GroupedLogLoss._with(self._batches)
        state = empty_state(len(self._batches.classes))
        return LogLossAccumulator._of(self._batches, state)

    def _comparison(self) -> LogLossComparison:
        return LogLossComparison._with(self._batches, 0.95)

    def comparison(self, a: int, b: int) -> LogLossComparison:
        """Of two models, the first before the second, on the rows so far."""
        found = self._comparison()
        models = self.models[a], self.models[b]
        if self.task.by:
            found._clusters = models
            found._a, found._b = (model._group_sums.state() for model in models)
        else:
            found._a, found._b = (model._state for model in models)
            found._difference = self._differences[a, b]
        return found


def typed_classes(texts: Sequence[str] | None, type_: Any, n_classes: int) -> Any:
    """Classes of the type of the labels."""
    if getattr(type_, "value_type", None) is not None:
        type_ = type_.value_type
    types = import_pyarrow().types
    if is_text(type_):
        if texts is None:
            raise Failure(
                "the labels are strings: name all classes in the order of the columns, "
                "as in --classes no,yes"
            )
        return list(texts)
    if texts is None:
        return list(range(n_classes))
    truths = {"false": 0, "true": 1} if types.is_boolean(type_) else {}
    classes = []
    for text in texts:
        try:
            value = float(truths.get(text.lower(), text))
            classes.append(int(text) if text.strip("-").isdigit() else int(value))
            if value != int(value):
                raise ValueError
        except (ValueError, OverflowError):
            raise Failure(
                f"--classes names {text!r}, but the labels are {type_}"
            ) from None
    return classes
