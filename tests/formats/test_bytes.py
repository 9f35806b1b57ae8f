"""Whole files, and records of a fixed number of bytes."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.errors import InputError, TaskFailed, UsageError
from headrace.execute.formats import pieces
from headrace.plan.formats import FixedLength
from tests.formats.help import read_cut

CONTENTS = st.dictionaries(st.sampled_from(["a", "b.gz", "c", "d.gz"]), st.text("aé\n\r", max_size=20), min_size=1)


@pytest.fixture(scope="module")
def ctx() -> Iterator[Context]:
    with headrace.connect("inline://?split=7B", progress=False) as context:
        yield context


@given(contents=CONTENTS, encoding=st.sampled_from(["utf-8", "latin-1", "utf-16"]), least=st.integers(0, 5))
def test_whole_files(ctx: Context, contents: dict[str, str], encoding: str, least: int) -> None:
    with tempfile.TemporaryDirectory() as top:
        packed: dict[str, bytes] = {}
        for name, text in contents.items():
            data = text.encode(encoding)
            packed[f"{top}/{name}"] = gzip.compress(data) if name.endswith(".gz") else data
            Path(top, name).write_bytes(packed[f"{top}/{name}"])
        texts = ctx.whole_text_files(top, least, encoding=encoding)
        assert texts.collect() == [(f"{top}/{name}", text) for name, text in sorted(contents.items())]
        assert ctx.binary_files(top, least).collect() == sorted(packed.items())


def test_small_files_share_tasks(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"{number:03}").write_text("x")
    with headrace.connect("inline://", progress=False) as ctx:
        assert ctx.whole_text_files(tmp_path).get_num_partitions() == 1
        assert 4 <= ctx.binary_files(tmp_path, 4).get_num_partitions() <= 8
        assert ctx.binary_files(tmp_path, 4).count() == 100


def test_a_file_that_is_no_text_is_named_with_the_byte(ctx: Context, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc\n\xff")
    with pytest.raises(TaskFailed, match="file: byte 4 is not utf-8"):
        ctx.whole_text_files(tmp_path / "file").collect()
    assert ctx.whole_text_files(tmp_path / "file", errors="replace").values().collect() == ["abc\n\ufffd"]


@given(length=st.integers(1, 9), number=st.integers(0, 40), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_records_of_a_fixed_length(length: int, number: int, cuts: list[int]) -> None:
    data = bytes(i % 251 for i in range(length * number))
    expected = [data[i : i + length] for i in range(0, len(data), length)]
    patch = pytest.MonkeyPatch()
    patch.setattr(pieces, "READ_BYTES", 13)
    with tempfile.TemporaryDirectory() as top, patch.context():
        path = Path(top, "file")
        path.write_bytes(data)
        assert read_cut(path, FixedLength(length), cuts) == expected
    patch.undo()


@given(length=st.integers(1, 9), number=st.integers(0, 40), least=st.none() | st.integers(1, 9))
def test_records_of_a_fixed_length_in_partitions(ctx: Context, length: int, number: int, least: int | None) -> None:
    data = bytes(i % 251 for i in range(length * number))
    with tempfile.TemporaryDirectory() as top:
        Path(top, "a").write_bytes(data)
        Path(top, "b.gz").write_bytes(gzip.compress(data))
        expected = [data[i : i + length] for i in range(0, len(data), length)] * 2
        assert ctx.binary_records(top, length, least).collect() == expected


@given(length=st.integers(2, 9), number=st.integers(0, 20), left=st.integers(1, 8))
def test_a_file_that_is_no_whole_number_of_records(ctx: Context, length: int, number: int, left: int) -> None:
    left = min(left, length - 1)
    data = bytes(length * number + left)
    with tempfile.TemporaryDirectory() as top:
        Path(top, "file").write_bytes(data)
        why = f"the record at byte {length * number} has {left} bytes, and each is to have {length}"
        with pytest.raises(InputError, match=why) as caught:  # before anything runs
            ctx.binary_records(f"{top}/file", length)
        assert f"{top}/file" in str(caught.value)
        Path(top, "file.gz").write_bytes(gzip.compress(data))
        with pytest.raises(TaskFailed, match=r"file\.gz: the record at byte .* of the uncompressed data has"):
            ctx.binary_records(f"{top}/file.gz", length).collect()


@pytest.mark.parametrize("length", [0, -1, 1.5, "2", None])
def test_a_length_is_a_whole_number(ctx: Context, tmp_path: Path, length: int) -> None:
    (tmp_path / "file").write_bytes(b"ab")
    with pytest.raises(UsageError, match="record_length"):
        ctx.binary_records(tmp_path / "file", length)


def test_every_source_says_what_it_could_not_find(ctx: Context, tmp_path: Path) -> None:
    for name in ("text_file", "whole_text_files", "binary_files", "pickle_file", "json_lines", "csv"):
        read = getattr(ctx, name)
        with pytest.raises(InputError, match=r"Check the path\."):
            read(tmp_path / "none")
        with pytest.raises(UsageError, match=f"Give {name} a path"):
            read(7)
