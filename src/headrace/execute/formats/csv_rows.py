r"""Rows of CSV files, as module `csv` reads and writes them, in any of its dialects; rows may span lines.

**Where a file may be cut.**  After a ``\n`` the parser is in one of three states: a row begins, or a quoted field goes on,
or, where there is an escape character, an unquoted field does.  Which one depends on all that comes before, perhaps
gigabytes.  But from any of them it soon comes to the same: quotes that are read the wrong way round end in an unquoted
field, and a quoted field that never ends is refused when it exceeds the most characters that a field may have.  So each cut
is moved on to the first place where a row ends whatever the state was: whoever reads the split before it and whoever reads
the split behind it find the same place, and no row is read twice, or torn.

Source: speculation over the states of a parser is from Ge et al., "Speculative Distributed CSV Data Parsing for Big Data
Analytics" (2019); that the limit on fields makes it certain is ours.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, islice
from typing import Any

import msgspec

from headrace.errors import InputError, ProgramError
from headrace.execute.flow import Pace
from headrace.execute.formats.lines import decoded, is_cuttable, texts
from headrace.execute.formats.pieces import Input, blocks
from headrace.plan.formats import Csv, Dialect
from headrace.plan.hashing import short

ROWS = 1024  # at once: a row is several objects, and more of them leave the cache of the processor
SENTINEL = "\n"  # read where a row may begin, it is a row without fields


def read_csv(source: Input, format: Csv) -> Iterator[tuple[list[Any], int]]:
    """Read rows, or dictionaries where there is a header; with each list, how many bytes of the split are read by then."""
    start, stop = 0, source.size
    if source.codec is None and is_cuttable(format.encoding):
        start, stop = (row_start(source, at, format) for at in (source.start, source.stop))
    if start >= stop:
        return
    rows = _rows(source, format, start, stop)
    yield from _dictionaries(source, format, rows, start) if format.header else rows


def _rows(source: Input, format: Csv, start: int, stop: int) -> Iterator[tuple[list[list[Any]], int]]:
    read = 0

    def lines() -> Iterator[io.StringIO]:
        nonlocal read
        pieces = source.part(start, stop) if source.codec is None else source.whole()
        for text, at in texts(source, pieces, format):
            read = at
            yield io.StringIO(text, newline="")

    last = stop == source.size
    reader = csv.reader(chain(chain.from_iterable(lines()), () if last else (SENTINEL,)), **_arguments(format.dialect))
    pace = Pace(ROWS)
    held: list[list[Any]] = []
    while True:
        try:
            with _limited(format):
                rows = list(islice(reader, pace.next))
        except (csv.Error, ValueError) as error:
            raise _broken(source, start, reader.line_num, str(error)) from error
        if not rows:
            break
        if held:
            yield held, read
        held = rows
        pace.learn(rows)
    if not last and held.pop():
        raise _broken(source, start, reader.line_num, "a row goes on where another was found to begin")
    if held:
        yield held, read


def _dictionaries(
    source: Input, format: Csv, batches: Iterator[tuple[list[list[Any]], int]], start: int
) -> Iterator[tuple[list[dict[Any, Any]], int]]:
    """Make dictionaries of rows, as `csv.DictReader` makes them."""
    names = _names(source, format) if start > 0 else None
    for rows, read in batches:
        if names is None:
            names, *rows = rows
        yield [_dictionary(names, row) for row in rows if row], read


def _dictionary(names: list[Any], row: list[Any]) -> dict[Any, Any]:
    made = dict(zip(names, row, strict=False))
    if len(row) > len(names):
        made[None] = row[len(names) :]
    elif len(row) < len(names):
        made.update(dict.fromkeys(names[len(row) :]))
    return made


def _names(source: Input, format: Csv) -> list[Any]:
    """Read the first row of a file."""
    found = (io.StringIO(text, newline="") for text, _ in texts(source, source.part(0, source.size), format))
    reader = csv.reader(chain.from_iterable(found), **_arguments(format.dialect))
    try:
        with _limited(format):
            return next(reader)
    except (csv.Error, ValueError) as error:
        raise _broken(source, 0, reader.line_num, str(error)) from error


def _broken(source: Input, start: int, line: int, why: str) -> InputError:
    number = source.lines_before(start) + line
    return InputError(
        f"{source.path}, line {number:,}: {why}. Give csv the dialect of the file: delimiter=, quotechar=, escapechar=, "
        "quoting=, field_limit= and so on."
    )


def _arguments(dialect: Dialect) -> dict[str, Any]:
    return msgspec.structs.asdict(dialect)


@contextmanager
def _limited(format: Csv) -> Iterator[None]:
    """Have the module's limit on fields be ours while it works for us."""
    before = csv.field_size_limit(format.field_limit)
    try:
        yield
    finally:
        csv.field_size_limit(before)


# Where files may be cut.


def row_start(source: Input, at: int, format: Csv) -> int:
    """Return the first place, from a line's beginning at or after a byte on, where a row begins for certain."""
    if at <= 0 or at >= source.size:
        return min(max(at, 0), source.size)
    start = source.after_newline(at - 1)
    if start >= source.size:
        return source.size
    ahead = _Ahead(source, start, format)
    states = [_row_ends(ahead, prefix, format.dialect) for prefix in _prefixes(format.dialect)]
    with _limited(format):
        return _agreed(ahead, states)


def _prefixes(dialect: Dialect) -> Iterator[str]:
    """List texts that bring a parser to each of the states in which it can be where a line begins."""
    yield ""
    if dialect.quotechar is not None and dialect.quoting != csv.QUOTE_NONE:
        yield dialect.quotechar
    if dialect.escapechar is not None:
        special = (dialect.delimiter, dialect.quotechar, dialect.escapechar)
        yield next(letter for letter in "wxyz" if letter not in special)


def _agreed(ahead: _Ahead, states: list[Iterator[int]]) -> int:
    """Return the first place where a row ends in all states that were not refused."""
    reached = [(next(state, None), state) for state in states]
    while True:
        places = [(place, state) for place, state in reached if place is not None]
        if not places:  # all were: whoever reads on from the split before meets what is wrong
            return ahead.size
        furthest = max(place for place, _ in places)
        if all(place == furthest for place, _ in places):
            found = ahead.offset(furthest)
            if found is not None:
                return found
            furthest += 1
        reached = [(next(state, None) if place < furthest else place, state) for place, state in places]


class _Ahead:
    """The lines from a place on, read as far as somebody asks."""

    def __init__(self, source: Input, start: int, format: Csv) -> None:
        if format.errors == "strict":  # whoever reads the split says what is wrong
            format = msgspec.structs.replace(format, errors="replace")
        self.size = source.size
        self._coming = self._read(source, start, format)
        self._lines: list[str] = []
        self._offsets: list[int | None] = [start]

    def _read(self, source: Input, start: int, format: Csv) -> Iterator[tuple[str, int | None]]:
        for block in blocks(source.part(start, source.size)):
            at = block.offset
            for data in block.data.split(b"\n"):
                line = data + b"\n" if at + len(data) < block.offset + len(block.data) else data
                parts = list(io.StringIO(decoded(source, line, at, format), newline=""))
                at += len(line)
                for part in parts[:-1]:  # they end in a \r, after which no file is cut
                    yield part, None
                for part in parts[-1:]:
                    yield part, at

    def line(self, number: int) -> str | None:
        """Return a line; None behind the last."""
        if number == len(self._lines):
            line, offset = next(self._coming, (None, None))
            if line is None:
                return None
            self._lines.append(line)
            self._offsets.append(offset)
        return self._lines[number]

    def offset(self, number: int) -> int | None:
        r"""Return where the first so many lines end, if it is at a ``\n`` or the end of the file."""
        return self._offsets[number]

    def after(self, prefix: str) -> Iterator[str]:
        """Give all lines, with a text before the first."""
        number = 0
        while (line := self.line(number)) is not None:
            yield prefix + line if number == 0 else line
            number += 1


def _row_ends(ahead: _Ahead, prefix: str, dialect: Dialect) -> Iterator[int]:
    """Give the numbers of lines after which a row ends, for a parser that begins in some state, until it is refused."""
    if not prefix:
        yield 0
    arguments = _arguments(dialect)
    if dialect.quoting != csv.QUOTE_NONE:
        arguments["quoting"] = csv.QUOTE_MINIMAL  # the others only say what becomes of fields
    reader = csv.reader(ahead.after(prefix), **arguments)
    try:
        for _ in reader:
            yield reader.line_num
    except csv.Error:
        return


# Writing.


class CsvWriter:
    """Writes a row a record: of sequences of fields, or, where the columns have names, of dictionaries."""

    suffix = ".csv"

    def __init__(self, format: Csv) -> None:
        self._arguments, self._names = _arguments(format.dialect), format.names

    def begin(self) -> bytes:
        """Write the names of the columns, where there are any."""
        return self._written([self._names]) if self._names is not None else b""

    def encode(self, records: list[Any]) -> bytes:
        """Write rows.

        Raises:
            ProgramError: a record is no row, or cannot be written in this dialect.

        """
        rows = records if set(map(type, records)) <= {list, tuple} else [self._row(record) for record in records]
        try:
            return self._written(rows)
        except Exception:  # of some row: which one?
            for record, row in zip(records, rows, strict=True):
                try:
                    self._written([row])
                except Exception as error:
                    raise ProgramError(
                        f"the record {short(record)} cannot be written as CSV: {error}. Map it to a list of numbers and "
                        "text, or choose another dialect."
                    ) from error
            raise

    def finish(self) -> bytes:
        """Write nothing after the last row."""
        return b""

    def _row(self, record: Any) -> Any:
        if isinstance(record, dict):
            if self._names is None:
                raise ProgramError(
                    f"the record {short(record)} is a dictionary, and the columns have no names. Say header=[...]."
                )
            if others := [key for key in record if key not in self._names]:
                raise ProgramError(
                    f"the record {short(record)} has {short(others[0])}, which is no column. Name it in header=[...], or "
                    "leave it out."
                )
            return [record.get(name, "") for name in self._names]
        if isinstance(record, str | bytes) or not hasattr(record, "__iter__"):
            raise ProgramError(f"the record {short(record)} is not a row. Map it to a list or tuple of fields.")
        return record

    def _written(self, rows: list[Any]) -> bytes:
        text = io.StringIO(newline="")
        csv.writer(text, **self._arguments).writerows(rows)
        return text.getvalue().encode("utf-8", "surrogateescape")
