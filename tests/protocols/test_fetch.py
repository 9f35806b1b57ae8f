"""Pulling blocks in a hostile world: answers late, doubled and out of order, peers that break or fall silent, lost hosts.

The body takes what it is given, block after block in the order of its list, as a reducer merges map outputs.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headrace.config import MS, SECOND
from headrace.ids import HostId
from headrace.protocols import fetch
from headrace.protocols.fetch import Block, Fetch
from tests.protocols.planted import must_be_noticed

PIECE = 8
ADDRESSES = {HostId("a"): ("a1", "a2"), HostId("b"): ("b1",)}


@dataclass(frozen=True)
class Answer:
    """On its way from a peer."""

    pull: fetch.Pull
    lacking: bool


class World(RuleBasedStateMachine):
    make: type[Fetch] = Fetch

    @initialize(
        blocks=st.lists(st.tuples(st.sampled_from(sorted(ADDRESSES)), st.integers(0, 30)), min_size=1, max_size=6),
        budget=st.integers(1, 40),
    )
    def begin(self, blocks: list[tuple[HostId, int]], budget: int) -> None:
        self.blocks = tuple(Block(f"b{i}", i, host) for i, (host, _) in enumerate(blocks))
        self.sizes = [size for _, size in blocks]
        self.machine = self.make(self.blocks, budget, PIECE)
        self.budget = budget
        self.now_ns = 0
        self.missing: set[int] = set()  # blocks
        self.cut: set[int] = set()  # blocks that are shorter than they say
        self.gone: set[HostId] = set()
        self.silent: set[str] = set()
        self.questions: dict[HostId, int] = {}  # where a host is, and when that was last asked
        self.outstanding: dict[int, fetch.Pull] = {}  # by place: what was asked for and is waited for
        self.asked_ns: dict[int, int] = {}
        self.answers: list[Answer] = []
        self.given = [0] * len(blocks)  # bytes
        self.taken = [0] * len(blocks)
        self.pieces: list[list[int]] = [[] for _ in blocks]  # given and not taken, in order
        self.lost: tuple[int, ...] | None = None
        self.because: set[tuple[int, ...]] = set()  # what may be said to be lost, at this very moment
        self.arriving: tuple[int, int, int] | None = None
        self.tell(fetch.Begun(0))

    def tell(self, event: fetch.Event) -> None:
        for effect in self.machine.step(event):
            assert self.lost is None, "the body has been told that it must end"
            self.perform(effect)

    def perform(self, effect: fetch.Effect) -> None:
        match effect:
            case fetch.Locate(host=host):
                before = self.questions.get(host)
                assert before is None or self.now_ns - before >= fetch.ASK_AGAIN_NS, "asks too often"
                self.questions[host] = self.now_ns
            case fetch.Pull(place=place):
                self.check_pull(effect)
                self.outstanding[place], self.asked_ns[place] = effect, self.now_ns
                self.answers.append(Answer(effect, place in self.missing))
            case fetch.Give(place=place, offset=offset):
                assert self.arriving is not None, "nothing has come"
                at, begin, length = self.arriving
                assert (place, offset) == (at, begin)
                assert offset == self.given[place], "not the next piece of its block"
                self.given[place] += length
                self.pieces[place].append(length)
                self.outstanding.pop(place, None)
                self.arriving = None
            case fetch.Lose(places=places):
                assert tuple(places) in self.because, f"{places} are said to be lost: {self.because}"
                self.lost = places

    def held(self) -> int:
        """Bytes asked for, or here and not taken."""
        return sum(pull.limit for pull in self.outstanding.values()) + sum(self.given) - sum(self.taken)

    def check_pull(self, pull: fetch.Pull) -> None:
        place = pull.place
        assert place not in self.outstanding, "asked for twice"
        assert not self.is_complete(place)
        assert pull.offset == self.given[place]
        assert 0 < pull.limit <= PIECE
        assert pull.address in ADDRESSES[self.blocks[place].host]
        head = next(i for i in range(len(self.blocks)) if not self.is_complete(i) or self.given[i] > self.taken[i])
        urgent = place == head and self.given[place] == self.taken[place]
        assert urgent or self.held() + pull.limit <= self.budget, "over the budget"

    def is_complete(self, place: int) -> bool:
        """Whether all of a block is here, and known to be: of an empty one, too, a piece must have come."""
        state = self.machine.states[place]
        return state.total is not None and self.given[place] >= self.sizes[place]

    # The peers.

    def arrive(self, answer: Answer) -> None:
        pull = answer.pull
        if answer.lacking:
            self.because = {(pull.place,)}
            self.tell(fetch.Lacking(pull.place, "it is not there"))
        else:
            end = self.sizes[pull.place] if pull.place not in self.cut else self.sizes[pull.place] // 2
            length = max(0, min(pull.limit, end - pull.offset))
            self.because = {(pull.place,)} if not length and pull.offset < self.sizes[pull.place] else set()
            self.arriving = (pull.place, pull.offset, length)
            self.tell(fetch.Arrived(pull.place, pull.offset, length, self.sizes[pull.place], self.now_ns))
            self.arriving = None
        self.because = set()

    def speaking(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.pull.address not in self.silent]

    @precondition(lambda self: self.speaking())
    @rule(data=st.data(), twice=st.booleans())
    def an_answer_comes(self, data: st.DataObject, twice: bool) -> None:
        """Any of them; sometimes it comes again later."""
        answer = data.draw(st.sampled_from(self.speaking()))
        if not twice:
            self.answers.remove(answer)
        self.arrive(answer)

    @precondition(lambda self: self.questions)
    @rule(data=st.data(), known=st.booleans())
    def a_host_is_found(self, data: st.DataObject, known: bool) -> None:
        host = data.draw(st.sampled_from(sorted(self.questions)))
        address = data.draw(st.sampled_from(ADDRESSES[host])) if known else ""
        if known:
            del self.questions[host]
        self.tell(fetch.Located(host, address, self.now_ns))

    @rule(address=st.sampled_from(["a1", "a2", "b1"]))
    def a_channel_breaks(self, address: str) -> None:
        """What was asked for there is not waited for any more; some of it may have been on its way, and still come."""
        self.drop(address)
        self.tell(fetch.Broken(address, self.now_ns))

    def drop(self, address: str) -> None:
        for place in [place for place, pull in self.outstanding.items() if pull.address == address]:
            del self.outstanding[place]

    @rule(address=st.sampled_from(["a1", "a2", "b1"]), silent=st.booleans())
    def a_peer_falls_silent_or_speaks(self, address: str, silent: bool) -> None:
        (self.silent.add if silent else self.silent.discard)(address)

    @precondition(lambda self: self.blocks)
    @rule(data=st.data(), seldom=st.integers(0, 3), cut=st.booleans())
    def a_block_goes_missing_or_is_cut(self, data: st.DataObject, seldom: int, cut: bool) -> None:
        if seldom == 0:
            (self.cut if cut else self.missing).add(data.draw(st.integers(0, len(self.blocks) - 1)))

    @rule(host=st.sampled_from(sorted(ADDRESSES)), seldom=st.integers(0, 10))
    def a_host_is_lost(self, host: HostId, seldom: int) -> None:
        if seldom == 10:
            self.gone.add(host)
            open_ = tuple(i for i, b in enumerate(self.blocks) if b.host == host and not self.is_complete(i))
            told = self.lost
            self.because = {open_} if open_ else set()
            self.tell(fetch.HostGone(host))
            self.because = set()
            assert not open_ or told is not None or self.lost == open_, "blocks of a lost host are waited for"

    # The body, and time.

    def takeable(self) -> int | None:
        """The place that the body takes from: the first that it has not had all of."""
        for place in range(len(self.blocks)):
            if self.pieces[place]:
                return place
            if not (self.is_complete(place) and self.taken[place] == self.given[place]):
                return None
        return None

    @precondition(lambda self: self.takeable() is not None)
    @rule()
    def the_body_takes_a_piece(self) -> None:
        place = self.takeable()
        assert place is not None
        length = self.pieces[place].pop(0)
        self.taken[place] += length
        self.tell(fetch.Consumed(place, length, self.now_ns))

    @rule(elapsed_ns=st.sampled_from([100 * MS, SECOND, 6 * SECOND]))
    def time_passes(self, elapsed_ns: int) -> None:
        self.now_ns += elapsed_ns
        for place, pull in list(self.outstanding.items()):
            if self.now_ns - self.asked_ns[place] >= fetch.PULL_AGAIN_NS:
                self.drop(pull.address)  # whatever it has not answered by now is asked for again
        self.tell(fetch.Ticked(self.now_ns))

    @invariant()
    def somebody_is_asked(self) -> None:
        """Whatever the budget: what the body needs next is on its way, or there, or somebody looks for its host."""
        if self.lost is not None:
            return
        for place, block in enumerate(self.blocks):
            if self.pieces[place]:
                return
            if not self.is_complete(place):
                assert place in self.outstanding or block.host in self.questions, f"nobody brings block {place}"
                return

    @invariant()
    def the_budget_is_used(self) -> None:
        for place, block in enumerate(self.blocks):
            state = self.machine.states[place]
            idle = self.lost is None and not self.is_complete(place) and place not in self.outstanding
            if idle:
                limit = PIECE if state.total is None else min(PIECE, state.total - self.given[place])
                if self.held() + limit > self.budget:
                    return  # the room that is left is for this one: those behind it must not take it
                assert not self.machine.hosts[block.host].address, f"block {place} could be asked for, and is not"

    def teardown(self) -> None:
        """Liveness: once peers answer, everything is there in order, or is said to be lost."""
        if not hasattr(self, "machine") or sys.exception() is not None:
            return
        self.silent.clear()
        for _ in range(200):
            for host in sorted(self.questions):
                del self.questions[host]
                self.tell(fetch.Located(host, ADDRESSES[host][0], self.now_ns))
            for answer in list(self.answers):
                self.answers.remove(answer)
                self.arrive(answer)
            while self.takeable() is not None:
                self.the_body_takes_a_piece()
            self.time_passes(SECOND)
            if self.lost is not None or self.taken == self.sizes == self.given:
                break
        assert self.lost is not None or self.taken == self.sizes, "a body waits for ever"


TestFetch = World.TestCase
TestFetch.settings = settings(max_examples=120, stateful_step_count=40, report_multiple_bugs=False)


# Bugs that this world must notice.


class SpendsMore(Fetch):
    def _go(self, now_ns: int) -> list[fetch.Effect]:
        self.budget += PIECE
        effects = super()._go(now_ns)
        self.budget -= PIECE
        return effects


class TakesItTwice(Fetch):
    def _arrived(self, event: fetch.Arrived) -> list[fetch.Effect]:
        state = self.states[event.place]
        if 0 < event.offset < state.arrived:
            return [fetch.Give(event.place, event.offset)]
        return super()._arrived(event)


class LosesTheWholeHost(Fetch):
    def _lose(self, places: tuple[int, ...], why: str) -> list[fetch.Effect]:
        hosts = {self.blocks[place].host for place in places}
        return super()._lose(tuple(i for i, block in enumerate(self.blocks) if block.host in hosts), why)


class LosesTheFirstOnly(Fetch):
    def _lose(self, places: tuple[int, ...], why: str) -> list[fetch.Effect]:
        return super()._lose(places[:1], why)


class WaitsForTheBroken(Fetch):
    def _give_up(self, address: str) -> None:
        for host in self.hosts.values():
            if host.address == address:
                host.address, host.avoid = "", address


class LeaksItsBudget(Fetch):
    def _give_up(self, address: str) -> None:
        before = self.held
        super()._give_up(address)
        self.held = max(self.held, before)


class TrustsSilence(Fetch):
    def _ticked(self, now_ns: int) -> list[fetch.Effect]:
        for state in self.states:
            state.asked_ns = now_ns
        return super()._ticked(now_ns)


class AsksWhereOnce(Fetch):
    def _ticked(self, now_ns: int) -> list[fetch.Effect]:
        return [effect for effect in super()._ticked(now_ns) if not isinstance(effect, fetch.Locate)]


class StarvesOnASmallBudget(Fetch):
    def _go(self, now_ns: int) -> list[fetch.Effect]:
        return super()._go(now_ns) if self.budget - self.held >= PIECE else []


class TakesAShortBlockForWhole(Fetch):
    def _lose(self, places: tuple[int, ...], why: str) -> list[fetch.Effect]:
        return [] if "ends at" in why else super()._lose(places, why)


BUGS = {
    "more is asked for than the budget allows": SpendsMore,
    "a piece that comes twice is given twice": TakesItTwice,
    "a missing block takes along all of its host": LosesTheWholeHost,
    "of a lost host's blocks only the first is named": LosesTheFirstOnly,
    "what was asked of a broken channel is waited for": WaitsForTheBroken,
    "what was asked of a broken channel stays in the account": LeaksItsBudget,
    "a silent peer is waited for": TrustsSilence,
    "a host is looked for once": AsksWhereOnce,
    "a budget below a piece brings nothing": StarvesOnASmallBudget,
    "a block that ends early is waited for": TakesAShortBlockForWhole,
}


@pytest.mark.parametrize("bug", BUGS)
def test_is_noticed(bug: str) -> None:
    must_be_noticed(type("Planted", (World,), {"make": BUGS[bug]}))
