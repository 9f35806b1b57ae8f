"""Chains of thousands of operators run, and what ends a longer one is an error and not a crash."""

from __future__ import annotations

import pytest

from headrace.execute.flow import DEEP, StoppedEarly
from headrace.plan.operators import Operator, RecordKind
from tests.execute.help import World
from tests.plan.lineage import Lineage

LONG = 5_000


def one_more(value: int) -> int:
    return value + 1


@pytest.mark.parametrize("kind", ["map", "map_values", "flat_map", "filter", "flat_map_values"])
def test_thousands_of_operators_in_a_row(kind: RecordKind) -> None:
    make = Lineage()
    pairs = kind.endswith("values")
    tip = make.slices([[(i, i) for i in range(9)] if pairs else range(9)])
    function = {"filter": lambda x: x < 8, "map": one_more, "map_values": one_more}.get(kind, lambda x: [x + 1])
    for _ in range(LONG):
        tip = make.record(tip, kind, function)
    moved = [*range(8)] if kind == "filter" else [i + LONG for i in range(9)]
    assert World().records(tip) == [list(zip(range(9), moved, strict=True)) if pairs else moved]


@pytest.mark.parametrize("place", [0, DEEP - 1, DEEP, DEEP + 1, 3 * DEEP - 1])
def test_stop_iteration_anywhere_in_a_long_chain_is_noticed(place: int) -> None:
    def stops(value: int) -> int:
        if value == 5 + place:
            raise StopIteration
        return value + 1

    make = Lineage()
    tip = make.slices([range(9)])
    for number in range(3 * DEEP):
        tip = make.record(tip, "map", stops if number == place else one_more)
    with pytest.raises(StoppedEarly):
        World().run(tip)


def through_partitions(length: int) -> Operator:
    make = Lineage()
    tip = make.slices([range(9)])
    for _ in range(length):
        tip = make.partitions(tip, lambda records: (record + 1 for record in records))
    return tip


def test_a_hundred_generators_in_a_row() -> None:
    assert World().records(through_partitions(100)) == [list(range(100, 109))]


def test_too_many_generators_in_a_row_are_an_error() -> None:
    """Python itself limits how deep generators nest; a shuffle in between starts anew."""
    with pytest.raises(RecursionError):
        World().run(through_partitions(2_000))


@pytest.mark.parametrize("room", [float("inf"), 0])
@pytest.mark.parametrize("kind", ["map", "map_partitions", "zip"])
def test_very_many_kept_operators_that_nobody_has_any_more(kind: str, room: float) -> None:
    """As after the loss of the workers that kept what each round of a loop made."""
    make = Lineage()
    tip = make.slices([range(9), range(5)])
    kept = set()
    for number in range(600):
        if kind == "map_partitions":
            tip = make.partitions(tip, lambda records: (record + 1 for record in records))
        elif kind == "zip" and number % 50 == 0:
            tip = make.record(make.zipped(tip, tip), "map", sum)
        else:
            tip = make.record(tip, "map", one_more)
        kept.add(tip.id)
    world = World()
    world.cache_room = room
    plain = list(range(14))
    for number in range(600):
        plain = [record * 2 if kind == "zip" and number % 50 == 0 else record + 1 for record in plain]
    expected = [plain[:9], [*plain[:5]]]
    assert world.records(tip, frozenset(kept)) == expected
    assert len(world.cache) == (2 * len(kept) if room else 0)
    for key in list(world.cache)[len(world.cache) // 4 :]:
        del world.cache[key]
    assert world.records(tip, frozenset(kept)) == expected
