"""Pickled records come back as they were, wherever a file is cut; files of others, too; and broken ones say where."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import InputError
from headrace.execute.formats import pieces
from headrace.execute.formats.pickles import END, MARK, PicklesWriter
from headrace.plan.formats import Pickles
from tests.formats.help import PACK, SUFFIX, read_cut, read_whole

CUTS = st.lists(st.integers(0, 600), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
BATCHES = st.lists(st.lists(VALUES, min_size=1, max_size=6), max_size=8)


@pytest.fixture(autouse=True)
def _small_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "READ_BYTES", 13)


def written(batches: list[list[Any]]) -> bytes:
    writer = PicklesWriter()
    return writer.begin() + b"".join(map(writer.encode, batches)) + writer.finish()


@given(batches=BATCHES, cuts=CUTS)
def test_records_come_back_from_a_file_cut_anywhere(batches: list[list[Any]], cuts: list[int]) -> None:
    records = [record for batch in batches for record in batch]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file.pickle")
        path.write_bytes(written(batches))
        assert repr(read_cut(path, Pickles(), cuts)) == repr(records)
        path = Path(folder, "file.pickle.gz")
        path.write_bytes(PACK["gzip"](written(batches)))
        assert repr(read_whole(path, Pickles())) == repr(records)


def test_a_piece_of_a_file_reads_its_own_chunks_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    path = tmp_path / "file.pickle"
    path.write_bytes(written([[bytes(1000)] for _ in range(500)]))
    read = 0
    whole = pieces.Input.read

    def noted(self: pieces.Input, at: int, length: int) -> bytes:
        nonlocal read
        data = whole(self, at, length)
        read += len(data)
        return data

    monkeypatch.setattr(pieces.Input, "read", noted)
    size = path.stat().st_size
    found = read_cut(path, Pickles(), list(range(0, size, size // 10)))
    assert len(found) == 500
    assert read < 1.2 * size, "beside its chunks, a piece reads the index"


@given(
    records=st.lists(VALUES, max_size=12),
    protocol=st.integers(0, pickle.HIGHEST_PROTOCOL),
    cuts=CUTS,
    codec=st.sampled_from([None, "gzip", "bz2"]),
)
def test_files_that_others_pickled(records: list[Any], protocol: int, cuts: list[int], codec: str | None) -> None:
    data = b"".join(pickle.dumps(record, protocol) for record in records)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"file{SUFFIX[codec] if codec else ''}")
        path.write_bytes(PACK[codec](data) if codec else data)
        found = read_whole(path, Pickles()) if codec else read_cut(path, Pickles(), cuts)
        assert repr(found) == repr(records)


def test_a_file_of_ours_that_was_cut_off_anywhere_is_an_error(tmp_path: Path) -> None:
    data = written([[1, 2], ["three"], [4.0] * 5])
    for suffix, pack in (("", bytes), (".gz", PACK["gzip"])):
        path = tmp_path / f"file{suffix}"
        for length in range(
            1, len(data) - (END.size if suffix else 0)
        ):  # a packer's own end vouches for the last bytes
            path.write_bytes(pack(data[:length]))
            with pytest.raises(InputError) as caught:
                read_whole(path, Pickles())
            assert str(caught.value).startswith(str(path))


def test_a_packed_file_of_ours_that_was_cut_off_anywhere_is_an_error(tmp_path: Path) -> None:
    packed = PACK["gzip"](written([[1, 2], ["three"]]))
    path = tmp_path / "file.gz"
    for length in range(len(packed)):  # at the last few, all records were there: only the packer's checksum is not
        path.write_bytes(packed[:length])
        with pytest.raises(InputError, match="truncated"):
            read_whole(path, Pickles())


def test_any_changed_byte_is_noticed(tmp_path: Path) -> None:
    data = written([[1, 2], ["three"], [4.0] * 5])
    path = tmp_path / "file"
    for place in range(len(data)):
        broken = bytearray(data)
        broken[place] ^= 0x55
        path.write_bytes(broken)
        with pytest.raises(InputError) as caught:
            read_whole(path, Pickles())
        assert str(path) in str(caught.value)


def test_a_broken_chunk_is_named_by_its_place(tmp_path: Path) -> None:
    first, second = written([[1, 2]]), written([[1, 2], ["three"]])
    path = tmp_path / "file"
    at = len(MARK) + second[len(MARK) :].index(first[len(MARK) : len(MARK) + 10]) + 0
    assert at == len(MARK)
    start = second.index(b"three")
    path.write_bytes(second.replace(b"three", b"seven"))
    with pytest.raises(InputError, match=r"byte (\d+): a chunk's checksum is wrong") as caught:
        read_whole(path, Pickles())
    named = int(str(caught.value).split("byte ")[1].split(":")[0])
    assert len(MARK) < named < start


@pytest.mark.parametrize("codec", [None, "gzip"])
def test_a_foreign_file_that_is_broken_is_named_with_the_place(tmp_path: Path, codec: str | None) -> None:
    good = pickle.dumps(["good"] * 3)
    for bad in (b"\x80\x05\x95", pickle.dumps("cut off")[:-3], b"no pickle at all", pickle.dumps(print)[:-1] + b"R."):
        data = good * 2 + bad
        path = tmp_path / f"file{SUFFIX[codec] if codec else ''}"
        path.write_bytes(PACK[codec](data) if codec else data)
        with pytest.raises(InputError, match=f"what begins at byte {2 * len(good)}.* cannot be unpickled") as caught:
            read_whole(path, Pickles())
        assert str(path) in str(caught.value)


def test_what_names_a_module_that_is_not_there_says_so(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"cnosuchmodule\nThing\n.")
    with pytest.raises(InputError, match=r"byte 0 cannot be unpickled: ModuleNotFoundError: .*nosuchmodule"):
        read_whole(path, Pickles())


def test_many_small_records_are_read_in_lists_of_bounded_length(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    path = tmp_path / "file"
    numbers = [random.Random(1).random() for _ in range(9_000)]
    path.write_bytes(b"".join(map(pickle.dumps, numbers)))
    assert read_whole(path, Pickles()) == numbers


PROGRAM = """
import sys
import headrace

class Point:
    def __init__(self, x):
        self.x = x

if __name__ == "__main__":
    with headrace.connect("local://?workers=2", progress=False) as ctx:
        ctx.range(10, num_slices=2).map(Point).save_as_pickle_file(sys.argv[1])
        again = ctx.pickle_file(sys.argv[1])
        print(sum(again.map(lambda point: isinstance(point, Point) and point.x).collect()))
        print(all(isinstance(point, Point) for point in again.collect()))
"""


def test_classes_of_the_program_come_back_there_and_are_readable_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    ran = subprocess.run(
        [sys.executable, "program.py", f"{tmp_path}/out"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ran.stdout.split() == ["45", "True"], ran.stderr
    points = [point for part in sorted((tmp_path / "out").glob("part-*")) for point in read_whole(part, Pickles())]
    assert [point.x for point in points] == list(range(10))
