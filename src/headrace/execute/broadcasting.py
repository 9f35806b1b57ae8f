"""How a broadcast value lies in a block: a pickle, and behind it, at offsets that suit any array, its large buffers.

Buffers (of NumPy arrays, pandas frames, whatever pickles out of band) are never copied when the block is a mapped file: all
processes of a host look at the same memory, read-only.

Source: PEP 574, pickle protocol 5 with out-of-band data.
"""

from __future__ import annotations

import io
import mmap
import pickle
from collections.abc import Iterable, Iterator
from typing import Any

from headrace.execute.chunks import HEADER, DataPickler, frame, split_frames
from headrace.plan.functions import PROTOCOL
from headrace.ports import Bytes

ALIGN = 64
PIECE = 1 << 20


def write_broadcast(value: Any) -> Iterator[bytes]:
    """Give a value's block, in pieces.

    Raises:
        ProgramError: it cannot be pickled.

    >>> read_broadcast(write_broadcast([b"a", 1]))
    [b'a', 1]

    """
    buffers: list[memoryview] = []

    def aside(buffer: pickle.PickleBuffer) -> bool:
        buffers.append(buffer.raw())
        return False

    pickled = io.BytesIO()
    try:
        DataPickler(pickled, PROTOCOL, buffer_callback=aside).dump(value)
    except Exception:
        frame([value], 1)  # says which part of it cannot travel
        raise
    head = frame((pickled.getvalue(), [len(view) for view in buffers]), 1)
    return _pieces(head, buffers)


def _pieces(head: bytes, buffers: list[memoryview]) -> Iterator[bytes]:
    yield head
    at = len(head)
    for view in buffers:
        yield bytes(-at % ALIGN)
        at += -at % ALIGN + len(view)
        for start in range(0, len(view), PIECE):
            yield bytes(view[start : start + PIECE])


def read_broadcast(pieces: Iterable[Bytes]) -> Any:
    """Unpickle a value from its block."""
    return _read(memoryview(b"".join(pieces)))


def map_broadcast(path: str) -> Any:
    """Unpickle a value from a file that is mapped for as long as anything of the value is used.

    Raises:
        FileNotFoundError: there is none.

    """
    with open(path, "rb") as file:
        return _read(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)))


def _read(block: memoryview) -> Any:
    length = HEADER.size + HEADER.unpack_from(block)[0]
    pickled, sizes = next(split_frames([block[:length]])).load()
    buffers, at = [], length
    for size in sizes:
        at += -at % ALIGN
        buffers.append(block[at : at + size].toreadonly())
        at += size
    return pickle.loads(pickled, buffers=buffers)
