"""What all tests share: seeds that are printed, stories that go nowhere near the user's, contexts that are closed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import headrace
from headrace.context import Context

BOOKS = Path(__file__).parents[1] / "examples" / "books"
SHARED = Path(os.environ.get("HEADRACE_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))

# What is tried is the same in every run of `make test`; `make chaos` tries something else each time.
TRIED = settings(
    deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
settings.register_profile("headrace", TRIED, derandomize=True)
settings.register_profile("chaos", TRIED)
settings.load_profile(os.environ.get("HEADRACE_TEST_PROFILE", "headrace"))


def pytest_configure() -> None:
    """Hear Ctrl-C, which whoever runs the tests in the background has had ignored: some tests press it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _own_stories(tmp_path_factory: pytest.TempPathFactory) -> None:
    os.environ["HEADRACE_STORIES"] = str(tmp_path_factory.mktemp("stories"))


@pytest.fixture(scope="session")
def books() -> list[str]:
    """The books of the repository."""
    return sorted(str(path) for path in BOOKS.glob("*.txt"))


@pytest.fixture(scope="session")
def library() -> list[str]:
    """All books of the shared data, where they are."""
    found = sorted(str(path) for path in (SHARED / "text").glob("*.txt"))
    if not found:
        pytest.skip("the shared data are not here (see HEADRACE_TEST_DATA)")
    return found


@pytest.fixture
def inline() -> Iterator[Context]:
    """A context in this process."""
    with headrace.connect("inline://", progress=False) as ctx:
        yield ctx


@pytest.fixture(scope="module")
def local() -> Iterator[Context]:
    """A context with two worker processes, shared by the tests of a module."""
    with headrace.connect("local://?workers=2", progress=False) as ctx:
        yield ctx
