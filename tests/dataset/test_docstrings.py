"""Everything public says what it does, with an example that is run (pytest runs the doctests of `src`)."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import pytest

import headrace
from headrace.context import Context
from headrace.dataset import Dataset
from headrace.execute.groups import Group
from headrace.execute.shared import Accumulator, Broadcast


def public() -> Iterator[tuple[str, Any]]:
    yield "connect", headrace.connect
    for kind in (Context, Dataset, Accumulator, Broadcast):
        for name in dir(kind):
            member = inspect.getattr_static(kind, name)
            if not name.startswith("_") and (callable(member) or isinstance(member, property)):
                yield f"{kind.__name__}.{name}", member


@pytest.mark.parametrize(("name", "member"), list(public()))
def test_everything_public_has_an_example(name: str, member: Any) -> None:
    text = inspect.getdoc(member) or ""
    assert ">>> " in text, f"{name} has no example"
    assert text.splitlines()[0].rstrip().endswith((".", ";", ":")), f"{name} begins with half a sentence"


@pytest.mark.parametrize(("name", "member"), list(public()))
def test_arguments_that_are_explained_exist(name: str, member: Any) -> None:
    text = inspect.getdoc(member) or ""
    _, _, rest = text.partition("Args:\n")
    explained = [
        argument.strip()
        for line in rest.partition("\n\n")[0].splitlines()
        if line.startswith("    ") and not line.startswith("     ") and ":" in line
        for argument in line.partition(":")[0].split(",")
    ]
    if explained:
        assert set(explained) <= set(inspect.signature(member).parameters), name


def test_a_group_has_one_too() -> None:
    assert ">>> " in (inspect.getdoc(Group) or "")
