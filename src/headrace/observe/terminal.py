"""Lines for the person at the terminal, if there is one."""

from __future__ import annotations

import sys
from typing import Any

from headrace.protocols import schedule_words as words


def write(stream: int, text: str) -> None:
    """Write to the program's standard output (1) or error (2), wherever they go by now."""
    try:
        target = sys.stdout if stream == 1 else sys.stderr
        target.write(text)
        target.flush()
    except (OSError, ValueError, AttributeError):
        pass  # the terminal is gone; the run goes on


def tell_stalls(machine: str, event: Any, effects: list[Any]) -> None:  # noqa: ARG001
    """Watch for times in which nothing moves, and say what is waited for."""
    for effect in effects:
        if isinstance(effect, words.Stalled):
            waits = "".join(f"\n  {line}" for line in effect.waits)
            write(2, f"headrace: nothing has moved for {effect.silent_ns / 1e9:.0f} s; waiting:{waits}\n")
