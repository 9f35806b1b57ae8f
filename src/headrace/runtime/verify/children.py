"""The processes that run attempts again: started when there is something to verify, and kept warm until the run ends."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

from msgspec.structs import replace

from headrace.config import Config
from headrace.runtime.bootstrap import Bootstrap, of_this_program
from headrace.runtime.place.processes import environment_for
from headrace.runtime.verify.talk import Ask, Go, Late, Link, Message, Passed, Ran, Show, Shown


class Unverifiable(Exception):
    """It cannot be told whether a task does the same again; the message says why."""


class Child:
    """One process, with a seed of its own for the order of sets."""

    def __init__(self, hash_seed: int) -> None:
        self.hash_seed = hash_seed
        self._process: subprocess.Popen[bytes] | None = None
        self._link: Link | None = None
        self._until = 0.0

    def ask(self, what: Ask, seconds: float) -> None:
        """Have it begin.

        Args:
            seconds: that it may take altogether.

        """
        self._until = time.monotonic() + seconds
        if self._process is not None and self._process.poll() is not None:
            self.end()  # somebody has killed it meanwhile
        if self._link is None:
            self._start()
        self._say(what)

    def go(self) -> None:
        """Have it go on."""
        self._say(Go())

    def show(self, number: int) -> Shown:
        """Have it show a record, and stop."""
        self._say(Show(number))
        answer = self._hear()
        return answer if isinstance(answer, Shown) else Shown("?")

    def ran(self) -> Ran:
        """Wait for it to have run.

        Raises:
            Unverifiable: it has not, or not well.

        """
        answer = self._hear()
        if not isinstance(answer, Ran):
            raise Unverifiable("a process that ran it again made no sense")
        if answer.error:
            raise Unverifiable(f"run again, it raised {answer.error}")
        return answer

    def passed(self) -> tuple[tuple[int, bytes], ...] | None:
        """Wait for it to tell of some more records; None when it has run.

        Raises:
            Unverifiable: it has ended otherwise.

        """
        answer = self._hear()
        if isinstance(answer, Passed):
            return answer.records
        if isinstance(answer, Ran) and not answer.error:
            return None
        raise Unverifiable(f"run again, it raised {answer.error}" if isinstance(answer, Ran) else "it made no sense")

    def _say(self, message: Message) -> None:
        assert self._link is not None
        try:
            self._link.send(message)
        except OSError:
            raise self._gone() from None

    def _hear(self) -> Message:
        assert self._link is not None
        try:
            return self._link.receive(self._until - time.monotonic())
        except Late:
            self.end()
            raise Unverifiable("run again, it took far longer than before") from None
        except (EOFError, OSError):
            raise self._gone() from None

    def _gone(self) -> Unverifiable:
        process = self._process
        if process is not None and process.returncode is None:
            _end_group(process)
        status = process.wait() if process is not None else 0
        self.end()
        how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
        return Unverifiable(f"the process that ran it again {how}")

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        read, write = os.pipe()
        try:
            record = Bootstrap(
                key="",
                worker="",
                host="",
                root="/",
                control=theirs.fileno(),
                socket="",
                config=replace(Config(), hosts=1),
                **of_this_program(),
            )
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "headrace", "verifier", str(read)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # what functions print was printed once
                stderr=subprocess.DEVNULL,
                pass_fds=(read, theirs.fileno()),
                process_group=0,
                env={**environment_for(record.python_path), "PYTHONHASHSEED": str(self.hash_seed)},
            )
            self._link = Link(ours.detach())
            with open(write, "wb", closefd=False) as pipe:
                pipe.write(record.dump())
        except (OSError, ValueError) as error:
            raise Unverifiable(f"no process could be started to run it again: {error}") from error
        finally:
            ours.close()
            theirs.close()
            os.close(read)
            os.close(write)

    def kill(self) -> None:
        """End its process; from another thread, and whoever waits for it hears of that."""
        process = self._process
        if process is not None and process.returncode is None:
            _end_group(process)

    def end(self) -> None:
        """End it, with all that user code has started in its group."""
        link, self._link = self._link, None
        process, self._process = self._process, None
        if link is not None:
            link.close()
        if process is not None and process.returncode is None:
            _end_group(process)
            process.wait()


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that nobody has waited for yet, so that its number is its own still."""
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
