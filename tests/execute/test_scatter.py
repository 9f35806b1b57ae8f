"""The map side of a shuffle: every pair into its part, within the budget."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import KeyProblem, ProgramError
from headrace.execute.chunks import split_frames
from headrace.execute.scatter import Scatter
from headrace.plan.hashing import stable_hash
from headrace.plan.partitioners import FunctionPartitioner, HashPartitioner
from tests.execute.data import BUDGETS, flat, keyed_parts
from tests.execute.help import MemoryOutput, MemoryPort, World
from tests.plan.lineage import Lineage, reducing, user

Parts = list[list[tuple[Any, Any]]]


def read(output: MemoryOutput) -> list[list[tuple[Any, Any]]]:
    return [
        [pair for frame in split_frames([part]) for pair in zip(*frame.load(), strict=True)] for part in output.parts
    ]


@given(keyed_parts(), st.integers(1, 6), BUDGETS)
def test_each_part_has_its_pairs_in_the_order_they_came(parts: Parts, number: int, budget: int) -> None:
    port = MemoryPort(World(budget))
    scatter = Scatter(HashPartitioner(number), budget, port)
    for part in parts:
        scatter.add([key for key, _ in part], [value for _, value in part])
    output = MemoryOutput()
    scatter.write(output)
    expected = [[p for p in flat(parts) if stable_hash(p[0]) * number >> 32 == place] for place in range(number)]
    assert repr(read(output)) == repr(expected)
    assert output.records == [len(some) for some in expected]


def held_by(scatter: Scatter) -> int:
    frames = sum(len(piece) for frames in scatter._frames for piece in frames)
    return frames + sum(len(value) for _, values in scatter._columns for value in values)


SIZES = st.lists(st.tuples(st.integers(1, 60), st.sampled_from([1, 10, 1_000, 5_000, 40_000])), max_size=40)


@given(SIZES, st.integers(1, 8))
def test_what_is_held_stays_within_the_budget_however_sizes_change(sizes: list[tuple[int, int]], number: int) -> None:
    """A part that was filled with small records and is closed with a large one frees what the small ones took."""
    budget = 100_000
    scatter = Scatter(HashPartitioner(number), budget, MemoryPort(World()))
    for count, size in sizes:
        count = max(1, min(count, 200_000 // size))
        scatter.add(list(range(count)), [b"x" * size] * count)
        assert held_by(scatter) <= budget + 40 * count + 200


def test_blocks_of_small_and_large_records_by_turns_do_not_add_up() -> None:
    budget = 1 << 20
    scatter = Scatter(HashPartitioner(4), budget, MemoryPort(World()))
    most = 0
    for _ in range(12):
        scatter.add(list(range(4_000)), [b"x"] * 4_000)
        scatter.add(list(range(100)), [bytes(10_000)] * 100)
        most = max(most, held_by(scatter))
    assert most <= 2 * budget


def test_an_empty_partition_writes_an_empty_part_for_everyone() -> None:
    world = World()
    make = Lineage()
    assert world.records(make.merged("as is", make.moved(make.slices([[], []]), 3))) == [[], [], []]
    assert [output.parts for output in world.outputs.values()] == [[b""] * 3] * 2


def shuffled(rows: list[Any], by: Any = 2) -> Any:
    make = Lineage()
    return make.merged("as is", make.moved(make.slices([rows]), by))


@pytest.mark.parametrize("record", [1, "ab cd", (1, 2, 3), (1,), None, {"a": 1, "b": 2, "c": 3}])
def test_a_record_that_is_no_pair_is_shown(record: Any) -> None:
    for tip in (shuffled([(1, 2), record]), _combined([(1, 2), record])):
        with pytest.raises(ProgramError, match="is not a pair"):
            World().run(tip)


def _combined(rows: list[Any]) -> Any:
    make = Lineage()
    return make.combined(make.slices([rows]), reducing(max), 2)


@pytest.mark.parametrize("key", [[1], {}, {1}, (1, [2]), threading.Event()])
def test_a_key_that_cannot_be_one_is_shown(key: Any) -> None:
    """On either side of a combining table, and wherever it comes in its batch."""
    rows = [(i, 0) for i in range(30)]
    for place in (0, 7, 30):
        some = [*rows[:place], (key, 0), *rows[place:]] if not isinstance(key, threading.Event) else rows
        make = Lineage()
        tips = [
            make.merged("as is", make.moved(make.slices([some]), 2)),
            make.combined(make.slices([some]), reducing(max), 2),
            make.grouped(make.slices([some]), 2),
        ]
        if some is rows:
            tips = [make.record(make.slices([rows]), "key_by", lambda record: threading.Event())]
            tips = [make.merged("as is", make.moved(tips[0], 2)), make.combined(tips[0], reducing(max), 2)]
        for tip in tips:
            with pytest.raises(KeyProblem, match="cannot be a key"):
                World().run(tip)


def test_keys_that_only_a_function_can_deal_are_dealt_by_it() -> None:
    by = FunctionPartitioner(3, user(lambda key: len(key.split("/"))))
    parts = World().records(shuffled([("a/b/c", 1), ("a", 2), ("a/b", 3), ("x/y/z", 4)], by))
    assert parts == [[("a/b/c", 1), ("x/y/z", 4)], [("a", 2)], [("a/b", 3)]]
