"""Build of the compiled modules; all else is in pyproject.toml."""

import glob
import os
import subprocess
import sys

import numpy as np
from Cython.Build import cythonize
from extension_helpers import add_openmp_flags_if_available
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("FASTLOGLOSS_DEBUG") == "1"
MSVC = sys.platform == "win32"
# Selects are vectorised only without trapping maths; contraction would give variants
# bits of their own. Never -ffast-math: NaN and inf must be seen.
FLAGS = ["-fno-trapping-math", "-fno-math-errno", "-ffp-contract=off", "-Wall"]
FLAGS = ["/O2", "/fp:precise"] if MSVC else FLAGS
if DEBUG and not MSVC:  # an index outside an array of the kernels ends the process
    FLAGS += ["-O1", "-g", "-UNDEBUG", "-DFASTLOGLOSS_DEBUG", "-fsanitize=bounds"]
    FLAGS += ["-fsanitize-undefined-trap-on-error"]
elif not MSVC:
    # Of buffers of a tile only the first rows are filled, and read.
    FLAGS += ["-O3", "-g0", "-Wno-maybe-uninitialized"]
LINK_FLAGS = ["-Wl,-s"] if sys.platform == "linux" and not DEBUG else []
V3 = ["-mavx2", "-mfma", "-mf16c", "-mbmi", "-mbmi2"]  # what _cpu.pyx looks for
V4 = [*V3, *(f"-mavx512{x}" for x in ("f", "bw", "dq", "vl"))]
V4.append("-mprefer-vector-width=512")
KERNELS = {"_cpu": [], "_labels": [], "_pool": [], "_base": [], "_v3": V3, "_v4": V4}
CHOSEN = os.environ.get("FASTLOGLOSS_KERNELS", " ".join(KERNELS)).split()


def extension(name):
    path = f"fastlogloss/_kernels/{name}"
    ext = Extension(path.replace("/", "."), [f"{path}.pyx"])
    ext.include_dirs = [np.get_include(), "fastlogloss/_kernels"]
    ext.define_macros = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")]
    ext.depends = glob.glob("fastlogloss/_kernels/*.h")
    ext.extra_compile_args = [*FLAGS, *KERNELS[name]]
    ext.extra_link_args = list(LINK_FLAGS)
    if name == "_pool" and not add_openmp_flags_if_available(ext):
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
        macros = subprocess.run(command, capture_output=True).stdout
        return b"#define __x86_64__ 1\n" in macros


extensions = [extension(name) for name in CHOSEN]
# Not "freethreading_compatible": the GIL keeps others from what is read (_labels.pyx).
directives = {"cdivision": True}
directives |= dict.fromkeys(["boundscheck", "initializedcheck", "wraparound"], DEBUG)
setup(
    cmdclass={"build_ext": BuildExt},
    ext_modules=cythonize(extensions, compiler_directives=directives),
)
