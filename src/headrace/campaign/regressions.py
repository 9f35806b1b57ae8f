"""Plans of faults that broke a program once, kept beside it, so that they are tried again."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from headrace.campaign.words import Cluster
from headrace.errors import UsageError
from headrace.sim.faults import FaultPlan, read_plan, write_plan
from headrace.version import VERSION

FOLDER = os.path.join(".headrace", "regressions")
FORMAT = 1


class Regression(Struct, frozen=True, kw_only=True):
    """All that it takes to see a program break again.

    Attributes:
        reason: the kind of what was wrong, and the name of the exception, if it was one.
        says: what was wrong, in words.
        found: the day, in UTC.
        commit: of the program's folder, if it is one of git.

    """

    script: str
    arguments: tuple[str, ...] = ()
    seed: int
    cluster: Cluster
    plan: FaultPlan
    reason: tuple[str, str]
    says: str
    found: str = ""
    commit: str = ""
    version: str = VERSION
    format: int = FORMAT

    @property
    def name(self) -> str:
        """A name of its own for each program, seed and plan."""
        stem = os.path.splitext(os.path.basename(self.script))[0]
        said = msgspec.json.encode((self.script, self.arguments, self.seed, self.cluster, self.plan.faults))
        return f"{stem}-{hashlib.blake2b(said, digest_size=4).hexdigest()}.json"


def keep(regression: Regression, folder: str) -> str:
    """Write a regression down; return its path."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, regression.name)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    data = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(regression, found=today)), indent=2)
    aside = f"{path}.{os.getpid()}"
    with open(aside, "wb") as file:
        file.write(data + b"\n")
    os.replace(aside, path)
    return path


def read(path: str) -> Regression | FaultPlan:
    """Read a regression, or a bare plan of faults.

    Raises:
        UsageError: it is neither.

    """
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise UsageError(f"there is no plan {path!r}: {error.strerror}. Check the path.") from error
    try:
        found = msgspec.json.decode(data, type=Regression)
    except msgspec.MsgspecError:
        return read_plan(data)
    if found.format != FORMAT:
        raise UsageError(f"{path} has format {found.format}; this version reads format {FORMAT}.")
    return msgspec.structs.replace(found, plan=read_plan(write_plan(found.plan)))


def kept(folder: str, script: str, arguments: tuple[str, ...]) -> Iterator[tuple[str, Regression]]:
    """Give the regressions of a program, with their paths."""
    if not os.path.isdir(folder):
        return
    stem = os.path.splitext(os.path.basename(script))[0]
    for name in sorted(os.listdir(folder)):
        if name.startswith(f"{stem}-") and name.endswith(".json"):
            path = os.path.join(folder, name)
            found = read(path)
            same = isinstance(found, Regression) and os.path.basename(found.script) == os.path.basename(script)
            if same and isinstance(found, Regression) and found.arguments == arguments:
                yield path, found
