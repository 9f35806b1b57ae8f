"""What is predicted from a run with so many workers, beside what a run with as many or with others takes."""

from __future__ import annotations

import operator
import os
import random
import time
from collections.abc import Callable

import headrace
from bench.data import ROOT, Library
from bench.pagerank import ranks
from bench.timing import Report
from headrace.ids import JobId, StageId
from headrace.plan.profile import FORMAT, Begun, Ended, JobProfile, Profile, StageProfile, Submitted
from headrace.plan.stages import Reads, Segment, StageSpec
from headrace.runtime.files import SystemFiles
from headrace.sim.predict.cluster import Cluster
from headrace.sim.predict.predict import Predictor
from headrace.store.profiles import read_profile

SIZES = (1, 2)
REACH = 15.0  # percent
ROWS = 1_000_000
TASKS, WORKERS = 100_000, 1000


def measure(library: Library, report: Report, rounds: int) -> None:
    """Record some programs with one worker and with two; predict each from each."""
    for name, program in programs(library).items():
        runs: dict[int, list[Profile]] = {size: [] for size in SIZES}
        for _ in range(rounds):
            for size in SIZES:
                runs[size].append(record(program, size))
        middles = {size: sorted(found, key=lambda one: one.took_ns)[len(found) // 2] for size, found in runs.items()}
        for size, found in runs.items():
            spread = [one.took_ns / 1e9 for one in found]
            report.note(f"{name}, {size} workers: {min(spread):.2f} to {max(spread):.2f} s")
        for source, profile in middles.items():
            predictor = Predictor(profile, SystemFiles())
            cluster = Cluster(slots=max(SIZES), startup_ns=profile.startup_ns, loop_ns=profile.loop_ns)
            for target in SIZES:
                real = middles[target].took_ns
                off = 100 * (predictor.predict(cluster, target).took_ns / real - 1)
                report.row(
                    f"  {name}: {target} predicted from {source}",
                    abs(off),
                    f"% ({off:+.1f})",
                    reach=REACH,
                    at_most=True,
                )

    many(report)


def many(report: Report) -> None:
    """Predict a large job: what that takes itself."""
    spec = StageSpec(StageId(1), "count", TASKS, False, (Segment(0, TASKS, Reads()),))
    stage = StageProfile.empty(spec)
    drawn = random.Random(1)
    stage.ran_ns = [int(drawn.lognormvariate(8, 0.4) * 1e6) for _ in range(TASKS)]  # three seconds each, more or less
    profile = Profile(Begun(FORMAT, "made", "", 0, 2, 1, 2, "local", 1 << 30))
    job, wanted = JobId(1), tuple(range(TASKS))
    profile.stages[spec.id] = stage
    profile.moments = [Submitted(job, "count", 0, (spec,), wanted), Ended(job, "done", 1)]
    profile.jobs[job] = JobProfile(job, "count", 0, wanted, (spec.id,), 1, "done")
    began = time.process_time()
    found = Predictor(profile, SystemFiles()).predict(Cluster(slots=2, loop_ns=50_000), WORKERS)
    took = time.process_time() - began
    what = f"  {TASKS:,} tasks on {WORKERS:,} workers, {found.events:,} events"
    report.row(what, took, f"s of processor time; {found.events / took:,.0f} events/s", reach=120, at_most=True)


def record(program: Callable[[headrace.Context], object], workers: int) -> Profile:
    """Run a program; return what was measured."""
    with headrace.connect(f"local://?workers={workers}", progress=False) as ctx:
        program(ctx)
    return read_profile(ctx.run)


def programs(library: Library) -> dict[str, Callable[[headrace.Context], object]]:
    """Programs of some seconds each, whose tasks are the same however many workers there are."""
    found: dict[str, Callable[[headrace.Context], object]] = {
        "word count": lambda ctx: (
            ctx.text_file(library.all)
            .flat_map(str.split)
            .map(lambda word: (word, 1))
            .reduce_by_key(operator.add, 8)
            .top(10, key=lambda pair: pair[1])
        ),
        "sort": lambda ctx: (
            ctx.range(2 * ROWS, num_slices=8)
            .map(lambda x: x * 7919 % 1_000_003)
            .sort_by(lambda x: x, num_partitions=8)
            .count()
        ),
        "join": lambda ctx: (
            ctx.range(ROWS, num_slices=8)
            .map(lambda x: (x % 100_000, x))
            .join(ctx.range(100_000, num_slices=4).map(lambda x: (x, -x)), 8)
            .count()
        ),
    }
    shared = os.environ.get("HEADRACE_TEST_DATA", ROOT.parent / "shared" / "data")
    for path in sorted(ROOT.__class__(shared).glob("**/web-NotreDame.txt.gz")):
        found["PageRank"] = lambda ctx, path=str(path): ranks(ctx, path)  # type: ignore[misc]
    return found
