"""Keys of every kind: pairs that Python calls equal, and a table that every process can make for itself."""

from __future__ import annotations

import ipaddress
import pathlib
import pickle
import sys
import uuid
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from headrace.plan.hashing import stable_hash


class Pair(NamedTuple):
    one: Any
    other: Any


class Word(str):
    """Text that is also something more."""


class Octets(bytes):
    """Bytes likewise."""


class Level(IntEnum):
    LOW = 0
    MIDDLE = 1
    HIGH = 2


class Suit(StrEnum):
    HEARTS = "hearts"
    SPADES = "spades"


class Colour(Enum):
    RED = "red"
    GREEN = 2


class Rights(Flag):
    READ = 1
    WRITE = 2


@dataclass(frozen=True)
class Place:
    name: str
    number: float
    note: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Nested:
    place: Place
    tags: tuple[Any, ...]


class Version:
    """Says itself what makes it equal."""

    def __init__(self, text: str) -> None:
        self.parts = tuple(map(int, text.split(".")))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(repr(self.parts))

    def __stable_key__(self) -> tuple[int, ...]:
        return self.parts


ZONES = (UTC, timezone(timedelta(hours=5, minutes=45)), timezone(-timedelta(hours=11)), ZoneInfo("Europe/Berlin"))
TEXT = st.text(max_size=8)


@st.composite
def equal_numbers(draw: st.DrawFn) -> tuple[Any, Any]:
    number = draw(st.one_of(st.integers(-3, 3), st.integers(), st.sampled_from([2**61 - 1, -(2**61), 2**64, 10**30])))
    same: list[Any] = [number, Decimal(number), Fraction(number)]
    if number in (0, 1):
        same += [bool(number), Level(number)]
    if abs(number) < 2**53:
        same += [float(number), complex(number)]
    if number == 0:
        same += [-0.0, Decimal("-0.00")]
    return draw(st.sampled_from(same)), draw(st.sampled_from(same))


@st.composite
def equal_floats(draw: st.DrawFn) -> tuple[Any, Any]:
    number = draw(st.floats(allow_nan=False, allow_infinity=False))
    same: list[Any] = [number, Decimal(number), Fraction(number), complex(number)]
    return draw(st.sampled_from(same)), draw(st.sampled_from(same))


@st.composite
def equal_texts(draw: st.DrawFn) -> tuple[Any, Any]:
    text = draw(st.one_of(TEXT, st.sampled_from(["hearts", "spades", "\ud800", "a\x00"])))
    same: list[Any] = [text, Word(text), "".join(text)]
    if text in ("hearts", "spades"):
        same.append(Suit(text))
    return draw(st.sampled_from(same)), draw(st.sampled_from(same))


@st.composite
def equal_moments(draw: st.DrawFn) -> tuple[Any, Any]:
    moment = draw(st.datetimes(datetime(1901, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
    here = moment.astimezone(draw(st.sampled_from(ZONES)))
    there = moment.astimezone(draw(st.sampled_from(ZONES)))
    return (here, there) if draw(st.booleans()) else (here, here.replace(fold=1 - here.fold))


EQUAL_ATOMS: st.SearchStrategy[tuple[Any, Any]] = st.one_of(
    equal_numbers(),
    equal_floats(),
    equal_texts(),
    equal_moments(),
    st.binary(max_size=8).map(lambda b: (b, Octets(b))),
    st.dates().map(lambda d: (d, date(d.year, d.month, d.day))),
    st.timedeltas().map(lambda d: (d, timedelta(seconds=d.seconds, days=d.days, microseconds=d.microseconds))),
    st.times().map(lambda t: (t, t.replace(fold=1))),
    st.integers(0, 2**128 - 1).map(lambda n: (uuid.UUID(int=n), uuid.UUID(str(uuid.UUID(int=n))))),
    st.tuples(st.integers(-5, 5), st.integers(-5, 5), st.sampled_from([1, 2, 3, -1])).map(
        lambda r: (range(*r), range(r[0], range(*r)[-1] + r[2] if range(*r) else r[0], r[2]))
    ),
    st.just((None, None)),
    st.just((Colour.RED, Colour("red"))),
    st.just((Rights.READ | Rights.WRITE, Rights.WRITE | Rights.READ)),
    st.just((Version("1.0"), Version("01.00"))),
)


def _compound(inner: st.SearchStrategy[tuple[Any, Any]]) -> st.SearchStrategy[tuple[Any, Any]]:
    rows = st.lists(inner, max_size=4)
    return st.one_of(
        rows.map(lambda pairs: (tuple(a for a, _ in pairs), tuple(b for _, b in pairs))),
        rows.map(lambda pairs: (frozenset(a for a, _ in pairs), frozenset(b for _, b in reversed(pairs)))),
        st.tuples(inner, inner).map(lambda two: (Pair(two[0][0], two[1][0]), (two[0][1], two[1][1]))),
        st.tuples(inner, TEXT).map(
            lambda two: (
                Nested(Place(two[1], 1, "here"), (two[0][0],)),
                Nested(Place(two[1], 1.0, "there"), (two[0][1],)),
            )
        ),
    )


EQUAL_PAIRS = st.recursive(EQUAL_ATOMS, _compound, max_leaves=6)
KEYS = EQUAL_PAIRS.map(lambda pair: pair[0])
NAN_KEYS = st.recursive(
    st.one_of(st.builds(lambda: float("nan")), st.integers(0, 3), st.sampled_from(["", "a", None, 1.5])),
    lambda inner: st.lists(inner, max_size=3).map(tuple),
    max_leaves=4,
)


def table() -> list[Any]:
    """A key of every kind, made from scratch by whoever asks."""
    nan = float("nan")
    return [
        *(None, True, 0, -1, 2**70, 1.5, -0.0, nan, float("inf"), 2j, Decimal("1.10"), Decimal("NaN"), Fraction(1, 3)),
        *("", "water", "Äther", "\U0001f600", "\ud800", Word("water"), b"", b"water", Octets(b"\0")),
        *((), ("a", 1), ("a", ("b", (None, nan))), Pair("a", 1), frozenset(), frozenset({"a", "b", "c", 1, None})),
        *(date(2020, 2, 29), datetime(2020, 2, 29, 12), datetime(2020, 2, 29, 12, tzinfo=UTC), time(1, 2, 3, 4)),
        *(datetime(2021, 11, 7, 1, 30, tzinfo=ZoneInfo("America/New_York"), fold=1), time(1, tzinfo=UTC)),
        *(timedelta(days=-1, microseconds=7), range(0), range(5, 6), range(0, 10, 3)),
        *(Level.HIGH, Suit.HEARTS, Colour.RED, Rights.READ | Rights.WRITE),
        *(Place("Ulm", 1.0), Nested(Place("Ulm", 1.0), ("x", None)), Version("1.2")),
        *(uuid.UUID(int=7), pathlib.PurePosixPath("/a/b"), pathlib.PureWindowsPath("C:/A")),
        *(ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("::1")),
    ]


if __name__ == "__main__":  # a child of the test that compares processes
    sys.stdout.buffer.write(pickle.dumps([stable_hash(key) for key in table()]))
