"""The house keeps its own order: who may import whom, what machines must not touch, how long a file may grow."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "headrace"
# From the roof to the ground: a room imports what is below it, and nothing above.
FLOORS: list[set[str]] = [
    {"cli", "__main__"},
    {"testing"},
    {"campaign"},
    {"context", "__init__"},
    {"dataset"},
    {"observe"},
    {"runtime", "sim"},
    {"loops"},
    {"store"},
    {"execute"},
    {"ports"},
    {"protocols"},
    {"plan"},
    {"ids", "errors", "config", "version"},
]
IMPURE = {"asyncio", "time", "random", "threading", "socket", "os", "logging", "subprocess", "multiprocessing"}
IMPURE |= {"select", "selectors", "signal", "io", "datetime", "secrets", "uuid", "tempfile", "pathlib", "sys"}
LINES_MAX = 600


def modules() -> list[Path]:
    return sorted(SRC.rglob("*.py"))


def room(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """All modules that a file imports, wherever in it, except for type checkers only."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def floor_of(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SRC)))
def test_imports_point_down(path: Path) -> None:
    here = floor_of(room(path))
    for name in imports(path):
        parts = name.split(".")
        if (parts[0] == "headrace" and len(parts) > 1 and (SRC / parts[1]).exists()) or (
            SRC / f"{parts[-1]}.py"
        ).exists():
            if parts[0] != "headrace":
                continue
            there = floor_of(parts[1])
            assert there >= here, f"{path.name} imports {name}, which is above it"
            if room(path) == "sim":
                assert parts[1] != "runtime", "the simulated world stands beside the real one, not on it"


@pytest.mark.parametrize("path", sorted((SRC / "protocols").glob("*.py")), ids=lambda path: path.stem)
def test_protocols_are_pure(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & IMPURE


def test_protocols_do_not_look_at_the_order_of_sets() -> None:
    """Iterating over a set of strings gives another order in another process."""
    for path in sorted((SRC / "protocols").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.For | ast.comprehension) and isinstance(node.iter, ast.Set | ast.SetComp):
                raise AssertionError(f"{path.name} iterates over a set: {ast.unparse(node.iter)}")


def test_a_file_is_one_concept() -> None:
    long = {
        str(path.relative_to(SRC)): n for path in modules() if (n := len(path.read_text().splitlines())) > LINES_MAX
    }
    assert not long


def test_importing_headrace_is_light() -> None:
    """No heavy library, and no thread, comes with the import."""
    code = (
        "import sys, threading, headrace\n"
        "heavy = {'cloudpickle', 'rich', 'msgspec', 'numpy', 'pyarrow', 'asyncio'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert threading.active_count() == 1\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_names_are_found_where_they_are_said_to_be() -> None:
    import headrace

    for name in headrace.__all__:
        assert getattr(headrace, name) is not None
    with pytest.raises(AttributeError):
        headrace.nothing_of_that_name  # noqa: B018
