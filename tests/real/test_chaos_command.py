"""`make chaos` says what it ran, and how to repeat what failed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import chaos

pytestmark = pytest.mark.timeout(300)  # interpreters are started one after the other

ROOT = Path(__file__).parents[2]
# Planted: of the parts that a reducer reads, the one of a map task that was run again is left out.
BUG = """
from headrace.loops.body import BodyPort

parts = BodyPort.parts

def fewer(self, stage, partition):
    for source, pieces in parts(self, stage, partition):
        if source.attempt <= len(self._shared.tables[stage].places):
            yield source, pieces
        else:
            list(pieces)

BodyPort.parts = fewer
"""


def run(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(path or ""), os.environ.get("PYTHONPATH")))),
    }
    command = [sys.executable, "-m", "tests.chaos", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100)


def test_a_seed_that_fails_is_told_with_the_command_that_repeats_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(BUG)
    done = run("--seeds", "1", "--first", "5", "--minutes", "2", "--only", "sim", path=tmp_path)
    assert done.returncode == 1, done.stdout
    assert "sim seed 5 FAILED" in done.stdout
    assert "sim seed 5: the counts differ" in done.stdout
    (command,) = re.findall(r"^FAILED; to repeat: (.*)$", done.stdout, re.MULTILINE)
    arguments = shlex.split(command)
    assert arguments[1:3] == ["-m", "tests.chaos"]
    again = run(*arguments[3:], path=tmp_path)
    assert again.returncode != 0
    assert "sim seed 5: the counts differ" in again.stderr


def test_seeds_of_every_kind_are_run_and_counted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ran: list[tuple[str, int]] = []

    def passes(kind: str, seed: int, seconds: float) -> bool:
        ran.append((kind, seed))
        return (kind, seed) != ("real", 8)

    monkeypatch.setattr(chaos, "passes", passes)
    assert chaos.main(["--seeds", "3", "--first", "7", "--minutes", "1"]) == 1
    assert ran == [("slow", 7), *((kind, seed) for seed in (7, 8, 9) for kind in ("sim", "jobs", "real"))]
    said = capsys.readouterr().out
    assert "3 x jobs, 3 x real, 3 x sim, 1 x slow" in said
    assert said.count("FAILED; to repeat:") == 1
    assert "--one --only real --first 8" in said
    assert chaos.main(["--minutes", "0"]) == 1, "to have run nothing is no success"


def test_it_ends_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def passes(kind: str, seed: int, seconds: float) -> bool:
        now[0] += 10
        return True

    monkeypatch.setattr(chaos, "passes", passes)
    assert chaos.main(["--seeds", "1000", "--minutes", "1"]) == 0
    assert now[0] == 60
    assert "2 x jobs, 1 x real, 2 x sim, 1 x slow" in capsys.readouterr().out


def test_it_is_in_the_makefile_and_in_the_guide() -> None:
    assert "-m tests.chaos --seeds $(SEEDS) --minutes $(MINUTES)" in (ROOT / "Makefile").read_text()
    guide = (ROOT / "CONTRIBUTING.md").read_text()
    assert "make chaos" in guide
    assert "MINUTES=" in guide
