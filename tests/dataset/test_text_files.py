"""Lines of text files are those that Python's own `open` gives, however the files are named, packed, cut or encoded."""

from __future__ import annotations

import glob
import gzip
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import headrace
from headrace.context import Context
from headrace.errors import InputError, TaskFailed

ENCODINGS = {  # with characters that are special in each
    "utf-8": "é\u2028\u0085\U0001f600",
    "utf-8-sig": "é",
    "latin-1": "é\x85",
    "cp1252": "€",
    "utf-16": "é\u2028\u0a0a\u0d0a",  # with bytes in them that are ends of lines in other encodings
    "utf-32-be": "\u0a0a",
    "shift_jis": "ソ",
    "gb18030": "界\U0001f600",
    "utf-7": "é+",
}
GLOB, FOLDER = "*.t*", ""


class Library(NamedTuple):
    """Files, and how they are asked for."""

    encoding: str
    files: dict[str, str]
    asked: list[str]

    def write(self, folder: str) -> None:
        for name, text in self.files.items():
            data = text.encode(self.encoding)
            Path(folder, name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)

    def named(self, folder: str) -> list[str]:
        return [os.path.join(folder, name) for name in self.asked]

    def expected(self, folder: str) -> list[str]:
        lines: list[str] = []
        for path in self.named(folder):
            if os.path.isdir(path):
                found = sorted(os.path.join(path, name) for name in os.listdir(path))
            else:
                found = sorted(glob.glob(path)) if "*" in path else [path]
            for one in found:
                opener = gzip.open if one.endswith(".gz") else open
                with opener(one, "rt", encoding=self.encoding) as file:
                    lines += [line.removesuffix("\n") for line in file]
        return lines


@st.composite
def libraries(draw: st.DrawFn) -> Library:
    encoding = draw(st.sampled_from(sorted(ENCODINGS)))
    text = st.text("ab \n\n\r\x0b\x0c\x1c" + ENCODINGS[encoding], max_size=40)
    files = draw(st.dictionaries(st.sampled_from(["a.txt", "b.txt", "c.txt.gz", "d.text"]), text, min_size=1))
    asked = draw(st.lists(st.sampled_from([*files, GLOB, FOLDER]), min_size=1, max_size=4))
    return Library(encoding, files, asked)


@pytest.fixture(scope="module", params=["", "?split=7B"])
def ctx(request: pytest.FixtureRequest) -> Iterator[Context]:
    with headrace.connect(f"inline://{request.param}", progress=False) as context:
        yield context


@given(library=libraries(), least=st.none() | st.integers(1, 9))
@example(library=Library("utf-8", {"a.txt": "one\r\ntwo\rthree\n\nlast"}, ["a.txt", "a.txt", GLOB]), least=5)
@settings(max_examples=150)
def test_lines_are_those_of_open(ctx: Context, library: Library, least: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        library.write(folder)
        dataset = ctx.text_file(library.named(folder), least, encoding=library.encoding)
        assert dataset.collect() == library.expected(folder)
        assert dataset.count() == len(library.expected(folder))


@given(library=libraries(), seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_and_in_a_simulated_world_with_faults(library: Library, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        library.write(folder)
        with headrace.connect(f"sim://?workers=3&hosts=2&seed={seed}&faults=all&split=7B", progress=False) as ctx:
            lines = ctx.text_file(library.named(folder), encoding=library.encoding)
            assert lines.key_by(len).partition_by(2).count() == len(library.expected(folder))
            assert lines.collect() == library.expected(folder)


@given(data=st.binary(max_size=60), how=st.sampled_from(["ignore", "replace", "backslashreplace", "surrogateescape"]))
def test_undecodable_bytes_are_treated_as_asked(ctx: Context, data: bytes, how: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "bytes")
        path.write_bytes(data)
        with path.open(encoding="utf-8", errors=how) as file:
            expected = [line.removesuffix("\n") for line in file]
        assert ctx.text_file(path, errors=how).collect() == expected


def test_one_path_may_be_given_as_anything_that_is_a_path(ctx: Context, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("one\ntwo\n")
    for given_as in (path, str(path), [path], (str(path),), iter([path])):
        assert ctx.text_file(given_as).collect() == ["one", "two"]
    assert ctx.text_file([path, str(path)]).collect() == ["one", "two"] * 2


def test_as_many_partitions_as_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("".join(f"{i}\n" for i in range(1000)))
    with headrace.connect("inline://", progress=False) as ctx:
        assert ctx.text_file(path).get_num_partitions() == 1
        many = ctx.text_file(path, min_partitions=10)
        assert many.get_num_partitions() >= 10
        assert many.map(int).collect() == list(range(1000))


# What is wrong with the input names the file and the place.


def test_nothing_matches(ctx: Context, tmp_path: Path) -> None:
    for path in (f"{tmp_path}/*.txt", [f"{tmp_path}/none"]):
        with pytest.raises(InputError, match=r"Check the (pattern|path)\.$") as caught:
            ctx.text_file(path)
        assert str(tmp_path) in str(caught.value)


@given(before=st.text("ab\n", max_size=30), after=st.text("ab\n", max_size=30))
def test_an_undecodable_byte_is_named_by_its_place(ctx: Context, before: str, after: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "broken")
        path.write_bytes(before.encode() + b"\xff" + after.encode())
        with pytest.raises(TaskFailed) as caught:
            ctx.text_file(path).count()
        assert f"{path}: byte {len(before)} is not utf-8" in str(caught.value)
        assert "Give the right encoding=, or errors='replace'." in str(caught.value)
        assert isinstance(caught.value.__cause__, InputError)


@given(kept=st.floats(0.3, 0.99))
@settings(max_examples=10)
def test_a_truncated_gzip_file_gives_nothing_and_says_where_it_ends(ctx: Context, kept: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cut.gz")
        whole = gzip.compress("\n".join(map(str, range(2000))).encode())
        path.write_bytes(whole[: int(len(whole) * kept)])
        with pytest.raises(TaskFailed, match="truncated") as caught:
            ctx.text_file(path).save_as_text_file(f"{folder}/out")
        assert f"{path} is truncated: the gzip data end at byte {int(len(whole) * kept):,}" in str(caught.value)
        assert not os.path.exists(f"{folder}/out")


def test_a_damaged_gzip_file_and_one_that_is_none(ctx: Context, tmp_path: Path) -> None:
    whole = bytearray(gzip.compress(os.urandom(4000).hex().encode()))
    whole[len(whole) // 2] ^= 0xFF
    (tmp_path / "damaged.gz").write_bytes(whole)
    (tmp_path / "plain.gz").write_text("plain text")
    for name in ("damaged.gz", "plain.gz"):
        with pytest.raises(TaskFailed, match=f"{name} is not a sound gzip file near byte 0"):
            ctx.text_file(tmp_path / name).count()


def test_a_file_that_changes_after_it_was_named(ctx: Context, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("one\ntwo\n")
    lines = ctx.text_file(path)
    path.write_text("one\ntwo\nthree\n")
    with pytest.raises(TaskFailed, match="changed while the job was running: it had 8 bytes and has 14"):
        lines.count()
    path.unlink()
    with pytest.raises(TaskFailed, match=r"No such file or directory\. The file was there when the job was made"):
        lines.count()
