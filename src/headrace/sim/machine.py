"""What is the matter with one simulated host: whatever runs there has it, and whatever is started there later."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct, field

from headrace.sim.clock import TRUE_PPM


class Machine(Struct):
    """One host.

    Attributes:
        slow: how many times longer all takes, by everything that makes it so.
        rate_ppm: how fast its clocks run.
        launches: what becomes of processes that are to be started.
        up_ns: when it is up again, in virtual time.

    """

    slow: list[float] = field(default_factory=list)
    rate_ppm: int = TRUE_PPM
    launches: Literal["", "fail", "take long"] = ""
    up_ns: int = 0

    @property
    def slowness(self) -> float:
        """How many times longer all takes."""
        return max(self.slow, default=1.0)

    def heal(self) -> None:
        """Let all be well."""
        self.slow.clear()
        self.rate_ppm, self.launches = TRUE_PPM, ""
