"""``headrace run``: a script as if by ``python``, with what the command line says laid over its `connect`."""

from __future__ import annotations

import builtins
import io
import os
import sys
import types
from collections.abc import Sequence
from importlib.machinery import SourceFileLoader

from headrace.config import parse_url
from headrace.context import Connecting
from headrace.errors import UsageError


def run_script(script: str, arguments: Sequence[str], url: str | None, progress: bool | None) -> int:
    """Run a script; return its exit status.

    Raises:
        UsageError: there is none, or the address does not mean anything.

    """
    if url is not None:
        parse_url(url)  # complains before the script has done anything
    path = os.path.abspath(script)
    try:
        with io.open_code(path) as file:
            source = file.read()
    except OSError as error:
        raise UsageError(f"there is no script {script!r}: {error.strerror}. Check the path.") from error
    Connecting.url, Connecting.progress = url, progress
    sys.argv[:] = [script, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.realpath(script)))
    try:
        exec(compile(source, path, "exec", dont_inherit=True), vars(_main_module(path)))  # noqa: S102
    except SystemExit as error:
        return _status(error.code)
    except KeyboardInterrupt:
        return 130
    except BaseException as error:
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
    print(code, file=sys.stderr)
    return 1


def _tell(error: BaseException) -> None:
    """Have an exception shown, as Python would, without the frame that ran the script."""
    trace = error.__traceback__.tb_next if error.__traceback__ is not None else None
    sys.excepthook(type(error), error.with_traceback(trace), trace)
