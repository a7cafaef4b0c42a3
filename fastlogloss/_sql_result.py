"""Rows that an engine returned -> the sums in them, validated by name.

Clients return rows in many ways, which are all mappings here. A sum that is not there
is an error, not 0.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from fastlogloss._batches import Batches
from fastlogloss._errors import is_missing, shortened
from fastlogloss._exact import SUMS

_PLAIN = ("sum_wl", "sum_w2l2", "sum_w3l3")  # without weights
_WEIGHTED = ("n_bad_weights", "n_zero_weights", *[f"sum_{name}" for name in SUMS])


class Result:
    """Rows of a result, by names in any case."""

    def __init__(self, found: Any) -> None:
        self.rows = _rows(found)
        if not self.rows:
            raise ValueError("there are no rows")
        self._names: dict[str, str] = {}
        for name in self.rows[0]:
            if isinstance(name, str):
                self._names.setdefault(name.lower(), name)
        self._n_rows = [self._count("n_rows", x) for x in self.values("n_rows")]

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._names

    def values(self, name: str) -> list[Any]:
        if name not in self.rows[0]:
            if name not in self:
                there = shortened([*self.rows[0]])
                raise ValueError(
                    f"there is no column {name!r}; the columns are {there}"
                )
            name = self._names[name.lower()]
        try:
            return [row[name] for row in self.rows]
        except (KeyError, IndexError):
            raise ValueError(f"there is no column {name!r} in some rows") from None

    def keys(self, name: str) -> Any:
        """The keys of the groups, as an array of objects."""
        values = self.values(name)
        array = np.empty(len(values), object)
        array[:] = values
        return array

    def _constant(self, name: str) -> float:
        values = {self._number(name, x) for x in self.values(name)}
        if len(values) > 1:
            raise ValueError(f"column {name!r} must be constant, got {values}")
        return values.pop()

    def batches(self, classes: Any) -> Batches:
        n_classes = 0
        while f"class_{n_classes}" in self:
            n_classes += 1
        if classes is None:
            classes = range(max(n_classes, 2))
        logits = self._constant("from_logits")
        if logits not in (0, 1):
            raise ValueError(
                f"column 'from_logits' must be true or false, got {logits}"
            )
        batches = Batches(classes, self._constant("eps"), logits == 1)
        if len(batches.classes) != n_classes:
            raise ValueError(
                f"there are {len(batches.classes)} classes, but {n_classes} columns "
                "class_0 and so on"
            )
        return batches

    def sums(self, batches: Batches) -> dict[str, list[Any]]:
        """The columns that the query makes of these classes and options."""
        spec, n_classes = batches.spec, len(batches.classes)
        shares = [f"class_{j}" for j in range(n_classes)]
        is_weighted = any(name in self for name in {*_WEIGHTED} - {*_PLAIN})
        names = ["n_rows", "n_bad_labels", "n_bad_scores", *shares]
        names += _WEIGHTED if is_weighted else _PLAIN
        if spec.from_logits or spec.eps == 0:
            names += ["n_infinite", *["n_minus_infinite"] * is_weighted]
        if "n_off_one" in self or (n_classes > 2 and not spec.from_logits):
            names.append("n_off_one")
        found = {name: self.values(name) for name in names}
        for name, values in found.items():
            if name[:2] == "n_" or (name in shares and not is_weighted):
                found[name] = [self._count(name, x) for x in values]
                continue
            pairs = zip(values, self._n_rows, strict=True)
            found[name] = [self._sum(name, x, n) for x, n in pairs]
            negative = [x for x in found[name] if x < 0]
            never = not is_weighted or name in ("sum_w2", "sum_w2l2")
            if negative and never:
                raise ValueError(
                    f"column {name!r} must not be negative, got {negative[0]!r}"
                )
        if not is_weighted:
            of_classes = map(sum, zip(*(found[name] for name in shares), strict=True))
            for n_of_classes, n in zip(of_classes, self._n_rows, strict=True):
                if n_of_classes != n:
                    raise ValueError(
                        f"the classes have {n_of_classes} rows, but n_rows is {n}"
                    )
        return found

    def _count(self, name: str, value: Any) -> int:
        x = 0 if is_missing(value) else value
        size = self._number(name, x)
        if not 0 <= size < 2**63 or x != int(x):
            raise ValueError(f"column {name!r} must be a number of rows, got {value!r}")
        return int(x)

    def _sum(self, name: str, value: Any, n_rows: int) -> float:
        if not n_rows and is_missing(value):
            return 0.0
        return self._number(name, value)

    @staticmethod
    def _number(name: str, value: Any) -> float:
        if isinstance(value, Real | Decimal | np.bool_):
            return float(value)
        raise ValueError(f"column {name!r} must hold numbers, got {value!r}")


def _rows(found: Any) -> list[Any]:
    """Mappings, of what a client calls a row, or rows."""
    if isinstance(found, Mapping):
        return [found]
    import narwhals.stable.v2 as nw

    frame = nw.from_native(found, pass_through=True)
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    if isinstance(frame, nw.DataFrame):
        return frame.rows(named=True)
    row = _mapping(found)
    if row is not None:
        return [row]
    is_many = isinstance(found, Iterable) and not isinstance(found, str | bytes)
    rows = [*found] if is_many else [found]
    mappings = [*map(_mapping, rows)]
    for given, row in zip(rows, mappings, strict=True):
        if row is None:
            kind = type(given).__name__
            raise TypeError(f"row must be a mapping of its columns, got {kind}")
    return mappings


def _mapping(row: Any) -> Any:
    """What a client calls a row as a mapping, or None."""
    if isinstance(row, Mapping):
        return row
    for method in ("asDict", "_asdict"):
        if hasattr(row, method):
            return getattr(row, method)()
    return dict(row) if hasattr(row, "keys") else None
