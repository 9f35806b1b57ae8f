"""Grouping by key: every value of every key, within a budget.

Two things can be too large: the number of keys, and one key's values.  When the table outgrows its budget, groups that are
large by themselves move their values to disk and keep only a list of places; everything else is written in buckets by the
hash, which are grouped one after the other.  A group that lives on disk is read as it is iterated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Generic, TypeVar

from headrace.errors import GroupExpired
from headrace.execute.chunks import CHUNK_RECORDS, COLUMNS, GROUPED, LISTS, NAN_KEYS, Frame, frame, sizeof, split_frames
from headrace.execute.combine import DEPTH_MAX, ENTRY_BYTES, column_frames, key_error
from headrace.execute.flow import Pace
from headrace.execute.kernels import BUCKETS, Table, append_pairs, append_pairs_at, bucket_of, deal, hashes, plain
from headrace.plan.hashing import one_nan
from headrace.ports import Scratch

V = TypeVar("V")
Place = tuple[int, int]  # of a frame in the scratch file: offset and length
LARGE_SHARE = 16  # a group this part of the budget or more is kept on disk by itself


class Group(Generic[V]):
    """The values of one key: sized, and iterable any number of times.

    A large one is read from disk as it is iterated, which works until the task that made it ends.

    >>> group = Group([1, 2, 3])
    >>> len(group), sum(group), sum(group)
    (3, 6, 6)
    """

    __slots__ = ("_length", "_places", "_scratch", "_tail")

    def __init__(
        self, tail: list[V], places: list[Place] | None = None, length: int = 0, scratch: Scratch | None = None
    ) -> None:
        self._tail, self._places, self._scratch = tail, places, scratch
        self._length = length + len(tail)

    @property
    def on_disk(self) -> bool:
        """Whether it is read from disk as it is iterated."""
        return self._places is not None

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[V]:
        if self._places is None:
            return iter(self._tail)
        return self._stored()

    def _stored(self) -> Iterator[V]:
        assert self._places is not None
        assert self._scratch is not None
        for offset, length in self._places:
            try:
                data = self._scratch.read(offset, length)
            except ValueError:
                raise GroupExpired(
                    "this group lives on disk, and the task that made it has ended. Use what it holds inside the "
                    "function that receives it, or keep list(group)."
                ) from None
            for part in split_frames([data]):
                yield from part.load()
        yield from self._tail

    def __repr__(self) -> str:
        some = ", ".join(repr(value) for value in islice(self, 4))
        return f"Group([{some}{', ...' if len(self) > 4 else ''}], {len(self)} values)"

    def __sizeof__(self) -> int:
        return 64 + sizeof(self._tail)

    def __reduce__(self) -> tuple[Any, ...]:
        return Group, (list(self),)  # elsewhere there is no disk of ours to read from


class GroupTable:
    """Gathers the values of equal keys, of one or several inputs, in the order in which they come."""

    def __init__(self, width: int, budget: int, scratch: Callable[[], Scratch], depth: int = 0) -> None:
        self._width, self._budget, self._scratch, self._depth = width, budget, scratch, depth
        self._table: Table = {}  # key -> list of values, or, with several inputs, list of such lists
        self._stored: dict[Any, _Stored] = {}  # of keys whose earlier values are on disk
        self._runs: list[list[Place]] = [[] for _ in range(BUCKETS)]
        self._bytes = 0  # estimated, of values in the table
        self._key_bytes = ENTRY_BYTES
        self._spilled = False

    def add(self, part: Frame, place: int = 0) -> None:
        """Append a frame of keys and values to the groups of the input at `place`."""
        keys, values = part.load()
        if part.flags & NAN_KEYS:
            keys = [one_nan(key) for key in keys]
        if part.flags & LISTS:
            self._add_lists(keys, values)
        elif part.flags & GROUPED:
            self.add_groups(keys, values, place)
        else:
            self._append(keys, values, place)

    def add_columns(self, keys: list[Any], values: list[Any], place: int = 0) -> None:
        """Append values to the groups of their keys, which have not been through a shuffle just now."""
        self._append(keys if plain(keys) else list(map(one_nan, keys)), values, place)

    def _append(self, keys: list[Any], values: list[Any], place: int) -> None:
        pairs = zip(keys, values, strict=True)
        try:
            if self._width == 1:
                append_pairs(self._table, pairs)
            else:
                append_pairs_at(self._table, pairs, place, self._width)
        except TypeError as error:
            if (ours := key_error(error)) is not None:
                raise ours from None
            raise
        self._grown(keys, sizeof(values))

    def _add_lists(self, keys: list[Any], values: list[list[list[Any]]]) -> None:
        for key, lists in zip(keys, values, strict=True):
            if key not in self._table:
                self._table[key] = lists if self._width > 1 else lists[0]
            elif self._width > 1:
                for mine, more in zip(self._table[key], lists, strict=True):
                    mine.extend(more)
            else:
                self._table[key].extend(lists[0])
        self._grown(keys, sizeof(values, 6))

    def add_groups(self, keys: list[Any], values: list[list[Any]], place: int = 0) -> None:
        """Append lists of values, which become the table's own, to the groups of their keys."""
        table = self._table
        for key, more in zip(keys, values, strict=True):
            if key not in table:
                table[key] = more if self._width == 1 else [more if i == place else [] for i in range(self._width)]
            elif self._width == 1:
                table[key] += more
            else:
                table[key][place] += more
        self._grown(keys, sizeof(values, 6))

    def _grown(self, keys: list[Any], more: int) -> None:
        self._bytes += more
        self._key_bytes = ENTRY_BYTES + sizeof(keys) // max(1, len(keys)) + 64 * self._width
        if self._bytes + len(self._table) * self._key_bytes > self._budget:
            self._spill()

    # Spilling.

    def _lists(self, key: Any) -> list[list[Any]]:
        entry = self._table[key]
        return entry if self._width > 1 else [entry]

    def _spill(self) -> None:
        """Store large groups one by one; then, if that did not help enough, the others in buckets."""
        small = 0
        for key in self._table:
            lists = self._lists(key)
            size = sum(map(sizeof, lists))
            if key in self._stored or size > self._budget // LARGE_SHARE:
                self._store(key, lists)
            else:
                small += size
        self._bytes = small
        if small + len(self._table) * self._key_bytes > self._budget // 2 and self._depth < DEPTH_MAX:
            self._spill_small()

    def _store(self, key: Any, lists: list[list[Any]]) -> None:
        stored = self._stored.get(key)
        if stored is None:
            stored = self._stored[key] = _Stored(self._width)
        stored.append(lists, self._scratch())

    def _spill_small(self) -> None:
        small = [key for key in self._table if key not in self._stored]
        for start in range(0, len(small), CHUNK_RECORDS):  # a part at a time: the copy must not double what is held
            keys = small[start : start + CHUNK_RECORDS]
            values = [self._lists(key) for key in keys]
            for key in keys:
                del self._table[key]
            places = [bucket_of(hashed, self._depth) for hashed in hashes(keys)]
            for run, (some_keys, some_values) in zip(self._runs, deal(keys, values, places, BUCKETS), strict=True):
                for piece in _list_frames(some_keys, some_values):
                    run.append(self._scratch().append(piece))
        self._bytes = 0
        self._spilled = True

    def drain(self) -> Iterator[tuple[Any, list[Group[Any]]]]:
        """Give every key with its groups, one per input, and forget them."""
        if not self._spilled:
            for key in list(self._table):
                yield key, self._groups(key)
                del self._table[key]
            return
        self._spill_small()
        large: list[list[Any]] = [[] for _ in range(BUCKETS)]
        for key, hashed in zip(self._stored, hashes(list(self._stored)), strict=True):
            large[bucket_of(hashed, self._depth)].append(key)
        for run, keys in zip(self._runs, large, strict=True):
            below = GroupTable(self._width, self._budget, self._scratch, self._depth + 1)
            for offset, length in run:
                for part in split_frames([self._scratch().read(offset, length)]):
                    below.add(part)
            for key in keys:  # what was stored came after what is in the buckets
                below.absorb(key, self._stored[key], self._lists(key))
                del self._table[key]
            yield from below.drain()

    def absorb(self, key: Any, stored: _Stored, tail: list[list[Any]]) -> None:
        """Take over a key whose earlier values, if there are any, are in this table already."""
        if key in self._table:
            self._store(key, self._lists(key))
            self._stored[key].extend(stored)
        else:
            self._stored[key] = stored
        self._table[key] = tail if self._width > 1 else tail[0]

    def _groups(self, key: Any) -> list[Group[Any]]:
        lists, stored = self._lists(key), self._stored.get(key)
        if stored is None:
            return [Group(tail) for tail in lists]
        scratch = self._scratch()
        return [
            Group(tail, places, length, scratch)
            for tail, places, length in zip(lists, stored.places, stored.lengths, strict=True)
        ]


class _Stored:
    """Where the values of one key are on disk, for each input."""

    __slots__ = ("lengths", "places")

    def __init__(self, width: int) -> None:
        self.places: list[list[Place]] = [[] for _ in range(width)]
        self.lengths = [0] * width

    def append(self, lists: list[list[Any]], scratch: Scratch) -> None:
        """Write lists of values, and empty them."""
        for index, values in enumerate(lists):
            for some in Pace().lists(iter(values)):
                self.places[index].append(scratch.append(frame(some, len(some))))
            self.lengths[index] += len(values)
            values.clear()

    def extend(self, later: _Stored) -> None:
        """Append what another has."""
        for index in range(len(self.places)):
            self.places[index] += later.places[index]
            self.lengths[index] += later.lengths[index]


def _list_frames(keys: list[Any], values: list[list[list[Any]]]) -> Iterator[bytes]:
    """Pickle keys and their lists of values, some thousands of values to a frame."""
    start = held = 0
    for index, lists in enumerate(values):
        held += 1 + sum(map(len, lists))
        if held >= CHUNK_RECORDS or index == len(keys) - 1:
            yield from column_frames(keys[start : index + 1], values[start : index + 1], COLUMNS | LISTS)
            start, held = index + 1, 0
