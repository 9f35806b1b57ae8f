"""Where things lie in a run's folder.

::

    <run>/<host>/shuffle/<stage>/<partition>-<attempt>.data, .index    map outputs
    <run>/<host>/result/<attempt>                                      results too large to travel in a message
    <run>/<host>/failed/<stage>-<partition>-<attempt>                  what attempts that failed were given
    <run>/<host>/sampled/<stage>-<partition>-<attempt>                 and what some were given that ended well
    <run>/<host>/<worker>/                                             what a worker writes aside, and its scratch files
    <run>/home/<name>                                                  what the program provides: slices, broadcasts, code

A host reads its own folder only.  Block names, which peers send, are paths below a host's folder and are checked as such.
"""

from __future__ import annotations

import re

from msgspec import Struct

from headrace.ids import AttemptId, Digest, HostId, StageId, WorkerId

HOME = HostId("home")
CODE = "blob-"  # what blocks of the program's store that hold code are called
SAMPLED = re.compile(r"sampled/\d+-\d+-\d+", re.ASCII)
CAPSULE = re.compile(r"failed/\d+-\d+-\d+", re.ASCII)
NAME = re.compile(
    r"(shuffle/\d+/\d+-\d+|result/\d+|(?:failed|sampled)/\d+-\d+-\d+|cache/\d+/\d+|[A-Za-z][\w.-]*)", re.ASCII
)


class Layout(Struct, frozen=True):
    """A run's folder."""

    root: str

    def host(self, host: HostId) -> str:
        """Return a host's folder."""
        return f"{self.root}/{host}"

    def own(self, host: HostId, worker: WorkerId) -> str:
        """Return the folder that goes when the worker does."""
        return f"{self.root}/{host}/{worker}"

    def path(self, host: HostId, block: str) -> str:
        """Return where a block lies.

        Raises:
            ValueError: the name is not a block's.

        """
        if not NAME.fullmatch(block):
            raise ValueError(f"{block!r} is not the name of a block")
        return f"{self.root}/{host}/{block}"


def map_output_name(stage: StageId, partition: int, attempt: AttemptId) -> str:
    """Name a map output, without the ending of its two files.

    >>> map_output_name(StageId(3), 5, AttemptId(17))
    'shuffle/3/5-17'
    """
    return f"shuffle/{stage}/{partition}-{attempt}"


def result_name(attempt: AttemptId) -> str:
    """Name a result."""
    return f"result/{attempt}"


def capsule_name(stage: StageId, partition: int, attempt: AttemptId) -> str:
    """Name what an attempt was given that has failed.

    >>> capsule_name(StageId(3), 5, AttemptId(17))
    'failed/3-5-17'
    """
    return f"failed/{stage}-{partition}-{attempt}"


def sampled_name(stage: StageId, partition: int, attempt: AttemptId) -> str:
    """Name what an attempt was given that has ended well, and is to be verified.

    >>> sampled_name(StageId(3), 5, AttemptId(17))
    'sampled/3-5-17'
    """
    return f"sampled/{stage}-{partition}-{attempt}"


def code_name(digest: Digest) -> str:
    """Name code that is too large for a message."""
    return f"{CODE}{digest}"


def cache_name(operator: int, partition: int) -> str:
    """Name a cached partition; it lies in a worker's memory."""
    return f"cache/{operator}/{partition}"
