"""Pure machines, one file each: events in, effects out; no clock, chance, I/O or logging."""
