"""Ctrl-C, a notebook's interrupt, timeouts: the job ends, the context goes on, and nothing is left lying about."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

import headrace
from headrace.context import Context
from headrace.errors import JobCancelled
from tests.real.help import Program, children, files_under, lines_of, run_folders, told, until, write

LONG = """
import os, sys, time, headrace

def begun(x):
    open(os.path.join({lair!r}, f"begun-{{os.getpid()}}"), "w").close()
    return x

def slow(x):
    {slow}
    return x

with headrace.connect() as ctx:
    while not ctx.workers():
        pass
    {job}
print("not reached")
"""
JOBS = {
    "count": "ctx.range(1000, num_slices=1000).map(begun).map(slow).count()",
    "shuffle": "ctx.range(1000, num_slices=8).map(begun).map(slow).map(lambda x: (x, x)).group_by_key().count()",
    "save": "ctx.range(1000, num_slices=8).map(begun).map(slow).save_as_text_file({out!r})",
    "cache": "ctx.range(1000, num_slices=8).map(begun).map(slow).cache().count()",
    "sort": "ctx.range(1000, num_slices=8).map(begun).map(slow).sort_by(lambda x: -x).count()",
}


def begun(lair: Path) -> bool:
    return len(list(lair.glob("begun-*"))) >= 2


@pytest.mark.parametrize("job", JOBS)
def test_ctrl_c_ends_a_script_and_leaves_nothing(lair: Path, job: str) -> None:
    out = lair / "out"
    source = LONG.format(lair=str(lair), slow="time.sleep(0.05)", job=JOBS[job].format(out=str(out)))
    program = Program.script(source, lair)
    until(lambda: begun(lair), "both workers are at it")
    os.killpg(program.process.pid, signal.SIGINT)  # as a terminal does it: to all in the foreground
    status = program.end()
    assert status == -signal.SIGINT, "as any script that is interrupted"
    assert "KeyboardInterrupt" in program.err
    assert "not reached" not in program.out
    program.leaves_nothing()
    assert not out.exists()


def test_ctrl_c_twice_and_more_leaves_nothing_either(lair: Path) -> None:
    source = LONG.format(lair=str(lair), slow="time.sleep(600)", job=JOBS["count"])
    program = Program.script(source, lair)
    until(lambda: begun(lair), "both workers are at it")
    for _ in range(20):
        if program.process.poll() is None:
            program.send(signal.SIGINT)
        time.sleep(0.02)
    program.end()
    program.leaves_nothing()


def test_ctrl_c_while_a_worker_does_not_listen(lair: Path) -> None:
    source = LONG.format(lair=str(lair), slow="time.sleep(600)", job=JOBS["count"])
    program = Program.script(source, lair)
    until(lambda: begun(lair), "both workers are at it")
    program.send(signal.SIGINT)
    assert program.end() == -signal.SIGINT
    program.leaves_nothing()


MOMENTS = ["_place.close", "_place.shut", "_network.shut", "_reactor.close", "_folder.remove"]


@pytest.mark.parametrize(
    ("url", "moment"), [*(("local://?workers=2&", moment) for moment in MOMENTS), ("inline://?", "_folder.remove")]
)
def test_ctrl_c_while_a_context_is_closed_is_told_when_nothing_is_left(
    url: str, moment: str, lair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = children()
    ctx = headrace.connect(f"{url}dir={lair}", progress=False)
    assert ctx.range(10).sum() == 45
    where, name = moment.split(".")
    part = getattr(ctx._session, where)
    real = getattr(part, name)

    def press(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        real(*arguments)

    monkeypatch.setattr(part, name, press)
    with pytest.raises(KeyboardInterrupt):
        ctx.close()
    assert run_folders(lair) == []
    assert children() == before
    assert [line["what"] for line in told(ctx.run)].count("run done") == 1
    ctx.close()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_while_connecting_leaves_a_run_that_is_ended_with_the_program(lair: Path) -> None:
    source = """
        import os, signal, headrace
        from headrace.runtime.session import LocalSession
        begin = LocalSession.__init__
        def press(session, *arguments):
            os.kill(os.getpid(), signal.SIGINT)
            begin(session, *arguments)
        LocalSession.__init__ = press
        headrace.connect()
        """
    program = Program.script(source, lair)
    assert program.end() == -signal.SIGINT
    program.leaves_nothing()


def test_ctrl_c_in_headrace_run(lair: Path) -> None:
    source = LONG.format(lair=str(lair), slow="time.sleep(0.05)", job=JOBS["count"])
    path = write(lair, "script.py", source)
    program = Program([sys.executable, "-m", "headrace", "run", str(path)], lair)
    until(lambda: begun(lair), "both workers are at it")
    program.send(signal.SIGINT)
    assert program.end() == 130
    program.leaves_nothing()


def interrupt_when(condition: str, lair: Path) -> None:
    """Press Ctrl-C in this very process as soon as workers have begun."""

    def press() -> None:
        until(lambda: begun(lair), condition)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()


def note(folder: str) -> None:
    with open(os.path.join(folder, f"begun-{os.getpid()}"), "w"):
        pass


@pytest.mark.parametrize("listens", [True, False])
def test_a_context_survives_an_interrupted_job(lair: Path, listens: bool) -> None:
    """In a notebook: the cell is interrupted, the next one runs."""
    folder, pause_s = str(lair), 0.02 if listens else 600.0

    def slow(x: int) -> int:
        note(folder)
        time.sleep(pause_s)
        return x

    with headrace.connect(f"local://?workers=2&dir={lair}&cancel_grace=200ms", progress=False) as ctx:
        numbers = ctx.range(400, num_slices=400)  # a task is asked to stop between chunks: each of these is one
        until(lambda: len(ctx.workers()) == 2, "both are there")
        pids = {worker.pid for worker in ctx.workers()}
        interrupt_when("both workers are at it", lair)
        with pytest.raises(KeyboardInterrupt):
            numbers.map(slow).count()
        assert numbers.map(lambda x: x % 10).distinct().count() == 10
        until(lambda: {worker.state for worker in ctx.workers()} == {"idle"}, "the workers are at rest")
        survived = pids <= {worker.pid for worker in ctx.workers()}
        assert survived == listens
        (failed,) = lines_of(ctx.run, "job failed")
        assert (failed["kind"], failed["why"]) == ("cancelled", "the program was interrupted")
        killed = lines_of(ctx.run, "worker to be killed")
        assert bool(killed) != listens
        (run,) = run_folders(lair)
        until(lambda: not [p for p in files_under(run) if ".map." in p or "/result/" in p], "the job's files are gone")
    assert run_folders(lair) == []


def test_an_interrupted_save_leaves_no_folder_and_can_be_repeated(lair: Path) -> None:
    folder, out = str(lair), lair / "out"

    def slow(x: int) -> int:
        note(folder)
        time.sleep(0.01)
        return x

    with headrace.connect("local://?workers=2", progress=False) as ctx:
        numbers = ctx.range(400, num_slices=40)
        for _ in range(3):
            for path in lair.glob("begun-*"):
                path.unlink()
            interrupt_when("both workers are at it", lair)
            with pytest.raises(KeyboardInterrupt):
                numbers.map(slow).save_as_text_file(out)
            until(lambda: {worker.state for worker in ctx.workers()} == {"idle"}, "the workers are at rest")
            assert not out.exists(), sorted(out.rglob("*"))
        numbers.save_as_text_file(out)
        assert (out / "_SUCCESS").exists()
        assert len(list(out.glob("part-*"))) == 40


def test_an_interrupt_in_one_thread_leaves_the_jobs_of_others_alone(lair: Path) -> None:
    folder = str(lair)

    def slow(x: int) -> int:
        note(folder)
        time.sleep(0.01)
        return x

    with headrace.connect("local://?workers=2", progress=False) as ctx:
        found: list[int] = []
        other = threading.Thread(target=lambda: found.append(ctx.range(100, num_slices=20).map(slow).sum()))
        interrupt_when("both workers are at it", lair)
        other.start()
        with pytest.raises(KeyboardInterrupt):
            ctx.range(10_000, num_slices=100).map(slow).count()
        other.join(60)
        assert found == [4950]


def test_ctrl_c_interrupts_an_inline_run_too(lair: Path) -> None:
    """There it strikes within the user's function; the task has not failed, the program was interrupted."""
    folder, out = str(lair), lair / "out"

    def slow(x: int) -> int:
        note(folder)
        time.sleep(0.01)
        return x

    def press() -> None:
        until(lambda: list(lair.glob("begun-*")), "it has begun")
        os.kill(os.getpid(), signal.SIGINT)

    with headrace.connect("inline://", progress=False) as ctx:
        threading.Thread(target=press, daemon=True).start()
        with pytest.raises(KeyboardInterrupt):
            ctx.range(6000, num_slices=600).map(slow).save_as_text_file(out)
        assert not out.exists()
        assert ctx.range(10).map(lambda x: x % 3).distinct().count() == 3
        assert not lines_of(ctx.run, "rerun")


def test_an_alarm_of_the_users_own_ends_a_job(local: Context) -> None:
    """A handler that raises, as timeouts are often made."""

    class TooLong(Exception):
        pass

    def ring(number: int, frame: object) -> None:
        raise TooLong

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        with pytest.raises(TooLong):
            local.range(1000, num_slices=100).map(lambda x: time.sleep(0.02)).count()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert local.range(100).map(lambda x: (x % 3, x)).reduce_by_key(max).count() == 3


def test_closing_a_context_cancels_what_runs() -> None:
    ctx = headrace.connect("local://?workers=2", progress=False)
    raised: list[BaseException] = []

    def run() -> None:
        try:
            ctx.range(1000, num_slices=100).map(lambda x: time.sleep(0.05)).count()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    until(lambda: any(worker.state == "running" for worker in ctx.workers()), "it runs")
    ctx.close()
    thread.join(60)
    (error,) = raised
    assert isinstance(error, JobCancelled)
    assert "closed" in str(error)
