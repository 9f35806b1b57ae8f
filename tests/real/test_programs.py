"""Programs of every kind work, without a guard: scripts, `-c`, standard input, the interpreter's prompt, notebooks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.real.help import Program, write

# A function, a constant and a class of `__main__`, and no guard anywhere.
SOURCE = """
import headrace

FACTOR = 10

class Point:
    def __init__(self, x):
        self.x = x

def tenfold(x):
    return Point(x * FACTOR)

ctx = headrace.connect()
print(sorted(point.x for point in ctx.range(4).map(tenfold).collect()))
print(type(ctx.range(1).map(tenfold).first()) is Point)
ctx.close()
"""
SAID = "[0, 10, 20, 30]\nTrue\n"


def test_a_script_needs_no_guard(lair: Path) -> None:
    program = Program.script(SOURCE, lair)
    assert program.ok() == SAID
    program.leaves_nothing()


def test_a_script_may_have_a_guard(lair: Path) -> None:
    guarded = SOURCE.replace("ctx = headrace.connect()", "if __name__ == '__main__':\n    ctx = headrace.connect()")
    assert Program.script(guarded, lair).ok() == SAID


def test_headrace_run(lair: Path) -> None:
    path = write(lair, "script.py", SOURCE)
    program = Program([sys.executable, "-m", "headrace", "run", str(path)], lair)
    assert program.ok() == SAID
    program.leaves_nothing()


def test_source_on_the_command_line(lair: Path) -> None:
    program = Program([sys.executable, "-c", SOURCE], lair)
    assert program.ok() == SAID
    program.leaves_nothing()


def test_source_on_standard_input(lair: Path) -> None:
    program = Program([sys.executable, "-"], lair, text=SOURCE)
    assert program.ok() == SAID
    program.leaves_nothing()


def test_a_module_run_by_name(lair: Path) -> None:
    write(lair, "shop.py", SOURCE)
    assert Program([sys.executable, "-m", "shop"], lair, cwd=lair).ok() == SAID


def test_a_package_run_by_name(lair: Path) -> None:
    (lair / "shop").mkdir()
    write(lair / "shop", "__init__.py", "")
    write(lair / "shop", "prices.py", "def double(x):\n    return 2 * x\n")
    relative = SOURCE.replace("import headrace", "import headrace\nfrom .prices import double")
    write(lair / "shop", "__main__.py", relative.replace("x * FACTOR", "double(x) * FACTOR // 2"))
    assert Program([sys.executable, "-m", "shop"], lair, cwd=lair).ok() == SAID


def test_the_prompt(lair: Path) -> None:
    """Each statement is compiled alone, and names appear between jobs."""
    typed = """
import headrace
ctx = headrace.connect()
factor = 10
def tenfold(x):
    return x * factor

ctx.range(4).map(tenfold).collect()
factor = 100
ctx.range(4).map(tenfold).collect()
class Late:
    def __init__(self, x):
        self.x = x

ctx.range(4).map(Late).map(lambda late: late.x).sum()
isinstance(ctx.range(1).map(Late).first(), Late)
"""
    program = Program([sys.executable, "-q", "-i"], lair, text=typed)
    assert program.ok().splitlines() == ["[0, 10, 20, 30]", "[0, 100, 200, 300]", "6", "True"]
    program.leaves_nothing()


def test_a_notebook(lair: Path) -> None:
    """Cells are executed one after the other in a `__main__` that is not the file that was started; one fails."""
    kernel = """
        import sys, types
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main

        def cell(source):
            try:
                exec(compile(source, "<cell>", "exec"), main.__dict__)
            except Exception as error:
                print(type(error).__name__)

        cell("import headrace; ctx = headrace.connect()")
        cell("class Point:\\n    def __init__(self, x): self.x = x")
        cell("points = ctx.range(3).map(Point).collect()")
        cell("print([p.x for p in points], {type(p) is Point for p in points})")
        cell("ctx.range(3).map(lambda x: 1 / x).collect()")
        cell("class Point:\\n    def __init__(self, x): self.y = x")
        cell("print([p.y for p in ctx.range(3).map(Point).collect()])")
        cell("print(ctx.parallelize(points).map(lambda p: p.x).sum())")
        """
    program = Program.script(kernel, lair)
    assert program.ok().splitlines() == ["[0, 1, 2] {True}", "TaskFailed", "[0, 1, 2]", "3"]
    program.leaves_nothing()


@pytest.mark.parametrize("how", ["with", "close", "neither", "never held", "exit", "exception"])
def test_a_context_is_closed_with_its_program_however_that_ends(lair: Path, how: str) -> None:
    source = {
        "with": "with headrace.connect() as ctx: print(ctx.range(5).sum())",
        "close": "ctx = headrace.connect(); print(ctx.range(5).sum()); ctx.close(); ctx.close()",
        "neither": "ctx = headrace.connect(); print(ctx.range(5).sum())",
        "never held": "print(headrace.connect().range(5).sum())",
        "exit": "ctx = headrace.connect(); print(ctx.range(5).sum()); raise SystemExit(0)",
        "exception": "ctx = headrace.connect(); print(ctx.range(5).sum(), flush=True); raise ValueError",
    }[how]
    program = Program.script(f"import headrace\n{source}", lair)
    assert program.end() == (1 if how == "exception" else 0), program.err
    assert program.out == "10\n"
    program.leaves_nothing()
