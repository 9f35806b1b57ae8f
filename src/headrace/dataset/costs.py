"""What the stages of a run have cost: a watcher of the claims, for whoever chooses what to checkpoint."""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any

from headrace.ids import StageId
from headrace.loops.jobs import JobHandle
from headrace.plan.cutting import Cost
from headrace.plan.operators import Operator
from headrace.protocols import claims
from headrace.protocols import schedule_words as words

OVER = 100  # stages that are over and remembered: jobs are asked about soon after they end


class Costs:
    """By map stage, and by the dataset that a result stage computed."""

    def __init__(self) -> None:
        self.stages: dict[StageId, Cost] = {}
        self._over: deque[StageId] = deque()
        self.results: weakref.WeakKeyDictionary[Operator, int] = weakref.WeakKeyDictionary()

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        """See a step of the loop: of a task, the attempt that counts is committed."""
        for effect in effects:
            if isinstance(effect, claims.Committed):
                cost = self.stages.setdefault(effect.task.stage, Cost())
                cost.ns += effect.ran_ns
                cost.written_bytes += effect.output.written_bytes
            elif isinstance(effect, words.EndStage):
                self._over.append(effect.stage)
                if len(self._over) > OVER:
                    self.stages.pop(self._over.popleft(), None)

    def computed(self, handle: JobHandle) -> None:
        """A job has ended: what its result stage cost is what computing the dataset did."""
        tip, _ = handle.request.keep[-1]
        result = self.stages.pop(handle.request.stages[-1].spec.id, None)
        if result is not None:
            self.results[tip] = max(self.results.get(tip, 0), result.ns)
