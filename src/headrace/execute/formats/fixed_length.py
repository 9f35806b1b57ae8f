"""Records of a fixed number of bytes."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.errors import InputError
from headrace.execute.formats.pieces import Input
from headrace.plan.formats import FixedLength


def read_fixed_length(source: Input, format: FixedLength) -> Iterator[tuple[list[bytes], int]]:
    """Read records; with each list, how many bytes of the split are read by then."""
    length = format.length
    held = b""
    at = source.start
    for piece in source.part(source.start, source.stop) if source.codec is None else source.whole():
        data = held + piece.data
        end = len(data) - len(data) % length
        yield [data[place : place + length] for place in range(0, end, length)], piece.read
        held = data[end:]
        at += end
    if held:
        raise odd_length(source.path, source.where(at), length, len(held))


def odd_length(path: str, where: str, length: int, left: int) -> InputError:
    """Say that a file does not hold a whole number of records."""
    return InputError(
        f"{path}: the record at {where} has {left:,} bytes, and each is to have {length:,}. Give the right record_length."
    )
