"""A port of a simulated link: nothing is faster than the rate, nothing is left lying, and flows share it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.config import SECOND
from headrace.errors import InternalError
from headrace.sim.network.bandwidth import QUANTUM, Port
from headrace.sim.world import World

RATE = 1_000_000_000  # a byte a nanosecond
SIZES = st.one_of(st.integers(1, 2000), st.integers(1, 4 * QUANTUM))


class Meter:
    """Sends frames through a port, and keeps what came through: when, whose, how large, which."""

    def __init__(self, rate: int = RATE) -> None:
        self.world = World(1)
        self.through: list[tuple[int, str, int, int]] = []
        self.port = Port[str, int](self.world, "port", rate, self._sent)

    def _sent(self, flow: str, size: int, item: int, done_ns: int) -> None:
        self.through.append((done_ns, flow, size, item))

    def send(self, flow: str, size: int, item: int) -> None:
        done = self.port.take(flow, size, item, self.world.time_ns)
        if done is not None:
            self._sent(flow, size, item, done)

    def send_at(self, at_ns: int, flow: str, size: int, item: int) -> None:
        self.world.later(at_ns, "sends", lambda: self.send(flow, size, item))

    def run(self) -> None:
        try:
            while True:
                self.world.step()
        except InternalError:
            pass


@given(st.lists(st.tuples(st.integers(0, 500_000), st.sampled_from("abc"), SIZES), min_size=1, max_size=30))
def test_a_port_is_never_faster_than_its_rate_and_never_idle(frames: list[tuple[int, str, int]]) -> None:
    """Whoever comes first: what has been sent by any time is what a plain queue would have sent by then."""
    meter = Meter()
    for item, (at_ns, flow, size) in enumerate(sorted(frames)):
        meter.send_at(at_ns, flow, size, item)
    meter.run()
    assert sorted(item for *_, item in meter.through) == list(range(len(frames)))
    for flow in "abc":
        mine = [(item, done) for done, its, _, item in meter.through if its == flow]
        assert mine == sorted(mine, key=lambda pair: pair[1]), "each flow is served in order"
    work: list[tuple[int, int]] = []  # busy from, until
    for at_ns, _, size in sorted(frames):
        begin = max(at_ns, work[-1][1] if work else 0)
        work.append((begin, begin + size))

    def could_be_sent(until_ns: int) -> int:
        return sum(max(0, min(end, until_ns) - begin) for begin, end in work)

    done_bytes = 0
    for done, _, size, _ in sorted(meter.through):
        done_bytes += size
        assert done_bytes <= could_be_sent(done)
    assert max(done for done, *_ in meter.through) == work[-1][1]


@given(st.lists(SIZES, min_size=3, max_size=60), st.lists(SIZES, min_size=3, max_size=60))
def test_two_flows_that_always_have_something_share_evenly(one: list[int], other: list[int]) -> None:
    meter = Meter()
    for flow, sizes in (("a", one), ("b", other)):
        for item, size in enumerate(sizes):
            meter.send(flow, size, item)
    meter.run()
    sent = {"a": 0, "b": 0}
    both_until = min(max(done for done, its, *_ in meter.through if its == flow) for flow in "ab")
    for done, flow, size, _ in sorted(meter.through):
        if done >= both_until:
            break
        sent[flow] += size
        ahead = max(*one, *other)  # a frame counts when its last byte is through
        assert abs(sent["a"] - sent["b"]) <= 3 * QUANTUM + ahead


@given(st.integers(1, 20), st.integers(0, 4_000_000), st.integers(1, 3000))
def test_a_small_frame_waits_for_no_large_one(flows: int, at_ns: int, size: int) -> None:
    meter = Meter()
    for flow in range(flows):
        for item in range(3):
            meter.send(f"large {flow}", 1 << 20, item)
    meter.send_at(at_ns, "small", size, 0)
    meter.run()
    (done,) = [done for done, flow, *_ in meter.through if flow == "small"]
    assert done - at_ns <= size + (flows + 2) * QUANTUM


def test_a_lone_large_frame_has_the_whole_link() -> None:
    meter = Meter()
    meter.send("a", 1 << 20, 0)
    meter.run()
    assert [done for done, *_ in meter.through] == [1 << 20]


def test_small_frames_cost_no_events() -> None:
    meter = Meter()
    for item in range(100):
        meter.send("a", 500, item)
    assert [done for done, *_ in meter.through] == [500 * (i + 1) for i in range(100)]
    assert meter.world.events == 0


def test_a_narrow_link_is_slower_until_it_is_not() -> None:
    meter = Meter()
    meter.port.narrow(0.5)
    meter.port.narrow(0.1)
    meter.send("a", 1000, 0)
    meter.port.widen(0.1)
    meter.send("a", 1000, 1)
    meter.port.widen(0.5)
    meter.send("a", 1000, 2)
    assert [done for done, *_ in meter.through] == [10_000, 12_000, 13_000]
    assert meter.port.time_of(RATE) == SECOND
