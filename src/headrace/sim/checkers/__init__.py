"""Checkers of a simulated run: they stand apart from what they check, and keep accounts of their own.

One promise a file.  Each looks at what passes the ports and at the steps of the loops, never at the state of a machine under
test, and says at the first violation what shows it.
"""

from headrace.sim.checkers.build import Checking

__all__ = ["Checking"]
