"""How much may go wrong with a task before its job is given up: its own failures, and losses that are not its fault.

Where it went wrong is kept, too: a failure may be the fault of a full disk, of one that cannot be read, or of whatever else
ails a host, and the next attempt will tell if it is made elsewhere.

The two counts, and forgetting losses when an attempt gets further than any before, are ours; a limit on failures is that of
MapReduce and Spark.
"""

from __future__ import annotations

from msgspec import Struct, field

from headrace.config import ScheduleConfig
from headrace.ids import AttemptId, HostId, StageId, TaskId

WHOLE = -1  # in place of a partition: all tasks of a stage together


class Trouble(Struct):
    """What has gone wrong with one task so far.

    Attributes:
        furthest: thousandths that some attempt reached.
        last: the last attempt that failed by its own fault.
        history: one line for each attempt that counted, oldest first.
        hosts: where it failed, or what it wrote could not be read.
        missed: whose outputs it has found to be lost.

    """

    failures: int = 0
    losses: int = 0
    furthest: int = 0
    last: AttemptId | None = None
    history: list[str] = field(default_factory=list)
    hosts: set[HostId] = field(default_factory=set)
    missed: set[TaskId] = field(default_factory=set)


class Troubles:
    """The troubled tasks of a run; most tasks are none."""

    def __init__(self, config: ScheduleConfig) -> None:
        self._config = config
        self._of: dict[TaskId, Trouble] = {}

    def failed(self, task: TaskId, attempt: AttemptId, how: str, host: HostId | None = None) -> str | None:
        """Count a failure; say why the task is given up, if it is."""
        trouble = self._of.setdefault(task, Trouble())
        if host is not None:
            trouble.hosts.add(host)
        trouble.failures += 1
        trouble.last = attempt
        trouble.history.append(f"attempt {attempt}: {how}")
        if trouble.failures < self._config.max_failures:
            return None
        return f"{_name(task)} failed {'once' if trouble.failures == 1 else f'{trouble.failures} times'}"

    def lost(self, task: TaskId, attempt: AttemptId, how: str) -> str | None:
        """Count a loss; say why the task is given up, if it is."""
        trouble = self._of.setdefault(task, Trouble())
        trouble.losses += 1
        trouble.history.append(f"attempt {attempt}: {how}")
        if trouble.losses < self._config.max_losses:
            return None
        return f"{_name(task)} was lost {trouble.losses} times without getting further"

    def found_out(self, task: TaskId, lost: list[TaskId]) -> bool:
        """A task lacked its input; whether it has found outputs to be lost of which it had not missed any before.

        Then the next attempt gets further: a host that lost its power may have left many outputs broken, and each attempt
        comes upon one.  An output that is lost again and again is no news.
        """
        if not lost:
            return False
        missed = self._of.setdefault(task, Trouble()).missed
        news = not missed.issuperset(lost)
        missed.update(lost)
        return news

    def unreadable(self, task: TaskId, host: HostId) -> None:
        """What the task wrote on a host could not be read there."""
        self._of.setdefault(task, Trouble()).hosts.add(host)

    def hosts(self, task: TaskId) -> frozenset[HostId]:
        """Return the hosts where it is better not made again."""
        trouble = self._of.get(task)
        return frozenset(trouble.hosts) if trouble is not None else frozenset()

    def failures(self, task: TaskId) -> int:
        """Return how often a task has failed."""
        trouble = self._of.get(task)
        return trouble.failures if trouble is not None else 0

    def of_hosts(self) -> list[TaskId]:
        """Return the tasks that had better not be made again on some host."""
        return sorted(task for task, trouble in self._of.items() if trouble.hosts)

    def progressed(self, task: TaskId, progress: int) -> None:
        """An attempt got so far; if none got further before, the losses until then are forgiven."""
        if self.would_forgive(task, progress):
            trouble = self._of[task]
            trouble.furthest, trouble.losses = progress, 0

    def would_forgive(self, task: TaskId, progress: int) -> bool:
        """Whether `progressed` would change anything."""
        trouble = self._of.get(task)
        return trouble is not None and progress > trouble.furthest

    def take(self, task: TaskId) -> Trouble:
        """Return what went wrong with a task that is given up; a later job begins anew."""
        return self._of.pop(task)

    def forget(self, stage: StageId) -> None:
        """A stage is over."""
        for task in [task for task in self._of if task.stage == stage]:
            del self._of[task]

    def committed(self, task: TaskId) -> None:
        """The task is done; what went wrong before is of no interest any more, should it have to be run again."""
        self._of.pop(task, None)


def _name(task: TaskId) -> str:
    return f"stage {task.stage}, whose tasks run all at once," if task.partition == WHOLE else f"task {task}"
