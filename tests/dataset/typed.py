"""What the type checker makes of the public API: nothing here runs, `make types` reads it.

`assert_type` fails where the type is another; `# type: ignore[...]` fails where nothing is wrong any more.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

import headrace
from headrace.context import Context
from headrace.dataset import Dataset
from headrace.execute.groups import Group
from headrace.execute.shared import Accumulator, Broadcast
from headrace.plan.html import Plan


def sources(ctx: Context) -> None:
    assert_type(headrace.connect(), Context)
    assert_type(ctx.text_file("a"), Dataset[str])
    assert_type(ctx.text_file([Path("a"), Path("b")]), Dataset[str])
    assert_type(ctx.parallelize([1, 2]), Dataset[int])
    assert_type(ctx.parallelize({"a": 1.5}.items()), Dataset[tuple[str, float]])
    assert_type(ctx.range(3), Dataset[int])
    ctx.parallelize(3)  # type: ignore[arg-type]
    ctx.text_file(3)  # type: ignore[arg-type]
    assert_type(ctx.whole_text_files("a"), Dataset[tuple[str, str]])
    assert_type(ctx.binary_files("a"), Dataset[tuple[str, bytes]])
    assert_type(ctx.binary_records("a", 4), Dataset[bytes])
    assert_type(ctx.csv("a", delimiter=";"), Dataset[list[Any]])
    assert_type(ctx.csv("a", header=True), Dataset[dict[Any, Any]])
    with headrace.connect("inline://") as inner:
        assert_type(inner, Context)


def of_each_record(lines: Dataset[str]) -> None:
    assert_type(lines.map(len), Dataset[int])
    assert_type(lines.map(lambda line: (line, 1)), Dataset[tuple[str, int]])
    assert_type(lines.flat_map(str.split), Dataset[str])
    assert_type(lines.flat_map(lambda line: [len(line)]), Dataset[int])
    assert_type(lines.filter(bool), Dataset[str])
    assert_type(lines.key_by(len), Dataset[tuple[int, str]])
    assert_type(lines.map_partitions(lambda part: [sum(map(len, part))]), Dataset[int])
    assert_type(lines.map_partitions(numbered), Dataset[tuple[int, str]])
    assert_type(lines.union(lines), Dataset[str])
    assert_type(lines.distinct(), Dataset[str])
    assert_type(lines.sort_by(len, ascending=False), Dataset[str])
    assert_type(lines.cache().unpersist(), Dataset[str])
    lines.map(abs)  # type: ignore[arg-type]
    lines.flat_map(len)  # type: ignore[arg-type]
    lines.union([1])  # type: ignore[arg-type]
    lines.sort_by()  # type: ignore[call-arg]


def numbered(part: Iterator[str]) -> Iterator[tuple[int, str]]:
    yield from enumerate(part)


def of_pairs(pairs: Dataset[tuple[str, int]], homes: Dataset[tuple[str, bytes]], lines: Dataset[str]) -> None:
    assert_type(pairs.keys(), Dataset[str])
    assert_type(pairs.values(), Dataset[int])
    assert_type(pairs.map_values(float), Dataset[tuple[str, float]])
    assert_type(pairs.flat_map_values(lambda v: [str(v)]), Dataset[tuple[str, str]])
    assert_type(pairs.reduce_by_key(operator.add), Dataset[tuple[str, int]])
    assert_type(pairs.reduce_by_key(max, num_partitions=3), Dataset[tuple[str, int]])
    assert_type(pairs.group_by_key(), Dataset[tuple[str, Group[int]]])
    assert_type(pairs.group_by_key().map_values(sum), Dataset[tuple[str, int]])
    assert_type(pairs.combine_by_key(listed, appended, joined), Dataset[tuple[str, list[int]]])
    assert_type(pairs.partition_by(3, hash), Dataset[tuple[str, int]])
    assert_type(pairs.join(homes), Dataset[tuple[str, tuple[int, bytes]]])
    assert_type(pairs.join(homes).values(), Dataset[tuple[int, bytes]])
    lines.keys()  # type: ignore[misc]
    lines.reduce_by_key(max)  # type: ignore[misc]
    lines.join(pairs)  # type: ignore[misc, arg-type]
    pairs.join(lines)  # type: ignore[arg-type]
    pairs.map_values(len)  # type: ignore[arg-type]


def listed(value: int) -> list[int]:
    return [value]


def appended(values: list[int], value: int) -> list[int]:
    return [*values, value]


def joined(one: list[int], other: list[int]) -> list[int]:
    return one + other


def actions(pairs: Dataset[tuple[str, int]], numbers: Dataset[int], lines: Dataset[str]) -> None:
    assert_type(pairs.collect(), list[tuple[str, int]])
    assert_type(pairs.collect_as_map(), dict[str, int])
    assert_type(pairs.group_by_key().collect_as_map(), dict[str, Group[int]])
    assert_type(pairs.count(), int)
    assert_type(numbers.sum(), int)
    assert_type(numbers.reduce(max), int)
    assert_type(lines.reduce(operator.add), str)
    assert_type(pairs.take(3), list[tuple[str, int]])
    assert_type(pairs.first(), tuple[str, int])
    assert_type(pairs.top(3, key=lambda pair: pair[1]), list[tuple[str, int]])
    assert_type(pairs.count_by_key(), defaultdict[str, int])
    assert_type(lines.count_by_value(), defaultdict[str, int])
    assert_type(numbers.to_local_iterator(), Iterator[int])
    assert_type(pairs.explain(), Plan)
    assert_type(pairs.get_num_partitions(), int)
    assert_type(pairs.is_cached, bool)
    lines.collect_as_map()  # type: ignore[misc]
    lines.top("3")  # type: ignore[arg-type]
    nothing: None = lines.foreach(print)
    assert nothing is None


def shared(ctx: Context, group: Group[int]) -> None:
    assert_type(ctx.broadcast({"a": 1}), Broadcast[dict[str, int]])
    assert_type(ctx.broadcast({"a": 1}).value, dict[str, int])
    assert_type(ctx.accumulator(0), Accumulator[int])
    assert_type(ctx.accumulator(0.5).value, float)
    ctx.accumulator(0).add("a")  # type: ignore[arg-type]
    assert_type(len(group), int)
    assert_type(list(group), list[int])
