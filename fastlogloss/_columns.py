"""Names of columns: those that name classes have to be in the order of these.

Columns are known by their place. Names that have nothing to do with the classes do not
matter, nor does a count from 0, beside classes that are other numbers.
"""

import functools
from collections.abc import Sequence
from typing import Any

from fastlogloss._errors import Objection, shortened


def column_names(values: Any) -> list[Any] | None:
    """Names of the columns of a data frame or of a Series, or None.

    A pandas frame that nobody has given names counts its columns, also those of a slice
    of it: these are none.
    """
    kind: Any = type(values)  # mypy takes no class for hashable
    attribute = _names_attribute(kind)
    try:
        names = getattr(values, attribute) if attribute else None
        if attribute == "name":
            return [names] if isinstance(names, str) else None
        is_count = getattr(names, "step", 0) == 1  # of a RangeIndex
        return None if names is None or is_count else list(names)
    except Exception:  # of a foreign object
        return None


@functools.lru_cache(maxsize=64)
def _names_attribute(kind: type) -> str | None:
    # The columns of pyarrow's tables, which have names, are arrays.
    attributes = ("column_names", "columns", "name")
    return next((a for a in attributes if hasattr(kind, a)), None)


def check_columns(
    names: Sequence[Any] | None,
    classes: Sequence[Any] | None,
    what: str,
    argument: str = "scores",
) -> None:
    """Object to columns that are named for classes, but not in the order of these."""
    if not names or not classes:
        return
    found, wanted = [_text(name) for name in names], [_text(c) for c in classes]
    if found == wanted:
        return
    if len(found) == 1 and len(wanted) == 2:
        # A vector is that of the second class. P[1] may be the second column of P, so
        # that only texts that do not count name a class.
        if isinstance(classes[0], str) and found[0] == wanted[0] != "0":
            raise Objection(
                argument,
                f"{what} is named {names[0]!r}, but a single column has to be that of "
                f"{classes[1]!r}",
            )
        return
    is_count = found == [str(i) for i in range(len(found))]
    if set(found) == set(wanted) or (set(found) & set(wanted) and not is_count):
        raise Objection(
            argument,
            f"the columns of {what} are {shortened(names)}, but the classes are "
            f"{shortened(classes)}: select or rename the columns, in this order",
        )


def _text(label: Any) -> str:
    """What the name of a column and a class are compared by.

    1, 1.0, True and the texts of them agree.
    """
    text = str.__str__(label) if isinstance(label, str) else str(label)
    text = {"True": "1", "False": "0"}.get(text, text)
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else text
