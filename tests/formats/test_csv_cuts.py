"""A CSV file gives the rows that module `csv` finds in it, wherever it is cut, in any dialect, broken or not."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.dataset.files import dialect_of
from headrace.errors import InputError
from headrace.execute.formats import csv_rows, pieces
from headrace.plan.formats import Csv
from tests.formats.help import read_cut, read_whole

LIMIT = 24  # characters that a field may have here: the longest that a cut can be moved by
QUOTINGS = [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC, csv.QUOTE_NONE]
QUOTINGS += [getattr(csv, name) for name in ("QUOTE_STRINGS", "QUOTE_NOTNULL") if hasattr(csv, name)]


@pytest.fixture(autouse=True)
def _small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "READ_BYTES", 13)


@pytest.fixture(autouse=True)
def _same_limit() -> Iterator[None]:
    """Whatever becomes of a file, the limit of the program's own parsers stays as it was."""
    before = csv.field_size_limit()
    yield
    assert csv.field_size_limit() == before


DIALECTS = st.fixed_dictionaries(
    {},
    optional={
        "delimiter": st.sampled_from([";", "\t", "|", " "]),
        "quotechar": st.sampled_from(["'", None]),
        "escapechar": st.sampled_from(["\\", "'"]),
        "doublequote": st.booleans(),
        "skipinitialspace": st.booleans(),
        "strict": st.booleans(),
        "quoting": st.sampled_from(QUOTINGS),
    },
)


def made(how: dict[str, Any], **more: Any) -> Csv:
    if how.get("quotechar", "") is None:  # there is nothing to quote with
        how = {**how, "quoting": csv.QUOTE_NONE}
    return Csv(dialect_of("csv", "excel", how), field_limit=LIMIT, **more)


def oracle(text: str, format: Csv) -> list[Any] | None:
    """Read the whole file with module `csv`; None if it refuses the file."""
    before = csv.field_size_limit(format.field_limit)
    try:
        how = {name: getattr(format.dialect, name) for name in format.dialect.__struct_fields__}
        lines = io.StringIO(text, newline="")
        return list(csv.DictReader(lines, **how) if format.header else csv.reader(lines, **how))
    except (csv.Error, ValueError):
        return None
    finally:
        csv.field_size_limit(before)


TEXTS = st.text('ab1,;"""\'\'\\ \n\n\n\r|', max_size=150)
CUTS = st.lists(st.integers(0, 150), max_size=10)


@given(text=TEXTS, how=DIALECTS, cuts=CUTS, header=st.booleans())
@example('a,b\n"1\n2",3\n4,"5\n\n6"\n' * 4, {}, list(range(80)), True)
@example("a\\\nb,c\n" * 12, {"quoting": csv.QUOTE_NONE, "escapechar": "\\"}, list(range(80)), False)
@example('"' + "x\n" * 40, {}, [10, 50], False)  # a field that is too long hides in which state a cut is
@example('x\nq"\ry\nz\n' * 5, {}, list(range(40)), False)  # states that agree where no file is cut
@example("x\n" * 9 + '"' + "y\n" * 9, {}, [3, 21, 30], False)  # a quote that nothing closes takes all the rest
@settings(max_examples=400)
def test_any_text_cut_anywhere(text: str, how: dict[str, Any], cuts: list[int], header: bool) -> None:
    format = made(how, header=header)
    expected = oracle(text, format)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file.csv")
        path.write_bytes(text.encode())
        if expected is None:
            with pytest.raises(InputError, match=r"file.csv, line \d+: "):
                read_whole(path, format)
            with pytest.raises(InputError, match=r"file.csv, line \d+: "):
                read_cut(path, format, cuts)
            return
        assert read_whole(path, format) == expected
        assert read_cut(path, format, cuts) == expected


FIELDS = st.text("ab,;\"'\n\r\\ é", max_size=8) | st.integers(0, 9)
ROWS = st.lists(st.lists(FIELDS, max_size=4), max_size=25)


@given(rows=ROWS, how=DIALECTS, cuts=CUTS)
@settings(max_examples=200)
def test_what_the_module_writes(rows: list[list[Any]], how: dict[str, Any], cuts: list[int]) -> None:
    text = io.StringIO(newline="")
    format = made(how)
    how = {name: getattr(format.dialect, name) for name in format.dialect.__struct_fields__}
    try:
        csv.writer(text, **how).writerows(rows)
    except csv.Error:  # this dialect has no way to write them
        return
    expected = oracle(text.getvalue(), format)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file.csv")
        path.write_bytes(text.getvalue().encode())
        if expected is not None:
            assert read_cut(path, format, cuts) == expected
            for encoding in ("utf-16", "utf-8-sig"):  # these are not cut
                path.write_bytes(text.getvalue().encode(encoding))
                assert read_whole(path, made(how, encoding=encoding)) == expected


def test_a_file_without_quotes_is_cut_near_where_it_was_asked_for(tmp_path: Path) -> None:
    """Files are cut for parallel reading: no piece may be much larger than asked for."""
    path = tmp_path / "file.csv"
    path.write_text("one,two\n" * 200)
    format = made({})
    found = [len(read_cut_from(path, format, start, start + 100)) for start in range(0, 1600, 100)]
    assert sum(found) == 200
    assert max(found) <= 14
    assert min(found[:-1]) >= 10, "only the last few characters may belong to the piece before"


def test_quotes_on_every_line_are_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text('"one","two"\n' * 200)
    format = Csv(field_limit=10**9)  # no limit will help
    found = [len(read_cut_from(path, format, start, start + 100)) for start in range(0, 2400, 100)]
    assert sum(found) == 200
    assert max(found) <= 11


def read_cut_from(path: Path, format: Csv, start: int, stop: int) -> list[Any]:
    from headrace.execute.formats.reading import read_files
    from headrace.runtime.files import SystemFiles
    from tests.execute.texts import split_of

    return [row for rows, _ in read_files(SystemFiles(), (split_of(path, start, stop),), format) for row in rows]


def test_only_as_much_is_looked_at_as_a_field_may_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where to cut is not found by reading the file from its beginning, or to its end."""
    read: list[tuple[int, int]] = []
    whole = pieces.Input.read

    def noted(self: pieces.Input, at: int, length: int) -> bytes:
        data = whole(self, at, length)
        read.append((at, at + len(data)))
        return data

    path = tmp_path / "file.csv"
    path.write_text("one,two\n" * 5000)
    monkeypatch.setattr(pieces.Input, "read", noted)
    assert len(read_cut_from(path, made({}), 20_000, 20_400)) in (49, 50, 51)
    assert min(start for start, _ in read) >= 20_000 - 1
    assert max(stop for _, stop in read) <= 20_400 + 4 * LIMIT + 13
    assert csv_rows.SENTINEL == "\n"


def test_a_broken_row_is_named_by_its_line_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_text('"a\r\nb",c\r\n' * 20 + "x" * (LIMIT + 1) + "\r\n" + "d,e\r\n" * 50)
    for cuts in ([], [33, 77, 150], [205]):
        with pytest.raises(InputError, match=r"line 41: field larger than field limit") as caught:
            read_cut(path, made({}), cuts)
        assert str(path) in str(caught.value)


def test_a_byte_that_is_no_text_is_named_by_its_place(tmp_path: Path) -> None:
    path = tmp_path / "file.csv"
    path.write_bytes(b"a,b\n" * 20 + b"c,\xff\n" + b"a,b\n" * 20)
    for cuts in ([], [40], [78, 81, 83]):
        with pytest.raises(InputError, match=r"byte 82 is not utf-8") as caught:
            read_cut(path, made({}), cuts)
        assert str(path) in str(caught.value)
