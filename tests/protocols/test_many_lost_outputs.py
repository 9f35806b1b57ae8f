"""A host may leave many outputs broken at once, of which each attempt at a reader finds one: that is no endless trouble."""

from __future__ import annotations

import pytest

from headrace.config import ScheduleConfig, SpeculateConfig
from headrace.ids import AttemptId, HostId, JobId, StageId, TaskId, WorkerId
from headrace.plan.stages import Reads, Segment, StageSpec
from headrace.protocols import schedule_words as words
from headrace.protocols.claims import Output
from headrace.protocols.lineage import MapOutput
from headrace.protocols.schedule import Schedule

MAPS, RESULT, JOB = StageId(1), StageId(2), JobId(1)
WORKER, HOST = WorkerId("w1"), HostId("h1")
READER = TaskId(RESULT, 0)
LOSSES = 5
PARTITIONS = 3 * LOSSES


class Run:
    """A job whose only reader needs many outputs."""

    def __init__(self) -> None:
        self.machine = Schedule(ScheduleConfig(max_losses=LOSSES), SpeculateConfig())
        self.named = 0
        self.failed = False
        self.counts: dict[int, AttemptId] = {}
        maps = StageSpec(MAPS, "map", PARTITIONS, True, (Segment(0, PARTITIONS, Reads()),))
        reads = StageSpec(RESULT, "collect", 1, False, (Segment(0, 1, Reads(stages=(MAPS,))),))
        self.tell(words.WorkerJoined(WORKER, HOST, 0))
        self.tell(words.JobSubmitted(JOB, (maps, reads), (0,), 0))
        for partition in range(PARTITIONS):
            self.make(partition)

    def tell(self, event: words.Event) -> None:
        self.failed = any(isinstance(e, words.FailJob) for e in self.machine.step(event)) or self.failed

    def claim(self, task: TaskId) -> AttemptId:
        self.named += 1
        self.tell(words.AttemptClaimed(task, AttemptId(self.named), WORKER, HOST, copy=False, now_ns=self.named))
        return AttemptId(self.named)

    def make(self, partition: int) -> None:
        attempt = self.counts[partition] = self.claim(TaskId(MAPS, partition))
        output = Output(MapOutput(HOST, attempt))
        self.tell(words.OutputCommitted(TaskId(MAPS, partition), attempt, WORKER, output, 1, self.named))

    def miss(self, partition: int) -> None:
        """The reader finds an output lost, which is made again."""
        lost = ((partition, self.counts[partition]),)
        self.tell(words.AttemptStarved(self.claim(READER), WORKER, MAPS, lost, "it is broken", self.named))
        if not self.failed:
            self.make(partition)


def test_each_attempt_that_finds_another_output_lost_gets_further() -> None:
    run = Run()
    for partition in range(PARTITIONS):
        run.miss(partition)
    assert not run.failed


@pytest.mark.parametrize("times", [LOSSES, LOSSES + 1])
def test_an_output_that_is_lost_again_and_again_is_given_up(times: int) -> None:
    run = Run()
    for _ in range(times):
        assert not run.failed
        run.miss(0)
    assert run.failed == (times == LOSSES + 1), "the first time is news"


def test_who_finds_what_others_have_found_lost_before_has_lost_nothing() -> None:
    run = Run()
    old = run.counts[0]
    run.miss(0)
    for _ in range(2 * LOSSES):  # each was given the places as they were before
        run.tell(words.AttemptStarved(run.claim(READER), WORKER, MAPS, ((0, old),), "it is broken", run.named))
    assert not run.failed
