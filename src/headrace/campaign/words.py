"""What a campaign is asked, and what it and its servers tell each other."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from headrace.sim.faults import FaultPlan


class Cluster(Struct, frozen=True, kw_only=True):
    """The simulated cluster that the program runs on, laid over what it says itself.

    Attributes:
        options: of the address, besides those above.

    """

    workers: int = 20
    hosts: int = 4
    faults: tuple[str, ...] = ("all",)
    options: tuple[tuple[str, str], ...] = ()


class Job(Struct, frozen=True, kw_only=True):
    """A program, and how it is run.

    Attributes:
        script: its path, as it was given.
        folder: the absolute path of the folder that it is run in.
        limit_s: wall-clock seconds that one run may take.
        spawn: a fresh interpreter for each run, rather than a fork of one that has headrace imported.

    """

    script: str
    arguments: tuple[str, ...] = ()
    folder: str
    limit_s: float = 60.0
    spawn: bool = False


class Request(Struct, frozen=True, kw_only=True):
    """One run that is wanted.

    Attributes:
        id: what the answer bears.
        plan: what goes wrong, instead of what is drawn from the seed.
        whole: bring what was written and the story, not only digests.

    """

    id: int
    seed: int
    cluster: Cluster
    plan: FaultPlan | None = None
    whole: bool = False


class World(Struct, frozen=True, kw_only=True):
    """What one simulated world of a run says of itself: a program that connects twice has two.

    Attributes:
        hits: each fault that hit, as its kind and what its victim was doing.
        story: its lines, if they were asked for.

    """

    trace: str
    events: int
    simulated_s: float
    plan: FaultPlan
    hits: tuple[tuple[str, str], ...] = ()
    story: tuple[str, ...] = ()


class Written(Struct, frozen=True):
    """A file that a run made or changed.

    Attributes:
        text: what is in it, if that was asked for and it is a text of moderate size.

    """

    digest: str
    size: int
    text: str | None = None


class Outcome(Struct, frozen=True, kw_only=True):
    """What one run did.

    Attributes:
        status: its exit status; minus the signal that ended it.
        hung: it was ended because it took longer than it may.
        error: the name of the exception that ended it, if one did; and what it says.
        out: what it printed, as far as that is moderately much; `digest` is of all.
        err: the end of what it printed to stderr.
        threads: how many of its threads submitted jobs.
        touched: files outside the copy that it changed through links.

    """

    id: int
    status: int
    seconds: float
    hung: bool = False
    error: str = ""
    message: str = ""
    out: str = ""
    digest: str = ""
    err: str = ""
    written: dict[str, Written] = field(default_factory=dict)
    removed: tuple[str, ...] = ()
    worlds: tuple[World, ...] = ()
    threads: int = 1
    touched: tuple[str, ...] = ()

    @property
    def trace(self) -> tuple[Any, ...]:
        """All that must be the same when the same seed runs again."""
        return tuple((world.trace, world.events) for world in self.worlds)

    @property
    def hits(self) -> tuple[tuple[str, str], ...]:
        """The faults that hit, in all worlds."""
        return tuple(hit for world in self.worlds for hit in world.hits)
