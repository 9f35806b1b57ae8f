"""Joining pairs equal keys: left by left and right by right, whatever fits in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import KeyProblem
from headrace.execute.joining import join
from headrace.execute.kernels import Columns
from tests.execute.help import MemoryScratch

KEYS = st.one_of(st.sampled_from(["a", "b", None, 1, 1.0, True, 0, b"a", (1, 2), (1.0, 2)]), st.text(max_size=1))
SIDE = st.lists(st.lists(st.tuples(KEYS, st.integers(0, 9)), max_size=12), max_size=4)
Side = list[list[tuple[Any, int]]]


def columns(side: Side) -> Iterator[Columns]:
    return (([key for key, _ in batch], [value for _, value in batch]) for batch in side)


def oracle(left: Side, right: Side) -> dict[Any, list[tuple[Any, Any]]]:
    """A dictionary of lists: its keys are the first ones, as the left side has them."""
    found: dict[Any, list[tuple[Any, Any]]] = {}
    others = [pair for batch in right for pair in batch]
    for key, one in (pair for batch in left for pair in batch):
        if matched := [other for at, other in others if at == key]:
            found.setdefault(key, []).extend((one, other) for other in matched)
    return found


@given(SIDE, SIDE, st.sampled_from([1 << 30, 2_000, 1]))
def test_every_pairing_in_order(left: Side, right: Side, budget: int) -> None:
    scratch = MemoryScratch()
    pairs = [pair for some in join(columns(left), columns(right), budget, lambda: scratch) for pair in some]
    by_key: dict[Any, list[tuple[Any, Any]]] = {}
    for key, pair in pairs:
        by_key.setdefault(key, []).append(pair)
    assert by_key == oracle(left, right)
    assert {repr(key) for key, _ in pairs} == {repr(key) for key in oracle(left, right)}


def test_keys_without_a_partner_are_not_remembered() -> None:
    """Else a left side larger than memory would be held, key by key."""
    left = (([number], [number]) for number in range(200_000))
    scratch = MemoryScratch()
    tracemalloc.start()
    try:
        pairs = [pair for some in join(left, columns([[(5, 0), (7.0, 1)]]), 1 << 30, lambda: scratch) for pair in some]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert pairs == [(5, (5, 0)), (7, (7, 1))]
    assert most < 1_000_000


@pytest.mark.parametrize("key", [[1], {}, (1, [2])])
@pytest.mark.parametrize("where", ["left", "right"])
@pytest.mark.parametrize("budget", [1 << 30, 1])
def test_a_key_that_cannot_be_is_named(key: Any, where: str, budget: int) -> None:
    good, bad = [[("a", 1)]], [[("a", 1)], [("b", 0), (key, 2)]]
    sides = (bad, good) if where == "left" else (good, bad)
    scratch = MemoryScratch()
    with pytest.raises(KeyProblem, match="cannot be a key"):
        list(join(columns(sides[0]), columns(sides[1]), budget, lambda: scratch))
