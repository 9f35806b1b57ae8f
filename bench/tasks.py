"""How many trivial tasks a second, and whether the program grows with their number."""

from __future__ import annotations

import functools

import headrace
from bench.data import Library
from bench.timing import Report, in_turn, middle
from headrace.runtime.place.evidence import anonymous_bytes

MANY = 100_000


def measure(library: Library, report: Report, rounds: int) -> None:
    """Count a range with one task for each number, on workers that are warm."""
    del library
    with headrace.connect("local://?workers=2", progress=False) as ctx:

        def trivial(number: int) -> None:
            assert ctx.parallelize(range(number), number).count() == number

        for number in (2_000, 20_000):
            seconds = middle(in_turn(rounds, {"count": functools.partial(trivial, number)})["count"])
            report.row(f"parallelize(range({number:,}), {number:,}).count()", number / seconds, "tasks/s", reach=10_000)

        for _ in range(2):  # what the first leaves free, the second does not always find again
            trivial(MANY)
        before = anonymous_bytes()
        times = in_turn(min(rounds, 3), {"count": functools.partial(trivial, MANY)})["count"]
        grown = (anonymous_bytes() - before) / (1 + len(times))  # the first is not timed
        seconds = middle(times)
    report.row(f"the same with {MANY:,}", MANY / seconds, "tasks/s", reach=8_000)
    report.row(
        "  memory of the program, per task of the jobs after the first", grown / MANY, "bytes", reach=64, at_most=True
    )
