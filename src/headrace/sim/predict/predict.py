"""How long a run that was measured would take with other numbers of workers."""

from __future__ import annotations

from typing import Any

from headrace.errors import UsageError
from headrace.plan.profile import Profile
from headrace.ports import Files
from headrace.protocols import claims
from headrace.sim.predict.cluster import Cluster, Prediction
from headrace.sim.predict.model import StageModel, models_of, scale_for
from headrace.sim.predict.replay import Replay
from headrace.sim.predict.session import PredictedSession, config_of

MEMORY_BYTES = 1 << 30  # of a worker, where the profile does not say


class _Tally:
    """A watcher that counts attempts."""

    def __init__(self) -> None:
        self.attempts = self.copies = 0

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        if machine != "claims":
            return
        for effect in effects:
            if type(effect) is claims.Claimed:
                self.attempts += 1
                self.copies += effect.copy


class Predictor:
    """One profile, ready to be run again.

    Args:
        scale: for how many bytes one stands; None: as few as a simulation has room for.

    Raises:
        UsageError: nothing has run that could be predicted.

    """

    def __init__(self, profile: Profile, files: Files, scale: int | None = None) -> None:
        if not any(job.state == "done" for job in profile.jobs.values()):
            raise UsageError(f"no job of run {profile.begun.run} came to its end. Predict a run that has worked.")
        self.profile, self._files = profile, files
        self.models = models_of(profile)
        self.scale = scale_for(self.models) if scale is None else scale

    def predict(self, cluster: Cluster, workers: int) -> Prediction:
        """Run it again with so many workers.

        Raises:
            UsageError: that are too few for tasks that must run at once.

        """
        for model in self.models.values():
            check_gang(model, workers)
        profile, tally = self.profile, _Tally()
        work_ns = sum(stage.work_ns for stage in profile.stages.values()) / cluster.speed
        memory = profile.begun.memory_bytes or MEMORY_BYTES
        config = config_of(cluster, workers, memory, self.scale, int(work_ns / workers))
        session = PredictedSession(config, cluster, self.models, self.scale, [tally], self._files)
        try:
            replay = Replay(session, profile, self.models, self.scale)
            session.wait(replay.over)
            return Prediction(
                workers,
                config.hosts,
                replay.took_ns,
                session.world.events,
                session.failures,
                tally.attempts,
                tally.copies,
                session.moved_bytes,
                str(replay.failure or ""),
            )
        finally:
            session.close()


def check_gang(model: StageModel, workers: int) -> None:
    """Refuse numbers of workers that a barrier stage cannot run on."""
    if model.spec.barrier and model.spec.partitions > workers:
        raise UsageError(
            f"the {model.spec.partitions} tasks of {model.spec.name} run at once: that needs as many workers. Predict "
            f"{model.spec.partitions} or more."
        )
