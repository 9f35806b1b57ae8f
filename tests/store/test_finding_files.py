"""Paths, globs and folders: what they name, in which order, and what is said when they name nothing readable."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.errors import InputError, UsageError
from headrace.store.inputs import check_encoding, find_files


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("b.txt", "a.txt", "c.log", "sub/d.txt", "sub/deep/e.txt", ".hidden.txt", "_SUCCESS", "odd[1].txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path  # type: ignore[return-value]


def names(here: Path, paths: Any) -> list[str]:
    return [str(Path(found).relative_to(here)) for found in find_files(paths)]


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        ("a.txt", ["a.txt"]),
        (Path("a.txt"), ["a.txt"]),
        (["b.txt", Path("a.txt")], ["b.txt", "a.txt"]),
        (("a.txt", "a.txt"), ["a.txt", "a.txt"]),
        ("./sub/../a.txt", ["a.txt"]),
        ("*.txt", ["a.txt", "b.txt", "odd[1].txt"]),
        ("?.*", ["a.txt", "b.txt", "c.log"]),
        ("[ab].txt", ["a.txt", "b.txt"]),
        ("odd[1].txt", ["odd[1].txt"]),
        ("**/*.txt", ["a.txt", "b.txt", "odd[1].txt", "sub/d.txt", "sub/deep/e.txt"]),
        ("sub/*", ["sub/d.txt"]),
        ("sub", ["sub/d.txt"]),
        (".", ["a.txt", "b.txt", "c.log", "odd[1].txt"]),
        (["*.log", "sub", "*.log"], ["c.log", "sub/d.txt", "c.log"]),
        ((name for name in ("c.log", "a.txt")), ["c.log", "a.txt"]),
    ],
)
def test_what_names_what(here: Path, paths: Any, found: list[str]) -> None:
    """Each file where it was named, as often as it was named; a glob's and a folder's in sorted order."""
    assert names(here, paths) == found
    assert all(os.path.isabs(path) for path in find_files(["a.txt"]))


def test_links_are_followed(here: Path) -> None:
    (here / "link.txt").symlink_to("a.txt")
    (here / "linked").symlink_to("sub")
    assert names(here, ["link.txt", "linked"]) == ["link.txt", "linked/d.txt"]


def _fails(paths: Any) -> str:
    with pytest.raises(InputError) as caught:
        find_files(paths)
    return str(caught.value)


def test_a_glob_without_a_match_names_itself_and_where_it_was_tried(here: Path) -> None:
    message = _fails("*.csv")
    assert "'*.csv'" in message
    assert str(here) in message
    assert "Check the pattern" in message


def test_a_missing_file_is_named(here: Path) -> None:
    message = _fails(["a.txt", "nothing.txt"])
    assert "nothing.txt" in message
    assert "No such file" in message
    assert str(here) in message
    assert "No such file" in _fails("")
    assert "x\\x00y" in _fails("x\0y")


def test_a_link_to_nothing_says_so_wherever_it_is_met(here: Path) -> None:
    (here / "gone.txt").symlink_to("nowhere")
    for paths in ("gone.txt", "g*.txt", "."):
        assert "gone.txt' (a link to nothing)" in _fails(paths)


def test_a_loop_of_links_is_an_error(here: Path) -> None:
    (here / "loop.txt").symlink_to("loop.txt")
    assert "loop.txt" in _fails("loop.txt")


def test_a_folder_without_files_is_an_error(here: Path) -> None:
    (here / "only").mkdir()
    (here / "only" / ".hidden").write_text("")
    (here / "only" / "_SUCCESS").write_text("")
    for folder in ("empty", "only"):
        assert re.search(f"'{folder}' has no files", _fails(folder))


def test_no_paths_at_all_are_an_error(here: Path) -> None:
    assert "no input files were named" in _fails([])


def test_what_is_no_regular_file_is_refused_and_not_waited_for(here: Path) -> None:
    """Opening a pipe that nobody writes to would hang."""
    os.mkfifo(here / "pipe")
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket")
    for name in ("pipe", "socket", "/dev/null"):
        assert f"{name} is not a regular file" in _fails(name)
    server.close()


@pytest.mark.parametrize("wrong", [3, None, [3], b"a.txt", [b"a.txt"]])
def test_what_is_no_path_is_a_mistake_in_the_program(here: Path, wrong: Any) -> None:
    with pytest.raises(UsageError, match="Give text_file a path"):
        find_files(wrong)


UNPRIVILEGED = """
import os, sys
from headrace.store.inputs import find_files
if os.geteuid() == 0:
    {become}(65534)
for path in sys.argv[1:]:
    try:
        print("found", find_files(path))
    except Exception as error:
        print(type(error).__name__, error)
"""


@pytest.mark.parametrize("become", ["os.seteuid", "os.setuid"])
def test_what_may_not_be_read_is_an_error_before_the_job_begins(become: str) -> None:
    """As another user, because root may read everything; effective rights count, as they will when it is opened."""
    with tempfile.TemporaryDirectory(prefix="headrace-test-") as folder:
        here = Path(folder)
        here.chmod(0o755)
        for name in ("a.txt", "locked.txt", "closed/f.txt"):
            (here / name).parent.mkdir(exist_ok=True)
            (here / name).write_text("x")
        (here / "locked.txt").chmod(0)
        (here / "closed").chmod(0)
        paths = [str(here / name) for name in ("locked.txt", "closed", "closed/f.txt", "l*.txt", "a.txt")]
        code = UNPRIVILEGED.format(become=become)
        child = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, check=True)
        (here / "closed").chmod(0o700)
    lines = child.stdout.splitlines()
    assert all(line.startswith("InputError") for line in lines[:4]), lines
    assert "locked.txt: permission denied" in lines[0]
    assert "closed' cannot be listed: Permission denied" in lines[1]
    assert "f.txt': Permission denied" in lines[2]
    assert "locked.txt: permission denied" in lines[3]
    assert lines[4].startswith("found")


def test_only_encodings_that_make_text_of_bytes_are_taken() -> None:
    for good in ("utf-8", "UTF8", "latin-1", "utf-16", "shift_jis"):
        check_encoding(good, "strict")
    for wrong in ("utf-9", "rot13", "base64", "zip", "hex", ""):
        with pytest.raises(UsageError, match="such as utf-8"):
            check_encoding(wrong, "strict")
    with pytest.raises(UsageError):
        check_encoding("utf-8", "explode")
    with pytest.raises(UsageError):
        check_encoding(None, "strict")  # type: ignore[arg-type]
