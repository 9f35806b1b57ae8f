"""What was found broken once, in surroundings that nobody had thought of."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.context import Context
from headrace.errors import InternalError, TaskFailed, UsageError
from headrace.loops.controller import Controller
from headrace.runtime.place import processes
from tests.real.help import Program, lines_of, until, write

ADD = """
    import sys, headrace
    with headrace.connect() as ctx:
        print(ctx.range(4).map(lambda x: (x, sys.argv[1:], sys.path)).map(len).sum())
    """


@pytest.mark.parametrize("arguments", [[os.fsdecode(b"\xff\xfe.txt")], [str(n) for n in range(30_000)]])
def test_any_arguments_are_handed_over(lair: Path, arguments: list[str]) -> None:
    """Names of files that are no text; more of them than a pipe holds."""
    assert Program.script(ADD, lair, *arguments).ok() == "12\n"


def test_a_folder_whose_name_is_no_text(lair: Path) -> None:
    folder = lair / os.fsdecode(b"\xff")
    folder.mkdir()
    source = """
        import os, headrace
        with headrace.connect("local://?workers=2") as ctx:
            print(ctx.range(2).map(lambda x: os.getcwd()).collect() == 2 * [os.getcwd()])
        """
    env = {"TMPDIR": str(folder), "PYTHONPATH": str(folder)}
    assert Program.script(source, lair, cwd=folder, env=env).ok() == "True\n"


def test_what_is_no_text_in_the_path_is_passed_over(lair: Path) -> None:
    source = """
        import pathlib, sys, headrace
        sys.path.insert(0, pathlib.Path("/tmp"))
        sys.argv.append(7)
        with headrace.connect() as ctx:
            print(ctx.range(4).sum())
        """
    assert Program.script(source, lair).ok() == "6\n"


def test_a_global_that_will_not_tell_its_class(lair: Path) -> None:
    """Such as a proxy for a request where there is none."""
    source = """
        import headrace

        class Proxy:
            @property
            def __class__(self):
                raise RuntimeError("outside of a request")

        request = Proxy()
        with headrace.connect() as ctx:
            print(ctx.range(4).sum())
        """
    assert Program.script(source, lair).ok() == "6\n"


def test_code_that_does_not_fit_on_a_full_disk(lair: Path) -> None:
    """It used to be written by the loop's thread, which broke, and the program waited for ever."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(lair)], capture_output=True).returncode:
        pytest.skip("this user may not mount")
    try:
        with headrace.connect(f"local://?workers=1&dir={lair}", progress=False) as ctx:
            table = os.urandom(4_000_000)
            pairs = ctx.range(4).map(lambda x: (len(table) % 3, x)).reduce_by_key(max)
            with pytest.raises(headrace.errors.DiskFull, match="dir="):
                pairs.collect()
            with pytest.raises(headrace.errors.DiskFull, match="dir="):
                pairs.collect()
            assert ctx.range(4).sum() == 6
    finally:
        subprocess.run(["umount", "--lazy", str(lair)], check=True)


def test_a_loop_that_breaks_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even a job that had not reached it yet."""

    def broken(_: Controller, __: Any) -> None:
        raise AssertionError("a bug")

    monkeypatch.setattr(Controller, "submit", broken)
    with headrace.connect("local://?workers=1", progress=False) as ctx:
        for _ in range(2):
            with pytest.raises(InternalError, match="a bug"):
                ctx.range(4).sum()


def test_large_classes_of_main(lair: Path) -> None:
    """Each small enough to travel by name, all together too large for a message."""
    lines = [f"class C{n}:\n    data = os.urandom(900_000)\n" for n in range(12)]
    source = "\n".join(["import os, headrace", *lines, "with headrace.connect() as ctx:"])
    path = write(lair, "large.py", source + "\n    print(ctx.range(4).map(lambda x: len(C3.data)).sum())\n")
    assert Program([sys.executable, str(path)], lair).ok() == "3600000\n"


def test_an_end_of_which_nobody_can_tell_is_told_as_such(lair: Path) -> None:
    source = """
        import os, signal, headrace
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        with headrace.connect("local://?workers=1&max_losses=2") as ctx:
            try:
                ctx.range(1).map(lambda x: os._exit(3)).count()
            except headrace.errors.TaskLost as error:
                print("SIGCHLD" in str(error))
        """
    assert Program.script(source, lair).ok() == "True\n"


@pytest.mark.parametrize("stream", ["closed", "bare", "dead"])
def test_streams_that_stand_in_for_the_terminal(lair: Path, stream: str) -> None:
    source = f"""
        import io, sys, headrace

        class Dead:
            def write(self, text):
                raise RuntimeError("the window was closed")

        if {stream!r} == "closed":
            sys.stdout.close(), sys.stderr.close()
        else:
            sys.stdout = sys.stderr = io.StringIO() if {stream!r} == "bare" else Dead()
            if {stream!r} == "bare":
                sys.stderr.isatty = None
        with headrace.connect() as ctx:
            total = ctx.range(4).map(lambda x: print("hello") or print("hello", file=sys.stderr) or x).sum()
        sys.stdout = sys.stderr = None
        open("total", "w").write(str(total))
        """
    Program.script(source, lair, cwd=lair).ok()
    assert (lair / "total").read_text() == "6"


def test_threads_of_a_task_share_its_values(local: Context) -> None:
    """As those that user code starts to wait for several things at once."""
    table, seen = local.broadcast({n: n * n for n in range(50)}), local.accumulator(0)

    def square(n: int) -> int:
        seen.add(1)
        return table.value[n]

    def squares(numbers: Iterator[int]) -> Iterator[int]:
        with ThreadPoolExecutor(8) as pool:
            yield from pool.map(square, numbers)

    assert local.range(50).map_partitions(squares).collect() == [n * n for n in range(50)]
    assert seen.value == 50


def test_what_is_too_much_for_a_report_is_said(local: Context) -> None:
    """It used to break the channel, and the worker was taken for killed, again and again."""
    with pytest.raises(UsageError, match="2MB is the most"):
        headrace.connect("local://?inline=3MB")
    seen = local.accumulator(b"")
    with pytest.raises(TaskFailed, match=r"12,000,0\d\d bytes to accumulators"):
        local.range(1).foreach(lambda x: seen.add(bytes(12_000_000)))

    def fail(_: int) -> None:
        raise ValueError("x" * 20_000_000)

    with pytest.raises(TaskFailed, match="20,000,012 characters") as caught:
        local.range(1).foreach(fail)
    assert len(str(caught.value)) < 30_000
    assert local.range(4).sum() == 6


def _cyclic() -> Exception:
    one, other = ValueError("hen"), KeyError("egg")
    one.__cause__, other.__cause__ = other, one
    return one


def _deep() -> Exception:
    error = ValueError("first")
    for number in range(5000):
        another = ValueError(f"number {number}")
        another.__cause__ = error
        error = another
    return error


class _Secretive(Exception):
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)


class _Stubborn(Exception):
    def __reduce__(self) -> Any:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (_cyclic, "ValueError: hen"),
        (_deep, "ValueError: number 4999"),
        (lambda: _Secretive(), "_Secretive"),
        (lambda: _Stubborn("no"), "_Stubborn: no"),
        (lambda: ExceptionGroup("both", [ValueError("hen"), KeyError("egg")]), "ValueError: hen"),
    ],
)
def test_odd_exceptions_are_told_and_end_no_worker(
    local: Context, make: Callable[[], BaseException], told: str
) -> None:
    def fail(_: int) -> None:
        raise make()

    until(lambda: [worker.state for worker in local.workers()] == ["idle", "idle"], "two workers")
    before = {worker.pid for worker in local.workers()}
    with pytest.raises(TaskFailed, match=told):
        local.range(1).map(fail).count()
    assert {worker.pid for worker in local.workers()} == before


def test_cached_functions_and_properties_of_main_travel(lair: Path) -> None:
    source = """
        import functools, headrace

        @functools.lru_cache(maxsize=100)
        def fibonacci(n):
            return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

        class Square:
            def __init__(self, side):
                self.side = side

            @functools.cached_property
            def area(self):
                return self.side ** 2

        def local(n):
            @functools.cache
            def twice(n):
                return 2 * n
            return twice

        with headrace.connect() as ctx:
            numbers = ctx.range(90, 93)
            print(numbers.map(fibonacci).collect() == [fibonacci(n) for n in range(90, 93)])
            print(numbers.map(local(1)).collect() == [180, 182, 184])
            print(numbers.map(lambda n: fibonacci.cache_parameters()["maxsize"]).distinct().collect())
            print(numbers.map(Square).map(lambda square: square.area).sum())
            print([square.area for square in numbers.map(Square).collect()])
        """
    assert Program.script(source, lair).ok().split("\n") == [
        *("True", "True", "[100]", "24845", "[8100, 8281, 8464]", "")
    ]


def test_what_is_printed_to_a_closed_stream_goes_into_no_file_of_ours(lair: Path) -> None:
    """The number of a stream that user code has closed goes to the next file that is opened."""

    def noisy(x: int) -> int:
        with contextlib.suppress(OSError):
            os.close(1) if x == 0 else os.write(1, b"noise\n")
        return x

    with headrace.connect("local://?workers=1", progress=False) as ctx:
        ctx.range(0, 4, 1, 4).map(noisy).save_as_text_file(lair / "out")
        assert ctx.text_file(lair / "out").collect() == ["0", "1", "2", "3"]


def test_a_run_ends_well_when_python_starts_no_thread_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """As from Python 3.12 on, where the program leaves its context to be closed at its end."""

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread at interpreter shutdown")

    ctx = headrace.connect("local://?workers=2", progress=False)
    until(lambda: all(worker.state == "idle" for worker in ctx.workers()) and len(ctx.workers()) == 2, "two workers")
    monkeypatch.setattr(threading.Thread, "start", refuse)
    ctx.close()
    assert ["exited with status 0" in line["how"] for line in lines_of(ctx.run, "worker left")] == [True, True]


def test_a_folder_of_packages_does_not_come_before_pythons_library(lair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among installed packages there may be one, such as a backport, by the name of a module of the library's."""
    packages = str(Path(headrace.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", str(lair))
    monkeypatch.setattr("site.getsitepackages", list)
    monkeypatch.setattr("site.getusersitepackages", str)
    assert processes.environment_for(str(lair))["PYTHONPATH"] == f"{packages}{os.pathsep}{lair}"
    monkeypatch.setattr("site.getsitepackages", lambda: [packages])
    assert processes.environment_for(str(lair))["PYTHONPATH"] == str(lair)
