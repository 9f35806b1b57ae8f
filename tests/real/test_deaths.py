"""The report of a death: how, in which task, what is known of memory, and the last lines that the process logged."""

from __future__ import annotations

import logging
import os
import re
import signal
import time
from pathlib import Path

import pytest

import headrace
from headrace.errors import TaskFailed, TaskLost
from headrace.runtime.blackbox import BlackBox
from headrace.runtime.place.processes import LAST_LINES
from tests.real.help import Program, lines_of, until
from tests.real.test_silence import Job


def test_the_last_lines_that_it_logged_are_told_and_no_others() -> None:
    def chatter(x: int) -> int:
        for number in range(100):
            logging.getLogger("mill").warning("line %d of %d", number, x)
        logging.getLogger("mill").error("x" * 1000)
        os._exit(3)

    url = "local://?workers=1&max_failures=1"
    with headrace.connect(url, progress=False) as ctx, pytest.raises(TaskFailed, match="status 3") as caught:
        ctx.range(1).map(chatter).count()
    (lost,) = lines_of(ctx.run, "worker lost")
    assert re.match(r"w1 \(pid \d+\) exited with status 3 in task \d\.0 \(compute\)", lost["how"])
    told = re.findall(r"\| (line \d+) of 0$", lost["how"], re.MULTILINE)
    assert told == [f"line {number}" for number in range(101 - LAST_LINES, 100)]
    assert 300 < max(map(len, lost["how"].splitlines())) < 500, "a long line is cut"
    assert "| line 99 of 0" in str(caught.value), "who reads the error sees them, too"


def test_what_it_held_when_last_heard_is_told(lair: Path) -> None:
    heard = str(lair / "heard")

    def hoard(x: int) -> int:
        held = bytearray(os.urandom(1)) * (200 << 20)
        while not os.path.exists(heard):
            time.sleep(0.005)
        os.kill(os.getpid(), signal.SIGKILL)
        return len(held)

    with headrace.connect("local://?workers=1&max_losses=1&heartbeat=20ms&speculate=off", progress=False) as ctx:
        job = Job(lambda: ctx.range(1).map(hoard).count())
        until(lambda: [worker for worker in ctx.workers() if worker.memory > 200 << 20], "a heartbeat tells of it")
        Path(heard).touch()
        with pytest.raises(TaskLost, match="memory"):
            job.end()
    (lost,) = lines_of(ctx.run, "worker lost")
    held = int(re.search(r"it held (\d+) MB when last heard", lost["how"])[1])  # type: ignore[index]
    assert 200 < held < 300
    assert "was ended by SIGKILL" in lost["how"]
    assert "kernel" in lost["how"] or Path("/sys/fs/cgroup/memory.events").exists()


def test_a_limit_of_the_address_space_is_told(lair: Path) -> None:
    source = """
        import os, resource, headrace
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        ctx = headrace.connect("local://?workers=1&max_failures=1", progress=False)
        try:
            ctx.range(1).map(lambda x: os.abort()).count()
        except headrace.errors.TaskFailed as error:
            print(error)
        """
    said = Program.script(source, lair).ok()
    assert "was ended by SIGABRT" in said
    assert "its address space is limited to 8,590 MB" in said


def test_a_worker_that_dies_between_tasks_is_not_said_to_have_run_one() -> None:
    with headrace.connect("local://?workers=1", progress=False) as ctx:
        ctx.range(1).count()
        (worker,) = ctx.workers()
        own = ctx._session.controller.layout.own(worker.host, worker.id)
        box = BlackBox(f"{own}/blackbox")
        until(lambda: box.read() == ("idle", None), "it has written down that it is at rest")
        box.close()
        os.kill(worker.pid, signal.SIGTERM)
        until(lambda: lines_of(ctx.run, "worker lost"), "it is told")
        (lost,) = lines_of(ctx.run, "worker lost")
        assert "was ended by SIGTERM" in lost["how"]
        assert lost["phase"] == "between"
        assert "task" not in lost
        assert ctx.range(3).count() == 3


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_output_is_whole_and_single_whoever_dies_or_sleeps_while_it_is_written(how: str, lair: Path) -> None:
    """A first attempt that got halfway leaves nothing; the one that took its place leaves one file."""
    folder, out = str(lair), lair / "out"

    def stumble(x: int) -> int:
        if x % 500 == 250 and x % 2000 == 250:  # half of a part has been written
            try:
                os.mkdir(f"{folder}/{x}")
            except FileExistsError:
                return x
            os.kill(os.getpid(), signal.SIGKILL if how == "killed" else signal.SIGSTOP)
        return x

    url = "local://?workers=3&heartbeat=50ms&suspect=200ms&cancel_grace=100ms"
    with headrace.connect(url, progress=False) as ctx:
        ctx.range(4000, num_slices=8).map(stumble).save_as_text_file(out)
        assert sorted(path.name for path in out.iterdir()) == ["_SUCCESS", *(f"part-{part:05d}" for part in range(8))]
        for part in range(8):
            numbers = list(map(int, (out / f"part-{part:05d}").read_text().split()))
            assert numbers == list(range(500 * part, 500 * part + 500))
        assert len(lines_of(ctx.run, "attempt lost" if how == "killed" else "copy begun")) >= 2
        for worker in ctx.workers():
            os.kill(worker.pid, signal.SIGCONT)
        assert ctx.range(10).sum() == 45
    assert len(list(out.iterdir())) == 9, "and who wakes up writes nothing"


def test_who_is_ended_with_the_run_is_not_said_to_have_lacked_memory() -> None:
    """A worker that does not leave by itself, here because it has stopped, is ended by us, which is no disaster."""
    with headrace.connect("local://?workers=1", progress=False) as ctx:
        ctx.range(1).count()
        (worker,) = ctx.workers()
        os.kill(worker.pid, signal.SIGSTOP)
    (left,) = lines_of(ctx.run, "worker left")
    assert "was ended by headrace" in left["how"]
    assert "kernel" not in left["how"]
