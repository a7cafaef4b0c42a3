"""python -m fastlogloss run [-m] script.py args"""

import importlib
import py_compile
import re
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import fastlogloss

RUN = ("-m", "fastlogloss", "run")
REPORT = """\
import sys
import fastlogloss
from sklearn.metrics import get_scorer, log_loss
print(__name__, sys.argv[1:], log_loss.__module__)
print(type(get_scorer("neg_log_loss")) is type(fastlogloss.neg_log_loss_scorer))
print(sys.path[0])
"""


@pytest.fixture
def script(tmp_path):
    folder = tmp_path / "some where"
    folder.mkdir()
    path = folder / "report.py"
    path.write_text(REPORT)
    return path


def check(done, arguments, folder):
    assert done.stdout.splitlines() == [
        f"__main__ {arguments} fastlogloss.metrics",
        "True",
        str(folder),
    ]


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["-m", "--help"], ["-x=1", "-"]])
def test_script(run_python, script, arguments):
    done = run_python(*RUN, str(script), *arguments)
    check(done, arguments, script.parent)


def test_module(run_python, script, tmp_path):
    (tmp_path / "report.py").write_text(REPORT)
    done = run_python(*RUN, "-m", "report", "a", "-m", "b")
    assert done.stdout.splitlines()[:2] == [
        "__main__ ['a', '-m', 'b'] fastlogloss.metrics",
        "True",
    ]


def test_first_argument(run_python, tmp_path):
    """As Python has it: the script as given, the file of the module."""
    code = "import sys; print(sys.argv[0])"
    (tmp_path / "which.py").write_text(code)
    done = run_python(*RUN, "which.py")
    assert done.stdout.strip() == "which.py"
    done = run_python(*RUN, "-m", "which")
    assert done.stdout.strip() == str(tmp_path / "which.py")


def test_imports_beside_the_script(run_python, script):
    (script.parent / "neighbour.py").write_text("print('hello')")
    script.write_text("import neighbour")
    assert run_python(*RUN, str(script)).stdout == "hello\n"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(7)", 7),
        ("import sys; sys.exit(0)", 0),
        ("raise SystemExit('no')", 1),
        ("raise ValueError('bad')", 1),
        ("1 +", 1),
    ],
)
@pytest.mark.parametrize("as_module", [False, True])
def test_status(run_python, tmp_path, code, status, as_module):
    (tmp_path / "fails.py").write_text(code)
    target = ["-m", "fails"] if as_module else ["fails.py"]
    done = run_python(*RUN, *target, check=False)
    assert done.returncode == status


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 2, "the following arguments are required: command"),
        (["walk"], 2, "invalid choice: 'walk'"),
        (["script.py"], 2, "invalid choice: 'script.py'"),
        (["--wrong"], 2, "usage: python -m fastlogloss"),
        (["run"], 2, "there must be a script, or -m and a module"),
        (["run", "-m"], 2, "argument -m: expected one argument"),
        (["run", "--wrong", "script.py"], 2, "unrecognized arguments: --wrong"),
        (["run", "absent.py"], 2, r"can't open file '.*absent.py': No such file"),
        (["run", "-m", "absent"], 1, "No module named absent"),
        (["run", "."], 1, "can't find '__main__' module"),
        (["--help"], 0, r"run +run a script or a module with scikit-learn patched"),
        (["run", "--help"], 0, r"run \[-h\] \(script | -m module\) \[args ...\]"),
        (["--version"], 0, rf"^{re.escape(fastlogloss.__version__)}$"),
    ],
)
def test_wrong_use_and_help(run_python, arguments, status, words):
    done = run_python("-m", "fastlogloss", *arguments, check=False)
    assert done.returncode == status
    empty, text = (done.stderr, done.stdout)[:: -1 if status else 1]
    assert not empty
    assert re.search(words, text)
    assert "Traceback" not in text


STATE = """\
import sys, pickle
print({name: v for name, v in globals().items() if name not in ("sys", "pickle")})
print(sys.argv, sys.path[:2])
class Local: pass
print(type(pickle.loads(pickle.dumps(Local()))) is Local)
print(sys.modules["__main__"].__dict__ is globals())
"""


def without_addresses(text):
    return re.sub(r" at 0x[0-9a-f]+", "", text)


@pytest.fixture
def targets(tmp_path):
    """What Python can run, by the arguments that make it do so."""
    inner = tmp_path / "pack" / "inner"
    inner.mkdir(parents=True)
    for path in (tmp_path / "pack" / "__init__.py", inner / "__init__.py"):
        path.touch()
    for path in (tmp_path / "plain.py", inner / "deep.py", inner / "__main__.py"):
        path.write_text(STATE)
    (tmp_path / "link.py").symlink_to(inner / "deep.py")
    py_compile.compile(str(tmp_path / "plain.py"), str(tmp_path / "bare.pyc"))
    with zipfile.ZipFile(tmp_path / "packed.zip", "w") as packed:
        packed.writestr("__main__.py", STATE)
    return [
        ["plain.py"],
        ["./plain.py"],
        ["pack/inner/deep.py"],
        [str(tmp_path / "plain.py")],
        ["link.py"],
        ["bare.pyc"],
        ["pack/inner"],
        ["pack/inner/"],
        ["packed.zip"],
        ["-m", "plain"],
        ["-mplain"],
        ["-m", "pack.inner.deep"],
        ["-m", "pack.inner"],
    ]


@pytest.mark.parametrize("flags", [[], ["-P"]], ids=["", "safe path"])
def test_runs_as_plain_python_does(run_python, targets, flags):
    """Nothing but the patch is different: names, arguments, path, `__main__`."""
    arguments = ["a", "-m", "--", "--help", "-", "", "-x=1", "--version"]
    if flags:
        targets = [["plain.py"], ["pack/inner"], ["packed.zip"]]
    for target in targets:
        plain = run_python(*flags, *target, *arguments).stdout
        ours = run_python(*flags, *RUN, *target, *arguments).stdout
        assert without_addresses(ours) == without_addresses(plain), target
        assert "'--help', '-', '', '-x=1', '--version']" in ours


AFTER = """\
import atexit, pickle, sys, threading
class Local: pass
def look():
    found = pickle.loads(pickle.dumps(Local()))
    print(type(found) is Local, sys.modules["__main__"].__dict__ is globals())
def wait():
    threading.main_thread().join()
    look()
atexit.register(look)
threading.Thread(target=wait).start()
"""


@pytest.mark.parametrize("target", [["after.py"], ["-m", "after"]])
def test_main_outlives_its_last_line(run_python, tmp_path, target):
    (tmp_path / "after.py").write_text(AFTER)
    assert run_python(*RUN, *target).stdout == "True True\n" * 2


SPAWN = """\
import multiprocessing
def square(x): return x * x
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.map(square, [1, 2, 3]))
"""


@pytest.mark.parametrize("target", [["spawns.py"], ["-m", "spawns"]])
def test_processes_find_main(run_python, tmp_path, target):
    (tmp_path / "spawns.py").write_text(SPAWN)
    assert run_python(*RUN, *target).stdout == "[1, 4, 9]\n"


def test_console_script(run_python, script):
    """Python puts the folder of the installed script first on the path."""
    settings = Path(__file__).parents[1] / "pyproject.toml"
    scripts = tomllib.loads(settings.read_text(encoding="utf-8"))["project"]["scripts"]
    module, _, name = scripts["fastlogloss"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))
    folder = script.parent / "bin"
    folder.mkdir()
    installed = folder / "fastlogloss"
    installed.write_text(f"import sys\nfrom {module} import {name}\nsys.exit({name}())")
    check(run_python(str(installed), "run", str(script), "a"), ["a"], script.parent)
    done = run_python(str(installed), check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: fastlogloss [-h]")


def test_is_light(run_python):
    """Help and errors need neither scikit-learn nor what commands import."""
    code = (
        "import sys, contextlib\n"
        "from fastlogloss.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--version'])\n"
        "print('sklearn' in sys.modules, 'runpy' in sys.modules)\n"
    )
    version = fastlogloss.__version__
    assert run_python("-c", code).stdout.split() == [version, "False", "False"]


def test_main_is_importable():
    from fastlogloss.__main__ import main

    assert main is importlib.import_module("fastlogloss.cli").main
    assert sys.modules["fastlogloss.__main__"].__doc__
