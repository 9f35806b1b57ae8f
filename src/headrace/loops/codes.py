"""The code of the stages that are alive: what workers are told to run, and ask for."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from headrace.ids import Digest, StageId
from headrace.loops.jobs import StageCode


class Codes:
    """Programs and functions, each as long as a stage is alive that has ever needed it.

    A stage may be planned anew; attempts that were launched before may still ask for what it was.

    What is too large for a message lies in the program's store, and empty here: as long as a stage needs it, or somebody
    holds it, in whatever thread.

    Args:
        remove: removes code from the program's store.

    """

    def __init__(self, remove: Callable[[Digest], None]) -> None:
        self._remove = remove
        self._holds: Counter[Digest] = Counter()  # on what lies in the program's store
        self._lock = threading.RLock()  # the collector of garbage may let go of something, in any thread
        self._codes: dict[StageId, StageCode] = {}
        self._needed: dict[StageId, set[Digest]] = {}
        self._users: Counter[Digest] = Counter()
        self._blobs: dict[Digest, bytes] = {}
        self._main: set[Digest] = set()

    def add(self, codes: Iterable[StageCode], blobs: Mapping[Digest, bytes]) -> None:
        """Stages begin, or are planned anew.

        Args:
            blobs: of what is large, and empty, each is held once; those holds are taken over.

        """
        spare = {digest for digest, blob in blobs.items() if not blob}
        for code in codes:
            self._codes[code.spec.id] = code
            needed = self._needed.setdefault(code.spec.id, set())
            for digest in {*code.blobs, code.program} - needed:
                needed.add(digest)
                self._users[digest] += 1
                if digest in blobs and digest not in self._blobs:
                    self._blobs[digest] = blobs[digest]
                    spare.discard(digest)
        for digest in spare:
            self.let_go(digest)

    def hold(self, digest: Digest, store: Callable[[], None]) -> None:
        """Have large code lie in the program's store until it is let go as often as it was held.

        Args:
            store: puts it there.

        """
        with self._lock:
            if not self._holds[digest]:
                store()
            self._holds[digest] += 1

    def let_go(self, digest: Digest) -> None:
        """Hold large code no longer."""
        with self._lock:
            self._holds[digest] -= 1
            if not self._holds[digest]:
                del self._holds[digest]
                self._remove(digest)

    def add_main(self, digest: Digest, blob: bytes) -> None:
        """Keep classes of `__main__`, to the end of the run."""
        self._blobs[digest] = blob
        self._main.add(digest)

    def end(self, stage: StageId) -> None:
        """A stage is over."""
        self._codes.pop(stage, None)
        for digest in self._needed.pop(stage, ()):
            self._users[digest] -= 1
            if not self._users[digest]:
                del self._users[digest]
                if digest not in self._main and self._blobs.pop(digest, None) == b"":
                    self.let_go(digest)

    def of(self, stage: StageId) -> StageCode | None:
        """Return what the attempts of a stage run."""
        return self._codes.get(stage)

    def blob(self, digest: Digest) -> bytes | None:
        """Return some code; empty where it lies in the program's store."""
        return self._blobs.get(digest)

    def is_main(self, digest: Digest) -> bool:
        """Whether it is classes of `__main__`."""
        return digest in self._main
