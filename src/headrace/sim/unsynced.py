"""What of the program's own files was written and not yet synced: a loss of power may undo it.

Nothing is undone to these files, which are real; whoever checks a run asks after an output was announced.
"""

from __future__ import annotations

from collections.abc import Callable


class Unsynced:
    """Files whose content is not synced, and names that are not.

    >>> unsynced = Unsynced()
    >>> unsynced.named("/out/a"), unsynced.written("/out/a")
    (None, None)
    >>> unsynced.below("/out")
    ['/out/a: its content', '/out/a: its name']
    >>> unsynced.synced("/out/a")
    >>> unsynced.below("/out"), unsynced.below("/elsewhere")
    (['/out/a: its name'], [])
    >>> unsynced.names_synced("/out")
    >>> unsynced.below("/out")
    []

    """

    def __init__(self) -> None:
        self._content: set[str] = set()
        self._names: set[str] = set()

    def named(self, path: str) -> None:
        """A file or folder came to a name."""
        self._names.add(path)

    def written(self, path: str) -> None:
        """Something was written to a file."""
        self._content.add(path)

    def synced(self, path: str) -> None:
        """What was written to a file survives."""
        self._content.discard(path)

    def names_synced(self, folder: str) -> None:
        """The names in a folder survive."""
        self._names = {path for path in self._names if path.rpartition("/")[0] != folder.rstrip("/")}

    def renamed(self, old: str, new: str) -> None:
        """A file has another name."""
        self._content.discard(new)
        if old in self._content:
            self._content.discard(old)
            self._content.add(new)
        self._names.discard(old)
        self._names.add(new)

    def removed(self, path: str) -> None:
        """A file or folder is gone, with all that is in it; that it may come back does no harm."""
        gone = {one for one in (*self._content, *self._names) if one == path or one.startswith(f"{path}/")}
        self._content -= gone
        self._names -= gone

    def below(self, folder: str, is_there: Callable[[str], bool] = lambda path: True) -> list[str]:
        """List what is not synced in a folder, in words.

        Args:
            is_there: whether somebody else has not removed it meanwhile.

        """
        within = f"{folder.rstrip('/')}/"
        found = [(path, "content") for path in self._content if path.startswith(within)]
        found += [(path, "name") for path in self._names if path.startswith(within)]
        return [f"{path}: its {what}" for path, what in sorted(found) if is_there(path)]
