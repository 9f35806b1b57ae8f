"""Checkpoints change nothing but what is known of how records were made."""

from __future__ import annotations

import contextlib
import functools
import operator
import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace import StorageLevel, testing
from headrace.context import Context
from headrace.dataset import Dataset, checkpoints
from headrace.dataset.costs import OVER
from headrace.errors import ContextClosed, OutputError, TaskFailed, UsageError
from headrace.ids import OperatorId
from tests.dataset.watch import TasksRun
from tests.real.help import until

URLS = ["inline://", "local://?workers=2&speculate=no", "sim://?workers=3&seed=5"]


@pytest.fixture(params=URLS)
def ctx(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Context]:
    with headrace.connect(request.param, progress=False) as context:
        context.set_checkpoint_dir(tmp_path)
        yield context


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        context.set_checkpoint_dir(tmp_path)
        yield context


class Counted:
    """Squares, and how often one was computed."""

    def __init__(self, ctx: Context, number: int = 100) -> None:
        calls = self.calls = ctx.accumulator(0)

        def squared(x: int) -> int:
            calls.add(1)
            return x * x

        self.squares = ctx.range(number, num_slices=4).map(squared)


def test_what_is_checkpointed_is_read_from_files_from_then_on(ctx: Context, tmp_path: Path) -> None:
    counted = Counted(ctx)
    squares, above = counted.squares, counted.squares.map(str)
    squares.checkpoint()
    assert not squares.is_checkpointed
    assert squares.get_checkpoint_file() is None
    assert above.count() == 100
    ctx.wait_for_checkpoints()
    assert squares.is_checkpointed
    assert not above.is_checkpointed
    folder = squares.get_checkpoint_file()
    assert folder is not None
    assert sorted(os.listdir(folder)) == ["_SUCCESS", *(f"part-{p:05d}.frames" for p in range(4))]
    calls = counted.calls.value
    assert calls == 100, "what the job of a checkpoint adds does not count"
    assert squares.collect() == [x * x for x in range(100)]
    assert above.collect() == [str(x * x) for x in range(100)]
    assert squares.get_num_partitions() == 4
    assert counted.calls.value == calls
    assert "(checkpointed)" in above.to_debug_string()
    assert "range" not in above.to_debug_string()


def test_what_is_kept_is_written_from_there(ctx: Context) -> None:
    counted = Counted(ctx)
    squares = counted.squares.cache()
    squares.checkpoint()
    assert squares.sum() == sum(x * x for x in range(100))
    ctx.wait_for_checkpoints()
    assert squares.is_checkpointed
    assert squares.is_cached
    assert squares.unpersist().sum() == sum(x * x for x in range(100))
    assert counted.calls.value == 100


def test_the_shuffles_above_a_checkpoint_are_freed(ctx: Context) -> None:
    controller = ctx._session.controller
    sums = ctx.range(40, num_slices=2).key_by(lambda x: x % 5).reduce_by_key(max, 2)
    again = sums.map(lambda pair: (pair[0] % 2, pair[1])).reduce_by_key(max, 3)
    sums.checkpoint()
    assert sorted(again.collect()) == [(0, 39), (1, 38)]
    assert len(controller.scheduler.lineage.alive()) >= 1
    ctx.wait_for_checkpoints()
    if ctx.config.scheme == "local":
        until(lambda: len(controller.scheduler.lineage.alive()) == 1, "the first shuffle is freed, the second stays")
    assert sorted(again.collect()) == [(0, 39), (1, 38)]
    assert len(controller.scheduler.lineage.alive()) == 1
    assert again.explain().count("finished: reused") == 1
    assert sums.partitioner is not None
    assert "shuffles" not in sums.reduce_by_key(min).explain(), "it is still dealt by key"


def test_marks_wait_for_an_action_that_computes_them(here: Context) -> None:
    squares, other = Counted(here).squares, here.range(3)
    squares.checkpoint()
    squares.checkpoint()
    other.count()
    assert not squares.is_checkpointed
    squares.take(1)
    assert squares.is_checkpointed, "as a whole, though the action looked at a part"
    assert other.get_checkpoint_file() is None


def test_it_needs_a_folder(tmp_path: Path) -> None:
    with headrace.connect("inline://", progress=False) as ctx:
        assert ctx.get_checkpoint_dir() is None
        with pytest.raises(UsageError, match="set_checkpoint_dir first"):
            ctx.range(3).checkpoint()
        (tmp_path / "file").touch()
        for path in (tmp_path / "file", tmp_path / "file/below"):
            with pytest.raises(OutputError, match="Choose"):
                ctx.set_checkpoint_dir(path)
        with pytest.raises(UsageError, match="path of a folder"):
            ctx.set_checkpoint_dir("")
        ctx.set_checkpoint_dir(tmp_path / "a/b")
        first = ctx.get_checkpoint_dir()
        ctx.set_checkpoint_dir(tmp_path / "a/b")
        assert first is not None
        assert first != ctx.get_checkpoint_dir(), "never where something may lie already"
        assert os.stat(first).st_mode & 0o777 == 0o700


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    stat = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("harm", [Path.unlink, spoil, shorten])
def test_a_checkpoint_that_is_gone_or_damaged_is_told(here: Context, harm: Callable[[Path], Any]) -> None:
    squares = Counted(here).squares
    squares.checkpoint()
    squares.count()
    folder = squares.get_checkpoint_file()
    assert folder is not None
    harm(Path(folder) / "part-00002.frames")
    with pytest.raises(TaskFailed, match=r"a checkpoint is lost: .*part-00002.*run the program again"):
        squares.collect()
    assert squares.take(3) == [0, 1, 4]


def with_a_generator(x: int) -> tuple[int, Iterator[str]]:
    return x, (letter for letter in "abc")


def test_a_checkpoint_that_cannot_be_written_is_told_and_nothing_is_lost(here: Context) -> None:
    squares = Counted(here).squares.map(with_a_generator)
    squares.checkpoint()
    with pytest.warns(RuntimeWarning, match=r"not written, and it is computed from its lineage"):
        assert squares.count() == 100
    assert not squares.is_checkpointed
    assert squares.keys().sum() == sum(x * x for x in range(100))


@pytest.mark.parametrize("url", URLS)
def test_a_context_that_closes_meanwhile_leaves_no_half_checkpoint(url: str, tmp_path: Path) -> None:
    with headrace.connect(url, progress=False) as ctx:
        ctx.set_checkpoint_dir(tmp_path)
        for number in range(3):
            squares = ctx.range(50, num_slices=5).map(functools.partial(operator.add, number))
            squares.checkpoint()
            squares.count()
    for folder in tmp_path.glob("*/dataset-*"):
        names = os.listdir(folder)
        assert "_SUCCESS" not in names or len(names) == 6
        assert not list(folder.glob("_temporary/*/*")), "nothing is left aside"
    with pytest.raises(ContextClosed):
        squares.count()


@pytest.mark.parametrize("level", [None, StorageLevel.MEMORY_ONLY, StorageLevel.DISK_ONLY])
def test_a_local_checkpoint_is_kept_by_workers_only(ctx: Context, level: StorageLevel | None) -> None:
    counted = Counted(ctx)
    squares = counted.squares
    if level is not None:
        squares.persist(level)
    squares.local_checkpoint()
    assert squares.is_locally_checkpointed
    assert not squares.is_checkpointed
    squares.take(2)
    squares.map(str).count()
    ctx.wait_for_checkpoints()
    squares.count()
    calls = counted.calls.value
    assert squares.is_checkpointed
    assert squares.get_checkpoint_file() is None
    assert squares.collect() == [x * x for x in range(100)]
    assert counted.calls.value == calls
    assert "range" not in squares.to_debug_string()
    with pytest.raises(UsageError, match="local_checkpoint"):
        squares.unpersist()
    assert squares.count() == 100


def test_what_workers_kept_and_lost_is_told() -> None:
    with headrace.connect("local://?workers=2&speculate=no&max_failures=1", progress=False) as ctx:
        squares = Counted(ctx).squares
        squares.local_checkpoint()
        squares.count()
        until(lambda: squares.is_checkpointed, "its lineage is cut")
        for worker in ctx.workers():
            testing.kill_worker(ctx, worker.id)
        with pytest.raises(TaskFailed, match=r"is lost: workers kept it, and local_checkpoint\(\) has cut"):
            squares.collect()


def test_a_host_that_is_lost_takes_nothing_above_the_checkpoint_with_it(tmp_path: Path) -> None:
    tasks = TasksRun()
    with headrace.connect("local://?workers=2&hosts=2&speculate=no", progress=False, watchers=[tasks]) as ctx:
        ctx.set_checkpoint_dir(tmp_path)
        sums: Dataset[Any] = ctx.range(60, num_slices=3).key_by(lambda x: x % 6).reduce_by_key(max, 3)
        sums.checkpoint()
        expected = sorted(sums.collect())
        until(lambda: sums.is_checkpointed, "it is written")
        result = sums.map(lambda pair: (pair[0] % 2, pair[1])).reduce_by_key(max, 2)
        assert sorted(result.collect()) == [(0, 58), (1, 59)]
        tasks.stages()
        for host in ("h0", "h1"):
            testing.kill_host(ctx, host)
        assert sorted(sums.collect()) == expected
        assert len(tasks.stages()) == 1, "the files of the checkpoint are all that is read"
        assert sorted(result.collect()) == [(0, 58), (1, 59)]
        assert len(tasks.stages()) <= 2, "and of the lost shuffle only what lies behind it is made again"


def test_names_and_checkpoints_are_shown(here: Context) -> None:
    numbers = here.range(6, num_slices=2).key_by(lambda x: x % 2).set_name("numbers")
    sums = numbers.reduce_by_key(max, 3).set_name("sums").cache()
    assert (numbers.name, sums.name, here.range(3).name) == ("numbers", "sums", None)
    assert sums.to_debug_string().splitlines()[0].startswith("(3) reduce_by_key 'sums' [")
    assert sums.to_debug_string().splitlines()[0].endswith("(kept in the workers' memory)")
    assert " +-(2) key_by 'numbers' [" in sums.to_debug_string()
    assert " |  " in sums.keys().to_debug_string()
    shown = sums.explain()
    assert "key_by" in shown
    assert "'numbers'" in shown
    assert "result:   collect of sums" in shown
    sums.checkpoint()
    sums.count()
    assert "reduce_by_key(checkpointed) 'sums'" in sums.explain()
    assert "recovery: re-run, replicate (backup copies of slow tasks), checkpoint, because" in sums.explain()
    assert sums.to_debug_string().count("\n") == 0
    with pytest.raises(UsageError, match="some text"):
        sums.set_name("")


def test_a_lineage_that_branches_and_is_long_is_shown_once_and_at_once(here: Context) -> None:
    tip = here.range(4, num_slices=2).key_by(abs)
    for _ in range(400):
        tip = tip.join(tip, 2).map_values(max)
    text = tip.to_debug_string()
    assert len(text.splitlines()) < 10 * 400
    assert max(map(len, text.splitlines())) < 500


def test_what_is_unpersisted_before_it_is_cut_off_is_not(here: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(here)
    squares = counted.squares
    squares.local_checkpoint()
    squares.unpersist()
    assert squares.sum() == squares.sum()
    assert not squares.is_locally_checkpointed
    squares.local_checkpoint()
    kept = here._session.kept

    def forgotten_at_once(number: OperatorId, partitions: int) -> frozenset[int]:
        """As another thread may, between a look at what is kept and the cut."""
        found = kept(number, partitions)
        if len(found) == partitions:
            squares.unpersist()
        return found

    monkeypatch.setattr(here._session, "kept", forgotten_at_once)
    assert squares.count() == 100
    assert not squares.is_checkpointed
    assert squares.collect() == [x * x for x in range(100)]


def test_an_interrupt_while_a_checkpoint_is_put_into_place(here: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    squares = Counted(here).squares
    squares.checkpoint()

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "commit", interrupted)
        with pytest.raises(KeyboardInterrupt):
            squares.count()
    assert not squares.is_checkpointed
    assert squares.count() == 100
    assert squares.is_checkpointed
    assert squares.sum() == sum(x * x for x in range(100))


def test_what_is_kept_again_and_again_leaves_nothing(here: Context) -> None:
    numbers = here.range(4, num_slices=2)
    numbers.cache().unpersist()
    before = len(weakref.finalize._registry)  # type: ignore[attr-defined]
    for _ in range(20):
        numbers.cache().unpersist()
    assert len(weakref.finalize._registry) <= before  # type: ignore[attr-defined]


@pytest.mark.parametrize("url", ["inline://", "sim://?workers=3&seed=5&faults=all"])
def test_costs_of_jobs_that_nobody_asks_about_are_forgotten(url: str) -> None:
    with headrace.connect(url, checkpoint="auto", progress=False) as ctx:
        for _ in range(3 * OVER // 2):
            with contextlib.suppress(TaskFailed):
                ctx.range(2, num_slices=2).map(lambda x: 1 // x).count()
        assert len(ctx._engine.checkpoints.costs.stages) <= OVER + 1
