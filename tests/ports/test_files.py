"""What every file system port promises, kept by the real one and by its simulated twin."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.ports import Files
from headrace.runtime.files import SystemFiles
from headrace.sim.disk import SimDisk, SimFiles


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
        assert files.open(f"{root}/a").size in (0, 4)
        files.remove(f"{root}/a")
        assert not files.exists(f"{root}/a")

    def test_a_missing_file_says_so(self, files: Files, root: str) -> None:
        with pytest.raises(FileNotFoundError):
            files.open(f"{root}/nothing")
        with pytest.raises(FileNotFoundError):
            files.rename(f"{root}/nothing", f"{root}/b")
        with pytest.raises(FileNotFoundError):
            files.create(f"{root}/no/folder")
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
