"""However the program ends, its workers end too; the next run removes what it left."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import headrace
from tests.real.help import PATIENCE, Program, command, run_folders, until

# What workers are doing when the program dies.
BUSY = {
    "nothing": "ctx.range(4, num_slices=2).count(); threading.Thread(target=time.sleep, args=(600,)).start()",
    "sleeping": "run(lambda x: time.sleep(600))",
    "computing": "run(spin)",
    "a long call in C that holds the interpreter": "run(stuck)",
    "stopped": "run(stop)",
    "a shuffle": "threading.Thread(target=shuffle).start()",
}
PROGRAM = """
import os, signal, sys, threading, time, headrace

def spin(x):
    while True:
        pass

def stuck(x):
    import re
    re.match("(a+)+$", "a" * 40 + "b")

def stop(x):
    os.kill(os.getpid(), signal.SIGSTOP)

def begun(x):
    open(os.path.join({lair!r}, f"begun-{{os.getpid()}}"), "w").close()
    return x

ctx = headrace.connect()

def run(f):
    job = ctx.range(2, num_slices=2).map(begun).map(f)
    threading.Thread(target=job.count).start()
    while len([name for name in os.listdir({lair!r}) if name.startswith("begun-")]) < 2:
        time.sleep(0.01)

def shuffle():
    while True:
        ctx.range(20_000).map(lambda x: (x, x)).group_by_key().count()

ctx.range(4, num_slices=2).count()
{busy}
print("ready", flush=True)
{end}
"""
ENDS = {
    "SIGKILL": "time.sleep(600)",
    "SIGKILL to its group": "time.sleep(600)",
    "SIGTERM": "time.sleep(600)",
    "SIGHUP": "time.sleep(600)",
    "SIGSEGV": "time.sleep(600)",
    "os._exit": "os._exit(5)",
}


def end_of(program: Program, end: str) -> None:
    program.wait_for("ready")
    if end == "SIGKILL to its group":  # workers have groups of their own, so that this does not reach them
        os.killpg(program.process.pid, signal.SIGKILL)
        assert program.end() == -signal.SIGKILL
    elif end.startswith("SIG"):
        program.send(getattr(signal, end))
        assert program.end() == -getattr(signal, end)
    else:
        assert program.end() == 5


@pytest.mark.parametrize(("end", "busy"), [*((end, "sleeping") for end in ENDS), *(("SIGKILL", busy) for busy in BUSY)])
def test_workers_die_with_their_program(lair: Path, end: str, busy: str) -> None:
    source = PROGRAM.format(lair=str(lair), busy=BUSY[busy], end=ENDS[end])
    program = Program.script(source, lair, url="local://?workers=2&hosts=2")
    end_of(program, end)
    until(lambda: not program.left(), f"the workers live on: {[command(pid) for pid in program.left()]}", PATIENCE)
    assert len(run_folders(lair)) == 1
    with headrace.connect(f"local://?workers=1&dir={lair}", progress=False):
        pass
    assert run_folders(lair) == []


def test_an_unhandled_exception_leaves_nothing(lair: Path) -> None:
    """A thread of the user's still waits for a job, and workers are at it."""
    source = PROGRAM.format(lair=str(lair), busy="run(lambda x: time.sleep(600))", end="raise ValueError('grit')")
    program = Program.script(source.replace("target=job.count", "target=job.count, daemon=True"), lair)
    program.wait_for("ready")
    assert program.end() == 1
    assert "ValueError: grit" in program.err
    program.leaves_nothing()


def test_a_program_that_dies_at_once_leaves_no_worker(lair: Path) -> None:
    """While its workers start: they find that their parent is another, or that the channel is closed."""
    for pause_s in (0.0, 0.01, 0.03, 0.06, 0.1):
        program = Program.script(
            f"""
            import os, time, headrace
            ctx = headrace.connect("local://?workers=4&dir={lair}")
            time.sleep({pause_s})
            os._exit(5)
            """,
            lair,
        )
        assert program.end() == 5
        program.leaves_no_process()


def test_what_workers_started_dies_with_the_program(lair: Path) -> None:
    source = PROGRAM.format(
        lair=str(lair), busy="run(lambda x: __import__('subprocess').run(['sleep', '600']))", end="time.sleep(600)"
    )
    program = Program.script(source, lair)
    program.wait_for("ready")
    until(lambda: sum(command(pid)[:1] == ["sleep"] for pid in program.left()) == 2, "the workers have children")
    program.send(signal.SIGKILL)
    program.end()
    program.leaves_no_process()
