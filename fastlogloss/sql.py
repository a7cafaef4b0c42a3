"""Log loss by a query: the text for an engine, and what its result says."""

from collections.abc import Sequence
from typing import Any, Literal

from fastlogloss._arrow import Columns
from fastlogloss._batches import Batches
from fastlogloss._query import Query
from fastlogloss._query_result import read, settled, skips, state_of
from fastlogloss._sql_result import Result
from fastlogloss._sql_text import Words, bounded, check_name, check_text, writer
from fastlogloss.accumulator import LogLossAccumulator
from fastlogloss.groups import GroupedLogLoss


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
    All names are quoted as they are given. So they have the case that the engine
    stores: Snowflake upper case, Postgres lower case, of names that were not quoted.

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
    ``sum_w``, ``sum_wl`` weights, weighted losses: where no loss is infinite the mean
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
    beyond 1e100 there is no standard error. They do raise for logits beyond 8e307.

    Examples
    --------
    >>> from fastlogloss import sql
    >>> text = sql.log_loss("logs.clicks", label="clicked", proba="p", by="country")
    >>> for line in text.splitlines()[:3]:
    ...     print(line)
    SELECT
      "rows"."g0" AS "country",
      CAST('2.220446049250313e-16' AS DOUBLE) AS "eps",
    """
    tree, write = writer(dialect)
    if classes is None:
        scores = proba if logit is None else logit
        classes = range(max(len(scores) if isinstance(scores, list | tuple) else 0, 2))
    batches = Batches(classes, eps, logit is not None)
    columns = Columns(batches, label, proba, logit, weight, () if by is None else by)
    parts = table.split(".") if isinstance(table, str) else table
    if not isinstance(parts, list | tuple) or not parts:
        raise TypeError(f"table must be a name or a tuple of its parts, got {table!r}")
    for name in (*parts, *columns.names):
        check_name(name, dialect)
    for label_ in batches.classes:
        if isinstance(label_, str):
            check_text(label_, f"the class {label_!r}", dialect)
    words = Words(tree, dialect)
    query = Query(columns, batches, is_single=True)
    stages, sums = [*query.stages(words)], query.sums(words)
    if words.bounds:
        stages.append(bounded(stages[-1], sums, words))
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
    text: str = write(words.query(parts, stages, keys | result, keys))
    return text


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
        For rows of the table that are not valid, by number and reason, and where no
        rows are left; for columns that are missing, and values that are no such sums.
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
    >>> _ = engine.execute(f"CREATE TABLE clicks AS FROM ({rows}) AS t(y, p, site)")
    >>> text = sql.log_loss("clicks", label="y", proba="p")
    >>> sql.from_sums(engine.sql(text))
    LogLossAccumulator(n_samples=3, loss=0.2284)
    >>> text = sql.log_loss("clicks", label="y", proba="p", by="site")
    >>> sql.from_sums(engine.sql(text), by="site")
    GroupedLogLoss(n_groups=2, n_samples=3, loss=0.2284)
    """
    leaves_out = skips(on_invalid)
    by = [by] if isinstance(by, str) else by
    if by is not None and not (
        isinstance(by, list | tuple) and by and all(isinstance(n, str) for n in by)
    ):
        raise TypeError(f"by must be names of columns, got {by!r}")
    result = Result(row)
    if by is None and len(result.rows) != 1:
        raise ValueError(
            f"there are {len(result.rows)} rows, not one; those of groups need by="
        )
    batches = result.batches(classes)
    found = read(result.sums(batches), len(batches.classes))
    sums = settled(found, leaves_out=leaves_out)
    if by is None:
        return LogLossAccumulator._of(batches, state_of(sums))
    keys = tuple(map(result.keys, by))
    return GroupedLogLoss._of_sums(batches, keys if len(keys) > 1 else keys[0], sums)
