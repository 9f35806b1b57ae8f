"""Combining by key equals a dictionary's, whatever the keys, the budget and the number of partitions."""

from __future__ import annotations

import operator
from collections import Counter
from functools import reduce
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.execute.kernels import plain
from headrace.plan.hashing import stable_hash
from headrace.plan.operators import Aggregate
from tests.execute.data import BUDGETS, PARTITIONS, PIECES, canonical, flat, gathered, keyed_parts
from tests.execute.help import World
from tests.plan.lineage import Lineage, combining, reducing

Parts = list[list[tuple[Any, Any]]]


def append(values: list[Any], value: Any) -> list[Any]:
    values.append(value)
    return values


def lists() -> Aggregate:
    """Gather values in lists, which shows the order in which they were merged."""
    return combining(lambda value: [value], append, operator.add)


@given(keyed_parts(), PARTITIONS, BUDGETS, PIECES)
def test_every_value_reaches_its_key_in_order(parts: Parts, number: int, budget: int, piece: int) -> None:
    """The order is that of the map partitions, and within one that of its records, through any spill."""
    make = Lineage()
    result = World(budget, piece).records(make.combined(make.slices(parts), lists(), number))
    pairs = flat(result)
    assert {canonical(key): values for key, values in pairs} == gathered(flat(parts))
    assert len(pairs) == len(gathered(flat(parts))), "each key is there once"
    for place, part in enumerate(result):
        assert all(stable_hash(key) * number >> 32 == place for key, _ in part)


@given(keyed_parts(st.text(max_size=3)), PARTITIONS, BUDGETS)
def test_reducing_keeps_the_order_of_what_it_merges(parts: Parts, number: int, budget: int) -> None:
    make = Lineage()
    result = flat(World(budget).records(make.combined(make.slices(parts), reducing(operator.add), number)))
    assert {canonical(k): v for k, v in result} == {k: "".join(v) for k, v in gathered(flat(parts)).items()}


@given(keyed_parts(st.integers(-5, 5)), PARTITIONS, BUDGETS, st.sampled_from([max, min, operator.mul]))
def test_reducing_by_other_functions(parts: Parts, number: int, budget: int, merge: Any) -> None:
    make = Lineage()
    result = flat(World(budget).records(make.combined(make.slices(parts), reducing(merge), number)))
    assert {canonical(k): v for k, v in result} == {k: reduce(merge, v) for k, v in gathered(flat(parts)).items()}


@given(keyed_parts(), PARTITIONS, BUDGETS)
def test_counting_counts(parts: Parts, number: int, budget: int) -> None:
    make = Lineage()
    keys = make.record(make.slices(parts), "keys")
    result = flat(World(budget).records(make.combined(keys, Aggregate("count"), number)))
    assert {canonical(k): v for k, v in result} == Counter(canonical(key) for key, _ in flat(parts))
    assert len(result) == len(gathered(flat(parts)))


@given(keyed_parts(), PARTITIONS, BUDGETS)
def test_distinct_keeps_one_of_each(parts: Parts, number: int, budget: int) -> None:
    make = Lineage()
    keys = make.record(make.slices(parts), "keys")
    result = flat(World(budget).records(make.combined(keys, Aggregate("distinct"), number)))
    assert all(value is None for _, value in result)
    assert {canonical(key) for key, _ in result} == set(gathered(flat(parts)))
    assert len(result) == len(gathered(flat(parts)))


@given(keyed_parts(), PARTITIONS, BUDGETS)
def test_what_is_dealt_right_is_combined_where_it_is(parts: Parts, number: int, budget: int) -> None:
    make = Lineage()
    dealt = make.merged("as is", make.moved(make.slices(parts), number))
    result = World(budget).records(make.merged("combine", dealt, lists()))
    assert {canonical(k): v for k, v in flat(result)} == gathered(flat(parts))
    assert len(flat(result)) == len(gathered(flat(parts)))


@given(keyed_parts(), PARTITIONS, BUDGETS, PIECES)
def test_moving_pairs_changes_nothing_but_their_place(parts: Parts, number: int, budget: int, piece: int) -> None:
    make = Lineage()
    result = World(budget, piece).records(make.merged("as is", make.moved(make.slices(parts), number)))
    for place, part in enumerate(result):
        expected = [(k, v) for k, v in flat(parts) if stable_hash(k) * number >> 32 == place]
        assert repr(part) == repr(expected)


def test_the_first_of_equal_keys_is_kept_as_a_dictionary_keeps_it() -> None:
    make = Lineage()
    parts: Parts = [[(1, "a"), (1.0, "b")], [(True, "c"), (2.0, "d")], [(2, "e")]]
    (result,) = World().records(make.combined(make.slices(parts), reducing(operator.add), 1))
    assert repr(result) == "[(1, 'abc'), (2.0, 'de')]"


def test_a_combiner_that_is_changed_in_place_is_nobody_elses() -> None:
    """Appending to a shared default would give every key the values of all."""
    make = Lineage()
    parts: Parts = [[(i % 7, i) for i in range(200)] for _ in range(3)]
    aggregate = combining(lambda value: [value], append, lambda one, other: [*one, *other])
    for budget in (500, 1 << 20):
        result = flat(World(budget).records(make.combined(make.slices(parts), aggregate, 2)))
        assert dict(result) == gathered(flat(parts))


def test_little_memory_makes_many_spills_on_either_side_and_no_difference() -> None:
    make = Lineage()
    parts: Parts = [[(f"key{i * 7919 % 1000}", i) for i in range(2_000)] for _ in range(3)]
    worlds = {budget: World(budget) for budget in (2_000, 60_000, 1 << 30)}
    tip = make.combined(make.slices(parts), lists(), 2)
    results = {budget: world.records(tip) for budget, world in worlds.items()}
    assert worlds[2_000].spilled > worlds[60_000].spilled > worlds[1 << 30].spilled == 0
    assert all(dict(flat(result)) == gathered(flat(parts)) for result in results.values())


def test_only_plain_types_are_taken_to_hold_no_nan() -> None:
    assert plain(["a", b"", 1, True, None])
    for key in (1.0, (1,), 1j, frozenset(), object()):
        assert not plain(["a", key])
