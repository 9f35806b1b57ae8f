"""One attempt in a worker: what was asked for, its body on its way, and what is reported of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import FrameType
from typing import cast

from msgspec import Struct

from headrace.errors import WorldError
from headrace.execute.blame import Blame, blame
from headrace.execute.doing import doing
from headrace.execute.task import Finished, TaskBody
from headrace.ids import AttemptId, Digest, TaskId, WorkerId
from headrace.loops.body import BodyPort
from headrace.loops.loading import Loading
from headrace.loops.saving import Attempted, Saved, Saving
from headrace.loops.verifying import Watched, watch
from headrace.plan.stages import Program
from headrace.ports import BlockLost, Bytes, Clock, Gate, TaskCancelled, TaskPort
from headrace.protocols.messages import Report
from headrace.store.shipped import Depot

NOT_TO_BLAME = Saved(why="its functions were not to blame. Do what is said of the disk, and run the job again")
INTERRUPTED = Saved(why="it was interrupted. Run the job again")


class Order(Struct):
    """What an attempt was asked to do."""

    job: int
    task: TaskId
    program: Digest
    blobs: tuple[Digest, ...]
    number: int = 0
    properties: tuple[tuple[str, str], ...] = ()
    shipped: Digest = Digest("")


class Workshop(Struct, frozen=True):
    """What the attempts of one worker are run with.

    Attributes:
        frame: tells where the body is.
        in_program: bodies run in the user's own thread: Ctrl-C in one of them is for the program.
        verified: the share of tasks that are to be verified.
        modelled: stands for the program of every stage, where only what bodies take is to be seen.

    """

    worker: WorkerId
    clock: Clock
    gate: Gate
    frame: Callable[[], FrameType | None]
    loading: Loading
    saving: Saving
    depot: Depot
    in_program: bool
    modelled: Callable[[Order, BodyPort], Finished] | None = None
    verified: float = 0.0


class Running:
    """A body that runs, or that has ended and is not settled.

    Attributes:
        report: what became of it, once it has ended.

    """

    def __init__(self, attempt: AttemptId, order: Order, port: BodyPort, workshop: Workshop) -> None:
        self.port, self._attempt, self._order, self._workshop = port, attempt, order, workshop
        self.began_ns = workshop.clock.now_ns()
        self.report: Report | None = None
        self._program: Program | None = None
        self._body: TaskBody | None = None
        self._watched: Watched | None = None
        self._sample = b""

    def run(self) -> KeyboardInterrupt | None:
        """Run the body to its end, whatever that is; not on the loop's thread.  Return what is for the program to know."""
        self.began_ns = self._workshop.clock.now_ns()
        interrupt: KeyboardInterrupt | None = None
        try:
            self.port.pause()
            finished = self._run()
            if self._watched is not None:
                self._sample = self._watched.sample(finished, self._attempted("", "", done=True), self._code)
            self.port.publish()
            report = self._report("done", finished=finished)
        except TaskCancelled:
            report = self._report("stopped")
        except BlockLost as error:
            report = self._report("starved", lost=error)
        except BaseException as error:  # user code may raise anything, SystemExit and KeyboardInterrupt included
            if self._is_interrupt(error):
                interrupt = cast("KeyboardInterrupt", error)
            lost = self._body.lost if self._body is not None and interrupt is None else None
            # A function may have made another error of a block that was lost.
            report = self._failed(error) if lost is None else self._report("starved", lost=lost)
        finally:
            self.port.close()
        if report.outcome != "done":
            self.port.discard()
        self.report, self._body, self._program = report, None, None
        return interrupt

    def _run(self) -> Finished:
        order, loading, depot = self._order, self._workshop.loading, self._workshop.depot
        if self._workshop.modelled is not None:
            return self._workshop.modelled(order, self.port)
        if order.shipped:  # first: whatever follows may import it
            data = loading.data(order.shipped, self.port)
            depot.install(order.shipped, data, self.port.provided, f"{self._workshop.worker}")
        self._program = loading.program(order.program, order.blobs, self.port)
        properties = dict(order.properties)
        port = cast("TaskPort", self.port)
        if self._workshop.verified:
            share = self._workshop.verified
            self._watched = watch(order.task, self._program, self.port, self._workshop.saving, share)
            port = self._watched.port if self._watched is not None else port
        self._body = TaskBody(self._program, order.task, self._attempt, port, order.number, properties, depot.folder)
        finished = self._body.run()
        if self.port.cancelled:
            raise TaskCancelled  # a function may have caught that, too
        return finished

    def give_back(self) -> None:
        """It was asked back before it began."""
        self.report = self._report("returned")

    @property
    def task(self) -> TaskId:
        """What it was asked to do."""
        return self._order.task

    @property
    def left_output(self) -> bool:
        """Whether it left something that must be settled."""
        return self.report is not None and self.report.outcome == "done" and self.port.left_output

    def doing(self) -> str:
        """Say in words what it is doing; from another thread."""
        flows = self._body.flows if self._body is not None else ()
        return doing(self._workshop.frame(), Running.run.__code__, self._program, flows)

    # What is told of it.

    def _is_interrupt(self, error: BaseException) -> bool:
        # `isinstance` would ask the exception itself, which may raise another.
        return self._workshop.in_program and issubclass(type(error), KeyboardInterrupt)

    def _report(
        self,
        outcome: str,
        *,
        finished: Finished | None = None,
        lost: BlockLost | None = None,
        error: Blame | None = None,
        saved: Saved | None = None,
    ) -> Report:
        port, task, result = self.port, self._order.task, self.port.outcome
        done = finished is not None
        return Report(
            task.stage,
            task.partition,
            self._attempt,
            outcome,
            max(1, self._workshop.clock.now_ns() - self.began_ns),
            finished.records if finished is not None else port.records,
            port.read_bytes,
            port.written_bytes,
            result.size if done and result is not None else 0,
            result is None or result.inline,
            result.data if done and result is not None and result.inline else b"",
            finished.updates if finished is not None else b"",
            port.kept,
            lost.stage if lost is not None else 0,
            lost.lost if lost is not None else (),
            lost.why if lost is not None else "",
            dump_blame(error, saved) if error is not None else b"",
            (error.pickled or b"") if error is not None else b"",
            port.spent,
            self._sample if done else b"",
        )

    def _failed(self, error: BaseException) -> Report:
        found = blame(error, self._program, self._body.flows if self._body is not None else ())
        if self._is_interrupt(error):
            saved = INTERRUPTED
        elif issubclass(type(error), WorldError):
            saved = NOT_TO_BLAME
        else:
            saved = self._save(found)
        return self._report("failed", error=found, saved=saved)

    def _save(self, found: Blame) -> Saved:
        """Save what an attempt was given that has failed, for it to be run again elsewhere."""
        return self._workshop.saving.save(self._attempted(found.summary, found.text()), self.port, self._code)

    def _code(self, digest: Digest) -> Bytes:
        return self._workshop.loading.data(digest, self.port)

    def _attempted(self, summary: str, text: str, *, done: bool = False) -> Attempted:
        order, workshop = self._order, self._workshop
        workshop.gate.confirm()
        return Attempted(
            order.job,
            order.task,
            self._attempt,
            workshop.worker,
            order.number,
            order.properties,
            order.program,
            order.blobs,
            workshop.loading.mains(order.blobs),
            summary,
            text,
            done,
        )


def dump_blame(found: Blame, saved: Saved | None = None) -> bytes:
    """Write what is known about an exception as JSON: it is read by people and tests, and runs nothing."""
    site = found.site
    return json.dumps(
        {
            "summary": found.summary,
            "text": found.text(),
            "operator": found.operator,
            "site": str(site) if site is not None else None,
            "record": found.record,
            **({"capsule": saved.name, "unsaved": saved.why} if saved is not None else {}),
            **({"world": True} if found.world else {}),
        }
    ).encode()
