"""Words that come twice within one step of the loop, and clocks of workers that run wrong."""

from __future__ import annotations

import pytest

from headrace.config import SECOND, ScheduleConfig, SpeculateConfig
from headrace.ids import AttemptId, HostId, JobId, StageId, TaskId, WorkerId
from headrace.plan.stages import Reads, Segment, StageSpec
from headrace.protocols import schedule_words as words
from headrace.protocols.claims import Output
from headrace.protocols.schedule import Schedule

STAGE, JOB, WORKER, HOST = StageId(1), JobId(1), WorkerId("w1"), HostId("h1")
TASK, ATTEMPT = TaskId(STAGE, 0), AttemptId(1)


@pytest.fixture
def machine() -> Schedule:
    """A job of two tasks; a worker has claimed the first, and may be at it for twenty seconds."""
    machine = Schedule(ScheduleConfig(), SpeculateConfig())
    machine.step(words.WorkerJoined(WORKER, HOST, 0))
    spec = StageSpec(STAGE, "collect", 2, False, (Segment(0, 2, Reads()),))
    machine.step(words.JobSubmitted(JOB, (spec,), (0, 1), 0, 20 * SECOND))
    machine.step(words.AttemptClaimed(TASK, ATTEMPT, WORKER, HOST, copy=False, now_ns=0))
    return machine


def verdicts(effects: list[words.Effect]) -> list[bool]:
    return [effect.kept for effect in effects if isinstance(effect, words.Settle)]


@pytest.mark.parametrize("host_is_lost", [False, True])
def test_a_report_that_comes_twice_at_once_has_one_answer(machine: Schedule, host_is_lost: bool) -> None:
    """The claim table answers the second before the machine here has dealt with the first."""
    if host_is_lost:
        machine.step(words.HostGone(HOST, 1))
    once = machine.step(words.OutputCommitted(TASK, ATTEMPT, WORKER, Output(inline=True), 1, 2))
    again = machine.step(words.OutputKept(ATTEMPT, WORKER))
    assert verdicts(once) == verdicts(again) == [not host_is_lost]


def test_a_worker_whose_clock_runs_wrong_is_not_late(machine: Schedule) -> None:
    machine.step(words.AttemptProgressed(ATTEMPT, ran_ns=1000 * SECOND, progress=10, now_ns=SECOND))
    late = []
    for now_ns in range(SECOND, 21 * SECOND, SECOND // 2):
        if any(isinstance(effect, words.CallOverdue) for effect in machine.step(words.Ticked(now_ns))):
            late.append(now_ns // SECOND)
    assert late[0] == 20
