"""``headrace simulate`` finds the bug that was planted in a program, says what it takes, and leaves good programs alone."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from headrace.cli.main import main
from tests.real.help import Program, write

# Counts in a cached dataset's function: a partition that is lost with its worker is computed, and counted, again.
BUGGY = """
import sys
import headrace

with headrace.connect() as ctx:
    broken = ctx.accumulator(0)

    def level(number):
        broken.add(number % 50 == 0)
        return number % 7, number

    levels = ctx.range(2_000, num_slices=6).map(level).cache()
    highest = levels.reduce_by_key(max, 2).collect_as_map()
    total = levels.values().sum()

print(len(highest), max(highest.values()), total)
print(broken.value, "broken", *sys.argv[1:])
"""
GOOD = """
import operator, os
import headrace

with headrace.connect("local://?workers=2&split=1k") as ctx:
    counts = ctx.text_file("words.txt").flat_map(str.split).map(lambda word: (word, 1)).reduce_by_key(operator.add, 4)
    print(counts.top(3))
    counts.save_as_text_file("out")
open("words.txt", "a").write("to be")
with open("note.txt", "w") as file:
    file.write(os.getcwd())
"""
FEW = ["--workers", "6", "--hosts", "3", "--faults", "crash,pause,partition"]


def simulate(folder: Path, *arguments: str, status: int = 0) -> Program:
    program = Program([sys.executable, "-m", "headrace", "simulate", *arguments], folder, cwd=folder)
    assert program.end() == status, f"{program.out}\n{program.err}"
    program.leaves_no_process()
    return program


@pytest.fixture(scope="module")
def buggy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Program]:
    """A folder with the program, and what was said when the bug was looked for."""
    folder = tmp_path_factory.mktemp("buggy")
    write(folder, "job.py", BUGGY)
    return folder, simulate(folder, "job.py", "a", "--seeds", "60", *FEW, "--", "--b", status=1)


def kept(folder: Path) -> Path:
    (path,) = (folder / ".headrace" / "regressions").iterdir()
    return path


def trace(said: str) -> str:
    """Return the trace of the run whose story was told."""
    (found,) = set(re.findall(r"trace:? ([0-9a-f]{16})", said.partition("What happened")[2].partition("The faults")[0]))
    return str(found)


def test_a_planted_bug_is_found_told_and_kept(buggy: tuple[Path, Program]) -> None:
    folder, found = buggy
    assert "breaks what the program promises: line 2 of what it prints" in found.out
    assert "without failures: 40 broken a --b\n" in found.out
    regression = json.loads(kept(folder).read_text())
    assert regression["arguments"] == ["a", "--b"]
    assert regression["reason"] == ["output", ""]
    assert len(regression["plan"]["faults"]) == 1, "one lost worker is enough"
    assert regression["plan"]["faults"][0]["kind"] == "crash"
    assert f"headrace simulate job.py --plan {kept(folder).relative_to(folder)} -- a --b" in found.out
    story = found.out.partition("What happened")[2].partition("The faults")[0]
    assert "SIGKILL" in story or "crash" in story, story
    assert found.out.endswith("BROKEN\n")


def test_what_was_found_is_seen_again_and_tried_first(buggy: tuple[Path, Program]) -> None:
    folder, found = buggy
    path = str(kept(folder).relative_to(folder))
    again = simulate(folder, "job.py", "--plan", path, "--no-shrink", status=1).out
    assert trace(again) == trace(found.out), "in another process, from the file alone"
    assert "broken a --b" in again, "the kept arguments are used"
    known = simulate(folder, "job.py", "--seeds", "50", *FEW, "--", "a", "--b", status=1)
    assert "it still breaks as it did before" in known.out
    assert "1 kept plan tried, 1 still breaks the program\n0 seeds" in known.out


def test_a_good_program_is_left_in_peace_and_so_is_its_folder(lair: Path) -> None:
    write(lair, "job.py", GOOD)
    (lair / "words.txt").write_text("to be or not to be that is the question\n" * 100)
    before = {path.name: path.read_bytes() for path in lair.iterdir()}
    said = simulate(lair, "job.py", "--seeds", "6", "--workers", "6").out
    assert "1 line printed, 7 files written" in said
    assert "6 seeds in" in said
    assert "2 seeds ran twice, with different hash seeds: 2 took the same course" in said
    assert "  crash      hit" in said
    assert "never hit anything:" in said
    assert said.endswith("no promise was broken\n")
    assert {path.name: path.read_bytes() for path in lair.iterdir()} == before


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("print('nothing to do')\n", "it never connected"),
        ("import headrace, time\nheadrace.connect()\ntime.sleep(100)\n", "it did not end within 0.7 s"),
    ],
)
def test_a_program_that_fails_without_failures_is_told(lair: Path, source: str, said: str) -> None:
    write(lair, "job.py", source)
    program = simulate(lair, "job.py", "--limit", "0.7", status=1)
    assert "job.py cannot be simulated: it" in program.err
    assert said in program.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["none.py"], "there is no script 'none.py'"),
        (["job.py", "--faults", "flood"], "there is no fault 'flood'"),
        (["job.py", "--workers", "2", "--hosts", "3"], "3 hosts need as many workers"),
        (["job.py", "--option", "wrokers=2"], "Did you mean 'workers'"),
        (["job.py", "--option", "seed=2"], "is no option of an address"),
        (["job.py", "--plan", "none.json"], "there is no plan 'none.json'"),
        (["job.py", "--ignore", "("], "is no regular expression"),
        (["job.py", "--seeds", "some"], "'some' is not a whole number"),
        (["job.py", "--workers", "0"], "too few"),
        (["job.py", "--input", "x"], "unrecognized arguments"),
    ],
)
def test_a_command_that_means_nothing_is_refused(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "job.py", GOOD)
    try:
        status: object = main(["simulate", *options])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert said in capsys.readouterr().err


def test_ctrl_c_ends_everything_and_sums_up(lair: Path) -> None:
    write(lair, "job.py", GOOD)
    (lair / "words.txt").write_text("to be or not to be\n" * 100)
    temporary = lair / "tmp"
    temporary.mkdir()
    program = Program(
        [sys.executable, "-m", "headrace", "simulate", "job.py", "--minutes", "5"],
        lair,
        cwd=lair,
        env={"TMPDIR": str(temporary)},
    )
    while not program.line().startswith("without failures"):
        pass
    program.send(signal.SIGINT)
    assert program.end() == 130
    assert "interrupted\n" in program.out
    assert "seeds in" in program.out or "seed in" in program.out
    program.leaves_no_process()
    assert os.listdir(temporary) == []
