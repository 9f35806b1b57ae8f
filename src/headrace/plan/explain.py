"""Say in words what a job will do: its stages, what is fused, what is shuffled, which recovery and why."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator, Sequence

from headrace.ids import OperatorId, StageId
from headrace.plan.advice import advice
from headrace.plan.functions import UserFunction, name_of
from headrace.plan.html import Plan
from headrace.plan.operators import (
    Adaptive,
    Cross,
    Forward,
    Gather,
    Merge,
    Operator,
    PerPartition,
    PerRecord,
    ReadFiles,
    ReadRange,
    ReadSlices,
    Shuffle,
    SortWithin,
    Zip,
)
from headrace.plan.partitioners import FunctionPartitioner, Partitioner
from headrace.plan.recovery import is_checkpoint, protection
from headrace.plan.stages import ShuffleSink, Stage


def explain(stages: list[Stage], *, finished: Collection[StageId] = (), copies: bool = True) -> Plan:
    """Describe the stages of a job, in the order in which they run.

    Args:
        finished: shuffles that are complete already, so that their map stages will not run.
        copies: whether the run makes backup copies.

    """
    return Plan("\n".join(line for stage in stages for line in _stage(stage, stage.spec.id in finished, copies)))


def _stage(stage: Stage, finished: bool, copies: bool) -> Iterator[str]:
    spec = stage.spec
    kind = "map" if spec.is_map else "result"
    tasks = "1 task" if spec.partitions == 1 else f"{spec.partitions} tasks{' at once' * spec.barrier}"
    state = "; finished: reused" if finished else ""
    yield f"stage {spec.id} ({kind}, {tasks}{state})"
    shown = _chains(stage.operators)
    yield f"  {'fused: ' if ' -> ' in shown or ' | ' in shown else 'runs:  '}   {shown}"
    reads = [f"shuffle {read}" for node in stage.program.nodes for read in node.reads if read is not None]
    if reads:
        yield f"  reads:    {', '.join(reads)}"
    for level in dict.fromkeys(node.level for node in stage.program.nodes if node.cached):
        kept = [node.name for node in stage.program.nodes if node.cached and node.level == level]
        yield f"  cached:   {', '.join(kept)}, {'in' if level.use_memory else 'on'} {level}"
    yield from _adapted(stage.operators)
    sink = stage.program.sink
    if isinstance(sink, ShuffleSink):
        combine = ", combined on the map side first" if sink.combine else ""
        yield f"  shuffles: to {sink.partitioner.partitions} partitions{_dealt(sink.partitioner)}{combine}"
    else:
        yield f"  result:   {spec.name}"
    for said in advice(stage.operators):
        yield f"  advice:   {said}"
    yield f"  recovery: {protection(stage, copies=copies)}"


def _adapted(operators: Sequence[Operator]) -> Iterator[str]:
    """Say what is to be measured before it runs, and what was chosen when it had been."""
    for operator in operators:
        if isinstance(operator.body, Adaptive):
            yield f"  adapts:   {operator.name}: its sides are measured before it runs, and its plan may be another then"
        elif operator.chosen is not None:
            yield f"  chosen:   {operator.name}: {operator.chosen}"


def _chains(operators: Sequence[Operator]) -> str:
    """Show what feeds what: a chain begins anew behind a bar, with the name of what it goes on from, if anything."""
    text = ""
    shown: dict[OperatorId, Operator] = {}  # what stands for an operator: itself, or the one that it only finishes
    last: Operator | None = None
    for operator in operators:
        narrow = [edge.source for edge in operator.inputs if isinstance(edge, Forward)]
        if _is_finish(operator) and narrow:
            shown[operator.id] = shown[narrow[0].id]
            continue
        shown[operator.id] = operator
        inputs = [shown[source.id] for source in narrow]
        if last is not None and last not in inputs:
            text += " | " + "".join(f"{source.name} -> " for source in inputs[:1])
        elif last is not None:
            text += " -> "
        text += _operator(operator)
        last = operator
    return text


def _is_finish(operator: Operator) -> bool:
    """Whether this only finishes what the operator before it, of the same name, began: no step of the user's."""
    return isinstance(operator.body, PerRecord) and operator.name != operator.body.kind


def _operator(operator: Operator) -> str:
    body = operator.body
    keyed_by = [edge.keyed_by for edge in operator.inputs if isinstance(edge, Shuffle) and edge.keyed_by is not None]
    if isinstance(body, PerRecord | PerPartition | SortWithin) and body.function is not None:
        what = _applied(body.function)
    elif isinstance(body, Gather | Cross | Zip):
        what = _gathered(operator)
    elif is_checkpoint(body):
        what = "checkpointed"
    elif isinstance(body, ReadFiles):
        files = len({split.path for splits in body.splits for split in splits})
        what = f"{files} file{'s' * (files != 1)}"
    elif isinstance(body, ReadSlices | ReadRange):
        what = f"{operator.partitions} slice{'s' * (operator.partitions != 1)}"
    elif isinstance(body, Merge) and body.aggregate is not None and body.aggregate.merge_combiners is not None:
        what = _applied(body.aggregate.merge_combiners)
    elif keyed_by:
        what = _applied(keyed_by[0])
    else:
        what = ""
    title = f" {operator.title!r}" if operator.title is not None else ""
    return f"{operator.name}({what}){title}" if what else f"{operator.name}{title}"


def _applied(function: UserFunction) -> str:
    """Show a function; of ours, what it says of itself, because its name would tell nothing."""
    call = function.call.func if isinstance(function.call, functools.partial) else function.call
    if getattr(call, "__module__", "").startswith("headrace."):
        return str(getattr(call, "words", ""))
    return name_of(function.call)


def _gathered(operator: Operator) -> str:
    """Say which partitions of its inputs each partition of an operator reads."""
    sources = [edge.source for edge in operator.inputs]
    match operator.body:
        case Zip():
            return " and ".join(source.name for source in sources)
        case Cross():
            return " x ".join(f"{source.partitions} of {source.name}" for source in sources)
    return f"{sources[0].partitions} partitions to {operator.partitions}, neighbours together"


def _dealt(partitioner: Partitioner) -> str:
    """Say how a shuffle deals what it is given."""
    if isinstance(partitioner, FunctionPartitioner):
        applied = _applied(partitioner.function)
        return f" by {applied} modulo {partitioner.partitions}" if applied else ", in turn"
    return f" by {partitioner}"
