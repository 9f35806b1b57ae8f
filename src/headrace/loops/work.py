"""The worker's loop: attempts in, reports out; one body at a time, beside the loop."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import get_args

from msgspec import Struct

from headrace.config import Config, MemoryConfig
from headrace.execute import recurring
from headrace.ids import AttemptId, Digest, HostId, OperatorId, StageId, TaskId, WorkerId
from headrace.loops.body import BodyPort, Machinery, Table
from headrace.loops.copies import Copies
from headrace.loops.data import DataPlane
from headrace.loops.gangs import Meetings
from headrace.loops.loading import Loading
from headrace.loops.loop import Loop
from headrace.loops.running import Order, Running, Workshop
from headrace.loops.saving import Saving
from headrace.ports import Clock, Files, Flag, Gate, Network, Peer, Recorder, Runner
from headrace.protocols import commit, worker
from headrace.protocols.messages import (
    Beat,
    Blob,
    CacheHolders,
    CancelAttempts,
    Describe,
    Doing,
    Evicted,
    FindCached,
    Free,
    Gang,
    GiveBack,
    Hello,
    Lack,
    Locate,
    Message,
    Met,
    Need,
    Outputs,
    Piece,
    Pull,
    Replicate,
    Replicated,
    Retire,
    Run,
    Settled,
    Whereabouts,
    decode,
    encode,
)
from headrace.store.cache import Cache
from headrace.store.layout import CODE, HOME, Layout
from headrace.store.mapoutput import MapOutputReader
from headrace.store.serving import BlockReader
from headrace.store.shipped import Depot

PLACE = struct.Struct("<II")
DOING_MAX = 2000  # characters of what an attempt is said to be doing


class WorkerPorts(Struct, frozen=True):
    """The world of one worker."""

    clock: Clock
    network: Network
    files: Files
    runner: Runner
    gate: Gate
    recorder: Recorder
    install_main: Callable[[bytes], None]  # puts classes of the program's `__main__` into this process's
    memory_bytes: Callable[[], int]
    leave: Callable[[], None]
    in_program: bool = False  # bodies run in the user's own thread: Ctrl-C in one of them is for the program


class _Question(Struct):
    """A body waits to hear who keeps a cached partition."""

    flag: Flag
    addresses: tuple[str, ...] = ()


class WorkerLoop:
    """One worker: told by its network and clock, it runs what the program asks for."""

    def __init__(
        self, worker_id: WorkerId, host: HostId, address: str, root: str, config: Config, ports: WorkerPorts
    ) -> None:
        self.id, self.host, self.address, self.config, self.ports = worker_id, host, address, config, ports
        self.loop = Loop()
        self.layout = Layout(root)
        self.program_peer: Peer | None = None
        self.orders: dict[AttemptId, Order] = {}
        self.attempts: dict[AttemptId, Running] = {}
        self.questions: dict[tuple[int, int], _Question] = {}
        self.retired = False
        memory = config.memory or MemoryConfig()
        self.loading = Loading(ports.install_main, memory.worker_bytes // 16)
        self.cache = Cache(memory.cache_bytes, ports.files, self.layout.own(host, worker_id))
        self.reader = BlockReader(ports.files, self.layout, host, self.cache)
        self.plane = DataPlane(self.loop, ports.clock, ports.network, self.reader, config.data, self._locate)
        self.meetings = Meetings(ports.gate, self.send, ports.clock.now_ns)
        self.shared = Machinery(
            ports.files,
            self.layout,
            host,
            self.layout.own(host, worker_id),
            frozenset({host, HOME}) if config.hosts == 1 else frozenset({host}),
            config.data,
            memory,
            self.plane,
            MapOutputReader(ports.files, memory.worker_bytes // 8),
            self.cache,
            ports.gate,
            ports.recorder,
            {},
            {},
            self._find_cached,
            self.meetings,
            ports.clock,
        )
        self.saving = Saving(self.shared, ports.clock.now_ns)
        self.depot = Depot(f"{self.layout.host(host)}/shipped", shares_home=HOME in self.shared.near)
        self.workshop = Workshop(
            worker_id,
            ports.clock,
            ports.gate,
            ports.runner.frame,
            self.loading,
            self.saving,
            self.depot,
            ports.in_program,
            verified=config.verify.fraction,
        )
        self.copies = Copies(self.cache, self.plane, self._replicated)
        self._wire()
        recurring.limit(memory.worker_bytes // 16)
        ports.files.make_dirs(self.shared.own)

    def _wire(self) -> None:
        loop = self.loop
        loop.add("worker", worker.Worker())
        loop.add("commit", commit.Commit())
        loop.handle(
            {
                worker.Start: self._start,
                worker.Interrupt: self._interrupt,
                worker.Return: self._return,
                worker.Ask: self._ask,
                worker.Leave: self._leave,
            },
            get_args(worker.Effect),
        )
        loop.handle(
            {
                commit.SendReport: self._send_report,
                commit.DropReport: self._drop_report,
                commit.Discard: self._discard,
            },
            get_args(commit.Effect),
        )
        self.plane.wire()

    # The network.

    def opened(self, peer: Peer) -> None:
        """The first channel is the program's; others are peers'."""
        self.plane.opened(peer)

    def greet(self, peer: Peer, pid: int) -> None:
        """Tell the program, at the other end of a channel, that this worker is ready."""
        self.program_peer = peer
        self.send(Hello(self.id, pid, self.address))

    def closed(self, peer: Peer) -> None:
        """A channel is gone; without the program there is nothing left to do."""
        if peer == self.program_peer:
            self.ports.leave()
        self.plane.closed(peer)

    def received(self, peer: Peer, data: bytes) -> None:
        """A frame has come."""
        message = decode(data)
        if isinstance(message, Pull | Piece | Lack):
            self.plane.received(peer, message)
        elif peer == self.program_peer:
            self._told(message)

    def send(self, message: Message) -> None:
        """Say something to the program."""
        if self.program_peer is not None:
            self.ports.network.send(self.program_peer, encode(message))

    def _told(self, message: Message) -> None:
        now = self.ports.clock.now_ns()
        match message:
            case Run():
                self._run(message, now)
            case Blob(digest=digest, main=main, data=data):
                self._blob(Digest(digest), main, data)
            case Outputs():
                self._outputs(message)
            case Gang():
                self.meetings.expect(message)
            case Met():
                self.meetings.told(message)
            case CancelAttempts(attempts=attempts):
                self.loop.tell("worker", worker.CalledOff(tuple(map(AttemptId, attempts))))
            case Describe(attempt=attempt):
                self._describe(AttemptId(attempt))
            case GiveBack(attempts=attempts):
                self.loop.tell("worker", worker.AskedBack(tuple(map(AttemptId, attempts))))
            case Settled(kept=kept, discarded=discarded):
                for attempt in kept:
                    self.loop.tell("commit", commit.Settled(AttemptId(attempt), kept=True))
                for attempt in discarded:
                    self.loop.tell("commit", commit.Settled(AttemptId(attempt), kept=False))
            case Whereabouts(host=host, address=address, gone=gone):
                self.plane.located(HostId(host), address, gone=gone)
            case CacheHolders(operator=operator, partition=partition, addresses=addresses):
                question = self.questions.pop((operator, partition), None)
                if question is not None:
                    question.addresses = addresses
                    question.flag.set()
            case Free():
                self._free(message)
            case Replicate():
                self.copies.make(message)
            case Retire():
                self.loop.tell("worker", worker.Retiring())
            case _:
                pass  # meant for the program: not for us

    def tick(self) -> None:
        """Some time has passed: at least every heartbeat."""
        now = self.ports.clock.now_ns()
        self.loop.tell("worker", worker.Ticked(now))
        self.loop.tell("commit", commit.Ticked(now))
        self.plane.tick(now)
        self.meetings.tick(now)
        self.saving.tick()
        if self.program_peer is not None and not self.retired:
            self.beat(now)

    def beat(self, now_ns: int) -> None:
        """Say that this worker is alive, and how far it is."""
        running = self._machine().running
        state = self.attempts.get(running) if running is not None else None
        memory = self.ports.memory_bytes()
        if running is None or state is None:
            self.send(Beat(0, 0, 0, 0, memory))
        else:
            port = state.port
            self.send(Beat(running, max(1, now_ns - state.began_ns), port.progress, port.records, memory))

    def _machine(self) -> worker.Worker:
        machine = self.loop.machines["worker"]
        assert isinstance(machine, worker.Worker)
        return machine

    # What attempts need.

    def _run(self, message: Run, now_ns: int) -> None:
        blobs = tuple(map(Digest, message.blobs))
        program, properties = Digest(message.program), message.properties
        for attempt, partition, number in message.attempts:
            task = TaskId(StageId(message.stage), partition)
            order = Order(message.job, task, program, blobs, number, properties, Digest(message.shipped))
            if attempt not in self._machine().over and attempt not in self.attempts:  # said twice, or called off before
                self.orders.setdefault(AttemptId(attempt), order)
        needs = [f"blob {digest}" for digest in dict.fromkeys((*blobs, message.program))]
        needs += [f"outputs {stage} {version}" for stage, version in message.reads]
        held = {f"outputs {stage} {version}" for stage, version in message.reads if self._has(stage, version)}
        if held:
            self.loop.tell("worker", worker.Supplied(tuple(sorted(held))))
        attempts = tuple(AttemptId(attempt) for attempt, *_ in message.attempts)
        self.loop.tell("worker", worker.Assigned(attempts, tuple(needs), now_ns))

    def _has(self, stage: int, version: int) -> bool:
        table = self.shared.tables.get(StageId(stage))
        return table is not None and table.version >= version

    def _ask(self, effect: worker.Ask) -> None:
        blobs = tuple(thing.removeprefix("blob ") for thing in effect.things if thing.startswith("blob "))
        words = [thing.split() for thing in effect.things if thing.startswith("outputs ")]
        self.send(Need(blobs, tuple((int(stage), int(version)) for _, stage, version in words)))

    def _blob(self, digest: Digest, main: bool, data: bytes) -> None:
        self.loading.add(digest, data, main=main)
        self.loop.tell("worker", worker.Supplied((f"blob {digest}",)))

    def _outputs(self, message: Outputs) -> None:
        stage = StageId(message.stage)
        table = self.shared.tables.get(stage)
        if table is None or message.version > table.version:
            hosts = [HostId(host) for host in message.hosts]
            self.shared.tables[stage] = Table(
                message.version,
                tuple(
                    (AttemptId(attempt), hosts[index]) if attempt else None
                    for attempt, index in PLACE.iter_unpack(message.places)
                ),
            )
        waited = {thing for lacks in self._machine().waiting.values() for thing in lacks}
        version = self.shared.tables[stage].version
        here = [t for t in waited if t.startswith(f"outputs {stage} ") and int(t.rpartition(" ")[2]) <= version]
        self.loop.tell("worker", worker.Supplied(tuple(sorted(here))))

    def _free(self, message: Free) -> None:
        for stage in message.stages:
            self.shared.tables.pop(StageId(stage), None)
            told = tuple(thing for thing in self._machine().here if thing.startswith(f"outputs {stage} "))
            self.loop.tell("worker", worker.Forgotten(told))
            folder = f"{self.layout.host(self.host)}/shuffle/{stage}/"
            self.reader.outputs.forget(folder)
            self.shared.outputs.forget(folder)
            self.ports.files.remove_tree(folder)
        for operator in message.operators:
            self.copies.forget(operator)
            self.cache.forget(operator)
        for name in message.names:
            if name.startswith(CODE):
                self._forget_code(Digest(name.removeprefix(CODE)))
            elif name.startswith("result/"):
                self.ports.files.remove(self.layout.path(self.host, name))
            else:
                self.shared.broadcasts.pop(name, None)
                self.ports.files.remove(self.layout.path(self.host, name))

    def close(self) -> None:
        """Let go of the files that are kept open, where the process goes on without us."""
        self.reader.outputs.close()
        self.shared.outputs.close()

    # Who serves what.

    def _locate(self, host: HostId, avoid: str) -> None:
        if host.startswith("@"):  # a worker's memory: served by that worker or by nobody
            address = host.removeprefix("@")
            self.plane.located(host, address, gone=address == avoid)
        else:
            self.send(Locate(host, avoid))

    def _find_cached(self, operator: OperatorId, partition: int) -> tuple[str, ...]:
        """Ask the program who keeps a cached partition; called by the body, which waits."""
        question = self.questions.setdefault((operator, partition), _Question(self.ports.gate.flag()))
        self.send(FindCached(operator, partition))
        self.ports.gate.wait(question.flag)
        return tuple(address for address in question.addresses if address != self.address)

    # Bodies.

    def _start(self, effect: worker.Start) -> None:
        attempt = effect.attempt
        order = self.orders.pop(attempt)
        self._trim(order)
        port = BodyPort(self.shared, order.job, order.task, attempt)
        running = self.attempts[attempt] = Running(attempt, order, port, self.workshop)
        self.loop.tell("commit", commit.Began(attempt))
        self.ports.runner.start(lambda: self._body(attempt, running))

    def _body(self, attempt: AttemptId, running: Running) -> None:
        """Run a body to its end; not on the loop's thread."""
        interrupt = running.run()
        self.loop.tell("commit", commit.Ended(attempt, running.left_output, self.ports.clock.now_ns()))
        self.loop.tell("worker", worker.BodyEnded(attempt))
        self.loop.wake()
        self.ports.recorder.note("idle", 0)  # not before it was reported: what ends the process until then is its doing
        if interrupt is not None:
            raise interrupt

    def _trim(self, order: Order) -> None:
        """Let go of code that nobody has asked for in a while."""
        waiting = [order, *self.orders.values()] if self.loading.is_full else []
        dropped = self.loading.trim({digest for one in waiting for digest in (*one.blobs, one.program)})
        if dropped:
            self.loop.tell("worker", worker.Forgotten(tuple(f"blob {digest}" for digest in dropped)))

    def _forget_code(self, digest: Digest) -> None:
        """Let go of code that no stage needs any more."""
        if not any(digest == order.program or digest in order.blobs for order in self.orders.values()):
            self.loading.forget(digest)
            self.loop.tell("worker", worker.Forgotten((f"blob {digest}",)))

    def _describe(self, attempt: AttemptId) -> None:
        """Tell what an attempt is doing that takes too long, before it is interrupted."""
        state = self.attempts.get(attempt)
        if state is not None and state.report is None:
            self.send(Doing(attempt, state.doing()[:DOING_MAX]))

    def _interrupt(self, effect: worker.Interrupt) -> None:
        self.attempts[effect.attempt].port.cancelled = True
        self.meetings.wake(effect.attempt)

    # Ends.

    def _return(self, effect: worker.Return) -> None:
        order = self.orders.pop(effect.attempt, None) or Order(0, TaskId(StageId(0), 0), Digest(""), ())
        port = BodyPort(self.shared, order.job, order.task, effect.attempt)
        running = self.attempts[effect.attempt] = Running(effect.attempt, order, port, self.workshop)
        running.give_back()
        self.loop.tell("commit", commit.Ended(effect.attempt, left_output=False, now_ns=self.ports.clock.now_ns()))

    def _send_report(self, effect: commit.SendReport) -> None:
        report = self.attempts[effect.attempt].report
        assert report is not None, "an attempt that has ended has a report"
        self.send(report)
        self._tell_evicted()

    def _replicated(self, answer: Replicated) -> None:
        """Say what came of a copy; what gave way to it is said before a report only if none could take that back."""
        self.send(answer)
        if not self.attempts:
            self._tell_evicted()

    def _tell_evicted(self) -> None:
        if evicted := self.cache.evicted():
            self.send(Evicted(evicted))

    def _drop_report(self, effect: commit.DropReport) -> None:
        self.attempts.pop(effect.attempt, None)
        self.meetings.forget(effect.attempt)

    def _discard(self, effect: commit.Discard) -> None:
        state = self.attempts.get(effect.attempt)
        if state is not None:
            state.port.discard()

    def _leave(self, _: worker.Leave) -> None:
        if not self.retired:
            self.retired = True
            self.ports.leave()
