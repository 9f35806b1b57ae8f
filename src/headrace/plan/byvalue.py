"""Pickling by value what another process could not import, with what cloudpickle gets wrong put right."""

from __future__ import annotations

import io
import sys
from typing import Any

import cloudpickle


class ByValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Gives classes that have `__slots__` their slots, and refuses open files.

    cloudpickle makes such a class anew without them, so its instances have a `__dict__` there, and cannot come back; of an
    open file it would send what the file holds now.
    """

    def reducer_override(self, obj: Any) -> Any:
        """Say how something is to be pickled."""
        if isinstance(obj, io.TextIOWrapper) and obj is not sys.stdout and obj is not sys.stderr:
            raise TypeError(f"cannot pickle the open file {obj.name!r}")
        reduced = super().reducer_override(obj)
        if isinstance(obj, type) and isinstance(reduced, tuple) and vars(obj).get("__slots__"):
            make, arguments, *rest = reduced
            if make.__name__ == "_make_skeleton_class":  # not an enumeration
                kind, name, bases, namespace, *others = arguments
                return make, (kind, name, bases, {**namespace, "__slots__": vars(obj)["__slots__"]}, *others), *rest
        return reduced
