"""What headrace raises on purpose, by who has to act: the program is wrong, the world failed, or we are.

Every message ends with what to do.  Every error survives pickling, because most are born on a worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar


class HeadraceError(Exception):
    """Everything this package raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Subclasses take what they need by keyword and build the message; unpickling must not build it twice.
        return _revive, (type(self), self.args, self.__dict__.copy())


def _revive(kind: type[HeadraceError], args: tuple[Any, ...], state: dict[str, Any]) -> HeadraceError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(state)
    return error


# The program is wrong.


class ProgramError(HeadraceError):
    """The program, its arguments or its input must change; running it again will not help."""


class UsageError(ProgramError, ValueError):
    """An argument or an address does not mean anything."""


class ClosureError(ProgramError, TypeError):
    """A function cannot travel to a worker; the message has the path to the culprit."""


class ModuleMissing(ProgramError, ImportError):
    """A worker cannot import a module that the program's functions or data name."""


class InputError(ProgramError, OSError):
    """Input that is missing, unreadable, broken or changed: names the file and the place in it."""


class OutputExists(ProgramError, FileExistsError):
    """The output directory is there already."""


class OutputError(ProgramError, OSError):
    """Output that cannot be put where the program wants it."""


class NoRecords(ProgramError, ValueError):
    """An action that needs at least one record was asked of a dataset that has none."""


class KeyProblem(ProgramError, TypeError):
    """A key that cannot be grouped by: unhashable, or hashed differently by every process."""


class GroupExpired(ProgramError, RuntimeError):
    """A group that lives on disk was kept beyond the task that made it."""


class BarrierBroken(ProgramError, RuntimeError):
    """Tasks that are to wait for each other came to different calls, or one ended without coming."""


class ContextClosed(ProgramError, RuntimeError):
    """The context was closed, or belongs to a process that this one was forked from."""


# The world failed.


class WorldError(HeadraceError):
    """A process, a disk or a peer failed; the same program may succeed another time or elsewhere."""


class WorkersUnavailable(WorldError):
    """Worker after worker died before it was ready."""


class KeptLost(WorldError):
    """What only workers kept, because its lineage was cut, went with them."""


class DiskFull(WorldError, OSError):
    """No space is left where temporary data or output goes."""


class PeerRefused(WorldError, ConnectionError):
    """A peer did not prove the run's key, or spoke out of turn."""


# We are wrong.


class InternalError(HeadraceError):
    """A bug in headrace.  Carries the last steps of the machine that noticed it."""

    def __init__(self, what: str, story: Sequence[str] = ()) -> None:
        self.story = tuple(story)
        tail = "".join(f"\n  {line}" for line in self.story[-12:])
        super().__init__(f"{what}. This is a bug in headrace, not in your program: please report it.{tail}")


class PromiseBroken(InternalError):
    """A simulated run has broken a promise of the engine: a checker that stands apart has seen it.

    Attributes:
        promise: which.
        seed: of the run; the same seed, program and version break it again.
        evidence: what was seen, a line each.

    """

    heading = "a promise of headrace was broken"

    def __init__(self, promise: str, seed: int = 0, evidence: Sequence[str] = ()) -> None:
        self.promise, self.seed, self.evidence = promise, seed, tuple(evidence)
        seen = "".join(f"\n  {line}" for line in self.evidence)
        HeadraceError.__init__(
            self,
            f"{self.heading}, with seed {seed}: {promise}.{seen}\nThis is a bug in headrace, not in your program: please "
            "report it, with the seed and what `headrace story` tells.",
        )


class NoProgress(PromiseBroken):
    """A simulated run stands still though nothing goes wrong any more; the evidence is the chain of who waits for what."""

    heading = "a job stands still in a world that is kind"


# How a job ends when it does not end well.


class JobFailed(HeadraceError):
    """A job gave up.  `__cause__` is what the last attempt raised, when it raised something.

    Attributes:
        job: the number of the job in its run.
        history: one line for every attempt of the task that failed, oldest first.
        run: the name of the run.
        attempt: the last attempt that failed, 0 if none did by itself.
        unsaved: why the input of that attempt was not saved; empty if it was.

    """

    run, attempt, unsaved = "", 0, "no attempt failed by itself"

    def __init__(self, message: str, *, job: int = 0, history: Sequence[str] = ()) -> None:
        self.job, self.history = job, tuple(history)
        super().__init__(message)

    def replay(self, attempt: int | None = None, *, debug: bool = False) -> None:
        """Run a failed attempt again, in this process, on its saved input; it raises what it raised.

        Works when the context is closed, too.  What the functions do besides returning, they do again; what they return is
        thrown away.

        Args:
            attempt: another than the last one that failed.
            debug: have `pdb` look at where it fails.

        Raises:
            UsageError: its input was not saved; the message says why.
            Exception: what the attempt raised.

        """
        if attempt is None and self.unsaved:
            raise UsageError(f"attempt {self.attempt} cannot be run again: {self.unsaved}.")
        if Replayer.replay is None:
            raise UsageError("the attempt was run elsewhere. Import headrace.context first, or use `headrace replay`.")
        Replayer.replay(self.run, attempt or self.attempt, debug)


class Replayer:
    """Who runs attempts again: set by the room that can."""

    replay: ClassVar[Callable[[str, int, bool], None] | None] = None


class TaskFailed(JobFailed, ProgramError):
    """The same task raised, exited or crashed its process too often."""


class NotDeterministic(JobFailed, ProgramError):
    """A task that was run again to be verified, with `verify_determinism=`, did not do the same.

    Attributes:
        operator, site: what was the first to differ, and the line of the program that defined it.
        task: which.
        cause: what it seems to depend on: "hash order", "chance" (time, random numbers, the process), "state" (what earlier
            tasks left) or "unknown".
        example: a record as it was in either run, empty where there was none.

    """

    operator, site, task, cause = "", "", "", ""
    example: tuple[str, str] = ("", "")


class TaskTimedOut(TaskFailed, TimeoutError):
    """The same task failed too often, the last time because it took longer than `task_timeout=` allows."""


class TaskLost(JobFailed, WorldError):
    """The same task lost its process, its host or its input too often."""


class ResultTooLarge(JobFailed, ProgramError):
    """The partitions' results together exceed what the program allows itself to hold."""


class JobCancelled(JobFailed):
    """Somebody cancelled the job."""
