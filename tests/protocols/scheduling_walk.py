"""Random walks through the hostile world of scheduling, each from a seed.

The same steps as the rules of the Hypothesis test, without its power to shrink, and some ten times as fast: for thousands
of lives, and for bugs that were planted.  Every walk has its own mixture of what goes well and what goes wrong, because a
world in which everything happens at once lets nothing happen for long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType
from typing import NamedTuple

from headrace.config import MS
from headrace.protocols import schedule_words as words
from tests.protocols.catalog import put_barriers, random_catalog
from tests.protocols.scheduling_parts import Process
from tests.protocols.scheduling_world import SchedulingWorld

JOBS_MAX, WORKERS_MAX = 5, 4
KIND_ROUNDS = 80


def walk(
    seed: int,
    *,
    steps: int = 80,
    make: type[SchedulingWorld] = SchedulingWorld,
    mood: Mapping[str, float] = MappingProxyType({}),
) -> SchedulingWorld:
    """Live one life from its seed: so many steps, a world that turns kind, and everything brought to its end.

    Args:
        mood: what happens more often than it would, by the name of the step.

    """
    chance = Random(seed)
    world = begin(make, chance, Random(~seed))
    weights = [
        0
        if step.is_optional and step.name not in mood and chance.random() < 0.5
        else step.weight * mood.get(step.name, 1)
        for step in STEPS
    ]
    for _ in range(steps):
        step = chance.choices(STEPS, weights)[0]
        step.take(world, chance)
    come_to_an_end(world)
    return world


def begin(make: type[SchedulingWorld], chance: Random, barriers: Random) -> SchedulingWorld:
    catalog = random_catalog(chance)
    if barriers.random() < 0.4:
        put_barriers(catalog, lambda: barriers.random() < 0.6)
    world = make(catalog)
    for _ in range(chance.randint(1, 2)):
        world.join()
    for number in range(chance.randint(1, 3)):
        world.join(world.hosts()[number % len(world.hosts())])
    for operator in world.catalog.operators:
        if chance.random() < 0.5:
            world.keep(operator)
    dataset = world.catalog.datasets[-1]
    world.submit(
        dataset,
        range(dataset.partitions),
        has_effects=chance.random() < 0.3,
        inline=chance.random() < 0.7,
        barrier=bool(catalog.barriers) and chance.random() < 0.5,
    )
    world.loop()
    return world


def come_to_an_end(world: SchedulingWorld) -> None:
    """Liveness: once the world turns kind, every job ends well and nothing is left."""
    world.turn_kind()
    waiting = [action for action in world.actions.values() if not action.ended]
    for _ in range(KIND_ROUNDS):
        if all(action.ended for action in waiting):
            break
        world.kind_round()
    stuck = [action.job for action in waiting if not action.ended]
    assert not stuck, f"jobs {stuck} wait for {world.schedule.step(words.Rebuilt(world.now_ns))}"
    lost = [action.job for action in waiting if action.ended == "lost"]
    assert not lost, f"jobs {lost} were given up in a kind world"
    for _ in range(8):
        world.kind_round()
    world.check_nothing_is_left()


# Steps.


def _awake(world: SchedulingWorld) -> list[Process]:
    return [p for p in world.processes.values() if p.alive and not p.stalled]


def _the_loop_runs(world: SchedulingWorld, chance: Random) -> None:
    world.loop(chance.choice([1, 2, 3, 5, 1000, 1000]))


def _time_passes(world: SchedulingWorld, chance: Random) -> None:
    world.tick(chance.choice([MS, 30 * MS, 600 * MS, 2000 * MS]))


def _all_goes_well(world: SchedulingWorld, chance: Random) -> None:
    for _ in range(chance.randint(1, 3)):
        for process in _awake(world):
            while process.inbox:
                world.receive(process)
            for _ in range(2):
                world.work(process)
            while process.outbox:
                world.hear(process)
        world.loop()


def _a_worker_hears(world: SchedulingWorld, chance: Random) -> None:
    if hearing := [p for p in _awake(world) if p.inbox]:
        world.receive(chance.choice(hearing), twice=chance.random() < 0.3)


def _the_program_hears(world: SchedulingWorld, chance: Random) -> None:
    if speaking := [p for p in world.processes.values() if p.outbox and not p.buried]:
        world.hear(chance.choice(speaking), twice=chance.random() < 0.3)


def _a_worker_gets_on(world: SchedulingWorld, chance: Random) -> None:
    if awake := [p for p in _awake(world) if p.running or p.waiting]:
        outcome = chance.choice(["done", "done", "done", "stop", "fail"])
        world.work(chance.choice(awake), outcome, fresh=chance.random() < 0.5, one=chance.random() < 0.5)


def _an_attempt_says_how_far_it_is(world: SchedulingWorld, chance: Random) -> None:
    if running := [p for p in _awake(world) if p.running]:
        world.beat(chance.choice(running))


def _the_machine_is_rebuilt(world: SchedulingWorld, chance: Random) -> None:
    world.loop(chance.randint(0, 6))
    world.rebuild()


def _a_result_arrives(world: SchedulingWorld, chance: Random) -> None:
    if world.delivering:
        world.bring(chance.choice(world.delivering))


def _a_worker_reports_again(world: SchedulingWorld, chance: Random) -> None:
    if awake := _awake(world):
        process = chance.choice(awake)
        world.beat(process)
        world.report_again(process)


def _a_job_is_submitted(world: SchedulingWorld, chance: Random) -> None:
    if len(world.actions) < JOBS_MAX and (usable := world.usable()):
        dataset = chance.choice(usable)
        wanted = chance.sample(range(dataset.partitions), chance.randint(1, dataset.partitions))
        barrier = bool(world.catalog.barriers) and chance.random() < 0.5
        world.submit(dataset, wanted, has_effects=chance.random() < 0.3, inline=chance.random() < 0.5, barrier=barrier)


def _a_job_is_cancelled(world: SchedulingWorld, chance: Random) -> None:
    if running := [job for job, action in world.actions.items() if not action.ended]:
        world.cancel(chance.choice(running))


def _a_shuffle_is_released(world: SchedulingWorld, chance: Random) -> None:
    if stages := world.releasable():
        world.release(chance.choice(stages))


def _a_dataset_is_cached_or_not(world: SchedulingWorld, chance: Random) -> None:
    if world.catalog.operators:
        operator = chance.choice(world.catalog.operators)
        (world.unkeep if operator in world.kept else world.keep)(operator)


def _a_worker_dies(world: SchedulingWorld, chance: Random) -> None:
    if living := world.living():
        world.kill(chance.choice(living), chance.choice(["culprit", "victim", "nobody"]))


def _a_death_is_noticed(world: SchedulingWorld, chance: Random) -> None:
    if dead := [p.id for p in world.processes.values() if not p.alive and not p.buried]:
        world.bury(chance.choice(dead))


def _a_worker_joins(world: SchedulingWorld, chance: Random) -> None:
    if len(world.living()) < WORKERS_MAX:
        world.join(chance.choice([None, *world.hosts()]))


def _a_host_is_lost(world: SchedulingWorld, chance: Random) -> None:
    if hosts := world.hosts():
        host = chance.choice(hosts)
        world.destroy(host)
        if chance.random() < 0.5:
            world.lose_host(host)


def _the_loss_of_a_host_is_noticed(world: SchedulingWorld, chance: Random) -> None:
    if unknown := sorted(world.dead_hosts - world.told_hosts):
        world.lose_host(chance.choice(unknown))


def _a_worker_falls_silent(world: SchedulingWorld, chance: Random) -> None:
    if awake := _awake(world):
        process = chance.choice(awake)
        process.stalled = True
        if chance.random() < 0.7:
            world.suspect(process.id)


def _a_suspect_wakes_up(world: SchedulingWorld, chance: Random) -> None:
    if silent := [p for p in world.processes.values() if p.stalled and p.alive]:
        process = chance.choice(silent)
        process.stalled = False
        world.trust(process.id)


def _a_file_goes_missing_or_bad(world: SchedulingWorld, chance: Random) -> None:
    if world.files:
        attempt = chance.choice(sorted(world.files))
        if chance.random() < 0.5:
            del world.files[attempt]
        else:
            world.files[attempt].broken = True


def _a_cached_partition_is_evicted(world: SchedulingWorld, chance: Random) -> None:
    if keeping := [p for p in _awake(world) if p.cache]:
        process = chance.choice(keeping)
        world.evict(process, chance.choice(list(process.cache)))


def _a_cached_partition_is_copied(world: SchedulingWorld, chance: Random) -> None:
    keys = sorted({key for p in world.processes.values() if p.alive for key in p.cache})
    if keys:
        key = chance.choice(keys)
        if able := [p for p in _awake(world) if key not in p.cache]:
            world.copy(chance.choice(able), key)


class Step(NamedTuple):
    """Something that may happen; nothing does where it cannot."""

    weight: float
    take: Callable[[SchedulingWorld, Random], None]
    is_optional: bool = True  # some walks are without it

    @property
    def name(self) -> str:
        return self.take.__name__.strip("_")


STEPS = [
    Step(9, _the_loop_runs, is_optional=False),
    Step(3, _all_goes_well),
    Step(8, _a_worker_hears, is_optional=False),
    Step(7, _the_program_hears, is_optional=False),
    Step(14, _a_worker_gets_on, is_optional=False),
    Step(2, _a_result_arrives, is_optional=False),
    Step(3, _time_passes),
    Step(3, _an_attempt_says_how_far_it_is),
    Step(1, _a_worker_reports_again),
    Step(2, _a_job_is_submitted),
    Step(1, _a_job_is_cancelled),
    Step(1, _a_shuffle_is_released),
    Step(3, _a_dataset_is_cached_or_not),
    Step(2, _a_worker_dies),
    Step(2, _a_death_is_noticed, is_optional=False),
    Step(2, _a_worker_joins, is_optional=False),
    Step(1, _a_host_is_lost),
    Step(1, _the_loss_of_a_host_is_noticed, is_optional=False),
    Step(2, _a_worker_falls_silent),
    Step(2, _a_suspect_wakes_up, is_optional=False),
    Step(3, _a_file_goes_missing_or_bad),
    Step(2, _a_cached_partition_is_evicted),
    Step(2, _a_cached_partition_is_copied),
    Step(2, _the_machine_is_rebuilt),
]
