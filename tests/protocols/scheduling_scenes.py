"""Short scenes from the hostile world of scheduling, for what is met too rarely on a walk.

Each takes the kind of world that it is played in, so that it can be played with bugs planted, too.
"""

from __future__ import annotations

from headrace.ids import JobId, OperatorId
from tests.protocols.catalog import Catalog, Dataset, Tree
from tests.protocols.scheduling_parts import Process
from tests.protocols.scheduling_walk import come_to_an_end
from tests.protocols.scheduling_world import SchedulingWorld

Worlds = type[SchedulingWorld]


def one_shuffle(make: Worlds, readers: int, *, cached: bool = False) -> SchedulingWorld:
    """A map task, some result tasks (perhaps of a cached dataset), and workers on two hosts."""
    catalog = Catalog([Dataset(((1, Tree()),))])
    read = Tree(stages=(catalog.shuffle(catalog.datasets[0]),))
    if cached:
        catalog.operators.append(operator := OperatorId(1))
        read = Tree(operator, below=(read,))
    catalog.datasets.append(Dataset(((readers, read),)))
    world = make(catalog)
    if cached:
        world.keep(operator)
    world.join()
    world.join()
    submit(world)
    return world


def submit(world: SchedulingWorld) -> None:
    dataset = world.catalog.datasets[-1]
    world.submit(dataset, range(dataset.partitions), has_effects=False, inline=True)
    world.loop()


def get_on(world: SchedulingWorld, *, fresh: bool = True) -> list[Process]:
    """Everybody hears and works, nobody is heard; return those who have something to say."""
    for process in world.processes.values():
        while process.alive and process.inbox:
            world.receive(process)
        for _ in range(3 * process.alive):
            world.work(process, fresh=fresh)
    return [process for process in world.processes.values() if process.outbox]


def hear(world: SchedulingWorld, process: Process) -> None:
    while process.outbox:
        world.hear(process)
    world.loop()


def other(world: SchedulingWorld, process: Process) -> Process:
    return next(p for p in world.processes.values() if p is not process and p.alive)


# Scenes.


def an_offer_that_a_commit_took_off_the_table_is_made_again(make: Worlds) -> None:
    """The output of a lost host's worker cannot be read, and somebody else must be asked."""
    world = one_shuffle(make, 1)
    (writer,) = get_on(world)
    world.lose_host(writer.host)
    world.suspect(other(world, writer).id)  # nobody is free to take what is offered
    world.loop()
    world.rebuild()
    world.loop()  # on offer now, beside the attempt that can bring nothing
    hear(world, writer)
    world.destroy(writer.host)
    come_to_an_end(world)


def what_is_being_computed_again_is_not_once_its_job_has_ended(make: Worlds) -> None:
    """A reader had read an output before it was lost; then nobody needs that any more."""
    world = one_shuffle(make, 1)
    (writer,) = get_on(world)
    world.suspect(writer.id)
    hear(world, writer)  # the map output counts, and the other worker is to read it
    (reader,) = get_on(world)
    assert reader.host != writer.host
    world.join(reader.host)
    world.destroy(writer.host)
    world.lose_host(writer.host)
    world.loop()
    assert any(state.task.stage == 1 for state in world.schedule.attempts.values()), "it is being computed again"
    hear(world, reader)
    assert world.actions[JobId(1)].ended == "done"
    assert all(state.cancelled_ns is not None for state in world.schedule.attempts.values())
    come_to_an_end(world)


def who_read_an_old_table_takes_nothing_away(make: Worlds) -> None:
    """Two readers miss the same block; the second says so when it has been replaced."""
    world = one_shuffle(make, 2)
    (writer,) = get_on(world)
    hear(world, writer)
    world.files.clear()
    # Elsewhere than where it was lost, it is computed again.
    first, second = sorted(get_on(world), key=lambda process: process.host == writer.host)
    hear(world, first)
    get_on(world)
    hear(world, first)  # computed again
    (place,) = world.places().values()
    hear(world, second)
    assert list(world.places().values()) == [place]
    come_to_an_end(world)


def losses_forgiven_stay_forgiven(make: Worlds) -> None:
    """An attempt is lost, the next gets further than any before, and the machine is rebuilt."""
    world = one_shuffle(make, 1)
    for process in list(world.processes.values()):
        get_on_a_little(world)
        if process.running:
            world.join()
            world.kill(process.id, "victim")
            world.bury(process.id)
            world.loop()
    get_on_a_little(world)
    for process in world.processes.values():
        if process.alive:
            world.beat(process)
            hear(world, process)
    world.rebuild()
    come_to_an_end(world)


def get_on_a_little(world: SchedulingWorld) -> None:
    for process in world.processes.values():
        while process.alive and process.inbox:
            world.receive(process)
        if process.alive and process.running is None:
            world.work(process)


def a_cached_partition_that_is_not_there_is_not_waited_for(make: Worlds) -> None:
    """It was dropped, and what it was made of is lost, too."""
    world = one_shuffle(make, 1, cached=True)
    while not world.actions[JobId(1)].ended:
        for process in get_on(world):
            hear(world, process)
    keeper = next(process for process in world.processes.values() if process.cache)
    for host in world.hosts():
        world.join(None)
        if host != keeper.host:
            world.destroy(host)
            world.lose_host(host)
    world.evict(keeper, next(iter(keeper.cache)))
    hear(world, keeper)
    world.files.clear()
    submit(world)
    come_to_an_end(world)


def who_has_ended_is_not_asked_again_because_of_what_it_cached(make: Worlds) -> None:
    """The input of a map task is lost while it runs; with its output comes a cached partition that needs no input."""
    catalog = Catalog([Dataset(((1, Tree()),))], operators=[OperatorId(1)])
    below = Tree(stages=(catalog.shuffle(catalog.datasets[0]),))
    kept = Dataset(((1, Tree(OperatorId(1), below=(below,))),), OperatorId(1))
    catalog.datasets += [kept, Dataset(((1, Tree(stages=(catalog.shuffle(kept),))),))]
    world = make(catalog)
    world.keep(OperatorId(1))
    world.join()
    world.join()
    submit(world)
    (writer,) = get_on(world)
    world.suspect(writer.id)
    hear(world, writer)
    (reader,) = get_on(world)
    world.destroy(writer.host)
    world.lose_host(writer.host)
    world.loop()
    hear(world, reader)
    come_to_an_end(world)


def what_a_dead_worker_kept_is_not_counted_on(make: Worlds) -> None:
    """It dies at a task that was to begin from its own memory, when what that was made of is lost already."""
    world = one_shuffle(make, 1, cached=True)
    (writer,) = get_on(world)
    world.suspect(writer.id)
    hear(world, writer)
    (keeper,) = get_on(world)
    hear(world, keeper)
    assert world.actions[JobId(1)].ended == "done"
    submit(world)
    world.destroy(writer.host)
    world.lose_host(writer.host)
    world.join(keeper.host)
    world.loop()
    world.kill(keeper.id, "nobody")
    world.bury(keeper.id)
    world.loop()
    come_to_an_end(world)


def a_copy_that_is_heard_of_when_its_worker_is_buried_is_not_counted_on(make: Worlds) -> None:
    """The news go by the machine that plans copies, and come behind those of the death; then the keeper lets go."""
    world = one_shuffle(make, 1, cached=True)
    while not world.actions[JobId(1)].ended:
        for process in get_on(world):
            hear(world, process)
    keeper = next(process for process in world.processes.values() if process.cache)
    other = next(process for process in world.processes.values() if process is not keeper)
    world.copy(other, next(iter(keeper.cache)))
    world.hear(other)
    world.kill(other.id, "nobody")
    world.bury(other.id)
    world.loop()
    world.evict(keeper, next(iter(keeper.cache)))
    hear(world, keeper)
    world.files.clear()
    submit(world)
    come_to_an_end(world)


SCENES = [
    a_copy_that_is_heard_of_when_its_worker_is_buried_is_not_counted_on,
    who_has_ended_is_not_asked_again_because_of_what_it_cached,
    what_a_dead_worker_kept_is_not_counted_on,
    an_offer_that_a_commit_took_off_the_table_is_made_again,
    what_is_being_computed_again_is_not_once_its_job_has_ended,
    who_read_an_old_table_takes_nothing_away,
    losses_forgiven_stay_forgiven,
    a_cached_partition_that_is_not_there_is_not_waited_for,
]
