"""How the examples are run: as a user does, in a process of their own, in any folder."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.real.help import Program

EXAMPLES = Path(__file__).parents[2] / "examples"
DATA = EXAMPLES / "data"


def run(name: str, folder: Path, *arguments: object, url: str = "local://?workers=2", seconds: float = 60) -> list[str]:
    """Run an example to its end; return the lines that it printed."""
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *map(str, arguments)]
    program = Program(command, folder, url, cwd=folder)
    status = program.end(seconds)
    assert status == 0, f"exit status {status}\n{program.out}\n{program.err}"
    program.leaves_nothing()
    return program.out.splitlines()


def written(folder: Path) -> list[list[str]]:
    """Read what an example wrote: the fields of each line."""
    assert (folder / "_SUCCESS").exists()
    return [line.split("\t") for part in sorted(folder.glob("part-*")) for line in part.read_text().splitlines()]
