"""A simulated run whose bodies are modelled, on a cluster whose links and workers are as given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from headrace.config import Config, MembershipConfig, MemoryConfig
from headrace.ids import StageId
from headrace.loops.loop import Watcher
from headrace.ports import Files
from headrace.protocols.messages import Piece, decode
from headrace.sim.network import LinkModel, Wire
from headrace.sim.predict.bodies import Modelled
from headrace.sim.predict.cluster import Cluster
from headrace.sim.predict.model import StageModel
from headrace.sim.process import SimProcess
from headrace.sim.session import TICK_NS, SimSession

BEATS = 100  # that a worker sends in a long run: more would tell little
PIECE = b"\xa5Piece"  # how such a message begins, behind its length


class ScaledMemory(MemoryConfig, frozen=True, kw_only=True):
    """Memory where one byte stands for several."""

    scale: int = 1

    @property
    def fetch_bytes(self) -> int:
        """What one reducer may have asked for or received and not yet consumed, in bytes that are carried."""
        return max(1, super().fetch_bytes // self.scale)


def config_of(cluster: Cluster, workers: int, memory_bytes: int, scale: int, expected_ns: int) -> Config:
    """Settle a run's settings: sizes in bytes that are carried; in a long run, beats are rarer."""
    usual = Config()
    factor = max(1, expected_ns // (BEATS * usual.membership.heartbeat_ns))
    return msgspec.structs.replace(
        usual,
        scheme="sim",
        workers=workers,
        hosts=cluster.hosts_for(workers),
        seed=cluster.seed,
        check=False,
        memory=ScaledMemory(worker_bytes=memory_bytes, scale=scale),
        data=msgspec.structs.replace(
            usual.data,
            piece_bytes=max(1, usual.data.piece_bytes // scale),
            inline_bytes=max(1, usual.data.inline_bytes // scale),
        ),
        membership=MembershipConfig(
            heartbeat_ns=factor * usual.membership.heartbeat_ns,
            suspect_ns=factor * usual.membership.suspect_ns,
            hung_ns=factor * usual.membership.hung_ns,
            ready_ns=max(usual.membership.ready_ns, 2 * cluster.startup_ns),
        ),
    )


class ScaledWire(Wire):
    """Links on which each byte of data stands for several; those of messages, and of what frames them, for themselves."""

    scale = 1
    moved_bytes = 0

    def carry(self, end: Any, size: int, item: Any) -> None:
        """Take something from an end of a channel to the other."""
        if type(item) is bytes and item[1:7] == PIECE:
            message = decode(item)
            assert isinstance(message, Piece)
            size += len(message.data) * (self.scale - 1)
            self.moved_bytes += size
        super().carry(end, size, item)


class PredictedSession(SimSession):
    """One predicted run.

    Attributes:
        failures: workers that failed.

    """

    WIRE = ScaledWire

    def __init__(
        self,
        config: Config,
        cluster: Cluster,
        models: Mapping[StageId, StageModel],
        scale: int,
        watchers: list[Watcher],
        real: Files,
    ) -> None:
        self._tick_ns = TICK_NS * config.membership.heartbeat_ns // MembershipConfig().heartbeat_ns
        super().__init__(config, watchers, real)
        self._cluster, self._models, self._scale = cluster, models, scale
        self._free_ns = 0  # when the program's loop has done what it was told
        self.failures = 0
        assert isinstance(self.wire, ScaledWire)
        self.wire.scale = scale
        self.wire.model = LinkModel(far_ns=cluster.latency_ns, bytes_s=cluster.bytes_s)
        self.place.start_ns = (cluster.startup_ns, cluster.startup_ns + 1)
        self.place.born = self._born

    @property
    def moved_bytes(self) -> int:
        """What was moved from one process to another, of blocks."""
        assert isinstance(self.wire, ScaledWire)
        return self.wire.moved_bytes

    def _tick(self) -> None:
        def tick() -> None:
            self.controller.tick()
            self._tick()

        self.happen("ticks", self._tick_ns, tick)

    def now(self, action: Callable[[], None]) -> None:
        """Have something happen in the program's loop: when it has done what came before."""
        do = super().now
        if not self._cluster.loop_ns:
            do(action)
            return
        self._free_ns = max(self._free_ns, self.world.time_ns) + self._cluster.loop_ns
        self.world.later(self._free_ns - self.world.time_ns, "program gets on", lambda: do(action))

    def _born(self, process: SimProcess) -> None:
        Modelled(process, self._models, self._scale, self._cluster.speed)
        if self._cluster.failure_ns:
            chance = self.world.chance(f"failure of {process.id}")
            lives_ns = int(chance.expovariate(1 / self._cluster.failure_ns))
            self.world.later(lives_ns, f"{process.id} fails", lambda: self._fail(process))

    def _fail(self, process: SimProcess) -> None:
        if self.place.processes.get(process.id) is process:
            self.failures += 1
            self.place.strike(process.id)
