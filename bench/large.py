"""Many records: time and memory beside a plain loop, PySpark and Dask, also with a tenth of the memory of the loop."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile

from bench.data import Library
from bench.timing import Report

# What is done, with how many rows, and which is said of it.
JOBS = {
    "sort": (20_000_000, "sort of {:,} integers"),
    "group": (20_000_000, "group of {:,} pairs into 100,000 groups"),
    "join": (5_000_000, "join of {:,} rows with a fifth as many"),
}
OTHERS = {"spark": ("pyspark", "PySpark RDD, local[2]"), "dask": ("dask.bag", "Dask bag, two processes")}
MISSING = {("sort", "dask"): "Dask bag cannot sort"}
PATIENCE_S = 200.0
LOOK_S = 0.1


def measure(library: Library, report: Report, rounds: int) -> None:
    """Run each job once in each way, in a process of its own."""
    del library, rounds
    for job, (rows, what) in JOBS.items():
        report.note(what.format(rows))
        seconds, most = run(job, "plain", rows)
        report.note(f"  a plain loop: {seconds:.1f} s, {most / 1e6:,.0f} MB")
        address = "local://?workers=2"
        tenth = f"memory={most // 20 // (1 << 20) + 1}MB"  # for each of two workers
        for label, url in (("headrace", address), (f"headrace, {tenth}", f"{address}&{tenth}")):
            took, held = run(job, "headrace", rows, url)
            report.row(f"  {label}", took / seconds, f"times as long ({took:.1f} s), {held / 1e6:,.0f} MB")
        for who, (package, name) in OTHERS.items():
            if (job, who) in MISSING:
                report.note(f"  {MISSING[job, who]}")
            elif not installed(package):
                report.note(f"  {name} is not installed: pip install -e '.[bench]'")
            else:
                try:
                    took, held = run(job, who, rows)
                except (subprocess.SubprocessError, TimeoutError) as error:
                    report.note(f"  {name}: {error}")
                else:
                    report.row(f"  {name}", took / seconds, f"times as long ({took:.1f} s), {held / 1e6:,.0f} MB")


def installed(package: str) -> bool:
    """Whether there is such a package."""
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def run(job: str, who: str, rows: int, *address: str) -> tuple[float, int]:
    """Run one; return its seconds, without what it had to start, and the most memory that its processes held together.

    Raises:
        TimeoutError: it took too long.
        subprocess.SubprocessError: it failed.

    """
    command = [sys.executable, "-m", "bench.contenders", job, who, str(rows), *address]
    most, until = 0, time.monotonic() + PATIENCE_S
    with TemporaryFile("w+") as said, TemporaryFile("w+") as trouble:
        process = subprocess.Popen(command, stdout=said, stderr=trouble)
        while process.poll() is None:
            most = max(most, sum(map(anonymous_bytes, tree(process.pid))))
            if time.monotonic() > until:
                end(tree(process.pid))
                process.wait()
                raise TimeoutError(f"not done after {PATIENCE_S:.0f} s")
            time.sleep(LOOK_S)
        said.seek(0)
        trouble.seek(0)
        if process.returncode:
            raise subprocess.SubprocessError(
                f"failed with {(trouble.read().strip().splitlines() or ['nothing said'])[-1]}"
            )
        return float(said.read().split()[-1]), most


def end(processes: list[int]) -> None:
    """End processes at once, those that others may have ended already too."""
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def tree(pid: int) -> list[int]:
    """List a process and all that came of it."""
    found = [pid]
    for parent in found:
        for path in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, path.read_text().split())
            except OSError:
                continue
    return found


def anonymous_bytes(pid: int) -> int:
    """Return a process's resident memory without files mapped into it, shared pages divided among who shares them."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss_Anon:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError):
        pass
    return 0
