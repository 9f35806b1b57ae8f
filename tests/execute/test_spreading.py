"""Split keys: every row is dealt to one partition, copied ones to all of theirs, and home knows whether there are any."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from headrace.execute.hashjoin import DRAWN, look_at
from headrace.execute.spreading import PairHere, Spread
from headrace.plan.partitioners import HashPartitioner, SplitPartitioner

KEYS = st.sampled_from(["hot", "hot", "warm", "cold", 1, 1.0, True, None, ("a", 2)])
partitioners = st.builds(
    lambda number, dealt, copied: SplitPartitioner(
        number,
        {key: min(parts, number) for key, parts in dealt.items()},
        {key: min(parts, number) for key, parts in copied.items() if key not in dealt},
    ),
    st.integers(1, 7),
    st.dictionaries(KEYS, st.integers(1, 9), max_size=3),
    st.dictionaries(KEYS, st.integers(1, 9), max_size=3),
)
batches = st.lists(st.lists(KEYS, max_size=12), max_size=4)


@given(partitioner=partitioners, batches=batches, first=st.integers(0, 9))
def test_rows_go_where_they_should(partitioner: SplitPartitioner, batches: list[list[Any]], first: int) -> None:
    spread, home = Spread(partitioner, first), HashPartitioner(partitioner.partitions)
    found: list[list[tuple[Any, int]]] = [[] for _ in range(partitioner.partitions)]
    row, times = 0, Counter[int]()
    for keys in batches:
        rows = list(range(row, row + len(keys)))
        row += len(keys)
        for place, (some_keys, some_rows) in enumerate(spread.scatter(keys, rows)):
            found[place] += zip(some_keys, some_rows, strict=True)
            assert some_rows == sorted(some_rows), "rows keep their order"
    for place, part in enumerate(found):
        for key, number in part:
            times[number] += 1
            offset = (place - home.partition(key)) % partitioner.partitions
            assert offset < partitioner.copied.get(key, partitioner.dealt.get(key, 1))
    every = [key for keys in batches for key in keys]
    assert times == Counter({number: partitioner.copied.get(key, 1) for number, key in enumerate(every)})
    for key, parts in partitioner.dealt.items():
        dealt = Counter(place for place, part in enumerate(found) for other, _ in part if other == key)
        if dealt:
            assert home.partition(key) in dealt, "whoever finds none at home knows that there are none"
            assert max(dealt.values()) <= -(-dealt.total() // parts) + 1, "evenly"


@given(partitioner=partitioners, batches=batches)
def test_the_same_rows_are_dealt_alike_again(partitioner: SplitPartitioner, batches: list[list[Any]]) -> None:
    once, again = Spread(partitioner, 3), Spread(partitioner, 3)
    for keys in batches:
        assert once.scatter(keys, keys) == again.scatter(keys, keys)


def test_a_copied_row_without_partner_is_told_at_home_alone() -> None:
    left = SplitPartitioner(4, {"dealt": 3}, {"copied": 4})
    pair = PairHere(left, keeps_left=True, keeps_right=True)
    groups: list[tuple[Any, tuple[Any, Any]]] = [("copied", ([1], [])), ("dealt", ([], [2])), ("dealt", ([3], []))]
    found = [list(pair(partition, iter(groups))) for partition in range(4)]
    for partition, pairs in enumerate(found):
        assert (("copied", (1, None)) in pairs) == (left.partition("copied") == partition)
        assert (("dealt", (None, 2)) in pairs) == (left.partition("dealt") == partition)
        assert ("dealt", (3, None)) in pairs, "a dealt row is in one partition only, and told there"


@given(st.integers(0, 3 * DRAWN), st.integers(1, 50))
def test_a_sample_counts_all_and_draws_as_much_as_it_may(number: int, different: int) -> None:
    sample = look_at((record % different, "value") for record in range(number))
    assert sample.records == number
    assert sample.drawn == min(number, DRAWN)
    assert sum(times for _, times in sample.often) <= sample.drawn
    assert sample == look_at((record % different, "value") for record in range(number)), "the same whenever asked"
    if 0 < number <= DRAWN:
        assert dict(sample.often) == {k: n for k, n in Counter(i % different for i in range(number)).items() if n > 1}


def test_every_record_is_as_likely_to_be_drawn_as_another() -> None:
    """A key of the last tenth of the records, and one of the first: each has a tenth of the sample."""
    number = 50_000
    sample = look_at(
        ("first" if i < number // 10 else "last" if i >= number * 9 // 10 else "rest", i) for i in range(number)
    )
    often = dict(sample.often)
    for key in ("first", "last"):
        assert abs(often[key] - DRAWN / 10) < 4 * (DRAWN * 0.09) ** 0.5
    assert abs(sample.size / number - 9) < 6, "bytes of a pair, pickled"


def test_what_is_no_pair_or_no_key_is_left_to_the_join() -> None:
    assert look_at([1, 2]).strange
    assert look_at([([1], 2)]).strange
    assert not look_at([]).strange
