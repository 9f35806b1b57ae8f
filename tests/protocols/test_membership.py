"""Membership in a hostile world: processes that never start, die, stop, hang or are merely busy, and a judge who is late.

Time that the judge slept through does not count: `judged_ns` is the time that passed while it looked.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headrace.config import SECOND, MembershipConfig
from headrace.ids import AttemptId, HostId, WorkerId
from headrace.protocols import membership as ms
from headrace.protocols.membership import Membership
from tests.protocols.planted import must_be_noticed

CONFIG = MembershipConfig(
    suspect_ns=2 * SECOND, hung_ns=5 * SECOND, ready_ns=4 * SECOND, startups_max=5, nobody_ns=20 * SECOND
)
BEAT = CONFIG.heartbeat_ns
LONG = ms.RELAUNCH_MAX_NS + 2 * BEAT  # after which a host is asked again that started none


@dataclass
class Process:
    """A worker as it is."""

    host: HostId
    begun_ns: int  # by judged time, like all below
    heard_ns: int = 0
    grew_ns: int = 0  # when it last used the processor, as far as we asked
    used_ns: int = 0
    ready: bool = False
    alive: bool = True
    silent: bool = False
    busy: bool = False  # though silent
    suspected: bool = False
    killed: str = ""  # why we ended it
    culprit: AttemptId | None = None
    victim: AttemptId | None = None
    passing: bool = False  # it did not start, and need not be to blame


class World(RuleBasedStateMachine):
    make: type[Membership] = Membership

    @initialize(wanted=st.lists(st.integers(1, 3), min_size=1, max_size=2))
    def begin(self, wanted: list[int]) -> None:
        self.machine = self.make(CONFIG)
        self.now_ns = self.judged_ns = 0
        self.processes: dict[WorkerId, Process] = {}
        self.ever: set[WorkerId] = set()
        self.wanted = {f"h{i}": number for i, number in enumerate(wanted)}
        self.lost: set[HostId] = set()
        self.in_a_row = 0
        self.since_ns: int | None = None  # while nobody was ready: the first start-up that failed
        self.failing: set[HostId] = set()  # hosts whose latest start-up failed
        self.failed_ns: dict[str, int] = {}  # when that was
        self.given_up = self.closing = False
        self.tell(ms.Opened(tuple((HostId(host), number) for host, number in self.wanted.items()), 0))

    def tell(self, event: ms.Event) -> None:
        for effect in self.machine.step(event):
            self.perform(effect)

    def perform(self, effect: ms.Effect) -> None:
        match effect:
            case ms.Launch(worker=worker, host=host):
                assert worker not in self.ever, "a name is used twice"
                assert not self.closing
                assert not self.given_up
                assert host not in self.lost, "started on a disk that is lost"
                self.ever.add(worker)
                self.processes[worker] = Process(host, self.judged_ns)
            case ms.Kill(worker=worker, because=because):
                self.check_kill(self.processes[worker], because)
                self.processes[worker].killed = because
                self.processes[worker].alive = False
            case ms.Probe(worker=worker):
                self.probe(worker)
            case ms.Welcome(worker=worker, host=host):
                assert not self.processes[worker].ready, "welcomed twice"
                self.processes[worker].ready = True
                assert self.processes[worker].host == host
            case ms.Suspect(worker=worker):
                process = self.processes[worker]
                assert not process.suspected
                assert self.silence(process) >= CONFIG.suspect_ns - BEAT, "suspected too early"
                process.suspected = True
            case ms.Trust(worker=worker):
                assert self.processes[worker].suspected
                assert self.processes[worker].heard_ns == self.judged_ns, "trusted without having spoken"
                self.processes[worker].suspected = False
            case ms.Bury():
                self.bury(effect)
            case ms.LoseHost(host=host):
                assert host in self.lost
            case ms.GiveUp():
                waited = self.since_ns is not None and self.now_ns - self.since_ns >= CONFIG.nobody_ns
                assert self.in_a_row >= CONFIG.startups_max or waited, f"given up after {self.in_a_row}"
                for process in self.processes.values():
                    assert process.killed or not process.ready, "given up though somebody is ready"
                    assert process.killed or process.host in self.failing, "given up though somebody may get ready"
                self.given_up = True

    def silence(self, process: Process) -> int:
        return self.judged_ns - process.heard_ns

    def check_kill(self, process: Process, because: str) -> None:
        assert process.killed == "", "killed twice"
        if because.startswith("not ready"):
            assert not process.ready
            assert self.judged_ns - process.begun_ns >= CONFIG.ready_ns - BEAT, "not given the time to start"
        elif because.startswith("silent"):
            idle = self.judged_ns - max(process.heard_ns, process.grew_ns)
            assert idle >= CONFIG.hung_ns - BEAT, f"killed though it did something {idle / 1e9} s ago"
        else:
            assert because == "asked"

    def bury(self, effect: ms.Bury) -> None:
        process = self.processes.pop(effect.worker)
        assert effect.was_ready == process.ready
        assert effect.host == process.host
        blamed = (effect.culprit, effect.victim)
        if process.killed.startswith("silent"):
            assert blamed == (None, process.culprit or process.victim), "what hung is a loss"
        elif process.killed:
            assert blamed == (None, None), "a kill on request counts against nobody"
        else:
            assert blamed == (process.culprit, process.victim)
        if not process.ready and process.host not in self.lost:
            somebody = any(other.ready and not other.killed for other in self.processes.values())
            self.in_a_row = 0 if somebody else self.in_a_row + (not process.passing)
            self.since_ns = None if somebody else self.now_ns if self.since_ns is None else self.since_ns
            self.failing.add(process.host)
            self.failed_ns[process.host.partition(".")[0]] = self.now_ns

    def probe(self, worker: WorkerId) -> None:
        process = self.processes[worker]
        if process.busy:
            process.used_ns += 1
            process.grew_ns = self.judged_ns
        self.tell(ms.Probed(worker, process.used_ns, self.now_ns))

    def some(self, data: st.DataObject, processes: list[WorkerId]) -> WorkerId:
        return data.draw(st.sampled_from(processes))

    def living(self) -> list[WorkerId]:
        return [worker for worker, process in self.processes.items() if process.alive]

    # Time.

    def hear(self) -> None:
        for worker, process in list(self.processes.items()):
            if process.alive and process.ready and not process.silent:
                process.heard_ns = self.judged_ns
                self.tell(ms.Heard(worker, self.now_ns))

    @rule(beats=st.integers(1, 14))
    def time_passes(self, beats: int) -> None:
        self.pass_time(beats)

    def pass_time(self, beats: int) -> None:
        for _ in range(beats):
            self.now_ns += BEAT
            self.judged_ns += BEAT
            self.hear()
            self.tell(ms.Ticked(self.now_ns))
            self.check_who_is_silent()

    @rule(seconds=st.integers(1, 90), tick_first=st.booleans(), beats=st.integers(0, 14))
    def the_program_is_stopped(self, seconds: int, tick_first: bool, beats: int) -> None:
        """When it goes on, what came meanwhile is heard, before or after the tick that is late, and then nothing."""
        self.now_ns += seconds * SECOND
        self.judged_ns += BEAT
        if not tick_first:
            self.hear()
        self.tell(ms.Ticked(self.now_ns))
        if tick_first:
            self.hear()
        for process in self.processes.values():
            process.silent = True
        self.pass_time(beats)

    def check_who_is_silent(self) -> None:
        for worker, process in self.processes.items():
            if process.ready and process.alive:
                silent = self.silence(process)
                assert silent < CONFIG.suspect_ns + BEAT or process.suspected, f"{worker} is silent, and nobody says so"
                idle = self.judged_ns - max(process.heard_ns, process.grew_ns)
                assert idle < CONFIG.hung_ns + 4 * BEAT + SECOND, f"{worker} hangs, and is left alone"
            elif not process.ready and process.alive:
                assert self.judged_ns - process.begun_ns <= CONFIG.ready_ns + BEAT, f"{worker} never gets ready"

    # What workers do.

    @precondition(lambda self: any(not p.ready for p in self.processes.values()))
    @rule(data=st.data(), twice=st.booleans())
    def a_worker_is_ready(self, data: st.DataObject, twice: bool) -> None:
        starting = [w for w, p in self.processes.items() if not p.ready]
        worker = self.some(data, starting)
        process = self.processes[worker]
        if not process.killed:
            self.in_a_row, self.since_ns = 0, None
            self.failing.discard(process.host)
            process.heard_ns = process.grew_ns = self.judged_ns
        for _ in range(1 + twice):
            self.tell(ms.Ready(worker, self.now_ns))
        assert process.ready or process.killed

    @precondition(lambda self: any(not p.ready and p.alive for p in self.processes.values()))
    @rule(data=st.data(), exits=st.booleans(), passing=st.sampled_from([False, False, False, False, True]))
    def a_worker_does_not_start(self, data: st.DataObject, exits: bool, passing: bool) -> None:
        worker = self.some(data, [w for w, p in self.processes.items() if not p.ready and p.alive])
        self.processes[worker].passing = passing
        gone = ms.Exited(worker, "it exited", "idle", None, None, self.now_ns, passing)
        self.tell(gone if exits else ms.LaunchFailed(worker, "no memory", self.now_ns, passing))
        self.tell(ms.LaunchFailed(worker, "no memory", self.now_ns))  # news of the dead

    @precondition(lambda self: self.living())
    @rule(data=st.data(), culprit=st.sampled_from([None, AttemptId(3)]), victim=st.sampled_from([None, AttemptId(4)]))
    def a_worker_dies(self, data: st.DataObject, culprit: AttemptId | None, victim: AttemptId | None) -> None:
        process = self.processes[self.some(data, self.living())]
        process.alive = False
        process.culprit, process.victim = culprit, None if culprit else victim

    @precondition(lambda self: any(not p.alive for p in self.processes.values()))
    @rule(data=st.data())
    def an_exit_is_noticed(self, data: st.DataObject) -> None:
        worker = self.some(data, [w for w, p in self.processes.items() if not p.alive])
        process = self.processes[worker]
        gone = ms.Exited(worker, "it died", "compute", process.culprit, process.victim, self.now_ns)
        self.tell(gone)
        assert worker not in self.processes, "not buried"
        self.tell(gone)
        self.tell(ms.Heard(worker, self.now_ns))  # what it had said before

    @precondition(lambda self: any(p.ready for p in self.processes.values()))
    @rule(data=st.data(), silent=st.booleans(), busy=st.booleans(), beats=st.integers(0, 20))
    def a_worker_falls_silent_or_speaks(self, data: st.DataObject, silent: bool, busy: bool, beats: int) -> None:
        process = self.processes[self.some(data, [w for w, p in self.processes.items() if p.ready])]
        process.silent, process.busy = silent, busy
        self.pass_time(beats)

    # What others do.

    @rule(data=st.data())
    def a_host_is_lost(self, data: st.DataObject) -> None:
        hosts = sorted({p.host for p in self.processes.values()})
        if hosts:
            host = data.draw(st.sampled_from(hosts))
            self.lost.add(host)
            for process in self.processes.values():
                if process.host == host:
                    process.alive = False
            self.tell(ms.HostGone(host, self.now_ns))
            self.tell(ms.HostGone(host, self.now_ns))

    @precondition(lambda self: self.living())
    @rule(data=st.data())
    def a_kill_is_asked_for(self, data: st.DataObject) -> None:
        worker = self.some(data, self.living())
        self.tell(ms.KillAsked(worker, "asked"))
        self.tell(ms.KillAsked(worker, "asked"))
        assert self.processes[worker].killed

    @rule(seldom=st.integers(0, 20))
    def the_run_ends(self, seldom: int) -> None:
        if seldom == 20:
            self.closing = True
            self.tell(ms.Closing())

    @invariant()
    def there_are_as_many_as_are_wanted(self) -> None:
        there = Counter(process.host.partition(".")[0] for process in self.processes.values())
        if not (self.closing or self.given_up):
            for host, number in self.wanted.items():
                waits = self.now_ns - self.failed_ns.get(host, -LONG) < LONG
                assert there[host] <= number if waits else there[host] == number
            if self.in_a_row >= CONFIG.startups_max:
                known = (process for process in self.processes.values() if not process.killed)
                assert any(p.ready or p.host not in self.failing for p in known), "it is hopeless, and goes on"

    def teardown(self) -> None:
        """Liveness: once the world turns kind, everybody that is wanted is there."""
        if not hasattr(self, "machine") or sys.exception() is not None:
            return  # it has failed already: that is what is to be told
        for process in self.processes.values():
            process.silent = False
        for _ in range(4):
            for worker, process in list(self.processes.items()):
                if not process.alive:
                    self.tell(ms.Exited(worker, "it died", "idle", process.culprit, process.victim, self.now_ns))
            for worker, process in list(self.processes.items()):
                if not process.ready and not self.given_up:
                    self.in_a_row, self.since_ns, process.heard_ns = 0, None, self.judged_ns
                    self.tell(ms.Ready(worker, self.now_ns))
            self.pass_time(LONG // BEAT // 2)
        if not (self.closing or self.given_up):
            assert Counter(process.host.partition(".")[0] for process in self.processes.values()) == self.wanted
            assert all(isinstance(standing, ms.Trusted) for standing in self.machine.standing.values())


TestMembership = World.TestCase
TestMembership.settings = settings(max_examples=120, stateful_step_count=40, report_multiple_bugs=False)


def test_what_may_pass_is_waited_for_and_not_for_ever() -> None:
    machine, now_ns, workers, gave_up_ns = Membership(CONFIG), 0, [WorkerId("w1")], 0
    machine.step(ms.Opened(((HostId("h0"), 1),), 0))
    failed = 0
    while not gave_up_ns:
        effects = machine.step(ms.LaunchFailed(workers.pop(), "no memory", now_ns, passing=True)) if workers else []
        failed += bool(effects)
        now_ns += BEAT
        for effect in [*effects, *machine.step(ms.Ticked(now_ns))]:
            if isinstance(effect, ms.Launch):
                workers.append(effect.worker)
            elif isinstance(effect, ms.GiveUp):
                gave_up_ns = now_ns
    assert failed > CONFIG.startups_max
    assert CONFIG.nobody_ns <= gave_up_ns <= CONFIG.nobody_ns + LONG


# Bugs that this world must notice.


class CountsItsOwnSleep(Membership):
    def _forgive(self, worker: WorkerId, late_ns: int, now_ns: int) -> None:
        pass


class ForgivesTheFuture(Membership):
    def _forgive(self, worker: WorkerId, late_ns: int, now_ns: int) -> None:
        super()._forgive(worker, late_ns, 1 << 62)


class TakesSilenceForDeath(Membership):
    def _judge(self, worker: WorkerId, now_ns: int) -> list[ms.Effect]:
        effects = super()._judge(worker, now_ns)
        if any(isinstance(effect, ms.Suspect) for effect in effects):
            return self._kill(worker, "silent", blames=True)
        return effects


class TakesBusyForHung(Membership):
    def step(self, event: ms.Event) -> list[ms.Effect]:
        return [] if isinstance(event, ms.Probed) else super().step(event)


class RemembersEveryFailedStart(Membership):
    def step(self, event: ms.Event) -> list[ms.Effect]:
        before = self.failed_startups
        effects = super().step(event)
        self.failed_startups = max(before, self.failed_startups)
        return effects


class CountsWhatFailsWhileSomebodyIsReady(Membership):
    def _failed_startup(self, host: HostId, how: str, now_ns: int, *, passing: bool) -> list[ms.Effect]:
        before = self.failed_startups
        effects = super()._failed_startup(host, how, now_ns, passing=passing)
        self.failed_startups = before + 1
        return effects


class AsksNoHostTwice(Membership):
    def _failed_startup(self, host: HostId, how: str, now_ns: int, *, passing: bool) -> list[ms.Effect]:
        effects = super()._failed_startup(host, how, now_ns, passing=passing)
        self.due.clear()
        return effects


class NeverGivesUp(Membership):
    def _bury(self, standing: ms.Standing, event: ms.Exited) -> list[ms.Effect]:
        self.failed_startups = 0
        return super()._bury(standing, event)


class GivesUpWithLostHosts(Membership):
    def _bury(self, standing: ms.Standing, event: ms.Exited) -> list[ms.Effect]:
        effects = super()._bury(standing, event)
        self.failed_startups += event.how == "it died" and isinstance(standing, ms.Starting)
        return effects


class ReplacesOnALostDisk(Membership):
    def _bury(self, standing: ms.Standing, event: ms.Exited) -> list[ms.Effect]:
        self.successors, known = {}, self.successors
        effects = super()._bury(standing, event)
        self.successors = known
        return effects


class BlamesWhomItKills(Membership):
    def _kill(self, worker: WorkerId, because: str, *, blames: bool = False) -> list[ms.Effect]:
        return super()._kill(worker, because, blames=True)


class DoesNotReplaceWhomItKills(Membership):
    def _bury(self, standing: ms.Standing, event: ms.Exited) -> list[ms.Effect]:
        effects = super()._bury(standing, event)
        return effects[:1] if isinstance(standing, ms.Killed) else effects


BUGS = {
    "silence while the judge slept counts": CountsItsOwnSleep,
    "what was heard while the judge slept is dated into the future": ForgivesTheFuture,
    "a suspect is killed": TakesSilenceForDeath,
    "who is silent and uses the processor is killed": TakesBusyForHung,
    "start-ups that failed long ago count": RemembersEveryFailedStart,
    "start-ups that failed while somebody was ready count": CountsWhatFailsWhileSomebodyIsReady,
    "a host that started none is not asked again": AsksNoHostTwice,
    "it never gives up": NeverGivesUp,
    "who went with its host counts as a failed start-up": GivesUpWithLostHosts,
    "a replacement is started on a lost disk": ReplacesOnALostDisk,
    "a kill on request counts as a loss": BlamesWhomItKills,
    "who was killed is not replaced": DoesNotReplaceWhomItKills,
}


@pytest.mark.parametrize("bug", BUGS)
def test_is_noticed(bug: str) -> None:
    must_be_noticed(type("Planted", (World,), {"make": BUGS[bug]}))
