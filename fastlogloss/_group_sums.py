"""The exact sums of groups: a matrix of integers, a row of it for each group.

The layout is that of `sinks_groups.pxi`: of a quad the highest digit comes first. A
quad without digits takes no room; a window of digits widens for all groups where one
row needs more. The sums of a group begin and end with a line of the caches.

Longer than a room should be: the layout is all there is, and nobody else knows it.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastlogloss import _kernels
from fastlogloss._arrays import Array, adds_pairwise
from fastlogloss._engine import Spec, new_spec
from fastlogloss._exact import UNIT, State
from fastlogloss._intervals import Moments
from fastlogloss._labels import Codes
from fastlogloss._statistics import Sums
from fastlogloss._threads import threads_for

_COUNTS = 4  # of rows, of infinite losses, up and down, and of powers left out
_LANES = 4
_DIGIT = 40
_DIGITS = 54  # which hold any double
_OF_ONES = UNIT // _DIGIT  # the digit that counts ones
_LINE = 8  # int64
_LOSS, _WEIGHT, _BOTH, _CLASSES = range(4)
# Where the nine sums of a State are: quad and lane.
_PLACES = (
    *((_WEIGHT, 0), (_LOSS, 0), (_WEIGHT, 1), (_BOTH, 0), (_LOSS, 1)),
    *((_WEIGHT, 2), (_BOTH, 1), (_BOTH, 2), (_LOSS, 2)),
)
_USED = _WEIGHT, 3  # rows whose weight is not zero
_SECOND = _LOSS, 3  # weight of the second of two classes
# Without weights, what the other quads would hold: a lane of the losses.
_SAME = {(_BOTH, 0): 0, (_BOTH, 1): 0, (_BOTH, 2): 1}
_LARGE = 1 << 20  # int64: of more memory NumPy asks for large pages
_BLOCK = 1 << 16  # int64 that a cache holds while all sums of them are rounded
_NS, _NS_WEIGHTED = 5, 11  # that a row takes one thread, at the least
_ROOM = 1 << 22  # rows whose digits need no carry; they have room for twice as many

Matrix = NDArray[np.int64]
_add_at: Any = np.add.at  # whose stub takes no pair of indices


class Digits(NamedTuple):
    """Where a sum is in the row of a group."""

    at: int  # column of the lowest digit
    n: int
    step: int  # columns from a digit to the next
    low: int  # the lowest digit

    @property
    def columns(self) -> range:
        return range(self.at, self.at + self.n * self.step, self.step)


class GroupSums:
    """Sums of the rows of groups that are numbered from 0.

    Attributes
    ----------
    n_classes : int
    n_groups : int
    n_total : int
        Rows of all groups. Whoever adds rows counts them here, last of all.
    exact : bool
        False where some of the sums were rounded before they came here.
    """

    __slots__ = (
        *("_first", "_layout", "_memory", "_size", "_uncarried"),
        *("exact", "n_classes", "n_groups", "n_total"),
    )

    def __init__(self, n_classes: int) -> None:
        self.n_classes = n_classes
        self.n_groups = self.n_total = 0
        self.exact = True
        self._layout = np.zeros((4, 2), np.int64)  # first digit, and how many
        self._size = _LINE  # of the row of a group
        self._memory, self._first = _new_memory(0)
        self._uncarried = 0  # rows of a group since its digits were carried, at most

    @classmethod
    def _of(
        cls, n_classes: int, layout: Matrix, cells: Matrix, exact: bool
    ) -> "GroupSums":
        made = cls(n_classes)
        made.exact = exact
        made._layout, made._size = layout.copy(), cells.shape[1]
        made._memory, made._first = _new_memory(cells.size)
        made.n_groups = len(cells)
        made._used[:] = cells
        made.n_total = int(cells[:, 0].sum())
        made._uncarried = _ROOM
        return made

    @classmethod
    def of_floats(
        cls, sums: Sums, numbers: NDArray[np.int64], n_groups: int
    ) -> "GroupSums":
        """Of sums that an engine made, an entry for each group; see `floats`.

        Entries of the same number are added up.
        """
        made = cls(len(sums.classes))
        places = [*zip([_USED, *_PLACES], sums.moments, strict=True)]
        if made.n_classes == 2:
            places.append((_SECOND, sums.classes[1]))
        else:
            places += [((_CLASSES, j), x) for j, x in enumerate(sums.classes)]
        of_quads: list[list[tuple[int, _Placed]]] = [[], [], [], []]
        for (quad, lane), x in places:
            of_quads[quad].append((lane, _placed(x)))
        layout = made._layout.copy()
        layout[_WEIGHT] = _OF_ONES, 1
        for window, placed in zip(layout, of_quads, strict=True):
            digits = [p.digit[p.counts] for _, p in placed]
            every = np.concatenate([*digits, np.empty(0, np.int64)])
            if len(every):
                _widen(window, int(every.min()), int(every.max()) + 2)
        made._take(made._laid_out(layout))
        made.grow(n_groups)
        cells = made._cells
        counts = sums.n_samples, sums.infinite, sums.minus_infinite, sums.beyond
        for i, count in enumerate(counts):
            _add_at(cells, (numbers, i), count.astype(np.int64))
        for quad, entries in enumerate(of_quads):
            for lane, p in entries:
                of_class = quad == _CLASSES
                place = (
                    made._place_of_class(lane) if of_class else made._place(quad, lane)
                )
                at, _, step, lowest = place
                column = at + (p.digit - lowest)[p.counts] * step
                rows = numbers[p.counts]
                _add_at(cells, (rows, column), p.low[p.counts])
                _add_at(cells, (rows, column + step), p.high[p.counts])
        made.n_total = int(made.n_rows.sum())
        made.exact = False
        made.carry()
        return made

    def __reduce__(self) -> Any:
        parts = self.n_classes, self._layout, self._used.copy(), self.exact
        return GroupSums._of, parts

    def copy(self) -> "GroupSums":
        return self.kept(slice(self.n_groups))

    @property
    def _cells(self) -> Matrix:
        room = (self._memory.size - self._first) // self._size
        end = self._first + room * self._size
        return self._memory[self._first : end].reshape(room, self._size)

    @property
    def _used(self) -> Matrix:
        return self._cells[: self.n_groups]

    @property
    def n_rows(self) -> Any:
        return self._used[:, 0]

    @property
    def is_weighted(self) -> bool:
        return bool(self._layout[_WEIGHT, 1])

    def _starts(self, layout: Matrix) -> list[int]:
        """The first column of each quad and of the classes; and the end."""
        widths = _LANES * layout[:, 1]
        many = self.n_classes if self.n_classes > 2 else 0  # of two one has a lane
        widths[_CLASSES] = layout[_CLASSES, 1] * many
        return [_COUNTS, *(_COUNTS + np.cumsum(widths)).tolist()]

    def _place(self, quad: int, lane: int) -> Digits:
        low, n = self._layout[quad].tolist()
        start = self._starts(self._layout)[quad]
        return Digits(start + _LANES * (n - 1) + lane, n, -_LANES, low)

    def _place_of_class(self, j: int) -> Digits:
        if self.n_classes == 2:
            return self._place(*_SECOND)
        low, n = self._layout[_CLASSES].tolist()
        return Digits(self._starts(self._layout)[_CLASSES] + j * n, n, 1, low)

    def _places(self) -> Iterator[Digits]:
        for quad in (_LOSS, _WEIGHT, _BOTH):
            for lane in range(_LANES):
                yield self._place(quad, lane)
        for j in range(self.n_classes if self.n_classes > 2 else 0):
            yield self._place_of_class(j)

    def grow(self, n_groups: int) -> None:
        """Room for so many groups, the new ones empty."""
        n_before = len(self._cells)
        if n_groups > n_before:
            n = max(n_groups, n_before * 9 // 8, 16) * self._size
            if self._memory.size < _LARGE or not self._has_grown(n + _LINE):
                memory, first = _new_memory(n)
                used = self._used
                memory[first : first + used.size] = used.ravel()
                self._memory, self._first = memory, first
        self.n_groups = max(self.n_groups, n_groups)

    def _has_grown(self, n: int) -> bool:
        """Whether large pages have grown where they are, or moved as a whole."""
        try:
            self._memory.resize(n)
        except ValueError:  # another thread reads or writes them
            return False
        return True

    def truncate(self, n_groups: int) -> None:
        self._cells[n_groups:] = 0
        self.n_groups = n_groups

    def kept(self, numbers: NDArray[np.int64] | slice) -> "GroupSums":
        """These groups alone, numbered anew."""
        parts = self._layout, self._cells[numbers], self.exact
        return GroupSums._of(self.n_classes, *parts)

    @property
    def is_small(self) -> bool:
        """Whether a cache holds all cells, so that each thread may have its own."""
        return self._cells.size <= int(_kernels.loops.SMALL_CELLS)

    def threads_for(self, n: int, has_weights: bool) -> int:
        """Threads that may add `n` rows."""
        is_weighted = has_weights or self.is_weighted
        return threads_for(n * (_NS_WEIGHTED if is_weighted else _NS))

    def add(
        self,
        options: Spec,
        codes: Codes,
        p: Array,
        weights: Array | None,
        numbers: Array,
        window: NDArray[np.int32] | None,
        base: int,
        take_away: bool,
        n_threads: int,
    ) -> tuple[int, int]:
        """Add rows to their groups; a status, and how many have been added.

        These are the first rows; there may be fewer than asked for, to be gone on with.
        `numbers`, `window` and `base` are those of `Spec.add_to_groups`.
        """
        if self._uncarried + len(p) > _ROOM:
            # No group has had more rows than it holds: mostly much fewer.
            self._uncarried = int(self.n_rows.max(initial=0))
            if take_away or self._uncarried + len(p) > _ROOM:
                self.carry()
        self._uncarried += len(p)
        if weights is not None and not self.is_weighted:
            self._weigh()
        n_columns = 1 if p.ndim == 1 else p.shape[1]
        kernel = new_spec(n_columns, options, codes.tolerance, adds_pairwise(p))
        status, _, n_done, needs = kernel.add_to_groups(
            codes.y,
            p,
            weights,
            numbers,
            self._cells,
            self._layout,
            classes=codes.classes,
            window=window,
            base=base,
            take_away=take_away,
            n_threads=n_threads,
        )
        self._uncarried -= len(p) - n_done
        if status & _kernels.loops.NEEDS_ROOM:
            layout = self._layout.copy()
            for i, (first, last) in enumerate(needs):
                if last > first and (self.is_weighted or i in (_LOSS, _CLASSES)):
                    # To move all groups is dear: two digits more than are needed.
                    _widen(layout[i], max(first - 2, 0), last)
            if (layout == self._layout).all():
                raise RuntimeError("rows need digits that there are none of")
            self._take(self._laid_out(self._filled(layout)))
        return status & ~_kernels.loops.NEEDS_ROOM, n_done

    def _weigh(self) -> None:
        """Rows without weights are rows of weight 1."""
        layout = self._layout.copy()
        layout[_WEIGHT] = _OF_ONES, 1
        layout[_BOTH] = layout[_LOSS]
        made = self._laid_out(layout)
        cells = made._cells
        for lane in range(_LANES):
            cells[:, made._place(_WEIGHT, lane).at] = cells[:, 0]
        for (quad, lane), of_loss in _SAME.items():
            to, of = made._place(quad, lane), made._place(_LOSS, of_loss)
            for column, same in zip(to.columns, of.columns, strict=True):
                cells[:, column] = cells[:, same]
        self._take(made)

    def _filled(self, layout: Matrix) -> Matrix:
        """With one more digit where that takes no more lines."""
        spare = -self._starts(layout)[-1] % _LINE
        quad = _BOTH if self.is_weighted else _LOSS
        if spare >= _LANES and layout[quad, 0] > 0 and layout[quad, 1]:
            layout[quad] += -1, 1
        return layout

    def _take(self, other: "GroupSums") -> None:
        """Have the memory of another one, which is of the same groups."""
        # Without a call between them: an interrupt comes before or after all four.
        self._memory, self._first, self._layout, self._size = (
            other._memory,
            other._first,
            other._layout,
            other._size,
        )

    def _laid_out(self, layout: Matrix) -> "GroupSums":
        """The same with all digits where another layout has them, with no fewer."""
        if (layout == self._layout).all():
            return self
        old, was, n = self._cells, self._layout, self.n_groups
        made = GroupSums.__new__(GroupSums)
        made.n_classes, made._layout, made.n_groups = self.n_classes, layout, n
        made.exact = self.exact
        made._size = -(-self._starts(layout)[-1] // _LINE) * _LINE
        made._memory, made._first = _new_memory(len(old) * made._size)
        cells = made._cells
        cells[:n, :_COUNTS] = old[:n, :_COUNTS]
        for i, (of, to) in enumerate(
            zip(self._starts(was)[:-1], self._starts(layout)[:-1], strict=True)
        ):
            (low, m), (new_low, new_m) = was[i].tolist(), layout[i].tolist()
            if i == _CLASSES:  # each by itself, the lowest digit first
                blocks, width, shift = self.n_classes, m, low - new_low
                blocks *= self.n_classes > 2
            else:
                blocks, width = 1, _LANES * m
                shift = _LANES * (new_low + new_m - low - m)
            for j in range(blocks if m else 0):
                a, b = of + j * m, to + j * new_m + shift
                cells[:n, b : b + width] = old[:n, a : a + width]
        return made

    def carry(self) -> None:
        """Make all digits but the last of a sum smaller than 2^40."""
        for at, n, step, _ in self._places():
            if n:
                _kernels.loops.settle_cells(self._cells, at, n, step)
        self._uncarried = 0

    def are_consistent(self) -> bool:
        """Whether there are no fewer than no rows, and nothing of no rows."""
        self.carry()
        cells = self._used
        if (cells[:, :_COUNTS] < 0).any():
            return False
        if self.is_weighted:
            used = self._rounded(self._place(*_USED))
            if ((used < 0) | (used > cells[:, 0])).any():
                return False
        return not cells[cells[:, 0] == 0].any()

    def merge(self, other: "GroupSums", numbers: NDArray[np.int64]) -> None:
        """Add the groups of another; `numbers` says which they are here."""
        other = other.copy()
        for one, two in ((self, other), (other, self)):
            if two.is_weighted and not one.is_weighted:
                one._weigh()
        layout = self._layout.copy()
        for i, (low, n) in enumerate(other._layout.tolist()):
            if n:
                _widen(layout[i], low, low + n)
        for one in (self, other):
            one.carry()
            one._take(one._laid_out(layout.copy()))
        self._uncarried = _ROOM
        cells, n_total = self._cells, self.n_total + other.n_total
        sums, exact = cells[numbers] + other._used, self.exact and other.exact
        # Without a call between them, as in `_take`.
        cells[numbers], self.n_total, self.exact = sums, n_total, exact

    def equal(self, other: "GroupSums", numbers: NDArray[np.int64]) -> bool:
        """Whether the groups of another, here numbered so, hold the same rows."""
        if self.exact != other.exact:
            return False
        difference = self.kept(numbers)
        negative = other.copy()
        np.negative(negative._cells, out=negative._cells)
        difference.merge(negative, np.arange(len(numbers)))
        difference.carry()
        return not difference._cells.any()

    def _rounded(self, place: Digits) -> NDArray[np.float64]:
        return _round(self._used, place) if place.n else np.zeros(self.n_groups)

    def floats(self, order: NDArray[np.int64]) -> Sums:
        """Sums as floats, rounded once, of groups in this order."""
        found = np.empty((1 + len(_PLACES) + self.n_classes, self.n_groups))
        step = max(1, _BLOCK // self._cells.shape[1])
        for start in range(0, self.n_groups, step):
            part = self._part(start, min(start + step, self.n_groups))
            part._write(found[:, start : start + step])
        used, *sums = (x[order] for x in found)
        counts = (self._used[order, i] for i in range(_COUNTS))
        rows, up, down, beyond = counts
        moments = Moments(used, *sums[: len(_PLACES)])
        classes = sums[len(_PLACES) :]
        return Sums(rows, moments, up, down, beyond, classes, self.exact)

    def _part(self, start: int, stop: int) -> "GroupSums":
        """Some groups, where they are."""
        part = GroupSums.__new__(GroupSums)
        part.n_classes, part._layout = self.n_classes, self._layout
        part.exact = self.exact
        part._size, part.n_groups = self._size, stop - start
        part._memory, part._first = self._memory, self._first + start * self._size
        return part

    def _write(self, out: NDArray[np.float64]) -> None:
        """Rows of weights not zero, the sums of `_PLACES` and of classes, as floats."""
        n = self._used[:, 0]
        out[0] = self._rounded(self._place(*_USED)) if self.is_weighted else n
        for i, (quad, lane) in enumerate(_PLACES, 1):
            if self.is_weighted or quad == _LOSS:
                out[i] = self._rounded(self._place(quad, lane))
            elif quad == _WEIGHT:
                out[i] = n
            else:
                out[i] = self._rounded(self._place(_LOSS, _SAME[quad, lane]))
        for j, of_class in enumerate(out[1 + len(_PLACES) :]):
            if j == 0 and self.n_classes == 2:
                of_class[:] = self._rest()
            else:
                of_class[:] = self._rounded(self._place_of_class(j))

    def _rest(self) -> NDArray[np.float64]:
        """Weight that is not of the second of two classes, rounded once."""
        whole = Digits(0, 1, 1, _OF_ONES)  # the number of rows
        if self.is_weighted:
            whole = self._place(_WEIGHT, 0)
        second = self._place(*_SECOND)
        places = [(whole, 1), (second, -1)] if second.n else [(whole, 1)]
        first = min(place.low for place, _ in places)
        last = min(max(place.low + place.n for place, _ in places) + 1, _DIGITS)
        digits = np.zeros((self.n_groups, last - first), np.int64)
        for place, sign in places:
            for i, column in enumerate(place.columns, place.low - first):
                digits[:, i] += sign * self._used[:, column]
        return _round(digits, Digits(0, last - first, 1, first))

    def state(self, number: int | None = None) -> State:
        """The sums of a group; or of all."""
        cells = self._used if number is None else self._used[number : number + 1]

        def whole(place: Digits) -> int:
            digits = (_sum(cells[:, column]) for column in place.columns)
            return sum(d << _DIGIT * i for i, d in enumerate(digits, place.low))

        counts = [_sum(cells[:, i]) for i in range(_COUNTS)]
        rows = counts[0] << UNIT
        sums = []
        for quad, lane in _PLACES:
            if self.is_weighted or quad == _LOSS:
                sums.append(whole(self._place(quad, lane)))
            elif quad == _WEIGHT:
                sums.append(rows)
            else:
                sums.append(whole(self._place(_LOSS, _SAME[quad, lane])))
        zeros = 0
        if self.is_weighted:
            zeros = counts[0] - (whole(self._place(*_USED)) >> UNIT)
        classes = [whole(self._place_of_class(j)) for j in range(self.n_classes)]
        if self.n_classes == 2:
            classes[0] = sums[0] - classes[1]
        of_rows = counts[0], zeros, *counts[1:]
        return State(tuple(sums), of_rows, tuple(classes), self.exact)


class _Placed(NamedTuple):
    """Finite doubles as digits."""

    counts: NDArray[np.bool_]  # what is not zero
    digit: NDArray[np.int64]  # the lower of two
    low: NDArray[np.int64]
    high: NDArray[np.int64]


def _placed(x: Any) -> _Placed:
    fraction, exponent = np.frexp(np.asarray(x, np.float64))
    whole = np.ldexp(fraction, 53).astype(np.int64)
    bit = exponent.astype(np.int64) - 53 + UNIT
    # No double has digits below; those of small ones end in zeros.
    below = np.minimum(bit, 0)
    whole >>= -below
    digit, shift = np.divmod(bit - below, _DIGIT)
    tail, kept = whole & ((1 << _DIGIT) - 1), _DIGIT - shift
    low = (tail & ((1 << kept) - 1)) << shift
    high = (tail >> kept) + ((whole >> _DIGIT) << shift)
    return _Placed(whole != 0, digit, low, high)


def _offset(memory: NDArray[np.int64]) -> int:
    """The first number of an array that begins a line."""
    return int(-memory.ctypes.data // 8) % _LINE


def _new_memory(n: int) -> tuple[NDArray[np.int64], int]:
    """Memory of so many zeros and a line, and the first of them that begins a line.

    What NumPy has not cleared may be in large pages, which grow with it.
    """
    memory = np.empty(n + _LINE, np.int64)
    memory[:] = 0
    return memory, _offset(memory)


def _round(cells: Matrix, place: Digits) -> NDArray[np.float64]:
    rounded: NDArray[np.float64] = _kernels.loops.round_cells(cells, *place)
    return rounded


def _sum(digits: NDArray[np.int64]) -> int:
    """Their sum, which may be more than 64 bits."""
    high, low = digits >> 32, digits & 0xFFFFFFFF
    return (int(high.sum()) << 32) + int(low.sum())


def _widen(window: Any, first: int, last: int) -> None:
    """Make a window, (first digit, number of digits), hold digits up to `last`."""
    if window[1]:
        first = min(first, int(window[0]))
        last = max(last, int(window[0] + window[1]))
    window[:] = first, last - first
