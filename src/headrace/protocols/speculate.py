"""Which running attempts deserve a backup copy: those that are slow for their stage and furthest from their end.

Source: Dean & Ghemawat, "MapReduce" (2004), section 3.6, for backup tasks; Zaharia et al., "Improving MapReduce Performance
in Heterogeneous Environments" (2008), section 4, for the rule used here (LATE: longest approximate time to end, among
attempts slower than a percentile, with a cap on copies).  Requiring finished attempts to compare with is ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from headrace.config import SpeculateConfig
from headrace.ids import StageId, TaskId

FULL = 1000  # progress is in thousandths


class Running(Struct, frozen=True):
    """One attempt that has begun, the only one of its task.

    Attributes:
        ran_ns: for how long.
        progress: thousandths of its input consumed, as last heard.
        suspect: its worker has fallen silent.

    """

    task: TaskId
    ran_ns: int
    progress: int
    suspect: bool = False

    @property
    def rate(self) -> float:
        """Thousandths of progress per nanosecond."""
        return self.progress / max(1, self.ran_ns)

    @property
    def left_ns(self) -> float:
        """Approximate time to its end; an attempt that never spoke of progress is at half of it."""
        progress = self.progress or FULL / 2
        return self.ran_ns * max(0.0, FULL - progress) / progress


def pick_backups(
    running: Iterable[Running],
    finished_ns: Mapping[StageId, Sequence[int]],
    *,
    copies: int,
    slots: int,
    idle: int,
    config: SpeculateConfig,
) -> list[TaskId]:
    """Choose tasks to copy, the one with the longest time to its end first.

    Args:
        running: attempts without a copy, of stages that may be copied.
        finished_ns: for each stage, how long its finished attempts took, in nanoseconds, in ascending order.
        copies: how many copies run already.
        slots: how many tasks can run at once in all.
        idle: how many slots are free with nothing else to do: copies never delay first attempts.

    Returns:
        At most `idle` tasks, and never so many that copies exceed the cap.

    >>> slow = Running(TaskId(StageId(1), 7), ran_ns=9_000_000_000, progress=300)
    >>> peers = {StageId(1): [1_000_000_000] * 6}
    >>> pick_backups([slow], peers, copies=0, slots=4, idle=1, config=SpeculateConfig())
    [TaskId(stage=1, partition=7)]
    >>> pick_backups([slow], peers, copies=0, slots=4, idle=0, config=SpeculateConfig())
    []

    """
    room = min(idle, max(1, int(slots * config.cap)) - copies)
    if not config.enabled or room <= 0:
        return []
    everyone = list(running)
    chosen = [attempt for attempt in everyone if _is_slow(attempt, everyone, finished_ns, config)]
    chosen.sort(key=lambda attempt: (-attempt.suspect, -attempt.left_ns, attempt.task))
    return [attempt.task for attempt in chosen[:room]]


def _is_slow(
    attempt: Running, everyone: list[Running], finished_ns: Mapping[StageId, Sequence[int]], config: SpeculateConfig
) -> bool:
    if attempt.suspect:
        return True  # whatever it had done, it says nothing now
    if attempt.ran_ns < config.after_ns:
        return False
    peers = finished_ns.get(attempt.task.stage, ())
    if not peers:
        return False  # nothing to compare with: the whole stage may simply be long
    median = peers[len(peers) // 2]
    if attempt.ran_ns + attempt.left_ns < config.slowdown * median:
        return False
    rates = sorted(
        [FULL / max(1, ran) for ran in peers] + [a.rate for a in everyone if a.task.stage == attempt.task.stage]
    )
    return attempt.rate <= rates[min(len(rates) - 1, int(len(rates) * config.slow_percentile))]
