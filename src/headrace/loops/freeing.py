"""What nothing refers to any more is freed on every host: the workers are told, also those that come later."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from headrace.ids import Digest, HostId, OperatorId, StageId, WorkerId
from headrace.loops.members import Member
from headrace.ports import Files
from headrace.protocols.messages import Free, Message
from headrace.store.layout import HOME, Layout, code_name

FREED_MAX = 1000  # things that were freed of late: new workers are told, perhaps there was none to tell


class Freeing:
    """The program's side of freeing; what lies in its own store it removes itself."""

    def __init__(
        self,
        files: Files,
        layout: Layout,
        members: Mapping[WorkerId, Member],
        send: Callable[[WorkerId, Message], None],
    ) -> None:
        self._files, self._layout, self._members, self._send = files, layout, members, send
        self._code: deque[str] = deque()  # that workers need not hold any more
        self._stages: deque[int] = deque(maxlen=FREED_MAX)
        self._names: deque[str] = deque(maxlen=FREED_MAX)

    def welcome(self, member: Member) -> None:
        """Tell a worker what was freed of late: others of its host may have died before they did it."""
        if self._stages or self._names:
            self._send(member.id, Free(tuple(self._stages), (), tuple(self._names)))

    def shuffle(self, stage: StageId) -> None:
        """Have a shuffle's map outputs removed."""
        self._stages.append(stage)
        self._tell_all(Free((stage,), (), ()))

    def dataset(self, operator: OperatorId) -> None:
        """Have what is kept of a dataset let go."""
        self._tell_all(Free((), (operator,), ()))

    def blocks(self, names: tuple[str, ...]) -> None:
        """Remove blocks from the program's own store, and from the workers' memories."""
        for name in names:
            self._files.remove(self._layout.path(HOME, name))
        self.unload(names)

    def unload(self, names: tuple[str, ...]) -> None:
        """Have the workers let go of blocks of the program's own store."""
        self._names.extend(names)
        self._tell_all(Free((), (), names))

    def on(self, host: HostId, name: str) -> None:
        """Have a file removed that lies on one host."""
        self._names.append(name)
        for worker in sorted(m.id for m in self._members.values() if m.host == host):
            self._send(worker, Free((), (), (name,)))  # all of them, for one may die before it does it

    def code(self, digest: Digest) -> None:
        """Nobody needs some large code any more; told in any thread."""
        name = code_name(digest)
        self._files.remove(self._layout.path(HOME, name))
        self._code.append(name)

    def run(self) -> None:
        """Tell the workers what was said in other threads."""
        while self._code:
            self._tell_all(Free((), (), (self._code.popleft(),)))

    def _tell_all(self, message: Message) -> None:
        for worker in sorted(self._members):
            self._send(worker, message)
