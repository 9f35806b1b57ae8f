"""The main job on real processes that are killed, stopped and robbed of their disks, at moments that a seed draws."""

from __future__ import annotations

import pytest

from tests.real import havoc

SEEDS = range(10)
outcomes: dict[int, havoc.Outcome] = {}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_count_is_that_of_one_process_whatever_dies(seed: int) -> None:
    outcomes[seed] = havoc.run(seed)


def test_every_phase_and_every_kind_of_disaster_was_hit() -> None:
    """By the stories of the seeds before."""
    if set(outcomes) != set(SEEDS):
        pytest.skip("not all seeds were run, or some failed")
    assert {phase for outcome in outcomes.values() for phase in outcome.phases} >= set(havoc.PHASES)
    assert {hit.disaster.kind for outcome in outcomes.values() for hit in outcome.hits} == {"kill", "stop", "host"}
