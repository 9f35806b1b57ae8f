"""All that is on its way in a simulated cluster, and what is wrong with the ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.config import MS, SECOND
from headrace.sim.network.bandwidth import Port
from headrace.sim.network.link import Dial, Link, LinkModel, draw_link
from headrace.sim.world import World

if TYPE_CHECKING:
    from headrace.sim.network.channel import End, Item, SimNetwork

RESEND_NS = 200 * MS  # until a frame that was lost is sent again; twice as long after each time
RESEND_NS_MAX = 2 * SECOND
BREAK_NS = 10 * SECOND  # who hears nothing for so long of what it sent gives the channel up


class Wire:
    """The links between hosts, and what they carry.

    Attributes:
        networks: of the processes that live.
        host_of: where each process is, or was.
        lose, double: probabilities, for each frame.
        extra_ns: how much longer than usual a frame may take.
        dark: hosts that are not there.

    """

    def __init__(self, world: World, model: LinkModel | None = None) -> None:
        self.world, self.model = world, model or LinkModel()
        self.networks: dict[str, SimNetwork] = {}
        self.host_of: dict[str, str] = {}
        self.lose, self.double, self.extra_ns = Dial(0.0), Dial(0.0), Dial(0)
        self._links: dict[tuple[str, str], Link] = {}
        self._ports: dict[str, tuple[Port[End, Item], Port[End, Item]]] = {}
        self.dark: set[str] = set()
        self._bits = world.chance("latency").getrandbits
        self._loss, self._more = world.chance("loss").random, world.chance("more latency").getrandbits

    # Links.

    def link(self, source: str, target: str) -> Link:
        """Return the link from one host to another."""
        found = self._links.get((source, target))
        if found is None:
            found = self._links[source, target] = self._draw(source, target)
            if source != target:
                found.back = self._links[target, source] = self._draw(target, source)
                found.back.back = found
                found.back.look()
            found.look()
        return found

    def _draw(self, source: str, target: str) -> Link:
        link = draw_link(self.world.seed, source, target, self.model)
        if source != target:
            link.out, link.into = self.ports(source)[0], self.ports(target)[1]
        link.cuts = len({source, target} & self.dark)
        return link

    def ports(self, host: str) -> tuple[Port[End, Item], Port[End, Item]]:
        """Return the two directions of a host's own link: out and in."""
        found = self._ports.get(host)
        if found is None:
            rate = self.model.bytes_s
            found = self._ports[host] = (
                Port(self.world, f"{host} sends", rate, self._leave),
                Port(self.world, f"{host} receives", rate, lambda end, size, item, done_ns: end.come(item, done_ns)),
            )
        return found

    def host(self, name: str) -> str:
        """Return the host that a process is on."""
        return self.host_of.get(name, name)

    # Frames.

    def carry(self, end: End, size: int, item: Item) -> None:
        """Take something of so many bytes from an end of a channel to the other, after what went before."""
        link, now = end.link, self.world.time_ns
        if link.deaf:
            self.unheard(end)
        if link.out is None:
            self._leave(end, size, item, now)
        else:
            done = link.out.take(end, size, item, now)
            if done is not None:
                self._leave(end, size, item, done)

    def _leave(self, end: End, size: int, item: Item, done_ns: int) -> None:
        """Something has left its host, or will have in a moment."""
        link, far, now = end.link, end.far, self.world.time_ns
        if end.given_up:
            return
        if link.blocked or end.stopped:
            end.stopped.append((size, item))
            link.ends[end] = None
            if link.deaf:
                self.unheard(end)
            return
        arrival = done_ns + self._latency(link)
        if arrival <= end.arrives_ns:  # right behind what went before
            arrival = end.arrives_ns + (link.out.time_of(size) if link.out is not None else 0)
        end.arrives_ns = arrival
        far.coming.append((size, item))
        self.world.later(arrival - now, far.hears, far.arrive)

    def _latency(self, link: Link) -> int:
        latency = link.median_ns * link.factors[self._bits(8)] >> 10
        if self.lose.value:
            resend = RESEND_NS
            while self._loss() < self.lose.value:
                latency += resend
                resend = min(2 * resend, RESEND_NS_MAX)
        if self.extra_ns.value:
            latency += self.extra_ns.value * self._more(8) >> 8
        return latency

    def refuse(self, end: End) -> None:
        """Tell an end that the other is not there, as a host does that gets something for nobody."""
        link = end.link.back
        if not end.alive:
            return
        if link.blocked:
            self.unheard(end)
            return
        arrival = max(self.world.time_ns + self._latency(link), end.far.arrives_ns)
        self.world.later(arrival - self.world.time_ns, f"{end.network.name} is refused", end.lose)

    # What lasts too long.

    def unheard(self, end: End) -> None:
        """What an end sends is not acknowledged from now on, if it was until now."""
        if end.unheard_ns is not None:
            return
        since = end.unheard_ns = self.world.time_ns
        end.link.ends[end] = None

        def check() -> None:
            if end.unheard_ns == since:
                end.give_up()

        self.world.later(BREAK_NS, f"{end.network.name} hears nothing", check)

    def _again(self, end: End) -> None:
        """Send again what was not acknowledged, perhaps in vain."""
        link = end.link
        if link.deaf or end.unheard_ns is None:
            return
        end.unheard_ns = None
        if not link.blocked:
            self._flush(end)
        if end.far.is_gone:
            self.refuse(end)

    def _flush(self, end: End) -> None:
        """Let through what was stopped."""
        stopped = list(end.stopped)
        end.stopped.clear()
        for size, item in stopped:
            self._leave(end, size, item, self.world.time_ns)
        end.settle()

    # What goes wrong with links.

    def cut(self, link: Link) -> None:
        """Let nothing through; what is not acknowledged for long breaks its channel."""
        link.cuts += 1
        for one in (link, link.back):
            one.look()
            for end in one.ends:
                if end.arrives_ns > self.world.time_ns or end.stopped:
                    self.unheard(end)

    def mend(self, link: Link) -> None:
        """End a cut: each channel goes on when its sender tries again."""
        link.cuts -= 1
        now = self.world.time_ns
        for one in (link, link.back):
            one.look()
            if one.deaf:
                continue
            for end in one.ends:
                if end.unheard_ns is not None:
                    due = _resend_ns(end.unheard_ns, now)
                    self.world.later(due - now, f"{end.network.name} sends again", lambda end=end: self._again(end))  # type: ignore[misc]

    def clog(self, link: Link) -> None:
        """Have what is sent wait; no channel breaks."""
        link.clogs += 1
        link.look()

    def unclog(self, link: Link) -> None:
        """Let through what has waited."""
        link.clogs -= 1
        link.look()
        if not link.blocked:
            for end in [end for end in link.ends if end.stopped and end.unheard_ns is None]:
                self._flush(end)

    def darken(self, host: str) -> None:
        """A host has gone, with its kernel: nothing that is sent to it is answered."""
        if host not in self.dark:
            self.dark.add(host)
            for link in self._of(host):
                self.cut(link)

    def lighten(self, host: str) -> None:
        """A host is there again, and knows nothing of the channels that it had."""
        if host in self.dark:
            self.dark.remove(host)
            for link in self._of(host):
                self.mend(link)

    def _of(self, host: str) -> list[Link]:
        return [link for (source, target), link in self._links.items() if host in (source, target)]


def _resend_ns(since_ns: int, now_ns: int) -> int:
    """Return when a sender that has heard nothing for a while tries again.

    >>> [_resend_ns(0, ms * MS) // MS for ms in (0, 150, 300, 700, 5000)]
    [200, 200, 600, 1400, 5000]
    """
    due = wait = RESEND_NS
    while since_ns + due < now_ns:
        wait = min(2 * wait, RESEND_NS_MAX)
        due += wait
    return since_ns + due
