"""``headrace story``: what happened in a run, in words."""

from __future__ import annotations

import json

from headrace.observe.stories import find, read, tell_all


def show(run: str | None, *, as_json: bool) -> int:
    """Print a story."""
    lines = read(find(run))
    for said in map(json.dumps, lines) if as_json else tell_all(lines):
        print(said)
    return 0
