"""Where a lineage graph is cut, what is fused, and what need not be run again."""

from __future__ import annotations

import operator
from typing import Any

from headrace.ids import StageId
from headrace.plan.operators import Aggregate, Operator
from headrace.plan.stages import RecordsSink, ShuffleSink, Stage, compile_job, growing_structures
from tests.plan.lineage import Lineage, reducing

RESULT = StageId(900)


def compiled(tip: Operator, **options: Any) -> list[Stage]:
    return compile_job(tip, RecordsSink(), result_stage=RESULT, name="collect", **options)


def names(stage: Stage) -> list[str]:
    return [node.name for node in stage.program.nodes]


def test_narrow_operators_are_fused_into_one_stage() -> None:
    make = Lineage()
    tip = make.record(make.partitions(make.record(make.numbers(range(9), 3), "map", str), iter), "filter", bool)
    (stage,) = compiled(tip)
    assert names(stage) == ["range", "map", "map_partitions", "filter"]
    assert [node.inputs for node in stage.program.nodes] == [(), (0,), (1,), (2,)]
    assert (stage.spec.id, stage.spec.partitions, stage.spec.is_map) == (RESULT, 3, False)


def test_a_shuffle_cuts_and_its_map_stage_comes_first() -> None:
    make = Lineage()
    pairs = make.record(make.numbers(range(9), 3), "pair")
    tip = make.record(make.combined(pairs, reducing(operator.add), 5), "keys")
    above, below = compiled(tip)
    assert names(above) == ["range", "pair"]
    assert isinstance(above.program.sink, ShuffleSink)
    assert above.program.sink.combine is not None
    assert (above.spec.partitions, above.spec.is_map, below.spec.partitions) == (3, True, 5)
    assert names(below) == ["merge combine", "keys"]
    assert below.program.nodes[0].reads == (above.spec.id,)
    assert above.spec.name == "merge combine", "a map stage is named after the operator that it is for"


def test_a_shuffle_that_two_branches_read_is_made_once() -> None:
    make = Lineage()
    moved = make.moved(make.record(make.numbers(range(9), 3), "pair"), 4)
    one = make.merged("as is", moved)
    tip = make.cogrouped(make.record(one, "filter", bool), make.merged("as is", moved), moved)
    above, below = compiled(tip)
    assert above.spec.id == moved.stage
    assert below.spec.segments[0].reads.stages == (moved.stage,)


def test_inputs_that_are_dealt_right_already_do_not_move() -> None:
    make = Lineage()
    left = make.grouped(make.record(make.numbers(range(9), 3), "pair"), 4)
    right = make.grouped(make.record(make.numbers(range(5), 2), "pair"), 4)
    stages = compiled(make.cogrouped(left, right))
    assert [stage.spec.is_map for stage in stages] == [True, True, False]
    assert names(stages[-1]) == ["merge group", "merge group", "cogroup"]


def test_an_operator_that_is_read_twice_is_in_the_program_once() -> None:
    make = Lineage()
    source = make.record(make.numbers(range(4), 2), "pair")
    (stage,) = compiled(make.union(source, make.record(source, "filter", bool), source))
    assert names(stage) == ["range", "pair", "filter", "union"]
    assert stage.program.nodes[-1].inputs == (1, 2, 1)
    assert stage.program.nodes[-1].offsets == (0, 2, 4)
    assert stage.spec.partitions == 6


def test_a_zipped_union_has_no_offsets() -> None:
    make = Lineage()
    source = make.numbers(range(4), 2)
    (stage,) = compiled(make.union(source, make.record(source, "filter", bool), zipped=True))
    assert stage.program.nodes[-1].offsets == ()
    assert stage.spec.partitions == 2


def test_a_known_stage_and_what_only_it_reads_are_left_out() -> None:
    make = Lineage()
    first = make.moved(make.record(make.numbers(range(9), 3), "pair"), 4)
    second = make.moved(make.merged("as is", first), 5)
    tip = make.merged("as is", second)
    assert [stage.spec.id for stage in compiled(tip)] == [first.stage, second.stage, RESULT]
    assert [stage.spec.id for stage in compiled(tip, known=[second.stage])] == [RESULT]
    assert [stage.spec.id for stage in compiled(tip, known=[first.stage])] == [second.stage, RESULT]


def test_a_shuffle_below_a_known_one_is_made_if_something_else_reads_it() -> None:
    make = Lineage()
    first = make.moved(make.record(make.numbers(range(9), 3), "pair"), 4)
    second = make.moved(make.merged("as is", first), 4)
    tip = make.cogrouped(first, second)
    assert [stage.spec.id for stage in compiled(tip, known=[second.stage])] == [first.stage, RESULT]


def test_only_the_result_stage_of_an_action_with_effects_has_effects() -> None:
    make = Lineage()
    tip = make.grouped(make.record(make.numbers(range(9), 3), "pair"), 4)
    assert [stage.spec.has_effects for stage in compiled(tip, has_effects=True)] == [False, True]
    assert [stage.spec.has_effects for stage in compiled(tip)] == [False, False]


def test_a_cached_operator_is_marked_and_can_still_be_computed() -> None:
    make = Lineage()
    kept = make.record(make.numbers(range(9), 3), "map", str)
    (stage,) = compiled(make.record(kept, "filter", bool), cached=frozenset({kept.id}))
    assert [(node.name, node.cached) for node in stage.program.nodes] == [
        ("range", False),
        ("map", True),
        ("filter", False),
    ]


def test_structures_that_grow_are_counted_because_they_share_a_budget() -> None:
    make = Lineage()
    pairs = make.record(make.numbers(range(9), 3), "pair")
    (narrow,) = compiled(pairs)
    assert growing_structures(narrow.program) == 1
    grouped = make.grouped(pairs, 4)
    tip = make.combined(grouped, Aggregate("count"), 4)
    assert [growing_structures(stage.program) for stage in compiled(tip)] == [1, 2, 1]
