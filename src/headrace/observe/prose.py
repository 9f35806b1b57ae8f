"""The story of a simulated run as prose: what struck, what it cost, how the world healed, and how it ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Line = dict[str, Any]

DURING = {
    "idle": "while it had nothing to do",
    "fetch": "while it fetched its input",
    "compute": "while it computed",
    "write": "while it wrote",
    "commit": "while it put its output into place",
}
STRUCK = {
    "crash": "{victim} crashed",
    "churn": "{victim} was ended, the first of several",
    "reboot": "host {victim} lost its power",
    "host": "host {victim} was lost, with its disk",
    "pause": "{victim} stopped, as if it were asleep",
    "slow": "host {victim} became slow",
    "memory": "the memory of {victim} was to run out",
    "clock": "the clocks of host {victim} went wrong",
    "partition": "nothing got through any more: {victim}",
    "clog": "what was sent had to wait: {victim}",
    "latency": "frames began to take longer: {victim}",
    "narrow": "the link of {victim} became narrow",
    "loss": "frames began to get lost: {victim}",
    "double": "frames began to come twice: {victim}",
    "full": "the disk of host {victim} was full",
    "sluggish": "the disk of host {victim} became slow",
    "unreadable": "reads of the disk of host {victim} began to fail",
    "corrupt": "a file rotted: {victim}",
    "launch": "host {victim} would start no worker as it should",
}
OF_HOSTS = {"reboot", "host", "slow", "clock"}  # where what one of its workers did is told
DEADLY = {"crash", "churn", "reboot", "host", "pause", "memory", "partition"}
SHOWN = 8  # of many alike
SHUFFLE = re.compile(r"shuffle/(\d+)/(\d+)-(\d+)")
TASK = re.compile(r"\d+\.\d+")
SOON_S = 1.0  # what is lost by then of a host that was struck is taken to be its cost


def is_simulated(lines: list[Line]) -> bool:
    """Whether a story is one of a simulated run."""
    return bool(lines) and "faults drawn" in lines[0]


def prose(lines: list[Line]) -> Iterator[str]:
    """Say a story in sentences, each with its time; what belongs to one is indented.

    >>> said = {"t": 0.5, "what": "disaster", "kind": "pause", "victim": "w2", "during": "fetch", "for": 1.5, "task": "2.1"}
    >>> print("".join(prose([said])))
       0.500 s  Disaster: w2 stopped, as if it were asleep, while it fetched its input (task 2.1), for 1.500 s.

    """
    for place, line in enumerate(lines):
        if _is_said_already(lines, place):
            continue
        say = SENTENCES.get(line["what"])
        if say is None:
            rest = ", ".join(f"{key} {value}" for key, value in line.items() if key not in ("t", "what"))
            sentences = [f"{line['what']}{': ' if rest else ''}{rest}"]
        else:
            sentences = say(line)
        if line["what"] == "disaster":
            sentences += _cost(lines, place)
        elif line["what"] == "run done":
            sentences.append(_verdict(lines))
        yield "\n".join(
            [f"{line['t']:8.3f} s  {_begun(sentences[0])}", *(f"            {more}" for more in sentences[1:])]
        )


def _is_said_already(lines: list[Line], place: int) -> bool:
    """Whether a line says of an attempt what was said of its worker, or of its input, right before."""
    line = lines[place]
    if line["what"] != "attempt lost":
        return False
    before = lines[max(0, place - 3) : place]
    return any(
        one["what"] in ("worker lost", "starved")
        and one.get("attempt") == line.get("attempt")
        and one["t"] == line["t"]
        for one in before
    )


def _begun(sentence: str) -> str:
    """End a sentence as one, and begin it so, unless it begins with a name."""
    first = sentence[:1].upper() if not re.match(r"w\d", sentence) else sentence[:1]
    return f"{first}{sentence[1:]}" + ("" if sentence[-1:] in ".:" else ".")


# What one line says.


def _task(line: Line) -> str:
    attempt = f"attempt {line['attempt']}" if "attempt" in line else ""
    task = f"task {line['task']}" if "task" in line else ""
    return " at ".join(filter(None, (attempt, task))) or "an attempt"


def _run_begun(line: Line) -> list[str]:
    drawn = line.get("faults drawn", [])
    some = f"{len(drawn)} faults were drawn" if drawn else "nothing was to go wrong"
    settings = dict(setting.partition(" = ")[::2] for setting in line.get("settings", ()))
    cluster = f"{settings.get('workers', '?')} workers on {settings.get('hosts', '?')} hosts"
    return [f"the run {line.get('run', '?')} began: seed {line.get('seed', '?')}, {cluster}; {some}.", *drawn]


def _disaster(line: Line) -> list[str]:
    said = STRUCK.get(line["kind"], f"{line['kind']} hit {{victim}}").format(victim=line["victim"])
    if line.get("form"):
        said += f" ({line['form']})"
    during = DURING.get(line.get("during", ""), "")
    if line["kind"] in OF_HOSTS:
        during = during.replace("while it", "while a worker of it") if line.get("during") != "idle" else ""
    if during:
        said += f", {during}" + (f" (task {line['task']})" if "task" in line else "")
    if line.get("for"):
        said += f", for {line['for']:.3f} s"
    return [f"disaster: {said}."]


def _worker_lost(line: Line) -> list[str]:
    at = f" with {_task(line)}" if "attempt" in line else ""
    return [f"{line['worker']} on {line['host']} was lost{at}: {line['how']}."]


def _job_failed(line: Line) -> list[str]:
    return [f"job {line['job']} ({line['name']}) failed ({line['kind']}): {line['why']}.", *line.get("history", ())]


def _run_done(line: Line) -> list[str]:
    totals = line.get("totals", {})
    parts = [f"{totals[name]:,} {said}" for name, said in TOTALS.items() if totals.get(name)]
    measured = f"{line.get('simulated_s', line['t']):.3f} s and {line.get('events', 0):,} events"
    return [f"the run ended after {measured} (trace: {line.get('trace', '?')}): {', '.join(parts) or 'nothing ran'}."]


def _verdict(lines: list[Line]) -> str:
    if any(line["what"] == "promise broken" for line in lines):
        return "A promise was broken."
    checked = "check = True" in lines[0].get("settings", ())
    return "No promise was broken, as far as the checkers saw." if checked else "Nobody checked the promises."


TOTALS = {
    "attempts": "attempts were made",
    "committed": "counted",
    "failed": "failed",
    "lost": "were lost",
    "copies": "were copies",
    "starved": "lacked input",
    "workers lost": "workers were lost",
    "hosts lost": "hosts were lost",
}
SENTENCES: dict[str, Callable[[Line], list[str]]] = {
    "run begun": _run_begun,
    "disaster": _disaster,
    "world healed": lambda _: ["the world healed: from now on nothing goes wrong"],
    "promise broken": lambda line: [f"a promise was broken: {line['promise']}:", *line["evidence"]],
    "job begun": lambda line: [f"job {line['job']} ({line['name']}) began; it wants {line['partitions']} partitions"],
    "job done": lambda line: [f"job {line['job']} ({line['name']}) was done"],
    "job failed": _job_failed,
    "stage begun": lambda line: [f"stage {line['stage']} ({line['name']}) began, with {line['tasks']} tasks"],
    "stage done": lambda line: [f"stage {line['stage']} ({line['name']}) was done"],
    "worker ready": lambda line: [f"{line['worker']} on {line['host']} was ready"],
    "worker suspected": lambda line: [f"{line['worker']} was suspected, after {line['silent']:.1f} s of silence"],
    "worker trusted again": lambda line: [f"{line['worker']} spoke, and was trusted again"],
    "worker to be killed": lambda line: [f"{line['worker']} was to be killed: {line['why']}"],
    "worker lost": _worker_lost,
    "worker left": lambda line: [f"{line['worker']} on {line['host']} left: {line['how']}"],
    "host lost": lambda line: [f"it was known that host {line['host']} was lost"],
    "no workers": lambda line: [f"no worker could be started any more: {line['why']}"],
    "rerun": lambda line: [f"{_task(line)} failed, and the task was to run again: {line['why']}"],
    "attempt lost": lambda line: [f"{_task(line)} was lost: {line['why']}"],
    "overdue": lambda line: [f"{_task(line)} took too long: {line['why']}"],
    "starved": lambda line: [f"{_task(line)} lacked input: it {line['why']}"],
    "lost outputs": lambda line: [line["why"]],
    "task done again": lambda line: [f"task {line['task']} was done again, by attempt {line['attempt']}"],
    "copy": lambda line: [f"a copy of task {line['task']} was offered: {line['why']}"],
    "copy begun": lambda line: [f"{line['worker']} began attempt {line['attempt']}, a copy of task {line['task']}"],
    "result lost": lambda line: [f"the result of {_task(line)} was lost on its way: {line['why']}"],
    "stalled": lambda line: [f"nothing had got any further for {line['silent']:.0f} s:", *line["waits"]],
    "run done": _run_done,
}

# What a disaster cost.


def _cost(lines: list[Line], place: int) -> list[str]:
    """Say what followed from a disaster, as far as that can be told from the lines after it."""
    struck, after = lines[place], lines[place + 1 :]
    lost = [line for at, line in enumerate(lines) if at > place and _killer(lines, at) is struck]
    said = []
    if lost:
        said.append(_list(line["worker"] for line in lost))
        said += [_task(line) for line in lost if "attempt" in line]
    outputs = _outputs(struck, lines, place)
    if not outputs:
        return [f"It cost {_list(said)}."] if said else []
    tasks = f"the output of task {outputs[0]}" if len(outputs) == 1 else f"the outputs of tasks {_list(outputs)}"
    cost = f"It cost {_list([*said, tasks])}"
    first: dict[str, float] = {}
    for line in after:
        if line["what"] == "task done again" and line["task"] in outputs:
            first.setdefault(line["task"], line["t"])
    if not first:
        return [f"{cost}."]
    which = "which was made" if len(outputs) == 1 else f"of which {len(first)} were made"
    return [f"{cost}, {which} again by {max(first.values()):.3f} s."]


def _killer(lines: list[Line], place: int) -> Line | None:
    """Find the disaster that a worker was lost by: the latest before that hit it, or its host."""
    line = lines[place]
    if line["what"] != "worker lost":
        return None
    for before in reversed(lines[:place]):
        if (
            before["what"] == "disaster"
            and before["kind"] in DEADLY
            and before["victim"] in (line["worker"], line["host"])
        ):
            return before if line["t"] <= before["t"] + before.get("for", 0.0) + SOON_S else None
    return None


def _outputs(struck: Line, lines: list[Line], place: int) -> list[str]:
    """List the tasks whose outputs a disaster took: those found missing or broken on the host or in the file that it hit."""
    victim = struck["victim"]
    file = SHUFFLE.search(victim)
    found: dict[str, None] = {}
    gone = False  # it is known that the host is
    for line in lines[place + 1 :]:
        if line["what"] == "disaster" and line["victim"] == victim:
            break
        gone = gone or (line["what"] == "host lost" and line["host"] == victim)
        if line["what"] == "lost outputs" and gone and line["t"] <= struck["t"] + SOON_S:
            found.update(dict.fromkeys(TASK.findall(line["why"].partition(": ")[2])))
        if line["what"] != "starved":
            continue
        for stage, partition, attempt in SHUFFLE.findall(line["why"]):
            hit = file.groups() == (stage, partition, attempt) if file else f"on host {victim}" in line["why"]
            if hit and (file or struck["kind"] in ("reboot", "host", "full", "unreadable")):
                found[f"{stage}.{partition}"] = None
    return list(found)


def _list(names: Iterable[str]) -> str:
    some = list(names)
    if len(some) > SHOWN:
        some = [*some[:SHOWN], f"{len(some) - SHOWN} more"]
    return " and ".join(filter(None, (", ".join(some[:-1]), some[-1])))
