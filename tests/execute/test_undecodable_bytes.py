"""Bytes that are not what the encoding says: an error with the file and the exact byte, whatever path they came by."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.errors import InputError
from headrace.execute.formats import pieces
from tests.execute.texts import read, read_cut, split_of

BAD = {"utf-8": b"\xff", "utf-8-sig": b"\xff", "ascii": b"\xc3", "shift_jis": b"\x80\xfd\xff", "gb18030": b"\xff"}
BAD |= {"utf-16-le": b"\x00\xdc", "utf-16": b"\x00\xdc", "utf-32-le": b"\xff\xff\xff\xff", "cp1252": b"\x81"}
given_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "READ_BYTES", 16)


def place_of(path: Path, encoding: str, cuts: list[int] | None = None) -> int:
    """Read a file that is broken, and return the byte that the error names."""

    def attempt() -> object:
        if cuts is None:
            return read(split_of(path), encoding=encoding)
        return read_cut(path, cuts, encoding=encoding)

    with pytest.raises(InputError) as caught:
        attempt()
    message = str(caught.value)
    assert message.startswith(f"{path}: byte ")
    assert f"is not {encoding}" in message
    assert "errors='replace'" in message
    assert ("of the uncompressed data" in message) == (path.suffix == ".gz")
    return int(message.removeprefix(f"{path}: byte ").split(" ")[0].replace(",", ""))


def first_of(data: bytes, encoding: str) -> int:
    """Find the first byte that Python cannot decode."""
    with pytest.raises(UnicodeDecodeError) as caught:
        data.decode(encoding)
    whole = len(data) - len(caught.value.object)  # utf-8-sig leaves its mark out
    return whole + caught.value.start


@pytest.mark.parametrize("encoding", BAD)
@pytest.mark.parametrize("gz", [False, True])
@given_files
@given(before=st.text("ab\n\r", max_size=90), after=st.text("a\n", max_size=40))
def test_the_byte_is_exact(tmp_path: Path, encoding: str, gz: bool, before: str, after: str) -> None:
    unmarked = {"utf-16": "utf-16-le", "utf-8-sig": "utf-8"}.get(encoding, encoding)
    data = before.encode(encoding) + BAD[encoding] + after.encode(unmarked)
    path = tmp_path / ("file.gz" if gz else "file")
    path.write_bytes(gzip.compress(data) if gz else data)
    assert place_of(path, encoding) == first_of(data, encoding)


@given_files
@given(st.text("ab\n", max_size=60), st.text("a\n", max_size=30), st.lists(st.integers(0, 90), max_size=8))
def test_in_a_later_piece_the_byte_is_still_that_of_the_file(
    tmp_path: Path, before: str, after: str, cuts: list[int]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(before.encode() + b"\xff" + after.encode())
    assert place_of(path, "utf-8", [cut for cut in cuts if cut < path.stat().st_size]) == len(before)


@pytest.mark.parametrize(
    ("encoding", "text"), [("utf-8", "a\nb漢"), ("utf-16-le", "a\nbΩ"), ("shift_jis", "a\nb漢"), ("utf-8-sig", "x漢")]
)
def test_a_file_that_ends_within_a_character_is_an_error(tmp_path: Path, encoding: str, text: str) -> None:
    path = tmp_path / "file"
    data = text.encode(encoding)
    path.write_bytes(data[:-1])
    last = len(text[:-1].encode(encoding))
    assert place_of(path, encoding) == last


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_file_without_the_mark_that_its_encoding_needs_is_an_error_that_names_it(
    tmp_path: Path, encoding: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes("abcdefgh".encode(f"{encoding}-le"))
    with pytest.raises(InputError, match="BOM") as caught:
        read(split_of(path), encoding=encoding)
    assert str(path) in str(caught.value)
    assert "Give the right encoding=" in str(caught.value)


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ("replace", ["a�", "b"]),
        ("ignore", ["a", "b"]),
        ("surrogateescape", ["a\udcff", "b"]),
        ("backslashreplace", ["a\\xff", "b"]),
    ],
)
def test_errors_are_treated_as_asked(tmp_path: Path, errors: str, expected: list[str]) -> None:
    for name, encoding in (("file", "utf-8"), ("file.gz", "utf-8"), ("sig", "utf-8-sig")):
        path = tmp_path / name
        data = b"a\xff\nb\n"
        path.write_bytes(gzip.compress(data) if path.suffix else data)
        assert read(split_of(path), encoding=encoding, errors=errors) == expected


def test_a_bad_byte_after_a_long_stretch_without_newlines(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * 1_000 + b"\xff" + b"b" * 1_000)
    assert place_of(path, "utf-8") == 1_000
    assert place_of(path, "utf-8", [300, 999, 1_001]) == 1_000
