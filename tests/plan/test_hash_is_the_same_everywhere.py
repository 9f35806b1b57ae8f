"""Every process must send a key to the same place, whatever its PYTHONHASHSEED."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.plan.hashing import stable_hash
from tests.plan.keys import table

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("seed", ["0", "1", "random"])
def test_another_process_hashes_alike(seed: str) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    child = subprocess.run(
        [sys.executable, "-m", "tests.plan.keys"], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    theirs = pickle.loads(child.stdout)
    ours = [stable_hash(key) for key in table()]
    assert {repr(key): (a, b) for key, a, b in zip(table(), ours, theirs, strict=True) if a != b} == {}


def test_hashes_of_text_and_bytes_are_those_of_every_release() -> None:
    """Data that is partitioned on disk outlives a release; what is pinned here must not change by accident."""
    assert stable_hash("water") == 4214428890
    assert stable_hash(b"water") == 4214428890
    assert stable_hash("") == 0
    assert stable_hash(None) == 0x5BD1E995
