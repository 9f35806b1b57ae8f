"""What a context lets its user do about checkpoints."""

from __future__ import annotations

import os

from headrace.dataset.engine import Engine
from headrace.errors import OutputError, UsageError
from headrace.plan.hashing import short


class Durability:
    """Where checkpoints go, and when they are there."""

    _engine: Engine

    def set_checkpoint_dir(self, path: str | os.PathLike[str]) -> None:
        """Have checkpoints written to a folder of their own in this folder, which all workers must see.

        Args:
            path: of a folder, which is made if need be.  What is written there stays when the run ends.

        Raises:
            OutputError: the folder cannot be made.

        >>> ctx.set_checkpoint_dir(folder)
        >>> os.path.dirname(ctx.get_checkpoint_dir()) == str(folder)
        True

        """
        if not isinstance(path, str | os.PathLike) or not isinstance(text := os.fspath(path), str) or not text:
            raise UsageError(f"set_checkpoint_dir needs the path of a folder, not {short(path)}.")
        above = os.path.abspath(text)
        number = 1
        while True:
            folder = f"{above}/{self._engine.session.run}{f'-{number}' if number > 1 else ''}"
            try:
                os.makedirs(above, exist_ok=True)
                os.mkdir(folder, 0o700)  # what lies in it is unpickled
            except FileExistsError:
                if not os.path.isdir(above):
                    raise OutputError(f"{text} is a file, not a folder. Choose another path.") from None
                number += 1
            except OSError as error:
                raise OutputError(
                    f"{folder} cannot be made: {error.strerror}. Choose a folder that you may write to."
                ) from error
            else:
                self._engine.checkpoints.folder = folder
                return

    def get_checkpoint_dir(self) -> str | None:
        """Return the folder that checkpoints of this run go to; None if `set_checkpoint_dir` was not called.

        >>> ctx.set_checkpoint_dir(folder)
        >>> ctx.get_checkpoint_dir().startswith(str(folder))
        True
        """
        return self._engine.checkpoints.folder

    def wait_for_checkpoints(self) -> None:
        """Wait until the checkpoints that are being written are there; actions do not wait for them.

        >>> ctx.wait_for_checkpoints()
        """
        self._engine.checkpoints.wait()
