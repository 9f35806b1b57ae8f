"""The fixture `simulated`, for everybody who tests with pytest; nothing of headrace is imported before it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

SEEDS = 20
OPTION = "--headrace-seeds"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the command line say how many seeds are tried."""
    group = parser.getgroup("headrace")
    group.addoption(
        OPTION, type=int, default=None, metavar="N", help="seeds of tests with `simulated`, whatever they say"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers", f"headrace_seeds(n): how many seeds `simulated` tries in this test (usually {SEEDS})"
    )


@pytest.fixture
def simulated(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Run a function of a context under many seeds of simulated failures: see `headrace.testing.run_seeds`.

    How many seeds: what --headrace-seeds says, or the argument, or the marker `headrace_seeds`, or twenty.
    """

    def run(function: Callable[[Any], Any], scenario: Any = None, *, seeds: int | None = None, **how: Any) -> Any:
        from headrace.testing import run_seeds

        marker = request.node.get_closest_marker("headrace_seeds")
        said = request.config.getoption(OPTION)
        number = next(n for n in (said, seeds, marker.args[0] if marker else None, SEEDS) if n is not None)
        return run_seeds(function, scenario, seeds=number, **how)

    return run
