"""``headrace simulate``: the user's own program, again and again, each time in a simulated cluster with other disasters."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headrace.errors import UsageError

if TYPE_CHECKING:
    from headrace.campaign.campaign import Settings
    from headrace.campaign.regressions import Regression

DESCRIPTION = """\
Run a program again and again on a simulated cluster, each time with other failures, and stop at the first run that prints,
writes or does something else than without failures. What the program takes as arguments stands behind --."""


def describe(commands: Any) -> None:
    """Add the command to the command line."""
    command = commands.add_parser(
        "simulate", help="run a script under thousands of simulated failures", description=DESCRIPTION
    )
    command.add_argument("script", help="a Python file")
    command.add_argument("arguments", nargs="*", help="what the script finds in sys.argv; what begins with - behind --")
    what = command.add_argument_group("what is tried")
    what.add_argument(
        "--seeds", type=_number, metavar="N", help="how many seeds (default: 1000, or what --minutes allows)"
    )
    what.add_argument("--first", type=_number, default=0, metavar="N", help="the first seed (default: 0)")
    what.add_argument("--seed", type=_number, metavar="N", help="this seed alone")
    what.add_argument("--minutes", type=float, metavar="M", help="as many seeds as there is time for")
    what.add_argument("--plan", metavar="FILE", help="what went wrong once: a file that was kept, or a plan of faults")
    what.add_argument("--regressions", action="store_true", help="only what broke the program before")
    world = command.add_argument_group("on what cluster")
    world.add_argument("--workers", type=_positive, metavar="N", help="simulated workers (default: 20)")
    world.add_argument("--hosts", type=_positive, metavar="N", help="hosts that they are on (default: 4)")
    world.add_argument("--faults", metavar="KINDS", help="such as crash,partition,pause,disk (default: all)")
    world.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of the address: memory=4MB")
    how = command.add_argument_group("how")
    how.add_argument("--jobs", type=_positive, metavar="N", help="runs beside each other (default: one a core)")
    how.add_argument("--keep-going", action="store_true", help="do not stop at the first promise that is broken")
    how.add_argument(
        "--ignore", action="append", default=[], metavar="REGEX", help="do not compare lines with this in them"
    )
    how.add_argument(
        "--limit", type=float, default=60.0, metavar="S", help="seconds that one run may take (default: 60)"
    )
    how.add_argument(
        "--shrink", type=float, default=60.0, metavar="S", help="seconds to look for fewer faults (default: 60)"
    )
    how.add_argument("--no-shrink", dest="shrink", action="store_const", const=0.0, help="leave the faults as they are")
    how.add_argument(
        "--kept", metavar="DIR", help="where what broke it is kept (default: .headrace/regressions beside it)"
    )
    how.add_argument("--spawn", action="store_true", help="a fresh interpreter for each run; slower")


def _number(text: str) -> int:
    if not re.fullmatch(r"\d+", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def _positive(text: str) -> int:
    number = _number(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is too few")
    return number


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Cut what is the program's own off the command line of this command.

    >>> split_arguments(["simulate", "job.py", "--seeds", "5", "--", "--input", "x"])
    (['simulate', 'job.py', '--seeds', '5'], ['--input', 'x'])
    >>> split_arguments(["run", "job.py", "--", "x"])
    (['run', 'job.py', '--', 'x'], [])

    """
    given = list(arguments)
    if given[:1] != ["simulate"] or "--" not in given:
        return given, []
    place = given.index("--")
    return given[:place], given[place + 1 :]


def simulate(options: argparse.Namespace, behind: Sequence[str] = ()) -> int:
    """Run what the command line says; return 1 if a promise was broken, 2 if the command line means nothing.

    Args:
        behind: more arguments for the program.

    """
    options.arguments += behind
    try:
        settings = settings_of(options)
    except UsageError as error:
        print(f"headrace: {error}", file=sys.stderr)
        return 2
    return carry_out(settings, options.jobs or _cores())


def carry_out(settings: Settings, jobs: int) -> int:
    """Carry a campaign out, and tell of it."""
    from headrace.campaign.campaign import Campaign, Unfit
    from headrace.campaign.pool import Pool
    from headrace.cli.telling import Teller

    teller = Teller(settings)
    with Pool(settings.job, jobs) as pool:
        campaign = Campaign(settings, pool, teller)
        try:
            teller.begin(jobs)
            campaign.promise()
            teller.shared(pool.linked)
            campaign.run()
        except Unfit as error:
            teller.pause()
            print(f"headrace: {settings.job.script} cannot be simulated: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            teller.pause()
            print("interrupted")
            teller.end(campaign.tally)
            return 130
        finally:
            teller.pause()
    teller.end(campaign.tally)
    return 1 if campaign.tally.found else 0


def settings_of(options: argparse.Namespace) -> Settings:
    """Make settings of the command line.

    Raises:
        UsageError: it does not mean anything.

    """
    from headrace.campaign.campaign import Settings
    from headrace.campaign.regressions import FOLDER, Regression, read
    from headrace.campaign.words import Cluster, Job
    from headrace.runtime.script import read_script

    read_script(options.script)
    for pattern in options.ignore:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(f"--ignore {pattern!r} is no regular expression: {error}.") from None
    plan, seed, known = None, options.seed, None
    if options.plan is not None:
        found = read(options.plan)
        plan, known = (found.plan, found) if isinstance(found, Regression) else (found, None)
        seed = known.seed if known is not None and seed is None else seed
    arguments = tuple(options.arguments) or (known.arguments if known is not None else ())
    folder = os.path.dirname(os.path.abspath(options.script))
    alone = seed is not None or plan is not None
    seeds: int | None = options.seeds
    if seeds is None and options.minutes is None:
        seeds = 1000
    return Settings(
        job=Job(
            script=options.script, arguments=arguments, folder=os.getcwd(), limit_s=options.limit, spawn=options.spawn
        ),
        cluster=_cluster(options, known, Cluster()),
        first=seed if seed is not None else 0 if alone else options.first,
        seeds=0 if options.regressions else 1 if alone else seeds,
        seconds=options.minutes * 60 if options.minutes is not None else None,
        keep_going=options.keep_going or options.regressions,
        ignored=tuple(options.ignore),
        shrink_s=options.shrink,
        kept=options.kept or os.path.join(folder, FOLDER),
        try_known=not alone,
        plan=plan,
        commit=commit_of(folder),
    )


def _cluster(options: argparse.Namespace, known: Regression | None, usual: Any) -> Any:
    from headrace.campaign.address import OURS, simulated
    from headrace.campaign.words import Cluster
    from headrace.config import parse_url
    from headrace.sim.faults import kinds_of

    said = known.cluster if known is not None else usual
    faults = tuple(part for part in options.faults.split(",") if part) if options.faults is not None else said.faults
    kinds_of(faults)
    extra = dict(said.options)
    for option in options.option:
        name, equals, value = option.partition("=")
        if not equals or name in OURS:
            raise UsageError(f"--option {option!r} is no option of an address. Write it like memory=4MB.")
        extra[name] = value
    workers = options.workers or said.workers
    if options.hosts is not None and options.hosts > workers:
        raise UsageError(f"{options.hosts} hosts need as many workers at least. Say --workers, too.")
    cluster = Cluster(
        workers=workers, hosts=min(options.hosts or said.hosts, workers), faults=faults, options=tuple(extra.items())
    )
    parse_url(simulated("local://", cluster, 0))
    return cluster


def commit_of(folder: str) -> str:
    """Return the commit of a folder that is one of git, and whether it has changed since; empty if it is none."""
    try:
        found = subprocess.run(
            ["git", "-C", folder, "describe", "--always", "--dirty", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
