"""Tasks of Dask: accumulators of blocks, merged in a tree.

Design
A. A task for each block of rows makes an accumulator; tasks merge eight of them, in a
   tree. Sums are exact, so that chunks, schedulers, threads and repeated tasks change
   no bit. Rejected: the mean of the means of blocks, which is another number; sums in
   Dask's own reductions, which differ with the chunks; narwhals' Dask, which is slower
   and on its way out.
B. Tasks return what there is to warn of, and whoever computes the result warns, once:
   warnings of workers are seen by nobody.
"""

import functools
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from fastlogloss._dask_blocks import Block, Key, Tasks, joined
from fastlogloss._errors import Names, Objection, reworded
from fastlogloss._losses import words_on_sums

_BRANCHES = 8  # of a node of the tree
_SCORES = Names(scores="p", targets="y")
_NAMES = {"y_score": "p", "y_true": "y", "groups": "by"}

Accumulator = Any  # a LogLossAccumulator or a GroupedLogLoss


class UnequalBlocks(ValueError):
    """Blocks that were paired do not have equally many rows."""


class Part(NamedTuple):
    """What tasks return."""

    found: Accumulator
    warning: str | None  # the first one


def tree_of_tasks(
    tasks: Tasks, empty: Accumulator, names: list[str], blocks: Iterable[Block]
) -> Key:
    """Tasks that make a `Part` of all blocks; the last of them."""
    keys = []
    for block in blocks:
        # Where among the packs, and which entry, is what each argument takes.
        packs = [*dict.fromkeys(key for part in block.pieces for key, _ in part)]
        at = {key: i for i, key in enumerate(packs)}
        pieces = [[(at[key], i) for key, i in part] for part in block.pieces]
        block = block._replace(pieces=pieces)
        add = functools.partial(log_loss_of_block, empty, names, block)
        keys.append(tasks.add("log-loss-of-block", add, *packs))
    while len(keys) > 1:
        starts = range(0, len(keys), _BRANCHES)
        some = [keys[i : i + _BRANCHES] for i in starts]
        keys = [tasks.add("merge-log-loss", merge_log_losses, *few) for few in some]
    return keys[0]


def log_loss_of_block(
    empty: Accumulator, names: list[str], block: Block, *packs: tuple[Any, ...]
) -> Part:
    """What the task of a block returns."""
    number, first, n, pieces = block
    found = empty.copy()
    if n == 0:
        return Part(found, None)
    values = (joined([packs[k][i] for k, i in part]) for part in pieces)
    of = dict(zip(names, values, strict=True))
    for name, values in of.items():
        n_wanted = len(of["p"]) if n is None else n
        if len(values) != n_wanted:
            other = f", but p has {n_wanted}" if n is None else f" instead of {n}"
            raise UnequalBlocks(
                f"{name} has {len(values)} rows in block {number}{other}; "
                "compute_chunk_sizes() or to_dask_array(lengths=True) find lengths"
            )
    y, p, weights = of.pop("y"), of.pop("p"), of.pop("sample_weight", None)
    if len(p) == 0:
        return Part(found, None)

    def row(i: int) -> str:
        return f"row {i} of block {number}" if first is None else f"row {first + i}"

    try:
        problem = found._batches.read(y, p, weights, _SCORES)
        problem.is_settled = True  # what there is to warn of is returned
        sums = found._add(problem, of.get("by", tuple(of.values())))
    except (Objection, TypeError, ValueError) as error:
        raised = error
    else:
        warning = None
        if sums.bad_sum_from >= 0:
            worst = sums.bad_sum_from, problem.spec.precision
            warning = words_on_sums(problem.p, _SCORES, *worst)
        return Part(found, warning and reworded(warning, _NAMES, row))
    of_whole = _of_whole(raised, row)
    if " row " not in str(of_whole):
        of_whole.args = (f"{of_whole} (block {number})",)
    raise of_whole


def _of_whole(raised: Exception, row: Callable[[int], str] = str) -> Exception:
    """An error on the arrays of a block as one on the arguments."""
    error = raised.in_our_words() if isinstance(raised, Objection) else raised
    kind = TypeError if isinstance(error, TypeError) else ValueError
    return kind(reworded(str(error), _NAMES, row, key="column {} of by".format))


def merge_log_losses(*parts: Part) -> Part:
    """What the task of a node of the tree returns; its parts stay as they are."""
    found = parts[0].found.copy()
    try:
        for part in parts[1:]:
            found.merge(part.found)
    except (TypeError, ValueError) as error:
        raised = error
    else:
        return Part(found, next((p.warning for p in parts if p.warning), None))
    raise _of_whole(raised)
