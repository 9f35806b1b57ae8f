"""Ctrl-C while something is brought to its end: heard, and told when that is done, so that nothing is left half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def held_interrupts(pressed: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Hold Ctrl-C back until the block has ended; only the main thread ever hears of it.

    Args:
        pressed: called at once when it is pressed, by the way, so that whoever is in the block can make haste.

    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    if not callable(before):  # ignored, left to the system, or somebody's in C
        yield
        return
    heard: list[FrameType | None] = []

    def note(_: int, frame: FrameType | None) -> None:
        heard.append(frame)
        pressed()

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if heard:
            before(signal.SIGINT, heard[0])
