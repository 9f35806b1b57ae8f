"""Jobs by name: groups and tags let one thread cancel what another runs, and futures let one thread run several."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import Future
from itertools import count
from typing import Any, ParamSpec, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from headrace.errors import JobFailed, UsageError
from headrace.ids import JobId
from headrace.plan.hashing import short

P = ParamSpec("P")
R = TypeVar("R")
FUTURE = "its future was cancelled"


class Labels(Struct, frozen=True):
    """What the jobs of a thread are called."""

    group: str | None = None
    description: str = ""
    tags: frozenset[str] = frozenset()
    properties: tuple[tuple[str, str], ...] = ()  # that their tasks can ask for, sorted
    task_timeout_ns: int | None = None  # 0: none; None: what the settings say


class Jobs:
    """The jobs that run, and the labels that those of each thread will have.

    Args:
        cancel: has a job end, for a reason.

    """

    def __init__(self, cancel: Callable[[JobId, str], None]) -> None:
        self._cancel = cancel
        self._labels: contextvars.ContextVar[Labels] = contextvars.ContextVar("labels")
        self._running: dict[JobId, Labels] = {}
        self._called_off: set[str] = set()  # tags of futures that were cancelled, perhaps between two of their jobs
        self._numbers = count(1)

    @property
    def labels(self) -> Labels:
        """The labels of this thread's jobs."""
        return self._labels.get(Labels())

    def relabel(self, **changed: Any) -> None:
        """Change the labels of this thread's jobs from now on."""
        self._labels.set(replace(self.labels, **changed))

    def begun(self, job: JobId) -> None:
        """A job of this thread is on its way."""
        labels = self._running[job] = self.labels
        if labels.tags & self._called_off:
            self._cancel(job, FUTURE)

    def ended(self, job: JobId) -> None:
        """Nobody waits for a job any more."""
        self._running.pop(job, None)

    def cancel(self, which: Callable[[Labels], bool], because: str) -> None:
        """Have the jobs end whose labels are such."""
        for job, labels in list(self._running.items()):
            if which(labels):
                self._cancel(job, because)

    def submit(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> JobFuture[R]:
        """Call a function in a thread of its own; cancelling the future cancels the jobs that it runs."""
        if not callable(function):
            raise UsageError(
                f"submit needs an action or a function, not {short(function)}. Leave its brackets out: counts.top, 10."
            )
        tag = f"future {next(self._numbers)}"
        context = contextvars.copy_context()
        context.run(self.relabel, tags=self.labels.tags | {tag})

        def call_off() -> None:
            self._called_off.add(tag)
            self.cancel(lambda labels: tag in labels.tags, FUTURE)

        future: JobFuture[R] = JobFuture(call_off)

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = context.run(function, *args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
            finally:
                self._called_off.discard(tag)

        threading.Thread(target=run, name=f"headrace-{tag}", daemon=True).start()
        return future


class JobFuture(Future[R]):
    """The result of an action that runs in the background."""

    def __init__(self, call_off: Callable[[], None]) -> None:
        super().__init__()
        self._call_off = call_off

    def cancel(self) -> bool:
        """Have it not run, or end: then `result` raises JobCancelled.  False if it has ended already."""
        if super().cancel():
            return True
        if self.done():
            return False
        self._call_off()
        return True

    def replay(self, attempt: int | None = None, *, debug: bool = False) -> None:
        """Run an attempt that failed again, in this process, on its saved input; waits for the action to end.

        Args:
            attempt: another than the last one that failed.
            debug: have `pdb` look at where it fails.

        Raises:
            UsageError: the action did not end with a job that failed, or the input was not saved.
            Exception: what the attempt raised.

        """
        error = self.exception()
        if not isinstance(error, JobFailed):
            how = "well" if error is None else f"with {type(error).__name__}, which no job raised"
            raise UsageError(f"there is nothing to replay: the action ended {how}.")
        error.replay(attempt, debug=debug)


def tag_of(value: Any) -> str:
    """Take a tag.

    Raises:
        UsageError: it is not text, or empty, or has a comma in it.

    """
    if not isinstance(value, str) or not value or "," in value:
        raise UsageError(f"a tag must be text without commas, not {short(value)}.")
    return value
