"""Which worker is to copy which kept partition, so that the loss of one keeper loses nothing.

A dataset may be kept by several workers: a partition is computed by one, and others pull copies from it afterwards, those
of other hosts first.  When a keeper is lost, another worker pulls a copy from one that is left.  Nothing waits for any of
this, and nothing is computed for it: a partition that nobody keeps any more is the lineage's business.

While hosts are missing that are to come, a copy waits for them a while, rather than to lie where the partition lies.

A worker that has no room for a partition, or let it go for lack of room, is not asked to keep it again, until some dataset
is given up.
"""

from __future__ import annotations

from itertools import islice
from typing import Literal

from msgspec import Struct

from headrace.config import SECOND
from headrace.ids import HostId, OperatorId, WorkerId

AT_ONCE = 2  # copies that one worker makes
LOOK_AT = (
    64  # partitions that lack a keeper, at each event: those that wait for busy workers are not gone through each time
)
ASK_AGAIN_NS = 5 * SECOND
REST_NS, RESTS = SECOND, 7  # before a copy that could not be had is tried again: twice as long each time, so many times
PATIENCE_NS = 10 * SECOND  # since somebody came or went: so long a copy waits for another host to come

# What it is told.


class Wanted(Struct, frozen=True):
    """Of a dataset, so many workers are to keep each partition."""

    operator: OperatorId
    copies: int


class Unwanted(Struct, frozen=True):
    """A dataset is not to be kept any more."""

    operator: OperatorId


class Joined(Struct, frozen=True):
    """A worker is there."""

    worker: WorkerId
    host: HostId
    now_ns: int


class Left(Struct, frozen=True):
    """A worker is gone, with what it kept."""

    worker: WorkerId
    now_ns: int


class Suspected(Struct, frozen=True):
    """A worker has fallen silent: it is not waited for."""

    worker: WorkerId
    now_ns: int


class Trusted(Struct, frozen=True):
    """A silent worker spoke again."""

    worker: WorkerId
    now_ns: int


class Kept(Struct, frozen=True):
    """A worker has computed a partition and keeps it, and its report counts."""

    operator: OperatorId
    partition: int
    worker: WorkerId
    now_ns: int


class Dropped(Struct, frozen=True):
    """A worker had to let a partition go."""

    operator: OperatorId
    partition: int
    worker: WorkerId
    now_ns: int


class Copied(Struct, frozen=True):
    """What came of a copy: it is kept, or there was no room, or it could not be had."""

    operator: OperatorId
    partition: int
    worker: WorkerId
    outcome: Literal["kept", "no room", "lost"]
    now_ns: int


class Ticked(Struct, frozen=True):
    """Time passed."""

    now_ns: int


Event = Wanted | Unwanted | Joined | Left | Suspected | Trusted | Kept | Dropped | Copied | Ticked


# What it asks for.


class MakeCopy(Struct, frozen=True):
    """Have a worker pull a partition from one of those that keep it.  Asked twice, it answers again."""

    operator: OperatorId
    partition: int
    worker: WorkerId
    sources: tuple[WorkerId, ...]


class Keeps(Struct, frozen=True):
    """A worker keeps a copy: whoever looks for the partition may go there."""

    operator: OperatorId
    partition: int
    worker: WorkerId


class LetGo(Struct, frozen=True):
    """A worker keeps a partition no longer."""

    operator: OperatorId
    partition: int
    worker: WorkerId


Effect = MakeCopy | Keeps | LetGo
Key = tuple[OperatorId, int]


class Copying(Struct, frozen=True):
    """A worker was asked for a copy."""

    worker: WorkerId
    asked_ns: int


class Replicate:
    """The kept partitions of datasets that several workers are to keep.

    Args:
        hosts: how many there are when none is missing.

    """

    def __init__(self, hosts: int = 1) -> None:
        self.hosts_wanted = hosts
        self.moved_ns = 0  # when somebody last came or went
        self.copies: dict[OperatorId, int] = {}
        self.hosts: dict[WorkerId, HostId] = {}
        self.suspects: set[WorkerId] = set()
        self.keepers: dict[Key, set[WorkerId]] = {}  # never empty
        self.copying: dict[Key, Copying] = {}
        self.refused: dict[Key, set[WorkerId]] = {}
        self.lacking: dict[Key, None] = {}  # that could perhaps be copied now, those known longest first
        self.resting: dict[Key, int] = {}  # that could not be had: when they are to be tried again
        self.losses: dict[Key, int] = {}  # how often in a row each could not be had
        self.load: dict[WorkerId, int] = {}  # partitions that each keeps or is to keep

    def step(self, event: Event) -> list[Effect]:
        """Take one event."""
        match event:
            case Wanted(operator=operator, copies=copies):
                self.copies[operator] = copies
                return []
            case Unwanted(operator=operator):
                self._forget(operator)
                return []
            case Joined(worker=worker, host=host, now_ns=now):
                self.hosts[worker], self.moved_ns = host, now
                return self._look_again(now)
            case Left(worker=worker, now_ns=now):
                return self._left(worker, now)
            case Suspected(worker=worker, now_ns=now):
                self.suspects.add(worker)
                return self._turn_from(worker, now)
            case Trusted(worker=worker, now_ns=now):
                self.suspects.discard(worker)
                return self._look_again(now)
            case Kept(operator=operator, partition=partition, worker=worker, now_ns=now):
                return self._kept((operator, partition), worker, now)
            case Dropped(operator=operator, partition=partition, worker=worker, now_ns=now):
                return self._dropped((operator, partition), worker, now)
            case Copied():
                return self._copied(event)
            case Ticked(now_ns=now):
                return self._ticked(now)
        raise AssertionError(f"{type(event).__name__} is not an event of this protocol")

    # What is kept where.

    def _kept(self, key: Key, worker: WorkerId, now_ns: int) -> list[Effect]:
        if key[0] not in self.copies or worker not in self.hosts:
            return []  # of no dataset that is to be copied, or by nobody that is there
        self._count(worker, worker not in self.keepers.get(key, ()))
        self.keepers.setdefault(key, set()).add(worker)
        self.losses.pop(key, None)
        self._note(key)
        return self._plan(now_ns)

    def _dropped(self, key: Key, worker: WorkerId, now_ns: int) -> list[Effect]:
        if key[0] not in self.copies:
            return [LetGo(*key, worker)]
        self.refused.setdefault(key, set()).add(worker)
        self._lose(key, worker)
        return [LetGo(*key, worker), *self._plan(now_ns)]

    def _lose(self, key: Key, worker: WorkerId) -> None:
        keepers = self.keepers.get(key, set())
        if worker in keepers:
            self._count(worker, -1)
            keepers.discard(worker)
        if not keepers:
            self.keepers.pop(key, None)
            self.losses.pop(key, None)
        self._note(key)

    def _note(self, key: Key) -> None:
        """Note whether a partition has too few keepers, and one that it can be copied from."""
        keepers = self.keepers.get(key, ())
        self.resting.pop(key, None)
        if keepers and len(keepers) < self.copies[key[0]] and key not in self.copying:
            self.lacking[key] = None
        else:
            self.lacking.pop(key, None)

    def _count(self, worker: WorkerId, by: int) -> None:
        self.load[worker] = self.load.get(worker, 0) + by

    def _forget(self, operator: OperatorId) -> None:
        self.copies.pop(operator, None)
        for key, keepers in list(self.keepers.items()):
            if key[0] == operator:
                for worker in sorted(keepers):
                    self._count(worker, -1)
                del self.keepers[key]
        for key, copying in list(self.copying.items()):
            if key[0] == operator:
                self._count(copying.worker, -1)
                del self.copying[key]
        for kept in (self.lacking, self.resting, self.losses):
            for key in [key for key in kept if key[0] == operator]:
                del kept[key]
        self.refused.clear()  # there may be room now
        for key in self.keepers:
            self._note(key)

    # Who comes and goes.

    def _left(self, worker: WorkerId, now_ns: int) -> list[Effect]:
        if self.hosts.pop(worker, None) is None:
            return []  # known already, or it never joined
        self.moved_ns = now_ns
        self.suspects.discard(worker)
        for refused in self.refused.values():
            refused.discard(worker)
        for key in [key for key, keepers in self.keepers.items() if worker in keepers]:
            self._lose(key, worker)
        effects = self._turn_from(worker, now_ns)
        self.load.pop(worker, None)
        return effects

    def _turn_from(self, worker: WorkerId, now_ns: int) -> list[Effect]:
        """Do not wait for copies that a worker was to make."""
        for key in [key for key, copying in self.copying.items() if copying.worker == worker]:
            self._end_copy(key)
        return self._plan(now_ns)

    def _end_copy(self, key: Key) -> None:
        self._count(self.copying.pop(key).worker, -1)
        self._note(key)

    def _look_again(self, now_ns: int) -> list[Effect]:
        """Somebody is there who was not: what could not be copied before perhaps can now."""
        for key in self.keepers:
            self._note(key)
        return self._plan(now_ns)

    # Copies.

    def _plan(self, now_ns: int) -> list[Effect]:
        """Ask for as many copies as workers may make at once."""
        effects: list[Effect] = []
        free = {worker: AT_ONCE for worker in sorted(self.hosts) if worker not in self.suspects}
        for copying in self.copying.values():
            if copying.worker in free:
                free[copying.worker] -= 1
        room = sum(free.values())
        missing = len(set(self.hosts.values())) < self.hosts_wanted and now_ns - self.moved_ns < PATIENCE_NS
        for key in list(islice(self.lacking, LOOK_AT)):
            if room <= 0:
                break
            pool, apart = self._pool(key, free)
            if missing and not apart:
                del self.lacking[key]
                self.resting[key] = now_ns
                continue
            able = [worker for worker in pool if free[worker] > 0]
            if not able:
                if not pool:
                    del self.lacking[key]  # until somebody joins, or something is given up
                continue
            worker = min(able, key=lambda one: (self.load.get(one, 0), one))
            free[worker] -= 1
            room -= 1
            self._count(worker, 1)
            self.copying[key] = Copying(worker, now_ns)
            del self.lacking[key]
            effects.append(self._ask(key))
        return effects

    def _pool(self, key: Key, workers: dict[WorkerId, int]) -> tuple[list[WorkerId], bool]:
        """Return who may make a copy: workers of hosts that have none, as long as there are such; and whether these are."""
        keepers, refused = self.keepers[key], self.refused.get(key, ())
        others = [worker for worker in workers if worker not in keepers and worker not in refused]
        hosts = {self.hosts[worker] for worker in keepers}
        apart = [worker for worker in others if self.hosts[worker] not in hosts]
        return apart or others, bool(apart)

    def _ask(self, key: Key) -> MakeCopy:
        sources = sorted(self.keepers[key], key=lambda worker: (worker in self.suspects, worker))
        return MakeCopy(*key, self.copying[key].worker, tuple(sources))

    def _copied(self, event: Copied) -> list[Effect]:
        key, worker = (event.operator, event.partition), event.worker
        copying = self.copying.get(key)
        if copying is not None and copying.worker == worker:
            self._end_copy(key)
        elif event.outcome != "kept":
            return []  # of a copy that nobody waits for any more
        if key[0] not in self.copies or worker not in self.hosts:
            return []
        match event.outcome:
            case "kept":
                return [Keeps(*key, worker), *self._kept(key, worker, event.now_ns)]
            case "no room":
                self.refused.setdefault(key, set()).add(worker)
            case "lost":
                if key in self.lacking:
                    del self.lacking[key]
                    losses = self.losses[key] = self.losses.get(key, 0) + 1
                    self.resting[key] = event.now_ns + (REST_NS << min(losses, RESTS))
        return self._plan(event.now_ns)

    def _ticked(self, now_ns: int) -> list[Effect]:
        for key in [key for key, until in self.resting.items() if until <= now_ns]:
            self._note(key)
        effects: list[Effect] = []
        for key, copying in sorted(self.copying.items()):
            if now_ns - copying.asked_ns >= ASK_AGAIN_NS:
                keepers = self.keepers.get(key, ())
                enough = not keepers or len(keepers) >= self.copies[key[0]]
                if enough or copying.worker in keepers or copying.worker in self.refused.get(key, ()):
                    self._end_copy(key)  # it is needed no more, or cannot be made
                    continue
                self.copying[key] = Copying(copying.worker, now_ns)
                effects.append(self._ask(key))
        return effects + self._plan(now_ns)
