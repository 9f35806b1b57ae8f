"""The schedule machine: from jobs to offers, from attempts to results, through any loss.

It offers tasks and is told which attempts were made at them, how they ended and whose output counts; it decides what is
offered again, what is cancelled, when a job has failed and when it is done.  Which tasks there must be is the lineage's
business (`lineage`), which deserve a copy is speculation's (`speculate`, asked for by `oversight` as time passes), who runs
them the claim table's (`claims`).

The machine can be rebuilt at any moment from the events it was told, those that `must_be_journaled`: that is its control
journal.

Source: Zaharia et al., "Resilient Distributed Datasets" (2012), section 5.1; Dean & Ghemawat, "MapReduce" (2004),
section 3.3.
"""

from __future__ import annotations

from bisect import insort
from typing import Literal

from headrace.config import MS
from headrace.ids import AttemptId, HostId, JobId, OperatorId, StageId, TaskId, WorkerId
from headrace.protocols.lineage import Change
from headrace.protocols.oversight import Oversight
from headrace.protocols.schedule_state import Attempt, Delivery, Job
from headrace.protocols.schedule_words import (
    NOT_JOURNALED,
    AttemptClaimed,
    AttemptFailed,
    AttemptOverdue,
    AttemptProgressed,
    AttemptSeen,
    AttemptStarved,
    AttemptStopped,
    CacheEvicted,
    CacheGained,
    Cancel,
    CountUpdates,
    DatasetUncached,
    Deliver,
    DisbandGang,
    Effect,
    EndStage,
    Event,
    FailJob,
    FinishJob,
    FreeShuffle,
    GangClaimed,
    GangStands,
    HostGone,
    JobCancelled,
    JobSubmitted,
    Launch,
    Note,
    NoWorkers,
    OutputCommitted,
    OutputKept,
    OutputRefused,
    Rebuilt,
    Reopen,
    ResultDelivered,
    ResultLost,
    Settle,
    ShuffleReleased,
    StagesReplanned,
    Ticked,
    WorkerGone,
    WorkerJoined,
    WorkerSuspected,
    WorkerTrusted,
)

REST_NS = 500 * MS  # at first, of a task that nobody else can be given


class Schedule(Oversight):
    """Everything that is being computed in a run."""

    def must_be_journaled(self, event: Event) -> bool:
        """Whether an event is to be written down before it is taken: a machine that is rebuilt must be told it."""
        if isinstance(event, AttemptProgressed):
            attempt = self.attempts.get(event.attempt)
            return attempt is not None and self.troubles.would_forgive(self._blamed(attempt.task), event.progress)
        return not isinstance(event, NOT_JOURNALED)

    def step(self, event: Event) -> list[Effect]:
        """Take one event."""
        match event:
            case AttemptClaimed():
                return self._claimed(event)
            case OutputCommitted():
                return self._committed(event)
            case AttemptProgressed():
                return self._progressed(event)
            case JobSubmitted():
                return self._submitted(event)
            case AttemptOverdue():
                return self._overdue(event)
            case AttemptSeen(attempt=attempt, doing=doing):
                if attempt in self.attempts:
                    self.attempts[attempt].doing = doing
                return []
            case GangClaimed():
                return self._gang_claimed(event)
            case GangStands():
                return self._gang_stands(event)
            case OutputKept(attempt=attempt, worker=worker):
                return [] if self._is_done(attempt) else [Settle(attempt, worker, kept=attempt not in self.discarded)]
            case OutputRefused(attempt=attempt, worker=worker, now_ns=now):
                return [*self._ended(attempt, now), Settle(attempt, worker, kept=False)]
            case AttemptFailed():
                return self._failed(event)
            case AttemptStarved():
                return self._starved(event)
            case AttemptStopped(attempt=attempt, worker=worker, now_ns=now):
                return [*self._ended(attempt, now), Settle(attempt, worker, kept=False)]
            case ResultDelivered(task=task, attempt=attempt, now_ns=now):
                return self._delivered(task, attempt, now)
            case ResultLost():
                return self._result_lost(event)
            case WorkerJoined(worker=worker, host=host, now_ns=now):
                self.workers[worker] = host
                self.moved_ns = now
                return self._wake(list(self.resting))
            case WorkerGone():
                return self._worker_gone(event)
            case WorkerSuspected(worker=worker):
                self.suspects.add(worker)
                return self._offer_anew()
            case WorkerTrusted(worker=worker):
                self.suspects.discard(worker)
                return self._wake(list(self.resting))
            case HostGone(host=host, now_ns=now):
                return self._host_gone(host, now)
            case NoWorkers(why=why, now_ns=now):
                self.no_workers = why
                return [e for job in sorted(self.jobs) for e in self._fail(FailJob(job, "no workers", why), now)]
            case JobCancelled(job=job, because=because, now_ns=now):
                return self._fail(FailJob(job, "cancelled", because), now)
            case CacheGained(worker=worker, operator=operator, partition=partition, now_ns=now):
                return self._gained(operator, partition, worker, now)
            case CacheEvicted(worker=worker, operator=operator, partition=partition):
                return self._follow(self.lineage.evicted(operator, partition, worker))
            case DatasetUncached(operator=operator):
                return self._follow(self.lineage.uncache(operator))
            case StagesReplanned(stages=specs):
                return [*self._follow(self.lineage.replan(specs)), *self._release()]
            case ShuffleReleased(stage=stage):
                self.releasing.add(stage)
                return self._release()
            case Ticked(now_ns=now):
                return self._ticked(now)
            case Rebuilt(now_ns=now):
                return self._rebuilt(now)
        raise AssertionError(f"{type(event).__name__} is not an event of this protocol")

    # Jobs.

    def _submitted(self, event: JobSubmitted) -> list[Effect]:
        if event.job in self.jobs:
            return []  # doubled
        self.jobs[event.job] = Job(event.task_timeout_ns)
        self.moved_ns = event.now_ns
        effects = self._follow(self.lineage.submit(event.job, event.stages, event.wanted))
        if self.no_workers is not None:
            return effects + self._fail(FailJob(event.job, "no workers", self.no_workers), event.now_ns)
        return effects + self._finish_if_done(event.job, event.now_ns)

    def _finish_if_done(self, job: JobId, now_ns: int) -> list[Effect]:
        if job not in self.jobs or self.lineage.missing(job):
            return []
        return [FinishJob(job), *self._end(job, now_ns, "its job has finished")]

    def _fail(self, failure: FailJob, now_ns: int) -> list[Effect]:
        if failure.job not in self.jobs:
            return []
        return [failure, *self._end(failure.job, now_ns, "its job has ended")]

    def _end(self, job: JobId, now_ns: int, because: str) -> list[Effect]:
        result = self.lineage.result_stage(job)
        change = self.lineage.end(job)
        del self.jobs[job]
        effects = self._follow_to_the_end(change, because, now_ns)
        for attempt, state in sorted(self.attempts.items()):
            if state.task.stage == result:  # copies that lost, and attempts at partitions that were delivered
                effects += self._cancel(attempt, because, now_ns)
        for task in [task for task in self.delivering if task.stage == result]:
            del self.delivering[task]
        return [*effects, *self._end_stage(result), *self._release()]

    def _end_stage(self, stage: StageId) -> list[Effect]:
        """Forget what is known of a stage's tasks."""
        self.troubles.forget(stage)
        for task in [task for task in self.resting if task.stage == stage]:
            del self.resting[task]
        self.together.pop(stage, None)
        self.finished_ns.pop(stage, None)
        for task in [task for task in self.reopened if task.stage == stage]:
            del self.reopened[task]
        return [EndStage(stage)]

    def _release(self) -> list[Effect]:
        """Free shuffles that nobody refers to, as soon as nothing reads them; one may wait for another."""
        effects: list[Effect] = []
        freed = True
        while freed:
            freed = False
            for stage in sorted(self.releasing, reverse=True):
                if self.lineage.stage(stage) is None:
                    self.releasing.discard(stage)
                elif not self._running_of(stage) and self.lineage.free(stage):
                    self.releasing.discard(stage)
                    effects += [*self._end_stage(stage), FreeShuffle(stage)]
                    freed = True
        return effects

    def _follow_to_the_end(self, change: Change, because: str, now_ns: int) -> list[Effect]:
        """The same where something was achieved: what nobody needs any more is not waited for, either."""
        effects = self._follow(change)
        for task in change.drop:
            effects += self._cancel_all(task, because, now_ns)
            self.troubles.committed(self._blamed(task))  # a later job that needs it begins anew
        return effects

    def _gained(self, operator: OperatorId, partition: int, worker: WorkerId, now_ns: int) -> list[Effect]:
        if worker not in self.workers:
            return []  # it died before we heard of its copy
        change = self.lineage.cached(operator, partition, worker)
        return self._follow_to_the_end(change, "what it was for is cached", now_ns)

    # Attempts.

    def _claimed(self, event: AttemptClaimed) -> list[Effect]:
        if event.attempt in self.attempts:
            return []  # doubled
        task = event.task
        self.offered.pop(task, None)
        if event.worker not in self.workers:
            return self._offer([task])  # its worker died before we heard of the claim
        beside = self._has_effects(task) and self._is_attempted(task)
        doomed = event.host in self.lost_hosts
        self.moved_ns = now = event.now_ns
        attempt = Attempt(task, event.worker, event.host, event.copy, doomed=doomed, claimed_ns=now)
        self.attempts[event.attempt] = attempt
        self.by_task.setdefault(task, []).append(event.attempt)
        if beside:  # claimed twice, because of offers that crossed with a claim: give it back before it has begun
            return self._cancel(event.attempt, "no other attempt may run beside the one that does", event.now_ns)
        if not self.lineage.is_wanted(task):
            return [
                Launch(task, event.attempt, event.worker, event.copy),
                *self._cancel(event.attempt, "nobody needs it any more", event.now_ns),
            ]
        return [Launch(task, event.attempt, event.worker, event.copy)]

    def _progressed(self, event: AttemptProgressed) -> list[Effect]:
        attempt = self.attempts.get(event.attempt)
        if attempt is None:
            return []  # ended in the meantime
        if event.progress > attempt.progress:
            self.moved_ns = event.now_ns
        ran_ns = min(event.ran_ns, event.now_ns - attempt.claimed_ns)  # the worker's clock may run wrong
        attempt.ran_ns, attempt.heard_ns = max(attempt.ran_ns, ran_ns), event.now_ns
        attempt.progress = max(attempt.progress, event.progress)
        self.troubles.progressed(self._blamed(attempt.task), attempt.progress)
        return []

    def _committed(self, event: OutputCommitted) -> list[Effect]:
        task, attempt = event.task, self.attempts.get(event.attempt)
        self.moved_ns = event.now_ns
        settle = Settle(event.attempt, event.worker, kept=True)
        discard = Settle(event.attempt, event.worker, kept=False)
        spec = self.lineage.stage(task.stage)
        if spec is None:  # nobody can need it any more
            self.discarded.add(event.attempt)
            return [EndStage(task.stage), *self._ended(event.attempt, event.now_ns), discard]
        if self._in_gang(task.stage, event.attempt):
            counting = self._done_in_gang(event)
            over: list[Effect] = [DisbandGang(task.stage)] if counting else []
            return over + [effect for one in counting for effect in self._committed(one)]
        if attempt is None or attempt.doomed:  # lost, by our account, with its worker or its host's disk
            self.discarded.add(event.attempt)
            reopen = self._reopen(task, event.attempt)
            again = self._withdraw([task] if task in self.offered else [])  # its commit took the offer off the table
            return [reopen, *again, *self._ended(event.attempt, event.now_ns), *self._offer([task]), discard]
        effects: list[Effect] = []
        self._forget(event.attempt)
        self.troubles.committed(self._blamed(task))
        self.offered.pop(task, None)
        self.reopened.pop(task, None)
        insort(self.finished_ns.setdefault(task.stage, []), event.ran_ns)
        jobs = self.lineage.jobs_of(task.stage)
        if event.output.updates and jobs and task not in self.jobs[jobs[0]].counted:
            self.jobs[jobs[0]].counted.add(task)
            effects.append(CountUpdates(jobs[0], event.attempt))
        if spec.is_map:
            assert event.output.where is not None
            change = self.lineage.stored(task, event.output.where)
            effects += self._follow_to_the_end(change, "what it was for is there", event.now_ns)
        elif why := self._too_large(self.jobs[jobs[0]], event):
            settle = discard
            self.discarded.add(event.attempt)
            effects += self._fail(FailJob(jobs[0], "too large", why, task), event.now_ns)
        else:
            effects += self._result(jobs[0], event)
        for operator, partition in event.output.cached:  # after its output: else this very task could run again
            change = self.lineage.cached(OperatorId(operator), partition, attempt.worker)
            effects += self._follow_to_the_end(change, "what it was for is cached", event.now_ns)
        for other in list(self.by_task.get(task, ())):
            effects += self._cancel(other, "another attempt was first", event.now_ns)
        return [*effects, settle, *self._release()]  # settled last: what came along was used by then

    def _too_large(self, job: Job, event: OutputCommitted) -> str:
        size = job.result_bytes + event.output.result_bytes
        if size <= self.config.result_bytes_max:
            return ""
        return (
            f"its results come to more than {self.config.result_bytes_max:,} bytes "
            f"({size:,} after partition {event.task.partition})"
        )

    def _result(self, job: JobId, event: OutputCommitted) -> list[Effect]:
        self.jobs[job].result_bytes += event.output.result_bytes
        self.delivering[event.task] = Delivery(event.attempt, event.output.result_bytes)
        effects: list[Effect] = [Deliver(job, event.task, event.attempt, event.output.inline)]
        if event.output.inline:
            effects += self._delivered(event.task, event.attempt, event.now_ns)
        return effects

    def _delivered(self, task: TaskId, attempt: AttemptId, now_ns: int) -> list[Effect]:
        delivery = self.delivering.get(task)
        if delivery is None or delivery.attempt != attempt:
            return []  # doubled, or its job has ended
        del self.delivering[task]
        self.moved_ns = now_ns
        job = self.lineage.jobs_of(task.stage)[0]
        change = self.lineage.delivered(job, task.partition)
        effects = self._follow_to_the_end(change, "what it was for is delivered", now_ns)
        return effects + self._finish_if_done(job, now_ns)

    def _result_lost(self, event: ResultLost) -> list[Effect]:
        task, delivery = event.task, self.delivering.get(event.task)
        if delivery is None or delivery.attempt != event.attempt:
            return []  # doubled, or its job has ended
        del self.delivering[task]
        self.jobs[self.lineage.jobs_of(task.stage)[0]].result_bytes -= delivery.size
        note = Note("result lost", task, event.attempt, event.how)
        failing = self._count_loss(task, event.attempt, event.how, event.now_ns)
        if task.stage in self.together:
            return [note, *failing, *self._together_again(task.stage)]
        return [note, self._reopen(task, event.attempt), *failing, *self._offer([task])]

    def _failed(self, event: AttemptFailed) -> list[Effect]:
        attempt = self.attempts.get(event.attempt)
        settle = Settle(event.attempt, event.worker, kept=False)
        if attempt is None or attempt.cancelled_ns is not None:
            return [*self._ended(event.attempt, event.now_ns, event.how), settle]
        failing = self._count_failure(attempt.task, event.attempt, event.how, event.now_ns)
        if event.world and self.lineage.is_wanted(attempt.task):
            blamed = self._blamed(attempt.task)
            self.resting[blamed] = event.now_ns + (REST_NS << 2 * min(5, self.troubles.failures(blamed) - 1))
        return [settle, *failing, *self._ended(event.attempt, event.now_ns)]

    def _starved(self, event: AttemptStarved) -> list[Effect]:
        attempt = self.attempts.get(event.attempt)
        effects: list[Effect] = [Settle(event.attempt, event.worker, kept=False)]
        if attempt is not None:
            effects.append(Note("starved", attempt.task, event.attempt, event.how))
        change = self._outputs_lost(event)
        effects += self._follow(change)
        if attempt is not None:
            effects += self._follow(self.lineage.not_found(attempt.task, event.stage))
        waits = not any(writer for _, writer in event.lost)  # for what others found lost, and is computed again
        if attempt is not None and attempt.cancelled_ns is None and not waits:
            found = [task for task, _ in change.lost]
            if not found or self.troubles.found_out(self._blamed(attempt.task), found):  # others may have been faster
                effects.append(Note("attempt lost", attempt.task, event.attempt, event.how))
            else:
                effects += self._count_loss(attempt.task, event.attempt, event.how, event.now_ns)
        return effects + self._ended(event.attempt, event.now_ns)

    def _outputs_lost(self, event: AttemptStarved) -> Change:
        """Have lost outputs made again, and not where they were lost."""
        if self.lineage.stage(event.stage) is not None:
            _, places = self.lineage.outputs(event.stage)
            for partition, attempt in event.lost:
                place = places.get(partition)
                if place is not None and place.attempt == attempt and place.host not in self.lost_hosts:
                    self.troubles.unreadable(self._blamed(TaskId(event.stage, partition)), place.host)
        return self.lineage.outputs_lost(event.stage, event.lost)

    def _overdue(self, event: AttemptOverdue) -> list[Effect]:
        """Have an attempt end that takes too long; it counts as a failure when it has, unless it ends well after all."""
        state = self.attempts.get(event.attempt)
        if state is None or state.cancelled_ns is not None or self._is_done(event.attempt):
            return []
        ran, limit = event.ran_ns / 1e9, event.limit_ns / 1e9
        state.overdue = f"ran for {ran:.1f} s on {state.worker}, and {limit:g} s is its time"
        note = Note("overdue", state.task, event.attempt, state.overdue)
        return [note, *self._cancel(event.attempt, "its time is up", event.now_ns), *self._offer([state.task])]

    def _count_overdue(self, state: Attempt, attempt: AttemptId, how: str, now_ns: int) -> list[Effect]:
        if not state.overdue or not self.lineage.is_wanted(state.task):
            return []
        unseen = f"it let nobody look, as one long call into C does; {how}" if how else "nobody knows what it did"
        how = f"{state.overdue}: {state.doing or unseen}"
        why = self.troubles.failed(self._blamed(state.task), attempt, how, state.host)
        if why is None:
            return [Note("rerun", state.task, attempt, how)]
        return self._give_up(state.task, "timed out", why, now_ns)

    def _count_failure(self, task: TaskId, attempt: AttemptId, how: str, now_ns: int) -> list[Effect]:
        state = self.attempts.get(attempt)
        why = self.troubles.failed(self._blamed(task), attempt, how, None if state is None else state.host)
        return [Note("rerun", task, attempt, how)] if why is None else self._give_up(task, "failed", why, now_ns)

    def _count_loss(self, task: TaskId, attempt: AttemptId, how: str, now_ns: int) -> list[Effect]:
        why = self.troubles.lost(self._blamed(task), attempt, how)
        return [Note("attempt lost", task, attempt, how)] if why is None else self._give_up(task, "lost", why, now_ns)

    def _give_up(
        self, task: TaskId, kind: Literal["failed", "timed out", "lost"], why: str, now_ns: int
    ) -> list[Effect]:
        trouble = self.troubles.take(self._blamed(task))
        effects: list[Effect] = []
        for job in self.lineage.needed_by(task):
            failure = FailJob(job, kind, why, task, trouble.last, tuple(trouble.history))
            effects += self._fail(failure, now_ns)
        return effects

    def _ended(self, attempt: AttemptId, now_ns: int, how: str = "") -> list[Effect]:
        """An attempt is over without an output that counts."""
        state = self.attempts.get(attempt)
        if state is None:
            return []  # known already
        in_gang = self._in_gang(state.task.stage, attempt)
        self.moved_ns = now_ns
        self._forget(attempt)
        failing = self._count_overdue(state, attempt, how, now_ns)
        broken = self._break(state.task.stage, "another task of its stage must run again", now_ns) if in_gang else []
        return [*failing, *broken, *self._offer([state.task]), *self._release()]

    # Workers and hosts.

    def _worker_gone(self, event: WorkerGone) -> list[Effect]:
        if self.workers.pop(event.worker, None) is None:
            return []  # known already, or it never joined
        self.suspects.discard(event.worker)
        self.freed_ns.pop(event.worker, None)
        effects = self._follow(self.lineage.worker_lost(event.worker))  # first: what is offered must not count on it
        mine = sorted(attempt for attempt, state in self.attempts.items() if state.worker == event.worker)
        for attempt in mine:
            state = self.attempts.get(attempt)
            if state is None or state.cancelled_ns is not None:
                pass  # it was to end anyway
            elif attempt == event.culprit:
                effects += self._count_failure(state.task, attempt, event.how, event.now_ns)
            elif attempt == event.victim:
                effects += self._count_loss(state.task, attempt, event.how, event.now_ns)
        for attempt in mine:
            if attempt in self.attempts:
                effects += self._ended(attempt, event.now_ns, event.how)
        return effects + self._offer_anew()

    def _host_gone(self, host: HostId, now_ns: int) -> list[Effect]:
        self.moved_ns = now_ns
        self.lost_hosts.add(host)
        for state in self.attempts.values():
            if state.host == host:
                state.doomed = True
        effects = self._follow(self.lineage.host_lost(host))
        for stage, gang in sorted(self.gangs.items()):
            if any(self.attempts[attempt].doomed for attempt in gang.members):
                effects += self._break(stage, "the host of another task of its stage is lost", now_ns)
        return effects

    def _rebuilt(self, now_ns: int) -> list[Effect]:
        """Ask again for everything that may have been asked for in vain."""
        self.moved_ns = now_ns
        effects: list[Effect] = [Reopen(task, attempt) for task, attempt in sorted(self.reopened.items())]
        ready = [TaskId(stage, p) for stage in self.lineage.alive() for p in self.lineage.ready(stage)]
        self.offered.clear()
        self.resting.clear()
        effects += self._withdraw(ready)  # as copies, perhaps
        effects += self._offer(ready)
        effects += [self._assemble(stage, gang) for stage, gang in sorted(self.gangs.items())]
        for attempt, state in sorted(self.attempts.items()):
            if state.cancelled_ns is None:
                effects.append(Launch(state.task, attempt, state.worker, state.copy))
            else:
                state.cancelled_ns = now_ns
                effects.append(Cancel(attempt, state.worker, "asked again"))
        for task, delivery in sorted(self.delivering.items()):
            effects.append(Deliver(self.lineage.jobs_of(task.stage)[0], task, delivery.attempt, inline=False))
        return effects + self._release()
