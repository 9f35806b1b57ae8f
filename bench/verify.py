"""What it costs to verify a share of the tasks: the word count, in time and in processor time of all processes."""

from __future__ import annotations

import operator
import resource
import time

import headrace
from bench.data import Library
from bench.timing import Report, middle

SHARES = ("off", "0.05", "all")


def measure(library: Library, report: Report, rounds: int) -> None:
    """Time the word count with none, some and all of its tasks verified, in turn."""
    taken: dict[str, list[tuple[float, float]]] = {share: [] for share in SHARES}
    for _ in range(rounds):
        for share in SHARES:
            taken[share].append(timed(library, share))
    times, processor = ({share: middle([one[n] for one in taken[share]]) for share in SHARES} for n in (0, 1))
    report.note(f"word count, nothing verified: {times['off']:.2f} s, {processor['off']:.2f} s of processors")
    for share in SHARES[1:]:
        report.row(f"verify_determinism={share}", times[share] / times["off"], "times as long")
        report.row(f"  of processors, with {share}", processor[share] / processor["off"], "times as much")


def timed(library: Library, share: str) -> tuple[float, float]:
    """Run it; return its seconds, and those of processors in all that it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with headrace.connect(f"local://?workers=2&verify_determinism={share}", progress=False) as ctx:
        words = ctx.text_file(library.all).flat_map(str.split)
        words.map(lambda word: (word, 1)).reduce_by_key(operator.add).top(10, key=lambda pair: pair[1])
        took = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
