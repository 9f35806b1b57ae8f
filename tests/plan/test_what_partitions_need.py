"""What the scheduler is told that a partition needs is what computing it would read: for any graph and any cache."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.ids import OperatorId, StageId
from headrace.plan.operators import Cross, Forward, Gather, Operator, Union
from headrace.plan.stages import Reads, RecordsSink, Stage, compile_job
from tests.plan.lineage import Lineage

RESULT = StageId(900)
Held = set[tuple[OperatorId, int]]


KINDS = ["map", "union", "zip", "shuffle", "cogroup", "gather", "cross", "pair up"]
NARROW = ["map", "union", "gather", "gather", "cross", "cross", "pair up"]


@st.composite
def graphs(draw: st.DrawFn, kinds: list[str] = KINDS) -> tuple[Operator, list[Operator]]:
    """Draw a graph with unions of both kinds, shuffles, inputs read more than once, and others than the own partition's."""
    make = Lineage()
    made = [make.numbers(range(6), draw(st.integers(1, 3))) for _ in range(draw(st.integers(1, 2)))]
    if kinds is NARROW:
        made = [make.merged("as is", make.moved(one, draw(st.integers(2, 4)))) for one in made]
    for _ in range(draw(st.integers(1, 9))):
        one = draw(st.sampled_from(made))
        alike = [other for other in made if other.partitions == one.partitions]
        match draw(st.sampled_from(kinds)):
            case "map":
                made.append(make.record(one, "filter", bool))
            case "union":
                others = draw(st.lists(st.sampled_from(made), min_size=1, max_size=2))
                if one.partitions + sum(other.partitions for other in others) <= 24:
                    made.append(make.union(one, *others))
            case "gather":
                made.append(make.gathered(one, draw(st.integers(1, one.partitions))))
            case "cross":
                right = draw(st.sampled_from(made))
                if one.partitions * right.partitions <= 24:
                    made.append(make.crossed(one, right))
            case "pair up":
                made.append(make.zipped(one, draw(st.sampled_from(alike))))
            case "zip":
                made.append(make.union(one, draw(st.sampled_from(alike)), zipped=True))
            case "shuffle":
                made.append(make.merged("as is", make.moved(one, draw(st.integers(1, 3)))))
            case "cogroup":
                by = one.partitions
                other: Any = draw(st.one_of(st.sampled_from(alike), st.sampled_from(made).map(lambda o: (o,))))
                made.append(make.cogrouped(one, make.moved(other[0], by) if isinstance(other, tuple) else other))
    return made[-1], made


def really_needs(operator: Operator, partition: int, held: Held) -> set[StageId]:
    """Walk the graph as the task will."""
    if (operator.id, partition) in held:
        return set()
    needed: set[StageId] = set()
    offset = 0
    for edge in operator.inputs:
        if not isinstance(edge, Forward):
            needed.add(edge.stage)
        elif isinstance(operator.body, Gather):
            before, after = edge.source.partitions, operator.partitions
            for number in range(before):
                if partition * before // after <= number < (partition + 1) * before // after:
                    needed |= really_needs(edge.source, number, held)
        elif isinstance(operator.body, Cross):
            left, right = (e.source for e in operator.inputs)
            pairs = [(row, column) for row in range(left.partitions) for column in range(right.partitions)]
            needed |= really_needs(edge.source, pairs[partition][edge is operator.inputs[1]], held)
        elif isinstance(operator.body, Union) and not operator.body.zipped:
            if offset <= partition < offset + edge.source.partitions:
                needed |= really_needs(edge.source, partition - offset, held)
            offset += edge.source.partitions
        else:
            needed |= really_needs(edge.source, partition, held)
    return needed


def told(reads: Reads, partition: int, held: Held) -> set[StageId]:
    """Read the scheduler's tree."""
    if reads.cut is not None and (reads.cut, partition - reads.first) in held:
        return set()
    return set(reads.stages).union(*(told(below, partition, held) for below in reads.below))


def told_of(stage: Stage, partition: int, held: Held) -> set[StageId]:
    (segment,) = [s for s in stage.spec.segments if s.first <= partition < s.stop]
    return told(segment.reads, partition, held)


@given(graphs(), st.data())
def test_the_scheduler_knows_what_each_partition_reads(
    graph: tuple[Operator, list[Operator]], data: st.DataObject
) -> None:
    tip, made = graph
    cached = data.draw(st.sets(st.sampled_from(made), max_size=3))
    places = [(operator.id, partition) for operator in cached for partition in range(operator.partitions)]
    held: Held = set(data.draw(st.lists(st.sampled_from(places)))) if places else set()
    stages = compile_job(tip, RecordsSink(), result_stage=RESULT, name="test", cached=frozenset(o.id for o in cached))
    by_stage = {stage.spec.id: stage for stage in stages}
    tips = {edge.stage: edge.source for operator in made for edge in operator.inputs if not isinstance(edge, Forward)}
    for number, stage in by_stage.items():
        operator = tip if number == RESULT else tips[number]
        for partition in range(operator.partitions):
            assert told_of(stage, partition, held) == really_needs(operator, partition, held)


@given(graphs(NARROW), st.data())
@settings(max_examples=150)
def test_it_knows_which_cached_partitions_others_are_gathered_from(
    graph: tuple[Operator, list[Operator]], data: st.DataObject
) -> None:
    tip, made = graph
    shuffled = [operator for operator in made if not any(isinstance(edge, Forward) for edge in operator.inputs)]
    cached = {*shuffled, *data.draw(st.sets(st.sampled_from(made), max_size=2))}
    held: Held = {
        (operator.id, partition)
        for operator in sorted(cached, key=lambda operator: operator.id)
        for partition in data.draw(st.sets(st.integers(0, operator.partitions - 1)))
    }
    *_, stage = compile_job(
        tip, RecordsSink(), result_stage=RESULT, name="test", cached=frozenset(o.id for o in cached)
    )
    for partition in range(tip.partitions):
        assert told_of(stage, partition, held) == really_needs(tip, partition, held)


@given(graphs(), st.data())
def test_stages_are_in_order_and_each_is_there_once(
    graph: tuple[Operator, list[Operator]], data: st.DataObject
) -> None:
    tip, made = graph
    shuffles = [edge.stage for operator in made for edge in operator.inputs if not isinstance(edge, Forward)]
    known = set(data.draw(st.lists(st.sampled_from(shuffles)))) if shuffles else set()
    stages = compile_job(tip, RecordsSink(), result_stage=RESULT, name="test", known=known)
    order = [stage.spec.id for stage in stages]
    assert len(set(order)) == len(order)
    assert order[-1] == RESULT
    assert not known & set(order)
    ready = set(known)
    for stage in stages:
        nodes = stage.program.nodes
        reads = {read for node in nodes for read in node.reads if read is not None}
        assert reads <= ready
        ready.add(stage.spec.id)
        for place, node in enumerate(nodes):
            assert all(below is None or below < place for below in node.inputs)
        used = {below for node in nodes for below in node.inputs if below is not None}
        assert used == set(range(len(nodes) - 1)), "nothing is in the program that nothing reads"
    wanted = {read for stage in stages for node in stage.program.nodes for read in node.reads if read is not None}
    assert wanted | {RESULT} == set(order) | (wanted & known), "nothing is made that nothing reads"


@given(graphs())
def test_segments_cover_every_partition_once(graph: tuple[Operator, list[Operator]]) -> None:
    tip, _ = graph
    for stage in compile_job(tip, RecordsSink(), result_stage=RESULT, name="test"):
        covered = [p for segment in stage.spec.segments for p in range(segment.first, segment.stop)]
        assert covered == list(range(stage.spec.partitions))
