"""Each run has a folder of its own, for its owner only; what a killed program left goes with the next run, nothing else."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import headrace
from headrace.errors import UsageError
from headrace.runtime.rundir import LOCK, RunFolder, base_folder, for_sockets
from tests.real.help import Program, files_under, run_folders, until

WAITING = """
    import headrace, time
    ctx = headrace.connect()
    groups = ctx.parallelize(range(1000), 4).map(lambda x: (x % 7, x)).group_by_key()
    groups.count()
    print("ready", flush=True)
    time.sleep(600)
"""


def modes(folder: Path) -> dict[str, int]:
    """Return the modes of everything in a folder, sockets too, and of itself."""
    paths = [str(folder), *files_under(folder), *(path for path, _, _ in os.walk(folder))]
    found = {}
    for path in paths:
        with contextlib.suppress(FileNotFoundError):  # a worker has just removed it
            found[path] = os.lstat(path).st_mode
    return found


def sockets_of(run: Path) -> list[str]:
    """Return the sockets in a run's folder."""
    return [entry.path for entry in os.scandir(run) if stat.S_ISSOCK(entry.stat(follow_symlinks=False).st_mode)]


@pytest.mark.parametrize("hosts", [1, 2])
def test_folders_and_sockets_are_the_owners_alone(lair: Path, hosts: int) -> None:
    before = os.umask(0)  # the most careless of users
    try:
        with headrace.connect(f"local://?workers=2&hosts={hosts}&dir={lair}", progress=False) as ctx:
            ctx.range(100).map(lambda x: (x % 7, x)).group_by_key().count()
            (run,) = run_folders(lair)
            for path, mode in modes(run.parent).items():
                if stat.S_ISDIR(mode) or stat.S_ISSOCK(mode):
                    assert not mode & 0o077, f"{path} has mode {mode:o}"
    finally:
        os.umask(before)


def test_sockets_have_short_names(lair: Path) -> None:
    with headrace.connect(f"local://?workers=2&hosts=2&dir={lair}", progress=False) as ctx:
        ctx.range(10).count()
        (run,) = run_folders(lair)
        until(lambda: len(sockets_of(run)) == 3, "one for the program, and one for each worker")
        sockets = sockets_of(run)
        assert max(len(os.fsencode(path)) for path in sockets) < 100


def test_sockets_of_a_run_with_a_long_name_go_to_a_folder_with_a_short_one(
    lair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = lair / ("long" * 30)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(lair))
    with headrace.connect(f"local://?workers=2&hosts=2&dir={long}", progress=False) as ctx:
        assert len(ctx.range(100).map(lambda x: (x % 7, x)).group_by_key().collect()) == 7
        (data,), (sockets,) = run_folders(long), run_folders(lair)
        assert sockets_of(data) == []
        until(lambda: len(sockets_of(sockets)) == 3, "one for the program, and one for each worker")
    assert run_folders(long) == run_folders(lair) == []
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with headrace.connect("local://?workers=1", progress=False) as ctx:  # in the system's own folder, then
        assert ctx.range(100).count() == 100


def test_where_every_name_is_too_long_nothing_begins(lair: Path) -> None:
    run = RunFolder(str(lair))
    with pytest.raises(UsageError, match="too long a name for sockets"):
        for_sockets(run, 10)
    assert run_folders(lair) == []


def test_the_next_run_removes_what_a_killed_one_left(lair: Path) -> None:
    program = Program.script(WAITING, lair)
    program.wait_for("ready")
    program.send(signal.SIGKILL)
    program.end()
    program.leaves_no_process()
    (left,) = run_folders(lair)
    assert any(path.endswith(".data") for path in files_under(left))
    with headrace.connect(f"local://?workers=1&dir={lair}", progress=False) as ctx:
        assert run_folders(lair) == [left.parent / ctx.run]
    assert run_folders(lair) == []


def test_a_run_leaves_a_live_one_alone(lair: Path) -> None:
    url = f"local://?workers=1&dir={lair}"
    with headrace.connect(url, progress=False) as first:
        pairs = first.parallelize(range(100), 4).map(lambda x: (x % 7, x)).group_by_key()
        assert pairs.count() == 7
        with headrace.connect(url, progress=False) as second:
            assert second.range(10).count() == 10
            assert len(run_folders(lair)) == 2
        assert sorted(key for key, _ in pairs.collect()) == list(range(7))
    assert run_folders(lair) == []


def test_a_sweep_never_takes_a_run_that_is_being_made(lair: Path) -> None:
    """Many threads make and remove runs at once, each sweeping what it takes for dead."""

    def make_and_remove(_: int) -> bool:
        for _ in range(60):
            run = RunFolder(str(lair))
            if not Path(run.path, LOCK).exists():
                return False
            run.remove()
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(make_and_remove, range(8)))
    assert run_folders(lair) == []


def test_a_sweep_that_was_faster_than_a_new_run_is_noticed(lair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between making its lock and taking it, a new run looks like a dead one."""
    real = fcntl.flock
    swept: list[Path] = []

    def flock(fd: int, how: int) -> None:
        if not swept and how == fcntl.LOCK_EX:
            path = Path(os.readlink(f"/proc/self/fd/{fd}"))
            swept.append(path)
            path.unlink()
            path.parent.rmdir()
        real(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    run = RunFolder(str(lair))
    assert swept
    assert swept[0].parent != Path(run.path)
    assert Path(run.path, LOCK).exists()
    run.remove()


def test_a_removal_that_was_cut_short_is_finished_by_the_next_run(lair: Path) -> None:
    base = Path(base_folder(str(lair)))
    half, empty, strange = base / "0a0a0a0a", base / "0b0b0b0b", base / "strange"
    half.mkdir()
    (half / LOCK).touch()
    (half / "h0").mkdir()
    (half / "h0" / "data").touch()
    empty.mkdir()  # killed before it had a lock
    strange.mkdir()
    (strange / "notes").touch()  # not a run's: not ours to remove
    run = RunFolder(str(lair))
    assert sorted(path.name for path in run_folders(lair)) == sorted([run.name, "strange"])
    run.remove()


def test_a_folder_that_others_may_write_to_is_refused(lair: Path) -> None:
    base = Path(base_folder(str(lair)))
    base.chmod(0o777)
    with pytest.raises(UsageError, match="yours alone"):
        headrace.connect(f"local://?workers=1&dir={lair}", progress=False)


def test_a_folder_that_is_a_link_is_refused(lair: Path) -> None:
    (lair / "elsewhere").mkdir(mode=0o700)
    (lair / f"headrace-{os.getuid()}").symlink_to(lair / "elsewhere")
    with pytest.raises(UsageError, match="yours alone"):
        headrace.connect(f"local://?workers=1&dir={lair}", progress=False)


def test_a_worker_that_dies_leaves_no_file(lair: Path) -> None:
    with headrace.connect(f"local://?workers=1&dir={lair}", progress=False) as ctx:
        ctx.range(10).count()
        (worker,) = ctx.workers()
        os.kill(worker.pid, signal.SIGKILL)
        (run,) = run_folders(lair)
        until(lambda: not [p for p in files_under(run) if worker.id in p.split("/")], "its files and socket are gone")
        assert ctx.range(10).count() == 10
