"""Where functions were handed in, what they are called, and when they are pickled."""

from __future__ import annotations

import functools
import pickle
from typing import Any

import pytest

from headrace.plan.functions import UserFunction, call_site, in_engine, name_of, user_function


def test_the_site_is_the_line_that_handed_the_function_in() -> None:
    taken = user_function(len, "map")  # this very line
    assert taken.site.file == __file__
    assert taken.site.function == "test_the_site_is_the_line_that_handed_the_function_in"
    assert taken.site.code.endswith("# this very line")
    assert str(taken.site) == f"{__file__}:{taken.site.line}"


def test_the_site_is_looked_for_outside_this_package() -> None:
    space: dict[str, Any] = {"call_site": call_site, "__name__": "headrace.dataset.somewhere"}
    exec(compile("def inside():\n    return call_site()", "inside.py", "exec"), space)
    assert space["inside"]().file == __file__
    space["__name__"] = "headrace_shop.cart"
    assert space["inside"]().file == "inside.py"


def test_a_site_without_source_has_no_code() -> None:
    space: dict[str, Any] = {"call_site": call_site, "__name__": "__main__"}
    exec(compile("site = call_site()", "<stdin>", "exec"), space)
    assert space["site"].file == "<stdin>"
    assert space["site"].code == ""


@pytest.mark.parametrize(("module", "ours"), [("headrace", True), ("headrace.cli.demo", False), ("headracer", False)])
def test_which_modules_are_ours(module: str, ours: bool) -> None:
    assert in_engine(module) is ours


class Adder:
    def __call__(self, x: int) -> int:
        return x

    def add(self, x: int) -> int:
        return x


def test_names() -> None:
    def local(x: int) -> int:
        return x

    assert name_of(local) == "local"
    assert name_of(Adder()) == "Adder"
    assert name_of(Adder().add) == "Adder.add"
    assert name_of(functools.partial(functools.partial(local), 1)) == "partial(local)"
    assert name_of("abc".join) == "str.join"
    assert repr(user_function(lambda x: x, "map")) == "map(lambda)"


def test_names_are_looked_up_late_as_python_does() -> None:
    """What a function refers to may be defined after it was handed in, as long as it is before the first job."""
    space: dict[str, Any] = {"__name__": "__main__"}
    call = eval("lambda x: helper(x) + BASE", space)
    taken = user_function(call, "map")
    space["BASE"] = 10
    exec("def helper(x):\n    return other(x)\ndef other(x):\n    return x * 2", space)
    assert pickle.loads(taken.blob)(4) == 18


def test_after_the_first_submission_a_function_is_what_it_was() -> None:
    space: dict[str, Any] = {"__name__": "__main__", "BASE": 1}
    taken = user_function(eval("lambda: BASE", space), "map")
    first = taken.blob
    space["BASE"] = 2
    assert taken.blob is first
    assert pickle.loads(taken.blob)() == 1


def test_a_function_is_itself_and_no_other() -> None:
    site = call_site()
    assert UserFunction(len, "map", site) == UserFunction(len, "filter", site)
    assert UserFunction(len, "map", site) != UserFunction(sum, "map", site)
    assert len({UserFunction(len, "map", site), UserFunction(len, "map", site)}) == 1
