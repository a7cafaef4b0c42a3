"""scikit-learn's own tests of these functions, unmodified, while it is patched."""

import importlib.util
import re
from pathlib import Path

import pytest
import sklearn.metrics
from conftest import OLDER

FILES = ("test_classification.py", "test_common.py", "test_score_objects.py")
# scikit-learn 1.9.1 has 70 tests of that name that run here, 1.6.1 has 42. Fewer would
# mean that the selection no longer finds them.
AT_LEAST = 40 if OLDER else 60


@pytest.mark.parametrize("dispatch", ["", "1"], ids=["", "array API"])
def test_pass_while_patched(run_python, dispatch, tmp_path):
    folder = Path(sklearn.metrics.__file__).parent / "tests"
    paths = [folder / name for name in FILES]
    for path in paths:
        assert path.exists(), f"scikit-learn was installed without {path}"
    environment = {"SCIPY_ARRAY_API": dispatch} if dispatch else {}
    # scikit-learn may be installed below this project, whose settings are not its own.
    settings = tmp_path / "pytest.ini"
    settings.write_text("[pytest]\n")
    done = run_python(
        *("-m", "fastlogloss", "-m", "pytest", "-p", "no:cacheprovider"),
        *("-c", str(settings), "-q", "-k", "log_loss"),
        *map(str, paths),
        timeout=400,
        check=False,
        **environment,
    )
    summary = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {kind: int(n) for n, kind in re.findall(r"(\d+) (\w+)", summary)}
    assert counts["passed"] >= AT_LEAST, summary
    assert not {"failed", "error", "errors"} & set(counts), summary


def test_they_do_run_patched(run_python, tmp_path):
    """The process that the tests above start does hold our functions."""
    (tmp_path / "test_patch.py").write_text(
        "import sklearn.metrics as m\n"
        "def test_log_loss():\n"
        "    from sklearn.metrics.tests import test_classification as t\n"
        "    assert t.log_loss.__module__ == 'fastlogloss.metrics'\n"
        "    assert m.d2_log_loss_score.__module__ == 'fastlogloss.metrics'\n"
    )
    run_python(
        *("-m", "fastlogloss", "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        "test_patch.py",
    )
    assert importlib.util.find_spec("fastlogloss").origin
