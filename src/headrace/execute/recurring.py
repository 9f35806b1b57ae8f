"""Keys that recur: iterative programs send the same keys through a shuffle round after round, with other values.

What follows from the keys alone, where each goes and how they look pickled, is remembered from the second time on; from
the third time on a round deals and pickles its values only, and its readers unpickle values only.  This is a memo of pure
functions, as that of `re` is: it changes no result, and is forgotten in parts when it grows.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Generic, TypeVar
from zlib import crc32

from msgspec import Struct

from headrace.execute.chunks import CHUNK_BYTES, CHUNK_RECORDS, TWOFOLD, Frame, dumps, sizeof
from headrace.execute.kernels import places_of
from headrace.plan.partitioners import HashPartitioner, Partitioner

LEAST = 256  # keys: fewer are not worth a look
SEEN_MAX = 4096  # of things met once
ENTRY_BYTES = 128  # of a key, beside itself: its places in lists, and in what it becomes
KINDS: list[set[type]] = [{str}, {int}, {bytes}]  # of these, equal keys look alike

E = TypeVar("E")


class Memo(Generic[E]):
    """Remembers what was met at least twice, within a budget, the latest used.

    Args:
        limit: bytes.

    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._seen: OrderedDict[Hashable, None] = OrderedDict()
        self._held: OrderedDict[Hashable, tuple[E, int]] = OrderedDict()
        self._bytes = 0

    def get(self, name: Hashable) -> E | None:
        """Return what is remembered under a name."""
        found = self._held.get(name)
        if found is None:
            return None
        self._held.move_to_end(name)
        return found[0]

    def seen(self, name: Hashable) -> bool:
        """Whether a name was met before; it is from now on."""
        if name in self._seen:
            return True
        self._seen[name] = None
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)
        return False

    def put(self, name: Hashable, entry: E, size: int) -> None:
        """Remember something under a name, instead of what was."""
        self.drop(name)
        if size > self.limit:
            return
        self._held[name] = (entry, size)
        self._bytes += size
        for other in islice(list(self._held), len(self._held) - 1):
            if self._bytes <= self.limit:
                break
            self.drop(other)

    def drop(self, name: Hashable) -> None:
        """Forget what is remembered under a name."""
        found = self._held.pop(name, None)
        if found is not None:
            self._bytes -= found[1]


class Piece(Struct, frozen=True):
    """A frame's keys.

    Attributes:
        take: takes the values of these keys from those of all.
        number: of the keys.
        pickled: they.

    """

    take: Callable[[Sequence[Any]], Sequence[Any]]
    number: int
    pickled: bytes


class Dealt(Struct, frozen=True):
    """Where keys go: for each partition, its frames' keys."""

    keys: list[Any]
    parts: tuple[tuple[Piece, ...], ...]


dealt: Memo[Dealt] = Memo(16 << 20)
read: Memo[tuple[bytes, list[Any]]] = Memo(16 << 20)


def limit(size: int) -> None:
    """Say how many bytes this process may hold so, of either kind."""
    dealt.limit = read.limit = size


def deal_again(keys: list[Any], partitioner: Partitioner) -> Dealt | None:
    """Say where distinct keys go, if they have gone there before."""
    if len(keys) < LEAST or not isinstance(partitioner, HashPartitioner) or set(map(type, keys)) not in KINDS:
        return None
    name = (partitioner.partitions, len(keys), keys[0], keys[-1])
    found = dealt.get(name)
    if found is not None and found.keys == keys and type(found.keys[0]) is type(keys[0]):
        return found
    size = len(keys) * (sizeof(keys) // len(keys) + ENTRY_BYTES)
    if size > dealt.limit or not dealt.seen(name):
        return None
    made = Dealt(keys, tuple(tuple(_pieces(keys, part)) for part in _parts(keys, partitioner.partitions)))
    dealt.put(name, made, size)
    return made


def _parts(keys: list[Any], partitions: int) -> list[list[int]]:
    parts: list[list[int]] = [[] for _ in range(partitions)]
    for index, place in enumerate(places_of(keys, partitions)):
        parts[place].append(index)
    return parts


def _pieces(keys: list[Any], part: list[int]) -> Iterator[Piece]:
    number = max(2, min(CHUNK_RECORDS, CHUNK_BYTES // max(1, sizeof(keys) // len(keys))))
    for at in range(0, len(part), number):
        some = part[at : at + number]
        take = itemgetter(*some) if len(some) > 1 else _only(some[0])
        yield Piece(take, len(some), dumps([keys[index] for index in some]))


def _only(index: int) -> Callable[[Sequence[Any]], Sequence[Any]]:
    return lambda values: (values[index],)


def columns(part: Frame) -> tuple[list[Any], list[Any]]:
    """Unpickle keys and values; the lists are not the reader's to change."""
    if not part.flags & TWOFOLD:
        keys, values = part.load()
        return keys, values
    first, rest = part.halves()
    pickled = bytes(first)
    name = (len(pickled), crc32(pickled))
    found = read.get(name)
    if found is not None and found[0] == pickled:
        return found[1], pickle.loads(rest)
    keys = pickle.loads(pickled)
    if read.seen(name):
        read.put(name, (pickled, keys), len(pickled) + len(keys) * 8 + sizeof(keys))
    return keys, pickle.loads(rest)
