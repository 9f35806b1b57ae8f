"""From a cold interpreter to the first result."""

from __future__ import annotations

import subprocess
import sys

from bench.data import Library
from bench.timing import Report, middle

IMPORT = "import time; began = time.perf_counter(); import headrace; print(time.perf_counter() - began)"
FIRST = """
import time
began = time.perf_counter()
import headrace
ctx = headrace.connect("local://?workers=2")
assert ctx.parallelize([1, 2, 3]).count() == 3
print(time.perf_counter() - began)
ctx.close()
"""


def measure(library: Library, report: Report, rounds: int) -> None:
    """Time the import, and a connection with a trivial job, each in fresh interpreters."""
    del library
    for what, code, reach in (
        ("import headrace", IMPORT, 0.1),
        ("import, connect, and a first trivial job", FIRST, 0.25),
    ):
        seconds = [
            float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
            for _ in range(rounds + 1)
        ]
        report.row(what, middle(seconds[1:]), "s", reach=reach, at_most=True)
