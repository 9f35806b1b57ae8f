"""Classes of `__main__` travel once, with the plan, and are the same class on both sides; others go by value."""

from __future__ import annotations

from pathlib import Path

from tests.real.help import Program

CLASSES = """
import collections, dataclasses, enum, operator, pickle, typing
import headrace

class Plain:
    made = 0
    def __init__(self, x):
        self.x = x
    def __eq__(self, other):
        return type(other) is type(self) and other.x == self.x
    def __hash__(self):
        return hash(self.x)
    def twice(self):
        return Child(2 * self.x)

class Child(Plain):
    def __init__(self, x):
        super().__init__(x)

class Slotted:
    __slots__ = ("x",)
    def __init__(self, x):
        self.x = x

@dataclasses.dataclass(slots=True)
class Record:
    x: int
    y: float = 0.5

class Narrow(Record):
    __slots__ = ("__private",)
    def __init__(self, x):
        super().__init__(x)
        self.__private = x

@dataclasses.dataclass(frozen=True)
class Data:
    x: int
    inner: "Plain"

Named = collections.namedtuple("Named", "x y")

class Typed(typing.NamedTuple):
    x: int

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

class Custom(Exception):
    def __init__(self, x, y):
        super().__init__(x, y)
        self.y = y

with headrace.connect() as ctx:
"""


def run(lair: Path, body: str) -> list[str]:
    program = Program.script(CLASSES + "".join(f"    {line}\n" for line in body.strip().splitlines()), lair)
    return program.ok().splitlines()


def test_instances_made_on_a_worker_are_of_the_programs_class(lair: Path) -> None:
    said = run(
        lair,
        """
makers = [Plain, Child, Slotted, Record, Narrow]
makers += [lambda x: Data(x, Plain(x)), lambda x: Named(x, 2), Typed, lambda x: Colour(x + 1)]
for kind, make in zip([Plain, Child, Slotted, Record, Narrow, Data, Named, Typed, Colour], makers):
    found = ctx.range(2).map(make).collect()
    print(kind.__name__, all(type(each) is kind for each in found))
found = ctx.range(2).map(lambda x: Plain(x).twice()).collect()
print([type(each) is Child for each in found], found == [Child(0), Child(2)])
print(ctx.range(1).map(lambda x: Colour.RED).first() is Colour.RED)
""",
    )
    kinds = ["Plain", "Child", "Slotted", "Record", "Narrow", "Data", "Named", "Typed", "Colour"]
    assert said[: len(kinds)] == [f"{kind} True" for kind in kinds]
    assert said[len(kinds) :] == ["[True, True] True", "True"]


def test_instances_of_the_program_are_of_the_workers_class(lair: Path) -> None:
    said = run(
        lair,
        """
mixed = [Plain(1), Child(2), Data(3, Plain(3)), Named(4, 5), Typed(6), Colour.BLUE]
back = ctx.parallelize(mixed, 2)
print(back.map(lambda each: type(each).__name__).collect())
print(back.filter(lambda each: isinstance(each, (Plain, Data, Named, Typed, Colour))).count())
print(back.filter(lambda each: isinstance(each, Plain)).map(lambda each: each.x).collect())
print(back.collect() == mixed, ctx.broadcast(mixed).value == mixed)
shared = ctx.broadcast(Plain(7))
print(ctx.range(1).map(lambda _: isinstance(shared.value, Plain) and shared.value.x).collect())
""",
    )
    assert said == [
        "['Plain', 'Child', 'Data', 'Named', 'Typed', 'Colour']",
        "6",
        "[1, 2]",
        "True True",
        "[7]",
    ]


def test_plain_pickle_works_on_a_worker_both_ways(lair: Path) -> None:
    """The class has a name there that pickle finds."""
    said = run(
        lair,
        """
print(ctx.range(2).map(lambda x: pickle.loads(pickle.dumps(Plain(x))) == Plain(x)).collect())
sent = ctx.range(2).map(lambda x: pickle.dumps((Data(x, Plain(x)), Colour.RED))).collect()
print([pickle.loads(each) == (Data(x, Plain(x)), Colour.RED) for x, each in enumerate(sent)])
print(b"__main__" in sent[0], len(sent[0]) < 200)
""",
    )
    assert said == ["[True, True]", "[True, True]", "True True"]


def test_they_are_keys_like_any_other(lair: Path) -> None:
    said = run(
        lair,
        """
keys = [Typed, lambda x: Named(x, 0), Colour]
print(sorted(ctx.range(12).map(lambda x: (Typed(x % 3), 1)).reduce_by_key(operator.add).collect()))
print(sorted(ctx.range(12).map(lambda x: (Colour(x % 2 + 1).name, 1)).reduce_by_key(operator.add).collect()))
pairs = ctx.range(4).map(lambda x: (x, Plain(x)))
print(sorted((k, [p.x for p in group]) for k, group in pairs.group_by_key().collect()))
print(sorted((k, a.x, b.x) for k, (a, b) in pairs.join(pairs.map_values(Plain.twice)).collect()))
print([each.x for each in ctx.range(5).map(lambda x: Plain(-x)).sort_by(lambda each: each.x).collect()])
""",
    )
    assert said == [
        "[(Typed(x=0), 4), (Typed(x=1), 4), (Typed(x=2), 4)]",
        "[('BLUE', 6), ('RED', 6)]",
        "[(0, [0]), (1, [1]), (2, [2]), (3, [3])]",
        "[(0, 0, 0), (1, 1, 2), (2, 2, 4), (3, 3, 6)]",
        "[-4, -3, -2, -1, 0]",
    ]


def test_an_exception_of_main_comes_back_as_itself(lair: Path) -> None:
    said = run(
        lair,
        """
def fail(x):
    raise Custom(x, "dust")
try:
    ctx.range(3).map(fail).collect()
except headrace.errors.TaskFailed as error:
    print(type(error.__cause__) is Custom, error.__cause__.y)
""",
    )
    assert said == ["True dust"]


def test_classes_defined_later_inside_functions_or_again(lair: Path) -> None:
    said = run(
        lair,
        """
print(ctx.range(2).map(lambda x: Plain(x).x).collect())
class Later:
    def __init__(self, x):
        self.x = x
print([type(each) is Later for each in ctx.range(2).map(Later).collect()])
def make():
    class Inner:
        def __init__(self, x):
            self.x = x
    return Inner
Inner = make()
found = ctx.range(2).map(Inner).collect()
print([each.x for each in found], ctx.parallelize(found).map(lambda each: each.x).collect())
Hidden = make()
Hidden.__qualname__ = "Hidden"
print([type(each) is Hidden for each in ctx.range(2).map(Hidden).collect()])
old = Later(5)
class Later:
    def __init__(self, x):
        self.y = x
print([each.y for each in ctx.range(2).map(Later).collect()], ctx.parallelize([old]).map(lambda o: o.x).collect())
del Later
print(ctx.parallelize([old]).map(lambda o: o.x).collect(), ctx.range(2).map(lambda x: Plain(x).x).collect())
""",
    )
    assert said == [
        "[0, 1]",
        "[True, True]",
        "[0, 1] [0, 1]",
        "[True, True]",
        "[0, 1] [5]",
        "[5] [0, 1]",
    ]


def test_a_replacement_has_them_too(lair: Path) -> None:
    said = run(
        lair,
        """
import os, signal, time
print(ctx.range(2).map(Plain).count())
before = {worker.id for worker in ctx.workers()}
for worker in ctx.workers():
    os.kill(worker.pid, signal.SIGKILL)
print([type(each) is Plain for each in ctx.range(2).map(Plain).collect()])
print(not before & {worker.id for worker in ctx.workers()})
""",
    )
    assert said == ["2", "[True, True]", "True"]


def test_a_class_that_cannot_travel_harms_nobody_who_does_not_use_it(lair: Path) -> None:
    said = run(
        lair,
        """
import threading
class Locked:
    lock = threading.Lock()
class Huge:
    table = "x" * (2 << 20)
    def __init__(self, x):
        self.x = x
print(ctx.range(2).map(Plain).count())
print([each.x for each in ctx.range(2).map(Huge).collect()])
try:
    ctx.range(2).map(lambda x: Locked()).count()
except headrace.errors.ClosureError as error:
    print("lock" in str(error))
""",
    )
    assert said == ["2", "[0, 1]", "True"]
