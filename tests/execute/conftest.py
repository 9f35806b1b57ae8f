"""Budgets as small as a test asks for."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True, scope="session")
def _tiny_budgets() -> None:
    """Let a task's budget be below the least that a real one has, so that little data spills."""
    patch = pytest.MonkeyPatch()
    patch.setattr("headrace.execute.task.SHARED_BYTES_MIN", 1)
