"""Gives doctests a context: `ctx`, with one worker, in this very process; and a `folder` to write to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def _doctest_context() -> Iterator[Any]:
    import headrace

    with headrace.connect("inline://", progress=False) as ctx:
        yield ctx


@pytest.fixture(autouse=True)
def _ctx(request: pytest.FixtureRequest, doctest_namespace: dict[str, Any]) -> None:
    if "DoctestItem" in type(request.node).__name__:
        doctest_namespace["ctx"] = request.getfixturevalue("_doctest_context")
        doctest_namespace["folder"] = request.getfixturevalue("tmp_path")
