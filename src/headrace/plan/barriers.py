"""Stages whose tasks meet: which operators make one, and which shapes they can have.

Tasks that wait for each other must run all at once, so a stage with a barrier in it has one task for each partition of the
barrier, no other number of them, and never runs for some of its partitions only.

Source: Spark's barrier execution mode (SPARK-24374), whose restrictions on shapes (SPARK-24820, SPARK-24821) are ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

from headrace.errors import UsageError
from headrace.ids import OperatorId
from headrace.plan.operators import Forward, Operator, PerPartition

if TYPE_CHECKING:
    from headrace.plan.stages import StageSpec


def behind_barriers(operators: Iterable[Operator]) -> frozenset[OperatorId]:
    """Find the operators of a stage, inputs first, that are made in tasks which meet: barriers, and what stands on them."""
    found: set[OperatorId] = set()
    for operator in operators:
        if _is_barrier(operator) or any(source.id in found for source in _narrow(operator)):
            found.add(operator.id)
    return frozenset(found)


def check_shape(operators: Collection[Operator], behind: Collection[OperatorId]) -> None:
    """Check that the operators of a stage can run as tasks which meet.

    Raises:
        UsageError: they cannot.

    """
    barrier = next(operator for operator in operators if _is_barrier(operator))
    odd = [operator for operator in operators if operator.partitions != barrier.partitions]
    odd.sort(key=lambda operator: operator.id not in behind)  # what changed the number, before what had another one
    if odd:
        raise UsageError(
            f"{odd[0].name} ({odd[0].site}) has {odd[0].partitions} partitions, in one stage with {barrier.name} after "
            f"barrier() ({barrier.site}), which has {barrier.partitions}. Tasks that meet run all at once, one for each "
            "partition: put a shuffle between the two, such as repartition, or leave out what picks or joins partitions, "
            "such as union, coalesce and cartesian."
        )
    for operator in operators:
        if sum(source.id in behind for source in _narrow(operator)) > 1:
            raise UsageError(
                f"{operator.name} ({operator.site}) combines two datasets made after barrier() in one stage, whose tasks "
                "could wait for each other crosswise. Put a shuffle behind one of them, such as repartition."
            )


def check_gangs(stages: Sequence[StageSpec], wanted: Collection[int], workers: int) -> None:
    """Check that a job, whose result stage is the last, can run all tasks of its barrier stages at once.

    Raises:
        UsageError: it cannot.

    """
    for stage in stages:
        if stage.barrier and stage.partitions > workers:
            raise UsageError(
                f"the tasks of a barrier stage ({stage.name}) meet, so all {stage.partitions} must run at once, and there "
                f"{'is' if workers == 1 else 'are'} {workers} worker{'s' * (workers != 1)}. Connect with "
                f"workers={stage.partitions}, or have fewer partitions before barrier(), by a shuffle such as repartition."
            )
    result = stages[-1]
    if result.barrier and len(wanted) < result.partitions:
        raise UsageError(
            f"{result.name} asks for some partitions only, and the tasks of a barrier stage run all or none, for they meet. "
            "Take from what collect() returns, or put a shuffle behind the barrier, such as repartition."
        )


def _is_barrier(operator: Operator) -> bool:
    return isinstance(operator.body, PerPartition) and operator.body.barrier


def _narrow(operator: Operator) -> list[Operator]:
    return [edge.source for edge in operator.inputs if isinstance(edge, Forward)]
