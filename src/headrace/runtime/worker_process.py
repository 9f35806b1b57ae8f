"""The main program of a worker process.

The main thread runs user code; one other thread owns the sockets.  Either may run the loop, one at a time: whoever has news
tries for the loop's lock, and whoever holds it also deals with what came in the meantime.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import io
import os
import queue
import signal
import socket
import sys
import threading
import types
from collections.abc import Callable

import cloudpickle

from headrace.execute.chunks import main_classes
from headrace.execute.current import take_process
from headrace.ids import HostId, WorkerId
from headrace.loops.work import WorkerLoop, WorkerPorts
from headrace.ports import Peer
from headrace.runtime.blackbox import BlackBox
from headrace.runtime.bootstrap import Bootstrap, read_bootstrap
from headrace.runtime.channel.sockets import SocketNetwork
from headrace.runtime.clock import SystemClock
from headrace.runtime.files import SystemFiles, divert_writes
from headrace.runtime.gate import ThreadGate
from headrace.runtime.place.evidence import anonymous_bytes
from headrace.runtime.reactor import Reactor
from headrace.store.layout import Layout

TITLE = b"headrace worker"  # what `ps` shows: the kernel keeps fifteen characters
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
COLLECT_AFTER = (50_000, 20, 100)  # garbage collection: tables of millions of pairs would be walked far too often


class ProcessRunner:
    """Runs bodies on the main thread."""

    def __init__(self) -> None:
        self._bodies: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.get_ident()

    def start(self, body: Callable[[], None]) -> None:
        """Run a body next."""
        self._bodies.put(body)

    def frame(self) -> types.FrameType | None:
        """Return the innermost frame of the main thread."""
        return sys._current_frames().get(self._thread)

    def stop(self) -> None:
        """Let `serve` return."""
        self._bodies.put(None)

    def serve(self) -> None:
        """Run bodies until told to stop."""
        while (body := self._bodies.get()) is not None:
            body()
            body = None  # let go of what it held before the next comes


class WorkerGate(ThreadGate):
    """A gate that a forked child of the worker does not pass."""

    def __init__(self) -> None:
        self._pid = os.getpid()

    def pause(self, records: int) -> None:
        """Nothing to do, for the worker itself."""
        self.confirm()

    def confirm(self) -> None:
        """End a child that user code forked and that returned into the engine instead of ending itself."""
        if os.getpid() != self._pid:
            os._exit(0)

    def die(self) -> None:
        """End this process at once."""
        os.kill(self._pid, signal.SIGKILL)


class WorkerProcess:
    """Everything in one worker process."""

    def __init__(self, record: Bootstrap) -> None:
        self.clock = SystemClock()
        self.runner = ProcessRunner()
        self.pid = os.getpid()
        config = record.config
        self._lock = threading.Lock()
        self.reactor = Reactor(self._run, self._tick, config.membership.heartbeat_ns)
        self.network = SocketNetwork(self.reactor, self.clock, bytes.fromhex(record.key))
        layout = Layout(record.root)
        worker, host = WorkerId(record.worker), HostId(record.host)
        address = self.network.listen(record.socket)
        ports = WorkerPorts(
            self.clock,
            self.network,
            SystemFiles(),
            self.runner,
            WorkerGate(),
            BlackBox(f"{layout.own(host, worker)}/blackbox"),
            install_main,
            anonymous_bytes,
            self._leave,
        )
        self.worker = WorkerLoop(worker, host, address, record.root, config, ports)
        self.worker.loop.wake = self._wake
        self.network.endpoint = self
        self._control = socket.socket(fileno=record.control)
        self._control.set_inheritable(False)  # it was ours to inherit, not for what user code starts
        self._program = self.network.adopt(self._control, opener=True)

    # The network's endpoint: the loop, under its lock.

    def opened(self, peer: Peer) -> None:
        """A channel is open; the program's means that we are ready."""
        with self._lock:
            self.worker.opened(peer)
            if peer == self._program:
                self.worker.greet(peer, self.pid)

    def received(self, peer: Peer, data: bytes) -> None:
        """A frame has come."""
        with self._lock:
            self.worker.received(peer, data)

    def closed(self, peer: Peer) -> None:
        """A channel is gone; without the program there is nothing left to do, and nobody to tell."""
        if peer == self._program:
            end_group()
        with self._lock:
            self.worker.closed(peer)

    def _tick(self) -> None:
        self.network.check()
        with self._lock:
            self.worker.tick()

    def _run(self) -> None:
        """Run the loop; whatever is told meanwhile is dealt with before its lock is given back for good."""
        while self.worker.loop.waiting and self._lock.acquire(blocking=False):
            try:
                self.worker.loop.run()
            finally:
                self._lock.release()

    def _wake(self) -> None:
        if os.getpid() == self.pid:
            self._run()

    def _leave(self) -> None:
        self.runner.stop()

    def serve(self) -> None:
        """Work until told to leave."""
        threading.Thread(target=self._guarded, name="headrace-io", daemon=True).start()
        self.runner.serve()

    def _guarded(self) -> None:
        try:
            self.reactor.serve()
        except BaseException:
            sys.excepthook(*sys.exc_info())  # into the log that the program keeps of us
            end_group()


def install_main(blob: bytes) -> None:
    """Put classes of the program's `__main__` into ours, so that pickle finds them by name."""
    main = sys.modules["__main__"]
    for name, pickled in cloudpickle.loads(blob):
        try:
            found = cloudpickle.loads(pickled)
        except Exception as error:
            sys.stderr.write(f"the class {name} of the program cannot be made here: {error}\n")
            continue
        setattr(main, name, found)
        main_classes[name] = found


def end_group() -> None:
    """End this process and all that user code has started in its group, at once."""
    with contextlib.suppress(OSError):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def settle_in(record: Bootstrap) -> None:
    """Make this process look like the program's, as far as user code can tell."""
    if sys.platform == "linux":
        import ctypes

        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_NAME, TITLE, 0, 0, 0)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != record.parent:
        end_group()  # the program died while we started
    faulthandler.enable(all_threads=False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # as in a terminal, so that a process that dies has said its last
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program hears Ctrl-C, and tells us
    alone = record.config.hosts > 1  # then the program's folder is not ours to import from
    sys.path[:] = [path for path in record.path if not (alone and path.startswith(f"{record.root}/"))]
    sys.argv[:] = record.arguments
    if record.python_path is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = record.python_path
    with contextlib.suppress(OSError):
        os.chdir(record.folder)
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    take_process()
    os.register_at_fork(after_in_child=disarm)


def disarm() -> None:
    """In a child that user code forked: whatever it does, the worker's files are not its to write to."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    divert_writes()


def main(descriptor: int) -> int:
    """Read the record from an inherited pipe, and work."""
    with os.fdopen(descriptor, "rb") as pipe:
        record = read_bootstrap(pipe.read())
    settle_in(record)
    process = WorkerProcess(record)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    process.serve()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
