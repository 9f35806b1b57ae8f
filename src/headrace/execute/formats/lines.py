r"""Lines of text: whole files, and pieces of large ones.

A piece of a file holds the lines that begin in it.  Pieces are cut at bytes; only ``\n`` bytes are looked for, and within
what was read ``\n``, ``\r\n`` and ``\r`` end a line, as in text files opened by Python, and nothing else does.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import Any

from headrace.errors import InputError
from headrace.execute.formats.pieces import Input, Piece, blocks
from headrace.plan.formats import Csv, Lines, WholeTexts

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


Text = Lines | Csv | WholeTexts  # what says how bytes are to be decoded


def read_lines(source: Input, format: Lines) -> Iterator[tuple[list[str], int]]:
    """Read lines; with each list, how many bytes of the split are read by then."""
    for text, read in texts(source, source.lines(), format):
        lines = _split(text)
        del text  # the next one takes its memory, which is then in the processor's cache: a fifth faster
        yield lines, read


def texts(source: Input, pieces: Iterator[Piece], format: Text) -> Iterator[tuple[str, int]]:
    r"""Decode pieces, up to a ``\n`` each; with each text, how many bytes of the split are read by then."""
    return (_cut if is_cuttable(format.encoding) else streamed)(source, pieces, format)


def decoded(source: Input, data: bytes, offset: int, format: Text) -> str:
    """Decode what stands at a place of a file."""
    try:
        if format.errors != "strict" and data.endswith(b"\n"):  # what is replaced must not depend on the cut
            return (data + AFTER).decode(format.encoding, format.errors)[: -len(AFTER)]
        return data.decode(format.encoding, format.errors)
    except UnicodeError as error:
        raise _undecodable(error, source, offset + len(data), format) from error


def _undecodable(error: UnicodeError, source: Input, end: int, format: Text) -> InputError:
    """Say which byte; what the decoder was at work on ends before the byte `end`, wherever it began."""
    remedy = "Give the right encoding=, or errors='replace'."
    if not isinstance(error, UnicodeDecodeError):
        return InputError(f"{source.path} is not {format.encoding}: {error}. {remedy}")
    bad = error.object[error.start : error.start + 4].hex(" ")
    where = source.where(end - len(error.object) + error.start)
    return InputError(f"{source.path}: {where} is not {format.encoding}: {error.reason} ({bad}). {remedy}")


def _split(text: str) -> list[str]:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return lines


def _cut(source: Input, pieces: Iterator[Piece], format: Text) -> Iterator[tuple[str, int]]:
    for block in blocks(pieces):
        yield decoded(source, block.data, block.offset, format), block.read


def streamed(source: Input, pieces: Iterator[Piece], format: Text) -> Iterator[tuple[str, int]]:
    """Decode from the beginning, for encodings in which a byte alone means nothing."""
    decoder = codecs.getincrementaldecoder(format.encoding)(format.errors)

    def decode(data: bytes, *, final: bool = False) -> str:
        try:
            return decoder.decode(data, final)
        except UnicodeError as error:
            raise _undecodable(error, source, offset, format) from error

    held: list[str] = []
    offset = read = 0
    for piece in pieces:
        offset, read = piece.offset + len(piece.data), piece.read
        text = decode(piece.data)
        end = text.rfind("\n") + 1
        if end:
            yield "".join((*held, text[:end])), read
            held.clear()
        held.append(text[end:])
    held.append(decode(b"", final=True))
    if rest := "".join(held):
        yield rest, read


class LinesWriter:
    """Writes each record's text as a line."""

    suffix = ""

    def begin(self) -> bytes:
        """Write nothing before the first line."""
        return b""

    def encode(self, records: list[Any]) -> bytes:
        """Write lines."""
        return b"\n".join([_line(record) for record in records]) + b"\n"

    def finish(self) -> bytes:
        """Write nothing after the last line."""
        return b""


def _line(record: Any) -> bytes:
    return record if isinstance(record, bytes) else str(record).encode("utf-8", "surrogateescape")
