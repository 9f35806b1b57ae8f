"""A watcher that says which tasks a run was given, and which stages they belong to."""

from __future__ import annotations

from typing import Any

from headrace.protocols import claims


class TasksRun:
    """Keeps every attempt that was claimed, as (stage, partition)."""

    def __init__(self) -> None:
        self.tasks: list[tuple[int, int]] = []

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        for effect in effects:
            if isinstance(effect, claims.Claimed):
                self.tasks.append((effect.task.stage, effect.task.partition))

    def has_begun(self, number: int) -> bool:
        """Whether so many attempts were claimed since the last call of one of the others."""
        return len(self.tasks) == number

    def stages(self) -> list[int]:
        """List the stages that ran since the last call, in order."""
        tasks, self.tasks = self.tasks, []
        return sorted({stage for stage, _ in tasks})

    def partitions(self) -> list[int]:
        """List the partitions computed since the last call."""
        tasks, self.tasks = self.tasks, []
        return sorted(partition for _, partition in tasks)
