r"""Lines of text files: whole files, pieces of large ones, and gzip.

A piece of a file holds the lines that begin in it.  Pieces are cut at bytes, so a line that begins before a piece belongs to
the piece before, which reads on until that line ends; only ``\n`` bytes are looked for, and within what was read ``\n``,
``\r\n`` and ``\r`` end a line, as in text files opened by Python, and nothing else does.
"""

from __future__ import annotations

import codecs
import zlib
from collections.abc import Callable, Iterator

from msgspec import Struct

from headrace.errors import InputError
from headrace.execute.chunks import CHUNK_RECORDS
from headrace.plan.operators import ReadText, Split
from headrace.ports import Files, ReadFile

READ_BYTES = 1 << 18
AFTER = b"\n\n"  # lets a decoder see that a character broken off before an end of line is broken, not incomplete
# Encodings in which the byte 0x0A is always and only the end of a line, and no state crosses it.
CUTTABLE = (
    {"ascii", "utf-8", "koi8-r", "koi8-u", "koi8-t", "mac-roman", "gb2312", "gbk", "gb18030", "big5", "big5hkscs"}
    | {
        "euc_jp",
        "euc_kr",
        "shift_jis",
        "cp932",
        "cp949",
        "cp950",
        "cp437",
        "cp850",
        "cp852",
        "cp858",
        "cp866",
        "tis-620",
    }
    | {"iso8859-1", *(f"iso8859-{n}" for n in range(2, 17))}
    | {f"cp125{n}" for n in range(9)}
)


def is_cuttable(encoding: str) -> bool:
    r"""Whether files in an encoding can be cut at ``\n`` bytes.

    Raises:
        LookupError: Python does not know the encoding.

    >>> is_cuttable("utf8"), is_cuttable("latin-1"), is_cuttable("utf-16")
    (True, True, False)

    """
    return codecs.lookup(encoding).name in CUTTABLE


def read_lines(files: Files, splits: tuple[Split, ...], body: ReadText) -> Iterator[tuple[list[str], float]]:
    """Read the lines of some pieces of files, in order: lists of lines, each with the share that is read by then."""
    whole = sum(_length(split) for split in splits) or 1
    before = 0
    for split in splits:
        for lines, read in _lines(files, split, body):
            share = min(1.0, (before + read) / whole)
            for start in range(0, len(lines), CHUNK_RECORDS):
                yield lines[start : start + CHUNK_RECORDS], share
        before += _length(split)


def _length(split: Split) -> int:
    return (split.size if split.stop is None else split.stop) - split.start


def _lines(files: Files, split: Split, body: ReadText) -> Iterator[tuple[list[str], int]]:
    try:
        file = files.open(split.path)
    except OSError as error:
        raise InputError(
            f"{split.path}: {error.strerror or error}. The file was there when the job was made."
        ) from error
    try:
        if file.size != split.size or file.modified_ns != split.modified_ns:
            raise InputError(
                f"{split.path} changed while the job was running: it had {split.size:,} bytes and has {file.size:,}. "
                "Run the job on files that nobody writes to."
            )
        pieces = _gunzipped(file, split) if split.path.endswith(".gz") else _raw(file, split)
        if is_cuttable(body.encoding):
            yield from _cut(pieces, _decoder(split, body))
        else:
            yield from _whole(pieces, split, body)
    finally:
        file.close()


class Piece(Struct, frozen=True):
    """Some bytes of a file.

    Attributes:
        offset: where they begin: in the file, or in what it holds uncompressed.
        read: how much of the split is read with them, in bytes of the file.

    """

    data: bytes
    offset: int
    read: int


def _raw(file: ReadFile, split: Split) -> Iterator[Piece]:
    """Give the bytes of the lines that begin in a piece."""
    at = split.start
    stop = split.size if split.stop is None else split.stop
    if at > 0:
        at = _after_newline(file, at - 1, split)
    while at < stop:
        data = _read(file, at, stop - at, split)
        start, at = at, at + len(data)
        if at >= stop and not data.endswith(b"\n"):
            stop = _after_newline(file, at, split)  # the last line that begins here ends later
        yield Piece(data, start, at - split.start)


def _after_newline(file: ReadFile, at: int, split: Split) -> int:
    r"""Return the place after the first ``\n`` at or after a place; the file's end if there is none."""
    while at < split.size:
        data = _read(file, at, split.size - at, split)
        found = data.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(data)
    return at


def _read(file: ReadFile, at: int, length: int, split: Split) -> bytes:
    try:
        data = file.pread(at, min(READ_BYTES, length))
    except OSError as error:
        raise InputError(f"{split.path}: byte {at:,} cannot be read: {error.strerror or error}.") from error
    if not data:
        raise InputError(
            f"{split.path} ends at byte {at:,}, before its {split.size:,} bytes were read. Run the job on files that "
            "nobody writes to."
        )
    return data


def _gunzipped(file: ReadFile, split: Split) -> Iterator[Piece]:
    """Give the bytes inside a gzip file, of any number of members."""
    path = split.path
    at = offset = members = 0
    member = None
    while at < split.size:
        data = _read(file, at, split.size - at, split)
        start, at = at, at + len(data)
        while data:
            if member is None:
                data = data.lstrip(b"\0") if members else data  # padding after members is allowed
                if not data:
                    break
                member = zlib.decompressobj(wbits=31)
                members += 1
            try:
                plain = member.decompress(data, 4 * READ_BYTES)
            except zlib.error as error:
                raise InputError(
                    f"{path} is not a sound gzip file near byte {start:,}: {error}. Fetch it again, or rename it if it "
                    "is not compressed."
                ) from error
            if plain:
                yield Piece(plain, offset, at)
                offset += len(plain)
            if member.eof:
                data, member = member.unused_data, None
            else:
                data = member.unconsumed_tail
    if member is not None or not members:
        raise InputError(f"{path} is truncated: the gzip data end at byte {at:,}, within a member. Fetch it again.")


# Text.


def _decoder(split: Split, body: ReadText) -> Callable[[bytes, int], str]:
    def decode(data: bytes, offset: int) -> str:
        try:
            if body.errors != "strict" and data.endswith(b"\n"):  # what is replaced must not depend on the cut
                return (data + AFTER).decode(body.encoding, body.errors)[: -len(AFTER)]
            return data.decode(body.encoding, body.errors)
        except UnicodeError as error:
            raise _undecodable(error, split.path, offset + len(data), body) from error

    return decode


def _undecodable(error: UnicodeError, path: str, end: int, body: ReadText) -> InputError:
    """Say which byte; what the decoder was at work on ends before the byte `end`, wherever it began."""
    remedy = "Give the right encoding=, or errors='replace'."
    if not isinstance(error, UnicodeDecodeError):
        return InputError(f"{path} is not {body.encoding}: {error}. {remedy}")
    where = "of the uncompressed data " if path.endswith(".gz") else ""
    bad = error.object[error.start : error.start + 4].hex(" ")
    at = end - len(error.object) + error.start
    return InputError(f"{path}: byte {at:,} {where}is not {body.encoding}: {error.reason} ({bad}). {remedy}")


def _split(text: str) -> list[str]:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def _cut(pieces: Iterator[Piece], decode: Callable[[bytes, int], str]) -> Iterator[tuple[list[str], int]]:
    r"""Decode up to the last ``\n`` of each piece; keep the rest for the next."""
    held: list[bytes] = []
    offset = read = 0  # of what is held
    for piece in pieces:
        read = piece.read
        if not held:
            offset = piece.offset
        end = piece.data.rfind(b"\n") + 1
        if not end:
            held.append(piece.data)
            continue
        whole = b"".join((*held, piece.data[:end])) if held else piece.data[:end]
        yield _split(decode(whole, offset)), read
        held = [piece.data[end:]] if end < len(piece.data) else []
        offset += len(whole)
    if held:
        yield _split(decode(b"".join(held), offset)), read


def _whole(pieces: Iterator[Piece], split: Split, body: ReadText) -> Iterator[tuple[list[str], int]]:
    """Decode from the beginning, for encodings in which a byte alone means nothing."""
    decoder = codecs.getincrementaldecoder(body.encoding)(body.errors)

    def decode(data: bytes, *, final: bool = False) -> str:
        try:
            return decoder.decode(data, final)
        except UnicodeError as error:
            raise _undecodable(error, split.path, offset, body) from error

    held: list[str] = []
    offset = read = 0
    for piece in pieces:
        offset, read = piece.offset + len(piece.data), piece.read
        text = decode(piece.data)
        end = text.rfind("\n") + 1
        if end:
            yield _split("".join((*held, text[:end]))), read
            held.clear()
        held.append(text[end:])
    held.append(decode(b"", final=True))
    if rest := "".join(held):
        yield _split(rest), read
