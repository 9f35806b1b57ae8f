"""A campaign: the program without failures, then under seed after seed; and of what breaks it, the smallest cause."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count, islice
from typing import Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from headrace.campaign.pool import Done, Pool
from headrace.campaign.promise import Promise, Violation, other_course
from headrace.campaign.regressions import Regression, keep, kept
from headrace.campaign.shrink import OutOfTime, shrink
from headrace.campaign.words import Cluster, Job, Outcome, Request
from headrace.errors import HeadraceError
from headrace.sim.faults import FaultPlan, draw_plan
from headrace.sim.world import World

TWICE_EVERY = 20  # every so many seeds one runs twice, in processes of different hash seeds
FEWER_WORKERS = (2, 3, 4, 6, 8, 12)


class Unfit(HeadraceError):
    """The program promises nothing that could be broken: it fails, or differs, with no failure at all."""


class Settings(Struct, frozen=True, kw_only=True):
    """What a campaign is to do.

    Attributes:
        seeds: how many; None: as many as there is time for.
        seconds: after so long no seed begins any more; None: there is no hurry.
        ignored: patterns of lines that are not compared.
        shrink_s: how long the faults that break the program may take to be made fewer; 0: they are left as they are.
        kept: the folder of what broke the program before.
        try_known: run what is there first.
        plan: what goes wrong, in the one run that there is then.

    """

    job: Job
    cluster: Cluster
    first: int = 0
    seeds: int | None = 1000
    seconds: float | None = None
    keep_going: bool = False
    ignored: tuple[str, ...] = ()
    shrink_s: float = 60.0
    kept: str
    try_known: bool = True
    plan: FaultPlan | None = None
    commit: str = ""


class Found(Struct, kw_only=True):
    """A run that broke the program's promise, and what is known of it.

    Attributes:
        plan: all that was drawn, or was in the file.
        small: what is left of it that still breaks the promise in the same way; None if it was not tried.
        outcome: of the run with the small plan.
        path: of the file that keeps it; empty if none does.
        again: whether it happened again, in a process of another hash seed.
        known: the file that it comes from, if it was known.

    """

    seed: int
    cluster: Cluster
    violation: Violation
    plan: FaultPlan
    outcome: Outcome
    small: FaultPlan | None = None
    tried: int = 0
    path: str = ""
    again: bool = True
    known: str = ""


class Tally(Struct):
    """What has been done so far.

    Attributes:
        known: how many of the kept plans were tried.
        twice: how many seeds have run in two processes of different hash seeds.
        hits: how often a kind of fault hit somebody who was doing something.
        broken: seeds that broke a promise.
        courses: seeds that took different courses in such processes, and how.
        threads: whether the program's threads make its courses differ anyway.

    """

    seeds: int = 0
    known: int = 0
    twice: int = 0
    events: int = 0
    simulated_s: float = 0.0
    hits: Counter[tuple[str, str]] = field(default_factory=Counter)
    broken: list[int] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    courses: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)
    threads: bool = False
    seconds: float = 0.0


class Reporter(Protocol):
    """Who tells people how it goes."""

    def promised(self, outcome: Outcome) -> None:
        """The program has run without failures."""
        ...

    def went(self, tally: Tally) -> None:
        """Another seed has run."""
        ...

    def broke(self, seed: int, violation: Violation) -> None:
        """A promise was broken; what it takes for that is looked for now."""
        ...

    def smaller(self, plan: FaultPlan, tried: int) -> None:
        """Fewer or smaller faults do it."""
        ...

    def found(self, found: Found) -> None:
        """All that is to be known of it."""
        ...


class Campaign:
    """Runs one program under seeds of disaster.

    Attributes:
        tally: what has been done, also when it is interrupted.

    """

    def __init__(self, settings: Settings, pool: Pool, reporter: Reporter) -> None:
        self._settings, self._pool, self._reporter = settings, pool, reporter
        self._promises: dict[Cluster, Promise] = {}
        self._began = time.monotonic()
        self.tally = Tally()

    # What the program promises.

    def promise(self) -> None:
        """Run the program without failures, twice, with different hash seeds.

        Raises:
            Unfit: it fails, or its output differs.

        """
        cluster = self._settings.cluster
        once, again = self._faultless(cluster, 2)
        if once.hung:
            limit = self._settings.job.limit_s
            raise Unfit(
                f"it did not end within {limit:g} s, with no failure at all. Give it less to do, or raise --limit."
            )
        if once.error or once.status < 0:
            raise Unfit(f"it fails, with no failure at all:\n{once.err.rstrip()}")
        if not once.worlds:
            raise Unfit("it never connected: call headrace.connect() in it, and let that be reached.")
        promise = Promise(once, self._settings.ignored)
        differs = promise.broken_by(again)
        if differs is not None:
            raise Unfit(
                f"it does not do the same twice, with no failure at all:\n{differs.says}\nWhat it prints and writes must "
                "depend on its input alone: sort what comes out of sets, print times and dates to stderr, or leave such "
                "lines out of the comparison with --ignore REGEX. connect(verify_determinism=...) finds functions whose "
                "results depend on hash order, time or chance."
            )
        self._promises[cluster] = promise
        self._note_course(0, once, again)
        self._reporter.promised(once)

    def _faultless(self, cluster: Cluster, number: int) -> list[Outcome]:
        request = Request(id=0, seed=0, cluster=cluster, plan=FaultPlan(), whole=True)
        asked = self._pool.ask_twice(request) if number == 2 else (self._pool.ask(request),)
        return [done.outcome for done in self._until(set(asked))]

    def _until(self, wanted: set[int]) -> list[Done]:
        """Wait for some answers; no others are outstanding."""
        done: list[Done] = []
        while len(done) < len(wanted):
            done += self._pool.wait()
        return sorted(done, key=lambda one: one.request.id)

    # Seeds.

    def run(self) -> None:
        """Run what is to be run; stop at the first promise that is broken, unless it is to go on."""
        try:
            if self._settings.plan is not None:
                self._planned(self._settings.first, self._settings.plan)
            elif not self._settings.try_known or self.known():
                self._seeds()
        finally:
            self.tally.seconds = time.monotonic() - self._began

    def _planned(self, seed: int, plan: FaultPlan) -> None:
        self._began = time.monotonic()
        self._look(self._one(Request(id=0, seed=seed, cluster=self._settings.cluster, plan=plan, whole=True)))

    def known(self) -> bool:
        """Try what broke the program before; return whether to go on."""
        self._began = time.monotonic()
        job = self._settings.job
        for path, regression in kept(self._settings.kept, job.script, job.arguments):
            cluster = regression.cluster
            if cluster not in self._promises:
                self._promises[cluster] = Promise(self._faultless(cluster, 1)[0], self._settings.ignored)
            request = Request(id=0, seed=regression.seed, cluster=cluster, plan=regression.plan, whole=True)
            done = self._one(request)
            self.tally.known += 1
            violation = self._promises[cluster].broken_by(done.outcome)
            if violation is not None:
                found = Found(
                    seed=regression.seed,
                    cluster=cluster,
                    violation=violation,
                    plan=regression.plan,
                    outcome=done.outcome,
                    known=path,
                    path=path,
                )
                self.tally.found.append(found)
                self._reporter.found(found)
                if not self._settings.keep_going:
                    return False
        return True

    def _seeds(self) -> None:
        seeds = self._wanted()
        twice: dict[int, Done] = {}  # by the request that is to show the same
        broken: list[Done] = []
        more = True
        while more or self._pool.outstanding:
            while more and self._pool.is_hungry:
                seed = next(seeds, None)
                more = seed is not None
                if seed is not None:
                    self._pool.ask(self._request(seed))
            for done in self._pool.wait() if self._pool.outstanding else ():
                if done.outcome.id in twice:
                    self.tally.twice += 1
                    self._note_course(done.request.seed, twice.pop(done.outcome.id).outcome, done.outcome)
                    continue
                self._count(done.outcome)
                if self._breaks(done):
                    broken.append(done)
                    more = more and self._settings.keep_going
                elif self._is_sample(done.request.seed):
                    twice[self._pool.ask(done.request, elsewhere=done.server)] = done
        broken.sort(key=lambda one: one.request.seed)
        self.tally.broken = [done.request.seed for done in broken]
        reasons: set[tuple[str, str]] = set()
        for done in broken if self._settings.keep_going else broken[:1]:
            violation = self._breaks(done)
            if violation is not None and violation.reason not in reasons:  # one of each is enough to look at
                reasons.add(violation.reason)
                self._look(done)

    def _wanted(self) -> Iterator[int]:
        settings = self._settings
        seeds = count(settings.first)
        for seed in seeds if settings.seeds is None else islice(seeds, settings.seeds):
            if settings.seconds is not None and time.monotonic() - self._began > settings.seconds:
                return
            yield seed

    def _is_sample(self, seed: int) -> bool:
        number = seed - self._settings.first
        few = self._settings.seeds is not None and self._settings.seeds < 2 * TWICE_EVERY and number < 2
        return number % TWICE_EVERY == 0 or few

    def _request(self, seed: int, *, whole: bool = False) -> Request:
        return Request(id=0, seed=seed, cluster=self._settings.cluster, whole=whole or bool(self._settings.ignored))

    def _count(self, outcome: Outcome) -> None:
        tally = self.tally
        tally.seeds += 1
        tally.hits.update(outcome.hits)
        tally.events += sum(world.events for world in outcome.worlds)
        tally.simulated_s += sum(world.simulated_s for world in outcome.worlds)
        tally.seconds = time.monotonic() - self._began
        self._reporter.went(tally)

    def _breaks(self, done: Done) -> Violation | None:
        return self._promises[done.request.cluster].broken_by(done.outcome)

    def _note_course(self, seed: int, once: Outcome, again: Outcome) -> None:
        """Compare the courses that a seed took in two processes of different hash seeds."""
        if max(once.threads, again.threads) > 1:  # what the system's threads do first is nobody's to say
            self.tally.threads = True
            return
        differs = tuple(other_course(once, again))
        if differs:
            self.tally.courses.append((seed, differs))

    # What breaks it.

    def _one(self, request: Request, *, elsewhere: int | None = None) -> Done:
        (done,) = self._until({self._pool.ask(request, elsewhere=elsewhere)})
        return done

    def _look(self, done: Done) -> None:
        """Find out what it takes to break the promise in the same way, keep that, and tell."""
        violation = self._breaks(done)
        if self._settings.plan is not None:
            self._count(done.outcome)
        if violation is None:
            return
        request = done.request
        self._reporter.broke(request.seed, violation)
        again = self._one(replace(request, whole=True), elsewhere=done.server)
        seen = self._breaks(again)
        found = Found(
            seed=request.seed,
            cluster=request.cluster,
            violation=seen or violation,
            plan=request.plan if request.plan is not None else drawn(request.cluster, request.seed),
            outcome=again.outcome if seen is not None else done.outcome,
            again=seen is not None and seen.reason == violation.reason,
        )
        if found.again and self._settings.shrink_s > 0:
            self._shrink(found)
        if found.again and self._settings.plan is None:
            found.path = self._keep(found)
        self.tally.found.append(found)
        self._reporter.found(found)

    def _shrink(self, found: Found) -> None:
        until = time.monotonic() + self._settings.shrink_s
        found.small = found.plan
        reason = found.violation.reason

        def fails(plans: Sequence[FaultPlan]) -> int | None:
            return self._first(
                [Request(id=0, seed=found.seed, cluster=found.cluster, plan=plan) for plan in plans],
                reason,
                found,
                until,
            )

        def smaller(plan: FaultPlan) -> None:
            found.small = plan
            self._reporter.smaller(plan, found.tried)

        try:
            shrink(found.plan, fails, smaller)
            self._on_fewer_workers(found, until)
        except (KeyboardInterrupt, OutOfTime):  # what is small by now is what there is
            self._pool.drain()
        last = self._one(Request(id=0, seed=found.seed, cluster=found.cluster, plan=found.small, whole=True))
        seen = self._breaks(last)
        if seen is not None:
            found.violation, found.outcome = seen, last.outcome

    def _first(self, requests: Sequence[Request], reason: tuple[str, str], found: Found, until: float) -> int | None:
        """Return the first of some requests that breaks the promise for the same reason; they run beside each other."""
        verdicts: dict[int, bool] = {}
        asked: dict[int, int] = {}
        following = iter(range(len(requests)))
        for place in range(len(requests)):
            while place not in verdicts:
                if time.monotonic() > until:
                    self._pool.drain()
                    raise OutOfTime
                while self._pool.is_hungry and (number := next(following, None)) is not None:
                    asked[self._pool.ask(requests[number])] = number
                for done in self._pool.wait():
                    found.tried += 1
                    seen = self._breaks(done)
                    verdicts[asked[done.outcome.id]] = seen is not None and seen.reason == reason
            if verdicts[place]:
                self._pool.drain()
                return place
        return None

    def _on_fewer_workers(self, found: Found, until: float) -> None:
        """See whether a smaller cluster does it: with another promise, because what is written may depend on its size."""
        assert found.small is not None
        for workers in FEWER_WORKERS:
            if workers >= found.cluster.workers:
                return
            cluster = replace(found.cluster, workers=workers, hosts=min(found.cluster.hosts, workers))
            faultless = self._faultless(cluster, 1)[0]
            if faultless.error or faultless.status != self._promises[found.cluster].outcome.status:
                continue
            self._promises[cluster] = Promise(faultless, self._settings.ignored)
            plans = [_later(found.small, times) for times in (1, 2, 4)]  # fewer workers take longer
            requests = [Request(id=0, seed=found.seed, cluster=cluster, plan=plan) for plan in plans]
            place = self._first(requests, found.violation.reason, found, until)
            if place is not None:
                found.cluster, found.small = cluster, plans[place]
                return

    def _keep(self, found: Found) -> str:
        settings = self._settings
        regression = Regression(
            script=settings.job.script,
            arguments=settings.job.arguments,
            seed=found.seed,
            cluster=found.cluster,
            plan=found.small if found.small is not None else found.plan,
            reason=found.violation.reason,
            says=found.violation.says,
            commit=settings.commit,
        )
        try:
            return os.path.relpath(keep(regression, settings.kept))
        except OSError:
            return ""


def _later(plan: FaultPlan, times: int) -> FaultPlan:
    return FaultPlan(tuple(replace(fault, at_ns=fault.at_ns * times) for fault in plan.faults))


def drawn(cluster: Cluster, seed: int) -> FaultPlan:
    """Return what goes wrong in a run by its seed, as the run itself draws it."""
    return draw_plan(cluster.faults, cluster.workers, World(seed).chance("faults"))
