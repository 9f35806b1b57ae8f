"""Say in words what a job will do: its stages, what is fused, what is shuffled, which recovery and why."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from headrace.ids import StageId
from headrace.plan.functions import name_of
from headrace.plan.operators import Merge, Operator, PerPartition, PerRecord, ReadFiles, ReadRange, ReadSlices, Shuffle
from headrace.plan.recovery import protection
from headrace.plan.stages import ShuffleSink, Stage


def explain(stages: list[Stage], *, finished: Collection[StageId] = (), copies: bool = True) -> str:
    """Describe the stages of a job, in the order in which they run.

    Args:
        finished: shuffles that are complete already, so that their map stages will not run.
        copies: whether the run makes backup copies.

    """
    return "\n".join(line for stage in stages for line in _stage(stage, stage.spec.id in finished, copies))


def _stage(stage: Stage, finished: bool, copies: bool) -> Iterator[str]:
    spec = stage.spec
    kind = "map" if spec.is_map else "result"
    tasks = "1 task" if spec.partitions == 1 else f"{spec.partitions} tasks"
    state = "; finished: reused" if finished else ""
    yield f"stage {spec.id} ({kind}, {tasks}{state})"
    shown = [_operator(operator) for operator in stage.operators if not _is_finish(operator)]
    yield f"  {'fused: ' if len(shown) > 1 else 'runs:  '}   {' -> '.join(shown)}"
    reads = [f"shuffle {read}" for node in stage.program.nodes for read in node.reads if read is not None]
    if reads:
        yield f"  reads:    {', '.join(reads)}"
    kept = [node.name for node in stage.program.nodes if node.cached]
    if kept:
        yield f"  cached:   {', '.join(kept)}, in the workers' memory"
    sink = stage.program.sink
    if isinstance(sink, ShuffleSink):
        combine = ", combined on the map side first" if sink.combine else ""
        yield f"  shuffles: to {sink.partitioner.partitions} partitions by {sink.partitioner}{combine}"
    else:
        yield f"  result:   {spec.name}"
    how = protection(stage, copies=copies)
    yield f"  recovery: {', '.join(c.recovery for c in how.cells)}, because {how.because}"


def _is_finish(operator: Operator) -> bool:
    """Whether this only finishes what the operator before it, of the same name, began: no step of the user's."""
    return isinstance(operator.body, PerRecord) and operator.name != operator.body.kind


def _operator(operator: Operator) -> str:
    body = operator.body
    keyed_by = [edge.keyed_by for edge in operator.inputs if isinstance(edge, Shuffle) and edge.keyed_by is not None]
    if isinstance(body, PerRecord | PerPartition) and body.function is not None:
        what = name_of(body.function.call)
    elif isinstance(body, ReadFiles):
        files = len({split.path for splits in body.splits for split in splits})
        what = f"{files} file{'s' * (files != 1)}"
    elif isinstance(body, ReadSlices | ReadRange):
        what = f"{operator.partitions} slice{'s' * (operator.partitions != 1)}"
    elif isinstance(body, Merge) and body.aggregate is not None and body.aggregate.merge_combiners is not None:
        what = name_of(body.aggregate.merge_combiners.call)
    elif keyed_by:
        what = name_of(keyed_by[0].call)
    else:
        return operator.name
    return f"{operator.name}({what})"
