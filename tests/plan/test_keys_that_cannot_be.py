"""A key that cannot be hashed, or not alike everywhere, is an error that names the key and says what to do."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from typing import Any

import pytest

from headrace.errors import KeyProblem, ProgramError
from headrace.plan.hashing import short, stable_hash, unhashable


class Plain:
    def __repr__(self) -> str:
        return "<plain>"


class Salted:
    def __hash__(self) -> int:
        return hash("salt")


@dataclass
class Mutable:
    name: str


class Rude:
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ([1, 2], "[1, 2]"),
        ({"a": 1}, "{'a': 1}"),
        ({1}, "{1}"),
        (bytearray(b"x"), "bytearray(b'x')"),
        (Mutable("m"), "Mutable(name='m')"),
        (Plain(), "<plain>"),
        (Salted(), "Salted object"),
        (print, "<built-in function print>"),
        (int, "<class 'int'>"),
        (("a", [1]), "[1]"),
        (frozenset({("a", Plain())}), "<plain>"),
        (Rude(), "whose repr raises ZeroDivisionError"),
    ],
)
def test_the_message_names_the_key_and_ends_with_what_to_do(key: Any, shown: str) -> None:
    with pytest.raises(KeyProblem) as caught:
        stable_hash(key)
    message = str(caught.value)
    assert shown in message
    assert " Use " in message or " make it " in message
    assert isinstance(caught.value, ProgramError)
    assert isinstance(caught.value, TypeError), "code that expects Python's own error still catches it"
    assert str(pickle.loads(pickle.dumps(caught.value))) == message


def test_a_key_that_is_hashable_here_but_not_alike_elsewhere_is_refused() -> None:
    for key in (Plain(), Salted(), os.stat, lambda: None):
        with pytest.raises(KeyProblem, match="differs between processes"):
            stable_hash(key)


def test_a_long_key_is_shortened() -> None:
    with pytest.raises(KeyProblem) as caught:
        stable_hash(["x" * 100_000])
    assert len(str(caught.value)) < 400


def test_the_culprit_inside_a_tuple_is_shown_and_not_the_tuple_blamed() -> None:
    message = unhashable((1, [2]))
    assert "(1, [2])" in message
    assert "a list is unhashable" in message


def test_showing_a_value_never_raises() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    assert "RecursionError" in short(nested)
    while nested:  # freeing it recursively is as bad an idea as showing it
        nested = nested.pop()
    assert short("x" * 500, 10) == "'xxxxxx..."
