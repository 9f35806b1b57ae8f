"""Who is there: start-ups, heartbeats, suspicion, exits and replacements.

Suspicion is not death.  A worker that holds the interpreter lock in one long call is silent and well, so silence only
suspects it, which may start copies of its task; death is an exit, or silence without any processor time for much longer.
The judge subtracts its own lateness: a program that was stopped for a minute has heard nobody for a minute.

A host that starts no workers, because its disk is full, say, is asked ever more seldom while there are others; only where
no worker can be had anywhere is the run given up.

Source: Chandra & Toueg, "Unreliable Failure Detectors for Reliable Distributed Systems" (1996): suspicion may be wrong
and is taken back; the evidence by processor time is ours.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from headrace.config import MembershipConfig
from headrace.ids import AttemptId, HostId, WorkerId

# What it is told.


class Opened(Struct, frozen=True):
    """The run begins: so many workers on each host."""

    wanted: tuple[tuple[HostId, int], ...]
    now_ns: int


class LaunchFailed(Struct, frozen=True):
    """The process could not even be started; `passing` if that may be over soon."""

    worker: WorkerId
    why: str
    now_ns: int
    passing: bool = False


class Ready(Struct, frozen=True):
    """A worker has proved who it is and takes tasks."""

    worker: WorkerId
    now_ns: int


class Heard(Struct, frozen=True):
    """Anything at all came from a worker."""

    worker: WorkerId
    now_ns: int


class Probed(Struct, frozen=True):
    """How much processor time a silent worker has used in all; None if it cannot be told."""

    worker: WorkerId
    used_ns: int | None
    now_ns: int


class Exited(Struct, frozen=True):
    """A process has ended.

    Attributes:
        how: in words, for people.
        phase: what it was doing, for the story.
        culprit: the attempt that it was running, if that is to blame: it exited or died of its own signal.
        victim: the attempt that it was running, if that is not to blame.
        passing: what ended it was not its own doing, and need not end the next one.

    """

    worker: WorkerId
    how: str
    phase: str
    culprit: AttemptId | None
    victim: AttemptId | None
    now_ns: int
    passing: bool = False


class HostGone(Struct, frozen=True):
    """A host was lost, with its disk and its workers, whose exits are told one by one.  It comes back under a new name."""

    host: HostId
    now_ns: int


class KillAsked(Struct, frozen=True):
    """Somebody wants a worker ended; it counts against nobody."""

    worker: WorkerId
    because: str


class Ticked(Struct, frozen=True):
    """Time passed."""

    now_ns: int


class Closing(Struct, frozen=True):
    """The run ends: nobody is replaced any more."""


Event = Opened | LaunchFailed | Ready | Heard | Probed | Exited | HostGone | KillAsked | Ticked | Closing


# What it asks for.


class Launch(Struct, frozen=True):
    """Start a process."""

    worker: WorkerId
    host: HostId


class Kill(Struct, frozen=True):
    """End a process."""

    worker: WorkerId
    because: str


class Probe(Struct, frozen=True):
    """Look how much processor time a process has used."""

    worker: WorkerId


class Welcome(Struct, frozen=True):
    """Give it work."""

    worker: WorkerId
    host: HostId


class Suspect(Struct, frozen=True):
    """It has been silent for too long."""

    worker: WorkerId
    silent_ns: int


class Trust(Struct, frozen=True):
    """A suspect spoke again."""

    worker: WorkerId


class Bury(Struct, frozen=True):
    """A worker is gone; `was_ready` if it ever took tasks."""

    worker: WorkerId
    host: HostId
    how: str
    phase: str
    culprit: AttemptId | None
    victim: AttemptId | None
    was_ready: bool


class LoseHost(Struct, frozen=True):
    """A host's disk is gone."""

    host: HostId


class GiveUp(Struct, frozen=True):
    """No worker can be started."""

    why: str


Effect = Launch | Kill | Probe | Welcome | Suspect | Trust | Bury | LoseHost | GiveUp


# Where each worker stands.


class Starting(Struct, frozen=True):
    """Launched, and not ready yet."""

    since_ns: int


class Trusted(Struct, frozen=True):
    """Heard of lately."""

    heard_ns: int


class Suspected(Struct, frozen=True):
    """Silent."""

    heard_ns: int
    used_ns: int | None  # processor time when it was last seen to grow
    grew_ns: int  # when that was


class Killed(Struct, frozen=True):
    """Ended by us; its exit has not been told yet.  `blames`: what it was running has to do with that."""

    was_ready: bool
    because: str
    blames: bool


Standing = Starting | Trusted | Suspected | Killed
PROBE_EVERY_NS = 1_000_000_000
RELAUNCH_NS, RELAUNCH_MAX_NS = 250_000_000, 5_000_000_000  # until a host that started none is asked again


class Membership:
    """Keeps the wanted number of workers on every host."""

    def __init__(self, config: MembershipConfig) -> None:
        self.config = config
        self.hosts: dict[WorkerId, HostId] = {}
        self.standing: dict[WorkerId, Standing] = {}
        self.named = 0
        self.successors: dict[HostId, HostId] = {}  # of lost hosts
        self.failed_startups = 0  # in a row, while nobody was ready: of their own doing
        self.failing_since_ns: int | None = None  # the first of them, whoever is to blame
        self.failing: dict[HostId, int] = {}  # in a row, by host
        self.due: list[tuple[int, HostId]] = []  # who is to be started later, and when
        self.ever_ready = self.given_up = self.closing = False
        self.last_tick_ns: int | None = None
        self.probed_ns: dict[WorkerId, int] = {}

    def step(self, event: Event) -> list[Effect]:
        """Take one event."""
        match event:
            case Opened(wanted=wanted, now_ns=now):
                self.last_tick_ns = now  # who is late with the first tick is late, too
                rounds = max((number for _, number in wanted), default=0)
                return [self._launch(host, now) for i in range(rounds) for host, number in wanted if i < number]
            case Ticked(now_ns=now):
                return self._tick(now)
            case Closing():
                self.closing = True
                return []
            case HostGone(host=host):
                return self._host_gone(host)
            case KillAsked(worker=worker, because=because):
                return self._kill(worker, because)
            case Ready() | Heard() | Probed() | LaunchFailed() | Exited():
                standing = self.standing.get(event.worker)
                return [] if standing is None else self._of_worker(standing, event)  # None: news of the dead
        raise AssertionError(f"{type(event).__name__} is not an event of this protocol")

    def _host_gone(self, host: HostId) -> list[Effect]:
        if host in self.successors:
            return []  # known already
        name, _, generation = host.partition(".")
        self.successors[host] = HostId(f"{name}.{int(generation or 1) + 1}")
        return [LoseHost(host)]

    def _of_worker(self, standing: Standing, event: Ready | Heard | Probed | LaunchFailed | Exited) -> list[Effect]:
        worker = event.worker
        match standing, event:
            case _, Exited():
                return self._bury(standing, event)
            case Starting(), LaunchFailed(why=why, now_ns=now, passing=passing):
                return self._bury(standing, Exited(worker, why, "idle", None, None, now, passing))
            case Starting(), Ready(now_ns=now):
                self.failed_startups, self.failing_since_ns, self.ever_ready = 0, None, True
                self.failing.pop(self.hosts[worker], None)
                self.standing[worker] = Trusted(now)
                return [Welcome(worker, self.hosts[worker])]
            case Trusted(), Heard(now_ns=now):
                self.standing[worker] = Trusted(now)
                return []
            case Suspected(), Heard(now_ns=now) | Ready(now_ns=now):
                self.standing[worker] = Trusted(now)
                return [Trust(worker)]
            case Suspected(used_ns=before) as at, Probed(used_ns=used, now_ns=now):
                grew = used is None or before is None or used > before
                self.standing[worker] = replace(at, used_ns=used, grew_ns=now) if grew else at
                return []
            case Killed(), _:
                return []  # it speaks, but its end is decided
            case Starting() | Trusted() | Suspected(), LaunchFailed() | Ready() | Heard() | Probed():
                return []  # doubled, or too late to matter
        raise AssertionError(f"{type(event).__name__} is not an event of this protocol")

    def _launch(self, host: HostId, now_ns: int) -> Launch:
        self.named += 1
        worker = WorkerId(f"w{self.named}")
        self.hosts[worker] = host
        self.standing[worker] = Starting(now_ns)
        return Launch(worker, host)

    def _kill(self, worker: WorkerId, because: str, *, blames: bool = False) -> list[Effect]:
        standing = self.standing.get(worker)
        if standing is None or isinstance(standing, Killed):
            return []
        self.standing[worker] = Killed(not isinstance(standing, Starting), because, blames)
        return [Kill(worker, because)]

    def _bury(self, standing: Standing, event: Exited) -> list[Effect]:
        host = self.hosts.pop(event.worker)
        del self.standing[event.worker]
        self.probed_ns.pop(event.worker, None)
        was_ready = standing.was_ready if isinstance(standing, Killed) else not isinstance(standing, Starting)
        how = event.how
        culprit, victim = event.culprit, event.victim
        if isinstance(standing, Killed):
            how = f"killed: {standing.because}"
            culprit, victim = None, (culprit or victim) if standing.blames else None
        effects: list[Effect] = [Bury(event.worker, host, how, event.phase, culprit, victim, was_ready)]
        if self.closing or self.given_up:
            return effects
        if not was_ready and host not in self.successors:  # one that went with its host says nothing about starting
            return [*effects, *self._failed_startup(host, how, event.now_ns, passing=event.passing)]
        return [*effects, self._launch(self._successor(host), event.now_ns)]

    def _successor(self, host: HostId) -> HostId:
        while host in self.successors:  # the one that came after it may be lost by now, too
            host = self.successors[host]
        return host

    def _failed_startup(self, host: HostId, how: str, now_ns: int, *, passing: bool) -> list[Effect]:
        self.failing[host] = self.failing.get(host, 0) + 1
        if any(isinstance(standing, Trusted | Suspected) for standing in self.standing.values()):
            self.failed_startups, self.failing_since_ns = 0, None
        else:
            self.failed_startups += not passing
            since_ns = self.failing_since_ns if self.failing_since_ns is not None else now_ns
            self.failing_since_ns = since_ns
            why = ""
            if self.failed_startups >= self.config.startups_max:
                why = f"{self.failed_startups} workers in a row ended before they were ready; {how}"
            elif now_ns - since_ns >= self.config.nobody_ns:
                why = f"for {(now_ns - since_ns) / 1e9:.0f} s no worker has become ready; {how}"
            if why and not self._may_get_ready():
                self.given_up = True
                return [GiveUp(why)]
        if self.failing[host] == 1 or not (self.ever_ready or passing):
            return [self._launch(host, now_ns)]
        self.due.append((now_ns + min(RELAUNCH_MAX_NS, RELAUNCH_NS << min(10, self.failing[host] - 2)), host))
        return []

    def _may_get_ready(self) -> bool:
        """Whether one is being started on a host that starts workers, as far as anybody knows."""
        return any(
            isinstance(standing, Starting) and self.hosts[worker] not in self.failing
            for worker, standing in self.standing.items()
        )

    def _tick(self, now_ns: int) -> list[Effect]:
        late_ns = 0
        if self.last_tick_ns is not None:
            late_ns = max(0, now_ns - self.last_tick_ns - self.config.heartbeat_ns)
        self.last_tick_ns = now_ns
        effects: list[Effect] = []
        if not self.closing and not self.given_up:
            ripe = [host for due_ns, host in self.due if now_ns >= due_ns]
            self.due = [(due_ns, host) for due_ns, host in self.due if now_ns < due_ns]
            effects += [self._launch(self._successor(host), now_ns) for host in ripe]
        for worker in sorted(self.standing):
            self._forgive(worker, late_ns, now_ns)
            effects += self._judge(worker, now_ns)
        return effects

    def _forgive(self, worker: WorkerId, late_ns: int, now_ns: int) -> None:
        """Move what we go by as far as we ourselves were late, and not beyond now: some of it came while we were."""
        match self.standing[worker]:
            case Starting(since_ns=since):
                self.standing[worker] = Starting(min(now_ns, since + late_ns))
            case Trusted(heard_ns=heard):
                self.standing[worker] = Trusted(min(now_ns, heard + late_ns))
            case Suspected() as at:
                heard, grew = min(now_ns, at.heard_ns + late_ns), min(now_ns, at.grew_ns + late_ns)
                self.standing[worker] = replace(at, heard_ns=heard, grew_ns=grew)
            case Killed():
                pass

    def _judge(self, worker: WorkerId, now_ns: int) -> list[Effect]:
        config = self.config
        match self.standing[worker]:
            case Starting(since_ns=since) if now_ns - since >= config.ready_ns:
                return self._kill(worker, f"not ready after {config.ready_ns / 1e9:g} s")
            case Trusted(heard_ns=heard) if now_ns - heard >= config.suspect_ns:
                self.standing[worker] = Suspected(heard, None, now_ns)
                self.probed_ns[worker] = now_ns
                return [Suspect(worker, now_ns - heard), Probe(worker)]
            case Suspected(heard_ns=heard, grew_ns=grew) if now_ns - max(heard, grew) >= config.hung_ns:
                silent = (now_ns - heard) / 1e9
                return self._kill(worker, f"silent for {silent:.0f} s without using any processor time", blames=True)
            case Suspected() if now_ns - self.probed_ns[worker] >= min(PROBE_EVERY_NS, config.hung_ns // 4):
                self.probed_ns[worker] = now_ns
                return [Probe(worker)]
            case _:
                return []  # nothing is due
