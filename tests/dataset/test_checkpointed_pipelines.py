"""Random chains of operators, cut at random places: the records are those of plain Python, whatever is lost and when."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import headrace
from headrace import testing
from headrace.context import Context
from headrace.dataset import Dataset
from tests.dataset.data import flat, lay_out
from tests.dataset.pipelines import PIPELINES, Pipeline, faces
from tests.real.help import until

CUTS = st.lists(st.sampled_from(["", "", "checkpoint", "local", "run", "checkpoint, run", "local, run"]), max_size=8)
LASTING = st.lists(st.sampled_from(["", "", "checkpoint", "run", "checkpoint, run"]), max_size=8)


@pytest.fixture(scope="module")
def ctx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    with headrace.connect("inline://", progress=False) as context:
        context.set_checkpoint_dir(tmp_path_factory.mktemp("checkpoints"))
        yield context


def check(ctx: Context, pipeline: Pipeline, cuts: list[str]) -> None:
    """Every dataset on the way, too, as it is when all of them are cut; each under its own name for itself."""
    made = lay_out(ctx, pipeline.parts)
    pairs = flat(pipeline.parts)
    on_the_way: list[tuple[Dataset[Any], list[str]]] = []
    for place, (step, number) in enumerate(pipeline.steps):
        made = step.run(made, number)
        pairs = step.model(pairs)
        cut = cuts[place] if place < len(cuts) else ""
        if "checkpoint" in cut:
            made.checkpoint()
        if "local" in cut:
            made.local_checkpoint()
        if "run" in cut:
            assert made.count() == len(pairs)
        on_the_way.append((made, faces(pairs)))
    for dataset, expected in reversed(on_the_way):
        assert faces(dataset.collect()) == expected
    ctx.wait_for_checkpoints()
    for dataset, expected in on_the_way:
        partitions, partitioner = dataset.get_num_partitions(), dataset.partitioner
        assert faces(dataset.collect()) == expected
        assert sum(dataset.glom().map(len).collect()) == len(expected)
        if partitioner is not None:
            dealt = dataset.keys().map_partitions_with_index(lambda p, keys: [(p, key) for key in keys]).collect()
            assert {(p, partitioner.partition(key)) for p, key in dealt} <= {(p, p) for p in range(partitions)}


@given(pipeline=PIPELINES, cuts=CUTS)
@settings(max_examples=40)
def test_inline(ctx: Context, pipeline: Pipeline, cuts: list[str]) -> None:
    check(ctx, pipeline, cuts)


@given(pipeline=PIPELINES, cuts=LASTING, seed=st.integers(0, 10_000))
@settings(max_examples=25)
def test_in_a_simulated_world_where_everything_goes_wrong(
    tmp_path_factory: pytest.TempPathFactory, pipeline: Pipeline, cuts: list[str], seed: int
) -> None:
    with headrace.connect(f"sim://?workers=4&hosts=2&seed={seed}&faults=all", progress=False) as ctx:
        ctx.set_checkpoint_dir(tmp_path_factory.getbasetemp() / "simulated")
        check(ctx, pipeline, cuts)


def test_a_loop_through_kills_with_a_checkpoint_in_every_third_round(tmp_path: Path) -> None:
    with headrace.connect("local://?workers=4&hosts=2", progress=False) as ctx:
        ctx.set_checkpoint_dir(tmp_path)
        links = ctx.parallelize([(i % 20, (i * 7) % 20) for i in range(60)], 3).partition_by(3).cache()
        ranks = ctx.parallelize([(i, 1) for i in range(20)], 2)
        expected = dict.fromkeys(range(20), 1)
        for number in range(9):
            ranks = links.join(ranks).values().reduce_by_key(operator.add, 3).map_values(lambda x: x % 1009)
            if number % 3 == 1:
                ranks.checkpoint()
            counted = ranks.collect_as_map()
            shared: dict[int, int] = {}
            for source, target in [(i % 20, (i * 7) % 20) for i in range(60)]:
                shared[target] = shared.get(target, 0) + expected.get(source, 0)
            expected = {target: total % 1009 for target, total in shared.items()}
            assert counted == expected
            if number == 4:
                testing.kill_worker(ctx, until(ctx.workers, "somebody is there")[0].id)
            if number == 6:
                testing.kill_host(ctx, ctx.workers()[0].host)
        assert len(ctx._session.controller.scheduler.lineage.alive()) < 9, (
            "the rounds before a checkpoint are forgotten"
        )
