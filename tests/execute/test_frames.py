"""Frames come out as they went in, however they were cut on the way, or not at all."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ProgramError
from headrace.execute import chunks
from headrace.execute.chunks import COLUMNS, HEADER, NAN_KEYS, Corrupt, frame, list_frame, split_frames, unframe
from headrace.execute.combine import TINY, column_frames

RECORDS = st.lists(st.one_of(st.integers(), st.text(max_size=20), st.none(), st.binary(max_size=20)), max_size=20)


def cut(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut bytes into pieces of these sizes, over and over."""
    at = place = 0
    while at < len(data):
        yield data[at : at + sizes[place % len(sizes)]]
        at += sizes[place % len(sizes)]
        place += 1


def values(pieces: Any) -> list[tuple[Any, int, int]]:
    return [(part.load(), part.records, part.flags) for part in split_frames(pieces)]


@given(st.lists(st.tuples(RECORDS, st.integers(0, 7)), max_size=6), st.lists(st.integers(1, 70), min_size=1))
def test_frames_survive_any_cutting(chunks: list[tuple[list[Any], int]], sizes: list[int]) -> None:
    data = b"".join(frame(records, len(records), flags) for records, flags in chunks)
    expected = [(records, len(records), flags) for records, flags in chunks]
    assert values(cut(data, sizes)) == expected
    assert values([bytearray(data)]) == expected
    assert values(memoryview(piece) for piece in cut(data, sizes)) == expected
    assert [value for value, _ in unframe(data)] == [records for records, _ in chunks]


def test_no_bytes_are_no_frames() -> None:
    assert values([]) == []
    assert values([b"", b""]) == []


ROW = frame(["one", 2], 2, 3) + frame([], 0) + frame([None], 1, 1)


@pytest.mark.parametrize("place", range(len(ROW)))
def test_any_changed_byte_is_noticed(place: int) -> None:
    for change in (0x01, 0x80, 0xFF):
        broken = bytearray(ROW)
        broken[place] ^= change
        with pytest.raises(Corrupt):
            values([broken])


def test_any_truncation_is_noticed_except_between_frames() -> None:
    """A row that ends between two frames is told from a whole one by the length in the index."""
    ends = {0, len(frame(["one", 2], 2)), len(frame(["one", 2], 2)) + len(frame([], 0)), len(ROW)}
    for length in range(len(ROW)):
        if length in ends:
            continue
        with pytest.raises(Corrupt):
            values(cut(ROW[:length], [5]))


@given(st.binary(min_size=1, max_size=60))
def test_garbage_is_no_frame(data: bytes) -> None:
    with pytest.raises(Corrupt):
        values([data])


@pytest.mark.parametrize("length", [1, 16, 20, 64, 4096])
def test_zeros_as_a_torn_write_leaves_them_are_no_frame(length: int) -> None:
    with pytest.raises(Corrupt):
        values([bytes(length)])
    with pytest.raises(Corrupt):
        values([ROW + bytes(length)])


def test_a_wrong_length_is_noticed_before_anything_is_gathered() -> None:
    """Believing it would hold gigabytes that will never make a frame."""
    broken = bytearray(frame(["x" * 100], 1))
    broken[3] = 0xFF  # four billion bytes
    asked = 0

    def pieces() -> Iterator[bytes]:
        nonlocal asked
        for piece in cut(bytes(broken) + bytes(1_000), [50]):
            asked += 1
            yield piece

    with pytest.raises(Corrupt):
        values(pieces())
    assert asked == 1


def test_a_large_frame_in_small_pieces_is_joined_once() -> None:
    """Joining what is held with every piece that comes copies the square of the size: here 100 GB."""
    record = "x" * (8 << 20)
    data = frame([record], 1)
    assert values(cut(data, [64])) == [([record], 1, 0)]


def test_a_frame_knows_how_many_records_it_has_before_it_is_unpickled() -> None:
    (part,) = split_frames([frame([1, 2, 3], 3)])
    assert part.records == 3
    assert len(frame([1, 2, 3], 3)) == HEADER.size + len(part.data)


def test_special_floats_keep_their_bits() -> None:
    ((value, _, _),) = values([frame([math.nan, -0.0, math.inf], 3)])
    assert math.isnan(value[0])
    assert math.copysign(1, value[1]) == -1


PLAIN_VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary())
ANY_VALUES = st.one_of(PLAIN_VALUES, st.tuples(PLAIN_VALUES), st.lists(PLAIN_VALUES, max_size=2))


@given(st.lists(st.tuples(PLAIN_VALUES, ANY_VALUES), min_size=1, max_size=2 * TINY))
def test_the_short_way_to_a_frame_leads_to_the_same_frame(pairs: list[tuple[Any, Any]]) -> None:
    keys, values = [key for key, _ in pairs], [value for _, value in pairs]
    flags = COLUMNS | NAN_KEYS if any(key != key for key in keys) else COLUMNS
    assert b"".join(column_frames(keys, values)) == frame((keys, values), len(keys), flags)


@pytest.mark.parametrize("number", [1, 2 * TINY])
def test_a_record_that_no_frame_can_hold_is_told(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    monkeypatch.setattr(chunks, "LENGTH_MAX", 100)
    with pytest.raises(ProgramError, match="make the records smaller"):
        list(column_frames(list(range(number)), ["x" * 100] * number))


PAIR_LISTS = st.lists(
    st.one_of(st.tuples(st.integers(), st.text(max_size=3)), st.sampled_from([(), (1,), (1, 2, 3), [1, 2], "ab"]))
)


@given(st.one_of(PAIR_LISTS, st.lists(st.tuples(st.none(), st.floats(allow_nan=False)))))
def test_lists_come_out_of_columns_as_they_went_in(records: list[Any]) -> None:
    (part,) = split_frames([list_frame(records)])
    assert part.load() == records
    assert list(map(type, part.load())) == list(map(type, records))
    columns = part.columns()
    only_pairs = all(type(record) is tuple and len(record) == 2 for record in records)
    assert (columns is not None) == (only_pairs and len(records) > 1)
    assert columns is None or list(zip(*columns, strict=True)) == records
