"""Jobs again, in the order and with the pauses in which a program had them run."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from headrace.errors import HeadraceError
from headrace.ids import Digest, JobId, OperatorId, StageId
from headrace.loops.jobs import JobHandle, JobRequest, StageCode
from headrace.plan.levels import StorageLevel
from headrace.plan.profile import Ended, Profile, Replanned, Submitted, shuffles_of
from headrace.plan.stages import StageSpec
from headrace.sim.bodies import SimFlag
from headrace.sim.predict.bodies import name_of
from headrace.sim.predict.model import StageModel
from headrace.sim.predict.session import PredictedSession

PROGRAM = Digest("modelled")  # what workers are sent for every stage


class Step(Struct, frozen=True):
    """What the program does.

    Attributes:
        after: the step that it comes after, and whether after its end; None: after the beginning of the run.
        gap_ns: how long after.
        job: None if stages are only planned anew.

    """

    after: int | None
    after_end: bool
    gap_ns: int
    stages: tuple[StageSpec, ...]
    job: JobId | None = None
    name: str = ""
    wanted: tuple[int, ...] = ()


def steps_of(profile: Profile) -> list[Step]:
    """List what a program did: each thing so long after the last that came before it, a job's beginning or its end.

    Jobs that did not end well are left out; the stages that they brought come with the next.
    """
    steps: list[Step] = []
    numbers: dict[JobId, int] = {}
    after: int | None = None
    at_end, at_ns = False, 0
    waiting: tuple[StageSpec, ...] = ()
    for moment in profile.moments:
        if isinstance(moment, Ended):
            if moment.job in numbers:
                after, at_end, at_ns = numbers[moment.job], True, moment.at_ns
            continue
        gap = moment.at_ns - at_ns
        if isinstance(moment, Replanned):
            steps.append(Step(after, at_end, gap, moment.stages))
            continue
        if profile.jobs[moment.job].state != "done":
            waiting += moment.stages[:-1]
            continue
        steps.append(_job(moment, after, at_end, gap, waiting))
        waiting = ()
        numbers[moment.job] = after = len(steps) - 1
        at_end, at_ns = False, moment.at_ns
    return steps


def _job(
    moment: Submitted[StageSpec], after: int | None, at_end: bool, gap: int, waiting: tuple[StageSpec, ...]
) -> Step:
    assert moment.wanted is not None, "a profile that was read says which partitions were wanted"
    return Step(after, at_end, gap, (*waiting, *moment.stages), moment.job, moment.name, moment.wanted)


class Replay:
    """The program of a predicted run, as a part of its world.

    Attributes:
        over: set when its last job has ended, or one has failed.
        took_ns: when that was.

    """

    def __init__(
        self, session: PredictedSession, profile: Profile, models: Mapping[StageId, StageModel], scale: int
    ) -> None:
        self._session = session
        self._steps = steps_of(profile)
        self._left = sum(step.job is not None for step in self._steps)
        self._next: dict[tuple[int | None, bool], list[int]] = {}
        for number, step in enumerate(self._steps):
            self._next.setdefault((step.after, step.after_end), []).append(number)
        self.over = SimFlag()
        self.took_ns = 0
        self.failure: HeadraceError | None = None
        kept = (keys for stage in profile.stages.values() for keys in stage.cached.values())
        for operator in sorted({key[0] for keys in kept for key in keys}):
            session.controller.keep(OperatorId(operator), StorageLevel.MEMORY_ONLY)
        for number, model in models.items():
            for partition in range(model.spec.partitions):
                size = model.part(partition).provided_bytes
                if size:
                    session.controller.provide(name_of(number, partition), [bytes(-(-size // scale))])
        if not self._left:
            self.over.set()
        self._go_on(None, at_end=False)

    def _go_on(self, number: int | None, *, at_end: bool) -> None:
        for following in self._next.get((number, at_end), ()):
            step = self._steps[following]
            self._session.happen("goes on", step.gap_ns, lambda following=following: self._do(following))  # type: ignore[misc]

    def _do(self, number: int) -> None:
        step = self._steps[number]
        codes = tuple(StageCode(spec, PROGRAM, (), shuffles_of(spec)) for spec in step.stages)
        if step.job is None:
            self._session.controller.replan(codes, {PROGRAM: b"modelled"})
            return
        ended = SimFlag()
        request = JobRequest(step.job, step.name, "", codes, {PROGRAM: b"modelled"}, step.wanted, ())
        handle = JobHandle(request, ended, SimFlag(), SimFlag())
        ended.waiter = lambda: self._ended(number, handle)
        self._session.controller.submit(handle)
        self._go_on(number, at_end=False)

    def _ended(self, number: int, handle: JobHandle) -> None:
        handle.results.clear()
        self._left -= 1
        self.took_ns = self._session.world.time_ns
        if handle.failure is not None:
            self.failure = handle.failure
        if handle.failure is not None or not self._left:
            self.over.set()
        else:
            self._go_on(number, at_end=True)
