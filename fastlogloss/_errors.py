"""What is wrong, where, and in which words.

The reader and the kernels find an `Objection`; policy decides who words it. Nothing
here is in a hurry, but little is allocated: rows are looked at in chunks.
"""

import functools
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, NamedTuple, NoReturn, ParamSpec, TypeVar

import numpy as np

from fastlogloss._arrays import Array, as_array, first_unreal

P = ParamSpec("P")
R = TypeVar("R")
Index = tuple[int, ...]  # of a row, or a row and a column

CHUNK = 65536  # numbers
# Words of messages about arrays; texts in quotation marks are the caller's.
_WORDS = re.compile(
    r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|\brow (\d+)(?:, column (\d+))?"
    r"|\bcolumn (\d+) of groups\b|\b(?:y_score|y_true|sample_weight|groups)\b"
)


class Names(NamedTuple):
    """What the arguments are called in messages."""

    scores: str = "y_score"
    targets: str = "y_true"
    of: str = ""  # " of model 3", where there are several

    def place(self, at: Index) -> str:
        """The row and the column, of scores."""
        return place(at) + self.of


class ZeroSum(ZeroDivisionError, ValueError):
    """Weights that sum to zero, of which there is no mean.

    To scikit-learn it is an error of division; to all that checks arguments, one of a
    value.
    """


def refusal(kind: Any, words: str) -> Exception:
    """An error of a class that is a ValueError too, as all our own are."""
    if issubclass(kind, ZeroDivisionError):
        kind = ZeroSum
    return (kind if issubclass(kind, ValueError) else _value_error(kind))(words)


@functools.cache
def _value_error(kind: type[Exception]) -> type[Exception]:
    methods = {
        # Whatever the class is made of otherwise, here it is words.
        "__init__": Exception.__init__,
        "__str__": lambda self: self.args[0],
        "__reduce__": lambda self: (refusal, (kind, self.args[0])),
    }
    return type(kind.__name__, (kind, ValueError), methods)


class Objection(Exception):
    """What is wrong with an argument.

    Parameters
    ----------
    argument : {"scores", "sample_weight", "labels", "y_true"}
    explain : callable or str
        Returns what to say, naming argument, row and remedy. It looks for the row when
        it is called: where scikit-learn has the say, nobody does.
    error : class
        Of the exception; as of scikit-learn's, where it says anything.
    unread : bool
        Whether scikit-learn may still read the argument, or refuse it by an error of
        another class: it has to be asked.
    """

    def __init__(
        self,
        argument: str,
        explain: Callable[[], str] | str,
        *,
        error: type[Exception] = ValueError,
        unread: bool = False,
    ) -> None:
        super().__init__(argument)
        self.argument = argument
        self.explain = explain
        self.error = error
        self.unread = unread

    def __str__(self) -> str:
        return self.explain if isinstance(self.explain, str) else self.explain()

    def in_our_words(self) -> Exception:
        """The exception to be raised."""
        return self.error(str(self))


def in_our_words(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, whose objections are errors in our words."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except Objection as objection:
            error = objection.in_our_words()
        raise error

    return call


def chunks(array: Array) -> Iterator[tuple[int, Array]]:
    """Some rows at a time, fewer of wide ones, each with the number of the first."""
    step = max(1, CHUNK // max(1, math.prod(array.shape[1:])))
    for start in range(0, len(array), step):
        yield start, array[start : start + step]


def find(is_wrong: Callable[[Array], Array], array: Array) -> Index | None:
    """Index of the first row, or row and column, that `is_wrong`; or None."""
    for start, chunk in chunks(array):
        wrong = is_wrong(chunk)
        if wrong.any():
            row, *column = np.unravel_index(wrong.argmax(), wrong.shape)
            return int(start + row), *map(int, column)
    return None


def find_missing(array: Array) -> Index | None:
    """Index of the first missing value; or None."""
    kind = array.dtype.kind
    if kind in "fc":
        return find(np.isnan, array)
    if kind in "mM":
        return find(np.isnat, array)
    if kind in "OT":
        function = np.frompyfunc(is_missing, 1, 1)
        return find(lambda a: function(a.astype(object)).astype(bool), array)
    return None


def place(at: Index) -> str:
    return f"row {at[0]}" if len(at) == 1 else f"row {at[0]}, column {at[1]}"


def reworded(
    words: str,
    names: Mapping[str, str],
    row: Callable[[int], str],
    column: Callable[[int], str] = "column {}".format,
    key: Callable[[int], str] = "column {} of groups".format,
) -> str:
    """Words on the arrays of a batch as words on what the batch is a part of.

    Parameters
    ----------
    words : str
    names : mapping
        What to call ``y_score``, ``y_true``, ``sample_weight`` and ``groups``.
    row, column, key : callable
        What to call a row of the batch, a column of the scores, and one of the keys.
    """

    def of_whole(found: re.Match[str]) -> str:
        number, of_scores, of_keys = found.groups()
        if number is not None:
            text = row(int(number))
            return text if of_scores is None else f"{text}, {column(int(of_scores))}"
        if of_keys is not None:
            return key(int(of_keys))
        return names.get(found.group(), found.group())

    return _WORDS.sub(of_whole, words)


def shortened(labels: Sequence[Any]) -> str:
    """Text of a list of labels that is never long."""
    text = repr(list(labels))
    return text if len(text) <= 100 else f"{text[:80]} ... ({len(labels)} labels)"


def describe(value: Any) -> str:
    """What was given, for the message of an error."""
    kind = type(value).__name__
    array = as_array(value)
    if array is not None:
        if array.ndim == 0 and array is not value:
            return kind
        words = f"{kind} of shape {array.shape} and dtype {array.dtype}"
        return words + _first_object(array) if array.dtype.kind == "O" else words
    if isinstance(value, np.ndarray):
        return f"{kind}, a subclass of ndarray whose meaning would be lost"
    try:
        np.asarray(value)
    except Exception as error:  # whatever a foreign object raises
        return f"{kind}, of which numpy makes no array: {error}"
    return kind


def _first_object(array: Array) -> str:
    """Words about the first object that is no real number, if there is one."""
    try:
        at = first_unreal(array)
        text = repr(array[at])[:80]
    except Exception:  # whatever a foreign object raises
        return ""
    return f", with {text} in {place(at)}" if at and len(at) < 3 else ""


def raise_changed() -> NoReturn:
    raise RuntimeError("an argument was changed by another thread during the call")


def check_flag(name: str, value: object) -> None:
    if value is not True and value is not False and not isinstance(value, np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}")


def check_out(out: Any, dtypes: tuple[type, ...], name: str = "out") -> None:
    """Raise for what cannot be written to, or means something else than an ndarray."""
    if type(out) not in (np.ndarray, np.memmap) or out.dtype not in dtypes:
        names = " or ".join(np.dtype(dtype).name for dtype in dtypes)
        raise TypeError(f"{name} must be an ndarray of {names}, got {describe(out)}")
    if not out.flags.writeable:
        raise ValueError(f"{name} is read-only")


def check_rows(out: Array, n: int) -> None:
    if out.shape != (n,):
        raise ValueError(f"out has shape {out.shape}, but there are {n} rows")


def explain_labels(
    labels: Iterable[Any],
    name: str,
    limit: int | None = None,
    score_name: str | None = None,
) -> str:
    """What to say of labels of which one is none, or one more than the `limit`."""
    return explain_label(labels, name, limit, score_name) or (
        f"{name} must hold labels, strings or whole numbers, got "
        f"{describe(labels)}; objects must be strings"
    )


def explain_label(
    labels: Iterable[Any],
    name: str,
    limit: int | None = None,
    score_name: str | None = None,
) -> str | None:
    """Likewise of the first such label, or None where each of them is fine."""
    found: dict[Any, int] = {}  # in the order of their first rows
    for row, label in enumerate(labels):
        is_scalar = isinstance(label, np.generic) and label.dtype.kind in "biufcUS"
        value = label.item() if is_scalar else label
        first = next(iter(found), value)
        why = _no_label(value)
        if why is None and isinstance(value, str) != isinstance(first, str):
            why = f", but {first!r} in row 0"
        if why is not None:
            return (
                f"{name} must hold labels, strings or whole numbers, got {value!r} in "
                f"row {row}{why}"
            )
        found[value] = row
        if limit is not None and len(found) > limit:
            return (
                f"{name} holds labels beyond the {limit} classes of {score_name}: "
                f"after {shortened([*found][:limit])} comes {value!r} in row {row}; "
                f"name all labels (labels=), or has {score_name} another shape?"
            )
    return None


def _no_label(label: Any) -> str | None:
    """What to say of what is no label; None of labels."""
    if isinstance(label, str):
        return None
    if is_missing(label):
        return "; leave out rows without a label"
    if isinstance(label, int):
        fits = -(2**63) <= label < 2**64
        return None if fits else ", which has more than 64 bits"
    if isinstance(label, np.longdouble):
        return ", which has more than 64 bits"
    if isinstance(label, float) and math.isfinite(label):
        if label == math.floor(label):
            return None
        if 0 < label < 1:
            return "; are these soft targets (soft_targets=True)?"
    return ""


def is_missing(value: Any) -> bool:
    """Whether it stands for no value: None, NaN, NaT, pandas.NA."""
    if value is None:
        return True
    try:
        return bool(value != value)
    except TypeError:  # of pandas.NA, which is neither equal nor different
        return type(value).__name__ == "NAType"


def caller_level() -> int:
    """`stacklevel` of the first frame that is not ours."""
    frame, level = sys._getframe(1), 1
    while frame.f_back and _is_ours(frame):
        frame, level = frame.f_back, level + 1
    return level


def _is_ours(frame: FrameType) -> bool:
    # Globals of exec() need not have a name.
    return str(frame.f_globals.get("__name__")).startswith("fastlogloss.")
