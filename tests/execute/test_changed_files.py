"""A file that is not what it was when the job was planned is an error, not another result."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import InputError
from headrace.execute.formats import pieces
from headrace.execute.formats.reading import read_files
from headrace.plan.formats import Lines
from headrace.ports import ReadFile
from headrace.runtime.files import SystemFiles
from tests.execute.texts import read, split_of

DATA = b"".join(b"line %d\n" % i for i in range(100))


def touched(path: Path) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


CHANGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"more\n"), "changed while the job was running"),
    "shorter": (lambda path: os.truncate(path, 50), "changed while the job was running"),
    "as long": (touched, "changed while the job was running"),
    "gone": (lambda path: path.unlink(), "No such file"),
    "a folder": (made_a_folder, "changed while the job was running"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["file", "file.gz"])
def test_what_changed_since_the_plan_is_an_error(tmp_path: Path, change: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(DATA) if path.suffix else DATA)
    split = split_of(path)
    alter, why = CHANGES[change]
    alter(path)
    with pytest.raises(InputError, match=why) as caught:
        read(split)
    assert str(path) in str(caught.value)


class Shrinking(SystemFiles):
    """Cuts a file off once it is being read."""

    def __init__(self, length: int) -> None:
        self.length = length

    def open(self, path: str) -> Any:
        file = super().open(path)
        os.truncate(path, self.length)
        return file


@pytest.mark.parametrize("length", [0, 1, 30, 300, len(DATA) - 1])
@pytest.mark.parametrize("stop", [None, 200, 700])
def test_a_file_that_is_cut_off_while_it_is_read_is_an_error_or_was_read_before(
    tmp_path: Path, length: int, stop: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "READ_BYTES", 32)
    path = tmp_path / "file"
    path.write_bytes(DATA)
    split = split_of(path, 100, stop)
    expected = DATA[DATA.index(b"\n", 99) + 1 : DATA.index(b"\n", (stop or len(DATA)) - 1) + 1].decode().splitlines()
    lines: list[str] = []

    def reading() -> None:
        for some, _ in read_files(Shrinking(length), (split,), Lines()):
            lines.extend(some)

    if length >= len("".join(f"line {i}\n" for i in range(100))) or (stop is not None and length >= stop + 10):
        reading()
        assert lines == expected
        return
    with pytest.raises(InputError, match="ends at byte"):
        reading()
    assert lines == expected[: len(lines)]


class Failing(SystemFiles):
    """A disk that gives up at a place."""

    def open(self, path: str) -> Any:
        file: ReadFile = super().open(path)
        whole = file.pread

        def pread(offset: int, length: int) -> bytes:
            if offset >= 64:
                raise OSError(5, "Input/output error")
            return whole(offset, length)

        file.pread = pread  # type: ignore[method-assign]
        return file


@pytest.mark.parametrize("name", ["file", "file.gz"])
def test_a_disk_that_fails_is_an_error_with_the_file_and_the_byte(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "READ_BYTES", 32)
    path = tmp_path / name
    path.write_bytes(gzip.compress(DATA, 0) if path.suffix else DATA)
    with pytest.raises(InputError, match="byte 64 cannot be read: Input/output error") as caught:
        list(read_files(Failing(), (split_of(path),), Lines()))
    assert str(path) in str(caught.value)


def test_files_are_closed_whatever_happens(tmp_path: Path) -> None:
    """A task that stops early, or fails, leaves no open file behind."""
    path = tmp_path / "file"
    path.write_bytes(DATA + b"\xff")
    before = len(os.listdir("/proc/self/fd"))
    lines = read_files(SystemFiles(), (split_of(path),), Lines("latin-1"))
    next(lines)
    lines.close()  # type: ignore[attr-defined]
    with pytest.raises(InputError):
        read(split_of(path))
    assert len(os.listdir("/proc/self/fd")) == before
