"""Lines for the person at the terminal, if there is one."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Mapping
from typing import Any

from headrace.ids import RunId
from headrace.protocols import schedule_words as words


def write(stream: int, text: str) -> None:
    """Write to the program's standard output (1) or error (2), wherever they go by now."""
    with contextlib.suppress(Exception):  # the terminal is gone, or what stands in for it is; the run goes on
        target = sys.stdout if stream == 1 else sys.stderr
        target.write(text)
        target.flush()


def is_terminal(stream: Any) -> bool:
    """Whether a person reads what is written to a stream; it may be closed, absent, or no file at all."""
    try:
        return bool(stream.isatty())
    except Exception:  # whatever stands in for a stream may do anything
        return False


TROUBLE = ("workers lost", "hosts lost", "failed", "lost", "starved", "copies")


def tell_end(run: RunId, totals: Mapping[str, int], summary: Mapping[str, Any]) -> None:
    """Sum a run up, if there was trouble in it, or if it was simulated: then with the hash of all that happened."""
    said = [f"{totals[name]:,} {_words(name, totals[name])}" for name in TROUBLE if totals[name]]
    if "trace" in summary:
        said.insert(0, f"trace {summary['trace']}, {summary['simulated_s']:.3f} simulated seconds")
    if said:
        write(2, f"headrace: {', '.join(said)}; headrace story {run} tells more\n")


def _words(total: str, number: int) -> str:
    """Name a total, for a number of things.

    >>> _words("workers lost", 1), _words("failed", 2), _words("copies", 1)
    ('worker lost', 'attempts failed', 'backup copy')
    """
    words_ = {
        "failed": "attempts failed",
        "lost": "attempts lost",
        "starved": "attempts starved",
        "copies": "backup copies",
    }
    many = words_.get(total, total)
    if number != 1:
        return many
    return many.replace("copies", "copy") if "copies" in many else many.replace("s ", " ", 1)


def tell_stalls(machine: str, event: Any, effects: list[Any]) -> None:  # noqa: ARG001
    """Watch for times in which nothing moves, and say what is waited for."""
    for effect in effects:
        if isinstance(effect, words.Stalled):
            waits = "".join(f"\n  {line}" for line in effect.waits)
            write(2, f"headrace: nothing has moved for {effect.silent_ns / 1e9:.0f} s; waiting:{waits}\n")
