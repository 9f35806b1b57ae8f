"""The program's loop: jobs in, results out; machines decide, this carries out.

It knows the workers' channels and holds the code that they ask for; what comes back is in `results`.  No record of a shuffle
passes through it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from msgspec import Struct, field

from headrace.config import Config
from headrace.ids import AttemptId, Digest, HostId, JobId, OperatorId, StageId, TaskId, WorkerId
from headrace.loops.codes import Codes
from headrace.loops.data import DataPlane
from headrace.loops.freeing import Freeing
from headrace.loops.gangs import Assembly
from headrace.loops.jobs import JobHandle, StageCode, read_raised
from headrace.loops.loop import Loop
from headrace.loops.members import Member, epitaph, is_own_doing
from headrace.loops.replicas import Replicas
from headrace.loops.results import Results
from headrace.loops.samples import Samples
from headrace.plan.levels import StorageLevel
from headrace.ports import Clock, Exit, Files, Gate, Network, Peer, Place
from headrace.protocols import claims, membership, replicate, schedule
from headrace.protocols import schedule_words as words
from headrace.protocols.lineage import MapOutput
from headrace.protocols.messages import (
    Beat,
    Blob,
    CacheHolders,
    Came,
    CancelAttempts,
    Describe,
    Doing,
    Evicted,
    FindCached,
    Free,
    GiveBack,
    Hello,
    Lack,
    Locate,
    Message,
    Need,
    Outputs,
    Piece,
    Pull,
    Replicated,
    Report,
    Retire,
    Run,
    Settled,
    Whereabouts,
    decode,
    encode,
)
from headrace.protocols.tries import Tries
from headrace.store.layout import HOME, Layout, result_name
from headrace.store.serving import BlockReader

PLACE = struct.Struct("<II")


class ControllerPorts(Struct, frozen=True):
    """The world of the program's loop."""

    clock: Clock
    network: Network
    files: Files
    place: Place
    gate: Gate  # of the user's thread


class _Outbox(Struct):
    """What is said to workers within one run of the loop, gathered: one frame instead of many."""

    runs: dict[tuple[WorkerId, StageId], list[tuple[int, int, int]]] = field(default_factory=dict)
    kept: dict[WorkerId, list[int]] = field(default_factory=dict)
    discarded: dict[WorkerId, list[int]] = field(default_factory=dict)


class Controller:
    """The program's side of a run."""

    def __init__(self, config: Config, root: str, ports: ControllerPorts, address: str = "") -> None:
        assert config.memory is not None, "the session has settled how much memory workers have"
        self.config, self.ports, self.address = config, ports, address
        self.loop = Loop()
        self.layout = Layout(root)
        self.members: dict[WorkerId, Member] = {}
        self.by_peer: dict[Peer, WorkerId] = {}
        self.freeing = Freeing(ports.files, self.layout, self.members, self._send)
        self.codes = Codes(self.freeing.code)
        self.cached: set[OperatorId] = set()  # datasets that the program wants kept
        self.outbox = _Outbox()
        self.tries = Tries()
        self.lost_hosts: set[HostId] = set()
        self.near = frozenset({HOME, HostId("h0")}) if config.hosts == 1 else frozenset({HOME})
        self.closing = False
        self.ticked_ns = 0
        home = BlockReader(ports.files, self.layout, HOME)
        self.plane = DataPlane(self.loop, ports.clock, ports.network, home, config.data, self._locate_for_us)
        self.samples = Samples(
            ports.clock,
            ports.files,
            self.layout,
            self.near,
            self.plane,
            self.freeing,
            real=config.scheme != "sim",
        )
        self.results = Results(
            ports.clock,
            ports.files,
            self.layout,
            config.data,
            self.near,
            self.plane,
            self._schedule,
            self.freeing.on,
            self.samples,
        )
        self.assembly = Assembly(self.loop, self._send, self._now)
        self.assembly.wire()
        self._wire()
        ports.files.make_dirs(self.layout.host(HOME))

    def _wire(self) -> None:
        loop, config = self.loop, self.config
        loop.add("membership", membership.Membership(config.membership))
        loop.add("claims", claims.Claims())
        loop.add("schedule", schedule.Schedule(config.schedule, config.speculate))
        loop.handle(
            {
                membership.Launch: self._launch_worker,
                membership.Kill: lambda e: self.ports.place.kill(e.worker),
                membership.Probe: self._probe,
                membership.Welcome: self._welcome,
                membership.Suspect: self._suspect,
                membership.Trust: self._trust,
                membership.Bury: self._bury,
                membership.LoseHost: self._lose_host,
                membership.GiveUp: lambda e: self._schedule(words.NoWorkers(e.why, self._now())),
            },
            get_args(membership.Effect),
        )
        loop.handle(
            {
                claims.Claimed: lambda e: self._schedule(
                    words.AttemptClaimed(e.task, e.attempt, e.worker, e.host, e.copy, e.now_ns)
                ),
                claims.Committed: self._committed,
                claims.Kept: lambda e: self._schedule(words.OutputKept(e.attempt, e.worker)),
                claims.Refused: lambda e: self._schedule(words.OutputRefused(e.attempt, e.worker, self._now())),
                claims.TakeBack: lambda e: self._send(e.worker, GiveBack(e.attempts)),
            },
            set(get_args(claims.Effect)) - Assembly.CARRIES_OUT,
        )
        loop.handle(
            {
                words.MakeOffers: lambda e: loop.tell("claims", claims.Offered(e.offers, self._now())),
                words.WithdrawOffers: lambda e: loop.tell("claims", claims.Withdrawn(e.tasks)),
                words.Reopen: lambda e: loop.tell("claims", claims.Reopened(e.task, e.attempt)),
                words.EndStage: self._end_stage,
                words.Launch: self._launch_attempt,
                words.Cancel: lambda e: self._send(e.worker, CancelAttempts((e.attempt,))),
                words.CallOverdue: self._call_overdue,
                words.KillWorker: lambda e: loop.tell("membership", membership.KillAsked(e.worker, e.because)),
                words.Settle: self._settle,
                words.Deliver: self.results.deliver,
                words.CountUpdates: self.results.count_updates,
                words.FinishJob: self.results.finish,
                words.FailJob: self.results.fail,
                words.FreeShuffle: lambda e: self.freeing.shuffle(e.stage),
                words.Stalled: _for_watchers,
                words.Note: _for_watchers,
            },
            set(get_args(words.Effect)) - Assembly.CARRIES_OUT,
        )
        self.plane.wire()
        self.replicas = Replicas(loop, self.ports.clock, self.members, self._send, self._schedule, config.hosts)

    def _now(self) -> int:
        return self.ports.clock.now_ns()

    def _schedule(self, event: words.Event) -> None:
        self.loop.tell("schedule", event)

    @property
    def scheduler(self) -> schedule.Schedule:
        """The schedule machine, to look at."""
        machine = self.loop.machines["schedule"]
        assert isinstance(machine, schedule.Schedule)
        return machine

    # The program's thread.

    def open(self) -> None:
        """Begin: have the workers started."""
        hosts = [HostId(f"h{i}") for i in range(self.config.hosts)]
        shares = [len(range(i, self.config.workers, self.config.hosts)) for i in range(self.config.hosts)]
        self.loop.tell("membership", membership.Opened(tuple(zip(hosts, shares, strict=True)), self._now()))

    def submit(self, handle: JobHandle) -> None:
        """Have a job run; its handle tells what becomes of it."""
        request = handle.request
        self.codes.add(request.stages, request.blobs)
        self.results.expect(handle)
        specs = tuple(code.spec for code in request.stages)
        timeout = self.config.schedule.task_timeout_ns if request.task_timeout_ns is None else request.task_timeout_ns
        self._schedule(words.JobSubmitted(request.id, specs, request.wanted, self._now(), timeout))

    def provide(self, name: str, pieces: Iterable[bytes]) -> None:
        """Put a block into the program's own store, or leave nothing there if it cannot be written."""
        path = self.layout.path(HOME, name)
        file = self.ports.files.create(path)
        try:
            for piece in pieces:
                file.write(piece)
            file.close()
        except BaseException:
            file.abandon()
            self.ports.files.remove(path)
            raise

    def withdraw(self, *names: str) -> None:
        """Remove blocks from the program's own store, and from the workers' memories."""
        self.freeing.blocks(names)

    def unload(self, *names: str) -> None:
        """Have the workers let go of blocks of the program's own store; they read them again when they need them."""
        self.freeing.unload(names)

    def cancel(self, job: JobId, because: str) -> None:
        """Have a job end."""
        self._schedule(words.JobCancelled(job, because, self._now()))

    def replan(self, codes: Iterable[StageCode], blobs: Mapping[Digest, bytes]) -> None:
        """Have stages run other code from now on, as far as they are alive."""
        alive = [code for code in codes if self.codes.of(code.spec.id) is not None]
        self.codes.add(alive, blobs)
        self._schedule(words.StagesReplanned(tuple(code.spec for code in alive)))

    def release(self, stage: StageId) -> None:
        """No dataset refers to a shuffle any more."""
        self._schedule(words.ShuffleReleased(stage))

    def share_main(self, digest: Digest, blob: bytes) -> None:
        """Keep classes of `__main__` ready for every worker that asks."""
        self.codes.add_main(digest, blob)

    def keep(self, operator: OperatorId, level: StorageLevel) -> None:
        """A dataset is to be kept."""
        self.cached.add(operator)
        self.replicas.keep(operator, level)

    def uncache(self, operator: OperatorId) -> None:
        """A dataset is not to be kept any more."""
        self.cached.discard(operator)
        self.replicas.forget(operator)
        self._schedule(words.DatasetUncached(operator))
        self.freeing.dataset(operator)

    def forget(self, operator: OperatorId | None, names: tuple[str, ...]) -> None:
        """Nothing refers any more to a dataset that is kept, or to blocks of the program's own store."""
        if operator is not None:
            self.uncache(operator)
        if names:
            self.withdraw(*names)

    # The network.

    def opened(self, peer: Peer) -> None:
        """A channel is open."""
        self.plane.opened(peer)

    def closed(self, peer: Peer) -> None:
        """A channel is gone.  A worker's exit is told by the place; here only its blocks become unreachable."""
        worker = self.by_peer.pop(peer, None)
        if worker is not None and worker in self.members:
            self.members[worker].peer = None
        self.plane.closed(peer)

    def received(self, peer: Peer, data: bytes) -> None:
        """A frame has come."""
        message = decode(data)
        if isinstance(message, Pull | Piece | Lack):
            self.plane.received(peer, message)
        elif isinstance(message, Hello):
            self._hello(peer, message)
        elif peer in self.by_peer:
            self._told(self.members[self.by_peer[peer]], message)

    def _hello(self, peer: Peer, message: Hello) -> None:
        member = self.members.get(WorkerId(message.worker))
        if member is None:
            return  # buried in the meantime
        member.peer, member.pid, member.address = peer, message.pid, message.address
        self.by_peer[peer] = member.id
        self.freeing.welcome(member)
        self.loop.tell("membership", membership.Ready(member.id, self._now()))

    def _told(self, member: Member, message: Message) -> None:
        now = self._now()
        match message:
            case Report():
                self._reported(member, message, now)
            case Beat(attempt=attempt, ran_ns=ran, progress=progress, memory_bytes=memory):
                member.memory_bytes = memory
                self.loop.tell("membership", membership.Heard(member.id, now))
                if attempt:
                    self._schedule(words.AttemptProgressed(AttemptId(attempt), ran, progress, now))
            case Need(blobs=blobs, outputs=outputs):
                self._supply(member, blobs, outputs)
            case Locate(host=host, avoid=avoid):
                address, gone = self._serving(HostId(host), avoid)
                self._send(member.id, Whereabouts(host, address, gone))
            case FindCached(operator=operator, partition=partition):
                keepers = self.scheduler.lineage.keepers(OperatorId(operator), partition)
                addresses = tuple(self.members[w].address for w in keepers if w in self.members and w != member.id)
                self._send(member.id, CacheHolders(operator, partition, addresses))
            case Came():
                self.assembly.came(message)
            case Doing(attempt=attempt, what=what):
                self._schedule(words.AttemptSeen(AttemptId(attempt), what))
            case Evicted(cached=cached):
                self.replicas.evicted(member.id, cached)
            case Replicated():
                self.replicas.replicated(member.id, message)
            case _:
                pass  # meant for a worker: not for us

    def _reported(self, member: Member, report: Report, now: int) -> None:
        attempt, task = AttemptId(report.attempt), TaskId(StageId(report.stage), report.partition)
        if attempt in member.held:
            member.held.remove(attempt)
        if report.outcome == "returned":
            self.tries.unbegun([attempt])
        match report.outcome:
            case "done":
                self._done(member, report, task, attempt, now)
            case "failed":
                raised = read_raised(report.error, report.raised, member.id, member.host)
                self.results.raised(attempt, raised)
                self.loop.tell("claims", claims.Ended(attempt, now))
                how = f"{raised.summary} on {member.id}"
                self._schedule(words.AttemptFailed(attempt, member.id, how, now, raised.what.get("world") is True))
            case "starved":
                self.loop.tell("claims", claims.Ended(attempt, now))
                lost = tuple((partition, AttemptId(by)) for partition, by in report.lost)
                how = f"could not read shuffle {report.lost_stage} on {member.id}: {report.why}"
                self._schedule(words.AttemptStarved(attempt, member.id, StageId(report.lost_stage), lost, how, now))
            case _:
                self.loop.tell("claims", claims.Ended(attempt, now))
                self._schedule(words.AttemptStopped(attempt, member.id, now))

    def _done(self, member: Member, report: Report, task: TaskId, attempt: AttemptId, now: int) -> None:
        spec = self.scheduler.lineage.stage(task.stage)
        where = MapOutput(member.host, attempt) if spec is not None and spec.is_map else None
        for operator, _ in report.cached:
            if operator not in self.cached:  # it was given up while the task ran
                self._send(member.id, Free((), (operator,), ()))
        cached = tuple(key for key in report.cached if key[0] in self.cached)
        output = claims.Output(
            where,
            report.result_bytes,
            report.inline,
            report.records,
            report.read_bytes,
            report.written_bytes,
            bool(report.updates),
            cached,
            report.spent,
        )
        self.results.reported(attempt, report, member.host)
        if report.sample:
            self.samples.reported(attempt, task, member.id, member.host, report)
        self.assembly.departed(attempt)
        self.loop.tell("claims", claims.CommitAsked(task, attempt, member.id, output, report.ran_ns, now))

    def _committed(self, effect: claims.Committed) -> None:
        e = effect
        self._schedule(words.OutputCommitted(e.task, e.attempt, e.worker, e.output, e.ran_ns, e.now_ns))
        self.replicas.committed(e.worker, e.output.cached)

    def _supply(self, member: Member, blobs: tuple[str, ...], outputs: tuple[tuple[int, int], ...]) -> None:
        for digest in blobs:
            data = self.codes.blob(Digest(digest))
            if data is not None:
                self._send(member.id, Blob(digest, self.codes.is_main(Digest(digest)), data))
        for stage, _ in outputs:
            if self.scheduler.lineage.stage(StageId(stage)) is not None:
                self._send(member.id, self._table(StageId(stage)))

    def _table(self, stage: StageId) -> Outputs:
        version, places = self.scheduler.lineage.outputs(stage)
        spec = self.scheduler.lineage.stage(stage)
        assert spec is not None
        hosts = sorted({place.host for place in places.values()})
        index = {host: i for i, host in enumerate(hosts)}
        packed = b"".join(
            PLACE.pack(places[p].attempt, index[places[p].host]) if p in places else PLACE.pack(0, 0)
            for p in range(spec.partitions)
        )
        return Outputs(stage, version, tuple(hosts), packed)

    def _serving(self, host: HostId, avoid: str) -> tuple[str, bool]:
        """Return an address that serves a host's disk, and whether that host is gone for good."""
        if host == HOME:
            return self.address, False
        if host in self.lost_hosts:
            return "", True
        serving = sorted(
            m.address for m in self.members.values() if m.host == host and m.peer is not None and m.address
        )
        others = [address for address in serving if address != avoid]
        return (others or serving or [""])[0], False

    def _locate_for_us(self, host: HostId, avoid: str) -> None:
        address, gone = self._serving(host, avoid)
        self.plane.located(host, address, gone=gone)

    # Sending.

    def _send(self, worker: WorkerId, message: Message) -> None:
        member = self.members.get(worker)
        if member is not None and member.peer is not None:
            self.ports.network.send(member.peer, encode(message))

    def _tell_all(self, message: Message) -> None:
        for worker in sorted(self.members):
            self._send(worker, message)

    def run(self) -> None:
        """Run the loop until nothing waits, then send what was gathered."""
        self.loop.run()
        self.freeing.run()
        self.results.rest(lambda: (attempt.task.stage for attempt in self.scheduler.attempts.values()))
        outbox = self.outbox
        if not (outbox.runs or outbox.kept or outbox.discarded):
            return
        self.outbox = _Outbox()
        for worker in sorted({*outbox.kept, *outbox.discarded}):
            kept, discarded = outbox.kept.get(worker, ()), outbox.discarded.get(worker, ())
            self._send(worker, Settled(tuple(kept), tuple(discarded)))
        for (worker, stage), attempts in outbox.runs.items():
            code = self.codes.of(stage)
            if code is None:
                continue  # the stage ended meanwhile; that these attempts are called off was said already
            lineage = self.scheduler.lineage
            reads = tuple((read, lineage.outputs(read)[0]) for read in code.reads if lineage.stage(read) is not None)
            job = min(self.scheduler.lineage.jobs_of(stage), default=JobId(0)) if lineage.stage(stage) else JobId(0)
            things = code.properties, code.shipped
            self._send(worker, Run(job, stage, code.program, code.blobs, reads, tuple(attempts), *things))

    def _launch_attempt(self, effect: words.Launch) -> None:
        key = (effect.worker, effect.task.stage)
        number = self.tries.number(effect.task, effect.attempt)
        self.outbox.runs.setdefault(key, []).append((effect.attempt, effect.task.partition, number))
        member = self.members.get(effect.worker)
        if member is not None and effect.attempt not in member.held:
            member.held.append(effect.attempt)

    def _call_overdue(self, effect: words.CallOverdue) -> None:
        self._send(effect.worker, Describe(effect.attempt))
        self._schedule(words.AttemptOverdue(effect.attempt, effect.ran_ns, effect.limit_ns, self._now()))

    def _settle(self, effect: words.Settle) -> None:
        box = self.outbox.kept if effect.kept else self.outbox.discarded
        box.setdefault(effect.worker, []).append(effect.attempt)
        self.results.settled(effect.attempt)

    # What is over.

    def _end_stage(self, effect: words.EndStage) -> None:
        self.loop.tell("claims", claims.StageOver(effect.stage))
        self.tries.forget(effect.stage)
        self.codes.end(effect.stage)

    # Workers.

    def _launch_worker(self, effect: membership.Launch) -> None:
        self.members[effect.worker] = Member(effect.worker, effect.host)
        self.ports.place.launch(effect.worker, effect.host)

    def launch_failed(self, worker: WorkerId, why: str, *, passing: bool = False) -> None:
        """The place could not start a worker; `passing` if that may be over soon."""
        self.loop.tell("membership", membership.LaunchFailed(worker, why, self._now(), passing))

    def exited(self, worker: WorkerId, exit_: Exit) -> None:
        """A worker has ended, the place says."""
        culprit = exit_.attempt if is_own_doing(exit_) else None
        victim = None if is_own_doing(exit_) else exit_.attempt
        attempt = self.scheduler.attempts.get(exit_.attempt) if exit_.attempt is not None else None
        pid = self.members[worker].pid if worker in self.members else 0
        how = epitaph(worker, pid, exit_, attempt.task if attempt is not None else None)
        passing = not is_own_doing(exit_) and not exit_.asked
        event = membership.Exited(worker, how, exit_.phase, culprit, victim, self._now(), passing)
        self.loop.tell("membership", event)

    def host_lost(self, host: HostId) -> None:
        """A host's disk is gone, the place says."""
        self.loop.tell("membership", membership.HostGone(host, self._now()))

    def _probe(self, effect: membership.Probe) -> None:
        used = self.ports.place.probe(effect.worker)
        self.loop.tell("membership", membership.Probed(effect.worker, used, self._now()))

    def _welcome(self, effect: membership.Welcome) -> None:
        self.members[effect.worker].ready = True
        self._schedule(words.WorkerJoined(effect.worker, effect.host, self._now()))
        self.replicas.tell(replicate.Joined(effect.worker, effect.host, self._now()))
        self.loop.tell("claims", claims.Joined(effect.worker, effect.host, self._now()))

    def _suspect(self, effect: membership.Suspect) -> None:
        self.members[effect.worker].suspected = True
        self._schedule(words.WorkerSuspected(effect.worker))
        self.replicas.tell(replicate.Suspected(effect.worker, self._now()))
        self.loop.tell("claims", claims.Suspected(effect.worker))

    def _trust(self, effect: membership.Trust) -> None:
        self.members[effect.worker].suspected = False
        self._schedule(words.WorkerTrusted(effect.worker))
        self.replicas.tell(replicate.Trusted(effect.worker, self._now()))
        self.loop.tell("claims", claims.Trusted(effect.worker, self._now()))

    def _bury(self, effect: membership.Bury) -> None:
        member = self.members.pop(effect.worker, None)
        if member is not None and member.peer is not None:
            self.by_peer.pop(member.peer, None)
            self.ports.network.close(member.peer)
        if member is not None:  # what it was at may have begun, and what waited behind that has not
            self.tries.unbegun(set(member.held[1:]) - {effect.culprit, effect.victim})
            for attempt in member.held:  # it may have put its result into place, and died before it said so
                self.freeing.on(member.host, result_name(attempt))
        self.loop.tell("claims", claims.Left(effect.worker))
        self._schedule(words.WorkerGone(effect.worker, effect.how, effect.culprit, effect.victim, self._now()))
        self.replicas.tell(replicate.Left(effect.worker, self._now()))

    def _lose_host(self, effect: membership.LoseHost) -> None:
        self.lost_hosts.add(effect.host)
        self._schedule(words.HostGone(effect.host, self._now()))
        self.plane.located(effect.host, "", gone=True)
        self._tell_all(Whereabouts(effect.host, "", gone=True))

    # Time and the end.

    def tick(self) -> None:
        """Some time has passed."""
        now = self._now()
        if now - self.ticked_ns >= self.config.membership.heartbeat_ns:
            self.ticked_ns = now
            self.loop.tell("membership", membership.Ticked(now))
            self.replicas.tell(replicate.Ticked(now))
        self.loop.tell("claims", claims.Ticked(now))
        self._schedule(words.Ticked(now))
        self.plane.tick(now)
        self.results.tick(now)

    def close(self) -> None:
        """Ask the workers to leave; the place ends those that do not."""
        self.closing = True
        self.results.close()
        self.loop.tell("membership", membership.Closing())
        for job in self.results.jobs:
            self.cancel(job, "the context was closed")
        self.run()
        self._tell_all(Retire())
        for member in list(self.members.values()):
            if member.peer is None:
                self.ports.place.kill(member.id)  # it cannot be told, and has nothing to bring to an end


def _for_watchers(effect: Any) -> None:
    """Nothing to do: watchers have seen it."""
