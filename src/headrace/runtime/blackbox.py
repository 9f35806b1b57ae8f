"""A page of memory that a worker writes and that outlives it: what it was doing when it died.

One aligned word of eight bytes, so that it is never found half written: the attempt, and its phase.
"""

from __future__ import annotations

import mmap
import os

from headrace.ids import AttemptId
from headrace.ports import Phase
from headrace.runtime.files import full_disk

PHASES: tuple[Phase, ...] = ("idle", "fetch", "compute", "write", "commit")
SIZE = 8


class BlackBox:
    """Both the worker's end and the program's."""

    def __init__(self, path: str, *, create: bool = False) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o600)
        try:
            if create:
                with full_disk(path):  # now: the worker's first word would kill it
                    os.write(fd, bytes(SIZE))
            self._map = mmap.mmap(fd, SIZE)
        finally:
            os.close(fd)
        self._word = memoryview(self._map).cast("Q")

    def note(self, phase: Phase, attempt: int) -> None:
        """Write what is being done."""
        self._word[0] = attempt * 8 + PHASES.index(phase)

    def read(self) -> tuple[Phase, AttemptId | None]:
        """Read what was being done."""
        attempt, phase = divmod(self._word[0], 8)
        return (PHASES[phase], AttemptId(attempt)) if attempt else ("idle", None)

    def close(self) -> None:
        """Let go of the page."""
        self._word.release()
        self._map.close()
