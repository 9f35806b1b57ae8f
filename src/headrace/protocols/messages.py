"""What processes say to each other: a schema, and nothing that could run code.

A message is its name and its fields in MessagePack; what does not fit the schema is refused as a whole.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import Struct

from headrace.errors import PeerRefused

CONTROL_BYTES_MAX = 8 << 20  # of one control frame
DATA_BYTES_MAX = 4 << 20  # of one data frame


# From the program to a worker.


class Run(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Run attempts at tasks of one stage.

    Attributes:
        program: the digest of what to run; `blobs` are those of the functions that it names.
        reads: the shuffles that it reads, each with the version of the table of outputs that is needed at least.
        attempts: attempt and partition of each, and the how manieth try of its task it is, from 0 on.
        properties: local properties of the job, for tasks that ask.
        shipped: which of the blobs lists the files and modules that tasks may ask for; empty if there are none.

    """

    job: int
    stage: int
    program: str
    blobs: tuple[str, ...]
    reads: tuple[tuple[int, int], ...]
    attempts: tuple[tuple[int, int, int], ...]
    properties: tuple[tuple[str, str], ...]
    shipped: str


class Blob(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Something pickled, named by its content.  `main`: classes of `__main__`, to be installed there."""

    digest: str
    main: bool
    data: bytes


class Outputs(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Where the partitions of a shuffle lie: for each, the attempt that wrote it (0: none) and a host.

    `places` holds a pair of unsigned 32-bit numbers for each partition: the attempt, and an index into `hosts`.
    """

    stage: int
    version: int
    hosts: tuple[str, ...]
    places: bytes


class Gang(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """An attempt that is to come runs at once with others: their workers and hosts, its own included, by partition."""

    attempt: int
    workers: tuple[str, ...]
    hosts: tuple[str, ...]


class Met(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """The answer to `Came`: what all said, by partition; or why they will not meet."""

    attempt: int
    meeting: int
    messages: tuple[str, ...]
    error: str


class CancelAttempts(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Stop these attempts, whether they wait, run or have not come."""

    attempts: tuple[int, ...]


class Describe(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Say what an attempt is doing, if it runs."""

    attempt: int


class GiveBack(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Return those of these attempts that have not begun."""

    attempts: tuple[int, ...]


class Settled(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Reports that were dealt with: outputs that count, and outputs to be discarded."""

    kept: tuple[int, ...]
    discarded: tuple[int, ...]


class Whereabouts(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Who serves the blocks of a host; an empty address: nobody now, but the host is there; `gone`: its disk is lost."""

    host: str
    address: str
    gone: bool


class CacheHolders(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Addresses of the workers that keep a cached partition."""

    operator: int
    partition: int
    addresses: tuple[str, ...]


class Free(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Forget shuffles, cached datasets, and by name broadcast values and results that the program has."""

    stages: tuple[int, ...]
    operators: tuple[int, ...]
    names: tuple[str, ...]


class Replicate(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Keep a copy of a cached partition, pulled from a worker at one of these addresses."""

    operator: int
    partition: int
    use_disk: bool
    use_memory: bool
    addresses: tuple[str, ...]


class Retire(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """End, when the running task has."""


# From a worker to the program.


class Hello(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Ready for tasks; peers may fetch blocks at `address`."""

    worker: str
    pid: int
    address: str


class Beat(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Alive.

    Attributes:
        attempt: the one that runs, or 0.
        ran_ns, progress, records: of that attempt; progress in thousandths.
        memory_bytes: resident and anonymous.

    """

    attempt: int
    ran_ns: int
    progress: int
    records: int
    memory_bytes: int


class Need(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Send these blobs, and the tables of these shuffles, at these versions or later."""

    blobs: tuple[str, ...]
    outputs: tuple[tuple[int, int], ...]


class Report(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """How an attempt ended.  Sent again until it is settled.

    Attributes:
        outcome: "done", "failed", "starved", "stopped", or "returned": it had not begun.
        result: the result, if it is small and there is one; `result_bytes` is its size anyway.
        updates: contributions to accumulators, pickled.
        cached: partitions of cached datasets that stay in this worker's memory: dataset and partition.
        lost_stage, lost: for "starved": the shuffle, and the map partition and attempt of each block that is lost.
        why: for "starved": in words.
        error: for "failed": what raised, as JSON; `raised`: the exception itself, pickled, if it can be.
        spent: nanoseconds of `ran_ns` in which it fetched, computed, wrote and committed.
        sample: for "done": what is needed to verify that it does the same again, as JSON, where that is to be.

    """

    stage: int
    partition: int
    attempt: int
    outcome: str
    ran_ns: int
    records: int
    read_bytes: int
    written_bytes: int
    result_bytes: int
    inline: bool
    result: bytes
    updates: bytes
    cached: tuple[tuple[int, int], ...]
    lost_stage: int
    lost: tuple[tuple[int, int], ...]
    why: str
    error: bytes
    raised: bytes
    spent: tuple[int, int, int, int]
    sample: bytes


class Came(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """A task waits for those that run at once with it.  Sent again until it is answered.

    Attributes:
        meeting: counted from 1 by each attempt.
        call: what it called, for people and to be compared; `message` is what it has to say.

    """

    attempt: int
    meeting: int
    call: str
    message: str


class Doing(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """What an attempt is doing, in words."""

    attempt: int
    what: str


class Locate(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Ask who serves a host's blocks; not whoever is at `avoid`, if there is a choice."""

    host: str
    avoid: str


class FindCached(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Ask who keeps this cached partition."""

    operator: int
    partition: int


class Evicted(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Cached partitions that this worker keeps no longer."""

    cached: tuple[tuple[int, int], ...]


class Replicated(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """What came of a copy: this worker keeps it, has no room for it, or could not get it."""

    operator: int
    partition: int
    outcome: Literal["kept", "no room", "lost"]


# Between any two, on a data channel.


class Pull(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Send up to `limit` bytes of a block, from `offset` on.

    Attributes:
        request: names the answer.
        name: of the block; for a map output, `part` says which reduce partition's part of it, otherwise it is -1.

    """

    request: int
    name: str
    part: int
    offset: int
    limit: int


class Piece(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """Bytes of a block that has `total`."""

    request: int
    offset: int
    total: int
    data: bytes


class Lack(Struct, frozen=True, tag=True, array_like=True, forbid_unknown_fields=True):
    """There is no such block here."""

    request: int
    why: str


Message = (
    Run
    | Blob
    | Outputs
    | Gang
    | Met
    | CancelAttempts
    | Describe
    | GiveBack
    | Settled
    | Whereabouts
    | CacheHolders
    | Free
    | Replicate
    | Retire
    | Hello
    | Beat
    | Need
    | Report
    | Came
    | Doing
    | Locate
    | FindCached
    | Evicted
    | Replicated
    | Pull
    | Piece
    | Lack
)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """Write a message.

    >>> decode(encode(Need(("ab",), ((3, 1),))))
    Need(blobs=('ab',), outputs=((3, 1),))
    """
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """Read a message.

    Raises:
        PeerRefused: it does not fit the schema.

    """
    try:
        message: Message = _decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise PeerRefused(f"a peer sent what is no message of ours ({error}); its channel is closed.") from None
    return message
