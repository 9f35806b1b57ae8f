"""JSON, a value a line.

Values are those of module `json`, NaN and lone surrogates included.  They are decoded by msgspec, which is faster, and by
`json` where msgspec refuses.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any

import msgspec

from headrace.errors import InputError, ProgramError
from headrace.execute.formats.pieces import Input, blocks
from headrace.plan.formats import JsonLines
from headrace.plan.hashing import short

REMEDY = "Each line must be one JSON value in UTF-8."


def read_json_lines(source: Input, _: JsonLines) -> Iterator[tuple[list[Any], int]]:
    """Read values; with each list, how many bytes of the split are read by then.  Blank lines are skipped."""
    decode = msgspec.json.Decoder().decode
    for block in blocks(source.lines()):
        data, offset = block.data, block.offset
        if offset == 0 and data.startswith(codecs.BOM_UTF8):
            data, offset = data[len(codecs.BOM_UTF8) :], len(codecs.BOM_UTF8)
        lines = data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        try:
            values = list(map(decode, lines))
        except Exception:  # of some line, which may be blank, or a number as only Python reads it
            values = list(_one_by_one(source, lines, offset))
        yield values, block.read


def _one_by_one(source: Input, lines: list[bytes], offset: int) -> Iterator[Any]:
    for line in lines:
        if line.strip(b" \t\r"):
            try:
                yield json.loads(line.decode("utf-8"))
            except Exception as error:
                raise _broken(source, line, offset, error) from error
        offset += len(line) + 1


def _broken(source: Input, line: bytes, offset: int, error: Exception) -> InputError:
    place = f"{source.path}, line {source.lines_before(offset) + 1:,}"
    match error:
        case json.JSONDecodeError():
            return InputError(
                f"{place}, column {error.colno:,} is not JSON: {error.msg} ({_near(line, error)}). {REMEDY}"
            )
        case UnicodeDecodeError():
            bad = source.where(offset + error.start)
            return InputError(f"{place}: {bad} is not utf-8: {error.reason}. {REMEDY}")
    return InputError(f"{place} cannot be read: {error or type(error).__name__}. {REMEDY}")


def _near(line: bytes, error: json.JSONDecodeError) -> str:
    return short(line.decode("utf-8")[max(0, error.pos - 10) : error.pos + 30])


class JsonLinesWriter:
    """Writes each record as a line, as `json.dumps` writes it but for blanks, and with all characters readable."""

    suffix = ".jsonl"

    def __init__(self) -> None:
        self._encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

    def begin(self) -> bytes:
        """Write nothing before the first line."""
        return b""

    def encode(self, records: list[Any]) -> bytes:
        """Write lines.

        Raises:
            ProgramError: a record cannot be written as JSON.

        """
        lines: list[bytes] = []
        for record in records:
            try:
                text = self._encode(record)
            except Exception as error:
                raise ProgramError(
                    f"the record {short(record)} cannot be written as JSON: {error}. Map it to numbers, text, lists and "
                    "dictionaries first."
                ) from error
            try:
                lines.append(text.encode("utf-8"))
            except UnicodeEncodeError:  # a lone surrogate, which JSON can only escape
                lines.append(json.dumps(record, separators=(",", ":")).encode("ascii"))
        lines.append(b"")
        return b"\n".join(lines)

    def finish(self) -> bytes:
        """Write nothing after the last line."""
        return b""
