"""Grouping and sorting what the program holds, against a loop in the program itself: transfers there and back included."""

from __future__ import annotations

from collections import defaultdict
from random import Random
from typing import Any

import headrace
from bench.data import Library
from bench.timing import Report, in_turn, middle

PAIRS, KEYS = 1_000_000, 1_000
NUMBERS = 2_000_000
REACH_GROUP, REACH_SORT = 5.0, 3.0  # times as long as the loop, at most


def measure(library: Library, report: Report, rounds: int) -> None:
    """Group pairs and sort numbers."""
    del library
    chance = Random(1)
    pairs = [(chance.randrange(KEYS), number) for number in range(PAIRS)]
    numbers = [chance.getrandbits(40) for _ in range(NUMBERS)]
    with headrace.connect("local://?workers=2", progress=False) as ctx:
        ctx.parallelize([1, 2], 2).count()

        jobs = {
            "dict of lists": lambda: looped(pairs),
            "group_by_key": lambda: ctx.parallelize(pairs).group_by_key().collect(),
            "sorted": lambda: sorted(numbers),
            "sort_by": lambda: ctx.parallelize(numbers).sort_by(same).collect(),
        }
        assert {key: list(values) for key, values in ctx.parallelize(pairs).group_by_key().collect()} == looped(pairs)
        assert ctx.parallelize(numbers).sort_by(same).collect() == sorted(numbers)
        seconds = {name: middle(times) for name, times in in_turn(rounds, jobs).items()}
    report.row(
        f"group_by_key of {PAIRS:,} pairs into {KEYS:,} groups",
        seconds["group_by_key"] / seconds["dict of lists"],
        f"times as long as a dict of lists ({seconds['dict of lists']:.2f} s)",
        reach=REACH_GROUP,
        at_most=True,
    )
    report.row(
        f"sort_by of {NUMBERS:,} integers",
        seconds["sort_by"] / seconds["sorted"],
        f"times as long as sorted ({seconds['sorted']:.2f} s)",
        reach=REACH_SORT,
        at_most=True,
    )


def looped(pairs: list[tuple[int, int]]) -> dict[int, list[int]]:
    """What one writes without an engine."""
    found: dict[int, list[int]] = defaultdict(list)
    for key, value in pairs:
        found[key].append(value)
    return found


def same(value: Any) -> Any:
    """The key of a number is the number."""
    return value
