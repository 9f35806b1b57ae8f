"""Silence is not death: stopped and busy workers are suspected, copied, trusted again; only what is hung is ended."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.context import Context
from headrace.errors import TaskLost
from headrace.protocols.schedule_words import Ticked
from tests.real.help import Program, lines_of, process_state, told, until

FAST = "heartbeat=50ms&suspect=300ms"


class Job:
    """A job in a thread of its own."""

    def __init__(self, run: Any) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self._run = run
        self._thread = threading.Thread(target=self._guarded, daemon=True)
        self._thread.start()

    def _guarded(self) -> None:
        try:
            self.result = self._run()
        except BaseException as error:
            self.error = error

    def end(self) -> Any:
        self._thread.join(60)
        assert not self._thread.is_alive(), "the job hangs"
        if self.error is not None:
            raise self.error
        return self.result


def busy(ctx: Context) -> Any:
    """Wait until some worker runs something, and return it."""
    return until(lambda: next((w for w in ctx.workers() if w.state == "running"), None), "somebody runs something")


def what(ctx: Context) -> list[str]:
    return [line["what"] for line in told(ctx.run)]


def wait_for(ctx: Context, event: str) -> None:
    until(lambda: event in what(ctx), f"the story tells: {event}")


def test_a_stopped_worker_is_suspected_copied_and_counted_once(lair: Path) -> None:
    """It wakes up and speaks when its task has long been done by another."""
    folder = str(lair)

    def step(x: int) -> int:
        with open(os.path.join(folder, f"ran-{x}-{os.getpid()}"), "w"):
            pass
        time.sleep(0.05)
        return x

    with headrace.connect(f"local://?workers=3&{FAST}", progress=False) as ctx:
        ctx.range(6, num_slices=6).count()
        seen = ctx.accumulator(0)

        def counted(x: int) -> tuple[int, int]:
            seen.add(1)
            return step(x) % 3, x

        job = Job(lambda: ctx.range(40, num_slices=40).map(counted).reduce_by_key(lambda a, b: a + b).collect_as_map())
        victim = busy(ctx)
        os.kill(victim.pid, signal.SIGSTOP)
        assert job.end() == {r: sum(range(r, 40, 3)) for r in range(3)}, "the job ends without it"
        assert "copy begun" in what(ctx)
        assert [w.state for w in ctx.workers() if w.id == victim.id] == ["suspected"]
        assert seen.value == 40
        os.kill(victim.pid, signal.SIGCONT)
        wait_for(ctx, "worker trusted again")
        until(lambda: all(w.state == "idle" for w in ctx.workers()), "all is quiet")
        assert seen.value == 40
        assert {w.pid for w in ctx.workers()} >= {victim.pid}, "it was not killed"
        assert ctx.range(90, num_slices=9).map(lambda x: (x % 3, 1)).reduce_by_key(lambda a, b: a + b).count() == 3
        assert not lines_of(ctx.run, "worker lost")


def test_a_worker_that_was_stopped_for_long_and_wakes_is_trusted_again() -> None:
    with headrace.connect(f"local://?workers=2&{FAST}", progress=False) as ctx:
        until(lambda: [worker.state for worker in ctx.workers()] == ["idle"] * 2, "both have started")
        victim = ctx.workers()[0]
        for _ in range(3):
            before = what(ctx).count("worker trusted again")
            os.kill(victim.pid, signal.SIGSTOP)
            until(lambda: next(w for w in ctx.workers() if w.id == victim.id).state == "suspected", "it is suspected")
            assert ctx.range(100, num_slices=10).map(lambda x: x + 1).sum() == 5050
            os.kill(victim.pid, signal.SIGCONT)
            until(lambda n=before: what(ctx).count("worker trusted again") > n, "it is trusted")  # type: ignore[misc]
        assert {w.id for w in ctx.workers()} >= {victim.id}


def test_a_hung_worker_is_ended_and_its_task_lost() -> None:
    """Silent for long, and without using any processor time."""

    def freeze(x: int) -> int:
        os.kill(os.getpid(), signal.SIGSTOP)
        return x

    with headrace.connect(f"local://?workers=2&{FAST}&hung=500ms&max_losses=1&speculate=off", progress=False) as ctx:
        with pytest.raises(TaskLost, match="without using any processor time"):
            ctx.range(1, num_slices=1).map(freeze).count()
        assert ctx.range(10).sum() == 45


def test_a_long_call_in_c_is_suspected_at_most() -> None:
    """It holds the interpreter's lock, so no heartbeat can be sent; but it uses the processor."""

    def long_call(x: int) -> float:
        import re

        took, letters = 0.0, 18
        while took < 1.2:
            began = time.monotonic()
            re.match("(a+)+$", "a" * letters + "b")  # twice as long with every letter
            took, letters = time.monotonic() - began, letters + 1
        return took

    with headrace.connect(f"local://?workers=2&{FAST}&hung=800ms&speculate=off", progress=False) as ctx:
        ctx.range(2).count()
        pids = {worker.pid for worker in ctx.workers()}
        assert ctx.range(1, num_slices=1).map(long_call).first() >= 1.2
        assert {worker.pid for worker in ctx.workers()} == pids
        assert not lines_of(ctx.run, "worker lost")
        assert lines_of(ctx.run, "worker suspected"), "the test is of use only if it was"
        wait_for(ctx, "worker trusted again")


def test_a_slow_task_gets_a_copy_on_an_idle_worker(lair: Path) -> None:
    """One process is slow at the first attempt; the copy is not, and the loser's output is dropped."""
    folder = str(lair)

    def step(x: int) -> tuple[int, int]:
        try:
            os.mkdir(os.path.join(folder, f"first-{x}"))
            first = True
        except FileExistsError:
            first = False
        if x == 7 and first:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                time.sleep(0.01)
        return x % 2, x

    with headrace.connect(
        "local://?workers=2&heartbeat=50ms&backup_after=200ms&cancel_grace=300ms", progress=False
    ) as ctx:
        began = time.monotonic()
        found = ctx.range(16, num_slices=16).map(step).reduce_by_key(lambda a, b: a + b).collect_as_map()
        assert found == {0: 56, 1: 64}
        assert time.monotonic() - began < 50, "it was not waited for"
        (copied,) = lines_of(ctx.run, "copy begun")
        assert "slow for its stage" in lines_of(ctx.run, "copy")[0]["why"]
        assert copied["task"] == lines_of(ctx.run, "copy")[0]["task"]
        # It does not stop when asked, so its process goes, which counts against nobody.
        wait_for(ctx, "worker to be killed")
        wait_for(ctx, "worker lost")
        assert "killed: " in lines_of(ctx.run, "worker lost")[0]["how"]
        assert not lines_of(ctx.run, "attempt lost")
        assert not lines_of(ctx.run, "rerun")
        assert ctx.range(10).sum() == 45


@pytest.mark.parametrize("slow", ["slow", "stopped"])
def test_foreach_is_never_copied(lair: Path, slow: str) -> None:
    folder = str(lair)

    def effect(x: int) -> None:
        with open(os.path.join(folder, f"effect-{x}"), "a") as file:
            file.write(f"{os.getpid()}\n")
        if x == 7:
            if slow == "stopped":
                os.kill(os.getpid(), signal.SIGSTOP)
            time.sleep(1.5)

    ticks: list[object] = []

    def watch(machine: str, event: object, effects: list[object]) -> None:
        if machine == "schedule" and isinstance(event, Ticked):
            ticks.append(event)

    with headrace.connect(f"local://?workers=2&{FAST}&backup_after=100ms", progress=False, watchers=[watch]) as ctx:
        job = Job(lambda: ctx.range(16, num_slices=16).foreach(effect))
        if slow == "stopped":
            pid = int(until(lambda: (lair / "effect-7").exists() and (lair / "effect-7").read_text().strip(), "it ran"))
            until(lambda: process_state(pid) == "T", "it is stopped")
            wait_for(ctx, "worker suspected")
            until(lambda: [w.state for w in ctx.workers() if w.pid != pid] == ["idle"], "the other has nothing to do")
            ticks.clear()
            until(lambda: len(ticks) >= 5, "time enough for a copy, were there one")
            os.kill(pid, signal.SIGCONT)
        job.end()
        assert "copy begun" not in what(ctx)
        assert all(len(path.read_text().split()) == 1 for path in lair.glob("effect-*"))


def test_no_progress_is_told_with_what_is_waited_for() -> None:
    with headrace.connect(f"local://?workers=1&{FAST}&stall=300ms", progress=False) as ctx:
        job = Job(lambda: ctx.range(1, num_slices=1).map(lambda x: time.sleep(1.5)).count())
        begun = busy(ctx)
        wait_for(ctx, "stalled")
        job.end()
        stalled = lines_of(ctx.run, "stalled")
        assert all(line["silent"] >= 0.3 for line in stalled)
        waits = [wait for line in stalled for wait in line["waits"]]  # of early ones, perhaps, for the worker to start
        assert any("task 1.0" in wait and begun.id in wait for wait in waits)


def test_a_program_that_was_stopped_suspects_nobody(lair: Path) -> None:
    """The judge subtracts its own lateness."""
    source = f"""
        import os, time, headrace
        with headrace.connect("local://?workers=2&{FAST}&hung=1", progress=False) as ctx:
            ctx.range(2).count()
            print(*[worker.pid for worker in ctx.workers()], flush=True)
            while not os.path.exists("go"):
                time.sleep(0.01)
            print(ctx.range(100, num_slices=10).sum(), *[w.pid for w in ctx.workers()], flush=True)
            print(ctx.run)
        """
    program = Program.script(source, lair, cwd=lair)
    pids = program.line()
    program.send(signal.SIGSTOP)
    until(lambda: process_state(program.process.pid) == "T", "it is stopped")
    time.sleep(1.5)  # much longer than silence is borne
    program.send(signal.SIGCONT)
    (lair / "go").touch()
    total, *after = program.line().split()
    assert (total, after) == ("4950", pids.split())
    run = program.ok().split()[-1]
    assert not lines_of(run, "worker suspected")
    assert not lines_of(run, "worker lost")
