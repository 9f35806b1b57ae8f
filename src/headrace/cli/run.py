"""``headrace run``: a script as if by ``python``, with what the command line says laid over its `connect`."""

from __future__ import annotations

import os
import runpy
import sys
import traceback
from collections.abc import Sequence

from headrace.config import parse_url
from headrace.context import Connecting
from headrace.errors import UsageError


def run_script(script: str, arguments: Sequence[str], url: str | None, progress: bool | None) -> int:
    """Run a script; return its exit status."""
    if not os.path.isfile(script):
        raise UsageError(f"there is no script {script!r}. Check the path.")
    if url is not None:
        parse_url(url)  # complains before the script has done anything
    Connecting.url, Connecting.progress = url, progress
    sys.argv[:] = [script, *arguments]
    sys.path.insert(0, os.path.dirname(os.path.abspath(script)))
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as error:
        return _status(error.code)
    except KeyboardInterrupt:
        return 130
    except BaseException as error:
        _without_us(error)
        return 1
    return 0


def _status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code
    print(code, file=sys.stderr)
    return 1


def _without_us(error: BaseException) -> None:
    """Print a traceback that begins with the script, not with what ran it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__") != "__main__":
        trace = trace.tb_next
    traceback.print_exception(error.with_traceback(trace or error.__traceback__))
