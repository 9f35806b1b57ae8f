"""What failed attempts leave is bounded, the owner's alone, and where there is nothing, the error says why."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.errors import DiskFull, InputError, JobCancelled, TaskFailed, UsageError
from headrace.observe import failures
from headrace.observe.failures import find, folder_of, list_of
from tests.real.help import until


def failed(url: str, make: Any = lambda ctx: ctx.range(1).map(lambda x: 1 // x)) -> TaskFailed:
    with headrace.connect(url, progress=False) as ctx, pytest.raises(TaskFailed) as caught:
        make(ctx).collect()
    return caught.value


def wide(ctx: headrace.Context) -> Any:
    return ctx.parallelize([f"{n:01000}" for n in range(1000)], 1).map(lambda text: 1 // 0)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("inline://?capsule=0", "capsule=0 in the address says so"),
        ("inline://?capsule=500KB", "it takes more than 512,000 bytes. Raise capsule="),
        ("local://?workers=2&hosts=2&capsule=500KB", "it takes more than 512,000 bytes. Raise capsule="),
    ],
)
def test_input_that_is_not_saved_is_said_so(url: str, why: str) -> None:
    error = failed(url, wide)
    assert why in error.unsaved
    assert "headrace replay" not in str(error)
    with pytest.raises(UsageError, match="cannot be run again: its input was not saved") as caught:
        error.replay()
    assert why in str(caught.value)
    assert not list_of(folder_of(error.run))


def test_an_attempt_that_went_with_its_process_left_nothing() -> None:
    error = failed("local://?workers=1&max_failures=1", lambda ctx: ctx.range(1).map(lambda x: os._exit(3)))
    (lost,) = [int(line.split()[1].rstrip(":")) for line in error.history]
    assert error.attempt == lost
    with pytest.raises(
        UsageError, match=f"attempt {lost} cannot .* went with its process, before its input could be saved"
    ):
        error.replay()
    with pytest.raises(UsageError, match="it was lost with its process, and left nothing"):
        find(error.run, lost)


def test_workers_keep_no_more_than_is_allowed() -> None:
    """Twelve tasks fail with 200 kB each or more; the latest that fit into 650 kB are there."""
    with headrace.connect("inline://?capsule=650KB&max_failures=2", progress=False) as ctx:
        with pytest.raises(TaskFailed):
            ctx.parallelize([f"{n:01000}" for n in range(2400)], 12).map(lambda text: 1 // 0).collect()
        controller = ctx._session.controller
        folder = Path(controller.layout.host(min(controller.near - {"home"}))) / "failed"
        sizes = [path.stat().st_size for path in folder.iterdir()]
        run = ctx.run
    assert 1 <= len(sizes) <= 3
    assert sum(sizes) <= 650 << 10
    assert len(list_of(folder_of(run))) <= 3


def test_old_runs_give_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_STORIES", str(tmp_path))
    monkeypatch.setattr(failures, "KEPT_RUNS", 2)
    errors = []
    for age in range(4):
        errors.append(failed("inline://?max_failures=1"))
        os.utime(folder_of(errors[-1].run), (1000 + age, 1000 + age))
    assert {path.name for path in (tmp_path / "failed").iterdir()} == {error.run for error in errors[2:]}
    monkeypatch.setattr(failures, "KEPT_RUNS", 20)
    monkeypatch.setattr(failures, "KEPT_BYTES", 10)
    last = failed("inline://?max_failures=1")
    assert {path.name for path in (tmp_path / "failed").iterdir()} == {last.run}, "the newest is always kept"
    with pytest.raises(UsageError, match=f"attempt {errors[0].attempt} of run {errors[0].run} was not saved"):
        errors[0].replay()


def test_only_the_owner_can_read_or_write_it() -> None:
    error = failed("local://?workers=1&max_failures=1")
    path = Path(find(error.run, error.attempt))
    assert path.stat().st_mode & 0o777 == 0o600
    assert (path.parent / "program.json").stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    path.chmod(0o666)
    with pytest.raises(UsageError, match="not a file of yours alone"):
        error.replay()
    path.chmod(0o600)
    with pytest.raises(ZeroDivisionError):
        error.replay()
    (path.parent / "program.json").write_text("{}")
    with pytest.raises(InputError, match="missing or damaged"):
        error.replay()


def test_a_link_that_somebody_planted_is_not_followed(tmp_path: Path) -> None:
    error = failed("inline://?max_failures=1")
    path = Path(find(error.run, error.attempt))
    path.rename(tmp_path / "moved")
    path.symlink_to(tmp_path / "moved")
    with pytest.raises(UsageError, match="not a file of yours alone"):
        error.replay()


def test_a_disk_that_was_full_is_not_replayed() -> None:
    def full(x: int) -> int:
        raise DiskFull("no space is left. Make some.")

    error = failed("inline://?max_failures=1", lambda ctx: ctx.range(1).map(full))
    assert "its functions were not to blame" in error.unsaved
    assert "headrace replay" not in str(error)


def test_a_job_that_was_cancelled_has_nothing_to_replay() -> None:
    with headrace.connect("local://?workers=1", progress=False) as ctx:
        future = ctx.submit(ctx.range(1).map(lambda x: time.sleep(60)).count)
        until(ctx.workers, "a worker")
        future.cancel()
        with pytest.raises(JobCancelled, match="cancelled") as caught:
            future.result()
    with pytest.raises(UsageError, match="no attempt failed by itself"):
        caught.value.replay()


@pytest.mark.parametrize("run", ["../../etc", "a/b", ""])
def test_a_name_that_is_no_runs_is_refused(run: str) -> None:
    with pytest.raises(UsageError, match="not the name of a run"):
        find(run, 1)


def test_a_disk_that_cannot_take_it_loses_the_input_not_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "failed").write_text("in the way")
    monkeypatch.setenv("HEADRACE_STORIES", str(tmp_path))
    error = failed("inline://?max_failures=1")
    assert "ZeroDivisionError" in str(error)
    assert "could not be put beside the stories" in error.unsaved


def test_attempts_that_go_well_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read twice and nothing is written unless an attempt fails."""
    from headrace.loops.saving import Saving

    def never(*_: Any) -> Any:
        raise AssertionError("an attempt that went well was saved")

    monkeypatch.setattr(Saving, "save", never)
    with headrace.connect("inline://", progress=False) as ctx:
        assert ctx.range(10).map(lambda x: (x % 2, x)).reduce_by_key(max).count() == 2
        run = ctx.run
    assert not folder_of(run).exists()


def silence(monkeypatch: pytest.MonkeyPatch, what: str) -> list[str]:
    """From now on, nobody answers who asks for blocks whose name begins so; return a list of those asked for."""
    from headrace.loops.data import DataPlane

    real, asked = DataPlane._pull, []

    def pull(self: DataPlane, name: str, effect: Any) -> None:
        block = self._fetches[name].blocks[effect.place].name
        if block.startswith(what):
            asked.append(block)
        else:
            real(self, name, effect)

    monkeypatch.setattr(DataPlane, "_pull", pull)
    return asked


def test_input_that_does_not_come_a_second_time_holds_no_failure_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has it falls silent just when an attempt has failed that had read it."""
    from headrace.loops.saving import Saving

    real, asked = Saving._save, []

    def save(self: Saving, *what: Any) -> Any:
        self._shared.near = frozenset()  # so that it does not lie on this host
        asked.append(silence(monkeypatch, "shuffle/"))
        return real(self, *what)

    monkeypatch.setattr(Saving, "_save", save)
    with headrace.connect("sim://?workers=4&hosts=2&seed=3&max_failures=1", progress=False) as ctx:
        sums = ctx.parallelize([(x % 3, x) for x in range(100)], 8).group_by_key(2)
        with pytest.raises(TaskFailed) as caught:
            sums.map(lambda group: 1 // 0).collect()
    assert asked[0], "there was nothing to wait for"
    assert "could not be read once more within 5 s" in caught.value.unsaved


def test_a_capsule_that_does_not_come_holds_no_failure_up(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = silence(monkeypatch, "failed/")
    error = failed("sim://?workers=4&hosts=2&seed=3&max_failures=1")
    assert asked
    assert "its host did not send it" in error.unsaved


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_folder_that_others_can_write_to_is_refused(
    level: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever can put another folder there can put another capsule into it, or other shipped files beside it."""
    monkeypatch.setenv("HEADRACE_STORIES", str(tmp_path))
    error = failed("inline://?max_failures=1")
    folder = [tmp_path, tmp_path / "failed", tmp_path / "failed" / error.run][level]
    folder.chmod(0o777)
    with pytest.raises(UsageError, match=f"{folder} is not a folder of yours alone"):
        error.replay()
    folder.chmod(0o700)
    with pytest.raises(ZeroDivisionError):
        error.replay()


def test_nothing_is_put_where_somebody_else_has_put_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_STORIES", str(tmp_path / "stories"))
    (tmp_path / "stories").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "stories" / "failed").symlink_to(tmp_path / "elsewhere")
    error = failed("inline://?max_failures=1")
    assert "failed is not a folder of yours alone" in error.unsaved
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_folder_of_stories_that_somebody_else_has_made_first_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no home: everybody can guess the name in the folder for temporary files."""
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("HEADRACE_STORIES")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    theirs = tmp_path / f"headrace-{os.getuid()}-stories"
    theirs.mkdir()
    theirs.chmod(0o777)
    error = failed("inline://?max_failures=1")
    assert "not a folder of yours alone" in error.unsaved
    assert list(theirs.iterdir()) == []


def test_input_that_gave_way_before_it_was_fetched_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from headrace.dataset.failing import Failures

    real = Failures._keep

    def late(self: Failures, name: str, path: str, *more: Any) -> int:
        os.unlink(path)
        return real(self, name, path, *more)

    monkeypatch.setattr(Failures, "_keep", late)
    assert "it gave way to that of others" in failed("inline://?max_failures=1").unsaved
