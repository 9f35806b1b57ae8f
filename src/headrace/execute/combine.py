"""Combining by key: tables that stay within a budget.

On the map side a table that grows too large is written out and begun anew; the reduce side will merge the pieces.  On the
reduce side it is written to disk in buckets by other bits of the hash, and the buckets are merged one after the other,
each small enough, or else cut again.

Where a table spills depends on sampled sizes of the data alone, never on what the process happens to occupy: a task that is
run again spills in the same places and adds floats in the same order.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from headrace.errors import KeyProblem, ProgramError
from headrace.execute.chunks import (
    CHUNK_BYTES,
    CHUNK_RECORDS,
    COLUMNS,
    GROUPED,
    NAN_KEYS,
    Frame,
    frame,
    plain_frame,
    sizeof,
    split_frames,
)
from headrace.execute.flow import Stream
from headrace.execute.kernels import (
    BUCKETS,
    Columns,
    Table,
    bucket_of,
    combine_pairs,
    count_records,
    deal,
    hashes,
    keep_records,
    native,
    plain,
    reduce_pairs,
)
from headrace.execute.recurring import columns
from headrace.plan.hashing import has_nan, one_nan, short, unhashable
from headrace.plan.operators import Aggregate
from headrace.ports import Scratch

ENTRY_BYTES = 100  # of a dictionary for one entry, beside key and value
DEPTH_MAX = 4
TINY = 16  # records: of fewer, it pays to see whether the pickler needs to look at classes at all
SPILL_RECORDS = 16 * CHUNK_RECORDS  # written at a time: some thousands for each of a spill's buckets


class Meter:
    """Estimates how large a table has grown.

    Entries times the mean size of sampled new ones, plus updates times the mean growth of sampled old ones; a sample is one
    record of every batch.
    """

    __slots__ = ("_fresh", "_fresh_bytes", "_growth", "_records_bytes", "_samples", "_stale", "updates")

    def __init__(self) -> None:
        self._fresh = self._fresh_bytes = self._stale = self._growth = self._samples = self._records_bytes = 0
        self.updates = 0

    def sample(self, table: Table, record: Any, key: Any, insert: Callable[[Iterable[Any]], None]) -> None:
        """Insert one record, and see what it costs."""
        before = sizeof(table[key]) if key in table else -1
        insert((record,))
        after = sizeof(table.get(key))
        if before < 0:
            self._fresh += 1
            self._fresh_bytes += ENTRY_BYTES + sizeof(key) + after
        else:
            self._stale += 1
            self._growth += after - before
        self._samples += 1
        self._records_bytes = max(sizeof(record), self._records_bytes * 3 // 4)  # recent large ones count

    def batch(self) -> int:
        """How many records to insert before the next sample."""
        return max(1, min(CHUNK_RECORDS, 16 * self._samples, CHUNK_BYTES // max(1, self._records_bytes)))

    def estimate(self, entries: int) -> int:
        """Return the size of a table with that many entries, in bytes."""
        fresh = self._fresh_bytes // self._fresh if self._fresh else ENTRY_BYTES
        growth = self._growth / self._stale if self._stale else 0.0
        return int(entries * fresh + max(0.0, growth * self.updates))


def inserter(aggregate: Aggregate, table: Table) -> Callable[[Iterable[Any]], None]:
    """Choose the loop that enters records into a table."""
    match aggregate.kind:
        case "count":
            return lambda records: count_records(table, records)
        case "distinct":
            return lambda records: keep_records(table, records)
        case "reduce":
            merge = _call(aggregate.merge_value)
            return lambda pairs: reduce_pairs(table, pairs, merge)
        case "combine":
            create, merge_value = _call(aggregate.create), _call(aggregate.merge_value)
            return lambda pairs: combine_pairs(table, pairs, create, merge_value)


def merger(aggregate: Aggregate) -> Callable[[Any, Any], Any]:
    """Return the function that merges two combiners of one key."""
    if aggregate.kind == "count":
        return int.__add__
    if aggregate.kind == "distinct":
        return _first
    return _call(aggregate.merge_combiners)


def _first(one: Any, _: Any) -> Any:
    return one


def _call(function: Any) -> Callable[..., Any]:
    call: Callable[..., Any] = function.call
    return call


def combine_stream(
    stream: Stream, aggregate: Aggregate, budget: int, flush: Callable[[Table], None], pause: Callable[[int], None]
) -> Table:
    """Combine records into one table, calling `flush` for one that outgrew the budget; return the last.

    The table is the same object throughout, emptied by each flush.
    """
    table: Table = {}
    insert = inserter(aggregate, table)
    keyed = aggregate.kind in ("reduce", "combine")
    meter = Meter()
    try:
        for record in stream:
            meter.sample(table, record, key_of(record) if keyed else record, insert)
            number = meter.batch()
            insert(islice(stream, number))
            meter.updates += number
            pause(number + 1)
            if meter.estimate(len(table)) > budget:
                flush(table)
                table.clear()
                meter = Meter()
    except (TypeError, ValueError) as error:
        if (ours := key_error(error) or pair_error(error)) is not None:
            raise ours from None
        raise
    return table


def key_of(record: Any) -> Any:
    """Return the key of a pair.

    Raises:
        ProgramError: the record is not a pair.

    """
    if isinstance(record, tuple | list) and len(record) == 2:
        return record[0]
    raise ProgramError(
        f"{short(record)} is not a pair (key, value), which this operator needs. Make pairs with map or key_by first."
    )


def pair_error(error: TypeError | ValueError) -> ProgramError | None:
    """Turn Python's complaint about a record that does not unpack into ours."""
    if "to unpack" not in str(error) and "cannot unpack" not in str(error):
        return None
    if _innermost_of_ours(error) is None:
        return None
    return ProgramError(
        f"a record is not a pair (key, value), which this operator needs: {error}. Make pairs with map or key_by first."
    )


def _innermost_of_ours(error: BaseException) -> types.FrameType | None:
    """Return the frame that raised, if it is a loop of ours rather than a function of the user's."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None or not trace.tb_frame.f_globals.get("__name__", "").startswith("headrace.execute"):
        return None
    return trace.tb_frame


def key_error(error: TypeError | ValueError) -> KeyProblem | None:
    """Turn Python's complaint about an unhashable key into ours, which names the key where the loop can tell."""
    if not str(error).startswith("unhashable type"):
        return None
    frame_ = _innermost_of_ours(error)
    if frame_ is None:
        return None
    missing = object()
    key = frame_.f_locals.get("key", missing)
    if key is missing:
        return KeyProblem(f"a record cannot be a key: {error}. Use tuples, or frozensets for sets.")
    return KeyProblem(unhashable(key))


class ReduceTable:
    """Merges combiners of equal keys, in the order in which they come, within a budget."""

    def __init__(self, aggregate: Aggregate, budget: int, scratch: Callable[[], Scratch], depth: int = 0) -> None:
        self._aggregate, self._budget, self._scratch, self._depth = aggregate, budget, scratch, depth
        self._merge = merger(aggregate)
        self._table: Table = {}
        self._meter = Meter()
        self._runs: list[list[tuple[int, int]]] = [[] for _ in range(BUCKETS)]
        self.spilled_bytes = 0

    def add(self, part: Frame) -> None:
        """Merge a frame of keys and combiners."""
        keys, values = columns(part)
        if part.flags & NAN_KEYS:
            keys = [one_nan(key) for key in keys]
        self._add(zip(keys, values, strict=True))

    def take(self, other: Table) -> None:
        """Merge another table's combiners."""
        if plain(other):
            self._add(iter(list(other.items())))
        else:
            self._add((one_nan(key), value) for key, value in list(other.items()))

    def _add(self, pairs: Iterator[tuple[Any, Any]]) -> None:
        table, meter = self._table, self._meter
        try:
            for pair in pairs:
                meter.sample(table, pair, pair[0], self._insert)
                number = meter.batch()
                self._insert(islice(pairs, number))
                meter.updates += number
                if meter.estimate(len(table)) > self._budget and self._depth < DEPTH_MAX:
                    self._spill()
                    meter = self._meter
        except TypeError as error:
            if (ours := key_error(error)) is not None:
                raise ours from None
            raise

    def _insert(self, pairs: Iterable[Any]) -> None:
        reduce_pairs(self._table, pairs, self._merge)

    def _spill(self) -> None:
        pairs = iter(self._table.items())
        while some := list(islice(pairs, SPILL_RECORDS)):  # a part at a time: the copy must not double what is held
            keys, values = columns_of(some)
            places = [bucket_of(hashed, self._depth) for hashed in hashes(keys)]
            for run, (some_keys, some_values) in zip(self._runs, deal(keys, values, places, BUCKETS), strict=True):
                for piece in column_frames(some_keys, some_values):
                    run.append(self._scratch().append(piece))
                    self.spilled_bytes += len(piece)
        self._table.clear()
        self._meter = Meter()

    def drain(self) -> Iterator[list[tuple[Any, Any]]]:
        """Give the merged pairs, and forget them."""
        if not self.spilled_bytes:
            pairs = iter(self._table.items())
            while chunk := list(islice(pairs, CHUNK_RECORDS)):
                yield chunk
            self._table.clear()
            return
        self._spill()
        for run in self._runs:
            below = ReduceTable(self._aggregate, self._budget, self._scratch, self._depth + 1)
            for offset, length in run:
                for part in split_frames([self._scratch().read(offset, length)]):
                    below.add(part)
            yield from below.drain()


def column_frames(keys: list[Any], values: list[Any], flags: int = COLUMNS) -> Iterator[bytes]:
    """Pickle columns into frames of bounded length and, as far as single records allow, bounded size."""
    bare = plain(keys)
    if not bare and any(map(has_nan, keys)):
        flags |= NAN_KEYS
    number = records_of_frame(len(keys), sizeof(keys), values) if len(keys) > 1 else 1
    make = plain_frame if bare and len(keys) <= TINY and native(values) else frame
    for at in range(0, len(keys), number):
        some = (keys[at : at + number], values[at : at + number])
        yield make(some, len(some[0]), flags)


def records_of_frame(number: int, keys_bytes: int, values: Sequence[Any]) -> int:
    """Return how many of so many keys and values one frame may have."""
    each = (keys_bytes + sizeof(values, 6)) // max(1, number)
    return max(1, min(CHUNK_RECORDS, CHUNK_BYTES // max(1, each)))


def group_frames(keys: Iterable[Any], lists: Iterable[list[Any]]) -> Iterator[bytes]:
    """Pickle keys and their lists of values, some thousands of values to a frame; a longer list goes in pieces."""
    some_keys: list[Any] = []
    some_lists: list[list[Any]] = []
    held = 0
    for key, values in zip(keys, lists, strict=True):
        for at in range(0, len(values), CHUNK_RECORDS):
            piece = values[at : at + CHUNK_RECORDS]
            some_keys.append(key)
            some_lists.append(piece)
            held += len(piece)
            if held >= CHUNK_RECORDS:
                yield from column_frames(some_keys, some_lists, COLUMNS | GROUPED)
                some_keys, some_lists, held = [], [], 0
    if some_keys:
        yield from column_frames(some_keys, some_lists, COLUMNS | GROUPED)


def columns_of(pairs: list[Any]) -> Columns:
    """Turn a list of pairs into keys and values.

    Raises:
        ProgramError: a record is not a pair.

    """
    try:
        return [key for key, _ in pairs], [value for _, value in pairs]
    except (TypeError, ValueError):
        for record in pairs:
            key_of(record)  # raises for the one that is not a pair
        raise
