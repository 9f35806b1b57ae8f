"""A run on worker processes of this machine: one thread for the program's loop, beside the user's."""

from __future__ import annotations

import os
import secrets
import threading
import traceback
import weakref
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from headrace.config import MS, SECOND, Config, MemoryConfig
from headrace.errors import ContextClosed, InternalError
from headrace.ids import Digest, HostId, JobId, OperatorId, RunId, StageId, WorkerId
from headrace.loops.controller import Controller, ControllerPorts
from headrace.loops.jobs import JobHandle, JobRequest, StageCode
from headrace.loops.loop import Watcher
from headrace.loops.session import WorkerInfo, kept_of, snapshot
from headrace.plan.levels import StorageLevel
from headrace.ports import Files, Flag
from headrace.runtime.channel.sockets import PATH_MAX, SocketNetwork
from headrace.runtime.clock import SystemClock
from headrace.runtime.files import SystemFiles
from headrace.runtime.gate import ThreadGate
from headrace.runtime.interrupts import held_interrupts
from headrace.runtime.place.processes import ProcessPlace
from headrace.runtime.reactor import Reactor
from headrace.runtime.rundir import RunFolder, for_sockets
from headrace.store.layout import HOME, Layout

KEY_BYTES = 32
TICK_NS = 100 * MS
LEAVE_NS = 1000 * MS  # workers that were asked to leave and have not by then are killed
SOCKET_NAME = len("/home.sock")  # or a worker's, up to the millionth
MEMORY_SHARE = 0.6  # of the machine's memory, for all workers together


class LocalSession:
    """Owns the loop's thread, the run's folder and the worker processes."""

    def __init__(
        self, config: Config, watchers: Iterable[Watcher], printed: Callable[[WorkerId, int, str], None]
    ) -> None:
        self.config = settle(config)
        self.files: Files = SystemFiles()
        self._folder = RunFolder(config.directory)
        self._sockets = for_sockets(self._folder, PATH_MAX - 1 - SOCKET_NAME)
        self.run = RunId(self._folder.name)
        self.depot = f"{self._folder.path}/{HOME}/shipped"
        self._pid = os.getpid()
        self._closed = False
        self._closing = threading.RLock()  # what was asked for before the end is dealt with before it
        clock, key = SystemClock(), secrets.token_bytes(KEY_BYTES)
        self._reactor = Reactor(self._step, self._tick, min(TICK_NS, config.membership.heartbeat_ns))
        self._network = SocketNetwork(self._reactor, clock, key)
        layout, sockets = Layout(self._folder.path), self._sockets.path
        self._place = ProcessPlace(self.config, key, layout, sockets, self.files, self._reactor, self._network, printed)
        self._gate = ThreadGate()
        ports = ControllerPorts(clock, self._network, self.files, self._place, self._gate)
        address = self._network.listen(f"{sockets}/home.sock") if self.config.hosts > 1 else ""
        self.controller = Controller(self.config, self._folder.path, ports, address)
        self.controller.loop.watchers.extend(watchers)
        self._network.endpoint = self.controller
        self._place.supervisor = self.controller
        self._place.memory_of = self._memory_of
        self._broken: BaseException | None = None
        self._handles: list[weakref.ref[JobHandle]] = []  # of all jobs that somebody may be waiting for
        self._over = threading.Event()  # the loop's thread ends
        self._thread = threading.Thread(target=self._serve, name="headrace-loop", daemon=True)
        self._thread.start()
        self._reactor.call_soon(self.controller.open)

    # The loop's thread.

    def _serve(self) -> None:
        try:
            self._reactor.serve()
        except BaseException as error:  # a bug of ours: say so, and let nobody wait for ever
            with self._closing:  # whoever submits a job now is told, or is in the list already
                self._broken = error
            self._place.end_all()
            for handle in self._awaited():
                if not handle.ended.is_set():
                    handle.failure = broken(error)
                    handle.ended.set()
                    handle.news.set()
        finally:
            for handle in self._awaited():
                handle.quiet.set()
            self._over.set()

    def _awaited(self) -> list[JobHandle]:
        return [handle for found in self._handles if (handle := found()) is not None]

    def _step(self) -> None:
        self.controller.run()

    def _tick(self) -> None:
        self._network.check()
        self._place.check()
        self.controller.tick()

    def _memory_of(self, worker: WorkerId) -> int:
        member = self.controller.members.get(worker)
        return member.memory_bytes if member is not None else 0

    # The user's threads.

    def _call(self, function: Callable[[], None]) -> None:
        self._check()
        with self._closing:
            self._check()
            self._reactor.call_soon(function)

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise ContextClosed(
                "this context belongs to the process that this one was forked from. Connect anew in the child."
            )
        if self._closed:
            raise ContextClosed("this context is closed. Connect anew with headrace.connect().")
        if self._broken is not None:
            raise broken(self._broken)

    def now_ns(self) -> int:
        """Return the time."""
        return self.controller.ports.clock.now_ns()

    def about(self) -> dict[str, Any]:
        """Nothing beside the settings."""
        return {}

    def summary(self) -> dict[str, Any]:
        """Say what went over this process's sockets."""
        return {
            "sent_bytes": self._network.sent_bytes,
            "received_bytes": self._network.received_bytes,
            "peers refused": self._network.refused,
        }

    def submit(self, request: JobRequest) -> JobHandle:
        """Have a job run."""
        handle = JobHandle(request, self._gate.flag(), self._gate.flag(), self._gate.flag())
        with self._closing:
            self._call(lambda: self.controller.submit(handle))
            self._handles = [weakref.ref(one) for one in (*self._awaited(), handle)]
        return handle

    def wait(self, flag: Flag) -> None:
        """Sleep until something has happened."""
        self._gate.wait(flag)

    def wait_until(self, flag: Flag, until_ns: int) -> bool:
        """Sleep until something has happened, or a time has come."""
        return self._gate.wait_for(flag, max(0, until_ns - self.now_ns()) / SECOND)

    def cancel(self, job: JobId, because: str) -> None:
        """Have a job end."""
        self._call(lambda: self.controller.cancel(job, because))

    def provide(self, name: str, pieces: Iterable[bytes]) -> None:
        """Put a block into the program's own store."""
        self._check()
        self.controller.provide(name, pieces)

    def withdraw(self, name: str) -> None:
        """Remove a block from the program's own store."""
        self._call(lambda: self.controller.withdraw(name))

    def unload(self, name: str) -> None:
        """Have the workers let go of a block of the program's own store."""
        self._call(lambda: self.controller.unload(name))

    def replan(self, codes: tuple[StageCode, ...], blobs: dict[Digest, bytes]) -> None:
        """Have stages run other code from now on."""
        self._call(lambda: self.controller.replan(codes, blobs))

    def release(self, stage: StageId) -> None:
        """No dataset refers to a shuffle any more; called whenever garbage is collected, in any thread."""
        if not self._closed and os.getpid() == self._pid:
            self._reactor.call_soon(lambda: self.controller.release(stage))

    def forget(self, operator: OperatorId | None, names: tuple[str, ...] = ()) -> None:
        """Nothing refers any more to a dataset that is kept, or to blocks; called whenever garbage is collected."""
        if not self._closed and os.getpid() == self._pid:
            self._reactor.call_soon(lambda: self.controller.forget(operator, names))

    def kept(self, operator: OperatorId, partitions: int) -> frozenset[int]:
        """Return which partitions of a dataset some worker keeps."""
        return kept_of(self.controller, operator, partitions)

    def keep(self, operator: OperatorId, level: StorageLevel) -> None:
        """A dataset is to be kept."""
        self._call(lambda: self.controller.keep(operator, level))

    def uncache(self, operator: OperatorId) -> None:
        """A dataset is not to be kept any more."""
        self._call(lambda: self.controller.uncache(operator))

    def share_main(self, digest: Digest, blob: bytes) -> None:
        """Have classes of `__main__` installed wherever a job runs."""
        self._call(lambda: self.controller.share_main(digest, blob))

    def finished(self) -> frozenset[StageId]:
        """Return the shuffles that are complete."""
        return self.controller.scheduler.lineage.finished()

    def workers(self) -> tuple[WorkerInfo, ...]:
        """Return the workers that live."""
        return () if self._closed else snapshot(self.controller)

    def kill_worker(self, worker: WorkerId) -> None:
        """End a worker's process."""
        self._call(lambda: self._place.strike(worker))

    def kill_host(self, host: HostId) -> None:
        """Lose a host with its disk."""
        self._call(lambda: self._place.destroy(host))

    def close(self) -> None:
        """End the run."""
        if os.getpid() != self._pid:
            return
        with held_interrupts(lambda: self._reactor.call_soon(self._place.end_all)):
            with self._closing:
                if self._closed:
                    return
                self._closed = True
                self._reactor.call_soon(self._begin_to_close)
            self._over.wait()
            self._thread.join()
            self._place.shut()
            self._network.shut()
            self._reactor.close()
            self._sockets.remove()
            self._folder.remove()

    def _begin_to_close(self) -> None:
        self.controller.close()
        self._place.close(LEAVE_NS, self._reactor.stop)


def settle(config: Config) -> Config:
    """Fill in what the address left open: workers and their memory, from what this machine has."""
    workers = config.workers or max(usable_cores(), config.hosts)
    memory = config.memory
    if memory is None:
        memory = MemoryConfig(worker_bytes=max(64 << 20, int(machine_bytes() * MEMORY_SHARE) // workers))
    return replace(config, workers=workers, memory=memory)


def usable_cores() -> int:
    """Return the processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def machine_bytes() -> int:
    """Return the memory that this process may use: the machine's, or its control group's where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        with open("/sys/fs/cgroup/memory.max", "rb") as file:
            limit = file.read().strip()
        return min(total, int(limit)) if limit != b"max" else total
    except (OSError, ValueError):
        return total


def broken(error: BaseException) -> InternalError:
    """Turn a crash of the loop into an error that says so."""
    lines = traceback.format_exception(error)
    return InternalError(f"headrace's own loop failed: {error!r}", [line.rstrip() for line in lines])
