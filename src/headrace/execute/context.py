"""What user code inside a task can ask about the task."""

from __future__ import annotations

from headrace.execute.current import Current, current


class TaskContext:
    """The task that runs: which partition of which stage it is, and the how manieth try.

    Made by the engine; a function that runs in a task gets it with `TaskContext.get()`.

    >>> ctx.range(4, num_slices=2).map(lambda x: (TaskContext.get().partition_id(), x)).collect()
    [(0, 0), (0, 1), (1, 2), (1, 3)]
    """

    __slots__ = ("_current",)

    def __init__(self, running: Current) -> None:
        self._current = running

    @classmethod
    def get(cls) -> TaskContext | None:
        """Return the task that calls this, or None in the program itself.

        >>> TaskContext.get() is None
        True
        """
        running = current()
        return None if running is None else TaskContext(running)

    def stage_id(self) -> int:
        """Return the number of the stage that the task belongs to; a stage may serve several jobs.

        >>> len(set(ctx.range(4, num_slices=2).map(lambda x: TaskContext.get().stage_id()).collect()))
        1
        """
        return int(self._current.task.stage)

    def partition_id(self) -> int:
        """Return the number of the partition that the task computes, from 0 on.

        >>> ctx.range(3, num_slices=3).map(lambda x: TaskContext.get().partition_id()).collect()
        [0, 1, 2]
        """
        return self._current.task.partition

    def num_partitions(self) -> int:
        """Return how many partitions the stage has.

        >>> ctx.range(3, num_slices=3).map(lambda x: TaskContext.get().num_partitions()).collect()
        [3, 3, 3]
        """
        return self._current.partitions

    def attempt_number(self) -> int:
        """Return how many times this task was tried before: 0 at the first try.

        Backup copies, and tries whose worker was killed, count like any other; no two tries of a task that a job runs
        have the same number.

        >>> ctx.range(2, num_slices=2).map(lambda x: TaskContext.get().attempt_number()).collect()
        [0, 0]
        """
        return self._current.number

    def task_attempt_id(self) -> int:
        """Return a number that no other attempt at any task of the run has.

        >>> len(set(ctx.range(3, num_slices=3).map(lambda x: TaskContext.get().task_attempt_id()).collect()))
        3
        """
        return int(self._current.attempt)

    def get_local_property(self, key: str) -> str | None:
        """Return what the thread that runs the job had set with `ctx.set_local_property`; None if nothing.

        >>> ctx.set_local_property("day", "monday")
        >>> ctx.range(1).map(lambda x: TaskContext.get().get_local_property("day")).collect()
        ['monday']
        >>> ctx.set_local_property("day", None)
        """
        return self._current.properties.get(key)

    def cpus(self) -> int:
        """Return how many processors the task was given: always one.

        >>> ctx.range(1).map(lambda x: TaskContext.get().cpus()).collect()
        [1]
        """
        return 1

    def __repr__(self) -> str:
        return f"<TaskContext {self._current.task}, attempt {self.attempt_number()} of it>"
