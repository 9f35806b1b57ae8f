"""Checkpoints: a dataset's records are written to files, or kept by workers, and what they were made of is forgotten.

A job of its own writes them, in the background, once an action has computed the dataset; it reads kept partitions and
finished shuffles where there are any.  Its parts are written aside and renamed when all are there, `_SUCCESS` last, and
only then is the lineage cut: no half checkpoint is ever read, and a program that ends meanwhile has lost nothing.

Source: Zaharia et al., "Resilient Distributed Datasets" (2012), section 5.4.
"""

from __future__ import annotations

import contextlib
import contextvars
import threading
import warnings
import weakref
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from headrace.dataset.committing import ASIDE, commit
from headrace.dataset.costs import Costs
from headrace.errors import ContextClosed, HeadraceError, JobCancelled, OutputError, UsageError, WorldError
from headrace.execute import helpers
from headrace.execute.formats.checkpoints import CheckpointWriter
from headrace.loops.jobs import JobHandle
from headrace.plan.cutting import choose, cuts
from headrace.plan.formats import Frames
from headrace.plan.functions import UserFunction
from headrace.plan.levels import StorageLevel
from headrace.plan.operators import Kept, Operator, ReadFiles, Split, ancestors
from headrace.plan.rewrite import become
from headrace.plan.stages import FileSink, ResultSink, ValueSink
from headrace.ports import Files
from headrace.store.layout import HOME

if TYPE_CHECKING:
    from headrace.dataset.engine import Engine

TRIES = 3  # jobs for one checkpoint
LEAVE_S = 10.0  # that the end of a run waits for what lies aside to be removed


class _Mark(Struct):
    """What is to become of a dataset.

    Attributes:
        folder: where its files go; None where workers keep it.

    """

    folder: str | None
    state: Literal["marked", "writing", "done", "failed"] = "marked"
    tries: int = 0


class _Writing(Struct):
    """A checkpoint on its way."""

    operator: Operator
    handle: JobHandle
    mark: _Mark
    settled: bool = False  # the lineage is cut, or it has failed; what lies aside may still be there


class Checkpoints:
    """The datasets of one context that are to be checkpointed, and those that are."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._marks: weakref.WeakKeyDictionary[Operator, _Mark] = weakref.WeakKeyDictionary()
        self._marked: weakref.WeakSet[Operator] = weakref.WeakSet()  # those that are not being written yet
        self._writing: list[_Writing] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.RLock()
        self.folder: str | None = None
        self.costs = Costs()
        self._config = engine.config.checkpoint
        if self._config.auto:
            engine.session.controller.loop.watchers.append(self.costs)

    # What the user asks for.

    def mark(self, operator: Operator, folder: str | None = None) -> None:
        """Have a dataset checkpointed once an action has computed it.

        Args:
            folder: where, if not in the checkpoint folder.

        Raises:
            UsageError: there is no checkpoint folder.

        """
        if self.is_local(operator) or self.state(operator) in ("marked", "writing", "done"):
            return
        if folder is None:
            if self.folder is None:
                raise UsageError("checkpoint needs a folder to write to. Call ctx.set_checkpoint_dir first.")
            folder = f"{self.folder}/dataset-{operator.id}"
        self._marks[operator] = _Mark(folder)
        self._marked.add(operator)

    def mark_local(self, operator: Operator) -> None:
        """Have a dataset kept by workers, and cut off from what it is made of, once an action has computed it."""
        if self.state(operator) in ("writing", "done"):
            return
        engine = self._engine
        level = engine.cached.get(operator.id)
        if level is None:
            engine.keep(operator, StorageLevel.MEMORY_AND_DISK)
        elif not level.use_disk:  # memory may let go of it
            engine.unkeep(operator)
            engine.keep(operator, StorageLevel.MEMORY_AND_DISK)
        self._marks[operator] = _Mark(None)
        self._marked.add(operator)

    def state(self, operator: Operator) -> str | None:
        """Return how far a dataset's checkpoint is; None if nobody asked for one."""
        self.poll()
        mark = self._marks.get(operator)
        return None if mark is None else mark.state

    def is_local(self, operator: Operator) -> bool:
        """Whether workers are to keep a dataset, or do."""
        mark = self._marks.get(operator)
        return mark is not None and mark.folder is None

    def file(self, operator: Operator) -> str | None:
        """Return the folder of a dataset's checkpoint, once it is written."""
        mark = self._marks.get(operator)
        return mark.folder if mark is not None and self.state(operator) == "done" else None

    # What happens.

    def computed(self, handle: JobHandle) -> None:
        """An action has ended well: begin to write what is marked in its lineage."""
        self.poll()
        tip, _ = handle.request.keep[-1]
        if self._config.auto:
            self.costs.computed(handle)
            if not self._writing:
                self._choose(tip)
        if self._marked:
            for operator in ancestors(tip):
                if operator in self._marked:
                    self.begin(operator)

    def _choose(self, tip: Operator) -> None:
        """Mark what in a lineage is worth it."""
        engine, config = self._engine, self._config
        lineage = ancestors(tip)  # not long, because it is cut
        found = cuts(lineage, self.costs.stages, self.costs.results, list(engine.cached))
        chosen = choose(found, failure_ns=config.failure_ns, length_max=config.length_max)
        if chosen is None:
            return
        operator = next(one for one in lineage if one.id == chosen.operator)
        if operator in self._marks:
            return  # it is marked, or could not be written
        folder = f"{self.folder or engine.session.controller.layout.path(HOME, 'checkpoints')}/dataset-{operator.id}"
        self.mark(operator, folder)
        files = engine.session.files
        weakref.finalize(operator, _remove, files, folder).atexit = False  # nobody else knows of it

    def begin(self, operator: Operator) -> None:
        """Begin to write a dataset that is marked."""
        engine = self._engine
        with self._lock:
            if operator not in self._marked:
                return  # another thread was faster
            self._marked.discard(operator)
            mark = self._marks[operator]
            sink: ResultSink
            missing = None
            if mark.folder is None:
                missing = self._missing(operator)
                if not missing or operator.id not in engine.cached:
                    self._cut(operator, mark, None)
                    return
                sink = ValueSink(UserFunction(helpers.count, "local_checkpoint", operator.site))
            else:
                try:
                    engine.session.files.make_dirs(mark.folder)
                except OSError as error:
                    mark.tries = TRIES
                    self._try_again(operator, mark, error)
                    return
                sink = FileSink(f"{mark.folder}/{ASIDE}", Frames())
            mark.state, mark.tries = "writing", mark.tries + 1
            name = f"checkpoint of {operator.title or operator.name}"
            try:  # in no job group, and with no tags: it is nobody's job
                handle = contextvars.Context().run(engine.start, operator, sink, name, missing)
            except BaseException:
                mark.state = "marked"
                self._marked.add(operator)
                raise
            writing = _Writing(operator, handle, mark)
            self._writing.append(writing)
        if engine.config.scheme == "inline":  # nothing goes on unless somebody waits
            engine.session.wait(handle.ended)
            self.poll()
        elif engine.config.scheme == "local":
            thread = threading.Thread(target=self._see_to, args=(writing,), name="headrace-checkpoint", daemon=True)
            self._threads = [one for one in self._threads if one.is_alive()] + [thread]
            thread.start()

    def _see_to(self, writing: _Writing) -> None:
        """Bring one checkpoint to its end, in a thread of its own."""
        session = self._engine.session
        session.wait(writing.handle.ended)
        self.poll()
        session.wait(writing.handle.quiet)
        self.poll()

    def pump(self) -> None:
        """Settle what has ended meanwhile, where no thread sees to that: a simulated world has one."""
        if self._engine.config.scheme == "sim":
            self.poll()

    def poll(self) -> None:
        """Settle what has ended meanwhile."""
        if not self._writing:
            return
        with self._lock:
            for writing in list(self._writing):
                if not writing.settled and writing.handle.ended.is_set():
                    writing.settled = True
                    self._settle(writing)
                if writing.settled and writing.handle.quiet.is_set():
                    self._writing.remove(writing)
                    self._sweep(writing)

    def _settle(self, writing: _Writing) -> None:
        engine, operator, mark, handle = self._engine, writing.operator, writing.mark, writing.handle
        engine.jobs.ended(handle.request.id)
        try:
            if handle.failure is not None:
                raise handle.failure
            if mark.folder is not None:
                names = [f"part-{p:05d}{CheckpointWriter.suffix}" for p in range(operator.partitions)]
                files = engine.session.files
                commit(files, mark.folder, f"{mark.folder}/{ASIDE}", handle, names, mine=True)
                self._cut(operator, mark, _splits(files, mark.folder, names))
            elif operator.id not in engine.cached or not self._missing(operator):
                self._cut(operator, mark, None)
            else:
                raise WorldError("workers were lost meanwhile. It is tried again after the next action.")
        except (JobCancelled, WorldError, ContextClosed) as error:
            self._try_again(operator, mark, error)
        except (HeadraceError, OSError) as error:
            mark.tries = TRIES
            self._try_again(operator, mark, error)
        except BaseException:  # Ctrl-C in the thread that looks after it: the next action begins anew
            mark.state = "marked"
            self._marked.add(operator)
            raise

    def _try_again(self, operator: Operator, mark: _Mark, error: Exception) -> None:
        if mark.tries < TRIES:
            mark.state = "marked"
            self._marked.add(operator)
            return
        mark.state = "failed"
        warnings.warn(
            f"the checkpoint of {operator.name} ({operator.site}) was not written, and it is computed from its lineage as "
            f"before: {str(error).strip()}",
            RuntimeWarning,
            stacklevel=2,
        )

    def _missing(self, operator: Operator) -> list[int]:
        return sorted(set(range(operator.partitions)) - self._engine.session.kept(operator.id, operator.partitions))

    def _cut(self, operator: Operator, mark: _Mark, splits: tuple[tuple[Split, ...], ...] | None) -> None:
        engine = self._engine
        with engine.lock:
            if splits is None and operator.id not in engine.cached:  # unpersisted meanwhile: what was said last counts
                del self._marks[operator]
                return
            become(operator, Kept() if splits is None else ReadFiles(splits, Frames()), ())
            mark.state = "done"
            with contextlib.suppress(ContextClosed):
                engine.replan(operator)

    def _sweep(self, writing: _Writing) -> None:
        """Remove what attempts left aside that did not count."""
        if writing.mark.folder is not None:
            with contextlib.suppress(OSError):
                self._engine.session.files.remove_tree(f"{writing.mark.folder}/{ASIDE}/{writing.handle.request.id}")

    def wait(self) -> None:
        """Wait until nothing is being written any more."""
        while True:
            with self._lock:
                waiting = [writing.handle for writing in self._writing if not writing.settled]
            if not waiting:
                return
            for handle in waiting:
                self._engine.session.wait(handle.ended)
            self.poll()

    def close(self) -> None:
        """The run is over: what was not written is not."""
        for thread in self._threads:
            thread.join(LEAVE_S)
        for writing in self._writing:
            self._sweep(writing)


def _remove(files: Files, folder: str) -> None:
    with contextlib.suppress(OSError):
        files.remove_tree(folder)


def _splits(files: Files, folder: str, names: list[str]) -> tuple[tuple[Split, ...], ...]:
    """Look at the files that were written."""
    found = []
    for name in names:
        try:
            file = files.open(f"{folder}/{name}")
        except OSError as error:
            raise OutputError(f"{folder}/{name}: {error.strerror}. It was there a moment ago.") from error
        found.append((Split(f"{folder}/{name}", 0, None, file.size, file.modified_ns),))
        file.close()
    return tuple(found)
