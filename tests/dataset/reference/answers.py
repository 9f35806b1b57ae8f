"""What an expression gives, in a form that can be written down and compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

FAILS = "fails"


def answer(expression: str, ctx: Any) -> str:
    """Evaluate an expression; return what it gives, or that it fails, however that is said."""
    try:
        return show(eval(expression, {"ctx": ctx}))
    except Exception:
        return FAILS


def show(value: Any) -> str:
    """Show a value; a group of values of either engine as a list, and a dictionary whatever its kind."""
    return repr(_plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_plain, value)) if type(value) in (list, tuple) else tuple(map(_plain, value))
    if isinstance(value, dict | defaultdict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return list(map(_plain, value))
    return value
