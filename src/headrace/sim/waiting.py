"""Who waits for what, in words: from a job down to the last cause that can be seen.

Reads the machines and changes nothing.  The program's side could be asked of any run; what a worker's side waits for, only
where its loop is in this process: in a simulated world.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from headrace.ids import AttemptId, StageId, TaskId, WorkerId
from headrace.loops.controller import Controller
from headrace.loops.work import WorkerLoop
from headrace.protocols import commit, membership, worker
from headrace.protocols.claims import Claims
from headrace.protocols.fetch import Fetch
from headrace.protocols.schedule import Schedule

Line = tuple[int, str]  # how deep, and what
Asked = Callable[[WorkerId, AttemptId], Iterator[Line]]  # says what an attempt waits for on its worker
SHOWN = 4  # of many alike


def nobody_asked(_: WorkerId, __: AttemptId) -> Iterator[Line]:
    """Say nothing of workers that cannot be looked into."""
    yield from ()


def waiting(controller: Controller, now_ns: int, ask: Asked = nobody_asked) -> list[str]:
    """Return the chains of all open jobs, indented."""
    lines = [*_jobs(controller, now_ns, ask), *_workers(controller, now_ns)]
    return [f"{'  ' * depth}{what}" for depth, what in lines]


def _jobs(controller: Controller, now_ns: int, ask: Asked) -> Iterator[Line]:
    scheduler = controller.scheduler
    if not scheduler.jobs:
        yield 0, "the program's loop knows of no job: what was submitted has not reached it, or has ended"
    for job in sorted(scheduler.jobs):
        result = scheduler.lineage.result_stage(job)
        missing = len(scheduler.lineage.missing(job))
        yield 0, f"job {job} waits for {_some(missing, 'partition')} of stage {result}"
        stages = [stage for stage in reversed(scheduler.lineage.alive()) if job in scheduler.lineage.jobs_of(stage)]
        for stage in stages:
            yield from _stage(controller, stage, now_ns, ask)


def _stage(controller: Controller, stage: StageId, now_ns: int, ask: Asked) -> Iterator[Line]:
    scheduler = controller.scheduler
    spec = scheduler.lineage.stage(stage)
    wanted, held = scheduler.lineage.waiting(stage)
    if spec is None or not wanted:
        return
    input_ = f", {held} of them for their input" if held else ""
    yield 1, f"stage {stage} ({spec.name}) lacks {wanted} of {_some(spec.partitions, 'partition')}{input_}"
    if stage in scheduler.gangs:
        gang = scheduler.gangs[stage]
        late = [str(TaskId(stage, p)) for p, attempt in enumerate(gang.members) if attempt not in gang.waiting]
        if gang.waiting:
            yield 2, f"{len(gang.waiting)} tasks wait at barrier {gang.met + 1} for {_list(late)}"
    ready = scheduler.lineage.ready(stage)
    idle: list[TaskId] = []
    shown = 0
    for partition in ready:
        task = TaskId(stage, partition)
        if task in scheduler.by_task or task in scheduler.delivering:
            shown += 1
            if shown <= SHOWN:
                yield from _task(controller, task, now_ns, ask)
        else:
            idle.append(task)
    if shown > SHOWN:
        yield 2, f"... and {shown - SHOWN} more tasks that somebody is at"
    yield from _offers(controller, idle)


def _task(controller: Controller, task: TaskId, now_ns: int, ask: Asked) -> Iterator[Line]:
    scheduler = controller.scheduler
    delivery = scheduler.delivering.get(task)
    if delivery is not None:
        yield 2, f"the result of task {task} (attempt {delivery.attempt}) is on its way to the program"
        for name, fetch in controller.plane.fetches.items():
            if any(block.name.endswith(f"/{delivery.attempt}") for block in fetch.blocks):
                for depth, what in fetching(name, fetch, now_ns):
                    yield 3 + depth, what
    for attempt in scheduler.by_task.get(task, ()):
        yield 2, describe(scheduler, attempt, now_ns)
        for depth, what in ask(scheduler.attempts[attempt].worker, attempt):
            yield 3 + depth, what


def describe(scheduler: Schedule, attempt: AttemptId, now_ns: int) -> str:
    """Say where an attempt is, as far as the program has heard."""
    state = scheduler.attempts[attempt]
    silent = ", which has fallen silent" if state.worker in scheduler.suspects else ""
    ran = f"has run for {_ago(state.ran_ns + now_ns - state.heard_ns)}" if state.heard_ns else "has not begun"
    told = f", and was told to stop {_ago(now_ns - state.cancelled_ns)} ago" if state.cancelled_ns is not None else ""
    return f"task {state.task}: attempt {attempt} on {state.worker}{silent} {ran}{told}"


def _offers(controller: Controller, tasks: list[TaskId]) -> Iterator[Line]:
    """Say why nobody is at some tasks that can run."""
    scheduler, table = controller.scheduler, controller.loop.machines["claims"]
    assert isinstance(table, Claims)
    offered = [task for task in tasks if task in scheduler.offered]
    unoffered = [str(task) for task in tasks if task not in scheduler.offered]
    gangs = {offer.task for offers in table.gangs.values() for offer in offers}
    known = [task for task in offered if task in table.open or task in gangs]
    lost = [str(task) for task in offered if task not in table.open and task not in gangs]
    if unoffered:
        yield 2, f"can run, and not offered to anybody: {_list(unoffered)}"
    if lost:
        yield 2, f"offered, and the claim table knows nothing of it: {_list(lost)}"
    if known:
        yield 2, f"offered and not claimed: {_list([str(task) for task in known])}"
        yield from ((3, why) for why in _unclaimed(table, known))


def _unclaimed(table: Claims, tasks: list[TaskId]) -> Iterator[str]:
    if not table.workers:
        yield "no worker takes tasks"
    for name, state in sorted(table.workers.items())[: 2 * SHOWN]:
        offer = table.open.get(tasks[0])
        if state.suspect:
            yield f"{name} has fallen silent, and is given nothing"
        elif offer is not None and name in offer.avoid:
            yield f"{name} may not have {tasks[0]}"
        elif state.held:
            yield f"{name} has claims already: attempts {_list([str(attempt) for attempt in state.held])}"
        else:
            yield f"{name} is idle"


def _workers(controller: Controller, now_ns: int) -> Iterator[Line]:
    machine = controller.loop.machines["membership"]
    assert isinstance(machine, membership.Membership)
    if machine.given_up:
        yield 0, "no worker is started any more: too many ended before they were ready"
    elif not machine.standing:
        yield 0, "there is no worker, and none is started"
    for name, standing in sorted(machine.standing.items()):
        host = machine.hosts[name]
        match standing:
            case membership.Starting(since_ns=since):
                yield 0, f"{name} on {host} was started {_ago(now_ns - since)} ago, and is not ready"
            case membership.Suspected(heard_ns=heard):
                yield 0, f"{name} on {host} has been silent for {_ago(now_ns - heard)}"
            case membership.Killed(because=why):
                yield 0, f"{name} on {host} is to end ({why}), and its end was not told"
            case _:
                pass  # it is well
    mute = [member.id for member in controller.members.values() if member.ready and member.peer is None]
    if mute:
        yield 0, f"no channel leads to {_list(sorted(mute))}"


# A worker's side.


def attempt_waits(loop: WorkerLoop, attempt: AttemptId, phase: str, now_ns: int) -> Iterator[Line]:
    """Say what an attempt waits for, as its worker sees it.

    Args:
        phase: what the worker was doing when it last said.

    """
    mailbox, reports = loop.loop.machines["worker"], loop.loop.machines["commit"]
    assert isinstance(mailbox, worker.Worker)
    assert isinstance(reports, commit.Commit)
    standing = reports.standing.get(attempt)
    if attempt == mailbox.running:
        yield 0, f"{loop.id} runs it ({phase})"
        if loop.attempts[attempt].report is not None:
            yield 1, "its body has ended, and the loop was not told"
            return
        waits = list(_body_waits(loop, attempt, now_ns))
        yield from waits or [(1, "its body waits for nothing that the engine would have to bring")]
    elif attempt in mailbox.waiting:
        lacks = mailbox.waiting[attempt]
        if lacks:
            yield 0, f"on {loop.id}, it waits for {_list([_thing(lack) for lack in lacks])}"
            for lack in lacks[:SHOWN]:
                asked = mailbox.asked_ns.get(lack)
                said = f"was asked for {_ago(now_ns - asked)} ago" if asked is not None else "was never asked for"
                yield 1, f"{_thing(lack)} {said}"
        else:
            yield 0, f"{loop.id} is at attempt {mailbox.running} before it"
            if mailbox.running is not None and mailbox.running in loop.attempts:
                yield from _body_waits(loop, mailbox.running, now_ns)
    elif isinstance(standing, commit.Reported):
        yield 0, f"{loop.id} has reported it, last {_ago(now_ns - standing.sent_ns)} ago, and has no answer"
    elif attempt in mailbox.over:
        yield 0, f"it is over for {loop.id}, and the program does not know that"
    else:
        yield 0, f"{loop.id} knows nothing of it: the word to run it has not come"


def _thing(lack: str) -> str:
    words = lack.split()
    return f"the outputs of shuffle {words[1]} (version {words[2]})" if words[0] == "outputs" else f"code {words[1]}"


def _body_waits(loop: WorkerLoop, attempt: AttemptId, now_ns: int) -> Iterator[Line]:
    for operator, partition in loop.questions:
        yield 1, f"its body asked who keeps partition {partition} of dataset {operator}, and has no answer"
    said = loop.meetings.waits(attempt)
    if said is not None:
        yield 1, f"its body waits for the others of its gang ({said.call}, meeting {said.meeting})"
    for name, fetch in loop.plane.fetches.items():
        for depth, what in fetching(name, fetch, now_ns):
            yield 1 + depth, what


def fetching(name: str, fetch: Fetch, now_ns: int) -> Iterator[Line]:
    """Say what a pull of blocks waits for."""
    if fetch.head >= len(fetch.blocks):
        return
    block, state = fetch.blocks[fetch.head], fetch.states[fetch.head]
    part = f", part {block.part}" if block.part >= 0 else ""
    yield 0, f"{name} waits for {block.name}{part} from {block.host}: block {fetch.head + 1} of {len(fetch.blocks)}"
    host = fetch.hosts[block.host]
    if state.asked:
        yield (
            1,
            f"{state.asked_of} was asked for it {_ago(now_ns - state.asked_ns)} ago, from byte {state.arrived:,} on",
        )
    elif host.asking_ns is not None:
        yield 1, f"nobody has said who serves {block.host}; asked {_ago(now_ns - host.asking_ns)} ago"
    elif state.arrived > state.consumed:
        yield 1, f"{state.arrived - state.consumed:,} bytes of it are here, and were not taken"
    else:
        yield 1, "nobody was asked for it"


def _ago(ns: int) -> str:
    return f"{ns / 1e9:.1f} s"


def _some(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _list(names: list[str] | list[WorkerId]) -> str:
    return ", ".join(names[: 2 * SHOWN]) + (", ..." if len(names) > 2 * SHOWN else "")
