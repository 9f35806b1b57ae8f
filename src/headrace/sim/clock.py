"""The clock of one simulated process: virtual time, as a machine sees it whose clock is wrong.

Every process begins somewhere else, so whoever compares the clocks of two is found out at once.  Rates and offsets are
integers, and may be changed at any time; what was read once is never gone back on, as `ports.Clock` promises.
"""

from __future__ import annotations

from headrace.config import SECOND
from headrace.sim.world import World

TRUE_PPM = 1_000_000
APART_NS = 86_400 * SECOND  # clocks begin within so much of each other


class SimClock:
    """A clock with an offset and a rate.

    >>> world = World(1)
    >>> clock = SimClock(world, 5000)
    >>> clock.rate_ppm = 1_100_000
    >>> world.later(100, "", lambda: None)
    >>> world.step()
    >>> clock.now_ns()
    5110
    >>> clock.offset_ns -= 30  # it stands until the time that it has told already comes again
    >>> clock.now_ns()
    5110

    """

    def __init__(self, world: World, offset_ns: int | None = None) -> None:
        self._world = world
        self._offset_ns = world.chance("clocks").randrange(APART_NS) if offset_ns is None else offset_ns
        self._rate_ppm = TRUE_PPM
        self._gained_ns = 0  # by the rates that it had
        self._since_ns = world.time_ns  # of the world, when the rate was set
        self._told_ns = self._offset_ns

    def now_ns(self) -> int:
        """Return the time, as this process sees it."""
        reading = self._offset_ns + self._gained_ns + self._world.time_ns
        if self._rate_ppm != TRUE_PPM:
            reading += (self._world.time_ns - self._since_ns) * (self._rate_ppm - TRUE_PPM) // TRUE_PPM
        if reading > self._told_ns:
            self._told_ns = reading
        return self._told_ns

    @property
    def offset_ns(self) -> int:
        """What is added to virtual time; jumps when it is set, but never back."""
        return self._offset_ns

    @offset_ns.setter
    def offset_ns(self, offset_ns: int) -> None:
        self.now_ns()
        self._offset_ns = offset_ns

    @property
    def rate_ppm(self) -> int:
        """How fast it runs, in millionths of true time; more than none."""
        return self._rate_ppm

    @rate_ppm.setter
    def rate_ppm(self, rate_ppm: int) -> None:
        assert rate_ppm > 0, "a clock that stands would have its timers stand, too"
        now_ns = self._world.time_ns
        self._gained_ns += (now_ns - self._since_ns) * (self._rate_ppm - TRUE_PPM) // TRUE_PPM
        self._since_ns, self._rate_ppm = now_ns, rate_ppm

    def true_ns(self, duration_ns: int) -> int:
        """Return how long a timer for so long by this clock takes in virtual time, at its present rate."""
        return duration_ns * TRUE_PPM // self._rate_ppm
