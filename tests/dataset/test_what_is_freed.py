"""What the program refers to no more is freed: kept partitions, shuffles, slices, broadcast values, plans."""

from __future__ import annotations

import gc
import operator
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import headrace
from headrace import Broadcast, StorageLevel, testing
from headrace.context import Context
from headrace.loops.jobs import MESSAGE_BLOB_BYTES
from headrace.observe.story import Story
from headrace.protocols.messages import CancelAttempts, Run, encode
from tests.real.help import files_below, until


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
    return [path for path in files_below(layout.root) if holds in path]


def go_on(ctx: Context, seconds: int) -> Any:
    """Let a simulated world go on for a while; return the session."""
    session: Any = ctx._session
    session.wait_until(session.controller.ports.gate.flag(), session.now_ns() + seconds * 1_000_000_000)
    return session


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


def code(ctx: Context) -> list[str]:
    """The files of large functions in the program's store."""
    return files(ctx, "blob-")


def test_large_functions(ctx: Context) -> None:
    large = bytes(MESSAGE_BLOB_BYTES)
    sizes = ctx.range(3, num_slices=3).map(lambda x: x + len(large))
    assert code(ctx) == [], "nobody has asked for it yet"
    for _ in range(2):
        assert sizes.sum() == 3 + 3 * len(large)
        assert len(code(ctx)) == 1, "the dataset may be computed again"
    summed = sizes.key_by(lambda x: x % 2).reduce_by_key(operator.add, 2)
    assert summed.count() == 2
    del sizes
    gc.collect()
    assert summed.keys().count() == 2
    assert len(code(ctx)) == 1, "another one is made with it"
    del summed
    soon(ctx, lambda: not code(ctx), "it is removed")
    again = ctx.range(3).map(lambda x: x + len(large))
    assert again.sum() == 3 + 3 * len(large), "the same code once more"
    del again
    soon(ctx, lambda: not code(ctx), "it is removed")


def test_large_functions_of_a_loop(ctx: Context) -> None:
    for number in range(40):
        large = bytes([number]) * MESSAGE_BLOB_BYTES
        assert ctx.range(2, num_slices=2).map(large.__getitem__).sum() == 2 * number
    soon(ctx, lambda: not code(ctx), "they are removed")
    assert not ctx._session.controller.codes._holds
    if ctx.config.scheme == "sim":
        for process in ctx._session.place.processes.values():  # type: ignore[attr-defined]
            assert process.loop.loading._bytes < 10 * MESSAGE_BLOB_BYTES, "workers have let go of them, too"


@pytest.mark.parametrize("seed", range(6))
def test_workers_forget_what_is_over(seed: int) -> None:
    with headrace.connect(f"sim://?workers=4&hosts=2&seed={seed}&faults=all", progress=False) as ctx:
        for _ in range(6):
            pairs = ctx.range(40, num_slices=8).key_by(lambda x: x % 5)
            assert pairs.reduce_by_key(max, 6).count() == 5
        del pairs
        gc.collect()
        session = go_on(ctx, 60)
        workers = [process.loop for process in session.place.processes.values() if process.alive]
        assert workers
        for worker in workers:
            assert not worker.attempts
            assert not worker.orders
            assert not worker.shared.tables
            assert not [thing for thing in worker._machine().here if thing.startswith("outputs")]


def test_workers_forget_attempts_that_were_called_off_before_they_came() -> None:
    with headrace.connect("sim://?workers=1&check=off", progress=False) as ctx:  # nobody claimed what is told here
        assert ctx.range(4).count() == 4
        (process,) = ctx._session.place.processes.values()  # type: ignore[attr-defined]
        worker = process.loop
        order = Run(1, 1, "program", (), (), ((999, 0, 0),), (), "")
        for message in (CancelAttempts((999,)), order, order):
            worker.received(worker.program_peer, encode(message))
            worker.loop.run()
        assert not worker.orders


@pytest.mark.parametrize(
    "url", ["inline://", *(f"sim://?workers=4&hosts=2&seed={seed}&faults=all" for seed in range(4))]
)
def test_the_story_remembers_what_runs_only(url: str) -> None:
    story = Story(lambda line: None)
    with headrace.connect(url, progress=False, watchers=[story]) as ctx:
        for _ in range(6):
            pairs = ctx.range(40, num_slices=8).key_by(lambda x: x % 5)
            assert pairs.reduce_by_key(max, 6).count() == 5
        del pairs
        gc.collect()
        ctx.range(1).count()
        assert len(story._stages) <= 1
        assert len(story._tasks) <= len(ctx._session.controller.scheduler.attempts)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_freed_while_nobody_is_on_a_host(seed: int) -> None:
    with headrace.connect(f"sim://?workers=2&hosts=2&seed={seed}", progress=False) as ctx:
        go_on(ctx, 1)
        pairs = ctx.range(40, num_slices=8).key_by(lambda x: x % 5).reduce_by_key(max, 6)
        names = ctx.broadcast({"Ada": 36})

        def is_named(pair: tuple[int, int], names: Broadcast[dict[str, int]] = names) -> bool:
            return pair[0] < len(names.value)

        assert pairs.filter(is_named).count() == 1
        assert {path.split("/")[2] for path in files(ctx, "/shuffle/")} == {"h0", "h1"}
        for worker in ctx.workers():
            testing.kill_worker(ctx, worker.id)
        del pairs, names, is_named
        gc.collect()
        go_on(ctx, 1)
        assert {worker.host for worker in ctx.workers() if worker.state != "starting"} == {"h0", "h1"}
        soon(ctx, lambda: not files(ctx, "/shuffle/") and not files(ctx, "broadcast-"), "they are removed")
