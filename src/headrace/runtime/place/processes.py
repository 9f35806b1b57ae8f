"""Workers as processes of this machine, children of the loop's thread.

Each is a process group of its own, so that what user code starts goes when the worker does; its death is told at once by a
pidfd (elsewhere: by a thread that waits); what it prints comes through pipes.  Children die with the thread that started
them, so only the loop's thread launches.
"""

from __future__ import annotations

import os
import selectors
import signal
import site
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct, field

import headrace.version
from headrace.config import Config
from headrace.ids import AttemptId, HostId, WorkerId
from headrace.loops.members import may_pass
from headrace.ports import Exit, Files, Peer, Phase
from headrace.runtime.blackbox import BlackBox
from headrace.runtime.bootstrap import Bootstrap, of_this_program
from headrace.runtime.channel.sockets import SocketNetwork
from headrace.runtime.place import evidence, exits
from headrace.runtime.place.guardian import Guardian
from headrace.runtime.reactor import Reactor
from headrace.store.layout import Layout

LAST_LINES = 24
LINE_BYTES = 4096  # a longer line is cut
THREADS = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB", "BLIS", "RAYON")
PIPE_READS = 64  # a pipe holds less than so many reads bring


class Supervisor(Protocol):
    """Who is told what becomes of processes: the controller."""

    def exited(self, worker: WorkerId, exit_: Exit) -> None:
        """A process has ended."""
        ...

    def launch_failed(self, worker: WorkerId, why: str, *, passing: bool = False) -> None:
        """A process could not be started."""
        ...

    def host_lost(self, host: HostId) -> None:
        """A host's disk is gone."""
        ...


class _Child(Struct):
    worker: WorkerId
    host: HostId
    process: subprocess.Popen[bytes]
    peer: Peer
    box: BlackBox
    pidfd: int
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    partial: dict[int, bytes] = field(default_factory=dict)
    pipes: list[int] = field(default_factory=list)
    heard: int = 0  # bytes printed
    asked: bool = False
    oom_before: int | None = None


class ProcessPlace:
    """Launches, watches, kills and buries worker processes.

    Args:
        sockets: the folder of the workers' sockets.
        printed: is given each line that a worker prints: worker, 1 or 2 for the stream, and the line.

    """

    def __init__(
        self,
        config: Config,
        key: bytes,
        layout: Layout,
        sockets: str,
        files: Files,
        reactor: Reactor,
        network: SocketNetwork,
        printed: Callable[[WorkerId, int, str], None],
    ) -> None:
        self._config, self._key, self._layout, self._sockets, self._files = config, key, layout, sockets, files
        self._reactor, self._network, self._printed = reactor, network, printed
        self._children: dict[WorkerId, _Child] = {}
        self.supervisor: Supervisor | None = None
        self.memory_of: Callable[[WorkerId], int] = lambda worker: 0
        self._destroyed: set[HostId] = set()
        self._done: Callable[[], None] | None = None  # the run is ending
        self._patience_ns: int | None = None  # until when workers may leave by themselves
        self._guardian = Guardian()

    # The port.

    def launch(self, worker: WorkerId, host: HostId) -> None:
        """Start a worker, soon, on the reactor's thread."""
        self._reactor.call_soon(lambda: self._launch(worker, host))

    def kill(self, worker: WorkerId) -> None:
        """End a worker, with all that it started."""
        child = self._children.get(worker)
        if child is not None:
            child.asked = True
            _kill_group(child.process.pid)

    def probe(self, worker: WorkerId) -> int | None:
        """Return the processor time that a worker has used."""
        child = self._children.get(worker)
        return evidence.processor_ns(child.process.pid) if child is not None else None

    def destroy(self, host: HostId) -> None:
        """Lose a host: its workers, and its disk."""
        self._destroyed.add(host)
        doomed = [child.process for child in self._children.values() if child.host == host]
        for process in doomed:
            _kill_group(process.pid)
        for process in doomed:  # dead before their disk goes: what is being killed may still be writing
            exits.wait(process)
        self._files.remove_tree(self._layout.host(host))
        assert self.supervisor is not None
        self.supervisor.host_lost(host)

    def pid(self, worker: WorkerId) -> int | None:
        """Return the number of a process that has not ended yet, even if nobody was told so far."""
        child = self._children.get(worker)
        return None if child is None or exits.has_ended(child.process) else child.process.pid

    def strike(self, worker: WorkerId) -> None:
        """End a worker as a disaster would: nobody asked for it."""
        child = self._children.get(worker)
        if child is not None:
            _kill_group(child.process.pid)

    def end_all(self) -> None:
        """End all workers at once."""
        for worker in self._children:
            self.kill(worker)

    def close(self, grace_ns: int, done: Callable[[], None]) -> None:
        """Launch nothing more; call `done` when all workers have left, or were ended for taking too long."""
        self._done = done
        if not self._children:
            done()
            return
        self._patience_ns = time.monotonic_ns() + grace_ns

    def check(self) -> None:
        """End the workers that take too long to leave.  Called now and then: at its end Python starts no timer's thread."""
        if self._patience_ns is not None and time.monotonic_ns() >= self._patience_ns:
            self.end_all()

    def shut(self) -> None:
        """Let go of everything; the reactor has stopped."""
        self._guardian.dismiss()

    # Starting.

    def _launch(self, worker: WorkerId, host: HostId) -> None:
        assert self.supervisor is not None
        if self._done is not None:
            return  # the run is ending
        if host in self._destroyed:
            self.supervisor.launch_failed(worker, f"{worker} was not started: its host {host} is lost")
            return
        try:
            self._children[worker] = self._start(worker, host)
        except (OSError, ValueError) as error:
            self.supervisor.launch_failed(worker, f"{worker} could not be started: {error}", passing=may_pass(error))

    def _start(self, worker: WorkerId, host: HostId) -> _Child:
        if not sys.executable:
            raise ValueError("Python does not know its own program file (sys.executable is empty)")
        own = self._layout.own(host, worker)
        self._files.make_dirs(own)
        box = BlackBox(f"{own}/blackbox", create=True)
        ours, theirs = socket.socketpair()
        record = Bootstrap(
            key=self._key.hex(),
            worker=worker,
            host=host,
            root=self._layout.root,
            control=theirs.fileno(),
            socket=f"{self._sockets}/{worker}",
            config=self._config,
            **of_this_program(),
        )
        read, write = os.pipe()
        try:
            os.set_blocking(write, False)
            data = record.dump()
            data = data[os.write(write, data) :]  # all, unless sys.argv is long: a pipe holds 64 KiB
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "headrace", "worker", str(read)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(read, theirs.fileno()),
                process_group=0,
                env=environment_for(record.python_path),
            )
            if data:
                self._feed(write, data)
                write = -1
        except BaseException:
            ours.close()
            box.close()
            raise
        finally:
            theirs.close()
            os.close(read)
            if write >= 0:
                os.close(write)
        self._guardian.begun(process.pid)
        peer = self._network.adopt(ours, opener=False)
        child = _Child(worker, host, process, peer, box, exits.pidfd(process.pid), oom_before=evidence.oom_kills())
        for number, pipe in ((1, process.stdout), (2, process.stderr)):
            assert pipe is not None
            self._listen(child, number, pipe.fileno())
        if child.pidfd >= 0:
            self._reactor.watch(child.pidfd, selectors.EVENT_READ, lambda _: self._ended(child))
        else:
            threading.Thread(target=self._await, args=(child,), name=f"headrace-{worker}", daemon=True).start()
        return child

    def _feed(self, pipe: int, data: bytes) -> None:
        """Write the rest of a record, as the worker reads it."""

        def more(_: int) -> None:
            nonlocal data
            try:
                data = data[os.write(pipe, data) :]
            except BlockingIOError:
                return
            except OSError:
                data = b""  # it has ended before it read all
            if not data:
                self._reactor.forget(pipe)
                os.close(pipe)

        self._reactor.watch(pipe, selectors.EVENT_WRITE, more)

    # What it prints.

    def _listen(self, child: _Child, number: int, fd: int) -> None:
        os.set_blocking(fd, False)
        child.pipes.append(fd)
        child.partial[fd] = b""
        self._reactor.watch(fd, selectors.EVENT_READ, lambda _: self._hear(child, number, fd))

    def _hear(self, child: _Child, number: int, fd: int) -> None:
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        child.heard += len(data)
        if not data:
            self._reactor.forget(fd)
            if child.partial[fd]:
                self._line(child, number, child.partial[fd])
                child.partial[fd] = b""
            return
        *lines, rest = (child.partial[fd] + data).split(b"\n")
        for line in lines:
            self._line(child, number, line)
        if len(rest) > LINE_BYTES:
            self._line(child, number, rest)
            rest = b""
        child.partial[fd] = rest

    def _line(self, child: _Child, number: int, line: bytes) -> None:
        text = line[:LINE_BYTES].decode(errors="backslashreplace").rstrip("\r")
        child.lines.append(text[:400])
        self._printed(child.worker, number, text)

    # Ending.

    def _await(self, child: _Child) -> None:
        """Wait for an exit where there are no pidfds."""
        exits.wait(child.process)
        self._reactor.call_soon(lambda: self._ended(child))

    def _ended(self, child: _Child) -> None:
        """A process has ended and is not reaped yet: what it started goes first, while its number is still its own."""
        if self._children.pop(child.worker, None) is None:
            return
        if child.pidfd >= 0:
            self._reactor.forget(child.pidfd)
            os.close(child.pidfd)
        _kill_group(child.process.pid)
        self._guardian.ended(child.process.pid)
        code, number = exits.take(child.process)
        for number_, fd in enumerate(child.pipes, start=1):
            self._drain(child, number_, fd)
        for pipe in (child.process.stdout, child.process.stderr):
            if pipe is not None:
                pipe.close()
        phase, attempt = child.box.read()
        child.box.close()
        self._files.remove_tree(self._layout.own(child.host, child.worker))
        self._files.remove(f"{self._sockets}/{child.worker}")
        self._tell(child, code, number, phase, attempt)
        if self._done is not None and not self._children:
            self._patience_ns = None
            self._done()

    def _drain(self, child: _Child, number: int, fd: int) -> None:
        """Read what a dead child printed last: all that the pipe holds, and no longer than that."""
        for _ in range(PIPE_READS):
            before = child.heard
            self._hear(child, number, fd)
            if child.heard == before:
                break
        if child.partial[fd]:
            self._line(child, number, child.partial[fd])
        self._reactor.forget(fd)

    def _tell(
        self, child: _Child, code: int | None, number: int | None, phase: Phase, attempt: AttemptId | None
    ) -> None:
        said = evidence.notes(None if child.asked else number, self.memory_of(child.worker), child.oom_before)
        assert self.supervisor is not None
        self.supervisor.exited(child.worker, Exit(code, number, child.asked, said, tuple(child.lines), phase, attempt))


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def environment_for(python_path: str | None) -> dict[str, str]:
    """The program's environment, with native thread pools at one thread, and with this very headrace to be found."""
    environment = dict(os.environ)
    for name in THREADS:
        environment.setdefault(f"{name}_NUM_THREADS", "1")
    here = os.path.dirname(os.path.dirname(os.path.abspath(headrace.version.__file__)))
    if here not in (
        *site.getsitepackages(),
        site.getusersitepackages(),
    ):  # it is found there, behind Python's own library
        environment["PYTHONPATH"] = here if python_path is None else f"{here}{os.pathsep}{python_path}"
    return environment
