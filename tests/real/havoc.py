"""One run of the main job under disasters that a seed draws: real processes, really killed, stopped, and robbed of disks.

Every seed has one disaster that must hit, at a moment counted in steps of the run and, for a kill, in a phase of its victim;
others come on top.  What hit what is read from the run's story afterwards, and the whole result is compared with that of
one process.
"""

from __future__ import annotations

import contextlib
import operator
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import headrace
from headrace import testing
from headrace.context import Context
from headrace.ids import HostId, WorkerId
from headrace.protocols import membership
from headrace.protocols import schedule_words as words
from headrace.runtime.blackbox import BlackBox
from tests.real.help import told

PHASES = ("fetch", "compute", "write", "commit", "between")
KINDS = ("kill", "kill", "kill", "stop", "host")
DAWDLING = Path(__file__).parent / "dawdling"
TRIES = 12  # kills to hit one phase
ROUNDS = 8  # times that the job is run, at most, until its disaster has hit
PATIENCE_S = 60.0
STEP = (words.AttemptClaimed, words.OutputCommitted)


@dataclass(frozen=True)
class Disaster:
    """What shall happen, after so many steps of the run."""

    kind: str
    after: int
    phase: str = ""  # of a kill's victim


@dataclass(frozen=True)
class Plan:
    """What a seed draws."""

    seed: int
    workers: int
    files: int
    partitions: int
    dawdle_s: float
    disasters: tuple[Disaster, ...]  # the first must hit

    @property
    def url(self) -> str:
        """The address."""
        return f"local://?workers={self.workers}&hosts=2&split=16k&heartbeat=50ms&suspect=250ms&cancel_grace=300ms"


def draw(seed: int) -> Plan:
    """Draw a run: five seeds in a row kill in five phases, and every third one has another kind of disaster besides."""
    chance = random.Random(seed)
    steps = 60

    def disaster(kind: str, phase: str = "") -> Disaster:
        return Disaster(kind, chance.randrange(steps), phase or chance.choice(PHASES))

    first = disaster("kill", PHASES[seed % len(PHASES)])
    if seed % 10 >= 5:  # the second five: hosts and stops
        first = disaster(("host", "stop")[seed % 2], PHASES[seed % len(PHASES)])
    others = [disaster(chance.choice(KINDS)) for _ in range(chance.choice((0, 1, 1, 2)))]
    return Plan(seed, chance.choice((3, 4)), chance.randrange(6, 12), chance.choice((8, 12)), 0.012, (first, *others))


def write_texts(folder: Path, plan: Plan) -> list[str]:
    """Write files of words, few of them common and most of them rare."""
    chance = random.Random(plan.seed)
    rare = [f"w{number:x}" for number in range(4000)]
    paths = []
    for number in range(plan.files):
        lines = [
            " ".join(rare[min(int(chance.paretovariate(0.5)), len(rare) - 1)] for _ in range(12)) for _ in range(400)
        ]
        path = folder / f"text-{number}.txt"
        path.write_text("\n".join(lines) + "\n")
        paths.append(str(path))
    return paths


@dataclass
class Hit:
    """A disaster that was brought about: on whom."""

    disaster: Disaster
    worker: str
    host: str
    phase: str = ""


@dataclass
class Outcome:
    """What came of a seed."""

    plan: Plan
    run: str
    rounds: int
    hits: list[Hit] = field(default_factory=list)
    phases: set[str] = field(default_factory=set)  # in which workers died, by the story


class Striker:
    """Brings about the disasters of a plan, from a thread of its own, while jobs run.

    It is also a watcher: it counts the steps of the run, and sees what becomes of its victims, and whether a job ran then.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.hits: list[Hit] = []
        self.steps = 0
        self.jobs = 0  # that run
        self.buried: dict[str, str] = {}  # workers that died, with the phase as the story tells it; "" if no job ran
        self.suspected: dict[str, bool] = {}  # whether a job ran
        self.lost_hosts: dict[str, bool] = {}
        self.error: BaseException | None = None
        self._over = False
        self._moved = threading.Condition()
        self._boxes: dict[str, BlackBox] = {}
        self._ctx: Context | None = None
        self._thread = threading.Thread(target=self._strike_all, name="striker", daemon=True)

    def __call__(self, machine: str, event: Any, effects: list[Any]) -> None:
        """See one step."""
        moved = machine == "schedule" and isinstance(event, STEP)
        self.jobs += isinstance(event, words.JobSubmitted)
        for effect in effects:
            match effect:
                case membership.Bury(worker=worker):
                    phase = effect.phase if (effect.victim or effect.culprit) is not None else "between"
                    self.buried[worker] = phase if self.jobs else ""
                    moved = True
                case membership.Suspect(worker=worker):
                    self.suspected[worker] = self.jobs > 0
                    moved = True
                case membership.LoseHost(host=host):
                    self.lost_hosts[host] = self.jobs > 0
                    moved = True
                case words.FinishJob() | words.FailJob():
                    self.jobs -= 1
        if moved:
            with self._moved:
                self.steps += 1
                self._moved.notify_all()

    def start(self, ctx: Context) -> None:
        """Begin."""
        self._ctx = ctx
        self._thread.start()

    def stop(self) -> None:
        """End, whatever is left to be done."""
        self._over = True
        with self._moved:
            self._moved.notify_all()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the striker hangs"
        for box in self._boxes.values():
            box.close()
        if self.error is not None:
            raise self.error

    @property
    def has_hit(self) -> bool:
        """Whether the disaster that must hit has."""
        return any(hit.disaster is self.plan.disasters[0] for hit in self.hits)

    # The striker's thread.

    def _strike_all(self) -> None:
        try:
            for disaster in self.plan.disasters:
                self._wait(lambda due=disaster.after: self.steps >= due)  # type: ignore[misc]
                for _ in range(TRIES):
                    victim = self._find(disaster)
                    if victim is None or self._strike(disaster, victim):
                        break
        except BaseException as error:
            self.error = error

    def _wait(self, happened: Callable[[], bool]) -> None:
        with self._moved:
            self._moved.wait_for(lambda: self._over or happened(), PATIENCE_S)

    def _find(self, disaster: Disaster) -> Any:
        """Wait for somebody to strike while a job runs: in the phase, for a kill; running something, otherwise."""
        assert self._ctx is not None
        chance = random.Random(self.plan.seed + disaster.after)
        while not self._over:
            workers = [worker for worker in self._ctx.workers() if worker.state in ("idle", "running")]
            chance.shuffle(workers)
            for worker in workers if self.jobs else ():
                if disaster.kind == "kill":
                    if self._phase(worker.id, worker.host) == disaster.phase:
                        return worker
                elif worker.state == "running":
                    return worker
            time.sleep(0.0005)  # a look takes less: let the others have the interpreter
        return None

    def _phase(self, worker: str, host: str) -> str | None:
        """Read a worker's black box; None if it has none any more, or is not there yet."""
        assert self._ctx is not None
        if worker not in self._boxes:
            root = self._ctx._session.controller.layout.own(HostId(host), WorkerId(worker))
            try:
                self._boxes[worker] = BlackBox(f"{root}/blackbox")
            except (OSError, ValueError):
                return None
        phase, attempt = self._boxes[worker].read()
        return "between" if attempt is None else phase

    def _strike(self, disaster: Disaster, victim: Any) -> bool:
        """Bring it about; whether it hit as it was meant to."""
        assert self._ctx is not None
        if disaster.kind == "kill":
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim.pid, signal.SIGKILL)
            self._wait(lambda: victim.id in self.buried)
            hit = self.buried.get(victim.id) == disaster.phase
        elif disaster.kind == "host":
            testing.kill_host(self._ctx, victim.host)
            self._wait(lambda: victim.host in self.lost_hosts)
            hit = self.lost_hosts.get(victim.host, False)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim.pid, signal.SIGSTOP)
                self._wait(lambda: victim.id in self.suspected or victim.id in self.buried)
                os.kill(victim.pid, signal.SIGCONT)
            hit = self.suspected.get(victim.id, False)
        if hit:
            self.hits.append(Hit(disaster, victim.id, victim.host, disaster.phase))
        return hit


@contextlib.contextmanager
def dawdling(seconds: float) -> Iterator[None]:
    """Have workers that are started meanwhile linger in every phase."""
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "HEADRACE_TEST_DAWDLE")}
    os.environ["HEADRACE_TEST_DAWDLE"] = str(seconds)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(DAWDLING), before["PYTHONPATH"])))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def count_words(ctx: Context, paths: list[str], partitions: int) -> dict[str, int]:
    """Run the main job."""
    words_ = ctx.text_file(paths).flat_map(str.split)
    return words_.map(lambda word: (word, 1)).reduce_by_key(operator.add, partitions).collect_as_map()


def run(seed: int) -> Outcome:
    """Run a seed.

    Raises:
        AssertionError: the result is wrong, the disaster did not hit, or the story does not tell of it.

    """
    plan = draw(seed)
    striker = Striker(plan)
    with tempfile.TemporaryDirectory(prefix="hr-", dir="/tmp") as folder, dawdling(plan.dawdle_s):
        paths = write_texts(Path(folder), plan)
        expected = dict(Counter(word for path in paths for word in Path(path).read_text().split()))
        with headrace.connect(f"{plan.url}&dir={folder}", progress=False, watchers=[striker]) as ctx:
            striker.start(ctx)
            try:
                for round_ in range(1, ROUNDS + 1):
                    found = count_words(ctx, paths, plan.partitions)
                    assert found == expected, f"seed {seed}, round {round_}: {wrong(found, expected)}"
                    if striker.has_hit:
                        break
            finally:
                striker.stop()
            outcome = Outcome(plan, ctx.run, round_, striker.hits)
        left = os.listdir(f"{folder}/headrace-{os.getuid()}")
        assert left == [], f"seed {seed} left {left}"
    check(outcome)
    return outcome


def wrong(found: dict[str, int], expected: dict[str, int]) -> str:
    """Say in which words two counts differ."""
    words_ = sorted(word for word in {**found, **expected} if found.get(word) != expected.get(word))
    return f"{len(words_)} words differ, {[(w, found.get(w), expected.get(w)) for w in words_[:3]]} for three"


def check(outcome: Outcome) -> None:
    """Check that the story tells of every disaster, and of the first one within a job."""
    plan, story = outcome.plan, told(outcome.run)
    name = f"seed {plan.seed} ({plan.disasters[0]}, run {outcome.run})"
    assert any(hit.disaster is plan.disasters[0] for hit in outcome.hits), (
        f"{name} did not hit in {outcome.rounds} rounds"
    )
    jobs = [
        (begun["t"], next(line["t"] for line in story if line["what"] == "job done" and line["job"] == begun["job"]))
        for begun in story
        if begun["what"] == "job begun"
    ]
    for hit in outcome.hits:
        lines = [line for line in story if tells(line, hit)]
        assert lines, f"{name}: the story does not tell of {hit}"
        if hit.disaster is plan.disasters[0]:
            assert any(begun <= lines[0]["t"] <= done for begun, done in jobs), f"{name}: {lines[0]} is outside {jobs}"
    outcome.phases = {line["phase"] for line in story if line["what"] == "worker lost" and "SIGKILL" in line["how"]}
    assert not any(line["what"] in ("job failed", "rerun", "no workers") for line in story), name


def tells(line: dict[str, Any], hit: Hit) -> bool:
    """Whether a line of a story tells of a disaster."""
    match hit.disaster.kind:
        case "kill":
            dead = line["what"] == "worker lost" and line["worker"] == hit.worker
            return bool(dead and "SIGKILL" in line["how"] and line["phase"] == hit.phase)
        case "host":
            return bool(line["what"] == "host lost" and line["host"] == hit.host)
        case _:
            return bool(line["what"] == "worker suspected" and line["worker"] == hit.worker)
