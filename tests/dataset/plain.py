"""The oracle: what each operator means, in plain Python on lists of partitions, and nothing of the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.dataset.data import Parts, canonical, flat


def gathered(records: list[Any]) -> list[tuple[Any, list[Any]]]:
    """Gather the values of each key, in order; the key is shown as it came first."""
    groups: dict[Any, tuple[Any, list[Any]]] = {}
    for key, value in records:
        groups.setdefault(canonical(key), (key, []))[1].append(value)
    return list(groups.values())


def reduced(records: list[Any], merge: Callable[[Any, Any], Any]) -> list[tuple[Any, Any]]:
    """Merge the values of each key from left to right."""
    made = []
    for key, values in gathered(records):
        merged = values[0]
        for value in values[1:]:
            merged = merge(merged, value)
        made.append((key, merged))
    return made


def distinct(records: list[Any]) -> list[Any]:
    """Keep the first of equal records."""
    return [record for record, _ in gathered([(record, None) for record in records])]


def joined(left: list[Any], right: list[Any]) -> list[Any]:
    """Pair every value of a key with every one of the other side."""
    others = {canonical(key): values for key, values in gathered(right)}
    return [
        (key, (one, other))
        for key, values in gathered(left)
        for one in values
        for other in others.get(canonical(key), [])
    ]


def taken(parts: Parts, number: int) -> list[Any]:
    """Take the first records."""
    return flat(parts)[:number]
