"""Capsules: what one failed attempt was given, in one file, so that it can be run again when its run is over.

The data lie end to end; behind them an index says what they are, and at the end stands where it begins and a digest of it
all.  Nothing is unpickled here.  The digest guards against damage, not against forgery: a capsule is as trustworthy as the
folder that it lies in, which is its owner's alone.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable

import msgspec
from msgspec import Struct, field

from headrace.errors import InputError
from headrace.ports import Bytes, Files, WriteFile
from headrace.store.mapoutput import read_range

MAGIC = b"hrc1"
TAIL = struct.Struct("<Q16s")  # where the index begins, and the digest of all that stands before the digest
DIGEST_BYTES = 16
PIECE = 1 << 20
Place = tuple[int, int]  # offset and length


class PartsRead(Struct, frozen=True):
    """A partition of a shuffle: its parts in the order in which they came, each with the map partition and attempt."""

    stage: int
    partition: int
    parts: tuple[tuple[int, int, Place], ...]


class CacheAsked(Struct, frozen=True):
    """A partition of a cached dataset that was asked for; without a place, nobody had it."""

    operator: int
    partition: int
    place: Place | None


class FileRead(Struct, frozen=True):
    """A file of the run's own, its path as the system has it, and when it was written."""

    path: bytes
    modified_ns: int
    place: Place


class Index(Struct, frozen=True):
    """What a capsule holds.

    Attributes:
        job, stage, partition, attempt, worker: what ran, where.
        number: which try of its task it was; `properties` are the job's local ones.
        summary, text: what it raised, in one line and in full.
        task_bytes: what the task might hold: where it spilled depends on that.
        program: the digest of its program; `code` has the bytes of that and of the functions that it names.
        main: of those, what holds classes of `__main__`.
        blocks: of the program's own store: slices and broadcast values.
        gang: workers and hosts of the tasks that ran at once with it; `meetings` tells what all said at each, or why not.
        files: of the run's own that were read: checkpoints that go with it.

    """

    job: int
    stage: int
    partition: int
    attempt: int
    worker: str
    summary: str
    text: str
    task_bytes: int
    program: str
    number: int = 0
    properties: tuple[tuple[str, str], ...] = ()
    code: dict[str, Place] = field(default_factory=dict)
    main: tuple[str, ...] = ()
    parts: tuple[PartsRead, ...] = ()
    blocks: dict[str, Place] = field(default_factory=dict)
    cached: tuple[CacheAsked, ...] = ()
    gang: tuple[tuple[str, str], ...] = ()
    meetings: tuple[tuple[tuple[str, ...], str], ...] = ()
    files: tuple[FileRead, ...] = ()


class TooLarge(Exception):
    """More than a capsule may hold."""


class CapsuleWriter:
    """Writes a capsule; the index comes last.

    Args:
        limit: bytes of data that it may hold.

    """

    def __init__(self, files: Files, path: str, limit: int) -> None:
        self._files, self._path, self._limit = files, path, limit
        self._file: WriteFile = files.create(path)
        self._digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        self.size = 0
        self._write(MAGIC)

    def _write(self, piece: Bytes) -> None:
        self._file.write(piece)
        self._digest.update(piece)
        self.size += len(piece)

    def add(self, pieces: Iterable[Bytes]) -> Place:
        """Append data; return where they lie.

        Raises:
            TooLarge: there is no room for them.

        """
        start = self.size
        for piece in pieces:
            if self.size + len(piece) > self._limit:
                raise TooLarge
            self._write(piece)
        return start, self.size - start

    def finish(self, index: Index) -> None:
        """Write the index: the capsule is whole."""
        start = self.size
        self._write(msgspec.msgpack.encode(index))
        where = struct.pack("<Q", start)
        self._write(where)
        self._file.write(self._digest.digest())
        self._file.close()

    def abandon(self) -> None:
        """Remove what was written."""
        self._file.abandon()
        self._files.remove(self._path)


class Capsule:
    """A capsule that was read and is undamaged."""

    def __init__(self, index: Index, data: bytes) -> None:
        self.index, self._data = index, memoryview(data)

    def bytes_at(self, place: Place) -> memoryview:
        """Return some of its data."""
        offset, length = place
        return self._data[offset : offset + length]


def read_capsule(files: Files, path: str) -> Capsule:
    """Read a capsule and check it.

    Raises:
        InputError: it is missing, damaged, or not one of ours.

    """
    try:
        file = files.open(path)
        try:
            data = b"".join(read_range(file, 0, file.size, PIECE))
        finally:
            file.close()
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}. Run the job again to have it anew."
        ) from error
    if data[: len(MAGIC)] != MAGIC or len(data) < len(MAGIC) + TAIL.size:
        raise InputError(f"{path} is not a saved attempt of this version of headrace. Run the job again to have one.")
    start, digest = TAIL.unpack_from(data, len(data) - TAIL.size)
    if hashlib.blake2b(data[:-DIGEST_BYTES], digest_size=DIGEST_BYTES).digest() != digest:
        raise InputError(f"{path} is damaged: its digest is wrong. Run the job again to have the attempt saved anew.")
    try:
        index = msgspec.msgpack.decode(data[start : -TAIL.size], type=Index)
    except msgspec.MsgspecError as error:
        raise InputError(f"{path} was saved by another version of headrace ({error}). Run the job again.") from error
    return Capsule(index, data)
