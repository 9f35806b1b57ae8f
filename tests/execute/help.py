"""Runs plans without processes: a port in memory for each task, stage after stage, in one thread."""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from typing import Any

from headrace.execute.chunks import split_frames
from headrace.execute.task import Finished, TaskBody
from headrace.ids import AttemptId, OperatorId, StageId, TaskId
from headrace.plan.levels import StorageLevel
from headrace.plan.operators import Operator
from headrace.plan.stages import Program, RecordsSink, ResultSink, compile_job, dump_program, load_program
from headrace.ports import Bytes, Files, PartSource, Phase, TaskCancelled, WriteFile
from headrace.runtime.files import SystemFiles

RESULT = StageId(10**6)


class MemoryScratch:
    """Temporary space of one task."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.closed = False

    def append(self, data: Bytes) -> tuple[int, int]:
        assert not self.closed
        place = (len(self.data), len(data))
        self.data += data
        return place

    def read(self, offset: int, length: int) -> bytes:
        if self.closed:
            raise ValueError("the task has ended")
        return bytes(self.data[offset : offset + length])


class MemoryOutput:
    """A map output."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.records: list[int] = []

    def part(self, pieces: Any, records: int) -> None:
        self.parts.append(b"".join(bytes(piece) for piece in pieces))
        self.records.append(records)


class MemoryResult:
    """What a result task brings back."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def write(self, frame: bytes) -> None:
        self.frames.append(frame)

    def values(self) -> list[Any]:
        return [part.load() for part in split_frames(self.frames)]


class MemoryEntry:
    """A partition on its way into a cache; `room` bytes of it fit."""

    def __init__(self, cache: dict[tuple[int, int], list[bytes]], key: tuple[int, int], room: float) -> None:
        self._cache, self._key, self._room = cache, key, room
        self._frames: list[bytes] = []

    def add(self, frame: bytes) -> bool:
        self._frames.append(frame)
        return sum(map(len, self._frames)) <= self._room

    def done(self) -> None:
        self._cache[self._key] = self._frames


class World:
    """What the tasks of one test share.

    Attributes:
        outputs: of map stages, by stage and map partition.
        piece: bytes of one piece of a part, as it is handed to a reducer.
        budget: what a task may hold.

    """

    def __init__(self, budget: int = 1 << 30, piece: int = 1 << 20) -> None:
        self.budget, self.piece = budget, piece
        self.files: Files = SystemFiles()
        self.outputs: dict[tuple[StageId, int], MemoryOutput] = {}
        self.cache: dict[tuple[int, int], list[bytes]] = {}
        self.cache_room = float("inf")
        self.blocks: dict[str, bytes] = {}
        self.ports: list[MemoryPort] = []
        self.bodies: list[TaskBody] = []

    def cut(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), self.piece):
            yield data[start : start + self.piece]

    def body(self, program: Program, task: TaskId, *, attempt: int = 1) -> tuple[TaskBody, MemoryPort]:
        """Make a task from a program that has travelled."""
        blob, functions = dump_program(program)
        loaded = {function.digest: pickle.loads(function.blob) for function in functions}
        port = MemoryPort(self)
        body = TaskBody(load_program(blob, loaded.__getitem__), task, AttemptId(attempt), port)
        self.ports.append(port)
        self.bodies.append(body)
        return body, port

    def run(
        self, tip: Operator, sink: ResultSink | None = None, cached: frozenset[OperatorId] = frozenset()
    ) -> list[MemoryPort]:
        """Run a whole plan; return the ports of the result stage, by partition."""
        stages = compile_job(tip, sink or RecordsSink(), result_stage=RESULT, name="test", cached=cached)
        last: list[MemoryPort] = []
        for stage in stages:
            last = []
            for partition in range(stage.spec.partitions):
                body, port = self.body(stage.program, TaskId(stage.spec.id, partition))
                port.finished = body.run()
                port.space.closed = True
                if port.output is not None:
                    self.outputs[stage.spec.id, partition] = port.output
                last.append(port)
        return last

    def records(self, tip: Operator, cached: frozenset[OperatorId] = frozenset()) -> list[list[Any]]:
        """Run a plan and return each partition's records."""
        ports = self.run(tip, cached=cached)
        return [[record for chunk in port.brought.values() for record in chunk] for port in ports]

    def rerun_last(self, tip: Operator) -> list[list[Any]]:
        """Run only the result stage, over the map outputs that are there."""
        *_, stage = compile_job(tip, RecordsSink(), result_stage=RESULT, name="test")
        found = []
        for partition in range(stage.spec.partitions):
            body, port = self.body(stage.program, TaskId(stage.spec.id, partition))
            body.run()
            found.append([record for chunk in port.brought.values() for record in chunk])
        return found

    @property
    def spilled(self) -> int:
        """Bytes that went to temporary space, over all tasks."""
        return sum(len(port.space.data) for port in self.ports)


class MemoryPort:
    """One attempt's view of a world in memory."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.task_bytes = world.budget
        self.files = world.files
        self.space = MemoryScratch()
        self.output: MemoryOutput | None = None
        self.brought = MemoryResult()
        self.finished: Finished | None = None
        self.phases: list[Phase] = []
        self.paused = self.told_of = 0  # times, and records
        self.cancel_after: int | None = None

    def enter(self, phase: Phase) -> None:
        if not self.phases or self.phases[-1] != phase:
            self.phases.append(phase)

    def pause(self, records: int = 0, fraction: float | None = None) -> None:
        assert fraction is None or 0 <= fraction <= 1
        self.paused += 1
        self.told_of += records
        if self.cancel_after is not None and self.paused > self.cancel_after:
            raise TaskCancelled

    def parts(self, stage: StageId, partition: int) -> Iterator[tuple[PartSource, Iterator[Bytes]]]:
        for (made_by, place), output in sorted(self.world.outputs.items()):
            if made_by == stage:
                yield PartSource(stage, place, AttemptId(7)), self.world.cut(output.parts[partition])

    def die(self) -> None:
        raise AssertionError("no test kills here")

    def provided(self, name: str) -> Iterator[Bytes]:
        return self.world.cut(self.world.blocks[name])

    def shared(self, name: str) -> Any:
        return pickle.loads(self.world.blocks[name])

    gang = ()

    def meet(self, call: str, message: str) -> tuple[str, ...]:
        raise AssertionError("no task in memory has others to meet")

    def cached(self, operator: OperatorId, partition: int) -> Sequence[bytes] | None:
        return self.world.cache.get((operator, partition))

    def objects(self, operator: OperatorId, partition: int) -> None:
        return None

    def revive(self, operator: OperatorId, partition: int) -> None:
        return None

    def keep(self, operator: OperatorId, partition: int, level: StorageLevel) -> MemoryEntry | None:
        return MemoryEntry(self.world.cache, (operator, partition), self.world.cache_room)

    def scratch(self) -> MemoryScratch:
        return self.space

    def map_output(self, partitions: int) -> MemoryOutput:
        assert self.output is None
        self.output = MemoryOutput()
        return self.output

    def result(self) -> MemoryResult:
        return self.brought

    def part_file(self, directory: str, suffix: str) -> WriteFile:
        return self.files.create(f"{directory}/part")
