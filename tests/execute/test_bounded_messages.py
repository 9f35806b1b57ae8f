"""What is told of an exception is bounded, and so is the work of finding it out: nobody waits for what is cut off."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.execute.blame import PICKLED, blame
from headrace.plan.hashing import short

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30) | st.binary(max_size=30)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(SCALARS, inner)
        | st.sets(SCALARS)
        | st.frozensets(SCALARS)
    ),
)


@given(VALUES, st.integers(10, 300))
def test_what_is_shown_is_what_repr_says_as_far_as_there_is_room(value: Any, limit: int) -> None:
    text = repr(value)
    assert short(value, limit) == (text if len(text) <= limit else f"{text[: limit - 3]}...")


class Counted:
    asked = 0

    def __repr__(self) -> str:
        Counted.asked += 1
        return "x"

    def __reduce__(self) -> Any:
        Counted.asked += 1
        return Counted, (), {"padding": f"{Counted.asked:0100}"}


@pytest.mark.parametrize(
    "value",
    [
        [Counted() for _ in range(10_000)],
        tuple([Counted() for _ in range(100)] for _ in range(100)),
        {n: [Counted()] * 100 for n in range(100)},
        {Counted() for _ in range(10_000)},
    ],
)
def test_of_what_is_large_only_the_beginning_is_looked_at(value: Any) -> None:
    Counted.asked = 0
    assert len(short(value, 100)) == 100
    assert Counted.asked <= 100


def test_a_value_within_itself_is_shown() -> None:
    value: list[Any] = [1]
    value.append(value)
    assert short(value, 20) == "[1, [1, [1, [1, [..."


def test_an_exception_that_holds_much_is_not_pickled_to_its_end() -> None:
    Counted.asked = 0
    error = ValueError("much")
    error.__dict__["rows"] = [Counted() for _ in range(100_000)]
    assert blame(error, None, ()).pickled is None
    assert Counted.asked < 3 * PICKLED // 100


def test_a_recursion_without_end_is_told_by_its_two_ends() -> None:
    space = {"__name__": "users"}
    exec("def even(n):\n    return odd(n)\n\ndef odd(n):\n    return even(n)\n", space)
    with pytest.raises(RecursionError) as caught:
        space["even"](1)  # type: ignore[operator]
    told = blame(caught.value, None, ()).frames
    assert "frames between" in told
    assert told.count("\n") < 200
