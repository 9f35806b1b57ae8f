"""Short scenes with barrier stages, for what is met too rarely on a walk."""

from __future__ import annotations

from headrace.ids import JobId, StageId
from tests.protocols.catalog import Catalog, Dataset, Tree
from tests.protocols.scheduling_parts import Process
from tests.protocols.scheduling_scenes import Worlds, get_on, hear
from tests.protocols.scheduling_walk import come_to_an_end
from tests.protocols.scheduling_world import SchedulingWorld


def a_gang(make: Worlds, tasks: int, workers: int) -> SchedulingWorld:
    """A map stage whose tasks meet, read by one task, and workers on hosts of their own."""
    catalog = Catalog([Dataset(((tasks, Tree()),))])
    shuffle = catalog.shuffle(catalog.datasets[0])
    catalog.barriers.add(shuffle)
    catalog.datasets.append(Dataset(((1, Tree(stages=(shuffle,))),)))
    world = make(catalog)
    for _ in range(workers):
        world.join()
    world.submit(catalog.datasets[-1], [0], has_effects=False, inline=True)
    world.loop()
    return world


def meet(world: SchedulingWorld) -> list[Process]:
    """Let all tasks come and hear that all have; return their workers."""
    for process in get_on(world):
        hear(world, process)
    at_work = [process for process in world.processes.values() if process.running is not None]
    for process in at_work:
        while process.inbox:
            world.receive(process)
    return at_work


def die(world: SchedulingWorld, process: Process) -> None:
    world.kill(process.id, "victim")
    world.bury(process.id)
    world.loop()


# Scenes.


def what_one_task_did_is_done_again_when_another_is_lost(make: Worlds) -> None:
    world = a_gang(make, 2, 2)
    first, second = meet(world)
    world.work(first)
    hear(world, first)
    assert not world.places(), "an output counts before all tasks of its stage have ended"
    die(world, second)
    come_to_an_end(world)
    assert world.actions[JobId(1)].ended == "done"


def a_gang_begins_when_the_last_of_the_one_before_has_ended(make: Worlds) -> None:
    world = a_gang(make, 2, 4)
    at_work = meet(world)
    die(world, at_work[0])
    idle = [process for process in world.processes.values() if process.alive and process is not at_work[1]]
    assert len(idle) == 2, "enough for another gang"
    for process in idle:
        while process.inbox:
            world.receive(process)
        world.work(process)
    assert not any(process.running for process in idle)
    come_to_an_end(world)


def results_that_some_have_are_made_again_with_the_lost_one(make: Worlds) -> None:
    world = make(Catalog([Dataset(((2, Tree()),))]))
    for _ in range(3):
        world.join()
    world.submit(world.catalog.datasets[0], [0, 1], has_effects=False, inline=False, barrier=True)
    world.loop()
    for process in meet(world):
        world.work(process)
        hear(world, process)
    first, second = world.delivering
    world.bring(first)
    del world.files[second.attempt]
    world.bring(second)
    world.loop()
    come_to_an_end(world)
    action = world.actions[JobId(1)]
    assert action.results[0] != first.attempt
    assert action.counted.keys() == {(StageId(1001), 0), (StageId(1001), 1)}


def two_stages_that_would_each_hold_half_run_one_after_the_other(make: Worlds) -> None:
    catalog = Catalog([Dataset(((3, Tree()),))])
    world = make(catalog)
    for _ in range(3):
        world.join()
    for _ in range(2):
        world.submit(catalog.datasets[0], range(3), has_effects=False, inline=True, barrier=True)
    world.loop()
    for job in (1, 2):
        running = {state.task.stage for state in world.schedule.attempts.values()}
        assert running == {world.actions[JobId(job)].stage}
        for process in meet(world):
            world.work(process)
            hear(world, process)
    assert all(action.ended == "done" for action in world.actions.values())
    come_to_an_end(world)


SCENES = [
    what_one_task_did_is_done_again_when_another_is_lost,
    a_gang_begins_when_the_last_of_the_one_before_has_ended,
    results_that_some_have_are_made_again_with_the_lost_one,
    two_stages_that_would_each_hold_half_run_one_after_the_other,
]
