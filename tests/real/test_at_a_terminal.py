"""What a person at a terminal sees, and what goes to a file although they look on."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace import testing
from headrace.protocols import schedule_words as words
from tests.real.help import told


@pytest.mark.parametrize("progress", [None, False])
def test_a_run_in_which_nothing_moves_says_what_it_waits_for(
    capfd: pytest.CaptureFixture[str], progress: bool | None
) -> None:
    gate = threading.Event()

    def release(machine: str, event: Any, effects: list[Any]) -> None:
        stalls = [effect for effect in effects if isinstance(effect, words.Stalled)]
        if any("attempt 1 on w1" in line for stall in stalls for line in stall.waits):
            gate.set()

    with headrace.connect("local://?workers=1&stall=100ms", progress=progress, watchers=[release]) as ctx:
        stuck = ctx.range(1).map(lambda x: __import__("time").sleep(600))

        def wait() -> None:
            with pytest.raises(headrace.errors.HeadraceError):
                stuck.count()

        waiting = threading.Thread(target=wait)
        waiting.start()
        assert gate.wait(60)
    waiting.join(60)
    said = capfd.readouterr().err
    assert ("headrace: nothing has moved for " in said) == (progress is None)
    assert ("task 1.0: attempt 1 on w1" in said) == (progress is None)


def test_what_goes_to_a_file_is_not_shown_with_the_table(tmp_path: Path) -> None:
    """Standard error is a terminal with a live table in it; standard output is a file."""
    script = tmp_path / "script.py"
    script.write_text(
        "import headrace, time\n"
        "with headrace.connect('local://?workers=1') as ctx:\n"
        "    for turn in ctx.range(8, num_slices=8).map(lambda x: time.sleep(0.15) or x).to_local_iterator():\n"
        "        print('turn', turn, flush=True)\n"
        "    ctx.range(8, num_slices=8).foreach(lambda x: time.sleep(0.15) or print('task', x, flush=True))\n"
    )
    ours, theirs = pty.openpty()
    with (tmp_path / "out").open("wb") as out:
        program = subprocess.Popen([sys.executable, str(script)], stdout=out, stderr=theirs)
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 1 << 16):
                shown += piece
        except OSError:
            pass  # the other end is closed
    os.close(ours)
    assert program.wait(60) == 0
    lines = (tmp_path / "out").read_text().splitlines()
    assert [line for line in lines if line.startswith("turn")] == [f"turn {x}" for x in range(8)]
    assert sorted(line for line in lines if "task" in line) == [f"[w1] task {x}" for x in range(8)]
    assert b"records" in shown, "there was a table"
    assert b"task 3" not in shown


@pytest.mark.parametrize("progress", [None, False])
def test_trouble_is_summed_up_at_the_end(capfd: pytest.CaptureFixture[str], progress: bool | None) -> None:
    with headrace.connect("local://?workers=1", progress=progress) as ctx:
        assert ctx.range(5).count() == 5
    assert capfd.readouterr().err == "", "where nothing went wrong, nothing is said"
    with headrace.connect("local://?workers=1", progress=progress) as ctx:
        with pytest.raises(headrace.errors.TaskFailed):
            ctx.range(1).map(lambda x: 1 // x).count()
        testing.kill_worker(ctx, ctx.workers()[0].id)
        assert ctx.range(5).count() == 5
    said = f"headrace: 1 worker lost, 4 attempts failed; headrace story {ctx.run} tells more\n"
    assert capfd.readouterr().err == (said if progress is None else "")


def test_a_simulated_run_ends_with_its_trace(capfd: pytest.CaptureFixture[str]) -> None:
    traces = set()
    for _ in range(2):
        with headrace.connect("sim://?workers=3&seed=11") as ctx:
            assert ctx.range(100).map(lambda x: (x % 3, x)).reduce_by_key(max).count() == 3
        said = capfd.readouterr().err
        (done,) = [line for line in told(ctx.run) if line["what"] == "run done"]
        assert f"headrace: trace {done['trace']}, {done['simulated_s']:.3f} simulated seconds" in said
        traces.add(done["trace"])
    assert len(traces) == 1
