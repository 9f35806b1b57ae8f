"""Cached records that nobody can change are held as objects, in what the frames leave of the budget, and nothing else is."""

from __future__ import annotations

from collections import namedtuple
from decimal import Decimal
from typing import Any

import pytest

from headrace import Context
from headrace.execute.frozen import is_frozen
from headrace.execute.groups import Group
from headrace.store.cache import Cache
from tests.execute.help import MemoryScratch

Named = namedtuple("Named", "a b")


class Text(str):
    """A text that can have attributes."""


def kept(cache: Cache, key: tuple[int, int], size: int) -> None:
    entry = cache.begin(*key)
    assert entry.add(bytes(size))
    entry.done()


def revived(cache: Cache, key: tuple[int, int], chunks: list[list[Any]]) -> bool:
    objects = cache.revive(*key)
    if objects is None:
        return False
    if not all(map(objects.add, chunks)):
        return False
    objects.done()
    return True


@pytest.mark.parametrize(
    "records",
    [
        [],
        [1, 2.0, "three", b"four", None, True, 5j, Decimal(6)],
        [("a", (1, (2, frozenset({3}))))],
        [("a", Group([1, 2])), ("b", Group([("c", 1.0)]))],
        [(), (1,), frozenset()],
    ],
)
def test_plain_values_within_tuples_and_groups_are_frozen(records: list[Any]) -> None:
    assert is_frozen(records)


@pytest.mark.parametrize(
    "records",
    [
        [[1]],
        [("a", [1])],
        [("a", Group([[1]]))],
        [{"a": 1}],
        [("a", (1, (2, {3})))],
        [Text("a")],
        [Named(1, 2)],
        [bytearray(b"a")],
        [object()],
        [frozenset({(1, Text("a"))})],
    ],
)
def test_what_can_be_changed_or_is_not_known_is_not(records: list[Any]) -> None:
    assert not is_frozen(records)
    assert not is_frozen([1, *records])


def test_a_group_on_disk_is_not() -> None:
    scratch = MemoryScratch()
    assert not is_frozen([("a", Group([1], [(0, 1)], 1, scratch))])


def test_only_a_partition_in_memory_is_revived_and_only_once() -> None:
    cache = Cache(10_000)
    assert not revived(cache, (1, 0), [[1]])
    kept(cache, (1, 0), 10)
    assert not revived(cache, (1, 0), [[1], [[2]]])
    assert cache.live.get((1, 0)) is None
    assert revived(cache, (1, 0), [[1], [2]])
    assert cache.live.get((1, 0)) == [[1], [2]]
    assert cache.revive(1, 0) is None


def test_objects_give_way_to_frames() -> None:
    cache = Cache(1000)
    kept(cache, (1, 0), 100)
    assert not revived(cache, (1, 0), [["x" * 900]])
    assert revived(cache, (1, 0), [["x" * 300]])
    held = cache.live.bytes
    assert 300 < held <= 900
    kept(cache, (1, 1), 900 - held)
    assert cache.live.get((1, 0)) is not None
    kept(cache, (1, 2), 10)
    assert cache.live.get((1, 0)) is None
    assert cache.live.bytes == 0
    assert cache.get(1, 0) is not None


def test_a_dataset_that_is_forgotten_leaves_no_objects() -> None:
    cache = Cache(10_000)
    kept(cache, (1, 0), 10)
    late = cache.revive(1, 0)
    assert late is not None
    assert late.add([1])
    cache.forget(1)
    late.done()
    assert cache.live.get((1, 0)) is None
    kept(cache, (2, 0), 10)
    assert revived(cache, (2, 0), [[1]])
    cache.forget(2)
    assert cache.live.get((2, 0)) is None
    assert cache.live.bytes == 0


def test_a_function_that_changes_what_it_gets_changes_nothing_that_others_get(inline: Context) -> None:
    def spoil(record: Any) -> int:
        if isinstance(record, list):
            record.append(9)
        return len(record)

    for records in ([(1, 2), (3, 4)], [[1, 2], [3, 4]]):
        kept_ones = inline.parallelize(records, 2).cache()
        for _ in range(4):
            assert kept_ones.map(spoil).collect() == [len(record) + isinstance(record, list) for record in records]
        assert kept_ones.collect() == records


def test_a_function_that_changes_the_list_it_is_read_from_changes_nothing(inline: Context) -> None:
    """Chunks are lists; whoever gets one as a partition's iterator or from glom may do what it likes with it."""
    kept_ones = inline.parallelize(range(10), 2).cache()
    for _ in range(4):
        assert kept_ones.glom().map(lambda part: part.pop()).collect() == [4, 9]
    assert kept_ones.collect() == list(range(10))
