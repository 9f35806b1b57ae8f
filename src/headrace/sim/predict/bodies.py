"""Modelled bodies: they let the time pass that was measured, fetch bytes from where they lie, and leave bytes behind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from headrace.execute.chunks import plain_frame
from headrace.execute.task import Finished
from headrace.ids import OperatorId, StageId
from headrace.loops.body import BodyPort
from headrace.loops.running import Order
from headrace.plan.levels import StorageLevel
from headrace.ports import Bytes, TaskCancelled
from headrace.protocols import worker
from headrace.sim.bodies import SimGate
from headrace.sim.predict.model import Part, StageModel

if TYPE_CHECKING:
    from headrace.sim.process import SimProcess

SLICES = 8  # in which a task computes what it reads, while the rest is on its way


class IdleGate(SimGate):
    """Here only that takes time which was measured: pauses and the disk are in that already."""

    def pause(self, records: int) -> None:
        """Let no time pass."""
        self.confirm()
        self._process.charged_ns = 0


class Modelled:
    """The bodies of one worker.

    Args:
        scale: for how many bytes one stands.
        speed: of this worker, beside that of the one which was measured.

    """

    def __init__(self, process: SimProcess, models: Mapping[StageId, StageModel], scale: int, speed: float) -> None:
        self._process, self._models, self._scale, self._speed = process, models, scale, speed
        loop, gate = process.loop, IdleGate(process)
        self._slice_ns = loop.config.membership.heartbeat_ns  # whoever looks at its progress does so as seldom
        loop.shared.gate = gate
        loop.loop.handle({worker.Interrupt: self._interrupt}, ())
        loop.workshop = replace(loop.workshop, gate=gate, modelled=self)

    def __call__(self, order: Order, port: BodyPort) -> Finished:
        """Do what a task did."""
        model = self._models[order.task.stage]
        part = model.part(order.task.partition)
        if part.provided_bytes:
            _take(port.provided(name_of(order.task.stage, order.task.partition)))
        self._compute(part, port)
        self._spend(part.end_ns, port, 1.0)
        if model.spec.is_map:
            output = port.map_output(model.reduce_partitions)
            for size in model.sizes(order.task.partition, self._scale):
                output.part((bytes(size),) if size else (), 0)
        elif part.result_bytes:
            port.result().write(plain_frame([bytes(-(-part.result_bytes // self._scale))], 1))
        for operator, partition in part.cached:
            entry = port.keep(OperatorId(operator), partition, StorageLevel.MEMORY_ONLY)
            if entry is not None:
                entry.done()
        return Finished(part.records, b"")

    def _interrupt(self, effect: worker.Interrupt) -> None:
        """Have a body that is called off notice at once, as one does between two chunks."""
        process = self._process
        process.loop.attempts[effect.attempt].port.cancelled = True
        if process.body is not None:
            process.resume(process.body, 0)

    def _compute(self, part: Part, port: BodyPort) -> None:
        """Compute what is read, as it comes: a body computes on one block while the next are on their way."""
        shared = self._process.loop.shared
        hosts = [place[1] for stage, _ in part.reads for place in shared.tables[stage].places if place is not None]
        near = sum(host in shared.near for host in hosts)
        whole = part.compute_ns + (part.near_ns * near // len(hosts) if hosts else 0)
        share = whole / max(1, whole + part.end_ns)
        spent = done = 0
        for stage, partition in part.reads:
            for _, pieces in port.parts(stage, partition):
                _take(pieces)
                done += 1
                due = whole * done // len(hosts)
                if due - spent >= whole // SLICES:
                    self._spend(due - spent, port, share * done / len(hosts))
                    spent = due
        self._spend(whole - spent, port, share)

    def _spend(self, time_ns: int, port: BodyPort, stop: float) -> None:
        """Let time pass, at the end of which so much of the task is done."""
        process, body = self._process, self._process.body
        assert body is not None, "only bodies spend time"
        whole = left = int(time_ns / self._speed)
        start, stop = port.progress, int(stop * 999)
        while left > 0:
            some = min(left, self._slice_ns)
            left -= some
            process.resume(body, int(some * process.slowness))
            body.rest()
            if port.cancelled:
                raise TaskCancelled
            port.progress = max(port.progress, stop - (stop - start) * left // whole)


def _take(pieces: Iterable[Bytes]) -> None:
    for _ in pieces:
        pass


def name_of(stage: StageId, partition: int) -> str:
    """Name what a task reads of the program's store."""
    return f"given/{stage}.{partition}"
