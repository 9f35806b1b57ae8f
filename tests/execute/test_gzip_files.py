"""Compressed files: whole or an error that says where, and never a part of one that passes for the whole."""

from __future__ import annotations

import gzip
import itertools
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.errors import InputError
from headrace.execute.formats import lines, pieces
from tests.execute.texts import TEXTS, oracle, read, split_of

LINES = "".join(f"line {i} of a small file\n" for i in range(20))
given_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def _small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "READ_BYTES", 17)


def read_gz(tmp_path: Path, data: bytes, encoding: str = "utf-8", name: str = "file.gz") -> list[str]:
    path = tmp_path / name
    path.write_bytes(data)
    return read(split_of(path), encoding=encoding)


@given_files
@given(st.lists(TEXTS, max_size=4), st.integers(0, 30), st.integers(0, 9))
def test_members_one_after_the_other_and_padding_behind_them(
    tmp_path: Path, texts: list[str], padding: int, level: int
) -> None:
    """A character or a line may begin in one member and end in the next."""
    data = "".join(texts).encode()
    cuts = sorted({0, len(data), len(data) // 3, len(data) // 2})
    members = [gzip.compress(data[a:b], level) for a, b in itertools.pairwise(cuts)] or [gzip.compress(b"")]
    packed = b"".join(members) + bytes(padding)
    assert gzip.decompress(packed) == data, "Python reads it so"
    assert read_gz(tmp_path, packed) == oracle("".join(texts))
    assert read_gz(tmp_path, packed, "latin-1") == oracle(data.decode("latin-1"))


@given_files
@given(TEXTS, st.sampled_from(["utf-16", "utf-8-sig", "utf-32-be"]))
def test_encodings_that_cannot_be_cut(tmp_path: Path, text: str, encoding: str) -> None:
    assert read_gz(tmp_path, gzip.compress(text.encode(encoding)), encoding) == oracle(text)


def test_an_empty_member_is_a_file_without_lines(tmp_path: Path) -> None:
    assert read_gz(tmp_path, gzip.compress(b"")) == []


PACKED = gzip.compress(LINES.encode())
TWO = PACKED + gzip.compress(b"and more\n")


@pytest.mark.parametrize("length", range(len(PACKED)))
def test_a_file_that_was_cut_off_anywhere_is_an_error(tmp_path: Path, length: int) -> None:
    with pytest.raises(InputError, match=r"truncated|is not a sound gzip file") as caught:
        read_gz(tmp_path, PACKED[:length])
    assert f"{tmp_path}/file.gz" in str(caught.value)
    assert f"byte {length:,}" in str(caught.value)
    assert "Fetch it again" in str(caught.value)


@pytest.mark.parametrize("length", range(len(PACKED) + 1, len(TWO)))
def test_a_second_member_that_was_cut_off_is_an_error(tmp_path: Path, length: int) -> None:
    with pytest.raises(InputError, match="truncated"):
        read_gz(tmp_path, TWO[:length])


def test_any_changed_byte_of_the_data_is_noticed(tmp_path: Path) -> None:
    """The header holds a time and a name that nothing depends on; everything behind it is checked."""
    for place in range(10, len(PACKED)):
        broken = bytearray(PACKED)
        broken[place] ^= 0x55
        with pytest.raises(InputError, match=r"is not a sound gzip file|truncated"):
            read_gz(tmp_path, bytes(broken))


def test_a_wrong_checksum_or_length_names_the_file_and_says_so(tmp_path: Path) -> None:
    for place, why in ((-8, "incorrect data check"), (-1, "incorrect length check")):
        broken = bytearray(PACKED)
        broken[place] ^= 0xFF
        with pytest.raises(InputError, match=why) as caught:
            read_gz(tmp_path, bytes(broken))
        assert f"{tmp_path}/file.gz is not a sound gzip file near byte" in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"plain text in a file with the wrong name\n" * 3,
        bytes(40),
        b"\x1f\x8b",
        b"\x1f",
        zlib.compress(b"x"),
        PACKED + b"garbage",
        PACKED + b"\x00garbage",
        bytes(3) + PACKED,
        b"",
    ],
)
def test_what_is_no_gzip_file_is_an_error_that_names_it(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InputError) as caught:
        read_gz(tmp_path, data)
    assert f"{tmp_path}/file.gz" in str(caught.value)
    assert "Fetch it again" in str(caught.value)


def test_a_gzip_file_without_the_name_is_not_taken_for_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="byte 1 is not utf-8"):
        read_gz(tmp_path, PACKED, name="file.txt")


def test_lines_come_before_the_whole_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that unpacks to a thousand times its size must not be held whole."""
    monkeypatch.setattr(pieces, "READ_BYTES", 1 << 12)
    most = 0
    cut = lines._split

    def watched(text: str) -> list[str]:
        nonlocal most
        most = max(most, len(text))
        return cut(text)

    monkeypatch.setattr(lines, "_split", watched)
    packed = gzip.compress(b"0123456\n" * 500_000)
    assert len(packed) < 10_000
    assert len(read_gz(tmp_path, packed)) == 500_000
    assert most <= 4 * (1 << 12)


@given_files
@given(TEXTS, st.lists(st.integers(1, 200), max_size=4), st.booleans())
def test_a_packed_file_is_shared_and_every_line_read_once(
    tmp_path: Path, text: str, cuts: list[int], two_members: bool
) -> None:
    """Wherever the shares of several tasks begin and end, in what the file holds or beyond it."""
    data = text.encode()
    half = len(data) // 2 if two_members else len(data)
    path = tmp_path / "file.gz"
    path.write_bytes(gzip.compress(data[:half]) + gzip.compress(data[half:]))
    edges = [0, *sorted(cuts), None]
    shares = [split_of(path, start or 0, stop) for start, stop in itertools.pairwise(edges)]
    assert [line for share in shares for line in read(share)] == oracle(text)


def test_who_reads_to_the_end_of_a_shared_file_sees_that_it_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    path.write_bytes(PACKED[:-3])
    assert read(split_of(path, 0, 20)) == oracle(LINES)[:1]
    with pytest.raises(InputError, match="truncated"):
        read(split_of(path, 20, None))
