"""``python -m bench``: how fast, against what one would use instead, in one run; prints ratios.

Every figure in the documentation comes from here.  Two plain processes are timed side by side first, because a machine that
does not give two of them nearly twice the speed of one gives no honest figures: then the run waits and tries again.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable

from bench import keyed, kills, large, memory, pagerank, predict, simulation, skew, startup, tasks, verify, wordcount
from bench.data import Library
from bench.timing import Report, wait_for_quiet

PARTS: dict[str, Callable[[Library, Report, int], None]] = {
    "startup": startup.measure,
    "tasks": tasks.measure,
    "wordcount": wordcount.measure,
    "keyed": keyed.measure,
    "skew": skew.measure,
    "pagerank": pagerank.measure,
    "kills": kills.measure,
    "verify": verify.measure,
    "memory": memory.measure,
    "simulation": simulation.measure,
    "large": large.measure,
    "predict": predict.measure,
}


def main() -> int:
    """Measure what was asked for; return 1 if something that was to be reached was not."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}; all unless said")
    parser.add_argument("--books", help="a folder of text files, read three times")
    parser.add_argument("--write", metavar="PAGE", help="put the figures into this page, between its marks")
    parser.add_argument("--rounds", type=int, default=5, help="how often each thing is timed (default: 5)")
    options = parser.parse_args()
    unknown = set(options.parts) - set(PARTS)
    if unknown:
        parser.error(f"there is no part {sorted(unknown)[0]!r}")
    library = Library.find(options.books)
    about = [
        f"Python {platform.python_version()} on {platform.machine()}, {os.cpu_count()} processors; {library}.",
        f"{wait_for_quiet(library)}.".capitalize(),
    ]
    print("\n".join(about))
    report = Report()
    for name in options.parts or PARTS:
        report.part(name)
        PARTS[name](library, report, options.rounds)
    if options.write:
        report.write(options.write, about)
    return report.finish()


if __name__ == "__main__":
    sys.exit(main())
