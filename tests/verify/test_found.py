"""What depends on more than its input is found: with the operator, an example, and what it depends on."""

from __future__ import annotations

import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.context import Context
from headrace.errors import NotDeterministic
from tests.real.help import lines_of
from tests.verify.jobs import CULPRITS, LINES, as_sets, default_argument, honest, sets_order

EVERYWHERE = ["inline://", "local://?workers=2", "sim://?seed=7&workers=3"]


def connect(url: str) -> Context:
    return headrace.connect(url, progress=False, verify_determinism="all")


def raised(action: Callable[[], Any]) -> NotDeterministic:
    with pytest.raises(NotDeterministic) as caught:
        action()
    return caught.value


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("inline://", ["float_sum_over_a_set", "process", "address"]),
        ("local://?workers=2", ["dict_of_a_set", "clock", "counter"]),
        ("sim://?seed=7&workers=3", ["sets_order"]),
        *(pytest.param(url, sorted(CULPRITS), marks=pytest.mark.slow) for url in EVERYWHERE),
    ],
)
def test_each_kind_of_culprit(url: str, names: list[str]) -> None:
    """In one context: one that was found leaves the others to be found."""
    with connect(url) as ctx:
        lines = ctx.parallelize(LINES, 3).map(str.upper)
        for name in names:
            function, cause = CULPRITS[name]
            error = raised(lines.flat_map(function).filter(bool).collect)
            assert (error.operator, error.cause) == ("flat_map", cause), (name, error)
            assert error.example[0] != error.example[1], name
            assert all(error.example), name
            assert f"{Path(__file__).name}:" in error.site
            assert "lines.flat_map(function)" in str(error), "the line of the program"
            assert "OAK" in error.args[0].partition("given")[2], "the record that it was given"
        assert lines.flat_map(honest).count() == 6 * len(LINES)
    told = lines_of(ctx.run, "verified")
    assert len(told) == len(names) + 1
    assert all(line["differs"].endswith("in flat_map") for line in told[:-1])
    assert told[-1]["same"] == 3
    assert "differs" not in told[-1]


def shuffled(one: list[str], other: list[str]) -> list[str]:
    return list({*one, *other})


def test_it_is_found_wherever_functions_are() -> None:
    """In a key, in what merges values before and behind a shuffle, in a partition, in the function of an action."""
    with connect("inline://") as ctx:
        lines = ctx.parallelize(LINES, 2)
        pairs = lines.map(lambda line: (len(line) % 2, line.split()))
        cases: dict[str, Callable[[], Any]] = {
            "reduce_by_key": pairs.reduce_by_key(shuffled).collect,
            "sort_by": lambda: lines.sort_by(hash).collect(),
            "fold": lambda: lines.map(str.split).fold([], shuffled),
            "map": lambda: lines.map(as_sets).map(lambda sets: [list(one) for one in sets]).collect(),
            "filter": lines.filter(lambda line: hash(line) % 2 == 0).map(str.upper).collect,
        }
        for name, action in cases.items():
            error = raised(action)
            assert (error.operator, error.cause) == (name, "hash order"), error


def test_what_is_written_and_what_is_added_up_are_outputs_too(tmp_path: Path) -> None:
    with connect("inline://") as ctx:
        lines = ctx.parallelize(LINES, 2)
        error = raised(lambda: lines.map(lambda line: set(line.split())).save_as_text_file(tmp_path / "out"))
        assert "map" in error.operator
        assert not (tmp_path / "out").exists(), "nothing of it is there"
        words = ctx.accumulator("")
        error = raised(lines.map(lambda line: words.add("".join(set(line.split())))).count)
        assert error.operator == "what was added to accumulators"


def test_the_attempt_is_kept_for_a_replay() -> None:
    with connect("local://?workers=2&hosts=2") as ctx:
        error = raised(ctx.parallelize(LINES, 4).map(sets_order).collect)
    assert f"headrace replay {error.run} {error.attempt}" in str(error)
    error.replay()


def test_a_state_that_one_task_leaves_is_found_though_there_is_but_one_task() -> None:
    with connect("inline://") as ctx:
        assert raised(ctx.parallelize(LINES, 1).map(lambda line: default_argument(line)).collect).cause == "state"


def test_nothing_is_found_where_nobody_looks() -> None:
    with headrace.connect("inline://", progress=False) as ctx:
        assert ctx.parallelize(LINES, 2).flat_map(sets_order).count() == 72
        assert ctx.parallelize(LINES, 2).map(lambda line: (line, 1)).reduce_by_key(operator.add).count() == 12
    assert lines_of(ctx.run, "verified") == []
