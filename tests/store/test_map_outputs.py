"""Map outputs: what was written is read part by part, and no damage passes for data."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.execute.chunks import Corrupt, frame, split_frames
from headrace.runtime.files import SystemFiles
from headrace.store.mapoutput import (
    BLOCK_BYTES,
    BLOCK_PARTS,
    HEAD,
    OPEN_MAX,
    TAIL,
    Broken,
    MapOutputFiles,
    MapOutputReader,
    read_range,
    remove_map_output,
)

FILES = SystemFiles()
PARTS = st.lists(st.lists(st.binary(max_size=50), max_size=4), min_size=1, max_size=8)
given_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(folder: Path, parts: list[list[bytes]], name: str = "5-17") -> str:
    """Write a map output aside and publish it; return where it is."""
    aside, path = f"{folder}/aside", f"{folder}/out/{name}"
    output = MapOutputFiles(FILES, aside, len(parts))
    for number, pieces in enumerate(parts):
        output.part(iter(pieces), number * 10)
    assert output.finish() == sum(len(piece) for pieces in parts for piece in pieces)
    output.publish(path)
    return path


def read(reader: MapOutputReader, path: str, number: int, piece: int = 7) -> bytes:
    file, part = reader.part(path, number)
    return b"".join(read_range(file, part.offset, part.length, piece))


@given_files
@given(PARTS, st.integers(1, 60))
def test_each_part_is_what_was_written(tmp_path: Path, parts: list[list[bytes]], piece: int) -> None:
    path = write(tmp_path, parts)
    reader = MapOutputReader(FILES)
    for number, pieces in enumerate(parts):
        assert read(reader, path, number, piece) == b"".join(pieces)
        assert reader.part(path, number)[1].records == number * 10
    reader.close()


def test_a_part_less_than_promised_is_our_own_mistake(tmp_path: Path) -> None:
    output = MapOutputFiles(FILES, str(tmp_path / "aside"), 2)
    output.part([b"x"], 1)
    with pytest.raises(AssertionError, match="every reduce partition has a part"):
        output.finish()


def test_nothing_is_in_place_before_it_is_published_and_the_index_comes_last(tmp_path: Path) -> None:
    seen: list[tuple[str, bool]] = []

    class Watched(SystemFiles):
        def rename(self, old: str, new: str) -> None:
            seen.append((new.rpartition(".")[2], os.path.exists(new.rpartition(".")[0] + ".index")))
            super().rename(old, new)

    output = MapOutputFiles(Watched(), str(tmp_path / "aside"), 1)
    output.part([b"data"], 1)
    output.finish()
    assert not (tmp_path / "out").exists()
    output.publish(str(tmp_path / "out" / "1-1"))
    assert seen == [("data", False), ("index", False)]
    assert sorted(name.name for name in (tmp_path / "out").iterdir()) == ["1-1.data", "1-1.index"]
    assert not list(tmp_path.glob("aside*"))


FRAMES = [[frame(["a", 1], 2), frame(["b"], 1)], [], [frame([None] * 3, 3)]]


def values(path: str) -> list[list[Any]]:
    reader = MapOutputReader(FILES)
    try:
        return [
            [part.load() for part in split_frames(iter([read(reader, path, number)]))] for number in range(len(FRAMES))
        ]
    finally:
        reader.close()


EXPECTED = [[["a", 1], ["b"]], [], [[None] * 3]]
DAMAGE = (Broken, Corrupt, FileNotFoundError)


def test_sound_files_are_read(tmp_path: Path) -> None:
    assert values(write(tmp_path, FRAMES)) == EXPECTED


@pytest.mark.parametrize("ending", ["data", "index"])
def test_any_changed_byte_is_noticed(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path, FRAMES)
    file = Path(f"{path}.{ending}")
    sound = file.read_bytes()
    for place in range(len(sound)):
        for change in (1, 0x80):
            broken = bytearray(sound)
            broken[place] ^= change
            file.write_bytes(broken)
            with pytest.raises(DAMAGE):
                values(path)
    file.write_bytes(sound)
    assert values(path) == EXPECTED


def test_a_part_of_very_many_is_read_without_the_index_of_the_others(tmp_path: Path) -> None:
    """A worker with little memory reads a few partitions of a shuffle to many; what is damaged elsewhere is no matter."""
    number = 3 * BLOCK_PARTS + 5
    path = write(tmp_path, [[b"%d" % part] for part in range(number)])
    file = Path(f"{path}.index")
    sound = bytearray(file.read_bytes())
    damaged = sound.copy()
    damaged[HEAD.size + TAIL.size + BLOCK_BYTES] ^= 1
    swapped = sound.copy()
    first = HEAD.size + TAIL.size
    swapped[first : first + BLOCK_BYTES] = sound[first + BLOCK_BYTES : first + 2 * BLOCK_BYTES]
    for index, bad in ((sound, -1), (damaged, 1), (swapped, 0)):
        file.write_bytes(index)
        reader = MapOutputReader(FILES)
        for part in (number - 1, *range(number)):
            if part // BLOCK_PARTS == bad:
                with pytest.raises(Broken, match="checksum"):
                    reader.part(path, part)
            else:
                assert read(reader, path, part) == b"%d" % part
        assert sum(len(block.entries) for _, block in reader._open.values()) < BLOCK_BYTES
        reader.close()


@pytest.mark.parametrize("ending", ["data", "index"])
def test_any_truncation_is_noticed_between_frames_too(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path, FRAMES)
    file = Path(f"{path}.{ending}")
    sound = file.read_bytes()
    for length in range(len(sound)):
        file.write_bytes(sound[:length])
        with pytest.raises(DAMAGE):
            values(path)


CHANGES: dict[str, Callable[[str], Any]] = {
    "index missing": lambda path: os.unlink(f"{path}.index"),
    "data missing": lambda path: os.unlink(f"{path}.data"),
    "both missing": lambda path: shutil.rmtree(os.path.dirname(path)),
    "index empty": lambda path: os.truncate(f"{path}.index", 0),
    "data empty": lambda path: os.truncate(f"{path}.data", 0),
    "index of zeros": lambda path: Path(f"{path}.index").write_bytes(bytes(80)),
    "data of zeros": lambda path: Path(f"{path}.data").write_bytes(bytes(os.path.getsize(f"{path}.data"))),
    "index of another": lambda path: shutil.copy(f"{path}.data", f"{path}.index"),
    "data of another": lambda path: shutil.copy(f"{path}.index", f"{path}.data"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_missing_or_something_else_is_noticed(tmp_path: Path, change: str) -> None:
    path = write(tmp_path, FRAMES)
    CHANGES[change](path)
    with pytest.raises(DAMAGE):
        values(path)


def test_a_part_that_the_index_does_not_have_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, FRAMES)
    reader = MapOutputReader(FILES)
    for number in (-1, 3, 10**9):
        with pytest.raises(Broken, match="has no part"):
            reader.part(path, number)
    reader.close()


def test_a_data_file_that_shrinks_once_it_is_open_is_an_error_and_not_an_early_end(tmp_path: Path) -> None:
    """Cut between two frames, what is left would look whole."""
    path = write(tmp_path, FRAMES)
    reader = MapOutputReader(FILES)
    file, part = reader.part(path, 0)
    os.truncate(f"{path}.data", len(FRAMES[0][0]))
    with pytest.raises(Broken, match="ends at byte"):
        list(read_range(file, part.offset, part.length, 1 << 20))
    reader.close()


def test_files_used_last_stay_open_and_no_more_than_so_many(tmp_path: Path) -> None:
    reader = MapOutputReader(FILES)
    before = len(os.listdir("/proc/self/fd"))
    paths = [write(tmp_path, [[b"x"]], f"{number}-1") for number in range(OPEN_MAX + 20)]
    for path in paths:
        assert read(reader, path, 0) == b"x"
    assert len(os.listdir("/proc/self/fd")) - before == OPEN_MAX
    reader.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_is_forgotten_is_looked_for_again(tmp_path: Path) -> None:
    """Otherwise a file that is gone with its host would be read on from its descriptor."""
    path = write(tmp_path, [[b"x"]])
    reader = MapOutputReader(FILES)
    assert read(reader, path, 0) == b"x"
    remove_map_output(FILES, path)
    assert read(reader, path, 0) == b"x", "still open"
    reader.forget(os.path.dirname(path) + "/")
    with pytest.raises(FileNotFoundError):
        read(reader, path, 0)
    remove_map_output(FILES, path)


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def test_forgetting_one_stage_keeps_another_whose_number_begins_alike(tmp_path: Path) -> None:
    reader = MapOutputReader(FILES)
    one, twelve = (write(folder(tmp_path / name), [[b"x"]]) for name in ("1", "12"))
    read(reader, one, 0), read(reader, twelve, 0)
    remove_map_output(FILES, twelve)
    reader.forget(f"{tmp_path}/1/")
    assert read(reader, twelve, 0) == b"x"
    reader.close()
