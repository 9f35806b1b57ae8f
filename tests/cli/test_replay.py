"""`headrace replay`: a failed attempt again in another process, the user's frames, the record at hand, and the debugger."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import headrace
from headrace.cli.main import main
from headrace.errors import TaskFailed

HELPER = """
def weigh(ship):
    cargo = ship.tons * 2
    return 100 // (cargo - 26)
"""
SCRIPT = """
import sys
import headrace
from helper import weigh

class Ship:
    def __init__(self, tons):
        self.tons = tons
    def __repr__(self):
        return f"Ship({self.tons})"

with headrace.connect("local://?workers=2", progress=False) as ctx:
    ships = ctx.text_file("tons.txt", 2).map(lambda line: (int(line) % 3, Ship(int(line)))).group_by_key()
    try:
        ships.flat_map(lambda pair: map(weigh, pair[1])).collect()
    except headrace.TaskFailed as error:
        print(error.run, error.attempt)
        print(str(error).splitlines()[-1])
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str]:
    """A script with a class, a module beside it and a file; its run, its attempt and what it says to type."""
    folder = tmp_path_factory.mktemp("harbour")
    (folder / "helper.py").write_text(HELPER)
    (folder / "job.py").write_text(SCRIPT)
    (folder / "tons.txt").write_text("".join(f"{n}\n" for n in range(20)))
    done = subprocess.run(
        [sys.executable, "job.py"], cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )
    names, advice = done.stdout.splitlines()
    run, attempt = names.split()
    return run, attempt, advice


def replay(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headrace", "replay", *arguments],
        cwd="/",
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_debugger_stands_where_it_failed(script: tuple[str, str, str]) -> None:
    run, attempt, advice = script
    assert advice.endswith(f"Look into it with `headrace replay {run} {attempt} --pdb`.")
    done = replay(run, attempt, "--pdb", typed="p cargo, ship\nup\nq\n")
    assert done.returncode == 1, done.stderr
    assert "helper.py(4)weigh()" in done.stdout
    assert "(26, Ship(13))" in done.stdout
    assert f"Attempt {attempt} at task " in done.stdout
    assert "ZeroDivisionError" in done.stdout
    lines = done.stderr.strip().splitlines()
    assert lines[0] == "Traceback of your code:"
    frames = [line for line in lines if line.startswith("  File ")]
    assert frames
    assert all("helper.py" in line or "job.py" in line for line in frames)
    assert re.match(r"in flat_map \(.*job.py:\d+", lines[-2])
    assert "headrace" not in lines[-1]
    assert lines[-1].startswith("given ")


def test_without_an_attempt_those_there_are_are_listed(
    script: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run, attempt, _ = script
    assert main(["replay", run]) == 0
    listed = capsys.readouterr().out
    assert re.search(rf"headrace replay {run} {attempt} +task \d+\.\d+: ZeroDivisionError", listed)
    assert main(["replay", run, "4711"]) == 1
    assert f"attempt 4711 of run {run} was not saved" in capsys.readouterr().err
    assert main(["replay", "0000"]) == 1
    assert "0 failed attempts" in capsys.readouterr().out


@pytest.fixture
def unmoved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Put the folder and the path back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("unmoved")
def test_one_that_does_not_fail_again_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mark = tmp_path / "mark"

    def needs_mark(x: int) -> int:
        if not os.path.exists(mark):
            raise LookupError("no mark")
        return x

    with headrace.connect("inline://?max_failures=1", progress=False) as ctx, pytest.raises(TaskFailed) as caught:
        ctx.range(5, num_slices=1).map(needs_mark).collect()
    command = ["replay", caught.value.run, str(caught.value.attempt)]
    assert main(command) == 1
    assert "LookupError: no mark" in capsys.readouterr().err
    mark.write_text("")
    assert main(command) == 0
    assert "It did not fail this time: 5 records" in capsys.readouterr().out


SHIPPING = """
import sys, zipfile
import headrace
from headrace import files

def weigh(name):
    from hr_shipped_one import load
    from hr_shipped_two import unload
    from hr_shipped_three import sink
    return sink(unload(load(files.get("tons.txt")), files.get("tree/deep/leaf")), files.get("alias/in/side"))

with headrace.connect(sys.argv[1], progress=False) as ctx:
    ctx.add_file("tons.txt")
    ctx.add_file("tree", recursive=True)
    ctx.add_archive("data.zip#alias")
    for name in ("hr_shipped_one.py", "hr_shipped_two", "hr_shipped_three.whl"):
        ctx.add_module(name)
    try:
        ctx.range(1).map(weigh).collect()
    except headrace.TaskFailed as error:
        print(error.run, error.attempt, error.__cause__)
        failed = error
try:
    failed.replay()
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize("url", ["inline://", "local://?workers=2&hosts=2"])
def test_what_was_shipped_is_there_again(url: str, tmp_path: Path) -> None:
    """The run is over, and what was shipped is gone from where it was: both kinds of replay find it."""
    program = tmp_path / "program"
    (program / "tree" / "deep").mkdir(parents=True)
    (program / "tree" / "deep" / "leaf").write_text("leaf")
    (program / "tons.txt").write_text("13")
    (program / "hr_shipped_one.py").write_text("def load(path): return open(path).read()")
    (program / "hr_shipped_two").mkdir()
    (program / "hr_shipped_two" / "__init__.py").write_text("def unload(text, path): return text + open(path).read()")
    with zipfile.ZipFile(program / "hr_shipped_three.whl", "w") as archive:
        archive.writestr("hr_shipped_three.py", "def sink(text, path): raise ValueError(text + open(path).read())")
    with zipfile.ZipFile(program / "data.zip", "w") as archive:
        archive.writestr("in/side", "zipped")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "job.py").write_text(SHIPPING)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "elsewhere" / "job.py"), url],
        cwd=program,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    failed, again = done.stdout.splitlines()
    run, attempt, why = failed.split()
    assert why == again == "13leafzipped"
    shutil.rmtree(program)
    done = replay(run, attempt)
    assert "ValueError: 13leafzipped" in done.stderr, done.stdout
    assert done.returncode == 1


@pytest.mark.usefixtures("unmoved")
def test_what_takes_too_much_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "small.txt").write_text("few")
    (tmp_path / "big.txt").write_text("many" * 20_000)
    with headrace.connect("inline://?max_failures=1&capsule=50kB", progress=False) as ctx:
        ctx.add_file(tmp_path / "big.txt")
        ctx.add_file(tmp_path / "small.txt")
        with pytest.raises(TaskFailed) as caught:
            ctx.range(1).map(lambda x: int(Path(headrace.files.get("small.txt")).read_text())).collect()
    assert main(["replay", caught.value.run, str(caught.value.attempt)]) == 1
    said = capsys.readouterr()
    assert "Of what was shipped, big.txt took too much to be saved" in said.out
    assert "'few'" in said.err
