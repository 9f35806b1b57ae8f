"""Worlds with bugs planted in them, which must be noticed."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

SEARCH = settings(
    max_examples=500,
    stateful_step_count=40,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],  # the first failure is enough, however long it is
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)


def must_be_noticed(world: type[RuleBasedStateMachine]) -> None:
    """Search a world for what is wrong with it: always in the same places."""
    with pytest.raises((AssertionError, KeyError, ExceptionGroup)):
        run_state_machine_as_test(world, settings=SEARCH)
