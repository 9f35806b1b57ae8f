"""Equal values are spelt alike in every process, and values that differ are not."""

from __future__ import annotations

import copy
import json
import math
import os
import pickle
import subprocess
import sys
import threading
from collections import Counter, OrderedDict, deque, namedtuple
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.execute.canonical import Speller
from headrace.execute.groups import Group

ATOMS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
HASHED = st.recursive(ATOMS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4), max_leaves=8)
VALUES = st.recursive(
    HASHED,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(HASHED, inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(HASHED, max_size=4)
    ),
    max_leaves=12,
)


def spelt(value: Any) -> bytes:
    speller = Speller()
    found = speller.spell(value)
    assert not speller.unknown, speller.unknown
    return found


def in_order(value: Any) -> Any:
    """Show a value with the order of its dictionaries, which `==` does not look at; of its sets without."""
    if isinstance(value, dict):
        return ("dict", [(in_order(key), in_order(inner)) for key, inner in value.items()])
    if isinstance(value, set | frozenset):
        return ("set", frozenset(map(repr, map(in_order, value))))
    if isinstance(value, list | tuple):
        return (type(value).__name__, [in_order(inner) for inner in value])
    if isinstance(value, int | float):
        return ("number", Fraction(value) if math.isfinite(value) else value)
    return value


@given(VALUES, VALUES)
@settings(max_examples=120)
def test_two_values_are_spelt_alike_if_and_only_if_they_are_equal(one: Any, other: Any) -> None:
    assert (spelt(one) == spelt(other)) == (in_order(one) == in_order(other))


@given(VALUES)
def test_a_copy_is_spelt_alike(value: Any) -> None:
    """Whatever is shared in one of the two, and however often it was pickled."""
    assert spelt([value, value]) == spelt([pickle.loads(pickle.dumps(value)), copy.deepcopy(value)])


@dataclass
class Point:
    x: float
    tags: frozenset[str]


class Slotted:
    __slots__ = ("a", "b")


class Colour(Enum):
    RED = 1


Named = namedtuple("Named", "a b")


def slotted(a: Any, b: Any) -> Slotted:
    made = Slotted()
    made.a, made.b = a, b  # type: ignore[attr-defined]
    return made


KINDS: list[tuple[Any, Any]] = [
    (Point(1, frozenset("ab")), Point(2, frozenset("ab"))),
    (slotted(1, [2]), slotted(1, [3])),
    (Named(1, 2), Named(2, 1)),
    (Named(1, 2), (1, 2)),
    (Colour.RED, 1),
    (OrderedDict(a=1, b=2), OrderedDict(b=2, a=1)),
    (Counter("aab"), Counter("abb")),
    (deque([1, 2]), deque([2, 1])),
    (Decimal("1.5"), Decimal("2.5")),
    (datetime(2020, 1, 1), datetime(2020, 1, 2)),
    (Group([1, 2]), Group([2, 1])),
    (lambda x: x + 1, lambda x: x + 2),
    (len, min),
    (Point, Slotted),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    (math, os),
]


@pytest.mark.parametrize(("one", "other"), KINDS, ids=lambda value: type(value).__name__)
def test_things_of_many_kinds(one: Any, other: Any) -> None:
    assert spelt(one) != spelt(other)
    if not isinstance(one, type(math)):
        assert spelt([one, one]) == spelt([one, copy.deepcopy(one)])


def test_numbers_are_spelt_by_value() -> None:
    assert len({spelt(one) for one in (1, 1.0, True, 1 + 0j)}) == 1
    assert spelt(0.0) == spelt(-0.0)
    assert spelt(math.nan) == spelt(-math.nan)
    assert len({spelt(one) for one in (0.1, 0.1 + 2**-50, math.inf, -math.inf, math.nan, 10**5000)}) == 6


def test_arrays() -> None:
    np = pytest.importorskip("numpy")
    assert len({spelt(one) for one in (1, np.int64(1), np.float32(1), np.array(1))}) == 1
    assert spelt(math.nan) == spelt(np.float64("nan"))
    table = np.arange(6).reshape(2, 3)
    assert spelt(table) == spelt(np.asfortranarray(table)) == spelt(table.repeat(2, axis=1)[:, ::2])
    assert len({spelt(one) for one in (table, table.reshape(3, 2), table.astype("int8"), table + 1)}) == 4
    sets = np.array([frozenset(WORDS), None], dtype=object)
    assert spelt(sets) == spelt(copy.deepcopy(sets)) != spelt(sets[::-1])


def test_what_is_part_of_itself() -> None:
    def ring(length: int) -> list[Any]:
        first: list[Any] = []
        last = first
        for _ in range(length):
            last.append([])
            last = last[0]
        last.append(first)
        return first

    assert spelt(ring(3)) == spelt(ring(3))
    assert spelt(ring(3)) != spelt(ring(2))


def test_what_is_shared_again_and_again_takes_no_time() -> None:
    value: list[Any] = list(range(100))
    for _ in range(50):
        value = [value, value]
    assert spelt(value) == spelt(copy.deepcopy(value))


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


class Stubborn:
    def __reduce__(self) -> Any:
        raise RuntimeError("never")


def once() -> Iterator[int]:
    yield 1


@pytest.mark.parametrize(
    "value", [once(), threading.Lock(), Stubborn(), deep(200), iter([1])], ids=lambda v: type(v).__name__
)
def test_what_has_no_spelling_is_noted_and_left_as_it_is(value: Any) -> None:
    speller = Speller()
    assert speller.spell([1, value]) == Speller().spell([1, value])
    assert sum(speller.unknown.values()) == 1
    if isinstance(value, Iterator):
        assert list(value) == [1]


HERE = """
import json, sys
from tests.verify.test_canonical import SETS, spelt
print(json.dumps([spelt(value).hex() for value in SETS]))
"""
WORDS = ["oak", "elm", "ash", "fir", "yew", "box", "lime", "pine"]
SETS: list[Any] = [set(WORDS), {"a": frozenset(WORDS)}, Point(1, frozenset(WORDS)), Counter(WORDS), [set(WORDS)] * 3]


def test_in_processes_with_other_hash_seeds() -> None:
    def spelt_with(seed: str) -> object:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        return json.loads(
            subprocess.run([sys.executable, "-c", HERE], env=environment, capture_output=True, check=True).stdout
        )

    found = spelt_with("1")
    assert found == spelt_with("2") == [spelt(value).hex() for value in SETS]
