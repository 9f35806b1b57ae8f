"""The program's side of copies of kept partitions: who is asked to make them, and who is told of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import get_args

from headrace.ids import OperatorId, WorkerId
from headrace.loops.loop import Loop
from headrace.loops.members import Member
from headrace.plan.levels import StorageLevel
from headrace.ports import Clock
from headrace.protocols import replicate
from headrace.protocols import schedule_words as words
from headrace.protocols.messages import Message, Replicated
from headrace.protocols.messages import Replicate as ReplicateMessage


class Replicas:
    """Tells the machine that plans copies what happens, and carries out what it asks for.

    Args:
        members: the workers, by name.
        send: says something to one.
        schedule: tells the schedule machine.
        hosts: how many there are when none is missing.

    """

    def __init__(
        self,
        loop: Loop,
        clock: Clock,
        members: dict[WorkerId, Member],
        send: Callable[[WorkerId, Message], None],
        schedule: Callable[[words.Event], None],
        hosts: int,
    ) -> None:
        self._loop, self._clock, self._members, self._send, self._schedule = loop, clock, members, send, schedule
        self._levels: dict[OperatorId, StorageLevel] = {}
        loop.add("replicate", replicate.Replicate(hosts))
        loop.handle(
            {
                replicate.MakeCopy: self._make_copy,
                replicate.Keeps: self._keeps,
                replicate.LetGo: lambda e: schedule(words.CacheEvicted(e.worker, e.operator, e.partition)),
            },
            get_args(replicate.Effect),
        )

    def tell(self, event: replicate.Event) -> None:
        """Let the machine know something, soon."""
        self._loop.tell("replicate", event)

    def keep(self, operator: OperatorId, level: StorageLevel) -> None:
        """A dataset is to be kept."""
        if level.replication > 1:
            self._levels[operator] = level
            self.tell(replicate.Wanted(operator, level.replication))

    def forget(self, operator: OperatorId) -> None:
        """A dataset is not to be kept any more."""
        if self._levels.pop(operator, None) is not None:
            self.tell(replicate.Unwanted(operator))

    def committed(self, worker: WorkerId, cached: Iterable[tuple[int, int]]) -> None:
        """An attempt counts that left partitions in its worker's keeping."""
        for operator, partition in cached:
            if OperatorId(operator) in self._levels:
                self.tell(replicate.Kept(OperatorId(operator), partition, worker, self._clock.now_ns()))

    def evicted(self, worker: WorkerId, cached: Iterable[tuple[int, int]]) -> None:
        """A worker keeps some partitions no longer."""
        for operator, partition in cached:
            self.tell(replicate.Dropped(OperatorId(operator), partition, worker, self._clock.now_ns()))

    def replicated(self, worker: WorkerId, answer: Replicated) -> None:
        """A worker tells what came of a copy."""
        operator, now = OperatorId(answer.operator), self._clock.now_ns()
        self.tell(replicate.Copied(operator, answer.partition, worker, answer.outcome, now))

    def _make_copy(self, effect: replicate.MakeCopy) -> None:
        level = self._levels.get(effect.operator)
        if level is None:
            return  # given up meanwhile, and the machine is about to hear of it
        addresses = [self._members[source].address for source in effect.sources if source in self._members]
        self._send(
            effect.worker,
            ReplicateMessage(effect.operator, effect.partition, level.use_disk, level.use_memory, tuple(addresses)),
        )

    def _keeps(self, effect: replicate.Keeps) -> None:
        if effect.operator in self._levels:
            self._schedule(words.CacheGained(effect.worker, effect.operator, effect.partition, self._clock.now_ns()))
