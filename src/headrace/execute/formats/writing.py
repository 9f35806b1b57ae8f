"""Writing part files in any format, compressed or not."""

from __future__ import annotations

from typing import Any, Protocol

from headrace.errors import InternalError
from headrace.execute.formats.checkpoints import CheckpointWriter
from headrace.execute.formats.codecs import CODECS
from headrace.execute.formats.csv_rows import CsvWriter
from headrace.execute.formats.json_lines import JsonLinesWriter
from headrace.execute.formats.lines import LinesWriter
from headrace.execute.formats.pickles import PicklesWriter
from headrace.plan.formats import Csv, Format, Frames, JsonLines, Lines, Pickles


class Writer(Protocol):
    """Turns the records of one file into bytes."""

    @property
    def suffix(self) -> str:
        """How the names of such files end."""
        ...

    def begin(self) -> bytes:
        """Return what comes before the first record."""
        ...

    def encode(self, records: list[Any]) -> bytes:
        """Return what some records become; there is at least one."""
        ...

    def finish(self) -> bytes:
        """Return what comes after the last record."""
        ...


class Packed:
    """A writer whose bytes are compressed."""

    def __init__(self, inner: Writer, codec: str) -> None:
        self._inner, self._packer = inner, CODECS[codec].compressor()
        self.suffix = inner.suffix + CODECS[codec].suffixes[0]

    def begin(self) -> bytes:
        """Return what comes before the first record."""
        return self._packer.compress(self._inner.begin())

    def encode(self, records: list[Any]) -> bytes:
        """Return some more of the file; the packer may hold it back."""
        return self._packer.compress(self._inner.encode(records))

    def finish(self) -> bytes:
        """Return the rest."""
        return self._packer.compress(self._inner.finish()) + self._packer.flush()


def writer_of(format: Format, codec: str | None = None) -> Writer:
    """Make what writes one file."""
    writer: Writer
    match format:
        case Lines():
            writer = LinesWriter()
        case JsonLines():
            writer = JsonLinesWriter()
        case Csv():
            writer = CsvWriter(format)
        case Pickles():
            writer = PicklesWriter()
        case Frames():
            writer = CheckpointWriter()
        case _:
            raise InternalError(f"{format} is only read")
    return writer if codec is None else Packed(writer, codec)
