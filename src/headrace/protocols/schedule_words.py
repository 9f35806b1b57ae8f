"""What the schedule machine is told, and what it asks for.

Kept beside the machine (`schedule`) and not in it, because there is much of it: it is the vocabulary of a whole run.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from headrace.ids import AttemptId, HostId, JobId, OperatorId, StageId, TaskId, WorkerId
from headrace.plan.stages import StageSpec
from headrace.protocols.claims import Offer, Output

# What it is told.


class JobSubmitted(Struct, frozen=True):
    """An action: its stages, parents first, the result stage last, and the result partitions it wants.

    Attributes:
        task_timeout_ns: how long an attempt may take for it; 0: as long as it will.

    """

    job: JobId
    stages: tuple[StageSpec, ...]
    wanted: tuple[int, ...]
    now_ns: int
    task_timeout_ns: int = 0


class JobCancelled(Struct, frozen=True):
    """Somebody wants a job to end."""

    job: JobId
    because: str
    now_ns: int


class WorkerJoined(Struct, frozen=True):
    """A worker takes tasks."""

    worker: WorkerId
    host: HostId
    now_ns: int


class WorkerGone(Struct, frozen=True):
    """Its memory and its attempts are lost.  `culprit` or `victim` is what it was running, as membership judged."""

    worker: WorkerId
    how: str
    culprit: AttemptId | None
    victim: AttemptId | None
    now_ns: int


class WorkerSuspected(Struct, frozen=True):
    """A worker has fallen silent."""

    worker: WorkerId


class WorkerTrusted(Struct, frozen=True):
    """A silent worker spoke again."""

    worker: WorkerId


class HostGone(Struct, frozen=True):
    """Its disk is lost, with the map outputs on it."""

    host: HostId
    now_ns: int


class NoWorkers(Struct, frozen=True):
    """No worker can be started any more."""

    why: str
    now_ns: int


class AttemptClaimed(Struct, frozen=True):
    """A worker has a task."""

    task: TaskId
    attempt: AttemptId
    worker: WorkerId
    host: HostId
    copy: bool
    now_ns: int


class GangClaimed(Struct, frozen=True):
    """Workers have all the tasks of a barrier stage, one each."""

    members: tuple[AttemptClaimed, ...]
    now_ns: int


class GangStands(Struct, frozen=True):
    """The tasks of a barrier stage have met so many times, and these wait for the others now."""

    stage: StageId
    met: int
    waiting: tuple[AttemptId, ...]
    now_ns: int


class AttemptProgressed(Struct, frozen=True):
    """It has begun and got so far.

    Attributes:
        ran_ns: how long it has run by its own clock.
        progress: thousandths of its input.

    """

    attempt: AttemptId
    ran_ns: int
    progress: int
    now_ns: int


class AttemptOverdue(Struct, frozen=True):
    """It has run for longer than the jobs that wait for it allow."""

    attempt: AttemptId
    ran_ns: int
    limit_ns: int
    now_ns: int


class AttemptSeen(Struct, frozen=True):
    """What an attempt was doing when it was asked, for people."""

    attempt: AttemptId
    doing: str


class OutputCommitted(Struct, frozen=True):
    """The first of its task to commit: its output counts."""

    task: TaskId
    attempt: AttemptId
    worker: WorkerId
    output: Output
    ran_ns: int
    now_ns: int


class OutputKept(Struct, frozen=True):
    """Asked again about an output that counts."""

    attempt: AttemptId
    worker: WorkerId


class OutputRefused(Struct, frozen=True):
    """It came too late."""

    attempt: AttemptId
    worker: WorkerId
    now_ns: int


class AttemptFailed(Struct, frozen=True):
    """It raised: its own fault.  `how` is for people.

    Attributes:
        world: or rather the fault of what ails its host, such as a full disk.

    """

    attempt: AttemptId
    worker: WorkerId
    how: str
    now_ns: int
    world: bool = False


class AttemptStarved(Struct, frozen=True):
    """It could not get its input: map outputs that are missing or corrupt."""

    attempt: AttemptId
    worker: WorkerId
    stage: StageId
    lost: tuple[tuple[int, AttemptId], ...]
    how: str
    now_ns: int


class AttemptStopped(Struct, frozen=True):
    """It ended because we asked, or was given back before it began."""

    attempt: AttemptId
    worker: WorkerId
    now_ns: int


class ResultDelivered(Struct, frozen=True):
    """A result that was not inline has reached the program."""

    task: TaskId
    attempt: AttemptId
    now_ns: int


class ResultLost(Struct, frozen=True):
    """A committed result could not be brought to the program."""

    task: TaskId
    attempt: AttemptId
    how: str
    now_ns: int


class CacheGained(Struct, frozen=True):
    """A worker keeps a copy of a cached partition that another had made."""

    worker: WorkerId
    operator: OperatorId
    partition: int
    now_ns: int


class CacheEvicted(Struct, frozen=True):
    """A worker had to drop a cached partition."""

    worker: WorkerId
    operator: OperatorId
    partition: int


class DatasetUncached(Struct, frozen=True):
    """A dataset is not to be kept any more."""

    operator: OperatorId


class StagesReplanned(Struct, frozen=True):
    """Datasets in these stages are kept, or not any more, or are not made any more of what they were made of."""

    stages: tuple[StageSpec, ...]


class ShuffleReleased(Struct, frozen=True):
    """No dataset refers to a shuffle any more."""

    stage: StageId


class Ticked(Struct, frozen=True):
    """Time passed."""

    now_ns: int


class Rebuilt(Struct, frozen=True):
    """The machine was rebuilt from its journal: what it asked for before may have been lost on the way."""

    now_ns: int


Event = (
    JobSubmitted
    | JobCancelled
    | WorkerJoined
    | WorkerGone
    | WorkerSuspected
    | WorkerTrusted
    | HostGone
    | NoWorkers
    | AttemptClaimed
    | GangClaimed
    | GangStands
    | AttemptProgressed
    | AttemptOverdue
    | AttemptSeen
    | OutputCommitted
    | OutputKept
    | OutputRefused
    | AttemptFailed
    | AttemptStarved
    | AttemptStopped
    | ResultDelivered
    | ResultLost
    | CacheGained
    | CacheEvicted
    | DatasetUncached
    | StagesReplanned
    | ShuffleReleased
    | Ticked
    | Rebuilt
)
# All else is written ahead: progress only where `Schedule.must_be_journaled` says so.
NOT_JOURNALED = (Ticked, Rebuilt, GangStands)


# What it asks for.


class MakeOffers(Struct, frozen=True):
    """Let these be claimed."""

    offers: tuple[Offer, ...]


class OfferGang(Struct, frozen=True):
    """Let all the tasks of a barrier stage be claimed at once."""

    offers: tuple[Offer, ...]


class AssembleGang(Struct, frozen=True):
    """Let the tasks of a barrier stage meet: an attempt for each partition, in order, with its worker and host."""

    stage: StageId
    attempts: tuple[AttemptId, ...]
    workers: tuple[WorkerId, ...]
    hosts: tuple[HostId, ...]


class DisbandGang(Struct, frozen=True):
    """They meet no more: all have ended well, or are called off."""

    stage: StageId


class WithdrawOffers(Struct, frozen=True):
    """Let these not be claimed any more, nor the gangs that they belong to."""

    tasks: tuple[TaskId, ...]


class Reopen(Struct, frozen=True):
    """Let a task be committed anew: the output of the attempt that committed it is lost."""

    task: TaskId
    attempt: AttemptId


class Launch(Struct, frozen=True):
    """Tell a worker to run an attempt."""

    task: TaskId
    attempt: AttemptId
    worker: WorkerId
    copy: bool


class Cancel(Struct, frozen=True):
    """Tell a worker to stop an attempt."""

    attempt: AttemptId
    worker: WorkerId
    because: str


class CallOverdue(Struct, frozen=True):
    """Have what an attempt is doing looked at, and say back that it takes too long."""

    attempt: AttemptId
    worker: WorkerId
    ran_ns: int
    limit_ns: int


class KillWorker(Struct, frozen=True):
    """End a process that does not stop when it is told to."""

    worker: WorkerId
    because: str


class Settle(Struct, frozen=True):
    """Answer a report: the output counts and stays, or it is to be discarded."""

    attempt: AttemptId
    worker: WorkerId
    kept: bool


class Deliver(Struct, frozen=True):
    """Bring a result to the program; what came inline is there."""

    job: JobId
    task: TaskId
    attempt: AttemptId
    inline: bool


class CountUpdates(Struct, frozen=True):
    """Add an attempt's contributions to the accumulators, on behalf of a job."""

    job: JobId
    attempt: AttemptId


class FinishJob(Struct, frozen=True):
    """All that a job wanted has reached the program."""

    job: JobId


class FailJob(Struct, frozen=True):
    """A job gave up.

    Attributes:
        last: the attempt whose error is to be shown, if one raised.
        history: one line for each attempt of the task that counted, oldest first.

    """

    job: JobId
    kind: Literal["failed", "timed out", "lost", "too large", "cancelled", "no workers"]
    why: str
    task: TaskId | None = None
    last: AttemptId | None = None
    history: tuple[str, ...] = ()


class EndStage(Struct, frozen=True):
    """A stage is over: the claim table may forget it, and what was committed at it since it was told so before."""

    stage: StageId


class FreeShuffle(Struct, frozen=True):
    """Remove the files of a shuffle."""

    stage: StageId


class Stalled(Struct, frozen=True):
    """Nothing has happened for long; what is waited for, one line each."""

    silent_ns: int
    waits: tuple[str, ...]


class Note(Struct, frozen=True):
    """For the story: something that people will want to know.  Changes nothing."""

    what: Literal["rerun", "overdue", "copy", "lost outputs", "attempt lost", "starved", "refused", "result lost"]
    task: TaskId | None
    attempt: AttemptId | None
    why: str


Effect = (
    MakeOffers
    | OfferGang
    | AssembleGang
    | DisbandGang
    | WithdrawOffers
    | Reopen
    | Launch
    | Cancel
    | CallOverdue
    | KillWorker
    | Settle
    | Deliver
    | CountUpdates
    | FinishJob
    | FailJob
    | EndStage
    | FreeShuffle
    | Stalled
    | Note
)
