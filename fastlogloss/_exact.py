"""Exact sums over rows as Python integers: they merge, and can be written down.

Design
A. The kernels add up doubles exactly (`exact.h`); a sum is then an integer, in units of
   2^-1080. `+` and `-` of integers are exact: the same state for every split, order and
   tree of merges, and what was added can be taken away. Rejected: pairs of doubles,
   which are accurate but differ with the order.
B. A state is written as integers too: an odd number in hexadecimal and a power of 2.
C. Sums that an engine has rounded are doubles, and so integers too: they merge exactly
   from there on. `exact` says that they are among a sum, and nothing is taken away.
"""

from typing import Any, NamedTuple, NoReturn

UNIT = 1080
_BITS = UNIT + 1024 + 63  # of a sum of as many doubles as 64 bits count
FORMAT = 1  # of what `to_dict` writes
ROW_LOSSES = 1  # of the row losses: states of others do not add up to one
LEAST_WEIGHT, MOST_WEIGHT = 2.0**-300, 2.0**300  # in size, as in `sinks_exact.pxi`
SUMS = ("w", "wl", "w2", "w2l", "w2l2", "w3", "w3l", "w3l2", "w3l3")
COUNTS = ("rows", "of_weight_zero", "infinite", "minus_infinite", "beyond_range")


class State(NamedTuple):
    """Sums over rows of weights and losses, and of their powers.

    Attributes
    ----------
    sums : tuple of int
        Those of `SUMS`: powers of the weight w of a row and of its loss l.
    counts : tuple of int
        Those of `COUNTS`: rows; rows of weight zero; rows whose loss is infinite, by
        the sign of the weight, which `sums` leave out; powers that they leave out
        because no double holds them.
    classes : tuple of int
        Sum of the weights of each class.
    exact : bool
        False where some of the sums were rounded before they came here.
    """

    sums: tuple[int, ...]
    counts: tuple[int, ...]
    classes: tuple[int, ...]
    exact: bool = True

    @property
    def n_rows(self) -> int:
        return self.counts[0]

    def plus(self, other: "State") -> "State":
        return State(
            tuple(map(int.__add__, self.sums, other.sums)),
            tuple(map(int.__add__, self.counts, other.counts)),
            tuple(map(int.__add__, self.classes, other.classes)),
            self.exact and other.exact,
        )

    def minus(self, other: "State") -> "State":
        """Without rows that were added before; a ValueError where they cannot be."""
        if not (self.exact and other.exact):
            raise_not_exact()
        left = State(
            tuple(map(int.__sub__, self.sums, other.sums)),
            tuple(map(int.__sub__, self.counts, other.counts)),
            tuple(map(int.__sub__, self.classes, other.classes)),
        )
        if left.is_odd:
            raise ValueError("some of the rows to be taken away were never added")
        return left

    @property
    def is_odd(self) -> bool:
        """Whether no rows have such counts, or there are sums of none."""
        rows, zeros, up, down, _ = self.counts
        rest = any(self.sums) or any(self.counts) or any(self.classes)
        return (
            min(self.counts) < 0
            or max(self.counts) >= 1 << 63
            or rows < zeros + up + down
            or (rows == 0 and rest)
        )


def raise_not_exact() -> NoReturn:
    raise ValueError(
        "no rows can be taken away: an engine made some of the sums, which are rounded"
    )


def empty_state(n_classes: int) -> State:
    return State((0,) * len(SUMS), (0,) * len(COUNTS), (0,) * n_classes)


def from_float(x: float) -> int:
    """The sum that is a finite double."""
    numerator, denominator = x.as_integer_ratio()
    return numerator * ((1 << UNIT) // denominator)


def to_float(whole: int) -> float:
    """The sum, rounded once."""
    try:
        return whole / (1 << UNIT)
    except OverflowError:
        return float("inf") if whole > 0 else float("-inf")


def to_text(whole: int) -> str:
    """As ``"<hexadecimal>p<exponent>"``: an odd number times a power of 2."""
    if not whole:
        return "0p0"
    shift = (whole & -whole).bit_length() - 1
    return f"{whole >> shift:x}p{shift - UNIT}"


def from_text(text: Any) -> int:
    """The sum that `to_text` has written; a ValueError for anything else."""
    try:
        digits, exponent = text.split("p")
        shift = int(exponent) + UNIT
        if 0 <= shift <= _BITS and len(digits) <= _BITS:
            whole = int(digits, 16) << shift
            if whole.bit_length() <= _BITS:
                return whole
    except (AttributeError, ValueError):
        pass
    raise ValueError(f"{str(text)[:80]!r} is no exact sum, as '3p-2' is")
