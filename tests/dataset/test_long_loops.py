"""Programs that go round hundreds of times: what a round costs to plan, and what is held, does not grow."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any

import pytest

import headrace
from headrace.context import Context
from headrace.dataset import Dataset
from headrace.loops.jobs import JobHandle, JobRequest
from headrace.plan.operators import ancestors

EDGES = [(i % 20, (i * 7 + i // 20) % 20) for i in range(60)]


class Planned:
    """How many operators each job was planned from."""

    def __init__(self, ctx: Context, monkeypatch: pytest.MonkeyPatch) -> None:
        self.operators: list[int] = []
        submit = ctx._session.submit

        def noting(request: JobRequest) -> JobHandle:
            self.operators.append(len(request.keep))
            return submit(request)

        monkeypatch.setattr(ctx._session, "submit", noting)


def step(links: Dataset[Any], ranks: Dataset[Any]) -> Dataset[Any]:
    return links.join(ranks).values().reduce_by_key(operator.add, 2).map_values(lambda x: x % 1009)


def plain(number: int) -> dict[int, int]:
    ranks = dict.fromkeys(range(20), 1)
    for _ in range(number):
        after: dict[int, int] = {}
        for source, target in EDGES:
            if source in ranks:
                after[target] = after.get(target, 0) + ranks[source]
        ranks = {target: total % 1009 for target, total in after.items()}
    return ranks


def begin(ctx: Context) -> tuple[Dataset[Any], Dataset[Any]]:
    links = ctx.parallelize(EDGES, 2).partition_by(2).cache()
    return links, ctx.parallelize([(i, 1) for i in range(20)], 2).partition_by(2)


@pytest.mark.parametrize("cached", [False, True])
def test_a_round_is_planned_from_what_is_new(inline: Context, monkeypatch: pytest.MonkeyPatch, cached: bool) -> None:
    planned = Planned(inline, monkeypatch)
    links, ranks = begin(inline)
    for _ in range(30):
        ranks = step(links, ranks)
        if cached:
            ranks = ranks.cache()
        ranks.count()
    assert ranks.collect_as_map() == plain(30)
    assert len(set(planned.operators[2:-1])) == 1, planned.operators
    assert len(inline._engine.unsettled) == 0


def test_no_round_moves_what_lies_right_already(inline: Context) -> None:
    links, ranks = begin(inline)
    for _ in range(3):
        ranks = step(links, ranks)
    assert ranks.explain().count("  shuffles: ") == 2 + 3, (
        "the links once, the first ranks once, and one for each round"
    )


@pytest.mark.parametrize("url", ["inline://?", "sim://?workers=3&hosts=2&seed=11&faults=all&"])
def test_lineages_are_cut_before_they_grow_too_long(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with headrace.connect(f"{url}lineage=30", checkpoint="auto", progress=False) as ctx:
        planned = Planned(ctx, monkeypatch)
        links, ranks = begin(ctx)
        lengths, alive = [], []
        for _ in range(50):
            ranks = step(links, ranks)
            ranks.count()
            lengths.append(len(ancestors(ranks._operator)))
            alive.append(len(ctx._session.controller.scheduler.lineage.alive()))
        assert ranks.collect_as_map() == plain(50)
        assert max(lengths) < 90, lengths
        assert max(alive) < 30, alive
        assert max(planned.operators) < 60
        assert len(ctx._engine.checkpoints.costs.stages) < 60
        files = ctx._session.files
        folder = f"{ctx._session.controller.layout.root}/home/checkpoints"
        assert 1 <= len(files.list(folder)) <= 4, "checkpoints that nothing reads any more are removed"


def test_what_is_cut_by_itself_goes_to_the_checkpoint_folder_where_there_is_one(tmp_path: Path) -> None:
    with headrace.connect("inline://?lineage=5", checkpoint="auto", progress=False) as ctx:
        ctx.set_checkpoint_dir(tmp_path)
        numbers = ctx.range(3000, num_slices=2).map(lambda x: (x % 10, str(x) * 20)).partition_by(2)
        sums = numbers.map_values(len).reduce_by_key(operator.add, 2).map(lambda pair: pair).reduce_by_key(max, 2)
        assert len(sums.collect()) == 10
        assert sums.is_checkpointed
        assert not numbers.is_checkpointed
        assert sums.get_checkpoint_file() is not None


def test_nothing_is_cut_that_nobody_asked_for(inline: Context) -> None:
    links, ranks = begin(inline)
    for _ in range(5):
        ranks = step(links, ranks)
        ranks.count()
    assert not [one for one in ancestors(ranks._operator) if inline._engine.checkpoints.state(one)]
    with pytest.raises(headrace.errors.UsageError, match="neither auto nor off"):
        headrace.connect("inline://", checkpoint="always")


def test_a_loop_that_keeps_what_each_of_very_many_rounds_makes(inline: Context) -> None:
    tip = inline.range(4, num_slices=2)
    for number in range(400):
        tip = tip.map(lambda x: x + 1).cache()
        if number % 20 == 0 or number > 390:
            assert tip.sum() == 6 + 4 * (number + 1)


def test_very_many_kept_rounds_in_one_stage_that_is_planned_anew(inline: Context) -> None:
    tip, kept = inline.range(4, num_slices=2), []
    for number in range(600):
        tip = tip.map(lambda x: x + 1).cache()
        kept.append(tip)
        if number % 100 == 0:
            assert tip.sum() == 6 + 4 * (number + 1)
    highest = tip.key_by(lambda x: x % 2).reduce_by_key(max, 2)
    assert highest.collect_as_map() == {0: 602, 1: 603}
    kept[-1].unpersist()
    kept[0].unpersist()
    assert highest.values().sum() == 602 + 603


def test_rounds_that_part_and_meet_again(inline: Context) -> None:
    """What the rounds before are made of is looked at once, not once on each of 2 ** 40 ways."""
    tip = inline.range(4, num_slices=2)
    for _ in range(40):
        up, down = tip.map(lambda x: x + 1).cache(), tip.map(lambda x: x - 1).cache()
        tip = up.zip(down).map(lambda pair: sum(pair) // 2).cache()
        tip.count()
    assert tip.collect() == [0, 1, 2, 3]
    highest = tip.key_by(lambda x: x % 2).reduce_by_key(max, 2)
    assert highest.collect_as_map() == {0: 2, 1: 3}
    tip.unpersist()
    assert highest.keys().sum() == 1
