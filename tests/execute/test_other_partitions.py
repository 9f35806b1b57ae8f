"""Bodies that read other partitions than their own: what they give, from caches and without, within any budget."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import ProgramError
from headrace.execute.replay import Replay
from tests.execute.data import BUDGETS
from tests.execute.help import MemoryScratch, World
from tests.plan.lineage import Lineage

PARTS = st.lists(st.lists(st.integers(0, 9), max_size=30), min_size=1, max_size=5)


@given(PARTS, PARTS, BUDGETS)
@settings(max_examples=60)
def test_cartesian_has_every_pair_once_within_any_budget(
    left: list[list[int]], right: list[list[int]], budget: int
) -> None:
    make = Lineage()
    found = World(budget).records(make.crossed(make.slices(left), make.slices(right)))
    for ours, (one, other) in zip(found, itertools.product(left, right), strict=True):
        expected = list(itertools.product(one, other))
        assert sorted(ours) == sorted(expected)
        if budget > 1 << 20:
            assert ours == expected, "left by left, as long as the right side fits"


@pytest.mark.parametrize("budget", [2_000, 20_000])
def test_cartesian_keeps_one_side_on_disk_once_it_exceeds_the_budget(budget: int) -> None:
    make = Lineage()
    words = [[f"{number}" * 20 for number in range(1000)]]
    world = World(budget)
    (found,) = world.records(make.crossed(make.slices([[1, 2, 3]]), make.slices(words)))
    assert world.spilled > budget
    assert sorted(found) == sorted(itertools.product([1, 2, 3], words[0]))


@given(st.lists(st.lists(st.integers(), max_size=40), max_size=20), st.integers(1, 2000))
@settings(max_examples=60)
def test_a_replay_gives_everything_in_order_and_holds_no_more_than_it_may(
    batches: list[list[int]], budget: int
) -> None:
    space = MemoryScratch()
    replay = Replay(budget, lambda: space)
    for batch in batches:
        replay.add(list(batch))
        assert replay.held_bytes <= budget
    for _ in range(2):
        assert [record for some in replay.lists() for record in some] == [
            record for batch in batches for record in batch
        ]


@given(PARTS, st.integers(1, 5))
def test_a_gathered_partition_is_its_neighbours_end_to_end(parts: list[list[int]], number: int) -> None:
    make = Lineage()
    number = min(number, len(parts))
    found = World().records(make.gathered(make.slices(parts), number))
    assert [record for part in found for record in part] == [record for part in parts for record in part]
    assert len(found) == number


class Item:
    """Something that can be seen to be alive."""


ALIVE: weakref.WeakSet[Item] = weakref.WeakSet()


def born(records: Iterator[int]) -> Iterator[Item]:
    for _ in records:
        item = Item()
        ALIVE.add(item)
        yield item


def alive(_: Item) -> int:
    return len(ALIVE)


def test_gathering_hundreds_of_partitions_holds_one_at_a_time() -> None:
    make = Lineage()
    items = make.record(make.partitions(make.numbers(range(1000), 250), born), "map", alive)
    world = World()
    (found,) = world.records(make.gathered(items, 1))
    assert len(found) == 1000
    assert max(found) <= 12
    assert len(world.bodies[0].flows) < 10


@given(PARTS, st.booleans(), BUDGETS)
@settings(max_examples=60)
def test_sorting_within_a_partition_equals_sorted_within_any_budget(
    parts: list[list[int]], descending: bool, budget: int
) -> None:
    make = Lineage()
    rows = [list(enumerate(part)) for part in parts]
    found = World(budget).records(make.sorted_within(make.slices(rows), _second, descending=descending))
    assert found == [sorted(part, key=_second, reverse=descending) for part in rows]


def _second(pair: Any) -> Any:
    return pair[1]


@given(PARTS, PARTS)
def test_zip_pairs_what_is_alike_in_number_and_refuses_the_rest(left: list[list[int]], right: list[list[int]]) -> None:
    make = Lineage()
    number = min(len(left), len(right))
    left, right = left[:number], right[:number]
    tip = make.zipped(make.slices(left), make.slices(right))
    if list(map(len, left)) == list(map(len, right)):
        assert World().records(tip) == [list(zip(*two, strict=True)) for two in zip(left, right, strict=True)]
    else:
        with pytest.raises(ProgramError, match="as many records in each partition"):
            World().records(tip)


@given(st.data(), PARTS, PARTS)
@settings(max_examples=30)
def test_whatever_is_cached_and_lost_again_the_result_is_the_same(
    data: st.DataObject, left: list[list[int]], right: list[list[int]]
) -> None:
    make = Lineage()
    one, other = make.slices(left), make.slices(right)
    dealt = make.merged("as is", make.moved(make.record(other, "pair"), data.draw(st.integers(1, 3))))
    both = make.union(one, make.record(dealt, "keys"))
    few = make.gathered(both, data.draw(st.integers(1, both.partitions)))
    tip = make.gathered(make.crossed(few, one), data.draw(st.integers(1, few.partitions * one.partitions)))
    expected = World().records(tip)
    cached = frozenset(o.id for o in data.draw(st.sets(st.sampled_from([one, dealt, both, few, tip]))))
    world = World()
    assert world.records(tip, cached) == expected
    for key in sorted(world.cache):
        if data.draw(st.booleans()):
            del world.cache[key]
    assert world.records(tip, cached) == expected, "some from caches, some computed again"
