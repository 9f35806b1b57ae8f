"""Joining: every pairing of equal keys, and what becomes of a key's groups of values where some have no partner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any

from headrace.execute.chunks import CHUNK_RECORDS, sizeof
from headrace.execute.combine import ENTRY_BYTES, key_error
from headrace.execute.flow import Pace
from headrace.execute.groups import GroupTable
from headrace.execute.helpers import join_groups
from headrace.execute.kernels import Columns, Table, append_pairs
from headrace.ports import Scratch

Grouped = tuple[Any, tuple[Any, Any]]  # a key, and its values on the left and on the right
Pairing = tuple[Any, tuple[Any, Any]]  # a key, and a value of either side


def join(
    left: Iterator[Columns], right: Iterator[Columns], budget: int, scratch: Callable[[], Scratch]
) -> Iterator[list[Pairing]]:
    """Give every pairing of equal keys: of each key, left by left and right by right.

    The right side is kept by key and the left streamed past it; if the right is too large, both are grouped on disk.  A key
    is shown as the left side had it first.
    """
    table: Table = {}
    single = True  # no key came twice on the right: the table has values, not lists of values
    held = 0
    for keys, values in right:
        if single and not _enter_new(table, keys, values):
            single = False
            for key, value in table.items():
                table[key] = [value]
        if not single:
            _enter(table, keys, values)
        held += sizeof(values)
        each = 2 * ENTRY_BYTES + LIST_BYTES + sizeof(keys) // max(1, len(keys))
        if held + len(table) * each > budget // 2:
            if single:
                table = {key: [value] for key, value in table.items()}
            yield from Pace().lists(_on_disk(left, right, table, GroupTable(2, budget // 2, scratch)))
            return
    names: dict[Any, Any] = {}
    if single:
        for keys, values in left:
            shown = _shown(table, keys, names)
            yield [(key, (one, table[key])) for key, one in zip(shown, values, strict=True) if key in table]
    else:
        yield from Pace().lists(chain.from_iterable(_past(table, keys, values, names) for keys, values in left))


def _enter_new(table: Table, keys: list[Any], values: list[Any]) -> bool:
    """Enter values of keys of which none is there yet, and no two are equal; or else nothing, and return False."""
    try:
        new = dict(zip(keys, values, strict=True))
    except TypeError:
        return False  # whoever enters them one by one says what is wrong
    if len(new) < len(keys) or not table.keys().isdisjoint(new):
        return False
    table |= new
    return True


def _enter(table: Table, keys: list[Any], values: list[Any]) -> None:
    try:
        append_pairs(table, zip(keys, values, strict=True))
    except TypeError as error:
        if (ours := key_error(error)) is not None:
            raise ours from None
        raise


def _past(table: Table, keys: list[Any], values: list[Any], names: dict[Any, Any]) -> Iterator[Pairing]:
    for key, one in zip(_shown(table, keys, names), values, strict=True):
        if key in table:
            for other in table[key]:
                yield key, (one, other)


def _shown(table: Table, keys: list[Any], names: dict[Any, Any]) -> list[Any]:
    return keys if set(map(type, keys)) <= DISTINCT else _named(table, keys, names)


def _named(table: Table, keys: list[Any], names: dict[Any, Any]) -> list[Any]:
    """Replace each key that has a partner by the first that is equal: 1, 1.0 and True are one key."""
    try:
        return [names.setdefault(key, key) if key in table else key for key in keys]
    except TypeError:
        for key in keys:
            if type(key).__hash__ is None or isinstance(key, tuple):
                _enter({}, [key], [None])  # raises for the one that cannot be a key
        raise


def _on_disk(left: Iterator[Columns], right: Iterator[Columns], table: Table, groups: GroupTable) -> Iterator[Pairing]:
    for keys, values in left:
        groups.add_columns(keys, values, 0)
    items = iter(table.items())
    while some := list(islice(items, CHUNK_RECORDS)):
        groups.add_groups([key for key, _ in some], [held for _, held in some], 1)
    table.clear()
    for keys, values in right:
        groups.add_columns(keys, values, 1)
    for key, (ones, others) in groups.drain():
        yield from join_groups((key, (ones, others)))


LIST_BYTES = 64  # of a key's list of values, beside the values
DISTINCT = {str, bytes, type(None)}  # of these, equal keys look alike


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
