"""What a simulated network promises while links are cut, clogged, narrow and slow; and how its faults begin and end."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.config import MS, SECOND
from headrace.ports import Peer
from headrace.protocols.messages import CONTROL_BYTES_MAX
from headrace.sim.disasters.links import Links
from headrace.sim.faults import BY_NAME, Fault
from headrace.sim.network import Wire
from headrace.sim.network.bandwidth import QUANTUM
from headrace.sim.network.link import UNIT, LinkModel, draw_link
from headrace.sim.place import PROGRAM
from headrace.sim.world import World
from tests.sim.network_help import Process, link_up, make, rest, until

SLACK_NS = 50 * MS  # more than any latency of a calm network
SENDS = st.tuples(st.just("send"), st.integers(0, 3), st.sampled_from([0, 10, 3000, 200_000]))
STEPS = st.one_of(
    SENDS,
    st.tuples(st.sampled_from(["cut", "mend", "clog", "unclog"]), st.sampled_from(["ab", "ba"])),
    SENDS,
    st.tuples(st.sampled_from(["pause", "unpause", "close"]), st.integers(0, 1)),
    st.tuples(st.just("wait"), st.sampled_from([1, 150, 1000, 5000, 11_000])),
)


class Channels:
    """Both directions of two channels in a world where all goes wrong, and what was sent on each."""

    def __init__(self, seed: int, trouble: dict[str, float]) -> None:
        self.wire, self.processes = make("ab", seed)
        a, b = self.processes
        self.ways: list[tuple[Process, Peer, Process, Peer]] = []
        for _ in range(2):
            here, there = link_up(a, b)
            self.ways += [(a, here, b, there), (b, there, a, here)]
        self.sent: list[list[bytes]] = [[] for _ in self.ways]
        self.dropped_by_owner: set[int] = set()
        self.cuts: list[str] = []
        self.clogs: list[str] = []
        self.wire.lose.add(trouble["loss"])
        self.wire.double.add(trouble["double"])
        self.wire.extra_ns.add(int(trouble["latency"] * SECOND))
        for port in self.wire.ports("b"):
            port.narrow(trouble["narrow"])

    def do(self, step: tuple[Any, ...]) -> None:
        wire = self.wire
        match step:
            case "send", way, size:
                process, peer, *_ = self.ways[way]
                if peer not in process.closed_ns and process.paused is None and way not in self.dropped_by_owner:
                    data = b"%d|" % len(self.sent[way]) + bytes(size)
                    self.sent[way].append(data)
                    process.network.send(peer, data)
            case "close", way:
                process, peer, *_ = self.ways[way]
                if peer not in process.closed_ns:
                    self.dropped_by_owner.add(way)
                process.network.close(peer)
            case "cut", pair:
                wire.cut(wire.link(*pair))
                self.cuts.append(pair)
            case "mend", pair if pair in self.cuts:
                self.cuts.remove(pair)
                wire.mend(wire.link(*pair))
            case "clog", pair:
                wire.clog(wire.link(*pair))
                self.clogs.append(pair)
            case "unclog", pair if pair in self.clogs:
                self.clogs.remove(pair)
                wire.unclog(wire.link(*pair))
            case "pause", which:
                self.processes[which].paused = self.processes[which].paused or []
            case "unpause", which:
                self.processes[which].unpause()
            case "wait", ms:
                until(wire.world, wire.world.time_ns + ms * MS)
            case _:
                pass  # nothing to end

    def heal(self) -> None:
        for pair in self.cuts:
            self.wire.mend(self.wire.link(*pair))
        for pair in self.clogs:
            self.wire.unclog(self.wire.link(*pair))
        for process in self.processes:
            process.unpause()
        rest(self.wire.world)


@settings(max_examples=150)
@given(
    st.integers(0, 1000),
    st.fixed_dictionaries(
        {
            "loss": st.sampled_from([0.0, 0.3]),
            "double": st.sampled_from([0.0, 0.5]),
            "latency": st.sampled_from([0.0, 1.0]),
            "narrow": st.sampled_from([1.0, 0.001]),
        }
    ),
    st.lists(STEPS, min_size=10, max_size=40),
)
def test_all_that_was_sent_comes_in_order_or_the_sender_is_told(
    seed: int, trouble: dict[str, float], steps: list[tuple[Any, ...]]
) -> None:
    channels = Channels(seed, trouble)
    for step in steps:
        channels.do(step)
    channels.heal()
    for way, (sender, here, receiver, there) in enumerate(channels.ways):
        sent, got = channels.sent[way], receiver.frames[there]
        if trouble["double"]:
            got = [data for i, data in enumerate(got) if not i or data != got[i - 1]]
        assert got == sent[: len(got)], "in order, from the first on"
        if len(got) < len(sent) and way not in channels.dropped_by_owner:
            assert here in sender.closed_ns, "who waits for an answer to what is lost is told"


@settings(max_examples=40)
@given(st.lists(st.binary(max_size=60), max_size=12), st.booleans())
def test_frames_that_travel_whole_are_those_that_travel_framed(frames: list[bytes], too_long: bool) -> None:
    """What is sent before a channel is open goes through the code that cuts bytes into frames, the rest does not."""
    if too_long:
        frames = [*frames, bytes(CONTROL_BYTES_MAX + 1), b"behind it"]
    told = []
    for early in (True, False):
        wire, (one, other) = make("ab")
        here = one.network.connect("b")
        if not early:
            until(wire.world, SLACK_NS)
        for data in frames:
            one.network.send(here, data)
        rest(wire.world)
        told.append((other.heard(), len(one.closed_ns), len(other.closed_ns)))
    assert told[0] == told[1]
    assert told[0] == ([data for data in frames if not too_long or data in frames[:-2]], too_long, too_long)


def test_channels_overtake_each_other_and_frames_of_one_do_not() -> None:
    wire, (a, b) = make("ab")
    wire.extra_ns.add(SECOND)
    peers = [link_up(a, b) for _ in range(2)]
    for i in range(40):
        a.network.send(peers[i % 2][0], b"%d" % i)
    order: list[int] = []
    seen = {there: 0 for _, there in peers}
    while len(order) < 40:
        wire.world.step()
        for there, known in seen.items():
            order += [int(data) for data in b.frames[there][known:]]
            seen[there] = len(b.frames[there])
    assert order != sorted(order)
    assert [i for i in order if i % 2] == list(range(1, 40, 2))


def test_large_blocks_of_many_to_one_take_their_time_and_delay_no_word() -> None:
    wire, (target, *sources) = make("tabcd")
    ways = [link_up(source, target)[0] for source in sources]
    here, there = link_up(sources[0], target)
    link, began = wire.link("a", "t"), wire.world.time_ns
    for source, way in zip(sources, ways, strict=True):
        for _ in range(2):
            source.network.send(way, bytes(4 << 20))
    for i in range(250):
        wire.world.later(i * 100_000, "says", lambda i=i: sources[0].network.send(here, b"%d" % i))  # type: ignore[misc]
    rest(wire.world)
    total = sum(len(data) for data in target.heard())
    least_ns = total * SECOND // wire.model.bytes_s
    assert total >= 32 << 20
    assert least_ns <= target.came[-1][0] - began <= least_ns * 1.1 + SLACK_NS
    assert link.out is not None
    bound = link.median_ns * max(link.factors) // UNIT + 2 * (4 + 2) * link.out.time_of(QUANTUM)
    delays = [at_ns - began - int(data) * 100_000 for at_ns, peer, data in target.came if peer == there]
    assert len(delays) == 250
    assert max(delays) <= bound < least_ns / 2


@given(st.integers(0, 1 << 32), st.sampled_from("abc"), st.sampled_from("abc"))
def test_a_link_is_drawn_from_the_seed_and_its_name(seed: int, source: str, target: str) -> None:
    wire = Wire(World(seed))
    wire.link("x", "y")
    link, again = wire.link(source, target), draw_link(seed, source, target, LinkModel())
    assert (link.median_ns, link.factors) == (again.median_ns, again.factors)
    low, high = LinkModel().near_ns if source == target else LinkModel().far_ns
    assert low <= link.median_ns <= high


# How faults begin and end.


def world_of(hosts: int = 3) -> tuple[Wire, Links]:
    wire = Wire(World(5))
    processes = {f"w{i}": SimpleNamespace(host=f"h{i % hosts}") for i in range(6)}
    return wire, Links(wire.world, wire, SimpleNamespace(processes=processes))  # type: ignore[arg-type]


def state(wire: Wire) -> object:
    hosts = ["h0", "h1", "h2", PROGRAM]
    links = [wire.link(one, other) for one in hosts for other in hosts if one != other]
    ports = [port.time_of(SECOND) for host in hosts for port in wire.ports(host)]
    dials = (wire.lose.value, wire.double.value, wire.extra_ns.value)
    return [(link.blocked, link.deaf) for link in links], ports, dials


FAULTS = st.sampled_from(sorted(world_of()[1].handlers)).flatmap(
    lambda kind: st.builds(
        Fault,
        st.just(kind),
        st.integers(0, 3 * SECOND),
        st.integers(0, 1 << 30),
        st.sampled_from([0, 10 * MS, 5 * SECOND]),
        st.sampled_from(BY_NAME[kind].forms),
        st.sampled_from(BY_NAME[kind].strength or (0.0,)),
    )
)


@settings(max_examples=30)
@given(st.lists(FAULTS, min_size=1, max_size=8), st.integers(0, 4 * SECOND))
def test_every_fault_bites_and_healing_ends_all_for_good(faults: list[Fault], healed_ns: int) -> None:
    wire, links = world_of()
    kind = state(wire)
    for fault in faults:
        before = state(wire)
        struck = links.handlers[fault.kind](fault)
        assert struck is not None
        assert struck.victim
        assert state(wire) != before or len(faults) > 1
    until(wire.world, healed_ns)
    links.heal()
    assert state(wire) == kind
    rest(wire.world)
    assert state(wire) == kind


@given(FAULTS)
def test_a_fault_ends_by_itself_when_its_time_has_come(fault: Fault) -> None:
    wire, links = world_of()
    kind = state(wire)
    links.handlers[fault.kind](fault)
    if fault.for_ns:
        until(wire.world, fault.for_ns)
        assert state(wire) == kind
    elif fault.form != "flapping":
        until(wire.world, 100 * SECOND)
        assert state(wire) != kind


@pytest.mark.parametrize(("form", "victim"), [("both ways", "and"), ("one way", "to"), ("flapping", "and")])
def test_the_forms_of_a_partition(form: str, victim: str) -> None:
    wire, links = world_of()
    struck = links.handlers["partition"](Fault("partition", 0, 1, 30 * SECOND, form))
    assert struck is not None
    one, word, other = struck.victim.split()
    assert word == victim
    states = set()
    for ms in range(0, 29_000, 5):
        until(wire.world, ms * MS)
        states.add((wire.link(one, other).blocked, wire.link(other, one).blocked))
    expected = {"both ways": {(True, True)}, "one way": {(True, False)}, "flapping": {(True, True), (False, False)}}
    assert states == expected[form]
