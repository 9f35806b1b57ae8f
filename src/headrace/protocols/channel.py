"""A channel before it is a channel: mutual proof of the run's key, then frames of bounded length.  Bytes in, bytes out.

Both sides send a challenge first; each proves that it knows the key by a code over both challenges and its own side's
name, so neither can be made to answer its own question.  Only then is a frame looked at.  Within a machine (inherited
socket pairs, sockets in a folder of the owner's, loopback) nobody can step between two processes afterwards, so frames
carry no codes of their own.

Source: the mutual challenge is that of ISO/IEC 9798-4, mechanism with keyed hashes.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterator

from headrace.config import SECOND
from headrace.errors import PeerRefused

MAGIC = b"headrace/1 "
NONCE_BYTES = 32
GREETING = len(MAGIC) + NONCE_BYTES
PROOF = 32
HANDSHAKE_NS = 5 * SECOND  # that it may take, once somebody is there
LENGTH = struct.Struct("<I")


class Handshake:
    """One side of a channel, up to the moment when both have proved the key.

    >>> here, there = Handshake(b"k", b"1" * 32, opener=True), Handshake(b"k", b"2" * 32, opener=False)
    >>> there.receive(here.receive(there.receive(here.greeting()) and there.greeting())), here.done, there.done
    (b'', False, True)
    """

    def __init__(self, key: bytes, nonce: bytes, *, opener: bool) -> None:
        assert len(nonce) == NONCE_BYTES
        self._key, self._nonce, self._opener = key, nonce, opener
        self._theirs: bytes | None = None
        self._buffer = b""
        self.done = False
        self.rest = b""  # what came after the handshake

    def greeting(self) -> bytes:
        """What to send first."""
        return MAGIC + self._nonce

    def receive(self, data: bytes) -> bytes:
        """Take bytes; return bytes to send.

        Raises:
            PeerRefused: the other side does not know the key, or does not speak this protocol.

        """
        self._buffer += data
        answer = b""
        if self._theirs is None:
            if not MAGIC.startswith(self._buffer[: len(MAGIC)]):
                raise PeerRefused("a peer does not speak this version of headrace's protocol; its channel is closed.")
            if len(self._buffer) < GREETING:
                return b""
            self._theirs = self._buffer[len(MAGIC) : GREETING]
            self._buffer = self._buffer[GREETING:]
            if hmac.compare_digest(self._theirs, self._nonce):
                raise PeerRefused("a peer sent our own challenge back; its channel is closed.")
            answer = self._proof(self._opener)
        if len(self._buffer) >= PROOF:
            if not hmac.compare_digest(self._buffer[:PROOF], self._proof(not self._opener)):
                raise PeerRefused("a peer did not prove that it knows the run's key; its channel is closed.")
            self.done = True
            self.rest = self._buffer[PROOF:]
        return answer

    def _proof(self, opener: bool) -> bytes:
        assert self._theirs is not None
        ours, theirs = (self._nonce, self._theirs) if self._opener else (self._theirs, self._nonce)
        side = b"opener" if opener else b"acceptor"
        return hmac.new(self._key, side + ours + theirs, hashlib.sha256).digest()


class Framing:
    """Cuts a stream of bytes into frames, none longer than `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()

    def receive(self, data: bytes) -> Iterator[bytes]:
        """Take bytes; give the frames that are whole.

        Raises:
            PeerRefused: a frame is too long.

        >>> list(Framing(100).receive(framed(b"one") + framed(b"two")[:3]))
        [b'one']

        """
        held = self._held
        held += data
        at = 0
        while len(held) - at >= LENGTH.size:
            (length,) = LENGTH.unpack_from(held, at)
            if length > self._limit:
                raise PeerRefused(f"a peer announced a frame of {length:,} bytes; its channel is closed.")
            if len(held) - at - LENGTH.size < length:
                break
            yield bytes(held[at + LENGTH.size : at + LENGTH.size + length])
            at += LENGTH.size + length
        del held[:at]


def framed(data: bytes) -> bytes:
    """Put a frame's length before it."""
    return LENGTH.pack(len(data)) + data
