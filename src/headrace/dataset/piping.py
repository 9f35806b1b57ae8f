"""Records through another program: one a line in, one a line out, without a thread of our own."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headrace.errors import ProgramError

PIECE = 1 << 16


class Pipe:
    """Runs a command on a partition."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str] | None, *, check: bool) -> None:
        self.command, self.env, self.check = list(command), dict(env or {}), check

    def __call__(self, records: Iterator[Any]) -> Iterator[str]:
        """Run it."""
        try:
            process = subprocess.Popen(
                self.command, env=os.environ | self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
            )
        except OSError as error:
            raise ProgramError(
                f"pipe could not start {self.command[0]!r}: {error.strerror}. Install it where the workers run, or give its "
                "whole path."
            ) from error
        try:
            yield from _through(process, (f"{str(record).rstrip(chr(10))}\n".encode() for record in records))
            status = process.wait()
        finally:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
            if process.poll() is None:
                process.kill()
                process.wait()
        if self.check and status:
            raise ProgramError(
                f"pipe's command {self.command} ended with status {status}. Mend it, or leave check_code out."
            )


def _through(process: subprocess.Popen[bytes], lines: Iterator[bytes]) -> Iterator[str]:
    """Write when the program takes something, read when it has something, whichever comes first."""
    assert process.stdin is not None
    assert process.stdout is not None
    into, out = process.stdin.fileno(), process.stdout.fileno()
    os.set_blocking(into, False)
    waiting, partial = b"", b""
    with selectors.DefaultSelector() as selector:
        selector.register(out, selectors.EVENT_READ)
        selector.register(into, selectors.EVENT_WRITE)
        while selector.get_map():
            for key, _ in selector.select():
                if key.fd == into:
                    waiting = waiting or _some(lines)
                    try:
                        waiting = waiting[os.write(into, waiting) :] if waiting else b""
                        done = not waiting and not (waiting := _some(lines))
                    except BlockingIOError:
                        continue
                    except BrokenPipeError:  # it wants no more
                        done = True
                    if done:
                        selector.unregister(into)
                        process.stdin.close()
                    continue
                piece = os.read(out, PIECE)
                *whole, partial = (partial + piece).split(b"\n")
                yield from (line.decode() for line in whole)
                if not piece:
                    selector.unregister(out)
    if partial:
        yield partial.decode()


def _some(lines: Iterator[bytes]) -> bytes:
    found: list[bytes] = []
    size = 0
    for line in lines:
        found.append(line)
        size += len(line)
        if size >= PIECE:
            break
    return b"".join(found)
