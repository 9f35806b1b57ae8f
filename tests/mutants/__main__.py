"""``make mutants``: each planted bug in a process of its own, until a seed finds it; and the same seeds without the bug.

Prints a table: which check found what, with which seed.  Exits with 1 if a bug is not found within its number of seeds, or
if a seed finds something where no bug was planted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.mutants.bugs import MUTANTS
from tests.mutants.mutant import Mutant
from tests.mutants.planting import plant

NO_BUG = "-"
CHILD_S = 300  # for one process; a seed that hangs is ended long before that
Scenario = tuple[str, str, str]


@dataclass(frozen=True)
class Found:
    """What a process has found: with which seed, if any, and how.

    Attributes:
        tried: seeds that ran.

    """

    seed: int | None
    by: str
    tried: int
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="of bugs; all, unless said")
    parser.add_argument("--seeds", type=int, help="try so many, whatever is stated for a bug: to measure anew")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once (default: all cores)")
    parser.add_argument("--child", nargs=4, metavar=("NAME", "JOB", "FAULTS", "OPTIONS"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        name, job, faults, others = options.child
        print(json.dumps(child(name, job, faults, others, options.seeds)))
        return 0
    unknown = sorted(set(options.names) - set(MUTANTS))
    if unknown:
        parser.error(f"there is no bug {', '.join(unknown)}; there are {', '.join(MUTANTS)}")
    chosen = [MUTANTS[name] for name in options.names or MUTANTS]
    return show(chosen, options.seeds, options.jobs)


def child(name: str, job: str, faults: str, options: str, seeds: int) -> tuple[int | None, str, int]:
    """Try seeds right here, until one finds something; return it, what it found, and how many were tried."""
    if name != NO_BUG:
        plant(MUTANTS[name].edits)
    from tests.mutants import trial

    with tempfile.TemporaryDirectory() as folder:
        os.environ["HEADRACE_STORIES"] = folder
        trial.prepare()
        return trial.search(job, faults, seeds, options)


def run(name: str, scenario: Scenario, seeds: int) -> Found:
    """Try seeds in a process of its own."""
    began = time.monotonic()
    command = [sys.executable, "-m", "tests.mutants", "--seeds", str(seeds), "--child", name, *scenario]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHILD_S, check=False)
    except subprocess.TimeoutExpired:
        return Found(seeds - 1, "Hung: the process had to be ended", seeds, time.monotonic() - began)
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-4000:]}")
    seed, by, tried = json.loads(done.stdout.splitlines()[-1])
    what = name if name != NO_BUG else f"without a bug: {' '.join(scenario)}"
    print(f"{what}: {f'seed {seed}: {by}' if seed is not None else f'nothing in {tried} seeds'}", file=sys.stderr)
    return Found(seed, by, tried, time.monotonic() - began)


def try_all(mutants: Iterable[Mutant], seeds: int | None, jobs: int) -> tuple[dict[str, Found], dict[Scenario, Found]]:
    """Run all bugs, then the same seeds of each scenario without any."""
    with ThreadPoolExecutor(jobs) as pool:
        trials = {
            mutant.name: pool.submit(run, mutant.name, mutant.scenario, seeds or mutant.within) for mutant in mutants
        }
        found = {name: trial.result() for name, trial in trials.items()}
        needed: dict[Scenario, int] = defaultdict(int)
        for mutant in mutants:
            needed[mutant.scenario] = max(needed[mutant.scenario], found[mutant.name].tried)
        sound = {scenario: pool.submit(run, NO_BUG, scenario, number) for scenario, number in needed.items()}
        return found, {scenario: trial.result() for scenario, trial in sound.items()}


def show(mutants: Sequence[Mutant], seeds: int | None, jobs: int) -> int:
    """Run bugs and print what found them; return 1 if something is not as it should be."""
    began = time.monotonic()
    found, sound = try_all(mutants, seeds, jobs)
    wrong: list[str] = []
    print(f"{'bug':28} {'promise':58} {'seed':>5} {'within':>6}  found by")
    for mutant in mutants:
        one = found[mutant.name]
        seed = "-" if one.seed is None else str(one.seed)
        print(f"{mutant.name:28} {mutant.promise:58} {seed:>5} {mutant.within:>6}  {one.by[:110]}")
        if one.seed is None:
            wrong.append(f"{mutant.name} ({mutant.breaks}) was not found within {one.tried} seeds")
    for (job, faults, options), one in sound.items():
        if one.seed is not None:
            wrong.append(f"without any bug, {job} under {faults} {options} fails with seed {one.seed}: {one.by}")
    tried = sum(one.tried for one in (*found.values(), *sound.values()))
    print(f"{len(mutants)} bugs, {tried} seeds, {time.monotonic() - began:.0f} s")
    print("".join(f"{line}\n" for line in wrong), end="")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
