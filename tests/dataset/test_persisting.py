"""What is persisted is computed once, wherever it is kept, and again when it is lost."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace import StorageLevel, testing
from headrace.errors import UsageError
from tests.real.help import files_below, until

LEVELS = [StorageLevel.MEMORY_ONLY, StorageLevel.MEMORY_AND_DISK, StorageLevel.DISK_ONLY]
URLS = ["inline://", "local://?workers=2", "local://?workers=4&hosts=2", "sim://?workers=3&seed=5"]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("level", LEVELS)
def test_it_is_computed_once(url: str, level: StorageLevel) -> None:
    with headrace.connect(f"{url}{'&' if '?' in url else '?'}speculate=no", progress=False) as ctx:
        calls = ctx.accumulator(0)

        def slow(x: int) -> int:
            calls.add(1)
            return x * x

        squares = ctx.range(1000, num_slices=8).map(slow).persist(level)
        assert squares.get_storage_level() == level
        expected = [x * x for x in range(1000)]
        assert squares.collect() == expected
        assert calls.value == 1000
        assert squares.map(lambda x: x + 1).sum() == sum(expected) + 1000
        assert squares.sort_by(lambda x: -x, num_partitions=3).first() == 999 * 999
        assert calls.value == 1000
        squares.unpersist()
        assert squares.count() == 1000
        assert calls.value == 2000


@pytest.mark.parametrize("level", LEVELS)
def test_what_a_lost_worker_kept_is_computed_again(level: StorageLevel) -> None:
    with headrace.connect("local://?workers=2&speculate=no", progress=False) as ctx:
        calls = ctx.accumulator(0)

        def slow(x: int) -> int:
            calls.add(1)
            time.sleep(0.002)
            return x * x

        until(lambda: len([one for one in ctx.workers() if one.state == "idle"]) == 2, "both are ready")
        squares = ctx.range(100, num_slices=6).map(slow).persist(level)
        assert squares.sum() == sum(x * x for x in range(100))
        victim = until(ctx.workers, "somebody is there")[0].id
        testing.kill_worker(ctx, victim)
        until(lambda: victim not in [worker.id for worker in ctx.workers()], "it is dead")
        assert squares.sum() == sum(x * x for x in range(100))
        assert 100 < calls.value < 200, "some of it, and not all"


def test_what_does_not_fit_in_memory_goes_to_disk_where_it_may(tmp_path: Path) -> None:
    with headrace.connect(f"local://?workers=1&memory=1MB&dir={tmp_path}", progress=False) as ctx:
        calls = ctx.accumulator(0)

        def text(x: int) -> str:
            calls.add(1)
            return f"{x:2000}"

        texts = ctx.range(600, num_slices=3).map(text).persist(LEVELS[1])
        for _ in range(2):
            assert texts.map(len).sum() == 1_200_000
        assert calls.value == 600
        assert [path for path in files_below(tmp_path) if "/cache-" in path]
        texts.unpersist()
        until(lambda: not [path for path in files_below(tmp_path) if "/cache-" in path], "it is gone")


def test_a_dataset_is_kept_in_one_place_only() -> None:
    with headrace.connect("inline://", progress=False) as ctx:
        kept = ctx.range(3).cache()
        assert kept.cache().get_storage_level() == StorageLevel.MEMORY_ONLY
        with pytest.raises(UsageError, match=r"unpersist\(\)"):
            kept.persist(StorageLevel.DISK_ONLY)
        assert kept.unpersist().persist(StorageLevel.DISK_ONLY).collect() == [0, 1, 2]
        assert "cached:   range, on the workers' disks" in kept.explain()


@pytest.mark.parametrize("level", ["disk", None, StorageLevel(use_disk=False, use_memory=False)])
def test_what_is_no_level_is_refused_where_it_is_given(level: Any) -> None:
    with headrace.connect("inline://", progress=False) as ctx, pytest.raises(UsageError, match="DISK_ONLY"):
        ctx.range(3).persist(level)
