"""The command line as a whole: names, versions, mistakes; and where the package runs at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import headrace
from headrace.cli.main import main


def test_both_ways_in_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    assert said == f"headrace {headrace.__version__}\n"
    installed = Path(sys.executable).with_name("headrace")
    for command in ([sys.executable, "-m", "headrace"], *([[str(installed)]] if installed.exists() else [])):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, said)


@pytest.mark.parametrize("arguments", [[], ["grind"], ["run"], ["demo", "--workers", "two"], ["story", "a", "b"]])
def test_a_command_that_is_not_one_is_refused_with_the_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: headrace" in capsys.readouterr().err


def test_every_command_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("run", "demo", "story"):
        with pytest.raises(SystemExit) as caught:
            main([command, "--help"])
        assert caught.value.code == 0
        assert len(capsys.readouterr().out.splitlines()) > 4


def test_windows_is_refused_with_what_to_do() -> None:
    code = "import sys; sys.platform = 'win32'; import headrace"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "ImportError: headrace runs on Linux and macOS; on Windows, run it inside WSL 2." in done.stderr


def test_macos_is_not() -> None:
    code = "import sys; sys.platform = 'darwin'; import headrace; headrace.connect('inline://').close()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
