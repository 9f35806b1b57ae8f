"""Running one failed attempt again: the very same body, over a port that answers from a capsule."""

from __future__ import annotations

import os
import sys
import tempfile
import types
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import cloudpickle

from headrace.errors import BarrierBroken, ModuleMissing, UsageError
from headrace.execute.blame import Blame, blame
from headrace.execute.broadcasting import read_broadcast
from headrace.execute.task import Finished, TaskBody
from headrace.ids import AttemptId, Digest, HostId, OperatorId, StageId, TaskId, WorkerId
from headrace.plan.functions import in_engine
from headrace.plan.levels import StorageLevel
from headrace.plan.stages import Program, load_program
from headrace.ports import Bytes, Files, GangMember, PartSource, Phase
from headrace.runtime.files import SystemFiles
from headrace.store.capsules import Capsule
from headrace.store.shipped import Item, find_modules


class Nowhere:
    """Takes whatever a task writes, and keeps nothing: an output part, a map output, a result."""

    def write(self, data: Bytes) -> None:
        """Throw it away."""

    def part(self, pieces: Iterable[Bytes], records: int) -> None:
        """Throw a part away, when all of it has been made."""
        for _ in pieces:
            pass

    def pread(self, offset: int, length: int) -> bytes:
        """There is nothing to read."""
        raise OSError("what a replayed attempt writes is not kept")

    def sync(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do."""

    def abandon(self) -> None:
        """Nothing to do."""


class SavedFile:
    """A file that went with its run, as it was."""

    def __init__(self, data: memoryview, modified_ns: int) -> None:
        self._data, self.size, self.modified_ns = data, len(data), modified_ns

    def pread(self, offset: int, length: int) -> bytes:
        """Return some of it."""
        return bytes(self._data[offset : offset + length])

    def close(self) -> None:
        """Nothing to do."""


class SavedFiles(SystemFiles):
    """Files of the machine, and those that the capsule has."""

    def __init__(self, capsule: Capsule) -> None:
        files = {os.fsdecode(one.path): one for one in capsule.index.files}
        self._saved = {path: SavedFile(capsule.bytes_at(one.place), one.modified_ns) for path, one in files.items()}

    def open(self, path: str) -> Any:
        """Open an existing file."""
        return self._saved[path] if path in self._saved else super().open(path)


class TemporaryScratch:
    """A task's temporary space, in a file without a name."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the port)
        self._size = 0

    def append(self, data: Bytes) -> tuple[int, int]:
        """Write."""
        self._file.seek(self._size)
        self._file.write(data)
        place = (self._size, len(data))
        self._size += len(data)
        return place

    def read(self, offset: int, length: int) -> bytes:
        """Read what was written."""
        self._file.seek(offset)
        return self._file.read(length)


class ReplayPort:
    """What a replayed attempt touches: it is given what it was given then, and what it makes goes nowhere."""

    def __init__(self, capsule: Capsule) -> None:
        self._capsule = capsule
        self.task_bytes = capsule.index.task_bytes
        self.files: Files = SavedFiles(capsule)
        self._scratch: TemporaryScratch | None = None
        self._shared: dict[str, Any] = {}
        self._cached: dict[tuple[int, int], list[Bytes | None]] = defaultdict(list)
        for asked in capsule.index.cached:
            found = capsule.bytes_at(asked.place) if asked.place is not None else None
            self._cached[asked.operator, asked.partition].append(found)
        self.gang = tuple(GangMember(WorkerId(w), HostId(h)) for w, h in capsule.index.gang)
        self._meetings = iter(capsule.index.meetings)

    def enter(self, phase: Phase) -> None:
        """Nobody wants to know."""

    def pause(self, records: int = 0, fraction: float | None = None) -> None:
        """Nobody interrupts."""

    def parts(self, stage: StageId, partition: int) -> Iterator[tuple[PartSource, Iterator[Bytes]]]:
        """Give the parts that there were."""
        for read in self._capsule.index.parts:
            if (read.stage, read.partition) == (stage, partition):
                for source, attempt, place in read.parts:
                    yield PartSource(stage, source, AttemptId(attempt)), iter([self._capsule.bytes_at(place)])
                return
        raise _unforeseen(f"shuffle {stage}")

    def die(self) -> None:
        """Nobody dies a second time."""

    def provided(self, name: str) -> Iterator[Bytes]:
        """Give a block of the program's store."""
        place = self._capsule.index.blocks.get(name)
        if place is None:
            raise _unforeseen(name)
        yield self._capsule.bytes_at(place)

    def shared(self, name: str) -> Any:
        """Return a broadcast value."""
        if name not in self._shared:
            self._shared[name] = read_broadcast(self.provided(name))
        return self._shared[name]

    def cached(self, operator: OperatorId, partition: int) -> Iterable[Bytes] | None:
        """Answer as the attempt was answered, one time after the other."""
        answers = self._cached[operator, partition]
        found = (answers.pop(0) if len(answers) > 1 else answers[0]) if answers else None
        return [found] if found is not None else None

    def objects(self, operator: OperatorId, partition: int) -> None:
        """Nothing is held as objects."""

    def revive(self, operator: OperatorId, partition: int) -> None:
        """Nothing will be."""

    def keep(self, operator: OperatorId, partition: int, level: StorageLevel) -> None:
        """Nothing is kept."""

    def meet(self, call: str, message: str) -> tuple[str, ...]:
        """Answer what the others had said, or why they did not come."""
        met = next(self._meetings, None)
        if met is None:
            raise _unforeseen(call)
        messages, error = met
        if error:
            raise BarrierBroken(error)
        return messages

    def scratch(self) -> TemporaryScratch:
        """Return temporary space."""
        if self._scratch is None:
            self._scratch = TemporaryScratch()
        return self._scratch

    def map_output(self, partitions: int) -> Nowhere:
        """Begin a map output."""
        return Nowhere()

    def result(self) -> Nowhere:
        """Begin a result."""
        return Nowhere()

    def part_file(self, directory: str, suffix: str) -> Nowhere:
        """Begin a part of an output."""
        return Nowhere()


def _unforeseen(what: str) -> UsageError:
    return UsageError(
        f"this time the attempt asks for {what}, which it had not asked for when it was saved: its functions depend on more "
        "than its input. Look for time, chance or state in them."
    )


class Replay:
    """One attempt, ready to be run again.

    Args:
        folder: where what was shipped is kept, and `shipped`, what of it is.
        own: whether the run was this very process's, so that classes of `__main__` are here.

    """

    def __init__(self, capsule: Capsule, folder: str = "", shipped: Iterable[Item] = (), *, own: bool) -> None:
        self.index = capsule.index
        self._folder, self._shipped = folder, shipped
        self._capsule, self._own = capsule, own
        self._program: Program | None = None
        self._body: TaskBody | None = None

    def run(self, make: Callable[..., TaskBody] = TaskBody) -> Finished:
        """Run it; again with the functions as they were left by the time before.

        Args:
            make: makes the body.

        Raises:
            BaseException: what it raises.

        """
        index, program = self.index, self._program or self._load()
        task = TaskId(StageId(index.stage), index.partition)
        port = ReplayPort(self._capsule)
        attempt, properties = AttemptId(index.attempt), dict(index.properties)
        self._body = make(program, task, attempt, port, index.number, properties, self._folder)
        return self._body.run()

    def _load(self) -> Program:
        index = self.index
        find_modules(self._folder, self._shipped)  # first: whatever follows may import it
        if not self._own:
            from headrace.runtime.worker_process import install_main  # light to import: most programs never do this

            for digest in index.main:
                install_main(bytes(self._capsule.bytes_at(index.code[digest])))
        try:
            self._program = load_program(bytes(self._capsule.bytes_at(index.code[index.program])), self._function)
        except ModuleNotFoundError as error:
            raise ModuleMissing(
                f"the attempt's functions use the module {error.name!r}, which cannot be imported here. Run this in the "
                "environment of the program."
            ) from error
        return self._program

    def _function(self, digest: Digest) -> Callable[..., Any]:
        function: Callable[..., Any] = cloudpickle.loads(self._capsule.bytes_at(self.index.code[digest]))
        return function

    @property
    def program(self) -> Program | None:
        """What was run, once it has been."""
        return self._program

    def blame(self, error: BaseException) -> Blame:
        """Say of what it raised what can be said: the user's frames, the operator, the record."""
        return blame(error, self._program, self._body.flows if self._body is not None else ())


def look_into(error: BaseException) -> None:
    """Have `pdb` look at an exception, in the innermost frame that is not the engine's."""
    import pdb  # heavy, and rarely wanted

    trace, last = error.__traceback__, None
    here: types.TracebackType | None = trace
    while here is not None:
        if not in_engine(here.tb_frame.f_globals.get("__name__", "")):
            last = here
        here = here.tb_next
    if last is not None:
        last.tb_next = None  # what lies within is ours
    debugger = pdb.Pdb()
    debugger.reset()
    debugger.interaction(None, trace)


def enter(path: Iterable[str], folder: str) -> None:
    """Look for modules where the program did, and stand where it stood."""
    sys.path[:0] = [one for one in path if one not in sys.path]
    if folder and os.path.isdir(folder):
        os.chdir(folder)
