"""Records through another program: one a line in, one a line out, without a thread of our own."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from headrace.errors import ProgramError

PIECE = 1 << 16


class Pipe:
    """Runs a command on a partition."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], *, check: bool) -> None:
        self.command, self.env, self.check = list(command), dict(env), check

    @property
    def words(self) -> str:
        """The command, as one would type it."""
        return shlex.join(self.command)

    def __call__(self, records: Iterable[Any]) -> Iterator[str]:
        """Run it."""
        try:
            process = subprocess.Popen(
                self.command, env=os.environ | self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
            )
        except OSError as error:
            raise ProgramError(
                f"pipe could not start {self.command[0]!r}: {error.strerror}. Install it where the workers run, or give "
                "its whole path."
            ) from None
        try:
            yield from self._decoded(lines_of(through(process, map(as_line, records))))
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
                f"pipe's command, {self.words}, ended with status {status}. Mend it, or leave check_code out."
            )

    def _decoded(self, lines: Iterator[bytes]) -> Iterator[str]:
        for line in lines:
            try:
                yield line.decode()
            except UnicodeDecodeError as error:
                raise ProgramError(
                    f"pipe's command, {self.words}, wrote what is not UTF-8: {error}. Have it write UTF-8, or base64."
                ) from None


def as_line(record: Any) -> bytes:
    r"""Write a record's text as one line.

    >>> as_line("a"), as_line("b\n\n")
    (b'a\n', b'b\n')
    """
    return str(record).rstrip("\n").encode("utf-8", "surrogateescape") + b"\n"


def lines_of(pieces: Iterator[bytes]) -> Iterator[bytes]:
    r"""Cut pieces into lines, however long, looking at each byte once.

    >>> list(lines_of(iter([b"a", b"b\n\nc", b"d"])))
    [b'ab', b'', b'cd']
    """
    begun: list[bytes] = []
    for piece in pieces:
        head, *others = piece.split(b"\n")
        begun.append(head)
        if others:
            yield b"".join(begun)
            yield from others[:-1]
            begun = others[-1:]
    if rest := b"".join(begun):
        yield rest


def through(process: subprocess.Popen[bytes], lines: Iterator[bytes]) -> Iterator[bytes]:
    """Write when the program takes something, read when it has something, whichever comes first."""
    assert process.stdin is not None
    assert process.stdout is not None
    into, out = process.stdin.fileno(), process.stdout.fileno()
    os.set_blocking(into, False)
    waiting = memoryview(b"")
    with selectors.DefaultSelector() as selector:
        selector.register(out, selectors.EVENT_READ)
        selector.register(into, selectors.EVENT_WRITE)
        while selector.get_map():
            for key, _ in selector.select():
                if key.fd == out:
                    if piece := os.read(out, PIECE):
                        yield piece
                    else:
                        selector.unregister(out)
                    continue
                waiting = waiting or memoryview(_some(lines))
                done = not waiting
                if waiting:
                    try:
                        waiting = waiting[os.write(into, waiting) :]
                    except BlockingIOError:  # it took less than select thought it would
                        continue
                    except BrokenPipeError:  # it wants no more
                        done = True
                if done:
                    selector.unregister(into)
                    process.stdin.close()


def _some(lines: Iterator[bytes]) -> bytes:
    found: list[bytes] = []
    size = 0
    for line in lines:
        found.append(line)
        size += len(line)
        if size >= PIECE:
            break
    return b"".join(found)
