"""Dask collections -> blocks of rows that belong together.

Design
A. Collections of the same blocks are packed before Dask optimizes them: what two of
   them share (a file, a model's scores) is read or computed once. Rejected:
   `to_delayed` of each of them, which does it once for each.
B. Blocks of other lengths are cut and joined by tasks, whatever holds the rows: arrays,
   Series, arrays in memory. Rejected: `rechunk`, for which Series have to be arrays,
   without their categories and missing values.
C. The graph is made here, task by task. Rejected: `dask.delayed`, which takes 3 ms for
   a task that depends on another one.
D. Lengths that are not known are trusted to be equal where there are equally many
   blocks; tasks find out.
"""

import bisect
import functools
import importlib
import itertools
import math
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

Key = Any  # of a task
Part = tuple[Key, int]  # the task of a pack, and which of its entries


class Rows(NamedTuple):
    """The rows of an argument."""

    name: str
    lengths: list[int] | None  # of the blocks; None where they are unknown
    blocks: list[Part]
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
    pieces: list[list[Part]]  # of each argument what is to be joined


class Tasks:
    """A graph of tasks that begins with the blocks of collections."""

    def __init__(self, sources: list[Any]) -> None:
        self._sources = sources  # a delayed block of each
        self._name = f"log-loss-{uuid.uuid4().hex}"
        self._graph: dict[Key, Any] = {}

    def add(self, name: str, function: Callable[..., Any], *keys: Key) -> Key:
        """A task that gives to the function what those of the keys return."""
        key = f"{name}-{self._name}", len(self._graph)
        # All that is no key is in the function: any value could be one.
        self._graph[key] = (function, *keys)
        return key

    def delayed(self, key: Key) -> Any:
        """What a task returns, as a Delayed."""
        graphs = importlib.import_module("dask.highlevelgraph")
        graph = graphs.HighLevelGraph.from_collections(
            self._name, self._graph, dependencies=self._sources
        )
        delayed = importlib.import_module("dask.delayed")
        return delayed.Delayed(key, graph, layer=self._name)


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


def in_blocks(dask: Any, given: Mapping[str, Any]) -> tuple[list[Rows], list[Any]]:
    """The blocks of all arguments; and a delayed block of each pack."""
    packs: dict[Any, dict[str, Any]] = {}
    for name, value in given.items():
        alike: Any = name
        if is_frame(value):
            alike = "frame", value.npartitions
        elif is_array(value):
            alike = "array", _sizes(value) or value.numblocks[0]
        packs.setdefault(alike, {})[name] = value
    found, sources = {}, []
    for of_name in packs.values():
        values = [*of_name.values()]
        lengths, delayed, frames = None, [], is_frame(values[0])
        if frames:
            delayed = _pack_frames(dask, values)
        elif is_array(values[0]):
            lengths, delayed = _sizes(values[0]), _pack_arrays(values)
        else:
            lengths = [len(values[0])]
        for i, (name, value) in enumerate(of_name.items()):
            blocks = [(block.key, i) for block in delayed]
            found[name] = Rows(name, lengths, blocks, frames, value)
        sources += delayed[:1]
    return [found[name] for name in given], sources


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


def paired(tasks: Tasks, rows: list[Rows], may_compute: bool) -> Iterator[Block]:
    """Blocks of all arguments, as long as those of `p`."""
    unknown = [r for r in rows if r.lengths is None]
    known = {tuple(r.lengths) for r in rows if r.lengths is not None}
    counts = {r.n_blocks for r in rows}
    if unknown and (len(counts) > 1 or len(known) > 1):
        _check_may_compute(unknown, may_compute)
        rows = with_lengths(tasks, rows)
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
    pieces = [_pieces(tasks, r, [*lengths]) for r in rows]
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
            "the arguments do not pair block by block, and the lengths of the blocks "
            f"of {names} are unknown: {how} makes them known{hint}"
        )


def with_lengths(tasks: Tasks, rows: list[Rows]) -> list[Rows]:
    """The same, where lengths that are not known have been computed."""
    unknown = [r for r in rows if r.lengths is None]
    keys = [
        tasks.add("length", functools.partial(_length, i), key)
        for r in unknown
        for key, i in r.blocks
    ]
    found = iter(tasks.delayed(tasks.add("lengths", _all, *keys)).compute())
    lengths = {r.name: [*itertools.islice(found, r.n_blocks)] for r in unknown}
    return [r._replace(lengths=lengths.get(r.name, r.lengths)) for r in rows]


def _length(i: int, pack: Any) -> int:
    return len(pack[i])


def _all(*values: Any) -> tuple[Any, ...]:
    return values


def _pieces(tasks: Tasks, rows: Rows, lengths: list[Any]) -> list[list[Part]]:
    """For each block of these lengths, what is to be joined."""
    if rows.blocks and (rows.lengths is None or [*rows.lengths] == lengths):
        return [[block] for block in rows.blocks]
    assert rows.lengths is not None
    starts = [*itertools.accumulate(rows.lengths, initial=0)]
    found = []
    for start, stop in itertools.pairwise(itertools.accumulate(lengths, initial=0)):
        pieces: list[Part] = []
        i = bisect.bisect_right(starts, start) - 1
        while start < stop:
            end = min(stop, starts[i + 1])
            if not rows.blocks:
                part = _cut(0, start, end, [rows.memory])
                pieces.append((tasks.add("part", functools.partial(_all, *part)), 0))
            elif end - start == rows.lengths[i]:
                pieces.append(rows.blocks[i])
            elif start < end:
                key, entry = rows.blocks[i]
                within = start - starts[i], end - starts[i]
                cut = functools.partial(_cut, entry, *within)
                pieces.append((tasks.add("part", cut, key), 0))
            start, i = end, i + 1
        found.append(pieces)
    return found


def _cut(i: int, start: int, stop: int, pack: Any) -> tuple[Any]:
    """Some rows of a block, as a pack of their own."""
    block = pack[i]
    return (block.iloc[start:stop] if hasattr(block, "iloc") else block[start:stop],)


def joined(values: list[Any]) -> Any:
    """The rows of some blocks, as one."""
    if len(values) == 1:
        return values[0]
    if not hasattr(values[0], "iloc"):
        return np.concatenate(values)
    pandas = importlib.import_module("pandas")
    if values[0].ndim == 1 and values[0].dtype == "category":
        # Blocks need not have the same categories.
        return pandas.api.types.union_categoricals(values, ignore_order=True)
    return pandas.concat(values)
