"""docs/simulate.md shows what really happens: its programs are saved, its commands run, and what they say is compared."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

from headrace.cli.main import parser
from headrace.sim.faults import CATALOGUE, GROUPS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "simulate.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(python|console)\n(.*?)^```$", re.M | re.S)
CHECKER = doctest.OutputChecker()


def agrees(shown: str, said: str) -> bool:
    return CHECKER.check_output(shown, said, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)


def test_every_command_says_what_is_shown(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTEST_PLUGINS": "headrace.campaign.pytest_plugin",
        "PYTEST_ADDOPTS": "-p no:cacheprovider -p no:xdist",
    }
    commands = 0
    status = None
    for kind, text in FENCE.findall(PAGE):
        if kind == "python":
            name = text.splitlines()[0].removeprefix("# ")
            (tmp_path / name).write_text(text, encoding="utf-8")
            continue
        for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
            command, _, shown = part.partition("\n")
            if command == "echo $?":
                assert status == int(shown), command
                continue
            done = subprocess.run(
                command,
                shell=True,
                cwd=tmp_path,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=100,
            )
            status = done.returncode
            commands += 1
            said = "".join(line for line in done.stdout.splitlines(keepends=True) if not is_progress(line))
            assert agrees(shown, said), f"$ {command}\nthe page shows\n{shown}\nand it says\n{said}"
    assert commands == 6
    assert len(list((tmp_path / ".headrace" / "regressions").iterdir())) == 1


def is_progress(line: str) -> bool:
    """Where a machine is slow, a line says how far it is."""
    return line.startswith("looking for the fewest") or bool(re.match(r"[\d,]+ of [\d,]+ seeds, ", line))


def test_what_is_not_shown_is_noticed() -> None:
    assert agrees("seed ... breaks\n  crash at ... ms\n", "seed 12 breaks\n  crash at 60.0 ms\n")
    assert not agrees("seed ... breaks\n  crash at ... ms\n", "seed 12 breaks\n  pause at 60.0 ms\n")


def test_the_kinds_of_faults_and_the_options_are_all_there() -> None:
    for group in GROUPS:
        (row,) = re.findall(rf"^\| `{group}` \| (.*) \|$", PAGE, re.M)
        assert set(re.findall(r"`(\w+)`", row)) == {kind.name for kind in CATALOGUE if kind.group == group}
    (choices,) = (action.choices for action in parser()._actions if action.choices)
    known = {name for name in choices["simulate"]._option_string_actions if name.startswith("--")} - {"--help"}  # type: ignore[index]
    shown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+(?![\w-])", PAGE)) - {"--url", "--headrace-seeds"}
    assert shown == known
    for page in ("README.md", "docs/ARCHITECTURE.md"):
        assert "simulate" in (ROOT / page).read_text(encoding="utf-8")
