"""Input ten times as large as what the workers may hold: it finishes, and they do not grow."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

import headrace
from bench.data import Library
from bench.timing import Report

BUDGET_MB = 64
FILES, WORDS = 8, 5_000_000  # of sixteen bytes each, in lines of ten: 640 MB
MULTIPLE = 3.0  # of the budget that a worker's anonymous memory may reach
HOT = "0123456789abc"  # lines that begin so, some five sixths, have one key: a group of 500 MB


def measure(library: Library, report: Report, rounds: int) -> None:
    """Run each job once, and watch the workers."""
    del library, rounds
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        size = sum(os.path.getsize(path) for path in Path(folder).iterdir())
        report.note(f"{size / 1e6:.0f} MB of input, memory={BUDGET_MB}MB for each of two workers")
        with headrace.connect(f"local://?workers=2&memory={BUDGET_MB}MB", progress=False) as ctx:
            lines = ctx.text_file(folder)
            jobs: dict[str, Callable[[], bool]] = {
                "distinct words": lambda: lines.flat_map(str.split).distinct().count() > 0.99 * FILES * WORDS,
                "groups, one of them of 500 MB": lambda: groups(lines),
                "1 MB records, grouped": lambda: (
                    ctx.range(600).map(lambda i: (i % 7, "x" * 1_000_000)).group_by_key().map_values(heavy).count() == 7
                ),
                "1 MB records, sorted": lambda: (
                    ctx.range(600).map(lambda i: (-i, "x" * 1_000_000)).sort_by(lambda pair: pair[0]).first()[0] == -599
                ),
            }
            for name, job in jobs.items():
                with Peak(ctx) as peak:
                    began = time.perf_counter()
                    assert job(), name
                report.note(f"{name}: {time.perf_counter() - began:.1f} s")
                multiple = peak.bytes / (BUDGET_MB << 20)
                report.row(
                    f"  anonymous memory of a worker, {name}",
                    multiple,
                    "times the budget",
                    reach=MULTIPLE,
                    at_most=True,
                )


def groups(lines: headrace.Dataset[str]) -> bool:
    """Group lines by their beginning, most under one key, and consume the groups without collecting them."""
    sizes = lines.map(lambda line: ("hot" if line[0] in HOT else line[:3], line)).group_by_key().map_values(heavy)
    return sizes.map(lambda pair: pair[1]).top(1)[0] > 450_000_000


def heavy(group: Any) -> int:
    """How many characters a group has."""
    return sum(len(record) for record in group)


def write(folder: Path) -> None:
    """Write words that hardly ever occur twice."""
    for number in range(FILES):
        chance = Random(number)
        with open(folder / f"{number}.txt", "w", encoding="ascii") as file:
            for _ in range(WORDS // 1000):
                file.writelines(" ".join(words(chance, 10)) + "\n" for _ in range(100))


def words(chance: Random, number: int) -> Iterator[str]:
    """Make words of random digits."""
    return (f"{chance.getrandbits(60):015x}" for _ in range(number))


class Peak:
    """The most anonymous memory that any worker has while the block runs, as the kernel says."""

    def __init__(self, ctx: headrace.Context) -> None:
        self._ctx, self.bytes = ctx, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def _watch(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE")
        while not self._stop.wait(0.01):
            for worker in self._ctx.workers():
                try:
                    fields = Path(f"/proc/{worker.pid}/statm").read_text().split()
                except OSError:
                    continue
                self.bytes = max(self.bytes, (int(fields[1]) - int(fields[2])) * page)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
