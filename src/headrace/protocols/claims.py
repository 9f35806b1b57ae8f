"""Who runs what, and whose output counts: the claim table.

Tasks are offered here and claimed for workers; every claim makes an attempt with an id of its own.  An attempt may commit
while it is alive and its task is open, and the first to do so closes the task.  Embedded runs keep the table in the
program's memory and claim on behalf of idle workers, which is what this machine does; where control state lives in a
server, workers claim from the same table for themselves.

Tasks that end in microseconds would leave their worker waiting for the next most of the time, so a worker may hold several
claims, as many as keep it busy for a few milliseconds; what it has not begun is taken back when another worker has nothing.

Tasks that must run at once, a gang, are claimed all or none, by workers with nothing else to do.  So that there will be
enough of them, nothing is claimed that comes after the first gang that waits: the workers run dry until it fits.  Only the
first gang is waited for, so two never hold half of the workers each; and what comes before it is claimed as ever.
"""

from __future__ import annotations

from collections import deque

from msgspec import Struct, field

from headrace.config import MS
from headrace.ids import AttemptId, HostId, JobId, StageId, TaskId, WorkerId
from headrace.protocols.lineage import MapOutput

AHEAD_NS = 8 * MS  # of work that a worker may hold claims for
AHEAD_MAX = 64
PAIR_BELOW_NS = 200 * MS  # tasks shorter than this are claimed while another runs
STEAL_AFTER_NS = 20 * MS  # a worker busy this long with one attempt gives back what it has not begun


class Offer(Struct, frozen=True):
    """A task that may be claimed.

    Attributes:
        job: the oldest job that waits for it; older jobs come first.
        workers, hosts: that would rather have it, because its input is there.
        copy: it runs somewhere already; only a worker with nothing else to do may claim it.
        avoid: workers that may not claim it; `avoid_hosts`: nor may any of these hosts.

    """

    task: TaskId
    job: JobId
    workers: tuple[WorkerId, ...] = ()
    hosts: tuple[HostId, ...] = ()
    copy: bool = False
    avoid: tuple[WorkerId, ...] = ()
    avoid_hosts: tuple[HostId, ...] = ()


class Output(Struct, frozen=True):
    """What an attempt says that it made; the data themselves stay where they are.

    Attributes:
        where: for a map task, the output that others will read.
        result_bytes: for a result task, the size of what is to be brought to the program.
        inline: the result came along; otherwise it waits on the attempt's host.
        updates: contributions to accumulators came along.
        cached: partitions of cached datasets that the attempt left in its worker's memory.
        spent: nanoseconds in which it fetched, computed, wrote and committed.

    """

    where: MapOutput | None = None
    result_bytes: int = 0
    inline: bool = False
    records: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    updates: bool = False
    cached: tuple[tuple[int, int], ...] = ()
    spent: tuple[int, int, int, int] = (0, 0, 0, 0)


# What it is told.


class Joined(Struct, frozen=True):
    """A worker takes tasks."""

    worker: WorkerId
    host: HostId
    now_ns: int


class Left(Struct, frozen=True):
    """A worker is gone, and its claims with it."""

    worker: WorkerId


class Suspected(Struct, frozen=True):
    """A worker has fallen silent: it is given nothing more for now."""

    worker: WorkerId


class Trusted(Struct, frozen=True):
    """A silent worker spoke again."""

    worker: WorkerId
    now_ns: int


class Offered(Struct, frozen=True):
    """These may be claimed."""

    offers: tuple[Offer, ...]
    now_ns: int


class GangOffered(Struct, frozen=True):
    """These, the tasks of one stage, may be claimed, all of them at once."""

    offers: tuple[Offer, ...]
    now_ns: int


class Withdrawn(Struct, frozen=True):
    """Nobody may claim these any more, nor the gangs that they belong to; whoever did, keeps the claim."""

    tasks: tuple[TaskId, ...]


class Reopened(Struct, frozen=True):
    """The output of an attempt is lost; if it closed the task, that may be committed anew."""

    task: TaskId
    attempt: AttemptId


class CommitAsked(Struct, frozen=True):
    """An attempt has ended well and its output lies ready.  Asked again until it is answered."""

    task: TaskId
    attempt: AttemptId
    worker: WorkerId
    output: Output
    ran_ns: int
    now_ns: int


class Ended(Struct, frozen=True):
    """An attempt has ended in another way, or was given back."""

    attempt: AttemptId
    now_ns: int


class StageOver(Struct, frozen=True):
    """Nothing more will be asked about a stage's tasks."""

    stage: StageId


class Ticked(Struct, frozen=True):
    """Time passed."""

    now_ns: int


Event = (
    Joined
    | Left
    | Suspected
    | Trusted
    | Offered
    | GangOffered
    | Withdrawn
    | Reopened
    | CommitAsked
    | Ended
    | StageOver
    | Ticked
)


# What it answers.


class Claimed(Struct, frozen=True):
    """A worker has a task."""

    task: TaskId
    attempt: AttemptId
    worker: WorkerId
    host: HostId
    copy: bool
    now_ns: int


class GangClaimed(Struct, frozen=True):
    """So many workers have the tasks of a gang, one each."""

    members: tuple[Claimed, ...]


class Committed(Struct, frozen=True):
    """The first of its task: its output counts."""

    task: TaskId
    attempt: AttemptId
    worker: WorkerId
    output: Output
    ran_ns: int
    now_ns: int


class Kept(Struct, frozen=True):
    """Asked again: it was committed already, and still counts."""

    attempt: AttemptId
    worker: WorkerId


class Refused(Struct, frozen=True):
    """Too late: another attempt was first, or this one is not alive."""

    attempt: AttemptId
    worker: WorkerId


class TakeBack(Struct, frozen=True):
    """Ask a worker for claims that it has not begun."""

    worker: WorkerId
    attempts: tuple[AttemptId, ...]


Effect = Claimed | GangClaimed | Committed | Kept | Refused | TakeBack


Key = tuple[JobId, StageId]  # what is lower comes first


class _Worker(Struct):
    host: HostId
    held: deque[AttemptId] = field(default_factory=deque)  # in the order in which it runs them
    busy_since_ns: int = 0
    asked_back: bool = False
    suspect: bool = False
    in_gang: bool = False  # what it holds is one task of a gang, and it takes nothing beside


class _Pace(Struct):
    """How long the tasks of a stage take: a moving mean."""

    mean_ns: int = 0
    ended: int = 0

    def learn(self, ran_ns: int) -> None:
        self.mean_ns = ran_ns if not self.ended else (3 * self.mean_ns + ran_ns) // 4
        self.ended += 1

    def ahead(self) -> int:
        """How many claims a worker may hold at once."""
        if not self.ended:
            return 1
        if self.mean_ns >= PAIR_BELOW_NS:
            return 1
        return max(2, min(AHEAD_MAX, AHEAD_NS // max(1, self.mean_ns), 2 * self.ended))


class Claims:
    """The claim table of an embedded run."""

    def __init__(self) -> None:
        self.workers: dict[WorkerId, _Worker] = {}
        self.open: dict[TaskId, Offer] = {}
        self.alive: dict[AttemptId, tuple[TaskId, WorkerId]] = {}
        self.closed: dict[TaskId, AttemptId] = {}  # by whom
        self.paces: dict[StageId, _Pace] = {}
        self.named = 0
        # Offers by how they are looked for; entries whose offer is gone are passed over.
        self._queues: dict[Key, deque[TaskId]] = {}
        self._near: dict[str, deque[TaskId]] = {}  # by worker and by host
        self._copies: deque[TaskId] = deque()
        self.gangs: dict[Key, tuple[Offer, ...]] = {}

    def step(self, event: Event) -> list[Effect]:
        """Take one event."""
        match event:
            case CommitAsked():
                return self._commit(event)
            case Ended(attempt=attempt, now_ns=now):
                worker = self._over(attempt, now)
                return self._claim(worker, now) if worker else []
            case Offered(offers=offers, now_ns=now):
                for offer in offers:
                    self._enter(offer)
                return self._claim_all(now)
            case GangOffered(offers=offers, now_ns=now):
                self.gangs[offers[0].job, offers[0].task.stage] = offers
                return self._claim_all(now)
            case Withdrawn(tasks=tasks):
                for task in tasks:
                    self.open.pop(task, None)
                self._forget_gangs({task.stage for task in tasks})
                return []  # who was kept free for a gang claims something else when time has passed
            case Reopened(task=task, attempt=attempt):
                if self.closed.get(task) == attempt:
                    del self.closed[task]
                return []
            case Suspected() | Trusted():
                return self._trust(event)
            case Joined(worker=worker, host=host, now_ns=now):
                self.workers.setdefault(worker, _Worker(host))
                return self._claim(worker, now)
            case Left(worker=worker):
                return self._left(worker)
            case StageOver(stage=stage):
                self._forget(stage)
                return []
            case Ticked(now_ns=now):
                return [*self._claim_all(now), *self._take_back(now)]
        raise AssertionError(f"{type(event).__name__} is not an event of this protocol")

    # Offers.

    def _enter(self, offer: Offer) -> None:
        task = offer.task
        if task in self.open:
            return
        self.open[task] = offer
        if offer.copy:
            self._copies.append(task)
            return
        self._queues.setdefault((offer.job, task.stage), deque()).append(task)
        for near in (*offer.workers, *offer.hosts):
            self._near.setdefault(near, deque()).append(task)

    def _forget(self, stage: StageId) -> None:
        self.closed = {task: by for task, by in self.closed.items() if task.stage != stage}
        self.paces.pop(stage, None)
        self._forget_gangs({stage})
        for key in [key for key in self._queues if key[1] == stage]:
            for task in self._queues.pop(key):
                self.open.pop(task, None)

    def _forget_gangs(self, stages: set[StageId]) -> None:
        for key in [key for key in self.gangs if key[1] in stages]:
            del self.gangs[key]

    # Claims.

    def _claim_all(self, now_ns: int) -> list[Effect]:
        """Let workers claim in turn, those with the fewest claims first, until nobody takes any more."""
        effects: list[Effect] = []
        while self.open or self.gangs:
            limit = self._first_gang()
            waiting = sorted(self.workers, key=lambda worker: (len(self.workers[worker].held), worker))
            while waiting:
                waiting = [worker for worker in waiting if self._claim_one(worker, now_ns, effects, limit)]
            if limit is None or not self._claim_gang(limit, now_ns, effects):
                break
        return effects

    def _claim(self, worker: WorkerId, now_ns: int) -> list[Effect]:
        if self.gangs:
            return self._claim_all(now_ns)
        effects: list[Effect] = []
        while self.open and self._claim_one(worker, now_ns, effects):
            pass
        return effects

    def _claim_one(self, worker: WorkerId, now_ns: int, effects: list[Effect], limit: Key | None = None) -> bool:
        state = self.workers.get(worker)
        if state is None or state.suspect or state.in_gang:
            return False
        task = self._pick(worker, state, limit)
        if task is None:
            return False
        effects.append(self._name(worker, self.open.pop(task), now_ns))
        return True

    def _name(self, worker: WorkerId, offer: Offer, now_ns: int) -> Claimed:
        """Make an attempt of an offer."""
        state = self.workers[worker]
        self.named += 1
        attempt = AttemptId(self.named)
        self.alive[attempt] = (offer.task, worker)
        if not state.held:
            state.busy_since_ns = now_ns
        state.held.append(attempt)
        return Claimed(offer.task, attempt, worker, state.host, offer.copy, now_ns)

    def _pick(self, worker: WorkerId, state: _Worker, limit: Key | None) -> TaskId | None:
        """Choose what a worker claims next: only what comes before a limit, if there is one."""
        for near in (worker, state.host) if limit is None else ():
            task = self._first(self._near.get(near), worker, state)
            if task is not None:
                return task
        for key in sorted(self._queues):
            if limit is not None and key > limit:
                return None
            task = self._first(self._queues[key], worker, state)
            if task is not None:
                return task
            if not self._queues[key]:
                del self._queues[key]
        return None if state.held or limit is not None else self._first(self._copies, worker, state, copies=True)

    def _first(
        self, queue: deque[TaskId] | None, worker: WorkerId, state: _Worker, *, copies: bool = False
    ) -> TaskId | None:
        """Take the first offer of a queue that this worker may claim now."""
        if not queue:
            return None
        for _ in range(len(queue)):
            task = queue[0]
            offer = self.open.get(task)
            if offer is None or offer.copy != copies:
                queue.popleft()
                continue
            if len(state.held) >= self._room(task.stage):
                return None
            if worker in offer.avoid or state.host in offer.avoid_hosts:
                queue.rotate(-1)
                continue
            queue.popleft()
            return task
        return None

    def _room(self, stage: StageId) -> int:
        """How many claims one worker may hold when it claims a task of this stage: an equal share of what is left."""
        pace = self.paces.get(stage)
        ahead = pace.ahead() if pace else 1
        return max(1, min(ahead, -(-len(self.open) // max(1, len(self.workers))))) if ahead > 1 else 1

    # Gangs.

    def _first_gang(self) -> Key | None:
        """Find the gang that workers are kept free for: the first for which there are enough of them at all."""
        usable = sum(not state.suspect for state in self.workers.values())
        return min((key for key, offers in self.gangs.items() if len(offers) <= usable), default=None)

    def _claim_gang(self, key: Key, now_ns: int, effects: list[Effect]) -> bool:
        idle = [worker for worker, state in sorted(self.workers.items()) if not state.held and not state.suspect]
        if len(idle) < len(self.gangs[key]):
            return False
        offers = self.gangs.pop(key)
        idle.sort(key=lambda worker: self.workers[worker].host in offers[0].avoid_hosts)  # only if it takes them all
        chosen: dict[TaskId, WorkerId] = {}
        for offer in offers:  # those that would rather be somewhere first
            if near := [worker for worker in idle if worker in offer.workers]:
                chosen[offer.task] = near[0]
                idle.remove(near[0])
        for offer in offers:
            if offer.task not in chosen:
                chosen[offer.task] = idle.pop(0)
        members = tuple(self._name(chosen[offer.task], offer, now_ns) for offer in offers)
        for member in members:
            self.workers[member.worker].in_gang = True
        effects.append(GangClaimed(members))
        return True

    def _take_back(self, now_ns: int) -> list[Effect]:
        """Where somebody has nothing to do, ask those who have been busy for long for what they have not begun."""
        idle = sum(not state.held and not state.suspect for state in self.workers.values())
        if not idle or self.open:
            return []
        effects: list[Effect] = []
        for worker, state in sorted(self.workers.items()):
            if len(state.held) > 1 and not state.asked_back and now_ns - state.busy_since_ns >= STEAL_AFTER_NS:
                state.asked_back = True
                effects.append(TakeBack(worker, tuple(state.held)[1:]))
        return effects

    # Ends.

    def _over(self, attempt: AttemptId, now_ns: int) -> WorkerId | None:
        """Forget an attempt; return the worker that has room now."""
        found = self.alive.pop(attempt, None)
        if found is None:
            return None
        worker = found[1]
        state = self.workers[worker]
        state.held.remove(attempt)
        state.in_gang = False
        state.busy_since_ns = now_ns
        state.asked_back = False
        return worker

    def _commit(self, event: CommitAsked) -> list[Effect]:
        task = event.task
        if event.attempt not in self.alive:
            kept = self.closed.get(task) == event.attempt
            return [(Kept if kept else Refused)(event.attempt, event.worker)]
        worker = self._over(event.attempt, event.now_ns)
        assert worker is not None
        self.paces.setdefault(task.stage, _Pace()).learn(event.ran_ns)
        effects: list[Effect] = []
        if task in self.closed:
            effects.append(Refused(event.attempt, event.worker))
        else:
            self.closed[task] = event.attempt
            self.open.pop(task, None)  # a copy that was on offer is not wanted any more
            effects.append(Committed(task, event.attempt, worker, event.output, event.ran_ns, event.now_ns))
        return effects + self._claim(worker, event.now_ns)

    def _trust(self, event: Suspected | Trusted) -> list[Effect]:
        state = self.workers.get(event.worker)
        if state is None:
            return []  # it is gone
        state.suspect = isinstance(event, Suspected)
        return self._claim(event.worker, event.now_ns) if isinstance(event, Trusted) else []

    def _left(self, worker: WorkerId) -> list[Effect]:
        state = self.workers.pop(worker, None)
        for attempt in state.held if state else ():
            del self.alive[attempt]
        self._near.pop(worker, None)
        return []
