"""A run inside the program's own process and thread: debuggers and coverage work, and nothing is started.

The program's loop and one worker's take turns whenever the program waits.  Bodies run right there, in the user's thread.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

from msgspec.structs import replace

from headrace.config import MS, SECOND, Config
from headrace.errors import ContextClosed, InternalError
from headrace.execute import recurring
from headrace.ids import Digest, HostId, JobId, OperatorId, RunId, StageId, WorkerId
from headrace.loops.controller import Controller, ControllerPorts
from headrace.loops.jobs import JobHandle, JobRequest, StageCode
from headrace.loops.loop import Watcher
from headrace.loops.session import WorkerInfo, kept_of, snapshot
from headrace.loops.work import WorkerLoop, WorkerPorts
from headrace.plan.levels import StorageLevel
from headrace.ports import Endpoint, Files, Flag, Peer, Phase
from headrace.runtime.clock import SystemClock
from headrace.runtime.files import SystemFiles
from headrace.runtime.interrupts import held_interrupts
from headrace.runtime.place.evidence import anonymous_bytes
from headrace.runtime.rundir import RunFolder
from headrace.runtime.session import settle
from headrace.store.layout import HOME

TICK_NS = 100 * MS
LINK = Peer(1)  # the one channel there is, by either side's name


class InlineFlag:
    """Something to wait for, in one thread."""

    def __init__(self) -> None:
        self._set = False

    def is_set(self) -> bool:
        """Whether it has happened."""
        return self._set

    def set(self) -> None:
        """Say that it has happened."""
        self._set = True

    def clear(self) -> None:
        """Make it wait for the next time."""
        self._set = False


class InlineNetwork:
    """One end of the only channel: frames go into the session's queue."""

    def __init__(self, queue: deque[tuple[InlineNetwork, bytes]]) -> None:
        self._queue = queue
        self.other: InlineNetwork | None = None
        self.endpoint: Endpoint | None = None
        self.sent_bytes = self.received_bytes = 0

    def send(self, peer: Peer, data: bytes) -> None:
        """Send a frame to the other end."""
        if self.other is not None:
            self._queue.append((self.other, data))

    def connect(self, address: str) -> Peer:
        """There is nobody else to connect to."""
        raise InternalError(f"nothing listens at {address!r} in an inline run")

    def close(self, peer: Peer) -> None:
        """Nothing to do."""


class InlineSession:
    """One worker in the program's own thread; it is its own place, gate, runner and recorder."""

    def __init__(self, config: Config, watchers: Iterable[Watcher]) -> None:
        self.config = settle(replace(config, workers=1, hosts=1))
        self._folder = RunFolder(config.directory)
        self.run = RunId(self._folder.name)
        self.depot = f"{self._folder.path}/{HOME}/shipped"
        self.files: Files = SystemFiles()
        self.clock = SystemClock()
        self._queue: deque[tuple[InlineNetwork, bytes]] = deque()
        self._bodies: deque[Callable[[], None]] = deque()
        self._ours, self._theirs = InlineNetwork(self._queue), InlineNetwork(self._queue)
        self._ours.other, self._theirs.other = self._theirs, self._ours
        self._closed = self._in_body = False
        self._baton = threading.RLock()  # of the program's threads, one at a time takes a turn
        self._worker: WorkerLoop | None = None
        self._ticked_ns = 0
        ports = ControllerPorts(self.clock, self._ours, self.files, self, self)
        self.controller = Controller(self.config, self._folder.path, ports)
        self.controller.loop.watchers.extend(watchers)
        self._ours.endpoint = self.controller
        self.controller.open()

    # The place: one worker, which never ends.

    def launch(self, worker: WorkerId, host: HostId) -> None:
        """Make the worker."""
        ports = WorkerPorts(
            self.clock,
            self._theirs,
            self.files,
            self,
            self,
            self,
            lambda blob: None,  # `__main__` is the program's own here
            anonymous_bytes,
            lambda: None,
            in_program=True,
        )
        self._worker = WorkerLoop(worker, host, "", self._folder.path, self.config, ports)
        self._theirs.endpoint = self._worker
        self._worker.greet(LINK, os.getpid())

    def kill(self, worker: WorkerId) -> None:
        """A body that does not stop when asked cannot be ended without ending the program."""

    def pid(self, worker: WorkerId) -> int | None:
        """Return our own number, for the one worker."""
        return os.getpid() if self._worker is not None and self._worker.id == worker else None

    def probe(self, worker: WorkerId) -> int | None:
        """It runs when we do."""
        return None

    def destroy(self, host: HostId) -> None:
        """There is one host, and the program is on it."""
        raise InternalError("an inline run has no host to lose")

    # The recorder, the runner and the gate.

    def note(self, phase: Phase, attempt: int) -> None:
        """Nobody will find this process dead and ask."""

    def start(self, body: Callable[[], None]) -> None:
        """Run a body as soon as the loops have come to rest."""
        self._bodies.append(body)

    def frame(self) -> FrameType | None:
        """Return the innermost frame: nobody can ask but the body itself, while it waits."""
        return sys._getframe()

    def flag(self) -> InlineFlag:
        """Make something to wait for."""
        return InlineFlag()

    def wait(self, flag: Flag) -> None:
        """Let the loops and bodies run until it has happened."""
        while not flag.is_set():
            with self._baton:
                if not self._turn() and not flag.is_set():
                    raise InternalError("an inline run has come to rest while the program waits")

    def wait_until(self, flag: Flag, until_ns: int) -> bool:
        """Let the loops and bodies run until it has happened, or a time has come, which is seen between two bodies."""
        while not flag.is_set() and (left := until_ns - self.now_ns()) > 0:
            with self._baton:
                moved = self._turn()
            if not moved and not flag.is_set():
                time.sleep(min(left, TICK_NS) / SECOND)
        return flag.is_set()

    def pause(self, records: int) -> None:
        """Let the loops run a little, so that a cancellation is heard."""
        if self._due():
            self._turn_loops()

    def confirm(self) -> None:
        """Nothing to do."""

    # Turns.

    def die(self) -> None:
        """Not the program."""
        raise InternalError("the program itself was to be killed")

    def _due(self) -> bool:
        return self.clock.now_ns() - self._ticked_ns >= TICK_NS

    def _turn(self) -> bool:
        """Let everything run once; whether anything did."""
        moved = self._turn_loops()
        if self._bodies and not self._in_body:
            body = self._bodies.popleft()
            self._in_body = True
            try:
                body()
            finally:
                self._in_body = False
            moved = True
        return moved or self._due()

    def _turn_loops(self) -> bool:
        if self._due():
            self._ticked_ns = self.clock.now_ns()
            self.controller.tick()
            if self._worker is not None:
                self._worker.tick()
        moved = self.controller.loop.waiting or (self._worker is not None and self._worker.loop.waiting)
        self.controller.run()
        if self._worker is not None:
            self._worker.loop.run()
        while self._queue:
            network, data = self._queue.popleft()
            if network.endpoint is not None:
                network.endpoint.received(LINK, data)
            self.controller.run()
            if self._worker is not None:
                self._worker.loop.run()
            moved = True
        return moved

    # The session.

    def now_ns(self) -> int:
        """Return the time."""
        return self.clock.now_ns()

    def about(self) -> dict[str, Any]:
        """Nothing beside the settings."""
        return {}

    def summary(self) -> dict[str, Any]:
        """Nothing beside the totals."""
        return {}

    def _check(self) -> None:
        if self._closed:
            raise ContextClosed("this context is closed. Connect anew with headrace.connect().")

    def submit(self, request: JobRequest) -> JobHandle:
        """Have a job run."""
        self._check()
        handle = JobHandle(request, self.flag(), self.flag(), self.flag())
        with self._baton:
            self.controller.submit(handle)
        return handle

    def cancel(self, job: JobId, because: str) -> None:
        """Have a job end."""
        with self._baton:
            self.controller.cancel(job, because)
            self._turn_loops()

    def provide(self, name: str, pieces: Iterable[bytes]) -> None:
        """Put a block into the program's own store."""
        self._check()
        self.controller.provide(name, pieces)

    def withdraw(self, name: str) -> None:
        """Remove a block from the program's own store."""
        self.controller.withdraw(name)

    def unload(self, name: str) -> None:
        """Have the worker let go of a block of the program's own store."""
        self._check()
        self.controller.unload(name)

    def replan(self, codes: tuple[StageCode, ...], blobs: dict[Digest, bytes]) -> None:
        """Have stages run other code from now on."""
        self._check()
        self.controller.replan(codes, blobs)

    def release(self, stage: StageId) -> None:
        """No dataset refers to a shuffle any more."""
        if not self._closed:
            self.controller.release(stage)

    def forget(self, operator: OperatorId | None, names: tuple[str, ...] = ()) -> None:
        """Nothing refers any more to a dataset that is kept, or to blocks."""
        if not self._closed:
            self.controller.forget(operator, names)

    def kept(self, operator: OperatorId, partitions: int) -> frozenset[int]:
        """Return which partitions of a dataset the worker keeps."""
        return kept_of(self.controller, operator, partitions)

    def keep(self, operator: OperatorId, level: StorageLevel) -> None:
        """A dataset is to be kept."""
        self._check()
        self.controller.keep(operator, level)

    def uncache(self, operator: OperatorId) -> None:
        """A dataset is not to be kept any more."""
        self.controller.uncache(operator)

    def share_main(self, digest: Digest, blob: bytes) -> None:
        """Have classes of `__main__` known: they are."""
        self.controller.share_main(digest, blob)

    def finished(self) -> frozenset[StageId]:
        """Return the shuffles that are complete."""
        return self.controller.scheduler.lineage.finished()

    def workers(self) -> tuple[WorkerInfo, ...]:
        """Return the one worker."""
        return () if self._closed else snapshot(self.controller)

    def kill_worker(self, worker: WorkerId) -> None:
        """There is none to kill."""
        raise InternalError("an inline run has no worker process to kill")

    def kill_host(self, host: HostId) -> None:
        """There is none to lose."""
        self.destroy(host)

    def close(self) -> None:
        """End the run."""
        if not self._closed:
            self._closed = True
            with held_interrupts():
                if self._worker is not None:
                    self._worker.close()
                recurring.forget()
                self._folder.remove()
