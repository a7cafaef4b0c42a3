"""Sums beyond the range of floats: what is left to do where a kernel's overflowed.

A mean is a float wherever the losses are; the sums that it is made of need not be.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


class Sum(NamedTuple):
    """The number ``value * 2**exponent``; the exponent is 0 unless it has to be."""

    value: float
    exponent: int = 0

    def __float__(self) -> float:
        try:
            return math.ldexp(self.value, self.exponent)
        except OverflowError:
            return math.copysign(math.inf, self.value)

    # A sum of numbers, not a longer tuple.
    # Not the concatenation of tuples, which a NamedTuple has: numbers are added.
    def __add__(self, other: "Sum") -> "Sum":  # type: ignore[override]
        if self.exponent == other.exponent == 0:
            plain = self.value + other.value
            if math.isfinite(plain):
                return Sum(plain)
        (a, e), (b, f) = math.frexp(self.value), math.frexp(other.value)
        return _add(np.array([a, b]), np.array([e + self.exponent, f + other.exponent]))

    def times(self, x: float) -> "Sum":
        """The product with a float, a Sum."""
        (a, e), (b, f) = math.frexp(self.value), math.frexp(x)
        return _plain(a * b, e + f + self.exponent)

    def over(self, other: "Sum") -> float:
        """The quotient, a float; as NumPy has it where the other is zero."""
        if other.value == 0:
            return math.nan if self.value == 0 else math.copysign(math.inf, self.value)
        if self.exponent == other.exponent == 0:
            return self.value / other.value
        (a, e), (b, f) = math.frexp(self.value), math.frexp(other.value)
        exponent = e - f + self.exponent - other.exponent
        return float(Sum(a / b, exponent))


def sum_of_products(x: Floats, w: Floats | None = None, shift: Any = 0) -> Sum:
    """Sum of ``x * 2**shift * w``, where a weight of zero silences even infinity.

    Rounded once for each product and once at the end, whatever the magnitudes.

    Returns
    -------
    Sum
    """
    x, exponent = np.frexp(x)
    exponent = exponent + shift
    if w is not None:
        w, of_weight = np.frexp(w)
        exponent = exponent + of_weight
        with np.errstate(invalid="ignore"):
            x = np.where(w == 0, 0.0, x * w)
    return _add(x, exponent)


def sum_of_chunks(chunks: Callable[[], Iterator[Floats]], n: int) -> Sum:
    """Sum of the `n` floats of arrays, rounded once at the end.

    Parameters
    ----------
    chunks : callable
        Returns an iterator over the arrays; it is called twice.
    n : int

    Returns
    -------
    Sum
    """
    largest = max((float(np.abs(chunk).max()) for chunk in chunks()), default=0.0)
    top = math.frexp(largest)[1] if math.isfinite(largest) else 0
    shift = _shift(top, n)
    scaled = (np.ldexp(chunk, -shift).tolist() for chunk in chunks())
    return _plain(_fsum(itertools.chain.from_iterable(scaled)), shift)


def _add(x: Floats, exponent: NDArray[np.integer[Any]]) -> Sum:
    # x is in (-1, 1), or not finite.
    shift = _shift(int(exponent.max(where=x != 0, initial=-5000)), len(x))
    with np.errstate(under="ignore"):
        scaled = np.ldexp(x, exponent - shift)
    return _plain(_fsum(scaled), shift)


def _shift(top: int, n: int) -> int:
    """Exponent to be taken out of n numbers below ``2**top``, to have a finite sum.

    No more than that: small ones may be all that is left of large ones that cancel.
    """
    return top if top < -900 else max(0, top + n.bit_length() - 1022)


def _fsum(values: Iterable[float]) -> float:
    try:
        return math.fsum(values)
    except (ValueError, OverflowError):
        # Infinities of both signs; numbers that have grown since they were looked at.
        return math.nan


def _plain(value: float, exponent: int) -> Sum:
    found = Sum(value, exponent)
    plain = float(found)
    is_normal = math.isfinite(plain) and abs(plain) >= 2.0**-1022
    return Sum(plain) if is_normal or value == 0 else found
