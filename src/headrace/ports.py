"""What the engine needs from the world, as protocols.  `runtime` provides each for real, `sim` from a seed.

There are two sides.  Loops use ports whose answers come back as events, and nothing of theirs blocks.  The body of a task
(all of the user's code) uses a `TaskPort`, which may block in `Gate.wait`, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import FrameType
from typing import Any, Literal, NewType, Protocol

from msgspec import Struct

from headrace.ids import AttemptId, HostId, OperatorId, StageId, WorkerId
from headrace.plan.levels import StorageLevel

Bytes = bytes | bytearray | memoryview
Peer = NewType("Peer", int)  # one channel to one process; a new channel to the same process is another peer
Phase = Literal["idle", "fetch", "compute", "write", "commit"]


# The world under the loops.


class Clock(Protocol):
    """Time since an arbitrary start, in nanoseconds; never goes back."""

    def now_ns(self) -> int:
        """Return the time."""
        ...


class ReadFile(Protocol):
    """A file open for reading at any place.  Its size is what it was when it was opened."""

    size: int
    modified_ns: int

    def pread(self, offset: int, length: int) -> bytes:
        """Return up to `length` bytes from `offset` on; fewer only at the end."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class WriteFile(Protocol):
    """A new file, written from its beginning; readable at any place already."""

    def write(self, data: Bytes) -> None:
        """Append.  Raises DiskFull when no space is left."""
        ...

    def pread(self, offset: int, length: int) -> bytes:
        """Return bytes that were written."""
        ...

    def sync(self) -> None:
        """Return once everything written survives a loss of power."""
        ...

    def close(self) -> None:
        """Let go of it; what was written can be read by others.  Raises DiskFull, and has let go of it all the same."""
        ...

    def abandon(self) -> None:
        """Let go of it, for it is about to be removed: never fails for lack of space."""
        ...


class Files(Protocol):
    """A file system, as far as we need one.  Paths are absolute.  Missing files raise FileNotFoundError."""

    def open(self, path: str) -> ReadFile:
        """Open an existing file."""
        ...

    def create(self, path: str) -> WriteFile:
        """Create a file, or empty it; its folder exists."""
        ...

    def rename(self, old: str, new: str) -> None:
        """Give a file another name at once, replacing what had that name."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file; nothing happens if there is none."""
        ...

    def remove_tree(self, path: str) -> None:
        """Remove a folder and all that is in it; nothing happens if there is none."""
        ...

    def make_dirs(self, path: str) -> None:
        """Make a folder and those it lies in, for the owner only; nothing happens if it is there."""
        ...

    def list(self, path: str) -> list[str]:
        """Return the names in a folder, sorted; none if there is no such folder."""
        ...

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder of that name."""
        ...

    def sync_dir(self, path: str) -> None:
        """Return once the names in a folder survive a loss of power."""
        ...


class Network(Protocol):
    """Channels between processes.

    Frames arrive whole and, while a channel lives, in order; when it breaks, the tail of what was sent is lost, and the
    owner is told with `closed`.  Frames may arrive twice.
    """

    def send(self, peer: Peer, data: bytes) -> None:
        """Send a frame, or drop it if the channel is gone."""
        ...

    def connect(self, address: str) -> Peer:
        """Open a channel; `opened` or `closed` follows."""
        ...

    def close(self, peer: Peer) -> None:
        """Give a channel up."""
        ...


class Endpoint(Protocol):
    """Who is told what a network does: a loop."""

    def opened(self, peer: Peer) -> None:
        """The other side has proved who it is."""
        ...

    def received(self, peer: Peer, data: bytes) -> None:
        """A frame came."""
        ...

    def closed(self, peer: Peer) -> None:
        """The channel is gone."""
        ...


class Exit(Struct, frozen=True):
    """How a process ended.

    Attributes:
        code: the exit status, or None when a signal ended it.
        signal: the signal's number, or None.
        asked: we had killed it ourselves.
        notes: what the kernel and the limits say, one sentence each.
        log: the last lines that it printed.
        phase, attempt: what it was doing, as far as anybody can tell.

    """

    code: int | None
    signal: int | None
    asked: bool = False
    notes: tuple[str, ...] = ()
    log: tuple[str, ...] = ()
    phase: Phase = "idle"
    attempt: AttemptId | None = None


class Place(Protocol):
    """Where processes come from and go to.  What becomes of them is told to the loop as events."""

    def launch(self, worker: WorkerId, host: HostId) -> None:
        """Start a worker; it opens a channel when it is ready, or its exit is told."""
        ...

    def kill(self, worker: WorkerId) -> None:
        """End a worker at once, with all that it started."""
        ...

    def pid(self, worker: WorkerId) -> int | None:
        """Return the number of a worker's process; None if it has ended, as of this moment, or does not exist yet."""
        ...

    def probe(self, worker: WorkerId) -> int | None:
        """Return the processor time that a worker has used, in nanoseconds; None if it cannot be told."""
        ...

    def destroy(self, host: HostId) -> None:
        """End all workers of a host and lose its disk."""
        ...


# The world under a task's body.


class Flag(Protocol):
    """Something to wait for."""

    def is_set(self) -> bool:
        """Whether it has happened."""
        ...

    def set(self) -> None:
        """Say that it has happened; from any thread."""
        ...

    def clear(self) -> None:
        """Make it wait for the next time; only whoever waits does this."""
        ...


class Gate(Protocol):
    """The one place where a body may block."""

    def flag(self) -> Flag:
        """Make something to wait for."""
        ...

    def wait(self, flag: Flag) -> None:
        """Sleep until it has happened."""
        ...

    def pause(self, records: int) -> None:
        """Between chunks: let the world go on; `records` is what was done since the last call."""
        ...

    def confirm(self) -> None:
        """Before anything is touched that others see: end this process if user code forked it off the worker's."""
        ...

    def die(self) -> None:
        """End this process at once, as if it had been killed."""
        ...


class Runner(Protocol):
    """Runs bodies, one at a time, beside the loop."""

    def start(self, body: Callable[[], None]) -> None:
        """Run a body soon; it tells the loop itself when it has ended."""
        ...

    def frame(self) -> FrameType | None:
        """Return the innermost frame of the body that runs, for those who ask what it is doing; None if nobody can tell."""
        ...


class Recorder(Protocol):
    """Where a worker notes what it is doing, for those who find it dead."""

    def note(self, phase: Phase, attempt: int) -> None:
        """Note it."""
        ...


class BlockLost(Exception):
    """A block that a task needs is missing or corrupt: not the task's fault, but it cannot go on.

    Attributes:
        stage: the shuffle.
        lost: for each block, the map partition and the attempt that was to have written it.

    """

    def __init__(self, stage: StageId, lost: Iterable[tuple[int, AttemptId]], why: str) -> None:
        self.stage, self.lost, self.why = stage, tuple(lost), why
        super().__init__(f"{len(self.lost)} map output{'s' * (len(self.lost) != 1)} of shuffle {stage}: {why}")


class GangMember(Struct, frozen=True):
    """Who runs one of the tasks that run at once."""

    worker: WorkerId
    host: HostId


class TaskCancelled(BaseException):
    """Raised between chunks in a body that is to stop.  Not an Exception: user code must not swallow it by accident."""


class PartSource(Struct, frozen=True):
    """Who wrote one part of a shuffle: named when the part turns out to be broken."""

    stage: StageId
    partition: int
    attempt: AttemptId


class Scratch(Protocol):
    """A task's own temporary space, gone when the task ends."""

    def append(self, data: Bytes) -> tuple[int, int]:
        """Write, and return where: offset and length."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """Read what was written."""
        ...


class MapOutput(Protocol):
    """What a map task writes: one data file, with a part for each reduce partition, and one index."""

    def part(self, pieces: Iterable[Bytes], records: int) -> None:
        """Write the next reduce partition's part."""
        ...


class CacheEntry(Protocol):
    """A partition on its way into a worker's keeping."""

    def add(self, frame: bytes) -> bool:
        """Keep one more frame; False if the partition does not fit and will not be kept."""
        ...

    def done(self) -> None:
        """Nothing more comes: from now on others may read it."""
        ...


class Objects(Protocol):
    """A cached partition's records, on their way to be held as objects."""

    def add(self, records: list[Any]) -> bool:
        """Hold one more chunk; False if it will not be held: somebody could change its records, or they are many."""
        ...

    def done(self) -> None:
        """Nothing more comes: from now on others may read it."""
        ...


class ResultWriter(Protocol):
    """What a task of a result stage brings back."""

    def write(self, frame: bytes) -> None:
        """Append a frame."""
        ...


class TaskPort(Protocol):
    """All that a task's body may touch."""

    task_bytes: int  # what the task's growing structures may hold together
    files: Files

    def enter(self, phase: Phase) -> None:
        """Note what the body is doing, for those who find the process dead."""
        ...

    def pause(self, records: int = 0, fraction: float | None = None) -> None:
        """Between chunks: note progress, let the world go on, and raise TaskCancelled if the task is to stop."""
        ...

    def parts(self, stage: StageId, partition: int) -> Iterator[tuple[PartSource, Iterator[Bytes]]]:
        """Give one reduce partition's parts, in the order of the map partitions, each in pieces."""
        ...

    def provided(self, name: str) -> Iterator[Bytes]:
        """Read a block of the program's own store, in pieces."""
        ...

    def shared(self, name: str) -> Any:
        """Return a broadcast value, which this process reads once."""
        ...

    def die(self) -> None:
        """End this process at once, as if it had been killed: a test wants that here."""
        ...

    def cached(self, operator: OperatorId, partition: int) -> Iterable[Bytes] | None:
        """Return a cached partition's frames, in pieces, wherever they are; None if nobody has them."""
        ...

    def objects(self, operator: OperatorId, partition: int) -> list[list[Any]] | None:
        """Return a cached partition's records, where this process holds them as objects; the lists are not to be changed."""
        ...

    def revive(self, operator: OperatorId, partition: int) -> Objects | None:
        """Begin to hold a cached partition's records as objects; None if they will not be held."""
        ...

    def keep(self, operator: OperatorId, partition: int, level: StorageLevel) -> CacheEntry | None:
        """Begin to cache a partition; None if it will not be kept."""
        ...

    @property
    def gang(self) -> tuple[GangMember, ...]:
        """Who runs at once with this task, itself included, by partition; empty where tasks run by themselves."""
        ...

    def meet(self, call: str, message: str) -> tuple[str, ...]:
        """Wait for all tasks that run at once with this one to make the same call; return what all said, by partition.

        Raises BarrierBroken if they will not, and TaskCancelled if the task is to stop.
        """
        ...

    def scratch(self) -> Scratch:
        """Return the task's temporary space."""
        ...

    def map_output(self, partitions: int) -> MapOutput:
        """Begin the task's map output."""
        ...

    def result(self) -> ResultWriter:
        """Begin the task's result."""
        ...

    def part_file(self, directory: str, suffix: str) -> WriteFile:
        """Create the task's part of an output directory, aside; its name is its number and the suffix."""
        ...
