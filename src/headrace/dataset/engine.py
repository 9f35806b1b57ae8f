"""From operators to jobs: what all operators and actions of one context share."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from itertools import count
from typing import TYPE_CHECKING, Any

import cloudpickle

from headrace.dataset import adapting
from headrace.dataset.checkpoints import Checkpoints
from headrace.dataset.failing import Failures
from headrace.dataset.jobs import Jobs
from headrace.dataset.known import Known
from headrace.dataset.shipping import Shipped
from headrace.errors import ContextClosed, TaskFailed, UsageError
from headrace.execute.chunks import loads, main_classes
from headrace.execute.current import current
from headrace.execute.helpers import sample_keys
from headrace.execute.shared import Accumulator, AccumulatorParam
from headrace.ids import Digest, JobId, OperatorId, StageId
from headrace.loops.jobs import MESSAGE_BLOB_BYTES, JobHandle, JobRequest, StageCode
from headrace.loops.session import Session
from headrace.plan.barriers import check_gangs
from headrace.plan.byvalue import ByValuePickler
from headrace.plan.formats import Frames
from headrace.plan.functions import PROTOCOL, Site, UserFunction, call_site, digest_of
from headrace.plan.hashing import short
from headrace.plan.holding import holding
from headrace.plan.levels import StorageLevel
from headrace.plan.operators import (
    Adaptive,
    Aggregate,
    Body,
    Edge,
    Forward,
    Kept,
    Operator,
    PerPartition,
    Shuffle,
    ancestors,
)
from headrace.plan.partitioners import Partitioner, RangePartitioner
from headrace.plan.rewrite import become, tell
from headrace.plan.stages import FileSink, RecordsSink, ResultSink, Stage, compile_job
from headrace.store.layout import code_name

if TYPE_CHECKING:
    from headrace.dataset.verifying import Verifying

SAMPLE_PER_PARTITION = 40  # keys drawn for each partition that sorting makes
MAIN_CLASS_BYTES = 1 << 20  # a class of `__main__` that takes more, with all that it refers to, goes by value


class Engine:
    """Names operators, stages and jobs, compiles, submits and waits."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.config = session.config
        self._operators, self._stages, self._jobs = count(1), count(1), count(1)
        self._blocks, self._accumulator_numbers = count(1), count(1)
        self.cached: dict[OperatorId, StorageLevel] = {}
        self._watched: weakref.WeakSet[Operator] = weakref.WeakSet()  # that have ever been kept
        self.known = Known()
        self._main: dict[str, type] = {}
        self._main_digest: Digest | None = None
        self._main_held: list[Any] = []  # what those classes name, as they were sent
        self._large: weakref.WeakSet[UserFunction] = weakref.WeakSet()  # that hold their code in the program's store
        self._accumulators: weakref.WeakValueDictionary[int, Accumulator[Any]] = weakref.WeakValueDictionary()
        self.context: object = None  # the user's, which all datasets can tell
        self.jobs = Jobs(session.cancel)
        self.shipped = Shipped(session)
        self.failures = Failures(session, lambda: self.shipped.listed)
        self.verifying: Verifying | None = None
        if self.config.verify.fraction:
            from headrace.dataset.verifying import Verifying  # what runs tasks again: few programs need it

            self.verifying = Verifying(session, self.failures)
        self._derived, self._idle = False, True
        self.checkpoints = Checkpoints(self)
        self.unsettled: weakref.WeakSet[Operator] = weakref.WeakSet()  # something is to be measured before they run
        self.lock = threading.RLock()  # several threads may run actions
        self._settling = threading.RLock()  # and wait for each other's samples

    # Making operators.

    def operator(
        self,
        name: str,
        body: Body,
        inputs: tuple[Operator | Edge, ...] = (),
        *,
        partitions: int,
        partitioner: Partitioner | None = None,
        site: Site | None = None,
    ) -> Operator:
        """Add a node to the lineage graph."""
        edges = tuple(Forward(source) if isinstance(source, Operator) else source for source in inputs)
        number = OperatorId(next(self._operators))
        self._derived = self._derived or bool(edges)
        made = Operator(number, name, site or call_site(), body, edges, partitions, partitioner)
        if isinstance(body, Adaptive) or any(_is_unsettled(edge) or edge.source in self.unsettled for edge in edges):
            self.unsettled.add(made)
        return made

    @property
    def is_idle(self) -> bool:
        """Whether datasets were made from others, and nothing was ever run or explained."""
        return self._derived and self._idle

    def shuffle(
        self,
        source: Operator,
        partitioner: Partitioner,
        *,
        combine: Aggregate | None = None,
        keyed_by: UserFunction | None = None,
        grouped: bool = False,
    ) -> Shuffle:
        """Add a wide edge; its files are freed when nothing refers to it any more."""
        edge = Shuffle(source, StageId(next(self._stages)), partitioner, combine, keyed_by, grouped)
        weakref.finalize(edge, _forget_stage, weakref.ref(self), self.session, edge.stage).atexit = False
        return edge

    def block_name(self, kind: str) -> str:
        """Name a block of the program's own store."""
        return f"{kind}-{next(self._blocks)}"

    # Keeping.

    def keep(self, operator: Operator, level: StorageLevel) -> None:
        """Have a dataset kept from its next computation on, until nothing refers to it any more.

        Raises:
            UsageError: it is kept elsewhere already.

        """
        if self.checkpoints.is_local(operator) and operator.id in self.cached:
            return  # workers keep it already, in memory and on disk: as safe as they can
        if self.cached.get(operator.id, level) != level:
            raise UsageError(
                f"this dataset is kept in {self.cached[operator.id]} already. Call unpersist() before it is kept elsewhere."
            )
        if operator.id not in self.cached:
            self.session.keep(operator.id, level)
            with self.lock:
                self.cached[operator.id] = level
                self.replan(operator)
            if operator not in self._watched:
                self._watched.add(operator)
                weakref.finalize(operator, _forget_kept, weakref.ref(self), self.session, operator.id).atexit = False

    def unkeep(self, operator: Operator) -> None:
        """Have a dataset forgotten.

        Raises:
            UsageError: nothing else is known of it any more.

        """
        with self.lock:
            if isinstance(operator.body, Kept):
                raise UsageError(
                    "this dataset was cut off from what it was made of by local_checkpoint(), so what workers keep is all "
                    "there is. Let go of the dataset to have it forgotten."
                )
            if operator.id not in self.cached:
                return
            del self.cached[operator.id]
            self.replan(operator)
        self.session.uncache(operator.id)

    def replan(self, operator: Operator) -> None:
        """Have stages that the controller has be run as they are planned now; an operator in them has changed."""
        stages = self.known.replan(operator, self.cached)
        if stages:
            codes, blobs = self._codes(stages)
            self.session.replan(codes, blobs)

    # Accumulators.

    def accumulator(self, zero: Any, param: AccumulatorParam[Any] | None = None) -> Accumulator[Any]:
        """Make an accumulator.

        Raises:
            UsageError: what should say how to add does not.

        """
        if param is not None and not all(callable(getattr(param, name, None)) for name in ("zero", "add_in_place")):
            raise UsageError(f"accumulator needs an instance with zero and add_in_place, not {short(param)}.")
        made: Accumulator[Any] = Accumulator(next(self._accumulator_numbers), zero, param)
        self._accumulators[made.number] = made
        return made

    def _add_up(self, handle: JobHandle) -> UsageError | None:
        updates, handle.updates = handle.updates, []
        problem: UsageError | None = None
        with self.lock:
            for data in updates:
                for number, term in loads(data).items():
                    found = self._accumulators.get(number)
                    try:
                        if found is not None:
                            found.add(term)
                    except Exception as error:  # of the user's `+`; the other contributions count all the same
                        problem = UsageError(
                            f"{short(term)} cannot be added to {found}: {error}. Add what + adds to its first value."
                        )
                        problem.__cause__ = error
        return problem

    # Running.

    def compile(self, tip: Operator, sink: ResultSink, name: str, *, everything: bool = False) -> list[Stage]:
        """Cut a dataset's lineage into stages.

        Args:
            everything: also stages that the controller knows already.

        """
        self._idle = False
        with self.lock:
            return compile_job(
                tip,
                sink,
                result_stage=StageId(next(self._stages)),
                name=name,
                cached=self.cached.keys(),
                levels=self.cached,
                known=() if everything else self.known,
                has_effects=name in EFFECTS,
            )

    def start(
        self, tip: Operator, sink: ResultSink, name: str, partitions: range | list[int] | None = None
    ) -> JobHandle:
        """Submit a job for all partitions of a dataset, or for some."""
        if current() is not None:
            raise UsageError(
                "a function that runs in a task cannot run another job. Join the datasets, or collect one and pass it "
                "with ctx.broadcast."
            )
        self._settle_all(tip)
        self.checkpoints.pump()
        with self.lock:
            stages = self.compile(tip, sink, name)
            wanted = tuple(range(tip.partitions) if partitions is None else partitions)
            check_gangs([stage.spec for stage in stages], wanted, self.config.workers)
            codes, blobs = self._codes(stages)
            job = JobId(next(self._jobs))
            keep = [(operator, operator.inputs) for stage in stages for operator in stage.operators]
            limit = self.jobs.labels.task_timeout_ns
            if self.verifying is not None and not (isinstance(sink, FileSink) and isinstance(sink.format, Frames)):
                self.verifying.begin(job)  # not of what is checkpointed: that was computed for another job
            request = JobRequest(job, name, str(call_site()), codes, blobs, wanted, keep, limit)
            try:
                handle = self.session.submit(request)
            except BaseException:  # interrupted, perhaps behind the moment at which the job was on its way
                self.call_off(job)
                raise
            self.jobs.begun(job)
            self.known.add(stages)
        return handle

    def finish(self, handle: JobHandle) -> JobHandle:
        """Wait for a job; raise what it failed with."""
        try:
            self.session.wait(handle.ended)
        except BaseException:  # Ctrl-C, a notebook's interrupt, a timeout of the user's
            self.call_off(handle.request.id)
            raise
        self.jobs.ended(handle.request.id)
        problem = self._add_up(handle)
        if handle.failure is not None:
            if self.verifying is not None:
                self.verifying.drop(handle.request.id)
            self.failures.attach(handle.failure, handle.failed)
            raise handle.failure from handle.failure.__cause__
        if problem is not None:
            raise problem
        if self.verifying is not None:
            self.verifying.settle(handle)
        self.checkpoints.computed(handle)
        return handle

    def values_in_time(self, tip: Operator, sink: ResultSink, name: str, time_ns: int) -> list[Any]:
        """Run a job whose tasks return one value each, for so long at most; return those of the tasks that have ended."""
        handle = self.start(tip, sink, name)
        job = handle.request.id
        try:
            if self.session.wait_until(handle.ended, self.session.now_ns() + time_ns):
                self.finish(handle)
            else:
                self.session.cancel(job, "its time is up, and what is known by now is enough")
                self.session.wait(handle.ended)  # not for the tasks: for the loop to have heard it
        except BaseException:
            self.call_off(job)
            raise
        if self.verifying is not None:
            self.verifying.drop(job)
        self.jobs.ended(job)
        if (problem := self._add_up(handle)) is not None:
            raise problem
        return [next(handle.values(partition))[0] for partition in sorted(handle.results)]

    def call_off(self, job: JobId) -> None:
        """Cancel a job whose result nobody waits for any more."""
        if self.verifying is not None:
            self.verifying.drop(job)
        self.jobs.ended(job)
        with contextlib.suppress(ContextClosed):
            self.session.cancel(job, "the program was interrupted")

    def values(self, tip: Operator, sink: ResultSink, name: str) -> list[Any]:
        """Run a job whose tasks return one value each; return those, in the order of the partitions."""
        handle = self.finish(self.start(tip, sink, name))
        return [next(handle.values(partition))[0] for partition in range(tip.partitions)]

    def records(
        self, tip: Operator, name: str, partitions: range | list[int] | None = None, limit: int | None = None
    ) -> Iterator[list[Any]]:
        """Run a job whose tasks return records; give them in chunks, in the order of the partitions."""
        wanted = range(tip.partitions) if partitions is None else partitions
        handle = self.finish(self.start(tip, RecordsSink(limit), name, wanted))
        for partition in wanted:
            yield from handle.values(partition)

    def _codes(self, stages: list[Stage]) -> tuple[tuple[StageCode, ...], dict[Digest, bytes]]:
        blobs: dict[Digest, bytes] = {}
        codes = tuple(self._code(stage, blobs) for stage in stages)
        return codes, {digest: self._message(digest, blob) for digest, blob in blobs.items()}

    def _code(self, stage: Stage, blobs: dict[Digest, bytes]) -> StageCode:
        blob, functions = stage.pack()
        digest = digest_of(blob)
        blobs[digest] = blob
        needed: list[Digest] = []
        if (main := self._share_main()) is not None:
            needed.append(main)
        for function in functions:
            blobs[function.digest] = function.blob
            needed.append(function.digest)
            if len(function.blob) > MESSAGE_BLOB_BYTES and function not in self._large:  # its next job may be soon
                self._message(function.digest, function.blob)
                self._large.add(function)
                weakref.finalize(function, self.session.controller.codes.let_go, function.digest).atexit = False
        shipped = Digest("")
        if self.shipped.manifest is not None:
            shipped, blobs[shipped] = self.shipped.manifest[0], self.shipped.manifest[1]
            needed.append(shipped)
        reads = tuple(dict.fromkeys(read for node in stage.program.nodes for read in node.reads if read is not None))
        return StageCode(stage.spec, digest, tuple(needed), reads, self.jobs.labels.properties, shipped)

    def _message(self, digest: Digest, blob: bytes) -> bytes:
        """Return what a message says of some code: itself, or nothing where it is too large.

        Then it is held once in the program's store, for whoever gets the message.
        """
        if len(blob) <= MESSAGE_BLOB_BYTES:
            return blob
        self.session.controller.codes.hold(digest, lambda: self.session.provide(code_name(digest), [blob]))
        return b""

    # Classes of `__main__`.

    def _share_main(self) -> Digest | None:
        """Have the classes of the program's `__main__` known to the workers by name; return the blob to install."""
        main = sys.modules.get("__main__")
        found = {
            name: value
            for name, value in list(vars(main).items() if main is not None else ())
            if issubclass(type(value), type)  # `isinstance` would ask the value, and a proxy may raise
            and value.__module__ == "__main__"
            and value.__qualname__ == name
        }
        if found == self._main:
            return self._main_digest
        self._main = found
        with holding() as self._main_held:
            pickled = [(name, blob) for name, value in found.items() if (blob := _small(value)) is not None]
        for name, _ in pickled:
            main_classes[name] = found[name]
        if not pickled:
            self._main_digest = None
            return None
        blob = cloudpickle.dumps(pickled, PROTOCOL)
        self._main_digest = digest_of(blob)
        self.session.share_main(self._main_digest, self._message(self._main_digest, blob))
        return self._main_digest

    # What is measured before it runs.

    def _settle_all(self, tip: Operator) -> None:
        """Draw the samples that range partitioners and joins need, inner ones first."""
        if tip not in self.unsettled:
            return
        with self._settling:
            for operator in ancestors(tip, within=self.unsettled):
                for edge in operator.inputs:
                    if isinstance(edge, Shuffle) and isinstance(edge.partitioner, RangePartitioner):
                        self._settle(edge, edge.partitioner)
                if isinstance(operator.body, Adaptive):
                    adapting.settle(self, operator)
                self.unsettled.discard(operator)

    def settle_as(self, operator: Operator, body: Body, inputs: tuple[Edge, ...], because: str) -> None:
        """Make an operator what was chosen for it."""
        with self.lock:
            become(operator, body, inputs)
            tell(operator, because)

    def _settle(self, edge: Shuffle, partitioner: RangePartitioner) -> None:
        if partitioner.bounds is not None:
            return
        if partitioner.partitions == 1:
            partitioner.settle([])
            return
        source, key = edge.source, partitioner.key
        each = max(20, -(-SAMPLE_PER_PARTITION * partitioner.partitions // max(1, source.partitions)))
        draw = UserFunction(_Sampler(key.call, each), key.label, key.site)
        sampled = self.operator(
            key.label,
            PerPartition(draw, indexed=True),
            (source,),
            partitions=source.partitions,
            site=key.site,
        )
        weighted: list[tuple[Any, float]] = []
        for chunk in self.records(sampled, f"{key.label}'s sample of keys"):
            for seen, keys in chunk:
                weighted += [(k, seen / len(keys)) for k in keys]
        try:
            partitioner.settle(weighted)
        except TypeError as error:
            raise TaskFailed(
                f"these keys cannot be put in order: {error}\nin {key.label} ({key.site}: {key.site.code})\nGive a key that "
                "returns values of one kind."
            ) from error


class _Sampler:
    """Draws keys from one partition."""

    def __init__(self, key: Callable[[Any], Any], number: int) -> None:
        self.key, self.number = key, number

    def __call__(self, partition: int, records: Iterator[Any]) -> Iterator[tuple[int, list[Any]]]:
        return sample_keys(self.key, self.number, partition, records)


EFFECTS = {"foreach", "foreach_partition"}


def _is_unsettled(edge: Edge) -> bool:
    return (
        isinstance(edge, Shuffle) and isinstance(edge.partitioner, RangePartitioner) and edge.partitioner.bounds is None
    )


def _small(kind: type) -> bytes | None:
    """Pickle a class by value, unless it cannot be or takes too much."""
    buffer = _Bounded()
    try:
        ByValuePickler(buffer, PROTOCOL).dump(kind)
    except Exception:  # it goes by value with whatever refers to it, or not at all, and then says so
        return None
    return buffer.getvalue()


class _Bounded(io.BytesIO):
    def write(self, data: Any) -> int:
        if self.tell() + len(data) > MAIN_CLASS_BYTES:
            raise OverflowError
        return super().write(data)


def _forget_stage(engine: weakref.ref[Engine], session: Session, stage: StageId) -> None:
    found = engine()
    if found is not None:
        found.known.forget(stage)
    session.release(stage)


def _forget_kept(engine: weakref.ref[Engine], session: Session, operator: OperatorId) -> None:
    found = engine()
    if found is not None and found.cached.pop(operator, None) is not None:
        session.forget(operator)
