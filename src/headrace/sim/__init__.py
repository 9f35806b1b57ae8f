"""The same ports from a seed: one thread of control, virtual time, faults.  A sibling of `runtime`, not a test helper."""
