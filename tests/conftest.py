"""Fixtures and settings that all tests share."""

import importlib
import os
import platform
import sys

import hypothesis
import numpy as np
import pytest
import sklearn

import fastlogloss

pytest.register_assert_rewrite("compare")

hypothesis.settings.register_profile(
    # The same examples in every run; --hypothesis-profile=explore looks for new ones.
    "repeatable",
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "explore",
    hypothesis.settings.get_profile("repeatable"),
    derandomize=False,
    max_examples=2000,
)
hypothesis.settings.load_profile("repeatable")


# fastlogloss does what this release does, whichever is installed.
COMPARED_RELEASE = (1, 9)
OLDER = tuple(map(int, sklearn.__version__.split(".")[:2])) < COMPARED_RELEASE


CASES_OF_QUICK = 2


def pytest_addoption(parser):
    parser.addoption(
        "--quick",
        action="store_true",
        help=f"of every test {CASES_OF_QUICK} cases, none in a process of its own",
    )


def pytest_configure(config):
    config.addinivalue_line("markers", "heavy: needs packages of the group heavy")
    config.addinivalue_line("markers", "compares: with scikit-learn from 1.9 on")


def pytest_ignore_collect(collection_path, config):
    """What imports packages of the group heavy is not imported without it."""
    if collection_path.name in ("test_boosting.py", "test_spark.py"):
        return True if config.option.markexpr == "not heavy" else None
    return None


def pytest_collection_modifyitems(config, items):
    """Older releases differ from 1.9 in what they reject: nothing to compare with."""
    if OLDER:
        compares = [
            item
            for item in items
            if item.get_closest_marker("compares")
            or getattr(item.cls, "__name__", "") == "TestParity"
        ]
        config.hook.pytest_deselected(items=compares)
        items[:] = [item for item in items if item not in set(compares)]

    if config.option.quick:
        chosen = quick_cases(items)
        config.hook.pytest_deselected(items=[i for i in items if i not in chosen])
        items[:] = [item for item in items if item in chosen]


def quick_cases(items):
    """Of the cases of every test the first, the last and those evenly between."""
    cases = {}
    for item in items:
        # Examples fit whole models.
        if "run_python" not in item.fixturenames and item.path.stem != "test_examples":
            cases.setdefault((item.path, item.cls, item.originalname), []).append(item)
    chosen = set()
    for found in cases.values():
        last = len(found) - 1
        chosen |= {
            found[i * last // (CASES_OF_QUICK - 1)] for i in range(CASES_OF_QUICK)
        }
    return chosen


def required_variants():
    """Variants that must be built and run here, found out without the package."""
    from numpy._core._multiarray_umath import __cpu_features__ as features

    is_x86_64 = platform.machine().lower() in ("x86_64", "amd64")
    if not is_x86_64 or os.name == "nt":
        return ["base"]
    has_v3 = features.get("X86_V3") or (features.get("AVX2") and features.get("FMA3"))
    has_v4 = all(features.get(f"AVX512{name}") for name in ("BW", "DQ", "VL", "VBMI2"))
    return ["base", *["v3"] * bool(has_v3), *["v4"] * bool(has_v3 and has_v4)]


def load_variant(name):
    """The module of a variant; an ImportError is a failure, not a reason to skip."""
    return importlib.import_module(f"fastlogloss._kernels._{name}")


@pytest.fixture(scope="session", params=required_variants())
def loops(request):
    return load_variant(request.param)


@pytest.fixture(scope="session")
def base():
    return load_variant("base")


@pytest.fixture(params=[1, 2], ids=["1 thread", "2 threads"])
def n_threads(request):
    return request.param


@pytest.fixture
def engine(loops, n_threads, monkeypatch):
    """The public functions run on this variant and on as many threads."""
    from fastlogloss import _engine, _short, metrics, prepared

    monkeypatch.setattr(_engine, "loops", loops)
    monkeypatch.setattr(metrics, "mean_loss", loops.mean_loss)
    monkeypatch.setattr(_short, "loops", loops)
    for module in (_engine, prepared):
        monkeypatch.setattr(module, "threads_for", lambda nanoseconds: n_threads)


@pytest.fixture
def fast_path_only(monkeypatch):
    """Handing over to scikit-learn is an error."""
    from fastlogloss import _sklearn

    def refuse(name):
        raise AssertionError(f"{name} was handed over to scikit-learn")

    monkeypatch.setattr(_sklearn, "original", refuse)


@pytest.fixture(autouse=True)
def sklearn_as_it_was():
    """No test leaves scikit-learn patched."""
    yield
    left_patched = fastlogloss.sklearn_is_patched()
    if left_patched:
        fastlogloss.unpatch_sklearn()
    assert not left_patched


@pytest.fixture
def run_python(tmp_path):
    """Run Python in a process of its own, away from the sources; bounded in time."""
    import subprocess

    def run(*args, timeout=120, check=True, **env):
        environment = {k: v for k, v in os.environ.items() if k != "FASTLOGLOSS_ISA"}
        done = subprocess.run(
            [sys.executable, *args],
            cwd=tmp_path,
            env={**environment, **env},
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def rng():
    return np.random.default_rng(0)
