"""What the checkers see pass the ports of a simulated world, beside the steps of its loops."""

from __future__ import annotations

from zlib import crc32

from msgspec import Struct

from headrace.ids import AttemptId, HostId, StageId, WorkerId
from headrace.ports import PartSource
from headrace.protocols.messages import Report


class BodyBegan(Struct, frozen=True):
    """A worker is about to run the body of an attempt."""

    worker: WorkerId
    attempt: AttemptId
    now_ns: int


class BodyEnded(Struct, frozen=True):
    """The body of an attempt has come to its end."""

    worker: WorkerId
    attempt: AttemptId
    now_ns: int


class WorkerEnded(Struct, frozen=True):
    """A process is gone, with what it ran."""

    worker: WorkerId


class PowerLost(Struct, frozen=True):
    """A host goes down and comes back: its disk may have forgotten changes of names, removals among them."""

    host: HostId


class PartWritten(Struct, frozen=True):
    """A body wrote the part of its map output that is for one reduce partition; `digest` is of its bytes."""

    attempt: AttemptId
    number: int
    digest: int


class ResultWritten(Struct, frozen=True):
    """A body appended to its result; `digest` is of all bytes so far."""

    attempt: AttemptId
    digest: int


class PartRead(Struct, frozen=True):
    """A body asked for one part of a map output; `digest` is of its bytes, or None where it did not take them all."""

    attempt: AttemptId
    source: PartSource
    number: int
    digest: int | None


class Said(Struct, frozen=True):
    """A worker sends the report of an attempt.

    Attributes:
        missing: files of its output that are not where others look for them, though it says that it is done.

    """

    worker: WorkerId
    report: Report
    missing: tuple[str, ...] = ()


class Announced(Struct, frozen=True):
    """The program tells a worker by which attempts the outputs of a shuffle were written."""

    worker: str
    stage: StageId
    attempts: tuple[AttemptId, ...]


class Delivered(Struct, frozen=True):
    """The bytes of a result that did not come along with its report have reached the program."""

    attempt: AttemptId
    digest: int


class Renamed(Struct, frozen=True):
    """The program gave a file another name."""

    old: str
    new: str


class Created(Struct, frozen=True):
    """The program is about to create a file."""

    path: str


class TreeRemoved(Struct, frozen=True):
    """The program has removed a folder."""

    path: str


class StreamBegan(Struct, frozen=True):
    """A process begins to pull blocks."""

    process: str
    name: str


class StreamEnded(Struct, frozen=True):
    """A process pulls these blocks no longer."""

    process: str
    name: str


class Settled(Struct, frozen=True):
    """A worker knows what became of an attempt that it had reported, and has let go of it."""

    worker: WorkerId
    attempt: AttemptId


def digest(data: bytes | bytearray | memoryview, before: int = 0) -> int:
    """Return a number for some bytes, that follow others."""
    return crc32(data, before)
