"""Keys that Python calls equal must hash equal, or they would be counted apart."""

from __future__ import annotations

import math
from datetime import datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from headrace.plan.hashing import has_nan, mix, one_nan, stable_hash
from tests.plan.keys import EQUAL_PAIRS, KEYS, NAN_KEYS, Level, Pair, Place, Version


@given(EQUAL_PAIRS)
def test_equal_keys_hash_equal(pair: tuple[Any, Any]) -> None:
    one, other = pair
    assert one == other, "the strategy makes equal pairs"
    assert stable_hash(one) == stable_hash(other)


@given(KEYS, KEYS)
def test_whatever_happens_to_be_equal_hashes_equal(one: Any, other: Any) -> None:
    assert one != other or stable_hash(one) == stable_hash(other)


@given(KEYS)
def test_a_hash_has_32_bits(key: Any) -> None:
    assert 0 <= stable_hash(key) < 1 << 32


def test_one_is_one_in_every_type() -> None:
    ones: list[Any] = [1, 1.0, True, Decimal(1), Decimal("1.000"), Fraction(1), 1 + 0j, Level.MIDDLE]
    assert len({stable_hash(one) for one in ones}) == 1


def test_a_repeated_hour_is_one_key_as_in_python() -> None:
    zone = ZoneInfo("America/New_York")
    first = datetime(2021, 11, 7, 1, 30, tzinfo=zone)
    second = first.replace(fold=1)
    assert first == second
    assert hash(first) == hash(second)
    assert stable_hash(first) == stable_hash(second)


def test_times_of_day_in_different_zones_are_one_key_when_equal() -> None:
    here = time(12, 0, tzinfo=timezone(timedelta(hours=2)))
    there = time(10, 0, tzinfo=timezone.utc)  # noqa: UP017
    assert here == there
    assert stable_hash(here) == stable_hash(there)


def test_a_naive_and_an_aware_moment_may_part_but_both_have_a_hash() -> None:
    naive = datetime(2020, 1, 1)
    assert stable_hash(naive) == stable_hash(datetime(2020, 1, 1, fold=1))


@given(NAN_KEYS, NAN_KEYS)
def test_nans_are_one_key(one: Any, other: Any) -> None:
    """Keys that differ only in which NaN they hold become one key of a dictionary, with one hash."""

    def shape(key: Any) -> Any:
        return tuple(map(shape, key)) if isinstance(key, tuple) else "nan" if key != key else (key,)

    assert has_nan(one) == ("nan" in repr(shape(one)))
    counted: dict[Any, int] = {}
    for key in (one_nan(one), one_nan(other)):
        counted[key] = counted.get(key, 0) + 1
    alike = shape(one) == shape(other)
    assert (len(counted) == 1) == alike
    if alike:
        assert stable_hash(one) == stable_hash(other)


def test_nans_of_any_type_are_one_key_for_each_type() -> None:
    for make in (lambda: float("nan"), lambda: Decimal("NaN"), lambda: complex(math.nan, 0), lambda: Pair(math.nan, 1)):
        one, other = make(), make()
        assert {one_nan(one): 1} == {one_nan(other): 1}
        assert stable_hash(one) == stable_hash(other)
    assert type(one_nan(Pair(math.nan, 1))) is Pair


def test_an_enum_with_an_equality_of_its_own_keeps_it_or_is_refused() -> None:
    class Loose(Enum):
        A = 1
        B = 2

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Loose)

        def __hash__(self) -> int:
            return 7

    try:
        hashed = [stable_hash(Loose.A), stable_hash(Loose.B)]
    except TypeError:
        return
    assert hashed[0] == hashed[1]


def test_fields_that_are_not_compared_do_not_matter() -> None:
    assert stable_hash(Place("Ulm", 1, "here")) == stable_hash(Place("Ulm", 1, "there"))
    assert stable_hash(Place("Ulm", 1)) != stable_hash(Place("Ulm", 2))


def test_a_class_may_say_what_its_key_is() -> None:
    assert stable_hash(Version("1.0")) == stable_hash((1, 0))


@given(st.integers())
def test_mixing_takes_any_integer(number: int) -> None:
    assert 0 <= mix(number) < 1 << 32
