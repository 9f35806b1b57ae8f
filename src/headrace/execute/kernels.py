"""The inner loops: combining, grouping and dealing out pairs.  One call handles a whole batch of records.

Each does for a batch what its first line says, and nothing else: no spilling, no progress, no errors of its own.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any
from zlib import crc32

from headrace.plan.hashing import mix, stable_hash
from headrace.plan.partitioners import HashPartitioner, Partitioner

Table = dict[Any, Any]
Columns = tuple[list[Any], list[Any]]


class Paired:
    """A batch of pairs, as a column of keys and one of values."""

    __slots__ = ("columns",)

    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return zip(*self.columns, strict=True)


BUCKETS = 64
FEW = 4  # records of each key, on the average, from which on it pays to look at keys once
PLAIN = {str, bytes, int, bool, type(None)}
NATIVE = PLAIN | {float}

count_records: Callable[[Table, Iterable[Any]], None] = Counter.update.__globals__[
    "_count_elements"
]  # in C, in CPython


def keep_records(table: Table, records: Iterable[Any]) -> None:
    """Enter records as keys; those that are there stay."""
    table.update(zip(records, repeat(None)))


def reduce_pairs(table: Table, pairs: Iterable[Any], merge: Callable[[Any, Any], Any]) -> None:
    """Merge each value into its key's; the first value of a key starts it.

    >>> table = {}
    >>> reduce_pairs(table, [("a", 1), ("b", 2), ("a", 3)], max)
    >>> table
    {'a': 3, 'b': 2}
    """
    if merge is operator.add:
        for key, value in pairs:
            if key in table:
                table[key] = table[key] + value
            else:
                table[key] = value
    else:
        for key, value in pairs:
            if key in table:
                table[key] = merge(table[key], value)
            else:
                table[key] = value


def combine_pairs(
    table: Table, pairs: Iterable[Any], create: Callable[[Any], Any], merge_value: Callable[[Any, Any], Any]
) -> None:
    """Merge each value into its key's combiner; the first value of a key creates it."""
    for key, value in pairs:
        if key in table:
            table[key] = merge_value(table[key], value)
        else:
            table[key] = create(value)


def append_pairs(table: Table, pairs: Iterable[Any]) -> None:
    """Append each value to its key's list."""
    for key, value in pairs:
        if key in table:
            table[key].append(value)
        else:
            table[key] = [value]


def append_pairs_at(table: Table, pairs: Iterable[Any], place: int, width: int) -> None:
    """Append each value to the list at `place` among its key's `width` lists."""
    for key, value in pairs:
        if key in table:
            table[key][place].append(value)
        else:
            lists: list[list[Any]] = [[] for _ in range(width)]
            lists[place].append(value)
            table[key] = lists


def scatter(
    keys: Sequence[Any], values: Iterable[Any], partitioner: Partitioner, *, distinct: bool = False
) -> list[Columns]:
    """Deal pairs to partitions: for each, its keys and their values, in the order in which they came.

    Args:
        distinct: no two keys are equal.

    >>> scatter(["a", "b", "c"], [1, 2, 3], HashPartitioner(2))
    [(['b', 'c'], [2, 3]), (['a'], [1])]

    """
    if isinstance(partitioner, HashPartitioner):
        places = places_of(keys, partitioner.partitions, distinct=distinct)
        return deal(keys, values, places, partitioner.partitions)
    return deal(keys, values, map(partitioner.partition, keys), partitioner.partitions)


def places_of(keys: Sequence[Any], number: int, *, distinct: bool = True) -> Iterable[int]:
    """Say where each key goes; where few are different, each of those is hashed once."""
    if not distinct and len(keys) >= FEW * FEW and plain(keys):
        different = list(dict.fromkeys(keys))
        if len(different) * FEW <= len(keys):
            places = dict(zip(different, (hashed * number >> 32 for hashed in hashes(different)), strict=True))
            return map(places.__getitem__, keys)
    return (hashed * number >> 32 for hashed in hashes(keys))


def deal(keys: Iterable[Any], values: Iterable[Any], places: Iterable[int], number: int) -> list[Columns]:
    """Put each pair where `places` says."""
    parts: list[Columns] = [([], []) for _ in range(number)]
    for key, value, place in zip(keys, values, places, strict=True):
        part = parts[place]
        part[0].append(key)
        part[1].append(value)
    return parts


def hashes(keys: Sequence[Any]) -> Iterable[int]:
    """Hash keys stably; keys that are all text take a loop in C."""
    kinds = set(map(type, keys))
    if kinds == {str}:
        try:
            return list(map(crc32, map(str.encode, keys)))
        except UnicodeEncodeError:  # a lone surrogate somewhere
            pass
    elif kinds == {int}:
        return map(mix, map(hash, keys))
    return map(stable_hash, keys)


def bucket_of(hashed: int, depth: int) -> int:
    """Choose one of `BUCKETS` by bits of a hash that neither the partition nor a smaller depth depends on."""
    return (((hashed ^ hashed >> 15) * 0x2C1B3C6D & 0xFFFFFFFF) >> 6 * depth) & BUCKETS - 1


def plain(keys: Iterable[Any]) -> bool:
    """Whether keys are all of types that can hold no NaN."""
    return set(map(type, keys)) <= PLAIN


def native(values: Iterable[Any]) -> bool:
    """Whether values are all of types that pickle alike, whoever pickles them."""
    return set(map(type, values)) <= NATIVE
