"""What a task's body can touch, over the ports of the world it runs in: one object for each attempt."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator
from typing import Any, cast

from msgspec import Struct

from headrace.config import DataConfig, MemoryConfig
from headrace.errors import BarrierBroken, UsageError
from headrace.execute.broadcasting import map_broadcast, read_broadcast
from headrace.execute.chunks import Corrupt, split_frames
from headrace.ids import AttemptId, HostId, OperatorId, StageId, TaskId
from headrace.loops.data import BlocksLost, DataPlane, Stream
from headrace.loops.gangs import Meetings
from headrace.loops.noting import Asked, NotedFiles
from headrace.plan.levels import StorageLevel
from headrace.ports import (
    BlockLost,
    Bytes,
    CacheEntry,
    Clock,
    Files,
    GangMember,
    Gate,
    Objects,
    PartSource,
    Phase,
    ReadFile,
    Recorder,
    TaskCancelled,
    WriteFile,
)
from headrace.protocols.fetch import Block
from headrace.store.cache import Cache, Entry
from headrace.store.layout import HOME, Layout, cache_name, map_output_name, result_name
from headrace.store.mapoutput import MapOutputFiles, MapOutputReader, read_range, remove_map_output
from headrace.store.scratch import ScratchFile

PHASES: tuple[Phase, ...] = ("fetch", "compute", "write", "commit")
PULLING = "pulling"  # the file in a host's folder that is locked by who pulls a broadcast value


class Table(Struct, frozen=True):
    """Where the partitions of a shuffle lie, as the program last said: for each, the attempt and the host."""

    version: int
    places: tuple[tuple[AttemptId, HostId] | None, ...]


class Machinery(Struct):
    """What the attempts of one worker share."""

    files: Files
    layout: Layout
    host: HostId
    own: str  # the worker's own folder
    near: frozenset[HostId]  # hosts whose files may be opened: its own, and the program's where they are one machine
    data: DataConfig
    memory: MemoryConfig
    plane: DataPlane
    outputs: MapOutputReader
    cache: Cache
    gate: Gate
    recorder: Recorder
    tables: dict[StageId, Table]
    broadcasts: dict[str, Any]
    find_cached: Any  # asks who keeps a cached partition; gives addresses
    meetings: Meetings
    clock: Clock


class BodyPort:
    """One attempt's view of the world."""

    def __init__(self, shared: Machinery, job: int, task: TaskId, attempt: AttemptId) -> None:
        self._shared, self._job, self._task, self._attempt = shared, job, task, attempt
        self.task_bytes = shared.memory.task_bytes
        self.cancelled = False
        self.records = self.read_bytes = self.written_bytes = 0
        self.progress = 0  # thousandths
        self.asked = Asked()
        self.files = cast("Files", NotedFiles(shared.files, shared.layout.root, self.asked))
        self._scratch: ScratchFile | None = None
        self._output: MapOutputFiles | None = None
        self._result: Result | None = None
        self._part_path: str | None = None
        self._entries: list[Entry] = []
        self._streams: list[Stream] = []  # that are open
        self._phase: Phase = "idle"
        self._phase_ns = 0  # when it began
        self._spent: dict[Phase, int] = {}

    # Noting and waiting.

    def enter(self, phase: Phase) -> None:
        """Note what the body is doing."""
        if phase != self._phase:
            now, before = self._shared.clock.now_ns(), self._phase
            self._spent[before] = self._spent.get(before, 0) + now - self._phase_ns
            self._phase, self._phase_ns = phase, now
            self._shared.recorder.note(phase, self._attempt)

    @property
    def spent(self) -> tuple[int, int, int, int]:
        """How long it has fetched, computed, written and committed, in nanoseconds."""
        spent = dict(self._spent)
        spent[self._phase] = spent.get(self._phase, 0) + self._shared.clock.now_ns() - self._phase_ns
        fetch, compute, write, commit = (spent.get(phase, 0) for phase in PHASES)
        return fetch, compute, write, commit

    def pause(self, records: int = 0, fraction: float | None = None) -> None:
        """Between chunks."""
        self.records += records
        if fraction is not None:
            self.progress = max(self.progress, int(fraction * 999))
        self._shared.gate.pause(records)
        if self.cancelled:
            raise TaskCancelled

    # Reading.

    def parts(self, stage: StageId, partition: int) -> Iterator[tuple[PartSource, Iterator[Bytes]]]:
        """Give one reduce partition's parts, in the order of the map partitions; pull those of other hosts ahead."""
        self.asked.parts[stage, partition] = None
        shared = self._shared
        places = shared.tables[stage].places
        missing = [(p, AttemptId(0)) for p, place in enumerate(places) if place is None]
        if missing:
            raise BlockLost(stage, missing, "they are being computed again")
        sources = [(p, *place) for p, place in enumerate(places) if place is not None]
        far = [(p, attempt, host) for p, attempt, host in sources if host not in shared.near]
        blocks = tuple(Block(map_output_name(stage, p, attempt), partition, host) for p, attempt, host in far)
        stream = self._stream(blocks) if far else None
        place = 0
        try:
            for done, (p, attempt, host) in enumerate(sources, start=1):
                source = PartSource(stage, p, attempt)
                if host in shared.near:
                    path = shared.layout.path(host, map_output_name(stage, p, attempt))
                    held = shared.outputs.held(path, partition)
                    if held is None:
                        yield source, self._near(source, path, partition)
                    elif held:
                        self.read_bytes += len(held)
                        yield source, iter((held,))
                else:
                    assert stream is not None
                    yield source, self._far(stream, place, stage, [(p, attempt) for p, attempt, _ in far])
                    place += 1
                self.progress = max(self.progress, done * 999 // len(sources))
        finally:
            if stream is not None:
                self._end(stream)

    def _near(self, source: PartSource, path: str, partition: int) -> Iterator[Bytes]:
        shared = self._shared
        name = map_output_name(source.stage, source.partition, source.attempt)
        try:
            yield from self._counted(shared.outputs.read(path, partition, shared.data.piece_bytes))
        except FileNotFoundError:
            raise BlockLost(source.stage, [(source.partition, source.attempt)], f"{name} is missing") from None
        except OSError as error:  # damaged, or its disk is: others will have it computed again
            raise BlockLost(source.stage, [(source.partition, source.attempt)], f"{name}: {error}") from None

    def _far(self, stream: Stream, place: int, stage: StageId, written: list[tuple[int, AttemptId]]) -> Iterator[bytes]:
        try:
            yield from self._counted(stream.take(place))
        except BlocksLost as error:
            raise BlockLost(stage, [written[i] for i in error.places], error.why) from None

    def _counted(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.read_bytes += len(piece)
            yield piece

    def provided(self, name: str) -> Iterator[Bytes]:
        """Read a block of the program's own store."""
        self.asked.blocks[name] = None
        shared = self._shared
        if HOME in shared.near:
            file = shared.files.open(shared.layout.path(HOME, name))
            try:
                yield from self._counted(read_range(file, 0, file.size, shared.data.piece_bytes))
            finally:
                file.close()
            return
        yield from self._pulled(Block(name, -1, HOME))

    def _pulled(self, block: Block) -> Iterator[bytes]:
        stream = self._stream((block,))
        try:
            yield from self._counted(stream.take(0))
        finally:
            self._end(stream)

    def _stream(self, blocks: tuple[Block, ...]) -> Stream:
        stream = self._shared.plane.stream(blocks, self._shared.memory.fetch_bytes, self._shared.gate)
        self._streams.append(stream)
        return stream

    def _end(self, stream: Stream) -> None:
        self._streams.remove(stream)
        stream.close()

    def die(self) -> None:
        """End this process at once: a test wants that here."""
        self._shared.gate.die()

    def hurry(self) -> None:
        """Have whoever waits for blocks wait no longer; called by the loop."""
        for stream in list(self._streams):
            stream.lose(BlocksLost((), "there was no time left to wait for it"))

    def shared(self, name: str) -> Any:
        """Return a broadcast value; this process reads it once."""
        self.asked.blocks[name] = None
        values = self._shared.broadcasts
        with contextlib.suppress(KeyError):  # the loop may let go of it at any moment
            return values[name]
        try:
            value = values[name] = self._broadcast(name)
        except (FileNotFoundError, BlocksLost):
            raise UsageError("this broadcast value was destroyed. Make it anew with ctx.broadcast.") from None
        return value

    def _broadcast(self, name: str) -> Any:
        """Map a value's block: the program's own file, or this host's copy of it, which its first reader makes."""
        shared = self._shared
        if not os.path.isdir(shared.layout.host(shared.host)):
            return read_broadcast(self.provided(name))  # a simulated disk cannot be mapped
        if HOME in shared.near:
            return map_broadcast(shared.layout.path(HOME, name))
        path, aside = shared.layout.path(shared.host, name), f"{shared.own}/{name}"
        with open(f"{shared.layout.host(shared.host)}/{PULLING}", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another worker of this host is pulling, or dies and lets go
            with contextlib.suppress(FileNotFoundError):
                return map_broadcast(path)
            with open(aside, "wb") as file:
                file.writelines(self.provided(name))
            value = map_broadcast(aside)  # before others see it: it may be freed at once
            os.rename(aside, path)
            return value

    # Caching.

    def cached(self, operator: OperatorId, partition: int) -> Iterable[Bytes] | None:
        """Return a cached partition's frames, in pieces, from this worker or another."""
        found = self._find(operator, partition)
        self.asked.cached.append((operator, partition, found is not None))
        return found

    def _find(self, operator: OperatorId, partition: int) -> Iterable[Bytes] | None:
        shared = self._shared
        frames = shared.cache.get(operator, partition)
        if frames is not None:
            return frames
        path = shared.cache.sound(operator, partition)
        if path is not None:
            with contextlib.suppress(OSError):  # forgotten meanwhile, from the loop's thread; or its disk is bad
                return self._from_disk(shared.files.open(path))
        for address in shared.find_cached(operator, partition):
            host = HostId(f"@{address}")  # a worker's memory is a host of its own: nobody else serves it
            try:
                pieces = [b"".join(self._pulled(Block(cache_name(operator, partition), -1, host)))]
                for _ in split_frames(pieces):  # before anybody takes some of its records for all
                    pass
            except (BlocksLost, Corrupt):
                continue
            return pieces
        return None

    def _from_disk(self, file: ReadFile) -> Iterator[bytes]:
        try:
            yield from self._counted(read_range(file, 0, file.size, self._shared.data.piece_bytes))
        finally:
            file.close()

    def objects(self, operator: OperatorId, partition: int) -> list[list[Any]] | None:
        """Return a cached partition's records, where this process holds them as objects."""
        held = self._shared.cache.live.get((operator, partition))
        if held is not None:
            self.asked.cached.append((operator, partition, True))
        return held

    def revive(self, operator: OperatorId, partition: int) -> Objects | None:
        """Begin to hold a cached partition's records as objects."""
        return self._shared.cache.revive(operator, partition)

    def keep(self, operator: OperatorId, partition: int, level: StorageLevel) -> CacheEntry | None:
        """Begin to cache a partition, in this worker's memory or on its disk."""
        entry = self._shared.cache.begin(operator, partition, level)
        self._entries.append(entry)
        return entry

    @property
    def kept(self) -> tuple[tuple[int, int], ...]:
        """The partitions that this attempt left in this worker's keeping, and that have not given way to each other."""
        return tuple(entry.key for entry in self._entries if entry.complete and self._shared.cache.holds(*entry.key))

    # Waiting for the tasks that run at once with this one.

    @property
    def gang(self) -> tuple[GangMember, ...]:
        """Who runs at once with this task, itself included, by partition."""
        return self._shared.meetings.gang(self._attempt)

    def meet(self, call: str, message: str) -> tuple[str, ...]:
        """Wait for all of them to make the same call; return what all said."""
        self._shared.gate.confirm()
        try:
            said = self._shared.meetings.meet(self._attempt, call, message, lambda: self.cancelled)
        except BarrierBroken as error:
            self.asked.met((), str(error))
            raise
        self.asked.met(said)
        return said

    # Writing.

    def _aside(self, kind: str) -> str:
        return f"{self._shared.own}/{self._attempt}.{kind}"

    def scratch(self) -> ScratchFile:
        """Return the task's temporary space."""
        if self._scratch is None:
            self._scratch = ScratchFile(self.files, self._aside("scratch"))
        return self._scratch

    def map_output(self, partitions: int) -> MapOutputFiles:
        """Begin the task's map output."""
        self._output = MapOutputFiles(self.files, self._aside("map"), partitions)
        return self._output

    def result(self) -> Result:
        """Begin the task's result."""
        if self._result is None:
            self._result = Result(self.files, self._aside("result"), self._shared.data.inline_bytes)
        return self._result

    def part_file(self, directory: str, suffix: str) -> WriteFile:
        """Create the task's part of an output directory, aside."""
        folder = f"{directory}/{self._job}/{self._attempt}"
        self.files.make_dirs(folder)
        self._part_path = f"{folder}/part-{self._task.partition:05d}{suffix}"
        return self.files.create(self._part_path)

    # Ending.

    def publish(self) -> None:
        """Put what was written where others look for it."""
        self._shared.gate.confirm()
        self.enter("commit")
        self._shared.gate.pause(0)
        if self._output is not None:
            self.written_bytes = self._output.finish()
            self._output.publish(self._shared.layout.path(self._shared.host, self.output_name))
        if self._result is not None:
            self._result.publish(self._shared.layout.path(self._shared.host, result_name(self._attempt)))

    @property
    def output_name(self) -> str:
        """The name of this attempt's map output."""
        return map_output_name(self._task.stage, self._task.partition, self._attempt)

    @property
    def outcome(self) -> Result | None:
        """The result, if the task had one."""
        return self._result

    @property
    def left_output(self) -> bool:
        """Whether anything of it lies where it would have to be discarded."""
        stored = self._result is not None and not self._result.inline
        return self._output is not None or stored or self._part_path is not None

    def discard(self) -> None:
        """Remove whatever was written."""
        files, shared = self.files, self._shared
        if self._output is not None:
            remove_map_output(files, shared.layout.path(shared.host, self.output_name))
            self._output.discard()
        if self._result is not None:
            self._result.discard()
        if self._part_path is not None:
            files.remove_tree(self._part_path.rpartition("/")[0])

    def close(self) -> None:
        """The body has ended."""
        self._shared.gate.confirm()
        if self._scratch is not None:
            self._scratch.close()
        for entry in self._entries:
            entry.close()


class Result:
    """What a task brings back: in memory while it is small, in a file when it is not."""

    def __init__(self, files: Files, path: str, inline_bytes: int) -> None:
        self._files, self._path, self._inline_bytes = files, path, inline_bytes
        self._held: list[bytes] = []
        self._file: WriteFile | None = None
        self._where: str | None = None
        self.size = 0

    def write(self, frame: bytes) -> None:
        """Append a frame."""
        self.size += len(frame)
        if self._file is not None:
            self._file.write(frame)
            return
        self._held.append(frame)
        if self.size > self._inline_bytes:
            self._file = self._files.create(self._path)
            for held in self._held:
                self._file.write(held)
            self._held.clear()

    @property
    def inline(self) -> bool:
        """Whether it travels in the report."""
        return self._file is None

    @property
    def data(self) -> bytes:
        """The result, where it is inline."""
        return b"".join(self._held)

    def publish(self, path: str) -> None:
        """Put a large one where the program looks for it."""
        if self._file is not None:
            self._file.close()
            self._files.make_dirs(path.rpartition("/")[0])
            self._files.rename(self._path, path)
            self._where = path

    def discard(self) -> None:
        """Remove it."""
        if self._file is not None:
            self._file.abandon()
            self._files.remove(self._where or self._path)
