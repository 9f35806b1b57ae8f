"""Which tasks are to be run again to see whether they do the same, and what their workers keep for that.

A task is drawn by its name alone, so the same tasks of a program are, however often it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from headrace.execute.tapping import Digests, TappedPort, why_not
from headrace.execute.task import Finished
from headrace.ids import Digest, TaskId
from headrace.loops.body import BodyPort
from headrace.loops.saving import Attempted, Saving
from headrace.plan.hashing import mix, stable_hash
from headrace.plan.stages import Program
from headrace.ports import Bytes, TaskPort


class Sample(Struct, frozen=True):
    """What a worker tells of a task that was drawn.

    Attributes:
        output: a digest of what came out of the attempt.
        capsule: the name of the file that has what it was given; empty if it is not to be verified, and `why`.

    """

    job: int
    output: str
    capsule: str = ""
    why: str = ""


def is_drawn(task: TaskId, fraction: float) -> bool:
    """Whether a task is one of those that are verified.

    >>> from headrace.ids import StageId
    >>> sum(is_drawn(TaskId(StageId(3), partition), 0.1) for partition in range(1000))
    99
    """
    return fraction >= 1 or mix(stable_hash((task.stage, task.partition))) < fraction * (1 << 32)


class Watched:
    """An attempt at a task that was drawn: what comes out of it is looked at.

    Attributes:
        port: to run it with.

    """

    def __init__(self, program: Program, port: BodyPort, saving: Saving) -> None:
        self._own, self._saving, self._digests = port, saving, Digests()
        self._why, self._sink = why_not(program), len(program.nodes)
        self._tapped = None if self._why else TappedPort(cast("TaskPort", port), program, self._digests)
        self.port = cast("TaskPort", self._tapped or port)

    def sample(self, finished: Finished, attempted: Attempted, code: Callable[[Digest], Bytes]) -> bytes:
        """Save what the attempt was given, now that it has ended well; return what the program is told."""
        sample = Sample(attempted.job, "", "", self._why)
        if self._tapped is not None:
            self._tapped.finished(finished)
            saved = self._saving.save(attempted, self._own, code)
            output = f"{self._digests.of(self._sink)}|{self._digests.of(self._sink + 1)}"
            sample = replace(sample, output=output, capsule=saved.name, why=saved.why)
        return msgspec.json.encode(sample)


def watch(task: TaskId, program: Program, port: BodyPort, saving: Saving, fraction: float) -> Watched | None:
    """Begin to look at an attempt, if its task was drawn."""
    return Watched(program, port, saving) if is_drawn(task, fraction) else None
