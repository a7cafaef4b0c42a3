"""scikit-learn's own tests of these functions, unmodified, while it is patched."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
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
        *("-m", "fastlogloss", "run", "-m", "pytest", "-p", "no:cacheprovider"),
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
        *("-m", "fastlogloss", "run", "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        "test_patch.py",
    )
    assert importlib.util.find_spec("fastlogloss").origin


# Where metrics and scorers are used, longest first, and how many tests pass there with
# scikit-learn 1.9.1, rounded down: fewer would mean that they are not found. Of
# histogram gradient boosting, whose tests take longer than all the others together and
# hardly ever score, those that do: they stop early by a scorer.
SUITES = {
    "ensemble/tests": 750,
    "inspection": 700,
    "model_selection": 600,
    "linear_model/tests/test_logistic.py": 250,
    "callback": 130,
    "feature_selection": 280,
    "ensemble/_hist_gradient_boosting": 40,
    "neural_network": 90,
    "metrics/tests": 3200,
    "tests/test_calibration.py": 100,
}
KEYWORDS = {"ensemble/_hist_gradient_boosting": "early_stopping or scor"}


class Suite:
    """The outcome of tests of scikit-learn that have run while it was patched.

    What fails there is run again without the patch: the environment may be to blame.
    """

    def __init__(self, name, folder):
        self.folder = folder
        (folder / "pytest.ini").write_text("[pytest]\n")
        path = str(Path(sklearn.__file__).parent / name)
        keyword = KEYWORDS.get(name, "")
        patched = self.run(
            "-m", "fastlogloss", "run", "-m", "pytest", "-k", keyword, path
        )
        self.output = patched.stdout + patched.stderr
        self.is_complete = patched.returncode in (0, 1)
        summary = patched.stdout.strip().splitlines()[-1]
        self.n_passed = int((re.search(r"(\d+) passed", summary) or [0, 0])[1])
        self.failures = self.last_failed()
        if self.failures:
            self.run("-m", "pytest", "--last-failed", path)
            self.failures -= self.last_failed()

    def run(self, *args):
        return subprocess.run(
            [
                *(sys.executable, *args, "-q", "--tb=short"),
                *("-c", str(self.folder / "pytest.ini")),
                *("-o", f"cache_dir={self.folder / 'cache'}"),
            ],
            cwd=self.folder,
            # Two run at a time, and threads that wait for each other take very long.
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=1500,
        )

    def last_failed(self):
        path = self.folder / "cache" / "v" / "cache" / "lastfailed"
        return set(json.loads(path.read_text())) if path.exists() else set()


@pytest.fixture(scope="module")
def suites(request, tmp_path_factory):
    """All that are to be looked at, two at a time."""
    names = [
        item.callspec.params["name"]
        for item in request.session.items
        if getattr(item, "originalname", "") == "test_suite_passes_while_patched"
    ]
    pool = ThreadPoolExecutor(2)
    yield {
        name: pool.submit(Suite, name, tmp_path_factory.mktemp("suite"))
        for name in names
    }
    pool.shutdown(cancel_futures=True)


def test_failures_are_told_apart(tmp_path):
    """Those of the patch from those of the environment."""
    tests = tmp_path / "test_some.py"
    tests.write_text(
        "import sklearn.metrics\n"
        "def test_fine(): pass\n"
        "def test_always(): assert False\n"
        "def test_patched(): assert 'sklearn' in sklearn.metrics.log_loss.__module__\n"
    )
    suite = Suite(tests, tmp_path)
    assert suite.is_complete
    assert suite.n_passed == 1
    assert [name.partition("::")[2] for name in suite.failures] == ["test_patched"]


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", SUITES)
def test_suite_passes_while_patched(suites, name):
    suite = suites[name].result()
    assert suite.is_complete, suite.output
    assert not suite.failures, suite.output
    assert suite.n_passed >= SUITES[name], suite.output
