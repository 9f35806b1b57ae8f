"""Keys that recur: iterative programs send the same keys through a shuffle round after round, with other values.

What follows from the keys alone, where each goes and how they look pickled, is remembered from the second time on; from
the third time on a round deals and pickles its values only, and its readers unpickle values only.  This is a memo of pure
functions, as that of `re` is: it changes no result, and is forgotten in parts when it grows.
"""

from __future__ import annotations

import pickle
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any, Generic, TypeVar
from zlib import crc32

from msgspec import Struct

from headrace.execute.chunks import CHUNK_RECORDS, TWOFOLD, Frame, dumps, sizeof
from headrace.execute.kernels import places_of
from headrace.plan.partitioners import HashPartitioner, Partitioner

LEAST = 256  # keys: fewer are not worth a look,
LEAST_EACH = 4  # nor are fewer for each partition, whose frames are made as fast as found
SEEN_MAX = 4096  # of things met once
ENTRY_BYTES = 128  # of a key, beside itself and its pickle: its places in lists and partitions
KINDS: list[set[type]] = [{str}, {int}, {bytes}]  # of these, equal keys look alike

E = TypeVar("E")


class Memo(Generic[E]):
    """Remembers what was met at least twice, within a budget, the latest used.

    Several threads may use it at once: inline contexts run in as many threads as there are.

    Args:
        limit: bytes.

    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._seen: OrderedDict[Hashable, None] = OrderedDict()
        self._held: OrderedDict[Hashable, tuple[E, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, name: Hashable) -> E | None:
        """Return what is remembered under a name."""
        with self._lock:
            found = self._held.get(name)
            if found is None:
                return None
            self._held.move_to_end(name)
            return found[0]

    def seen(self, name: Hashable) -> bool:
        """Whether a name was met before; it is from now on."""
        with self._lock:
            if name in self._seen:
                return True
            self._seen[name] = None
            if len(self._seen) > SEEN_MAX:
                self._seen.popitem(last=False)
            return False

    def put(self, name: Hashable, entry: E, size: int) -> None:
        """Remember something under a name, instead of what was."""
        with self._lock:
            self._drop(name)
            if size > self.limit:
                return
            self._held[name] = (entry, size)
            self._bytes += size
            for other in islice(list(self._held), len(self._held) - 1):
                if self._bytes <= self.limit:
                    break
                self._drop(other)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._seen.clear()
            self._held.clear()
            self._bytes = 0

    def _drop(self, name: Hashable) -> None:
        found = self._held.pop(name, None)
        if found is not None:
            self._bytes -= found[1]


class Part(Struct, frozen=True):
    """The keys of one partition.

    Attributes:
        take: takes the values of these keys from those of all.
        number: of the keys.
        size: of the keys, estimated as a task does that deals them for the first time.
        pickled: they, a frame's at a time.

    """

    take: Callable[[Sequence[Any]], Sequence[Any]]
    number: int
    size: int
    pickled: tuple[bytes, ...]


class Dealt(Struct, frozen=True):
    """Where keys go: for each partition that gets any, which ones."""

    keys: list[Any]
    parts: dict[int, Part]


dealt: Memo[Dealt] = Memo(16 << 20)
read: Memo[tuple[bytes, list[Any]]] = Memo(16 << 20)


def limit(size: int) -> None:
    """Say how many bytes this process may hold so, of either kind, and begin anew."""
    forget()
    dealt.limit = read.limit = size


def forget() -> None:
    """Let go of everything: a run has ended, or another begins, which is not to depend on what was run before it."""
    dealt.clear()
    read.clear()


def deal_again(keys: list[Any], partitioner: Partitioner) -> Dealt | None:
    """Say where distinct keys go, if they have gone there before."""
    if len(keys) < max(LEAST, LEAST_EACH * partitioner.partitions):
        return None
    if not isinstance(partitioner, HashPartitioner) or set(map(type, keys)) not in KINDS:
        return None
    name = (partitioner.partitions, len(keys), hash(keys[0]), hash(keys[-1]))
    found = dealt.get(name)
    if found is not None and found.keys == keys and type(found.keys[0]) is type(keys[0]):
        return found
    size = len(keys) * ENTRY_BYTES + sizeof(keys)
    if size > dealt.limit or not dealt.seen(name):
        return None
    places: dict[int, list[int]] = {}
    for index, place in enumerate(places_of(keys, partitioner.partitions)):
        places.setdefault(place, []).append(index)
    made = Dealt(keys, {place: _part(keys, indices) for place, indices in places.items()})
    pickled = sum(len(some) for part in made.parts.values() for some in part.pickled)
    dealt.put(name, made, size + pickled)
    return made


def _part(keys: list[Any], indices: list[int]) -> Part:
    some = [keys[index] for index in indices]
    pickled = tuple(dumps(some[at : at + CHUNK_RECORDS]) for at in range(0, len(some), CHUNK_RECORDS))
    take = itemgetter(*indices) if len(indices) > 1 else _only(indices[0])
    return Part(take, len(some), sizeof(some), pickled)


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
