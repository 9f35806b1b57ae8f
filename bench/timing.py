"""Timing: medians of several rounds, taken in turn; and a machine that is busy is waited for."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench.data import Library

SIDE_BY_SIDE = 1.8  # times the speed of one process that two must have
TRIES = 20

PLAIN = """
import sys, time
from collections import Counter
began = time.perf_counter()
total = Counter()
for file in sys.argv[1:]:
    with open(file, encoding="utf-8") as text:
        total.update(Counter(text.read().split()))
print(time.perf_counter() - began)
"""


def one_process(files: list[str]) -> float:
    """Time one plain process that counts the words of files, file by file; seconds, without its start."""
    return float(subprocess.run([sys.executable, "-c", PLAIN, *files], capture_output=True, check=True).stdout)


def two_processes(files: list[str]) -> float:
    """Time two such processes side by side, each on all the files; the slower one's seconds."""
    both = [subprocess.Popen([sys.executable, "-c", PLAIN, *files], stdout=subprocess.PIPE) for _ in range(2)]
    return max(float(process.communicate()[0]) for process in both)


def wait_for_quiet(library: Library) -> str:
    """Wait until two processes have nearly twice the speed of one; say what was found."""
    for attempt in range(TRIES):
        alone = min(one_process(library.files) for _ in range(2))
        speed = 2 * alone / two_processes(library.files)
        if speed >= SIDE_BY_SIDE:
            return f"two plain processes side by side: {speed:.2f} times the speed of one"
        print(f"the machine is busy ({speed:.2f} times): waiting", file=sys.stderr, flush=True)
        time.sleep(min(30, 2 + 2 * attempt))
    return f"BUSY: two plain processes have {speed:.2f} times the speed of one; what follows is not to be trusted"


def in_turn(rounds: int, candidates: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Time things in turn, A B C A B C ..., so that drift hits all alike; the first round is not counted."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for number in range(rounds + 1):
        for name, run in candidates.items():
            gc.collect()
            began = time.perf_counter()
            run()
            took = time.perf_counter() - began
            if number:
                times[name].append(took)
    return times


def parts_of(figures: str) -> dict[str, str]:
    """Cut figures into parts, by name.

    >>> parts_of("about it" + chr(10) + "### one" + chr(10) + "- 1" + chr(10) + "### two")
    {'one': '- 1', 'two': ''}
    """
    texts = [part.partition("\n") for part in ("\n" + figures).split("\n### ")[1:]]
    return {name: text.rstrip("\n") for name, _, text in texts}


START, END = "<!-- figures -->", "<!-- end of figures -->"


@dataclass
class Report:
    """What was to be reached, and what was."""

    missed: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)  # in Markdown

    def part(self, name: str) -> None:
        """Begin a part."""
        print(f"\n{name}", flush=True)
        self.lines += ["", f"### {name}", ""]

    def row(self, what: str, value: float, unit: str, *, reach: float | None = None, at_most: bool = False) -> None:
        """Print a figure; `reach` is what was to be reached: at least, or at most."""
        verdict = ""
        if reach is not None:
            good = value <= reach if at_most else value >= reach
            verdict = f"   (to reach: {'at most' if at_most else 'at least'} {reach:g}{'' if good else '; MISSED'})"
            if not good:
                self.missed.append(what)
        print(f"  {what:<58} {value:10.2f} {unit}{verdict}", flush=True)
        self.lines.append(f"- {what.strip()}: **{value:,.2f}** {unit}{verdict.replace('   ', ' ')}")

    def note(self, text: str) -> None:
        """Print a remark."""
        print(f"  {text}", flush=True)
        self.lines.append(f"- {text.strip()}")

    def write(self, path: str, about: list[str]) -> None:
        """Put the figures between the marks in a page, each part in place of what was there of it."""
        page = Path(path)
        before, _, rest = page.read_text(encoding="utf-8").partition(START)
        old, _, after = rest.partition(END)
        parts = parts_of(old) | parts_of("\n".join(["", *self.lines]))
        figures = "\n".join(["", *about, *(f"\n### {name}\n{text}" for name, text in parts.items()), ""])
        page.write_text(f"{before}{START}\n{figures}\n{END}{after}", encoding="utf-8")

    def finish(self) -> int:
        """Say what was missed; return the exit status."""
        print(f"\n{'Missed: ' + '; '.join(self.missed) if self.missed else 'All that was to be reached was reached.'}")
        return 1 if self.missed else 0


def middle(times: list[float]) -> float:
    """The median."""
    return median(times)
