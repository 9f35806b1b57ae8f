"""Lets workers linger in each phase of an attempt for a moment, so that each phase is long enough to be hit.

The chaos tests put this folder on the path of the workers that they start.  Nothing here waits for a disaster: the kill
comes when it comes.
"""

import os
import time

SECONDS = float(os.environ.get("HEADRACE_TEST_DAWDLE", "0"))

if SECONDS:
    from headrace.ports import Phase
    from headrace.runtime.blackbox import BlackBox

    note = BlackBox.note
    seen: set[tuple[Phase, int]] = set()

    def note_and_linger(box: BlackBox, phase: Phase, attempt: int) -> None:
        """Note it, and stay a while."""
        note(box, phase, attempt)
        if phase == "idle" or (phase, attempt) not in seen:
            seen.add((phase, attempt))
            time.sleep(SECONDS)

    BlackBox.note = note_and_linger  # type: ignore[assignment,method-assign]
