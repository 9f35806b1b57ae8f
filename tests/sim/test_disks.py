"""Simulated disks: what a loss of power leaves, and what the engine does with what a disk makes of its files."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import DiskFull
from headrace.ports import Files, ReadFile
from headrace.runtime.files import SystemFiles
from headrace.sim.disk import BLOCK, SimDisk
from headrace.sim.files import SimFiles

ROOT, HOST = "/sim-disk", "/sim-disk/h0"
NAMES = st.sampled_from(["a", "b", "x/a", "x/b"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), NAMES, st.integers(1, 3 * BLOCK)),
        st.tuples(st.just("write and sync"), NAMES, st.integers(1, 3 * BLOCK)),
        st.tuples(st.just("rename"), NAMES, NAMES),
        st.tuples(st.just("remove"), NAMES, st.just(0)),
        st.tuples(st.just("sync names"), st.sampled_from(["", "/x"]), st.just(0)),
    ),
    max_size=14,
)
Step = tuple[str, str, int | str]


def disk_of(seed: int) -> tuple[SimDisk, Files]:
    disk = SimDisk(ROOT, SystemFiles(), Random(seed))
    files = SimFiles(disk)
    files.make_dirs(f"{HOST}/x")
    return disk, files


def content_of(number: int, length: int) -> bytes:
    """Bytes none of which are zero, and that tell where they are from."""
    return bytes([number % 200 + 1]) * length


class Told:
    """What was done to a disk, by names; a new file is a new number."""

    def __init__(self, files: Files) -> None:
        self.files, self.now = files, dict[str, int]()
        self.written: list[tuple[int, bool]] = []  # by number: how long, and whether that was synced
        self.ever: dict[str, set[int | None]] = {}  # what each name has meant since the names were last synced

    def do(self, step: Step) -> None:
        match step:
            case ("write" | "write and sync" as how, name, int(length)):
                self.files.remove(f"{HOST}/{name}")  # what is emptied in place promises nothing
                self._means(name, None)
                file = self.files.create(f"{HOST}/{name}")
                file.write(content_of(len(self.written), length))
                if how == "write and sync":
                    file.sync()
                file.close()
                self._means(name, len(self.written))
                self.written.append((length, how == "write and sync"))
            case ("rename", old, str(new)) if old in self.now and old != new:
                self.files.rename(f"{HOST}/{old}", f"{HOST}/{new}")
                number = self.now[old]
                self._means(old, None)
                self._means(new, number)
            case ("remove", name, _):
                self.files.remove(f"{HOST}/{name}")
                self._means(name, None)
            case ("sync names", folder, _):
                self.files.sync_dir(f"{HOST}{folder}")
                for name in list(self.ever):
                    if f"/{name}".rpartition("/")[0] == folder:
                        self.ever[name] = {self.now.get(name)}

    def _means(self, name: str, number: int | None) -> None:
        self.ever.setdefault(name, {None}).add(number)
        if number is None:
            self.now.pop(name, None)
        else:
            self.now[name] = number


@given(STEPS, st.integers(0, 999))
def test_what_was_synced_is_there_after_a_loss_of_power_and_the_rest_is_what_may_be(
    steps: list[Step], seed: int
) -> None:
    disk, files = disk_of(seed)
    told = Told(files)
    for step in steps:
        told.do(step)
    disk.lose_power("h0")
    for name in ("a", "b", "x/a", "x/b"):
        meant = told.ever.get(name, {None})
        if not files.exists(f"{HOST}/{name}"):
            assert None in meant, f"{name} was synced, and is gone"
            continue
        file = files.open(f"{HOST}/{name}")
        data = file.pread(0, file.size)
        assert any(_may_be(data, number, told) for number in meant), f"{name} holds what it never held"
    held = [id(file) for file in disk.files.values()]
    assert len(held) == len(set(held)), "a file has two names"


def _may_be(data: bytes, number: int | None, told: Told) -> bool:
    if number is None:
        return False
    length, synced = told.written[number]
    whole = content_of(number, length)
    if synced:
        return data == whole
    return len(data) <= length and all(byte in (0, whole[0]) for byte in data)


@given(st.integers(0, 9999))
def test_a_rename_is_done_or_not_and_nothing_between(seed: int) -> None:
    disk, files = disk_of(seed)
    for name, content in (("old", b"new content"), ("new", b"old content")):
        file = files.create(f"{HOST}/{name}")
        file.write(content)
        file.sync()
        file.close()
    files.sync_dir(HOST)
    files.rename(f"{HOST}/old", f"{HOST}/new")
    disk.lose_power("h0")
    left = {name: bytes(disk.files[f"{HOST}/{name}"].content) for name in files.list(HOST) if name != "x"}
    assert left in ({"new": b"new content"}, {"old": b"new content", "new": b"old content"})


def outcomes(prepare: Callable[[Files], object], look: Callable[[Files], str]) -> set[str]:
    found = set()
    for seed in range(200):
        disk, files = disk_of(seed)
        prepare(files)
        disk.lose_power("h0")
        found.add(look(files))
    return found


def test_a_loss_of_power_leaves_holes_torn_blocks_and_short_files() -> None:
    def write(files: Files) -> None:
        file = files.create(f"{HOST}/a")
        file.write(b"x" * (4 * BLOCK))
        file.close()
        files.sync_dir(HOST)

    def look(files: Files) -> str:
        file = files.open(f"{HOST}/a")
        blocks = [file.pread(i * BLOCK, BLOCK) for i in range(4)]
        return "".join("-" if not b else "x" if b == b"x" * BLOCK else "0" if not any(b) else "/" for b in blocks)

    found = outcomes(write, look)
    assert "xxxx" in found
    assert any("0x" in one for one in found), "not only a prefix"
    assert any("/" in one for one in found)
    assert any("-" in one for one in found)


def test_names_that_were_not_synced_are_the_new_or_the_old() -> None:
    def write(files: Files) -> None:
        for name in ("a", "b"):
            files.create(f"{HOST}/{name}").close()
        files.sync_dir(HOST)
        files.remove(f"{HOST}/b")
        files.rename(f"{HOST}/a", f"{HOST}/x/a")
        files.create(f"{HOST}/c").close()

    found = outcomes(write, lambda files: "".join(name for name in "abc" if files.exists(f"{HOST}/{name}")))
    assert {"ab", "c"} <= found
    assert len(found) >= 6


def test_another_host_loses_nothing() -> None:
    disk, files = disk_of(1)
    files.make_dirs(f"{ROOT}/h1")
    file = files.create(f"{ROOT}/h1/a")
    file.write(b"x" * 9999)
    file.close()
    disk.lose_power("h0")
    assert files.open(f"{ROOT}/h1/a").pread(0, 99999) == b"x" * 9999


# What ails a disk.


class Body:
    """As much of a process as its files need."""

    def __init__(self) -> None:
        self.alive, self.charged_ns = True, 0

    def check(self) -> None:
        pass

    def press(self) -> None:
        pass


def test_a_full_disk_takes_nothing_until_it_has_room(tmp_path: Path) -> None:
    disk = SimDisk(ROOT, SystemFiles())
    sick, well = (SimFiles(disk, Body(), host) for host in ("h0", "h1"))  # type: ignore[arg-type]
    for files, host in ((sick, "h0"), (well, "h1")):
        files.make_dirs(f"{ROOT}/{host}")
    held = sick.create(f"{HOST}/a")
    held.write(b"1")
    disk.ails("h0").full = 1
    refused: list[Callable[[], object]] = [
        held.close,
        lambda: sick.make_dirs(f"{HOST}/more"),
        lambda: sick.create(f"{HOST}/b").write(bytes(1 << 17)),
        lambda: sick.rename(f"{HOST}/a", f"{HOST}/c"),
        lambda: sick.create(f"{tmp_path}/out"),
    ]
    for action in refused:
        with pytest.raises(DiskFull, match="no space is left to write"):
            action()
    held.abandon()
    sick.remove(f"{HOST}/b")
    well.create(f"{ROOT}/h1/a").close()
    disk.heal()
    file = sick.create(f"{HOST}/a")
    file.write(b"2")
    file.close()
    assert sick.open(f"{HOST}/a").pread(0, 9) == b"2"


def reads(file: ReadFile) -> bytes | int | None:
    try:
        return file.pread(0, 1000)
    except OSError as error:
        return error.errno


def test_a_bad_disk_reads_now_and_then_and_a_slow_one_takes_longer() -> None:
    disk = SimDisk(ROOT, SystemFiles(), Random(3))
    body = Body()
    files = SimFiles(disk, body, "h0")  # type: ignore[arg-type]
    files.make_dirs(HOST)
    file = files.create(f"{HOST}/a")
    file.write(b"1" * 1000)
    file.close()
    before = body.charged_ns
    files.open(f"{HOST}/a").pread(0, 1000)
    quick = body.charged_ns - before
    disk.ails("h0").slow.append(50.0)
    before = body.charged_ns
    reader = files.open(f"{HOST}/a")
    reader.pread(0, 1000)
    assert body.charged_ns - before == 50 * quick
    disk.ails("h0").unreadable.append(0.4)
    read = [reads(reader) for _ in range(200)]
    assert 50 < read.count(errno.EIO) < 110
    assert set(read) == {errno.EIO, b"1" * 1000}


# What of the program's own files is not synced.


def test_what_is_not_synced_is_known(tmp_path: Path) -> None:
    disk = SimDisk(ROOT, SystemFiles())
    files = SimFiles(disk)
    out = f"{tmp_path}/out"
    files.make_dirs(f"{out}/aside")
    assert disk.unsynced(str(tmp_path)) == [f"{out}: its name", f"{out}/aside: its name"]
    files.sync_dir(str(tmp_path))
    files.sync_dir(out)
    file = files.create(f"{out}/aside/a")
    file.write(b"1")
    assert disk.unsynced(out) == [f"{out}/aside/a: its content", f"{out}/aside/a: its name"]
    file.sync()
    file.close()
    files.rename(f"{out}/aside/a", f"{out}/a")
    assert disk.unsynced(out) == [f"{out}/a: its name"]
    files.remove_tree(f"{out}/aside")
    files.sync_dir(out)
    assert disk.unsynced(out) == []
    file = files.create(f"{out}/b")
    file.write(b"1")
    file.close()
    files.sync_dir(out)
    assert disk.unsynced(out) == [f"{out}/b: its content"]
    Path(out, "b").unlink()
    assert disk.unsynced(out) == [], "what the program removes by itself is no matter"
