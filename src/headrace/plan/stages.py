"""From a lineage graph to stages: cut at the wide edges, fuse what lies between, say what each partition reads.

A stage is a `Program`, the same for all of its partitions: operators in order, leaves first, and a sink.  The program
goes to workers as one blob, in which functions are digests; a task is then two numbers, stage and partition.

Source: Zaharia et al., "Resilient Distributed Datasets" (2012), section 5.1: stages are made of pipelined narrow
dependencies and end at wide ones.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Container, Generator, Iterable, Mapping, Set
from itertools import pairwise
from typing import Any

from msgspec import Struct, field

from headrace.ids import Digest, OperatorId, StageId
from headrace.plan.barriers import behind_barriers, check_shape
from headrace.plan.formats import Format
from headrace.plan.functions import PROTOCOL, Site, UserFunction
from headrace.plan.levels import StorageLevel
from headrace.plan.operators import (
    Aggregate,
    Body,
    CoGroup,
    Cross,
    Forward,
    Join,
    Merge,
    Operator,
    Parts,
    PerPartition,
    Shuffle,
    SortWithin,
    Union,
)
from headrace.plan.partitioners import Partitioner

# What a worker is given.


class Node(Struct, frozen=True):
    """An operator as a worker sees it.

    Attributes:
        inputs: positions of the inputs in the program, for narrow edges.
        reads: the map stages whose output it merges, for wide edges; aligned with `inputs`, one of the two is None.
        parts: for each input, which of its partitions are read, where that is not the one of the same number.
        offsets: for a union, where each input's partitions begin in the result.
        cached: keep what it makes, and look there first.
        level: where it is kept.

    """

    operator: OperatorId
    name: str
    site: Site
    body: Body
    inputs: tuple[int | None, ...]
    reads: tuple[StageId | None, ...]
    parts: tuple[Parts | None, ...]
    offsets: tuple[int, ...]
    partitions: int
    cached: bool
    level: StorageLevel = StorageLevel.MEMORY_ONLY


class ShuffleSink(Struct, frozen=True):
    """Write one part per reduce partition."""

    partitioner: Partitioner
    combine: Aggregate | None
    keyed_by: UserFunction | None
    grouped: bool
    name: str
    site: Site


class ValueSink(Struct, frozen=True):
    """Hand the iterator over the partition to a function and bring back the one value that it returns."""

    function: UserFunction


class RecordsSink(Struct, frozen=True):
    """Bring back the records themselves; with a `limit`, no more than that many."""

    limit: int | None = None


class FileSink(Struct, frozen=True):
    """Write the records to one part file, aside, to be renamed when the job commits.

    Attributes:
        codec: how it is compressed, by name.

    """

    directory: str
    format: Format
    codec: str | None = None


ResultSink = ValueSink | RecordsSink | FileSink
Sink = ShuffleSink | ResultSink


class Program(Struct, frozen=True):
    """What every task of a stage runs."""

    nodes: tuple[Node, ...]
    sink: Sink


# What the scheduler is given: no functions, no data, only who needs what.


class Reads(Struct, frozen=True):
    """What a partition needs before it can run, as a tree.

    Attributes:
        cut: an operator whose cached partition, when some worker holds it, makes everything below needless.
        first: where this operator's partitions begin among those of the stage.
        stages: map stages that must be complete.
        below: the same for what this operator is computed from.

    """

    cut: OperatorId | None = None
    first: int = 0
    stages: tuple[StageId, ...] = ()
    below: tuple[Reads, ...] = ()


class Segment(Struct, frozen=True):
    """Partitions `first` to `stop` - 1 of a stage, which need the same."""

    first: int
    stop: int
    reads: Reads


class StageSpec(Struct, frozen=True):
    """A stage as the scheduler sees it.

    Attributes:
        is_map: its output is a shuffle, which stays; otherwise its output goes to the program.
        has_effects: its functions do something besides returning, so no copy of a task may run beside another.
        barrier: its tasks run all at once or not at all, and only the outputs of tasks that ran together count together.

    """

    id: StageId
    name: str
    partitions: int
    is_map: bool
    segments: tuple[Segment, ...]
    has_effects: bool = False
    barrier: bool = False


class Stage(Struct, frozen=True):
    """Both views of a stage, with the operators that it fuses."""

    spec: StageSpec
    program: Program
    operators: tuple[Operator, ...]
    partitioner: Partitioner | None = None

    def pack(self) -> tuple[bytes, list[UserFunction]]:
        """Pickle the program, functions as digests; list those functions, each once."""
        return dump_program(self.program)


NO_LEVELS: Mapping[OperatorId, StorageLevel] = {}


class _Builder(Struct):
    """Collects the nodes of one stage."""

    cached: Set[OperatorId]
    levels: Mapping[OperatorId, StorageLevel]
    nodes: list[Node] = field(default_factory=list)
    places: dict[OperatorId, int] = field(default_factory=dict)
    operators: list[Operator] = field(default_factory=list)
    shuffles: list[Shuffle] = field(default_factory=list)

    def add(self, tip: Operator) -> int:
        """Add an operator after everything it reads through narrow edges; iterative, because chains grow long."""
        waiting: list[tuple[Operator, bool]] = [(tip, False)]
        while waiting:
            operator, ready = waiting.pop()
            if operator.id in self.places:
                continue
            narrow = [edge.source for edge in operator.inputs if isinstance(edge, Forward)]
            if not ready and narrow:
                waiting.append((operator, True))
                waiting.extend((source, False) for source in reversed(narrow))
            else:
                self._append(operator)
        return self.places[tip.id]

    def _append(self, operator: Operator) -> None:
        inputs: list[int | None] = []
        reads: list[StageId | None] = []
        offsets: list[int] = []
        total = 0
        for edge in operator.inputs:
            offsets.append(total)
            total += edge.source.partitions
            if isinstance(edge, Forward):
                inputs.append(self.places[edge.source.id])
                reads.append(None)
            else:
                inputs.append(None)
                reads.append(edge.stage)
                self.shuffles.append(edge)
        self.places[operator.id] = len(self.nodes)
        self.operators.append(operator)
        self.nodes.append(
            Node(
                operator.id,
                operator.name,
                operator.site,
                operator.body,
                tuple(inputs),
                tuple(reads),
                tuple(edge.parts if isinstance(edge, Forward) else None for edge in operator.inputs),
                tuple(offsets) if _is_stacked(operator) else (),
                operator.partitions,
                operator.id in self.cached,
                self.levels.get(operator.id, StorageLevel.MEMORY_ONLY),
            )
        )


def compile_job(
    tip: Operator,
    sink: ResultSink,
    *,
    result_stage: StageId,
    name: str,
    cached: Set[OperatorId] = frozenset(),
    levels: Mapping[OperatorId, StorageLevel] = NO_LEVELS,
    known: Container[StageId] = (),
    has_effects: bool = False,
) -> list[Stage]:
    """Cut a lineage graph into stages: parents first, the result stage last, each shuffle once.

    Args:
        cached: datasets that are kept, and
        levels: where, if not in memory.
        known: map stages that need not be made again, nor what only they read.

    """
    stages: list[Stage] = []
    done: set[StageId] = set()
    # Depth first without recursion; a stage is there once its parents are, and until then what it fuses.
    waiting: list[tuple[Operator, Sink, StageId, str, _Builder | None]] = [(tip, sink, result_stage, name, None)]
    while waiting:
        operator, its_sink, stage_id, its_name, builder = waiting.pop()
        if stage_id in done:
            continue
        if builder is not None:
            done.add(stage_id)
            effects = has_effects and stage_id == result_stage
            stages.append(_stage(builder, operator, its_sink, stage_id, its_name, has_effects=effects))
            continue
        builder = _Builder(cached, levels)
        builder.add(operator)
        waiting.append((operator, its_sink, stage_id, its_name, builder))
        for shuffle in reversed(builder.shuffles):
            if shuffle.stage not in done and shuffle.stage not in known:
                reader = _reader_of(shuffle, builder.operators)
                below = _sink_of(shuffle, reader.name, reader.site)
                waiting.append((shuffle.source, below, shuffle.stage, reader.name, None))
    return stages


def compile_map(
    shuffle: Shuffle, name: str, site: Site, *, cached: Set[OperatorId], levels: Mapping[OperatorId, StorageLevel]
) -> Stage:
    """Plan one map stage by itself.

    Args:
        name, site: of who reads it.
        cached, levels: as for `compile_job`.

    """
    builder = _Builder(cached, levels)
    builder.add(shuffle.source)
    return _stage(builder, shuffle.source, _sink_of(shuffle, name, site), shuffle.stage, name)


def _sink_of(shuffle: Shuffle, name: str, site: Site) -> ShuffleSink:
    return ShuffleSink(shuffle.partitioner, shuffle.combine, shuffle.keyed_by, shuffle.grouped, name, site)


def _stage(
    builder: _Builder, tip: Operator, sink: Sink, stage: StageId, name: str, *, has_effects: bool = False
) -> Stage:
    is_map = isinstance(sink, ShuffleSink)
    effects = has_effects or any(map(_has_effects, builder.operators))
    label = name if tip.title is None else f"{name} of {tip.title}"
    behind = behind_barriers(builder.operators)
    if behind:
        check_shape(builder.operators, behind)
    cached = builder.cached - behind if behind else builder.cached  # of tasks that meet all use what is kept, or none
    spec = StageSpec(stage, label, tip.partitions, is_map, segments(tip, cached), effects, bool(behind))
    partitioner = sink.partitioner if isinstance(sink, ShuffleSink) else None
    return Stage(spec, Program(tuple(builder.nodes), sink), tuple(builder.operators), partitioner)


def _has_effects(operator: Operator) -> bool:
    return isinstance(operator.body, PerPartition) and operator.body.has_effects


def _reader_of(shuffle: Shuffle, operators: Iterable[Operator]) -> Operator:
    return next(operator for operator in operators if shuffle in operator.inputs)


def segments(tip: Operator, cached: Set[OperatorId]) -> tuple[Segment, ...]:
    """Group a stage's partitions by what they need.

    A union's parts differ, and partitions that read others of a cached dataset; everything else is one group.
    """
    cuts = sorted({0, tip.partitions, *_borders(tip, cached)})
    return tuple(Segment(first, stop, _reads(tip, cached, first, 0)) for first, stop in pairwise(cuts))


def _is_stacked(operator: Operator) -> bool:
    """Whether an operator's partitions are those of its inputs, one input after the other."""
    return isinstance(operator.body, Union) and not operator.body.zipped


def _is_uniform(tip: Operator, cached: Set[OperatorId]) -> bool:
    """Whether all partitions of an operator need the same, in this stage."""
    waiting, seen = [tip], set[OperatorId]()
    while waiting:
        operator = waiting.pop()
        if operator.id in cached or _is_stacked(operator):
            return False
        if operator.id in seen:
            continue
        seen.add(operator.id)
        waiting += [edge.source for edge in operator.inputs if isinstance(edge, Forward)]
    return True


def _borders(tip: Operator, cached: Set[OperatorId]) -> list[int]:
    found: list[int] = []
    waiting, seen = [(tip, 0)], set[Place]()
    while waiting:
        operator, first = waiting.pop()
        if (operator.id, first) in seen:
            continue
        seen.add((operator.id, first))
        offset = first
        for edge in operator.inputs:
            if isinstance(edge, Forward) and edge.parts is not None:
                if not _is_uniform(edge.source, cached):
                    found += range(first, first + operator.partitions)
            elif isinstance(edge, Forward):
                waiting.append((edge.source, offset))
                if _is_stacked(operator):
                    found.append(offset)
                    offset += edge.source.partitions
    return found


Place = tuple[OperatorId, int]  # an operator, and where its partitions begin among those of the stage


def _reads(tip: Operator, cached: Set[OperatorId], partition: int, first: int) -> Reads:
    """Say what one partition needs; what two branches have in common is told once.

    Without recursion: a loop that keeps what each round makes nests as deep as it has rounds.
    """
    known: dict[Place, Reads] = {}
    asking = [((tip.id, first), _found(tip, cached, partition, first))]
    answer: Reads | None = None
    while asking:
        place, finding = asking[-1]
        try:
            source, start = finding.send(answer)
        except StopIteration as found:
            answer = known[place] = found.value
            asking.pop()
            continue
        answer = known.get((source.id, start))
        if answer is None:
            asking.append(((source.id, start), _found(source, cached, partition, start)))
    assert answer is not None
    return answer


def _found(
    tip: Operator, cached: Set[OperatorId], partition: int, first: int
) -> Generator[tuple[Operator, int], Reads | None, Reads]:
    """Say what one partition needs, asking for what its inputs do, each with where its partitions begin."""
    operator = tip
    while True:
        cut = operator.id if operator.id in cached else None
        stages = tuple(edge.stage for edge in operator.inputs if isinstance(edge, Shuffle))
        if _is_stacked(operator):
            offset = first
            for edge in operator.inputs:
                if partition < offset + edge.source.partitions:
                    break
                offset += edge.source.partitions
            narrow, starts = [edge.source], [offset]
        else:
            narrow, starts = _read_by(operator, cached, partition, first)
        if cut is None and not stages and len(narrow) == 1:
            operator, first = narrow[0], starts[0]
            continue
        found = []
        for source, start in zip(narrow, starts, strict=True):
            reads = yield source, start
            assert reads is not None
            found.append(reads)
        below = tuple({id(reads): reads for reads in found}.values())
        if cut is None and not stages and len(below) == 1:
            return below[0]
        return Reads(cut, first, stages, below)


def _read_by(
    operator: Operator, cached: Set[OperatorId], partition: int, first: int
) -> tuple[list[Operator], list[int]]:
    """List the inputs of a partition, and where the partitions of each would begin for it to read the right one."""
    narrow: list[Operator] = []
    starts: list[int] = []
    for edge in operator.inputs:
        if not isinstance(edge, Forward):
            continue
        if edge.parts is None or _is_uniform(edge.source, cached):
            narrow.append(edge.source)
            starts.append(first)
        else:
            read = edge.parts.of(partition - first)
            narrow += [edge.source] * len(read)
            starts += [partition - number for number in read]
    return narrow, starts


# How a program is pickled: functions stay out.


class _ProgramPickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, PROTOCOL)
        self.functions: dict[Digest, UserFunction] = {}

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, UserFunction):
            self.functions[obj.digest] = obj
            return (obj.digest, obj.label, obj.site.file, obj.site.line, obj.site.function)
        return None


class _ProgramUnpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, load: Callable[[Digest], Callable[..., Any]]) -> None:
        super().__init__(file)
        self._load = load

    def persistent_load(self, pid: Any) -> UserFunction:
        digest, label, *site = pid
        return UserFunction(self._load(digest), label, Site(*site))


def dump_program(program: Program) -> tuple[bytes, list[UserFunction]]:
    """Pickle a program for its workers, and list the functions that must travel beside it."""
    buffer = io.BytesIO()
    pickler = _ProgramPickler(buffer)
    pickler.dump(program)
    return buffer.getvalue(), list(pickler.functions.values())


def load_program(blob: bytes, load: Callable[[Digest], Callable[..., Any]]) -> Program:
    """Unpickle a program; `load` finds a function by its digest."""
    program: Program = _ProgramUnpickler(io.BytesIO(blob), load).load()
    return program


def growing_structures(program: Program) -> int:
    """Count the tables, sorts and buffers that a task of this program fills at once: they share its budget."""
    merges = sum(isinstance(node.body, Merge | CoGroup | Join | Cross | SortWithin) for node in program.nodes)
    return max(1, merges + isinstance(program.sink, ShuffleSink))


def made_together(program: Program) -> frozenset[OperatorId]:
    """List the operators of a program that are made by tasks which meet: barriers, and what stands on them."""
    found: set[int] = set()
    for place, node in enumerate(program.nodes):
        if (isinstance(node.body, PerPartition) and node.body.barrier) or not found.isdisjoint(node.inputs):
            found.add(place)
    return frozenset(program.nodes[place].operator for place in found)
