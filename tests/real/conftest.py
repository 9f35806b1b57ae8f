"""What the tests of real processes share."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True, scope="session")
def _usual_environment() -> None:
    """Without what would make workers print at once, which most users do not have set."""
    os.environ.pop("PYTHONUNBUFFERED", None)


@pytest.fixture
def lair() -> Iterator[Path]:
    """A folder for temporary data whose name is short, because the paths of sockets in it must be."""
    path = Path(tempfile.mkdtemp(prefix="hr-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
