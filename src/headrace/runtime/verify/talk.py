"""What the program and the processes that run its tasks again say to each other, over a pair of sockets."""

from __future__ import annotations

from multiprocessing.connection import Connection

import msgspec
from msgspec import Struct

from headrace.store.shipped import Item

DIGEST_BYTES = 8  # of what stands for a record while two processes go side by side


class Ask(Struct, frozen=True, tag=True):
    """Run a saved attempt again.

    Attributes:
        capsule: the path of what it was given.
        shipped, items: the folder that has what the program has shipped, and what that is.
        stepwise: tell of every record, and go on only when told to.
        warm: run it once before, with the same functions: do they keep anything from one time to the next?

    """

    capsule: str
    shipped: str = ""
    items: tuple[Item, ...] = ()
    stepwise: bool = False
    warm: bool = False


class Go(Struct, frozen=True, tag=True):
    """Go on."""


class Show(Struct, frozen=True, tag=True):
    """Stop, and show one of the records that were told of last, by its number among them."""

    number: int


class Place(Struct, frozen=True):
    """An operator, or what stands behind the last: its name, and the line of the program that defined it."""

    name: str
    file: str
    line: int
    function: str


class Ran(Struct, frozen=True, tag=True):
    """It has run.

    Attributes:
        digests: of what has passed each place, with how many that were.
        unknown: how many values could not be compared, by the name of their type.
        error: what it raised instead of ending well.

    """

    places: tuple[Place, ...] = ()
    digests: tuple[str, ...] = ()
    unknown: dict[str, int] = {}
    error: str = ""


class Passed(Struct, frozen=True, tag=True):
    """Records that have passed: the place of each, and a digest."""

    records: tuple[tuple[int, bytes], ...]


class Shown(Struct, frozen=True, tag=True):
    """A record, and the one that it was made from, if that can be told."""

    record: str
    given: str = ""


Message = Ask | Go | Show | Ran | Passed | Shown
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


class Late(Exception):
    """The other side has not answered in time."""


class Link:
    """One end."""

    def __init__(self, descriptor: int) -> None:
        self._connection = Connection(descriptor)

    def send(self, message: Message) -> None:
        """Say something.

        Raises:
            OSError: nobody is there.

        """
        self._connection.send_bytes(_encoder.encode(message))

    def receive(self, seconds: float | None = None) -> Message:
        """Hear something.

        Raises:
            EOFError, OSError: nobody is there.
            Late: nobody has said anything for so long.

        """
        if seconds is not None and not self._connection.poll(max(0.0, seconds)):
            raise Late
        message: Message = _decoder.decode(self._connection.recv_bytes())
        return message

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
