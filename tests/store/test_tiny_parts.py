"""Tiny parts are read with their neighbours: the same bytes, few openings, little memory, and what is damaged is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.runtime.files import SystemFiles, SystemReadFile
from headrace.store.mapoutput import OPEN_MAX, RUN_BYTES, RUNS_BYTES, Broken, MapOutputFiles, MapOutputReader


class Counting(SystemFiles):
    """Counts how often files are opened."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = 0

    def open(self, path: str) -> SystemReadFile:
        self.opened += 1
        return super().open(path)


def write(files: SystemFiles, path: Path, parts: list[bytes]) -> str:
    output = MapOutputFiles(files, str(path), len(parts))
    for part in parts:
        output.part([part] if part else [], 1)
    output.finish()
    return str(path)


def taken(reader: MapOutputReader, path: str, number: int) -> bytes:
    held = reader.held(path, number)
    return held if held is not None else b"".join(reader.read(path, number, 1000))


SIZES = st.sampled_from([0, 0, 1, 7, 500, RUN_BYTES // 3, RUN_BYTES, 3 * RUN_BYTES])


@given(sizes=st.lists(SIZES, min_size=1, max_size=9), order=st.lists(st.integers(0, 8), max_size=14))
@settings(max_examples=60)
def test_every_part_is_what_was_written_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], order: list[int]
) -> None:
    files = SystemFiles()
    parts = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    path = write(files, tmp_path_factory.mktemp("parts") / "m", parts)
    reader = MapOutputReader(files)
    for number in order:
        assert taken(reader, path, number % len(parts)) == parts[number % len(parts)]
    reader.close()


def test_files_are_not_opened_for_every_part(tmp_path: Path) -> None:
    files, outputs, reduces = Counting(), 2 * OPEN_MAX, 64
    paths = [write(files, tmp_path / f"m{m}", [f"{m}/{r}".encode() for r in range(reduces)]) for m in range(outputs)]
    reader = MapOutputReader(files)
    for reduce in range(reduces):
        for m, path in enumerate(paths):
            assert taken(reader, path, reduce) == f"{m}/{reduce}".encode()
    assert files.opened == 2 * outputs, "index and data, once each"
    reader.close()


@pytest.mark.parametrize("room", [RUNS_BYTES, RUNS_BYTES // 4, 1 << 40])
def test_what_is_held_is_little_and_forgotten_with_its_folder(tmp_path: Path, room: int) -> None:
    files = SystemFiles()
    part = b"x" * (RUN_BYTES // 4)
    paths = [write(files, tmp_path / f"m{m}", [part] * 4) for m in range(2 * RUNS_BYTES // RUN_BYTES)]
    reader, most = MapOutputReader(files, room), min(room, RUNS_BYTES)
    for path in paths:
        assert taken(reader, path, 0) == part
    held = [path for path in paths if reader.held(path, 1) is not None]
    assert most // 2 < len(held) * RUN_BYTES <= most
    assert held == paths[-len(held) :], "those that were read last"
    reader.forget(str(tmp_path))
    assert not any(reader.held(path, 1) for path in paths)


def test_a_data_file_that_became_shorter_is_found(tmp_path: Path) -> None:
    files = SystemFiles()
    path = write(files, tmp_path / "m", [b"abc", b"defg", b"hij"])
    Path(f"{path}.data").write_bytes(b"abcde")
    reader = MapOutputReader(files)
    assert taken(reader, path, 0) == b"abc", "it is there"
    for number in (1, 2):
        with pytest.raises(Broken):
            taken(reader, path, number)
    reader.close()
