"""Profiles made up for tests of predictions: stages of tasks that take what is said."""

from __future__ import annotations

from headrace.ids import JobId, StageId
from headrace.plan.profile import FORMAT, Begun, Ended, JobProfile, Profile, StageProfile, Submitted
from headrace.plan.stages import Reads, Segment, StageSpec
from headrace.runtime.files import SystemFiles
from headrace.sim.predict.cluster import Cluster, Prediction
from headrace.sim.predict.predict import Predictor

MS = 1_000_000
CLUSTER = Cluster(startup_ns=100 * MS)


def stage(number: int, ran_ms: list[float], *, reads: int = 0, read: int = 0, written: int = 0) -> StageProfile:
    """A stage of tasks; `read` and `written` are bytes of each; it is a map stage if it writes."""
    tasks = len(ran_ms)
    tree = Reads(stages=(StageId(reads),)) if reads else Reads()
    spec = StageSpec(StageId(number), f"stage {number}", tasks, bool(written), (Segment(0, tasks, tree),))
    made = StageProfile.empty(spec)
    made.ran_ns = [int(ms * MS) for ms in ran_ms]
    made.records, made.read_bytes, made.written_bytes = [1] * tasks, [read] * tasks, [written] * tasks
    return made


def profile(*jobs: tuple[float, float, list[StageProfile]], hosts: int = 1) -> Profile:
    """A run of jobs: when each began and ended, in milliseconds, and what was new with it."""
    begun = Begun(FORMAT, "made", "0", 0, 2, hosts, 1, "local", 1 << 30)
    found = Profile(begun, closed=True)
    moments: list[Submitted[StageSpec] | Ended] = []
    for number, (at, end, stages) in enumerate(jobs, start=1):
        job, specs = JobId(number), tuple(one.spec for one in stages)
        wanted = tuple(range(specs[-1].partitions))
        moments += [Submitted(job, "count", int(at * MS), specs, wanted), Ended(job, "done", int(end * MS))]
        found.stages.update({one.spec.id: one for one in stages})
        ids = tuple(spec.id for spec in specs)
        found.jobs[job] = JobProfile(job, "count", int(at * MS), wanted, ids, int(end * MS), "done")
    found.moments = sorted(moments, key=lambda moment: moment.at_ns)
    return found


def shuffled(tasks: int, each_bytes: int, ms: float = 10.0) -> Profile:
    """A shuffle of so many tasks on both sides, of so many bytes from each."""
    dealing = stage(1, [ms] * tasks, written=each_bytes)
    return profile((0, 1000, [dealing, stage(2, [ms] * tasks, reads=1, read=each_bytes)]))


def predict(found: Profile, workers: int, cluster: Cluster = CLUSTER, scale: int | None = None) -> Prediction:
    """Predict, and see that it came to its end."""
    made = Predictor(found, SystemFiles(), scale).predict(cluster, workers)
    assert not made.why
    return made
