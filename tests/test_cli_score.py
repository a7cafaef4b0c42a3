"""fastlogloss score FILE..."""

import contextlib
import csv
import gzip
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
import time
import types

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet
import pytest

from fastlogloss import LogLossAccumulator, compare_log_loss, log_loss_by_group
from fastlogloss.cli import main
from fastlogloss.commands import tally

N = 3000
RNG = np.random.default_rng(0)
P = RNG.random(N).round(6)
Y = (RNG.random(N) < P).astype(np.int8)
Q = np.clip(P + RNG.normal(0, 0.1, N), 0.01, 0.99).round(6)
W = RNG.random(N).round(3)
G = np.array(["mon", "tue", "wed", "thu"])[RNG.choice(4, N, p=[0.1, 0.2, 0.3, 0.4])]
TABLE = pa.table({"click": Y, "p": P, "q": Q, "w": W, "day": G})
CLICK = ["--label", "click", "--proba", "p"]


def write_csv(table, path):
    pa.csv.write_csv(table, path)


def write_zst(table, path):
    with pa.CompressedOutputStream(str(path), "zstd") as out:
        pa.csv.write_csv(table, out)


def write_gz(table, path):
    with gzip.open(path, "wb") as out:
        pa.csv.write_csv(table, out)


def write_tsv(table, path):
    text = io.BytesIO()
    pa.csv.write_csv(table, text, pa.csv.WriteOptions(delimiter="\t"))
    path.write_bytes(text.getvalue())


def write_parquet(table, path):
    pa.parquet.write_table(table, path, compression="zstd", row_group_size=700)


def write_arrow(table, path):
    with pa.ipc.new_file(str(path), table.schema) as out:
        out.write_table(table, max_chunksize=700)


def write_stream(table, path):
    with pa.ipc.new_stream(str(path), table.schema) as out:
        out.write_table(table, max_chunksize=700)


def write_feather(table, path):
    pa.feather.write_feather(table, str(path), compression="zstd")


FORMATS = {
    "a.parquet": write_parquet,
    "a.pq": write_parquet,
    "no_suffix": write_parquet,
    "a.csv": write_csv,
    "a.csv.gz": write_gz,
    "a.csv.zst": write_zst,
    "a.tsv": write_tsv,
    "b": write_csv,
    "a.arrow": write_arrow,
    "a.ipc": write_stream,
    "a.feather": write_feather,
}


@pytest.fixture
def score(capsys, monkeypatch):
    """The result of an in-process run; with `fails` the one line on errors."""

    def run(*arguments, stdin=None, fails=False):
        if stdin is not None:
            monkeypatch.setattr(
                sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(stdin))
            )
        if not fails:
            main(["score", *map(str, arguments), "--format", "json"])
            return json.loads(capsys.readouterr().out)
        with pytest.raises(SystemExit) as ended:
            main(["score", *map(str, arguments)])
        assert ended.value.code == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.count("\n") == 1
        assert err.endswith("\n")
        return err

    return run


@pytest.fixture
def path(tmp_path):
    write_parquet(TABLE, tmp_path / "a.parquet")
    return tmp_path / "a.parquet"


def check(found, expected):
    """The same bits, whatever the names of what is there."""
    for name in ("n_samples", "loss", "loss_sum", "weight_sum", "standard_error"):
        assert found[name] == getattr(expected, name), name
    interval = expected.confidence_interval()._asdict()
    assert found["confidence_interval"] == interval
    for name in ("null_loss", "normalized_entropy", "d2"):
        assert found[name] == getattr(expected, name)


class TestFormats:
    @pytest.mark.parametrize(("name", "write"), FORMATS.items(), ids=FORMATS)
    def test_the_same_bits(self, score, tmp_path, name, write):
        write(TABLE, tmp_path / name)
        found = score(tmp_path / name, *CLICK)
        check(found, LogLossAccumulator().update(Y, P))
        assert found["class_weights"] == {"0": N - Y.sum(), "1": Y.sum()}
        assert found["exact"] is True
        assert found["skipped"] == {}
        found = score(tmp_path / name, *CLICK, "--weight", "w", "--by", "day")
        groups = log_loss_by_group(Y, P, G, sample_weight=W)
        check(found, groups.total())
        weights = [group["weight_sum"] for group in found["groups"]]
        assert weights == sorted(weights, reverse=True)
        for group in found["groups"]:
            check(group, groups[group["group"]["day"]])

    @pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.arrow", "a.ipc"])
    def test_standard_input(self, score, tmp_path, name):
        FORMATS[name](TABLE, tmp_path / name)
        found = score("-", *CLICK, stdin=(tmp_path / name).read_bytes())
        check(found, LogLossAccumulator().update(Y, P))

    def test_no_parquet_from_a_pipe(self, score, path):
        words = score("-", *CLICK, stdin=path.read_bytes(), fails=True)
        assert "is Parquet, which cannot be read from a pipe" in words

    def test_several_files(self, score, tmp_path):
        for i, (name, write) in enumerate(FORMATS.items()):
            write(TABLE.slice(i * 100, 100), tmp_path / name)
        n = 100 * len(FORMATS)
        expected = LogLossAccumulator().update(Y[:n], P[:n])
        paths = [tmp_path / name for name in FORMATS]
        check(score(*paths, paths[0], *CLICK), expected)

    def test_patterns_and_folders(self, score, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        for i, day in enumerate(["mon", "tue", "wed", "thu"]):
            folder = tmp_path / "log" / f"hour={i}" / f"day={day}"
            folder.mkdir(parents=True)
            part = TABLE.filter(pa.array(day == G)).drop_columns("day")
            (write_parquet if i % 2 else write_csv)(
                part, folder / ("x.parquet" if i % 2 else "x.csv")
            )
            (folder / "_SUCCESS").touch()
            (folder / "notes.txt").write_text("nothing")
        expected = log_loss_by_group(Y, P, G)
        for name in ("log", "log/*/*/x.*", "log/**/x.*"):
            found = score(name, *CLICK, "--by", "day", "--by", "hour")
            check(found, expected.total())
            hours = {g["group"]["day"]: g["group"]["hour"] for g in found["groups"]}
            assert hours == {"mon": 0, "tue": 1, "wed": 2, "thu": 3}
            for group in found["groups"]:
                check(group, expected[group["group"]["day"]])

    def test_types_may_differ(self, score, tmp_path):
        a, b = TABLE.slice(0, 1500), TABLE.slice(1500)
        b = b.set_column(1, "p", b["p"].cast(pa.float32())).select(["p", "click", "w"])
        write_parquet(a, tmp_path / "a.parquet")
        write_parquet(b, tmp_path / "b.parquet")
        expected = LogLossAccumulator().update(Y[:1500], P[:1500])
        expected.update(Y[1500:], P[1500:].astype(np.float32))
        check(score(tmp_path, *CLICK), expected)

    def test_csv_whose_first_numbers_are_whole(self, score, tmp_path):
        rows = ["click,p,w"] + ["0,0,1"] * 200_000 + ["1,0.5,0.25"]
        (tmp_path / "a.csv").write_text("\n".join(rows))
        found = score(tmp_path / "a.csv", *CLICK, "--weight", "w")
        assert found["loss_sum"] == LogLossAccumulator().update(
            [1], [0.5], [0.25]
        ).loss_sum + (200_000 * LogLossAccumulator().update([0], [0.0]).loss)


class TestClasses:
    kinds = np.array(["cat", "dog", "cow"])

    def test_strings(self, score, tmp_path):
        y = RNG.integers(3, size=N)
        p = RNG.dirichlet([1, 1, 1], N)
        table = pa.table({"y": self.kinds[y]} | {f"p{i}": p[:, i] for i in range(3)})
        table = table.append_column("list", pa.array(list(p)))
        expected = LogLossAccumulator([*self.kinds]).update(self.kinds[y], p)
        write_parquet(table, tmp_path / "a.parquet")
        write_csv(table.drop_columns("list"), tmp_path / "a.csv")
        options = ["--label", "y", "--classes", "cat,dog,cow", "--proba"]
        for name, columns in (
            ("a.parquet", "p0,p1,p2"),
            ("a.parquet", "list"),
            ("a.csv", "p0,p1,p2"),
        ):
            found = score(tmp_path / name, *options, columns)
            check(found, expected)
            assert found["classes"] == [*self.kinds]

    @pytest.mark.parametrize(
        ("labels", "classes"),
        [
            (Y * 5 + 2, "2,7"),
            (Y * 5.0 + 2, "2.0,7"),
            (Y * 5.0 + 2, "2,7"),
            (Y.astype(bool), "false,true"),
            (Y.astype(bool), "0,1"),
            (Y.astype(bool), None),
            (np.array(["no", "yes"])[Y], "no,yes"),
            (np.array(["a,b", "c"])[Y], '"a,b",c'),
        ],
    )
    @pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
    def test_types(self, score, tmp_path, labels, classes, name):
        FORMATS[name](pa.table({"y": labels, "p": P}), tmp_path / name)
        options = [] if classes is None else ["--classes", classes]
        found = score(tmp_path / name, "--label", "y", "--proba", "p", *options)
        check(found, LogLossAccumulator().update(Y, P))

    def test_logits(self, score, tmp_path):
        z = RNG.normal(0, 300, N)
        write_parquet(pa.table({"y": Y, "z": z}), tmp_path / "a.parquet")
        found = score(tmp_path / "a.parquet", "--label", "y", "--logit", "z")
        check(found, LogLossAccumulator(from_logits=True).update(Y, z))

    def test_eps(self, score, path):
        found = score(path, *CLICK, "--eps", "0.1")
        check(found, LogLossAccumulator(eps=0.1).update(Y, P))

    def test_infinite(self, score, tmp_path, capsys):
        (tmp_path / "a.csv").write_text("click,p\n0,1\n1,1\n")
        found = score(tmp_path / "a.csv", *CLICK, "--eps", "0")
        assert found["loss"] == "inf"
        assert found["standard_error"] is None
        main(["score", str(tmp_path / "a.csv"), *CLICK, "--eps", "0"])
        assert "inf" in capsys.readouterr().out


class TestModels:
    models = ("--model", "old=p", "--model", "noisy=q", "--model", "half=w")

    @pytest.mark.parametrize("by", [[], ["--by", "day"]])
    def test_ranked_with_differences(self, score, path, by):
        found = score(path, "--label", "click", *self.models, *by)
        groups = G if by else None
        assert [m["name"] for m in found["models"]] == ["old", "noisy", "half"]
        assert [m["rank"] for m in found["models"]] == [1, 2, 3]
        assert found["models"][0]["to_best"] is None
        for model, scores in zip(found["models"], (P, Q, W), strict=True):
            if by:
                all_groups = log_loss_by_group(Y, scores, G)
                check(model, all_groups.total())
                for group in model["groups"]:
                    check(group, all_groups[group["group"]["day"]])
            else:
                check(model, LogLossAccumulator().update(Y, scores))
            if model["to_best"]:
                with pytest.warns(UserWarning, match="groups") if by else _nothing():
                    pair = compare_log_loss(Y, scores, P, groups=groups)
                to_best = model["to_best"]
                assert to_best["difference"] == pair.difference
                assert to_best["standard_error"] == pair.standard_error
                assert to_best["pvalue"] == pytest.approx(pair.pvalue, rel=1e-9)
                low, high = pair.confidence_interval()
                ends = to_best["confidence_interval"]
                assert ends["low"] == pytest.approx(low, rel=1e-9)
                assert ends["high"] == pytest.approx(high, rel=1e-9)

    def test_beside_proba(self, score, path):
        found = score(path, *CLICK, "--model", "noisy=q")
        assert [m["name"] for m in found["models"]] == ["p", "noisy"]

    @pytest.mark.parametrize("by", [[], ["--by", "day"]])
    @pytest.mark.parametrize("form", ["text", "csv"])
    def test_other_formats(self, path, capsys, by, form):
        arguments = [str(path), "--label", "click", *self.models, *by]
        main(["score", *arguments, "--format", form])
        text = capsys.readouterr().out
        if form == "csv":
            rows = list(csv.DictReader(io.StringIO(text)))
            assert len(rows) == (12 if by else 3)
            assert rows[0]["model"] == "old"
            losses = [float(row["loss"]) for row in rows]
            if not by:
                assert losses[0] == LogLossAccumulator().update(Y, P).loss
                assert float(rows[1]["difference"]) > 0
        else:
            assert re.search(r"^1 +old .*\n2 +noisy .*\n3 +half ", text, re.M)
            assert ("thu" in text) is bool(by)


def _nothing():
    return contextlib.nullcontext()


class TestText:
    def test_one(self, path, capsys):
        main(["score", str(path), *CLICK])
        found = capsys.readouterr()
        assert found.err == ""
        loss = LogLossAccumulator().update(Y, P).loss
        assert found.out.startswith(f"log loss            {loss:.10g}   95 %")
        assert "rows                3,000\n" in found.out

    def test_groups(self, path, capsys):
        main(["score", str(path), *CLICK, "--by", "day"])
        text = capsys.readouterr().out
        assert "cluster-robust by 4 groups" in text
        days = re.findall(r"^(mon|tue|wed|thu) ", text, re.M)
        assert days == ["thu", "wed", "tue", "mon"]

    def test_missing_keys_are_a_group(self, score, tmp_path, capsys):
        (tmp_path / "a.csv").write_text("click,p,g\n0,0.1,NA\n1,0.7,\n1,0.6,\n")
        found = score(tmp_path / "a.csv", *CLICK, "--by", "g")
        assert [g["group"]["g"] for g in found["groups"]] == [None, "NA"]
        main(["score", str(tmp_path / "a.csv"), *CLICK, "--by", "g"])
        assert "(missing)" in capsys.readouterr().out

    def test_dates_are_texts(self, score, tmp_path):
        days = np.array(["2026-11-01", "2026-11-02", "NaT"], "M8[ns]")
        table = pa.table({"click": [0, 1, 1], "p": [0.1, 0.5, 0.4], "at": days})
        write_parquet(table, tmp_path / "a.parquet")
        found = score(tmp_path / "a.parquet", *CLICK, "--by", "at")
        keys = [group["group"]["at"] for group in found["groups"]]
        assert keys == ["2026-11-01", "2026-11-02", None]

    def test_numbers_with_missing_ones(self, score, tmp_path):
        (tmp_path / "a.csv").write_text("click,p,g\n0,0.1,7\n1,0.7,8\n1,0.6,\n")
        found = score(tmp_path / "a.csv", *CLICK, "--by", "g")
        assert str([g["group"]["g"] for g in found["groups"]]) == "[7, 8, None]"

    def test_sums_that_are_not_one(self, path, tmp_path, capsys):
        write_csv(TABLE.slice(0, 5), tmp_path / "a.csv")
        arguments = [str(tmp_path / "a.csv"), "--label", "click", "--proba", "p,q"]
        main(["score", *arguments])
        found = capsys.readouterr()
        assert re.search(r"a\.csv: warning: .* 'p', 'q' do not .* row \d", found.err)
        assert found.err.count("\n") == 1
        assert found.out.startswith("log loss")

    def test_help(self, capsys):
        with pytest.raises(SystemExit, match="0"):
            main(["score", "--help"])
        text = capsys.readouterr().out
        for word in ("--on-invalid", "Parquet", "examples:", "Exit status", "--by"):
            assert word in text

    @pytest.mark.parametrize("name", ["a.png", "a.svg"])
    @pytest.mark.parametrize("more", [[], ["--by", "day", "--model", "noisy=q"]])
    def test_plot(self, score, path, tmp_path, name, more):
        score(path, *CLICK, *more, "--plot", tmp_path / name)
        head = (tmp_path / name).read_bytes()[:5]
        assert head == (b"\x89PNG\r" if name == "a.png" else b"<?xml")


def write_changed(tmp_path, name, row, column, value, write=write_parquet):
    values = TABLE[column].to_pylist()
    values[row] = value
    i = TABLE.schema.names.index(column)
    write(TABLE.set_column(i, column, pa.array(values)), tmp_path / name)
    return tmp_path / name


class TestErrors:
    """One line that names file, row and column, and nothing else."""

    @pytest.mark.parametrize("write", [write_parquet, write_csv, write_arrow])
    @pytest.mark.parametrize(
        ("column", "value", "words"),
        [
            ("p", None, "column 'p' is null in row 2500"),
            ("p", float("nan"), "column 'p' .* got nan in row 2500"),
            ("p", 1.7, r"column 'p' .* got 1\.7 in row 2500"),
            ("click", None, "column 'click' is null in row 2500"),
            ("click", 2, r"column 'click' holds the label 2 in row 2500, .* \[0, 1\]"),
            ("w", None, "column 'w' is null in row 2500"),
            ("w", float("inf"), "column 'w' must be finite, got inf in row 2500"),
        ],
    )
    def test_rows(self, score, tmp_path, write, column, value, words):
        write_parquet(TABLE, tmp_path / "a.parquet")
        name = {write_parquet: "b.parquet", write_csv: "b.csv"}.get(write, "b.arrow")
        bad = write_changed(tmp_path, name, 2500, column, value, write)
        found = score(tmp_path, *CLICK, "--weight", "w", fails=True)
        assert re.search(f"{bad}: {words}", found)

    def test_text_for_a_number(self, score, tmp_path):
        rows = ["click,p", *["0,0.5"] * 300_000, "0,much", "0,0.5"]
        (tmp_path / "a.csv").write_text("\n".join(rows))
        found = score(tmp_path / "a.csv", *CLICK, fails=True)
        assert "a.csv: column 'p' in row 300000: no double: " in found
        assert "'much'" in found

    def test_rows_of_csv_of_other_lengths(self, score, tmp_path):
        (tmp_path / "a.csv").write_text("click,p\n0,0.5\n0,0.5,3\n")
        found = score(tmp_path / "a.csv", *CLICK, fails=True)
        assert "a.csv: in row 1: Expected 2 columns, got 3" in found

    def test_columns(self, score, path):
        found = score(path, "--label", "clik", "--proba", "p", fails=True)
        assert f"{path}: there is no column 'clik'; did you mean 'click'?" in found
        for name in ("p", "day"):
            found = score(path, "--label", "click", "--proba", "x" + name, fails=True)
            assert f"no column 'x{name}'; did you mean '{name}'?" in found
        found = score(path, "--label", "click", "--proba", "day", fails=True)
        assert f"{path}: column 'day' holds " in found
        assert "instead of numbers" in found
        found = score(path, "--label", "day", "--proba", "p", fails=True)
        assert f"{path}: the labels are strings: name all classes" in found
        found = score(path, *CLICK, "--classes", "a,b", fails=True)
        assert "--classes names 'a', but the labels are int8" in found
        found = score(path, *CLICK, "--classes", "0,1,2", fails=True)
        assert "3 classes" in found

    def test_schemas_that_differ(self, score, tmp_path):
        write_parquet(TABLE, tmp_path / "a.parquet")
        write_parquet(TABLE.drop_columns("p"), tmp_path / "b.parquet")
        found = score(tmp_path, *CLICK, fails=True)
        assert re.search(r"b\.parquet: there is no column 'p'", found)
        i = TABLE.schema.names.index("click")
        other = TABLE.set_column(i, "click", TABLE["click"].cast(pa.string()))
        write_parquet(other, tmp_path / "b.parquet")
        found = score(tmp_path, *CLICK, fails=True)
        assert re.search(r"b\.parquet: column 'click' .* '[01]' in row 0", found)
        i = TABLE.schema.names.index("day")
        other = TABLE.set_column(i, "day", pa.array(range(N)))
        write_parquet(other, tmp_path / "b.parquet")
        found = score(tmp_path, *CLICK, "--by", "day", fails=True)
        assert re.search(r"b\.parquet: column 'day' .*strings", found)

    @pytest.mark.parametrize("name", FORMATS)
    def test_truncated(self, score, tmp_path, name):
        """In the middle of a folder; of plain CSV nobody can tell."""
        FORMATS[name](TABLE, tmp_path / name)
        data = (tmp_path / name).read_bytes()
        write_parquet(TABLE, tmp_path / "0.parquet")
        write_parquet(TABLE, tmp_path / "z.parquet")
        whole = [tmp_path / f for f in ("0.parquet", name, "z.parquet")]
        for n in (0, 1, 3, 5, 100, len(data) // 2, len(data) - 1):
            if n > 5 and name in ("a.csv", "a.tsv", "b"):
                continue
            (tmp_path / name).write_bytes(data[:n])
            found = score(*whole, *CLICK, fails=True)
            assert f"{tmp_path / name}: " in found

    def test_stream_cut_between_batches(self, score, tmp_path):
        with pa.ipc.new_stream(str(tmp_path / "a.ipc"), TABLE.schema) as out:
            out.write_table(TABLE)
            size = (tmp_path / "a.ipc").stat().st_size
        data = (tmp_path / "a.ipc").read_bytes()
        assert size < len(data)
        found = score("-", *CLICK, stdin=data[: len(data) - 20], fails=True)
        assert "standard input: " in found

    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("a.parquet", b"", "is empty"),
            ("a.csv", b"", "is empty"),
            ("a.csv", b"\n", "no line with the names"),
            ("a.csv", b"click,p\n", "there are no rows"),
            ("a.parquet", b"click,p\n0,0.5\n", "is no Parquet file"),
            ("a.arrow", b"click,p\n0,0.5\n", "is no Arrow file"),
            ("a.csv", b"PAR1PAR1", "is no CSV file"),
            ("a.csv.gz", gzip.compress(b""), "no line with the names"),
            ("a.csv", bytes(range(256)) * 9, "there is no column"),
            ("a.csv", bytes(range(255, 1, -1)) * 9, "neither Parquet nor Arrow nor"),
        ],
    )
    def test_no_content(self, score, tmp_path, name, content, words):
        (tmp_path / name).write_bytes(content)
        found = score(tmp_path / name, *CLICK, fails=True)
        assert re.search(f"{tmp_path / name}: .*({words})", found)

    def test_no_rows(self, score, tmp_path):
        """Some files may be without rows, as what engines write; not all of them."""
        write_parquet(TABLE.slice(0, 0), tmp_path / "a.parquet")
        assert "there are no rows" in score(tmp_path, *CLICK, fails=True)
        write_parquet(TABLE, tmp_path / "b.parquet")
        check(score(tmp_path, *CLICK), LogLossAccumulator().update(Y, P))

    def test_no_files(self, score, tmp_path):
        for name in ("nothing", "*.parquet"):
            found = score(tmp_path / name, *CLICK, fails=True)
            assert f"{tmp_path / name}: there is no such file" in found
        found = score(tmp_path, *CLICK, fails=True)
        assert "holds no Parquet, CSV or Arrow files" in found

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read all")
    def test_unreadable(self, score, path):
        path.chmod(0)
        assert "Permission denied" in score(path, *CLICK, fails=True)

    @pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.arrow"])
    def test_file_that_changes(self, score, tmp_path, monkeypatch, name):
        """In the middle of a folder."""
        for other in ("0.csv", name, "z.csv"):
            FORMATS.get(other, write_csv)(TABLE, tmp_path / other)
        add = tally.Tally.add

        def slow(self, batch, first):
            add(self, batch, first)
            if self.source == str(tmp_path / name):
                with open(tmp_path / name, "ab") as file:
                    file.write(b"0,0.5\n")

        monkeypatch.setattr(tally.Tally, "add", slow)
        found = score(tmp_path, *CLICK, fails=True)
        assert f"{tmp_path / name}: changed while it was read" in found

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            ([], "--proba, --logit or --model"),
            (["--model", "p"], "NAME=COLUMNS"),
            (["--model", "a=p", "--model", "a=q"], "two models of the name 'a'"),
            (["--proba", "p", "--classes", "0"], "at least two"),
            (["--proba", "p", "--classes", "0,0"], "at least two"),
            (["--proba", "p", "--eps", "0.7"], "eps must be"),
            (["--proba", "p", "--plot", "a.pdf"], "png or .svg"),
            (["--proba", "p", "--by", "g", "--by", "g"], "twice"),
            (["--proba", ""], "names of columns"),
            (["--proba", "p,p"], "twice"),
        ],
    )
    def test_arguments(self, score, path, arguments, words):
        assert words in score(path, "--label", "click", *arguments, fails=True)

    @pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has it")
    @pytest.mark.parametrize("form", ["text", "csv", "json"])
    def test_full_disk(self, path, form):
        command = [sys.executable, "-m", "fastlogloss", "score", str(path), *CLICK]
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [*command, "--format", form], stdout=full, stderr=subprocess.PIPE
            )
        assert done.returncode == 2
        assert done.stderr.count(b"\n") == 1
        assert b"standard output: No space left" in done.stderr

    def test_plot_that_cannot_be_written(self, score, path, tmp_path):
        where = tmp_path / "nothing" / "a.png"
        found = score(path, *CLICK, "--plot", where, fails=True)
        assert f"{where}: No such file" in found


class TestSkip:
    def test_counts(self, score, tmp_path):
        table = pa.table(
            {
                "y": ["no", "yes", None, "no", "yes", "maybe", "no", "yes", "no"],
                "p": [0.1, 0.7, 0.5, None, float("nan"), 0.5, 1.7, 0.5, 0.2],
                "w": [1.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0, None, float("inf")],
            }
        )
        write_parquet(table, tmp_path / "a.parquet")
        options = ["--label", "y", "--proba", "p", "--weight", "w"]
        options += ["--classes", "no,yes", "--on-invalid", "skip"]
        found = score(tmp_path / "a.parquet", *options)
        assert found["skipped"] == {
            "y is null": 1,
            "y is no class": 1,
            "p is null": 1,
            "p is NaN": 1,
            "p is outside [0, 1]": 1,
            "w is null": 1,
            "w is not finite": 1,
        }
        check(found, LogLossAccumulator().update([0, 1], [0.1, 0.7], [1, 2]))

    def test_models_keep_the_same_rows(self, score, tmp_path):
        table = pa.table(
            {"y": [0, 1, 1, 3], "a": [0.5, None, 0.3, 0.1], "b": [0.5, 0.5, 7, 0.5]}
        )
        write_parquet(table, tmp_path / "a.parquet")
        options = ["--label", "y", "--model", "a=a", "--model", "b=b"]
        found = score(tmp_path / "a.parquet", *options, "--on-invalid", "skip")
        assert found["n_samples"] == 1
        assert sum(found["skipped"].values()) == 3

    def test_lists(self, score, tmp_path):
        lists = [[0.2, 0.8], None, [0.5, None], [float("nan"), 1.0], [0.4, 0.6]]
        table = pa.table({"y": [0, 1, 0, 1, 1], "p": lists})
        write_parquet(table, tmp_path / "a.parquet")
        options = ["--label", "y", "--proba", "p", "--on-invalid", "skip"]
        found = score(tmp_path / "a.parquet", *options)
        check(found, LogLossAccumulator().update([0, 1], [[0.2, 0.8], [0.4, 0.6]]))
        assert found["skipped"] == {"p is null": 2, "p is NaN": 1}

    def test_text(self, tmp_path, capsys):
        bad = write_changed(tmp_path, "a.csv", 5, "p", 1.5, write_csv)
        main(["score", str(bad), *CLICK, "--on-invalid", "skip"])
        assert "skipped 1 rows: 1 where p is outside [0, 1]" in capsys.readouterr().out

    def test_nothing_is_left(self, score, tmp_path):
        (tmp_path / "a.csv").write_text("click,p\n0,7\n5,0.5\n")
        options = [*CLICK, "--on-invalid", "skip"]
        found = score(tmp_path / "a.csv", *options, fails=True)
        assert "no rows are left: skipped 1 where click is no class, 1 where" in found


COMMAND = [sys.executable, "-m", "fastlogloss", "score", "-", *CLICK]


class TestProcess:
    def test_interrupted(self):
        """Also while nothing comes: how many rows, and no result."""
        rows = b"click,p\n" + b"0,0.5\n" * 400_000
        with subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            process.stdin.write(rows)
            process.stdin.flush()  # most of it has been read then
            time.sleep(2)
            process.send_signal(signal.SIGINT)
            out, err = process.stdout.read(), process.stderr.read()
            assert process.wait(20) == 130
            process.stdin.close()
        assert out == b""
        found = re.search(rb"interrupted after ([\d,]+) rows", err)
        assert 0 < int(found[1].replace(b",", b"")) <= 400_000
        assert b"Traceback" not in err

    def test_no_standard_input(self, score, monkeypatch):
        monkeypatch.setattr(sys, "stdin", None)
        assert "standard input: is closed" in score("-", *CLICK, fails=True)

    def test_nobody_reads(self, path):
        command = [sys.executable, "-m", "fastlogloss", "score", str(path), *CLICK]
        read, write = os.pipe()
        os.close(read)
        with os.fdopen(write) as closed:
            done = subprocess.run(command, stdout=closed, stderr=subprocess.PIPE)
        assert done.stderr == b""
        assert done.returncode == 1

    def test_bar_on_a_terminal(self, path):
        """And none elsewhere: see above."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        shown = []

        def read():
            with contextlib.suppress(OSError):  # the end, to Linux
                while more := os.read(ours, 4096):
                    shown.append(more)

        thread = threading.Thread(target=read)
        thread.start()
        command = [sys.executable, "-m", "fastlogloss", "score", str(path), *CLICK]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs)
        os.close(theirs)
        thread.join(10)
        os.close(ours)
        assert done.returncode == 0
        assert b"3,000 rows, " in b"".join(shown)
        assert b"rows/s" in b"".join(shown)
        assert done.stdout.startswith(b"log loss")
        assert b"rows/s" not in done.stdout

    def test_parser_imports_no_arrow(self, run_python):
        code = (
            "import sys; from fastlogloss.cli import _parser; _parser()\n"
            "assert 'pyarrow' not in sys.modules"
        )
        run_python("-c", code)

    def test_extra(self, run_python, path):
        code = (
            "import sys; sys.modules['pyarrow'] = None\n"
            "from fastlogloss.cli import main\n"
            f"main(['score', {str(path)!r}, '--label', 'click', '--proba', 'p'])"
        )
        done = run_python("-c", code, check=False)
        assert done.returncode == 2
        assert "fastlogloss[cli]" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells the peak of memory")
def test_memory_does_not_grow_with_the_file(run_python, tmp_path):
    """Not even with a group of rows: a file of 60 MB, all of one."""
    n, peaks = 7_000_000, []
    for size in (1000, n):
        p = np.random.default_rng(0).random(size)
        table = pa.table({"click": (p > 0.5).astype(np.int8), "p": p})
        pa.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=n)
        code = (
            "import sys; from fastlogloss.cli import main; main(sys.argv[1:])\n"
            "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
        )
        arguments = ["score", str(tmp_path / "a.parquet"), *CLICK]
        peaks.append(int(run_python("-c", code, *arguments).stdout.split()[-1]))
    assert os.path.getsize(tmp_path / "a.parquet") > 55e6
    # Batches that are read ahead and memory that is kept for the next ones, in KiB.
    assert peaks[1] - peaks[0] < 48 * 1024, peaks
