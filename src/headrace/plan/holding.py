"""What a pickle refers to by name only, and what must therefore live as long as the pickle does."""

from __future__ import annotations

import contextvars
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_met: contextvars.ContextVar[list[Any] | None] = contextvars.ContextVar("met", default=None)


@contextmanager
def holding() -> Iterator[list[Any]]:
    """Gather what is pickled by name while the block runs: whoever keeps the pickle is to keep the list."""
    found: list[Any] = []
    token = _met.set(found)
    try:
        yield found
    finally:
        _met.reset(token)


def met(value: Any) -> None:
    """Say that a value is being pickled by name.

    >>> with holding() as found:
    ...     met("a value")
    >>> found
    ['a value']

    """
    found = _met.get()
    if found is not None:
        found.append(value)
