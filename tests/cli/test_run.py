"""`headrace run SCRIPT`: what the script does, says and returns is what it is under `python`; only addresses change."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.cli.main import main
from tests.real.help import Program, write

SCRIPTS = {
    "nothing": "pass",
    "exit": "import sys; print('out'); sys.exit()",
    "exit 0": "import sys; sys.exit(0)",
    "exit 3": "import sys; sys.exit(3)",
    "exit 263": "import sys; sys.exit(263)",
    "exit -1": "import sys; sys.exit(-1)",
    "exit True": "import sys; sys.exit(True)",
    "exit words": "import sys; sys.exit('no grain')",
    "exit in a function": "def f():\n    raise SystemExit(4)\nf()",
    "exception": "def f():\n    return 1 / 0\n\nf()",
    "exception of an exception": "try:\n    {}['x']\nexcept KeyError as error:\n    raise ValueError('lost') from error",
    "exception of its own": "class Mine(Exception):\n    pass\n\nraise Mine('x', 2)",
    "own excepthook": "import sys\nsys.excepthook = lambda *what: print('HOOK', what[:2])\nassert False, 'no'",
    "syntax": "def f(:\n    pass",
    "arguments": "import sys; print(sys.argv, sys.argv[0] == __file__, __name__, __spec__, __builtins__)",
    "beside": "import sys, os; print(sys.path[0] == os.path.dirname(os.path.abspath(__file__)))",
    "its own module": "import sys\nx = 5\nprint(sys.modules['__main__'].x, __loader__.get_source('__main__').count('x'))",
    "pickle": "import pickle\nclass P:\n    pass\nprint(type(pickle.loads(pickle.dumps(P()))) is P)",
    "at exit": "import atexit, sys\nclass P:\n    pass\natexit.register(lambda: print(sys.modules['__main__'].P is P))",
    "thread": "import threading, time, sys\ndef late():\n    time.sleep(0.1)\n"
    "    print('x' in vars(sys.modules['__main__']))\nthreading.Thread(target=late).start()\nx = 1",
    "killed": "import os, signal\nprint('said', flush=True)\nos.kill(os.getpid(), signal.SIGTERM)",
    "at once": "import os\nos._exit(9)",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_does_what_it_does_under_python(tmp_path: Path, name: str) -> None:
    (tmp_path / "script.py").write_text(SCRIPTS[name])
    arguments = ["script.py", "one", "--two", "--url", "--", "three"]
    started = [
        subprocess.Popen(
            [sys.executable, *way, *arguments], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for way in ([], ["-m", "headrace", "run"])
    ]
    plain, ours = ((*process.communicate(timeout=60), process.returncode) for process in started)
    assert ours == plain


def test_a_script_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["run", str(tmp_path / "no.py")]) == 1
    assert main(["run", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "no.py" in said
    assert said.count("Check the path.") == 2


WHERE = """
import headrace
for url in ("local://?workers=3", None):
    with headrace.connect(url) as ctx:
        print(ctx.config.scheme, ctx.config.workers, ctx.range(10).sum())
"""


def test_an_address_overrides_every_connect(lair: Path) -> None:
    path = write(lair, "script.py", WHERE)
    command = [sys.executable, "-m", "headrace", "run", str(path)]
    assert Program(command, lair, "inline://").ok() == "local 3 45\ninline 1 45\n"
    command[4:4] = ["--url", "sim://?workers=5&seed=2"]
    assert Program(command, lair, "inline://").ok() == "sim 5 45\nsim 5 45\n"
    assert "HEADRACE_URL" not in os.environ


def test_an_address_that_means_nothing_is_told_before_the_script_does_anything(
    lair: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(lair, "script.py", f"open({str(lair / 'began')!r}, 'w')")
    assert main(["run", "--url", "local://?wrokers=2", str(path)]) == 1
    assert "Did you mean 'workers'?" in capsys.readouterr().err
    assert not (lair / "began").exists()


SLOW = """
import time, headrace
import headrace.observe.progress as progress
progress.PLAIN_EVERY, progress.PATIENCE = 0.02, 0.0  # at once, instead of after seconds
with headrace.connect("local://?workers=1", progress={progress}) as ctx:
    print(ctx.range(30, num_slices=30).map(lambda x: time.sleep(0.01) or x).sum())
"""


@pytest.mark.parametrize(("option", "says"), [("--quiet", True), ("--progress", False), (None, False), (None, True)])
def test_progress_is_shown_or_not_whatever_the_script_says(lair: Path, option: str | None, says: bool) -> None:
    path = write(lair, "script.py", SLOW.format(progress=says))
    options = [option] if option else []
    program = Program([sys.executable, "-m", "headrace", "run", *options, str(path)], lair)
    assert program.ok() == "435\n"
    shown = option == "--progress" or (option is None and says)
    assert ("tasks" in program.err) if shown else (program.err == ""), program.err


def test_progress_and_quiet_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["run", "--progress", "--quiet", "script.py"])
    assert caught.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def test_a_job_that_fails_ends_the_script_with_the_users_frames(lair: Path) -> None:
    source = """
        import headrace
        def sow(x):
            return 1 // (x - 2)
        headrace.connect("inline://").range(4).map(sow).collect()
        """
    program = Program([sys.executable, "-m", "headrace", "run", str(write(lair, "script.py", source))], lair)
    assert program.end() == 1
    assert program.err.startswith("Traceback (most recent call last):") or "Traceback of your code" in program.err
    assert "return 1 // (x - 2)" in program.err
    assert "ZeroDivisionError" in program.err
    assert "in map" in program.err
    assert "given 2" in program.err
    program.leaves_nothing()
