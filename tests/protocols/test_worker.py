"""The worker's mailbox and its settling of reports in a hostile world: doubled, late and crossing messages.

The program is modelled as far as the two machines see it: it assigns attempts, calls off, asks back, answers reports, each
perhaps twice and in any order, and once it has decided about an attempt it never decides otherwise.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headrace.config import MS
from headrace.ids import AttemptId
from headrace.protocols import commit, worker
from headrace.protocols.commit import Commit
from headrace.protocols.worker import Worker
from tests.protocols.planted import must_be_noticed

THINGS = ("code", "table", "broadcast")
REPORT_AGAIN_NS = commit.SEND_AGAIN_NS


@dataclass
class Attempt:
    """What has become of an attempt on this worker, and what the program thinks of it."""

    assigned: int = 0  # when; 0: never
    needs: tuple[str, ...] = ()
    began: bool = False
    ended: bool = False
    returned: bool = False
    called_off: bool = False
    interrupted: bool = False
    left_output: bool = False
    discarded: bool = False
    dropped: bool = False  # its report
    sent_ns: list[int] = field(default_factory=list)  # reports
    kept: bool | None = None  # the program's decision
    refusal_heard: bool = False

    @property
    def over(self) -> bool:
        return self.ended or self.returned


class World(RuleBasedStateMachine):
    make_worker: type[Worker] = Worker
    make_commit: type[Commit] = Commit

    @initialize()
    def begin(self) -> None:
        self.worker, self.commit = self.make_worker(), self.make_commit()
        self.attempts: dict[AttemptId, Attempt] = {}
        self.now_ns = 0
        self.assignments = 0
        self.here: set[str] = set()
        self.wanted: dict[str, int] = {}  # things asked for, and when
        self.retiring = self.left = False

    # The two machines, as the worker's loop wires them.

    def tell(self, event: worker.Event) -> None:
        for effect in self.worker.step(event):
            self.perform(effect)

    def settle(self, event: commit.Event) -> None:
        for effect in self.commit.step(event):
            self.carry_out(effect)

    def perform(self, effect: worker.Effect) -> None:
        match effect:
            case worker.Start(attempt=attempt):
                self.check_start(attempt)
                self.attempts[attempt].began = True
                self.settle(commit.Began(attempt))
            case worker.Interrupt(attempt=attempt):
                state = self.attempts[attempt]
                assert attempt in self.running(), "what does not run cannot be interrupted"
                assert state.called_off
                assert not state.interrupted, "interrupted twice"
                state.interrupted = True
            case worker.Return(attempt=attempt):
                state = self.attempts.setdefault(attempt, Attempt())
                assert not state.began, "given back though it had begun"
                assert not state.returned, "given back twice"
                state.returned = True
                self.settle(commit.Ended(attempt, left_output=False, now_ns=self.now_ns))
            case worker.Ask(things=things):
                for thing in things:
                    before = self.wanted.get(thing)
                    assert thing not in self.here
                    assert before is None or self.now_ns - before >= worker.ASK_AGAIN_NS, f"asks for {thing} too often"
                    self.wanted[thing] = self.now_ns
            case worker.Leave():
                assert self.retiring
                assert not self.running(), "leaves while a body runs"
                assert not self.waiting(), "leaves with attempts that nobody will hear of"
                self.left = True

    def check_start(self, attempt: AttemptId) -> None:
        state = self.attempts[attempt]
        assert not state.began, "run twice"
        assert not state.returned, "run after it was given back"
        assert not state.called_off, "run after it was called off"
        assert not self.running(), "two bodies at once"
        assert not self.retiring, "begun while retiring"
        assert set(state.needs) <= self.here, "begun without what it needs"
        before = [a for a in self.waiting() if self.attempts[a].assigned < state.assigned]
        assert not [a for a in before if set(self.attempts[a].needs) <= self.here], "out of turn"

    def carry_out(self, effect: commit.Effect) -> None:
        state = self.attempts[effect.attempt]
        match effect:
            case commit.SendReport():
                assert state.over, "a report on what has not ended"
                assert not state.dropped, "a report on what is settled"
                assert not state.refusal_heard, "a report on what was refused already"
                assert not state.sent_ns or self.now_ns - state.sent_ns[-1] >= REPORT_AGAIN_NS, "reports too often"
                state.sent_ns.append(self.now_ns)
            case commit.DropReport():
                assert state.over
                assert not state.dropped, "settled twice"
                assert state.kept is not None, "settled without a word"
                state.dropped = True
            case commit.Discard():
                assert state.over, "discarded while it was being written"
                assert state.left_output, "there is nothing to discard"
                assert state.kept is False, "an output that counts is discarded"
                assert not state.discarded, "discarded twice"
                state.discarded = True

    def running(self) -> list[AttemptId]:
        return [a for a, state in self.attempts.items() if state.began and not state.ended]

    def waiting(self) -> list[AttemptId]:
        return [a for a, state in self.attempts.items() if state.assigned and not state.began and not state.returned]

    # What the program says.

    @rule(
        numbers=st.lists(st.integers(1, 12), min_size=1, max_size=3, unique=True),
        needs=st.sets(st.sampled_from(THINGS)),
        twice=st.booleans(),
    )
    def attempts_are_assigned(self, numbers: list[int], needs: set[str], twice: bool) -> None:
        for number in numbers:
            state = self.attempts.setdefault(AttemptId(number), Attempt())
            if not state.assigned and not state.returned and not state.began:
                self.assignments += 1
                state.assigned, state.needs = self.assignments, tuple(sorted(needs))
        event = worker.Assigned(tuple(map(AttemptId, numbers)), tuple(sorted(needs)), self.now_ns)
        for _ in range(1 + twice):
            self.tell(event)

    @rule(things=st.sets(st.sampled_from(THINGS), min_size=1), twice=st.booleans())
    def things_come(self, things: set[str], twice: bool) -> None:
        self.here |= things
        for thing in things:
            self.wanted.pop(thing, None)
        for _ in range(1 + twice):
            self.tell(worker.Supplied(tuple(sorted(things))))

    @precondition(lambda self: not self.waiting())
    @rule(things=st.sets(st.sampled_from(THINGS), min_size=1))
    def things_are_dropped(self, things: set[str]) -> None:
        self.here -= things
        self.tell(worker.Forgotten(tuple(sorted(things))))

    @rule(number=st.integers(1, 12), twice=st.booleans())
    def an_attempt_is_called_off(self, number: int, twice: bool) -> None:
        """Perhaps before it comes, perhaps after it has ended."""
        state = self.attempts.setdefault(AttemptId(number), Attempt())
        state.called_off = True
        for _ in range(1 + twice):
            self.tell(worker.CalledOff((AttemptId(number),)))
        assert state.over or state.interrupted, "called off, and nothing came of it"

    @precondition(lambda self: self.running())
    @rule(twice=st.booleans())
    def what_runs_is_called_off(self, twice: bool) -> None:
        self.an_attempt_is_called_off(number=self.running()[0], twice=twice)

    @precondition(lambda self: self.attempts)
    @rule(data=st.data(), twice=st.booleans())
    def attempts_are_asked_back(self, data: st.DataObject, twice: bool) -> None:
        asked = data.draw(st.lists(st.sampled_from(sorted(self.attempts)), min_size=1, max_size=3))
        for _ in range(1 + twice):
            self.tell(worker.AskedBack(tuple(asked)))
        assert not set(asked) & set(self.waiting()), "asked back, and kept"

    @precondition(lambda self: any(state.sent_ns or state.began for state in self.attempts.values()))
    @rule(data=st.data(), keep=st.booleans(), twice=st.booleans())
    def a_report_is_answered(self, data: st.DataObject, keep: bool, twice: bool) -> None:
        """Also before it has come: what was lost with a copy's commit is refused while it works."""
        attempt = data.draw(st.sampled_from(sorted(a for a, s in self.attempts.items() if s.sent_ns or s.began)))
        state = self.attempts[attempt]
        if state.kept is None:
            state.kept = keep and bool(state.sent_ns)
        if not state.kept and not state.over:
            state.refusal_heard = True
        for _ in range(1 + twice):
            self.settle(commit.Settled(attempt, state.kept))

    @rule(seldom=st.integers(0, 9))
    def it_is_to_retire(self, seldom: int) -> None:
        if seldom == 9:
            self.retire()

    def retire(self) -> None:
        self.retiring = True
        self.tell(worker.Retiring())

    # What happens here.

    @precondition(lambda self: self.running())
    @rule(left_output=st.booleans())
    def the_body_ends(self, left_output: bool) -> None:
        (attempt,) = self.running()
        state = self.attempts[attempt]
        state.left_output = left_output
        state.ended = True
        self.settle(commit.Ended(attempt, left_output, self.now_ns))
        self.tell(worker.BodyEnded(attempt))

    @rule(elapsed_ms=st.sampled_from([10, 400, 1100]))
    def time_passes(self, elapsed_ms: int) -> None:
        self.now_ns += elapsed_ms * MS
        self.tell(worker.Ticked(self.now_ns))
        self.settle(commit.Ticked(self.now_ns))
        for state in self.attempts.values():
            if state.over and not state.dropped:
                assert self.now_ns - state.sent_ns[-1] < REPORT_AGAIN_NS, "a report that may be lost is not sent again"
        for attempt in self.waiting() if not self.retiring else ():
            for thing in set(self.attempts[attempt].needs) - self.here:
                assert self.now_ns - self.wanted[thing] < worker.ASK_AGAIN_NS, f"{thing} is not asked for again"

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        if not self.running() and not self.retiring:
            stuck = [a for a in self.waiting() if set(self.attempts[a].needs) <= self.here]
            assert not stuck, f"attempts {stuck} could run, and nothing does"
        assert not (self.retiring and not self.running()) or self.left

    def teardown(self) -> None:
        """Liveness: everything comes, bodies end, reports are answered, and nothing is left, retiring or not."""
        if not hasattr(self, "worker") or sys.exception() is not None:
            return
        if len(self.attempts) % 2:
            self.retire()
        self.here |= set(THINGS)
        self.tell(worker.Supplied(THINGS))
        for _ in range(len(self.attempts) + 1):
            if self.running():
                self.the_body_ends(left_output=True)
        assert all(state.over for state in self.attempts.values())
        for attempt, state in sorted(self.attempts.items()):
            state.kept = attempt % 2 == 1 if state.kept is None else state.kept
            self.settle(commit.Settled(attempt, state.kept))
            assert state.dropped
            assert state.discarded == (state.left_output and not state.kept)
        assert not self.commit.standing
        assert not self.worker.waiting


TestWorker = World.TestCase
TestWorker.settings = settings(max_examples=120, stateful_step_count=40, report_multiple_bugs=False)


# Bugs that this world must notice.


class RunsWhatWasCalledOffBefore(Worker):
    def _call_off(self, attempt: AttemptId) -> list[worker.Effect]:
        known = attempt in self.waiting or attempt in self.over or attempt == self.running
        effects = super()._call_off(attempt)
        if not known:
            del self.over[attempt]
        return effects


class RunsTwice(Worker):
    def step(self, event: worker.Event) -> list[worker.Effect]:
        if isinstance(event, worker.BodyEnded):
            effects = super().step(event)
            self.over.pop(event.attempt)
            return effects
        return super().step(event)


class GivesBackWhatRuns(Worker):
    def step(self, event: worker.Event) -> list[worker.Effect]:
        if isinstance(event, worker.AskedBack) and self.running in event.attempts:
            return [worker.Return(self.running), *super().step(event)]
        return super().step(event)


class BeginsWithoutCode(Worker):
    def _assigned(self, attempts: tuple[AttemptId, ...], needs: tuple[str, ...], now_ns: int) -> list[worker.Effect]:  # type: ignore[override]
        return super()._assigned(attempts, tuple(need for need in needs if need != "code"), now_ns)


class AsksOnce(Worker):
    def step(self, event: worker.Event) -> list[worker.Effect]:
        return [] if isinstance(event, worker.Ticked) else super().step(event)


class LeavesAtOnce(Worker):
    def step(self, event: worker.Event) -> list[worker.Effect]:
        if isinstance(event, worker.Retiring):
            return [*super().step(event), worker.Leave()]
        return super().step(event)


class InterruptsAgain(Worker):
    def _call_off(self, attempt: AttemptId) -> list[worker.Effect]:
        self.interrupted = False
        return super()._call_off(attempt)


class WaitsBehindTheFirst(Worker):
    def _begin(self) -> list[worker.Effect]:
        if self.running is None and self.waiting and next(iter(self.waiting.values())):
            return []
        return super()._begin()


class DiscardsWhatCounts(Commit):
    def _settled(self, attempt: AttemptId, kept: bool) -> list[commit.Effect]:
        return super()._settled(attempt, kept and attempt % 2 == 0)


class ReportsOnce(Commit):
    def _ticked(self, now_ns: int) -> list[commit.Effect]:
        return []


class ForgetsAnEarlyRefusal(Commit):
    def _settled(self, attempt: AttemptId, kept: bool) -> list[commit.Effect]:
        if isinstance(self.standing.get(attempt), commit.Working):
            return []
        return super()._settled(attempt, kept)


class LeavesWhatWasRefused(Commit):
    def _settled(self, attempt: AttemptId, kept: bool) -> list[commit.Effect]:
        return [effect for effect in super()._settled(attempt, kept) if not isinstance(effect, commit.Discard)]


BUGS: dict[str, type[Worker | Commit]] = {
    "what was called off before it came is run": RunsWhatWasCalledOffBefore,
    "an order that comes again is carried out again": RunsTwice,
    "what runs is given back": GivesBackWhatRuns,
    "a body begins without its code": BeginsWithoutCode,
    "what is lost on its way here is not asked for again": AsksOnce,
    "it leaves while a body runs": LeavesAtOnce,
    "a body is interrupted twice": InterruptsAgain,
    "who lacks something holds up those behind": WaitsBehindTheFirst,
    "an output that counts is discarded": DiscardsWhatCounts,
    "a report that is lost is not sent again": ReportsOnce,
    "a refusal that comes before the end is forgotten": ForgetsAnEarlyRefusal,
    "an output that was refused stays": LeavesWhatWasRefused,
}


@pytest.mark.parametrize("bug", BUGS)
def test_is_noticed(bug: str) -> None:
    machine = "make_worker" if issubclass(BUGS[bug], Worker) else "make_commit"
    must_be_noticed(type("Planted", (World,), {machine: BUGS[bug]}))
