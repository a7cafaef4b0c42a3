"""Run a script or module with scikit-learn patched.

python -m fastlogloss script.py [args]
python -m fastlogloss -m module [args]
"""

import argparse
import os.path
import runpy
import sys

from fastlogloss.sklearn_patch import patch_sklearn


def main(argv=None):
    parser = argparse.ArgumentParser(
        prog="python -m fastlogloss",
        description="Run a script or module with scikit-learn patched.",
    )
    parser.add_argument("-m", action="store_true", dest="module", help="run a module")
    parser.add_argument("target", help="path of the script, or name of the module")
    parser.add_argument("args", nargs=argparse.REMAINDER, help="its arguments")
    options = parser.parse_args(argv)
    sys.argv[:] = [options.target, *options.args]
    patch_sklearn()
    if options.module:
        # As with python -m: the current directory, not that of this package.
        sys.path[0] = ""
        runpy.run_module(options.target, run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = os.path.dirname(os.path.abspath(options.target))
        runpy.run_path(options.target, run_name="__main__")


if __name__ == "__main__":
    main()
