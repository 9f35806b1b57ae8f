"""What cannot be verified is told as such, and never taken for a difference; nothing of it outlives its context."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.context import Context
from headrace.errors import NotDeterministic, TaskFailed
from headrace.runtime.verify import verifier
from headrace.runtime.verify.children import Child
from tests.real.help import lines_of, until
from tests.verify.jobs import LINES, honest, sets_order

ALL = "verify_determinism=all"


def skipped(ctx: Context) -> dict[str, int]:
    """Return why tasks of the only job were not verified."""
    (line,) = lines_of(ctx.run, "verified")
    assert "differs" not in line
    found: dict[str, int] = line.get("skipped", {})
    return found


def job(ctx: Context, function: Any = honest) -> Any:
    return ctx.parallelize(LINES, 3).flat_map(function)


class OnlyHere:
    """Does something else in a process that runs a task again."""

    def __init__(self, what: str) -> None:
        self.what, self.pid = what, os.getpid()

    def __call__(self, line: str) -> list[str]:
        if os.getpid() != self.pid:
            if self.what == "dies":
                os.kill(os.getpid(), signal.SIGKILL)
            elif self.what == "exits":
                os._exit(3)
            elif self.what == "hangs":
                threading.Event().wait()
            raise LookupError("not here")
        return line.split()


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("dies", "the process that ran it again was ended by signal 9"),
        ("exits", "the process that ran it again ended with status 3"),
        ("raises", "run again, it raised LookupError: not here"),
        ("hangs", "run again, it took far longer than before"),
    ],
)
def test_a_task_that_cannot_be_run_again_is_not_verified(what: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if what == "hangs":
        monkeypatch.setattr(verifier, "PATIENCE_S", 0.5)
        monkeypatch.setattr(verifier, "SLOWER", 0)
    with headrace.connect(f"inline://?{ALL}", progress=False) as ctx:
        assert ctx.parallelize(LINES, 1).flat_map(OnlyHere(what)).count() == 72
    assert skipped(ctx) == {why: 1}


def test_a_process_that_was_killed_between_two_tasks_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    children: list[Child] = []
    begin = Child.__init__

    def noted(self: Child, hash_seed: int) -> None:
        children.append(self)
        begin(self, hash_seed)

    monkeypatch.setattr(Child, "__init__", noted)
    with headrace.connect(f"inline://?{ALL}", progress=False) as ctx:
        assert job(ctx).count() == 72
        for child in children:
            child.kill()
        assert job(ctx).count() == 72
        assert job(ctx).count() == 72
    first, second, third = lines_of(ctx.run, "verified")
    assert first["same"] == third["same"] == 3
    assert second["same"] >= 2
    assert sum(second.get("skipped", {}).values()) + second["same"] == 3


def test_what_is_too_large_to_be_saved_is_not_verified() -> None:
    with headrace.connect(f"inline://?{ALL}&capsule=0", progress=False) as ctx:
        assert job(ctx).count() == 72
    assert skipped(ctx) == {"capsule=0 in the address says so": 3}
    with headrace.connect(f"inline://?{ALL}&capsule=64k", progress=False) as ctx:
        assert ctx.parallelize([str(number) * 50_000 for number in range(6)], 2).map(len).sum() == 300_000
    assert skipped(ctx) == {"it takes more than 65,536 bytes. Raise capsule= in the address": 2}


def test_too_many_that_wait_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifier, "WAITING_BYTES", 0)
    with headrace.connect(f"inline://?{ALL}", progress=False) as ctx:
        assert job(ctx).count() == 72
    assert skipped(ctx) == {verifier.TOO_MANY: 3}


def generators(line: str) -> list[Iterator[str]]:
    return [(word for word in line.split())]


def test_values_that_cannot_be_compared_are_not_accused() -> None:
    """A generator between two operators; what comes out of it is compared."""
    with headrace.connect(f"inline://?{ALL}", progress=False) as ctx:
        assert job(ctx, generators).flat_map(list).count() == 72
    (line,) = lines_of(ctx.run, "verified")
    assert line["same"] == 3
    assert "not compared" not in line


def test_records_that_cannot_be_pickled_fail_as_they_would() -> None:
    with headrace.connect(f"inline://?{ALL}&max_failures=1", progress=False) as ctx:
        with pytest.raises(TaskFailed, match="cannot be sent to another process") as caught:
            job(ctx, generators).collect()
        assert not isinstance(caught.value, NotDeterministic)
        assert job(ctx).count() == 72, "and others are verified"
    (line,) = lines_of(ctx.run, "verified")
    assert line["same"] == 3


def test_what_is_printed_is_printed_once(capfd: pytest.CaptureFixture[str]) -> None:
    with headrace.connect(f"inline://?{ALL}", progress=False) as ctx:
        ctx.parallelize(LINES, 2).map(print).count()
    assert capfd.readouterr().out.splitlines() == LINES


def append(path: str, line: str) -> None:
    with open(path, "a") as file:
        file.write(f"{line}\n")


def test_functions_with_declared_effects_are_not_run_again(tmp_path: Path) -> None:
    path = str(tmp_path / "lines")
    with headrace.connect(f"local://?workers=2&{ALL}", progress=False) as ctx:
        ctx.parallelize(LINES, 2).foreach(lambda line: append(path, line))
    assert sorted(Path(path).read_text().splitlines()) == sorted(LINES)
    assert skipped(ctx) == {"foreach does something besides returning": 2}


def test_shipped_modules_and_classes_of_the_program_are_there(tmp_path: Path) -> None:
    (tmp_path / "shop_of_tests.py").write_text("class Thing:\n    def __init__(self, of):\n        self.of = set(of)\n")

    def things(line: str) -> list[Any]:
        from shop_of_tests import Thing  # type: ignore[import-not-found]

        return [Thing(line.split())]

    with headrace.connect(f"local://?workers=2&hosts=2&{ALL}", progress=False) as ctx:
        ctx.add_module(str(tmp_path / "shop_of_tests.py"))
        assert job(ctx, things).map(lambda thing: len(thing.of)).collect() == [6] * 12
    assert skipped(ctx) == {}


def processes() -> int:
    """Count our children that verify."""
    mine, found = os.getpid(), 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        found += parent == mine and b"verifier" in words
    return found


def sleepy(line: str) -> list[str]:
    time.sleep(3600 if os.environ.get("PYTHONHASHSEED") else 0)
    return line.split()


def test_a_context_that_is_closed_meanwhile_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    ctx = headrace.connect(f"local://?workers=1&{ALL}", progress=False)
    future = ctx.submit(job(ctx, sleepy).count)
    until(lambda: processes() == 2, "two processes run it again")
    ctx.close()
    assert processes() == 0
    future.exception()
    assert not [thread for thread in threading.enumerate() if thread.name == "headrace-verify"]


def test_a_job_that_is_called_off_is_not_verified() -> None:
    with headrace.connect(f"inline://?{ALL}", progress=False) as ctx:
        assert ctx.parallelize(LINES, 2).flat_map(sets_order).map(len).count_approx(0.0) is not None
    assert lines_of(ctx.run, "verified") == []
