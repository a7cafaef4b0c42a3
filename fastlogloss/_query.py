"""The sums of log loss as a query, for engines that hold the rows.

Design
------
(a) One description for all engines. An engine is a vocabulary (`Words`) for the few
    expressions that a loss takes, and a way to select columns: narwhals, Spark and SQL
    have one each. Rejected: a formula for each, of which one is wrong.
(b) A query is a chain of selections, so that nothing is computed twice, whatever an
    engine does with expressions that occur twice. Then come sums, which are all that
    leaves the engine: a row for each group.
(c) Rows that are not valid are counted by reason in the same pass, and left out of all
    sums. Rejected: a pass that validates first, for it reads all rows twice.
(d) Comparisons are such that NaN fails them where it is larger than all numbers (as in
    most engines) and where it compares with none. What the condition of a choice does
    not allow is not computed either: engines may compute both sides, and some raise.
(e) ``log(1 + x)`` is ``x log(u) / (u - 1)`` with ``u = 1 + x``, and x where u is 1,
    which is exact to some 1e-16 for all x >= 0: engines have no log1p.
    W. Kahan, as in N. J. Higham (2002). Accuracy and Stability of Numerical Algorithms,
    section 1.14.1.
"""

import math
import sys
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from fastlogloss._arrays import sum_tolerance
from fastlogloss._arrow import Columns
from fastlogloss._batches import Batches
from fastlogloss._exact import LEAST_WEIGHT, MOST_WEIGHT, SUMS

Expression = Any  # of an engine; it has + - * / & < <= > >=
Selection = dict[str, Expression]


class Words(Protocol):
    """The expressions of an engine."""

    def column(self, name: str) -> Expression: ...

    def literal(self, value: Any) -> Expression:
        """A constant; a float is a double."""

    def number(self, x: Expression) -> Expression:
        """As a double."""

    def equal(self, a: Expression, b: Expression) -> Expression: ...

    def choose(self, condition: Expression, a: Expression, b: Expression) -> Expression:
        """a where the condition is true, b where it is false or null."""

    def absolute(self, x: Expression) -> Expression: ...

    def log(self, x: Expression) -> Expression: ...

    def exp(self, x: Expression) -> Expression: ...

    def least(self, x: Expression, y: Expression) -> Expression: ...

    def greatest(self, *x: Expression) -> Expression: ...

    def total(self, x: Expression) -> Expression:
        """The sum over rows; of whole numbers it is exact."""


class Query:
    """What is asked of an engine.

    Parameters
    ----------
    columns : Columns
    batches : Batches
        Without soft targets and smoothing.
    is_single : bool
        Whether scores are of single precision, whose rows sum to one less exactly.
    """

    def __init__(
        self, columns: Columns, batches: Batches, is_single: bool = False
    ) -> None:
        self.columns = columns
        self.batches = batches
        self.is_weighted = bool(columns.weight)
        self.n_classes = len(batches.classes)
        self.keys = [f"g{i}" for i in range(len(columns.by))]
        self._scores = [f"s{j}" for j in range(len(columns.scores))]
        spec = batches.spec
        self._eps = spec.eps or 0.0
        self._logits = spec.from_logits
        self._may_be_infinite = self._logits or self._eps == 0
        is_matrix = len(self._scores) > 1
        self._is_distribution = is_matrix and not self._logits
        self._tolerance = sum_tolerance(2.0**-23 if is_single else 2.0**-52)
        if len(self._scores) not in (self.n_classes, 3 - self.n_classes):
            n = len(self._scores)
            raise ValueError(
                f"there are {n} columns of scores, but {self.n_classes} classes"
            )

    def stages(self, words: Words) -> Iterator[Selection]:
        """Selections, each of the columns of the one before; the first of the rows."""
        col, lit = words.column, words.literal
        of_rows = dict(zip(self.keys, self.columns.by, strict=True))
        first = {key: col(name) for key, name in of_rows.items()}
        first["y"] = col(self.columns.label[0])
        for s, name in zip(self._scores, self.columns.scores, strict=True):
            first[s] = words.number(col(name))
        weight = ["w"] if self.is_weighted else []
        for w, name in zip(weight, self.columns.weight, strict=True):
            first[w] = words.number(col(name))
        yield first
        code = _in_a_tree(
            lambda a, b: a + b,
            [
                words.choose(words.equal(col("y"), lit(label)), lit(j), lit(0))
                for j, label in enumerate(self.batches.classes, 1)
            ],
        )
        yield _kept(words, *self.keys, *self._scores, *weight) | {"k": code - lit(1)}
        kept = _kept(words, *self.keys, "k", *weight)
        yield kept | {"wrong": self._wrong(words)} | self._picked(words)
        kept = _kept(words, *self.keys, "k", "wrong", *weight)
        if self._is_distribution:
            kept |= _kept(words, "off")
        losses = self._of_logits if self._logits else self._of_probabilities
        for stage in losses(words):
            yield kept | stage
        yield kept | self._summed(words)

    def _wrong(self, words: Words) -> Expression:
        """0, or why the row is left out: 1 label, 2 score, 3 weight."""
        col, lit, choose = words.column, words.literal, words.choose
        wrong = lit(0)
        if self.is_weighted:
            w = words.absolute(col("w"))
            in_range = (w <= lit(MOST_WEIGHT)) & (w >= lit(LEAST_WEIGHT))
            zero = words.equal(w, lit(0.0))
            wrong = choose(in_range, wrong, choose(zero, wrong, lit(3)))
        low, high = (-math.inf, math.inf) if self._logits else (0.0, 1.0)
        bounds = [(col(s) >= lit(low)) & (col(s) <= lit(high)) for s in self._scores]
        wrong = choose(_in_a_tree(lambda a, b: a & b, bounds), wrong, lit(2))
        return choose(col("k") >= lit(0), wrong, lit(1))

    def _picked(self, words: Words) -> Selection:
        """The score of the row's class; of logits the others too."""
        col, lit, choose = words.column, words.literal, words.choose
        if len(self._scores) == 1:
            s = col("s0")
            other = (lit(0.0) if self._logits else lit(1.0)) - s
            return {"z": choose(words.equal(col("k"), lit(1)), s, other)}
        k = col("k")

        def picked(low: int, high: int) -> Expression:
            if high - low == 1:
                return col(self._scores[low])
            middle = (low + high) // 2
            return choose(k < lit(middle), picked(low, middle), picked(middle, high))

        z = picked(0, len(self._scores))
        if self._logits:
            top = words.greatest(*map(col, self._scores))
            return {"z": z, "top": top} | _kept(words, *self._scores)
        total = _in_a_tree(lambda a, b: a + b, [*map(col, self._scores)])
        is_one = words.absolute(total - lit(1.0)) <= lit(self._tolerance)
        return {"z": z, "off": choose(is_one, lit(0), lit(1))}

    def _of_probabilities(self, words: Words) -> Iterator[Selection]:
        col, lit = words.column, words.literal
        eps, q = self._eps, col("z")
        if eps:
            clipped = words.least(words.greatest(q, lit(eps)), lit(1.0 - eps))
            yield {"z": clipped}
        valid = words.equal(col("wrong"), lit(0)) & (q > lit(0.0))
        loss = lit(0.0) - words.log(words.choose(valid, q, lit(1.0)))
        if eps:
            yield {"l": loss}
        else:
            is_zero = words.equal(q, lit(0.0))
            yield {"l": loss, "infinite": words.choose(is_zero, lit(1), lit(0))}

    def _of_logits(self, words: Words) -> Iterator[Selection]:
        """The loss is ``gap + log(first + rest)``, or ``log1p(rest)`` without a gap.

        Of the exponentials of all logits less the largest, `first` is that of the row's
        class, and `rest` the sum of the others. Two infinities that are equal differ by
        nothing.
        """
        col, lit, choose = words.column, words.literal, words.choose

        def less(a: Expression, b: Expression) -> Expression:
            return choose(words.equal(a, b), lit(0.0), a - b)

        zero, one = lit(0.0), lit(1.0)
        if len(self._scores) == 1:
            z = col("z")
            size = words.absolute(z)
            yield {
                "gap": choose(z < zero, size, zero),
                "first": choose(z < zero, words.exp(zero - size), one),
                "rest": choose(z < zero, one, words.exp(zero - size)),
            }
        else:
            others = []
            for j, s in enumerate(self._scores):
                other = words.exp(less(col(s), col("top")))
                others.append(choose(words.equal(col("k"), lit(j)), zero, other))
            rest = _in_a_tree(lambda a, b: a + b, others)
            yield {
                "gap": less(col("top"), col("z")),
                "first": words.exp(less(col("z"), col("top"))),
                "rest": rest,
            }
        valid = words.equal(col("wrong"), lit(0))
        yield {
            "gap": choose(valid, col("gap"), zero),
            "x": choose(valid, col("rest"), zero),
            "u": choose(valid, col("first") + col("rest"), one),
        }
        x, u, gap = col("x"), col("u"), col("gap")
        is_one = words.equal(u, one)
        log_u = words.log(u)
        small = choose(is_one, x, x * log_u / choose(is_one, one, u - one))
        yield {"l": choose(gap > zero, gap + log_u, small)}
        is_infinite = col("l") > lit(sys.float_info.max)
        yield {
            "l": choose(is_infinite, zero, col("l")),
            "infinite": choose(is_infinite, lit(1), lit(0)),
        }

    def _summed(self, words: Words) -> Selection:
        """What sums are of: for rows that are left out, 0."""
        col, lit, choose = words.column, words.literal, words.choose
        valid = words.equal(col("wrong"), lit(0))
        found = {"l": choose(valid, col("l"), lit(0.0))}
        if self.is_weighted:
            found["w"] = choose(valid, col("w"), lit(0.0))
            found["t"] = found["w"] * found["l"]
        if self._may_be_infinite:
            found["infinite"] = choose(valid, col("infinite"), lit(0))
        if self._is_distribution:
            found["off"] = choose(valid, col("off"), lit(0))
        return found

    def sums(self, words: Words) -> Selection:
        """The sums over the rows of the last stage, by the names of `_query_result`."""
        col, lit, total = words.column, words.literal, words.total

        def count(condition: Expression) -> Expression:
            return total(words.choose(condition, lit(1), lit(0)))

        def wrong(reason: int) -> Expression:
            return words.equal(col("wrong"), lit(reason))

        found = {
            "n_rows": count(wrong(0)),
            "n_bad_labels": count(wrong(1)),
            "n_bad_scores": count(wrong(2)),
        }
        if self._is_distribution:
            found["n_off_one"] = total(col("off"))
        if not self.is_weighted:
            if self._may_be_infinite:
                found["n_infinite"] = total(col("infinite"))
            loss = col("l")
            found["sum_wl"], found["sum_w2l2"] = total(loss), total(loss * loss)
            found["sum_w3l3"] = total(loss * loss * loss)
            for j in range(self.n_classes):
                is_class = wrong(0) & words.equal(col("k"), lit(j))
                found[f"class_{j}"] = count(is_class)
            return found
        w, t, zero = col("w"), col("t"), lit(0.0)
        found["n_bad_weights"] = count(wrong(3))
        found["n_zero_weights"] = count(wrong(0) & words.equal(w, zero))
        if self._may_be_infinite:
            is_infinite = words.equal(col("infinite"), lit(1))
            found["n_infinite"] = count(is_infinite & (w > zero))
            found["n_minus_infinite"] = count(is_infinite & (w < zero))
        powers = (w, t, w * w, w * t, t * t, w * w * w, w * w * t, w * t * t, t * t * t)
        for name, power in zip(SUMS, powers, strict=True):
            found[f"sum_{name}"] = total(power)
        for j in range(self.n_classes):
            of_class = words.choose(words.equal(col("k"), lit(j)), w, zero)
            found[f"class_{j}"] = total(of_class)
        return found


def _in_a_tree(
    combine: Callable[[Expression, Expression], Expression], terms: list[Expression]
) -> Expression:
    """All terms combined; of many classes a chain is deeper than engines go."""
    while len(terms) > 1:
        pairs = zip(terms[::2], terms[1::2], strict=False)
        terms = [combine(*pair) for pair in pairs] + terms[len(terms) // 2 * 2 :]
    return terms[0]


def _kept(words: Words, *names: str) -> Selection:
    return {name: words.column(name) for name in names}
