"""What `headrace simulate` says: how far it is, what broke, and what was done."""

from __future__ import annotations

import shlex
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING

from headrace.campaign.campaign import Found, Settings, Tally
from headrace.campaign.promise import Violation
from headrace.campaign.words import Cluster, Outcome
from headrace.observe.terminal import is_terminal
from headrace.sim.faults import FaultPlan, kinds_of
from headrace.version import VERSION

if TYPE_CHECKING:
    from rich.live import Live

EVERY_S = 5.0  # a line of progress, where there is no terminal
STORY_LINES = 60


class Teller:
    """Prints to stdout; progress goes to stderr."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._live: Live | None = None
        self._shown = time.monotonic()
        self._terminal = is_terminal(sys.stderr)

    # On the way.

    def begin(self, jobs: int) -> None:
        """Say what will be done."""
        settings, cluster = self._settings, self._settings.cluster
        commit = f", {settings.job.script} at commit {settings.commit}" if settings.commit else ""
        print(f"headrace {VERSION}{commit}")
        print(
            f"{settings.job.script} on {cluster.workers} simulated workers of {cluster.hosts} hosts, faults: "
            f"{','.join(cluster.faults)}; {jobs} run{'s' * (jobs > 1)} at a time",
            flush=True,
        )

    def promised(self, outcome: Outcome) -> None:
        """The program has run without failures."""
        lines = outcome.out.count("\n")
        print(
            f"without failures: exit status {outcome.status}, {_many(lines, 'line')} printed, "
            f"{_many(len(outcome.written), 'file')} written; the same with another hash seed",
            flush=True,
        )
        if outcome.touched:
            print(f"  it changes files that its runs share: {', '.join(outcome.touched[:5])}; see docs/simulate.md")

    def shared(self, linked: tuple[str, ...]) -> None:
        """Say which folders are not copied."""
        plain = [name for name in linked if not name.rpartition("/")[2].startswith(".")]
        if plain:
            print(f"  too large to copy, so shared by all runs: {', '.join(plain[:5])}", flush=True)

    def went(self, tally: Tally) -> None:
        """Another seed has run."""
        said = self._progress(tally)
        if self._terminal:
            self._show(said)
        elif time.monotonic() - self._shown > EVERY_S:
            self._shown = time.monotonic()
            print(said, file=sys.stderr, flush=True)

    def _progress(self, tally: Tally) -> str:
        settings = self._settings
        of = f" of {settings.seeds:,}" if settings.seeds is not None else ""
        rate = tally.seeds / max(tally.seconds, 1e-9)
        return f"{tally.seeds:,}{of} seeds, {rate:.1f} a second, {sum(tally.hits.values()):,} faults hit"

    def _show(self, said: str) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            self._live = Live(console=Console(stderr=True), refresh_per_second=8, transient=True)
            self._live.start()
        self._live.update(Text(said))

    def pause(self) -> None:
        """Take the progress off the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    # What broke.

    def broke(self, seed: int, violation: Violation) -> None:
        """A promise was broken; what it takes for that is looked for now."""
        self.pause()
        print(f"\nseed {seed} breaks what the program promises: {violation.says}", flush=True)
        if self._settings.shrink_s > 0:
            print("looking for the fewest faults that do it ...", file=sys.stderr, flush=True)

    def smaller(self, plan: FaultPlan, tried: int) -> None:
        """Fewer or smaller faults do it."""
        if self._terminal:
            self._show(f"{_many(len(plan.faults), 'fault')} left, {tried} runs")

    def found(self, found: Found) -> None:
        """Tell all that is to be known of it."""
        self.pause()
        if found.known:
            print(f"\nit still breaks as it did before ({found.known}): {found.violation.says}")
        elif not found.again:
            print(
                "it did not happen again in a process of another hash seed: the program's functions depend on more than "
                "their input (hash order, time, chance, files); connect(verify_determinism=...) finds them"
            )
        print(f"\nWhat happened, with {_cluster(found.cluster)}:")
        for number, world in enumerate(found.outcome.worlds, start=1):
            if len(found.outcome.worlds) > 1:
                print(f"  context {number}")
            for line in world.story[:STORY_LINES]:
                print(f"  {line}")
            if len(world.story) > STORY_LINES:
                print(f"  ... and {len(world.story) - STORY_LINES} lines more")
        self._faults(found)
        print("\nTo see it again:")
        print(f"  {self._again(found)}")
        if found.path and not found.known:
            print(
                f"Kept in {found.path}; it is tried first from now on (headrace simulate --regressions tries only such)."
            )
        sys.stdout.flush()

    def _faults(self, found: Found) -> None:
        plan = found.small if found.small is not None else found.plan
        if found.small is not None and len(plan.faults) < len(found.plan.faults):
            print(f"\nThe faults that it takes, of {len(found.plan.faults)} (found by {found.tried} runs):")
        elif plan.faults:
            print("\nThe faults:")
        if not plan.faults:
            print("  none: another order of events is enough, as any cluster has it; the seed says which")
        for line in plan.describe():
            print(f"  {line}")

    def _again(self, found: Found) -> str:
        settings = self._settings
        words = ["headrace", "simulate", settings.job.script]
        if found.path:
            words += ["--plan", found.path]
        else:
            words += ["--seed", str(found.seed), *_flags(settings.cluster)]
        for pattern in settings.ignored:
            words += ["--ignore", pattern]
        if settings.job.arguments:
            words += ["--", *settings.job.arguments]
        return shlex.join(words)

    # At the end.

    def end(self, tally: Tally) -> None:
        """Sum up."""
        self.pause()
        print()
        if tally.known:
            still = sum(bool(found.known) for found in tally.found)
            print(f"{_many(tally.known, 'kept plan')} tried, {still} still break{'s' * (still == 1)} the program")
        rate = tally.seeds / max(tally.seconds, 1e-9)
        print(
            f"{_many(tally.seeds, 'seed')} in {tally.seconds:.1f} s ({rate:.1f} a second), {tally.simulated_s / 3600:.2f} "
            f"simulated hours, {_many(tally.events, 'event')}"
        )
        self._hits(tally)
        if tally.twice:
            same = tally.twice - len(tally.courses)
            print(f"{_many(tally.twice, 'seed')} ran twice, with different hash seeds: {same} took the same course")
        for seed, how in tally.courses[:3]:
            print(f"  seed {seed} did not: {'; '.join(how)}")
        if tally.courses:
            print(
                "  The program's functions depend on hash order, time or chance, so a seed alone does not repeat a run. "
                "connect(verify_determinism=...) says which."
            )
        if tally.threads:
            print("several threads of the program submit jobs: the system decides who is first, not the seed")
        if len(tally.broken) > 1:
            print(f"seeds that broke a promise: {', '.join(map(str, tally.broken[:50]))}")
        print("BROKEN" if tally.found else "no promise was broken", flush=True)

    def _hits(self, tally: Tally) -> None:
        by_kind = Counter[str]()
        phases: dict[str, Counter[str]] = {}
        for (kind, during), number in tally.hits.items():
            by_kind[kind] += number
            phases.setdefault(kind, Counter())[during] += number
        for kind, number in by_kind.most_common():
            told = ", ".join(f"{n:,} {during}" for during, n in phases[kind].most_common() if during)
            print(f"  {kind:10} hit {number:7,} times{f': {told}' if told else ''}")
        if tally.seeds:
            never = sorted(kinds_of(self._settings.cluster.faults) - set(by_kind))
            if never:
                print(f"  never hit anything: {', '.join(never)}")


def _cluster(cluster: Cluster) -> str:
    return f"{_many(cluster.workers, 'worker')} on {_many(cluster.hosts, 'host')}"


def _flags(cluster: Cluster) -> list[str]:
    usual, words = Cluster(), []
    if cluster.workers != usual.workers:
        words += ["--workers", str(cluster.workers)]
    if cluster.hosts != usual.hosts:
        words += ["--hosts", str(cluster.hosts)]
    if cluster.faults != usual.faults:
        words += ["--faults", ",".join(cluster.faults)]
    for name, value in cluster.options:
        words += ["--option", f"{name}={value}"]
    return words


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"
