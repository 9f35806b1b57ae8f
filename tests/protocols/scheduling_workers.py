"""Workers and hosts of the modelled world: what they do, and what befalls them."""

from __future__ import annotations

from headrace.ids import AttemptId, HostId, OperatorId, StageId, TaskId, WorkerId
from headrace.plan.stages import Reads
from headrace.protocols import claims
from headrace.protocols import schedule_words as words
from tests.protocols.scheduling_facts import Facts
from tests.protocols.scheduling_parts import (
    Beat,
    Body,
    Evicted,
    File,
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
    has_updates,
    reads_of,
    trees_of,
)


class Workers(Facts):
    """Methods are things that may happen; none of them draws."""

    def join(self, host: HostId | None = None) -> None:
        if host is None:
            self.named_hosts += 1
            host = HostId(f"h{self.named_hosts}")
        self.named_workers += 1
        worker = WorkerId(f"w{self.named_workers}")
        self.processes[worker] = Process(worker, host)
        self.tell(words.WorkerJoined(worker, host, self.now_ns))
        self.tell_claims(claims.Joined(worker, host, self.now_ns))

    def kill(self, worker: WorkerId, blame: str) -> None:
        """A process ends; nobody knows yet."""
        process = self.processes[worker]
        process.alive = False
        process.inbox.clear()
        if process.running is not None and blame != "nobody":
            attempt = process.running.run.attempt
            task = self.tasks[attempt]
            if blame == "culprit":
                process.culprit = attempt
                self.failures.setdefault(task, set()).add(attempt)
            else:
                process.victim = attempt
                self.losses.setdefault(task, set()).add(attempt)
        process.running = None

    def bury(self, worker: WorkerId) -> None:
        """The death of a process is noticed; what it had said and was not heard yet is lost."""
        process = self.processes[worker]
        process.buried = True
        process.outbox.clear()
        self.tell_claims(claims.Left(worker))
        self.tell(words.WorkerGone(worker, "it died", process.culprit, process.victim, self.now_ns))

    def destroy(self, host: HostId) -> None:
        """A host is lost, with its disk and its workers; nobody knows yet."""
        self.dead_hosts.add(host)
        for process in self.processes.values():
            if process.host == host and process.alive:
                self.kill(process.id, blame="victim")

    def lose_host(self, host: HostId) -> None:
        """The loss of a host is noticed."""
        self.told_hosts.add(host)
        self.reported_lost.update(a for a, file in self.files.items() if file.host == host)
        self.tell(words.HostGone(host, self.now_ns))

    def suspect(self, worker: WorkerId) -> None:
        self.tell(words.WorkerSuspected(worker))
        self.tell_claims(claims.Suspected(worker))

    def trust(self, worker: WorkerId) -> None:
        self.tell(words.WorkerTrusted(worker))
        self.tell_claims(claims.Trusted(worker, self.now_ns))

    # At work.

    def receive(self, process: Process, *, twice: bool = False) -> None:
        """A frame comes to a worker."""
        message = process.inbox[0] if twice else process.inbox.popleft()
        match message:
            case Run(attempt=attempt):
                running = process.running.run.attempt if process.running is not None else None
                if attempt not in process.over and attempt not in process.waiting and attempt != running:
                    process.waiting[attempt] = message
            case Stop(attempt=attempt):
                if process.running is not None and process.running.run.attempt == attempt:
                    process.running.interrupted = True
                elif attempt not in process.over:
                    self.give_back(process, attempt)
            case GiveBack(attempts=attempts):
                for attempt in attempts:
                    if attempt in process.waiting:
                        self.give_back(process, attempt)
            case Settled(attempt=attempt, kept=kept):
                if process.unsettled.pop(attempt, None) is not None and not kept:
                    self.files.pop(attempt, None)
            case Met(attempt=attempt):
                if process.running is not None and process.running.run.attempt == attempt:
                    process.running.met = True
            case Uncache(operator=operator):
                for key in [key for key in process.cache if key[0] == operator]:
                    del process.cache[key]

    def give_back(self, process: Process, attempt: AttemptId) -> None:
        process.waiting.pop(attempt, None)
        self.report(process, Report(attempt, self.tasks[attempt], "stopped"))

    def report(self, process: Process, report: Report) -> None:
        process.over.add(report.attempt)
        process.unsettled[report.attempt] = report
        process.outbox.append(report)

    def report_again(self, process: Process) -> None:
        process.outbox.extend(process.unsettled.values())
        body = process.running
        if body is not None and body.finished_reading and body.run.gang and not body.met:
            process.outbox.append(Meets(body.run.attempt))

    def beat(self, process: Process) -> None:
        if process.running is not None:
            process.running.progress = min(999, process.running.progress + 100)
            ran_ns = self.now_ns - process.running.began_ns
            process.outbox.append(Beat(process.running.run.attempt, ran_ns, process.running.progress))

    def evict(self, process: Process, key: tuple[OperatorId, int]) -> None:
        del process.cache[key]
        process.outbox.append(Evicted(*key))

    def copy(self, process: Process, key: tuple[OperatorId, int]) -> None:
        process.cache[key] = None
        process.outbox.append(Replicated(*key))

    def work(self, process: Process, outcome: str = "done", *, fresh: bool = True, one: bool = False) -> None:
        """A worker gets on: begins an attempt, or reads its input, or ends it.

        Args:
            fresh: it has heard the latest places of its input, not only those of when it was asked to run.
            one: of several broken inputs it notices the first.

        """
        body = process.running
        if body is None:
            for attempt in process.waiting:
                self.begin(process, process.waiting.pop(attempt))
                return
        elif body.interrupted and outcome != "done":  # it may have ended just before it would have noticed
            self.end(process, Report(body.run.attempt, body.run.task, "stopped"))
        elif not body.finished_reading:
            self.read(process, body, fresh=fresh, one=one)
        elif body.starved is not None:
            stage, lost = body.starved
            self.losses.setdefault(body.run.task, set()).add(body.run.attempt)
            self.end(process, Report(body.run.attempt, body.run.task, "starved", lost_stage=stage, lost=lost))
        elif outcome == "fail":
            self.failures.setdefault(body.run.task, set()).add(body.run.attempt)
            self.end(process, Report(body.run.attempt, body.run.task, "failed"))
        elif body.run.gang and not body.met:
            process.outbox.append(Meets(body.run.attempt))
        else:
            self.finish(process, body)

    def begin(self, process: Process, run: Run) -> None:
        process.running = Body(run, self.now_ns)
        for other in self.processes.values():
            if other is not process and other.running is not None and other.running.run.task == run.task:
                assert not run.spec.has_effects, f"task {run.task} has effects, and runs twice at once"
            if run.gang and other.running is not None and other.running.run.task.stage == run.task.stage:
                assert other.running.run.gang == run.gang, f"two gangs of stage {run.task.stage} run at once"
        assert run.attempt not in self.valid, f"attempt {run.attempt} runs twice"

    def end(self, process: Process, report: Report) -> None:
        process.running = None
        self.report(process, report)

    def finish(self, process: Process, body: Body) -> None:
        task, spec = body.run.task, body.run.spec
        self.valid[body.run.attempt] = body.valid
        assert body.met or not spec.barrier, f"task {task} ended without the others"
        cached = []
        for reads in trees_of(reads_of(spec, task.partition)):
            if reads.cut is not None:
                cached.append((reads.cut, task.partition - reads.first))
        process.cache.update(dict.fromkeys(cached))
        inline = not spec.is_map and next(a.inline for a in self.actions.values() if a.stage == task.stage)
        if not inline:
            self.files[body.run.attempt] = File(process.host, process.id)
        report = Report(body.run.attempt, task, "done", inline, has_updates(task.stage), tuple(cached))
        self.end(process, report)

    def read(self, process: Process, body: Body, *, fresh: bool, one: bool) -> None:
        """Read all input, as the program's code for the stage says; note what is missing."""
        task, spec = body.run.task, body.run.spec
        body.finished_reading = True
        for stage in self.needed(process, reads_of(spec, task.partition), task.partition):
            places = body.run.tables.get(stage, {})
            if fresh and self.schedule.lineage.stage(stage) is not None:
                places = self.schedule.lineage.outputs(stage)[1]
            count = self.catalog.shuffles[stage].partitions
            absent = tuple((p, AttemptId(0)) for p in range(count) if p not in places)
            unreadable = tuple((p, places[p].attempt) for p in sorted(places) if not self.is_readable(places[p]))
            lost = absent or (unreadable[:1] if one else unreadable)
            if lost:
                body.starved = (stage, lost)
                return
            for p, place in places.items():
                assert self.tasks[place.attempt] == TaskId(stage, p), f"{place} is said to be partition {p} of {stage}"
                body.valid &= self.valid[place.attempt]

    def needed(self, process: Process, reads: Reads, partition: int) -> list[StageId]:
        if reads.cut is not None:
            key = (reads.cut, partition - reads.first)
            keepers = self.schedule.lineage.keepers(*key)
            if any(key in self.processes[w].cache and self.processes[w].alive for w in (process.id, *keepers)):
                return []
        return [*reads.stages, *(s for below in reads.below for s in self.needed(process, below, partition))]
