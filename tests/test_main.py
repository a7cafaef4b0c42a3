"""python -m fastlogloss [-m] script.py args"""

import sys

import pytest

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
    done = run_python("-m", "fastlogloss", str(script), *arguments)
    check(done, arguments, script.parent)


def test_module(run_python, script, tmp_path):
    (tmp_path / "report.py").write_text(REPORT)
    done = run_python("-m", "fastlogloss", "-m", "report", "a", "-m", "b")
    assert done.stdout.splitlines()[:2] == [
        "__main__ ['a', '-m', 'b'] fastlogloss.metrics",
        "True",
    ]


def test_first_argument(run_python, tmp_path):
    """As Python has it: the script as given, the file of the module."""
    code = "import sys; print(sys.argv[0])"
    (tmp_path / "which.py").write_text(code)
    done = run_python("-m", "fastlogloss", "which.py")
    assert done.stdout.strip() == "which.py"
    done = run_python("-m", "fastlogloss", "-m", "which")
    assert done.stdout.strip() == str(tmp_path / "which.py")


def test_imports_beside_the_script(run_python, script):
    (script.parent / "neighbour.py").write_text("print('hello')")
    script.write_text("import neighbour")
    assert run_python("-m", "fastlogloss", str(script)).stdout == "hello\n"


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
    done = run_python("-m", "fastlogloss", *target, check=False)
    assert done.returncode == status


@pytest.mark.parametrize(
    ("arguments", "status"),
    [([], 2), (["-m"], 2), (["absent.py"], 1), (["-m", "absent"], 1), (["--help"], 0)],
)
def test_wrong_use(run_python, arguments, status):
    done = run_python("-m", "fastlogloss", *arguments, check=False)
    assert done.returncode == status
    text = done.stdout + done.stderr
    assert "usage: python -m fastlogloss" in text or "absent" in text


def test_runs_as_plain_python_does(run_python, tmp_path):
    """Nothing but the patch is different."""
    code = (
        "import sys\n"
        "names = {'__name__', '__file__', '__package__', '__builtins__'}\n"
        "print(sys.argv, sorted(names & set(globals())), sys.path[0])\n"
        "import pickle\n"
        "class Local: pass\n"
        "print(type(pickle.loads(pickle.dumps(Local()))) is Local)\n"
        "print(sys.modules['__main__'].__dict__ is globals())\n"
    )
    (tmp_path / "plain.py").write_text(code)
    plain = run_python("plain.py", "a").stdout
    assert run_python("-m", "fastlogloss", "plain.py", "a").stdout == plain


def test_main_is_importable():
    from fastlogloss.__main__ import main

    assert callable(main)
    assert sys.modules["fastlogloss.__main__"].__doc__
