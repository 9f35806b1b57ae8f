"""Pickled records: in chunks with checksums and an index, so that a file can be cut; or one pickle after the other.

A file of ours is a mark, frames of records, a frame that lists where those begin, and the place of that one.  Classes of
`__main__` are pickled by value: another program may read the file.  A file without the mark was written by others,
with `pickle.dump`: each pickle in it is a record, and it can only be read from its beginning.
"""

from __future__ import annotations

import io
import pickle
import struct
from bisect import bisect_left
from collections.abc import Iterator
from itertools import chain
from typing import Any

from headrace.errors import InputError
from headrace.execute.chunks import HEADER, Corrupt, frame, split_frames
from headrace.execute.flow import Pace
from headrace.execute.formats.pieces import READ_BYTES, Input, Piece
from headrace.plan.byvalue import ByValuePickler
from headrace.plan.formats import Pickles

MARK = b"\x93records"  # no pickle begins with this byte
END = struct.Struct("<Q8s")  # where the index begins, and
END_MARK = b"records\x93"
INDEX = 1 << 7  # the flag of the frame that is the index


def read_pickles(source: Input, _: Pickles) -> Iterator[tuple[list[Any], int]]:
    """Read records; with each list, how many bytes of the split are read by then."""
    if source.codec is None and _bytes(source, 0, min(source.size, len(MARK))) == MARK:
        yield from _split(source)
    elif source.start == 0:
        stream = _Stream(source)
        yield from _ours(source, stream) if stream.begins_with(MARK) else _foreign(source, stream)


def _split(source: Input) -> Iterator[tuple[list[Any], int]]:
    """Read the chunks that begin in a split."""
    end = source.size - END.size
    at, mark = END.unpack(_bytes(source, end, source.size)) if end >= len(MARK) else (0, b"")
    if mark != END_MARK or not len(MARK) <= at < end:
        raise InputError(f"{source.path} is truncated: it does not end with its index. Write it again.")
    starts: list[int] = next(
        (listed for flags, listed in _chunks(source, at, source.part(at, end)) if flags & INDEX), []
    )
    first, stop = (bisect_left(starts, place) for place in (source.start, source.stop))
    if first < stop:
        read = 0

        def pieces() -> Iterator[Piece]:
            nonlocal read
            for piece in source.part(starts[first], starts[stop] if stop < len(starts) else at):
                read = piece.read
                yield piece

        for _, records in _chunks(source, starts[first], pieces()):
            yield records, read


def _ours(source: Input, stream: _Stream) -> Iterator[tuple[list[Any], int]]:
    """Read a file of ours from its beginning, up to its index."""
    for flags, records in _chunks(source, len(MARK), stream.pieces(len(MARK))):
        if flags & INDEX:
            for _ in stream.pieces(0):  # to its end: what compressed it has checksums of its own
                pass
            return
        yield records, stream.read_bytes
    raise InputError(f"{source.path} is truncated: it does not end with its index. Write it again.")


def _chunks(source: Input, at: int, pieces: Iterator[Piece]) -> Iterator[tuple[int, Any]]:
    """Unpickle a row of frames that begins at a place; give the flags and the value of each."""
    try:
        for part in split_frames(piece.data for piece in pieces):
            try:
                value = part.load()
            except Exception as error:
                raise _unpicklable(source, at, error) from error
            at += HEADER.size + len(part.data)
            yield part.flags, value
    except Corrupt as error:
        raise InputError(f"{source.path}: {source.where(at)}: {error}. Write or fetch the file again.") from error


def _unpicklable(source: Input, at: int, error: Exception) -> InputError:
    return InputError(
        f"{source.path}: what begins at {source.where(at)} cannot be unpickled: {type(error).__name__}: {error}. The file "
        "may be broken, or name a module or class that is not there."
    )


def _bytes(source: Input, start: int, stop: int) -> bytes:
    return b"".join(piece.data for piece in source.part(start, stop))


# Files of others.


def _foreign(source: Input, stream: _Stream) -> Iterator[tuple[list[Any], int]]:
    buffered = io.BufferedReader(stream, READ_BYTES)

    def records() -> Iterator[Any]:
        while buffered.peek(1):
            at = buffered.tell()
            try:
                record = pickle.load(buffered)
            except InputError:
                raise
            except Exception as error:
                raise _unpicklable(source, at, error) from error
            yield record

    for some in Pace().lists(records()):
        yield some, stream.read_bytes


class _Stream(io.RawIOBase):
    """All that a file holds, unpacked, as a stream."""

    def __init__(self, source: Input) -> None:
        super().__init__()
        self._coming, self._left, self._at = source.whole(), b"", 0
        self.read_bytes = 0

    def begins_with(self, mark: bytes) -> bool:
        """Whether the first bytes are these; nothing is taken."""
        while len(self._left) < len(mark) and (piece := next(self._coming, None)):
            self._left += piece.data
        return self._left.startswith(mark)

    def pieces(self, skipped: int) -> Iterator[Piece]:
        """Give what is left but for its first bytes, in pieces."""
        first, self._left = self._left[skipped:], b""
        for piece in chain([Piece(first, skipped, self.read_bytes)] if first else [], self._coming):
            self.read_bytes = piece.read
            yield piece

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            piece = next(self._coming, None)
            if piece is None:
                return 0
            self._left, self.read_bytes = piece.data, piece.read
        length = min(len(buffer), len(self._left))
        buffer[:length], self._left = self._left[:length], self._left[length:]
        self._at += length
        return length

    def tell(self) -> int:
        return self._at


# Writing.


class PicklesWriter:
    """Writes a chunk for each list of records."""

    suffix = ".pickle"

    def __init__(self) -> None:
        self._at = 0
        self._starts: list[int] = []

    def begin(self) -> bytes:
        """Write the mark."""
        self._at = len(MARK)
        return MARK

    def encode(self, records: list[Any]) -> bytes:
        """Write a chunk.

        Raises:
            ProgramError: a record cannot be pickled.

        """
        data = frame(records, len(records), pickler=ByValuePickler)
        self._starts.append(self._at)
        self._at += len(data)
        return data

    def finish(self) -> bytes:
        """Write the index."""
        return frame(self._starts, 0, INDEX) + END.pack(self._at, END_MARK)
