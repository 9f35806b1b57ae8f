"""When a task is given up: so many failures of its own, or so many losses since it last got further.  No earlier, no later.

One task, one attempt after the other; each ends in a way that is drawn, and a plain count says what must follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from headrace.config import SECOND, ScheduleConfig, SpeculateConfig
from headrace.ids import AttemptId, HostId, JobId, StageId, TaskId, WorkerId
from headrace.plan.stages import Reads, Segment, StageSpec
from headrace.protocols import schedule_words as words
from headrace.protocols.claims import Output
from headrace.protocols.lineage import Change, MapOutput
from headrace.protocols.schedule import Schedule
from headrace.protocols.schedule_state import Attempt
from headrace.protocols.trouble import Troubles
from tests.protocols.planted import SEARCH

AS_IT_COMES = ScheduleConfig()
IMPATIENT = [ScheduleConfig(max_failures=failures, max_losses=losses) for failures, losses in [(1, 1), (2, 3), (5, 2)]]
CONFIGS = st.sampled_from([AS_IT_COMES, *IMPATIENT])
TASK = TaskId(StageId(1001), 0)
JOB, HOST = JobId(1), HostId("h1")
SHUFFLE = StageId(1)

OVERDUE = {"stopped when its time was up", "was killed when its time was up", "failed when its time was up"}
FAILURES = {"raised", "exited", "died of its own signal"} | OVERDUE
LOSSES = {"was killed", "starved"}  # what starves for the first time has found something out, which is no loss
NEITHER = {"was given back", "was killed idle", "failed when cancelled", "took half of its time", "had to wait"}
LIMIT_NS = 3 * SECOND
End = tuple[str, int]  # how an attempt ended, and how far it had got: thousandths
ENDS = st.tuples(
    st.sampled_from(sorted(FAILURES | LOSSES)) | st.sampled_from(sorted(LOSSES)) | st.sampled_from(sorted(NEITHER)),
    st.sampled_from([0, 0, 0, 0, 0, 100, 200, 300]),
)


def fate(ends: Iterable[End], config: ScheduleConfig) -> tuple[str, int] | None:
    """What becomes of the job, and after how many attempts."""
    failures = losses = furthest = 0
    troubled = starved = False  # losses are forgiven only where something went wrong before
    for number, (how, progress) in enumerate(ends, start=1):
        if troubled and progress > furthest:
            furthest, losses = progress, 0
        failures += how in FAILURES
        losses += how in LOSSES and (how != "starved" or starved)
        troubled |= how in FAILURES | LOSSES
        starved |= how == "starved"
        if failures == config.max_failures:
            return "timed out" if how in OVERDUE else "failed", number
        if losses == config.max_losses:
            return "lost", number
    return None


class Task:
    """The one task of a job, attempted again and again."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.attempts = self.workers = 0
        self.offered = False
        self.failed: words.FailJob | None = None
        self.cancelled: set[AttemptId] = set()
        self.now_ns = SECOND
        reads = Segment(0, 1, Reads(stages=(SHUFFLE,)))
        source = StageSpec(SHUFFLE, "map", 1, True, (Segment(0, 1, Reads()),))
        result = StageSpec(TASK.stage, "result", 1, False, (reads,))
        self.tell(words.JobSubmitted(JOB, (source, result), (0,), 0, LIMIT_NS))
        self.bring_the_input()

    def tell(self, event: words.Event) -> None:
        for effect in self.schedule.step(event):
            if isinstance(effect, words.CallOverdue):
                self.tell(words.AttemptOverdue(effect.attempt, effect.ran_ns, effect.limit_ns, self.now_ns))
                self.tell(words.AttemptSeen(effect.attempt, "it slept"))
            elif isinstance(effect, words.Cancel):
                self.cancelled.add(effect.attempt)
            if isinstance(effect, words.MakeOffers):
                self.offered |= any(offer.task == TASK for offer in effect.offers)
            elif isinstance(effect, words.WithdrawOffers):
                self.offered &= TASK not in effect.tasks
            elif isinstance(effect, words.FailJob):
                assert self.failed is None
                self.failed = effect

    def claim(self, task: TaskId) -> tuple[AttemptId, WorkerId]:
        self.attempts += 1
        self.workers += 1
        attempt, worker = AttemptId(self.attempts), WorkerId(f"w{self.workers}")
        self.tell(words.WorkerJoined(worker, HOST, 0))
        self.tell(words.AttemptClaimed(task, attempt, worker, HOST, False, 0))
        return attempt, worker

    def bring_the_input(self) -> None:
        attempt, worker = self.claim(TaskId(SHUFFLE, 0))
        self.source = attempt
        self.tell(words.OutputCommitted(TaskId(SHUFFLE, 0), attempt, worker, Output(MapOutput(HOST, attempt)), 1, 0))

    def attempt(self, how: str, progress: int) -> None:
        assert self.offered, "nobody may try again"
        self.offered = False
        attempt, worker = self.claim(TASK)
        if progress:
            self.tell(words.AttemptProgressed(attempt, 1, progress, 0))
        match how:
            case "raised":
                self.tell(words.AttemptFailed(attempt, worker, how, 0))
                self.tell(words.AttemptFailed(attempt, worker, how, 0))  # reported again
            case "exited" | "died of its own signal":
                self.tell(words.WorkerGone(worker, how, attempt, None, 0))
            case "was killed":
                self.tell(words.WorkerGone(worker, how, None, attempt, 0))
            case "was killed idle":  # what it had not begun is no loss of that task
                self.tell(words.WorkerGone(worker, how, None, None, 0))
            case "was given back":
                self.tell(words.AttemptStopped(attempt, worker, 0))
            case "starved":
                self.tell(words.AttemptStarved(attempt, worker, SHUFFLE, ((0, self.source),), how, 0))
                assert self.failed or not self.offered, "offered without its input"
                if not self.failed:
                    self.bring_the_input()
            case "had to wait":  # for what others had found lost, and what is computed again
                self.tell(words.AttemptStarved(attempt, worker, SHUFFLE, ((0, AttemptId(0)),), how, 0))
            case "took half of its time":
                self.run(attempt, LIMIT_NS // 2)
                assert attempt not in self.cancelled
                self.tell(words.AttemptStopped(attempt, worker, self.now_ns))
            case "stopped when its time was up":
                self.run(attempt, LIMIT_NS)
                assert attempt in self.cancelled
                self.tell(words.AttemptStopped(attempt, worker, self.now_ns))
            case "failed when its time was up":
                self.run(attempt, LIMIT_NS)
                self.tell(words.AttemptFailed(attempt, worker, how, self.now_ns))
            case "was killed when its time was up":
                self.run(attempt, LIMIT_NS)
                self.tell(words.WorkerGone(worker, how, None, attempt, self.now_ns))
            case "failed when cancelled":
                self.schedule.attempts[attempt].cancelled_ns = 0
                self.tell(words.AttemptFailed(attempt, worker, how, 0))

    def run(self, attempt: AttemptId, length_ns: int) -> None:
        """Time passes, of which the attempt tells once, and the machine looks at the clock often."""
        self.tell(words.AttemptProgressed(attempt, 1, 0, self.now_ns))
        end = self.now_ns + length_ns
        while self.now_ns < end:
            assert attempt not in self.cancelled, "its time is not up yet"
            self.now_ns += SECOND // 2
            self.tell(words.Ticked(self.now_ns))


def check(ends: list[End], config: ScheduleConfig, make: type[Schedule] = Schedule) -> None:
    task = Task(make(config, SpeculateConfig()))
    expected = fate(ends, config)
    for number, (how, progress) in enumerate(ends, start=1):
        task.attempt(how, progress)
        if expected is not None and number == expected[1]:
            assert task.failed is not None, f"{expected[0]} after {number} attempts, and the job goes on"
            assert task.failed.kind == expected[0]
            counted = [how for how, _ in ends[:number] if how in FAILURES | LOSSES]
            if "starved" in counted:
                counted.remove("starved")
            for line, how in zip(task.failed.history, counted, strict=True):
                told = line.partition(": ")[2]
                overdue = re.fullmatch(r"ran for 3\.0 s on w\d+, and 3 s is its time: it slept", told)
                assert overdue if how in OVERDUE else told == how, "its history is another"
            return
        assert task.failed is None, f"given up after {number} attempts: {task.failed}"


@settings(max_examples=150)
@given(st.lists(ENDS, min_size=1, max_size=60), CONFIGS)
@example([("raised", 0), ("exited", 0), ("died of its own signal", 0), ("raised", 0)], AS_IT_COMES)
@example([("was killed", 0)] * 20, AS_IT_COMES)
@example([("was killed", 0)] * 19 + [("starved", 100)] * 20, AS_IT_COMES)
@example([("starved", 50)] * 20, AS_IT_COMES)
@example(
    [("raised", 0)] * 3 + [("was killed", 0)] * 19 + [("was killed idle", 0)] * 30 + [("raised", 999)], AS_IT_COMES
)
def test_a_task_is_given_up_when_it_must_be(ends: list[End], config: ScheduleConfig) -> None:
    check(ends, config)


# Bugs that this must notice.


class CountsLossesAsFailures(Schedule):
    def _worker_gone(self, event: words.WorkerGone) -> list[words.Effect]:
        culprit = event.culprit or event.victim
        return super()._worker_gone(words.WorkerGone(event.worker, event.how, culprit, None, event.now_ns))


class LetsThemRun(Schedule):
    def _overdue_by(self, now_ns: int) -> list[words.Effect]:
        return []


class ForgetsThatTimeWasUp(Schedule):
    def _count_overdue(self, *args: object) -> list[words.Effect]:
        return []


class IsImpatient(Schedule):
    def _may_have_run(self, attempt: AttemptId, state: Attempt, now_ns: int) -> int:
        return 2 * super()._may_have_run(attempt, state, now_ns)


class ForgivesNothing(Schedule):
    def _progressed(self, event: words.AttemptProgressed) -> list[words.Effect]:
        return []


class ForgivesFailures(Schedule):
    def _progressed(self, event: words.AttemptProgressed) -> list[words.Effect]:
        self.troubles = Troubles(self.config)
        return []


class ForgivesTheSameAgain(Schedule):
    def _progressed(self, event: words.AttemptProgressed) -> list[words.Effect]:
        for trouble in self.troubles._of.values():
            trouble.furthest = 0
        return super()._progressed(event)


class CountsWhatWasCancelled(Schedule):
    def _failed(self, event: words.AttemptFailed) -> list[words.Effect]:
        if state := self.attempts.get(event.attempt):
            state.cancelled_ns = None
        return super()._failed(event)


class CountsReportsNotAttempts(Schedule):
    def _failed(self, event: words.AttemptFailed) -> list[words.Effect]:
        effects = super()._failed(event)
        return effects + self._count_failure(TASK, event.attempt, event.how, event.now_ns) if self.jobs else effects


class BlamesWhoStarves(Schedule):
    def _count_loss(self, task: TaskId, attempt: AttemptId, how: str, now_ns: int) -> list[words.Effect]:
        count = self._count_failure if how == "starved" else super()._count_loss
        return count(task, attempt, how, now_ns)


class NeverGivesUp(Schedule):
    def _follow(self, change: Change) -> list[words.Effect]:
        self.troubles = Troubles(self.config)
        return super()._follow(change)


BUGS = {
    "nobody's time is ever up": LetsThemRun,
    "that time was up is forgotten": ForgetsThatTimeWasUp,
    "time is up too early": IsImpatient,
    "losses count as failures": CountsLossesAsFailures,
    "progress forgives nothing": ForgivesNothing,
    "progress forgives failures": ForgivesFailures,
    "progress that is none forgives": ForgivesTheSameAgain,
    "who fails after it was cancelled counts": CountsWhatWasCancelled,
    "a failure that is reported twice counts twice": CountsReportsNotAttempts,
    "a failed fetch is the fault of who fetched": BlamesWhoStarves,
    "what went wrong is forgotten with every loss of an output": NeverGivesUp,
}


@pytest.mark.parametrize("bug", BUGS)
def test_is_noticed(bug: str) -> None:
    def noticed(ends: list[End], config: ScheduleConfig) -> None:
        check(ends, config, BUGS[bug])

    search = SEARCH(given(st.lists(ENDS, min_size=1, max_size=60), CONFIGS)(noticed))
    with pytest.raises((AssertionError, ExceptionGroup)):
        search()
