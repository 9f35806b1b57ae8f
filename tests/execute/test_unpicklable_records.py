"""A record that cannot travel is shown, in a program's error."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from headrace.errors import ProgramError
from headrace.execute.chunks import frame, loads


class Refuses:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def __reduce__(self) -> Any:
        raise ZeroDivisionError("I stay")


class StopsIteration(Refuses):
    def __reduce__(self) -> Any:
        raise StopIteration


@pytest.mark.parametrize("culprit", [(x for x in "ab"), threading.Lock(), Refuses("me"), StopsIteration("me"), open])
def test_the_record_is_named(culprit: Any) -> None:
    if culprit is open:
        culprit = open(__file__, "rb")  # noqa: SIM115
    with pytest.raises(ProgramError) as caught:
        frame([1, ("key", culprit), 3], 3)
    assert repr(("key", culprit))[:40] in str(caught.value)
    assert "cannot be sent to another process" in str(caught.value)
    assert "call list(...) on generators" in str(caught.value)
    if hasattr(culprit, "close"):
        culprit.close()


def test_the_culprit_is_found_in_either_column() -> None:
    with pytest.raises(ProgramError, match="the record <left>"):
        frame(([1, Refuses("left")], [2, 3]), 2)
    with pytest.raises(ProgramError, match="the record <right>"):
        frame(([1, 4], [2, Refuses("right")]), 2)


def test_a_record_that_is_nested_too_deeply_is_an_error_and_no_crash() -> None:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    try:
        with pytest.raises(ProgramError, match="recursion"):
            frame([1, nested], 2)
    finally:
        while nested:
            nested = nested.pop()


def test_what_only_cloudpickle_can_pickle_travels() -> None:
    class Local:
        def __init__(self, value: int) -> None:
            self.value = value

    (value,) = loads(frame([Local(3)], 1)[20:])
    assert value.value == 3
    assert loads(frame([lambda x: x + 1], 1)[20:])[0](1) == 2
