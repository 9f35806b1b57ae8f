"""Functions that do what no function should: the engine is not disturbed, and says what happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.context import Context
from headrace.errors import JobFailed, TaskFailed, TaskLost
from tests.real.help import command, process_state, told, until


def raises(error: type[BaseException]) -> Callable[[int], int]:
    def fail(x: int) -> int:
        if x == 7:
            raise error("grit")
        return x

    return fail


def sound(ctx: Context) -> bool:
    """Whether workers still do what they should."""
    return ctx.range(100, num_slices=4).map(lambda x: (x % 3, 1)).reduce_by_key(lambda a, b: a + b).count() == 3


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, GeneratorExit, MemoryError, BaseException])
def test_whatever_is_raised_is_the_tasks_failure(local: Context, error: type[BaseException]) -> None:
    before = {worker.pid for worker in local.workers()}
    with pytest.raises(TaskFailed, match=error.__name__) as caught:
        local.range(10).map(raises(error)).collect()
    assert isinstance(caught.value.__cause__, error)
    assert len(caught.value.history) == 4
    assert sound(local)
    assert {worker.pid for worker in local.workers()} >= before, "no process ended for it"


STEPS: dict[str, Callable[[Any, Any], Any]] = {
    "map": lambda data, f: data.map(f),
    "flat_map": lambda data, f: data.flat_map(lambda x: [f(x)]),
    "filter": lambda data, f: data.filter(lambda x: f(x) + 1),
    "map_partitions": lambda data, f: data.map_partitions(lambda part: (f(x) for x in part)),
    "map_values": lambda data, f: data.map(lambda x: (x, x)).map_values(f),
    "flat_map_values": lambda data, f: data.map(lambda x: (x, x)).flat_map_values(lambda v: [f(v)]),
    "key_by": lambda data, f: data.key_by(f),
    "reduce_by_key": lambda data, f: data.map(lambda x: (0, x)).reduce_by_key(lambda a, b: f(7)),
    "sort_by": lambda data, f: data.sort_by(f),
    "generator": lambda data, f: data.flat_map(lambda x: (f(y) for y in [x])),
}


@pytest.mark.parametrize("step", STEPS)
def test_stop_iteration_drops_no_record(local: Context, step: str) -> None:
    """Python's own loops would take it for the end of the input."""
    data = STEPS[step](local.range(10, num_slices=1), raises(StopIteration))
    with pytest.raises(TaskFailed):
        data.collect()
    with pytest.raises(TaskFailed):
        data.map(lambda x: (x, 1)).group_by_key(2).count()
    assert sound(local)


ACTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "reduce": lambda data, f: data.reduce(lambda a, b: f(b)),
    "foreach": lambda data, f: data.foreach(f),
    "top": lambda data, f: data.top(3, key=f),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_stop_iteration_in_an_action_does_not_pass_for_an_end(local: Context, action: str) -> None:
    with pytest.raises(JobFailed):
        ACTIONS[action](local.range(10, num_slices=1), raises(StopIteration))
    assert sound(local)


class Awkward(Exception):
    """Cannot be unpickled: it needs two arguments, and keeps one."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)
        self.second = second


class Unpicklable(Exception):
    def __init__(self) -> None:
        super().__init__("dust")
        self.stream = open(os.devnull)  # noqa: SIM115


class Nasty(Exception):
    def __str__(self) -> str:
        raise ValueError("even this fails")

    def __reduce__(self) -> Any:
        raise ValueError("and this")


@pytest.mark.parametrize("make", [lambda: Awkward("grit", "sand"), Unpicklable, Nasty, RecursionError, TimeoutError])
def test_exceptions_that_do_not_travel_are_told_all_the_same(local: Context, make: Callable[[], Exception]) -> None:
    name = type(make()).__name__

    def fail(x: int) -> int:
        raise make()

    with pytest.raises(TaskFailed, match=name):
        local.range(2).map(fail).collect()
    assert sound(local)


def die(how: str) -> Callable[[int], int]:
    def step(x: int) -> int:
        if x == 7:
            print("the last words")
            sys.stderr.write("and these\n")
            if how == "exit":
                os._exit(3)
            elif how == "exit well":
                os._exit(0)
            else:
                os.kill(os.getpid(), getattr(signal, how))
            time.sleep(60)
        return x

    return step


@pytest.mark.parametrize("how", ["SIGSEGV", "SIGBUS", "SIGABRT", "SIGILL", "SIGFPE", "exit", "exit well"])
def test_a_task_that_ends_its_process_has_failed(how: str) -> None:
    with headrace.connect("local://?workers=2&max_failures=2", progress=False) as ctx:
        with pytest.raises(TaskFailed) as caught:
            ctx.range(10, num_slices=5).map(die(how)).collect()
        said = str(caught.value)
        assert {"exit": "exited with status 3", "exit well": "exited with status 0"}.get(how, how) in said
        assert "in task" in said
        assert "(compute)" in said
        assert "the last words" in said
        assert "and these" in said
        assert len(caught.value.history) == 2
        assert sound(ctx)
        deaths = [line for line in told(ctx.run) if line["what"] == "worker lost"]
        assert [line["phase"] for line in deaths] == ["compute"] * 2
        assert all(line["task"] and line["attempt"] for line in deaths)


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGUSR1"])
def test_a_task_that_is_killed_again_and_again_is_lost(how: str) -> None:
    with headrace.connect("local://?workers=2&max_losses=3&max_failures=1", progress=False) as ctx:
        with pytest.raises(TaskLost) as caught:
            ctx.range(10, num_slices=5).map(die(how)).collect()
        said = str(caught.value)
        assert f"was ended by {how}" in said
        assert "the last words" in said
        assert "memory" in said, "the advice, or what the kernel says"
        assert len(caught.value.history) == 3
        assert sound(ctx)


def test_a_real_segmentation_fault() -> None:
    """Not a signal that was sent: the process touches memory that it does not have; Python says where."""

    def crash(x: int) -> int:
        import ctypes

        return int(ctypes.string_at(0)[0]) if x == 7 else x

    with headrace.connect("local://?workers=2&max_failures=1", progress=False) as ctx:
        with pytest.raises(TaskFailed, match="SIGSEGV") as caught:
            ctx.range(10).map(crash).collect()
        assert "in crash" in str(caught.value), "faulthandler's lines are among the last that it printed"
        assert sound(ctx)


def test_an_address_space_that_is_too_small_is_a_memory_error() -> None:
    def hoard(x: int) -> int:
        import resource

        if x == 7:
            resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
            return len(bytearray(8 << 30))
        return x

    with headrace.connect("local://?workers=1&max_failures=1", progress=False) as ctx:
        with pytest.raises(TaskFailed, match="MemoryError"):
            ctx.range(10).map(hoard).collect()
        assert sound(ctx)


def test_deep_recursion_in_c_is_reported(local: Context) -> None:
    def dig(x: int) -> int:
        nested: list[Any] = []
        for _ in range(100_000):
            nested = [nested]
        return len(repr(nested))

    with pytest.raises(TaskFailed, match="RecursionError"):
        local.range(1).map(dig).collect()
    assert sound(local)


# Forks.


def test_a_forked_child_that_returns_into_the_engine_changes_nothing(local: Context) -> None:
    def fork(x: int) -> int:
        if x % 10 == 3:
            os.fork()  # from here on there are two of us
        return x

    for _ in range(3):
        data = local.range(100, num_slices=4).map(fork)
        assert data.collect() == list(range(100))
        assert data.map(lambda x: (x % 7, 1)).reduce_by_key(lambda a, b: a + b).map(lambda kv: kv[1]).sum() == 100
    assert sound(local)


def test_a_forked_child_that_raises_or_exits_changes_nothing(local: Context) -> None:
    def fork(x: int) -> int:
        if x % 10 == 3:
            child = os.fork()
            if not child:
                if x % 20 == 3:
                    raise ValueError("in the child only")
                if x % 30 == 3:
                    sys.exit(5)
                os._exit(6)
            os.waitpid(child, 0)
        return x

    assert local.range(100, num_slices=4).map(fork).collect() == list(range(100))
    assert sound(local)


def test_a_forked_child_writes_nothing_into_the_workers_files(lair: Path) -> None:
    """It shares their descriptors, and what is gathered to be written."""

    def fork(part: Iterator[int]) -> Iterator[tuple[int, str]]:
        for x in part:
            if x == 500:
                os.fork()
            yield x % 50, f"{x:0100d}"

    with headrace.connect(f"local://?workers=2&dir={lair}&memory=8MB", progress=False) as ctx:
        data = ctx.range(2000, num_slices=2).map_partitions(fork)
        groups = data.group_by_key().map_values(lambda group: sorted(int(text) for text in group)).collect_as_map()
        assert groups == {key: list(range(key, 2000, 50)) for key in range(50)}
        ctx.range(2000, num_slices=2).map_partitions(fork).save_as_text_file(lair / "out")
        written = [line for part in sorted((lair / "out").glob("part-*")) for line in part.read_text().splitlines()]
        assert written == [str((x % 50, f"{x:0100d}")) for x in range(2000)]


def test_multiprocessing_inside_a_task(local: Context) -> None:
    def square_all(part: Iterator[int]) -> list[int]:
        import multiprocessing

        with multiprocessing.get_context("fork").Pool(2) as pool:
            return pool.map(abs, [-x for x in part])

    assert local.range(20, num_slices=4).map_partitions(square_all).collect() == list(range(20))
    assert sound(local)


def test_threads_inside_a_task(local: Context) -> None:
    def in_threads(part: Iterator[int]) -> list[int]:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda x: x * x, part))

    assert local.range(20, num_slices=4).map_partitions(in_threads).collect() == [x * x for x in range(20)]


def test_what_a_worker_started_dies_with_it() -> None:
    def start(x: int) -> int:
        return subprocess.Popen(["sleep", "1000"]).pid

    with headrace.connect("local://?workers=1", progress=False) as ctx:
        child = ctx.range(1).map(start).first()
        until(lambda: command(child)[:1] == ["sleep"], "it has become what it was started as")
        os.kill(ctx.workers()[0].pid, signal.SIGKILL)
        until(lambda: not process_state(child), "the worker is killed, and what it started with it")
        child = ctx.range(1).map(start).first()
        until(lambda: command(child)[:1] == ["sleep"], "it has become what it was started as")
    until(lambda: not process_state(child), "the context is closed, and nothing is left")


def test_a_task_that_closes_every_descriptor_harms_its_own_process_only() -> None:
    def close_all(x: int) -> int:
        if x == 7:
            os.closerange(3, 256)
        return x

    with headrace.connect("local://?workers=2&max_failures=2&max_losses=4", progress=False) as ctx:
        with pytest.raises(JobFailed):
            ctx.range(10, num_slices=5).map(close_all).collect()
        assert sound(ctx)


def test_a_task_that_changes_folder_and_signals_harms_nobody(local: Context) -> None:
    def rude(x: int) -> int:
        os.chdir("/")
        for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        sys.stdout.close()
        return x

    assert local.range(10).map(rude).sum() == 45
    assert sound(local)
