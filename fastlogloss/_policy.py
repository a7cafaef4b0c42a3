"""Who answers to an `Objection`: scikit-learn, where it has a say, or we.

A drop-in asks scikit-learn about the whole call, whose error is raised, with a note. A
function or an option that scikit-learn does not have asks about the one argument: what
is refused raises an error of that class, in our words; what is accepted is read as
scikit-learn reads it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from fastlogloss import _sklearn
from fastlogloss._arrays import legible
from fastlogloss._engine import Sums
from fastlogloss._errors import Objection, ZeroSum, check_flag, refusal
from fastlogloss._losses import warn_of_sums
from fastlogloss._problem import Call, Problem, read, read_scores

T = TypeVar("T")


def solve(call: Call, run: Callable[[Problem], T], *, is_answer: bool = True) -> T:
    """What `run` makes of the call's `Problem`.

    Parameters
    ----------
    call : Call
    run : callable
        From a Problem to what the public function returns; may raise an Objection.
    is_answer : bool
        Whether scikit-learn's function returns the same.
    """
    settled = set()
    while True:
        try:
            return run(read(call))
        except Objection as raised:
            objection = raised
        argument = objection.argument
        if call.drop_in and not call.is_settled:
            is_zero = objection.error is ZeroSum
            with np.errstate(all="ignore" if is_zero or not is_answer else None):
                value: T = _ask(call)
            if is_zero:  # its sum of the weights was rounded, or infinite
                raise ZeroDivisionError("Weights sum to zero, can't be normalized")
            if is_answer:
                return value
            call = call._replace(is_settled=True)
            if call.classes is not None:
                call = _sklearn.in_sorted_order(call)
        elif not objection.unread or call.classes is not None:
            raise objection.in_our_words()
        elif not call.is_settled:
            _ask_about(objection, call)
        if argument in settled or not objection.unread:
            raise objection.in_our_words()
        settled.add(argument)
        call = _sklearn.as_read(argument, call)
        if call is None:
            raise objection.in_our_words()


def _ask(call: Call) -> Any:
    """scikit-learn's answer, or its error."""
    if call.classes is not None:
        call = _sklearn.in_sorted_order(call)
    keywords = {
        "sample_weight": legible(call.sample_weight),
        "labels": call.labels,
    }
    if call.function == "log_loss":
        keywords["normalize"] = call.normalize
    function = _sklearn.original(call.function)
    return function(legible(call.y_true), legible(call.scores), **keywords)


def _ask_about(objection: Objection, call: Call) -> None:
    """Raise what scikit-learn raises for the argument, in our words."""
    argument = objection.argument
    scores = None
    if argument != "scores":
        scores = read_scores(call.scores, call.spec, call.names, strict=True)
    try:
        _sklearn.ask_about(argument, call, scores)
    except UserWarning:  # where the filters make errors of warnings
        raise
    except Exception as error:
        refused = _reworded(error, objection)
    else:
        return
    raise refused


def _reworded(error: Exception, objection: Objection) -> Exception:
    """An error of the same class, and a ValueError, that says what our words do."""
    words = str(objection)
    try:
        reworded: Exception | None = refusal(type(error), words)
    except Exception:  # of a class that is made otherwise
        reworded = None
    if reworded is not None and str(reworded) == words:
        return reworded
    error.add_note(words)
    return error


def check_normalize(call: Call) -> None:
    """Raise for what is no flag, an error of scikit-learn's class."""
    try:
        check_flag("normalize", call.normalize)
        return
    except TypeError as error:
        objection = Objection("normalize", str(error))
    if call.drop_in:
        _ask(call)
    try:
        _sklearn.original("log_loss")([0, 1], [0.5, 0.5], normalize=call.normalize)
    except Exception as error:
        refused = _reworded(error, objection)
    else:  # of an older release
        refused = TypeError(str(objection))
    raise refused


def remark(problem: Problem, sums: Sums) -> None:
    """Warn of what is odd, once nothing is wrong: before anything is written."""
    if problem.is_settled:
        return
    if problem.unsorted is not None:
        _sklearn.ask_about_order(problem.unsorted)
    if sums.bad_sum_from >= 0:
        if problem.drop_in:
            _sklearn.ask_about_sums(problem, sums)
        else:
            precision = problem.spec.precision
            warn_of_sums(problem.p, problem.names, sums.bad_sum_from, precision)
