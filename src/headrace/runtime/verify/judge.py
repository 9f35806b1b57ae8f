"""Does a task do the same again?  Two processes with different hash seeds run it, and what they made is compared.

Both give digests of what came out; the attempt itself has left one, too.
The first task of each stage is run once before in one of the two, so that what functions keep from one task to the next
differs between them.  Only where digests differ, two fresh processes go side by side, record by record: the first record
that differs tells the operator, for its input was equal still.  They have one hash seed at first, then also one of them
has another run before, then they have two seeds: the first of these in which they differ tells what the operator depends on.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from headrace.runtime.verify.children import Child, Unverifiable
from headrace.runtime.verify.talk import Ask, Place, Ran

SEEDS = (1, 2)  # of hashes, in the two processes
OTHER_SEEDS = (3, 4, 5)
WINDOW = 160  # characters of a record that are shown, around where two differ
Cause = Literal["hash order", "chance", "state", "unknown"]


class Difference(Struct, frozen=True):
    """What differed.

    Attributes:
        number: how many records the operator had made before, of those that are alike.
        one, other: the record, as either process made it; empty where it made none.
        given: the record that it was made from, if that can be told.

    """

    place: Place
    cause: Cause
    number: int = 0
    one: str = ""
    other: str = ""
    given: str = ""


class Verdict(Struct, frozen=True):
    """Whether a task does the same again; without a difference, it does.

    Attributes:
        unknown: how many values could not be compared, by the name of their type.

    """

    difference: Difference | None = None
    unknown: dict[str, int] = {}


class Found(Struct, frozen=True):
    """The first records that differ: where, how many went before, and what they are."""

    place: int
    number: int
    one: str
    other: str
    given: str


class Judge:
    """Two processes that are kept, and fresh ones where they disagree."""

    def __init__(self, make: Callable[[int], Child] = Child) -> None:
        self._make = make
        self._one, self._other = map(make, SEEDS)
        self._fresh: tuple[Child, ...] = ()
        self._stages: set[int] = set()  # a task of each was run once before, in the other process
        self._abandoned = False

    def close(self) -> None:
        """End them."""
        self._one.end()
        self._other.end()

    def abandon(self) -> None:
        """Have whoever waits for a verdict wait no longer; from another thread."""
        self._abandoned = True
        for child in (self._one, self._other, *self._fresh):
            child.kill()

    def verify(self, ask: Ask, stage: int, output: str, seconds: float) -> Verdict:
        """Run a task again, twice.

        Args:
            stage: that it is of.
            output: the digest of what came out of the attempt.
            seconds: that a run may take.

        Raises:
            Unverifiable: it cannot be told.

        """
        self._check()
        warm = stage not in self._stages
        self._one.ask(ask, seconds)
        try:
            self._other.ask(replace(ask, warm=warm), seconds)
        except Unverifiable:
            self._one.end()  # nobody will hear its answer
            raise
        try:
            one = self._one.ran()
        finally:
            other = self._other.ran()  # in any case: it is at it still
        self._stages.add(stage)
        if one.digests == other.digests and output_of(one) == output:
            return Verdict(unknown=one.unknown)
        found = self._look_into(ask, one.places, seconds)
        if found is None:
            pairs = zip(one.places, one.digests, other.digests, strict=True)
            unlike = next((place for place, here, there in pairs if here != there), one.places[-2])
            found = Difference(unlike, "unknown")
        return Verdict(found)

    def _check(self) -> None:
        if self._abandoned:
            raise Unverifiable("the context was closed")

    def _look_into(self, ask: Ask, places: tuple[Place, ...], seconds: float) -> Difference | None:
        """Find what differs, and on what that depends, at first with two processes that have run nothing yet."""
        one, twin = self._fresh = self._make(SEEDS[0]), self._make(SEEDS[0])
        try:
            if (found := self._side_by_side(ask, one, twin, seconds)) is not None:
                return _told(found, places, "chance")
            if (found := self._side_by_side(ask, one, twin, seconds, warm=True)) is not None:
                return _told(found, places, "state")  # of two processes that have run as much before
            others = (self._other, *map(self._make, OTHER_SEEDS))  # the attempt may have met what these two have not
            for other in others:
                self._fresh = one, twin, other
                found = self._side_by_side(ask, one, other, seconds)
                if other is not self._other:
                    other.end()
                if found is not None:
                    return _told(found, places, "hash order")
            return None
        except Unverifiable:
            self._other.end()  # it may be at it still
            raise
        finally:
            for child in self._fresh:
                if child is not self._other:
                    child.end()
            self._fresh = ()

    def _side_by_side(self, ask: Ask, one: Child, other: Child, seconds: float, *, warm: bool = False) -> Found | None:
        """Have two processes run a task, record by record, until they differ."""
        self._check()
        one.ask(replace(ask, stepwise=True), seconds)
        other.ask(replace(ask, stepwise=True, warm=warm), seconds)
        counts: dict[int, int] = {}
        while True:
            here, there = one.passed(), other.passed()
            if here is None and there is None:
                return None
            for number, (a, b) in enumerate(itertools.zip_longest(here or (), there or ())):
                if a == b:
                    counts[a[0]] = counts.get(a[0], 0) + 1
                    continue
                place = max(record[0] for record in (a, b) if record is not None)  # the other has made nothing there
                a_is, b_is = a is not None and a[0] == place, b is not None and b[0] == place
                shown = [
                    child.show(number) if records is not None else None
                    for child, records in ((one, here), (other, there))
                ]
                first, second = (record if is_it else None for record, is_it in zip(shown, (a_is, b_is), strict=True))
                known = first or second
                assert known is not None
                return Found(
                    place,
                    counts.get(place, 0),
                    first.record if first is not None else "",
                    second.record if second is not None else "",
                    known.given,
                )
            for child, records in ((one, here), (other, there)):
                if records is not None:
                    child.go()


def output_of(ran: Ran) -> str:
    """Return what stands for all that comes out of a task: of its sink, and of what was added up."""
    return "|".join(ran.digests[-2:])


def _told(found: Found, places: tuple[Place, ...], cause: Cause) -> Difference:
    one, other = _windows(found.one, found.other)
    return Difference(places[found.place], cause, found.number, one, other, _shorten(found.given))


def _windows(one: str, other: str) -> tuple[str, str]:
    """Cut two texts to what is around the first character that differs."""
    at = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = max(0, at - WINDOW // 2) if max(len(one), len(other)) > WINDOW else 0
    return _cut(one, start), _cut(other, start)


def _cut(text: str, start: int) -> str:
    piece = text[start : start + WINDOW]
    return f"{'...' if start else ''}{piece}{'...' if start + WINDOW < len(text) else ''}"


def _shorten(text: str) -> str:
    return _cut(text, 0)
