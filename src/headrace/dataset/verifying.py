"""A job's result waits until the tasks that were drawn have been run again; one that does not do the same fails the job."""

from __future__ import annotations

from headrace.dataset.failing import Failures
from headrace.errors import NotDeterministic
from headrace.ids import JobId
from headrace.loops.jobs import JobHandle
from headrace.loops.samples import Drawn
from headrace.loops.session import Session
from headrace.observe.story import Verified
from headrace.plan.functions import Site
from headrace.runtime.session import usable_cores
from headrace.runtime.verify.judge import Difference
from headrace.runtime.verify.verifier import Tally, Verifier

CORES_EACH = 4  # of this machine, for every task that is run again at the same time: by two processes, beside the job
ADVICE = {
    "hash order": (
        "Two runs with one hash seed are alike, so it is the order of a set (or of what hash() gives) that shows in its "
        "records: it differs from process to process. Use sorted(...), or dict.fromkeys(...) to drop doubles."
    ),
    "chance": (
        "Two runs with one hash seed differ, too, so it depends on the time, on random numbers, on id() or on the process. "
        "Take what is to be random from a seed and the record, and have the program pass the time in."
    ),
    "state": (
        "It depends on what earlier tasks in the same process left behind: a global, a default argument, a closure or a "
        "cache that it changes. Keep nothing from one call to the next, or use an accumulator."
    ),
    "unknown": (
        "What came out of the task was not what comes out now, two times over. Look for the process, its worker, files or "
        "services, and what earlier tasks left behind."
    ),
}


class Verifying:
    """What one context verifies."""

    def __init__(self, session: Session, failures: Failures) -> None:
        self._session, self._failures = session, failures
        at_once = max(1, usable_cores() // CORES_EACH)
        self._verifier = Verifier(lambda: failures.shipped(), at_once)
        session.controller.samples.take = self._verifier.take

    def begin(self, job: JobId) -> None:
        """A job begins."""
        self._verifier.begin(job)

    def settle(self, handle: JobHandle) -> None:
        """Wait for what is still to be verified of a job that has ended.

        Raises:
            NotDeterministic: some task does not do the same again.

        """
        request = handle.request
        try:
            tally = self._verifier.settle(request.id)
        finally:
            self._verifier.drop(request.id)
        self._tell(request.id, tally)
        if tally.difference is not None:
            raise self._error(request.name, *tally.difference)

    def drop(self, job: JobId) -> None:
        """A job has failed, or nobody waits for it any more."""
        self._verifier.drop(job)

    def close(self) -> None:
        """The context is closed."""
        self._verifier.close()

    def _tell(self, job: JobId, tally: Tally) -> None:
        found = tally.difference
        differs = f"task {found[0].task}, in {found[1].place.name}" if found is not None else ""
        news = Verified(job, tally.verified, dict(tally.skipped), dict(tally.unknown), differs)
        for watch in self._session.controller.loop.watchers:
            watch("verify", news, [])

    def _error(self, name: str, drawn: Drawn, found: Difference) -> NotDeterministic:
        place = found.place
        site = Site(place.file, place.line, place.function)
        code = f": {site.code}" if site.code else ""
        lines = [f"{place.name} ({site}{code}) does not give the same when it is run again."]
        if found.one or found.other:
            lines += [f"  given   {found.given}"] if found.given else []
            lines += [
                f"  once    {found.one or 'nothing'}",
                f"  again   {found.other or 'nothing'}",
            ]
            if found.number:
                lines.append(f"  behind {found.number:,} records of its own that were alike")
        lines.append(ADVICE[found.cause])
        lines.append(f"job {drawn.job} ({name}): task {drawn.task}, attempt {drawn.attempt} on {drawn.worker}.")
        error = NotDeterministic("\n".join(lines), job=int(drawn.job))
        error.operator, error.site, error.cause, error.task = place.name, str(site), found.cause, str(drawn.task)
        error.example = (found.one, found.other)
        self._failures.attach_done(error, drawn)
        return error
