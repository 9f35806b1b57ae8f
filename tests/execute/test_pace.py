"""How many records are taken at once follows from how large they turn out to be."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.execute.chunks import sizeof
from headrace.execute.flow import FIRST, Flow, Pace
from tests.execute.help import World
from tests.plan.lineage import Lineage


@given(st.lists(st.integers()), st.integers(1, 50), st.integers(1, 10_000))
def test_nothing_is_lost_or_moved(records: list[int], most: int, bytes_max: int) -> None:
    batches = list(Pace(most, bytes_max).lists(iter(records)))
    assert [record for batch in batches for record in batch] == records
    assert all(0 < len(batch) <= most for batch in batches)


def test_small_records_come_in_thousands_after_a_few_steps() -> None:
    sizes = [len(batch) for batch in Pace().lists(iter(range(20_000)))]
    assert sizes[0] == FIRST
    assert sizes[6:-1] == [4096] * (len(sizes) - 7)


def test_large_records_come_one_by_one() -> None:
    asked = 0

    def records() -> Any:
        nonlocal asked
        for _ in range(50):
            asked += 1
            yield "x" * 2_000_000

    batches = Pace().lists(records())
    next(batches)
    assert asked <= FIRST
    next(batches)
    assert asked <= FIRST + 1


@given(st.lists(st.integers(0, 30_000), min_size=1, max_size=200))
def test_no_list_is_far_larger_than_asked_when_sizes_change_slowly(sizes: list[int]) -> None:
    sizes.sort()
    records = ["x" * size for size in sizes]
    limit = 50_000
    for batch in Pace(4096, limit).lists(iter(records)):
        assert len(batch) <= FIRST or sizeof(batch) < 2 * limit + sizeof(records[-1]) * FIRST


def test_a_flow_without_operators_passes_its_chunks_on() -> None:
    chunks: list[Any] = [[1, 2], [], (3,), list(range(5_000))]
    assert list(Flow(chunks).lists()) == [[1, 2], [], [3], list(range(5_000))]
    assert list(Flow(chunks).records()) == [1, 2, 3, *range(5_000)]


@given(st.lists(st.lists(st.integers(), max_size=30), max_size=5))
def test_record_wise_operators_do_what_they_say(parts: list[list[int]]) -> None:
    make = Lineage()
    tip = make.slices(parts or [[]])
    tip = make.record(tip, "map", lambda x: x + 1)
    tip = make.record(tip, "flat_map", lambda x: [x] * (x % 3))
    tip = make.record(tip, "filter", lambda x: x % 2)
    tip = make.record(tip, "key_by", lambda x: x % 5)
    tip = make.record(tip, "map_values", lambda x: x * 2)
    tip = make.record(tip, "flat_map_values", range)  # of a negative number: nothing
    tip = make.record(tip, "filter", lambda pair: pair[1] < 9)
    expected = [
        [(one % 5, i) for x in part for one in [x + 1] * ((x + 1) % 3) if one % 2 for i in range(min(9, one * 2))]
        for part in parts or [[]]
    ]
    if all(abs(x) < 1_000 for part in parts for x in part):
        assert World().records(tip) == expected
        assert World().records(make.record(tip, "keys")) == [[k for k, _ in part] for part in expected]
        assert World().records(make.record(tip, "values")) == [[v for _, v in part] for part in expected]
        assert World().records(make.record(tip, "pair")) == [[(p, None) for p in part] for part in expected]
