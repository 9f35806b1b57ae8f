"""Runs a script in this process as ``python`` would, for commands that lay something over it."""

from __future__ import annotations

import builtins
import io
import os
import sys
import types
from collections.abc import Callable, Sequence
from importlib.machinery import SourceFileLoader

from headrace.errors import UsageError


def read_script(script: str) -> bytes:
    """Return a script's source.

    Raises:
        UsageError: there is none.

    """
    try:
        with io.open_code(os.path.abspath(script)) as file:
            return file.read()
    except OSError as error:
        raise UsageError(f"there is no script {script!r}: {error.strerror}. Check the path.") from error


def execute(
    script: str,
    arguments: Sequence[str],
    source: bytes | None = None,
    raised: Callable[[BaseException], None] = lambda error: None,
) -> int:
    """Run a script; return its exit status.

    Args:
        script: its path; `sys.argv` has it as it is given here.
        source: what is in it, if it has been read already.
        raised: is shown the exception that ends the script, if one does, before it is printed.

    Raises:
        UsageError: there is no script.

    """
    path = os.path.abspath(script)
    if source is None:
        source = read_script(script)
    sys.argv[:] = [script, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.realpath(script)))
    try:
        exec(compile(source, path, "exec", dont_inherit=True), vars(_main_module(path)))  # noqa: S102
    except SystemExit as error:
        return _status(error.code)
    except KeyboardInterrupt:
        return 130
    except BaseException as error:
        raised(error)
        _tell(error)
        return 1
    return 0


def _main_module(path: str) -> types.ModuleType:
    """Make the script's `__main__`.  It stays: threads of the script, and what it does at its end, need it still."""
    main = types.ModuleType("__main__")
    vars(main).update(
        __builtins__=builtins, __file__=path, __cached__=None, __loader__=SourceFileLoader("__main__", path)
    )
    sys.modules["__main__"] = main
    return main


def _status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code
    print(code, file=sys.stderr)  # noqa: T201 - as Python does
    return 1


def _tell(error: BaseException) -> None:
    """Have an exception shown, as Python would, without the frame that ran the script."""
    trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
    sys.excepthook(type(error), error.with_traceback(trace), trace)
