"""Files of rows -> record batches, one after another, whatever their size.

What a file is, its first bytes say; its name only says what is expected. Each file is
read by itself and in order, so that a row has a number that its owner can look up.
"""

import csv
import glob
import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote

from fastlogloss._arrow import PARQUET_BUFFER, Columns
from fastlogloss._arrow_arrays import import_pyarrow, is_text
from fastlogloss.commands.stream import Stream

_SUFFIXES = {"parquet": "Parquet", "pq": "Parquet", "parq": "Parquet"}
_SUFFIXES |= {"csv": "CSV", "tsv": "CSV"}
_SUFFIXES |= {"arrow": "Arrow", "arrows": "Arrow", "feather": "Arrow", "ipc": "Arrow"}
_CODECS = {"gz": "gzip", "zst": "zstd"}
_MAGIC = {b"PAR1": "Parquet", b"ARRO": "Arrow file", b"\xff\xff\xff\xff": "Arrow"}
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_NO_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_NULLS = ["", "null", "NULL", "\\N"]
_BATCH = 1 << 17  # rows
_FEW = 8  # columns
_BLOCK = 1 << 20  # bytes
_CSV_ERROR = re.compile(
    r"In CSV column #(\d+): (?:Row #(\d+): )?(.*)|.*Row #(\d+): (.*)"
)


class Failure(Exception):
    """What is wrong, in one line."""


class File:
    """A file that is there, or the standard input.

    Attributes
    ----------
    path : str
        "-" is the standard input.
    expected : str or None
        Parquet, CSV or Arrow, by its name.
    partitions : dict
        Columns that the names of its folders hold, as key=value.
    share_read : float
        How much of it has been read.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        is_stream = path == "-"
        self.name = "standard input" if is_stream else path
        self.expected = None if is_stream else _expected(path)
        folders = [] if is_stream else os.path.dirname(path).split(os.sep)
        pairs = (folder.partition("=") for folder in folders)
        self.partitions: dict[str, Any] = {
            key: unquote(text) for key, sep, text in pairs if sep
        }
        self.size = 0 if is_stream else os.stat(path).st_size
        self.share_read = 0.0

    def batches(self, columns: Columns, types: dict[str, Any]) -> Iterator[Any]:
        """Record batches with the columns; `types` has those of CSV that are known.

        Raises
        ------
        Failure
            For what cannot be read; the message names the file.
        """
        pyarrow = import_pyarrow()
        n = 0
        try:
            before = self._stamp()
            for batch in self._read(columns, types):
                yield self._with_partitions(batch, columns)
                n += len(batch)
            if self._stamp() != before:
                raise Failure(f"{self.name}: changed while it was read")
        except (pyarrow.ArrowException, OSError, EOFError, ValueError) as error:
            words = str(error).strip().splitlines()[0] if str(error).strip() else ""
            if isinstance(error, OSError) and error.strerror:
                words = error.strerror
            where = f" after row {n - 1}" if n else ""
            words = words or type(error).__name__
            raise Failure(f"{self.name}: cannot be read{where}: {words}") from None

    def _stamp(self) -> tuple[int, int] | None:
        if self.path == "-":
            return None
        status = os.stat(self.path)
        return status.st_size, status.st_mtime_ns

    def _open(self) -> Any:
        if self.path != "-":
            return open(self.path, "rb")
        if sys.stdin is None:
            raise Failure(f"{self.name}: is closed")
        return sys.stdin.buffer

    def _read(self, columns: Columns, types: dict[str, Any]) -> Iterator[Any]:
        with self._open() as raw:
            stream = Stream(raw)
            head = stream.peek(8)
            if not head:
                raise Failure(f"{self.name}: is empty")
            kind = _MAGIC.get(head[:4], "CSV")
            expected = self.expected
            if expected is not None and not kind.startswith(expected):
                raise Failure(f"{self.name}: is no {expected} file, or a damaged one")
            if kind == "Parquet":
                if self.path == "-":
                    raise Failure(
                        f"{self.name}: is Parquet, which cannot be read from a pipe; "
                        "name the file"
                    )
                batches = self._parquet(columns)
            elif kind == "Arrow file" and self.path != "-":
                batches = self._arrow(columns)
            elif kind != "CSV":
                if kind == "Arrow file":  # its batches are those of a stream
                    stream.read(8)
                batches = self._arrow_stream(stream, columns)
            else:
                batches = self._csv(stream, head, columns, types)
            for batch in batches:
                if self.size and kind == "CSV":
                    self.share_read = raw.tell() / self.size
                yield batch
            self.share_read = 1.0

    def _parquet(self, columns: Columns) -> Iterator[Any]:
        from pyarrow import parquet

        # By default all that has been read of a file would stay in memory.
        options: Any = {"pre_buffer": False, "buffer_size": PARQUET_BUFFER}
        with parquet.ParquetFile(self.path, **options) as file:
            names = self._wanted(columns, file.schema_arrow.names)
            keys = {*columns.by, *columns.label} & {*names}
            texts = [n for n in keys if is_text(file.schema_arrow.field(n).type)]
        with parquet.ParquetFile(self.path, read_dictionary=texts, **options) as file:
            n, total = 0, max(file.metadata.num_rows, 1)
            # Of few columns, threads take more time to meet than they save.
            threads = len(names) > _FEW
            for batch in file.iter_batches(_BATCH, columns=names, use_threads=threads):
                n += len(batch)
                self.share_read = n / total
                yield batch
            if n < file.metadata.num_rows:
                raise EOFError(f"rows are missing after row {n}")

    def _arrow(self, columns: Columns) -> Iterator[Any]:
        pyarrow = import_pyarrow()
        with pyarrow.OSFile(self.path) as source:
            with pyarrow.ipc.open_file(source) as file:
                there = file.schema.names
                names = self._wanted(columns, there)
            options = pyarrow.ipc.IpcReadOptions(included_fields=_places(names, there))
            with pyarrow.ipc.open_file(source, options=options) as file:
                for i in range(file.num_record_batches):
                    yield file.get_batch(i)
                    self.share_read = i / file.num_record_batches

    def _arrow_stream(self, stream: Stream, columns: Columns) -> Iterator[Any]:
        pyarrow = import_pyarrow()
        source = pyarrow.PythonFile(stream, "r")
        with pyarrow.ipc.open_stream(source) as reader:
            self._wanted(columns, reader.schema.names)
            yield from reader

    def _csv(
        self, stream: Stream, head: bytes, columns: Columns, types: dict[str, Any]
    ) -> Iterator[Any]:
        pyarrow = import_pyarrow()
        from pyarrow import csv as arrow_csv

        codec = next((c for m, c in _COMPRESSED.items() if head.startswith(m)), None)
        if codec is not None:
            source = pyarrow.PythonFile(stream, "r")
            stream = Stream(pyarrow.CompressedInputStream(source, codec))
        try:
            line = stream.peek_line().decode("utf-8-sig")
        except UnicodeDecodeError:
            raise Failure(
                f"{self.name}: is neither Parquet nor Arrow nor CSV"
            ) from None
        if not line.strip():
            raise Failure(f"{self.name}: has no line with the names of columns")
        delimiter = "\t" if ".tsv" in os.path.basename(self.path) else ","
        there = next(csv.reader([line], delimiter=delimiter))
        names = self._wanted(columns, there)
        try:
            reader = arrow_csv.open_csv(
                pyarrow.PythonFile(stream, "r"),
                # Threads would lose the numbers of rows in messages.
                arrow_csv.ReadOptions(use_threads=False, block_size=_BLOCK),
                arrow_csv.ParseOptions(delimiter=delimiter),
                arrow_csv.ConvertOptions(
                    include_columns=names,
                    column_types=types,
                    # Not "NA", which may be Namibia, nor "NaN", which is a number.
                    null_values=_NULLS,
                    strings_can_be_null=True,
                ),
            )
            yield from reader
        except pyarrow.ArrowInvalid as error:
            found = _CSV_ERROR.match(str(error).splitlines()[0])
            if found is None:
                raise
            column, row, words, other_row, other_words = found.groups()
            place = "" if column is None else f" column {there[int(column)]!r}"
            line_number = row or other_row
            if line_number is not None:
                place += f" in row {int(line_number) - 2}"
            words = (words or other_words).replace("CSV conversion error to ", "no ")
            raise Failure(f"{self.name}:{place}: {words}") from None

    def _wanted(self, columns: Columns, there: Sequence[str]) -> list[str]:
        """Names of the columns that the file itself has to have."""
        inside = [name for name in self.partitions if name not in there]
        try:
            columns.check([*there, *inside])
        except ValueError as error:
            raise Failure(f"{self.name}: {error}") from None
        return [name for name in columns.names if name in there]

    def _with_partitions(self, batch: Any, columns: Columns) -> Any:
        pyarrow = import_pyarrow()
        for name, value in self.partitions.items():
            if name in columns.names and name not in batch.schema.names:
                array = pyarrow.repeat(pyarrow.scalar(value), len(batch))
                batch = batch.append_column(name, array)
        return batch


def _expected(path: str) -> str | None:
    parts = os.path.basename(path).lower().split(".")[1:]
    if parts and parts[-1] in _CODECS:
        parts.pop()
    return _SUFFIXES.get(parts[-1]) if parts else None


def _places(names: Sequence[str], there: Sequence[str]) -> list[int]:
    return [there.index(name) for name in names]


def find(arguments: Sequence[str]) -> list[File]:
    """The files that names, patterns and folders stand for, each once.

    In folders, hidden files and those whose names say nothing that can be read are
    left out.
    """
    paths: list[str] = []
    for argument in arguments:
        if argument == "-" or os.path.isfile(argument):
            paths.append(argument)
            continue
        is_there = os.path.exists(argument)
        some = [argument] if is_there else sorted(glob.glob(argument, recursive=True))
        if not some:
            raise Failure(f"{argument}: there is no such file")
        for path in some:
            inside = _inside(path) if os.path.isdir(path) else [path]
            if not inside:
                raise Failure(f"{path}: holds no Parquet, CSV or Arrow files")
            paths += inside
    unique = {path if path == "-" else os.path.realpath(path): path for path in paths}
    try:
        found = [File(path) for path in unique.values()]
    except OSError as error:
        raise Failure(f"{error.filename}: {error.strerror}") from None
    _type_partitions(found)
    return found


def _type_partitions(files: Sequence[File]) -> None:
    """Make numbers of the texts of a key where all of them are numbers."""
    for key in {key for file in files for key in file.partitions}:
        of_key = [file.partitions for file in files if key in file.partitions]
        texts = {part[key] for part in of_key} - {_NO_PARTITION}
        are_numbers = all(re.fullmatch(r"0|-?[1-9]\d{0,17}", text) for text in texts)
        for part in of_key:
            text = part[key]
            if text == _NO_PARTITION:
                part[key] = None
            elif are_numbers:
                part[key] = int(text)


def _inside(folder: str) -> list[str]:
    paths = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name[0] not in "._")
        paths += [
            os.path.join(root, name)
            for name in sorted(names)
            if name[0] not in "._" and _expected(name)
        ]
    return paths
