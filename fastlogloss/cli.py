"""The command line: ``python -m fastlogloss`` or, where it is installed, fastlogloss.

Each command is a function. It imports what it needs when it runs.
"""

import argparse
import builtins
import os
import sys
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader, SourcelessFileLoader
from types import CodeType, ModuleType


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name.

    Parameters
    ----------
    argv : list of str, default=None
        The arguments; None means those of the process.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    n_own = _n_own(argv)
    options = _parser().parse_args(argv[:n_own])
    options.command(options, argv[n_own:])


def _parser() -> argparse.ArgumentParser:
    from fastlogloss import __version__
    from fastlogloss.commands import score

    is_module = os.path.basename(sys.argv[0]) == "__main__.py"
    parser = argparse.ArgumentParser(
        prog="python -m fastlogloss" if is_module else "fastlogloss",
        description="Log loss for scikit-learn.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", metavar="command", required=True)
    run = commands.add_parser(
        "run",
        help="run a script or a module with scikit-learn patched",
        usage=f"{parser.prog} run [-h] (script | -m module) [args ...]",
        description=(
            "Run a script or a module as Python does, with scikit-learn patched "
            "(fastlogloss.patch_sklearn). All arguments after it are passed on."
        ),
    )
    run.add_argument("-m", dest="module", metavar="module", help="run this module")
    run.add_argument("script", nargs="?", help="run this file, directory or zip file")
    run.set_defaults(command=_run, parser=run)
    score.add_arguments(
        commands.add_parser("score", help="log loss of the rows of files")
    )
    return parser


def _n_own(argv: list[str]) -> int:
    """How many of the arguments are not those of the script or module to be run."""
    if argv[:1] == ["run"]:
        for i, argument in enumerate(argv[1:], 1):
            if argument == "-m":
                return i + 2
            if not argument.startswith("-") or argument.startswith("-m"):
                return i + 1
    return len(argv)


def _run(options: argparse.Namespace, arguments: list[str]) -> None:
    """Run a script or a module, as Python does, with scikit-learn patched."""
    import pkgutil
    import runpy

    module, script, code = options.module, options.script, None
    if module is None and script is None:
        options.parser.error("there must be a script, or -m and a module")
    sys.argv[:] = ["-m" if script is None else script, *arguments]
    if script is None:
        _set_path(os.getcwd())
    elif pkgutil.get_importer(script) is not None:  # of a directory or zip file
        module = "__main__"
        _set_path(None)
        sys.path.insert(0, os.path.join(os.getcwd(), script))
    else:
        script = os.path.join(os.getcwd(), script)
        code = _code(script, options.parser)
        _set_path(os.path.dirname(os.path.realpath(script)))
    from fastlogloss.sklearn_patch import patch_sklearn

    patch_sklearn()
    # A new module that stays: threads may outlive the last line, and functions run at
    # the exit. `runpy.run_path` would put our own module back before these are done.
    main = ModuleType("__main__")
    if "__annotations__" in vars(sys.modules["__main__"]):  # not from Python 3.14 on
        main.__annotations__ = {}
    vars(main).update(__builtins__=builtins)
    sys.modules["__main__"] = main
    if code is None:
        # As Python does; typeshed does not have it.
        # What `python -m` itself calls; typeshed leaves private names out.
        runpy._run_module_as_main(  # type: ignore[attr-defined]
            module, options.module is not None
        )
        return
    loader = SourcelessFileLoader if script.endswith(".pyc") else SourceFileLoader
    vars(main).update(__file__=script, __cached__=None)
    main.__loader__ = loader("__main__", script)
    exec(code, vars(main))


def _set_path(folder: str | None) -> None:
    """Put a folder, or none, in the place of the one where Python has found us."""
    if not sys.flags.safe_path:  # then there is no such place
        sys.path[:1] = [] if folder is None else [folder]


def _code(script: str, parser: argparse.ArgumentParser) -> CodeType:
    import pkgutil

    try:
        with open(script, "rb") as file:
            code: CodeType | None = pkgutil.read_code(file)
            if code is None:  # not compiled before
                file.seek(0)
                code = compile(file.read(), script, "exec", dont_inherit=True)
    except OSError as error:
        parser.exit(2, f"{parser.prog}: can't open file {script!r}: {error.strerror}\n")
    return code
