"""What a job will do, in words."""

from __future__ import annotations

import operator
import re

from headrace.ids import OperatorId, StageId
from headrace.plan.explain import explain
from headrace.plan.formats import Lines
from headrace.plan.levels import StorageLevel
from headrace.plan.operators import ReadFiles, Split
from headrace.plan.recovery import TABLE, cell
from headrace.plan.stages import RecordsSink, compile_job
from tests.plan.lineage import Lineage, reducing


def test_a_word_count_in_words() -> None:
    make = Lineage()
    splits = tuple((Split(f"/books/{name}", 0, None, 10, 0),) for name in "ab")
    lines = make.operator("text_file", ReadFiles(splits, Lines()), (), 2)
    pairs = make.record(make.record(lines, "flat_map", str.split), "map", lambda word: (word, 1))
    counts = make.combined(pairs, reducing(operator.add), 8)
    kept = make.record(counts, "filter", bool)
    stages = compile_job(
        make.record(kept, "keys"), RecordsSink(), result_stage=StageId(2), name="collect", cached=frozenset({kept.id})
    )
    above, below = explain(stages).split("\nstage 2 ")
    assert above.startswith("stage 1 (map, 2 tasks)")
    assert "text_file(2 files) -> flat_map(str.split) -> map(lambda)" in above
    assert "to 8 partitions by hash(8), combined on the map side first" in above
    assert "recovery: re-run, replicate (backup copies of slow tasks), because its tasks read immutable input" in above
    assert below.startswith("(result, 8 tasks)")
    assert "merge combine(add) -> filter(bool) -> keys" in below
    assert re.search("reads: +shuffle 1", below)
    assert re.search("cached: +filter, in the workers' memory", below)
    assert "stage 1 (map, 2 tasks; finished: reused)" in explain(stages, finished=[StageId(1)])
    assert "backup copies are switched off" in explain(stages, copies=False)


def test_effects_are_not_copied_and_it_says_so() -> None:
    make = Lineage()
    stages = compile_job(
        make.numbers(range(3), 1), RecordsSink(), result_stage=StageId(2), name="foreach", has_effects=True
    )
    text = explain(stages)
    assert "stage 2 (result, 1 task)" in text
    assert re.search(r"runs: +range\(1 slice\)", text)
    assert "recovery: re-run, because its functions have effects" in text


def test_backup_copies_and_replicas_are_told_apart() -> None:
    make = Lineage()
    numbers = make.numbers(range(3), 1)
    for levels, effects, copies, said in (
        ([], False, True, "re-run, replicate (backup copies of slow tasks), because its tasks"),
        ([StorageLevel.MEMORY_ONLY], True, True, "re-run, because its functions"),
        (
            [StorageLevel.MEMORY_ONLY_2],
            True,
            True,
            "re-run, replicate (2 replicas of what is kept), because its functions",
        ),
        ([StorageLevel.DISK_ONLY_3], False, False, "re-run, replicate (3 replicas of what is kept), because its tasks"),
        (
            [StorageLevel.DISK_ONLY_3, StorageLevel.MEMORY_ONLY],
            False,
            True,
            "re-run, replicate (backup copies of slow tasks and 3 replicas of what is kept), because its tasks",
        ),
    ):
        last = numbers
        kept: dict[OperatorId, StorageLevel] = {}
        for level in levels:
            last = make.record(last, "map", abs)
            kept[last.id] = level
        stages = compile_job(
            last,
            RecordsSink(),
            result_stage=StageId(2),
            name="collect",
            cached=set(kept),
            levels=kept,
            has_effects=effects,
        )
        text = explain(stages, copies=copies)
        assert f"recovery: {said}" in text
        assert ("what is kept outlives a worker" in text) == ("replicas" in said)


def test_the_table_has_every_kind_of_recovery_for_both_kinds_of_execution() -> None:
    assert {(c.execution, c.recovery) for c in TABLE} == {
        (execution, recovery) for execution in ("task", "vertex") for recovery in ("re-run", "checkpoint", "replicate")
    }
    assert cell("task", "re-run").built
