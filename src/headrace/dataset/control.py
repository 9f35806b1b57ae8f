"""What a context lets its user do about jobs as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from headrace.config import SECOND
from headrace.dataset.engine import Engine
from headrace.dataset.jobs import JobFuture, tag_of
from headrace.errors import UsageError
from headrace.plan.hashing import printable, short

P = ParamSpec("P")
R = TypeVar("R")


class JobControl:
    """Groups, tags, cancelling, and actions in the background."""

    _engine: Engine

    def submit(self, action: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> JobFuture[R]:
        """Run an action, or any function that runs some, in the background; several may run at once.

        The future is one of `concurrent.futures`; its `cancel` also ends jobs that run already, and its `replay` runs again,
        in this process, the attempt that a job failed with.

        >>> future = ctx.submit(ctx.range(10).map(lambda x: x * x).top, 2)
        >>> future.result()
        [81, 64]
        """
        return self._engine.jobs.submit(action, *args, **kwargs)

    def set_job_group(self, group_id: str, description: str = "", interrupt_on_cancel: bool = False) -> None:
        """Put the jobs that this thread runs from now on into a group.

        Args:
            description: for people.
            interrupt_on_cancel: has no meaning here: what is cancelled always ends within `cancel_grace=`.

        >>> ctx.set_job_group("nightly", "the nightly counts")
        >>> ctx.cancel_job_group("nightly")  # from another thread, while they run

        """
        del interrupt_on_cancel
        self._engine.jobs.relabel(group=group_id, description=description)

    def cancel_job_group(self, group_id: str) -> None:
        """Cancel the jobs of a group that run now; whoever waits for one of them gets JobCancelled.

        >>> ctx.cancel_job_group("nightly")
        """
        self._engine.jobs.cancel(lambda labels: labels.group == group_id, f"group {group_id!r} was cancelled")

    def set_task_timeout(self, seconds: float | None) -> None:
        """Have the tasks of jobs that this thread runs from now on end when they take longer; that counts as a failure.

        Each attempt has that time, from when it begins, and is asked to stop between two records; a function that goes on
        loses its process after `cancel_grace=`.  A stage that several jobs wait for has the time of the most patient.

        Args:
            seconds: instead of what `task_timeout=` says; `math.inf` for no limit; None for what `task_timeout=` says.

        Raises:
            UsageError: that is no such time.

        >>> ctx.set_task_timeout(60)
        >>> ctx.range(10).sum()
        45
        >>> ctx.set_task_timeout(None)

        """
        if seconds is None:
            self._engine.jobs.relabel(task_timeout_ns=None)
        elif isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds >= 0.001:
            self._engine.jobs.relabel(task_timeout_ns=0 if seconds == math.inf else int(seconds * SECOND))
        else:
            raise UsageError(f"a task cannot have {short(seconds)} seconds. Give it a number, 0.001 or more, or None.")

    def set_local_property(self, key: str, value: str | None) -> None:
        """Set a word that tasks of the jobs that this thread runs from now on can ask for; None takes it back.

        A task asks with `TaskContext.get().get_local_property(key)`.

        Raises:
            UsageError: either is no text.

        >>> ctx.set_local_property("day", "monday")
        >>> ctx.get_local_property("day")
        'monday'
        >>> ctx.set_local_property("day", None)
        >>> ctx.get_local_property("day") is None
        True

        """
        if not isinstance(key, str) or not isinstance(value, str | None):
            raise UsageError(f"a local property is text, not {short(key)} and {short(value)}. Give str(...) of it.")
        for text in (key, value or ""):
            if printable(text) != text:
                raise UsageError(
                    f"a local property is text that UTF-8 can write; {short(text)} has half of a surrogate pair. Encode it, "
                    "with base64 for example."
                )
        properties = {**dict(self._engine.jobs.labels.properties), key: value}
        kept = tuple(sorted((name, text) for name, text in properties.items() if text is not None))
        self._engine.jobs.relabel(properties=kept)

    def get_local_property(self, key: str) -> str | None:
        """Return what `set_local_property` has set for this thread's jobs; None if nothing.

        >>> ctx.get_local_property("night") is None
        True
        """
        return dict(self._engine.jobs.labels.properties).get(key)

    def add_job_tag(self, tag: str) -> None:
        """Tag the jobs that this thread runs from now on, besides the tags that they have already.

        >>> ctx.add_job_tag("report")
        >>> ctx.get_job_tags()
        {'report'}
        >>> ctx.cancel_jobs_with_tag("report")  # from another thread, while they run
        >>> ctx.remove_job_tag("report")
        """
        self._engine.jobs.relabel(tags=self._engine.jobs.labels.tags | {tag_of(tag)})

    def remove_job_tag(self, tag: str) -> None:
        """Tag the jobs that this thread runs from now on no longer so.

        >>> ctx.remove_job_tag("report")
        """
        self._engine.jobs.relabel(tags=self._engine.jobs.labels.tags - {tag_of(tag)})

    def get_job_tags(self) -> set[str]:
        """Return the tags of the jobs that this thread runs from now on.

        >>> ctx.get_job_tags()
        set()
        """
        return set(self._engine.jobs.labels.tags)

    def clear_job_tags(self) -> None:
        """Tag the jobs that this thread runs from now on no longer.

        >>> ctx.clear_job_tags()
        """
        self._engine.jobs.relabel(tags=frozenset())

    def cancel_jobs_with_tag(self, tag: str) -> None:
        """Cancel the jobs with a tag that run now; whoever waits for one of them gets JobCancelled.

        >>> ctx.cancel_jobs_with_tag("report")
        """
        wanted = tag_of(tag)
        self._engine.jobs.cancel(lambda labels: wanted in labels.tags, f"jobs with the tag {tag!r} were cancelled")

    def cancel_all_jobs(self) -> None:
        """Cancel all jobs that run now; whoever waits for one of them gets JobCancelled.

        >>> ctx.cancel_all_jobs()
        """
        self._engine.jobs.cancel(lambda labels: True, "all jobs were cancelled")
