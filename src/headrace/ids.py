"""The names of things.  An id is not an int: each kind has a type of its own, and none is ever used twice in a run."""

from typing import NamedTuple, NewType

RunId = NewType("RunId", str)  # one `connect()`; names the run's folder and its story
JobId = NewType("JobId", int)  # one action
OperatorId = NewType("OperatorId", int)  # a node of the lineage graph
StageId = NewType("StageId", int)  # a map stage is named when its shuffle is, and names it; a result stage is one job's
AttemptId = NewType("AttemptId", int)  # grows with every claim in a run; fences every attempt before it
WorkerId = NewType("WorkerId", str)  # one process; a replacement gets a new one
HostId = NewType("HostId", str)  # what shares a disk
Digest = NewType("Digest", str)  # names a blob by its content


class TaskId(NamedTuple):
    """One partition of one stage: what attempts are made at.

    >>> str(TaskId(StageId(3), 5))
    '3.5'
    """

    stage: StageId
    partition: int

    def __str__(self) -> str:
        return f"{self.stage}.{self.partition}"
