"""A map task's output: one data file, whatever the number of reducers, and one index.

The index has, for each reduce partition, where its part lies in the data file, how long it is and how many records it has;
in blocks with a checksum each, so that a reader of few parts of many reads and holds little of it.  The data file is put in
place before the index, so an index promises that the data are there.

Source: Spark's sort-based shuffle, for the two files; the format is ours.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from zlib import crc32

from msgspec import Struct

from headrace.ports import Bytes, Files, ReadFile, WriteFile

HEAD = struct.Struct("<4sI")
ENTRY = struct.Struct("<QQQ")
TAIL = struct.Struct("<I")
MAGIC = b"hri2"
OPEN_MAX = 128
BLOCK_PARTS = (
    64  # in a block of the index; neighbours of a tiny part in it are read with it, for whoever reads the next
)
BLOCK_BYTES = BLOCK_PARTS * ENTRY.size + TAIL.size
RUN_BYTES = 64 << 10  # and no more than so much of one file,
RUNS_BYTES = 8 << 20  # or of all


class Broken(OSError):
    """An index that is not one, or does not fit its data; a file that has become shorter."""


class Part(Struct, frozen=True):
    """One reduce partition's part of a map output."""

    offset: int
    length: int
    records: int


class MapOutputFiles:
    """Writes a map output aside, part by part."""

    def __init__(self, files: Files, path: str, partitions: int) -> None:
        self._files, self.path, self._partitions = files, path, partitions
        self._data: WriteFile = files.create(f"{path}.data")
        self._parts: list[Part] = []
        self._at = 0

    def part(self, pieces: Iterable[Bytes], records: int) -> None:
        """Write the next reduce partition's part."""
        start = self._at
        for piece in pieces:
            self._data.write(piece)
            self._at += len(piece)
        self._parts.append(Part(start, self._at - start, records))

    def finish(self) -> int:
        """Write the index; return the bytes of data."""
        assert len(self._parts) == self._partitions, "every reduce partition has a part, if only an empty one"
        self._data.close()
        head = HEAD.pack(MAGIC, len(self._parts))
        index = self._files.create(f"{self.path}.index")
        try:
            index.write(head + TAIL.pack(crc32(head)))
            for first in range(0, len(self._parts), BLOCK_PARTS):
                some = self._parts[first : first + BLOCK_PARTS]
                block = b"".join(ENTRY.pack(part.offset, part.length, part.records) for part in some)
                index.write(block + TAIL.pack(crc32(block, first)))
        finally:
            index.close()
        return self._at

    def discard(self) -> None:
        """Remove what was written."""
        self._data.abandon()
        remove_map_output(self._files, self.path)

    def publish(self, path: str) -> None:
        """Put both files where readers look for them, the index last."""
        self._files.make_dirs(path.rpartition("/")[0])
        self._files.rename(f"{self.path}.data", f"{path}.data")
        self._files.rename(f"{self.path}.index", f"{path}.index")


def remove_map_output(files: Files, path: str) -> None:
    """Remove both files, the index first."""
    files.remove(f"{path}.index")
    files.remove(f"{path}.data")


class Run(Struct, frozen=True):
    """Tiny parts of one map output that were read at once.

    Attributes:
        first: the reduce partition of the first.
        bounds: where each begins in the data, and where the last ends.

    """

    first: int
    bounds: tuple[int, ...]
    data: bytes

    def part(self, number: int) -> bytes | None:
        """Return a part; None if it is not among these."""
        at = number - self.first
        return self.data[self.bounds[at] : self.bounds[at + 1]] if 0 <= at < len(self.bounds) - 1 else None


class Block(Struct, frozen=True):
    """A block of an index.

    Attributes:
        first: the reduce partition of its first entry.

    """

    first: int
    entries: bytes

    def has(self, number: int) -> bool:
        """Whether a part is in it."""
        return 0 <= number - self.first < len(self.entries) // ENTRY.size


class MapOutputReader:
    """Reads parts of map outputs; keeps the files that were used last open, and what was read beside tiny parts.

    With a thousand map outputs of a thousand parts each, opening a file for every part would take most of the time.

    Args:
        room: bytes that what was read beside tiny parts may take; never more than `RUNS_BYTES`.

    """

    def __init__(self, files: Files, room: int = RUNS_BYTES) -> None:
        self._files, self._room = files, min(room, RUNS_BYTES)
        self._open: OrderedDict[str, tuple[ReadFile, Block]] = OrderedDict()
        self._runs: OrderedDict[str, Run] = OrderedDict()
        self._runs_bytes = 0

    def held(self, path: str, number: int) -> bytes | None:
        """Return a part that was read beside another, or None; what an attempt wrote never changes."""
        run = self._runs.get(path)
        return run.part(number) if run is not None else None

    def read(self, path: str, number: int, piece: int) -> Iterator[bytes]:
        """Read a part in pieces; a tiny one with its neighbours.

        Raises:
            FileNotFoundError: there is no such output.  Broken: it is damaged.

        """
        data, part = self.part(path, number)
        if part.length < RUN_BYTES // 2:
            run = self._run(data, self._open[path][1], part, number)
            if len(run.bounds) > 2:
                self._hold(path, run)
                found = run.part(number)
                return iter((found,) if found else ())
        return read_range(data, part.offset, part.length, piece)

    def _run(self, data: ReadFile, block: Block, part: Part, number: int) -> Run:
        bounds = [0]
        for offset, length, _ in ENTRY.iter_unpack(block.entries[(number - block.first) * ENTRY.size :]):
            stop = offset + length - part.offset
            if offset != part.offset + bounds[-1] or stop > RUN_BYTES or part.offset + stop > data.size:
                break
            bounds.append(stop)
        found = data.pread(part.offset, bounds[-1]) if bounds[-1] else b""
        return Run(number, tuple(bounds) if len(found) == bounds[-1] else (0,), found)

    def _hold(self, path: str, run: Run) -> None:
        self._drop(path)
        self._runs[path] = run
        self._runs_bytes += _held_bytes(run)
        while self._runs_bytes > self._room:
            self._drop(next(iter(self._runs)))

    def _drop(self, path: str) -> None:
        run = self._runs.pop(path, None)
        if run is not None:
            self._runs_bytes -= _held_bytes(run)

    def part(self, path: str, number: int) -> tuple[ReadFile, Part]:
        """Find a part.

        Raises:
            FileNotFoundError: there is no such output.  Broken: it is damaged.

        """
        found = self._open.get(path)
        if found is None:
            block = _read_block(self._files, path, number)
            found = self._open[path] = self._files.open(f"{path}.data"), block
            if len(self._open) > OPEN_MAX:
                _, (oldest, _) = self._open.popitem(last=False)
                oldest.close()
        elif not found[1].has(number):
            found = self._open[path] = found[0], _read_block(self._files, path, number)
        self._open.move_to_end(path)
        data, block = found
        part = Part(*ENTRY.unpack_from(block.entries, (number - block.first) * ENTRY.size))
        if part.offset + part.length > data.size:
            raise Broken(
                f"the data file has {data.size:,} bytes, and part {number} ends at {part.offset + part.length:,}"
            )
        return data, part

    def forget(self, prefix: str) -> None:
        """Close what lies under a folder that is about to go."""
        for path in [path for path in self._open if path.startswith(prefix)]:
            self._open.pop(path)[0].close()
        for path in [path for path in self._runs if path.startswith(prefix)]:
            self._drop(path)

    def close(self) -> None:
        """Close everything."""
        self.forget("")


def _read_block(files: Files, path: str, number: int) -> Block:
    """Read the block of an index that has a part's entry."""
    index = files.open(f"{path}.index")
    try:
        head = index.pread(0, HEAD.size + TAIL.size)
        if len(head) < HEAD.size + TAIL.size or TAIL.unpack(head[HEAD.size :])[0] != crc32(head[: HEAD.size]):
            raise Broken("the index has a wrong checksum")
        magic, count = HEAD.unpack_from(head)
        if magic != MAGIC:
            raise Broken("the index is not one of ours")
        if not 0 <= number < count:
            raise Broken(f"the index has no part {number}")
        first = number - number % BLOCK_PARTS
        length = min(BLOCK_PARTS, count - first) * ENTRY.size
        raw = index.pread(len(head) + first // BLOCK_PARTS * BLOCK_BYTES, length + TAIL.size)
    finally:
        index.close()
    block = raw[:length]
    if len(raw) < length + TAIL.size or TAIL.unpack(raw[length:])[0] != crc32(block, first):
        raise Broken("the index has a wrong checksum")
    return Block(first, block)


def _held_bytes(run: Run) -> int:
    return len(run.data) + 32 * len(run.bounds)


def read_range(file: ReadFile, offset: int, length: int, piece: int) -> Iterator[bytes]:
    """Read a range of a file in pieces.

    Raises:
        Broken: the file ends before the range does.

    """
    end = offset + length
    while offset < end:
        data = file.pread(offset, min(piece, end - offset))
        if not data:
            raise Broken(f"the file ends at byte {offset:,}, and {end:,} were expected")
        yield data
        offset += len(data)
