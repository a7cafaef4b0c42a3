"""Build of the compiled modules; all else is in pyproject.toml."""

import os
import subprocess
import sys

import numpy as np
from Cython.Build import cythonize
from extension_helpers import add_openmp_flags_if_available
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

HEADERS = ("pool", "rows", "scalar", "vector")
DEBUG = os.environ.get("FASTLOGLOSS_DEBUG") == "1"
MSVC = sys.platform == "win32"

# Selects are vectorised only without trapping maths; contraction would give every
# instruction set bits of its own. Never -ffast-math: NaN and inf must be seen.
FLAGS = ["-fno-trapping-math", "-fno-math-errno", "-ffp-contract=off", "-Wall"]
FLAGS = ["/O2", "/fp:precise"] if MSVC else FLAGS
if DEBUG and not MSVC:  # an index outside an array of the kernels ends the process
    FLAGS += ["-O1", "-g", "-UNDEBUG", "-DFASTLOGLOSS_DEBUG", "-fsanitize=bounds"]
    FLAGS += ["-fsanitize-undefined-trap-on-error"]
elif not MSVC:
    FLAGS += ["-O3", "-g0"]
LINK_FLAGS = ["-Wl,-s"] if sys.platform == "linux" and not DEBUG else []
# What _cpu.pyx looks for; for compilers whose target is x86-64.
V3 = ["-mavx2", "-mfma", "-mbmi", "-mbmi2"]
V4 = [*V3, *(f"-mavx512{x}" for x in ("f", "bw", "dq", "vl"))]
V4.append("-mprefer-vector-width=512")


def extension(name, flags=(), openmp=False):
    path = f"fastlogloss/_kernels/{name}"
    ext = Extension(path.replace("/", "."), [f"{path}.pyx"])
    ext.include_dirs = [np.get_include(), "fastlogloss/_kernels"]
    ext.define_macros = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")]
    ext.depends = [f"fastlogloss/_kernels/{h}.h" for h in HEADERS]
    ext.extra_compile_args = [*FLAGS, *flags]
    ext.extra_link_args = list(LINK_FLAGS)
    if openmp and not add_openmp_flags_if_available(ext):
        print("NO OPENMP: its settings and those of threadpoolctl are not obeyed")
    return ext


class BuildExt(build_ext):
    def build_extensions(self):
        # Library paths of the building machine have no place in a binary.
        linkers = [] if MSVC else [self.compiler.linker_so]
        for arguments in linkers + [e.extra_link_args for e in self.extensions]:
            arguments[:] = [a for a in arguments if "rpath" not in a and a[:2] != "-L"]
        if MSVC or not self.targets_x86_64():
            self.extensions = [e for e in self.extensions if e.name[-3:-1] != "_v"]
        super().build_extensions()

    def targets_x86_64(self):
        command = [*self.compiler.compiler_so, "-dM", "-E", "-x", "c", os.devnull]
        done = subprocess.run(command, capture_output=True, text=True)
        return "#define __x86_64__ 1\n" in done.stdout


extensions = [extension(name) for name in ("_cpu", "_labels", "_base")]
extensions += [extension("_v3", V3), extension("_v4", V4), extension("_pool", (), True)]
# Not "freethreading_compatible": the GIL keeps others from what is read (_labels.pyx).
directives = {"cdivision": True}
directives |= dict.fromkeys(["boundscheck", "initializedcheck", "wraparound"], DEBUG)
setup(
    cmdclass={"build_ext": BuildExt},
    ext_modules=cythonize(extensions, compiler_directives=directives),
)
