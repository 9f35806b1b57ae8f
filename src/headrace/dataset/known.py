"""The map stages that the controller has, so that no later job needs to plan them, nor what only they read."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable, Mapping

from msgspec import Struct

from headrace.ids import OperatorId, StageId
from headrace.plan.functions import Site
from headrace.plan.levels import StorageLevel
from headrace.plan.operators import Operator, Shuffle
from headrace.plan.stages import ShuffleSink, Stage, compile_map


class _Known(Struct):
    edge: weakref.ref[Shuffle]
    name: str
    site: Site
    fused: tuple[OperatorId, ...]


class Known:
    """Which stages are known, and what each fuses: where that changes, they are planned anew, and nothing else."""

    def __init__(self) -> None:
        self._stages: dict[StageId, _Known] = {}
        self._fusing: dict[OperatorId, set[StageId]] = {}
        self._gone: deque[StageId] = deque()

    def __contains__(self, stage: object) -> bool:
        return stage in self._stages

    def __len__(self) -> int:
        return len(self._stages)

    def add(self, stages: Iterable[Stage]) -> None:
        """The controller has the stages of a job."""
        self._sweep()
        jobs = list(stages)
        edges = {edge.stage: edge for edge in shuffles(one for stage in jobs for one in stage.operators)}
        for stage in jobs:
            sink = stage.program.sink
            if isinstance(sink, ShuffleSink):
                fused = tuple(operator.id for operator in stage.operators)
                self._put(stage.spec.id, _Known(weakref.ref(edges[stage.spec.id]), sink.name, sink.site, fused))

    def forget(self, stage: StageId) -> None:
        """Nothing refers to a shuffle any more; called whenever garbage is collected, in any thread."""
        self._gone.append(stage)

    def _sweep(self) -> None:
        while self._gone:
            self._drop(self._gone.popleft())

    def _drop(self, stage: StageId) -> None:
        found = self._stages.pop(stage, None)
        for operator in found.fused if found is not None else ():
            self._fusing[operator].discard(stage)
            if not self._fusing[operator]:
                del self._fusing[operator]

    def replan(self, operator: Operator, levels: Mapping[OperatorId, StorageLevel]) -> list[Stage]:
        """Plan those stages anew that fuse an operator.

        Args:
            levels: of the datasets that are kept.

        """
        self._sweep()
        stages = []
        for stage in sorted(self._fusing.get(operator.id, ())):
            known = self._stages[stage]
            edge = known.edge()
            if edge is None:
                continue  # it is about to be forgotten
            anew = compile_map(edge, known.name, known.site, cached=levels.keys(), levels=levels)
            self._put(stage, _Known(known.edge, known.name, known.site, tuple(o.id for o in anew.operators)))
            stages.append(anew)
        return stages

    def _put(self, stage: StageId, known: _Known) -> None:
        self._drop(stage)
        self._stages[stage] = known
        for operator in known.fused:
            self._fusing.setdefault(operator, set()).add(stage)


def shuffles(operators: Iterable[Operator]) -> list[Shuffle]:
    """List the shuffles that operators read."""
    return [edge for operator in operators for edge in operator.inputs if isinstance(edge, Shuffle)]
