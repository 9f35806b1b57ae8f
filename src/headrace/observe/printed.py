"""What workers print, in the program's terminal: whose it is, and not more than a person can read."""

from __future__ import annotations

import time

from msgspec import Struct

from headrace.ids import WorkerId
from headrace.observe.terminal import write

BURST = 1000  # lines of one worker that may come at once
PER_SECOND = 200  # lines of one worker in the long run
AGAIN = 50  # lines that must have been saved up before a flood is shown again


class _Allowance(Struct):
    lines: float = BURST
    since: float = 0.0
    withheld: int = 0


class Printed:
    """Prefixes lines with their worker, and withholds floods."""

    def __init__(self) -> None:
        self._of: dict[WorkerId, _Allowance] = {}

    def __call__(self, worker: WorkerId, stream: int, line: str) -> None:
        """Show a line that a worker printed to stream 1 or 2."""
        now = time.monotonic()
        allowance = self._of.setdefault(worker, _Allowance(since=now))
        allowance.lines = min(BURST, allowance.lines + (now - allowance.since) * PER_SECOND)
        allowance.since = now
        if allowance.lines < (AGAIN if allowance.withheld else 1):
            allowance.withheld += 1
            return
        allowance.lines -= 1
        self._tell_withheld(worker, allowance)
        write(stream, f"[{worker}] {line}\n")

    def _tell_withheld(self, worker: WorkerId, allowance: _Allowance) -> None:
        if allowance.withheld:
            lines = f"{allowance.withheld:,} more line{'s' * (allowance.withheld != 1)}"
            write(2, f"[{worker}] ... {lines}, too many to show\n")
            allowance.withheld = 0

    def close(self) -> None:
        """Say what was withheld at the end."""
        for worker, allowance in self._of.items():
            self._tell_withheld(worker, allowance)
