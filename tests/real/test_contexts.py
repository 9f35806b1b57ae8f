"""Contexts: many at once, one after the other, used too late, in forked children, from several threads."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import add
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.context import Context
from headrace.errors import ContextClosed, JobCancelled, UsageError
from tests.real.help import Program, children, lines_of, process_state, run_folders, until

URL = "local://?workers=2"


def open_files() -> set[str]:
    """Return what this process has open, by descriptor."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except FileNotFoundError:
            continue  # the listing's own
    return found


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("headrace")}


def test_opening_and_closing_leaks_nothing() -> None:
    """Descriptors, threads, processes and files are as many after as before."""
    headrace.connect(URL, progress=False).close()  # what is made once is made
    files, running, offspring = open_files(), set(threading.enumerate()), children()
    for round_ in range(25):
        with headrace.connect(URL, progress=False) as ctx:
            if round_ % 3 == 0:
                assert ctx.range(10).map(lambda x: (x, 1)).reduce_by_key(max).count() == 10
            elif round_ % 3 == 1:
                os.kill(until(ctx.workers, "somebody is there")[0].pid, signal.SIGKILL)  # at start-up
    assert set(threading.enumerate()) == running
    assert children() == offspring
    assert open_files() == files


def test_a_context_closes_while_its_workers_are_still_starting() -> None:
    began = time.monotonic()
    before = children()
    for _ in range(10):
        headrace.connect("local://?workers=3", progress=False).close()
    assert children() == before
    assert time.monotonic() - began < 40


def test_a_context_closes_while_its_workers_are_being_killed() -> None:
    before = children()
    for round_ in range(6):
        ctx = headrace.connect("local://?workers=3", progress=False)
        if round_ % 2:
            ctx.range(10).count()
        pids = [worker.pid for worker in until(ctx.workers, "somebody is there")]
        closing = threading.Thread(target=ctx.close)
        closing.start()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        closing.join(60)
        assert not closing.is_alive()
    assert children() == before


def test_a_context_closes_while_its_workers_are_stopped() -> None:
    ctx = headrace.connect(URL, progress=False)
    ctx.range(10).count()
    pids = [worker.pid for worker in ctx.workers()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    ctx.close()
    assert not any(process_state(pid) for pid in pids)


def test_several_contexts_at_once() -> None:
    contexts = [headrace.connect(URL, progress=False) for _ in range(3)]
    try:
        pairs = [
            ctx.range(100).map(lambda x: (x % 7, x % 7 + 100)).map_values(partial(add, n)).reduce_by_key(max)
            for n, ctx in enumerate(contexts)
        ]
        with ThreadPoolExecutor(3) as pool:
            found = list(pool.map(lambda dataset: dataset.collect_as_map(), pairs))
        assert found == [{key: key + 100 + n for key in range(7)} for n in range(3)]
        assert len({worker.pid for ctx in contexts for worker in ctx.workers()}) == 6
        contexts[0].close()
        assert pairs[1].count() == 7
    finally:
        for ctx in contexts:
            ctx.close()


def test_several_threads_run_jobs_in_one_context() -> None:
    with headrace.connect(URL, progress=False) as ctx, ThreadPoolExecutor(8) as pool:
        jobs = [ctx.range(n, num_slices=3).map(lambda x: (x % 3, x)).reduce_by_key(max) for n in range(24)]
        assert list(pool.map(lambda job: job.count(), jobs)) == [min(n, 3) for n in range(24)]


def has_ended(child: int) -> bool:
    """Whether a child has ended, whoever buries it."""
    try:
        return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


USES: list[Callable[[Context], Any]] = [
    lambda ctx: ctx.range(3).count(),
    lambda ctx: ctx.range(3).collect(),
    lambda ctx: ctx.broadcast([1]),
    lambda ctx: ctx.parallelize(["x" * 1000] * 1000, 2).count(),
    lambda ctx: ctx.range(3).map(lambda x: (x, x)).group_by_key().count(),
    lambda ctx: ctx.range(3).sort_by(lambda x: x).count(),
    lambda ctx: ctx.range(3).cache(),
]


@pytest.mark.parametrize("url", [URL, "inline://"])
@pytest.mark.parametrize("use", USES, ids=["count", "collect", "broadcast", "slices", "group", "sort", "cache"])
def test_a_context_used_after_its_end_says_so(url: str, use: Callable[[Context], Any]) -> None:
    ctx = headrace.connect(url, progress=False)
    ctx.close()
    with pytest.raises(ContextClosed, match="Connect anew"):
        use(ctx)
    assert ctx.workers() == ()


def test_a_context_used_in_a_forked_child_says_so(lair: Path) -> None:
    program = Program.script(
        """
        import os, sys, headrace
        ctx = headrace.connect()
        squares = ctx.range(5).map(lambda x: x * x)
        print(squares.sum(), flush=True)
        child = os.fork()
        if not child:
            large = ["x" * 1000] * 1000
            for use in (squares.sum, lambda: ctx.broadcast(1), lambda: ctx.parallelize(large).count()):
                try:
                    use()
                except headrace.errors.ContextClosed as error:
                    print(error, flush=True)
            ctx.close()
            sys.exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        print(squares.sum(), len(ctx.workers()), flush=True)
        child = os.fork()
        if not child:
            sys.exit(8)  # without closing: what the interpreter does at its end must not, either
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        print(squares.sum(), ctx.run, flush=True)
        """,
        lair,
    )
    first, *refused, seven, second, eight, third = program.ok().splitlines()
    assert first == "30"
    assert len(refused) == 3
    assert all("forked" in line and "Connect anew in the child" in line for line in refused)
    assert (seven, second, eight) == ("7", "30 2", "8")
    total, run = third.split()
    assert total == "30"
    assert len(lines_of(run, "run done")) == 1, "a child told the end of its parent's story"
    program.leaves_nothing()


def test_a_forked_child_may_connect_anew(lair: Path) -> None:
    program = Program.script(
        """
        import os, sys, headrace
        ctx = headrace.connect()
        print(ctx.range(5).sum(), flush=True)
        child = os.fork()
        if not child:
            with headrace.connect() as own:
                print(own.range(6).sum(), flush=True)
            sys.exit(0)
        os.waitpid(child, 0)
        print(ctx.range(7).sum(), flush=True)
        """,
        lair,
    )
    assert program.ok().split() == ["10", "15", "21"]
    program.leaves_nothing()


def test_a_program_may_fork_a_pool_of_its_own_while_a_context_is_open(lair: Path) -> None:
    program = Program.script(
        """
        import multiprocessing, headrace
        ctx = headrace.connect()
        squares = ctx.range(100).map(lambda x: x * x)
        total = squares.sum()
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(pool.map(abs, [-1, -2]), squares.sum() == total)
        print(squares.sum() == total)
        """,
        lair,
    )
    assert program.ok().splitlines() == ["[1, 2] True", "True"]
    program.leaves_nothing()


def test_closing_ends_the_jobs_of_other_threads() -> None:
    """Nobody waits for ever, whenever the end comes."""
    for pause_s in (0.0, 0.001, 0.01, 0.3):
        ctx = headrace.connect(URL, progress=False)
        ended: list[BaseException | None] = []

        def run(ctx: Context, ended: list[BaseException | None]) -> None:
            try:
                while True:
                    ctx.range(4, num_slices=4).map(lambda x: time.sleep(0.05)).count()
            except BaseException as raised:
                ended.append(raised)

        workers = [threading.Thread(target=run, args=(ctx, ended), daemon=True) for _ in range(4)]
        for thread in workers:
            thread.start()
        time.sleep(pause_s)
        ctx.close()
        for thread in workers:
            thread.join(60)
            assert not thread.is_alive(), f"a thread waits for ever ({pause_s} s)"
        assert all(isinstance(error, ContextClosed | JobCancelled) for error in ended), ended


def test_workers_can_be_looked_at_while_an_action_runs() -> None:
    """From another thread: frozen records, with what each is doing; the dead are not among them."""
    with headrace.connect("local://?workers=3&heartbeat=50ms", progress=False) as ctx:
        action = threading.Thread(target=lambda: ctx.range(60, num_slices=60).map(lambda x: time.sleep(0.05)).count())
        action.start()
        busy = until(lambda: [w for w in ctx.workers() if w.state == "running"], "somebody runs something")
        assert all(worker.task and "." in worker.task for worker in busy)
        until(lambda: all(w.memory > 1 << 20 for w in ctx.workers()) and len(ctx.workers()) == 3, "memory is told")
        assert {worker.host for worker in ctx.workers()} == {"h0"}
        victim = ctx.workers()[0]
        with pytest.raises(AttributeError):
            victim.state = "dead"  # type: ignore[misc]
        os.kill(victim.pid, signal.SIGKILL)
        until(lambda: has_ended(victim.pid), "it dies")
        assert victim.id not in {worker.id for worker in ctx.workers()}, "the dead are not listed, at once"
        assert victim.pid not in {worker.pid for worker in ctx.workers()}
        until(lambda: len(ctx.workers()) == 3, "it is replaced")
        action.join()
        until(lambda: {worker.state for worker in ctx.workers()} == {"idle"}, "all is quiet again")
        assert all(worker.task is None for worker in ctx.workers())


def test_the_environment_names_where_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_URL", "local://?workers=3&hosts=3")
    with headrace.connect(progress=False) as ctx:
        assert (ctx.config.workers, ctx.config.hosts) == (3, 3)
        until(lambda: {worker.host for worker in ctx.workers()} == {"h0", "h1", "h2"}, "a worker for each host")
    with headrace.connect("inline://", progress=False) as ctx:
        assert ctx.config.scheme == "inline"
    monkeypatch.setenv("HEADRACE_URL", "nowhere://")
    with pytest.raises(UsageError, match="nowhere"):
        headrace.connect(progress=False)


def test_workers_are_dealt_to_hosts_in_turn() -> None:
    with headrace.connect("local://?workers=5&hosts=2", progress=False) as ctx:
        until(lambda: len(ctx.workers()) == 5, "all are launched")
        assert [w.host for w in sorted(ctx.workers(), key=lambda w: w.id)] == ["h0", "h1", "h0", "h1", "h0"]


def test_a_refused_address_leaves_nothing(lair: Path) -> None:
    before = threads()
    with pytest.raises(UsageError):
        headrace.connect(f"local://?workers=0&dir={lair}")
    assert threads() == before
    assert run_folders(lair) == []
