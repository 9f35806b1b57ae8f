"""The code that a worker was sent: blobs, and the programs and functions made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import cloudpickle

from headrace.errors import ModuleMissing
from headrace.ids import Digest
from headrace.loops.body import BodyPort
from headrace.plan.stages import Program, load_program

BLOBS_KEPT = 256  # functions and programs that a worker holds: those of some dozens of stages


class Loading:
    """What has come, each blob once.

    Args:
        install_main: puts classes of the program's `__main__` into this process's.

    """

    def __init__(self, install_main: Callable[[bytes], None]) -> None:
        self._install_main = install_main
        self._blobs: dict[Digest, bytes] = {}
        self._at_home: set[Digest] = set()  # too large for a message: in the program's store
        self._functions: dict[Digest, Callable[..., Any]] = {}
        self._programs: dict[Digest, Program] = {}
        self._main: set[Digest] = set()  # classes of `__main__` still to be installed
        self._mains: set[Digest] = set()  # and all that ever came

    def add(self, digest: Digest, data: bytes, *, main: bool) -> None:
        """A blob has come; an empty one lies in the program's store."""
        if data:
            self._blobs[digest] = data
        else:
            self._at_home.add(digest)
        if main:
            self._main.add(digest)
            self._mains.add(digest)

    @property
    def is_full(self) -> bool:
        """Whether there are more blobs than are kept."""
        return len(self._blobs) > BLOBS_KEPT

    def trim(self, needed: set[Digest]) -> list[Digest]:
        """Drop what came longest ago, where there is much, except what is still needed; return what was dropped."""
        surplus = len(self._blobs) - BLOBS_KEPT
        old = [digest for digest in self._blobs if digest not in needed][: max(0, surplus)]
        for digest in old:
            del self._blobs[digest]
            self._functions.pop(digest, None)
            self._programs.pop(digest, None)
        return old

    def mains(self, blobs: Iterable[Digest]) -> tuple[Digest, ...]:
        """Choose those that hold classes of `__main__`."""
        return tuple(digest for digest in blobs if digest in self._mains)

    def program(self, program: Digest, blobs: Iterable[Digest], port: BodyPort) -> Program:
        """Make a stage's program ready to run.

        Raises:
            ModuleMissing: its functions import what is not there.

        """
        for digest in [digest for digest in blobs if digest in self._main]:
            self._install_main(self.data(digest, port))
            self._main.discard(digest)
        if program not in self._programs:
            try:
                data = self.data(program, port)
                self._programs[program] = load_program(data, lambda digest: self._function(digest, port))
            except ModuleNotFoundError as error:
                raise ModuleMissing(
                    f"the workers cannot import {error.name!r}, which the program's functions use. Install it where "
                    "they run, or put the module beside the script."
                ) from error
        return self._programs[program]

    def _function(self, digest: Digest, port: BodyPort) -> Callable[..., Any]:
        if digest not in self._functions:
            self._functions[digest] = cloudpickle.loads(self.data(digest, port))
        return self._functions[digest]

    def data(self, digest: Digest, port: BodyPort) -> bytes:
        """Return a blob."""
        if digest in self._at_home:
            self._blobs[digest] = b"".join(port.provided(f"blob-{digest}"))
            self._at_home.discard(digest)
        return self._blobs[digest]
