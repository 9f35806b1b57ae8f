"""What `explain()` says, word for word, for the shapes that jobs have."""

from __future__ import annotations

import operator
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.context import Context
from headrace.dataset import Dataset

BOTH = (
    "re-run, replicate (backup copies of slow tasks), because its tasks read immutable input and write once, "
    "so running one twice is safe"
)
ALONE = "re-run, because its tasks read immutable input; backup copies are switched off"


def word_count(ctx: Context, folder: Path) -> Dataset[Any]:
    for name in ("one", "two"):
        (folder / name).write_text("to be\n")
    words = ctx.text_file(f"{folder}/*").flat_map(str.split)
    return words.map(lambda word: (word, 1)).reduce_by_key(operator.add)


def narrow(ctx: Context, _: Path) -> Dataset[Any]:
    return ctx.range(10).filter(bool).map_partitions(sorted).key_by(str).values()


def sorted_words(ctx: Context, folder: Path) -> Dataset[Any]:
    return word_count(ctx, folder).filter(len).cache().sort_by(repr, num_partitions=2)


def joined(ctx: Context, _: Path) -> Dataset[Any]:
    left = ctx.parallelize([(1, 2)], 2).partition_by(3)
    return left.reduce_by_key(max).join(ctx.parallelize([(1, 3)], 1)).group_by_key()


def united(ctx: Context, _: Path) -> Dataset[Any]:
    return ctx.range(3, num_slices=1).distinct(2).union(ctx.range(4, num_slices=3))


def through_a_function(ctx: Context, _: Path) -> Dataset[Any]:
    return ctx.parallelize([(1, 2)], 1).partition_by(2, abs).combine_by_key(abs, max, min)


def arranged(ctx: Context, _: Path) -> Dataset[Any]:
    words = ctx.parallelize("abc", 3).pipe("tr a-z A-Z")
    few = words.sample(False, 0.25, 1).coalesce(2)
    return few.cartesian(few.map(str.lower).zip(few).cache()).zip_with_unique_id()


def ordered(ctx: Context, _: Path) -> Dataset[Any]:
    pairs = ctx.parallelize([(1, 2)], 1).sample_by_key(True, {1: 2.0}, 3)
    return pairs.repartition_and_sort_within_partitions(2, keyfunc=abs).full_outer_join(pairs, 2).repartition(3)


UPPER = "parallelize(3 slices) -> pipe(tr a-z A-Z) -> sample(0.25 of the records)"
FEW = "coalesce(3 partitions to 2, neighbours together)"
PAIRED = "zip(map and coalesce) -> cartesian(2 of coalesce x 2 of zip) -> zip_with_unique_id"
CASES: list[tuple[Callable[[Context, Path], Dataset[Any]], str]] = [
    (
        word_count,
        f"""\
        stage 1 (map, 1 task)
          fused:    text_file(2 files) -> flat_map(str.split) -> map(lambda)
          shuffles: to 8 partitions by hash(8), combined on the map side first
          recovery: {BOTH}
        stage 2 (result, 8 tasks)
          runs:     reduce_by_key(add)
          reads:    shuffle 1
          result:   collect
          recovery: {BOTH}""",
    ),
    (
        narrow,
        f"""\
        stage 1 (result, 2 tasks)
          fused:    range(2 slices) -> filter(bool) -> map_partitions(sorted) -> key_by(str) -> values
          result:   collect
          recovery: {BOTH}""",
    ),
    (
        sorted_words,
        f"""\
        stage 1 (map, 1 task)
          fused:    text_file(2 files) -> flat_map(str.split) -> map(lambda)
          shuffles: to 8 partitions by hash(8), combined on the map side first
          recovery: {BOTH}
        stage 2 (map, 8 tasks)
          fused:    reduce_by_key(add) -> filter(len)
          reads:    shuffle 1
          cached:   filter, in the workers' memory
          shuffles: to 2 partitions by range(2)
          recovery: {BOTH}
        stage 3 (result, 2 tasks)
          runs:     sort_by(repr)
          reads:    shuffle 2
          result:   collect
          recovery: {BOTH}""",
    ),
    (
        joined,
        f"""\
        stage 1 (map, 2 tasks)
          runs:     parallelize(2 slices)
          shuffles: to 3 partitions by hash(3)
          recovery: {BOTH}
        stage 2 (map, 1 task)
          runs:     parallelize(1 slice)
          shuffles: to 3 partitions by hash(3)
          recovery: {BOTH}
        stage 3 (result, 3 tasks)
          fused:    partition_by -> reduce_by_key(max) -> join -> group_by_key
          reads:    shuffle 1, shuffle 2
          result:   collect
          recovery: {BOTH}""",
    ),
    (
        united,
        f"""\
        stage 1 (map, 1 task)
          runs:     range(1 slice)
          shuffles: to 2 partitions by hash(2), combined on the map side first
          recovery: {BOTH}
        stage 2 (result, 5 tasks)
          fused:    distinct | range(3 slices) -> union
          reads:    shuffle 1
          result:   collect
          recovery: {BOTH}""",
    ),
    (
        through_a_function,
        f"""\
        stage 1 (map, 1 task)
          runs:     parallelize(1 slice)
          shuffles: to 2 partitions by abs modulo 2
          recovery: {BOTH}
        stage 2 (result, 2 tasks)
          fused:    partition_by -> combine_by_key(min)
          reads:    shuffle 1
          result:   collect
          recovery: {BOTH}""",
    ),
    (
        arranged,
        f"""\
        stage 1 (result, 4 tasks)
          fused:    {UPPER} -> {FEW} -> map(str.lower) -> {PAIRED}
          cached:   zip, in the workers' memory
          result:   collect
          recovery: re-run, because its functions have effects, so a task is re-run if lost but never copied""",
    ),
    (
        ordered,
        f"""\
        stage 1 (map, 1 task)
          fused:    parallelize(1 slice) -> sample_by_key(of 1 key)
          shuffles: to 2 partitions by hash(2)
          recovery: {BOTH}
        stage 2 (map, 1 task)
          fused:    parallelize(1 slice) -> sample_by_key(of 1 key)
          shuffles: to 2 partitions by hash(2)
          recovery: {BOTH}
        stage 3 (map, 2 tasks)
          fused:    partition_by -> repartition_and_sort_within_partitions(abs of the key) -> full_outer_join -> repartition
          reads:    shuffle 1, shuffle 2
          shuffles: to 3 partitions, in turn
          recovery: {BOTH}
        stage 4 (result, 3 tasks)
          runs:     repartition
          reads:    shuffle 3
          result:   collect
          recovery: {BOTH}""",
    ),
]


@pytest.mark.parametrize(("build", "said"), CASES, ids=[build.__name__ for build, _ in CASES])
def test_word_for_word(build: Callable[[Context, Path], Dataset[Any]], said: str, tmp_path: Path) -> None:
    said = textwrap.dedent(said)
    with headrace.connect("sim://?workers=2", progress=False) as ctx:
        dataset = build(ctx, tmp_path)
        assert dataset.explain() == said
        dataset.collect()
        again = dataset.explain().split("\nstage ")
        assert [part.partition("\n")[0].endswith("finished: reused)") for part in again[:-1]] == [True] * (
            len(again) - 1
        )
    with headrace.connect("sim://?workers=2&speculate=no", progress=False) as ctx:
        assert build(ctx, tmp_path).explain() == said.replace(BOTH, ALONE)
