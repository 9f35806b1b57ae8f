"""Output folders: parts in order, `_SUCCESS` last, nothing left aside, and what a second writer finds."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.errors import OutputError, OutputExists, TaskFailed
from headrace.runtime.files import SystemFiles
from tests.dataset.data import SIMPLE, Parts, in_parts, lay_out


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        yield context


def files(folder: Path) -> list[str]:
    """List everything under a folder."""
    return sorted(os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names)


def content(folder: Path) -> list[bytes]:
    return [(folder / name).read_bytes() for name in files(folder) if name.startswith("part-")]


def wait_for(mark: Path, writer: threading.Thread) -> None:
    """Wait until a writer has got so far."""
    while not mark.exists():
        assert writer.is_alive(), "it failed before"
        writer.join(0.01)


def lines(part: list[Any]) -> bytes:
    """As PySpark has it: bytes as they are, everything else as its text."""
    return b"".join((r if isinstance(r, bytes) else str(r).encode()) + b"\n" for r in part)


@given(parts=in_parts(SIMPLE))
@settings(max_examples=25)
def test_one_part_for_each_partition_in_order_an_empty_one_too(
    ctx: Context, tmp_path_factory: Any, parts: Parts
) -> None:
    folder = tmp_path_factory.mktemp("out") / "a" / "b"
    lay_out(ctx, parts).save_as_text_file(folder)
    assert files(folder) == ["_SUCCESS", *(f"part-{i:05d}" for i in range(len(parts)))]
    assert content(folder) == [lines(part) for part in parts]
    assert (folder / "_SUCCESS").read_bytes() == b""


@given(parts=in_parts(st.integers(0, 99)), seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_through_disasters_every_part_is_there_once_and_nothing_else(
    tmp_path_factory: Any, parts: Parts, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("out") / "sorted"
    with headrace.connect(f"sim://?workers=4&hosts=2&seed={seed}&faults=all&backup_after=1ms", progress=False) as ctx:
        ordered = lay_out(ctx, parts).sort_by(lambda x: x, num_partitions=3)
        ordered.save_as_text_file(folder)
        assert files(folder) == ["_SUCCESS", "part-00000", "part-00001", "part-00002"]
        assert b"".join(content(folder)) == lines(sorted(record for part in parts for record in part))
        assert ctx.text_file(folder).map(int).collect() == ordered.collect()


class Noting(SystemFiles):
    """Notes the names that are given and taken."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, str]] = []

    def rename(self, old: str, new: str) -> None:
        self.noted.append(("rename", os.path.basename(new)))
        super().rename(old, new)

    def create(self, path: str) -> Any:
        self.noted.append(("create", os.path.basename(path)))
        return super().create(path)

    def remove(self, path: str) -> None:
        self.noted.append(("remove", os.path.basename(path)))
        super().remove(path)


def test_the_mark_of_wholeness_goes_first_and_comes_last(ctx: Context, tmp_path: Path) -> None:
    ctx.range(4, num_slices=3).save_as_text_file(tmp_path / "out")
    before, noted = ctx._session.files, Noting()
    ctx._session.files = noted
    try:
        ctx.range(4, num_slices=2).save_as_text_file(tmp_path / "out", overwrite=True)
    finally:
        ctx._session.files = before
    parts = [f"part-0000{i}" for i in range(3)]
    assert noted.noted == [
        *(("remove", name) for name in ["_SUCCESS", *parts]),
        *(("rename", name) for name in parts[:2]),
        ("create", "_SUCCESS"),
    ]
    assert files(tmp_path / "out") == ["_SUCCESS", "part-00000", "part-00001"]


@pytest.mark.parametrize("url", ["inline://", "local://?workers=2"])
def test_a_failure_leaves_nothing_aside_and_what_was_there_untouched(url: str, tmp_path: Path) -> None:
    with headrace.connect(f"{url}", progress=False) as ctx:
        broken = ctx.range(4, num_slices=4).map(lambda x: 1 // (x - 2))
        with pytest.raises(TaskFailed):
            broken.save_as_text_file(tmp_path / "new" / "out")
        assert list(tmp_path.iterdir()) == [], "not even the folders above it"
        ctx.range(4, num_slices=2).save_as_text_file(tmp_path / "out")
        before = content(tmp_path / "out")
        with pytest.raises(TaskFailed):
            broken.save_as_text_file(tmp_path / "out", overwrite=True)
        assert files(tmp_path / "out") == ["_SUCCESS", "part-00000", "part-00001"]
        assert content(tmp_path / "out") == before


def test_a_commit_that_fails_half_way_leaves_no_part(ctx: Context, tmp_path: Path) -> None:
    class Failing(SystemFiles):
        def rename(self, old: str, new: str) -> None:
            if new.endswith("part-00002"):
                raise PermissionError(13, "no")
            super().rename(old, new)

    before = ctx._session.files
    ctx._session.files = Failing()
    try:
        with pytest.raises(PermissionError):
            ctx.range(4, num_slices=4).save_as_text_file(tmp_path / "out")
    finally:
        ctx._session.files = before
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_refused_unless_it_may_be_overwritten(ctx: Context, tmp_path: Path) -> None:
    out = tmp_path / "out"
    ctx.range(4, num_slices=4).save_as_text_file(out)
    before = content(out)
    with pytest.raises(OutputExists):
        ctx.range(9, num_slices=1).save_as_text_file(out)
    assert content(out) == before
    (out / "_temporary" / "of a program that was killed").mkdir(parents=True)
    (out / "notes").touch()
    ctx.range(9, num_slices=1).save_as_text_file(str(out), overwrite=True)
    assert files(out) == ["_SUCCESS", "part-00000"]
    assert not (out / "_temporary").exists()
    (out / "folder").mkdir()
    with pytest.raises(OutputExists, match="has folders in it, such as folder"):
        ctx.range(9).save_as_text_file(out, overwrite=True)
    assert files(out) == ["_SUCCESS", "part-00000"], "what no job wrote is left alone"


def test_a_dataset_may_overwrite_what_it_was_read_from(ctx: Context, tmp_path: Path) -> None:
    ctx.range(4, num_slices=2).save_as_text_file(tmp_path / "out")
    ctx.text_file(tmp_path / "out").map(lambda line: line * 2).save_as_text_file(tmp_path / "out", overwrite=True)
    assert b"".join(content(tmp_path / "out")) == b"00\n11\n22\n33\n"


def test_two_writers_of_one_new_folder(tmp_path: Path) -> None:
    """The second is refused while the first has not finished, and leaves it alone."""
    out = tmp_path / "out"
    begun, go_on = tmp_path / "begun", tmp_path / "go on"

    def slow(x: int) -> int:
        begun.touch()
        while not go_on.exists():
            threading.Event().wait(0.01)
        return x

    with (
        headrace.connect("local://?workers=1", progress=False) as one,
        headrace.connect("inline://", progress=False) as two,
    ):
        first = threading.Thread(target=lambda: one.range(3, num_slices=1).map(slow).save_as_text_file(out))
        first.start()
        wait_for(begun, first)
        with pytest.raises(OutputExists):
            two.range(5).save_as_text_file(out)
        go_on.touch()
        first.join()
    assert content(out) == [b"0\n1\n2\n"]
    assert files(out) == ["_SUCCESS", "part-00000"]


def test_of_two_that_overwrite_one_folder_the_first_to_finish_wins_and_the_other_is_told(tmp_path: Path) -> None:
    out = tmp_path / "out"
    begun, go_on = tmp_path / "begun", tmp_path / "go on"
    told: list[BaseException] = []

    def slow(x: int) -> int:
        if x == 2:  # the first partition is written already
            begun.touch()
            while not go_on.exists():
                threading.Event().wait(0.01)
        return x

    with (
        headrace.connect("local://?workers=1", progress=False) as one,
        headrace.connect("inline://", progress=False) as two,
    ):
        two.range(1).save_as_text_file(out)

        def write() -> None:
            try:
                one.range(3, num_slices=3).map(slow).save_as_text_file(out, overwrite=True)
            except BaseException as error:
                told.append(error)

        first = threading.Thread(target=write)
        first.start()
        wait_for(begun, first)
        two.range(5).save_as_text_file(out, overwrite=True)
        go_on.touch()
        first.join()
    assert [type(error) for error in told] == [OutputError]
    assert "another job wrote" in str(told[0])
    assert content(out) == [b"0\n1\n2\n3\n4\n"]
    assert files(out) == ["_SUCCESS", "part-00000"]
    assert not (out / "_temporary").exists()


def test_a_writer_that_fails_takes_nothing_of_anothers(tmp_path: Path) -> None:
    """Both are the first job of their programs, and write to the same folder."""
    (out := tmp_path / "out").mkdir()
    begun, go_on = tmp_path / "begun", tmp_path / "go on"

    def slow(x: int) -> int:
        if x == 2:
            begun.touch()
            while not go_on.exists():
                threading.Event().wait(0.01)
        return x

    with (
        headrace.connect("local://?workers=1", progress=False) as one,
        headrace.connect("inline://", progress=False) as two,
    ):
        slowly = one.range(3, num_slices=3).map(slow)
        first = threading.Thread(target=lambda: slowly.save_as_text_file(out, overwrite=True))
        first.start()
        wait_for(begun, first)
        with pytest.raises(TaskFailed):
            two.range(3, num_slices=3).map(lambda x: 1 // (2 - x)).save_as_text_file(out, overwrite=True)
        go_on.touch()
        first.join()
    assert content(out) == [b"0\n", b"1\n", b"2\n"]
    assert files(out)[0] == "_SUCCESS"
