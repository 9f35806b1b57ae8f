"""What is known of the shared data: computed once, without this engine, and laid beside them (facts.json)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import SHARED


def facts(kind: str) -> Any:
    """What is known of the shared data of a kind."""
    path = SHARED / kind / "facts.json"
    if not path.exists():
        pytest.skip("the shared data are not here (see HEADRACE_TEST_DATA)")
    return json.loads(path.read_text("utf-8"))
