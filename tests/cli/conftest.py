"""A lair for the command line's tests, too."""

from __future__ import annotations

from tests.real.conftest import lair

__all__ = ["lair"]
