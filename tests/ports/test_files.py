"""What every file system port promises, kept by the real one and by its simulated twin."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.ports import Files
from headrace.runtime.files import SystemFiles
from headrace.sim.disk import SimDisk
from headrace.sim.files import SimFiles


def write(files: Files, path: str, content: bytes) -> None:
    file = files.create(path)
    file.write(content)
    file.close()


def number_of(action: Callable[[], object]) -> int | None:
    with pytest.raises(OSError) as caught:
        action()
    return caught.value.errno


class FilesContract:
    @pytest.fixture
    def files(self) -> Files:
        raise NotImplementedError("return a backend")

    @pytest.fixture
    def root(self) -> str:
        raise NotImplementedError("return an empty folder of it")

    def test_what_was_written_is_read(self, files: Files, root: str) -> None:
        file = files.create(f"{root}/a")
        file.write(b"one")
        file.write(memoryview(b"two"))
        assert file.pread(1, 4) == b"netw"
        file.close()
        found = files.open(f"{root}/a")
        assert (found.size, found.pread(0, 99), found.pread(3, 2), found.pread(6, 5)) == (6, b"onetwo", b"tw", b"")
        found.close()

    def test_what_is_abandoned_can_be_removed_and_is_let_go_of_once(self, files: Files, root: str) -> None:
        file = files.create(f"{root}/a")
        file.write(b"held")
        file.abandon()
        file.abandon()
        file.close()
        assert files.open(f"{root}/a").size == 0, "what a process has gathered goes with it"
        files.remove(f"{root}/a")
        assert not files.exists(f"{root}/a")

    def test_a_missing_file_says_so(self, files: Files, root: str) -> None:
        with pytest.raises(FileNotFoundError):
            files.open(f"{root}/nothing")
        with pytest.raises(FileNotFoundError):
            files.rename(f"{root}/nothing", f"{root}/b")
        with pytest.raises(FileNotFoundError):
            files.create(f"{root}/no/folder")
        write(files, f"{root}/a", b"1")
        with pytest.raises(FileNotFoundError):
            files.rename(f"{root}/a", f"{root}/no/folder")
        with pytest.raises(FileNotFoundError):
            files.sync_dir(f"{root}/nothing")
        assert files.open(f"{root}/a").pread(0, 9) == b"1", "what could not be moved is where it was"
        files.remove(f"{root}/nothing")
        files.remove_tree(f"{root}/nothing")
        assert files.list(f"{root}/nothing") == []

    def test_rename_replaces_at_once(self, files: Files, root: str) -> None:
        for name, content in (("old", b"1"), ("new", b"22")):
            file = files.create(f"{root}/{name}")
            file.write(content)
            file.close()
        reader = files.open(f"{root}/new")
        files.rename(f"{root}/old", f"{root}/new")
        assert not files.exists(f"{root}/old")
        assert files.open(f"{root}/new").pread(0, 9) == b"1"
        assert reader.pread(0, 9) == b"22", "who has a file open keeps what it had"

    def test_creating_empties(self, files: Files, root: str) -> None:
        for content in (b"long content", b"short"):
            file = files.create(f"{root}/a")
            file.write(content)
            file.sync()
            file.close()
        assert files.open(f"{root}/a").pread(0, 99) == b"short"

    def test_folders(self, files: Files, root: str) -> None:
        files.make_dirs(f"{root}/x/y")
        files.make_dirs(f"{root}/x/y")
        for name in ("x/b", "x/a", "x/y/c"):
            files.create(f"{root}/{name}").close()
        assert files.list(f"{root}/x") == ["a", "b", "y"]
        assert files.exists(f"{root}/x/y")
        files.sync_dir(f"{root}/x")
        files.remove(f"{root}/x/a")
        assert files.list(f"{root}/x") == ["b", "y"]
        files.remove_tree(f"{root}/x")
        assert not files.exists(f"{root}/x")
        assert not files.exists(f"{root}/x/y/c")

    def test_a_removed_file_stays_readable_for_who_has_it_open(self, files: Files, root: str) -> None:
        file = files.create(f"{root}/a")
        file.write(b"still")
        file.close()
        reader = files.open(f"{root}/a")
        files.remove(f"{root}/a")
        assert reader.pread(0, 9) == b"still"

    def test_a_file_is_as_large_as_when_it_was_opened(self, files: Files, root: str) -> None:
        file = files.create(f"{root}/a")
        file.write(b"1")
        file.sync()
        reader = files.open(f"{root}/a")
        file.write(b"2")
        file.close()
        assert reader.size == 1

    def test_what_is_in_the_way_is_named_by_its_number(self, files: Files, root: str) -> None:
        files.make_dirs(f"{root}/folder")
        write(files, f"{root}/file", b"")
        assert number_of(lambda: files.create(f"{root}/folder")) == errno.EISDIR
        assert number_of(lambda: files.rename(f"{root}/file", f"{root}/folder")) == errno.EISDIR
        assert number_of(lambda: files.remove(f"{root}/folder")) in (errno.EISDIR, errno.EPERM)
        assert number_of(lambda: files.make_dirs(f"{root}/file")) == errno.EEXIST
        assert number_of(lambda: files.make_dirs(f"{root}/file/inner")) == errno.EEXIST
        assert number_of(lambda: files.list(f"{root}/file")) == errno.ENOTDIR
        assert number_of(lambda: files.open(f"{root}/none")) == errno.ENOENT
        file = files.open(f"{root}/file")
        file.close()
        assert number_of(lambda: file.pread(0, 1)) == errno.EBADF

    def test_others_see_what_was_synced_or_read_back_while_it_is_written(self, files: Files, root: str) -> None:
        file = files.create(f"{root}/a")
        seen = []
        for step in (lambda: file.write(b"1"), file.sync, lambda: file.write(b"2"), lambda: file.pread(0, 1)):
            step()
            seen.append(files.open(f"{root}/a").pread(0, 9))
        assert seen == [b"", b"1", b"1", b"12"]
        file.write(bytes(1 << 17))
        assert files.open(f"{root}/a").size == 2 + (1 << 17), "and what is more than a process gathers"

    def test_a_file_that_moves_while_it_is_written_takes_the_rest_along(self, files: Files, root: str) -> None:
        file = files.create(f"{root}/a")
        file.write(b"1")
        files.make_dirs(f"{root}/x")
        files.rename(f"{root}/a", f"{root}/x/b")
        file.write(b"2")
        file.close()
        assert files.open(f"{root}/x/b").pread(0, 9) == b"12"
        assert not files.exists(f"{root}/a")
        files.rename(f"{root}/x/b", f"{root}/x/b")
        assert files.list(f"{root}/x") == ["b"]

    def test_what_is_emptied_is_empty_for_those_who_read_it(self, files: Files, root: str) -> None:
        write(files, f"{root}/a", b"long")
        reader = files.open(f"{root}/a")
        write(files, f"{root}/a", b"x")
        assert (reader.size, reader.pread(0, 9)) == (4, b"x")


class TestSystemFiles(FilesContract):
    @pytest.fixture
    def files(self) -> Files:
        return SystemFiles()

    @pytest.fixture
    def root(self, tmp_path: Path) -> str:
        return str(tmp_path)

    def test_folders_are_the_owner_s_alone(self, files: Files, root: str) -> None:
        files.make_dirs(f"{root}/mine")
        assert Path(root, "mine").stat().st_mode & 0o077 == 0


class TestSimFiles(FilesContract):
    @pytest.fixture
    def files(self) -> Files:
        made = SimFiles(SimDisk("/sim-test", SystemFiles()))
        made.make_dirs("/sim-test/run")
        return made

    @pytest.fixture
    def root(self) -> str:
        return "/sim-test/run"

    def test_other_paths_are_real(self, files: Files, tmp_path: Path) -> None:
        (tmp_path / "input").write_bytes(b"real")
        assert files.open(str(tmp_path / "input")).pread(0, 9) == b"real"
        files.create(str(tmp_path / "output")).close()
        assert (tmp_path / "output").exists()


@given(
    st.lists(st.binary(max_size=70_000), max_size=12), st.lists(st.tuples(st.integers(0, 99999), st.integers(0, 9999)))
)
def test_both_hold_the_same_bytes(writes: list[bytes], reads: list[tuple[int, int]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        sim = SimFiles(SimDisk("/sim-test", SystemFiles()))
        sim.make_dirs("/sim-test")
        real_file, sim_file = SystemFiles().create(f"{folder}/a"), sim.create("/sim-test/a")
        for data in writes:
            real_file.write(data)
            sim_file.write(data)
        for offset, length in reads:
            assert real_file.pread(offset, length) == sim_file.pread(offset, length)
        real_file.close()
        sim_file.close()
        assert SystemFiles().open(f"{folder}/a").pread(0, 1 << 20) == sim.open("/sim-test/a").pread(0, 1 << 20)
