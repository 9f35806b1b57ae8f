"""``headrace story``: what happened in a run, in words."""

from __future__ import annotations

import json

from headrace.observe.stories import find, read, tell


def show(run: str | None, *, as_json: bool) -> int:
    """Print a story."""
    for line in read(find(run)):
        print(json.dumps(line) if as_json else tell(line))
    return 0
