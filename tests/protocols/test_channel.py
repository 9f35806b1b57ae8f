"""Channels among honest sides and an attacker who hears everything, says anything, and does not know the key.

A side may open only if an honest one of the other kind answered its challenge: that rules out impostors, reflection and
replays at once.  Carrying bytes between two honest sides unchanged is no attack; a wire does the same.
"""

from __future__ import annotations

import hmac
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from headrace.errors import PeerRefused
from headrace.protocols.channel import GREETING, LENGTH, MAGIC, NONCE_BYTES, PROOF, Framing, Handshake, framed
from tests.protocols.planted import must_be_noticed

KEY = b"the run's key"


class Side:
    """An honest side of one channel."""

    def __init__(self, make: type[Handshake], number: int, *, opener: bool) -> None:
        self.opener = opener
        self.nonce = number.to_bytes(NONCE_BYTES, "big")
        self.handshake = make(KEY, self.nonce, opener=opener)
        self.refused = False
        self.heard = b""

    @property
    def challenge(self) -> bytes:
        """What the other side asked."""
        return self.heard[len(MAGIC) : GREETING]


class World(RuleBasedStateMachine):
    make: type[Handshake] = Handshake

    @initialize()
    def begin(self) -> None:
        self.sides: list[Side] = []
        self.known: list[bytes] = [MAGIC, bytes(PROOF), b"\xff" * PROOF]  # what the attacker can say

    @precondition(lambda self: len(self.sides) < 6)
    @rule(opener=st.booleans())
    def a_side_begins(self, opener: bool) -> None:
        side = Side(self.make, len(self.sides) + 1, opener=opener)
        self.sides.append(side)
        self.learn(side.handshake.greeting())

    def learn(self, said: bytes) -> None:
        """Whatever is said is heard by the attacker, who knows what the pieces are."""
        for piece in (said, said[len(MAGIC) :] if said.startswith(MAGIC) else said):
            if piece and piece not in self.known:
                self.known.append(piece)

    @precondition(lambda self: any(not side.refused and not side.handshake.done for side in self.sides))
    @rule(data=st.data(), guess=st.binary(max_size=4))
    def something_is_said_to_a_side(self, data: st.DataObject, guess: bytes) -> None:
        open_ = [side for side in self.sides if not side.refused and not side.handshake.done]
        self.say(data.draw(st.sampled_from(open_)), data.draw(st.sampled_from([*self.known, guess])))

    @precondition(lambda self: any(not side.refused and not side.handshake.done for side in self.sides))
    @rule(data=st.data(), with_magic=st.booleans())
    def a_challenge_and_a_proof_are_said(self, data: st.DataObject, with_magic: bool) -> None:
        """What an attacker would do: a nonce of whatever side, then a proof that somebody gave once."""
        side = data.draw(st.sampled_from([s for s in self.sides if not s.refused and not s.handshake.done]))
        self.say(side, MAGIC + data.draw(st.sampled_from(self.sides)).nonce)
        proofs = [piece for piece in self.known if len(piece) == PROOF]
        if not side.refused:
            self.say(side, data.draw(st.sampled_from(proofs)))

    @rule(data=st.data())
    def two_sides_are_connected(self, data: st.DataObject) -> None:
        """With the attacker listening, or by the attacker: two sides of one kind are not meant to talk."""
        fresh = [side for side in self.sides if not side.heard]
        if len(fresh) > 1:
            here, there = data.draw(st.permutations(fresh))[:2]
            answer = self.say(there, here.handshake.greeting())
            proof = self.say(here, there.handshake.greeting() + answer)
            self.say(there, proof)
            meant = here.opener != there.opener
            assert here.handshake.done == there.handshake.done == meant

    def say(self, side: Side, data: bytes) -> bytes:
        side.heard += data
        try:
            answer = side.handshake.receive(data)
        except PeerRefused:
            side.refused = True
            assert not side.handshake.done
            return b""
        self.learn(answer)
        return answer

    @invariant()
    def who_is_open_was_answered_by_an_honest_side(self) -> None:
        for side in self.sides:
            if side.handshake.done:
                partners = [s for s in self.sides if s.opener != side.opener and s.nonce == side.challenge]
                assert any(partner.challenge == side.nonce for partner in partners), "opened to an impostor"


TestChannel = World.TestCase
TestChannel.settings = settings(max_examples=120, stateful_step_count=30, report_multiple_bugs=False)


# Bugs that this world must notice.


class ProvesNoSide(Handshake):
    def _proof(self, opener: bool) -> bytes:
        assert self._theirs is not None
        return hmac.new(KEY, bytes(sorted(self._nonce + self._theirs)), "sha256").digest()


class ProvesNoOrder(Handshake):
    def _proof(self, opener: bool) -> bytes:
        assert self._theirs is not None
        ours, theirs = (self._nonce, self._theirs) if opener == self._opener else (self._theirs, self._nonce)
        return hmac.new(KEY, ours + theirs, "sha256").digest()


class ProvesOnlyTheirs(Handshake):
    def _proof(self, opener: bool) -> bytes:
        assert self._theirs is not None
        challenge = self._theirs if opener == self._opener else b""
        return hmac.new(KEY, (b"o" if opener else b"a") + challenge, "sha256").digest()


class ComparesNothing(Handshake):
    def receive(self, data: bytes) -> bytes:
        try:
            return super().receive(data)
        except PeerRefused:
            self.done = len(data) >= PROOF
            return b""


BUGS = {
    "the proof does not say which side gives it": ProvesNoSide,
    "the proof is over the challenges in the order of who gives it": ProvesNoOrder,
    "the proof is not over our own challenge": ProvesOnlyTheirs,
    "a wrong proof opens": ComparesNothing,
}


@pytest.mark.parametrize("bug", BUGS)
def test_is_noticed(bug: str) -> None:
    must_be_noticed(type("Planted", (World,), {"make": BUGS[bug]}))


# Bytes.


def chunks(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(places)]


CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@given(st.lists(st.binary(max_size=40), max_size=6), CUTS, CUTS)
def test_what_is_said_arrives_however_it_is_cut(frames: list[bytes], cuts: list[int], cuts_back: list[int]) -> None:
    """Frames may come in the same piece as the end of the handshake."""
    here, there = Handshake(KEY, b"1" * NONCE_BYTES, opener=True), Handshake(KEY, b"2" * NONCE_BYTES, opener=False)
    answer = there.receive(here.greeting())
    proof = b"".join(here.receive(part) for part in chunks(there.greeting() + answer, cuts_back))
    assert here.done
    framing, got = Framing(100), []
    for part in chunks(proof + b"".join(map(framed, frames)), cuts):
        if not there.done:
            assert there.receive(part) == b""
            part = there.rest if there.done else b""
        got += list(framing.receive(part))
    assert there.done
    assert got == frames


@pytest.mark.parametrize("key", [b"", KEY[:-1], b"\0" + KEY, KEY.upper()])
def test_another_key_opens_nothing(key: bytes) -> None:
    here, there = Handshake(KEY, b"1" * NONCE_BYTES, opener=True), Handshake(key, b"2" * NONCE_BYTES, opener=False)
    answer = there.receive(here.greeting())
    with pytest.raises(PeerRefused):
        here.receive(there.greeting() + answer)
    honest = Handshake(KEY, b"3" * NONCE_BYTES, opener=True)
    proof = honest.receive(there.greeting())
    with pytest.raises(PeerRefused):
        there.receive(proof)
    assert not here.done
    assert not there.done


@given(st.binary(max_size=200), CUTS, st.booleans())
def test_whatever_is_said_is_refused_or_waited_for(data: bytes, cuts: list[int], greets: bool) -> None:
    side = Handshake(KEY, b"1" * NONCE_BYTES, opener=True)
    try:
        for part in chunks((MAGIC if greets else b"") + data, cuts):
            side.receive(part)
    except PeerRefused:
        return
    assert not side.done
    assert len(side._buffer) < GREETING + PROOF, "what cannot become a handshake is kept"


@given(st.integers(0, 64), st.lists(st.binary(max_size=80), max_size=8), CUTS)
def test_frames_up_to_the_limit_arrive_and_no_longer_ones(limit: int, frames: list[bytes], cuts: list[int]) -> None:
    fitting = next((i for i, frame in enumerate(frames) if len(frame) > limit), None)
    framing, got = Framing(limit), []
    data = b"".join(map(framed, frames))
    try:
        for part in chunks(data, cuts):
            got += list(framing.receive(part))
    except PeerRefused:
        assert fitting is not None
        assert got == frames[: len(got)]
    else:
        assert fitting is None
        assert got == frames
        assert len(framing._held) == 0


@given(st.integers(101, 2**32 - 1), st.binary(max_size=3))
def test_a_long_frame_is_refused_before_it_has_come(length: int, rest: bytes) -> None:
    with pytest.raises(PeerRefused):
        list(Framing(100).receive(LENGTH.pack(length) + rest))
