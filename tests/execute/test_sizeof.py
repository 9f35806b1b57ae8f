"""Estimated sizes decide where tasks spill: they must be near the truth, and the same in every process."""

from __future__ import annotations

import array
import gc
import os
import pickle
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.execute.chunks import SET_SCANNED, sizeof

ROOT = Path(__file__).parents[2]


class Point(NamedTuple):
    x: Any
    y: Any


@dataclass
class Open:
    name: Any
    other: Any = None


@dataclass(slots=True)
class Slotted:
    name: Any
    _private: Any = None


class Child(Slotted):
    """Has slots from above and a dictionary of its own."""


class Row(list[Any]):
    pass


class Text(str):
    pass


def child_of(value: Any) -> Child:
    made = Child("slot")
    made.extra = value  # type: ignore[attr-defined]
    return made


def retained(value: Any) -> int:
    """Add up what is reachable, each object once."""
    seen: set[int] = set()
    waiting, total = [value], 0
    while waiting:
        here = waiting.pop()
        if id(here) in seen or isinstance(here, type):
            continue
        seen.add(id(here))
        total += sys.getsizeof(here)
        waiting += gc.get_referents(here)
        if isinstance(here, dict):
            waiting += here  # text keys are not among its referents
    return total


MAKERS: dict[str, Callable[[], Any]] = {
    "text": lambda: "x" * 1000,
    "wide text": lambda: "Ω" * 1000,
    "subclass of text": lambda: Text("x" * 1000),
    "bytes": lambda: b"x" * 1000,
    "bytearray": lambda: bytearray(5000),
    "large integer": lambda: 1 << 80_000,
    "tuple": lambda: tuple(f"value number {i}" for i in range(100)),
    "list of lists": lambda: [[float(i + j) for j in range(20)] for i in range(50)],
    "named tuple": lambda: Point("x" * 5000, tuple(str(i) for i in range(100))),
    "dictionary": lambda: {f"key{i}": float(i) for i in range(1000)},
    "counter": lambda: Counter(f"word {i}" for i in range(1000)),
    "defaultdict": lambda: defaultdict(list, {i: [str(i)] * 3 for i in range(500)}),
    "ordered": lambda: OrderedDict((i, f"x{i}") for i in range(500)),
    "deque": lambda: deque(f"{i:04}" for i in range(1000)),
    "set": lambda: {f"element number {i}" for i in range(1000)},
    "frozen set": lambda: frozenset(f"element number {i}" for i in range(3000)),
    "instance": lambda: Open("x" * 3000, ["y" * 100]),
    "slots": lambda: Slotted("x" * 3000, ["y" * 100]),
    "slots and more": lambda: child_of("x" * 3000),
    "list subclass": lambda: Row(f"value number {i}" for i in range(100)),
    "array": lambda: array.array("d", range(1000)),
    "fraction": lambda: Fraction(1 << 30_000, 3),
    "nested": lambda: {"rows": [{"id": i, "tags": (f"a{i}", f"b{i}")} for i in range(50)]},
}


@pytest.mark.parametrize("kind", MAKERS)
def test_an_estimate_is_near_the_truth(kind: str) -> None:
    value = MAKERS[kind]()
    ratio = sizeof(value) / retained(value)
    assert 0.5 < ratio < 3


@pytest.mark.parametrize("kind", MAKERS)
def test_a_copy_that_travelled_is_as_large(kind: str) -> None:
    value = MAKERS[kind]()
    assert sizeof(pickle.loads(pickle.dumps(value, 5))) == sizeof(value)


def test_what_an_object_went_through_does_not_show() -> None:
    grown: list[int] = []
    for i in range(1000):
        grown.append(i)
    assert sizeof(grown) == sizeof(list(range(1000)))
    row, made = Row(), array.array("d")
    for i in range(1000):
        row.append(i)
        made.append(i)
    assert sizeof(row) == sizeof(Row(range(1000)))
    assert sizeof(made) == sizeof(array.array("d", range(1000)))
    buffer = bytearray()
    for _ in range(1000):
        buffer += b"x"
    assert sizeof(buffer) == sizeof(bytearray(b"x" * 1000))
    shrunk = set(range(10_000)) - set(range(10, 10_000))
    assert sizeof(shrunk) == sizeof(set(range(10)))
    seen = Text("Ω" * 100)
    before = sizeof(seen)
    pickle.dumps(seen, 5)
    assert sizeof(seen) == before


SETS = (
    "[{chr(97 + i) * (i * 7 % 50 + 1) for i in range(n)} for n in (9, 20, 500)] + [frozenset('a b c dddddddd'.split())]"
)


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_sets_are_as_large_in_every_process(seed: str) -> None:
    """Their order is not the same everywhere, so a sample of what comes first would not be either."""
    code = f"from headrace.execute.chunks import sizeof\nprint([sizeof(s) for s in {SETS}])"
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True)
    sets = [{chr(97 + i) * (i * 7 % 50 + 1) for i in range(n)} for n in (9, 20, 500)]
    expected = [sizeof(s) for s in [*sets, frozenset(["a", "b", "c", "d" * 8])]]
    assert child.stdout.decode().split("\n")[0] == str(expected)


def test_a_huge_set_is_not_walked_through() -> None:
    huge = set(range(SET_SCANNED * 50))
    assert 0.3 < sizeof(huge) / retained(huge) < 3


class Hostile:
    __slots__ = ("value",)

    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError

    def __len__(self) -> int:
        raise ZeroDivisionError


class HostileSize:
    def __sizeof__(self) -> int:
        raise ZeroDivisionError


class HostileDict(dict[str, str]):
    def keys(self) -> Any:
        raise ZeroDivisionError


def test_no_object_can_make_it_fail() -> None:
    for value in (Hostile(), HostileSize(), HostileDict(a="b"), Open, open, iter("a"), Decimal("NaN")):
        assert sizeof(value) > 0
        assert sizeof([value] * 20) > 0


def test_a_value_that_holds_itself_has_a_size() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert sizeof(loop) > 0


@given(st.recursive(st.one_of(st.integers(), st.text(), st.none(), st.floats()), lambda s: st.lists(s), max_leaves=30))
def test_more_is_never_estimated_as_less_than_nothing(value: Any) -> None:
    assert sizeof(value) >= 24
    assert sizeof([value, value]) > sizeof(value) or isinstance(value, list)
