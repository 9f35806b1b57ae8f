"""Records through other programs: whatever those read and write, however they end, and none of them left behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.errors import JobFailed, TaskFailed, UsageError
from tests.dataset.data import Parts, flat, glom, in_parts, lay_out
from tests.real.help import until


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        yield context


def python(source: str) -> list[str]:
    """Say how to run a program."""
    return [sys.executable, "-S", "-c", source]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.integers() | st.none() | st.just("\ud8ff")


def lines(record: Any) -> list[str]:
    return str(record).rstrip("\n").split("\n")


@given(parts=in_parts(TEXTS.filter(lambda text: text != "\ud8ff")))
@settings(max_examples=30)
def test_what_a_program_passes_on_comes_back_line_by_line(ctx: Context, parts: Parts) -> None:
    found = glom(lay_out(ctx, parts).pipe("cat"))
    assert found == [[line for record in part for line in lines(record)] for part in parts]


def test_lines_that_come_in_pieces_are_put_together(ctx: Context) -> None:
    assert ctx.range(100_000, num_slices=1).pipe("cat").collect() == list(map(str, range(100_000)))


def test_megabytes_are_written_before_anything_is_read(ctx: Context) -> None:
    first = python(
        "import sys; sys.stdout.write('x' * 3_000_000 + '\\n'); sys.stdout.write(str(len(sys.stdin.read())))"
    )
    large = ctx.parallelize(["y" * 1_000_000, "z" * 2_000_000], 1)
    assert large.pipe(first).map(len).collect() == [3_000_000, 7]


def test_a_line_of_many_megabytes_is_cut_once(ctx: Context) -> None:
    """Looking at it again for every piece would take minutes."""
    found = ctx.parallelize(["x" * 40_000_000, "y"], 1).pipe("cat").map(len).collect()
    assert found == [40_000_000, 1]


def test_a_program_that_reads_nothing_or_ends_early_is_not_written_to_any_more(ctx: Context) -> None:
    numbers = ctx.range(300_000, num_slices=2)
    assert numbers.pipe("head -n 1").collect() == ["0", "150000"]
    assert numbers.pipe("true").collect() == []
    assert numbers.pipe(python("print('done')")).collect() == ["done", "done"]
    closed = python("import os; os.close(0); print('deaf')")
    assert numbers.pipe(closed).collect() == ["deaf", "deaf"]


def test_a_program_that_closes_its_output_is_still_fed(ctx: Context, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    mute = python(f"import os, sys; os.close(1); open({str(kept)!r}, 'w').write(sys.stdin.read())")
    assert ctx.range(100_000, num_slices=1).pipe(mute).collect() == []
    assert kept.read_text().splitlines() == list(map(str, range(100_000)))


def test_the_exit_status_counts_only_if_asked_for(ctx: Context) -> None:
    failing = python("import sys; print(len(sys.stdin.read())); sys.exit(3)")
    assert ctx.range(3, num_slices=1).pipe(failing).collect() == ["6"]
    with pytest.raises(TaskFailed, match=r"pipe's command, .* ended with status 3"):
        ctx.range(3, num_slices=1).pipe(failing, check_code=True).collect()
    killed = python("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(TaskFailed, match="ended with status -9"):
        ctx.range(3, num_slices=1).pipe(killed, check_code=True).collect()


def test_a_program_that_is_missing_is_named(ctx: Context, tmp_path: Path) -> None:
    with pytest.raises(TaskFailed, match="pipe could not start 'no-such-program': No such file") as caught:
        ctx.range(1).pipe("no-such-program").collect()
    assert "subprocess.py" not in str(caught.value)
    with pytest.raises(TaskFailed, match="Permission denied"):
        ctx.range(1).pipe([str(tmp_path)]).collect()


def test_its_environment_is_the_workers_and_what_is_added(ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOWN_BEFORE", "old")
    found = ctx.range(1, num_slices=1).pipe("env", {"ADDED": "new = x", "SHOWN_BEFORE": "changed"}).collect()
    assert {"ADDED=new = x", "SHOWN_BEFORE=changed"} <= set(found)
    assert any(line.startswith("PATH=") for line in found)
    assert "ADDED" not in os.environ


@pytest.mark.parametrize(
    ("command", "env"),
    [("", None), ("   ", None), ([], None), ("echo 'x", None), (b"ls", None), (["ls", 1], None), ("ls", {"A": 1})],
)
def test_commands_that_mean_nothing_are_refused_where_they_are_given(ctx: Context, command: Any, env: Any) -> None:
    with pytest.raises(UsageError, match="pipe"):
        ctx.range(1).pipe(command, env)


def test_what_is_not_text_is_an_error_with_advice_or_passed_on(ctx: Context) -> None:
    with pytest.raises(TaskFailed, match="wrote what is not UTF-8"):
        ctx.range(1, num_slices=1).pipe(["printf", r"\377\n"]).collect()
    escaped = ctx.parallelize([b"\xff".decode(errors="surrogateescape")], 1)
    assert escaped.pipe("od -An -tx1").map(str.split).collect() == [["ff", "0a"]]


def test_an_error_before_the_program_is_told_as_ever(ctx: Context) -> None:
    def refuse(x: int) -> int:
        if x == 3:
            raise BrokenPipeError("mine")  # not to be taken for the program's
        return x

    with pytest.raises(TaskFailed, match="BrokenPipeError: mine"):
        ctx.range(5, num_slices=1).map(refuse).pipe("cat").collect()


# None is left behind.


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


NOTING = "import os, sys, time; open({path!r}, 'a').write(f'{{os.getpid()}}\\n'); print('begun', flush=True); {rest}"


def noting(path: Path, rest: str) -> list[str]:
    return python(NOTING.format(path=str(path), rest=rest))


def pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().splitlines() if line] if path.exists() else []


def test_who_takes_enough_ends_the_program(ctx: Context, tmp_path: Path) -> None:
    endless = noting(tmp_path / "pids", "[print(i) for i in iter(int, 1)]")
    assert ctx.range(1, num_slices=1).pipe(endless).take(3) == ["begun", "0", "0"]
    until(lambda: all(map(gone, pids(tmp_path / "pids"))), "the program is gone")
    assert len(pids(tmp_path / "pids")) == 1


@pytest.mark.parametrize("rest", ["time.sleep(600)", "[print(i, flush=True) for i in iter(int, 1)]"])
def test_a_cancelled_job_leaves_no_program(tmp_path: Path, rest: str) -> None:
    noted = tmp_path / "pids"
    with headrace.connect("local://?workers=1", progress=False) as ctx:
        ended: list[Exception] = []

        def job() -> None:
            try:
                ctx.range(2, num_slices=2).pipe(noting(noted, rest)).count()
            except JobFailed as error:
                ended.append(error)

        thread = threading.Thread(target=job)
        thread.start()
        until(lambda: pids(noted), "the program runs")
        ctx.cancel_all_jobs()
        thread.join()
        assert len(ended) == 1
        until(lambda: all(map(gone, pids(noted))), "no program is left")
        assert ctx.range(3).pipe("cat").collect() == ["0", "1", "2"], "and the context goes on"


def kill_once(mark: Path, records: Iterator[str]) -> Iterator[str]:
    """Take the worker along behind the program's first line, the first time."""
    for record in records:
        yield record
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_takes_its_program_along_and_another_runs_it_again(local: Context, tmp_path: Path) -> None:
    noted = tmp_path / "pids"
    mark = tmp_path / "mark"
    wait = f"os.path.exists({str(mark)!r}) or time.sleep(600)"
    rest = f"print('more\\n' * 4, flush=True); {wait}; print(len(sys.stdin.read()))"
    piped = local.range(2000, num_slices=1).pipe(noting(noted, rest)).map_partitions(partial(kill_once, mark))
    found = piped.filter(bool).collect()
    assert found == ["begun", *["more"] * 4, str(sum(len(f"{x}\n") for x in range(2000)))]
    assert len(pids(noted)) == 2
    until(lambda: all(map(gone, pids(noted))), "no program is left")


@pytest.mark.parametrize("seed", range(4))
def test_in_simulated_worlds_that_lose_everything(seed: int) -> None:
    parts = [["a", "b"], [], ["c d"], ["e"] * 30]
    with headrace.connect(f"sim://?workers=3&hosts=2&seed={seed}&faults=all", progress=False) as ctx:
        assert lay_out(ctx, parts).pipe("tr a-z A-Z").collect() == [text.upper() for text in flat(parts)]
