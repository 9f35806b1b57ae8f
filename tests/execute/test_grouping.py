"""Groups hold every value of their key, in the order of the map partitions, through memory and disk."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.execute import combine
from headrace.execute.chunks import split_frames
from headrace.execute.groups import Group
from headrace.execute.helpers import BLOCK, join_groups
from tests.execute.data import BUDGETS, PARTITIONS, PIECES, canonical, flat, gathered, keyed_parts
from tests.execute.help import World
from tests.plan.lineage import Lineage

Parts = list[list[tuple[Any, Any]]]


def each(pair: tuple[Any, Any]) -> tuple[Any, list[Any]]:
    """Read a group twice: as often as one likes, it is the same."""
    key, group = pair
    first, again = list(group), list(group)
    assert repr(first) == repr(again)
    assert len(group) == len(first)
    return key, first


def both(pair: tuple[Any, Any]) -> tuple[Any, tuple[list[Any], ...]]:
    key, groups = pair
    return key, tuple(list(group) for group in groups)


@given(keyed_parts(), PARTITIONS, BUDGETS, PIECES)
def test_groups_equal_a_dictionary_of_lists(parts: Parts, number: int, budget: int, piece: int) -> None:
    make = Lineage()
    grouped = make.grouped(make.slices(parts), number)
    result = flat(World(budget, piece).records(make.record(grouped, "map", each)))
    assert {canonical(key): values for key, values in result} == gathered(flat(parts))
    assert len(result) == len(gathered(flat(parts)))


@given(keyed_parts(), PARTITIONS, BUDGETS)
def test_what_is_dealt_right_is_grouped_where_it_is(parts: Parts, number: int, budget: int) -> None:
    """NaN is one key here too, though no shuffle has just marked it."""
    make = Lineage()
    dealt = make.merged("as is", make.moved(make.slices(parts), number))
    result = flat(World(budget).records(make.record(make.merged("group", dealt), "map", each)))
    assert {canonical(key): values for key, values in result} == gathered(flat(parts))
    assert len(result) == len(gathered(flat(parts)))


@given(st.data(), PARTITIONS, BUDGETS, PIECES)
def test_cogroups_keep_each_inputs_values_apart(data: st.DataObject, number: int, budget: int, piece: int) -> None:
    make = Lineage()
    inputs: list[Parts] = [data.draw(keyed_parts()) for _ in range(data.draw(st.integers(1, 3)))]
    edges: list[Any] = []
    for parts in inputs:
        here = data.draw(st.booleans())
        moved = make.moved(make.slices(parts), number, grouped=not here and data.draw(st.booleans()))
        edges.append(make.merged("as is", moved) if here else moved)
    result = flat(World(budget, piece).records(make.record(make.cogrouped(*edges), "map", both)))
    oracle = [gathered(flat(parts)) for parts in inputs]
    keys = {key for found in oracle for key in found}
    assert {canonical(k): v for k, v in result} == {key: tuple(found.get(key, []) for found in oracle) for key in keys}
    assert len(result) == len(keys)


def test_one_huge_key_among_many_small_ones_spills_by_itself() -> None:
    make = Lineage()
    parts: Parts = [
        [("huge" if i % 3 else f"small{i % 100}", f"{place}:{i}") for i in range(4_000)] for place in range(3)
    ]
    for budget in (3_000, 50_000, 500_000, 1 << 30):
        world = World(budget)
        result = dict(flat(world.records(make.record(make.grouped(make.slices(parts), 2), "map", each))))
        assert result == gathered(flat(parts))
        assert (world.spilled > 0) == (budget < 1 << 20)


def test_keys_that_grow_large_only_after_they_were_spilled_keep_their_order() -> None:
    """Small at first, and so in a bucket; large later, and so stored alone; then small again."""
    make = Lineage()
    waves = [("a", 3), ("b", 40), ("a", 900), ("c", 900), ("b", 3), ("a", 2), ("c", 5), ("d", 1)]
    filler = [(f"f{i}", i) for i in range(60)]
    part: list[tuple[Any, Any]] = []
    for wave, (key, times) in enumerate(waves):
        part += [(key, f"wave {wave} value {i}") for i in range(times)] + filler
    for budget in (1, 2_000, 8_000, 30_000, 100_000):
        result = flat(World(budget).records(make.record(make.grouped(make.slices([part, part]), 1), "map", each)))
        assert dict(result) == gathered(part + part)
        assert len(result) == 64


def test_large_values_are_grouped_within_a_small_budget() -> None:
    make = Lineage()
    parts: Parts = [[(i % 3, f"{i}" * 20_000) for i in range(40)]]
    result = dict(flat(World(100_000).records(make.record(make.grouped(make.slices(parts), 2), "map", each))))
    assert result == gathered(flat(parts))


VALUES = st.lists(st.integers(0, 3), max_size=6)


@given(VALUES, VALUES)
def test_a_join_pairs_every_value_with_every_other(left: list[int], right: list[int]) -> None:
    pairs = list(join_groups(("k", (Group(left), Group(right)))))
    assert sorted(pairs) == sorted(("k", (one, other)) for one in left for other in right)


def test_a_join_of_two_large_sides_holds_neither_whole() -> None:
    """Both sides are longer than a block, so the right one is read once for every block of the left."""
    read = 0

    class Right(list[int]):
        def __iter__(self) -> Any:
            nonlocal read
            read += 1
            return super().__iter__()

    left = range(2 * BLOCK + 1)
    right = Right([1] * (BLOCK + 1))
    joined = join_groups((0, (left, right)))
    assert [next(joined) for _ in range(3)] == [(0, (0, 1)), (0, (1, 1)), (0, (2, 1))]
    small = join_groups((0, (range(BLOCK + 5), [1, 2])))
    assert sum(1 for _ in small) == 2 * (BLOCK + 5)
    assert read == 1


@given(st.data(), PARTITIONS, st.sampled_from([1 << 30, 3_000]))
def test_values_that_travel_together_arrive_like_others(data: st.DataObject, number: int, budget: int) -> None:
    """Few keys, so that their values are gathered on the map side; and many, behind them, so that this is given up."""
    few = st.lists(st.tuples(st.sampled_from(["a", "b", 1, 1.0, None]), st.integers()), max_size=60)
    many = [(f"key {i}", i) for i in range(data.draw(st.sampled_from([0, 50])))]
    parts = [[*data.draw(few), *many, *data.draw(few)] for _ in range(data.draw(st.integers(1, 3)))]
    make = Lineage()
    result = flat(World(budget, 64).records(make.record(make.grouped(make.slices(parts), number), "map", each)))
    assert {canonical(key): values for key, values in result} == gathered(flat(parts))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.integers(), max_size=30)), max_size=8), st.integers(1, 9))
def test_groups_travel_in_frames_of_bounded_length(groups: list[tuple[str, list[int]]], most: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(combine, "CHUNK_RECORDS", most)
        frames = [
            part.load()
            for data in combine.group_frames([key for key, _ in groups], [values for _, values in groups])
            for part in split_frames([data])
        ]
    for _, lists in frames:
        assert 0 < sum(map(len, lists)) < 2 * most
    found = [
        (key, value) for keys, lists in frames for key, values in zip(keys, lists, strict=True) for value in values
    ]
    assert found == [(key, value) for key, values in groups for value in values]


def test_large_records_of_one_key_do_not_travel_in_one_frame() -> None:
    make = Lineage()
    parts = [[("k", f"{number}{'x' * 3_000_000}") for number in range(12)]]
    world = World()
    assert flat(world.records(make.record(make.grouped(make.slices(parts), 1), "map", lambda p: len(p[1])))) == [12]
    (output,) = world.outputs.values()
    assert max(len(part.data) for pieces in output.parts for part in split_frames([pieces])) < 16_000_000
