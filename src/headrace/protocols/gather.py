"""Where the tasks of a barrier stage meet: nobody goes on before all have come, and each hears what all have said.

All tasks of such a stage run at once, as a gang, and count their meetings from 1.  A task says that it has come to a meeting
until it is answered, so what it says may come twice; the answer to the last meeting is kept for those who did not hear it.
A gang meets only while all of its attempts are alive: when one is lost, all of them are called off and others begin, whose
names are new, so that what an older gang says, however late, is known by its names and not listened to.

What would wait for ever is told instead: a task that ends without coming to where the others wait, and tasks that come to
different meetings.

Source: Valiant, "A Bridging Model for Parallel Computation" (1990), for the barrier; the calls and their meaning are those
of Spark's barrier execution mode (SPARK-24374, SPARK-24817).
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from headrace.ids import AttemptId, StageId

GATHER_BYTES_MAX = 4 << 20  # of what all tasks say at one meeting, for each gets all of it in one message

# What it is told.


class Assembled(Struct, frozen=True):
    """A gang is on its way: an attempt for each partition of a barrier stage, in order."""

    stage: StageId
    members: tuple[AttemptId, ...]


class Came(Struct, frozen=True):
    """A task waits at a meeting.

    Attributes:
        meeting: counted from 1 by each task.
        call: what it called to meet.
        message: what it has to say.

    """

    attempt: AttemptId
    meeting: int
    call: str
    message: str


class Departed(Struct, frozen=True):
    """A task has ended well: it comes to no meeting any more."""

    attempt: AttemptId


class Disbanded(Struct, frozen=True):
    """A gang is over: it has ended well, or was called off."""

    stage: StageId


Event = Assembled | Came | Departed | Disbanded


# What it asks for.


class Answer(Struct, frozen=True):
    """Let a task go on.

    Attributes:
        messages: what all said, in the order of the partitions.
        error: why the meeting did not take place, instead.

    """

    attempt: AttemptId
    meeting: int
    messages: tuple[str, ...]
    error: str = ""


class Stands(Struct, frozen=True):
    """A gang has got on: so many meetings took place, and for the next some have come."""

    stage: StageId
    met: int
    waiting: tuple[AttemptId, ...]


Effect = Answer | Stands


# Where each gang stands.


class _Gang(Struct):
    stage: StageId
    members: tuple[AttemptId, ...]
    met: int = 0  # meetings that took place
    said: tuple[str, ...] = ()  # at the last of them
    came: dict[AttemptId, Came] = field(default_factory=dict)  # to the next one
    departed: set[AttemptId] = field(default_factory=set)
    error: str = ""  # nobody meets any more

    def tasks(self, attempts: Iterable[AttemptId]) -> str:
        """Name tasks by their partitions."""
        numbers = [str(p) for p, attempt in enumerate(self.members) if attempt in set(attempts)]
        shown = ", ".join(numbers[:8]) + (", ..." if len(numbers) > 8 else "")
        return f"task{'s' * (len(numbers) > 1)} {shown}"


class Gather:
    """All gangs of a run."""

    def __init__(self) -> None:
        self.gangs: dict[StageId, _Gang] = {}
        self.member_of: dict[AttemptId, StageId] = {}

    def step(self, event: Event) -> list[Effect]:
        """Take one event."""
        match event:
            case Assembled(stage=stage, members=members):
                if stage in self.gangs and self.gangs[stage].members == members:
                    return []  # said twice
                self._forget(stage)
                self.gangs[stage] = _Gang(stage, members)
                self.member_of.update(dict.fromkeys(members, stage))
                return []
            case Came(attempt=attempt):
                gang = self._gang_of(attempt)
                return self._came(gang, event) if gang is not None else []  # of a gang that is over: not listened to
            case Departed(attempt=attempt):
                gang = self._gang_of(attempt)
                return self._departed(gang, attempt) if gang is not None else []
            case Disbanded(stage=stage):
                self._forget(stage)
                return []
        raise AssertionError(f"{type(event).__name__} is not an event of this protocol")

    def _gang_of(self, attempt: AttemptId) -> _Gang | None:
        stage = self.member_of.get(attempt)
        return None if stage is None else self.gangs[stage]

    def _forget(self, stage: StageId) -> None:
        gang = self.gangs.pop(stage, None)
        for attempt in gang.members if gang is not None else ():
            del self.member_of[attempt]

    def _came(self, gang: _Gang, event: Came) -> list[Effect]:
        attempt, meeting = event.attempt, event.meeting
        if meeting == gang.met and gang.met:
            return [Answer(attempt, meeting, gang.said)]  # it did not hear the answer
        if meeting < gang.met + 1:
            return []  # a word from before its last answer, which was on its way for long
        if meeting > gang.met + 1:  # we have forgotten what was said, and can only have them begin again
            return [Answer(attempt, meeting, (), "what its tasks said before is lost with the program's memory")]
        if gang.error:
            return [Answer(attempt, meeting, (), gang.error)]
        if attempt in gang.came:
            return []  # said twice
        gang.came[attempt] = event
        calls = {one.call for one in gang.came.values()}
        if len(calls) > 1:
            return self._fail(gang, f"its tasks came to different calls: {self._calls(gang)}")
        if gang.departed:
            return self._miss(gang)
        if len(gang.came) < len(gang.members):
            return [self._stands(gang)]
        gang.said = tuple(gang.came[member].message for member in gang.members)
        gang.came.clear()
        gang.met += 1
        return [*(Answer(member, gang.met, gang.said) for member in gang.members), self._stands(gang)]

    def _departed(self, gang: _Gang, attempt: AttemptId) -> list[Effect]:
        gang.departed.add(attempt)
        return self._miss(gang) if gang.came else []

    def _stands(self, gang: _Gang) -> Stands:
        return Stands(gang.stage, gang.met, tuple(member for member in gang.members if member in gang.came))

    # What cannot end well.

    def _calls(self, gang: _Gang) -> str:
        by_call: dict[str, list[AttemptId]] = {}
        for attempt, one in gang.came.items():
            by_call.setdefault(one.call, []).append(attempt)
        return ", ".join(f"{gang.tasks(by_call[call])} to {call}" for call in sorted(by_call))

    def _miss(self, gang: _Gang) -> list[Effect]:
        call = min(one.call for one in gang.came.values())
        return self._fail(
            gang, f"{gang.tasks(gang.departed)} ended without {call}, where {gang.tasks(gang.came)} waited"
        )

    def _fail(self, gang: _Gang, why: str) -> list[Effect]:
        waiting = [member for member in gang.members if member in gang.came]
        gang.error = why
        gang.came.clear()
        return [Answer(member, gang.met + 1, (), why) for member in waiting]
