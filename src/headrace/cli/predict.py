"""``headrace predict``: how long a run that was measured would take with other numbers of workers."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from headrace.config import SECOND, parse_duration, parse_size
from headrace.errors import OutputError, UsageError
from headrace.plan.profile import Profile
from headrace.plan.speedup import cost, efficiency, serial_fraction, speedup
from headrace.sim.predict.cluster import Cluster, Prediction

WORKERS_MAX = 100_000
UNITS = {"m": 60, "h": 3600, "d": 86400}


def describe(commands: Any) -> None:
    """Add the command to the command line."""
    command: argparse.ArgumentParser = commands.add_parser(
        "predict",
        help="how long a run would take with other numbers of workers",
        description="Run the plan of a measured run again on a simulated cluster, with one number of workers after another.",
    )
    command.add_argument("run", nargs="?", help="the name of a run or the path of a profile; by default the latest")
    command.add_argument(
        "--workers", default="1,2,4,...,64", metavar="LIST", help="such as 1,2,4,...,1000 (default: 1,2,4,...,64)"
    )
    command.add_argument("--hosts", type=int, metavar="N", help="machines; by default as many as the workers need")
    command.add_argument(
        "--slots-per-host",
        type=int,
        metavar="N",
        help="workers on a machine (default: its cores, where it was measured)",
    )
    command.add_argument(
        "--bandwidth",
        default="1250MB",
        metavar="SIZE",
        help="of a machine's link, each way, a second (default: 1250MB)",
    )
    command.add_argument(
        "--latency", metavar="TIME", help="between two machines (default: each pair's own, 0.05ms to 0.5ms)"
    )
    command.add_argument(
        "--speed", type=float, default=1.0, metavar="X", help="of a worker, beside those measured (default: 1)"
    )
    command.add_argument(
        "--mtbf", default="0", metavar="TIME", help="between two failures of a worker, on average; 0: none (default: 0)"
    )
    command.add_argument("--startup", metavar="TIME", help="of a worker (default: as measured)")
    command.add_argument("--price", type=float, default=1.0, metavar="X", help="of a worker for an hour (default: 1)")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="of all that is drawn (default: 0)")
    command.add_argument("--svg", metavar="FILE", help="draw the speedup into a file")
    command.add_argument("--json", action="store_true", help="print JSON")


def predict(options: argparse.Namespace) -> int:
    """Print what was asked."""
    from headrace.runtime.files import SystemFiles
    from headrace.sim.predict.model import longest_path
    from headrace.sim.predict.predict import Predictor
    from headrace.store.profiles import read_profile

    numbers = read_workers(options.workers)
    profile = read_profile(options.run)
    predictor = Predictor(profile, SystemFiles())
    cluster = cluster_of(options, profile)
    found: dict[int, Prediction] = {}
    for workers in sorted({1, *numbers}):
        _say_progress(f"predicting {workers:,} workers ...")
        found[workers] = predictor.predict(cluster, workers)
    _say_progress("")
    rows = [row_of(found[workers], found[1], cluster) for workers in numbers]
    least = longest_path(profile, predictor.models, cluster.startup_ns, cluster.speed) / SECOND
    if options.json:
        about = {"run": profile.begun.run, "measured": about_run(profile), "cluster": about_cluster(cluster)}
        print(json.dumps({**about, "at least": least, "scale": predictor.scale, "rows": rows}, indent=1))
    else:
        print(tell(profile, cluster, rows, least))
    if options.svg:
        from headrace.cli.plot import draw_svg

        try:
            Path(options.svg).write_text(draw_svg(_points(rows)), encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{options.svg} cannot be written: {error.strerror}. Name another file.") from error
    return 1 if any(row["why"] for row in rows) else 0


def read_workers(text: str) -> list[int]:
    """Read a list of numbers, each larger than the one before; dots go on as it went, doubling unless it does not.

    Raises:
        UsageError: it is none.

    >>> read_workers("1,2,4,...,40"), read_workers("5,10,15,...,30"), read_workers("3")
    ([1, 2, 4, 8, 16, 32, 40], [5, 10, 15, 20, 25, 30], [3])

    """
    numbers: list[int] = []
    words = [word.strip() for word in text.split(",")]
    for place, word in enumerate(words):
        if word in ("...", "…"):
            if not numbers or place + 2 != len(words) or not words[-1].isdecimal():
                raise UsageError(f"{text!r}: dots stand before the last number, such as in 1,2,4,...,1000.")
            numbers += _between(numbers, int(words[-1]))
        elif not re.fullmatch(r"[0-9]{1,9}", word):
            raise UsageError(f"{text!r} is not a list of numbers of workers. Write it like 1,2,4,...,1000.")
        else:
            numbers.append(int(word))
    if numbers[0] < 1 or numbers[-1] > WORKERS_MAX or any(b <= a for a, b in pairwise(numbers)):
        raise UsageError(f"{text!r}: numbers of workers grow, from 1 on; {WORKERS_MAX:,} is the most.")
    return numbers


def _between(numbers: list[int], last: int) -> list[int]:
    found = list(numbers[-2:])
    doubling = len(found) < 2 or found[1] == 2 * found[0] or found[1] <= found[0]
    step = 0 if doubling else found[1] - found[0]
    at = 2 * found[-1] if doubling else found[-1] + step
    between = []
    while 0 < at < min(last, WORKERS_MAX + 1):
        between.append(at)
        at = 2 * at if doubling else at + step
    return between


def read_time(text: str) -> int:
    """Read a duration into nanoseconds: as in an address, or with m, h or d for minutes, hours and days.

    >>> read_time("1.5h") == 5400 * SECOND, read_time("20ms")
    (True, 20000000)
    """
    unit = UNITS.get(text[-1:], 0)
    return parse_duration(text[:-1]) * unit if unit else parse_duration(text)


def cluster_of(options: argparse.Namespace, profile: Profile) -> Cluster:
    """Take what was said of the cluster, and from the profile what was not.

    Raises:
        UsageError: it makes no sense.

    """
    for name in ("hosts", "slots_per_host"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name.replace('_', '-')} {value}: at least 1 is needed.")
    for name, least in (("speed", "more than 0"), ("price", "0 or more")):
        value = getattr(options, name)
        if not (0 <= value < math.inf) or (name == "speed" and value == 0):
            raise UsageError(f"--{name} {value}: it must be {least}.")
    bandwidth = parse_size(options.bandwidth.removesuffix("/s"))
    if bandwidth < 1000:
        raise UsageError(f"--bandwidth {options.bandwidth}: that is next to nothing; at least 1000 bytes are needed.")
    usual = Cluster()
    latency = max(1, read_time(options.latency)) if options.latency is not None else 0
    return Cluster(
        hosts=options.hosts or 0,
        slots=options.slots_per_host or profile.begun.cores,
        bytes_s=bandwidth,
        latency_ns=(latency, latency) if latency else usual.latency_ns,
        speed=options.speed,
        failure_ns=read_time(options.mtbf),
        startup_ns=read_time(options.startup) if options.startup is not None else profile.startup_ns,
        loop_ns=profile.loop_ns,
        price=options.price,
        seed=options.seed,
    )


Row = dict[str, Any]


def row_of(found: Prediction, alone: Prediction, cluster: Cluster) -> Row:
    """Say what a number of workers is worth; what cannot be told is None."""
    p, t1, tp = found.workers, alone.seconds, found.seconds
    told = not (math.isinf(t1) or math.isinf(tp)) and tp > 0
    serial = serial_fraction(t1, tp, p) if told else math.nan
    return {
        "workers": p,
        "hosts": found.hosts,
        "seconds": None if math.isinf(tp) else tp,
        "speedup": speedup(t1, tp) if told else None,
        "efficiency": efficiency(t1, tp, p) if told else None,
        "serial fraction": None if math.isnan(serial) else serial,
        "cost": None if math.isinf(tp) else cost(tp, p) / 3600 * cluster.price,
        "attempts": found.attempts,
        "copies": found.copies,
        "failures": found.failures,
        "moved bytes": found.moved_bytes,
        "events": found.events,
        "why": found.why,
    }


def about_run(profile: Profile) -> dict[str, Any]:
    """Say what was measured."""
    return {
        "seconds": profile.took_ns / SECOND,
        "workers": profile.begun.workers,
        "hosts": profile.begun.hosts,
        "cores": profile.begun.cores,
        "jobs": len(profile.jobs),
        "tasks": profile.tasks,
    }


def about_cluster(cluster: Cluster) -> dict[str, Any]:
    """Say what the cluster is like."""
    return {name: getattr(cluster, name) for name in cluster.__struct_fields__}


def tell(profile: Profile, cluster: Cluster, rows: list[Row], least: float) -> str:
    """Say it as a table and a plot."""
    from headrace.cli.plot import plot

    begun = profile.begun
    lines = [
        f"run {begun.run}: {len(profile.jobs):,} jobs, {profile.tasks:,} tasks, measured with {begun.workers} workers on "
        f"{begun.hosts} host{'s' * (begun.hosts != 1)}: {profile.took_ns / SECOND:.3f} s",
        f"predicted for {cluster.hosts or 'enough'} machines of {cluster.slots} workers, each with "
        f"{cluster.bytes_s / 2**20:,.0f} MB/s; speed {cluster.speed:g}, seed {cluster.seed}",
        "",
        table(rows, price=cluster.price),
        "",
    ]
    if len(rows) > 1:
        lines += [plot(_points(rows)), ""]
    lines.append(
        f"With any number of workers it takes {least:.3f} s or more: the start of the workers, the program's own time "
        "between jobs, and in each job the longest chain of tasks that wait for each other."
    )
    lines += [f"{row['workers']:,} workers: {row['why']}" for row in rows if row["why"]]
    return "\n".join(lines)


def _points(rows: Sequence[Row]) -> list[tuple[int, float]]:
    return [(row["workers"], row["speedup"]) for row in rows if row["speedup"] is not None]


COLUMNS = (
    ("workers", "{:,}"),
    ("hosts", "{:,}"),
    ("seconds", "{:,.3f}"),
    ("speedup", "{:,.2f}"),
    ("efficiency", "{:.1%}"),
    ("serial fraction", "{:.4f}"),
    ("cost", "{:,.6f}"),
)


def table(rows: Sequence[Row], *, price: float = 1.0) -> str:
    """Lay rows out; losses and copies only where there are any.

    >>> print(table([row_of(Prediction(1, 1, 36 * SECOND), Prediction(1, 1, 36 * SECOND), Cluster())]))
    workers  hosts  seconds  speedup  efficiency  serial fraction      cost
          1      1   36.000     1.00      100.0%                -  0.010000
    """
    del price
    columns = [*COLUMNS, *((name, "{:,}") for name in ("copies", "failures") if any(row[name] for row in rows))]
    cells = [[name for name, _ in columns]]
    cells += [["-" if row[name] is None else how.format(row[name]) for name, how in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)) for row in cells)


def _say_progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r{text:<40}\r" if not text else f"\r{text:<40}", end="", file=sys.stderr, flush=True)
