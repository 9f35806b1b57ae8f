"""`headrace story`: what was lost, run again and copied, and why; in words, or as the lines that are kept."""

from __future__ import annotations

import json
import operator
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import headrace
from headrace.cli.main import main
from headrace.observe import stories


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A run in which a worker is killed, one falls silent, and a task raises; each once."""
    folder = str(tmp_path_factory.mktemp("marks"))

    def stumble(x: int) -> int:
        if x in (3, 6, 9):
            try:
                os.mkdir(f"{folder}/{x}")
            except FileExistsError:
                return x
            if x == 3:
                raise ValueError("the mill is shut")
            os.kill(os.getpid(), signal.SIGKILL if x == 6 else signal.SIGSTOP)
        return x

    url = "local://?workers=3&heartbeat=50ms&suspect=200ms"
    with headrace.connect(url, progress=False) as ctx:
        assert (
            ctx.range(12, num_slices=12).map(stumble).map(lambda x: (x % 2, x)).reduce_by_key(operator.add).count() == 2
        )
        for worker in ctx.workers():
            os.kill(worker.pid, signal.SIGCONT)
    return ctx.run


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["story", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_it_tells_what_was_lost_run_again_and_copied_and_why(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, run)

    def one(pattern: str) -> str:
        return next((line for line in lines if re.search(pattern, line)), f"no line is like {pattern}: {lines}")

    assert "SIGKILL" in one(r"s  worker lost: task 1\.6, .*compute")
    assert "SIGKILL" in one(r"s  attempt lost: task 1\.6, attempt \d+: ")
    assert "ValueError: the mill is shut" in one(r"s  rerun: task 1\.3, attempt \d+: ")
    assert "silent: 0." in one(r"s  worker suspected: worker w\d+")
    assert re.search("silent|suspected", one(r"s  copy: task 1\.9, attempt \d+: "))
    assert re.search(r"worker w\d+", one(r"s  copy begun: task 1\.9, attempt \d+"))
    assert "lost 1" in one(r"s  run done: ")
    times = [float(line.split()[0]) for line in lines]
    assert times == sorted(times)


def test_the_lines_themselves_can_be_had(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [json.loads(line) for line in said(capsys, "--json", run)]
    assert lines == list(stories.read(stories.find(run)))
    assert lines[0]["run"] == run
    assert len(said(capsys, run)) == len(lines)


def test_of_the_settings_it_tells_those_that_were_chosen(run: str, capsys: pytest.CaptureFixture[str]) -> None:
    begun = said(capsys, run)[0]
    assert "workers = 3" in begun
    assert "membership.heartbeat_ns = 50000000" in begun
    assert "hung" not in begun
    assert any("hung" in setting for setting in json.loads(said(capsys, "--json", run)[0])["settings"])


def test_the_latest_run_needs_no_name_and_a_file_is_as_good_as_one(
    run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    by_name = said(capsys, run)
    assert said(capsys, str(stories.find(run))) == by_name
    path = stories.find(run)
    os.utime(path, (2e9, 2e9))
    assert said(capsys) == by_name
    os.utime(path)


@pytest.mark.parametrize("kind", ["unknown", "folder", "no story", "empty", "binary"])
def test_what_is_not_a_story_is_refused_with_what_to_do(
    kind: str, run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "f00d"
    if kind == "folder":
        path.mkdir()
    elif kind != "unknown":
        path.write_bytes({"no story": b'[1]\nbread\n{"what": 7}\n', "empty": b"", "binary": bytes(range(256))}[kind])
    assert main(["story", "f00d"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("headrace: ")
    assert "f00d" in error
    assert (run in error) if kind in ("unknown", "folder") else ("Name a run" in error)


def test_a_line_that_was_cut_off_is_left_out(run: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The program was killed while it wrote."""
    whole = stories.find(run).read_bytes()
    (tmp_path / "cut").write_bytes(whole[: whole.rindex(b"totals")])
    assert said(capsys, str(tmp_path / "cut")) == said(capsys, run)[:-1]


def test_no_story_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_STORIES", str(tmp_path / "none"))
    assert main(["story"]) == 1
    assert "Run a job first" in capsys.readouterr().err


def test_only_the_latest_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_STORIES", str(tmp_path))
    for number in range(stories.KEPT + 5):
        path = tmp_path / f"{number:08x}.jsonl"
        path.touch()
        os.utime(path, (number, number))
    stories.StoryFile("now").close()
    kept = sorted(path.stem for path in tmp_path.iterdir())
    assert kept == sorted([*(f"{number:08x}" for number in range(6, stories.KEPT + 5)), "now"])
    assert (tmp_path / "now.jsonl").stat().st_mode & 0o077 == 0, "the owner's alone"


@pytest.mark.parametrize("how", ["a file in the way", "gone meanwhile"])
def test_a_story_that_cannot_be_kept_does_not_end_the_run(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    if how == "gone meanwhile":
        monkeypatch.setattr(stories, "folder", lambda: tmp_path / "gone")
    else:
        monkeypatch.setattr(stories, "folder", lambda: tmp_path / "file")
    with headrace.connect("inline://", progress=False) as ctx:
        assert ctx.range(4).sum() == 6


def test_a_simulated_runs_story_has_the_trace_that_its_seed_always_has(capsys: pytest.CaptureFixture[str]) -> None:
    def trace(seed: int) -> str:
        with headrace.connect(f"sim://?workers=4&seed={seed}&faults=all", progress=False) as ctx:
            ctx.range(40).map(lambda x: (x % 3, x)).reduce_by_key(operator.add).count()
        found = re.search(r"trace: ([0-9a-f]{16})", said(capsys, ctx.run)[-2])
        assert found
        return found[1]

    assert trace(11) == trace(11) != trace(12)


def test_a_reader_that_has_seen_enough_is_no_error(run: str) -> None:
    """As in `headrace story | head -1`."""
    command = f"{sys.executable} -m headrace story {stories.find(run)} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["/bin/bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert "run begun" in done.stdout
    assert "Traceback" not in done.stderr
