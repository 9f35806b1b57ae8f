"""Runs of a program by servers: whatever it does, it is noted, and nothing of it is left for the next run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headrace.campaign import mirror
from headrace.campaign.pool import Pool
from headrace.campaign.words import Cluster, Job, Outcome, Request
from headrace.errors import UsageError
from headrace.sim.faults import Fault, FaultPlan
from tests.real.help import until

SCRIPT = """
import os, signal, subprocess, sys, time
import headrace, beside

with headrace.connect("local://?workers=3&memory=8MB", progress=True) as ctx:
    seed = ctx.config.seed
    squares = ctx.range(100).map(lambda x: x * x)
    print("sum", squares.sum(), ctx.config.scheme, ctx.config.workers, ctx.config.memory.worker_bytes >> 20, sys.argv[1:])
    print(ctx.run, os.getcwd(), hash("water"))
    if seed == 1:
        print("half", flush=True)
        os._exit(3)
    if seed == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == 3:
        time.sleep(1000)
    if seed == 4:
        assert squares.count() == 99, "counted wrong"
    if seed == 5:
        sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        print(sleeper.pid)
    if seed == 6:
        sys.stdout.buffer.write(b"\\xff")
        beside.WORD = "changed"
    if seed == 7:
        os.remove("input/one.txt")
        open("input/two.txt", "a").write("more")
        os.makedirs("deep/down")
        open("deep/down/new.txt", "w").write(os.getcwd())
    if seed == 8:
        sys.exit("that will not do")
    if seed == 9:
        squares.save_as_text_file("out")
print(beside.WORD, open("input/one.txt").read() if os.path.exists("input/one.txt") else None)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("program")
    (folder / "job.py").write_text(SCRIPT)
    (folder / "beside.py").write_text("WORD = 'beside'\n")
    (folder / "input").mkdir()
    for name in ("one", "two"):
        (folder / "input" / f"{name}.txt").write_text(name)
    return folder


@pytest.fixture(scope="module")
def pool(folder: Path) -> Iterator[Pool]:
    with Pool(Job(script=str(folder / "job.py"), arguments=("--a", "b"), folder=str(folder), limit_s=20), 2) as pool:
        yield pool


def one(pool: Pool, seed: int, **more: Any) -> Outcome:
    pool.ask(Request(id=0, seed=seed, cluster=Cluster(workers=2, hosts=2, faults=()), **more))
    (done,) = pool.wait()
    return done.outcome


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_run_goes_to_the_simulated_cluster_and_says_what_it_did(pool: Pool, folder: Path) -> None:
    before = everything(folder)
    done = one(pool, 0, whole=True)
    first, second, third, end = done.out.split("\n")
    assert first == "sum 328350 sim 2 8 ['--a', 'b']"
    assert second.startswith(f"sim-N {folder} "), "the copy's name is not seen, nor the seed in the run's"
    assert (third, end) == ("beside one", "")
    assert (done.status, done.error, done.err, done.written, done.removed) == (0, "", "", {}, ())
    (world,) = done.worlds
    assert world.events > 20
    assert any("was done" in line for line in world.story)
    assert everything(folder) == before


def test_two_servers_have_different_hash_seeds_and_take_the_same_course(pool: Pool) -> None:
    request = Request(id=0, seed=0, cluster=Cluster(workers=2, hosts=2))
    pool.ask(request)
    (once,) = pool.wait()
    pool.ask(request, elsewhere=once.server)
    (again,) = pool.wait()
    assert once.server != again.server
    assert once.outcome.trace == again.outcome.trace
    assert once.outcome.digest != again.outcome.digest, "hash() differs"


def test_the_names_of_folders_change_no_course(pool: Pool, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "another folder, with a longer name"
    shutil.copytree(folder, other)
    with Pool(Job(script=str(other / "job.py"), arguments=("--a", "b"), folder=str(other)), 1) as elsewhere:
        assert one(elsewhere, 0).trace == one(pool, 0).trace


def test_a_plan_is_what_goes_wrong(pool: Pool) -> None:
    plan = FaultPlan(tuple(Fault("crash", at_ms * 1_000_000) for at_ms in range(30, 90, 3)))
    done = one(pool, 0, plan=plan)
    assert {kind for kind, _ in done.hits} == {"crash"}
    assert done.worlds[0].plan == plan


@pytest.mark.parametrize(
    ("seed", "status", "error", "said"),
    [(1, 3, "", "half"), (2, -9, "", ""), (4, 1, "AssertionError", "sum"), (8, 1, "", "sum")],
)
def test_however_it_ends_is_noted(pool: Pool, seed: int, status: int, error: str, said: str) -> None:
    done = one(pool, seed)
    assert (done.status, done.error, done.hung) == (status, error, False)
    assert said in done.out
    if error:
        assert done.message == "counted wrong"
        assert "assert squares.count() == 99" in done.err
    if seed == 8:
        assert done.err == "that will not do\n"


def test_what_it_leaves_running_is_ended(pool: Pool) -> None:
    done = one(pool, 5)
    pid = int(done.out.split("\n")[2])
    assert done.status == 0
    until(lambda: not os.path.exists(f"/proc/{pid}") or "Z" in Path(f"/proc/{pid}/stat").read_text(), "it ends")


def test_what_it_writes_is_noted_and_gone_for_the_next_run(pool: Pool, folder: Path) -> None:
    before = everything(folder)
    for _ in range(3):  # whichever server it is
        done = one(pool, 7, whole=True)
        assert done.removed == ("input/one.txt",)
        assert {name: written.text for name, written in done.written.items()} == {
            "deep/down/new.txt": str(folder),
            "input/two.txt": "twomore",
        }
        assert done.out.endswith("beside None\n")
    outs = [one(pool, 9).written for _ in range(3)]
    assert outs[0] == outs[1] == outs[2]
    assert sorted(outs[0]) == ["out/_SUCCESS", "out/part-00000", "out/part-00001"]
    assert "beside one" in one(pool, 0).out, "what one run has changed is as it was for the next"
    assert everything(folder) == before
    assert "\\xff" in one(pool, 6).out, "bytes that are no text are seen"


@pytest.mark.parametrize("spawn", [False, True])
def test_a_run_that_hangs_is_ended_and_one_that_is_spawned_does_the_same(folder: Path, spawn: bool) -> None:
    job = Job(script=str(folder / "job.py"), folder=str(folder), limit_s=2 if spawn else 0.5, spawn=spawn)
    with Pool(job, 1) as pool:
        place = Path(pool.folder)
        if spawn:
            assert one(pool, 0).out.startswith("sum 328350 sim 2 8 []")
        done = one(pool, 3)
        assert done.hung
        assert done.status == -9
        assert one(pool, 8).status == 1, "the server goes on"
    assert not place.exists()


def test_a_server_that_is_killed_is_replaced(folder: Path) -> None:
    with Pool(Job(script=str(folder / "job.py"), folder=str(folder)), 1) as pool:
        assert one(pool, 8).status == 1
        while not all(server.ready for server in pool._servers.values()):
            pool.wait(0.1)
        for server in list(pool._servers.values()):
            server.process.kill()
            server.process.wait()
        assert [one(pool, seed).status for seed in (8, 8)].count(1) >= 1


def test_a_folder_with_far_too_much_in_it_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "ENTRIES_MAX", 40)
    real = tmp_path / "real"
    (real / "large").mkdir(parents=True)
    (real / ".venv").mkdir()
    for number in range(41):
        (real / "large" / str(number)).touch()
    (real / "heavy.bin").write_bytes(bytes(2 << 20))
    copy = mirror.Mirror(str(real), str(tmp_path / "mirror"))
    assert sorted(copy.linked) == [".venv", "large"]
    assert (tmp_path / "mirror" / "heavy.bin").is_symlink()
    assert copy.touched() == ()
    (tmp_path / "mirror" / "heavy.bin").write_bytes(b"through the link")
    assert copy.touched() == ("heavy.bin",)
    assert copy.touched() == (), "told once"
    with pytest.raises(UsageError, match="too many to copy"):
        mirror.Mirror(str(real / "large"), str(tmp_path / "other"))
