"""Log loss by a query: the text for an engine, and what its result says.

Design
------
(a) The query is that of `_query`, in sqlglot's syntax tree, which it writes in every
    dialect. Rejected: a template of text, whose names are spliced in.
(b) A stage is a sub-select, and each column is that of the sub-select. Rejected: one
    level, where names of ours and of the table's columns meet.
(c) Constants are casts, of text where they have a fraction: what a literal with a point
    or an exponent is (a decimal, of how many digits), no two dialects agree.
(d) Engines other than those of `_IEEE` may raise where a double is too large or too
    small. Exponents are bounded there, and so are the losses of which products are
    summed. Rejected: that for all engines, which costs accuracy and time.
(e) Result columns are validated by name: a sum that is not there is an error, not 0.
"""

import difflib
import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any, Literal

import numpy as np

from fastlogloss._arrow import Columns
from fastlogloss._batches import Batches
from fastlogloss._errors import is_missing, shortened
from fastlogloss._exact import SUMS
from fastlogloss._query import Query, read, settled, state_of
from fastlogloss.accumulator import LogLossAccumulator
from fastlogloss.groups import GroupedLogLoss

_IEEE = ("databricks", "duckdb", "spark")
_LOWEST = -500.0  # exponent: times the least weight, e ** -500 is a normal double
_LARGEST = 1e90  # loss times weight whose cube, times the largest weights, is a double
_ROWS = "rows"  # what each sub-select is called
# sqlglot puts this for line breaks in names; no name holds the other.
_BREAK, _NO_BREAK = "__SQLGLOT__LB__", "\uffff"


def log_loss(
    table: str | tuple[str, ...],
    *,
    label: str,
    proba: str | Sequence[str] | None = None,
    logit: str | Sequence[str] | None = None,
    weight: str | None = None,
    by: str | Sequence[str] | None = None,
    dialect: str = "duckdb",
    classes: Any = None,
    eps: float | Literal["auto"] = "auto",
) -> str:
    """The text of a query for the sums of log loss, which an engine runs on its rows.

    Parameters
    ----------
    table : str or tuple of str
        The table; as a str its parts are separated by dots, as in
        ``"catalog.schema.table"``, as a tuple they may hold dots.
    label : str
        The column of the labels.
    proba, logit : str or list of str
        The column of the scores, of the second of two classes; or one for each class.
    weight : str, default=None
        The column of the weights.
    by : str or list of str, default=None
        The column of the groups' keys; several are one key of several parts. The result
        has a row for each group then, with these columns.
    dialect : str, default="duckdb"
        "duckdb", "spark", "bigquery", "snowflake" or "postgres". Other dialects of
        sqlglot are written too, but not tested.
    classes : array-like of shape (n_classes,), default=None
        The label of each column of the scores, in this order; 0 to n_classes - 1 if
        None. Labels in the table are of the same type: strings, numbers or booleans.
    eps : "auto" or float in [0, 0.5), default="auto"
        Where to clip probabilities; "auto" is 2.2e-16.

    Returns
    -------
    text : str
        One SELECT, without a semicolon.

    Raises
    ------
    ValueError
        For an unknown dialect; for names that are empty or that no text can quote, and
        columns of `by` that are called as a result; for other arguments as of
        :class:`LogLossAccumulator`.
    TypeError
        For what are no names.
    ImportError
        Without sqlglot: ``pip install "fastlogloss[sql]"``.

    See Also
    --------
    from_sums : The accumulator of the result.
    LogLossAccumulator.update_from : Exact sums of rows that leave the engine.

    Notes
    -----
    All names are quoted as they are given. So they have the case that the engine stores:
    of names that were not quoted Snowflake stores upper case, Postgres lower case.

    Sums are over valid rows. They are in nats and of weighted losses ``w * l`` (without
    weights w is 1), over rows of finite loss:

    ===================== ==========================================================
    ``n_rows``            valid rows; each of the others counts in one of these:
    ``n_bad_labels``      label null or no class,
    ``n_bad_scores``      score null, NaN or, a probability, outside [0, 1],
    ``n_bad_weights``     weight null, NaN, infinite, or below 4.9e-91 or beyond
                          2.0e+90 in size
    ``n_zero_weights``    valid rows of weight zero
    ``n_off_one``         valid rows of probabilities of all classes that do not sum to
                          one within 3.5e-4 (columns may be of single precision)
    ``n_infinite``        valid rows of infinite loss (logits, or ``eps=0``), of
                          positive weight, and
    ``n_minus_infinite``  of negative weight
    ``sum_w``, ``sum_wl`` weights, weighted losses: without infinite losses the mean loss
                          is ``sum_wl / sum_w``, without weights ``sum_wl / n_rows``
    ``sum_w2`` ...        sums of powers: ``sum_w2l`` is that of ``w * w * l``
    ``class_0`` ...       sum of the weights of each class; without weights, its rows
    ``eps``               where probabilities were clipped
    ``from_logits``       whether scores were logits
    ===================== ==========================================================

    Sums are those of the engine: within 1e-12, relative, of the exact ones (more where
    negative weights cancel), and not always the same bits in another run.

    DuckDB and Spark compute as IEEE 754 says. Others raise where a double is beyond the
    range. There a loss of logits is no less than 7e-218, and where a weighted loss is
    beyond 1e90 there is no standard error. They do raise for logits beyond 8e307.

    Examples
    --------
    >>> from fastlogloss import sql
    >>> text = sql.log_loss("logs.clicks", label="clicked", proba="p", by="country")
    >>> print(text[:92])
    SELECT
      "rows"."g0" AS "country",
      CAST('2.220446049250313e-16' AS DOUBLE) AS "eps",
    """
    tree, write = _writer(dialect)
    scores = proba if logit is None else logit
    if classes is None:
        is_wide = isinstance(scores, list | tuple) and len(scores) > 1
        classes = range(len(scores) if is_wide else 2)
    batches = Batches(classes, eps, logit is not None)
    columns = Columns(batches, label, proba, logit, weight, () if by is None else by)
    parts = table.split(".") if isinstance(table, str) else table
    if not isinstance(parts, list | tuple) or not parts:
        raise TypeError(f"table must be a name or a tuple of its parts, got {table!r}")
    for name in (*parts, *columns.names):
        _check_name(name, dialect)
    for label_ in batches.classes:
        if isinstance(label_, str):
            _check_text(label_, f"the class {label_!r}", dialect)
    words = _Words(tree, bounds=dialect not in _IEEE)
    query = Query(columns, batches, is_single=True)
    stages, sums = [*query.stages(words)], query.sums(words)
    if words.bounds:
        stages.append(_bounded(stages[-1], sums, words))
    keys = dict(zip(columns.by, map(words.column, query.keys), strict=True))
    constants = {
        "eps": words.literal(batches.spec.eps),
        "from_logits": words.literal(batches.spec.from_logits),
    }
    result = constants | sums
    for name in keys:
        if name.lower() in result:
            raise ValueError(
                f"the column {name!r} of by is called as a column of the result; "
                "select it by another name first"
            )
    source = words.table(parts)
    for stage in stages:
        select = words.select(stage, source)
        source = select.subquery(words.name(_ROWS), copy=False)
    select = words.select(keys | result, source)
    if keys:
        select = select.group_by(*map(words.of_rows, keys.values()), copy=False)
    return write(select)


def _bounded(stage: dict[str, Any], sums: dict[str, Any], words: "_Words") -> Any:
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


class _Words:
    """The vocabulary of `_query.Words`, as syntax trees, which may have parts in common.

    `select` makes copies, which have not.
    """

    def __init__(self, tree: Any, bounds: bool) -> None:
        self.tree = tree
        self.bounds = bounds

    def name(self, name: str) -> Any:
        text = name.replace(_BREAK, _NO_BREAK)
        return self.tree.Identifier(this=text, quoted=True)

    def table(self, parts: Sequence[str]) -> Any:
        names = [*map(self.name, parts)]
        this = names[0] if len(names) == 1 else self.tree.Dot.build(names)
        alias = self.tree.TableAlias(this=self.name(_ROWS))
        return self.tree.Table(this=this, alias=alias)

    def of_rows(self, column: Any) -> Any:
        column.set("table", self.name(_ROWS))
        return column

    def select(self, selection: dict[str, Any], source: Any) -> Any:
        """The columns by their names, of a table or sub-select."""
        columns = []
        for name, x in selection.items():
            made = self.tree.Alias(this=x.copy(), alias=self.name(name))
            for column in [*made.find_all(self.tree.Column)]:
                self.of_rows(column)
            for both in [*made.find_all(self.tree.And)]:
                both.set("this", both.left.unnest())
                both.set("expression", both.right.unnest())
            columns.append(made)
        return self.tree.select(*columns, copy=False).from_(source, copy=False)

    def column(self, name: str) -> Any:
        return self.tree.Column(this=self.name(name))

    def literal(self, value: Any) -> Any:
        tree = self.tree
        if isinstance(value, bool):
            return tree.Boolean(this=value)
        if isinstance(value, str):
            return tree.Literal.string(value.replace(_BREAK, _NO_BREAK))
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


def _writer(dialect: Any) -> tuple[Any, Any]:
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
        return text.replace(_NO_BREAK, _BREAK)

    return exp, write


def _check_name(name: Any, dialect: str) -> None:
    if not isinstance(name, str):
        raise TypeError(f"parts of a table's name must be strings, got {name!r}")
    if not name:
        raise ValueError("a name is empty")
    _check_text(name, f"the name {name!r}", dialect)


def _check_text(text: str, what: str, dialect: str) -> None:
    """Raise for what no text of SQL can quote."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} is no text of Unicode") from None
    if "\0" in text or _NO_BREAK in text:
        raise ValueError(f"{what} holds a character that SQL has not (NUL or U+FFFF)")
    if "${" in text and dialect in ("databricks", "hive", "spark", "spark2"):
        raise ValueError(f"{what} holds ${{, where {dialect} puts in a variable")


def from_sums(
    row: Any,
    *,
    classes: Any = None,
    by: str | Sequence[str] | None = None,
    on_invalid: Literal["error", "skip"] = "error",
) -> LogLossAccumulator | GroupedLogLoss:
    """The accumulator of the result of a query of :func:`log_loss`.

    Parameters
    ----------
    row : mapping, sequence of mappings or data frame
        The row of the result, by the names of its columns, in any case: a dict or what
        has ``keys()``, or a data frame of one row. With `by` all of its rows.
    classes : array-like of shape (n_classes,), default=None
        As of :func:`log_loss`; 0 to n_classes - 1 if None.
    by : str or list of str, default=None
        As of :func:`log_loss`.
    on_invalid : {"error", "skip"}, default="error"
        Whether rows of the table that are not valid are an error, or are left out.

    Returns
    -------
    LogLossAccumulator or GroupedLogLoss
        With `by` that of groups. It is not `exact`, and merges with others.

    Raises
    ------
    ValueError
        For rows of the table that are not valid, by number and reason, and where no rows
        are left; for columns that are missing, and for values that are no such sums.
    TypeError
        For what is no row.

    Warns
    -----
    UserWarning
        If probabilities of all classes do not sum to one in some rows.

    See Also
    --------
    log_loss : The text of the query.

    Examples
    --------
    >>> import duckdb
    >>> from fastlogloss import sql
    >>> engine = duckdb.connect()
    >>> rows = "VALUES (0, 0.1, 'a'), (1, 0.7, 'a'), (1, 0.8, 'b')"
    >>> engine.sql(f"CREATE TABLE clicks AS FROM ({rows}) AS t(y, p, site)")
    >>> text = sql.log_loss("clicks", label="y", proba="p")
    >>> sql.from_sums(engine.sql(text))
    LogLossAccumulator(n_samples=3, loss=0.2284)
    >>> text = sql.log_loss("clicks", label="y", proba="p", by="site")
    >>> sql.from_sums(engine.sql(text), by="site")
    GroupedLogLoss(n_groups=2, n_samples=3, loss=0.2284)
    """
    if on_invalid not in ("error", "skip"):
        raise ValueError(f"on_invalid must be 'error' or 'skip', got {on_invalid!r}")
    if by is not None and (
        isinstance(by, str) or not isinstance(by, list | tuple) or not by
    ):
        if not isinstance(by, str):
            raise TypeError(f"by must be names of columns, got {by!r}")
        by = [by]
    result = _Result(row)
    if by is None and len(result.rows) != 1:
        raise ValueError(
            f"there are {len(result.rows)} rows, not one; those of groups need by="
        )
    batches = result.batches(classes)
    found = read(result.sums(batches), len(batches.classes))
    sums = settled(found, skips=on_invalid == "skip")
    if by is None:
        return LogLossAccumulator._of(batches, state_of(sums))
    keys = tuple(_as_objects(result.values(name)) for name in by)
    return GroupedLogLoss._of_sums(batches, keys if len(keys) > 1 else keys[0], sums)


class _Result:
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
        n_classes, spec = len(batches.classes), batches.spec
        counts = ["n_rows", "n_bad_labels", "n_bad_scores"]
        of_weights = ["n_bad_weights", "n_zero_weights"]
        names, shares = (
            [f"sum_{name}" for name in SUMS],
            [f"class_{j}" for j in range(n_classes)],
        )
        plain = ["sum_wl", "sum_w2l2", "sum_w3l3"]
        extra = {*of_weights, *names} - {*plain}
        is_weighted = any(name in self for name in extra)
        if is_weighted:
            counts, names = counts + of_weights, names + shares
        else:
            counts, names = counts + shares, plain
        if spec.from_logits or spec.eps == 0:
            counts += ["n_infinite", *["n_minus_infinite"] * is_weighted]
        if "n_off_one" in self or (n_classes > 2 and not spec.from_logits):
            counts.append("n_off_one")
        found: dict[str, list[Any]] = {}
        for name in counts:
            found[name] = [self._count(name, x) for x in self.values(name)]
        for name in names:
            pairs = zip(self.values(name), self._n_rows, strict=True)
            found[name] = [self._sum(name, x, n) for x, n in pairs]
        return found

    def _count(self, name: str, value: Any) -> int:
        x = 0.0 if is_missing(value) else self._number(name, value)
        if not (math.isfinite(x) and 0 <= x < 2**63 and x == math.floor(x)):
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
    if hasattr(found, "keys") or hasattr(found, "asDict"):
        return [_row(found)]
    if isinstance(found, str | bytes) or not isinstance(found, Iterable):
        raise TypeError(f"row must be a mapping, got {type(found).__name__}")
    return [*map(_row, found)]


def _row(found: Any) -> Any:
    if isinstance(found, Mapping):
        return found
    if hasattr(found, "asDict"):
        return found.asDict()
    if hasattr(found, "keys"):
        return dict(found)
    raise TypeError(
        f"a row must be a mapping of its columns, got {type(found).__name__}"
    )


def _as_objects(values: list[Any]) -> Any:
    array = np.empty(len(values), object)
    array[:] = values
    return array
