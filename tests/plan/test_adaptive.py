"""Which plan a join gets: what is chosen is allowed, pays, and is told."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.plan.adaptive import Broadcast, Choice, Plain, Sample, Side, Split, choose, measured

sides = st.builds(
    Side,
    st.integers(0, 10**6),
    st.integers(0, 10**8),
    st.dictionaries(st.sampled_from("abcdef"), st.floats(1, 10**5), max_size=4),
    st.just(value=False) | st.just(value=False) | st.booleans(),
)


def chosen(left: Side, right: Side, **changed: Any) -> Choice:
    settings: dict[str, Any] = {
        "keeps_left": False, "keeps_right": False, "partitions": 8, "broadcast_bytes": 1000, "split_records": 100,
    }  # fmt: skip
    return choose(left, right, **{**settings, **changed})


@given(
    left=sides,
    right=sides,
    keeps_left=st.booleans(),
    keeps_right=st.booleans(),
    partitions=st.integers(1, 1000),
    limit=st.sampled_from([0, 1000, 10**7]),
    least=st.sampled_from([1, 1000, 10**9]),
)
def test_what_is_chosen_is_allowed(
    left: Side, right: Side, keeps_left: bool, keeps_right: bool, partitions: int, limit: int, least: int
) -> None:
    found = choose(
        left,
        right,
        keeps_left=keeps_left,
        keeps_right=keeps_right,
        partitions=partitions,
        broadcast_bytes=limit,
        split_records=least,
    )
    assert found.because
    match found:
        case Broadcast(side=side):
            assert not (keeps_left if side == "left" else keeps_right), "nobody would know who has no partner at all"
            assert (left if side == "left" else right).size <= limit
        case Split():
            assert partitions > 1
            assert not found.left.keys() & found.right.keys(), "dealt on one side, copied on the other"
            for key, parts in {**found.left, **found.right}.items():
                assert 2 <= parts <= partitions
                ours, theirs = left.often.get(key, 0), right.often.get(key, 0)
                assert ours + theirs + ours * theirs > least
                assert (key in found.left) == (ours >= theirs), "the larger side is dealt, the smaller copied"
    if left.strange or right.strange:
        assert isinstance(found, Plain)


def test_the_smaller_of_two_small_sides_is_sent() -> None:
    found = chosen(Side(10, 900), Side(5, 800))
    assert isinstance(found, Broadcast)
    assert found.side == "right"
    found = chosen(Side(10, 700), Side(5, 800))
    assert isinstance(found, Broadcast)
    assert found.side == "left"


@pytest.mark.parametrize(("kept", "sent"), [((True, False), "right"), ((False, True), "left"), ((True, True), None)])
def test_a_side_that_is_kept_is_not_sent(kept: tuple[bool, bool], sent: str | None) -> None:
    found = chosen(Side(10, 1), Side(10, 1), keeps_left=kept[0], keeps_right=kept[1])
    assert (found.side if isinstance(found, Broadcast) else None) == sent


def test_a_key_with_half_of_all_rows_goes_to_all_partitions_and_an_ordinary_one_stays() -> None:
    left = Side(2_000_000, 10**8, {"hot": 1_000_000.0, "mild": 1000.0})
    found = chosen(left, Side(100_000, 10**7, {"mild": 2.0}))
    assert isinstance(found, Split)
    assert found.left == {"hot": 8}
    assert found.right == {}
    assert "'hot', about 1,000,000 of 2,000,000 records on the left, over 8 partitions" in found.because


def test_pairings_count_where_rows_are_few() -> None:
    """One key in a hundred on either side is a hundred million pairings."""
    often = dict.fromkeys(range(2), 10000.0)
    found = chosen(Side(1_000_000, 10**8, often), Side(1_000_000, 10**8, often), partitions=64)
    assert isinstance(found, Split)
    assert found.left == {0: 64, 1: 64}


def test_keys_that_are_hard_on_everybody_alike_are_not_split() -> None:
    often = dict.fromkeys(range(8), 100000.0)
    assert isinstance(chosen(Side(800_000, 10**8, often), Side(800_000, 10**8)), Plain)


def test_samples_add_up_and_a_nan_is_no_key_that_could_be_found_again() -> None:
    nan = math.nan
    parts = [Sample(100, 800, 10, (("a", 5), (nan, 3))), Sample(10, 80, 10, (("a", 2), ((1, nan), 2))), Sample(0)]
    assert measured(parts) == Side(110, 880, {"a": 52.0})
    assert measured([*parts, Sample(1, strange=True)]).strange
