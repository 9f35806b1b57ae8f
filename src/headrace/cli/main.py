"""``headrace``: run scripts, show the main job, read stories."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from headrace.cli.predict import describe as describe_predict
from headrace.cli.simulate import describe as describe_simulate
from headrace.cli.simulate import simulate, split_arguments
from headrace.errors import HeadraceError
from headrace.version import VERSION


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    top = argparse.ArgumentParser(
        prog="headrace", description="Python functions over partitioned data, on processes that may be killed."
    )
    top.add_argument("--version", action="version", version=f"headrace {VERSION}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="run a script", description="Run a script that uses headrace.")
    run.add_argument("--url", help="where to run; overrides every connect() in the script; stands before it")
    shown = run.add_mutually_exclusive_group()
    shown.add_argument("--progress", action="store_true", default=None, help="show progress even outside a terminal")
    shown.add_argument("--quiet", dest="progress", action="store_false", help="show no progress")
    run.add_argument("script", help="a Python file")
    run.add_argument("arguments", nargs=argparse.REMAINDER, help="all that follows: what the script finds in sys.argv")

    demo = commands.add_parser(
        "demo",
        help="count words while workers are killed",
        description="Count the words of some books on worker processes, kill some of them, and check the result.",
    )
    demo.add_argument("--books", metavar="DIR", help="a folder of text files; by default those of the repository")
    demo.add_argument("--workers", type=int, default=2, metavar="N", help="worker processes (default: 2)")
    demo.add_argument("--kills", type=int, default=1, metavar="K", help="workers to kill (default: 1)")
    demo.add_argument("--quiet", dest="progress", action="store_false", default=None, help="show no progress")

    story = commands.add_parser(
        "story", help="tell what happened in a run", description="Tell what was lost, run again and copied, and why."
    )
    story.add_argument("run", nargs="?", help="the name of a run or the path of a story; by default the latest")
    story.add_argument("--json", action="store_true", help="print the lines as they are kept")

    replay = commands.add_parser(
        "replay",
        help="run one failed attempt again",
        description="Run one failed attempt again, in this process, on the input that was saved of it.",
    )
    replay.add_argument("run", nargs="?", help="the name of a run; by default the latest that has a failed attempt")
    replay.add_argument("attempt", nargs="?", type=int, help="the number of the attempt; by default, all are listed")
    replay.add_argument("--pdb", action="store_true", help="have the debugger look at where it fails")

    describe_simulate(commands)
    describe_predict(commands)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    given, behind = split_arguments(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(given)
    try:
        if options.command == "simulate":
            return simulate(options, behind)
        if options.command == "predict":
            from headrace.cli.predict import predict

            return predict(options)
        if options.command == "run":
            from headrace.cli.run import run_script

            return run_script(options.script, options.arguments, options.url, options.progress)
        if options.command == "demo":
            from headrace.cli.demo import demo

            return demo(options.books, options.workers, options.kills, options.progress)
        if options.command == "replay":
            from headrace.cli.replay import replay
            from headrace.cli.replay import show as show_failed

            if options.attempt is None:
                return show_failed(options.run)
            return replay(options.run, options.attempt, debug=options.pdb)
        from headrace.cli.story import show

        return show(options.run, as_json=options.json)
    except HeadraceError as error:
        print(f"headrace: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141


if __name__ == "__main__":
    sys.exit(main())
