"""Keys that come again are dealt as they were the first time, and what is remembered of them stays within its budget."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace.execute import recurring
from headrace.execute.chunks import split_frames
from headrace.execute.recurring import LEAST, LEAST_EACH, Memo, columns, deal_again
from headrace.execute.scatter import Scatter
from headrace.plan.partitioners import HashPartitioner
from tests.execute.help import MemoryOutput, MemoryPort, World

KEYS = st.one_of(
    st.sampled_from([[str(i) for i in range(LEAST + 50)], list(range(LEAST)), [b"%d" % i for i in range(LEAST * 20)]]),
    st.sets(st.text(max_size=6), min_size=LEAST, max_size=LEAST + 20).map(sorted),
)


@pytest.fixture(autouse=True)
def _new_memos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurring, "dealt", Memo(1 << 24))
    monkeypatch.setattr(recurring, "read", Memo(1 << 24))


def written(
    keys: list[Any], values: list[Any], number: int, *, again: bool
) -> tuple[bool, list[list[tuple[Any, Any]]]]:
    """Deal pairs to partitions, as a map task does, and read them as reducers do."""
    scatter = Scatter(HashPartitioner(number), 1 << 24, MemoryPort(World()))
    known = again and scatter.add_again(keys, values)
    if not known:
        scatter.add(keys, values, distinct=True)
    output = MemoryOutput()
    scatter.write(output)
    return known, [list(pairs_of(part)) for part in output.parts]


def pairs_of(part: bytes) -> Iterator[tuple[Any, Any]]:
    for frame in split_frames([part]):
        assert list(zip(*frame.load(), strict=True)) == list(zip(*columns(frame), strict=True))
        yield from zip(*columns(frame), strict=True)


@given(KEYS, st.integers(1, 9), st.lists(st.one_of(st.floats(allow_nan=False), st.text(max_size=3)), min_size=1))
def test_keys_that_recur_are_dealt_as_ever(keys: list[Any], number: int, some: list[Any]) -> None:
    recurring.dealt, recurring.read = Memo(1 << 24), Memo(1 << 24)
    taken = []
    for turn in range(4):
        values = [some[(i + turn) % len(some)] for i in range(len(keys))]
        copies = [type(key)(key) if turn % 2 else key for key in keys]
        known, parts = written(copies, values, number, again=True)
        taken.append(known)
        assert parts == written(copies, values, number, again=False)[1]
        came_out = Counter((type(key), repr(key)) for part in parts for key, _ in part)
        assert came_out == Counter((type(key), repr(key)) for key in copies)
    assert taken == [False, True, True, True]


SIZES = st.lists(st.sampled_from([0, 1, 300, 5_000, 300_000]), min_size=1, max_size=30)


@given(SIZES, st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_frames_are_cut_in_the_same_places_whether_or_not_keys_recur(sizes: list[int], number: int) -> None:
    """Readers look at their budgets at the ends of frames: where they spill, floats are added in another order."""
    recurring.dealt = Memo(1 << 24)
    keys = [str(i) for i in range(LEAST + 10)]
    values = [bytes(sizes[i % len(sizes)]) for i in range(len(keys))]
    cut = [frames_of(keys, values, number, again=again) for again in (False, True, True, True)]
    assert cut[1:] == cut[:1] * 3


def frames_of(keys: list[Any], values: list[Any], number: int, *, again: bool) -> list[list[tuple[int, Any]]]:
    scatter = Scatter(HashPartitioner(number), 1 << 30, MemoryPort(World()))
    if not (again and scatter.add_again(keys, values)):
        scatter.add(keys, values, distinct=True)
    output = MemoryOutput()
    scatter.write(output)
    return [[(one.records, one.load()[0]) for one in split_frames([part])] for part in output.parts]


@pytest.mark.parametrize("address", ["inline://", "sim://?workers=1&seed=1"])
def test_a_run_in_this_process_does_not_depend_on_those_before_and_leaves_nothing(address: str) -> None:
    keys = [str(i) for i in range(LEAST)]
    for _ in range(2):
        with headrace.connect(address) as ctx:
            ctx.range(2).count()  # there is a worker now
            assert deal_again(keys, HashPartitioner(2)) is None
            assert deal_again(keys, HashPartitioner(2)) is not None
        assert recurring.dealt.get((2, LEAST, hash(keys[0]), hash(keys[-1]))) is None


def test_threads_may_remember_at_once() -> None:
    """Inline contexts of several threads share what this process remembers."""
    memo: Memo[int] = Memo(10)
    switches = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def hammer(seed: int) -> None:
        for turn in range(3_000):
            memo.put(seed * turn % 7, turn, 3)
            memo.get(turn % 7)

    try:
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(hammer, seed) for seed in range(1, 5)]:
                done.result()
    finally:
        sys.setswitchinterval(switches)
    assert memo._bytes == sum(size for _, size in memo._held.values()) <= 10


def test_keys_of_another_type_are_other_keys() -> None:
    """1 is True and 1.0 to a dictionary; a reader must get what was sent."""
    whole = list(range(LEAST))
    for _ in range(3):
        written(whole, whole, 2, again=True)
    like = [float(number) for number in whole]
    known, parts = written(like, whole, 2, again=True)
    assert not known
    assert {type(key) for part in parts for key, _ in part} == {float}
    mixed = [True if number == 1 else number for number in whole]
    assert not written(mixed, whole, 2, again=True)[0]


def test_other_keys_under_the_same_name_are_not_taken_for_these() -> None:
    """As many, the same first and last: only looking at all of them tells."""
    keys = [str(i) for i in range(LEAST)]
    for _ in range(3):
        written(keys, keys, 3, again=True)
    others = [*keys[:100], "another", *keys[101:]]
    _, parts = written(others, keys, 3, again=True)
    assert sorted(key for part in parts for key, _ in part) == sorted(others)


def test_what_is_read_again_is_the_same_though_the_checksum_is_not_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recurring, "crc32", lambda _: 7)
    first = [f"{i:04}" for i in range(LEAST)]
    second = [f"{i:04}" for i in range(LEAST, 2 * LEAST)]
    for _ in range(4):
        for keys in (first, second):
            _, parts = written(keys, keys, 1, again=True)
            assert parts == [[(key, key) for key in keys]]


def test_a_memo_holds_the_latest_used_within_its_limit() -> None:
    memo: Memo[str] = Memo(100)
    assert not memo.seen("a")
    assert memo.seen("a")
    memo.put("a", "A", 40)
    memo.put("b", "B", 40)
    assert memo.get("a") == "A"
    memo.put("c", "C", 40)
    assert (memo.get("a"), memo.get("b"), memo.get("c")) == ("A", None, "C")
    memo.put("c", "too large", 101)
    assert (memo.get("a"), memo.get("c")) == ("A", None)
    memo.put("a", "anew", 100)
    assert memo.get("a") == "anew"


def test_few_keys_and_keys_met_once_are_not_remembered() -> None:
    few = list(range(LEAST - 1))
    assert [deal_again(few, HashPartitioner(2)) for _ in range(3)] == [None] * 3
    assert deal_again(list(range(LEAST)), HashPartitioner(2)) is None
    assert deal_again(list(range(LEAST)), HashPartitioner(3)) is None, "others go elsewhere"
    assert deal_again(list(range(LEAST)), HashPartitioner(2)) is not None
    spread = HashPartitioner(LEAST // LEAST_EACH + 1)
    assert [deal_again(list(range(LEAST)), spread) for _ in range(3)] == [None] * 3, "few for each partition"


def test_without_room_nothing_is_remembered() -> None:
    recurring.dealt.limit = 1000
    keys = [str(i) for i in range(LEAST)]
    assert [written(keys, keys, 2, again=True)[0] for _ in range(3)] == [False] * 3
