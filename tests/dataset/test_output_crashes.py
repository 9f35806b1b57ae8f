"""The program killed at every step of putting an output into place: whoever finds `_SUCCESS` finds a whole output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.dataset import outputs
from headrace.runtime.files import SystemFiles

JOB = 7
WINNERS = {0: 11, 1: 14, 2: 13}  # attempt 12 was a copy that lost; it has left its file aside, too
NAMES = [f"part-{partition:05d}" for partition in WINNERS]
LOSER = 12
Commit = Callable[..., None]


class Killed(BaseException):
    """Nothing happens after this."""


class MortalFiles(SystemFiles):
    """Files of a program that is killed before it has done more than so much to them."""

    def __init__(self, steps: int) -> None:
        self.left = steps

    def _step(self) -> None:
        if not self.left:
            raise Killed
        self.left -= 1

    def rename(self, old: str, new: str) -> None:
        self._step()
        super().rename(old, new)

    def remove(self, path: str) -> None:
        self._step()
        super().remove(path)

    def remove_tree(self, path: str) -> None:
        self._step()
        super().remove_tree(path)

    def create(self, path: str) -> Any:
        self._step()
        return super().create(path)

    def sync_dir(self, path: str) -> None:
        self._step()
        super().sync_dir(path)


def lay_aside(folder: Path) -> Path:
    """What attempts have left when their job ends."""
    aside = folder / outputs.ASIDE / "run"
    for partition, attempt in [*WINNERS.items(), (1, LOSER)]:
        where = aside / str(JOB) / str(attempt)
        where.mkdir(parents=True)
        (where / f"part-{partition:05d}").write_text(f"{partition} by {attempt}")
    return aside


def lay_old_output(folder: Path) -> None:
    for partition in range(5):
        (folder / f"part-{partition:05d}").write_text("old")
    (folder / outputs.SUCCESS).write_text("")


def check(folder: Path, commit: Commit, *, overwrite: bool) -> None:
    """Try every moment of death, until it comes too late."""
    for steps in range(100):
        here = folder / str(steps)
        here.mkdir()
        if overwrite:
            lay_old_output(here)
        aside, files = lay_aside(here), MortalFiles(steps)
        handle = SimpleNamespace(request=SimpleNamespace(id=JOB), winners=WINNERS)
        try:
            commit(files, str(here), str(aside), handle, NAMES, mine=not overwrite)
        except Killed:
            assert_whole_if_marked(here, overwrite=overwrite)
        else:
            assert (here / outputs.SUCCESS).exists()
            assert_whole_if_marked(here, overwrite=False)
            assert steps > len(NAMES) + 1, "nothing was tried"
            return
    raise AssertionError("it never ends")


def assert_whole_if_marked(folder: Path, *, overwrite: bool) -> None:
    if (folder / outputs.SUCCESS).exists():
        found = {path.name: path.read_text() for path in sorted(folder.glob("part-*"))}
        new = {NAMES[partition]: f"{partition} by {attempt}" for partition, attempt in WINNERS.items()}
        old = {f"part-{partition:05d}": "old" for partition in range(5)}
        assert found == new or (overwrite and found == old), f"marked as whole, and is not: {found}"


@pytest.mark.parametrize("overwrite", [False, True], ids=["new", "overwritten"])
def test_what_is_marked_as_whole_is_whole(tmp_path: Path, overwrite: bool) -> None:
    check(tmp_path, outputs.commit, overwrite=overwrite)


# Bugs that this must notice.


def mark_first(files: MortalFiles, folder: str, *arguments: Any, **named: Any) -> None:
    def rename(old: str, new: str) -> None:
        SystemFiles().create(f"{folder}/{outputs.SUCCESS}").close()
        MortalFiles.rename(files, old, new)

    files.rename = rename  # type: ignore[method-assign]
    outputs.commit(files, folder, *arguments, **named)


def keep_the_old_mark(files: MortalFiles, folder: str, *arguments: Any, **named: Any) -> None:
    def remove(path: str) -> None:
        if not path.endswith(outputs.SUCCESS):
            MortalFiles.remove(files, path)

    files.remove = remove  # type: ignore[method-assign]
    outputs.commit(files, folder, *arguments, **named)


def take_any_attempt(files: MortalFiles, folder: str, aside: str, handle: Any, *arguments: Any, **named: Any) -> None:
    handle = SimpleNamespace(request=handle.request, winners={**handle.winners, 1: LOSER})
    outputs.commit(files, folder, aside, handle, *arguments, **named)


BUGS = {
    "the mark comes before the parts": mark_first,
    "the mark of the old output goes last": keep_the_old_mark,
    "the part of an attempt that lost is put into place": take_any_attempt,
}


@pytest.mark.parametrize("bug", BUGS)
def test_is_noticed(tmp_path: Path, bug: str) -> None:
    with pytest.raises(AssertionError):
        check(tmp_path, BUGS[bug], overwrite=True)
