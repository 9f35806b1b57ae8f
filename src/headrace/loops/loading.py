"""The code that a worker was sent: blobs, and the programs and functions made of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import cloudpickle

from headrace.errors import ModuleMissing
from headrace.ids import Digest
from headrace.loops.body import BodyPort
from headrace.plan.stages import Program, load_program
from headrace.store.layout import code_name

BLOBS_KEPT = 256  # functions and programs that a worker holds: those of some dozens of stages
PROGRAMS_KEPT = (
    32  # of them, that have run: they are large where many operators are fused, and each is of one stage only
)


class Loading:
    """What has come, each blob once.

    Args:
        install_main: puts classes of the program's `__main__` into this process's.
        limit: bytes of code that are kept for those who ask for it again.

    """

    def __init__(self, install_main: Callable[[bytes], None], limit: int) -> None:
        self._install_main, self._limit = install_main, limit
        self._blobs: dict[Digest, bytes] = {}
        self._bytes = 0
        self._at_home: set[Digest] = set()  # too large for a message: in the program's store
        self._functions: dict[Digest, Callable[..., Any]] = {}
        self._programs: dict[Digest, tuple[Program, set[Digest]]] = {}  # and the functions in each
        self._main: set[Digest] = set()  # classes of `__main__` still to be installed
        self._mains: set[Digest] = set()  # and all that ever came

    def add(self, digest: Digest, data: bytes, *, main: bool) -> None:
        """A blob has come; an empty one lies in the program's store."""
        if data:
            self._put(digest, data)
        else:
            self._at_home.add(digest)
        if main:
            self._main.add(digest)
            self._mains.add(digest)

    @property
    def is_full(self) -> bool:
        """Whether there is more than is kept."""
        return self._has_too_many or len(self._programs) > PROGRAMS_KEPT

    @property
    def _has_too_many(self) -> bool:
        return len(self._blobs) > BLOBS_KEPT or self._bytes > self._limit

    def trim(self, needed: set[Digest]) -> list[Digest]:
        """Drop what came longest ago, where there is much, except what is still needed; return what was dropped."""
        dropped = []
        for digest in [digest for digest in self._blobs if digest not in needed]:
            if self._has_too_many or (digest in self._programs and len(self._programs) > PROGRAMS_KEPT):
                self.forget(digest)
                dropped.append(digest)
        return dropped

    def forget(self, digest: Digest) -> None:
        """Drop a blob, and what was made of it."""
        self._bytes -= len(self._blobs.pop(digest, b""))
        self._at_home.discard(digest)
        self._functions.pop(digest, None)
        for program in [one for one, (_, made_of) in self._programs.items() if digest == one or digest in made_of]:
            del self._programs[program]

    def _put(self, digest: Digest, data: bytes) -> None:
        self._bytes += len(data) - len(self._blobs.pop(digest, b""))
        self._blobs[digest] = data

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
                data, made_of = self.data(program, port), set[Digest]()
                loaded = load_program(data, lambda digest: self._function(digest, port, made_of))
                self._programs[program] = loaded, made_of
            except ModuleNotFoundError as error:
                raise ModuleMissing(
                    f"the workers cannot import {error.name!r}, which the program's functions use. Install it where "
                    "they run, or put the module beside the script."
                ) from error
        return self._programs[program][0]

    def _function(self, digest: Digest, port: BodyPort, made_of: set[Digest]) -> Callable[..., Any]:
        made_of.add(digest)
        if digest not in self._functions:
            self._functions[digest] = cloudpickle.loads(self.data(digest, port))
        return self._functions[digest]

    def data(self, digest: Digest, port: BodyPort) -> bytes:
        """Return a blob."""
        if digest in self._at_home:
            self._put(digest, b"".join(port.provided(code_name(digest))))
            self._at_home.discard(digest)
        return self._blobs[digest]
