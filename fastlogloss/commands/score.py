"""``fastlogloss score``: the log loss of rows that lie in files."""

import argparse
import csv
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

_DESCRIPTION = """\
Log loss of rows in files, whatever their size, read once and in little memory.

FILE is a Parquet, CSV or Arrow (IPC, Feather) file, a pattern such as 'logs/*.parquet',
or a folder with such files. CSV may be compressed (.gz, .zst), and .tsv has tabs. Where
folders are called key=value (Hive), key is a column too. "-" is the standard input, of
CSV or Arrow. A file that is named twice is read once."""
_EPILOG = """\
examples:
  %(prog)s log.parquet --label click --proba p
  %(prog)s 'logs/day=*/*.parquet' --label click --proba p --weight w --by day
  %(prog)s test.csv --label kind --proba p_cat,p_dog --classes cat,dog --format json
  %(prog)s test.csv --label click --model old=p1 --model new=p2 --plot models.png
  zcat log.csv.gz | %(prog)s - --label click --logit z

Exit status: 0, or 2 where an argument or a row is wrong, or 130 after Ctrl-C."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _DESCRIPTION
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("files", metavar="FILE", nargs="+", help="a file, a pattern, a folder or -")
    columns = parser.add_argument_group(
        "columns", "Names are separated by commas; one with a comma in quotation marks."
    )
    add = columns.add_argument
    add("--label", required=True, metavar="COLUMN", help="the class of each row")
    scores = columns.add_mutually_exclusive_group()
    scores.add_argument(
        "--proba",
        metavar="COLUMNS",
        help="probability of the second of two classes, a column for each class, or a "
        "column of lists",
    )
    scores.add_argument("--logit", metavar="COLUMNS", help="logits instead")
    add(
        "--model",
        action="append",
        default=[],
        metavar="NAME=COLUMNS",
        help="a model to be compared, as often as there are models; probabilities, or "
        "logits beside --logit",
    )
    add("--weight", metavar="COLUMN", help="weight of each row")
    add(
        "--by",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a table by this column too, heaviest groups first; rows of a group are "
        "taken to belong together (cluster-robust interval). Several are one key",
    )
    options = parser.add_argument_group("options")
    add = options.add_argument
    add(
        "--classes",
        metavar="LABELS",
        help="the label of each column of the scores, in this order (default: 0,1,...)",
    )
    add(
        "--eps",
        default="auto",
        type=_eps,
        help="probabilities are clipped to [eps, 1 - eps] (default: 2.2e-16)",
    )
    add(
        "--on-invalid",
        choices=["error", "skip"],
        default="error",
        help="rows with nulls, NaN, labels that are no class or probabilities outside "
        "[0, 1]: an error (default), or left out and counted",
    )
    add(
        "--format",
        choices=["text", "json", "csv"],
        default="text",
        help="of the result (default: text)",
    )
    add("--plot", metavar="PATH", help="draw losses and intervals, as .png or .svg")
    parser.set_defaults(command=run, parser=parser)


def _eps(text: str) -> Any:
    return text if text == "auto" else float(text)


def _split(text: str) -> tuple[str, ...]:
    return tuple(next(csv.reader([text]), ()))


def run(options: argparse.Namespace, _: Any = None) -> None:
    """Score the files and write the result; ends the process where it cannot."""
    from fastlogloss.commands import report
    from fastlogloss.commands.files import Failure
    from fastlogloss.commands.tally import Tally

    prog = options.parser.prog
    try:
        task = _task(options)
    except (TypeError, ValueError) as error:
        _end(prog, str(error), 2)
    tally = Tally(task)
    try:
        with warnings.catch_warnings(action="always", category=UserWarning):
            warnings.showwarning = lambda message, *_, **__: print(
                f"{prog}: {tally.source}: warning: {message}", file=sys.stderr
            )
            _heard(lambda: _read(options.files, tally))
        found = report.describe(tally)
        text = getattr(report, f"as_{options.format}")(found)
        if options.plot is not None:
            report.plot(found, options.plot)
        print(text, flush=True)
    except KeyboardInterrupt:
        _end(prog, f"interrupted after {tally.n_rows:,} rows; there is no result", 130)
    except BrokenPipeError:  # nobody reads on
        _end(prog, "", 1)
    except OSError as error:
        name = error.filename or "standard output"
        _end(prog, f"{name}: {error.strerror or error}", 2)
    except (Failure, ImportError, ValueError) as error:
        _end(prog, str(error), 2)


def _task(options: argparse.Namespace) -> Any:
    from fastlogloss._batches import Batches
    from fastlogloss.commands.tally import Task

    models: dict[str, tuple[str, ...]] = {}
    given = options.proba if options.logit is None else options.logit
    if given is not None:
        models[given] = _split(given)
    for text in options.model:
        name, sep, names = text.partition("=")
        if not (name and sep and names):
            raise ValueError(f"--model must be NAME=COLUMNS, got {text!r}")
        if name in models:
            raise ValueError(f"there are two models of the name {name!r}")
        models[name] = _split(names)
    if not models:
        raise ValueError("there must be --proba, --logit or --model")
    classes = None if options.classes is None else _split(options.classes)
    if classes is not None and (len(classes) < 2 or len({*classes}) < len(classes)):
        raise ValueError("--classes must be at least two labels, all different")
    if options.plot and not options.plot.lower().endswith((".png", ".svg")):
        raise ValueError("--plot must be a path that ends in .png or .svg")
    is_logit = options.logit is not None
    Batches(eps=options.eps)  # a ValueError for what is none
    task = Task(
        models, options.label, is_logit, options.weight, tuple(options.by), classes
    )
    task = task._replace(eps=options.eps, skips=options.on_invalid == "skip")
    task.all_columns()
    return task


def _read(names: list[str], tally: Any) -> None:
    """Add the rows of all files."""
    from fastlogloss._arrow_arrays import import_pyarrow
    from fastlogloss.commands.files import Failure, find

    ArrowException = import_pyarrow().ArrowException
    files = find(names)
    columns = tally.task.all_columns()
    types = _types_of_csv(tally.task, columns)
    progress = _Progress(sum(file.size for file in files))
    try:
        for file in files:
            first, tally.source = 0, file.name
            for batch in file.batches(columns, types):
                try:
                    tally.add(batch, first)
                except (TypeError, ValueError, Failure, ArrowException) as error:
                    raise Failure(f"{file.name}: {error}") from None
                first += len(batch)
                progress.show(tally.n_rows, file)
            progress.done(file)
    finally:
        progress.close()
    n_skipped = sum(tally.skipped.values())
    if tally.n_rows == n_skipped:
        why = ", ".join(f"{n} where {why}" for why, n in tally.skipped.items())
        words = f"no rows are left: skipped {why}" if n_skipped else "there are no rows"
        raise Failure(f"{files[0].name}: {words}" if len(files) == 1 else words)


def _types_of_csv(task: Any, columns: Any) -> dict[str, Any]:
    """Types that the first rows of a CSV file cannot tell for sure."""
    from fastlogloss._arrow_arrays import import_pyarrow

    pyarrow = import_pyarrow()
    types = {name: pyarrow.float64() for name in columns.scores + columns.weight}
    if task.classes is not None and not all(map(_is_number, task.classes)):
        if {text.lower() for text in task.classes} != {"false", "true"}:
            types[task.label] = pyarrow.string()
    return types


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _heard(function: Callable[[], None]) -> None:
    """Run it in a thread: Ctrl-C is heard even while a library waits for data."""
    raised: list[BaseException] = []

    def target() -> None:
        try:
            function()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=target, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(1.0)
    if raised:
        raise raised[0]


def _end(prog: str, words: str, status: int) -> None:
    """End the process, also where a thread is still reading."""
    if words:
        line = " ".join(words.split("\n"))
        print(f"{prog}: {line}", file=sys.stderr, flush=True)
    if status == 2:
        raise SystemExit(2)
    os._exit(status)


class _Progress:
    """A bar on a terminal; nothing where errors go elsewhere."""

    def __init__(self, size: int) -> None:
        self._bar: Any = None
        self._before = 0.0  # bytes of files that are done
        self._start = time.monotonic()
        if not sys.stderr.isatty():
            return
        try:
            from tqdm import tqdm
        except ImportError:
            return
        form = "{percentage:3.0f}%|{bar}| {postfix[0]} [{elapsed}<{remaining}]"
        if not size:
            form = "{postfix[0]} [{elapsed}]"
        self._bar = tqdm(
            total=size or None, bar_format=form, postfix=["0 rows"], leave=False
        )

    def show(self, n_rows: int, file: Any) -> None:
        if self._bar is None:
            return
        seconds = max(time.monotonic() - self._start, 1e-9)
        self._bar.postfix[0] = f"{n_rows:,} rows, {n_rows / seconds:,.0f} rows/s"
        at = self._before + file.share_read * file.size
        self._bar.update(max(at - self._bar.n, 0))

    def done(self, file: Any) -> None:
        self._before += file.size
        if self._bar is not None:
            self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
