"""Files, modules and archives reach every worker, of other hosts and started later, too, and are what they were."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import headrace
from headrace import testing
from headrace.errors import ClosureError, InputError, TaskFailed, UsageError
from tests.real.help import until

URLS = ["inline://", "local://?workers=2", "local://?workers=4&hosts=2", "sim://?workers=3&hosts=3&seed=4"]


@pytest.fixture(autouse=True)
def _own_modules() -> Iterator[None]:
    """The program imports what it ships, and each test ships other code."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("hr_"):
            del sys.modules[name]


def read(name: str) -> str:
    return Path(headrace.files.get(name)).read_text()


@pytest.mark.parametrize("url", URLS)
def test_everything_is_found_in_tasks_and_in_the_program(url: str, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("mill")
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "leaf").write_text("leaf")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("in/side", "zipped")
    (tmp_path / "hr_single.py").write_text("def name(x): return 'single'")
    (tmp_path / "hr_package").mkdir()
    (tmp_path / "hr_package" / "__init__.py").write_text("from hr_package.inner import name")
    (tmp_path / "hr_package" / "inner.py").write_text("def name(x): return 'package'")
    with zipfile.ZipFile(tmp_path / "hr_zipped-1.0.whl", "w") as archive:
        archive.writestr("hr_zipped/__init__.py", "def name(x): return 'zipped'")
    with headrace.connect(url, progress=False) as ctx:
        ctx.add_file(tmp_path / "words.txt")
        ctx.add_file(f"file://{tmp_path}/tree", recursive=True)
        ctx.add_archive(f"{tmp_path}/data.zip#alias")
        for name in ("hr_single.py", "hr_package", "hr_zipped-1.0.whl"):
            ctx.add_module(tmp_path / name)
        names = ["words.txt", "tree/deep/leaf", "alias/in/side"]
        expected = ["mill", "leaf", "zipped"]
        assert [Path(ctx.files.get(name)).read_text() for name in names] == expected
        assert ctx.parallelize(names, 3).map(read).collect() == expected
        files = ctx.files
        assert ctx.parallelize(names, 3).map(lambda name: Path(files.get(name)).read_text()).collect() == expected

        def imported(x: int) -> str:
            import importlib

            return str(importlib.import_module(["hr_single", "hr_package", "hr_zipped"][x]).name(x))

        assert ctx.range(3, num_slices=3).map(imported).collect() == ["single", "package", "zipped"]
        assert [imported(x) for x in range(3)] == ["single", "package", "zipped"]
        assert ctx.list_files() == [str(tmp_path / "words.txt"), str(tmp_path / "tree")]
        assert ctx.list_archives() == [f"{tmp_path}/data.zip#alias"]
        root = os.path.dirname(ctx.files.get_root_directory())
    assert not os.path.exists(root), "it goes with the run"
    assert not [path for path in sys.path if path.startswith(root)]


def test_virtual_hosts_have_their_own_once_for_all_their_workers(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(os.urandom(3 << 20))
    (tmp_path / "hr_hosts.py").write_text("import os\ndef where(x): return os.path.dirname(__file__)")

    def look(x: int) -> tuple[str, int, str]:
        import hr_hosts  # type: ignore[import-not-found]

        path = headrace.files.get("big")
        return path, os.stat(path).st_ino, hr_hosts.where(x)

    with headrace.connect("local://?workers=4&hosts=2&speculate=no", progress=False) as ctx:
        until(lambda: sum(worker.state == "idle" for worker in ctx.workers()) == 4, "all are there")
        ctx.add_file(tmp_path / "big")
        ctx.add_module(tmp_path / "hr_hosts.py")
        found = set(ctx.range(64, num_slices=64).map(look).collect())
        home = ctx.files.get_root_directory()
        assert len(found) == 2, "one file for each host, whichever worker looks"
        for path, _, modules in found:
            assert Path(path).read_bytes() == (tmp_path / "big").read_bytes()
            assert not path.startswith(home)
            assert modules == f"{path.removesuffix('/files/big')}/modules"
        for worker in ctx.workers():
            testing.kill_worker(ctx, worker.id)
        until(lambda: not any(worker.state == "running" for worker in ctx.workers()), "they are dead")
        again = set(ctx.range(64, num_slices=64).map(look).collect())
        assert again <= found, "workers that start later find what is there"


def test_what_is_wrong_is_told_where_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "hr_code.py").write_text("x = 1")
    (tmp_path / "broken.zip").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../evil", "bad")
    with headrace.connect("inline://", progress=False) as ctx:
        with pytest.raises(UsageError, match=r"ctx\.files"):
            headrace.files.get("a.txt")
        with pytest.raises(TaskFailed, match=r"Call ctx\.add_file"):
            ctx.range(1).map(lambda x: headrace.files.get("a.txt")).collect()
        ctx.add_file(tmp_path / "a.txt")
        ctx.add_file(tmp_path / "a.txt")
        ctx.add_module(tmp_path / "hr_code.py")
        (tmp_path / "a.txt").write_text("second")
        (tmp_path / "hr_code.py").write_text("x = 2")
        with pytest.raises(UsageError, match=r"'a\.txt' was shipped already, with other content"):
            ctx.add_file(tmp_path / "a.txt")
        with pytest.raises(UsageError, match=r"'hr_code\.py' was shipped already"):
            ctx.add_module(tmp_path / "hr_code.py")
        assert ctx.range(1).map(lambda x: read("a.txt")).collect() == ["first"]
        with pytest.raises(TaskFailed, match=r"no file 'b\.txt' was shipped"):
            ctx.range(1).map(lambda x: read("b.txt")).collect()
        for name in ("../aside", "/etc/passwd", "../../lock"):
            with pytest.raises(InputError, match="was shipped"):
                ctx.files.get(name)
        with pytest.raises(UsageError, match="recursive=True"):
            ctx.add_file(tmp_path)
        with pytest.raises(InputError, match="no such file"):
            ctx.add_file(tmp_path / "nowhere")
        with pytest.raises(UsageError, match="cannot fetch"):
            ctx.add_file("https://example.org/a")
        with pytest.raises(UsageError, match="needs a path"):
            ctx.add_file(5)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=r"cannot import from 'a\.txt'"):
            ctx.add_module(tmp_path / "a.txt")
        with pytest.raises(UsageError, match="not the name of a folder"):
            ctx.add_archive(f"{tmp_path}/evil.zip#../up")
        for name in ("broken.zip", "evil.zip"):
            with pytest.raises(InputError, match="cannot be unpacked"):
                ctx.add_archive(tmp_path / name)
        root = os.path.dirname(ctx.files.get_root_directory())
        assert os.listdir(f"{root}/aside") == []
        assert os.listdir(f"{root}/files") == ["a.txt"]


def test_a_context_still_cannot_travel() -> None:
    with headrace.connect("inline://", progress=False) as ctx, pytest.raises(ClosureError):
        ctx.range(1).map(lambda x: ctx.files.get("a"))


def test_what_arrives_otherwise_than_it_was_sent_is_not_used(tmp_path: Path) -> None:
    """The block in the program's store is damaged: attempts fail and say so, and nothing is put in place."""
    (tmp_path / "a.txt").write_text("whole")
    with headrace.connect("local://?workers=2&hosts=2&max_failures=2", progress=False) as ctx:
        ctx.add_file(tmp_path / "a.txt")
        home = Path(ctx.files.get_root_directory()).parents[1]
        (block,) = home.glob("shipped-*")
        block.write_text("whale")
        with pytest.raises(TaskFailed, match="has not arrived here as it was sent"):
            ctx.range(1).map(lambda x: read("a.txt")).collect()
        block.write_text("whole")
        assert ctx.range(1).map(lambda x: read("a.txt")).collect() == ["whole"]


@pytest.mark.parametrize("url", ["inline://", "local://?workers=2&hosts=2"])
def test_what_may_be_run_can_be_run_in_tasks(url: str, tmp_path: Path) -> None:
    """As `pipe` needs it: a script, by itself, in a folder or in an archive; and what is no program is none."""
    (tmp_path / "tree").mkdir()
    for name in ("twice.sh", "tree/twice.sh"):
        (tmp_path / name).write_text('#!/bin/sh\nwhile read line; do echo "$line$line"; done\n')
        (tmp_path / name).chmod(0o755)
    (tmp_path / "text.txt").write_text("x")
    with headrace.connect(url, progress=False) as ctx:
        for name in ("twice.sh", "text.txt"):
            ctx.add_file(tmp_path / name)
        ctx.add_file(tmp_path / "tree", recursive=True)

        def run(name: str) -> str:
            path = headrace.files.get(name)
            return subprocess.run([path], input="ab\n", capture_output=True, text=True, check=True).stdout.strip()

        assert ctx.parallelize(["twice.sh", "tree/twice.sh"], 2).map(run).collect() == ["abab", "abab"]
        assert ctx.range(1).map(lambda x: os.access(headrace.files.get("text.txt"), os.X_OK)).collect() == [False]


def test_another_context_ships_other_code_of_the_same_name(tmp_path: Path) -> None:
    for said in ("first", "second"):
        (tmp_path / "hr_said.py").write_text(f"WORD = {said!r} * 1")
        with headrace.connect("inline://", progress=False) as ctx:
            ctx.add_module(tmp_path / "hr_said.py")

            def word(x: int) -> str:
                import hr_said  # type: ignore[import-not-found]

                return str(hr_said.WORD)

            assert ctx.range(1).map(word).collect() == [said]
            assert word(0) == said


def test_a_folder_whose_links_lead_back_is_refused_and_others_are_followed(tmp_path: Path) -> None:
    (tmp_path / "round" / "in").mkdir(parents=True)
    for name in "ab":
        (tmp_path / "round" / "in" / name).symlink_to(tmp_path / "round")
    (tmp_path / "twice" / "one").mkdir(parents=True)
    (tmp_path / "twice" / "one" / "leaf").write_text("leaf")
    (tmp_path / "twice" / "two").symlink_to("one")
    os.mkfifo(tmp_path / "pipe")
    with headrace.connect("local://?workers=2&hosts=2", progress=False) as ctx:
        with pytest.raises(InputError, match=r"round/in/a cannot be shipped: this link leads back to where it lies"):
            ctx.add_file(tmp_path / "round", recursive=True)
        ctx.add_file(tmp_path / "twice", recursive=True)
        assert ctx.range(1).map(lambda x: read("twice/two/leaf")).collect() == ["leaf"]
        with pytest.raises(InputError, match="neither a file nor a folder"):
            ctx.add_file(tmp_path / "pipe")
        for wrong in (5, b"a.zip", ""):
            with pytest.raises(UsageError, match="needs a path"):
                ctx.add_archive(wrong)  # type: ignore[arg-type]
        (tmp_path / "broken.zip").write_text("no zip")
        with pytest.raises(InputError, match="cannot be unpacked"):
            ctx.add_archive(tmp_path / "broken.zip")
        home = Path(ctx.files.get_root_directory()).parents[1]
        until(lambda: len(list(home.glob("shipped-*"))) == 1, "of what was refused nothing stays in the store")
        assert os.listdir(home / "shipped" / "aside") == []
