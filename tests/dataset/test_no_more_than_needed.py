"""Actions that want a few records have no more of them computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from headrace.context import Context
from headrace.dataset import Dataset

Wanting = Callable[[Dataset[int]], Any]


@pytest.mark.parametrize(
    ("wanting", "partitions", "records"),
    [
        (lambda d: d.take(1), [0], 1),
        (lambda d: d.first(), [0], 1),
        (lambda d: d.is_empty(), [0], 1),
        (lambda d: d.take(7), [0], 7),
        (lambda d: d.take(100), [0], 100),
        (lambda d: d.take(101), [0, 1], 101),
        (lambda d: next(d.to_local_iterator()), [0], 100),
        (lambda d: d.take_ordered(3), list(range(10)), 1000),
        (lambda d: d.take(0), [], 0),
    ],
)
@pytest.mark.parametrize("by_partition", [False, True])
def test_so_many_records_of_such_partitions_are_computed(
    inline: Context, wanting: Wanting, partitions: list[int], records: int, by_partition: bool
) -> None:
    seen: Any = inline.accumulator([])

    def note(record: int) -> int:
        seen.add([record])
        return record

    def notes(some: Iterator[int]) -> Iterator[int]:
        return map(note, some)

    source = inline.range(1000, num_slices=10)
    wanting(source.map_partitions(notes) if by_partition else source.map(note))
    assert sorted({record // 100 for record in seen.value}) == partitions
    most = 4 * records if by_partition else records  # a function of partitions is asked for more and more at once
    assert records <= len(seen.value) <= (records if records <= 1 else most)
