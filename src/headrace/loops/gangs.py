"""Tasks that meet, between the processes: the program has them wait for each other, and a worker has its body wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from msgspec import Struct

from headrace.config import MS
from headrace.errors import BarrierBroken
from headrace.ids import AttemptId, HostId, StageId, WorkerId
from headrace.loops.loop import Loop
from headrace.ports import Flag, GangMember, Gate, TaskCancelled
from headrace.protocols import claims, gather
from headrace.protocols import schedule_words as words
from headrace.protocols.messages import Came, Gang, Message, Met

ASK_AGAIN_NS = 1000 * MS


class Assembly:
    """The program's side.

    Args:
        send: says something to a worker.

    """

    CARRIES_OUT = frozenset({claims.GangClaimed, words.OfferGang, words.AssembleGang, words.DisbandGang})

    def __init__(self, loop: Loop, send: Callable[[WorkerId, Message], None], now_ns: Callable[[], int]) -> None:
        self._loop, self._send, self._now = loop, send, now_ns
        self._workers: dict[AttemptId, WorkerId] = {}
        self._gangs: dict[StageId, tuple[AttemptId, ...]] = {}

    def wire(self) -> None:
        """Give the loop the machine, and what carries out its effects and those of others that are about gangs."""
        self._loop.add("gather", gather.Gather())
        self._loop.handle({gather.Answer: self._answer, gather.Stands: self._stands}, get_args(gather.Effect))
        self._loop.handle(
            {
                claims.GangClaimed: self._claimed,
                words.OfferGang: lambda e: self._loop.tell("claims", claims.GangOffered(e.offers, self._now())),
                words.AssembleGang: self._assemble,
                words.DisbandGang: self._disband,
            },
            self.CARRIES_OUT,
        )

    def _claimed(self, effect: claims.GangClaimed) -> None:
        members = tuple(
            words.AttemptClaimed(one.task, one.attempt, one.worker, one.host, one.copy, one.now_ns)
            for one in effect.members
        )
        self._loop.tell("schedule", words.GangClaimed(members, self._now()))

    def _assemble(self, effect: words.AssembleGang) -> None:
        self._gangs[effect.stage] = effect.attempts
        for attempt, worker in zip(effect.attempts, effect.workers, strict=True):
            self._workers[attempt] = worker
            self._send(worker, Gang(attempt, effect.workers, effect.hosts))  # before it is told to run
        self._loop.tell("gather", gather.Assembled(effect.stage, effect.attempts))

    def _disband(self, effect: words.DisbandGang) -> None:
        self._loop.tell("gather", gather.Disbanded(effect.stage))
        for attempt in self._gangs.pop(effect.stage, ()):
            self._workers.pop(attempt, None)

    def _answer(self, effect: gather.Answer) -> None:
        worker = self._workers.get(effect.attempt)
        if worker is not None:
            self._send(worker, Met(effect.attempt, effect.meeting, effect.messages, effect.error))

    def _stands(self, effect: gather.Stands) -> None:
        self._loop.tell("schedule", words.GangStands(effect.stage, effect.met, effect.waiting, self._now()))

    def came(self, message: Came) -> None:
        """A task waits for the others."""
        self._loop.tell(
            "gather", gather.Came(AttemptId(message.attempt), message.meeting, message.call, message.message)
        )

    def departed(self, attempt: AttemptId) -> None:
        """A task, perhaps one of a gang, has ended well."""
        if attempt in self._workers:
            self._loop.tell("gather", gather.Departed(attempt))


class _Waiting(Struct):
    """A body waits for the others of its gang."""

    said: Came
    flag: Flag
    said_ns: int
    answer: Met | None = None


class Meetings:
    """A worker's side.

    Args:
        send: says something to the program.

    """

    def __init__(self, gate: Gate, send: Callable[[Message], None], now_ns: Callable[[], int]) -> None:
        self._gate, self._send, self._now = gate, send, now_ns
        self._gangs: dict[AttemptId, tuple[GangMember, ...]] = {}
        self._met: dict[AttemptId, int] = {}  # how often each has met the others
        self._waiting: dict[AttemptId, _Waiting] = {}

    # The loop's side.

    def expect(self, message: Gang) -> None:
        """An attempt that is to come will not be alone."""
        pairs = zip(message.workers, message.hosts, strict=True)
        self._gangs[AttemptId(message.attempt)] = tuple(GangMember(WorkerId(w), HostId(h)) for w, h in pairs)

    def told(self, message: Met) -> None:
        """The others have come, or will not."""
        waiting = self._waiting.get(AttemptId(message.attempt))
        if waiting is not None and waiting.said.meeting == message.meeting:
            waiting.answer = message
            waiting.flag.set()

    def wake(self, attempt: AttemptId) -> None:
        """An attempt is called off, perhaps while it waits."""
        if (waiting := self._waiting.get(attempt)) is not None:
            waiting.flag.set()

    def waits(self, attempt: AttemptId) -> Came | None:
        """Return what an attempt has said that waits for the others, to look at."""
        waiting = self._waiting.get(attempt)
        return waiting.said if waiting is not None else None

    def forget(self, attempt: AttemptId) -> None:
        """An attempt is over."""
        self._gangs.pop(attempt, None)
        self._met.pop(attempt, None)

    def tick(self, now_ns: int) -> None:
        """Ask again, where no answer has come."""
        for waiting in list(self._waiting.values()):
            if waiting.answer is None and now_ns - waiting.said_ns >= ASK_AGAIN_NS:
                waiting.said_ns = now_ns
                self._send(waiting.said)

    # The body's side.

    def gang(self, attempt: AttemptId) -> tuple[GangMember, ...]:
        """Return who runs at once with an attempt, itself included, in the order of the partitions."""
        return self._gangs.get(attempt, ())

    def meet(self, attempt: AttemptId, call: str, message: str, is_cancelled: Callable[[], bool]) -> tuple[str, ...]:
        """Wait for the others; return what all said.

        Raises:
            BarrierBroken: they will not come.  TaskCancelled: this attempt is called off.

        """
        number = self._met.get(attempt, 0) + 1
        said = Came(attempt, number, call, message)
        waiting = self._waiting[attempt] = _Waiting(said, self._gate.flag(), self._now())
        try:
            self._send(said)
            while waiting.answer is None:
                if is_cancelled():
                    raise TaskCancelled
                self._gate.wait(waiting.flag)
                waiting.flag.clear()
        finally:
            del self._waiting[attempt]
        if waiting.answer.error:
            raise BarrierBroken(
                f"the tasks of a barrier stage did not meet: {waiting.answer.error}. Have all of them make the same calls, "
                "in the same order and equally often."
            )
        self._met[attempt] = number
        return waiting.answer.messages
