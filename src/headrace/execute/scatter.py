"""The map side of a shuffle: deal records to reduce partitions and write them, within a budget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from headrace.execute.chunks import CHUNK_BYTES, CHUNK_RECORDS, sizeof, twofold
from headrace.execute.combine import (
    column_frames,
    columns_of,
    combine_stream,
    group_frames,
    key_error,
    records_of_frame,
)
from headrace.execute.flow import Batch, Flow, StoppedEarly, Stream
from headrace.execute.kernels import FEW, Columns, Paired, Table, append_pairs, scatter
from headrace.execute.recurring import deal_again
from headrace.execute.spreading import Spread
from headrace.plan.operators import Aggregate
from headrace.plan.partitioners import Partitioner, SplitPartitioner
from headrace.plan.stages import ShuffleSink
from headrace.ports import Bytes, MapOutput, TaskPort

SLOT_BYTES = 16  # of the two lists that hold a pair
GATHERED = 16  # batches whose values travel together, at most
GATHERED_BYTES = 4 * CHUNK_BYTES  # and no more than so many bytes, as far as single batches are smaller


class Scatter:
    """Parts on their way to reduce partitions: columns, then frames in memory, then frames on disk."""

    def __init__(self, partitioner: Partitioner, budget: int, port: TaskPort, first: int = 0) -> None:
        self._partitioner, self._budget, self._port = partitioner, budget, port
        self._spread = Spread(partitioner, first) if isinstance(partitioner, SplitPartitioner) else None
        number = partitioner.partitions
        self._columns: list[Columns] = [([], []) for _ in range(number)]
        self._frames: list[list[bytes]] = [[] for _ in range(number)]
        self._disk: list[list[tuple[int, int]]] = [[] for _ in range(number)]
        self._records = [0] * number
        self._column_bytes = [0] * number
        self._bytes = 0  # of columns and frames in memory

    def add(self, keys: list[Any], values: list[Any], *, distinct: bool = False) -> None:
        """Deal a batch of pairs, no two of which have equal keys if that is said."""
        try:
            if self._spread is not None:
                dealt = self._spread.scatter(keys, values)
            else:
                dealt = scatter(keys, values, self._partitioner, distinct=distinct)
        except TypeError as error:
            if (ours := key_error(error)) is not None:
                raise ours from None
            raise
        each = (sizeof(keys) + sizeof(values)) // max(1, len(keys)) + SLOT_BYTES
        self._bytes += each * len(keys)
        ripe = max(1, min(CHUNK_RECORDS, CHUNK_BYTES // each))
        for place, (some_keys, some_values) in enumerate(dealt):
            if some_keys:
                held = self._columns[place]
                held[0].extend(some_keys)
                held[1].extend(some_values)
                self._records[place] += len(some_keys)
                self._column_bytes[place] += each * len(some_keys)
                if len(held[0]) >= ripe:
                    self._freeze(place)
        if self._bytes > self._budget:
            self.spill()

    def add_again(self, keys: list[Any], values: list[Any]) -> bool:
        """Deal distinct keys that have been dealt before; False if these have not.  Call it for all or for nothing."""
        if any(self._records) or (known := deal_again(keys, self._partitioner)) is None:
            return False
        taken = [(place, part, part.take(values)) for place, part in known.parts.items()]
        if any(
            records_of_frame(part.number, part.size, some) < min(part.number, CHUNK_RECORDS) for _, part, some in taken
        ):
            return False  # smaller frames: readers spill in the same places whether or not a task knew its keys
        for place, part, some in taken:
            self._records[place] += part.number
            for at, pickled in zip(range(0, part.number, CHUNK_RECORDS), part.pickled, strict=True):
                piece = twofold(pickled, some[at : at + CHUNK_RECORDS])
                self._frames[place].append(piece)
                self._bytes += len(piece)
        if self._bytes > self._budget:
            self.spill()
        return True

    def add_groups(self, table: Table) -> None:
        """Deal keys, each with a list of values; pairs that were added before must have been written by now."""
        for place, (keys, lists) in enumerate(scatter(list(table), table.values(), self._partitioner, distinct=True)):
            if keys:
                self._records[place] += sum(map(len, lists))
                for piece in group_frames(keys, lists):
                    self._frames[place].append(piece)
                    self._bytes += len(piece)
        if self._bytes > self._budget:
            self.spill()

    def _freeze(self, place: int) -> None:
        """Pickle what a partition's columns hold."""
        keys, values = self._columns[place]
        self._bytes -= self._column_bytes[place]
        self._column_bytes[place] = 0
        for piece in column_frames(keys, values):
            self._frames[place].append(piece)
            self._bytes += len(piece)
        keys.clear()
        values.clear()

    def spill(self) -> None:
        """Write everything held to disk."""
        scratch = self._port.scratch()
        for place, (keys, values) in enumerate(self._columns):
            disk, frames = self._disk[place], self._frames[place]
            disk += [scratch.append(piece) for piece in frames]
            frames.clear()
            for piece in column_frames(keys, values):
                disk.append(scratch.append(piece))
            keys.clear()
            values.clear()
            self._column_bytes[place] = 0
        self._bytes = 0

    def write(self, output: MapOutput) -> None:
        """Write all parts, one after the other."""
        for place in range(len(self._columns)):
            output.part(self._pieces(place), self._records[place])
            self._frames[place].clear()

    def _pieces(self, place: int) -> Iterator[Bytes]:
        for offset, length in self._disk[place]:
            yield self._port.scratch().read(offset, length)
        yield from self._frames[place]
        keys, values = self._columns[place]
        if keys:
            yield from column_frames(keys, values)
            keys.clear()
            values.clear()


def write_shuffle(flow: Flow, sink: ShuffleSink, budget: int, port: TaskPort, partition: int = 0) -> int:
    """Send a partition through its shuffle; return how many records left this task."""
    scatter_ = Scatter(sink.partitioner, budget, port, partition)
    if sink.combine is not None:
        _combined(flow.records(), sink.combine, scatter_, budget, port.pause)
    else:
        batches = flow.batches()
        if sink.grouped:
            batches = _grouped(batches, scatter_, budget, port.pause)
        for batch in batches:
            scatter_.add(*_keyed(batch, sink))
            port.pause(len(batch))
    port.enter("write")
    scatter_.write(port.map_output(sink.partitioner.partitions))
    return sum(scatter_._records)


def _keyed(batch: Batch, sink: ShuffleSink) -> Columns:
    if sink.keyed_by is None:
        return batch.columns if isinstance(batch, Paired) else columns_of(batch)
    batch = batch if isinstance(batch, list) else list(batch)
    keys = list(map(sink.keyed_by.call, batch))
    if len(keys) < len(batch):
        raise StoppedEarly
    return keys, batch


def _size(batch: Batch) -> int:
    return sum(map(sizeof, batch.columns)) if isinstance(batch, Paired) else sizeof(batch)


def _grouped(batches: Iterator[Batch], scatter_: Scatter, budget: int, pause: Callable[[int], None]) -> Iterator[Batch]:
    """Send values of one key together while there are several; give back the batches from where that does not pay."""
    most = min(GATHERED_BYTES, budget // 4)
    for first in batches:
        table: Table = {}
        taken = [first]
        size = _size(first)
        while len(taken) < GATHERED and size < most and (more := next(batches, None)) is not None:
            taken.append(more)
            size += _size(more)
        try:
            for batch in taken:
                append_pairs(table, batch)
        except (TypeError, ValueError):
            table.clear()  # whoever deals them one by one says what is wrong
        if not table or len(table) * FEW > sum(map(len, taken)):
            yield from taken
            yield from batches
            return
        scatter_.add_groups(table)
        pause(sum(map(len, taken)))


def _combined(
    stream: Stream, aggregate: Aggregate, scatter_: Scatter, budget: int, pause: Callable[[int], None]
) -> None:
    def flush(table: Table) -> None:
        scatter_.add(list(table), list(table.values()), distinct=True)
        scatter_.spill()

    table = combine_stream(stream, aggregate, budget, flush, pause)
    keys, values = list(table), list(table.values())
    if not scatter_.add_again(keys, values):
        scatter_.add(keys, values, distinct=True)
