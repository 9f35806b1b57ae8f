"""Which try of its task each attempt is: 0, 1, 2, ... without gaps, and no number twice.

An attempt that a worker gave back before it began, or that waited at a worker which died, was no try: its number is free
again.
"""

from __future__ import annotations

from collections.abc import Iterable

from headrace.ids import AttemptId, StageId, TaskId

FREE = AttemptId(0)  # no attempt's: a number that the next one gets


class Tries:
    """The numbers of the attempts at tasks that are not over."""

    def __init__(self) -> None:
        self._numbers: dict[TaskId, list[AttemptId]] = {}  # by number; a list, because there may be very many tasks
        self._tasks: dict[AttemptId, TaskId] = {}

    def number(self, task: TaskId, attempt: AttemptId) -> int:
        """Number an attempt; the same however often it is asked for.

        >>> tries, task = Tries(), TaskId(StageId(1), 0)
        >>> [tries.number(task, AttemptId(attempt)) for attempt in (5, 9, 9)]
        [0, 1, 1]
        >>> tries.unbegun([AttemptId(5)])
        >>> tries.number(task, AttemptId(12))
        0

        """
        taken = self._numbers.setdefault(task, [])
        if attempt in taken:
            return taken.index(attempt)
        self._tasks[attempt] = task
        if FREE not in taken:
            taken.append(attempt)
            return len(taken) - 1
        number = taken.index(FREE)
        taken[number] = attempt
        return number

    def unbegun(self, attempts: Iterable[AttemptId]) -> None:
        """These will never begin."""
        for attempt in attempts:
            task = self._tasks.pop(attempt, None)
            if task is not None:
                taken = self._numbers[task]
                taken[taken.index(attempt)] = FREE

    def forget(self, stage: StageId) -> None:
        """A stage is over."""
        for task in [task for task in self._numbers if task.stage == stage]:
            for attempt in self._numbers.pop(task):
                self._tasks.pop(attempt, None)
