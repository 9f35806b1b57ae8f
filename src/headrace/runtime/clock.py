"""The machine's clock."""

from __future__ import annotations

import time


class SystemClock:
    """Monotonic: wall clocks decide nothing."""

    def now_ns(self) -> int:
        """Return nanoseconds since an arbitrary start."""
        return time.monotonic_ns()
