"""The way in: `connect`, and the context that it returns."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from headrace.config import Config, parse_url, with_option
from headrace.dataset.control import JobControl
from headrace.dataset.durability import Durability
from headrace.dataset.engine import Engine
from headrace.dataset.shipping import Shipping
from headrace.dataset.sources import Sources
from headrace.errors import ClosureError
from headrace.execute.broadcasting import write_broadcast
from headrace.execute.shared import Accumulator, AccumulatorParam, Broadcast
from headrace.ids import RunId
from headrace.loops.loop import Watcher
from headrace.loops.session import Session, WorkerInfo
from headrace.observe.onlookers import Onlookers
from headrace.observe.printed import Printed
from headrace.observe.progress import size
from headrace.plan.html import box, table
from headrace.runtime.interrupts import held_interrupts

T = TypeVar("T")
ENVIRONMENT = "HEADRACE_URL"
_open: set[Context] = set()  # held until closed: a program that lets go of its context still has its datasets


class Connecting:
    """What `headrace run` and `headrace simulate` lay over every `connect` in a script.

    Attributes:
        url: instead of what the script says.
        rewrite: makes another address of the one that the script, or `url`, says.
        progress: whether to show any; None leaves it to the terminal.
        opened: is shown every context that is made.

    """

    url: str | None = None
    rewrite: Callable[[str], str] | None = None
    progress: bool | None = None
    opened: Callable[[Context], None] | None = None


class Context(Sources, JobControl, Durability, Shipping):
    """A connection to where work runs.  Makes datasets; closes with `close`, a `with` block, or the program."""

    def __init__(self, session: Session, onlookers: Onlookers) -> None:
        self._session = session
        self._engine = Engine(session)
        self._engine.context = self
        self._shipped = self._engine.shipped
        self._onlookers = onlookers
        self._pid = os.getpid()
        _open.add(self)

    # Shared values.

    def broadcast(self, value: T) -> Broadcast[T]:
        """Send a value to every worker once, when a task first asks for it.

        Raises:
            ProgramError: it cannot be pickled.

        >>> stop = ctx.broadcast({"the", "a"})
        >>> ctx.parallelize(["the", "mill"]).filter(lambda word: word not in stop.value).collect()
        ['mill']

        """
        name = self._engine.block_name("broadcast")
        self._session.provide(name, write_broadcast(value))
        session = self._session
        made = Broadcast(name, value, lambda: session.withdraw(name), lambda: session.unload(name))
        weakref.finalize(made, session.forget, None, (name,)).atexit = False
        return made

    def accumulator(self, value: T, accum_param: AccumulatorParam[T] | None = None) -> Accumulator[T]:
        """Make a value that tasks add to and the program reads, when the action has returned.

        Args:
            value: what it begins with: a number, or anything else that has `+`.
            accum_param: how other values are added.

        >>> seen = ctx.accumulator(0)
        >>> ctx.range(10).foreach(lambda x: seen.add(1))
        >>> seen.value
        10

        """
        return self._engine.accumulator(value, accum_param)

    # Looking.

    @property
    def run(self) -> RunId:
        """The name of this run; `headrace story` takes it.

        >>> isinstance(ctx.run, str)
        True
        """
        return self._session.run

    @property
    def config(self) -> Config:
        """The settings, with what the address left open filled in.

        >>> ctx.config.scheme
        'inline'
        """
        return self._session.config

    @property
    def default_parallelism(self) -> int:
        """How many slices `parallelize` makes unless it is told: one for each worker.

        >>> ctx.default_parallelism
        1
        """
        return self._session.config.workers

    def workers(self) -> tuple[WorkerInfo, ...]:
        """Return the workers that live, as of now; from any thread, also while an action runs.

        >>> [worker.state for worker in ctx.workers()]
        ['idle']
        """
        return self._session.workers()

    # Ending.

    def close(self) -> None:
        """End the run: no process and no temporary file is left.  In a forked child: nothing, the run is its parent's.

        >>> other = connect("inline://", progress=False)
        >>> other.close()
        >>> other.range(3).count()
        Traceback (most recent call last):
        ...
        headrace.errors.ContextClosed: this context is closed. Connect anew with headrace.connect().
        """
        if os.getpid() != self._pid:
            _open.discard(self)
        if self not in _open:
            return
        with held_interrupts():
            try:
                with contextlib.suppress(Exception):  # whatever is in its way, the run ends
                    self._engine.failures.close()
                if self._engine.verifying is not None:
                    self._engine.verifying.close()
                self._session.close()
                self._engine.checkpoints.close()
            finally:
                _open.discard(self)
                self._shipped.close()
                self._onlookers.close(self._session, idle=self._engine.is_idle and sys.exc_info()[0] is None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        config = self._session.config
        return f"<Context {config.scheme}://, {config.workers} workers, run {self._session.run}>"

    def _repr_html_(self) -> str:
        """Show in a notebook who is there and what has run."""
        workers = [(w.id, w.host, w.state, w.task or "", size(w.memory)) for w in self.workers()]
        state = "" if self in _open else ", closed"
        return box(
            f"{self._session.config.scheme}://, run {self._session.run}{state}",
            box("workers", table(workers, ("worker", "host", "state", "task", "memory"))),
            box("jobs", table(self._onlookers.ledger.rows(), ("job", "action", "partitions", "state", "time"))),
        )

    def __reduce__(self) -> tuple[Any, ...]:
        raise ClosureError(
            "the context belongs to the program and cannot be used inside a function that runs on workers. Make datasets "
            "outside, and pass values with ctx.broadcast"
        )


@atexit.register
def _close_all() -> None:
    for context in list(_open):
        context.close()


def connect(
    url: str | None = None,
    *,
    progress: bool | None = None,
    checkpoint: str | None = None,
    task_timeout: float | None = None,
    verify_determinism: float | str | None = None,
    watchers: Iterable[Watcher] = (),
) -> Context:
    """Connect to where work runs.

    Args:
        url: ``local://`` (worker processes of this machine), ``inline://`` (in this very process) or ``sim://`` (a
            simulated cluster), with options such as ``?workers=4&memory=64MB``; what HEADRACE_URL says unless given, or
            ``local://``.
        progress: show progress while jobs run; unless said, a live table in a terminal and plain lines elsewhere.
        checkpoint: "auto" writes datasets whose lineage has grown long or costly to files in the background, "off" only
            those that the program marks; as the address says, or "off", unless given.
        task_timeout: seconds that an attempt at a task may take before it is ended and has failed; as the address says, or
            without a limit, unless given.  `Context.set_task_timeout` sets it for some jobs.
        verify_determinism: the share of tasks that are run twice more, in processes with other hash seeds, to see whether
            they do the same; "all" for every one.  A job whose functions depend on the order of sets, on time or on chance
            fails with `NotDeterministic`.  As the address says, or none, unless given.
        watchers: are shown every step of every machine.

    Raises:
        UsageError: the address does not mean anything.

    >>> with connect("inline://", progress=False) as ctx:
    ...     ctx.range(5).sum()
    10

    """
    with held_interrupts():  # of a run that has begun somebody must know, to end it
        options = {"checkpoint": checkpoint, "task_timeout": task_timeout, "verify_determinism": verify_determinism}
        return _connect(url, progress, options, watchers)


def _connect(
    url: str | None, progress: bool | None, options: Mapping[str, Any], watchers: Iterable[Watcher]
) -> Context:
    address = Connecting.url or url or os.environ.get(ENVIRONMENT) or "local://"
    config = parse_url(Connecting.rewrite(address) if Connecting.rewrite is not None else address)
    for name, value in options.items():
        if value is not None:
            config = with_option(config, name, str(value) if isinstance(value, int | float) else value)
    wanted = Connecting.progress if Connecting.progress is not None else progress
    onlookers = Onlookers(wanted, measured=config.scheme != "sim")
    session = _session(config, [*onlookers.watchers, *watchers], onlookers.printed)
    onlookers.begin(session)
    made = Context(session, onlookers)
    if Connecting.opened is not None:
        Connecting.opened(made)
    return made


def _session(config: Config, watchers: list[Watcher], printed: Printed) -> Session:
    if config.scheme == "sim":
        from headrace.runtime.files import SystemFiles
        from headrace.sim.session import SimSession

        return SimSession(config, watchers, SystemFiles())
    if config.scheme == "inline":
        from headrace.runtime.inline import InlineSession

        return InlineSession(config, watchers)
    from headrace.runtime.session import LocalSession

    return LocalSession(config, watchers, printed)
