"""Every process may have a hash seed of its own: nothing that counts depends on the order of a set, or on `hash`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import headrace
from headrace.context import Context
from tests.real.help import Program

JOB = """
import operator, sys, time, headrace
words = [f"word-{number % 97}" for number in range(4000)] + [None, (1, "x"), 2.5, b"raw", frozenset("a")] * 3

with headrace.connect(sys.argv[1], progress=False) as ctx:
    seeds = set()
    while len(seeds) < (3 if sys.argv[1].startswith("local") else 1):  # each of the workers, and they have three
        seeds |= set(ctx.range(12, num_slices=12).map(lambda _: time.sleep(0.01) or hash("seed")).collect())
    pairs = ctx.parallelize(words, 8).map(lambda word: (word, 0.1))
    counts = pairs.reduce_by_key(operator.add, 6)
    print(len(seeds))
    print(counts.collect())                               # in order, too: of partitions, and within them
    print(pairs.group_by_key(5).map_values(len).collect())
    print(pairs.distinct(4).count(), ctx.parallelize(words, 8).distinct(3).collect())
    print(counts.join(pairs.reduce_by_key(operator.add, 6)).collect())
    print(sorted(ctx.parallelize(words, 8).count_by_value().items(), key=repr))
    print(ctx.parallelize(words[:400], 8).sort_by(str, num_partitions=3).collect())
"""


def run(lair: Path, url: str, seed: str) -> list[str]:
    program = Program.script(JOB, lair, url, env={"PYTHONHASHSEED": seed})
    return program.ok().splitlines()


def test_workers_have_hash_seeds_of_their_own_and_results_are_the_same(lair: Path) -> None:
    """`random` is what everybody has: the program and each worker draw one."""
    number, *real = run(lair, "local://?workers=3&hosts=3", "random")
    assert number == "3"
    _, *fixed = run(lair, "inline://", "7")
    assert real == fixed


@pytest.mark.skipif(os.environ.get("PYTHONHASHSEED", "random") != "random", reason="all processes have one seed")
def test_a_replacement_with_another_seed_deals_records_as_its_predecessor_did(lair: Path) -> None:
    """The map outputs of the first half are the dead worker's, the others its successor's: a key has one partition."""
    folder = str(lair)

    def die_once(x: int) -> int:
        if x == 250:
            try:
                os.mkdir(f"{folder}/{x}")
                os.kill(os.getpid(), 9)
            except FileExistsError:
                pass
        return x

    def seed(ctx: Context) -> int:
        return ctx.range(1).map(lambda _: hash("seed")).first()

    with headrace.connect("local://?workers=1", progress=False) as ctx:
        before = seed(ctx)
        pairs = ctx.range(400, num_slices=4).map(die_once).map(lambda x: (("key", str(x % 31)), x))
        counts = pairs.reduce_by_key(lambda a, b: a + b, 7)
        assert counts.count() == 31
        assert counts.collect_as_map() == {("key", str(key)): sum(range(key, 400, 31)) for key in range(31)}
        assert seed(ctx) != before, "there is another, with another seed"
