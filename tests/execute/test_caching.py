"""Cached partitions: computed once, read as they were, and left alone if they do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from headrace.execute.chunks import loads
from headrace.execute.shared import Accumulator
from headrace.plan.stages import RecordsSink
from tests.execute.help import MemoryPort, World
from tests.plan.lineage import Lineage

CALLS = Accumulator(1, 0)


def counted(record: Any) -> Any:
    CALLS.add(1)
    return [record]


def calls(ports: list[MemoryPort]) -> int:
    return sum(loads(p.finished.updates)[1] for p in ports if p.finished is not None and p.finished.updates)


def test_what_is_kept_is_not_computed_again() -> None:
    make = Lineage()
    kept = make.record(make.numbers(range(10), 2), "map", counted)
    tip = make.record(kept, "flat_map", list)
    world = World()
    first = world.run(tip, cached=frozenset({kept.id}))
    second = world.run(tip, cached=frozenset({kept.id}))
    assert (calls(first), calls(second)) == (10, 0)
    assert [port.brought.values() for port in first] == [port.brought.values() for port in second]
    assert sorted(world.cache) == [(kept.id, 0), (kept.id, 1)]


def test_what_a_reader_changes_is_changed_for_nobody_else() -> None:
    make = Lineage()
    kept = make.record(make.numbers(range(3), 1), "map", counted)

    def spoil(record: list[int]) -> int:
        record.append(99)
        return len(record)

    world = World()
    tip = make.record(kept, "map", spoil)
    for _ in range(3):
        assert world.records(tip, cached=frozenset({kept.id})) == [[2, 2, 2]]


def test_a_partition_that_does_not_fit_is_computed_each_time_and_comes_out_whole() -> None:
    make = Lineage()
    kept = make.record(make.numbers(range(10_000), 1), "map", counted)
    world = World()
    world.cache_room = 100
    for _ in range(2):
        ports = world.run(kept, cached=frozenset({kept.id}))
        assert calls(ports) == 10_000
        assert sum(len(chunk) for chunk in ports[0].brought.values()) == 10_000
    assert world.cache == {}


def test_a_partition_that_was_not_read_to_its_end_is_not_kept() -> None:
    """Half of it must not pass for the whole."""
    make = Lineage()
    kept = make.record(make.numbers(range(10_000), 1), "map", counted)
    world = World()
    world.run(kept, RecordsSink(limit=5), cached=frozenset({kept.id}))
    assert world.cache == {}

    def some(records: Iterator[Any]) -> list[Any]:
        return [next(records) for _ in range(5000)]

    world.run(make.partitions(kept, some), cached=frozenset({kept.id}))
    assert world.cache == {}


def test_a_partition_that_failed_on_the_way_is_not_kept() -> None:
    make = Lineage()
    kept = make.record(make.numbers(range(100), 1), "map", counted)
    world = World()
    with pytest.raises(ZeroDivisionError):
        world.run(make.record(kept, "map", lambda r: 1 // (50 - r[0])), cached=frozenset({kept.id}))
    assert world.cache == {}


@pytest.mark.parametrize("kind", ["source", "union", "zipped", "partitions", "grouped", "combined here"])
def test_any_operator_can_be_kept(kind: str) -> None:
    make = Lineage()
    one, other = make.slices([[(1, 2)], [(3, 4), (1, 5)]]), make.slices([[], [(5, 6)]])
    kept = {
        "source": lambda: one,
        "union": lambda: make.union(one, other),
        "zipped": lambda: make.union(one, other, zipped=True),
        "partitions": lambda: make.partitions(one, iter),
        "grouped": lambda: make.record(make.grouped(one, 2), "map_values", list),
        "combined here": lambda: make.merged("group", make.merged("as is", make.moved(one, 2))),
    }[kind]()
    tip = make.record(kept, "map_values", lambda v: list(v) if not isinstance(v, int) else v)
    plain = World().records(tip)
    world = World()
    assert world.records(tip, cached=frozenset({kept.id})) == plain
    assert len(world.cache) == kept.partitions
    assert world.records(tip, cached=frozenset({kept.id})) == plain
    under = make.union(make.slices([["x"]]), kept)
    assert World().records(under)[1:] == World().records(kept) or kind in ("combined here",)
    world.cache.pop((kept.id, 0))
    assert world.records(tip, cached=frozenset({kept.id})) == plain


def test_a_cached_dataset_made_from_a_cached_dataset() -> None:
    make = Lineage()
    inner = make.record(make.numbers(range(10), 2), "map", counted)
    outer = make.record(inner, "map", counted)
    cached = frozenset({inner.id, outer.id})
    world = World()
    assert calls(world.run(outer, cached=cached)) == 20
    assert len(world.cache) == 4
    world.cache.pop((outer.id, 1))
    assert calls(world.run(outer, cached=cached)) == 5
    world.cache = {key: frames for key, frames in world.cache.items() if key[0] == outer.id}
    assert calls(world.run(outer, cached=cached)) == 0
