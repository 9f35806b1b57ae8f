"""Servers beside each other, each with a hash seed of its own."""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import subprocess
import sys
import tempfile
from collections import deque
from types import TracebackType
from typing import IO, Self

import msgspec
from msgspec.structs import replace

from headrace.campaign.mirror import OWN
from headrace.campaign.server import Setting
from headrace.campaign.words import Job, Outcome, Request
from headrace.errors import UsageError

PATIENCE_S = 10.0  # for a server that was told to end


class Done:
    """A request with what came of it, and the number of the server that ran it."""

    __slots__ = ("outcome", "request", "server")

    def __init__(self, request: Request, outcome: Outcome, server: int) -> None:
        self.request, self.outcome, self.server = request, outcome, server


class _Server:
    """One of them, as the campaign sees it."""

    def __init__(self, number: int, job: Job, folder: str) -> None:
        self.number = number
        self.busy: Request | None = None
        self.ready = False
        self._held = b""
        os.makedirs(folder)
        environment = {**os.environ, "PYTHONHASHSEED": str(number + 1)}
        environment.pop("PYTHONSTARTUP", None)
        setting = msgspec.json.encode(Setting(job, folder)).decode()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "headrace.campaign.server", setting],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the campaign
        )

    @property
    def _in(self) -> IO[bytes]:
        assert self.process.stdin is not None
        return self.process.stdin

    @property
    def out(self) -> IO[bytes]:
        """Where it answers."""
        assert self.process.stdout is not None
        return self.process.stdout

    def ask(self, request: Request) -> None:
        """Have it run one."""
        self.busy = request
        self._in.write(msgspec.json.encode(request) + b"\n")

    def hear(self) -> list[bytes]:
        """Return the lines that have come.

        Raises:
            EOFError: it has ended.

        """
        data = os.read(self.out.fileno(), 1 << 20)
        if not data:
            raise EOFError
        *lines, self._held = (self._held + data).split(b"\n")
        return lines

    def end(self) -> None:
        """Tell it to end."""
        with contextlib.suppress(OSError):
            self._in.close()
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()

    def bury(self) -> None:
        """Wait for its end."""
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.out.close()


class Pool:
    """Runs requests on so many cores; on two servers at least, so that there are two hash seeds.

    Attributes:
        linked: folders of the program's that its runs share, because there is too much in them.

    """

    def __init__(self, job: Job, jobs: int) -> None:
        self._job, self._jobs = job, max(1, jobs)
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix=OWN))
        self.linked: tuple[str, ...] = ()
        self._selector = selectors.DefaultSelector()
        self._servers: dict[int, _Server] = {}
        self._started = 0
        self._waiting: deque[tuple[Request, frozenset[int]]] = deque()  # with the servers that must not run it
        self._asked = 0
        for _ in range(max(2, self._jobs)):
            self._launch()

    def _launch(self) -> None:
        server = _Server(self._started, self._job, os.path.join(self.folder, f"{self._started:04d}"))
        self._started += 1
        self._servers[server.number] = server
        self._selector.register(server.out, selectors.EVENT_READ, server)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    # Asking.

    @property
    def outstanding(self) -> int:
        """How many requests have not been answered."""
        return len(self._waiting) + sum(server.busy is not None for server in self._servers.values())

    @property
    def is_hungry(self) -> bool:
        """Whether there is a core that has nothing to do."""
        return self.outstanding < self._jobs

    def ask(self, request: Request, *, elsewhere: int | None = None) -> int:
        """Have a request run; return the number under which it is.

        Args:
            elsewhere: a server that shall not run it.

        """
        self._asked += 1
        self._waiting.append((replace(request, id=self._asked), frozenset(() if elsewhere is None else (elsewhere,))))
        return self._asked

    def ask_twice(self, request: Request) -> tuple[int, int]:
        """Have a request run by two servers, which have different hash seeds; return the numbers under which it is."""
        one, *others = self._servers
        return self._on(request, one), self._on(request, others[0])

    def _on(self, request: Request, server: int) -> int:
        self._asked += 1
        self._waiting.append((replace(request, id=self._asked), frozenset(self._servers) - {server}))
        return self._asked

    def wait(self, seconds: float | None = None) -> list[Done]:
        """Let the servers work; return what is done by then, at least one unless time is up.

        Raises:
            UsageError: the program's folder cannot be copied.

        """
        done: list[Done] = []
        while not done:
            self._deal()
            events = self._selector.select(seconds)
            if not events:
                break
            for key, _ in events:
                server: _Server = key.data
                try:
                    for line in server.hear():
                        done += self._heard(server, line)
                except EOFError:
                    done += self._lost(server)
        return done

    def _deal(self) -> None:
        running = sum(server.busy is not None for server in self._servers.values())
        for request, elsewhere in list(self._waiting):
            free = [s for s in self._servers.values() if s.ready and s.busy is None and s.number not in elsewhere]
            if running >= self._jobs or not free:
                continue
            self._waiting.remove((request, elsewhere))
            running += 1
            with contextlib.suppress(BrokenPipeError):  # it has ended, as will be heard
                free[0].ask(request)

    def _heard(self, server: _Server, line: bytes) -> list[Done]:
        if not server.ready:
            server.ready = True
            self.linked = tuple(msgspec.json.decode(line, type=list[str]))
            return []
        request, server.busy = server.busy, None
        assert request is not None, "only who is asked answers"
        return [Done(request, msgspec.json.decode(line, type=Outcome), server.number)]

    def _lost(self, server: _Server) -> list[Done]:
        """A server has ended: its run counts as one that was ended by a signal, and another takes its place."""
        self._selector.unregister(server.out)
        server.bury()
        del self._servers[server.number]
        if not server.ready:
            raise UsageError(
                "the program cannot be run here: what stands above says why. Run it in a folder of its own."
            )
        self._launch()
        if server.busy is None:
            return []
        status = server.process.returncode
        return [Done(server.busy, Outcome(id=server.busy.id, status=status or 1, seconds=0.0), server.number)]

    def forget(self) -> None:
        """Ask for nothing more that has not begun."""
        self._waiting.clear()

    def drain(self) -> None:
        """Wait for what has begun, whatever comes of it."""
        self.forget()
        while self.outstanding:
            self.wait()

    def close(self) -> None:
        """End everything."""
        for server in self._servers.values():
            server.end()
        for server in self._servers.values():
            server.bury()
        self._servers.clear()
        self._selector.close()
        shutil.rmtree(self.folder, ignore_errors=True)
