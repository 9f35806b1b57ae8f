"""How many trivial tasks a second."""

from __future__ import annotations

import functools

import headrace
from bench.data import Library
from bench.timing import Report, in_turn, middle


def measure(library: Library, report: Report, rounds: int) -> None:
    """Count a range with one task for each number, on workers that are warm."""
    del library
    with headrace.connect("local://?workers=2", progress=False) as ctx:

        def trivial(number: int) -> None:
            assert ctx.parallelize(range(number), number).count() == number

        for number in (2_000, 20_000):
            seconds = middle(in_turn(rounds, {"count": functools.partial(trivial, number)})["count"])
            report.row(f"parallelize(range({number:,}), {number:,}).count()", number / seconds, "tasks/s", reach=10_000)
