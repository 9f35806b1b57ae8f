"""``make chaos``: seed after seed of disaster, simulated ones and real ones in turn, for as many minutes as there are.

Each seed runs in a process of its own, so that one that hangs or crashes stops nobody.  A seed that fails is printed with
the command that repeats it.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence

KINDS = ("sim", "jobs", "real")
LIMIT_S = 180  # for one seed: anything longer hangs
BOOKS = "examples/books/*.txt"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="seeds of each kind (default: 100)")
    parser.add_argument("--minutes", type=float, default=5.0, help="stop after so long, whatever is left (default: 5)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")
    parser.add_argument("--only", choices=[*KINDS, "slow"], help="one kind only; slow: the long tests of this folder")
    parser.add_argument("--one", action="store_true", help="run the first seed, of the one kind, right here")
    options = parser.parse_args(arguments)
    if options.one:
        one(options.only or "real", options.first)
        return 0
    return many(
        options.seeds, options.first, options.minutes * 60, [options.only] if options.only else ["slow", *KINDS]
    )


def one(kind: str, seed: int) -> None:
    """Run a seed; raise whatever is wrong."""
    if kind == "real":
        from tests.real import havoc

        outcome = havoc.run(seed)
        hits = ", ".join(f"{hit.disaster.kind} {hit.phase}".strip() for hit in outcome.hits)
        print(f"real {seed}: {hits}; {outcome.rounds} rounds")
    elif kind == "sim":
        simulated(seed)
    elif kind == "jobs":
        small_jobs(seed)
    else:
        import pytest

        os.environ["HEADRACE_TEST_PROFILE"] = "chaos"
        status = pytest.main(["-q", "-x", "-m", "slow", f"--timeout={LIMIT_S}", "tests"])
        if status == pytest.ExitCode.INTERRUPTED:  # for lack of time; the first to fail would have ended it
            print("slow: there was no time for all of them; to run them: " + command("slow", 0))
        else:
            assert status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED), status


def simulated(seed: int) -> None:
    """Count the words of the books in a simulated cluster with every kind of fault."""
    import glob
    import operator

    import headrace

    expected = Counter[str]()
    for path in glob.glob(BOOKS):
        with open(path, encoding="utf-8") as file:
            expected.update(file.read().split())
    with headrace.connect(f"sim://?workers=20&hosts=5&seed={seed}&faults=all&split=256k", progress=False) as ctx:
        words = ctx.text_file(BOOKS).flat_map(str.split)
        found = words.map(lambda word: (word, 1)).reduce_by_key(operator.add).collect_as_map()
        summary = ctx._session.summary()
    assert found == expected, f"sim seed {seed}: the counts differ"
    print(f"sim {seed}: {summary}")


BATCH = 25  # seeds of small jobs in one process


def small_jobs(number: int) -> None:
    """Run a batch of seeds of one of the small jobs that together use everything, with every kind of fault."""
    from tests.mutants.jobs import JOBS
    from tests.mutants.trial import outcome, prepare

    prepare()
    name = sorted(JOBS)[number % len(JOBS)]
    seeds = range(number // len(JOBS) * BATCH, (number // len(JOBS) + 1) * BATCH)
    # A task that fails thrice by itself must not be given up for a disk that is full besides.
    options = "max_failures=8" if name == "failing" else ""
    wrong = {seed: said for seed in seeds if (said := outcome(JOBS[name], "all", seed, options))}
    assert not wrong, f"{name}: {wrong}"
    print(f"jobs {number}: {name}, seeds {seeds[0]} to {seeds[-1]}")


def command(kind: str, seed: int) -> str:
    """Return the command that repeats a seed."""
    return f"{os.path.relpath(sys.executable)} -m tests.chaos --one --only {kind} --first {seed}"


def many(seeds: int, first: int, seconds: float, kinds: Sequence[str]) -> int:
    """Run seeds in turn until there are no more, or no time; return 1 if any failed."""
    began = time.monotonic()
    failed: list[str] = []
    done = Counter[str]()
    for seed in range(first, first + seeds):
        for kind in kinds if seed == first else [kind for kind in kinds if kind != "slow"]:
            left = began + seconds - time.monotonic()
            if left <= 0:
                break
            done[kind] += 1
            if not passes(kind, seed, left if list(kinds) == ["slow"] else left / 2):
                failed.append(command(kind, seed))
    print(", ".join(f"{number} x {kind}" for kind, number in sorted(done.items())) or "nothing was run")
    for line in failed:
        print(f"FAILED; to repeat: {line}")
    return 1 if failed or not done else 0


def passes(kind: str, seed: int, seconds: float) -> bool:
    """Run one seed in a process of its own; print what it says if it fails.

    Args:
        seconds: that the long tests may take, all together.

    """
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.chaos", "--one", "--only", kind, "--first", str(seed)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )
    try:
        said, _ = process.communicate(timeout=seconds if kind == "slow" else LIMIT_S)
        hangs = ""
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT if kind == "slow" else signal.SIGABRT)  # the latter tells where it hangs
        said, _ = process.communicate()
        hangs = "" if kind == "slow" else f"hangs after {LIMIT_S} s: "
    if process.returncode == 0:
        print(said.rstrip().splitlines()[-1] if said.strip() else f"{kind} {seed}", flush=True)
        return True
    print(
        f"{kind} seed {seed} FAILED: {hangs}exit status {process.returncode}\n{said}\nto repeat: {command(kind, seed)}",
        flush=True,
    )
    return False


if __name__ == "__main__":
    sys.exit(main())
