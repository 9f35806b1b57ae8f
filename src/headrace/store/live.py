"""Cached partitions as objects, beside their frames: what is read again and again need not be unpickled each time.

Only records that nobody can change are held so, and only in what the frames of cached partitions leave of their budget.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from headrace.execute.chunks import sizeof
from headrace.execute.frozen import is_frozen

Key = tuple[int, int]  # dataset and partition
Chunks = list[list[Any]]


class Live:
    """What one worker holds as objects."""

    def __init__(self) -> None:
        self._held: OrderedDict[Key, tuple[Chunks, int]] = OrderedDict()
        self.bytes = 0  # estimated

    def get(self, key: Key) -> Chunks | None:
        """Return a partition's records, if they are held; the lists are not the reader's to change."""
        found = self._held.get(key)
        return found[0] if found is not None else None

    def put(self, key: Key, chunks: Chunks, size: int) -> None:
        """Hold a partition."""
        self.drop(key)
        self._held[key] = (chunks, size)
        self.bytes += size

    def drop(self, key: Key) -> None:
        """Let a partition go."""
        self.bytes -= self._held.pop(key, ((), 0))[1]

    def shrink(self, room: int) -> None:
        """Let partitions go until no more than so many bytes are held, the first that came first."""
        for key in list(self._held):
            if self.bytes <= room:
                return
            self.drop(key)


class Revival:
    """A partition that is being unpickled, perhaps for the last time.

    Args:
        room: bytes that it may take.
        hold: takes what was unpickled, and its size.

    """

    def __init__(self, room: int, hold: Callable[[Chunks, int], None]) -> None:
        self._room, self._hold = room, hold
        self._chunks: Chunks = []
        self._bytes = 0

    def add(self, records: list[Any]) -> bool:
        """Hold one more chunk; False if some record can be changed, or the partition is too large."""
        self._bytes += sizeof(records)
        if self._bytes > self._room or not is_frozen(records):
            self._chunks.clear()
            return False
        self._chunks.append(records)
        return True

    def done(self) -> None:
        """Nothing more comes: from now on others may read it."""
        self._hold(self._chunks, self._bytes)
