"""What functions find on a worker: modules, folders, environment, arguments, as in the program itself."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

import headrace
from headrace.context import Context
from headrace.errors import ModuleMissing, TaskFailed
from tests.real.help import Program, until, write

SEEN = """
import json, os, sys, headrace

def seen(_):
    from shop import price
    return {
        "cwd": os.getcwd(), "path": sys.path, "argv": sys.argv, "price": price(2), "main": __name__,
        "mark": os.environ["HEADRACE_TEST_MARK"], "late": os.environ.get("LATE"),
        "PYTHONPATH": os.environ.get("PYTHONPATH"), "file": open("data.txt").read(), "stdin": sys.stdin.read(),
    }

os.environ["LATE"] = "yes"  # before workers start: they inherit it
with headrace.connect() as ctx:
    theirs = ctx.range(1).map(seen).first()
ours = dict(theirs, cwd=os.getcwd(), path=sys.path, argv=sys.argv, PYTHONPATH=os.environ.get("PYTHONPATH"))
assert theirs == ours, (theirs, ours)
print(json.dumps(theirs))
"""


@pytest.mark.parametrize("python_path", [None, "", "/somewhere/else"])
def test_a_worker_looks_like_its_program(lair: Path, python_path: str | None) -> None:
    (lair / "beside").mkdir()
    (lair / "work").mkdir()
    write(lair / "beside", "shop.py", "def price(x):\n    return 10 * x\n")
    write(lair / "work", "data.txt", "wheat")
    path = write(lair / "beside", "script.py", SEEN)
    env = {} if python_path is None else {"PYTHONPATH": python_path}
    program = Program([sys.executable, str(path), "one", "--two"], lair, cwd=lair / "work", env=env)
    seen = json.loads(program.ok())
    assert seen["price"] == 20
    assert seen["argv"][1:] == ["one", "--two"]
    assert seen["mark"] == program.mark
    assert (seen["late"], seen["file"], seen["main"], seen["stdin"]) == ("yes", "wheat", "__main__", "")


def test_a_module_beside_the_script_may_import_others(lair: Path) -> None:
    write(lair, "grain.py", "import mill\ndef ground(x):\n    return mill.grind(x)\n")
    write(lair, "mill.py", "def grind(x):\n    return x * 3\n")
    source = "import headrace, grain\nwith headrace.connect() as ctx: print(ctx.range(3).map(grain.ground).collect())"
    assert Program.script(source, lair).ok() == "[0, 3, 6]\n"


def test_a_path_added_by_the_program_is_there(lair: Path) -> None:
    (lair / "extra").mkdir()
    write(lair / "extra", "grain.py", "def ground(x):\n    return x + 1\n")
    source = f"""
        import sys, headrace
        sys.path.append({str(lair / "extra")!r})
        import grain
        with headrace.connect() as ctx:
            print(ctx.range(3).map(grain.ground).collect())
        """
    assert Program.script(source, lair).ok() == "[1, 2, 3]\n"


def test_a_missing_module_is_named(lair: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program can import it, the workers cannot: they were started with another path."""
    write(lair, "only_here.py", "def double(x):\n    return 2 * x\n")
    with headrace.connect("local://?workers=1", progress=False) as ctx:
        assert ctx.range(1).count() == 1
        monkeypatch.syspath_prepend(str(lair))
        import only_here  # type: ignore[import-not-found]

        with pytest.raises(TaskFailed, match="only_here") as caught:
            ctx.range(3).map(only_here.double).collect()
        assert isinstance(caught.value.__cause__, ModuleMissing)
        assert "beside the script" in str(caught.value)
        assert ctx.range(3).count() == 3, "the workers are as good as before"


def test_a_missing_module_inside_a_function_is_the_users_own_error(local: Context) -> None:
    def use(x: int) -> int:
        import no_such_module_anywhere  # type: ignore[import-not-found]

        return int(no_such_module_anywhere.f(x))

    with pytest.raises(TaskFailed, match="no_such_module_anywhere") as caught:
        local.range(3).map(use).collect()
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_native_thread_pools_have_one_thread(local: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"{library}_NUM_THREADS" for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB", "BLIS", "RAYON")]
    found = local.range(1).map(lambda _: {name: os.environ.get(name) for name in names}).first()
    assert found == dict.fromkeys(names, "1")


def test_a_user_may_want_more_native_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    with headrace.connect("local://?workers=1", progress=False) as ctx:
        assert ctx.range(1).map(lambda _: os.environ["OMP_NUM_THREADS"]).first() == "3"


def test_the_workers_show_as_such_in_ps(local: Context) -> None:
    until(lambda: [worker.state for worker in local.workers()] == ["idle"] * 2, "both have started")
    for worker in local.workers():
        assert Path(f"/proc/{worker.pid}/comm").read_text() == "headrace worker\n"
        shown = Path(f"/proc/{worker.pid}/cmdline").read_bytes().replace(b"\0", b" ")
        assert b"headrace worker" in shown
        assert os.getpgid(worker.pid) == worker.pid != os.getpgid(0), "a group of its own, for what it starts"
    key = local._session._network._key.hex()  # type: ignore[attr-defined]
    for worker in local.workers():
        for name in ("cmdline", "environ"):
            assert key.encode() not in Path(f"/proc/{worker.pid}/{name}").read_bytes(), f"the key is in its {name}"


def test_a_program_whose_folder_is_gone_runs_all_the_same(lair: Path) -> None:
    source = """
        import os, tempfile, headrace
        os.chdir(tempfile.mkdtemp())
        os.rmdir(os.getcwd())
        with headrace.connect() as ctx:
            print(ctx.range(4).sum())
        """
    assert Program.script(source, lair).ok() == "6\n"


def test_a_program_without_standard_streams_runs_all_the_same(lair: Path) -> None:
    source = f"""
        import sys, headrace
        assert sys.stdout is None
        with headrace.connect() as ctx:
            total = ctx.range(4).map(lambda x: print("heard by nobody") or x).sum()
        with open({str(lair / "said")!r}, "w") as file:
            file.write(str(total))
        """
    path = write(lair, "script.py", source)
    program = Program(["/bin/sh", "-c", 'exec "$0" "$1" <&- >&- 2>&-', sys.executable, str(path)], lair)
    program.ok()
    assert (lair / "said").read_text() == "6"
    program.leaves_nothing()
