"""Planted bugs: each breaks a promise somewhere in the engine, and a simulated run must find it."""
