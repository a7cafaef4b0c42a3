"""The vocabulary of SQL: sqlglot's syntax trees, which it writes in every dialect.

Design
------
(a) Names and constants are nodes of a tree, which sqlglot quotes. Rejected: a template
    of text, whose names are spliced in.
(b) A stage is a sub-select, and each column is qualified by it. Rejected: columns
    alone, which in some dialects may mean one that the same selection makes.
(c) Constants are casts, of text where they have a fraction: dialects do not agree on
    what a literal with a point or an exponent is (a decimal, and of how many digits).
(d) Engines other than those of `IEEE` may raise where a double is too large or too
    small. Exponents are bounded there, and so are the losses of which products are
    summed. Rejected: that for all engines, which costs accuracy and time.
(e) Postgres puts the columns of a sub-select in wherever they are used, which computes
    a logarithm hundreds of times (10 s for 3000 rows). ``OFFSET 0`` keeps it from that,
    and from several processes, which it needs no more (0.3 s for 400 000 rows).
"""

import difflib
import math
from collections.abc import Iterable, Sequence
from typing import Any

from fastlogloss._query import Selection

IEEE = ("databricks", "duckdb", "spark", "spark2")
_VARIABLES = ("databricks", "hive", "spark", "spark2")  # put in for ${name}
_LOWEST = -500.0  # exponent: times the least weight, e ** -500 is a normal double
_LARGEST = 1e100  # loss times weight, whose cube is a double, also that of many rows
_ROWS = "rows"  # what each sub-select is called
# What sqlglot indents in names, or takes for a line break, or (for BigQuery, before
# 30.29) does not escape; and what stands for it meanwhile, which is no character.
_HIDDEN = {"\n": "\ufdd0", "__SQLGLOT__LB__": "\ufdd1"}
_HIDDEN_IN_BIGQUERY = _HIDDEN | {"\\": "\ufdd2", "`": "\ufdd3"}
_NO_TEXT = ("\0", *_HIDDEN_IN_BIGQUERY.values())


def bounded(stage: Selection, sums: Selection, words: "Words") -> Selection:
    """One more stage, whose weighted loss has a cube; it is put into products."""
    loss = "t" if "t" in stage else "l"
    x, size = words.column(loss), words.absolute(words.column(loss))
    zero = words.literal(0.0)
    bounded = words.choose(size <= words.literal(_LARGEST), x, words.literal(math.inf))
    bounded = words.choose(size >= words.literal(1 / _LARGEST), bounded, zero)
    for total in sums.values():
        if isinstance(total.this, words.tree.Mul):
            for column in [*total.this.find_all(words.tree.Column)]:
                if column.name == loss:
                    column.replace(words.column("bounded"))
    return {name: words.column(name) for name in stage} | {"bounded": bounded}


class Words:
    """The vocabulary of `_query.Words`: syntax trees, which may have parts in common.

    Parameters
    ----------
    tree : module
        sqlglot's.
    dialect : str
    """

    def __init__(self, tree: Any, dialect: str) -> None:
        self.tree = tree
        self.bounds = dialect not in IEEE
        is_bigquery = dialect == "bigquery"
        self.hidden = _HIDDEN_IN_BIGQUERY if is_bigquery else _HIDDEN  # in names
        self.is_fenced = dialect == "postgres"

    def name(self, name: str) -> Any:
        return self.tree.Identifier(this=_hidden(name, self.hidden), quoted=True)

    def query(
        self,
        parts: Sequence[str],
        stages: Iterable[Selection],
        result: Selection,
        keys: Iterable[str],
    ) -> Any:
        """A query of a table, stage by stage, of groups by these names of the result.

        Parameters
        ----------
        parts : sequence of str
            Of the name of the table.
        stages : iterable of dict
        result : dict
            The last stage, of sums and keys.
        keys : iterable of str
        """
        names = [*map(self.name, parts)]
        name = names[0] if len(names) == 1 else self.tree.Dot.build(names)
        alias = self.tree.TableAlias(this=self.name(_ROWS))
        source = self.tree.Table(this=name, alias=alias)
        for stage in stages:
            select = self._select(stage, source)
            if self.is_fenced:
                select = select.offset(0, copy=False)
            source = select.subquery(self.name(_ROWS), copy=False)
        select = self._select(result, source)
        groups = [self._copy(result[name]) for name in keys]
        return select.group_by(*groups, copy=False) if groups else select

    def _select(self, selection: Selection, source: Any) -> Any:
        columns = [
            self.tree.Alias(this=self._copy(x), alias=self.name(name))
            for name, x in selection.items()
        ]
        return self.tree.select(*columns, copy=False).from_(source, copy=False)

    def _copy(self, x: Any) -> Any:
        """A tree of its own, whose columns are those of the source."""
        made = self.tree.Paren(this=x.copy())
        for column in made.find_all(self.tree.Column):
            column.set("table", self.name(_ROWS))
        for both in made.find_all(self.tree.And):
            both.set("this", both.left.unnest())
            both.set("expression", both.right.unnest())
        return made.this

    def column(self, name: str) -> Any:
        return self.tree.Column(this=self.name(name))

    def literal(self, value: Any) -> Any:
        tree = self.tree
        if isinstance(value, bool):
            return tree.Boolean(this=value)
        if isinstance(value, str):
            return tree.Literal.string(_hidden(value))
        if isinstance(value, int):
            size = tree.Literal.number(abs(value))
            return size if value >= 0 else tree.Neg(this=size)
        if value.is_integer() and abs(value) < 2**53:
            return self.number(self.literal(int(value)))
        return self.number(tree.Literal.string(repr(value)))

    def number(self, x: Any) -> Any:
        return self.tree.Cast(this=x, to=self.tree.DataType.build("double"))

    def equal(self, a: Any, b: Any) -> Any:
        return a.eq(b)

    def choose(self, condition: Any, a: Any, b: Any) -> Any:
        whens = [self.tree.If(this=condition, true=a)]
        if isinstance(b, self.tree.Case):
            whens, b = whens + b.args["ifs"], b.args["default"]
        return self.tree.Case(ifs=whens, default=b)

    def absolute(self, x: Any) -> Any:
        return self.tree.Abs(this=x)

    def log(self, x: Any) -> Any:
        return self.tree.Ln(this=x)

    def exp(self, x: Any) -> Any:
        if self.bounds:
            x = self.greatest(x, self.literal(_LOWEST))
        return self.tree.Exp(this=x)

    def least(self, x: Any, y: Any) -> Any:
        return self._call("LEAST", x, y)

    def greatest(self, *x: Any) -> Any:
        return self._call("GREATEST", *x)

    def _call(self, name: str, *x: Any) -> Any:
        # As they are: what dialects make of nulls is no matter, no such row is valid.
        return self.tree.Anonymous(this=name, expressions=[*x])

    def total(self, x: Any) -> Any:
        return self.tree.Sum(this=x)


def writer(dialect: Any) -> tuple[Any, Any]:
    """sqlglot's syntax trees, and what writes one as text."""
    try:
        from sqlglot import ErrorLevel, exp
        from sqlglot.dialects.dialect import Dialects
        from sqlglot.errors import UnsupportedError
    except ImportError as error:
        raise ImportError(
            'SQL needs sqlglot: pip install "fastlogloss[sql]"'
        ) from error
    known = sorted(known.value for known in Dialects if known.value)
    if dialect not in known:
        near = difflib.get_close_matches(str(dialect).lower(), known, 1, 0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        raise ValueError(f"there is no dialect {dialect!r}; {hint}")

    def write(tree: Any) -> str:
        options = {"pretty": True, "unsupported_level": ErrorLevel.RAISE}
        try:
            text: str = tree.sql(dialect=dialect, **options)
        except UnsupportedError as error:
            raise ValueError(f"{dialect} cannot say this: {error}") from error
        for shown, hidden in _HIDDEN_IN_BIGQUERY.items():
            if dialect == "bigquery" and len(shown) == 1:
                shown = "\\n" if shown == "\n" else "\\" + shown
            text = text.replace(hidden, shown)
        return text

    return exp, write


def _hidden(text: str, hidden_parts: dict[str, str] = _HIDDEN) -> str:
    for shown, hidden in hidden_parts.items():
        text = text.replace(shown, hidden)
    return text


def check_name(name: Any, dialect: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"table must be a name or a tuple of its parts, got {name!r}")
    if not name:
        raise ValueError("a name is empty")
    check_text(name, f"the name {name!r}", dialect)


def check_text(text: str, what: str, dialect: str) -> None:
    """Raise for what no text of SQL can quote."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} is no text of Unicode") from None
    if any(character in text for character in _NO_TEXT):
        raise ValueError(f"{what} holds NUL or U+FDD0 to U+FDD3, which are none")
    if "${" in text and dialect in _VARIABLES:
        raise ValueError(f"{what} holds ${{, where {dialect} puts in a variable")
