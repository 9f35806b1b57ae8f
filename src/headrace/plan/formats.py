"""What files hold, as data: `execute.formats` reads and writes it."""

from __future__ import annotations

from msgspec import Struct


class Lines(Struct, frozen=True):
    """A record a line of text."""

    encoding: str = "utf-8"
    errors: str = "strict"


class JsonLines(Struct, frozen=True):
    """A JSON value a line of UTF-8."""


class Dialect(Struct, frozen=True):
    """How fields are told apart, in the words of module `csv`."""

    delimiter: str = ","
    quotechar: str | None = '"'
    escapechar: str | None = None
    doublequote: bool = True
    skipinitialspace: bool = False
    lineterminator: str = "\r\n"
    quoting: int = 0
    strict: bool = False


class Csv(Struct, frozen=True):
    """Rows of fields.

    Attributes:
        header: the first row of each file has the names of the columns.
        names: of the columns, where they are known without reading a file: when files are written.
        field_limit: the most characters that a field may have.

    """

    dialect: Dialect = Dialect()
    header: bool = False
    names: tuple[str, ...] | None = None
    encoding: str = "utf-8"
    errors: str = "strict"
    field_limit: int = 131072


class Pickles(Struct, frozen=True):
    """Pickled records, in chunks with an index; or, written by others, one pickle after the other."""


class Frames(Struct, frozen=True):
    """Chunks as they travel between workers: what a checkpoint is made of, for the program that wrote it."""


class WholeTexts(Struct, frozen=True):
    """A file is a record: its path and its text."""

    encoding: str = "utf-8"
    errors: str = "strict"


class WholeFiles(Struct, frozen=True):
    """A file is a record: its path and its bytes, as they are."""


class FixedLength(Struct, frozen=True):
    """Records of so many bytes each."""

    length: int


Format = Lines | JsonLines | Csv | Pickles | Frames | WholeTexts | WholeFiles | FixedLength
