"""What a job that fails leaves for `headrace replay`, and replaying it from the program."""

from __future__ import annotations

from collections.abc import Callable

from headrace.errors import HeadraceError, JobFailed, Replayer
from headrace.loops.jobs import FailedAttempt
from headrace.loops.samples import Drawn
from headrace.loops.session import Session
from headrace.observe.failures import Keeper, find, shipped_items, surroundings
from headrace.runtime.files import SystemFiles
from headrace.store.capsules import read_capsule
from headrace.store.layout import CAPSULE, capsule_name
from headrace.store.mapoutput import read_range
from headrace.store.shipped import Manifest

PIECE = 1 << 20
GAVE_WAY = "it gave way to that of others, which failed later. Raise capsule= in the address"


class Failures:
    """The failed attempts of one context.

    Args:
        shipped: gives what was shipped so far.

    """

    def __init__(self, session: Session, shipped: Callable[[], Manifest | None]) -> None:
        self._session, self.shipped = session, shipped
        self._keeper = Keeper(session.run)

    def attach(self, failure: HeadraceError, failed: FailedAttempt | None) -> None:
        """Keep the input of the attempt that a job ended with, and have the error say how to replay it."""
        if not isinstance(failure, JobFailed):
            return
        failure.run = self._session.run
        if failed is None:
            return
        failure.attempt = failed.attempt
        why = failed.why or ("" if failed.capsule else "nobody knows why")
        if failed.capsule:
            try:
                self._keep(failed.capsule, failed.path, failed.pieces)
            except OSError as error:
                gone = isinstance(error, FileNotFoundError) and error.filename == failed.path
                why = (
                    GAVE_WAY if gone else f"it could not be put beside the stories ({error}). Look at HEADRACE_STORIES"
                )
        if why:
            failure.unsaved = f"its input was not saved: {why}"
            return
        failure.unsaved = ""
        message = f"{failure.args[0]} Look into it with `headrace replay {failure.run} {failure.attempt} --pdb`."
        failure.args = (message, *failure.args[1:])

    def attach_done(self, failure: JobFailed, drawn: Drawn) -> None:
        """Keep the input of an attempt that ended well, but does not do the same again."""
        failure.run, failure.attempt = self._session.run, drawn.attempt
        name = capsule_name(drawn.task.stage, drawn.task.partition, drawn.attempt)
        try:
            self._keep(name, drawn.path, drawn.pieces)
        except OSError as error:
            failure.unsaved = f"it could not be put beside the stories ({error}). Look at HEADRACE_STORIES"
            return
        failure.unsaved = ""
        message = f"{failure.args[0]} Run it again with `headrace replay {failure.run} {failure.attempt}`."
        failure.args = (message, *failure.args[1:])

    def _keep(self, name: str, path: str, pieces: tuple[bytes, ...] = ()) -> int:
        """Keep a capsule, once; return its size."""
        if self._keeper.has(name):
            return 0
        if (manifest := self.shipped()) is not None:
            self._keeper.keep_shipped(manifest, self._session.config.data.capsule_bytes)
        if pieces:
            self._keeper.keep(name, pieces)
            return sum(map(len, pieces))
        file = self._session.files.open(path)
        try:
            self._keeper.keep(name, read_range(file, 0, file.size, PIECE))
            return file.size
        finally:
            file.close()

    def close(self) -> None:
        """Keep what else failed and was run again, the latest first, as far as one worker would."""
        controller, files, left = self._session.controller, self._session.files, self._session.config.data.capsule_bytes
        for host in sorted(controller.near):
            folder = f"{controller.layout.host(host)}/failed"
            names = [f"failed/{name}" for name in files.list(folder)]
            found = [name for name in names if CAPSULE.fullmatch(name)]
            for name in sorted(found, key=lambda name: int(name.rpartition("-")[2]), reverse=True):
                try:
                    left -= self._keep(name, controller.layout.path(host, name))
                except OSError:
                    continue  # it gave way meanwhile, or there is no room for it
                if left <= 0:
                    return


def replay(run: str, attempt: int, debug: bool) -> None:
    """Run a saved attempt again, in this thread.

    Raises:
        UsageError: there is none.  Anything else: what the attempt raises.

    """
    capsule, around = read_capsule(SystemFiles(), find(run, attempt)), surroundings(run)
    shipped = shipped_items(around.shipped)[0] if around.shipped else ()
    from headrace.runtime.replay import Replay, look_into  # what runs tasks: heavy, and few programs need it

    played = Replay(capsule, around.shipped, shipped, own=around.own)
    try:
        played.run()
    except Exception as error:
        if debug:
            look_into(error)
        raise


Replayer.replay = replay
