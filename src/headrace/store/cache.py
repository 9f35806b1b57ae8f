"""Cached partitions of one worker, pickled, so that nobody can change what others read: in memory, or on disk.

A partition that does not fit in memory beside those of its own dataset goes to disk, where its dataset may be there, or is
not kept; others give way, the one used longest ago first.  What is on disk lies in the worker's own folder and goes with it.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import Concatenate, ParamSpec, TypeVar

from headrace.execute.chunks import Corrupt, split_frames
from headrace.plan.levels import StorageLevel
from headrace.ports import Files, WriteFile
from headrace.store.live import Chunks, Live, Revival
from headrace.store.mapoutput import read_range

Key = tuple[int, int]  # dataset and partition
P = ParamSpec("P")
R = TypeVar("R")
PIECE = 1 << 20


def _alone(method: Callable[Concatenate[Cache, P], R]) -> Callable[Concatenate[Cache, P], R]:
    """Let one thread at a time change what is kept: bodies do, and the loop, which takes copies and forgets datasets."""

    def locked(self: Cache, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with self.lock:
            return method(self, *args, **kwargs)

    locked.__doc__ = method.__doc__
    return locked


class Cache:
    """What a worker keeps.

    Args:
        files, folder: where partitions on disk go; without them, none do.

    """

    def __init__(self, budget: int, files: Files | None = None, folder: str = "") -> None:
        self._budget, self._files, self._folder = budget, files, folder
        self._kept: OrderedDict[Key, list[bytes]] = OrderedDict()
        self._levels: dict[Key, StorageLevel] = {}  # of partitions in memory
        self._stored: set[Key] = set()  # on disk
        self._bytes = 0
        self._own_bytes: Counter[int] = Counter()  # by dataset
        self._evicted: list[Key] = []
        self._numbers = count(1)
        self.lock = threading.RLock()
        self.live = Live()  # gives way first

    @_alone
    def revive(self, operator: int, partition: int) -> Revival | None:
        """Begin to hold a partition that is in memory as objects, too; None if it is not, or is held so already."""
        key = (operator, partition)
        if key not in self._kept or self.live.get(key) is not None:
            return None
        return Revival(self._budget - self._bytes - self.live.bytes, partial(self._hold, key))

    @_alone
    def _hold(self, key: Key, chunks: Chunks, size: int) -> None:
        if key in self._kept:  # not forgotten in the meantime
            self.live.put(key, chunks, size)
            self.live.shrink(self._budget - self._bytes)

    def get(self, operator: int, partition: int) -> list[bytes] | None:
        """Return a partition's frames, if it is in memory."""
        frames = self._kept.get((operator, partition))
        if frames is not None:
            with suppress(KeyError):  # dropped meanwhile, by another thread: who reads need not wait for that
                self._kept.move_to_end((operator, partition))
        return frames

    def holds(self, operator: int, partition: int) -> bool:
        """Whether a partition is here, in memory or on disk."""
        return (operator, partition) in self._kept or (operator, partition) in self._stored

    def contents(self) -> list[Key]:
        """List the partitions that are here, in memory or on disk."""
        return sorted({*self._kept, *self._stored})

    def path(self, operator: int, partition: int) -> str | None:
        """Return the file of a partition, if it is on disk."""
        key = (operator, partition)
        return self._path(key) if key in self._stored else None

    def sound(self, operator: int, partition: int) -> str | None:
        """Return the file of a partition, if it is on disk and undamaged; one that is damaged is dropped."""
        path = self.path(operator, partition)
        if path is None or self._files is None:
            return None
        try:
            file = self._files.open(path)
            try:
                for _ in split_frames(read_range(file, 0, file.size, PIECE)):
                    pass
            finally:
                file.close()
        except (OSError, Corrupt):
            self._condemn((operator, partition))
            return None
        return path

    @_alone
    def _condemn(self, key: Key) -> None:
        if key in self._stored:  # not dropped meanwhile, by another thread
            self._unstore(key)
            self._evicted.append(key)

    def begin(self, operator: int, partition: int, level: StorageLevel = StorageLevel.MEMORY_ONLY) -> Entry:
        """Begin to keep a partition."""
        return Entry(self, (operator, partition), level)

    @_alone
    def make_room(self, size: int, key: Key) -> bool:
        """Let other datasets' partitions go until so much fits; False if it cannot."""
        if self._own_bytes[key[0]] + size > self._budget:
            return False  # and nobody has to go
        for other in list(self._kept):
            if self._bytes + size <= self._budget:
                break
            if other[0] != key[0]:
                self._give_way(other)
        return self._bytes + size <= self._budget

    def _give_way(self, key: Key) -> None:
        """Drop a partition from memory, to disk if it may be there."""
        frames, level = self._kept.get(key), self._levels.get(key)
        self._drop(key)
        if frames is None or level is None:
            return  # forgotten meanwhile, from the loop's thread
        aside = self.create(key) if level.use_disk else None
        if aside is not None and all(aside.write(frame) for frame in frames) and aside.finish():
            return
        self._evicted.append(key)

    @_alone
    def put(self, key: Key, frames: list[bytes], level: StorageLevel = StorageLevel.MEMORY_ONLY) -> None:
        """Keep a partition in memory that was made room for."""
        self.drop(key)
        self._levels[key] = level
        self._kept[key] = frames
        self._count(key, sum(map(len, frames)))

    def create(self, key: Key) -> Aside | None:
        """Begin a partition's file; None where there is no disk, or it is full."""
        if self._files is None:
            return None
        try:
            return Aside(self, self._files, key, self._path(key), next(self._numbers))
        except OSError:
            return None

    @_alone
    def store(self, key: Key) -> None:
        """A partition's file is there."""
        self._drop(key)
        self._stored.add(key)

    def _path(self, key: Key) -> str:
        return f"{self._folder}/cache-{key[0]}-{key[1]}"

    def _drop(self, key: Key) -> None:
        self._levels.pop(key, None)
        self.live.drop(key)
        self._count(key, -sum(map(len, self._kept.pop(key, ()))))

    def _unstore(self, key: Key) -> None:
        if key in self._stored:
            self._stored.discard(key)
            assert self._files is not None
            self._files.remove(self._path(key))

    def _count(self, key: Key, size: int) -> None:
        self._bytes += size
        self._own_bytes[key[0]] += size
        if not self._own_bytes[key[0]]:
            del self._own_bytes[key[0]]
        self.live.shrink(self._budget - self._bytes)

    @_alone
    def forget(self, operator: int) -> None:
        """Drop a dataset."""
        for key in [key for key in (*self._kept, *self._stored) if key[0] == operator]:
            self.drop(key)

    @_alone
    def drop(self, key: Key) -> None:
        """Drop one partition."""
        self._drop(key)
        self._unstore(key)

    @_alone
    def evicted(self) -> tuple[Key, ...]:
        """Return what gave way since the last call, and has not come back."""
        gone, self._evicted = self._evicted, []
        return tuple(key for key in dict.fromkeys(gone) if not self.holds(*key))


class Entry:
    """A partition on its way into the cache."""

    def __init__(self, cache: Cache, key: Key, level: StorageLevel) -> None:
        self._cache, self.key, self._level = cache, key, level
        self._frames: list[bytes] = []
        self._aside: Aside | None = None if level.use_memory else cache.create(key)
        self._size = 0
        self.complete = False

    def add(self, frame: bytes) -> bool:
        """Keep one more frame; False if the partition does not fit and will not be kept."""
        self._size += len(frame)
        if self._aside is not None:
            return self._aside.write(frame)
        if self._level.use_memory and self._cache.make_room(self._size, self.key):
            self._frames.append(frame)
            return True
        held, self._frames = self._frames, []
        self._aside = self._cache.create(self.key) if self._level.use_disk else None
        return self._aside is not None and all(self._aside.write(one) for one in (*held, frame))

    def done(self) -> None:
        """Nothing more comes: from now on others may read it, if it still fits beside what was kept meanwhile."""
        with self._cache.lock:
            if self._aside is None and self._level.use_memory and self._cache.make_room(self._size, self.key):
                self._cache.put(self.key, self._frames, self._level)
                self.complete = True
                return
        if self._aside is None and self._level.use_disk:  # what was kept meanwhile took the room
            self._aside = self._cache.create(self.key)
            if self._aside is not None and not all(map(self._aside.write, self._frames)):
                return
        self.complete = self._aside is not None and self._aside.finish()

    def close(self) -> None:
        """Nobody will say whether it is done."""
        if self._aside is not None and not self.complete:
            self._aside.abandon()


class Aside:
    """A partition's file, until it is whole; a body may compute a partition while the loop takes a copy of it."""

    def __init__(self, cache: Cache, files: Files, key: Key, path: str, number: int) -> None:
        self._cache, self._files, self._key, self._path = cache, files, key, path
        self._aside = f"{path}.{number}.aside"
        self._file: WriteFile | None = files.create(self._aside)

    def write(self, frame: bytes) -> bool:
        """Append a frame; False if the disk is full, and the file is gone."""
        if self._file is None:
            return False
        try:
            self._file.write(frame)
        except OSError:
            self.abandon()
            return False
        return True

    def finish(self) -> bool:
        """Put the file where it is found; False if that failed."""
        if self._file is None:
            return False
        try:
            self._file.close()
            self._files.rename(self._aside, self._path)
        except OSError:
            self.abandon()
            return False
        self._file = None
        self._cache.store(self._key)
        return True

    def abandon(self) -> None:
        """Remove it."""
        if self._file is not None:
            self._file.abandon()
            self._file = None
            self._files.remove(self._aside)
