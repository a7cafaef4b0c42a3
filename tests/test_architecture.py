"""What the modules may know of each other, and what is true of all of them."""

import ast
import contextlib
import doctest
import importlib
import inspect
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import load_variant, required_variants

import fastlogloss
from fastlogloss._kernels import _pool

ROOT = Path(fastlogloss.__file__).parent
COMPILED = sorted((ROOT / "_kernels").glob("*.so")) + sorted(
    (ROOT / "_kernels").glob("*.pyd")
)
PUBLIC_MODULES = (
    "fastlogloss.derivatives",
    "fastlogloss.integrations.dask",
    "fastlogloss.integrations.frames",
    "fastlogloss.metrics",
    "fastlogloss.multilabel",
    "fastlogloss.prepared",
    "fastlogloss.scorers",
    "fastlogloss.sklearn_patch",
    "fastlogloss.sql",
)


def modules():
    """Names of all pure modules with their syntax trees."""
    trees = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(path.read_text(encoding="utf-8"))
    return trees


TREES = modules()


def imported(name):
    """Modules that a module imports, anywhere in it; absolute names."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import in {name}"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if is_module(full) else node.module)
    return found


def is_module(name):
    if name in TREES:
        return True
    return any(path.name.split(".")[0] == name.rpartition(".")[2] for path in COMPILED)


def ours(name):
    return {i for i in imported(name) if i.split(".")[0] == "fastlogloss"}


def is_private(name):
    last = name.split(".")[1:]
    return bool(last) and any(p.startswith("_") and p != "__main__" for p in last)


class TestArrows:
    def test_nothing_private_imports_public(self):
        for name in filter(is_private, TREES):
            wrong = {i for i in ours(name) if not is_private(i)}
            assert not wrong, f"{name} imports {wrong}"

    def test_kernels_know_themselves_alone(self):
        for name in TREES:
            if name.startswith("fastlogloss._kernels"):
                allowed = {*sys.stdlib_module_names, "numpy"}
                for other in imported(name):
                    top = other.split(".")[0]
                    inside = other.startswith("fastlogloss._kernels")
                    assert inside or top in allowed, f"{name} imports {other}"

    def test_kernel_sources_do_not_name_sklearn(self):
        sources = [
            path
            for path in (ROOT / "_kernels").iterdir()
            if path.suffix in (".pyx", ".pxi", ".pxd", ".h", ".py", ".pyi")
        ]
        assert len(sources) >= 5
        for path in sources:
            text = path.read_text(encoding="utf-8")
            for line in re.findall(r"^\s*(?:from|c?import)\s.*$", text, re.M):
                assert "sklearn" not in line, path
                for other in re.findall(r"fastlogloss[.\w]*", line):
                    assert other.startswith("fastlogloss._kernels"), path

    def test_no_cycles(self):
        import graphlib

        graph = {name: ours(name) & set(TREES) for name in TREES}
        assert list(graphlib.TopologicalSorter(graph).static_order())

    def test_kernels_labels_reader(self):
        arrays, labels = "fastlogloss._arrays", "fastlogloss._labels"
        assert ours(arrays) <= {"fastlogloss._kernels._labels"}
        kernels = {"fastlogloss._kernels", "fastlogloss._kernels._labels"}
        assert ours(labels) <= {*kernels, arrays}
        for name in (arrays, labels, "fastlogloss._engine", "fastlogloss._problem"):
            assert not any(i.startswith("sklearn") for i in imported(name))

    def test_reader_does_not_ask(self):
        """What is wrong it says; whether scikit-learn is asked is decided above it."""
        above = {"fastlogloss._sklearn", "fastlogloss._policy"}
        for name in ("problem", "targets", "classes", "weights", "columns", "losses"):
            found, new = set(), {f"fastlogloss._{name}"}
            while new:
                found |= new
                new = {i for n in new if n in TREES for i in ours(n)} - found
            assert not found & above

    def test_reference_is_for_tests(self):
        assert "fastlogloss._reference" in TREES
        for name in TREES:
            assert "fastlogloss._reference" not in ours(name)


class TestImport:
    def test_is_light(self, run_python):
        code = "import sys, fastlogloss; print(*sorted(sys.modules))"
        found = run_python("-c", code).stdout.split()
        assert "numpy" in found
        tops = {name.split(".")[0] for name in found}
        heavy = {"sklearn", "scipy", "joblib", "pandas", "polars", "threadpoolctl"}
        assert not tops & heavy
        assert "fastlogloss._reference" not in found

    def test_stays_light_in_use(self, run_python):
        code = (
            "import sys, numpy as np, fastlogloss as f\n"
            "y, p = np.array([0, 1]), np.array([0.2, 0.7])\n"
            "f.log_loss(y, p); f.log_loss(['a', 'b'], [[0.2, 0.8], [0.7, 0.3]])\n"
            "f.d2_log_loss_score(y, p); f.sample_log_loss(y, p, eps=0)\n"
            "assert 'sklearn' not in sys.modules\n"
        )
        run_python("-W", "error", "-c", code)

    def test_changes_no_setting(self, run_python):
        code = (
            "import os, warnings, signal, numpy as np\n"
            "def state(): return (dict(os.environ), list(warnings.filters),"
            " np.geterr(), signal.getsignal(signal.SIGINT))\n"
            "before = state(); import fastlogloss; assert state() == before\n"
        )
        run_python("-c", code)

    def test_every_module_imports(self):
        for module in pkgutil.walk_packages([str(ROOT)], "fastlogloss."):
            name = module.name.rpartition("._")[2]
            if name in ("v3", "v4") and name not in required_variants():
                with pytest.raises(ImportError):
                    importlib.import_module(module.name)
            elif name.endswith(".spark") and find_spec("pyspark") is None:
                with pytest.raises(ImportError, match=r"fastlogloss\[spark\]"):
                    importlib.import_module(module.name)
            else:
                assert importlib.import_module(module.name)


class TestSurface:
    def test_all(self):
        assert fastlogloss.__all__ == sorted(fastlogloss.__all__)
        assert len(set(fastlogloss.__all__)) == len(fastlogloss.__all__)
        assert set(fastlogloss.__all__) <= set(dir(fastlogloss))
        for name in fastlogloss.__all__:
            assert getattr(fastlogloss, name) is not None

    def test_nothing_else_is_public(self):
        names = {
            name
            for name, value in vars(fastlogloss).items()
            if not name.startswith("_") and not inspect.ismodule(value)
        }
        assert names <= set(fastlogloss.__all__)

    def test_star_import(self, run_python):
        code = (
            "from fastlogloss import *; print(*sorted(k for k in dir() if k[0] != '_'))"
        )
        assert run_python("-c", code).stdout.split() == fastlogloss.__all__

    def test_no_such_name(self):
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            _ = fastlogloss.nothing

    def test_version(self):
        from importlib.metadata import version

        assert fastlogloss.__version__ == version("fastlogloss")

    def test_typed(self):
        assert (ROOT / "py.typed").exists()


def functions():
    for name in fastlogloss.__all__:
        value = getattr(fastlogloss, name)
        if inspect.isfunction(value):
            yield pytest.param(value, id=name)


def returns_something(function):
    tree = ast.parse(inspect.getsource(inspect.unwrap(function)))
    returns = [n for n in ast.walk(tree) if isinstance(n, ast.Return)]
    return any(node.value is not None for node in returns)


@pytest.mark.parametrize("function", [*functions()])
class TestDocstrings:
    @staticmethod
    def sections(function):
        doc = inspect.getdoc(function)
        return set(re.findall(r"^(\w+)\n-{3,}$", doc, re.M))

    def test_sections(self, function):
        wanted = {"Examples"}
        if inspect.signature(function).parameters:
            wanted |= {"Parameters", "Raises"}
        if returns_something(function):
            wanted |= {"Returns"}
        assert wanted <= self.sections(function)

    def test_parameters(self, function):
        doc = inspect.getdoc(function)
        for name in inspect.signature(function).parameters:
            assert re.search(rf"^(\w+, )*{name}(, \w+)* : ", doc, re.M), name

    def test_summary_is_one_line(self, function):
        lines = inspect.getdoc(function).splitlines()
        assert lines[0].endswith((".", ":"))
        assert len(lines) == 1 or lines[1] == ""


@pytest.mark.parametrize("name", ["fastlogloss", *PUBLIC_MODULES])
def test_examples_run(name):
    results = doctest.testmod(importlib.import_module(name))
    assert results.failed == 0
    if name in ("fastlogloss.metrics", "fastlogloss.sklearn_patch"):
        assert results.attempted >= 4


class TestVariantChoice:
    @pytest.mark.parametrize("name", required_variants())
    def test_forced(self, run_python, name):
        code = (
            "import fastlogloss._kernels as k, fastlogloss as f;"
            "print(k.loops.__name__, f.log_loss([0, 1], [0.25, 0.75]))"
        )
        done = run_python("-c", code, FASTLOGLOSS_ISA=name)
        module, loss = done.stdout.split()
        assert module == f"fastlogloss._kernels._{name}"
        assert float(loss) == fastlogloss.log_loss([0, 1], [0.25, 0.75])

    def test_only_one_is_loaded(self, run_python):
        code = "import sys, fastlogloss; print(*sys.modules)"
        loaded = run_python("-c", code, FASTLOGLOSS_ISA="base").stdout.split()
        assert "fastlogloss._kernels._base" in loaded
        assert not {"fastlogloss._kernels._v3", "fastlogloss._kernels._v4"} & {*loaded}

    def test_import_of_what_does_not_run_is_an_error(self, run_python):
        code = (
            "import sys, types\n"
            "cpu = types.SimpleNamespace(supports_v3=bool, supports_v4=bool)\n"
            "sys.modules['fastlogloss._kernels._cpu'] = cpu\n"
            "import fastlogloss._kernels as kernels\n"
            "print(*kernels.available(), kernels.loops.__name__)\n"
            "import fastlogloss._kernels._v4"
        )
        done = run_python("-c", code, check=False)
        assert done.stdout.split() == ["base", "fastlogloss._kernels._base"]
        assert "ModuleNotFoundError" in done.stderr.splitlines()[-1]

    def test_empty_is_none(self, run_python):
        code = (
            "from fastlogloss import _kernels as kernels\n"
            "print(kernels.loops is kernels.load(kernels.available()[0]))"
        )
        assert run_python("-c", code, FASTLOGLOSS_ISA="").stdout.split() == ["True"]

    @pytest.mark.parametrize("name", ["v5", "BASE", "avx2", "base,v3", "_base"])
    def test_unknown(self, run_python, name):
        done = run_python("-c", "import fastlogloss", FASTLOGLOSS_ISA=name, check=False)
        assert done.returncode == 1
        assert "ValueError" in done.stderr
        assert f"FASTLOGLOSS_ISA={name!r}" in done.stderr
        for choice in required_variants():
            assert choice in done.stderr.splitlines()[-1]


class TestBinaries:
    def test_all_are_there(self):
        names = {path.name.split(".")[0] for path in COMPILED}
        assert {"_base", "_cpu", "_labels"} <= names
        assert {f"_{name}" for name in required_variants()} <= names

    @pytest.mark.skipif(sys.platform != "linux", reason="of ELF binaries")
    @pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
    def test_no_library_path(self, path):
        tool = shutil.which("readelf")
        assert tool, "readelf is needed (it is part of binutils)"
        command = [tool, "--dynamic", "--wide", str(path)]
        text = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=60
        ).stdout
        assert "NEEDED" in text
        assert "RPATH" not in text
        assert "RUNPATH" not in text

    @pytest.mark.skipif(sys.platform != "linux", reason="of ELF binaries")
    @pytest.mark.skipif(
        os.environ.get("FASTLOGLOSS_DEBUG") == "1", reason="built with its symbols"
    )
    @pytest.mark.parametrize("path", COMPILED, ids=lambda path: path.name)
    def test_stripped(self, path):
        tool = shutil.which("readelf")
        assert tool, "readelf is needed (it is part of binutils)"
        command = [tool, "--sections", "--wide", str(path)]
        text = subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=60
        ).stdout
        assert ".debug_info" not in text
        assert ".symtab" not in text


class TestOpenMP:
    @pytest.mark.skipif(
        sys.platform != "linux" and os.environ.get("FASTLOGLOSS_REQUIRE_OPENMP") != "1",
        reason="compilers of other systems may lack it",
    )
    def test_is_there(self):
        assert _pool.HAS_OPENMP is True


def test_types_are_told_by_width():
    """Where long has 32 bits, NPY_INT64 is NPY_LONGLONG: one case for the two."""
    for path in (ROOT / "_kernels").iterdir():
        if path.suffix in (".pyx", ".pxi"):
            assert "NPY_LONGLONG" not in path.read_text(encoding="utf-8"), path


def test_variants_agree_on_constants():
    variants = [load_variant(name) for name in required_variants()]
    names = ("BAD_LABEL", "BAD_PROBA", "BAD_ROW_SUM", "BAD_SCORE", "BAD_TARGET")
    assert len({tuple(getattr(v, n) for n in names) for v in variants}) == 1


def test_stubs_are_for_what_is_compiled_or_lazy():
    """Type checkers read a stub instead of the module, whose code they do not check."""
    compiled = {f"{path.stem}.pyi" for path in (ROOT / "_kernels").glob("*.pyx")}
    stubs = [path.relative_to(ROOT) for path in ROOT.rglob("*.pyi")]
    kernels = {path.name for path in stubs if path.parts[0] == "_kernels"}
    others = {path.as_posix() for path in stubs if path.parts[0] != "_kernels"}
    assert kernels == compiled
    lazy = {"__init__.pyi", "scorers.pyi"}  # scorers are made by __getattr__
    assert others == lazy


def test_stubs_name_what_is_public():
    stub = ast.parse((ROOT / "__init__.pyi").read_text(encoding="utf-8"))
    names = {
        alias.asname or alias.name
        for node in ast.walk(stub)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    with contextlib.suppress(KeyError):
        names.remove("annotations")
    assert set(fastlogloss.__all__) <= names
