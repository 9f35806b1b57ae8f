"""What the machines of a real run were told, told again to fresh ones, has them ask for the same effects.

That is so only if everything that decides is in the events: no clock, no chance, nothing that a loop knows and they do not.
"""

from __future__ import annotations

import operator
import os
import signal
from typing import Any

import pytest
from msgspec.structs import replace

import headrace
from headrace import testing
from headrace.config import Config
from headrace.protocols import claims, membership, schedule
from headrace.protocols import schedule_words as words
from headrace.testing import Recording
from tests.real.help import lines_of

Step = tuple[str, Any, list[Any]]


def fresh(config: Config) -> dict[str, Any]:
    """Make the program's machines as a run makes them."""
    return {
        "membership": membership.Membership(config.membership),
        "claims": claims.Claims(),
        "schedule": schedule.Schedule(config.schedule, config.speculate),
    }


class HostLoss:
    """A watcher that has a host lost with its disk when half of the map outputs are there, the last of them on it."""

    def __init__(self) -> None:
        self.ctx: headrace.Context | None = None
        self.committed = 0
        self.lost = ""

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        if self.ctx is not None and isinstance(event, words.OutputCommitted):
            self.committed += 1
            if self.committed == 6:
                assert event.output.where is not None
                self.lost = event.output.where.host
                testing.kill_host(self.ctx, self.lost)


@pytest.fixture(scope="module")
def eventful(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recording, Config]:
    """A run with a kill, a lost host, a task that fails once, and a job that fails for good."""
    folder = str(tmp_path_factory.mktemp("marks"))
    recording, loss = Recording(), HostLoss()

    def stumble(x: int) -> int:
        """Ends its process at one record, and raises at another, each once."""
        if x in (35, 70):
            try:
                os.mkdir(f"{folder}/{x}")
            except FileExistsError:
                return x
            if x == 35:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ValueError("once")
        return x

    url = "local://?workers=4&hosts=2&heartbeat=20ms&suspect=5s"
    with headrace.connect(url, progress=False, watchers=[recording, loss]) as ctx:
        sums = {key: sum(range(key, 120, 5)) for key in range(5)}
        stumbling = ctx.range(120, num_slices=12).map(stumble).map(lambda x: (x % 5, x)).reduce_by_key(operator.add, 6)
        assert stumbling.collect_as_map() == sums
        loss.ctx = ctx  # from now on, not before: a report that went down with its host would leave nothing to look for
        pairs = ctx.range(120, num_slices=12).map(lambda x: (x % 5, x)).reduce_by_key(operator.add, 6)
        assert pairs.collect_as_map() == sums
        assert pairs.join(stumbling).count() == 5
        with pytest.raises(headrace.errors.TaskFailed):
            ctx.range(4).map(lambda x: 1 // x).collect()
        run = ctx.run
    assert [line["host"] for line in lines_of(run, "host lost")] == [loss.lost]
    assert "SIGKILL" in " ".join(line["why"] for line in lines_of(run, "attempt lost"))
    assert "ValueError: once" in lines_of(run, "rerun")[0]["why"]
    assert lines_of(run, "task done again"), "the outputs on the lost disk were needed again"
    return recording, ctx.config


def test_a_replay_asks_for_exactly_the_same_effects(eventful: tuple[Recording, Config]) -> None:
    recording, config = eventful
    machines = fresh(config)
    assert set(machines) <= {name for name, _, _ in recording.steps}
    assert sum(bool(effects) for name, _, effects in recording.steps if name in machines) > 100
    recording.replay(machines)


def test_a_replay_up_to_any_moment_goes_on_like_the_run(eventful: tuple[Recording, Config]) -> None:
    """A machine is nothing but what it was told: one that was rebuilt from the first half answers the second half."""
    recording, config = eventful
    half = len(recording.steps) // 2
    machines = fresh(config)
    for steps in (recording.steps[:half], recording.steps[half:]):
        part = Recording()
        part.steps = steps
        part.replay(machines)


def without(steps: list[Step], number: int) -> Recording:
    """Leave one step out."""
    recording = Recording()
    recording.steps = steps[:number] + steps[number + 1 :]
    return recording


def decisive(steps: list[Step], kinds: tuple[type, ...]) -> list[int]:
    """Number the first events of some kinds that had the machine ask for something."""
    found: dict[type, int] = {}
    for number, (_, event, effects) in enumerate(steps):
        if isinstance(event, kinds) and effects:
            found.setdefault(type(event), number)
    return sorted(found.values())


KINDS = (
    membership.Opened,
    membership.Exited,
    membership.HostGone,
    claims.Offered,
    claims.CommitAsked,
    words.JobSubmitted,
    words.AttemptClaimed,
    words.OutputCommitted,
    words.AttemptFailed,
    words.WorkerGone,
    words.HostGone,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}")
def test_an_event_that_is_missing_is_noticed(eventful: tuple[Recording, Config], kind: type) -> None:
    recording, config = eventful
    (number,) = decisive(recording.steps, (kind,))
    with pytest.raises(AssertionError, match=r"step \d+: \w+ answered"):
        without(recording.steps, number).replay(fresh(config))


def test_two_events_in_another_order_are_noticed(eventful: tuple[Recording, Config]) -> None:
    """A host is lost before an output on it is committed, instead of after it."""
    recording, config = eventful
    steps = list(recording.steps)
    gone = next(n for n, (_, event, _) in enumerate(steps) if isinstance(event, words.HostGone))
    committed = max(
        n
        for n, (_, event, _) in enumerate(steps[:gone])
        if isinstance(event, words.OutputCommitted)
        and event.output.where is not None
        and event.output.where.host == steps[gone][1].host
    )
    steps.insert(committed, steps.pop(gone))
    changed = Recording()
    changed.steps = steps
    with pytest.raises(AssertionError, match="answered"):
        changed.replay(fresh(config))


def test_a_machine_that_decides_otherwise_is_noticed(
    eventful: tuple[Recording, Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: a schedule that does not say that an attempt was lost; nothing else of it is different."""
    recording, config = eventful

    class Forgetful(schedule.Schedule):
        def step(self, event: Any) -> list[Any]:
            return [
                effect
                for effect in super().step(event)
                if not (isinstance(effect, words.Note) and effect.what == "attempt lost")
            ]

    with pytest.raises(AssertionError, match="schedule answered WorkerGone"):
        recording.replay({**fresh(config), "schedule": Forgetful(config.schedule, config.speculate)})


def test_settings_decide_too(eventful: tuple[Recording, Config]) -> None:
    """A schedule that gives up after one failure does not answer as this one did."""
    recording, config = eventful
    strict = schedule.Schedule(replace(config.schedule, max_failures=1), config.speculate)
    with pytest.raises(AssertionError, match="schedule answered AttemptFailed"):
        recording.replay({"schedule": strict})
