"""Workers that never get ready: a few tries, then an error that says why; whoever waits is not left waiting."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

import headrace
from headrace.config import MS, Config, parse_url
from headrace.errors import JobFailed, WorkersUnavailable
from headrace.runtime.channel import sockets
from tests.real.help import Program, children, lines_of, run_folders, until, write


def test_start_ups_in_a_row_that_never_get_ready_end_every_job(lair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that ends at once, with words of its own."""
    broken = write(lair, "python", "#!/bin/sh\necho the mill is shut >&2\nexit 9\n")
    broken.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(broken))
    with headrace.connect(f"local://?workers=2&dir={lair}", progress=False) as ctx:
        for _ in range(2):  # the second finds it so
            with pytest.raises(JobFailed, match="no worker can be started") as caught:
                ctx.range(10).count()
            assert "5 workers in a row" in str(caught.value)
            assert "exited with status 9" in str(caught.value)
            assert "the mill is shut" in str(caught.value)
            assert isinstance(caught.value.__cause__, WorkersUnavailable)
        deaths = lines_of(ctx.run, "worker lost")
        assert len(deaths) >= 5
        assert len(lines_of(ctx.run, "no workers")) == 1
        assert ctx.workers() == ()
    assert run_folders(lair) == []


def test_an_interpreter_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "local://?workers=2"
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with headrace.connect(url, progress=False) as ctx, pytest.raises(JobFailed, match="/nowhere/python"):
        ctx.range(10).count()
    monkeypatch.setattr(sys, "executable", "")
    with headrace.connect(url, progress=False) as ctx, pytest.raises(JobFailed, match="program file"):
        ctx.range(10).count()


def test_start_ups_that_fail_sometimes_are_forgiven(lair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other start-up fails: never five in a row."""
    flaky = write(
        lair,
        "python",
        f"""#!/bin/sh
        if mkdir {lair}/turn 2>/dev/null; then exit 9; fi
        rmdir {lair}/turn
        exec {sys.executable} "$@"
        """,
    )
    flaky.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(flaky))
    with headrace.connect("local://?workers=1", progress=False) as ctx:
        for _ in range(7):
            assert ctx.range(10).count() == 10
            victim = ctx.workers()[0]
            os.kill(victim.pid, signal.SIGKILL)
            until(lambda pid=victim.pid: all(w.pid != pid for w in ctx.workers()), "it is gone")  # type: ignore[misc]
        assert len([line for line in lines_of(ctx.run, "worker lost") if "status 9" in line["how"]]) >= 7


def test_a_worker_that_never_gets_ready_is_killed(lair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sleeps instead; the next one is sound."""
    sleepy = write(
        lair,
        "python",
        f"""#!/bin/sh
        if mkdir {lair}/once 2>/dev/null; then exec sleep 1000; fi
        exec {sys.executable} "$@"
        """,
    )
    sleepy.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(sleepy))

    def impatient(url: str) -> Config:
        config = parse_url(url)
        return replace(config, membership=replace(config.membership, ready_ns=1000 * MS))

    monkeypatch.setattr("headrace.context.parse_url", impatient)
    before = children()
    with headrace.connect("local://?workers=1", progress=False) as ctx:
        assert ctx.range(10).count() == 10
        lost = lines_of(ctx.run, "worker lost")
        assert lost
        assert all("not ready after" in line["how"] for line in lost)
    assert children() == before


def test_a_program_of_another_version_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headrace.runtime.bootstrap.VERSION", "99.0")
    url = "local://?workers=1"
    with headrace.connect(url, progress=False) as ctx, pytest.raises(JobFailed, match=r"the program 99\.0"):
        ctx.range(10).count()


def test_workers_killed_while_they_start_are_replaced() -> None:
    """Four in a row are forgiven."""
    with headrace.connect("local://?workers=1", progress=False) as ctx:
        job = threading.Thread(target=lambda: ctx.range(10).count())
        job.start()
        killed: set[int] = set()
        while len(killed) < 4:
            for worker in ctx.workers():
                if worker.state == "starting" and worker.pid not in killed:
                    os.kill(worker.pid, signal.SIGKILL)
                    killed.add(worker.pid)
            if any(worker.state != "starting" for worker in ctx.workers()):
                break  # one was faster
        job.join(60)
        assert not job.is_alive()
        assert ctx.range(10).count() == 10


def test_a_job_waits_for_workers_that_are_late(lair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However late: they are given more time than somebody who comes to the door."""
    monkeypatch.setattr(sockets, "HANDSHAKE_NS", 100 * MS)
    slow = write(lair, "python", f'#!/bin/sh\nsleep 1\nexec {sys.executable} "$@"\n')
    slow.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(slow))
    began = time.monotonic()
    with headrace.connect("local://?workers=2", progress=False) as ctx:
        assert ctx.range(10).count() == 10
    assert time.monotonic() - began > 1


def test_too_many_processes_are_an_error_that_says_so(lair: Path) -> None:
    """The limit is the user's own; it binds nobody who is root."""
    if os.getuid() == 0:
        pytest.skip("root has no such limit")
    source = """
        import resource, headrace
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        with headrace.connect() as ctx:
            try:
                ctx.range(10).count()
            except headrace.errors.JobFailed as error:
                print("could not be started" in str(error))
        """
    assert Program.script(source, lair).ok() == "True\n"


def test_too_few_descriptors_are_an_error_that_says_so(lair: Path) -> None:
    source = """
        import resource, headrace
        with headrace.connect("local://?workers=1") as ctx:
            assert ctx.range(10).count() == 10
            used = len(__import__("os").listdir("/proc/self/fd"))
            resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, used + 1))
            __import__("os").kill(ctx.workers()[0].pid, 9)
            try:
                ctx.range(10).count()
            except headrace.errors.JobFailed as error:
                print("Too many open files" in str(error))
        """
    program = Program.script(source, lair)
    assert program.ok() == "True\n"
    program.leaves_no_process()
