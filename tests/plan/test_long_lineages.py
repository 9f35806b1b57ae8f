"""Loops in the user's program make lineages of thousands of operators; planning takes them without recursion."""

from __future__ import annotations

from headrace.ids import StageId
from headrace.plan.explain import explain
from headrace.plan.operators import Operator, ancestors
from headrace.plan.stages import RecordsSink, Stage, compile_job, load_program
from tests.plan.lineage import Lineage

LONG = 5_000


def compiled(tip: Operator, cached: frozenset[int] = frozenset()) -> list[Stage]:
    return compile_job(tip, RecordsSink(), result_stage=StageId(10**9), name="collect", cached=cached)  # type: ignore[arg-type]


def test_a_chain_of_narrow_operators() -> None:
    make = Lineage()
    tip = make.numbers(range(4), 2)
    for _ in range(LONG):
        tip = make.record(tip, "map", abs)
    assert len(ancestors(tip)) == LONG + 1
    (stage,) = compiled(tip)
    assert len(stage.program.nodes) == LONG + 1
    assert len(stage.spec.segments) == 1
    blob, functions = stage.pack()
    assert len(functions) == 1
    assert len(load_program(blob, lambda digest: abs).nodes) == LONG + 1
    assert explain([stage]).count("map(abs)") == LONG


def test_a_chain_of_shuffles() -> None:
    make = Lineage()
    tip = make.record(make.numbers(range(4), 2), "pair")
    for _ in range(LONG):
        tip = make.merged("as is", make.moved(tip, 2))
    stages = compiled(tip)
    assert len(stages) == LONG + 1
    assert all(len(stage.program.nodes) == (1 if place else 2) for place, stage in enumerate(stages))


def test_a_union_of_very_many() -> None:
    make = Lineage()
    tip = make.union(*(make.numbers(range(1), 1) for _ in range(1_000)))
    (stage,) = compiled(tip)
    assert len(stage.spec.segments) == 1_000


def test_unions_of_unions() -> None:
    """Made by `everything = everything.union(more)` in a loop."""
    make = Lineage()
    tip = make.numbers(range(1), 1)
    for _ in range(1_000):
        tip = make.union(tip, make.numbers(range(1), 1))
    (stage,) = compiled(tip)
    assert len(stage.spec.segments) == 1_001


def test_a_loop_that_caches_every_step() -> None:
    make = Lineage()
    tip = make.numbers(range(4), 2)
    cached = set()
    for _ in range(LONG):
        tip = make.record(tip, "map", abs)
        cached.add(tip.id)
    (stage,) = compiled(tip, frozenset(cached))
    depth, reads = 0, stage.spec.segments[0].reads
    while reads.below:
        depth, reads = depth + 1, reads.below[0]
    assert depth == LONG
