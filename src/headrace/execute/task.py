"""The body of a task: one partition through a stage's fused operators, into its sink.

Everything the body touches outside itself is in its `TaskPort`, so the same code runs in a worker process, inline and under
simulation.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from itertools import islice, product, zip_longest
from typing import Any

from msgspec import Struct

from headrace.errors import InternalError, KeptLost, ProgramError
from headrace.execute.chunks import CHUNK_RECORDS, NAN_KEYS, Corrupt, Frame, dumps, frame, split_frames
from headrace.execute.combine import ReduceTable, columns_of, combine_stream
from headrace.execute.current import NO_PROPERTIES, Current, running
from headrace.execute.flow import FIRST, Batch, Flow, Pace, step_of
from headrace.execute.formats.reading import read_files
from headrace.execute.formats.writing import writer_of
from headrace.execute.groups import GroupTable
from headrace.execute.joining import join
from headrace.execute.kernels import Columns, Paired, plain
from headrace.execute.replay import Replay
from headrace.execute.scatter import write_shuffle
from headrace.execute.sorting import SortTable
from headrace.execute.together import find_together
from headrace.ids import AttemptId, StageId, TaskId
from headrace.plan.hashing import one_nan
from headrace.plan.operators import (
    CoGroup,
    Cross,
    Gather,
    Join,
    Kept,
    Merge,
    PerPartition,
    PerRecord,
    ReadFiles,
    ReadRange,
    ReadSlices,
    SortWithin,
    Union,
    Zip,
)
from headrace.plan.stages import (
    FileSink,
    Node,
    Program,
    RecordsSink,
    ShuffleSink,
    ValueSink,
    growing_structures,
    made_together,
)
from headrace.ports import BlockLost, Bytes, TaskPort

UPDATES_BYTES_MAX = 4 << 20  # of one task: they travel in its report
SHARED_BYTES_MIN = 1 << 20  # a budget below this would spill every few records
KEPT_DEEP = 50  # kept operators, each made of the next, that are computed within one another


Place = tuple[int, int]  # an operator, and one of its partitions


class Finished(Struct, frozen=True):
    """What a body that ended well leaves behind, beside its output.

    Attributes:
        records: that went into the sink.
        updates: pickled contributions to accumulators, empty if there are none.

    """

    records: int
    updates: bytes


class TaskBody:
    """One attempt at one task.

    Args:
        number: which try of the task it is, from 0 on.
        properties: local properties of the job.
        folder: where what was shipped lies.

    """

    def __init__(
        self,
        program: Program,
        task: TaskId,
        attempt: AttemptId,
        port: TaskPort,
        number: int = 0,
        properties: Mapping[str, str] = NO_PROPERTIES,
        folder: str = "",
    ) -> None:
        self._program, self._task, self._attempt, self._port = program, task, attempt, port
        self._current = Current(port, task, attempt, number, program.nodes[-1].partitions, properties, folder)
        self._budget = max(SHARED_BYTES_MIN, port.task_bytes // growing_structures(program))
        self._behind = made_together(program)
        sink = program.sink  # who wants one record has one computed, not some
        self._first = max(1, min(sink.limit, FIRST)) if isinstance(sink, RecordsSink) and sink.limit else FIRST
        self.flows: list[Flow] = []  # sources first: where an exception is looked for
        self._rested: dict[Place, Replay] = {}  # what many kept operators stand on
        self.lost: BlockLost | None = None  # what was missing, whatever a function has made of that
        self._looked_up: dict[Place, Iterator[list[Any]] | None] = {}  # kept partitions that were asked for already

    def run(self) -> Finished:
        """Run to the end.

        Raises:
            BlockLost: input is gone.  TaskCancelled: somebody asked.  Anything else: from the user's functions.

        """
        task = self._current
        with running(task):
            self._port.enter("compute")
            try:
                self._lay_foundations()
                records = self._sink(self._flow(len(self._program.nodes) - 1, self._task.partition))
            finally:
                self._close()
        if self.lost is not None:  # a function has caught it, and taken the records before it for all
            raise self.lost
        updates = dumps(task.updates) if task.updates else b""
        if len(updates) > UPDATES_BYTES_MAX:
            raise ProgramError(
                f"a task added {len(updates):,} bytes to accumulators; {UPDATES_BYTES_MAX:,} is the most. Return what is "
                "large as records, and collect or reduce those."
            )
        return Finished(records, updates)

    def _close(self) -> None:
        """End what was not taken to its end, now: a file may be open in it, or another program running."""
        for flow in reversed(self.flows):
            if isinstance(flow.chunks, Generator):
                with contextlib.suppress(Exception):  # of user code, while nobody wants its records any more
                    flow.chunks.close()

    # From sources to the tip.

    def _flow(self, place: int, partition: int) -> Flow:
        """Build the flow of a partition of an operator: walk down its chain, then stack the operators on the way up."""
        chain: list[tuple[Node, int]] = []  # with the number that the partition has there: unions shift it
        node = self._program.nodes[place]
        while True:
            if node.cached:
                break
            if node.offsets:
                which = max(i for i, offset in enumerate(node.offsets) if offset <= partition)
                partition -= node.offsets[which]
                node = self._program.nodes[_narrow(node, which)]
            elif isinstance(node.body, PerRecord | PerPartition):
                chain.append((node, partition))
                node = self._program.nodes[_narrow(node, 0)]
            else:
                break
        flow = self._kept(node, partition) if node.cached else self._new(self._source(node, partition), node)
        if isinstance(node.body, ReadSlices) and not node.cached:
            flow.paired = self._paired_slice(node.body, partition)
        for above, number in reversed(chain):
            flow = self._stack(flow, above, number)
        return flow

    def _new(self, chunks: Iterator[list[Any]], origin: Node) -> Flow:
        flow = Flow(chunks, origin)
        self.flows.append(flow)
        return flow

    def _stack(self, flow: Flow, node: Node, partition: int) -> Flow:
        if isinstance(node.body, PerRecord):
            return flow.then(step_of(node), node)
        assert isinstance(node.body, PerPartition)
        return self._new(self._per_partition(node.body, flow, partition), node)

    def _per_partition(self, body: PerPartition, flow: Flow, partition: int) -> Iterator[list[Any]]:
        call, records = body.function.call, flow.records()
        result = iter(call(partition, records) if body.indexed else call(records))
        try:
            for batch in Pace(first=self._first).lists(result):
                yield batch
                self._port.pause()
        finally:
            if isinstance(result, Generator):
                result.close()

    def _source(self, node: Node, partition: int) -> Iterator[list[Any]]:
        body = node.body
        match body:
            case ReadFiles():
                return self._files(body, partition)
            case ReadSlices():
                return self._slice(body, partition)
            case ReadRange():
                return self._range(body, partition, node.partitions)
            case Kept():
                raise KeptLost(
                    f"partition {partition} of {node.name} ({node.site}) is lost: workers kept it, and local_checkpoint() "
                    "has cut off what it was made of. Run the program again, or use checkpoint(), whose files stay."
                )
            case Merge() if node.reads[0] is None:
                return self._merge_here(body, _narrow(node, 0), partition)
            case Merge():
                return self._merge(body, _wide(node, 0), partition)
            case CoGroup():
                return self._cogroup(node, partition)
            case Join():
                return self._join(node, partition)
            case Union():
                return self._zipped(node, partition)
            case Gather():
                return self._gather(node, partition)
            case Zip():
                return self._zip(node, partition)
            case Cross():
                return self._cross(node, partition)
            case SortWithin():
                return self._sort_within(body, _narrow(node, 0), partition)
        raise InternalError(f"{body} is not a source")

    def _files(self, body: ReadFiles, partition: int) -> Iterator[list[Any]]:
        for records, share in read_files(self._port.files, body.splits[partition], body.format):
            yield records
            self._port.pause(len(records), share)

    def _slice(self, body: ReadSlices, partition: int) -> Iterator[list[Any]]:
        for part in self._slice_frames(body, partition):
            records = part.load()
            yield records if isinstance(records, list) else list(records)  # the rows of an array

    def _paired_slice(self, body: ReadSlices, partition: int) -> Iterator[Batch]:
        for part in self._slice_frames(body, partition):
            columns = part.columns()
            records = Paired(columns) if columns is not None else part.load()
            yield records if isinstance(records, list | Paired) else list(records)

    def _slice_frames(self, body: ReadSlices, partition: int) -> Iterator[Frame]:
        inline = body.inline[partition]
        for part in split_frames([inline] if inline is not None else self._port.provided(body.names[partition])):
            yield part
            self._port.pause(part.records)

    def _range(self, body: ReadRange, partition: int, partitions: int) -> Iterator[list[Any]]:
        length = len(body.values)
        first, stop = (length * i // partitions for i in (partition, partition + 1))
        for start in range(first, stop, CHUNK_RECORDS):
            end = min(start + CHUNK_RECORDS, stop)
            yield list(body.values[start:end])
            self._port.pause(end - start, (start - first) / (stop - first))

    # Through shuffles.

    def _frames(self, stage: StageId, partition: int) -> Iterator[Frame]:
        """Read what arrives for a partition, in the order of the map partitions."""
        try:
            yield from self._arriving(stage, partition)
        except BlockLost as error:
            self.lost = error
            raise

    def _arriving(self, stage: StageId, partition: int) -> Iterator[Frame]:
        self._port.enter("fetch")
        for source, pieces in self._port.parts(stage, partition):
            try:
                for part in split_frames(pieces):
                    self._port.enter("compute")
                    yield part
                    self._port.pause(part.records)
                    self._port.enter("fetch")
            except Corrupt as error:
                raise BlockLost(stage, [(source.partition, source.attempt)], str(error)) from error
        self._port.enter("compute")

    def _merge(self, body: Merge, stage: StageId, partition: int) -> Iterator[list[Any]]:
        frames = self._frames(stage, partition)
        if body.how == "as is":
            for part in frames:
                yield list(zip(*part.load(), strict=True))
        elif body.how == "group":
            table = GroupTable(1, self._budget, self._port.scratch)
            for part in frames:
                table.add(part)
            yield from self._grouped(table, single=True)
        elif body.how == "sort":
            sort = SortTable(body.descending, self._budget, self._port.scratch)
            for part in frames:
                sort.add(part)
            yield from sort.drain()
        else:
            assert body.aggregate is not None
            combined = ReduceTable(body.aggregate, self._budget, self._port.scratch)
            for part in frames:
                combined.add(part)
            yield from combined.drain()

    def _merge_here(self, body: Merge, place: int, partition: int) -> Iterator[list[Any]]:
        """Merge a partition that has all records of its keys already: nothing needs to move."""
        flow = self._flow(place, partition)
        if body.how == "group":
            table = GroupTable(1, self._budget, self._port.scratch)
            for batch in flow.lists():
                table.add_columns(*columns_of(batch))
                self._port.pause(len(batch))
            yield from self._grouped(table, single=True)
            return
        assert body.aggregate is not None
        combined = ReduceTable(body.aggregate, self._budget, self._port.scratch)
        rest = combine_stream(flow.records(), body.aggregate, self._budget, combined.take, self._port.pause)
        combined.take(rest)
        yield from combined.drain()

    def _sort_within(self, body: SortWithin, place: int, partition: int) -> Iterator[list[Any]]:
        sort = SortTable(body.descending, self._budget, self._port.scratch)
        for batch in self._flow(place, partition).lists():
            sort.add_columns(list(map(body.function.call, batch)), batch)
            self._port.pause(len(batch))
        yield from sort.drain()

    # From several partitions, or several inputs.

    def _gather(self, node: Node, partition: int) -> Iterator[list[Any]]:
        for number in _parts(node, 0, partition):
            yield from self._flow(_narrow(node, 0), number).lists()
            self.flows = [flow for flow in self.flows if not flow.over]  # there may be thousands of partitions

    def _zip(self, node: Node, partition: int) -> Iterator[list[Any]]:
        left, right = (self._flow(_narrow(node, which), partition).records() for which in (0, 1))
        missing = object()
        for batch in Pace().lists(zip_longest(left, right, fillvalue=missing)):
            if any(record is missing for record in batch[-1]):  # then all behind it lack the same side
                raise ProgramError(
                    f"zip needs as many records in each partition on both sides, and partition {partition} has fewer on "
                    "one. Number the records of both with zip_with_index, and join them by that."
                )
            yield batch
            self._port.pause(len(batch))

    def _cross(self, node: Node, partition: int) -> Iterator[list[Any]]:
        """Pair each record on the left with all on the right, which are kept: in memory, or on disk if they are many."""
        (row,), (column,) = (_parts(node, which, partition) for which in (0, 1))
        kept = Replay(self._budget, self._port.scratch)
        for batch in self._flow(_narrow(node, 1), column).lists():
            kept.add(batch)
            self._port.pause(len(batch))
        for batch in self._flow(_narrow(node, 0), row).lists():
            for others in kept.lists():
                for pairs in Pace().lists(product(batch, others)):
                    yield pairs
                    self._port.pause(len(pairs))

    def _zipped(self, node: Node, partition: int) -> Iterator[list[Any]]:
        for place in node.inputs:
            assert place is not None
            yield from self._flow(place, partition).lists()

    def _grouped(self, table: GroupTable, *, single: bool) -> Iterator[list[Any]]:
        groups = table.drain()
        while chunk := list(islice(groups, 256)):
            yield [(key, parts[0]) for key, parts in chunk] if single else [(key, tuple(parts)) for key, parts in chunk]
            self._port.pause(len(chunk))

    def _cogroup(self, node: Node, partition: int) -> Iterator[list[Any]]:
        table = GroupTable(len(node.inputs), self._budget, self._port.scratch)
        for place, (narrow, wide) in enumerate(zip(node.inputs, node.reads, strict=True)):
            if wide is not None:
                for part in self._frames(wide, partition):
                    table.add(part, place)
            else:
                assert narrow is not None
                for batch in self._flow(narrow, partition).lists():
                    table.add_columns(*columns_of(batch), place)
                    self._port.pause(len(batch))
        yield from self._grouped(table, single=False)

    def _join(self, node: Node, partition: int) -> Iterator[list[Any]]:
        left, right = (self._columns(node, which, partition) for which in (0, 1))
        for pairs in join(left, right, self._budget, self._port.scratch):
            yield pairs
            self._port.pause(len(pairs))

    def _columns(self, node: Node, which: int, partition: int) -> Iterator[Columns]:
        """Read the pairs of an input, from a shuffle or from where they are; a NaN is the one that is found again."""
        if node.reads[which] is not None:
            for part in self._frames(_wide(node, which), partition):
                keys, values = part.load()
                yield (list(map(one_nan, keys)) if part.flags & NAN_KEYS else keys), values
            return
        for batch in self._flow(_narrow(node, which), partition).lists():
            keys, values = columns_of(batch)
            yield (keys if plain(keys) else list(map(one_nan, keys))), values
            self._port.pause(len(batch))

    # Through caches.

    def _kept(self, node: Node, partition: int) -> Flow:
        if node.operator in self._behind:
            together = find_together(self._port, node, partition, self._attempt)
            if together.records is None:
                return self._new(self._keep(node, partition, together.mark), node)
            return self._new((part.load() for part in together.records), node)
        place = (node.operator, partition)
        held = self._looked_up.pop(place) if place in self._looked_up else self._held(node, partition)
        return self._new(held if held is not None else self._keep(node, partition), node)

    def _held(self, node: Node, partition: int) -> Iterator[list[Any]] | None:
        """Give the records of a kept partition, if somebody has them."""
        if (rested := self._rested.get((node.operator, partition))) is not None:
            return rested.lists()
        held = self._port.objects(node.operator, partition)
        if held is not None:
            return (records.copy() for records in held)
        found = self._port.cached(node.operator, partition)
        return self._revived(node, partition, found) if found is not None else None

    def _lay_foundations(self) -> None:
        """Where many kept operators stand on each other and nobody has them, compute some of them before the others.

        A loop that keeps what each of hundreds of rounds makes is such a program once workers are lost, and Python limits
        how deep generators nest.
        """
        nodes = self._program.nodes
        if sum(node.cached for node in nodes) <= KEPT_DEEP:
            return
        depths: dict[tuple[int, int], int] = {}  # by place and partition: kept operators within one another
        waiting: list[tuple[tuple[int, int], list[tuple[int, int]] | None]] = []
        waiting.append(((len(nodes) - 1, self._task.partition), None))
        while waiting:
            (place, partition), below = waiting.pop()
            node = nodes[place]
            if (place, partition) in depths:
                continue
            if below is None:
                below = [] if self._is_there(node, partition) else _below(node, partition)
                waiting.append(((place, partition), below))
                waiting.extend((one, None) for one in below)
                continue
            depth = max((depths[one] for one in below), default=-1) + (node.cached or not below)
            if depth >= KEPT_DEEP:
                self._rest(place, partition)
                depth = 0
            depths[place, partition] = depth

    def _is_there(self, node: Node, partition: int) -> bool:
        """Whether a partition is kept somewhere, or is for tasks that meet to compute; what was found is not lost."""
        if not node.cached or node.operator in self._behind:
            return node.cached
        held = self._looked_up[node.operator, partition] = self._held(node, partition)
        return held is not None

    def _rest(self, place: int, partition: int) -> None:
        """Compute a kept partition, for what stands on it; on disk, because there may be no room where it is kept."""
        rest = Replay(0, self._port.scratch)
        for batch in self._flow(place, partition).lists():
            rest.add(batch)
        self._rested[self._program.nodes[place].operator, partition] = rest
        self.flows = [flow for flow in self.flows if not flow.over]

    def _revived(self, node: Node, partition: int, frames: Iterable[Bytes]) -> Iterator[list[Any]]:
        """Unpickle a kept partition, for good if nobody can change its records."""
        objects = self._port.revive(node.operator, partition)
        for part in split_frames(frames):
            records = part.load()
            if objects is not None and not objects.add(records):
                objects = None
            yield records if objects is None else records.copy()
        if objects is not None:
            objects.done()

    def _keep(self, node: Node, partition: int, mark: bytes = b"") -> Iterator[list[Any]]:
        """Pass a partition on and keep a copy, pickled: nobody can change what others will read."""
        if isinstance(node.body, PerRecord | PerPartition):
            inner = self._stack(self._flow(_narrow(node, 0), partition), node, partition)
        elif node.offsets:
            which = max(i for i, offset in enumerate(node.offsets) if offset <= partition)
            inner = self._flow(_narrow(node, which), partition - node.offsets[which])
        else:
            inner = self._new(self._source(node, partition), node)
        entry = self._port.keep(node.operator, partition, node.level)
        if entry is not None and mark and not entry.add(mark):
            entry = None
        for batch in inner.lists():
            if entry is not None and not entry.add(frame(batch, len(batch))):
                entry = None
            yield batch
        if entry is not None:
            entry.done()

    # Into the sink.

    def _sink(self, flow: Flow) -> int:
        sink, port = self._program.sink, self._port
        match sink:
            case ShuffleSink():
                return write_shuffle(flow, sink, self._budget, port, self._task.partition)
            case ValueSink():
                value = sink.function.call(flow.records())
                port.enter("write")
                port.result().write(frame([value], 1))
                return 1
            case RecordsSink():
                return self._records(flow, sink.limit)
            case FileSink():
                return self._file(flow, sink)

    def _records(self, flow: Flow, limit: int | None) -> int:
        writer = self._port.result()
        number = 0
        if limit is not None:
            records = flow.records()
            for batch in Pace(min(limit, CHUNK_RECORDS)).lists(islice(records, limit)) if limit else ():
                writer.write(frame(batch, len(batch)))
                number += len(batch)
                self._port.pause(len(batch))
            return number
        for batch in flow.lists():
            writer.write(frame(batch, len(batch)))
            number += len(batch)
            self._port.pause(len(batch))
        return number

    def _file(self, flow: Flow, sink: FileSink) -> int:
        writer = writer_of(sink.format, sink.codec)
        file = self._port.part_file(sink.directory, writer.suffix)
        number = 0
        try:
            file.write(writer.begin())
            for batch in flow.lists():
                if batch:
                    file.write(writer.encode(batch))
                number += len(batch)
                self._port.pause(len(batch))
            self._port.enter("write")
            file.write(writer.finish())
            file.sync()
            file.close()
        except BaseException:
            file.abandon()
            raise
        return number


def _narrow(node: Node, which: int) -> int:
    place = node.inputs[which]
    if place is None:
        raise InternalError(f"{node.name} was expected to read its input without a shuffle")
    return place


def _below(node: Node, partition: int) -> list[tuple[int, int]]:
    """List what a partition is made of without a shuffle, where that is not some other partitions."""
    if node.offsets:
        which = max(i for i, offset in enumerate(node.offsets) if offset <= partition)
        return [(_narrow(node, which), partition - node.offsets[which])]
    if any(node.parts):
        return []
    return [(place, partition) for place in node.inputs if place is not None]


def _parts(node: Node, which: int, partition: int) -> range:
    parts = node.parts[which]
    return parts.of(partition) if parts is not None else range(partition, partition + 1)


def _wide(node: Node, which: int) -> StageId:
    stage = node.reads[which]
    if stage is None:
        raise InternalError(f"{node.name} was expected to read a shuffle")
    return stage
