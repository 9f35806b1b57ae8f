"""What the system can tell about a process, alive or just dead: memory, limits, processor time."""

from __future__ import annotations

import os
import resource
import sys

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MAXRSS = 1 if sys.platform == "darwin" else 1024  # bytes in the unit of `ru_maxrss`


def anonymous_bytes(pid: int | str = "self") -> int:
    """Return a process's resident memory without files mapped into it; all of it where that cannot be told."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            fields = file.read().split()
        return (int(fields[1]) - int(fields[2])) * PAGE
    except (OSError, IndexError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * MAXRSS if pid == "self" else 0


def processor_ns(pid: int) -> int | None:
    """Return the processor time that a process has used in all; None if it cannot be told."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1_000_000_000 // CLOCK_TICKS
    except (OSError, IndexError, ValueError):
        return None


def oom_kills() -> int | None:
    """Return how many processes of this control group the kernel has killed for memory; None if it cannot be told."""
    try:
        with open("/proc/self/cgroup", "rb") as file:
            own = file.read().decode().splitlines()
        path = next((line.partition("::")[2] for line in own if line.startswith("0::")), "/")
        with open(f"/sys/fs/cgroup{path.rstrip('/')}/memory.events", "rb") as file:
            for line in file.read().decode().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return None


def notes(signal_number: int | None, last_bytes: int, oom_before: int | None) -> tuple[str, ...]:
    """Say what memory has to do with a death, as far as the kernel and the limits tell."""
    said = []
    if last_bytes:
        said.append(f"it held {last_bytes / 1e6:,.0f} MB when last heard")
    after = oom_kills()
    if oom_before is not None and after is not None and after > oom_before:
        said.append("the kernel killed a process for lack of memory meanwhile")
    elif signal_number == 9 and after is None:
        said.append("if nobody killed it, the kernel did, for lack of memory")
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        said.append(f"its address space is limited to {limit / 1e6:,.0f} MB")
    return tuple(said)
