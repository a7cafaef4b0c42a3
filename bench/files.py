"""Rows in a Parquet file: CPU seconds and peak memory, each in fresh processes.

    python -m bench.files

measures and keeps a table in bench/results/files.md. What is timed begins after all
imports and a run on a small file, and is the processor time of all threads. Memory is
the peak of the resident set, imports included.
"""

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "bench/results/files.md"
N = 10**7
SMALL = 1000
GROUPS = 1000
TIME = {False: 1.35, True: 2.5}  # times what reading takes, by whether there are groups
MEMORY = {False: 350, True: 450}  # MiB
OURS = "`fastlogloss score`"
READ = "pyarrow, read only"


def write(path, n, dtype, row_group=2**20):
    """A file of labels, probabilities and groups."""
    import pyarrow
    import pyarrow.parquet

    rng = np.random.default_rng(0)
    writer = None
    for start in range(0, n, row_group):
        m = min(row_group, n - start)
        p = rng.random(m).astype(dtype)
        table = pyarrow.table(
            {
                "y": (rng.random(m) < p).astype(np.int8),
                "p": p,
                "g": rng.integers(0, GROUPS, m, dtype=np.int32),
            }
        )
        if writer is None:
            writer = pyarrow.parquet.ParquetWriter(
                path, table.schema, compression="zstd"
            )
        writer.write_table(table)
    writer.close()


def read_only(path, by):
    import pyarrow.dataset

    columns = ["y", "p", *by]
    rows = 0
    for batch in pyarrow.dataset.dataset(path).to_batches(columns=columns):
        rows += len(batch)
    return rows


def command(path, by):
    from fastlogloss.cli import main

    options = [option for name in by for option in ("--by", name)]
    options += ["--format", "json"]
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        main(["score", path, "--label", "y", "--proba", "p", *options])
    return json.loads(out.getvalue())["loss"]


def duckdb(path, by):
    import duckdb

    from fastlogloss import sql

    text = sql.log_loss("rows", label="y", proba="p", by=by or None)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE VIEW rows AS FROM read_parquet('{path}')")
        found = connection.execute(text)
        names = [column[0] for column in found.description]
        rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
    if by:
        return sql.from_sums(rows, by=by).total().loss
    return sql.from_sums(rows[0]).loss


def polars(path, by):
    import polars

    from fastlogloss.integrations import frames

    rows = polars.scan_parquet(path)
    found = frames.log_loss(rows, label="y", proba="p", by=by or None)
    return (found.total() if by else found).loss


CONTENDERS = {
    READ: read_only,
    OURS: command,
    "DuckDB, the text of `fastlogloss.sql`": duckdb,
    "polars, lazy, `integrations.frames`": polars,
}


def peak_memory():
    """KiB of this program; what getrusage says includes the one that started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def run(name, path, small, by):
    """Measure in this process, and print."""
    function = CONTENDERS[name]
    function(small, by)
    start = time.process_time()
    value = function(path, by)
    seconds = time.process_time() - start
    peak = peak_memory() / 2**10
    print(json.dumps({"seconds": seconds, "peak": peak, "value": value}))


def measured(name, path, small, by):
    arguments = [sys.executable, "-m", "bench.files", "--run", name, path, small, *by]
    found = subprocess.run(
        arguments, cwd=ROOT, check=True, stdout=subprocess.PIPE, timeout=600
    )
    return json.loads(found.stdout.splitlines()[-1])


def rows_of_table(path, small, title, rounds):
    for by in [], ["g"]:
        best = {}
        for _ in range(rounds):
            for name in CONTENDERS:
                found = measured(name, path, small, by)
                seconds, peak, _ = best.get(name, (np.inf, np.inf, None))
                seconds = min(seconds, found["seconds"])
                best[name] = seconds, min(peak, found["peak"]), found["value"]
        losses = [value for name, (*_, value) in best.items() if name != READ]
        assert np.allclose(losses, losses[0], rtol=1e-12, atol=0), losses
        for name, (seconds, peak, _) in best.items():
            ratio = seconds / best[READ][0]
            what = f"{title}, {GROUPS} groups" if by else title
            words = f"{ratio:.2f} x", f"{peak:.0f} MiB"
            if name == OURS:
                limits = TIME[bool(by)], MEMORY[bool(by)]
                words = (
                    _against(words[0], ratio, limits[0], f"{limits[0]} x"),
                    _against(words[1], peak, limits[1], f"{limits[1]} MiB"),
                )
            yield what, name, f"{seconds:.3f}", *words


def _against(words, value, limit, target):
    if value <= limit:
        return f"{words} (≤ {target})"
    return f"**missed: {words} (≤ {target})**"


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=N)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.run:
        name, path, small, *by = options.run
        run(name, path, small, by)
        return
    lines = [
        "| rows | by | CPU s | of reading | peak |",
        "| --- | --- | --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory() as folder:
        for dtype in np.float64, np.float32:
            path, small = f"{folder}/rows.parquet", f"{folder}/small.parquet"
            write(path, options.rows, dtype)
            write(small, SMALL, dtype)
            title = f"{options.rows:.0e}".replace("e+0", "e") + f", {dtype.__name__}"
            for row in rows_of_table(path, small, title, options.rounds):
                lines.append(f"| {' | '.join(row)} |")
                print(lines[-1], flush=True)
    if options.rows == N:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
