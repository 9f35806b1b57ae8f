"""A process that has headrace imported and runs the program again and again, each time in a fork of itself.

It reads requests from its standard input and answers on its standard output, a line of JSON each.  When its input ends, or
it is told to end, nothing of what it has started is left.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import msgspec
from msgspec import Struct

from headrace.campaign.mirror import Mirror
from headrace.campaign.once import Notes, Place, run, told
from headrace.campaign.words import Job, Outcome, Request, World
from headrace.sim.faults import FaultPlan

OUT_BYTES = 1 << 20
ERR_BYTES = 16 << 10
PATH_LENGTH = 140  # of every copy of a folder, as far as its own name and that of the temporary folder are no longer
POLL_S = 0.005  # where there is no descriptor of a process to wait for


class Setting(Struct, frozen=True):
    """What a server is told when it starts: the job, and a folder of its own."""

    job: Job
    folder: str


class Server:
    """Runs the program, one run at a time."""

    def __init__(self, setting: Setting, requests: int, answers: int) -> None:
        self._setting, self._requests, self._answers = setting, requests, answers
        self._child = 0
        name = os.path.basename(setting.job.folder) or "root"
        # Code is sent with the path of its file, and what is sent takes time by its length: no folder's name may matter.
        padding = "_" * max(1, PATH_LENGTH - len(setting.folder) - len(name) - 2)
        self.mirror = Mirror(setting.job.folder, os.path.join(setting.folder, padding, name))
        self._place = Place(self.mirror.path, os.path.join(setting.folder, ".run"))

    def serve(self) -> None:
        """Answer until nobody asks any more."""
        held = b""
        self._answer(msgspec.json.encode(self.mirror.linked))
        while True:
            line, newline, rest = held.partition(b"\n")
            if newline:
                held = rest
                self._answer(msgspec.json.encode(self.once(msgspec.json.decode(line, type=Request))))
                continue
            data = os.read(self._requests, 1 << 16)
            if not data:
                return
            held += data

    def _answer(self, line: bytes) -> None:
        view = memoryview(line + b"\n")
        while view:
            view = view[os.write(self._answers, view) :]

    def once(self, request: Request) -> Outcome:
        """Run the program once."""
        place, job = self._place, self._setting.job
        os.makedirs(place.aside)
        began = time.monotonic()
        self._start(request)
        status, hung = self._wait(began + job.limit_s)
        seconds = time.monotonic() - began
        notes = self._notes()
        if request.whole and not notes.worlds:
            notes.worlds = self._stories()
        plain = self._plain(request.seed)
        out, digest = self._printed("out", plain)
        written, removed = self.mirror.written(texts=request.whole, plain=plain)
        done = Outcome(
            id=request.id,
            status=status,
            seconds=seconds,
            hung=hung,
            error=notes.error,
            message=plain(notes.message.encode(errors="replace")).decode(errors="replace"),
            out=out,
            digest=digest,
            err=self._printed("err", plain)[0][-ERR_BYTES:],
            written=written,
            removed=removed,
            worlds=tuple(notes.worlds),
            threads=notes.threads,
            touched=self.mirror.touched(),
        )
        self.mirror.restore()
        shutil.rmtree(place.aside, ignore_errors=True)
        return done

    def _start(self, request: Request) -> None:
        if self._setting.job.spawn or not hasattr(os, "fork"):
            order = msgspec.json.encode((self._setting.job, request, self._place)).decode()
            command = [sys.executable, "-m", "headrace.campaign.server", "--once", order]
            self._child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True).pid
            return
        self._child = os.fork()
        if self._child == 0:
            try:
                for number in (signal.SIGTERM, signal.SIGHUP):
                    signal.signal(number, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                os.setsid()
                os.close(self._requests)
                os.close(self._answers)
                run(self._setting.job, request, self._place)
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(1)

    def _wait(self, until: float) -> tuple[int, bool]:
        """Wait for the run to end, or end it; return its exit status, and whether it hung."""
        child, hung = self._child, False
        if not self._ended(child, until):
            hung = True
        self.end()  # and what it has left running
        _, status = os.waitpid(child, 0)
        self._child = 0
        return os.waitstatus_to_exitcode(status), hung

    def _ended(self, child: int, until: float) -> bool:
        """Wait until a child has ended; it stays there to be asked.  Return False if time was up."""
        watched = os.pidfd_open(child) if hasattr(os, "pidfd_open") else None
        try:
            while (left := until - time.monotonic()) > 0:
                if watched is None:
                    if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                        return True
                    time.sleep(POLL_S)
                    continue
                ready, _, _ = select.select([watched, self._requests], [], [], left)
                if watched in ready:
                    return True
                if ready:  # requests come one at a time: this is the end of them
                    sys.exit(1)
            return False
        finally:
            if watched is not None:
                os.close(watched)

    def end(self) -> None:
        """End the run, and all that it has started."""
        if self._child:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._child, signal.SIGKILL)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._child, signal.SIGKILL)  # it may not have left our group yet

    def _notes(self) -> Notes:
        try:
            with open(self._place.path("notes"), "rb") as file:
                return msgspec.json.decode(file.read(), type=Notes)
        except (OSError, msgspec.MsgspecError):  # it did not come to its end
            return Notes()

    def _stories(self) -> list[World]:
        """Return what is told of a run that did not come to its end."""
        folder = self._place.path("stories")
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        paths = [Path(folder, name) for name in names if name.endswith(".jsonl")]
        return [World(trace="", events=0, simulated_s=0.0, plan=FaultPlan(), story=told(path)) for path in paths]

    def _plain(self, seed: int) -> Callable[[bytes], bytes]:
        """Make what takes out of bytes the names of the copy and of the run, which differ from run to run."""
        here, real = self.mirror.path.encode(), self.mirror.real.encode()
        name = re.compile(rb"\bsim-%d\b" % seed)

        def plain(data: bytes) -> bytes:
            return name.sub(b"sim-N", data.replace(here, real))

        return plain

    def _printed(self, name: str, plain: Callable[[bytes], bytes]) -> tuple[str, str]:
        """Return what was printed, as far as that is moderately much, and the digest of all of it."""
        try:
            with open(self._place.path(name), "rb") as file:
                data = plain(file.read())
        except OSError:
            data = b""
        cut = data[:OUT_BYTES] if name == "out" else data[-2 * ERR_BYTES :]
        return cut.decode(errors="backslashreplace"), hashlib.blake2b(data, digest_size=16).hexdigest()


def _warm() -> None:
    """Import what every run needs, so that forks have it."""
    import headrace.dataset.dataset
    import headrace.observe.story
    import headrace.plan.byvalue
    import headrace.sim.session  # noqa: F401

    gc.collect()
    gc.freeze()


def main() -> None:
    """Serve, or run once in this very process."""
    if sys.argv[1] == "--once":
        job, request, place = msgspec.json.decode(sys.argv[2], type=tuple[Job, Request, Place])
        run(job, request, place)
    requests, answers = os.dup(0), os.dup(1)
    os.set_inheritable(requests, False)
    os.set_inheritable(answers, False)
    os.dup2(2, 1)
    server = Server(msgspec.json.decode(sys.argv[1], type=Setting), requests, answers)

    def stop(_: int, __: FrameType | None) -> None:
        sys.exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the campaign, which ends its servers
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    _warm()
    try:
        server.serve()
    finally:
        server.end()


if __name__ == "__main__":
    main()
