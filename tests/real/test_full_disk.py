"""A full disk is reported as one, what was written to it goes, and the next job works: a small file system that is real."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.context import Context
from headrace.errors import DiskFull, JobFailed, TaskFailed, WorkersUnavailable
from tests.real.help import run_folders, until

SIZE = 3 << 20


@pytest.fixture
def disk(lair: Path) -> Iterator[Path]:
    """A file system of three megabytes."""
    path = lair / "disk"
    path.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE},nr_inodes=200", "tmpfs", str(path)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        busy = [link for name in os.listdir("/proc/self/fd") if str(path) in (link := _link(name))]
        subprocess.run(["umount", "-l", str(path)], check=True)
        assert busy == [], "this process holds files of contexts that are closed"


def _link(name: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        return ""


def fill(path: Path) -> None:
    """Take all that is left."""
    descriptor = os.open(path / "fill", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while True:
            os.write(descriptor, bytes(4096))
    os.close(descriptor)


def sound(ctx: Context) -> bool:
    return ctx.range(100, num_slices=4).map(lambda x: (x % 3, 1)).reduce_by_key(lambda a, b: a + b).count() == 3


def free(path: Path) -> int:
    status = os.statvfs(path)
    return status.f_bavail * status.f_bsize


def at_rest(ctx: Context, disk: Path) -> int:
    """Return what is free once every worker has made what it needs."""
    ctx.range(4).count()
    until(lambda: {worker.state for worker in ctx.workers()} == {"idle"}, "all are there")
    return free(disk)


def freed(disk: Path, before: int) -> bool:
    """Whether there is as much room as before, once datasets are gone that only an exception holds."""
    gc.collect()
    return free(disk) >= before


def text(x: int) -> str:
    return f"{x * 7919 % 300_000:060d}"


JOBS: dict[str, Callable[[Context], Any]] = {
    "a shuffle": lambda ctx: ctx.range(100_000, num_slices=4).map(text).distinct().count(),
    "groups that spill": lambda ctx: (
        ctx.range(90_000, num_slices=2).map(lambda x: (x % 2, text(x))).group_by_key().count()
    ),
    "a sort that spills": lambda ctx: ctx.range(90_000, num_slices=2).map(text).sort_by(lambda line: line).count(),
    "a large result": lambda ctx: ctx.range(40, num_slices=1).map(lambda x: os.urandom(100_000)).collect(),
}


def fails(run: Callable[[], Any], disk: Path) -> None:
    """Check what is raised, and let go of it, because its traceback holds the dataset."""
    with pytest.raises(TaskFailed) as caught:
        run()
    assert isinstance(caught.value.__cause__, DiskFull)
    said = str(caught.value)
    assert f"no space is left to write {disk}" in said
    assert "dir=" in said
    assert "contextlib" not in said, "the user's frames, or none"
    assert "Mend the function" not in said
    assert len(caught.value.history) == 2


@pytest.mark.parametrize("job", JOBS)
def test_temporary_data_that_find_no_room(job: str, disk: Path) -> None:
    with headrace.connect(f"local://?workers=2&dir={disk}&memory=4MB&max_failures=2", progress=False) as ctx:
        before = at_rest(ctx, disk)
        fails(lambda: JOBS[job](ctx), disk)
        until(lambda: freed(disk, before), "what was written is gone")
        assert sound(ctx)
    assert run_folders(disk) == []
    assert free(disk) == SIZE


HELD: dict[str, Callable[[Context], Any]] = {
    "slices": lambda ctx: ctx.parallelize([os.urandom(100_000) for _ in range(60)], 4),
    "broadcast": lambda ctx: ctx.broadcast(os.urandom(2 * SIZE)),
}


@pytest.mark.parametrize("what", HELD)
@pytest.mark.parametrize("url", ["local://?workers=2&", "inline://?"])
def test_what_the_program_hands_over_finds_no_room(what: str, url: str, disk: Path) -> None:
    """It raises there, and the part that was written does not keep the disk full."""
    with headrace.connect(f"{url}dir={disk}", progress=False) as ctx:
        before = at_rest(ctx, disk)
        with pytest.raises(DiskFull, match="dir="):
            HELD[what](ctx)
        until(lambda: freed(disk, before), "what was written is gone")
        assert sound(ctx)


def test_output_that_finds_no_room(disk: Path, lair: Path) -> None:
    with headrace.connect(f"local://?workers=2&dir={lair}&max_failures=2", progress=False) as ctx:
        lines = ctx.range(100_000, num_slices=4).map(text)
        for _ in range(2):
            fails(lambda: lines.save_as_text_file(disk / "out"), disk / "out")
            assert not (disk / "out").exists()
            assert free(disk) == SIZE
        ctx.range(100, num_slices=4).map(text).save_as_text_file(disk / "out")
        assert (disk / "out" / "_SUCCESS").exists()
        with pytest.raises(TaskFailed):
            lines.save_as_text_file(disk / "out", overwrite=True)
        written = "".join(part.read_text() for part in sorted((disk / "out").glob("part-*")))
        assert written.splitlines() == [text(x) for x in range(100)], "the old output is whole until the new one is"
        assert (disk / "out" / "_SUCCESS").exists()
        assert sound(ctx)


def test_a_disk_that_somebody_else_fills_while_workers_are_to_be_started(disk: Path) -> None:
    with headrace.connect(f"local://?workers=2&dir={disk}", progress=False) as ctx:
        ctx.range(4).count()
        fill(disk)
        for worker in ctx.workers():
            os.kill(worker.pid, signal.SIGKILL)
        with contextlib.suppress(JobFailed):  # what the dead have left may be room enough
            assert sound(ctx)
        assert free(disk) < SIZE // 2
    assert run_folders(disk) == []
    with headrace.connect(f"local://?workers=1&dir={disk}", progress=False) as ctx:
        fill(disk)
        with pytest.raises(JobFailed) as caught:
            ctx.range(4).map(lambda x: (x, x)).group_by_key().count()
        assert "no space is left" in str(caught.value)
        assert isinstance(caught.value.__cause__, DiskFull | WorkersUnavailable)


def test_a_disk_that_is_full_from_the_start(disk: Path) -> None:
    (disk / "held").mkdir()
    with contextlib.suppress(OSError):
        for number in range(1000):
            (disk / "held" / str(number)).touch()
    for url in ("local://?workers=2&", "inline://?"):
        with pytest.raises(DiskFull, match=f"no space is left to write {disk}"):
            headrace.connect(f"{url}dir={disk}", progress=False)


def test_a_full_disk_for_the_story_loses_the_story_alone(
    disk: Path, lair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEADRACE_STORIES", str(disk))
    for filled_before in (False, True):
        with headrace.connect(f"local://?workers=2&dir={lair}", progress=False) as ctx:
            if not filled_before:
                fill(disk)
            assert sound(ctx)
