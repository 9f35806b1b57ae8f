"""What workers print is seen in the user's terminal: whose it is, not too much of it, and the engine does not mind."""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path

import pytest

import headrace
from headrace.context import Context
from headrace.observe.printed import AGAIN, BURST, Printed
from tests.real.help import Program, until


def test_lines_are_prefixed_and_keep_their_stream(local: Context, capfd: pytest.CaptureFixture[str]) -> None:
    def speak(x: int) -> int:
        print("said", x)
        sys.stderr.write(f"complained {x}\n")
        logging.getLogger("mill").warning("logged %s", x)
        os.write(1, b"written below Python\n")
        return x

    local.range(2, num_slices=2).map(speak).count()
    seen = {"out": "", "err": ""}

    def all_there() -> bool:
        out, err = capfd.readouterr()
        seen["out"] += out
        seen["err"] += err
        return seen["out"].count("said") == 2 and seen["err"].count("logged") == 2

    until(all_there, "everything is shown")
    assert len(re.findall(r"^\[w\d+\] said [01]$", seen["out"], re.MULTILINE)) == 2
    assert len(re.findall(r"^\[w\d+\] written below Python$", seen["out"], re.MULTILINE)) == 2
    assert len(re.findall(r"^\[w\d+\] complained [01]$", seen["err"], re.MULTILINE)) == 2
    assert len(re.findall(r"^\[w\d+\] logged [01]$", seen["err"], re.MULTILINE)) == 2


FLOODS = {
    "lines": "print('x' * 99)",
    "no newlines": "sys.stdout.write('x' * 100)",
    "one piece": "sys.stdout.write('x' * 1_000_000) if x == 5000 else None",
    "flushed bytes": "os.write(1, b'\\xff\\xfe\\0' * 33 + b'\\n')",
    "both streams": "print('x' * 49, file=sys.stdout); print('x' * 49, file=sys.stderr)",
    "carriage returns": "sys.stderr.write('x' * 99 + '\\r')",
}


@pytest.mark.parametrize("how", FLOODS)
def test_a_megabyte_disturbs_nobody(lair: Path, how: str) -> None:
    """Ten thousand records, a hundred bytes each: right, on time, and told in part."""
    program = Program.script(
        f"""
        import os, sys, headrace
        def flood(x):
            {FLOODS[how]}
            return x
        with headrace.connect("local://?workers=2&heartbeat=100ms&suspect=5s", progress=False) as ctx:
            pids = {{worker.pid for worker in ctx.workers()}}
            print("SUM", ctx.range(10_000, num_slices=2).map(flood).sum())
            print("AGAIN", ctx.range(100).sum())
            print("SAME", pids <= {{worker.pid for worker in ctx.workers()}})
        """,
        lair,
    )
    out = program.ok()
    assert "SUM 49995000\n" in out
    assert "AGAIN 4950\n" in out
    assert "SAME True\n" in out
    shown = len(out) + len(program.err)
    assert shown > (4096 if how == "one piece" else 10_000), "some of it is shown"
    if how in ("lines", "flushed bytes", "both streams"):
        assert shown < 1_000_000, "not all of it"
        assert re.search(r"^\[w\d+\] \.\.\. [\d,]+ more lines, too many to show$", program.err, re.MULTILINE)
    program.leaves_nothing()


def test_two_megabytes_at_the_end_of_a_process_are_not_waited_for(lair: Path) -> None:
    program = Program.script(
        """
        import os, headrace
        def flood(x):
            os.set_blocking(1, True)
            os.write(1, b"y" * 60 + b"\\n")
            os.write(2, b"z" * 60_000 + b"\\n")
            os._exit(4)
        with headrace.connect("local://?workers=1&max_failures=1", progress=False) as ctx:
            try:
                ctx.range(1).map(flood).count()
            except headrace.errors.TaskFailed as error:
                print("STATUS", "exited with status 4" in str(error), "yyyy" in str(error), len(str(error)) < 20_000)
        """,
        lair,
    )
    assert "STATUS True True True\n" in program.ok()


def test_a_flood_is_withheld_and_counted(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("headrace.observe.printed.time.monotonic", lambda: now[0])
    printed = Printed()
    worker = headrace.ids.WorkerId("w1")
    for number in range(BURST + 500):
        printed(worker, 1, f"line {number}")
    assert capsys.readouterr().out.count("\n") == BURST
    now[0] = 10.0  # enough is saved up: it is shown again, with the number of those that were not
    printed(worker, 1, "after a while")
    said = capsys.readouterr()
    assert said.out == "[w1] after a while\n"
    assert said.err == "[w1] ... 500 more lines, too many to show\n"
    printed(headrace.ids.WorkerId("w2"), 1, "another is not held back")
    assert capsys.readouterr().out == "[w2] another is not held back\n"
    for _ in range(2 * BURST + AGAIN):
        printed(worker, 2, "again")
    capsys.readouterr()
    printed.close()
    assert "too many to show" in capsys.readouterr().err


def test_a_terminal_that_is_gone_harms_nobody(lair: Path) -> None:
    program = Program.script(
        f"""
        import os, headrace
        with headrace.connect() as ctx:
            os.close(1)
            os.close(2)
            os.open("/dev/full", os.O_WRONLY)
            os.open("/dev/full", os.O_WRONLY)
            total = ctx.range(1000).map(lambda x: print("x" * 1000) or x).sum()
        open({str(lair / "said")!r}, "w").write(str(total))
        os._exit(0)
        """,
        lair,
    )
    program.ok()
    assert (lair / "said").read_text() == "499500"
