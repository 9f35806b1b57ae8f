"""How files are cut and packed: every byte once, in order, in splits of about the size asked for."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.errors import InputError
from headrace.plan.formats import Lines
from headrace.plan.operators import Split
from headrace.store import inputs
from headrace.store.inputs import OVERFULL, make_splits
from tests.execute.texts import TEXTS, oracle, read

given_files = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def files_of(folder: Path, sizes: list[int], ending: str = "") -> list[str]:
    paths = []
    for number, size in enumerate(sizes):
        path = folder / f"{number}{ending}"
        path.write_bytes(b"x" * size)
        paths.append(str(path))
    return paths


def splits_of(
    paths: list[str], split_bytes: int, *, encoding: str = "utf-8", workers: int = 2, least: int | None = None
) -> tuple[tuple[Split, ...], ...]:
    return make_splits(paths, Lines(encoding), split_bytes=split_bytes, workers=workers, least=least)


def length(piece: Split) -> int:
    return (piece.size if piece.stop is None else piece.stop) - piece.start


def ranges(splits: tuple[tuple[Split, ...], ...]) -> list[tuple[str, int, int]]:
    return [(piece.path, piece.start, piece.start + length(piece)) for pieces in splits for piece in pieces]


@given_files
@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=8),
    st.integers(1, 100),
    st.sampled_from([("", "utf-8"), ("", "utf-16"), (".gz", "utf-8")]),
    st.one_of(st.none(), st.integers(0, 20)),
)
def test_every_byte_is_in_one_split_and_the_order_is_kept(
    tmp_path: Path, sizes: list[int], split_bytes: int, kind: tuple[str, str], least: int | None
) -> None:
    ending, encoding = kind
    paths = files_of(tmp_path, sizes, ending)
    splits = splits_of(paths, split_bytes, encoding=encoding, least=least)
    at = 0
    expected = list(zip(paths, sizes, strict=True))
    for path, start, stop in ranges(splits):
        assert (path, start) == (expected[0][0], at)
        at = stop
        if at == expected[0][1]:
            expected.pop(0)
            at = 0
    assert expected == []
    assert all(splits), "no split is without a file"
    whole = ending == ".gz" or encoding == "utf-16"
    if whole:
        assert all(piece.start == 0 and piece.stop is None for pieces in splits for piece in pieces)


@given_files
@given(st.lists(st.integers(0, 300), min_size=1, max_size=8), st.integers(1, 100))
def test_splits_are_about_as_large_as_asked(tmp_path: Path, sizes: list[int], split_bytes: int) -> None:
    splits = splits_of(files_of(tmp_path, sizes), split_bytes)
    totals = [sum(map(length, pieces)) for pieces in splits]
    assert all(total <= split_bytes * OVERFULL + 1 for total in totals)
    for one, other in itertools.pairwise(splits):
        filled = sum(map(length, one)) + length(other[0])
        assert filled > split_bytes * OVERFULL - 1, "two that fit together are one"


@given_files
@given(st.lists(TEXTS, min_size=1, max_size=5), st.integers(1, 60))
def test_the_splits_lines_are_the_files_lines(tmp_path: Path, texts: list[str], split_bytes: int) -> None:
    paths = []
    for number, text in enumerate(texts):
        path = tmp_path / str(number)
        path.write_bytes(text.encode())
        paths.append(str(path))
    splits = splits_of([*paths, paths[0]], split_bytes)
    lines = [line for pieces in splits for line in read(*pieces)]
    assert lines == [line for text in [*texts, texts[0]] for line in oracle(text)]


@pytest.mark.parametrize("least", [1, 2, 7, 50])
def test_as_many_splits_as_asked_for_if_there_are_bytes_for_them(tmp_path: Path, least: int) -> None:
    paths = files_of(tmp_path, [100, 1_000, 0, 3])
    assert len(splits_of(paths, 1 << 20, least=least)) >= min(least, 1)
    big = files_of(tmp_path, [5_000])
    assert len(splits_of(big, 1 << 20, least=least)) >= least


def test_more_splits_than_bytes_are_not_made(tmp_path: Path) -> None:
    splits = splits_of(files_of(tmp_path, [3]), 1 << 20, least=100)
    assert len(splits) == 3


def test_small_files_are_packed_and_large_ones_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of tasks follows the bytes: a few splits for each worker, unless that makes them very small."""
    monkeypatch.setattr(inputs, "SPLIT_BYTES_MIN", 100)
    assert len(splits_of(files_of(tmp_path, [1] * 1_000), 4_000)) <= 10
    assert len(splits_of(files_of(tmp_path, [8_000]), 4_000, workers=2)) == 8
    assert len(splits_of(files_of(tmp_path, [80_000]), 4_000, workers=2)) == 20
    assert len(splits_of(files_of(tmp_path, [300]), 4_000, workers=8)) == 3


def test_the_time_and_size_of_a_file_are_noted(tmp_path: Path) -> None:
    (path,) = files_of(tmp_path, [10])
    ((piece,),) = splits_of([path], 1 << 20)
    status = Path(path).stat()
    assert (piece.size, piece.modified_ns, piece.start, piece.stop) == (10, status.st_mtime_ns, 0, None)


def test_a_file_that_goes_before_it_is_measured_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gone"):
        splits_of([str(tmp_path / "gone")], 100)


def test_packing_many_files_takes_one_pass(tmp_path: Path) -> None:
    """Ten thousand files, each named ten times: nothing looks at what was packed before."""
    paths = files_of(tmp_path, [1] * 100) * 1_000
    splits = splits_of(paths, 1 << 20)
    assert sum(map(len, splits)) == 100_000


@pytest.mark.parametrize(
    ("workers", "lines", "members", "number"),
    [(2, 200_000, 1, 2), (8, 200_000, 1, 2), (1, 200_000, 1, 1), (2, 1_000, 1, 1), (2, 200_000, 2, 1)],
)
def test_a_large_packed_file_is_shared_by_workers_that_would_be_idle(
    tmp_path: Path, workers: int, lines: int, members: int, number: int
) -> None:
    """As far as it says how much it holds, which one of several members does not."""
    data = b"".join(b"line %d\n" % i for i in range(lines))
    path = tmp_path / "a.txt.gz"
    part = len(data) if members == 1 else len(data) - 10
    path.write_bytes(gzip.compress(data[:part], 6) + (gzip.compress(data[part:]) if members == 2 else b""))
    splits = splits_of([str(path)], 1 << 20, workers=workers)
    assert len(splits) == number
    assert all(len(pieces) == 1 for pieces in splits)
    assert splits[-1][0].stop is None
    assert [piece.start for (piece,) in splits] == [len(data) * i // number for i in range(number)]


def test_many_packed_files_are_not_shared(tmp_path: Path) -> None:
    paths = []
    for number in range(4):
        path = tmp_path / f"{number}.gz"
        path.write_bytes(gzip.compress(b"".join(b"%d %d\n" % (number, i) for i in range(200_000))))
        paths.append(str(path))
    assert [split.stop for pieces in splits_of(paths, 1 << 20, workers=4) for split in pieces] == [None] * 4
