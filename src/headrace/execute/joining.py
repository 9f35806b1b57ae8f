"""What becomes of one key's groups of values when datasets are joined or subtracted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrace.execute.helpers import join_groups

Grouped = tuple[Any, tuple[Any, Any]]  # a key, and its values on the left and on the right


def pair_or_none(grouped: Grouped, *, keeps_left: bool, keeps_right: bool) -> Iterator[tuple[Any, tuple[Any, Any]]]:
    """Give every pairing; where one side is empty and the other to be kept, that with None.

    >>> list(pair_or_none(("k", ([1, 2], [])), keeps_left=True, keeps_right=False))
    [('k', (1, None)), ('k', (2, None))]
    """
    key, (left, right) = grouped
    if len(left) and len(right):
        return join_groups(grouped)
    if keeps_left and len(left):
        return ((key, (value, None)) for value in left)
    if keeps_right and len(right):
        return ((key, (None, value)) for value in right)
    return iter(())


def without_right(grouped: Grouped) -> Iterator[tuple[Any, Any]]:
    """Give the left pairs of a key that the right side does not have."""
    key, (left, right) = grouped
    return iter(()) if len(right) else ((key, value) for value in left)


def in_both(grouped: Grouped) -> list[Any]:
    """Give a key that both sides have, once."""
    key, (left, right) = grouped
    return [key] if len(left) and len(right) else []
