"""Copies of kept partitions in a hostile world: workers come, fall silent, die and fill up; answers come twice or late.

When the world turns kind, every partition that anybody keeps is kept by as many workers as it should be, on different hosts
where there are several, as far as there are workers with room.
"""

from __future__ import annotations

import sys
from typing import Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headrace.config import SECOND
from headrace.ids import HostId, OperatorId, WorkerId
from headrace.protocols import replicate
from headrace.protocols.replicate import AT_ONCE, Copied, Keeps, Key, MakeCopy, Replicate
from tests.protocols.planted import must_be_noticed

HOSTS = [HostId("h1"), HostId("h2"), HostId("h3")]
OPERATORS = [OperatorId(1), OperatorId(2)]
KEYS = st.tuples(st.sampled_from(OPERATORS), st.integers(0, 3))
Outcome = Literal["kept", "no room", "lost"]


class World(RuleBasedStateMachine):
    make: type[Replicate] = Replicate

    def __init__(self) -> None:
        super().__init__()
        self.machine = self.make(2)
        self.now_ns = self.moved_ns = 0
        self.named = 0
        self.hosts: dict[WorkerId, HostId] = {}
        self.silent: set[WorkerId] = set()
        self.held: dict[WorkerId, set[Key]] = {}  # what each really keeps
        self.known: dict[Key, set[WorkerId]] = {}  # who is known to keep it
        self.full: set[tuple[WorkerId, Key]] = set()  # who has no room for what
        self.wanted: dict[OperatorId, int] = {}
        self.asked: list[MakeCopy] = []  # that were not carried out yet
        self.answers: list[tuple[WorkerId, Key, Outcome]] = []  # on their way
        self.waited: set[tuple[WorkerId, Key]] = set()  # who was asked for what, and is waited for

    def tell(self, event: replicate.Event) -> None:
        for effect in self.machine.step(event):
            self.perform(effect)

    def perform(self, effect: replicate.Effect) -> None:
        key = (effect.operator, effect.partition)
        if isinstance(effect, replicate.LetGo):
            assert key not in self.held[effect.worker]
            return
        assert effect.operator in self.wanted, "nobody wants it kept"
        assert effect.worker in self.hosts, "it is not there"
        if isinstance(effect, Keeps):
            assert key in self.held[effect.worker], "it does not keep it"
            self.known.setdefault(key, set()).add(effect.worker)
            return
        keepers = self.known.get(key, set())
        assert effect.worker not in self.silent
        assert effect.worker not in keepers, "it has it"
        assert (effect.worker, key) not in self.full, "it has no room"
        assert effect.sources
        assert set(effect.sources) == keepers
        assert len(keepers) < self.wanted[effect.operator], "there are enough"
        free = {w for w in self.hosts if w not in self.silent and w not in keepers and (w, key) not in self.full}
        apart = {w for w in free if self.hosts[w] not in {self.hosts[k] for k in keepers}}
        again = (effect.worker, key) in self.waited
        assert again or effect.worker in (apart or free), "another host has none"
        there = len(set(self.hosts.values())) > 1 or self.now_ns - self.moved_ns >= replicate.PATIENCE_NS
        assert again or apart or there, "another host may come yet"
        self.waited.add((effect.worker, key))
        self.asked = [one for one in self.asked if (one.operator, one.partition, one.worker) != (*key, effect.worker)]
        self.asked.append(effect)

    # What happens.

    @initialize(hosts=st.lists(st.sampled_from(HOSTS), min_size=2, max_size=4))
    def begin(self, hosts: list[HostId]) -> None:
        for host in hosts:
            self.a_worker_joins(host)
        for operator, copies in zip(OPERATORS, (2, 3), strict=True):
            self.a_dataset_is_persisted_or_given_up(operator, copies)

    @rule(host=st.sampled_from(HOSTS))
    def a_worker_joins(self, host: HostId) -> None:
        if len(self.hosts) < 5:
            self.named += 1
            worker = WorkerId(f"w{self.named}")
            self.hosts[worker], self.held[worker] = host, set()
            self.moved_ns = self.now_ns
            self.tell(replicate.Joined(worker, host, self.now_ns))

    @precondition(lambda self: self.hosts)
    @rule(data=st.data())
    def a_worker_dies(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(sorted(self.hosts)))
        del self.hosts[worker], self.held[worker]
        self.moved_ns = self.now_ns
        self.silent.discard(worker)
        self.asked = [one for one in self.asked if one.worker != worker]
        self.answers = [one for one in self.answers if one[0] != worker]
        for keepers in self.known.values():
            keepers.discard(worker)
        self.tell(replicate.Left(worker, self.now_ns))

    @precondition(lambda self: self.hosts)
    @rule(data=st.data())
    def a_worker_falls_silent_or_speaks(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from(sorted(self.hosts)))
        if worker in self.silent:
            self.silent.discard(worker)
            self.tell(replicate.Trusted(worker, self.now_ns))
        else:
            self.silent.add(worker)
            self.waited = {one for one in self.waited if one[0] != worker}
            self.tell(replicate.Suspected(worker, self.now_ns))

    @rule(operator=st.sampled_from(OPERATORS), copies=st.integers(2, 3))
    def a_dataset_is_persisted_or_given_up(self, operator: OperatorId, copies: int) -> None:
        if operator in self.wanted:
            del self.wanted[operator]
            self.tell_unwanted(operator)
        else:
            self.wanted[operator] = copies
            self.tell(replicate.Wanted(operator, copies))

    def tell_unwanted(self, operator: OperatorId) -> None:
        self.known = {key: keepers for key, keepers in self.known.items() if key[0] != operator}
        self.asked = [one for one in self.asked if one.operator != operator]
        self.answers = [one for one in self.answers if one[1][0] != operator]  # the workers were told, too
        for held in self.held.values():
            held -= {key for key in held if key[0] == operator}
        self.full.clear()
        self.waited = {one for one in self.waited if one[1][0] != operator}
        self.tell(replicate.Unwanted(operator))

    @precondition(lambda self: self.hosts and self.wanted)
    @rule(data=st.data(), partition=st.integers(0, 3))
    def a_partition_is_computed(self, data: st.DataObject, partition: int) -> None:
        worker = data.draw(st.sampled_from(sorted(self.hosts)))
        key = (data.draw(st.sampled_from(sorted(self.wanted))), partition)
        if (worker, key) not in self.full:
            self.held[worker].add(key)
            self.known.setdefault(key, set()).add(worker)
            self.tell(replicate.Kept(*key, worker, self.now_ns))

    @precondition(lambda self: any(self.known.values()))
    @rule(data=st.data())
    def a_keeper_lets_go(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(key for key, keepers in self.known.items() if keepers)))
        worker = data.draw(st.sampled_from(sorted(self.known[key])))
        self.held[worker].discard(key)
        self.known[key].discard(worker)
        self.full.add((worker, key))
        self.tell(replicate.Dropped(*key, worker, self.now_ns))

    @precondition(lambda self: self.asked)
    @rule(data=st.data(), room=st.booleans(), broken=st.booleans())
    def a_copy_is_made(self, data: st.DataObject, room: bool, broken: bool) -> None:
        self.carry_out(data.draw(st.sampled_from(self.asked)), room=room, broken=broken)

    def carry_out(self, ask: MakeCopy, *, room: bool, broken: bool = False) -> None:
        self.asked.remove(ask)
        key = (ask.operator, ask.partition)
        there = not broken and any(key in self.held.get(source, ()) for source in ask.sources)
        if key in self.held[ask.worker] or (there and room):
            self.held[ask.worker].add(key)
            self.answers.append((ask.worker, key, "kept"))
        else:
            self.answers.append((ask.worker, key, "no room" if there else "lost"))

    @precondition(lambda self: self.answers)
    @rule(data=st.data(), fate=st.sampled_from(["comes", "comes twice", "is lost"]))
    def an_answer(self, data: st.DataObject, fate: str) -> None:
        answer = data.draw(st.sampled_from(self.answers))
        self.answers.remove(answer)
        for _ in range({"comes": 1, "comes twice": 2, "is lost": 0}[fate]):
            self.hear(*answer)

    def hear(self, worker: WorkerId, key: Key, outcome: Outcome) -> None:
        if outcome == "kept" and key not in self.held[worker]:
            return  # let go meanwhile, and said so in the same breath
        self.waited.discard((worker, key))
        if outcome == "no room":
            self.full.add((worker, key))
        self.tell(Copied(*key, worker, outcome, self.now_ns))

    @rule(seconds=st.integers(0, 6))
    def time_passes(self, seconds: int) -> None:
        self.now_ns += seconds * SECOND
        self.tell(replicate.Ticked(self.now_ns))

    # What is always so.

    @invariant()
    def nobody_makes_many_copies_at_once(self) -> None:
        for worker in self.hosts:
            mine = [one for one in self.asked if one.worker == worker]
            assert len(mine) <= AT_ONCE + len(self.known), "each dead letter may be asked for again elsewhere"
        copying = [one.worker for one in self.machine.copying.values()]
        assert all(copying.count(worker) <= AT_ONCE for worker in self.hosts)

    @invariant()
    def the_machine_forgets(self) -> None:
        machine = self.machine
        for keys in (machine.keepers, machine.copying, machine.lacking, machine.resting, machine.losses):
            assert {key[0] for key in keys} <= set(self.wanted)
        assert set(machine.load) <= set(self.hosts)
        assert all(load >= 0 for load in machine.load.values())

    def teardown(self) -> None:
        """The world turns kind: everybody speaks, every copy is made and every answer comes, as far as there is room."""
        for worker in sorted(self.silent):
            self.silent.discard(worker)
            self.tell(replicate.Trusted(worker, self.now_ns))
        for turn in range(30):
            self.now_ns += 20 * SECOND
            self.tell(replicate.Ticked(self.now_ns))
            while self.asked:
                self.carry_out(self.asked[0], room=True, broken=not turn)
            while self.answers:
                self.hear(*self.answers.pop(0))
        for key, keepers in self.known.items():
            able = {w for w in self.hosts if w in keepers or (w, key) not in self.full}
            assert not keepers or len(keepers) >= min(self.wanted[key[0]], len(able)), (
                f"{key} is kept by {keepers} only"
            )


TestReplicate = World.TestCase
TestReplicate.settings = settings(max_examples=80, stateful_step_count=40)


# Planted bugs.


class NeverAgain(Replicate):
    """What could not be had once is not tried again."""

    def _ticked(self, now_ns: int) -> list[replicate.Effect]:
        self.resting.clear()
        return super()._ticked(now_ns)


class WaitsForTheDead(Replicate):
    """A copy that a worker was to make is waited for after its death."""

    def _turn_from(self, worker: WorkerId, now_ns: int) -> list[replicate.Effect]:
        return self._plan(now_ns)


class AnyHost(Replicate):
    """Copies go where there is one already."""

    def _pool(self, key: Key, workers: dict[WorkerId, int]) -> tuple[list[WorkerId], bool]:
        refused = self.refused.get(key, ())
        return [one for one in workers if one not in self.keepers[key] and one not in refused], True


class Insists(Replicate):
    """Who has no room is asked again and again."""

    def _pool(self, key: Key, workers: dict[WorkerId, int]) -> tuple[list[WorkerId], bool]:
        self.refused.clear()
        return super()._pool(key, workers)


class BelievesAnything(Replicate):
    """Silence does not matter."""

    def step(self, event: replicate.Event) -> list[replicate.Effect]:
        return [] if isinstance(event, replicate.Suspected) else super().step(event)


@pytest.mark.parametrize("machine", [NeverAgain, WaitsForTheDead, AnyHost, Insists, BelievesAnything])
def test_a_planted_bug_is_noticed(machine: type[Replicate]) -> None:
    world = type("PlantedWorld", (World,), {"make": machine})
    must_be_noticed(world)


def test_what_cannot_be_had_is_asked_for_ever_more_seldom() -> None:
    """A keeper that is wrongly believed to keep a partition, or keeps a damaged one, is not asked twice a second."""
    machine, asked = Replicate(), []
    machine.step(replicate.Wanted(OPERATORS[0], 2))
    for worker in ("w1", "w2"):
        machine.step(replicate.Joined(WorkerId(worker), HOSTS[0], 0))
    effects = machine.step(replicate.Kept(OPERATORS[0], 0, WorkerId("w1"), 0))
    for half_seconds in range(1200):
        now = half_seconds * SECOND // 2
        for effect in effects:
            asked.append(now)
            machine.step(Copied(effect.operator, effect.partition, effect.worker, "lost", now))
        effects = machine.step(replicate.Ticked(now))
    assert 6 <= len(asked) <= 12
    (effect,) = machine.step(replicate.Joined(WorkerId("w3"), HOSTS[1], 600 * SECOND))
    assert isinstance(effect, MakeCopy), "somebody new is asked at once"


def test_ten_thousand_partitions_are_planned_in_steps_that_do_not_grow() -> None:
    """Every partition is computed by one of two workers: the other is always busy, and they all wait for it."""
    machine, steps = Replicate(), 0
    machine.step(replicate.Wanted(OPERATORS[0], 2))
    for worker in ("w1", "w2"):
        machine.step(replicate.Joined(WorkerId(worker), HOSTS[0], 0))

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal steps
        steps += 1

    costs = []
    for number in range(4000):
        sys.setprofile(count)
        machine.step(replicate.Kept(OPERATORS[0], number, WorkerId("w1"), 0))
        sys.setprofile(None)
        if number % 2000 == 1999:
            costs.append(steps)
            steps = 0
    assert costs[1] < 1.3 * costs[0]
