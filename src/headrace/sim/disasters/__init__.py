"""How faults befall a simulated world: each kind has one handler, beside what it happens to; and how the world heals."""

from headrace.sim.disasters.disasters import Disasters, Struck

__all__ = ["Disasters", "Struck"]
