"""Sorting equals `sorted`, stably, through any number of runs on disk."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from operator import itemgetter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ProgramError
from headrace.execute.chunks import COLUMNS, frame, split_frames
from headrace.execute.combine import column_frames
from headrace.execute.sorting import RUNS_MAX, SortTable
from headrace.plan.partitioners import RangePartitioner
from tests.execute.data import BUDGETS, PIECES, flat
from tests.execute.help import MemoryScratch, World
from tests.plan.lineage import Lineage, user

NUMBERS = st.one_of(st.integers(-9, 9), st.floats(-3, 3), st.booleans(), st.sampled_from([0.0, -0.0, Decimal("1.5")]))
KEYS = st.sampled_from(
    [
        NUMBERS,
        st.one_of(NUMBERS, st.builds(lambda: math.nan), st.sampled_from([math.inf, -math.inf])),
        st.text(max_size=3),
        st.tuples(st.integers(0, 2), st.one_of(st.builds(lambda: math.nan), st.integers(0, 2))),
        st.integers(0, 5).map(lambda i: f"{i}" * 400),
    ]
)


def place_of(key: Any) -> Any:
    """Order keys as we promise: NaN after everything, within tuples too."""
    if isinstance(key, tuple):
        return tuple(map(place_of, key))
    return (1, 0) if key != key else (0, key)


@given(st.data(), st.booleans(), st.integers(1, 4), BUDGETS, PIECES)
def test_sorting_equals_sorted(data: st.DataObject, ascending: bool, number: int, budget: int, piece: int) -> None:
    keys = data.draw(KEYS)
    parts = data.draw(st.lists(st.lists(keys, max_size=60), min_size=1, max_size=4))
    rows = [[(key, (place, i)) for i, key in enumerate(part)] for place, part in enumerate(parts)]
    make = Lineage()
    ranges = RangePartitioner(number, user(itemgetter(0), "sort_by"), ascending=ascending)
    ranges.settle([(key, 1.0) for part in parts for key in part[::3]])
    tip = make.merged("sort", make.moved(make.slices(rows), ranges, keyed_by=itemgetter(0)), descending=not ascending)
    result = flat(World(budget, piece).records(tip))
    expected = sorted(flat(rows), key=lambda row: place_of(row[0]), reverse=not ascending)
    assert repr(result) == repr(expected), "equal keys stay in the order they came, in either direction"


def add(table: SortTable, keys: list[Any], records: list[Any]) -> None:
    for part in split_frames(column_frames(keys, records)):
        table.add(part)


def sorted_by_table(budget: int, batches: list[list[int]], *, descending: bool = False) -> tuple[list[Any], int]:
    scratch = MemoryScratch()
    table = SortTable(descending, budget, lambda: scratch)
    for number, batch in enumerate(batches):
        add(table, batch, [(key, number, i) for i, key in enumerate(batch)])
    return [record for some in table.drain() for record in some], len(scratch.data)


@pytest.mark.parametrize("descending", [False, True])
def test_more_runs_than_are_merged_at_once(descending: bool) -> None:
    """Runs are merged in groups of neighbours first; equal keys stay in order through both merges."""
    batches = [[(i * 37 + number) % 11 for i in range(20)] for number in range(3 * RUNS_MAX + 5)]
    result, spilled = sorted_by_table(1, batches, descending=descending)
    expected = [(key, number, i) for number, batch in enumerate(batches) for i, key in enumerate(batch)]
    assert result == sorted(expected, key=itemgetter(0), reverse=descending)
    assert spilled > 0


def test_no_more_than_so_many_runs_are_read_at_once() -> None:
    reading = 0

    class Watched(MemoryScratch):
        def read(self, offset: int, length: int) -> bytes:
            nonlocal reading
            reading += 1
            return super().read(offset, length)

        def append(self, data: Any) -> tuple[int, int]:
            nonlocal reading
            reading = 0
            return super().append(data)

    scratch = Watched()
    table = SortTable(False, 1, lambda: scratch)
    for number in range(4 * RUNS_MAX):
        add(table, [number], [number])
    drained = table.drain()
    first = next(drained)
    assert 0 < reading <= RUNS_MAX
    assert [*first, *(record for some in drained for record in some)] == list(range(4 * RUNS_MAX))


def test_frames_of_runs_shrink_with_the_budget() -> None:
    """All runs have a frame in memory during a merge: together they must fit."""
    scratch = MemoryScratch()
    sizes: list[int] = []
    append = scratch.append

    def watched(data: Any) -> tuple[int, int]:
        sizes.append(len(data))
        return append(data)

    scratch.append = watched  # type: ignore[method-assign]
    budget = 64 * 20_000
    table = SortTable(False, budget, lambda: scratch)
    for _ in range(6):
        add(table, list(range(200)), ["x" * 2_000] * 200)
    assert len([record for some in table.drain() for record in some]) == 1_200
    assert max(sizes) <= 2 * budget // RUNS_MAX


WRONG: list[tuple[list[Any], int]] = [([1, "a"], 1 << 20), ([1, "a"], 1), ([None, 2, None], 1), ([1j, 2j], 1 << 20)]


@pytest.mark.parametrize(("keys", "budget"), WRONG)
def test_keys_without_an_order_are_an_error_with_advice(keys: list[Any], budget: int) -> None:
    """Whether they meet while a run is sorted or only when runs are merged."""
    scratch = MemoryScratch()
    table = SortTable(False, budget, lambda: scratch)

    def sort() -> None:
        for key in keys:
            add(table, [key], [key])
        list(table.drain())

    with pytest.raises(ProgramError, match="cannot be put in order") as caught:
        sort()
    assert "Give a key" in str(caught.value)


def test_a_key_that_the_sample_did_not_show_is_an_error_with_advice() -> None:
    make = Lineage()
    ranges = RangePartitioner(2, user(itemgetter(0), "sort_by"), ascending=True)
    ranges.settle([(1, 1.0), (2, 1.0)])
    rows = [[(i, "x") for i in range(50)] + [(None, "y")]]
    tip = make.merged("sort", make.moved(make.slices(rows), ranges, keyed_by=itemgetter(0)))
    with pytest.raises(ProgramError, match="cannot be put in order"):
        World().records(tip)


def test_an_error_of_a_comparison_of_the_users_is_not_swallowed() -> None:
    class Odd:
        def __lt__(self, other: object) -> bool:
            raise ZeroDivisionError

    scratch = MemoryScratch()
    table = SortTable(False, 1 << 20, lambda: scratch)
    (part,) = split_frames([frame(([Odd(), Odd()], [1, 2]), 2, COLUMNS)])
    table.add(part)
    with pytest.raises(ZeroDivisionError):
        list(table.drain())


def test_nothing_is_sorted_to_nothing() -> None:
    drained: Callable[[int], Any] = lambda budget: sorted_by_table(budget, [])  # noqa: E731
    assert drained(1) == drained(1 << 20) == ([], 0)
