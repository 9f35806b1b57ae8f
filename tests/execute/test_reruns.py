"""A task that is run again does exactly what it did: same records, same order, same bits, same spills, in any process."""

from __future__ import annotations

import hashlib
import operator
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.plan.operators import Operator
from headrace.plan.partitioners import RangePartitioner
from tests.execute.data import BUDGETS, PARTITIONS, PIECES, keyed_parts
from tests.execute.help import World
from tests.plan.lineage import Lineage, combining, reducing, user

ROOT = Path(__file__).parents[2]
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)


def summed(parts: Any, number: int) -> Operator:
    make = Lineage()
    return make.combined(make.slices(parts), reducing(operator.add), number)


@given(keyed_parts(FLOATS), PARTITIONS, BUDGETS, PIECES, PIECES)
def test_sums_of_floats_have_the_same_bits_every_time(
    parts: Any, number: int, budget: int, piece: int, other: int
) -> None:
    tip = summed(parts, number)
    once, again = World(budget, piece), World(budget, other)
    assert repr(once.records(tip)) == repr(again.records(tip))
    assert once.spilled == again.spilled


@given(keyed_parts(FLOATS), PARTITIONS)
def test_sums_are_those_of_partitions_added_in_their_order(parts: Any, number: int) -> None:
    """With memory enough: each map partition's sum, then the sums, from the first partition to the last."""
    expected: dict[str, float] = {}
    for part in parts:
        sums: dict[str, float] = {}
        for key, value in part:
            name = repr(key + 0 if isinstance(key, int) else key)
            sums[name] = sums[name] + value if name in sums else value
        for name, value in sums.items():
            expected[name] = expected[name] + value if name in expected else value
    named = [[(repr(key + 0 if isinstance(key, int) else key), value) for key, value in part] for part in parts]
    result = dict(pair for part in World().records(summed(named, number)) for pair in part)
    assert {k: v.hex() for k, v in result.items()} == {k: float(v).hex() for k, v in expected.items()}


def digest_of_everything() -> dict[str, str]:
    """Run jobs that spill in every kind of table, with values whose sizes have to be estimated."""
    chance = random.Random(5)
    rows = [
        [
            (
                f"key {chance.randrange(400)}",
                (
                    chance.uniform(-1, 1),
                    frozenset(f"{chance.randrange(99)}" * chance.randrange(1, 9) for _ in range(12)),
                ),
            )
            for _ in range(400)
        ]
        for _ in range(3)
    ]

    def merge(one: Any, other: Any) -> Any:
        return one[0] + other[0], one[1] | other[1]

    digests = {}
    for budget in (60_000, 150_000):
        make = Lineage()
        pairs = make.slices(rows)
        ranges = RangePartitioner(3, user(lambda pair: pair[0]), ascending=True)
        ranges.settle([(f"key {n}", 1.0) for n in range(400)])
        combine = combining(lambda value: [value], lambda c, value: [*c, value], operator.add)
        tips = {
            "reduced": make.record(make.combined(pairs, reducing(merge), 2), "map_values", lambda v: v[0].hex()),
            "combined": make.record(make.combined(pairs, combine, 2), "map_values", lambda v: [x.hex() for x, _ in v]),
            "grouped": make.record(make.grouped(pairs, 2), "map_values", lambda group: [x.hex() for x, _ in group]),
            "sorted": make.record(
                make.merged("sort", make.moved(pairs, ranges, keyed_by=lambda pair: pair[0])),
                "map",
                lambda pair: (pair[0], pair[1][0].hex()),
            ),
        }
        for name, tip in tips.items():
            world = World(budget)
            records = world.records(tip)
            assert world.spilled, f"{name} was to spill"
            digests[f"{name} {budget}"] = hashlib.sha256(repr(records).encode()).hexdigest()[:12]
    return digests


@pytest.mark.parametrize("seed", ["1", "2"])
def test_another_process_spills_in_the_same_places(seed: str) -> None:
    """Sets of text are in another order there; nothing that a table decides may depend on it."""
    code = "from tests.execute.test_reruns import *\nfrom tests.execute.conftest import *\n"
    code += "import headrace.execute.task as task\ntask.SHARED_BYTES_MIN = 1\nprint(digest_of_everything())"
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    child = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True)
    assert child.stdout.decode().strip() == str(digest_of_everything())


def test_map_outputs_that_arrived_in_another_order_are_merged_in_the_order_of_their_partitions() -> None:
    parts = [[("k", 0.1 * 3**place), ("k", 1e16), ("k", -1e16)] for place in range(6)]
    tip = summed(parts, 1)
    results = set()
    for seed in range(5):
        world = World()
        world.run(tip)
        shuffled = list(world.outputs.items())
        random.Random(seed).shuffle(shuffled)
        later = World()
        later.outputs = dict(shuffled)
        results.add(repr(later.rerun_last(tip)))
    assert len(results) == 1
