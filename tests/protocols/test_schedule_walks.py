"""Many lives of the schedule machine and the claim table, and scenes that are rare in them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.protocols.scheduling_scenes import SCENES
from tests.protocols.scheduling_walk import walk
from tests.protocols.scheduling_world import SchedulingWorld

LIVES = 300


@pytest.mark.parametrize("first", range(0, 5 * LIVES, LIVES))
def test_lives_in_a_hostile_world(first: int) -> None:
    for seed in range(first, first + LIVES):
        live(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1_000_000, 1_000_000 + 40 * LIVES, 4 * LIVES))
def test_many_longer_lives(first: int) -> None:
    for seed in range(first, first + 4 * LIVES):
        live(seed, steps=200)


def live(seed: int, steps: int = 80) -> None:
    try:
        walk(seed, steps=steps)
    except Exception as error:
        raise AssertionError(f"walk({seed}, steps={steps}): {error}") from error


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scenes(scene: Callable[[type[SchedulingWorld]], None]) -> None:
    scene(SchedulingWorld)
