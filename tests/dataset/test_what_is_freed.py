"""What the program refers to no more is freed: kept partitions, shuffles, slices, broadcast values, plans."""

from __future__ import annotations

import gc
import operator
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import headrace
from headrace import StorageLevel
from headrace.context import Context
from tests.real.help import until


@pytest.fixture(scope="module", params=["inline://", "local://?workers=2", "sim://?workers=3"])
def ctx(request: pytest.FixtureRequest) -> Iterator[Context]:
    with headrace.connect(request.param, progress=False) as context:
        yield context


def files(ctx: Context, holds: str) -> list[str]:
    """The files of the run's folder whose paths have a word in them, real or simulated."""
    layout = ctx._session.controller.layout
    if ctx.config.scheme == "sim":
        simulated = ctx._session.disk.files  # type: ignore[attr-defined]
        return [path for path in simulated if holds in path]
    return [str(path) for path in Path(layout.root).rglob("*") if path.is_file() and holds in str(path)]


def soon(ctx: Context, done: Callable[[], bool], what: str) -> None:
    """What is freed is freed in the background: let the world go on."""
    gc.collect()
    if ctx.config.scheme == "local":
        until(done, what)
        return
    ctx.range(1).count()
    assert done(), what


@pytest.mark.parametrize("level", [StorageLevel.DISK_ONLY, StorageLevel.MEMORY_ONLY])
def test_a_kept_dataset_that_nobody_refers_to(ctx: Context, level: StorageLevel) -> None:
    lineage = ctx._session.controller.scheduler.lineage
    squares = ctx.range(100, num_slices=4).map(lambda x: x * x).persist(level)
    texts = squares.map(str)
    assert squares.count() == texts.count() == 100
    soon(ctx, lambda: len(lineage._cached) == 4, "it is kept")
    del squares
    gc.collect()
    assert texts.count() == 100
    assert len(lineage._cached) == 4, "another dataset still reads it"
    del texts
    soon(ctx, lambda: not lineage._cached, "it is forgotten")
    soon(ctx, lambda: not files(ctx, "cache-"), "its files are removed")
    assert not ctx._engine.cached
    assert not ctx._session.controller.cached


def test_slices_in_the_programs_store(ctx: Context) -> None:
    numbers = ctx.parallelize([f"{i:1000}" for i in range(600)], 3)
    lengths = numbers.map(len)
    assert len(files(ctx, "slice-")) > 0
    del numbers
    gc.collect()
    assert lengths.sum() == 600_000
    del lengths
    soon(ctx, lambda: not files(ctx, "slice-"), "they are removed")


def test_a_loop_leaves_nothing_behind(ctx: Context) -> None:
    points = ctx.parallelize([(i % 7, float(i)) for i in range(200)], 2).cache()
    plans: list[weakref.ref[object]] = []
    for _ in range(8):
        sums = points.map_values(lambda x: x / 2).reduce_by_key(operator.add, 2)
        assert len(sums.collect()) == 7
        plans.append(weakref.ref(sums._operator))
    del sums
    soon(ctx, lambda: not files(ctx, "shuffle"), "the shuffles are removed")
    assert not [plan for plan in plans if plan() is not None]
    controller = ctx._session.controller
    soon(ctx, lambda: not controller.scheduler.lineage.alive(), "no stage is left")
    soon(ctx, lambda: not controller.codes._codes and not controller.codes._blobs, "nor its code")
    ctx._engine.known.add([])
    assert len(ctx._engine.known) == 0
    assert not ctx._engine.known._fusing


def test_a_broadcast_value(ctx: Context) -> None:
    names = {"limit": ctx.broadcast(3)}
    below = ctx.range(10, num_slices=2).filter(lambda x: x < names["limit"].value)
    assert below.count() == 3
    names["limit"] = ctx.broadcast(5)
    gc.collect()
    assert below.count() == 3, "what was sent to workers is what is meant"
    assert len(files(ctx, "broadcast-")) == 2
    names.clear()
    del below
    soon(ctx, lambda: not files(ctx, "broadcast-"), "they are removed")


def test_a_broadcast_value_among_records(ctx: Context) -> None:
    values = ctx.parallelize([ctx.broadcast("a"), ctx.broadcast("b")], 2).map(lambda one: one.value)
    gc.collect()
    assert values.collect() == ["a", "b"]
    del values
    soon(ctx, lambda: not files(ctx, "broadcast-"), "they are removed")
