"""Waiting, in threads."""

from __future__ import annotations

import threading

from headrace.errors import InternalError
from headrace.ports import Flag


class ThreadGate:
    """Flags are events; between chunks there is nothing to do, because the world goes on by itself."""

    def flag(self) -> threading.Event:
        """Make something to wait for."""
        return threading.Event()

    def wait(self, flag: Flag) -> None:
        """Sleep until it has happened; a signal's handler may raise out of here."""
        assert isinstance(flag, threading.Event)
        flag.wait()

    def wait_for(self, flag: Flag, seconds: float) -> bool:
        """Sleep until it has happened, or so long; return whether it has."""
        assert isinstance(flag, threading.Event)
        return flag.wait(min(seconds, threading.TIMEOUT_MAX))

    def pause(self, records: int) -> None:
        """Nothing to do."""

    def confirm(self) -> None:
        """Nothing to do: the program's threads touch nothing that a fork could spoil."""

    def die(self) -> None:
        """Not the program."""
        raise InternalError("the program itself was to be killed")
