"""Plays transcripts: events of the machines, in words, and what comes of them.

A command is a machine, an event and its fields; `now_ms` gives a time in milliseconds.  The program's three machines are
wired as its loop wires them, so what one asks of another happens at once and is shown, too; the worker's machines stand for
themselves.  Values are written as people say them:

    task=1.0                stage 1, partition 0
    wanted=h1:2,h2:1        workers for each host
    stages=1:2,1001:1<1     stage 1 has two partitions; stage 1001, the last and so the result, has one and reads stage 1
    output=h1               left on a host (`inline`: the result came along)
    lost=0:3,1:4            partitions, with the attempts that wrote them
    blocks=0@h1,1@h2        parts of map outputs, with their hosts
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import msgspec

from headrace.config import MS, MembershipConfig, ScheduleConfig, SpeculateConfig
from headrace.ids import AttemptId, HostId, StageId, TaskId
from headrace.plan.stages import Reads, Segment, StageSpec
from headrace.protocols import claims, commit, fetch, membership, replicate, worker
from headrace.protocols import schedule_words as words
from headrace.protocols.lineage import MapOutput
from headrace.protocols.schedule import Schedule

COMMAND = re.compile(r"^(?P<command>[a-z]+\.[A-Z]\w*.*)\n----\n(?:.+\n)*", re.MULTILINE)
MODULES: dict[str, ModuleType] = {
    "schedule": words,
    "claims": claims,
    "membership": membership,
    "fetch": fetch,
    "worker": worker,
    "commit": commit,
    "replicate": replicate,
}


def play(text: str) -> str:
    """Return a transcript with the answers that the machines give today."""
    house = House()

    def answer(stanza: re.Match[str]) -> str:
        said = "\n".join(house.do(stanza["command"])) or "(nothing)"
        return f"{stanza['command']}\n----\n{said}\n"

    return COMMAND.sub(answer, text)


class House:
    """The machines of a transcript."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.machines: dict[str, Any] = {
            "schedule": Schedule(ScheduleConfig(), SpeculateConfig()),
            "claims": claims.Claims(),
            "membership": membership.Membership(MembershipConfig()),
            "worker": worker.Worker(),
            "commit": commit.Commit(),
            "replicate": replicate.Replicate(hosts=2),
        }

    def do(self, command: str) -> Iterator[str]:
        """Tell a machine what a line says, and whatever follows from that; say what each asks for."""
        name, *given = command.split()
        machine, _, event = name.partition(".")
        fields = dict(field.split("=", 1) for field in given)
        if "now_ms" in fields:
            self.now_ns = int(fields.pop("now_ms")) * MS
        if event == "Fetch":
            self.machines["fetch"] = fetch.Fetch(blocks(fields["blocks"]), int(fields["budget"]), int(fields["piece"]))
            return
        inbox = deque([(machine, self.read(getattr(MODULES[machine], event), fields))])
        while inbox:
            machine, told = inbox.popleft()
            for effect in self.machines[machine].step(told):
                yield f"{machine}: {say(effect)}"
                inbox += self.follow(effect)

    def read(self, kind: type[msgspec.Struct], fields: dict[str, str]) -> Any:
        """Make an event of its fields; times are those of the transcript's clock."""
        values: dict[str, Any] = {}
        for field in msgspec.structs.fields(kind):
            if field.name == "now_ns":
                values["now_ns"] = self.now_ns
            elif field.name in fields:
                values[field.name] = READ.get(field.name, number_or_word)(fields[field.name])
        if isinstance(output := values.get("output"), str):
            values["output"] = claims.Output(
                where=MapOutput(HostId(output), values["attempt"]) if output != "inline" else None,
                inline=output == "inline",
            )
        return kind(**{"culprit": None, "victim": None, **values} if kind is membership.Exited else values)

    def follow(self, effect: Any) -> list[tuple[str, Any]]:
        """What an effect of one machine is to another: as in the program's loop."""
        now = self.now_ns
        match effect:
            case membership.Welcome(worker=name, host=host):
                return [
                    ("schedule", words.WorkerJoined(name, host, now)),
                    ("claims", claims.Joined(name, host, now)),
                ]
            case membership.Suspect(worker=name):
                return [("schedule", words.WorkerSuspected(name)), ("claims", claims.Suspected(name))]
            case membership.Trust(worker=name):
                return [("schedule", words.WorkerTrusted(name)), ("claims", claims.Trusted(name, now))]
            case membership.Bury(worker=name, how=how, culprit=culprit, victim=victim):
                gone = words.WorkerGone(name, how, culprit, victim, now)
                return [("claims", claims.Left(name)), ("schedule", gone)]
            case membership.LoseHost(host=host):
                return [("schedule", words.HostGone(host, now))]
            case claims.Claimed():
                return [("schedule", words.AttemptClaimed(*msgspec.structs.astuple(effect)))]
            case claims.Committed():
                return [("schedule", words.OutputCommitted(*msgspec.structs.astuple(effect)))]
            case claims.Kept(attempt=attempt, worker=name):
                return [("schedule", words.OutputKept(attempt, name))]
            case claims.Refused(attempt=attempt, worker=name):
                return [("schedule", words.OutputRefused(attempt, name, now))]
            case words.MakeOffers(offers=offers):
                return [("claims", claims.Offered(offers, now))]
            case words.WithdrawOffers(tasks=tasks):
                return [("claims", claims.Withdrawn(tasks))]
            case words.Reopen(task=task, attempt=attempt):
                return [("claims", claims.Reopened(task, attempt))]
            case words.EndStage(stage=stage):
                return [("claims", claims.StageOver(stage))]
            case words.KillWorker(worker=name, because=because):
                return [("membership", membership.KillAsked(name, because))]
            case _:
                return []  # for the world, or for people


# Words to values.


def task_of(word: str) -> TaskId:
    stage, _, partition = word.partition(".")
    return TaskId(StageId(int(stage)), int(partition))


def pairs(word: str) -> tuple[tuple[Any, int], ...]:
    split = [one.split(":") for one in word.split(",")]
    return tuple((number_or_word(left), int(right)) for left, right in split)


def number_or_word(word: str) -> Any:
    return int(word) if re.fullmatch(r"-?\d+", word) else word == "True" if word in {"True", "False"} else word


def stages_of(text: str) -> tuple[StageSpec, ...]:
    specs, last = [], text.count(",")
    for i, one in enumerate(text.split(",")):
        head, _, reads = one.partition("<")
        number, partitions = map(int, head.rstrip("!").split(":"))
        below = tuple(StageId(int(stage)) for stage in reads.split("+") if stage)
        segment = Segment(0, partitions, Reads(stages=below))
        specs.append(StageSpec(StageId(number), "", partitions, i < last, (segment,), head.endswith("!")))
    return tuple(specs)


def blocks(text: str) -> tuple[fetch.Block, ...]:
    split = [one.split("@") for one in text.split(",")]
    return tuple(fetch.Block(f"map {part}", int(part), HostId(host)) for part, host in split)


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(one) for one in text.split(","))


READ: dict[str, Any] = {
    "task": task_of,
    "wanted": lambda text: pairs(text) if ":" in text else numbers(text),
    "stages": stages_of,
    "lost": pairs,
    "attempts": numbers,
    "attempt": lambda text: AttemptId(int(text)),
    "needs": lambda text: tuple(text.split(",")),
    "things": lambda text: tuple(text.split(",")),
    "outcome": lambda text: text.replace("_", " "),
    "because": lambda text: text.replace("_", " "),
    "how": lambda text: text.replace("_", " "),
    "why": lambda text: text.replace("_", " "),
}


# Effects to words.


def say(effect: Any) -> str:
    """Name an effect, and those of its fields that say something."""
    said = [type(effect).__name__]
    for field in msgspec.structs.fields(type(effect)):
        value = getattr(effect, field.name)
        is_idle = value is None or value == () or value == "" or (value is False and field.name != "kept")
        if field.name in {"now_ns", "ran_ns"} or is_idle:
            continue
        said.append(f"{field.name}={word(value)}")
    return " ".join(said)


def word(value: Any) -> str:
    if isinstance(value, TaskId):
        return str(value)
    if isinstance(value, claims.Offer):
        notes = [*(["copy"] if value.copy else []), *(f"not {name}" for name in value.avoid)]
        return f"{value.task} ({', '.join(notes)})" if notes else str(value.task)
    if isinstance(value, claims.Output):
        return "inline" if value.inline else word(value.where.host) if value.where else "far"
    if isinstance(value, tuple | list):
        return ",".join(map(word, value))
    return repr(value) if isinstance(value, str) and " " in value else str(value)
