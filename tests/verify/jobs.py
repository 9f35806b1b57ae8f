"""Functions that depend on more than their input, and one that does not; each makes of a line a list of records."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any, NamedTuple

LINES = [" ".join(f"{word}{number}" for word in ("oak", "elm", "ash", "fir", "yew", "box")) for number in range(12)]
_called = 0


def sets_order(line: str) -> list[str]:
    return list(set(line.split()))


def dict_of_a_set(line: str) -> list[dict[str, int]]:
    return [{word: len(word) for word in set(line.split())}]


def float_sum_over_a_set(line: str) -> list[float]:
    return [sum(float(part) for part in {f"{len(word)}.{place}{word[-1]}7" for place, word in enumerate(line.split())})]


def hashed(line: str) -> list[int]:
    return [hash(line)]


def clock(line: str) -> list[int]:
    return [time.perf_counter_ns()]


def chance(line: str) -> list[float]:
    return [random.random()]


def address(line: str) -> list[int]:
    return [id(object())]


def process(line: str) -> list[int]:
    return [os.getpid()]


def counter(line: str) -> list[tuple[int, str]]:
    global _called
    _called += 1
    return [(_called, line)]


def default_argument(line: str, seen: list[str] = []) -> list[int]:  # noqa: B006 (the mistake itself)
    seen.append(line)
    return [len(seen)]


class Culprit(NamedTuple):
    """A function, and what it is found to depend on."""

    function: Callable[[str], list[Any]]
    cause: str


CULPRITS = {
    culprit.function.__name__: culprit
    for culprit in (
        Culprit(sets_order, "hash order"),
        Culprit(dict_of_a_set, "hash order"),
        Culprit(float_sum_over_a_set, "hash order"),
        Culprit(hashed, "hash order"),
        Culprit(clock, "chance"),
        Culprit(chance, "chance"),
        Culprit(address, "chance"),
        Culprit(process, "chance"),
        Culprit(counter, "state"),
        Culprit(default_argument, "state"),
    )
}


def honest(line: str) -> list[str]:
    return sorted(set(line.split()))


def as_sets(line: str) -> list[frozenset[str]]:
    return [frozenset(line.split())]
