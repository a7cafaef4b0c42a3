"""Build of the compiled modules; all else is in pyproject.toml."""

import os
import platform
import sys

import numpy as np
from Cython.Build import cythonize
from extension_helpers import add_openmp_flags_if_available
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("FASTLOGLOSS_DEBUG") == "1"
MSVC = sys.platform == "win32"
X86_64 = platform.machine().lower() in ("x86_64", "amd64")

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
# What _cpu.pyx looks for.
V3_FLAGS = ["-mavx2", "-mfma", "-mbmi", "-mbmi2"]
V4_FLAGS = [*V3_FLAGS, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl"]
V4_FLAGS += ["-mprefer-vector-width=512"]


def extension(name, flags=(), openmp=False):
    path = f"fastlogloss/_kernels/{name}"
    ext = Extension(path.replace("/", "."), [f"{path}.pyx"])
    ext.include_dirs = [np.get_include(), "fastlogloss/_kernels"]
    ext.define_macros = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")]
    ext.depends = [f"fastlogloss/_kernels/{h}.h" for h in ("scalar", "rows", "vector")]
    ext.extra_compile_args = [*FLAGS, *flags]
    ext.extra_link_args = list(LINK_FLAGS)
    if openmp and not add_openmp_flags_if_available(ext):
        print("*" * 70, "* NO OPENMP: one thread, always", "*" * 70, sep="\n")
    return ext


class BuildExt(build_ext):
    def build_extensions(self):
        # Library paths of the building machine have no place in a binary.
        linkers = [] if MSVC else [self.compiler.linker_so]
        for arguments in linkers + [e.extra_link_args for e in self.extensions]:
            arguments[:] = [a for a in arguments if "rpath" not in a and a[:2] != "-L"]
        super().build_extensions()


extensions = [extension("_cpu"), extension("_labels"), extension("_base", openmp=True)]
if X86_64 and not MSVC:
    extensions.append(extension("_v3", V3_FLAGS, openmp=True))
    extensions.append(extension("_v4", V4_FLAGS, openmp=True))
directives = {"freethreading_compatible": True, "cdivision": True}
directives |= dict.fromkeys(["boundscheck", "initializedcheck", "wraparound"], DEBUG)
setup(
    cmdclass={"build_ext": BuildExt},
    ext_modules=cythonize(extensions, compiler_directives=directives),
)
