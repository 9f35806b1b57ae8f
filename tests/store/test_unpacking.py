"""Archives are unpacked as they were packed, and those that mean harm leave nothing anywhere."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import InputError
from headrace.store import unpacking
from headrace.store.unpacking import unpack

PLENTY = 1 << 30
NAMES = st.text("ab.c", min_size=1, max_size=3).filter(lambda name: name not in (".", ".."))
TREES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=40), max_size=6)


def without_clashes(tree: dict[str, bytes]) -> dict[str, bytes]:
    """A file cannot be a folder, too."""
    return {name: data for name, data in tree.items() if not any(other.startswith(f"{name}/") for other in tree)}


def to_zip(path: Path, tree: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in tree.items():
            archive.writestr(name, data)


def to_tar(path: Path, tree: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in tree.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def found_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@given(tree=TREES.map(without_clashes), pack=st.sampled_from([to_zip, to_tar]))
@settings(max_examples=60)
def test_what_was_packed_is_there(
    tmp_path_factory: pytest.TempPathFactory, tree: dict[str, bytes], pack: Callable[[Path, dict[str, bytes]], None]
) -> None:
    folder = tmp_path_factory.mktemp("unpacked")
    pack(folder / "packed", tree)
    unpack(str(folder / "packed"), str(folder / "out"), PLENTY)
    assert found_in(folder / "out") == tree


def linked(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def regular(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = 3
    return info


def spoken_of(size: int) -> tarfile.TarInfo:
    info = regular("a")
    info.pax_headers = {"comment": "x" * size}
    return info


HARMFUL_TARS = {
    "absolute": [regular("/evil")],
    "parent": [regular("a/../../evil")],
    "link up": [linked("a", "../evil")],
    "link to the root": [linked("a", "/etc")],
    "write through a link": [linked("a", "."), regular("a/../../evil")],
    "write below a link": [linked("a", "b"), regular("a/evil")],
    "file where a link is": [linked("a", "b"), regular("a")],
    "link through a deep link": [
        regular("d/e/x"), linked("d/e/up", "../.."), linked("out", "d/e/up/../evil"),
    ],
    "hard link out": [linked("a", "../../etc/passwd", tarfile.LNKTYPE)],
    "hard link to nothing": [linked("a", "b", tarfile.LNKTYPE)],
    "device": [linked("a", "", tarfile.CHRTYPE)],
    "pipe": [linked("a", "", tarfile.FIFOTYPE)],
    "twice": [regular("a"), regular("./a")],
    "a file as a folder": [regular("a"), regular("a/b")],
    "a folder as a file": [regular("a/b"), regular("a")],
    "too deep": [regular("d/" * 200 + "x")],
    "too long a name": [regular("n" * 300)],
    "too long a link": [linked("a", "b/" * 3000)],
    "hard link to a link": [linked("a", "b"), linked("c", "a", tarfile.LNKTYPE)],
    "hard link before its file": [linked("a", "b", tarfile.LNKTYPE), regular("b")],
    "much about one entry": [spoken_of(2 << 20)],
}  # fmt: skip


@pytest.mark.parametrize("case", HARMFUL_TARS)
def test_a_tar_that_means_harm_is_refused(case: str, tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    with tarfile.open(house / "bad.tar", "w") as archive:
        for info in HARMFUL_TARS[case]:
            archive.addfile(info, io.BytesIO(b"bad") if info.isreg() else None)
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(str(house / "bad.tar"), str(house / "out"), PLENTY)
    assert not list(tmp_path.rglob("evil"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["house"]


def link_in_zip(name: str, target: str) -> tuple[zipfile.ZipInfo, str]:
    info = zipfile.ZipInfo(name)
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return info, target


def fifo_in_zip() -> tuple[zipfile.ZipInfo, str]:
    info = zipfile.ZipInfo("pipe")
    info.create_system, info.external_attr = 3, (stat.S_IFIFO | 0o600) << 16
    return info, ""


HARMFUL_ZIPS: dict[str, list[tuple[str | zipfile.ZipInfo, str]]] = {
    "absolute": [("/evil", "bad")],
    "parent": [("../evil", "bad")],
    "backslash": [("..\\evil", "bad")],
    "drive": [("C:evil", "bad")],
    "link up": [link_in_zip("a", "../evil")],
    "link and below": [link_in_zip("a", "b"), ("a/evil", "bad")],
    "fifo": [fifo_in_zip()],
    "too long a name": [("n" * 300, "bad")],
    "too long a link": [link_in_zip("a", "b/" * 3000)],
}


@pytest.mark.parametrize("case", HARMFUL_ZIPS)
def test_a_zip_that_means_harm_is_refused(case: str, tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    with zipfile.ZipFile(house / "bad.zip", "w") as archive:
        for name, data in HARMFUL_ZIPS[case]:
            archive.writestr(name, data)
    with pytest.raises(InputError, match="cannot be unpacked"):
        unpack(str(house / "bad.zip"), str(house / "out"), PLENTY)
    assert not list(tmp_path.rglob("evil"))


def test_links_that_stay_inside_are_made_and_lead_where_they_should(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "env.tar", "w") as archive:
        archive.addfile(linked("bin/python", "python3"))
        archive.addfile(linked("bin/python3", "../lib/real"))
        archive.addfile(regular("lib/real"), io.BytesIO(b"yes"))
        archive.addfile(linked("same", "lib/real", tarfile.LNKTYPE))
    unpack(str(tmp_path / "env.tar"), str(tmp_path / "out"), PLENTY)
    assert (tmp_path / "out/bin/python").read_bytes() == (tmp_path / "out/same").read_bytes() == b"yes"
    for path in (tmp_path / "out").rglob("*"):
        assert os.path.realpath(path).startswith(f"{tmp_path}/out/")


def test_an_archive_that_grows_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    to_zip(tmp_path / "bomb.zip", {"zeros": bytes(1 << 20)})
    with pytest.raises(InputError, match=r"grows beyond .* raise unpack="):
        unpack(str(tmp_path / "bomb.zip"), str(tmp_path / "small"), 1 << 19)
    monkeypatch.setattr(unpacking, "RATIO_FREE", 1 << 16)
    with pytest.raises(InputError, match="grows beyond"):
        unpack(str(tmp_path / "bomb.zip"), str(tmp_path / "ratio"), PLENTY)
    monkeypatch.setattr(unpacking, "ENTRIES_MAX", 3)
    to_tar(tmp_path / "many.tar", {f"f{i}": b"" for i in range(4)})
    to_tar(tmp_path / "deep.tar", {"f/f/f/f": b""})
    for name in ("many.tar", "deep.tar"):
        with pytest.raises(InputError, match="more than 3 entries"):
            unpack(str(tmp_path / name), str(tmp_path / "many"), PLENTY)


def test_what_a_tar_says_of_an_entry_is_not_read_into_memory_without_end(tmp_path: Path) -> None:
    """Some kilobytes that unpack to a header of 64 MB."""
    head = tarfile.TarInfo("././@PaxHeader")
    head.type, head.size = tarfile.XHDTYPE, 64 << 20
    with gzip.open(tmp_path / "bomb.tar.gz", "wb") as file:
        file.write(head.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(64):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    with pytest.raises(InputError, match="says more than 1,048,576 bytes about one entry"):
        unpack(str(tmp_path / "bomb.tar.gz"), str(tmp_path / "out"), PLENTY)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_links_are_looked_at_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the file system takes two names to be the same, a link may lead through another that we do not see."""
    honest = os.symlink

    def blind(target: str, path: str) -> None:
        if path.endswith("/L"):  # as where `L` is `l`
            os.rmdir(path.replace("/L", "/l"))
            path = path.replace("/L", "/l")
        honest(target, path)

    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.addfile(linked("L", "."))
        folder = tarfile.TarInfo("l")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        archive.addfile(linked("l/x", "../evil"))
    monkeypatch.setattr(os, "symlink", blind)
    with pytest.raises(InputError, match="leads out of its folder"):
        unpack(str(tmp_path / "bad.tar"), str(tmp_path / "out"), PLENTY)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.tar"]


def test_hard_links_of_hard_links_are_copies_and_count(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "chain.tar", "w") as archive:
        first = regular("f0")
        first.mode = 0o755
        archive.addfile(first, io.BytesIO(b"yes"))
        for number in range(1, 2000):
            archive.addfile(linked(f"f{number}", f"f{number - 1}", tarfile.LNKTYPE))
    unpack(str(tmp_path / "chain.tar"), str(tmp_path / "out"), PLENTY)
    assert (tmp_path / "out/f1999").read_bytes() == b"yes"
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "out").iterdir()} == {0o700}
    with pytest.raises(InputError, match="grows beyond"):
        unpack(str(tmp_path / "chain.tar"), str(tmp_path / "small"), 3 * 1999)


@pytest.mark.parametrize("pack", [to_zip, to_tar])
def test_an_archive_with_one_byte_changed_is_never_unpacked_to_something_else(
    pack: Callable[[Path, dict[str, bytes]], None], tmp_path: Path
) -> None:
    tree = {"a": os.urandom(300), "b/c": b"text " * 50}
    pack(tmp_path / "whole", tree)
    data = (tmp_path / "whole").read_bytes()
    refused = 0
    for place in range(0, len(data), 3):
        changed = bytearray(data)
        changed[place] ^= 0x10
        (tmp_path / "changed").write_bytes(changed)
        try:
            unpack(str(tmp_path / "changed"), str(tmp_path / "out"), PLENTY)
        except InputError:
            refused += 1
            assert not (tmp_path / "out").exists()
        else:
            assert found_in(tmp_path / "out") == tree, place
            shutil.rmtree(tmp_path / "out")
    assert refused > len(data) // 6


@pytest.mark.parametrize("cut", [0.2, 0.6, 0.95, 0.9995])
@pytest.mark.parametrize("pack", [to_zip, to_tar])
def test_a_damaged_archive_is_told(cut: float, pack: Callable[[Path, dict[str, bytes]], None], tmp_path: Path) -> None:
    pack(tmp_path / "whole", {"a": os.urandom(5000), "b": os.urandom(5000)})
    data = (tmp_path / "whole").read_bytes()
    (tmp_path / "half").write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(InputError, match="half cannot be unpacked"):
        unpack(str(tmp_path / "half"), str(tmp_path / "out"), PLENTY)
