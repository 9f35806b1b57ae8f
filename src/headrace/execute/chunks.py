"""Chunks: a few thousand records at a time, pickled one by one, each with its length and checksum.

A partition on disk or on the wire is a row of frames; a frame is a header and one pickle.  The header tells what the
pickle holds: a list of records, or, for pairs on their way through a shuffle, a list of keys and a list of values, which
pickles in half the time that a list of pairs takes.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import struct
import sys
import types
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from zlib import crc32

from headrace.errors import ProgramError
from headrace.plan.byvalue import ByValuePickler
from headrace.plan.functions import PROTOCOL
from headrace.plan.hashing import short

CHUNK_RECORDS = 4096
CHUNK_BYTES = 1 << 20  # of pickled data in one frame, as far as records are smaller than that
HEADER = struct.Struct("<IIIII")  # bytes of the pickle, its CRC-32, records, flags, CRC-32 of these four
FIELDS = struct.Struct("<IIII")  # the header without its own checksum,
OWN = struct.Struct("<I")  # and that
SET_SCANNED = 4096  # elements; a larger set is taken to hold small things
COLUMNS = 1  # the pickle is (keys, values)
NAN_KEYS = 2  # some key is or holds a NaN
LISTS = 4  # the values are lists of values, one list per input
GROUPED = 8  # the values are lists of values, of one input
TWOFOLD = 16  # not one pickle but two, keys and values, behind the length of the first
PAIRS = 32  # columns of pairs that were a list, and are again when it is unpickled
LENGTH = struct.Struct("<I")
LENGTH_MAX = 1 << 32

main_classes: dict[str, type] = {}  # classes of `__main__` that every process of the run has, by name


class Corrupt(Exception):
    """Bytes that are not the frame they should be."""


class DataPickler(ByValuePickler):
    """Pickles data: classes that the reader has by name go by name, only the others by value."""

    def reducer_override(self, obj: Any) -> Any:
        """Decide by type: what `__main__` shares with the workers goes by name."""
        if isinstance(obj, type) and obj.__module__ == "__main__" and main_classes.get(obj.__qualname__) is obj:
            return NotImplemented
        return super().reducer_override(obj)


def dumps(value: Any) -> bytes:
    """Pickle one value of the user's."""
    buffer = io.BytesIO()
    DataPickler(buffer, PROTOCOL).dump(value)
    return buffer.getvalue()


def loads(data: bytes | memoryview) -> Any:
    """Unpickle what `dumps` or a frame holds."""
    return pickle.loads(data)


def frame(
    value: Any, records: int, flags: int = 0, pickler: type[ByValuePickler] = DataPickler, before: bytes = b""
) -> bytes:
    """Pickle a chunk into a frame.

    Args:
        before: bytes of the frame before the pickle.

    Raises:
        ProgramError: a record cannot be pickled; the message shows which.

    >>> list(unframe(frame([1, 2], 2)))
    [([1, 2], 0)]

    """
    buffer = io.BytesIO()
    buffer.write(bytes(HEADER.size) + before)
    try:
        pickler(buffer, PROTOCOL).dump(value)
    except Exception as error:
        raise _unpicklable(value, error) from error
    view = buffer.getbuffer()
    fields = _fields(view[HEADER.size :], records, flags)
    HEADER.pack_into(view, 0, *FIELDS.unpack(fields), crc32(fields))
    view.release()
    return buffer.getvalue()


def plain_frame(value: Any, records: int, flags: int = 0) -> bytes:
    """Pickle a small chunk of plain values: the same frame in a quarter of the time, where millions have one record each.

    >>> plain_frame(([1], ["a"]), 1, COLUMNS) == frame(([1], ["a"]), 1, COLUMNS)
    True
    """
    pickled = pickle.dumps(value, PROTOCOL)
    fields = _fields(pickled, records, flags)
    return b"".join((fields, OWN.pack(crc32(fields)), pickled))


def _fields(body: bytes | memoryview, records: int, flags: int) -> bytes:
    if len(body) >= LENGTH_MAX:
        raise ProgramError(f"a chunk of {records} records takes {len(body):,} bytes; make the records smaller")
    return FIELDS.pack(len(body), crc32(body), records, flags)


def twofold(keys: bytes, values: Sequence[Any]) -> bytes:
    """Make a frame of keys that are pickled already, and their values.

    >>> list(unframe(twofold(dumps(["a", "b"]), [1, 2])))
    [((['a', 'b'], [1, 2]), 17)]
    """
    return frame(values, len(values), COLUMNS | TWOFOLD, before=LENGTH.pack(len(keys)) + keys)


def list_frame(records: list[Any]) -> bytes:
    """Make a frame of a list of records, of pairs as their columns.

    >>> [(value, flags & PAIRS) for value, flags in unframe(list_frame([(1, "a"), (2, "b")]) + list_frame([3]))]
    [([(1, 'a'), (2, 'b')], 32), ([3], 0)]
    """
    if len(records) > 1 and set(map(type, records)) == {tuple}:
        try:
            columns = [key for key, _ in records], [value for _, value in records]
        except ValueError:  # longer tuples, or shorter ones
            pass
        else:
            return frame(columns, len(records), PAIRS)
    return frame(records, len(records))


def _unpicklable(value: Any, error: Exception) -> Exception:
    columns = value if isinstance(value, tuple) else (value,)
    for record in (record for column in columns for record in column):
        try:
            dumps(record)
        except Exception as cause:
            return ProgramError(
                f"the record {short(record)} cannot be sent to another process: {cause}. Return plain data: numbers, "
                "text, tuples, lists, instances of your classes; call list(...) on generators."
            )
    return error


class Frame:
    """A frame as it was read: its parts, not yet unpickled."""

    __slots__ = ("data", "flags", "records")

    def __init__(self, data: memoryview, records: int, flags: int) -> None:
        self.data, self.records, self.flags = data, records, flags

    def load(self) -> Any:
        """Unpickle it."""
        if self.flags & TWOFOLD:
            return tuple(map(pickle.loads, self.halves()))
        if self.flags & PAIRS:
            return list(zip(*pickle.loads(self.data), strict=True))
        return pickle.loads(self.data)

    def columns(self) -> tuple[list[Any], list[Any]] | None:
        """Unpickle a list of pairs as their columns, where it is pickled so: a third of the time."""
        return pickle.loads(self.data) if self.flags & PAIRS else None

    def halves(self) -> tuple[memoryview, memoryview]:
        """Return the pickles of keys and of values, where they are two."""
        (length,) = LENGTH.unpack_from(self.data)
        return self.data[LENGTH.size : LENGTH.size + length], self.data[LENGTH.size + length :]


def split_frames(pieces: Iterable[bytes | bytearray | memoryview]) -> Iterator[Frame]:
    """Cut a row of frames out of pieces of any size, checking checksums before anybody believes a length or unpickles.

    Raises:
        Corrupt: a checksum is wrong, or the row ends within a frame.

    """
    held: list[bytes | bytearray | memoryview] = []  # pieces that do not make a whole frame yet
    size = wanted = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size < wanted:
            continue
        data = memoryview(piece if len(held) == 1 else b"".join(held))
        at = 0
        wanted = HEADER.size
        while size - at >= wanted:
            length, checksum, records, flags, own = HEADER.unpack_from(data, at)
            if crc32(data[at : at + FIELDS.size]) != own:
                raise Corrupt("a chunk's header is wrong")
            body = data[at + HEADER.size : at + HEADER.size + length]
            if len(body) < length:
                wanted = HEADER.size + length
                break
            if crc32(body) != checksum:
                raise Corrupt("a chunk's checksum is wrong")
            yield Frame(body, records, flags)
            at += HEADER.size + length
        rest = data[at:]
        held, size = ([rest], len(rest)) if rest else ([], 0)
    if size:
        raise Corrupt("the data end within a chunk")


def unframe(data: bytes) -> Iterator[tuple[Any, int]]:
    """Read all the frames of a byte string: value and flags of each."""
    for one in split_frames([data]):
        yield one.load(), one.flags


def sizeof(value: Any, depth: int = 4) -> int:
    """Estimate the memory that a value takes, in bytes, by sampling long containers.

    The same for equal values in every process, whatever was done to them before: where tasks spill depends on it, and with
    it the order in which floats are added.

    >>> sizeof("water") < sizeof(["water"] * 1000)
    True
    """
    kind = type(value)
    if kind is str:
        return 56 + len(value) * (1 if value.isascii() else 2)
    if kind is int:
        bits: int = value.bit_length()
        return 28 + (bits >> 3)
    if kind is float or value is None or kind is bool:
        return 24
    if kind is bytes:
        return 40 + len(value)
    if depth == 0:
        return 64
    if kind is tuple or kind is list:
        return 64 + 8 * len(value) + _sampled(value, len(value), depth)
    size: int
    try:
        if isinstance(value, tuple | list | deque):
            size = 64 + 8 * len(value) + _sampled(value, len(value), depth)
        elif isinstance(value, dict):
            size = 64 + 100 * len(value)
            size += _sampled(value.keys(), len(value), depth) + _sampled(value.values(), len(value), depth)
        elif isinstance(value, set | frozenset):
            size = 216 + 70 * len(value) + _elements(value, depth)
        elif isinstance(value, str):
            size = 56 + 2 * len(value)
        elif isinstance(value, bytearray) or kind.__module__ == "array":  # what they have in reserve differs by copy
            size = 64 + len(value) * getattr(value, "itemsize", 1)
        elif kind.__module__ == "numpy" and hasattr(value, "nbytes"):  # a view would not count what it shows
            size = 112 + int(value.nbytes)
        elif isinstance(kind.__sizeof__, types.FunctionType):
            return int(value.__sizeof__())
        else:
            size = sys.getsizeof(value, 64)
        return size if kind in PLAIN_CONTAINERS else size + _attributes(value, depth)
    except Exception:  # a user's methods may do anything
        return 64


PLAIN_CONTAINERS = {tuple, list, dict, set, frozenset, deque}


def _attributes(value: Any, depth: int) -> int:
    """Estimate what an instance's attributes take, in a dictionary or in slots."""
    inner = getattr(value, "__dict__", None)
    size = sizeof(inner, depth - 1) if inner else 0
    for name in copyreg._slotnames(type(value)):  # type: ignore[attr-defined]
        size += sizeof(getattr(value, name, None), depth - 1)
    return size


def _elements(values: set[Any] | frozenset[Any], depth: int) -> int:
    """Estimate what a set holds, without a sample: which elements come first differs from process to process."""
    if len(values) > SET_SCANNED:
        return 64 * len(values)
    return sum(sizeof(value, depth - 1) for value in values)


def _sampled(values: Iterable[Any], length: int, depth: int) -> int:
    if length <= 8:
        return sum(sizeof(value, depth - 1) for value in values)
    if isinstance(values, list | tuple):
        picked = values[:: length // 8][:8]
        return sum(sizeof(value, depth - 1) for value in picked) * length // 8
    total = 0
    for index, value in enumerate(values):
        if index == 8:
            break
        total += sizeof(value, depth - 1)
    return total * length // 8
