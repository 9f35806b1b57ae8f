"""A function that cannot travel is refused where it is handed in, with the path to what is to blame."""

from __future__ import annotations

import functools
import pickle
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import ClosureError, ProgramError
from headrace.plan.functions import find_culprit, user_function

LOCK = threading.Lock()
REASON = "cannot pickle '_thread.lock' object"


class Holder:
    def __init__(self, value: Any) -> None:
        self.value = value

    def method(self, record: Any) -> Any:
        return self.value, record

    def __call__(self, record: Any) -> Any:
        return self.value, record


class Unspeakable:
    def __reduce__(self) -> Any:
        raise ZeroDivisionError("never")


def _own(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function look as if defined in the user's script, which is sent by value."""
    function.__module__ = "__main__"
    return function


def message_of(call: Any, label: str = "map") -> str:
    with pytest.raises(ClosureError) as caught:
        user_function(call, label)
    return str(caught.value)


def test_a_captured_variable_is_named() -> None:
    config = {"name": "x", "lock": LOCK}

    def keep(record: Any) -> Any:
        return config, record

    message = message_of(_own(keep))
    assert "the function given to map cannot be sent to workers" in message
    assert f"keep -> closure 'config' -> ['lock'] -> lock: {REASON}" in message
    assert message.endswith("Create such things inside the function, or pass only what they were made from.")


def test_a_global_is_named() -> None:
    call = eval("lambda record: (LOCK, record)", {"LOCK": LOCK, "__name__": "__main__"})
    assert "lambda -> global 'LOCK' -> lock" in message_of(call)


def test_a_global_of_a_function_inside_the_function_is_named() -> None:
    call = eval("lambda records: [(lambda r: LOCK)(r) for r in records]", {"LOCK": LOCK, "__name__": "__main__"})
    assert "global 'LOCK'" in message_of(call)


def test_a_default_is_named() -> None:
    def positional(record: Any, lock: Any = LOCK) -> Any:
        return lock, record

    def keyword(record: Any, *, guard: Any = LOCK) -> Any:
        return guard, record

    assert "positional -> default 0 -> lock" in message_of(_own(positional))
    assert "keyword -> default 'guard' -> lock" in message_of(_own(keyword))


def test_the_object_of_a_method_is_named() -> None:
    assert "Holder.method -> self -> .value -> lock" in message_of(Holder(LOCK).method)


def test_what_a_callable_object_holds_is_named() -> None:
    assert "Holder -> .value -> [1] -> lock" in message_of(Holder([0, LOCK]))


def test_an_argument_of_a_partial_is_named() -> None:
    def pair(one: Any, other: Any) -> Any:
        return one, other

    assert "partial(pair) -> argument 0 -> lock" in message_of(functools.partial(pair, LOCK))
    assert "partial(pair) -> argument 'other' -> lock" in message_of(functools.partial(pair, other=LOCK))
    bound = functools.partial(Holder(LOCK).method)
    assert "partial(Holder.method) -> partial of Holder.method -> self -> .value -> lock" in message_of(bound)


def test_a_function_that_another_calls_is_walked_through() -> None:
    with socket.socket() as sock:

        def inner(record: Any) -> Any:
            return sock, record

        _own(inner)

        def outer(record: Any) -> Any:
            return inner(record)

        message = message_of(_own(outer), "filter")
    assert "outer -> closure 'inner' -> closure 'sock' -> socket" in message
    assert "given to filter" in message


STEPS = st.lists(st.sampled_from(["list", "tuple", "dict", "set", "object"]), max_size=6)


@given(STEPS)
def test_the_path_leads_through_anything(steps: list[str]) -> None:
    """However the culprit is packed, following the path as written gets to it."""
    value: Any = LOCK
    shown: list[str] = []
    for step in reversed(steps):
        match step:
            case "list":
                value, text = [1, value], "[1]"
            case "tuple":
                value, text = (value, 2), "[0]"
            case "dict":
                value, text = {"a": 0, "k": value}, "['k']"
            case "set":
                try:
                    value, text = {value}, "an element"
                except TypeError:
                    value, text = [value], "[0]"
            case _:
                value, text = Holder(value), ".value"
        shown.insert(0, text)

    def use(record: Any) -> Any:
        return value, record

    assert " -> ".join(["use", "closure 'value'", *shown, "lock"]) in message_of(_own(use))


def test_generators_and_frames_and_broken_reducers_are_culprits_like_others() -> None:
    for value, shown in (((x for x in "ab"), "generator"), (Unspeakable(), "never"), (sys._getframe(), "frame")):

        def use(record: Any, value: Any = value) -> Any:
            return value, record

        assert shown in message_of(_own(use))


def test_something_that_holds_itself_ends() -> None:
    loop: list[Any] = [LOCK]
    loop.insert(0, loop)

    def use(record: Any) -> Any:
        return loop, record

    assert "closure 'loop' -> [1] -> lock" in message_of(_own(use))


def test_an_open_file_is_refused_rather_than_read() -> None:
    with open(__file__, encoding="utf-8") as file:

        def use(record: Any) -> Any:
            return file, record

        assert "closure 'file'" in message_of(_own(use))


def test_what_is_nested_too_deeply_says_so_in_few_words() -> None:
    nested: list[Any] = []
    for _ in range(50_000):
        nested = [nested]

    def use(record: Any) -> Any:
        return nested, record

    try:
        message = message_of(_own(use))
    finally:
        while nested:
            nested = nested.pop()
    assert "closure 'nested'" in message
    assert "nested too deeply" in message
    assert "ctx.broadcast" in message
    assert len(message) < 500


@pytest.mark.parametrize("wrong", [None, 3, "split", [len]])
def test_what_is_not_a_function_is_refused(wrong: Any) -> None:
    message = message_of(wrong)
    assert "map needs a function" in message
    assert repr(wrong) in message


def test_the_error_is_the_programs_and_survives_a_journey() -> None:
    with pytest.raises(ClosureError) as caught:
        user_function(Holder(LOCK), "map")
    assert isinstance(caught.value, ProgramError)
    assert isinstance(caught.value, TypeError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (ClosureError, str(caught.value))


def test_finding_a_culprit_in_a_large_container_pickles_each_element_once() -> None:
    """A walk that pickled everything before the culprit again at every step would take minutes here."""
    big = {f"key{i}": list(range(50)) for i in range(5_000)}
    path, why = find_culprit(Holder({**big, "last": {"deep": {"deeper": LOCK}}}), TypeError("?"))
    assert path == "Holder -> .value -> ['last'] -> ['deep'] -> ['deeper'] -> lock"
    assert why == REASON


@pytest.mark.parametrize("call", [len, str.split, print, functools.partial(max, 0), Holder(3), Holder(3).method, int])
def test_what_can_travel_does(call: Any) -> None:
    taken = user_function(call, "map")
    again = pickle.loads(taken.blob)
    assert callable(again)
    assert taken.digest == user_function(call, "map").digest, "the same function has the same name every time"
