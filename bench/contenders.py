"""Sorting, grouping and joining many records, in each of the ways that one would write it.

``python -m bench.contenders JOB WHO ROWS [ADDRESS]`` runs one, and prints how long it took without what had to be started:
a process for each, so that its memory can be told from that of others.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise
from typing import Any

import headrace
from bench.peers import WORKERS, spark_context

PARTITIONS = 16
GROUPS = 100_000
SPREAD = 2_654_435_761  # a prime: its multiples come in no order
PER_MATCH = 5  # rows of the left side of the join for each of the right
Job = Callable[[int], int]


def shuffled(row: int) -> int:
    """A number of forty bits for each row, in no order."""
    return row * SPREAD % (1 << 40)


def grouped(row: int) -> tuple[int, int]:
    """A row under one of the groups."""
    return row * SPREAD % GROUPS, row


def first(pair: tuple[Any, ...]) -> Any:
    """The key of a pair; at the top of a module, as Dask's processes want it."""
    return pair[0]


def same(value: Any) -> Any:
    """The key of a number is the number."""
    return value


def total(pair: tuple[int, Iterable[int]]) -> int:
    """What the values of a group come to."""
    return sum(pair[1])


def in_order(records: Iterable[int]) -> Iterator[int]:
    """How many records of a partition stand where they belong."""
    yield 1 + sum(before <= after for before, after in pairwise(records))


class Left:
    """Rows of the left side of the join: several for each key of the other."""

    def __init__(self, rows: int) -> None:
        self.keys = rows // PER_MATCH

    def __call__(self, row: int) -> tuple[int, int]:
        return row * SPREAD % self.keys, row


def opposite(key: int) -> tuple[int, int]:
    """A row of the right side of the join."""
    return key, -key


def matched(pair: tuple[int, tuple[int, int]]) -> int:
    """What a pair of joined rows comes to."""
    return pair[1][0] + pair[1][1]


def right_answers(rows: int) -> dict[str, int]:
    """What each job is to give."""
    left, keys = Left(rows), rows // PER_MATCH
    one_round = sum(left(row)[0] for row in range(keys))
    return {"sort": rows, "group": rows * (rows - 1) // 2, "join": rows * (rows - 1) // 2 - PER_MATCH * one_round}


def plain() -> dict[str, Job]:
    """What one writes without an engine."""

    def sort(rows: int) -> int:
        values = [shuffled(row) for row in range(rows)]
        values.sort()
        return sum(in_order(values))

    def group(rows: int) -> int:
        found: dict[int, list[int]] = defaultdict(list)
        for row in range(rows):
            key, value = grouped(row)
            found[key].append(value)
        return sum(map(total, found.items()))

    def join(rows: int) -> int:
        right = dict(map(opposite, range(rows // PER_MATCH)))
        left = list(map(Left(rows), range(rows)))
        return sum(value + right[key] for key, value in left)

    return {"sort": sort, "group": group, "join": join}


def ours(address: str) -> dict[str, Job]:
    """headrace, on workers that are there."""
    ctx = headrace.connect(address, progress=False)
    ctx.range(8, num_slices=8).count()

    def numbers(rows: int) -> headrace.Dataset[int]:
        return ctx.range(rows, num_slices=PARTITIONS)

    def join(rows: int) -> int:
        left, right = numbers(rows).map(Left(rows)), numbers(rows // PER_MATCH).map(opposite)
        return int(left.join(right, PARTITIONS).map(matched).sum())

    return {
        "sort": lambda rows: int(
            numbers(rows).map(shuffled).sort_by(same, num_partitions=PARTITIONS).map_partitions(in_order).sum()
        ),
        "group": lambda rows: int(numbers(rows).map(grouped).group_by_key(PARTITIONS).map(total).sum()),
        "join": join,
    }


def spark() -> dict[str, Job]:
    """PySpark's RDD, on a context that is there."""
    context = spark_context()
    context.range(8, numSlices=8).map(same).count()

    def numbers(rows: int) -> Any:
        return context.range(rows, numSlices=PARTITIONS)

    def join(rows: int) -> int:
        left, right = numbers(rows).map(Left(rows)), numbers(rows // PER_MATCH).map(opposite)
        return int(left.join(right, PARTITIONS).map(matched).sum())

    return {
        "sort": lambda rows: int(
            numbers(rows).map(shuffled).sortBy(same, numPartitions=PARTITIONS).mapPartitions(in_order).sum()
        ),
        "group": lambda rows: int(numbers(rows).map(grouped).groupByKey(PARTITIONS).map(total).sum()),
        "join": join,
    }


def dask_bag() -> dict[str, Job]:
    """Dask's bags, on processes; they cannot be sorted, and join with what the program holds."""
    import dask
    import dask.bag

    dask.config.set(scheduler="processes", num_workers=WORKERS)

    def numbers(rows: int) -> Any:
        return dask.bag.range(rows, npartitions=PARTITIONS)

    def join(rows: int) -> int:
        right = list(map(opposite, range(rows // PER_MATCH)))
        both = numbers(rows).map(Left(rows)).join(right, first, first)
        return int(both.map(dask_matched).sum().compute())

    return {
        "group": lambda rows: int(numbers(rows).map(grouped).groupby(first).map(dask_total).sum().compute()),
        "join": join,
    }


def dask_total(group: tuple[int, list[tuple[int, int]]]) -> int:
    """What the values of a group of whole pairs come to."""
    return sum(value for _, value in group[1])


def dask_matched(both: tuple[tuple[int, int], tuple[int, int]]) -> int:
    """What two joined rows come to."""
    return both[0][1] + both[1][1]


def main(job: str, who: str, rows: int, address: str = "") -> None:
    """Run one job in one way."""
    jobs = {"plain": plain, "headrace": lambda: ours(address), "spark": spark, "dask": dask_bag}[who]()
    began = time.perf_counter()
    found = jobs[job](rows)
    took = time.perf_counter() - began
    # A sort counts what stands in order, and the one that begins each partition.
    assert found == right_answers(rows)[job], (found, right_answers(rows)[job])
    print(took)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
