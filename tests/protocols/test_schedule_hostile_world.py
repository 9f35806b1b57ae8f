"""The schedule machine and the claim table against a hostile world, and then a kind one."""

from __future__ import annotations

import sys

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from headrace.config import MS
from tests.protocols.catalog import Catalog, catalogs, put_barriers
from tests.protocols.scheduling_parts import Process
from tests.protocols.scheduling_walk import JOBS_MAX, WORKERS_MAX, come_to_an_end
from tests.protocols.scheduling_world import SchedulingWorld


class HostileScheduling(RuleBasedStateMachine):
    """Rules are what may happen; the world checks what is asked of it."""

    make_world: type[SchedulingWorld] = SchedulingWorld

    def __init__(self) -> None:
        super().__init__()
        self.world: SchedulingWorld | None = None

    @property
    def at(self) -> SchedulingWorld:
        assert self.world is not None
        return self.world

    @initialize(data=st.data(), catalog=catalogs(), workers=st.integers(1, 3), hosts=st.integers(1, 2))
    def the_world_begins(self, data: st.DataObject, catalog: Catalog, workers: int, hosts: int) -> None:
        if data.draw(st.booleans()):
            put_barriers(catalog, lambda: data.draw(st.booleans()))
        world = self.world = type(self).make_world(catalog)
        for _host in range(hosts):
            world.join()
        for number in range(workers):
            world.join(world.hosts()[number % hosts])
        dataset = catalog.datasets[-1]
        world.submit(dataset, range(dataset.partitions), has_effects=False, inline=True)
        world.loop()

    def _pick(self, data: st.DataObject, processes: list[Process]) -> Process:
        return data.draw(st.sampled_from(processes))

    # What goes well.

    @rule(steps=st.sampled_from([1, 2, 3, 1000, 1000]))
    def the_loop_runs(self, steps: int) -> None:
        self.at.loop(steps)

    @rule(rounds=st.integers(1, 3))
    def all_goes_well_for_a_while(self, rounds: int) -> None:
        for _ in range(rounds):
            for process in self._awake():
                while process.inbox:
                    self.at.receive(process)
                for _ in range(2):
                    self.at.work(process)
                while process.outbox:
                    self.at.hear(process)
            self.at.loop()

    def _awake(self) -> list[Process]:
        return [p for p in self.at.processes.values() if p.alive and not p.stalled]

    @precondition(lambda self: any(p.inbox for p in self._awake()))
    @rule(data=st.data(), twice=st.booleans())
    def a_worker_hears(self, data: st.DataObject, twice: bool) -> None:
        self.at.receive(self._pick(data, [p for p in self._awake() if p.inbox]), twice=twice)

    @precondition(lambda self: any(p.outbox and not p.buried for p in self.at.processes.values()))
    @rule(data=st.data(), twice=st.booleans())
    def the_program_hears(self, data: st.DataObject, twice: bool) -> None:
        speaking = [p for p in self.at.processes.values() if p.outbox and not p.buried]
        self.at.hear(self._pick(data, speaking), twice=twice)

    @precondition(lambda self: self._awake())
    @rule(
        data=st.data(),
        outcome=st.sampled_from(["done", "done", "stop", "fail"]),
        fresh=st.booleans(),
        one=st.booleans(),
    )
    def a_worker_gets_on(self, data: st.DataObject, outcome: str, fresh: bool, one: bool) -> None:
        self.at.work(self._pick(data, self._awake()), outcome, fresh=fresh, one=one)

    @precondition(lambda self: self.at.delivering)
    @rule(data=st.data())
    def a_result_arrives_or_does_not(self, data: st.DataObject) -> None:
        self.at.bring(data.draw(st.sampled_from(self.at.delivering)))

    @rule(elapsed_ns=st.sampled_from([MS, 30 * MS, 600 * MS, 2000 * MS]))
    def time_passes(self, elapsed_ns: int) -> None:
        self.at.tick(elapsed_ns)

    @precondition(lambda self: self._awake())
    @rule(data=st.data())
    def a_worker_beats_and_reports_again(self, data: st.DataObject) -> None:
        process = self._pick(data, self._awake())
        self.at.beat(process)
        self.at.report_again(process)

    # What the program asks for.

    @precondition(lambda self: len(self.at.actions) < JOBS_MAX and self.at.usable())
    @rule(data=st.data(), has_effects=st.booleans(), inline=st.booleans(), barrier=st.booleans())
    def a_job_is_submitted(self, data: st.DataObject, has_effects: bool, inline: bool, barrier: bool) -> None:
        dataset = data.draw(st.sampled_from(self.at.usable()))
        wanted = data.draw(st.sets(st.integers(0, dataset.partitions - 1), min_size=1))
        self.at.submit(dataset, wanted, has_effects=has_effects, inline=inline, barrier=barrier)

    @precondition(lambda self: any(not action.ended for action in self.at.actions.values()))
    @rule(data=st.data())
    def a_job_is_cancelled(self, data: st.DataObject) -> None:
        self.at.cancel(data.draw(st.sampled_from([job for job, action in self.at.actions.items() if not action.ended])))

    @precondition(lambda self: self.at.releasable())
    @rule(data=st.data())
    def a_shuffle_is_released(self, data: st.DataObject) -> None:
        self.at.release(data.draw(st.sampled_from(self.at.releasable())))

    @precondition(lambda self: self.at.catalog.operators)
    @rule(data=st.data())
    def a_dataset_is_cached_or_not_any_more(self, data: st.DataObject) -> None:
        operator = data.draw(st.sampled_from(self.at.catalog.operators))
        if operator in self.at.kept:
            self.at.unkeep(operator)
        else:
            self.at.keep(operator)

    # What goes wrong.

    @precondition(lambda self: self.at.living())
    @rule(data=st.data(), blame=st.sampled_from(["culprit", "victim", "nobody"]))
    def a_worker_dies(self, data: st.DataObject, blame: str) -> None:
        self.at.kill(data.draw(st.sampled_from(self.at.living())), blame)

    @precondition(lambda self: any(not p.alive and not p.buried for p in self.at.processes.values()))
    @rule(data=st.data())
    def a_death_is_noticed(self, data: st.DataObject) -> None:
        dead = [p for p in self.at.processes.values() if not p.alive and not p.buried]
        self.at.bury(self._pick(data, dead).id)

    @precondition(lambda self: len(self.at.living()) < WORKERS_MAX)
    @rule(data=st.data())
    def a_worker_joins(self, data: st.DataObject) -> None:
        self.at.join(data.draw(st.sampled_from([None, *self.at.hosts()])))

    @precondition(lambda self: self.at.hosts())
    @rule(data=st.data(), noticed=st.booleans())
    def a_host_is_lost(self, data: st.DataObject, noticed: bool) -> None:
        host = data.draw(st.sampled_from(self.at.hosts()))
        self.at.destroy(host)
        if noticed:
            self.at.lose_host(host)

    @precondition(lambda self: self.at.dead_hosts - self.at.told_hosts)
    @rule()
    def the_loss_of_a_host_is_noticed(self) -> None:
        self.at.lose_host(min(self.at.dead_hosts - self.at.told_hosts))

    @precondition(lambda self: self._awake())
    @rule(data=st.data(), suspected=st.booleans())
    def a_worker_falls_silent(self, data: st.DataObject, suspected: bool) -> None:
        process = self._pick(data, self._awake())
        process.stalled = True
        if suspected:
            self.at.suspect(process.id)

    @precondition(lambda self: any(p.stalled and p.alive for p in self.at.processes.values()))
    @rule(data=st.data())
    def a_suspect_wakes_up(self, data: st.DataObject) -> None:
        process = self._pick(data, [p for p in self.at.processes.values() if p.stalled and p.alive])
        process.stalled = False
        self.at.trust(process.id)

    @precondition(lambda self: self.at.files)
    @rule(data=st.data(), missing=st.booleans())
    def a_file_goes_missing_or_bad(self, data: st.DataObject, missing: bool) -> None:
        attempt = data.draw(st.sampled_from(sorted(self.at.files)))
        if missing:
            del self.at.files[attempt]
        else:
            self.at.files[attempt].broken = True

    @precondition(lambda self: any(p.cache for p in self._awake()))
    @rule(data=st.data())
    def a_cached_partition_is_evicted(self, data: st.DataObject) -> None:
        process = self._pick(data, [p for p in self._awake() if p.cache])
        self.at.evict(process, data.draw(st.sampled_from(list(process.cache))))

    @rule()
    def the_machine_is_rebuilt_from_its_journal(self) -> None:
        self.at.rebuild()

    def teardown(self) -> None:
        """Liveness: once the world turns kind, every job ends well and nothing is left."""
        if self.world is None or sys.exception() is not None:
            return  # it has failed already: that is what is to be told
        come_to_an_end(self.world)


class LongHostileScheduling(HostileScheduling):
    """The same, for longer."""


TestHostileScheduling = HostileScheduling.TestCase
TestHostileScheduling.settings = settings(max_examples=250, stateful_step_count=50)
TestLongHostileScheduling = pytest.mark.slow(LongHostileScheduling.TestCase)
TestLongHostileScheduling.settings = settings(max_examples=5000, stateful_step_count=100)
