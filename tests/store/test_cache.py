"""What a worker keeps in memory stays within its budget, and what gives way is what was used longest ago."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.store.cache import Cache

KEYS = st.tuples(st.integers(1, 3), st.integers(0, 3))


def keep(cache: Cache, key: tuple[int, int], sizes: list[int]) -> bool:
    entry = cache.begin(*key)
    for size in sizes:
        if not entry.add(bytes(size)):
            return False
    entry.done()
    return entry.complete


def held(cache: Cache, keys: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [key for key in keys if key in cache._kept]


def test_a_partition_is_there_once_it_is_complete() -> None:
    cache = Cache(100)
    entry = cache.begin(1, 0)
    assert entry.add(b"one")
    assert cache.get(1, 0) is None
    assert not entry.complete
    entry.done()
    assert cache.get(1, 0) == [b"one"]
    assert entry.complete


def test_a_partition_without_records_is_kept_too() -> None:
    cache = Cache(0)
    assert keep(cache, (1, 0), [])
    assert cache.get(1, 0) == []


def test_what_is_larger_than_the_budget_is_not_kept_and_nobody_gives_way_for_it() -> None:
    cache = Cache(100)
    assert keep(cache, (1, 0), [60])
    assert not keep(cache, (2, 0), [101])
    assert cache.get(1, 0) == [bytes(60)]
    assert cache.evicted() == ()


def test_what_was_used_longest_ago_gives_way_first() -> None:
    cache = Cache(100)
    for partition in range(3):
        assert keep(cache, (1, partition), [30])
    cache.get(1, 0)
    assert keep(cache, (2, 0), [40])
    assert held(cache, [(1, 0), (1, 1), (1, 2), (2, 0)]) == [(1, 0), (1, 2), (2, 0)]
    assert cache.evicted() == ((1, 1),)
    assert cache.evicted() == (), "each is told once"


def test_partitions_of_the_same_dataset_do_not_chase_each_other_away() -> None:
    """A dataset a little larger than memory would otherwise never be found in it, whatever was kept."""
    cache = Cache(100)
    assert keep(cache, (1, 0), [60])
    assert not keep(cache, (1, 1), [60])
    assert held(cache, [(1, 0), (1, 1)]) == [(1, 0)]


def test_others_stay_if_what_comes_would_not_fit_beside_its_own() -> None:
    cache = Cache(100)
    assert keep(cache, (1, 0), [60])
    assert keep(cache, (2, 0), [40])
    assert not keep(cache, (1, 1), [50])
    assert held(cache, [(1, 0), (2, 0)]) == [(1, 0), (2, 0)]


def test_two_partitions_on_their_way_at_once_do_not_take_the_room_twice() -> None:
    """A task that keeps two datasets, one made from the other, fills both at the same time."""
    cache = Cache(100)
    inner, outer = cache.begin(1, 0), cache.begin(2, 0)
    assert inner.add(bytes(60))
    assert outer.add(bytes(60))
    inner.done()
    outer.done()
    assert inner.complete
    assert held(cache, [(1, 0), (2, 0)]) == [(2, 0)], "the later one took the room, and the other gave way"
    assert cache.evicted() == ((1, 0),)
    same, again = cache.begin(3, 0), cache.begin(3, 1)
    assert same.add(bytes(60))
    assert again.add(bytes(60))
    same.done()
    again.done()
    assert (same.complete, again.complete) == (True, False)


def test_what_is_forgotten_or_dropped_leaves_room() -> None:
    cache = Cache(100)
    assert keep(cache, (1, 0), [50])
    assert keep(cache, (1, 1), [50])
    cache.drop((1, 0))
    assert held(cache, [(1, 0), (1, 1)]) == [(1, 1)]
    assert keep(cache, (1, 2), [50])
    cache.forget(1)
    assert held(cache, [(1, 1), (1, 2)]) == []
    assert keep(cache, (2, 0), [100])
    assert cache.evicted() == ()


def test_keeping_a_partition_again_replaces_it() -> None:
    cache = Cache(100)
    assert keep(cache, (1, 0), [30])
    assert keep(cache, (1, 0), [40])
    assert cache.get(1, 0) == [bytes(40)]
    assert keep(cache, (2, 0), [60])
    assert cache.evicted() == ()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("keep"), KEYS, st.lists(st.integers(0, 60), max_size=3)),
        st.tuples(st.just("begin"), KEYS, st.lists(st.integers(0, 60), max_size=3)),
        st.tuples(st.just("done"), KEYS, st.just([])),
        st.tuples(st.just("get"), KEYS, st.just([])),
        st.tuples(st.just("forget"), KEYS, st.just([])),
        st.tuples(st.just("drop"), KEYS, st.just([])),
    ),
    max_size=40,
)


@given(STEPS, st.integers(0, 150))
def test_whatever_happens_the_budget_holds_and_nothing_goes_untold(
    steps: list[tuple[str, tuple[int, int], list[int]]], budget: int
) -> None:
    """Every partition that was kept is there, or was dropped by its owner, or is told as having given way."""
    cache = Cache(budget)
    open_entries = {}
    expected: set[tuple[int, int]] = set()
    for what, key, sizes in steps:
        match what:
            case "keep":
                if keep(cache, key, sizes):
                    expected.add(key)
            case "begin":
                entry = cache.begin(*key)
                if all(entry.add(bytes(size)) for size in sizes):
                    open_entries[key] = entry
            case "done":
                if key in open_entries:
                    entry = open_entries.pop(key)
                    entry.done()
                    if entry.complete:
                        expected.add(key)
            case "get":
                assert (cache.get(*key) is not None) == (key in expected - set(cache._evicted))
            case "forget":
                cache.forget(key[0])
                expected = {other for other in expected if other[0] != key[0]}
            case "drop":
                cache.drop(key)
                expected.discard(key)
        for gone in cache.evicted():
            expected.discard(gone)
        assert set(cache._kept) == expected
        total = sum(len(frame) for frames in cache._kept.values() for frame in frames)
        assert total <= budget
        assert cache._bytes == total
