"""A worker's side of copies of kept partitions: pulled from another worker while tasks run, into the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from headrace.execute.chunks import Corrupt, split_frames
from headrace.ids import HostId, OperatorId
from headrace.loops.data import BlocksLost, DataPlane
from headrace.plan.levels import StorageLevel
from headrace.protocols.fetch import Block
from headrace.protocols.messages import Replicate, Replicated
from headrace.store.cache import Cache
from headrace.store.layout import cache_name

FETCH_BYTES = 4 << 20  # on its way of one copy
Key = tuple[int, int]


class Copies:
    """The copies that a worker is making.

    Args:
        answer: tells the program what came of one.

    """

    def __init__(self, cache: Cache, plane: DataPlane, answer: Callable[[Replicated], None]) -> None:
        self.cache, self.plane, self._answer = cache, plane, answer
        self._making: dict[Key, _Copy] = {}

    def make(self, asked: Replicate) -> None:
        """Begin a copy, unless it is being made or is there."""
        key = (asked.operator, asked.partition)
        if key in self._making:
            return
        if self.cache.holds(*key):
            self._answer(Replicated(*key, "kept"))
            return
        level = StorageLevel(asked.use_disk, asked.use_memory)
        self._making[key] = copy = _Copy(self, key, level, iter(asked.addresses))
        copy.begin()

    def forget(self, operator: int) -> None:
        """Give up the copies of a dataset that is not to be kept any more."""
        for key in [key for key in self._making if key[0] == operator]:
            self._making.pop(key).abandon()

    def over(self, key: Key, outcome: Literal["kept", "no room", "lost"]) -> None:
        """A copy has come to its end."""
        del self._making[key]
        self._answer(Replicated(*key, outcome))


class _Copy:
    """One copy: what pulls put its pieces into."""

    def __init__(self, copies: Copies, key: Key, level: StorageLevel, addresses: Iterator[str]) -> None:
        self._copies, self._key, self._level, self._addresses = copies, key, level, addresses
        self._entry = copies.cache.begin(*key, level)
        self.name = ""

    def begin(self) -> None:
        """Pull from the next worker that has it."""
        address = next(self._addresses, None)
        if address is None:
            self._entry.close()
            self._copies.over(self._key, "lost")
            return
        block = Block(cache_name(OperatorId(self._key[0]), self._key[1]), -1, HostId(f"@{address}"))
        self._copies.plane.pour(block, FETCH_BYTES, self)

    def put(self, place: int, piece: bytes, *, complete: bool) -> None:
        """Keep a piece."""
        if piece and not self._entry.add(piece):
            self.abandon()
            self._copies.over(self._key, "no room")
        elif complete:
            self._copies.plane.end(self.name)
            self._finish()
        else:
            self._copies.plane.consumed(self.name, place, len(piece))

    def _finish(self) -> None:
        self._entry.done()
        if not self._entry.complete:
            self._entry.close()
            self._copies.over(self._key, "no room")
        elif not self._is_sound():
            self._copies.cache.drop(self._key)
            self._copies.over(self._key, "lost")
        else:
            self._copies.over(self._key, "kept")

    def _is_sound(self) -> bool:
        """Whether it arrived undamaged: from another worker's disk, perhaps."""
        frames = self._copies.cache.get(*self._key)
        if frames is None:
            return self._copies.cache.sound(*self._key) is not None
        try:
            for _ in split_frames(frames):
                pass
        except Corrupt:
            return False
        return True

    def lose(self, lost: BlocksLost) -> None:
        """It cannot be had there: try the next, from the beginning."""
        self._copies.plane.end(self.name)
        self._entry.close()
        self._entry = self._copies.cache.begin(*self._key, self._level)
        self.begin()

    def abandon(self) -> None:
        """Nobody wants it any more."""
        self._copies.plane.end(self.name)
        self._entry.close()
