"""Dask collections -> blocks of rows that belong together.

Design
A. Collections of the same blocks are packed before Dask optimizes them: what two of
   them share (a file, a model's scores) is read or computed once. Rejected:
   `to_delayed` of each of them, which does it once for each.
B. Blocks of other lengths are cut and joined by tasks, whatever holds the rows: arrays,
   Series, arrays in memory. Rejected: `rechunk`, for which Series have to be arrays,
   without their categories and missing values.
C. Lengths that are not known are trusted to be equal where there are equally many
   blocks; tasks find out.
"""

import bisect
import importlib
import itertools
import math
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np


class Rows(NamedTuple):
    """The rows of an argument."""

    name: str
    lengths: list[int] | None  # of the blocks; None where they are unknown
    blocks: list[tuple[Any, int]]  # a pack, delayed, and which of its entries
    is_frame: bool = False
    memory: Any = None  # one block that is here

    @property
    def n_blocks(self) -> int:
        return len(self.blocks or [self.memory])

    @property
    def n(self) -> int:
        return sum(self.lengths or ())


class Block(NamedTuple):
    """Rows that belong together."""

    number: int
    first: int | None  # of its rows; None where lengths are unknown,
    n: int | None  # and so is this
    pieces: list[list[tuple[Any, int]]]  # of each argument what is to be joined


def import_dask() -> Any:
    try:
        return importlib.import_module("dask")
    except ImportError as error:
        raise ImportError('Dask is needed: pip install "fastlogloss[dask]"') from error


def is_array(value: Any) -> bool:
    return _is("array", value, "Array")


def is_frame(value: Any) -> bool:
    return _is("dataframe", value, "DataFrame", "Series", "Index")


def _is(module: Literal["array", "dataframe"], value: Any, *classes: str) -> bool:
    # Who has a collection has imported its module.
    imported = sys.modules.get(f"dask.{module}")
    return any(isinstance(value, getattr(imported, name, ())) for name in classes)


def in_blocks(dask: Any, given: Mapping[str, Any]) -> list[Rows]:
    """The blocks of all arguments: of Dask, or in memory."""
    packs: dict[Any, dict[str, Any]] = {}
    for name, value in given.items():
        alike: Any = name
        if is_frame(value):
            alike = "frame", value.npartitions
        elif is_array(value):
            alike = "array", _sizes(value) or value.numblocks[0]
        packs.setdefault(alike, {})[name] = value
    found = {}
    for of_name in packs.values():
        values = [*of_name.values()]
        frames, blocks = is_frame(values[0]), []
        if frames:
            lengths, blocks = None, _pack_frames(dask, values)
        elif is_array(values[0]):
            lengths, blocks = _sizes(values[0]), _pack_arrays(values)
        else:
            lengths = [len(values[0])]
        for i, (name, value) in enumerate(of_name.items()):
            found[name] = Rows(name, lengths, [(b, i) for b in blocks], frames, value)
    return [found[name] for name in given]


def _sizes(array: Any) -> Any:
    sizes = array.chunks[0]
    return None if any(map(math.isnan, sizes)) else sizes


def _pack(*blocks: Any) -> tuple[Any, ...]:
    return tuple(b[0] if type(b) is list else b for b in blocks)


def _pack_frames(dask: Any, frames: list[Any]) -> list[Any]:
    dd = sys.modules["dask.dataframe"]
    packed = dd.map_partitions(
        _pack, *frames, meta=(None, object), enforce_metadata=False
    )
    # Tuning makes fewer partitions, of each file as it likes.
    with dask.config.set({"optimization.tune.active": False}):
        return [*packed.to_delayed()]


def _pack_arrays(arrays: list[Any]) -> list[Any]:
    da = sys.modules["dask.array"]
    pairs: list[Any] = []
    for j, array in enumerate(arrays, 1):
        of_rows = array if array.ndim == 1 else array.rechunk({1: -1})
        pairs += of_rows, (0, j)[: array.ndim]
    meta = np.empty(0, object)
    packed = da.blockwise(_pack, (0,), *pairs, align_arrays=False, meta=meta)
    return [*packed.to_delayed().ravel()]


def paired(dask: Any, rows: list[Rows], may_compute: bool) -> Iterator[Block]:
    """Blocks of all arguments, as long as those of `p`."""
    unknown = [r for r in rows if r.lengths is None]
    known = {tuple(r.lengths) for r in rows if r.lengths is not None}
    counts = {r.n_blocks for r in rows}
    if unknown and (len(counts) > 1 or len(known) > 1):
        _check_may_compute(unknown, may_compute)
        rows = with_lengths(dask, rows)
        unknown = []
    lengths: Any
    if unknown:
        lengths = known.pop() if known else (None,) * counts.pop()
    else:
        p = next(r for r in rows if r.name == "p")
        for r in rows:
            if r.n != p.n:
                raise ValueError(f"{r.name} has {r.n} rows, but p has {p.n}")
        lengths = next((r for r in (p, *rows) if r.blocks), p).lengths
    firsts: Any = (None,) * len(lengths)
    if None not in lengths:
        firsts = itertools.accumulate(lengths, initial=0)
    pieces = [_pieces(dask, r, [*lengths]) for r in rows]
    for j, n, first, *of_block in zip(itertools.count(), lengths, firsts, *pieces):
        yield Block(j, first, n, of_block)


def _check_may_compute(unknown: list[Rows], may_compute: bool) -> None:
    """Raise where lengths that are needed are not to be computed here."""
    arrays = [r.name for r in unknown if not r.is_frame]
    names = " and ".join(arrays or [r.name for r in unknown])
    if arrays or not may_compute:
        how = "compute_chunk_sizes()" if arrays else "to_dask_array(lengths=True)"
        hint = "" if arrays else ", or leave them to compute=True"
        raise ValueError(
            "the arguments do not pair block by block, and the lengths of the blocks of "
            f"{names} are unknown: {how} makes them known{hint}"
        )


def with_lengths(dask: Any, rows: list[Rows]) -> list[Rows]:
    """The same, where lengths that are not known have been computed."""
    unknown = [r for r in rows if r.lengths is None]
    length = dask.delayed(_length)
    (found,) = dask.compute([[length(*block) for block in r.blocks] for r in unknown])
    lengths = dict(zip((r.name for r in unknown), found, strict=True))
    return [r._replace(lengths=lengths.get(r.name, r.lengths)) for r in rows]


def _length(pack: Any, i: int) -> int:
    return len(pack[i])


def _pieces(dask: Any, rows: Rows, lengths: list[Any]) -> list[Any]:
    """For each block of these lengths, what is to be joined."""
    if rows.blocks and (rows.lengths is None or [*rows.lengths] == lengths):
        return [[block] for block in rows.blocks]
    assert rows.lengths is not None
    cut = dask.delayed(_cut)
    starts = [*itertools.accumulate(rows.lengths, initial=0)]
    found = []
    for start, stop in itertools.pairwise(itertools.accumulate(lengths, initial=0)):
        pieces: list[Any] = []
        i = bisect.bisect_right(starts, start) - 1
        while start < stop:
            end = min(stop, starts[i + 1])
            if not rows.blocks:
                part = _cut([rows.memory], 0, start, end)
                pieces.append((dask.delayed(part, traverse=False), 0))
            elif end - start == rows.lengths[i]:
                pieces.append(rows.blocks[i])
            elif start < end:
                part = cut(*rows.blocks[i], start - starts[i], end - starts[i])
                pieces.append((part, 0))
            start, i = end, i + 1
        found.append(pieces)
    return found


def _cut(pack: Any, i: int, start: int, stop: int) -> tuple[Any]:
    """Some rows of a block, as a pack of their own."""
    block = pack[i]
    return (block.iloc[start:stop] if hasattr(block, "iloc") else block[start:stop],)


def joined(pieces: list[tuple[Any, int]]) -> Any:
    """The rows of some pieces, in a task."""
    values = [pack[i] for pack, i in pieces]
    if len(values) == 1:
        return values[0]
    if not hasattr(values[0], "iloc"):
        return np.concatenate(values)
    pandas = importlib.import_module("pandas")
    if values[0].ndim == 1 and values[0].dtype == "category":
        # Blocks need not have the same categories.
        return pandas.api.types.union_categoricals(values, ignore_order=True)
    return pandas.concat(values)
