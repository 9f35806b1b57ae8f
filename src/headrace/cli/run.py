"""``headrace run``: a script as if by ``python``, with what the command line says laid over its `connect`."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.config import parse_url
from headrace.context import Connecting
from headrace.runtime.script import execute, read_script


def run_script(script: str, arguments: Sequence[str], url: str | None, progress: bool | None) -> int:
    """Run a script; return its exit status.

    Raises:
        UsageError: there is none, or the address does not mean anything.

    """
    if url is not None:
        parse_url(url)  # complains before the script has done anything
    source = read_script(script)
    Connecting.url, Connecting.progress = url, progress
    return execute(script, arguments, source)
