"""A task that fails with whatever records and exceptions: it is told at once, may be replayed, and ends no worker."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headrace.context import Context
from headrace.errors import TaskFailed
from tests.real.help import Program, until, write


def _anonymous() -> BaseException:
    """Make an exception whose very class says nothing."""

    class Metaclass(type):
        def __getattribute__(cls, name: str) -> Any:
            raise RuntimeError(name)

    class Anonymous(Exception, metaclass=Metaclass):
        pass

    return Anonymous()


class _Text(str):
    def __getitem__(self, where: Any) -> str:
        raise SystemExit("no")

    def __format__(self, how: str) -> str:
        raise SystemExit("no")

    __str__ = __len__ = __format__  # type: ignore[assignment]


class _Shown:
    """A record whose methods do what they like."""

    def __init__(self, show: Callable[[], str]) -> None:
        self._show = show

    def __repr__(self) -> str:
        return self._show()

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    __hash__ = None  # type: ignore[assignment]


def _exits() -> str:
    raise SystemExit(3)


def _interrupts() -> str:
    raise KeyboardInterrupt


def _forks() -> str:
    os.fork()  # and both go on
    return "forked"


class _Forking(Exception):
    def __reduce__(self) -> Any:
        os.fork()
        print("from a child as well")
        return _Forking, ()


class _Wide(Exception):
    """Takes a while to be pickled whole."""

    def __init__(self) -> None:
        super().__init__("wide")
        self.rows = [(n, str(n)) for n in range(300_000)]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_anonymous, "Anonymous"),
        (lambda: _Forking("twice"), "_Forking: twice"),
        (lambda: _Wide(), "_Wide: wide"),
        (lambda: ValueError(_Text("text")), "ValueError"),
        (lambda: ValueError(os.fsdecode(b"\xff")), r"ValueError: \\udcff"),
        (lambda: KeyboardInterrupt("by hand"), "KeyboardInterrupt: by hand"),
        (lambda: SystemExit(_Text("text")), "SystemExit"),
    ],
)
def test_exceptions(local: Context, make: Callable[[], BaseException], told: str) -> None:
    def fail(_: int) -> None:
        raise make()

    check(local, lambda: local.range(1).map(fail).count(), told)


@pytest.mark.parametrize(
    ("show", "told"),
    [
        (_exits, "given <_Shown whose repr raises SystemExit>"),
        (_interrupts, "ZeroDivisionError"),
        (_forks, "given forked"),
        (lambda: _Text("text"), "given text"),
        (lambda: os.fsdecode(b"\xff"), r"given \\udcff"),
        (lambda: "x" * 10_000_000, "given xxx"),
    ],
)
def test_records(local: Context, show: Callable[[], str], told: str) -> None:
    check(local, lambda: local.range(1).map(lambda _: _Shown(show)).map(lambda record: 1 // 0).count(), told)


def check(ctx: Context, act: Callable[[], Any], told: str) -> None:
    until(lambda: [worker.state for worker in ctx.workers()] == ["idle", "idle"], "two workers")
    before = {worker.pid for worker in ctx.workers()}
    with pytest.raises(TaskFailed, match=told) as caught:
        act()
    assert {worker.pid for worker in ctx.workers()} == before
    assert not caught.value.unsaved


def test_a_script_in_a_folder_whose_name_is_no_text(lair: Path) -> None:
    """The folder is in each traceback, in what a slow task is said to do, and in what is saved of a failed one."""
    folder = lair / os.fsdecode(b"\xff")
    folder.mkdir()
    script = write(
        folder,
        "script.py",
        """
        import time, headrace
        from headrace.errors import TaskTimedOut
        with headrace.connect("local://?workers=1&max_failures=1&task_timeout=300ms") as ctx:
            try:
                ctx.range(1).map(lambda x: 1 // x).count()
            except headrace.TaskFailed as error:
                print(error.unsaved or type(error.__cause__).__name__)
                try:
                    error.replay()
                except ZeroDivisionError as again:
                    print(again)
            try:
                ctx.range(1).map(lambda x: time.sleep(100)).count()
            except TaskTimedOut as error:
                print("in map" in str(error))
        """,
    )
    env = {"TMPDIR": str(folder), "HEADRACE_STORIES": str(folder / "stories")}
    expected = "ZeroDivisionError\ninteger division or modulo by zero\nTrue\n"
    assert Program([sys.executable, str(script)], lair, env=env).ok() == expected
