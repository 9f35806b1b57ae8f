"""A job that stands still though nothing goes wrong any more is found, and said to wait for what it waits for."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest

import headrace
from headrace.config import parse_url
from headrace.errors import NoProgress
from headrace.loops.data import Stream
from headrace.loops.results import Results
from headrace.loops.work import WorkerLoop
from headrace.protocols import messages
from headrace.protocols.claims import Claims, Offered
from headrace.protocols.commit import Commit, SendReport, Ticked
from headrace.protocols.membership import Membership
from headrace.protocols.messages import Report
from headrace.sim import liveness
from headrace.sim.liveness import patience_ns
from headrace.sim.network import SimNetwork
from headrace.sim.process import SimProcess
from headrace.sim.world import World

URL = "sim://?workers=4&hosts=2&seed=5"


def job(url: str = URL) -> list[tuple[int, int]]:
    with headrace.connect(url, progress=False) as ctx:
        pairs = ctx.range(4000, num_slices=8).map(lambda x: (x % 3, x))
        return sorted(pairs.reduce_by_key(operator.add, 4).collect())


def chain(run: Callable[[], object] = job) -> str:
    """Run something that never ends; return the chain that is shown."""
    with pytest.raises(NoProgress) as stuck:
        run()
    assert stuck.value.seed == 5
    return "\n".join(stuck.value.evidence)


def lose(monkeypatch: pytest.MonkeyPatch, *kinds: type[msgspec.Struct], after: int = 0) -> None:
    """Have a kind of message never arrive, but for the first ones."""
    send, sent = SimNetwork.send, [0]

    def sends(self: SimNetwork, peer: Any, data: bytes) -> None:
        if isinstance(messages.decode(data), kinds):
            sent[0] += 1
            if sent[0] > after:
                return
        send(self, peer, data)

    monkeypatch.setattr(SimNetwork, "send", sends)


def test_a_run_that_goes_well_is_left_alone() -> None:
    assert job() == [(key, sum(range(key, 4000, 3))) for key in range(3)]


def test_the_word_to_run_it_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, messages.Run, after=4)
    said = chain()
    assert "job 1 waits for 4 partitions of stage" in said
    assert "the word to run it has not come" in said


def test_code_that_is_never_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, messages.Blob)
    said = chain()
    assert "it waits for code" in said
    assert "was asked for" in said
    assert "is open, nothing is on its way" in said


def test_a_pull_that_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, messages.Piece, messages.Lack)
    said = chain()
    assert "runs it (fetch)" in said
    assert "waits for shuffle/" in said
    assert "was asked for it" in said


def test_where_a_host_is_served_is_never_said(monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, messages.Whereabouts)
    assert "nobody has said who serves h" in chain()


def test_a_report_that_is_sent_once_and_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    step = Commit.step

    def silent(self: Commit, event: object) -> list[object]:
        effects = step(self, event)  # type: ignore[arg-type]
        return [e for e in effects if not (isinstance(event, Ticked) and isinstance(e, SendReport))]

    monkeypatch.setattr(Commit, "step", silent)
    lose(monkeypatch, Report, after=5)
    said = chain()
    assert "has reported it" in said
    assert "has no answer" in said


def test_an_offer_that_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    step, seen = Claims.step, [0]

    def forgetful(self: Claims, event: object) -> list[object]:
        if isinstance(event, Offered):
            seen[0] += 1
            if seen[0] == 2:
                return []
        return step(self, event)  # type: ignore[arg-type,return-value]

    monkeypatch.setattr(Claims, "step", forgetful)
    assert "offered, and the claim table knows nothing of it: " in chain()


def test_nobody_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Claims, "_claim_one", lambda *_: False)
    said = chain()
    assert "offered and not claimed: " in said
    assert "w1 is idle" in said


def test_a_worker_that_is_never_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """The judge of start-ups would end it, so he is deaf, too."""
    lose(monkeypatch, messages.Hello)
    monkeypatch.setattr(Membership, "_judge", lambda *_: [])
    said = chain()
    assert "no worker takes tasks" in said
    assert "is not ready" in said


def test_a_wake_up_that_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body waits for blocks that are there."""

    def put(self: Stream, place: int, piece: bytes, *, complete: bool) -> None:
        self._pieces[place].append(piece)
        self._complete[place] = self._complete[place] or complete

    monkeypatch.setattr(Stream, "put", put)
    assert "bytes of it are here, and were not taken" in chain()


def test_a_result_that_never_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Results, "_delivered", lambda *_: None)
    assert "is on its way to the program" in chain(lambda: job(URL + "&inline=0k"))


def test_tasks_of_a_gang_that_do_not_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    lose(monkeypatch, messages.Met)

    def gang() -> None:
        with headrace.connect(URL, progress=False) as ctx:
            ctx.range(9, num_slices=3).barrier().map_partitions(_meet).collect()

    assert "waits for the others of its gang" in chain(gang)


def _meet(records: Iterable[int]) -> Iterable[int]:
    headrace.BarrierTaskContext.get().barrier()
    return records


def test_retries_that_go_round_and_round_are_no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every report says that the attempt was given back, so that tasks are done again and again, and never done."""
    send = WorkerLoop.send

    def give_back(self: WorkerLoop, message: messages.Message) -> None:
        if isinstance(message, Report) and message.outcome == "done":
            message = msgspec.structs.replace(message, outcome="returned")
        send(self, message)

    monkeypatch.setattr(WorkerLoop, "send", give_back)
    monkeypatch.setattr(liveness, "ATTEMPTS_MAX", 2)

    def small() -> None:
        with headrace.connect(URL, progress=False) as ctx:
            ctx.range(3, num_slices=1).collect()

    assert "attempts were made, and nothing got any further" in chain(small)


def test_a_world_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    later = World.later

    def no_ticks(self: World, delay_ns: int, label: str, happen: Callable[[], None]) -> None:
        if "ticks" not in label:
            later(self, delay_ns, label, happen)

    monkeypatch.setattr(World, "later", no_ticks)
    lose(monkeypatch, messages.Run)
    said = chain()
    assert "nothing is going to happen any more" in said
    assert "the word to run it has not come" in said


def test_a_stopped_process_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A healed world has none; if one were left, and the judge of silence were asleep, it would be seen."""
    happen, stopped = SimProcess.happen, list[SimProcess]()

    def stop(self: SimProcess, label: str, delay_ns: int, action: Callable[[], None]) -> None:
        if self.attempt and not stopped:
            stopped.append(self)
            self.paused = True
        happen(self, label, delay_ns, action)

    monkeypatch.setattr(SimProcess, "happen", stop)
    monkeypatch.setattr(Membership, "_judge", lambda *_: [])
    said = chain(lambda: job(URL + "&speculate=no"))
    assert f"{stopped[0].id} is stopped" in said


def test_a_function_that_takes_long_is_no_standstill() -> None:
    assert patience_ns(parse_url("sim://?task_timeout=100")) > 300 * 10**9
    assert patience_ns(parse_url("sim://")) < 200 * 10**9
