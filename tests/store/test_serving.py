"""What peers may pull: ranges of blocks of this host, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.ids import HostId
from headrace.runtime.files import SystemFiles
from headrace.store.cache import Cache
from headrace.store.layout import Layout
from headrace.store.mapoutput import MapOutputFiles
from headrace.store.serving import BlockReader, NoSuchBlock

FILES = SystemFiles()
HOST = HostId("h1")
PARTS = [b"first part", b"", b"the third"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "h1" / "w1").mkdir(parents=True)
    (tmp_path / "h2").mkdir()
    output = MapOutputFiles(FILES, str(tmp_path / "h1" / "w1" / "aside"), len(PARTS))
    for data in PARTS:
        output.part([data], 1)
    output.finish()
    output.publish(str(tmp_path / "h1" / "shuffle" / "3" / "0-7"))
    (tmp_path / "h1" / "result").mkdir()
    (tmp_path / "h1" / "result" / "9").write_bytes(b"the result")
    (tmp_path / "h1" / "slice-1-0").write_bytes(b"a slice")
    (tmp_path / "h2" / "slice-1-0").write_bytes(b"of another host")
    (tmp_path / "h1" / "w1" / "secret").write_bytes(b"a worker's own")
    return tmp_path


def reader_of(root: Path, cache: Cache | None = None) -> BlockReader:
    return BlockReader(FILES, Layout(str(root)), HOST, cache)


RANGES = st.tuples(st.integers(-3, 15), st.integers(-1, 15))
given_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@given_files
@given(RANGES)
def test_a_range_of_a_block_is_that_range_of_it(root: Path, bounds: tuple[int, int]) -> None:
    offset, limit = bounds
    reader = reader_of(root)
    blocks = [("shuffle/3/0-7", number, data) for number, data in enumerate(PARTS)]
    blocks += [("result/9", -1, b"the result"), ("slice-1-0", -1, b"a slice")]
    for name, part, data in blocks:
        expected = data[offset : offset + max(0, limit)] if offset >= 0 else b""
        assert reader.read(name, part, offset, limit) == (len(data), expected), "and never a byte of a neighbour"
    reader.outputs.close()


@given_files
@given(st.lists(st.binary(max_size=6), max_size=5), RANGES)
def test_a_cached_partition_is_its_frames_end_to_end(root: Path, frames: list[bytes], bounds: tuple[int, int]) -> None:
    offset, limit = max(0, bounds[0]), bounds[1]
    cache = Cache(1_000)
    cache.put((4, 2), frames)
    whole = b"".join(frames)
    assert reader_of(root, cache).read("cache/4/2", -1, offset, limit) == (
        len(whole),
        whole[offset : offset + max(0, limit)],
    )


def test_pulling_piece_by_piece_gives_the_whole(root: Path) -> None:
    reader = reader_of(root)
    got = b""
    while True:
        total, data = reader.read("result/9", -1, len(got), 3)
        got += data
        if len(got) == total:
            break
    assert got == b"the result"


REFUSED = [
    *("slice-9-9", "result/10", "shuffle/3/0-8", "shuffle/4/0-7", "shuffle", "w1", "result", "h1"),
    *("../h2/slice-1-0", "w1/secret", "/etc/passwd", "", ".", "..", "shuffle/3/../../../h2/slice-1-0", "a\0b"),
    *("cache/4/2", "cache/4/3", "cache/x/y", "cache/1", "cache/1/2/3", "cache/-1/0", "cache//", "cache/../../h2"),
]


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("part", [-1, 0])
def test_whatever_is_not_a_block_here_is_lacking(root: Path, name: str, part: int) -> None:
    with pytest.raises(NoSuchBlock):
        reader_of(root, Cache(100)).read(name, part, 0, 100)
    with pytest.raises(NoSuchBlock):
        reader_of(root).read(name, part, 0, 100)


@pytest.mark.parametrize("part", [3, 10**12])
def test_a_part_that_is_not_there_is_lacking(root: Path, part: int) -> None:
    with pytest.raises(NoSuchBlock, match="has no part"):
        reader_of(root).read("shuffle/3/0-7", part, 0, 10)


def test_damage_is_lacking_and_says_why(root: Path) -> None:
    index = root / "h1" / "shuffle" / "3" / "0-7.index"
    index.write_bytes(index.read_bytes()[:-1])
    with pytest.raises(NoSuchBlock, match="wrong checksum"):
        reader_of(root).read("shuffle/3/0-7", 0, 0, 10)


def test_a_file_that_became_shorter_is_lacking_and_not_an_early_end(root: Path) -> None:
    reader = reader_of(root)
    assert reader.read("shuffle/3/0-7", 2, 0, 100)[1] == PARTS[2]
    os.truncate(root / "h1" / "shuffle" / "3" / "0-7.data", 12)
    with pytest.raises(NoSuchBlock, match="early"):
        reader.read("shuffle/3/0-7", 2, 0, 100)
    reader.outputs.close()


def test_a_limit_beyond_all_reason_takes_no_more_memory_than_the_block(root: Path) -> None:
    assert reader_of(root).read("result/9", -1, 0, 1 << 50) == (10, b"the result")
