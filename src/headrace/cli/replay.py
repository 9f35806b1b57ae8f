"""``headrace replay``: one failed attempt again, in this process, under a debugger if wanted."""

from __future__ import annotations

import sys

from headrace.errors import InputError
from headrace.observe.failures import find, folder_of, latest, list_of, shipped_items, surroundings
from headrace.runtime.files import SystemFiles
from headrace.runtime.replay import Replay, enter, look_into
from headrace.store.capsules import read_capsule

UNLIKE = "ended well, but did not do the same when it was verified"


def show(run: str | None) -> int:
    """List the attempts of a run that can be run again."""
    run = run or latest()
    kept = list_of(folder_of(run))
    print(f"run {run}: {len(kept)} failed attempt{'s' * (len(kept) != 1)} can be replayed")
    for one in kept:
        try:
            said = read_capsule(SystemFiles(), one.path).index.summary or UNLIKE
        except InputError as error:
            said = str(error)
        print(f"  headrace replay {run} {one.attempt}    task {one.task}: {said}")
    return 0 if kept else 1


def replay(run: str, attempt: int, *, debug: bool) -> int:
    """Run an attempt again; return 1 if it fails again, and 0 if it does not."""
    path, around = find(run, attempt), surroundings(run)
    kept, missing = shipped_items(around.shipped) if around.shipped else ((), ())
    if missing:
        names = ", ".join(item.name for item in missing)
        print(f"Of what was shipped, {names} took too much to be saved. Raise capsule= in the address.")
    played = Replay(read_capsule(SystemFiles(), path), around.shipped, kept, own=False)
    enter(around.path, around.folder)
    index = played.index
    ended = f"failed on {index.worker} with\n  {index.summary}" if index.summary else f"{UNLIKE},"
    task = f"{index.stage}.{index.partition}"
    print(f"Attempt {attempt} at task {task} of run {run}, which {ended}\nruns again, in this process.", flush=True)
    try:
        finished = played.run()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        print(f"\n{played.blame(error).text()}", file=sys.stderr, flush=True)
        if debug:
            look_into(error)
        return 1
    if not index.summary:
        print(f"\nIt ended well: {finished.records:,} records came to its end.")
        return 0
    print(
        f"\nIt did not fail this time: {finished.records:,} records came to its end. What it does depends on more than its "
        "input: on time, chance, the machine, or files that have changed."
    )
    return 0
