"""Numbers, booleans and dates as the 64-bit integers that tables of groups hold."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Codes = NDArray[np.int64]

_WIDE = 2**52  # from here on, codes of integers may be those of floats
_INF = 0x7FF0000000000000


class Codec:
    """Keys <-> codes. This one is of booleans."""

    dtype = "?"
    is_recoded = False  # what is held has to be recoded first, to nanoseconds
    domain = ""
    unit = ""

    def encode(
        self,
        values: Array,
        missing: Array | None,
        held: Callable[[], Codes],  # codes of all keys so far
        start: int,
        add: bool,
    ) -> Codes:
        return values.astype(np.int64)

    def is_own_code(self, dtype: np.dtype[Any]) -> bool:
        """Whether keys of a dtype are their own codes, whatever they are."""
        return False

    def decode(self, codes: Codes, missing: int) -> Array:
        values = codes.astype(bool)
        return values if missing < 0 else with_none(values, missing)

    def recode(self, codes: Codes, missing: int) -> Codes:
        raise NotImplementedError

    def span(self, low: int, high: int) -> None:
        """Take note of the smallest and the largest code."""

    def forget(self, held: Codes) -> None:
        """Be as if there had been no other keys than these."""


def with_none(values: Array, missing: int | Array) -> Array:
    """A copy, of objects, that has None where something is missing."""
    objects = values.astype(object)
    objects[missing] = None
    return objects


class _Numbers(Codec):
    """A whole number is its own code, be it a float or not.

    Other floats have their bits, which are whole numbers from 2**52 on; those next to
    zero take the place of NaNs. A column may hold such floats or such whole numbers,
    but not both: floats would not tell the latter from each other either.
    """

    dtype = "i8"
    domain = ""  # of codes from 2**52 on: "i", "u" (beyond int64) or "f"

    def encode(
        self,
        values: Array,
        missing: Array | None,
        held: Callable[[], Codes],
        start: int,
        add: bool,
    ) -> Codes:
        domain = values.dtype.kind
        if domain == "f":
            codes = _float_codes(values.astype(np.float64), missing)
        else:
            codes = np.require(values, values.dtype.kind + "8", ["C", "A"])
            codes = codes.view(np.int64)
            if missing is not None:
                codes = np.where(missing, 0, codes)
            if domain == "u" and (values.itemsize < 8 or codes.min(initial=0) >= 0):
                domain = "u" if self.domain == "u" else "i"
            if domain == "i" and self.domain == "":
                return codes
        if domain == self.domain:
            return codes
        wide = _wide(codes)
        clash = np.zeros(0, bool)
        if domain == "u":
            if self.domain == "f" or (held() < 0).any():
                clash = codes < 0
        elif self.domain == "u":
            clash = (codes < 0) | (wide if domain == "f" else False)
        elif self.domain:
            clash = wide
        if clash.any():
            row = start + int(clash.argmax())
            raise ValueError(
                f"groups must not hold whole numbers beyond 2**52 together with "
                f"fractions, or beyond 2**63 with negative ones, got "
                f"{values[row - start]} in row {row}"
            )
        if add and (domain == "u" or (not self.domain and wide.any())):
            self.domain = domain
        return codes

    def is_own_code(self, dtype: np.dtype[Any]) -> bool:
        is_whole = dtype.kind == "i" or (dtype.kind == "u" and dtype.itemsize < 8)
        return is_whole and self.domain in ("", "i")

    def decode(self, codes: Codes, missing: int) -> Array:
        if self.domain == "f":
            values: Array = _floats(codes)
        elif self.domain:
            values = codes.view(np.uint64) if self.domain == "u" else codes
            return values if missing < 0 else with_none(values, missing)
        else:
            values = codes if missing < 0 else codes.astype(np.float64)
        if missing >= 0:
            values[missing] = np.nan
        return values

    def span(self, low: int, high: int) -> None:
        if self.domain == "" and (low <= -_WIDE or high >= _WIDE):
            self.domain = "i"

    def forget(self, held: Codes) -> None:
        if self.domain == "u" and not (held < 0).any():
            self.domain = "i"
        if self.domain != "u" and not _wide(held).any():
            self.domain = ""


def _wide(codes: Codes) -> Array:
    return (codes >= _WIDE) | (codes <= -_WIDE)


def _float_codes(values: Array, missing: Array | None) -> Codes:
    if missing is not None:
        values = np.where(missing, 0.0, values)
    whole = (np.abs(values) < _WIDE) & (values == np.floor(values))
    if whole.all():
        return values.astype(np.int64)
    bits = np.abs(values).view(np.int64)
    bits = np.where(bits < _WIDE, bits + _INF, bits)
    codes = np.where(values < 0, -bits, bits)
    codes[whole] = values[whole].astype(np.int64)
    return codes


def _floats(codes: Codes) -> Array:
    bits = np.abs(codes)
    is_whole = bits < _WIDE
    bits = np.where(bits > _INF, bits - _INF, bits)
    values = np.copysign(bits.view(np.float64), codes)
    return np.where(is_whole, codes.astype(np.float64), values)


class _Times(Codec):
    """Dates or spans of time: counts of microseconds, or of nanoseconds if need be."""

    def __init__(self, kind: str) -> None:
        self.kind = kind  # as of numpy: "M" or "m"
        self.dtype = f"{kind}8[us]"
        self.unit = "us"

    def encode(
        self,
        values: Array,
        missing: Array | None,
        held: Callable[[], Codes],
        start: int,
        add: bool,
    ) -> Codes:
        self.is_recoded = False
        if missing is not None:
            values = np.where(missing, np.zeros(1, values.dtype), values)
        codes, inexact = self._counts(values, self.unit)
        if inexact is not None and self.unit == "us" and add:
            finer, inexact = self._counts(values, "ns")
            largest = np.abs(held()).max(initial=0)
            if inexact is None and largest <= np.iinfo(np.int64).max // 1000:
                self.is_recoded = True  # whoever holds the codes says when
                return finer
            inexact = 0 if inexact is None else inexact
        if inexact is not None:
            raise ValueError(
                f"groups must hold times that 64-bit counts of microseconds, or all "
                f"together of nanoseconds, tell from each other; not so with "
                f"{values[inexact]} in row {start + inexact}"
            )
        return codes

    def _counts(self, values: Array, unit: str) -> tuple[Codes, int | None]:
        """In a unit, and the first that this does not hold."""
        dtype = np.dtype(f"{self.kind}8[{unit}]")
        if values.dtype == dtype:
            return np.ascontiguousarray(values.astype(dtype)).view(np.int64), None
        values = values.astype(values.dtype.newbyteorder("="))
        try:
            counts = values.astype(dtype)
            back = counts.astype(values.dtype)
        except OverflowError:  # numpy says so from some release on
            return np.zeros(len(values), np.int64), 0
        wrong = back.view(np.int64) != values.view(np.int64)
        return counts.view(np.int64), int(wrong.argmax()) if wrong.any() else None

    def recode(self, codes: Codes, missing: int) -> Codes:
        return codes * 1000

    def decode(self, codes: Codes, missing: int) -> Array:
        values = codes.copy().view(f"{self.kind}8[{self.unit}]")
        for unit in ("D", "s", "ms", "us"):
            coarse = values.astype(f"{self.kind}8[{unit}]")
            if (coarse == values).all():
                values = coarse
                break
        if missing >= 0:
            values[missing] = "NaT"
        return values


def codec_of(kind: str) -> Codec:
    """The codec of a kind of keys."""
    if kind == "numbers":
        return _Numbers()
    if kind == "booleans":
        return Codec()
    return _Times("m" if kind == "spans of time" else "M")
