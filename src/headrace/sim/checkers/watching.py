"""Where the checkers look: at the loops' steps, at frames as they are sent, at files, and at what bodies read and write."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast
from weakref import WeakValueDictionary
from zlib import crc32

import msgspec
from msgspec import Struct

from headrace.ids import AttemptId, JobId, StageId
from headrace.loops.body import BodyPort
from headrace.loops.controller import Controller
from headrace.loops.data import _Begin, _End
from headrace.loops.jobs import JobHandle
from headrace.ports import Bytes, Files, MapOutput, Peer, ResultWriter
from headrace.protocols import commit, worker
from headrace.protocols import schedule_words as words
from headrace.protocols.messages import Outputs, Report, decode
from headrace.sim.checkers import seen
from headrace.sim.checkers.checkers import Checkers
from headrace.sim.disk import SimDisk
from headrace.sim.process import SimProcess
from headrace.store.layout import Layout, map_output_name, result_name

PLACE = struct.Struct("<II")


def _beginning(kind: type[Struct]) -> bytes:
    """Say how frames of a kind begin."""
    name = kind.__name__
    whole = msgspec.msgpack.encode([name, *kind.__struct_fields__])
    return whole[: whole.index(name.encode()) + len(name)]


OUTPUTS, REPORT = _beginning(Outputs), _beginning(Report)
PROGRAM = "program"


class Watching:
    """Shows the checkers of a run what passes, wherever it does."""

    def __init__(self, checkers: Checkers, disk: SimDisk) -> None:
        self.checkers, self._disk, self._layout = checkers, disk, Layout(disk.root)
        self._handles: WeakValueDictionary[JobId, JobHandle] = WeakValueDictionary()  # a handle holds datasets

    # The program.

    def program(self, controller: Controller, network: Any) -> None:
        """Watch the program's loop, and what it sends."""
        send = network.send

        def sends(peer: Peer, data: bytes) -> None:
            if data.startswith(OUTPUTS):
                table = cast("Outputs", decode(data))
                attempts = tuple(AttemptId(attempt) for attempt, _ in PLACE.iter_unpack(table.places))
                told = controller.by_peer.get(peer, "somebody")
                self.checkers.see(seen.Announced(told, StageId(table.stage), attempts))
            send(peer, data)

        submit = controller.submit

        def submits(handle: JobHandle) -> None:
            self._submitted(handle)
            submit(handle)

        network.send = sends
        setattr(controller, "submit", submits)  # noqa: B010
        controller.loop.watchers.append(self._program_step)

    def _program_step(self, machine: str, event: Any, effects: list[Any]) -> None:
        kind = type(event)
        if kind is words.ResultDelivered:
            self._result_came(event)
        elif kind is _Begin:
            self.checkers.see(seen.StreamBegan(PROGRAM, event.name))
        elif kind is _End:
            self.checkers.see(seen.StreamEnded(PROGRAM, event.name))
        self.checkers(machine, event, effects)

    def _submitted(self, handle: JobHandle) -> None:
        self._handles[handle.request.id] = handle

    def _result_came(self, event: words.ResultDelivered) -> None:
        for handle in list(self._handles.values()):
            if handle.request.stages[-1].spec.id == event.task.stage:
                digest = 0
                for piece in handle.results.get(event.task.partition, ()):
                    digest = seen.digest(piece, digest)
                self.checkers.see(seen.Delivered(event.attempt, digest))

    def files(self, inner: Files) -> Files:
        """Return the program's files, watched."""
        return cast("Files", _WatchedFiles(inner, self.checkers.see))

    # Workers.

    def born(self, process: SimProcess) -> None:
        """Watch a worker's process."""
        see, name, clock = self.checkers.see, process.id, self.checkers.ledger.now_ns

        def began(event: commit.Began, _: list[Any]) -> None:
            see(seen.BodyBegan(name, event.attempt, clock()))
            _watch_body(process.loop.attempts[event.attempt].port, event.attempt, see)

        def dropped(_: Any, effects: list[Any]) -> None:
            for effect in effects:
                if type(effect) is commit.DropReport:
                    see(seen.Settled(name, effect.attempt))

        hears: dict[type, Callable[[Any, list[Any]], None]] = {
            commit.Began: began,
            commit.Ended: dropped,
            commit.Settled: dropped,
            worker.BodyEnded: lambda event, _: see(seen.BodyEnded(name, event.attempt, clock())),
            _Begin: lambda event, _: see(seen.StreamBegan(name, event.name)),
            _End: lambda event, _: see(seen.StreamEnded(name, event.name)),
        }

        def step(machine: str, event: Any, effects: list[Any]) -> None:  # noqa: ARG001
            hear = hears.get(type(event))
            if hear is not None:
                hear(event, effects)

        process.loop.loop.watchers.append(step)
        crash, send = process.crash, process.network.send
        reported: set[int] = set()

        def sends(peer: Peer, data: bytes) -> None:
            if data.startswith(REPORT):
                report = cast("Report", decode(data))
                if report.attempt not in reported:  # said again: its files may be gone by then
                    reported.add(report.attempt)
                    see(seen.Said(name, report, tuple(self._missing(process, report))))
            send(peer, data)

        def crashes() -> None:
            crash()
            see(seen.WorkerEnded(name))

        setattr(process, "crash", crashes)  # noqa: B010
        setattr(process.network, "send", sends)  # noqa: B010

    def _missing(self, process: SimProcess, report: Report) -> Iterator[str]:
        """Name the files that an attempt should have put where others look for them."""
        if report.outcome != "done":
            return
        attempt, stage = AttemptId(report.attempt), StageId(report.stage)
        spec = self.checkers.ledger.specs.get(stage)
        names = []
        if spec is not None and spec.is_map:
            output = map_output_name(stage, report.partition, attempt)
            names += [f"{output}.data", f"{output}.index"]
        if not report.inline:
            names.append(result_name(attempt))
        for name in names:
            if f"{self._layout.host(process.host)}/{name}" not in self._disk.files:
                yield name


See = Callable[[Any], None]


def _watch_body(port: BodyPort, attempt: AttemptId, see: See) -> None:
    """Watch what a body reads and writes, where its task has it pass."""
    parts, map_output, result = port.parts, port.map_output, port.result

    def read(stage: StageId, partition: int) -> Iterator[tuple[Any, Iterator[Bytes]]]:
        inner = parts(stage, partition)
        try:
            for source, pieces in inner:
                yield source, _read(attempt, source, partition, pieces, see)
        finally:
            inner.close()  # type: ignore[attr-defined]

    setattr(port, "parts", read)  # noqa: B010
    setattr(port, "map_output", lambda partitions: _WatchedOutput(map_output(partitions), attempt, see))  # noqa: B010
    setattr(port, "result", lambda: _WatchedResult.of(port, result(), attempt, see))  # noqa: B010


def _read(attempt: AttemptId, source: Any, number: int, pieces: Iterable[Bytes], see: See) -> Iterator[Bytes]:
    digest: int | None = None
    try:
        so_far = 0
        for piece in pieces:
            so_far = crc32(piece, so_far)
            yield piece
        digest = so_far
    finally:
        see(seen.PartRead(attempt, source, number, digest))


class _WatchedOutput:
    """A map output, as it is written."""

    def __init__(self, inner: MapOutput, attempt: AttemptId, see: See) -> None:
        self._inner, self._attempt, self._see, self._number = inner, attempt, see, 0

    def part(self, pieces: Iterable[Bytes], records: int) -> None:
        """Write the next part."""
        digest = 0

        def written() -> Iterator[Bytes]:
            nonlocal digest
            for piece in pieces:
                digest = crc32(piece, digest)
                yield piece

        self._inner.part(written(), records)
        self._see(seen.PartWritten(self._attempt, self._number, digest))
        self._number += 1


class _WatchedResult:
    """A result, as it is written."""

    def __init__(self, inner: ResultWriter, attempt: AttemptId, see: See) -> None:
        self._inner, self._attempt, self._see, self._digest = inner, attempt, see, 0

    @classmethod
    def of(cls, port: BodyPort, inner: ResultWriter, attempt: AttemptId, see: See) -> _WatchedResult:
        """Return the one of an attempt, which may be asked for again."""
        held: _WatchedResult | None = port.__dict__.get("watched_result")
        if held is None:
            held = port.__dict__["watched_result"] = cls(inner, attempt, see)
        return held

    def write(self, frame: bytes) -> None:
        """Append a frame."""
        self._inner.write(frame)
        self._digest = seen.digest(frame, self._digest)
        self._see(seen.ResultWritten(self._attempt, self._digest))


class _WatchedFiles:
    """The program's files: its outputs come into place through them."""

    def __init__(self, inner: Files, see: See) -> None:
        self._inner, self._see = inner, see

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        self._inner.rename(old, new)
        self._see(seen.Renamed(old, new))

    def create(self, path: str) -> Any:
        """Create a file."""
        self._see(seen.Created(path))
        return self._inner.create(path)

    def remove_tree(self, path: str) -> None:
        """Remove a folder."""
        self._inner.remove_tree(path)
        self._see(seen.TreeRemoved(path))
