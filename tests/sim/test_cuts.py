"""What becomes of channels when links are cut, clogged or go dark: who hears what, and who learns of it when."""

from __future__ import annotations

import pytest

from headrace.config import MS, SECOND
from headrace.protocols.channel import HANDSHAKE_NS
from headrace.sim.network import BREAK_NS, Wire
from headrace.sim.network.wire import RESEND_NS_MAX
from tests.sim.network_help import Process, link_up, make, rest, until

SLACK_NS = 50 * MS  # more than any latency of a calm network


def cut_both(wire: Wire) -> None:
    wire.cut(wire.link("a", "b"))
    wire.cut(wire.link("b", "a"))


def mend_both(wire: Wire) -> None:
    wire.mend(wire.link("a", "b"))
    wire.mend(wire.link("b", "a"))


def pass_by(wire: Wire, ns: int) -> None:
    until(wire.world, wire.world.time_ns + ns)


def half_open() -> tuple[Wire, Process, Process]:
    """Have b believe in a channel that a has given up."""
    wire, (a, b) = make("ab")
    here, there = link_up(a, b)
    cut_both(wire)
    a.network.send(here, b"is lost")
    pass_by(wire, BREAK_NS)
    mend_both(wire)
    pass_by(wire, 1000 * SECOND)
    assert here in a.closed_ns
    assert there not in b.closed_ns
    return wire, a, b


def test_who_can_be_heard_is_heard_through_a_cut_in_one_direction() -> None:
    wire, (a, b) = make("ab")
    here, there = link_up(a, b)
    cut_ns = wire.world.time_ns
    wire.cut(wire.link("a", "b"))
    a.network.send(here, b"to b")
    b.network.send(there, b"to a")
    until(wire.world, cut_ns + SLACK_NS)
    assert (a.heard(), b.heard()) == ([b"to a"], [])
    rest(wire.world)
    assert b.heard() == []
    assert a.closed_ns == {here: cut_ns + BREAK_NS}, "nothing that it sends is acknowledged"
    assert b.closed_ns == {there: cut_ns + BREAK_NS}, "nor is what is heard"


def test_who_sends_nothing_never_learns_of_a_cut() -> None:
    wire, a, b = half_open()
    (there,) = b.opened_ns
    b.network.send(there, b"hello?")
    pass_by(wire, SLACK_NS)
    assert there in b.closed_ns
    assert a.heard() == b.heard() == []


def test_who_is_refused_learns_of_it_past_a_clogged_link() -> None:
    wire, _, b = half_open()
    (there,) = b.opened_ns
    wire.clog(wire.link("a", "b"))
    b.network.send(there, b"hello?")
    pass_by(wire, BREAK_NS + SLACK_NS)
    assert there in b.closed_ns


def test_what_was_not_acknowledged_is_sent_again_and_refused() -> None:
    """It was heard at the time; but the one that heard it has given up since."""
    wire, (a, b) = make("ab")
    here, there = link_up(a, b)
    wire.cut(wire.link("b", "a"))
    b.network.send(there, b"is lost")
    pass_by(wire, BREAK_NS // 2)
    a.network.send(here, b"is heard")
    pass_by(wire, BREAK_NS // 2 + SLACK_NS)
    assert b.heard() == [b"is heard"]
    assert there in b.closed_ns
    assert here not in a.closed_ns
    wire.mend(wire.link("b", "a"))
    pass_by(wire, RESEND_NS_MAX + SLACK_NS)
    assert here in a.closed_ns


def test_what_is_in_flight_when_a_link_is_cut_is_not_acknowledged() -> None:
    wire, (a, b) = make("ab")
    here, _ = link_up(a, b)
    a.network.send(here, b"on its way")
    wire.cut(wire.link("b", "a"))
    rest(wire.world)
    assert b.heard() == [b"on its way"]
    assert here in a.closed_ns


def test_nothing_comes_behind_what_was_given_up() -> None:
    """Some of it is still waiting for its own host's link when the channel breaks, and the cut ends before it leaves."""
    wire, (a, b) = make("ab")
    here, _ = link_up(a, b)
    out, _ = wire.ports("a")
    out.narrow(1e-4)
    cut_both(wire)
    for i in range(20):
        a.network.send(here, b"%d" % i + bytes(100_000))
    pass_by(wire, BREAK_NS + SECOND)
    mend_both(wire)
    rest(wire.world)
    assert here in a.closed_ns
    assert b.heard() == []


@pytest.mark.parametrize("sides", ["both", "one"])
def test_a_short_cut_breaks_nothing(sides: str) -> None:
    wire, (a, b) = make("ab")
    here, there = link_up(a, b)
    links = [wire.link("a", "b"), wire.link("b", "a")][: 2 if sides == "both" else 1]
    for link in links:
        wire.cut(link)
    for i in range(5):
        a.network.send(here, b"%d" % i)
        b.network.send(there, b"%d" % i)
    healed_ns = wire.world.time_ns + BREAK_NS - 2 * RESEND_NS_MAX
    until(wire.world, healed_ns)
    for link in links:
        wire.mend(link)
    a.network.send(here, b"5")  # it is not tried again yet, and nothing overtakes what waits
    b.network.send(there, b"5")
    until(wire.world, healed_ns + RESEND_NS_MAX + SLACK_NS)
    assert a.heard() == b.heard() == [b"%d" % i for i in range(6)]
    rest(wire.world)
    assert not a.closed_ns
    assert not b.closed_ns


def test_a_clogged_link_delays_and_breaks_nothing() -> None:
    wire, (a, b) = make("ab")
    here, there = link_up(a, b)
    wire.clog(wire.link("a", "b"))
    a.network.send(here, b"to b")
    b.network.send(there, b"to a")
    until(wire.world, wire.world.time_ns + 10 * BREAK_NS)
    assert (a.heard(), b.heard()) == ([b"to a"], [])
    wire.unclog(wire.link("a", "b"))
    until(wire.world, wire.world.time_ns + SLACK_NS)
    assert b.heard() == [b"to b"]
    assert not a.closed_ns
    assert not b.closed_ns


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("there", ["b", "nobody"])
def test_connecting(there: str, blocked: bool) -> None:
    """To a process or to one that has ended, past a cut that lasts or freely."""
    wire, (a, b) = make("ab")
    wire.host_of["nobody"] = "b"
    if blocked:
        wire.cut(wire.link("b", "a"))  # what comes back
    peer = a.network.connect(there)
    a.network.send(peer, b"hello")
    rest(wire.world)
    assert b.heard() == ([b"hello"] if there == "b" and not blocked else [])
    if blocked:
        assert a.closed_ns == {peer: HANDSHAKE_NS}
        assert not b.opened_ns
    elif there == "b":
        assert peer in a.opened_ns
        assert not a.closed_ns
    else:
        assert 0 < a.closed_ns[peer] < SLACK_NS


@pytest.mark.parametrize("early", [False, True])
def test_a_host_without_power_says_nothing_and_knows_nothing_when_it_is_back(early: bool) -> None:
    wire, (a, b) = make("ab")
    here, _ = link_up(a, b)
    wire.darken("b")
    b.network.shut()
    pass_by(wire, 3 * SECOND)
    if early:
        a.network.send(here, b"is anybody there?")
        late = a.network.connect("b")
    pass_by(wire, SECOND)
    assert not a.closed_ns
    wire.lighten("b")
    pass_by(wire, RESEND_NS_MAX + SLACK_NS)
    assert (here in a.closed_ns) == early
    if early:
        pass_by(wire, HANDSHAKE_NS)
        assert late in a.closed_ns
    else:
        a.network.send(here, b"is anybody there?")
        pass_by(wire, SLACK_NS)
        assert here in a.closed_ns
