"""Partitions that are kept on disk: whole or not at all, as readable as those in memory, and gone when they are dropped."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.execute.chunks import frame, split_frames
from headrace.ids import HostId
from headrace.plan.levels import StorageLevel
from headrace.runtime.files import SystemFiles
from headrace.store.cache import Cache
from headrace.store.layout import Layout
from headrace.store.serving import BlockReader, NoSuchBlock

FILES = SystemFiles()
LEVELS = [StorageLevel.MEMORY_ONLY, StorageLevel.MEMORY_AND_DISK, StorageLevel.DISK_ONLY]


def keep(cache: Cache, key: tuple[int, int], frames: list[bytes], level: StorageLevel) -> bool:
    entry = cache.begin(*key, level)
    if all(entry.add(one) for one in frames):
        entry.done()
    entry.close()
    return entry.complete


def kept(cache: Cache, reader: BlockReader, key: tuple[int, int]) -> bytes | None:
    """Read a partition as a peer would, and see that its owner finds the same."""
    try:
        total, data = reader.read(f"cache/{key[0]}/{key[1]}", -1, 0, 1 << 30)
    except NoSuchBlock:
        assert cache.get(*key) is None
        assert cache.sound(*key) is None
        return None
    assert total == len(data)
    frames, path = cache.get(*key), cache.sound(*key)
    assert (b"".join(frames) if frames is not None else Path(str(path)).read_bytes()) == data
    return data


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("keep"),
            st.integers(0, 3),
            st.integers(0, 2),
            st.lists(st.binary(max_size=40), max_size=4),
            st.sampled_from(LEVELS),
        ),
        st.tuples(st.just("forget"), st.integers(0, 3)),
    ),
    max_size=25,
)


@given(STEPS, st.sampled_from([0, 60, 150, 10_000]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_may_be_on_disk_is_there_until_it_is_dropped(tmp_path: Path, steps: list[Any], budget: int) -> None:
    """Compared with a dictionary: a partition that may be on disk never goes by itself; one in memory may."""
    folder = tmp_path / os.urandom(4).hex()
    folder.mkdir()
    cache = Cache(budget, FILES, str(folder))
    reader = BlockReader(FILES, Layout(str(folder)), HostId("h0"), cache)
    expected: dict[tuple[int, int], tuple[bytes, StorageLevel]] = {}
    for step in steps:
        if step[0] == "forget":
            cache.forget(step[1])
            expected = {key: value for key, value in expected.items() if key[0] != step[1]}
        else:
            _, dataset, partition, records, _ = step
            level = LEVELS[dataset % len(LEVELS)]  # a dataset has one level
            frames = [frame([record], 1) for record in records]
            if keep(cache, (dataset, partition), frames, level):
                expected[dataset, partition] = (b"".join(frames), level)
            else:
                assert not level.use_disk
        gone = cache.evicted()
        assert all(not expected.pop(key)[1].use_disk for key in gone)
        assert {key: value[0] for key, value in expected.items()} == {
            key: found
            for key in ((d, p) for d in range(4) for p in range(3))
            if (found := kept(cache, reader, key)) is not None
        }
    for dataset in range(4):
        cache.forget(dataset)
    assert list(folder.iterdir()) == []


def test_a_damaged_file_is_dropped_and_told(tmp_path: Path) -> None:
    cache = Cache(0, FILES, str(tmp_path))
    assert keep(cache, (1, 2), [frame(["water"], 1)], StorageLevel.DISK_ONLY)
    path = cache.sound(1, 2)
    assert path is not None
    data = bytearray(Path(path).read_bytes())
    data[-3] ^= 1
    Path(path).write_bytes(data)
    assert cache.sound(1, 2) is None
    assert cache.evicted() == ((1, 2),)
    assert list(tmp_path.iterdir()) == []


def test_a_partition_that_was_given_up_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(0, FILES, str(tmp_path))
    entry = cache.begin(1, 2, StorageLevel.DISK_ONLY)
    assert entry.add(frame(["water"], 1))
    assert len(list(tmp_path.iterdir())) == 1
    entry.close()
    assert list(tmp_path.iterdir()) == []
    assert cache.sound(1, 2) is None


class FullFiles(SystemFiles):
    """A disk on which nothing more fits."""

    def create(self, path: str) -> Any:
        made = super().create(path)

        def write(data: Any) -> None:
            raise OSError(28, "No space left on device")

        made.write = write  # type: ignore[method-assign]
        return made


@pytest.mark.parametrize("level", LEVELS[1:])
def test_a_full_disk_keeps_nothing_and_harms_nobody(tmp_path: Path, level: StorageLevel) -> None:
    cache = Cache(0, FullFiles(), str(tmp_path))
    assert not keep(cache, (1, 2), [frame(["water"], 1)], level)
    assert list(tmp_path.iterdir()) == []


def test_what_gives_way_goes_to_disk_if_it_may(tmp_path: Path) -> None:
    cache = Cache(100, FILES, str(tmp_path))
    first = frame(["a" * 30], 1)
    assert keep(cache, (1, 0), [first], StorageLevel.MEMORY_AND_DISK)
    assert keep(cache, (2, 0), [frame(["b" * 30], 1)], StorageLevel.MEMORY_ONLY)
    assert cache.get(1, 0) is None
    path = cache.sound(1, 0)
    assert path is not None
    assert [part.load() for part in split_frames([Path(path).read_bytes()])] == [["a" * 30]]
    assert cache.evicted() == ()


def test_a_copy_and_a_computation_of_the_same_partition_do_not_mix(tmp_path: Path) -> None:
    """The loop pulls a copy while a body computes the partition: each writes a file of its own, and both are whole."""
    cache = Cache(0, FILES, str(tmp_path))
    frames = [frame([number] * 50, 50) for number in range(6)]
    copied, computed = (cache.begin(1, 0, StorageLevel.DISK_ONLY) for _ in range(2))
    for place, one in enumerate(frames):
        assert copied.add(one)
        if place % 2:
            assert all(computed.add(other) for other in frames[place - 1 : place + 1])
    copied.done()
    assert copied.complete
    assert cache.sound(1, 0) is not None
    computed.done()
    assert computed.complete
    path = cache.sound(1, 0)
    assert path is not None
    assert Path(path).read_bytes() == b"".join(frames)
    assert os.listdir(tmp_path) == ["cache-1-0"]


def test_what_is_dropped_while_it_is_read_is_not_damaged(tmp_path: Path) -> None:
    """A body checks a file that the loop's thread removes: it is not there, and nobody is told that it gave way."""
    cache = Cache(0, FILES, str(tmp_path))
    assert keep(cache, (1, 0), [frame(["kept"], 1)], StorageLevel.DISK_ONLY)
    path = cache.path
    cache.path = lambda *key: (path(*key), cache.forget(1))[0]  # type: ignore[method-assign]
    assert cache.sound(1, 0) is None
    assert cache.evicted() == ()


def test_what_gave_way_and_came_back_is_not_told_as_gone() -> None:
    cache = Cache(100)
    for dataset in (1, 2, 1):
        assert keep(cache, (dataset, 0), [bytes(100)], StorageLevel.MEMORY_ONLY)
    assert cache.evicted() == ((2, 0),)


def test_what_is_dropped_while_it_is_looked_up_is_found_or_not() -> None:
    """Another thread may drop a partition at any moment, also between finding it and noting that it was used."""
    cache = Cache(100)
    assert keep(cache, (1, 0), [b"kept"], StorageLevel.MEMORY_ONLY)

    class Dropped(OrderedDict[tuple[int, int], list[bytes]]):
        def get(self, key: tuple[int, int], default: Any = None) -> Any:
            found = super().get(key, default)
            cache.drop(key)
            return found

    cache._kept = Dropped(cache._kept)
    assert cache.get(1, 0) == [b"kept"]
    assert cache.get(1, 0) is None
