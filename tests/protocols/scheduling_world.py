"""A modelled world around the schedule machine and the claim table: workers, hosts, disks, a program.

The two machines are wired as the program's loop wires them: the effects of one are events of the other, in one queue.  The
machine that plans copies of cached partitions stands in that queue, too, and passes on what it is told; its copies are made
by chance, of whatever some worker keeps.  The rest is a model that knows the truth, which
processes live and which files can be read, and checks at every step that what the machines ask for is allowed.
Chance is the caller's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from headrace.config import MS
from headrace.ids import JobId, OperatorId, StageId
from headrace.plan.stages import StageSpec
from headrace.protocols import claims, gather
from headrace.protocols import schedule_words as words
from headrace.protocols.lineage import MapOutput
from tests.protocols.catalog import GANG_MAX, Dataset
from tests.protocols.scheduling_facts import SCHEDULE, SPECULATE
from tests.protocols.scheduling_judge import LOSSES, Judge, essence, justified
from tests.protocols.scheduling_parts import (
    Action,
    Beat,
    Evicted,
    GiveBack,
    Meets,
    Met,
    Process,
    Replicated,
    Report,
    Run,
    Settled,
    Stop,
    Uncache,
    stages_of,
)

TIMEOUT_NS = 900 * MS
RESULT_STAGES = 1000  # ids of result stages begin here


class SchedulingWorld(Judge):
    """The loop between the machines, and the program."""

    # The loop.

    def loop(self, steps: int = 1_000_000) -> None:
        """Run the loop, perhaps not to its end."""
        while self.queue and steps:
            steps -= 1
            machine, event, _ = self.queue.popleft()
            if machine == "schedule":
                assert not isinstance(event, claims.Event | gather.Event)
                self.decide(event)
            elif machine == "replicate":
                assert isinstance(event, words.CacheGained | words.CacheEvicted)
                if isinstance(event, words.CacheEvicted) or event.operator in self.kept:
                    self.tell(event)
            elif machine == "gather":
                assert isinstance(event, gather.Event)
                for met in self.gather.step(event):
                    self.let_on(met)
            else:
                assert isinstance(event, claims.Event)
                if isinstance(event, claims.Suspected):
                    self.silent.add(event.worker)
                elif isinstance(event, claims.Trusted):
                    self.silent.discard(event.worker)
                for answer in self.claims.step(event):
                    self.pass_on(answer)
        if not self.queue:
            self.flush()
            self.check_at_rest()

    def decide(self, event: words.Event) -> None:
        """The schedule machine takes an event; what it forgets of outputs must be what it was told is lost."""
        if self.schedule.must_be_journaled(event):
            self.journal.append(event)
        before = self.places() if isinstance(event, LOSSES) else {}
        effects = self.schedule.step(event)
        if before:
            after = self.places()
            gone = {task for task in before if task not in after and self.is_alive(task.stage)}
            named = {task for task in justified(event, before, self.catalog.barriers) if self.is_alive(task.stage)}
            assert gone == named, f"{event} took {sorted(gone)}"
        if isinstance(event, words.OutputCommitted):
            self.check_counted(event, effects)
        for effect in effects:
            self.perform(effect)

    def flush(self) -> None:
        for settle in self.settlements:
            self.send(settle.worker, Settled(settle.attempt, settle.kept))
        self.settlements.clear()
        for launch in self.runs:
            code = self.code.get(launch.task.stage)
            if code is not None:
                lineage = self.schedule.lineage
                reads = {read for segment in code.segments for read in stages_of(segment.reads)}
                tables = {read: dict(lineage.outputs(read)[1]) for read in sorted(reads) if lineage.stage(read)}
                gang = self.gangs[launch.attempt] if code.barrier else ()
                self.send(launch.worker, Run(launch.task, launch.attempt, code, tables, gang))
        self.runs.clear()

    def let_on(self, effect: gather.Effect) -> None:
        match effect:
            case gather.Answer(attempt=attempt, messages=messages, error=error):
                assert not error
                assert list(messages) == [str(member) for member in self.gangs[attempt]]
                self.send(self.workers[attempt], Met(attempt))
            case gather.Stands(stage=stage, met=met, waiting=waiting):
                self.tell(words.GangStands(stage, met, waiting, self.now_ns))

    def pass_on(self, answer: claims.Effect) -> None:
        match answer:
            case claims.GangClaimed(members=members):
                self.check_gang(members)
                told = []
                for one in members:
                    assert one.attempt not in self.tasks, "an attempt was named twice"
                    assert one.worker not in self.silent, f"{one.worker} is given a task, though it has fallen silent"
                    self.tasks[one.attempt], self.workers[one.attempt] = one.task, one.worker
                    told.append(words.AttemptClaimed(one.task, one.attempt, one.worker, one.host, False, one.now_ns))
                self.tell(words.GangClaimed(tuple(told), self.now_ns))
            case claims.Claimed(task=task, attempt=attempt, worker=worker, copy=copy):
                assert attempt not in self.tasks, "an attempt was named twice"
                assert worker not in self.silent, f"{worker} is given a task, though it has fallen silent"
                self.tasks[attempt], self.workers[attempt] = task, worker
                beside = [self.tasks[other] for other in self.claims.workers[worker].held if other in self.tasks]
                assert not any(self.is_barrier(t.stage) for t in beside), f"{task} waits for {beside}"
                if copy:
                    others = [a for a, t in self.tasks.items() if t == task and a != attempt]
                    held = self.claims.workers[worker].held
                    assert not any(other in held for other in others), "a copy beside its original"
                    assert not self.has_effects(task.stage), f"task {task} has effects, and was copied"
                self.tell(words.AttemptClaimed(task, attempt, worker, answer.host, copy, answer.now_ns))
            case claims.Committed(task=task, attempt=attempt):
                before = self.committed.get(task)
                over = self.schedule.lineage.stage(task.stage) is None
                assert before is None or over or before in self.reported_lost or self.is_buried(before), (
                    f"task {task} was committed by {attempt} while the output of {before} counts"
                )
                self.committed[task] = attempt
                self.tell(
                    words.OutputCommitted(task, attempt, answer.worker, answer.output, answer.ran_ns, answer.now_ns)
                )
            case claims.Kept(attempt=attempt, worker=worker):
                self.tell(words.OutputKept(attempt, worker))
            case claims.Refused(attempt=attempt, worker=worker):
                self.tell(words.OutputRefused(attempt, worker, self.now_ns))
            case claims.TakeBack(worker=worker, attempts=attempts):
                self.send(worker, GiveBack(attempts))

    def perform(self, effect: words.Effect) -> None:
        match effect:
            case words.MakeOffers(offers=offers):
                for offer in offers:
                    self.check_offer(offer)
                self.ask(claims.Offered(offers, self.now_ns))
            case words.OfferGang(offers=offers):
                for offer in offers:
                    self.check_offer(offer)
                self.ask(claims.GangOffered(offers, self.now_ns))
            case words.AssembleGang(stage=stage, attempts=attempts):
                self.gangs.update(dict.fromkeys(attempts, attempts))
                self.tell_gather(gather.Assembled(stage, attempts))
            case words.DisbandGang(stage=stage):
                self.tell_gather(gather.Disbanded(stage))
            case words.WithdrawOffers(tasks=tasks):
                self.ask(claims.Withdrawn(tasks))
            case words.Reopen():
                self.ask(self.reopened(effect))
            case words.EndStage(stage=stage):
                self.ask(claims.StageOver(stage))
                self.code.pop(stage, None)
            case words.Launch():
                self.check_launch(effect)
                self.runs.append(effect)
            case words.Cancel(attempt=attempt, worker=worker):
                self.send(worker, Stop(attempt))
            case words.CallOverdue(attempt=attempt, ran_ns=ran_ns, limit_ns=limit_ns):
                assert ran_ns >= limit_ns > 0
                self.failures.setdefault(self.tasks[attempt], set()).add(attempt)
                self.tell(words.AttemptOverdue(attempt, ran_ns, limit_ns, self.now_ns))
                self.tell(words.AttemptSeen(attempt, "it slept"))
            case words.KillWorker(worker=worker):
                if self.processes[worker].alive:
                    self.kill(worker, blame="nobody")
            case words.Settle():
                self.settle(effect)
            case words.Deliver():
                self.deliver(effect)
            case words.CountUpdates(job=job, attempt=attempt):
                task, action = self.tasks[attempt], self.actions[job]
                assert attempt in self.reports, "the contributions were dropped before they were counted"
                assert not action.ended
                assert task not in action.counted, f"job {job} counts task {task} twice"
                assert self.committed.get(task) == attempt, f"job {job} counts attempt {attempt}, which was refused"
                assert self.reports[attempt].updates
                action.counted[task] = attempt
            case words.FinishJob(job=job):
                self.finished(self.actions[job])
            case words.FailJob():
                self.failed(effect)
            case words.FreeShuffle(stage=stage):
                self.free(stage)
            case words.Stalled() | words.Note():
                pass  # for people

    def reopened(self, effect: words.Reopen) -> claims.Reopened:
        if self.is_barrier(effect.task.stage):
            self.reported_lost.add(effect.attempt)  # with its gang, though it may be there
        return claims.Reopened(effect.task, effect.attempt)

    # The program.

    def submit(
        self, dataset: Dataset, wanted: Iterable[int], *, has_effects: bool, inline: bool, barrier: bool = False
    ) -> None:
        job = JobId(len(self.actions) + 1)
        stage = StageId(RESULT_STAGES + job)
        barrier = barrier and self.catalog.may_meet(dataset)
        wanted = range(dataset.partitions) if barrier else sorted(set(wanted))
        action = Action(job, dataset, stage, tuple(wanted), has_effects, inline, barrier)
        self.actions[job] = action
        specs = [self.catalog.spec(parent, self.kept) for parent in self.catalog.closure(dataset)]
        segments = dataset.segments(self.kept)
        specs.append(StageSpec(stage, f"result {stage}", dataset.partitions, False, segments, has_effects, barrier))
        for spec in specs:
            self.code[spec.id] = spec
        timeout = TIMEOUT_NS if job % 3 == self.catalog.datasets[0].partitions % 3 else 0
        self.tell(words.JobSubmitted(job, tuple(specs), action.wanted, self.now_ns, timeout))

    def cancel(self, job: JobId) -> None:
        self.cancelled.add(job)
        self.tell(words.JobCancelled(job, "somebody said so", self.now_ns))

    def release(self, stage: StageId) -> None:
        self.released.add(stage)
        self.tell(words.ShuffleReleased(stage))

    def keep(self, operator: OperatorId) -> None:
        self.kept |= {operator}
        self.replan()

    def replan(self) -> None:
        """Shuffles that the machine knows are planned anew with what is kept now."""
        stages = [stage for stage in self.catalog.shuffles if stage in self.code]
        specs = [self.catalog.spec(stage, self.kept) for stage in stages]
        self.code |= {spec.id: spec for spec in specs}
        self.tell(words.StagesReplanned(tuple(specs)))

    def unkeep(self, operator: OperatorId) -> None:
        self.kept -= {operator}
        self.tell(words.DatasetUncached(operator))
        self.replan()
        for worker in self.living():
            self.send(worker, Uncache(operator))

    def bring(self, effect: words.Deliver) -> None:
        """A result that was not inline reaches the program, or cannot."""
        self.delivering.remove(effect)
        action, file = self.actions[effect.job], self.files.pop(effect.attempt, None)
        if file is None or file.broken or file.host in self.dead_hosts:
            self.reported_lost.add(effect.attempt)
            self.losses.setdefault(effect.task, set()).add(effect.attempt)
            self.tell(words.ResultLost(effect.task, effect.attempt, "it is not there", self.now_ns))
            return
        if not action.ended:
            self.accept(action, effect.task, effect.attempt)
        self.tell(words.ResultDelivered(effect.task, effect.attempt, self.now_ns))

    def hear(self, process: Process, *, twice: bool = False) -> None:
        """A frame from a worker comes."""
        message = process.outbox[0] if twice else process.outbox.popleft()
        if process.buried:
            return
        now = self.now_ns
        match message:
            case Report(attempt=attempt):
                self.unanswered.add((attempt, process.id))
                self.reported(process, message)
            case Beat(attempt=attempt, ran_ns=ran_ns, progress=progress):
                self.tell(words.AttemptProgressed(attempt, ran_ns, progress, now))
            case Meets(attempt=attempt):
                self.tell_gather(gather.Came(attempt, 1, "barrier", str(attempt)))
            case Evicted(operator=operator, partition=partition):
                self.queue.append(("replicate", words.CacheEvicted(process.id, operator, partition), False))
            case Replicated(operator=operator, partition=partition):
                self.queue.append(("replicate", words.CacheGained(process.id, operator, partition, now), False))

    def reported(self, process: Process, report: Report) -> None:
        now, attempt, task, worker = self.now_ns, report.attempt, report.task, process.id
        if report.outcome == "done":
            spec = self.schedule.lineage.stage(task.stage)
            where = MapOutput(process.host, attempt) if spec is not None and spec.is_map else None
            cached = tuple(key for key in report.cached if key[0] in self.kept)
            for operator, _ in report.cached:
                if operator not in self.kept:
                    self.send(worker, Uncache(operator))
            output = claims.Output(where, 1, report.inline, updates=report.updates, cached=cached)
            self.reports.setdefault(attempt, report)
            self.tell_gather(gather.Departed(attempt))
            self.tell_claims(claims.CommitAsked(task, attempt, worker, output, 5 * MS, now))
            return
        self.tell_claims(claims.Ended(attempt, now))
        if report.outcome == "failed":
            self.tell(words.AttemptFailed(attempt, worker, "it raised", now, world=attempt % 3 == 0))
        elif report.outcome == "starved":
            self.reported_lost.update(by for _, by in report.lost)
            self.tell(words.AttemptStarved(attempt, worker, report.lost_stage, report.lost, "it starved", now))
        else:
            self.tell(words.AttemptStopped(attempt, worker, now))

    # Time, and a new machine.

    def tick(self, elapsed_ns: int) -> None:
        self.now_ns += elapsed_ns
        self.tell_claims(claims.Ticked(self.now_ns))
        self.tell(words.Ticked(self.now_ns))

    def rebuild(self) -> None:
        """The schedule machine is made anew from its journal; what it had asked for and was not done yet is lost."""
        self.rebuilt += 1
        before = essence(self.schedule)
        self.schedule = type(self).make_schedule(SCHEDULE, SPECULATE)
        for event in self.journal:
            self.schedule.step(event)
        assert essence(self.schedule) == before, "its journal is not enough to rebuild it from"
        self.queue = deque(item for item in self.queue if not item[2])
        self.runs.clear()
        self.settlements.clear()
        self.unanswered.clear()
        self.tell(words.Rebuilt(self.now_ns))

    def barriers(self) -> bool:
        return bool(self.catalog.barriers) or any(action.barrier for action in self.actions.values())

    # A kind world.

    def turn_kind(self) -> None:
        """From now on nothing goes wrong, and what has gone wrong is noticed."""
        self.kind = True
        for process in self.processes.values():
            process.stalled = False
            if process.alive:
                self.trust(process.id)
        for host in sorted(self.dead_hosts - self.told_hosts):
            self.lose_host(host)
        for process in self.processes.values():
            if not process.alive and not process.buried:
                self.bury(process.id)
        while len(self.living()) < (GANG_MAX if self.barriers() else 2):
            self.join()
        self.loop()

    def kind_round(self) -> None:
        """Everything is delivered, everybody gets on, some time passes."""
        self.tick(300 * MS)
        self.loop()
        for process in list(self.processes.values()):
            if not process.alive and not process.buried:
                self.bury(process.id)  # it had to be killed
                self.join()
        for process in list(self.processes.values()):
            if not process.alive or process.stalled:
                continue
            while process.inbox:
                self.receive(process)
            for _ in range(3):
                self.work(process, "stop" if process.running is not None and process.running.interrupted else "done")
            if process.unsettled:
                self.report_again(process)
            while process.outbox:
                self.hear(process)
        for effect in list(self.delivering):
            self.bring(effect)
        self.loop()

    def check_nothing_is_left(self) -> None:
        """After the last job: no attempt, no offer; and after the last release, nothing at all."""
        schedule, table = self.schedule, self.claims
        assert not schedule.attempts
        assert not schedule.by_task
        assert not schedule.offered
        assert not schedule.gangs
        assert not schedule.together
        assert not self.gather.gangs
        assert not self.gather.member_of
        assert not schedule.delivering
        assert not schedule.jobs
        assert not table.alive
        for process in self.processes.values():
            assert not process.alive or not (process.waiting or process.running or process.unsettled)
        while stages := self.releasable():
            self.release(stages[0])
        self.kind_round()
        assert not schedule.lineage.alive()
        assert not schedule.releasing
        assert not schedule.finished_ns
        assert not schedule.troubles._of
        assert not schedule.reopened
        assert not schedule.lineage._cut_by
        if not self.rebuilt:  # a request to forget may have been lost
            assert not table.open
            assert not table.gangs
            assert not table.closed
            assert not table.paces
            assert not self.reports
            left = [attempt for attempt, file in self.files.items() if self.processes[file.writer].alive]
            assert not left, f"outputs of attempts {left} are left"
