"""Cached partitions in one worker's memory: pickled, so that nobody can change what others read, and within a budget.

A partition that does not fit beside those of its own dataset is not kept; others give way, the one used longest ago first.
"""

from __future__ import annotations

from collections import Counter, OrderedDict

Key = tuple[int, int]  # dataset and partition


class Cache:
    """What a worker keeps."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._kept: OrderedDict[Key, list[bytes]] = OrderedDict()
        self._bytes = 0
        self._own_bytes: Counter[int] = Counter()  # by dataset
        self._evicted: list[Key] = []

    def get(self, operator: int, partition: int) -> list[bytes] | None:
        """Return a partition's frames."""
        frames = self._kept.get((operator, partition))
        if frames is not None:
            self._kept.move_to_end((operator, partition))
        return frames

    def begin(self, operator: int, partition: int) -> Entry:
        """Begin to keep a partition."""
        return Entry(self, (operator, partition))

    def make_room(self, size: int, key: Key) -> bool:
        """Let other datasets' partitions go until so much fits; False if it cannot."""
        if self._own_bytes[key[0]] + size > self._budget:
            return False  # and nobody has to go
        for other in list(self._kept):
            if self._bytes + size <= self._budget:
                break
            if other[0] != key[0]:
                self._drop(other)
                self._evicted.append(other)
        return self._bytes + size <= self._budget

    def put(self, key: Key, frames: list[bytes]) -> None:
        """Keep a partition that was made room for."""
        self._drop(key)
        self._kept[key] = frames
        self._count(key, sum(map(len, frames)))

    def _drop(self, key: Key) -> None:
        self._count(key, -sum(map(len, self._kept.pop(key, ()))))

    def _count(self, key: Key, size: int) -> None:
        self._bytes += size
        self._own_bytes[key[0]] += size
        if not self._own_bytes[key[0]]:
            del self._own_bytes[key[0]]

    def forget(self, operator: int) -> None:
        """Drop a dataset."""
        for key in [key for key in self._kept if key[0] == operator]:
            self._drop(key)

    def drop(self, key: Key) -> None:
        """Drop one partition."""
        self._drop(key)

    def evicted(self) -> tuple[Key, ...]:
        """Return what gave way since the last call."""
        gone, self._evicted = tuple(self._evicted), []
        return gone


class Entry:
    """A partition on its way into the cache."""

    def __init__(self, cache: Cache, key: Key) -> None:
        self._cache, self.key = cache, key
        self._frames: list[bytes] = []
        self._size = 0
        self.complete = False

    def add(self, frame: bytes) -> bool:
        """Keep one more frame; False if the partition does not fit and will not be kept."""
        self._size += len(frame)
        if not self._cache.make_room(self._size, self.key):
            self._frames.clear()
            return False
        self._frames.append(frame)
        return True

    def done(self) -> None:
        """Nothing more comes: from now on others may read it, if it still fits beside what was kept meanwhile."""
        if self._cache.make_room(self._size, self.key):
            self._cache.put(self.key, self._frames)
            self.complete = True
