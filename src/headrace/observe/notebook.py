"""Progress in a notebook: one display below the cell, updated in place.  IPython is used where it is, and never needed."""

from __future__ import annotations

import importlib
import sys
from typing import Any

from headrace.plan.html import box, table

HEAD = ("stage", "tasks", "running", "records", "data")


def is_notebook() -> bool:
    """Whether this program is a notebook's kernel; IPython in a terminal is a terminal."""
    ipython = sys.modules.get("IPython")
    try:
        shell = ipython.get_ipython() if ipython is not None else None
        return shell is not None and "IPKernelApp" in shell.config
    except Exception:  # whatever stands in for it may do anything
        return False


class Cell:
    """The display of one job or several at once, below the cell that runs them."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._gone = False

    def show(self, title: str, rows: list[tuple[str, str, str, str, str]]) -> None:
        """Show how far things are, instead of what was shown before."""
        if self._gone:
            return
        try:
            shown: Any = importlib.import_module("IPython.display")  # is there in a notebook
            page = shown.HTML(box(title, table(rows, HEAD)))
            if self._handle is None:
                self._handle = shown.display(page, display_id=True)
            else:
                self._handle.update(page)
        except Exception:  # the notebook is gone, or its display is not what it was; the run goes on
            self._gone = True
